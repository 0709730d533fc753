// Orphans: a grandchild outlives its parent; a subreaper adopts it and reaps it. See prctl(2), PR_SET_CHILD_SUBREAPER.
#include "check.h"
#include <sys/prctl.h>

int main(void) {
    SHOW(prctl(PR_SET_CHILD_SUBREAPER, 1));
    int value = 0;
    CHECK(prctl(PR_GET_CHILD_SUBREAPER, &value) == 0);
    printf("subreaper %d\n", value);
    int ends[2];
    CHECK(pipe(ends) == 0);
    pid_t top = getpid();
    pid_t child = quiet_fork();
    if (child == 0) {
        pid_t middle = getpid();
        if (fork() == 0) {
            while (getppid() == middle)
                sleep_ms(1);
            char adopted = getppid() == top ? 'y' : 'n';
            CHECK(write(ends[1], &adopted, 1) == 1);
            _exit(11);
        }
        _exit(10);
    }
    show_end("child", child);
    char byte = 0;
    CHECK(read(ends[0], &byte, 1) == 1);
    printf("adopted %c\n", byte);
    int status;
    CHECK(wait(&status) > 0);
    printf("grandchild: exit %d\n", WEXITSTATUS(status));
    SHOW(wait(&status));
    // A child's death signal.
    child = quiet_fork();
    if (child == 0) {
        pid_t parent = getpid();
        if (fork() == 0) {
            CHECK(prctl(PR_SET_PDEATHSIG, SIGTERM) == 0);
            CHECK(write(ends[1], "r", 1) == 1);
            for (;;)
                pause();
        }
        CHECK(read(ends[0], &byte, 1) == 1);
        _exit(parent == getpid() ? 0 : 1);
    }
    show_end("child", child);
    CHECK(wait(&status) > 0);
    printf("grandchild: signal %d\n", WIFSIGNALED(status) ? WTERMSIG(status) : 0);
    return 0;
}
