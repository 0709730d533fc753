// timerfd and timer_create: one shot, interval, counts, absolute, disarmed, signals with values. See timerfd_create(2).
#include "check.h"
#include <poll.h>
#include <sys/timerfd.h>

static volatile sig_atomic_t value, code, fired;

static void on_timer(int number, siginfo_t *info, void *context) {
    (void)number;
    (void)context;
    value = info->si_value.sival_int;
    code = info->si_code;
    fired++;
}

int main(void) {
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    CHECK(fd >= 0);
    uint64_t count = 0;
    SHOW(read(fd, &count, 8));
    struct itimerspec timer = {.it_value = {0, 300000000}}, old;
    SHOW(timerfd_settime(fd, 0, &timer, NULL));
    SHOW(read(fd, &count, 8));
    CHECK(timerfd_gettime(fd, &old) == 0);
    printf("running %d, interval %ld\n", old.it_value.tv_nsec > 0 && old.it_value.tv_nsec <= 300000000,
           old.it_interval.tv_nsec);
    struct pollfd one = {.fd = fd, .events = POLLIN};
    SHOW(poll(&one, 1, 10000));
    SHOW(read(fd, &count, 8));
    printf("count %d\n", (int)count);
    SHOW(read(fd, &count, 8));
    timer = (struct itimerspec){.it_value = {0, 5000000}, .it_interval = {0, 5000000}};
    CHECK(timerfd_settime(fd, 0, &timer, &old) == 0);
    printf("was off %d\n", old.it_value.tv_sec == 0 && old.it_value.tv_nsec == 0);
    sleep_ms(60);
    SHOW(read(fd, &count, 8));
    printf("several %d\n", count >= 8);
    SHOW(read(fd, &count, 4));
    timer = (struct itimerspec){0};
    CHECK(timerfd_settime(fd, 0, &timer, NULL) == 0);
    SHOW(poll(&one, 1, 20));
    // A moment that is past expires at once; a blocking descriptor waits.
    timer.it_value.tv_nsec = 1;
    CHECK(timerfd_settime(fd, TFD_TIMER_ABSTIME, &timer, NULL) == 0);
    SHOW(poll(&one, 1, 10000));
    CHECK(fcntl(fd, F_SETFL, 0) == 0);
    SHOW(read(fd, &count, 8));
    int64_t start = now_ms();
    timer.it_value.tv_nsec = 30000000;
    CHECK(timerfd_settime(fd, 0, &timer, NULL) == 0);
    SHOW(read(fd, &count, 8));
    printf("not early %d\n", now_ms() - start >= 29);
    timer.it_value.tv_nsec = 1000000000;
    SHOW(timerfd_settime(fd, 0, &timer, NULL));
    OUTCOME(timerfd_create(77, 0));
    OUTCOME(timerfd_create(CLOCK_REALTIME, 0x40));
    SHOW(write(fd, &count, 8));

    struct sigaction action = {.sa_sigaction = on_timer, .sa_flags = SA_SIGINFO};
    CHECK(sigaction(SIGRTMIN, &action, NULL) == 0);
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN, .sigev_value.sival_int = 1234};
    timer_t id;
    SHOW(timer_create(CLOCK_MONOTONIC, &event, &id));
    timer = (struct itimerspec){.it_value = {0, 10000000}};
    SHOW(timer_settime(id, 0, &timer, NULL));
    while (fired == 0)
        sleep_ms(1);
    printf("value %d, code %d\n", value, code == SI_TIMER);
    SHOW(timer_getoverrun(id));
    SHOW(timer_gettime(id, &old));
    printf("off %d\n", old.it_value.tv_sec == 0 && old.it_value.tv_nsec == 0);
    SHOW(timer_delete(id));
    event.sigev_notify = SIGEV_NONE;
    SHOW(timer_create(CLOCK_MONOTONIC, &event, &id));
    SHOW(timer_delete(id));
    return 0;
}
