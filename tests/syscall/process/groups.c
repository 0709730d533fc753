// Process groups and sessions: setpgid, getpgid, setsid, getsid, waiting for a group. See setpgid(2), setsid(2).
#include "check.h"

int main(void) {
    pid_t group = getpgrp();
    printf("getpgid %d\n", getpgid(0) == group && getpgid(getpid()) == group);
    SHOW(getpgid(999999));
    SHOW(setpgid(999999, 0));
    SHOW(setpgid(0, -1));
    int ends[2], back[2];
    CHECK(pipe(ends) == 0 && pipe(back) == 0);
    pid_t child = quiet_fork();
    char byte;
    if (child == 0) {
        close(ends[1]);
        CHECK(read(ends[0], &byte, 1) == 1);
        printf("in the child: leads its group %d, session is its parent's %d\n", getpgrp() == getpid(),
               getsid(0) == getsid(getppid()));
        SHOW(setsid());
        fflush(stdout);
        _exit(0);
    }
    SHOW(setpgid(child, child));
    printf("moved %d\n", getpgid(child) == child);
    CHECK(write(ends[1], "g", 1) == 1);
    int status;
    OUTCOME(waitpid(-child, &status, 0));
    SHOW(waitpid(-child, &status, 0));

    child = quiet_fork();
    if (child == 0) {
        pid_t session = setsid();
        printf("session %d, group %d, getsid %d\n", session == getpid(), getpgrp() == getpid(), getsid(0) == session);
        SHOW(setsid());
        SHOW(setpgid(0, getppid()));
        fflush(stdout);
        CHECK(write(back[1], "s", 1) == 1);
        close(ends[1]);
        read(ends[0], &byte, 1);
        _exit(0);
    }
    CHECK(read(back[0], &byte, 1) == 1);
    printf("seen from outside %d\n", getsid(child) == child);
    SHOW(setpgid(child, 0));
    CHECK(write(ends[1], "e", 1) == 1);
    show_end("child", child);
    // A signal to a group reaches every member.
    child = quiet_fork();
    if (child == 0) {
        CHECK(setpgid(0, 0) == 0);
        for (int i = 0; i < 3; i++)
            if (fork() == 0) {
                CHECK(write(back[1], "r", 1) == 1);
                for (;;)
                    pause();
            }
        CHECK(write(back[1], "r", 1) == 1);
        signal(SIGTERM, SIG_IGN);
        CHECK(write(back[1], "r", 1) == 1);
        int killed = 0;
        while (wait(&status) > 0)
            killed += WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM;
        _exit(killed);
    }
    for (int i = 0; i < 5; i++)
        CHECK(read(back[0], &byte, 1) == 1);
    SHOW(kill(-child, SIGTERM));
    show_end("group", child);
    SHOW(kill(-child, 0));
    return 0;
}
