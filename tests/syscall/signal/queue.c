// Queued signals: real-time order and values, siginfo fields, sigwaitinfo, sigtimedwait. See sigqueue(3), signal(7).
#include "check.h"

static void show(const siginfo_t *info) {
    printf("rt+%d value %d code %d from me %d\n", info->si_signo - SIGRTMIN, info->si_value.sival_int, info->si_code,
           info->si_pid == getpid() && info->si_uid == getuid());
}

static void handler(int number, siginfo_t *info, void *context) {
    (void)number;
    (void)context;
    show(info);
}

int main(void) {
    sigset_t set;
    sigemptyset(&set);
    for (int i = 0; i < 4; i++)
        sigaddset(&set, SIGRTMIN + i);
    sigaddset(&set, SIGUSR1);
    CHECK(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
    for (int i = 0; i < 6; i++)
        CHECK(sigqueue(getpid(), SIGRTMIN + 3 - i % 3, (union sigval){.sival_int = i}) == 0);
    siginfo_t info;
    for (int i = 0; i < 6; i++) {
        CHECK(sigwaitinfo(&set, &info) == SIGRTMIN + 1 + i / 2);
        show(&info);
    }
    struct timespec soon = {0, 1000000};
    SHOW(sigtimedwait(&set, &info, &soon));
    // Standard signals do not queue.
    raise(SIGUSR1);
    raise(SIGUSR1);
    SHOW(sigtimedwait(&set, &info, &soon));
    // The kernel says SI_TKILL; glibc makes SI_USER of it.
    printf("user %d\n", info.si_code == SI_USER);
    SHOW(sigtimedwait(&set, &info, &soon));
    CHECK(kill(getpid(), SIGUSR1) == 0);
    SHOW(sigwaitinfo(&set, &info));
    printf("user %d, from me %d\n", info.si_code == SI_USER, info.si_pid == getpid());
    SHOW(sigqueue(getpid(), 65, (union sigval){0}));
    SHOW(sigqueue(getpid(), 0, (union sigval){0}));
    // Delivered to a handler when unblocked, in order.
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
    sigfillset(&action.sa_mask);
    for (int i = 0; i < 4; i++)
        CHECK(sigaction(SIGRTMIN + i, &action, NULL) == 0);
    for (int i = 0; i < 3; i++)
        CHECK(sigqueue(getpid(), SIGRTMIN + 1, (union sigval){.sival_int = 10 + i}) == 0);
    CHECK(sigprocmask(SIG_UNBLOCK, &set, NULL) == 0);
    printf("done\n");
    // From a child, with its identity.
    CHECK(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
    pid_t parent = getpid(), pid = quiet_fork();
    if (pid == 0)
        _exit(sigqueue(parent, SIGRTMIN, (union sigval){.sival_int = 99}) == 0 ? 0 : 1);
    CHECK(sigwaitinfo(&set, &info) == SIGRTMIN);
    printf("value %d, from the child %d\n", info.si_value.sival_int, info.si_pid == pid);
    show_end("child", pid);
    return 0;
}
