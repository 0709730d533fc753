// SA_RESTART and EINTR: read, wait, nanosleep, poll, write to a full pipe. See signal(7), "Interruption of system calls".
#include "check.h"
#include <poll.h>
#include <sys/time.h>

static volatile sig_atomic_t alarms;

static void count(int number) {
    (void)number;
    alarms++;
}

static void install(int flags) {
    struct sigaction action = {.sa_handler = count, .sa_flags = flags};
    CHECK(sigaction(SIGALRM, &action, NULL) == 0);
    alarms = 0;
}

// Alarms repeat, so that a slow machine, on which the first comes before the call, is interrupted by the second.
static void alarm_in(int ms) {
    struct itimerval timer = {.it_value = {0, ms * 1000}, .it_interval = {0, ms * 1000}};
    CHECK(setitimer(ITIMER_REAL, &timer, NULL) == 0);
}

// A child that writes a byte after some time.
static pid_t writer(int fd, int ms) {
    pid_t pid = quiet_fork();
    if (pid == 0) {
        sleep_ms(ms);
        write(fd, "x", 1);
        _exit(0);
    }
    return pid;
}

int main(void) {
    int ends[2];
    char byte;
    CHECK(pipe(ends) == 0);
    install(0);
    alarm_in(30);
    SHOW(read(ends[0], &byte, 1));
    printf("alarms %d\n", alarms > 0);
    install(SA_RESTART);
    pid_t pid = writer(ends[1], 400);
    alarm_in(30);
    SHOW(read(ends[0], &byte, 1));
    printf("alarms %d\n", alarms > 0);
    show_end("writer", pid);

    alarm_in(0);
    install(0);
    pid = writer(ends[1], 400);
    alarm_in(30);
    SHOW(waitpid(pid, NULL, 0));
    alarm_in(0);
    show_end("writer", pid);
    CHECK(read(ends[0], &byte, 1) == 1);
    install(SA_RESTART);
    pid = writer(ends[1], 400);
    alarm_in(30);
    show_end("restarted wait", pid);
    printf("alarms %d\n", alarms > 0);
    alarm_in(0);
    CHECK(read(ends[0], &byte, 1) == 1);

    // Sleeping and polling are never restarted.
    install(SA_RESTART);
    alarm_in(30);
    struct timespec want = {20, 0}, left = {0, 0};
    SHOW(nanosleep(&want, &left));
    printf("left %d\n", left.tv_sec >= 10 && left.tv_sec < 20);
    alarm_in(30);
    struct pollfd one = {.fd = ends[0], .events = POLLIN};
    SHOW(poll(&one, 1, 20000));
    alarm_in(30);
    SHOW(pause());
    printf("alarms %d\n", alarms > 0);

    // A write that has moved something is cut short.
    install(0);
    static char block[200000];
    alarm_in(30);
    SHOW(write(ends[1], block, sizeof block));
    alarm_in(30);
    SHOW(write(ends[1], block, 1));
    // An ignored signal interrupts nothing.
    CHECK(signal(SIGALRM, SIG_IGN) != SIG_ERR);
    alarm_in(10);
    want = (struct timespec){0, 50000000};
    SHOW(nanosleep(&want, &left));
    return 0;
}
