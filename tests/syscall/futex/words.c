// futex: wait and wake between threads and processes, value check, time limits, bit sets, requeue. See futex(2).
#include "check.h"
#include <linux/futex.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>

static uint32_t word, other;
static int woken;

static long futex(uint32_t *at, int op, uint32_t value, const void *timeout, uint32_t *second, uint32_t third) {
    return syscall(SYS_futex, at, op, value, timeout, second, third);
}

static void *waiter(void *argument) {
    uint32_t mask = (uint32_t)(uintptr_t)argument;
    while (futex(&word, FUTEX_WAIT_BITSET_PRIVATE, 0, NULL, NULL, mask) != 0 && errno == EINTR) {
    }
    __atomic_fetch_add(&woken, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

// Wake until `count` threads were woken: they may not be asleep yet.
static int wake(uint32_t *at, int op, int count, uint32_t mask) {
    int total = 0;
    while (total < count) {
        long n = futex(at, op, count - total, NULL, NULL, mask);
        CHECK(n >= 0);
        total += n;
        if (n == 0)
            sleep_ms(1);
    }
    return total;
}

int main(void) {
    struct timespec soon = {0, 20000000}, bad = {0, 1000000000};
    SHOW(futex(&word, FUTEX_WAIT_PRIVATE, 1, NULL, NULL, 0));
    int64_t start = now_ms();
    SHOW(futex(&word, FUTEX_WAIT_PRIVATE, 0, &soon, NULL, 0));
    printf("waited %d\n", now_ms() - start >= 19);
    SHOW(futex(&word, FUTEX_WAIT_PRIVATE, 0, &bad, NULL, 0));
    SHOW(futex(&word, FUTEX_WAIT_PRIVATE, 1, &bad, NULL, 0));
    SHOW(futex(&word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0));
    SHOW(futex((uint32_t *)((char *)&word + 1), FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0));
    SHOW(futex((uint32_t *)8, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0));
    SHOW(futex(&word, FUTEX_WAIT_BITSET_PRIVATE, 0, NULL, NULL, 0));
    SHOW(futex(&word, 100, 0, NULL, NULL, 0));

    pthread_t threads[5];
    for (int i = 0; i < 3; i++)
        CHECK(pthread_create(&threads[i], NULL, waiter, (void *)1) == 0);
    for (int i = 3; i < 5; i++)
        CHECK(pthread_create(&threads[i], NULL, waiter, (void *)2) == 0);
    printf("second kind %d\n", wake(&word, FUTEX_WAKE_BITSET_PRIVATE, 2, 2));
    for (int i = 3; i < 5; i++)
        pthread_join(threads[i], NULL);
    printf("woken %d\n", __atomic_load_n(&woken, __ATOMIC_SEQ_CST));
    printf("none of the fourth kind %ld\n", futex(&word, FUTEX_WAKE_BITSET_PRIVATE, 9, NULL, NULL, 8));
    // Move the others to a second word, and wake them there.
    int moved = 0;
    while (moved < 3) {
        moved += futex(&word, FUTEX_CMP_REQUEUE_PRIVATE, 0, (void *)10L, &other, 0);
        sleep_ms(1);
    }
    printf("moved %d, left %ld\n", moved, futex(&word, FUTEX_WAKE_PRIVATE, 9, NULL, NULL, 0));
    SHOW(futex(&word, FUTEX_CMP_REQUEUE_PRIVATE, 0, (void *)10L, &other, 5));
    printf("one %ld\n", futex(&other, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0));
    printf("rest %ld\n", futex(&other, FUTEX_WAKE_PRIVATE, 9, NULL, NULL, 0));
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    printf("woken %d\n", woken);

    // Between processes, in shared memory.
    uint32_t *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t pid = quiet_fork();
    if (pid == 0) {
        while (futex(shared, FUTEX_WAIT, 0, NULL, NULL, 0) != 0 && errno == EINTR) {
        }
        _exit(*shared == 0 ? 12 : 1);
    }
    printf("process %d\n", wake(shared, FUTEX_WAKE, 1, 0));
    show_end("child", pid);
    // An absolute limit.
    struct timespec until;
    CHECK(clock_gettime(CLOCK_MONOTONIC, &until) == 0);
    SHOW(futex(&word, FUTEX_WAIT_BITSET_PRIVATE, 0, &until, NULL, FUTEX_BITSET_MATCH_ANY));
    return 0;
}
