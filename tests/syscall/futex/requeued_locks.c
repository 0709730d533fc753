// Waiting for a word and then for a lock: FUTEX_WAIT_REQUEUE_PI and FUTEX_CMP_REQUEUE_PI. See futex(2).
#include "check.h"
#include <limits.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>

static uint32_t *condition, *lock, *other;

static long wait_at(uint32_t value, uint32_t *then, const struct timespec *timeout) {
    return syscall(SYS_futex, condition, FUTEX_WAIT_REQUEUE_PI, value, timeout, then, 0);
}

static long requeue(int wake, int most, uint32_t *to, uint32_t value) {
    return syscall(SYS_futex, condition, FUTEX_CMP_REQUEUE_PI, wake, (long)most, to, value);
}

static long plain(uint32_t *at, int op, uint32_t value) {
    return syscall(SYS_futex, at, op, value, NULL, NULL, 0);
}

static void show_word(const char *what) {
    uint32_t now = __atomic_load_n(lock, __ATOMIC_SEQ_CST), tid = now & FUTEX_TID_MASK;
    printf("%s: %s%s\n", what, tid == 0 ? "free" : tid == (uint32_t)syscall(SYS_gettid) ? "own" : "another's",
           now & FUTEX_WAITERS ? ", waited for" : "");
}

// Until a process sleeps.
static void await_sleep(pid_t pid) {
    char path[64], state = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    while (state != 'S') {
        sleep_ms(20);
        FILE *file = fopen(path, "r");
        CHECK(file != NULL && fscanf(file, "%*d (%*[^)]) %c", &state) == 1);
        fclose(file);
    }
}

// A child that waits at the condition, and unlocks what it then has.
static pid_t waiter(int number, long ms) {
    pid_t child = quiet_fork();
    if (child == 0) {
        struct timespec soon = in_ms(CLOCK_MONOTONIC, ms);
        long got = wait_at(0, lock, ms ? &soon : NULL);
        printf("waiter %d: %s\n", number, got == 0 ? "has it" : strerrorname_np(errno));
        if (got == 0) {
            show_word("its word");
            fflush(stdout);
            CHECK(plain(lock, FUTEX_UNLOCK_PI, 0) == 0);
        }
        fflush(stdout);
        _exit(0);
    }
    await_sleep(child);
    return child;
}

static void refusals(void) {
    puts("refusals");
    struct timespec soon = in_ms(CLOCK_MONOTONIC, 20), odd = {0, 1000000000};
    SHOW(requeue(1, 1, lock, 0));
    SHOW(requeue(0, 1, lock, 0));
    SHOW(requeue(2, 1, lock, 0));
    SHOW(requeue(1, -1, lock, 0));
    SHOW(requeue(1, 1, condition, 0));
    SHOW(requeue(1, 1, lock, 7));
    SHOW(wait_at(0, condition, NULL));
    SHOW(wait_at(7, lock, NULL));
    SHOW(wait_at(0, lock, &odd));
    SHOW(wait_at(0, lock, &soon));
    SHOW(syscall(SYS_futex, condition, FUTEX_WAIT_REQUEUE_PI, 0, NULL, (char *)lock + 1, 0));
    SHOW(syscall(SYS_futex, condition, FUTEX_CMP_REQUEUE_PI | FUTEX_CLOCK_REALTIME, 1, 1L, lock, 0));
    SHOW(plain(condition, FUTEX_WAIT | FUTEX_CLOCK_REALTIME, 7));
    // Who waits for a lock to come is not waked, and goes to no other.
    pid_t child = waiter(0, 1000);
    SHOW(plain(condition, FUTEX_WAKE, 1));
    SHOW(requeue(1, 1, other, 0));
    SHOW(syscall(SYS_futex, condition, FUTEX_CMP_REQUEUE, 1, 1L, lock, 0));
    show_end("waiter", child);
    // Nor is one who waits for the word alone given a lock.
    child = quiet_fork();
    if (child == 0)
        _exit(plain(condition, FUTEX_WAIT, 0) != 0);
    await_sleep(child);
    SHOW(requeue(1, 1, lock, 0));
    SHOW(plain(condition, FUTEX_WAKE, 1));
    show_end("sleeper", child);
    show_word("at the end");
}

static void free_lock(void) {
    puts("a free lock");
    pid_t children[3];
    children[0] = waiter(0, 0);
    SHOW(requeue(1, 0, lock, 0));
    show_end("waiter", children[0]);
    for (int i = 0; i < 3; i++)
        children[i] = waiter(i, 0);
    SHOW(requeue(1, INT_MAX, lock, 0));
    for (int i = 0; i < 3; i++)
        show_end("waiter", children[i]);
    show_word("at the end");
}

static void held_lock(void) {
    puts("a lock that is held");
    pid_t children[3];
    CHECK(plain(lock, FUTEX_LOCK_PI, 0) == 0);
    for (int i = 0; i < 3; i++)
        children[i] = waiter(i, i == 1 ? 1000 : 0);
    SHOW(requeue(1, 1, lock, 0));
    show_word("two wait for it");
    // The second one's time is over while it waits for the lock.
    show_end("waiter", children[1]);
    SHOW(plain(lock, FUTEX_UNLOCK_PI, 0));
    show_end("waiter", children[0]);
    show_word("nobody has it");
    SHOW(requeue(1, 1, lock, 0));
    show_end("waiter", children[2]);
}

static void on_signal(int number) {
    (void)number;
}

static void signals(void) {
    puts("signals");
    struct sigaction action = {.sa_handler = on_signal};
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    pid_t child = waiter(0, 0);
    CHECK(kill(child, SIGUSR1) == 0);
    sleep_ms(20);
    await_sleep(child);
    // It waits again, and is given the lock.
    SHOW(requeue(1, 0, lock, 0));
    show_end("waiter", child);
    CHECK(plain(lock, FUTEX_LOCK_PI, 0) == 0);
    child = waiter(1, 0);
    SHOW(requeue(1, 0, lock, 0));
    CHECK(kill(child, SIGUSR1) == 0);
    show_end("waiter", child);
    SHOW(plain(lock, FUTEX_UNLOCK_PI, 0));
    show_word("at the end");
}

int main(void) {
    condition = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(condition != MAP_FAILED);
    lock = condition + 1;
    other = condition + 2;
    refusals();
    free_lock();
    held_lock();
    signals();
    return 0;
}
