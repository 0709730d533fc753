// Clocks: monotonic never goes back, sleeping at least as long as asked, absolute sleeps, resolutions. See clock_gettime(2).
#include "check.h"
#include <sys/time.h>
#include <sys/times.h>

static int64_t ns(clockid_t clock) {
    struct timespec t;
    CHECK(clock_gettime(clock, &t) == 0);
    CHECK(t.tv_nsec >= 0 && t.tv_nsec < 1000000000);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int main(void) {
    int64_t last = ns(CLOCK_MONOTONIC);
    int back = 0;
    for (int i = 0; i < 10000; i++) {
        int64_t now = ns(CLOCK_MONOTONIC);
        back += now < last;
        last = now;
    }
    printf("back %d\n", back);
    int64_t start = ns(CLOCK_MONOTONIC);
    struct timespec nap = {0, 20000000}, left;
    SHOW(nanosleep(&nap, &left));
    printf("slept %d\n", ns(CLOCK_MONOTONIC) - start >= 20000000);
    int64_t until = ns(CLOCK_MONOTONIC) + 20000000;
    struct timespec target = {until / 1000000000, until % 1000000000};
    SHOW(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &target, NULL));
    printf("reached %d\n", ns(CLOCK_MONOTONIC) >= until);
    SHOW(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &target, NULL));
    until = ns(CLOCK_REALTIME) + 10000000;
    target = (struct timespec){until / 1000000000, until % 1000000000};
    SHOW(clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &target, NULL));
    struct timespec bad = {0, 1000000000}, negative = {-1, 0};
    SHOW(nanosleep(&bad, NULL));
    SHOW(nanosleep(&negative, NULL));
    struct timespec value;
    SHOW(clock_gettime(999, &value));
    SHOW(clock_getres(CLOCK_MONOTONIC, &value));
    printf("resolution %d\n", value.tv_sec == 0 && value.tv_nsec > 0 && value.tv_nsec <= 20000000);
    const clockid_t clocks[] = {CLOCK_REALTIME, CLOCK_MONOTONIC_RAW, CLOCK_REALTIME_COARSE, CLOCK_MONOTONIC_COARSE,
                                CLOCK_BOOTTIME, CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID};
    for (unsigned i = 0; i < sizeof clocks / sizeof *clocks; i++)
        SHOW(clock_gettime(clocks[i], &value));
    // Real time agrees between its calls, and is after 2020.
    struct timeval day;
    CHECK(gettimeofday(&day, NULL) == 0);
    printf("agree %d, present %d\n", llabs((long long)time(NULL) - day.tv_sec) <= 1, day.tv_sec > 1577836800);
    // Working takes processor time, sleeping takes little.
    int64_t before = ns(CLOCK_PROCESS_CPUTIME_ID);
    volatile unsigned work = 1;
    int64_t stop = ns(CLOCK_MONOTONIC) + 30000000;
    while (ns(CLOCK_MONOTONIC) < stop)
        work = work * 3 + 1;
    printf("worked %d\n", ns(CLOCK_PROCESS_CPUTIME_ID) > before);
    struct tms spent;
    printf("times %d\n", times(&spent) != (clock_t)-1);
    SHOW(sysconf(_SC_CLK_TCK));
    return 0;
}
