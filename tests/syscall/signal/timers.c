// alarm and setitimer: delivery, the remaining time, intervals, virtual time. See alarm(2), setitimer(2).
#include "check.h"
#include <sys/time.h>

static volatile sig_atomic_t ticks;

static void tick(int number) {
    (void)number;
    ticks++;
}

int main(void) {
    struct sigaction action = {.sa_handler = tick};
    CHECK(sigaction(SIGALRM, &action, NULL) == 0 && sigaction(SIGVTALRM, &action, NULL) == 0);
    SHOW(alarm(100));
    unsigned left = alarm(200);
    printf("left %d\n", left > 90 && left <= 100);
    left = alarm(0);
    printf("left %d\n", left > 190 && left <= 200);
    SHOW(alarm(0));
    struct itimerval timer = {.it_value = {0, 10000}, .it_interval = {0, 10000}}, old;
    CHECK(setitimer(ITIMER_REAL, &timer, NULL) == 0);
    while (ticks < 3)
        pause();
    CHECK(getitimer(ITIMER_REAL, &old) == 0);
    printf("interval %ld, value below %d\n", (long)old.it_interval.tv_usec, old.it_value.tv_usec <= 10000);
    timer = (struct itimerval){0};
    CHECK(setitimer(ITIMER_REAL, &timer, &old) == 0);
    CHECK(getitimer(ITIMER_REAL, &old) == 0);
    printf("stopped %d\n", old.it_value.tv_sec == 0 && old.it_value.tv_usec == 0);
    ticks = 0;
    int64_t start = now_ms();
    timer.it_value.tv_usec = 30000;
    CHECK(setitimer(ITIMER_REAL, &timer, NULL) == 0);
    while (ticks == 0)
        sleep_ms(1);
    printf("not early %d, once %d\n", now_ms() - start >= 29, ticks);
    timer.it_value.tv_usec = 1000000;
    SHOW(setitimer(ITIMER_REAL, &timer, NULL));
    SHOW(setitimer(9, &timer, NULL));
    // A child inherits no timer, a program started by exec keeps it.
    timer.it_value = (struct timeval){0, 50000};
    CHECK(setitimer(ITIMER_REAL, &timer, NULL) == 0);
    pid_t pid = quiet_fork();
    if (pid == 0) {
        CHECK(getitimer(ITIMER_REAL, &old) == 0);
        _exit(old.it_value.tv_sec == 0 && old.it_value.tv_usec == 0);
    }
    int status;
    while (waitpid(pid, &status, 0) != pid) {
    }
    printf("none in the child %d\n", WEXITSTATUS(status));
    pid = quiet_fork();
    if (pid == 0) {
        alarm(1);
        execl("/bin/sh", "sh", "-c", "while :; do :; done", (char *)NULL);
        _exit(1);
    }
    while (waitpid(pid, &status, 0) != pid) {
    }
    printf("alarm over exec %d\n", WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM);
    return 0;
}
