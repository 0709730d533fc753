// signalfd: signals as records, order, poll, changing the mask. See signalfd(2).
#include "check.h"
#include <poll.h>
#include <sys/signalfd.h>

static void take(int fd) {
    struct signalfd_siginfo info;
    ssize_t n = read(fd, &info, sizeof info);
    if (n < 0)
        printf("%s\n", strerrorname_np(errno));
    else
        printf("%zd bytes: SIG%s value %d from me %d status %d\n", n == sizeof info ? 128 : n,
               info.ssi_signo < 32 ? sigabbrev_np(info.ssi_signo) : "RT", info.ssi_int,
               info.ssi_pid == (uint32_t)getpid(), info.ssi_signo == SIGCHLD ? info.ssi_status : 0);
}

int main(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGRTMIN);
    CHECK(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
    int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    CHECK(fd >= 0);
    take(fd);
    struct pollfd one = {.fd = fd, .events = POLLIN};
    SHOW(poll(&one, 1, 0));
    for (int i = 0; i < 2; i++)
        CHECK(sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = 10 + i}) == 0);
    CHECK(kill(getpid(), SIGUSR1) == 0 && kill(getpid(), SIGUSR1) == 0);
    SHOW(poll(&one, 1, 0));
    for (int i = 0; i < 4; i++)
        take(fd);
    pid_t pid = quiet_fork();
    if (pid == 0)
        _exit(33);
    SHOW(poll(&one, 1, 10000));
    take(fd);
    show_end("child", pid);
    // Signals outside of the mask stay pending.
    sigdelset(&set, SIGUSR1);
    SHOW(signalfd(fd, &set, 0) == fd);
    CHECK(kill(getpid(), SIGUSR1) == 0);
    take(fd);
    sigset_t pending;
    CHECK(sigpending(&pending) == 0);
    printf("pending %d\n", sigismember(&pending, SIGUSR1));
    sigaddset(&set, SIGUSR1);
    CHECK(signalfd(fd, &set, 0) == fd);
    take(fd);
    // Several records by one read.
    CHECK(kill(getpid(), SIGUSR1) == 0 && sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = 1}) == 0);
    struct signalfd_siginfo many[4];
    SHOW(read(fd, many, sizeof many));
    char small[100];
    SHOW(read(fd, small, sizeof small));
    OUTCOME(signalfd(-1, &set, 0x4));
    OUTCOME(signalfd(0, &set, 0));
    return 0;
}
