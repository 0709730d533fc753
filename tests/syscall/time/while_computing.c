// Timers reach a task that computes, and sleepers wake beside one, well before a slice of time is over. See setitimer(2), sched(7).
#include "check.h"
#include <pthread.h>
#include <sys/time.h>

#define TIMES 50

static volatile sig_atomic_t rang;
static volatile int stop;

static void on_alarm(int signal) {
    (void)signal;
    rang = 1;
}

static long now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000 + time.tv_nsec;
}

static int by_number(const void *one, const void *other) {
    long a = *(const long *)one, b = *(const long *)other;
    return (a > b) - (a < b);
}

// Another program may have the processor for a while: half of them is enough.
static void show_median(const char *what, long *took) {
    qsort(took, TIMES, sizeof *took, by_number);
    printf("%s: %s\n", what, took[TIMES / 2] < 5000000 ? "soon" : "late");
}

static void *compute(void *unused) {
    while (!stop) {
    }
    return unused;
}

int main(void) {
    long took[TIMES];
    signal(SIGALRM, on_alarm);
    for (int i = 0; i < TIMES; i++) {
        rang = 0;
        long start = now();
        struct itimerval timer = {.it_value = {0, 100}};
        CHECK(setitimer(ITIMER_REAL, &timer, NULL) == 0);
        while (!rang) {
        }
        took[i] = now() - start;
    }
    show_median("a signal", took);

    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, compute, NULL) == 0);
    for (int i = 0; i < TIMES; i++) {
        long start = now();
        nanosleep(&(struct timespec){.tv_nsec = 500000}, NULL);
        took[i] = now() - start;
    }
    show_median("a sleeper", took);
    stop = 1;
    CHECK(pthread_join(thread, NULL) == 0);
    return 0;
}
