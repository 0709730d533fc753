// Locks whose owner the kernel knows: FUTEX_LOCK_PI and its kin, alone and under mutexes, and owners that die. See futex(2).
#include "check.h"
#include <linux/futex.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#ifndef FUTEX_LOCK_PI2
#define FUTEX_LOCK_PI2 13
#endif

static uint32_t *word, *second;

static long futex(int op, const struct timespec *timeout) {
    return syscall(SYS_futex, word, op, 1, timeout, NULL, 0);
}

static long wake_op(uint32_t *at, uint32_t *changed, int op) {
    return syscall(SYS_futex, at, FUTEX_WAKE_OP, 1, 1, changed, op);
}

static int self(void) {
    return (int)syscall(SYS_gettid);
}

static void show_word(const char *what) {
    uint32_t now = __atomic_load_n(word, __ATOMIC_SEQ_CST), tid = now & FUTEX_TID_MASK;
    printf("%s: %s%s%s\n", what, tid == 0 ? "free" : tid == (uint32_t)self() ? "own" : "another's",
           now & FUTEX_WAITERS ? ", waited for" : "", now & FUTEX_OWNER_DIED ? ", owner died" : "");
}

static void alone(void) {
    puts("alone");
    SHOW(futex(FUTEX_LOCK_PI, NULL));
    show_word("locked");
    SHOW(futex(FUTEX_LOCK_PI, NULL));
    SHOW(futex(FUTEX_TRYLOCK_PI, NULL));
    SHOW(futex(FUTEX_UNLOCK_PI, NULL));
    show_word("unlocked");
    SHOW(futex(FUTEX_UNLOCK_PI, NULL));
    SHOW(futex(FUTEX_TRYLOCK_PI | FUTEX_PRIVATE_FLAG, NULL));
    SHOW(futex(FUTEX_UNLOCK_PI | FUTEX_PRIVATE_FLAG, NULL));
    SHOW(futex(FUTEX_LOCK_PI2 | FUTEX_CLOCK_REALTIME, NULL));
    SHOW(futex(FUTEX_UNLOCK_PI, NULL));
    SHOW(futex(FUTEX_LOCK_PI | FUTEX_CLOCK_REALTIME, NULL));
    // Nobody has this number.
    *word = 0x3ffffff0;
    SHOW(futex(FUTEX_LOCK_PI, NULL));
    SHOW(futex(FUTEX_UNLOCK_PI, NULL));
    *word = FUTEX_OWNER_DIED;
    SHOW(futex(FUTEX_LOCK_PI, NULL));
    show_word("of a dead owner");
    SHOW(futex(FUTEX_UNLOCK_PI, NULL));
    struct timespec odd = {0, 1000000000};
    SHOW(futex(FUTEX_LOCK_PI, &odd));
    SHOW(syscall(SYS_futex, (char *)word + 1, FUTEX_LOCK_PI, 0, NULL, NULL, 0));
    SHOW(syscall(SYS_futex, 4096, FUTEX_LOCK_PI, 0, NULL, NULL, 0));
    SHOW(syscall(SYS_futex, 4096, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0));
}

static void on_signal(int number) {
    (void)number;
}

static int pipes[2][2];

// The child says that it has come so far.
static void step(int which) {
    CHECK(write(pipes[which][1], "x", 1) == 1);
}

static void await(int which) {
    char byte;
    CHECK(read(pipes[which][0], &byte, 1) == 1);
}

// A child that holds the lock until it is told to go on.
static pid_t holder(int unlocks) {
    pid_t child = quiet_fork();
    if (child == 0) {
        CHECK(futex(FUTEX_LOCK_PI, NULL) == 0);
        step(0);
        await(1);
        sleep_ms(60);
        if (unlocks)
            CHECK(futex(FUTEX_UNLOCK_PI, NULL) == 0);
        _exit(0);
    }
    await(0);
    return child;
}

static void contended(void) {
    puts("contended");
    *word = 0;
    pid_t child = holder(1);
    show_word("held");
    SHOW(futex(FUTEX_TRYLOCK_PI, NULL));
    show_word("after a try");
    SHOW(futex(FUTEX_UNLOCK_PI, NULL));
    struct timespec soon = in_ms(CLOCK_REALTIME, 30);
    SHOW(futex(FUTEX_LOCK_PI, &soon));
    soon = in_ms(CLOCK_MONOTONIC, 30);
    SHOW(futex(FUTEX_LOCK_PI2, &soon));
    soon = in_ms(CLOCK_REALTIME, 30);
    SHOW(futex(FUTEX_LOCK_PI2 | FUTEX_CLOCK_REALTIME, &soon));
    show_word("nobody waits any more");
    step(1);
    SHOW(futex(FUTEX_LOCK_PI, NULL));
    show_word("given");
    show_end("holder", child);
    SHOW(futex(FUTEX_UNLOCK_PI, NULL));
    show_word("unlocked");

    // A handler does not end the waiting, with or without SA_RESTART.
    struct sigaction action = {.sa_handler = on_signal};
    CHECK(sigaction(SIGALRM, &action, NULL) == 0);
    child = holder(1);
    ualarm(20000, 0);
    step(1);
    SHOW(futex(FUTEX_LOCK_PI, NULL));
    show_end("holder", child);
    SHOW(futex(FUTEX_UNLOCK_PI, NULL));

    // Who waited first has it first; to wake is not to unlock.
    CHECK(futex(FUTEX_LOCK_PI, NULL) == 0);
    pid_t waiters[2];
    for (int i = 0; i < 2; i++) {
        waiters[i] = quiet_fork();
        if (waiters[i] == 0) {
            CHECK(futex(FUTEX_LOCK_PI, NULL) == 0);
            printf("waiter %d\n", i);
            show_word("its word");
            fflush(stdout);
            CHECK(futex(FUTEX_UNLOCK_PI, NULL) == 0);
            _exit(0);
        }
        sleep_ms(60);
    }
    SHOW(futex(FUTEX_WAKE, NULL));
    SHOW(wake_op(word, second, FUTEX_OP(FUTEX_OP_SET, 5, FUTEX_OP_CMP_EQ, 0)));
    printf("the second word %u\n", *second);
    SHOW(wake_op(second, word, FUTEX_OP(FUTEX_OP_OR, 0, FUTEX_OP_CMP_NE, 0)));
    SHOW(wake_op(second, word, FUTEX_OP(FUTEX_OP_OR, 0, FUTEX_OP_CMP_EQ, 0)));
    SHOW(futex(FUTEX_UNLOCK_PI, NULL));
    show_end("waiter", waiters[0]);
    show_end("waiter", waiters[1]);
    show_word("at the end");

    // A word that is waited on as an ordinary one is no lock.
    child = quiet_fork();
    if (child == 0) {
        CHECK(syscall(SYS_futex, word, FUTEX_WAIT, 0, NULL, NULL, 0) == 0);
        _exit(0);
    }
    sleep_ms(60);
    SHOW(futex(FUTEX_LOCK_PI, NULL));
    show_word("no lock");
    SHOW(futex(FUTEX_WAKE, NULL));
    show_end("sleeper", child);
}

static void dying(void) {
    puts("dying");
    *word = 0;
    pid_t child = holder(0);
    step(1);
    SHOW(futex(FUTEX_LOCK_PI, NULL));
    show_word("left by the dead");
    show_end("holder", child);
    SHOW(futex(FUTEX_UNLOCK_PI, NULL));
    show_word("unlocked");
    // Nobody waits: the word keeps the number of who is gone.
    child = holder(0);
    step(1);
    show_end("holder", child);
    SHOW(futex(FUTEX_LOCK_PI, NULL));
    *word = 0;
}

static long futex_at(int index, int op) {
    return syscall(SYS_futex, word + index, op, 0, NULL, NULL, 0);
}

static void *crosswise(void *unused) {
    (void)unused;
    CHECK(futex_at(1, FUTEX_LOCK_PI) == 0);
    step(0);
    await(1);
    sleep_ms(60);
    // Each would wait for the other.
    SHOW(futex_at(0, FUTEX_TRYLOCK_PI));
    SHOW(futex_at(0, FUTEX_LOCK_PI));
    show_word("of the other");
    SHOW(futex_at(1, FUTEX_UNLOCK_PI));
    return NULL;
}

static void *replaces(void *unused) {
    (void)unused;
    CHECK(futex(FUTEX_LOCK_PI, NULL) == 0);
    step(0);
    await(1);
    sleep_ms(60);
    execl("/proc/self/exe", "owned_locks", "again", NULL);
    return NULL;
}

static void threads(void) {
    puts("threads");
    word[0] = word[1] = 0;
    CHECK(futex_at(0, FUTEX_LOCK_PI) == 0);
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, crosswise, NULL) == 0);
    await(0);
    step(1);
    long locked = futex_at(1, FUTEX_LOCK_PI);
    CHECK(pthread_join(thread, NULL) == 0);
    printf("locked %ld\n", locked);
    SHOW(futex_at(1, FUTEX_UNLOCK_PI));
    SHOW(futex_at(0, FUTEX_UNLOCK_PI));
    // One that is not the first runs another program.
    pid_t child = quiet_fork();
    if (child == 0) {
        CHECK(pthread_create(&thread, NULL, replaces, NULL) == 0);
        pthread_join(thread, NULL);
        _exit(1);
    }
    await(0);
    step(1);
    SHOW(futex(FUTEX_LOCK_PI, NULL));
    show_word("of a program that is gone");
    show_end("the next program", child);
    SHOW(futex(FUTEX_UNLOCK_PI, NULL));
}

struct shared {
    uint32_t word, second;
    pthread_mutex_t mutex, robust;
    int count;
};

static struct shared *shared;

static void *add(void *unused) {
    (void)unused;
    for (int i = 0; i < 500; i++) {
        CHECK(pthread_mutex_lock(&shared->mutex) == 0);
        int seen = shared->count;
        if (i % 50 == 0)
            sched_yield();
        shared->count = seen + 1;
        CHECK(pthread_mutex_unlock(&shared->mutex) == 0);
    }
    return NULL;
}

static void mutexes(void) {
    puts("mutexes");
    pthread_mutexattr_t attr;
    CHECK(pthread_mutexattr_init(&attr) == 0);
    CHECK(pthread_mutexattr_setprotocol(&attr, PTHREAD_PRIO_INHERIT) == 0);
    CHECK(pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED) == 0);
    CHECK(pthread_mutex_init(&shared->mutex, &attr) == 0);
    CHECK(pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST) == 0);
    CHECK(pthread_mutex_init(&shared->robust, &attr) == 0);
    pthread_t threads[4];
    pid_t child = quiet_fork();
    for (int i = 0; i < 4; i++)
        CHECK(pthread_create(&threads[i], NULL, add, NULL) == 0);
    for (int i = 0; i < 4; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    if (child == 0)
        _exit(0);
    show_end("other process", child);
    printf("counted %d\n", shared->count);
    CHECK(pthread_mutex_lock(&shared->mutex) == 0);
    child = quiet_fork();
    if (child == 0) {
        struct timespec soon = in_ms(CLOCK_REALTIME, 30), later = in_ms(CLOCK_MONOTONIC, 30);
        printf("try %s\n", strerrorname_np(pthread_mutex_trylock(&shared->mutex)));
        printf("timed %s\n", strerrorname_np(pthread_mutex_timedlock(&shared->mutex, &soon)));
        printf("by the other clock %s\n", strerrorname_np(pthread_mutex_clocklock(&shared->mutex, CLOCK_MONOTONIC, &later)));
        fflush(stdout);
        _exit(0);
    }
    show_end("impatient", child);
    CHECK(pthread_mutex_unlock(&shared->mutex) == 0);
    // Its owner dies, with and without somebody who waits.
    for (int waits = 0; waits < 2; waits++) {
        child = quiet_fork();
        if (child == 0) {
            CHECK(pthread_mutex_lock(&shared->robust) == 0);
            step(0);
            sleep_ms(waits ? 60 : 0);
            _exit(0);
        }
        await(0);
        if (!waits)
            show_end("owner", child);
        int locked = pthread_mutex_lock(&shared->robust);
        printf("locked: %s\n", strerrorname_np(locked));
        if (waits)
            show_end("owner", child);
        CHECK(pthread_mutex_consistent(&shared->robust) == 0);
        CHECK(pthread_mutex_unlock(&shared->robust) == 0);
        CHECK(pthread_mutex_lock(&shared->robust) == 0 && pthread_mutex_unlock(&shared->robust) == 0);
    }
    puts("consistent again");
}

int main(int argc, char **argv) {
    (void)argv;
    if (argc > 1)
        return 0;
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(shared != MAP_FAILED && pipe(pipes[0]) == 0 && pipe(pipes[1]) == 0);
    word = &shared->word;
    second = &shared->second;
    alone();
    contended();
    dying();
    threads();
    mutexes();
    return 0;
}
