// RLIMIT_FSIZE: partial write, then SIGXFSZ or EFBIG. RLIMIT_AS and RLIMIT_CPU's signal are read back only.
#include "check.h"
#include <sys/resource.h>

int main(void) {
    struct rlimit limit = {10, RLIM_INFINITY}, now;
    CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    int fd = open("f", O_RDWR | O_CREAT, 0644);
    pid_t pid = quiet_fork();
    if (pid == 0) {
        CHECK(write(fd, "0123456789abcdef", 16) == 10);
        write(fd, "x", 1);
        _exit(0);
    }
    show_end("writer", pid);
    show_file("f");
    CHECK(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
    SHOW(write(fd, "x", 1));
    SHOW(pwrite(fd, "xyz", 3, 9));
    SHOW(pwrite(fd, "xyz", 3, 2));
    SHOW(ftruncate(fd, 11));
    SHOW(ftruncate(fd, 10));
    SHOW(fallocate(fd, 0, 0, 20));
    show_file("f");
    // Pipes have no size.
    int ends[2];
    CHECK(pipe(ends) == 0);
    SHOW(write(ends[1], "0123456789abcdef", 16));
    limit.rlim_cur = RLIM_INFINITY;
    CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    SHOW(write(fd, "0123456789abcdef", 16));
    const int which[] = {RLIMIT_STACK, RLIMIT_CORE, RLIMIT_DATA, RLIMIT_AS, RLIMIT_CPU};
    for (unsigned i = 0; i < sizeof which / sizeof *which; i++) {
        SHOW(getrlimit(which[i], &now));
        now.rlim_cur = now.rlim_cur > 1 << 30 ? 1 << 30 : now.rlim_cur;
        SHOW(setrlimit(which[i], &now));
    }
    limit = (struct rlimit){0, 0};
    SHOW(setrlimit(RLIMIT_CORE, &limit));
    CHECK(getrlimit(RLIMIT_CORE, &now) == 0);
    printf("core %d %d\n", (int)now.rlim_cur, (int)now.rlim_max);
    struct rusage usage;
    SHOW(getrusage(RUSAGE_SELF, &usage));
    SHOW(getrusage(RUSAGE_CHILDREN, &usage));
    SHOW(getrusage(99, &usage));
    return 0;
}
