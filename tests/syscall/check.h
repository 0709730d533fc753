// check.h: what the system call programs share. Output goes to stdout, a line per fact; `CHECK` ends a program at
// the first surprise. Nothing here prints a pid, a time, an address or an inode number.
#ifndef CHECK_H
#define CHECK_H
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CHECK(condition)                                                                 \
    do {                                                                                 \
        if (!(condition)) {                                                              \
            printf("%s:%d: %s: errno %s\n", __FILE_NAME__, __LINE__, #condition, strerrorname_np(errno)); \
            fflush(stdout);                                                              \
            _exit(1);                                                                    \
        }                                                                                \
    } while (0)

// Print a call's outcome: the error's name, or the value.
#define SHOW(call)                                                                       \
    do {                                                                                 \
        errno = 0;                                                                       \
        long value_ = (long)(call);                                                      \
        if (value_ == -1)                                                                \
            printf("%s = %s\n", #call, strerrorname_np(errno));                          \
        else                                                                             \
            printf("%s = %ld\n", #call, value_);                                         \
    } while (0)

// Print only whether a call did its work (for calls whose value is a descriptor or an address).
#define OUTCOME(call)                                                                    \
    do {                                                                                 \
        errno = 0;                                                                       \
        long value_ = (long)(call);                                                      \
        printf("%s = %s\n", #call, value_ == -1 ? strerrorname_np(errno) : "ok");        \
    } while (0)

__attribute__((unused)) static void put(const char *path, const char *text) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    CHECK(fd >= 0);
    CHECK(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    CHECK(close(fd) == 0);
}

// Print a file's name and contents, with `.` for zero bytes.
__attribute__((unused)) static void show_file(const char *path) {
    char text[4096];
    int fd = open(path, O_RDONLY);
    if (fd < 0) {
        printf("%s: %s\n", path, strerrorname_np(errno));
        return;
    }
    ssize_t n = read(fd, text, sizeof text);
    CHECK(n >= 0);
    close(fd);
    for (ssize_t i = 0; i < n; i++)
        if (text[i] == 0)
            text[i] = '.';
    printf("%s: \"%.*s\"\n", path, (int)n, text);
}

// Wait for a child and print how it ended.
__attribute__((unused)) static void show_end(const char *what, pid_t pid) {
    int status = -1;
    CHECK(waitpid(pid, &status, 0) == pid);
    if (WIFEXITED(status))
        printf("%s: exit %d\n", what, WEXITSTATUS(status));
    else if (WIFSIGNALED(status))
        printf("%s: signal SIG%s\n", what, sigabbrev_np(WTERMSIG(status)));
    else
        printf("%s: status %#x\n", what, status);
}

// Fork with empty output buffers, so that no line is printed twice.
__attribute__((unused)) static pid_t quiet_fork(void) {
    fflush(stdout);
    pid_t pid = fork();
    CHECK(pid >= 0);
    return pid;
}

// A System V key for this run alone: others may run the same program on this machine at the same time.
__attribute__((unused)) static key_t own_key(void) {
    return 0x51000000 + getpid();
}

// Milliseconds of the monotonic clock.
__attribute__((unused)) static int64_t now_ms(void) {
    struct timespec t;
    CHECK(clock_gettime(CLOCK_MONOTONIC, &t) == 0);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

// The time of a clock in so many milliseconds.
__attribute__((unused)) static struct timespec in_ms(clockid_t clock, long ms) {
    struct timespec t;
    clock_gettime(clock, &t);
    t.tv_nsec += ms * 1000000;
    t.tv_sec += t.tv_nsec / 1000000000;
    t.tv_nsec %= 1000000000;
    return t;
}

__attribute__((unused)) static void sleep_ms(long ms) {
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    while (nanosleep(&t, &t) != 0 && errno == EINTR) {
    }
}
#endif
