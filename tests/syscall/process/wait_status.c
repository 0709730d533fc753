// fork, waitpid and waitid: exit codes, signals, WNOHANG, stop and continue, ECHILD. See wait(2).
#include "check.h"

static void show_info(const char *what, idtype_t type, id_t id, int options) {
    siginfo_t info;
    memset(&info, 0, sizeof info);
    int result = waitid(type, id, &info, options);
    printf("%s: %s", what, result == 0 ? "0" : strerrorname_np(errno));
    if (info.si_pid != 0)
        printf(", SIG%s code %d status %d", sigabbrev_np(info.si_signo), info.si_code, info.si_status);
    printf("\n");
}

int main(void) {
    int status;
    SHOW(waitpid(-1, &status, 0));
    SHOW(waitpid(-1, &status, WNOHANG));
    for (int code = 0; code < 512; code += 255) {
        pid_t pid = quiet_fork();
        if (pid == 0)
            _exit(code);
        show_end("code", pid);
    }
    pid_t pid = quiet_fork();
    if (pid == 0) {
        raise(SIGTERM);
        _exit(0);
    }
    show_end("raise", pid);
    pid = quiet_fork();
    if (pid == 0)
        for (;;)
            pause();
    SHOW(waitpid(pid, &status, WNOHANG));
    CHECK(kill(pid, SIGSTOP) == 0);
    CHECK(waitpid(pid, &status, WUNTRACED) == pid);
    printf("stopped %d by SIG%s\n", WIFSTOPPED(status), sigabbrev_np(WSTOPSIG(status)));
    SHOW(waitpid(pid, &status, WNOHANG | WUNTRACED));
    CHECK(kill(pid, SIGCONT) == 0);
    CHECK(waitpid(pid, &status, WCONTINUED) == pid);
    printf("continued %d\n", WIFCONTINUED(status));
    CHECK(kill(pid, SIGKILL) == 0);
    show_info("look", P_PID, pid, WEXITED | WNOWAIT);
    show_info("take", P_PID, pid, WEXITED);
    show_info("again", P_PID, pid, WEXITED);
    pid = quiet_fork();
    if (pid == 0)
        exit(7);
    show_info("all", P_ALL, 0, WEXITED);
    pid = quiet_fork();
    if (pid == 0)
        for (;;)
            pause();
    show_info("still running", P_PID, pid, WEXITED | WNOHANG);
    show_info("no options", P_PID, pid, 0);
    CHECK(kill(pid, SIGINT) == 0);
    show_info("interrupted", P_PGID, getpgrp(), WEXITED);
    SHOW(waitpid(999999, &status, 0));
    SHOW(waitpid(-1, &status, 0x1000));
    // A zombie still has its id; afterwards it is gone.
    pid = quiet_fork();
    if (pid == 0)
        _exit(0);
    show_info("zombie", P_PID, pid, WEXITED | WNOWAIT);
    SHOW(kill(pid, 0));
    CHECK(waitpid(pid, &status, 0) == pid);
    SHOW(kill(pid, 0));
    // With SIGCHLD ignored children leave no zombie.
    CHECK(signal(SIGCHLD, SIG_IGN) != SIG_ERR);
    pid = quiet_fork();
    if (pid == 0)
        _exit(1);
    SHOW(waitpid(pid, &status, 0));
    return 0;
}
