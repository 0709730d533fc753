// RLIMIT_NOFILE: EMFILE at the limit, limits over fork and exec, raising and lowering. See getrlimit(2).
#include "check.h"
#include <sys/resource.h>

static void limit(int which, rlim_t soft, rlim_t hard) {
    struct rlimit both = {soft, hard};
    CHECK(setrlimit(which, &both) == 0);
}

int main(void) {
    struct rlimit now;
    CHECK(getrlimit(RLIMIT_NOFILE, &now) == 0);
    printf("enough %d, ordered %d\n", now.rlim_cur >= 256, now.rlim_cur <= now.rlim_max);
    limit(RLIMIT_NOFILE, 16, 64);
    int last = -1, fd;
    while ((fd = open("/dev/null", O_RDONLY)) >= 0)
        last = fd;
    printf("last %d, %s\n", last, strerrorname_np(errno));
    int ends[2];
    SHOW(pipe(ends));
    SHOW(dup(0));
    SHOW(dup2(0, 16));
    SHOW(fcntl(0, F_DUPFD, 16));
    SHOW(dup2(0, 15));
    SHOW(close(15));
    SHOW(pipe(ends));
    SHOW(dup(0));
    // Open descriptors above a lowered limit stay usable.
    limit(RLIMIT_NOFILE, 8, 64);
    SHOW(fcntl(14, F_GETFD));
    SHOW(close(14));
    SHOW(dup(0));
    struct rlimit wrong = {65, 64};
    SHOW(setrlimit(RLIMIT_NOFILE, &wrong));
    SHOW(setrlimit(77, &wrong));
    limit(RLIMIT_NOFILE, 64, 64);
    pid_t pid = quiet_fork();
    if (pid == 0) {
        CHECK(getrlimit(RLIMIT_NOFILE, &now) == 0);
        _exit(now.rlim_cur == 64 && now.rlim_max == 64);
    }
    show_end("inherited", pid);
    fflush(stdout);
    pid = quiet_fork();
    if (pid == 0) {
        execl("/bin/sh", "sh", "-c", "ulimit -n", (char *)NULL);
        _exit(1);
    }
    show_end("by exec", pid);
    CHECK(prlimit(0, RLIMIT_NOFILE, NULL, &now) == 0);
    printf("prlimit %d %d\n", (int)now.rlim_cur, (int)now.rlim_max);
    SHOW(sysconf(_SC_OPEN_MAX));
    return 0;
}
