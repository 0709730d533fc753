// SIGCHLD: fields, merging, SA_NOCLDWAIT, SA_NOCLDSTOP; signals between processes; default actions. See signal(7).
#include "check.h"

static volatile sig_atomic_t code, status, delivered;
static volatile pid_t from;

static void on_child(int number, siginfo_t *info, void *context) {
    (void)number;
    (void)context;
    delivered++;
    code = info->si_code;
    status = info->si_status;
    from = info->si_pid;
}

static void install(int flags) {
    struct sigaction action = {.sa_sigaction = on_child, .sa_flags = SA_SIGINFO | SA_RESTART | flags};
    CHECK(sigaction(SIGCHLD, &action, NULL) == 0);
    delivered = 0;
}

static void default_action(int number) {
    pid_t pid = quiet_fork();
    if (pid == 0) {
        raise(number);
        _exit(0);
    }
    char what[32];
    snprintf(what, sizeof what, "default of %s", sigabbrev_np(number));
    show_end(what, pid);
}

int main(void) {
    install(0);
    pid_t pid = quiet_fork();
    if (pid == 0)
        _exit(42);
    show_end("child", pid);
    printf("delivered %d, code %d, status %d, pid %d\n", delivered, code == CLD_EXITED, status, from == pid);
    pid = quiet_fork();
    if (pid == 0)
        for (;;)
            pause();
    CHECK(kill(pid, SIGSTOP) == 0 && waitpid(pid, NULL, WUNTRACED) == pid);
    printf("stopped: code %d, status %d\n", code == CLD_STOPPED, status == SIGSTOP);
    CHECK(kill(pid, SIGKILL) == 0);
    show_end("child", pid);
    printf("killed: code %d, status %d\n", code == CLD_KILLED, status);
    install(SA_NOCLDSTOP);
    pid = quiet_fork();
    if (pid == 0)
        for (;;)
            pause();
    CHECK(kill(pid, SIGSTOP) == 0 && waitpid(pid, NULL, WUNTRACED) == pid);
    printf("stop not told: %d\n", delivered);
    CHECK(kill(pid, SIGTERM) == 0 && kill(pid, SIGCONT) == 0);
    show_end("child", pid);
    install(SA_NOCLDWAIT);
    pid = quiet_fork();
    if (pid == 0)
        _exit(0);
    SHOW(waitpid(pid, NULL, 0));
    signal(SIGCHLD, SIG_DFL);
    const int numbers[] = {SIGHUP, SIGINT, SIGQUIT, SIGABRT, SIGFPE, SIGPIPE, SIGALRM, SIGUSR1, SIGCHLD, SIGURG,
                           SIGWINCH, SIGCONT, SIGXCPU, SIGSYS, SIGPROF, SIGTRAP, SIGIO};
    for (unsigned i = 0; i < sizeof numbers / sizeof *numbers; i++)
        default_action(numbers[i]);
    SHOW(kill(999999, SIGTERM));
    SHOW(kill(getpid(), 65));
    SHOW(kill(getpid(), 0));
    // A terminated child of a child is not ours.
    pid = quiet_fork();
    if (pid == 0) {
        if (fork() == 0)
            _exit(1);
        wait(NULL);
        _exit(2);
    }
    show_end("child", pid);
    return 0;
}
