// execve: arguments, environment, close-on-exec, kept and reset state, errors, scripts. See execve(2).
#include "check.h"

extern char **environ;

static int second(int argc, char **argv) {
    printf("argc %d\n", argc);
    for (int i = 1; i < argc; i++)
        if (i != 2 && i != 3)
            printf("  [%s]\n", argv[i]);
    for (char **at = environ; *at; at++)
        printf("  env %s\n", *at);
    int kept = atoi(argv[2]), closed = atoi(argv[3]);
    OUTCOME(fcntl(kept, F_GETFD));
    OUTCOME(fcntl(closed, F_GETFD));
    struct sigaction action;
    CHECK(sigaction(SIGUSR1, NULL, &action) == 0);
    printf("handler reset %d\n", action.sa_handler == SIG_DFL);
    CHECK(sigaction(SIGUSR2, NULL, &action) == 0);
    printf("ignore kept %d\n", action.sa_handler == SIG_IGN);
    sigset_t mask, pending;
    CHECK(sigprocmask(SIG_BLOCK, NULL, &mask) == 0 && sigpending(&pending) == 0);
    printf("mask kept %d, pending kept %d\n", sigismember(&mask, SIGHUP), sigismember(&pending, SIGHUP));
    printf("umask %o\n", umask(0));
    fflush(stdout);
    return 9;
}

static void handler(int signal) {
    (void)signal;
}

static void try_exec(const char *what, const char *path) {
    pid_t pid = quiet_fork();
    if (pid == 0) {
        char *argv[] = {(char *)path, "argument", NULL}, *envp[] = {NULL};
        execve(path, argv, envp);
        printf("%s: %s\n", what, strerrorname_np(errno));
        fflush(stdout);
        _exit(0);
    }
    int status;
    CHECK(waitpid(pid, &status, 0) == pid);
}

int main(int argc, char **argv) {
    if (argc > 1)
        return second(argc, argv);
    put("text", "no program\n");
    CHECK(chmod("text", 0755) == 0);
    put("closed", "#!/bin/sh\n");
    put("lost", "#!/no/such/interpreter\n");
    put("self", "#!./self\n");
    CHECK(chmod("lost", 0755) == 0 && chmod("self", 0755) == 0);
    put("empty", "");
    put("broken", "\177ELF truncated");
    CHECK(chmod("empty", 0755) == 0 && chmod("broken", 0755) == 0);
    try_exec("missing", "missing");
    try_exec("not executable", "closed");
    try_exec("no format", "text");
    try_exec("empty", "empty");
    try_exec("truncated", "broken");
    try_exec("folder", ".");
    try_exec("no interpreter", "lost");
    try_exec("through a file", "text/x");
    put("script", "#! /bin/echo  one  two  \nnot read\n");
    CHECK(chmod("script", 0755) == 0);
    try_exec("script", "./script");

    int kept = open("text", O_RDONLY), closed = open("text", O_RDONLY | O_CLOEXEC);
    CHECK(signal(SIGUSR1, handler) != SIG_ERR && signal(SIGUSR2, SIG_IGN) != SIG_ERR);
    sigset_t mask;
    sigemptyset(&mask);
    sigaddset(&mask, SIGHUP);
    CHECK(sigprocmask(SIG_BLOCK, &mask, NULL) == 0);
    umask(035);
    pid_t pid = quiet_fork();
    if (pid == 0) {
        char a[16], b[16];
        CHECK(raise(SIGHUP) == 0);
        snprintf(a, sizeof a, "%d", kept);
        snprintf(b, sizeof b, "%d", closed);
        char *arguments[] = {"odd name", "", a, b, "two words", "\xff", NULL};
        char *environment[] = {"A=1", "EMPTY=", "NOVALUE", NULL};
        execve("/proc/self/exe", arguments, environment);
        _exit(1);
    }
    show_end("second", pid);
    return 0;
}
