// Processes held by descriptor: pidfd_open, CLONE_PIDFD, signals, waiting, polling, taking descriptors. See pidfd_open(2).
#include "check.h"
#include <linux/sched.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

static int open_pid(pid_t pid, unsigned flags) {
    return syscall(SYS_pidfd_open, pid, flags);
}

static int send(int fd, int sig, siginfo_t *info, unsigned flags) {
    return syscall(SYS_pidfd_send_signal, fd, sig, info, flags);
}

static void show_ready(const char *what, int fd, int timeout) {
    struct pollfd one = {.fd = fd, .events = POLLIN};
    int n = poll(&one, 1, timeout);
    printf("%s: %d%s\n", what, n, one.revents & POLLIN ? " in" : "");
}

static void opened(void) {
    pid_t child = quiet_fork();
    if (child == 0) {
        pause();
        _exit(0);
    }
    int fd = open_pid(child, 0);
    CHECK(fd >= 0);
    printf("cloexec %d\n", fcntl(fd, F_GETFD));
    show_ready("alive", fd, 0);
    OUTCOME(read(fd, &(char){0}, 1));
    SHOW(send(fd, 0, NULL, 0));
    SHOW(send(fd, 65, NULL, 0));
    SHOW(send(fd, SIGTERM, NULL, 1u << 20));
    SHOW(send(fd, SIGTERM, NULL, 0));
    show_ready("ended", fd, 20000);
    siginfo_t info = {0};
    SHOW(waitid(P_PIDFD, fd, &info, WEXITED | WNOWAIT));
    printf("pid %d status %d code %d\n", info.si_pid == child, info.si_status, info.si_code);
    SHOW(send(fd, 0, NULL, 0));
    SHOW(waitid(P_PIDFD, fd, &info, WEXITED));
    SHOW(send(fd, 0, NULL, 0));
    SHOW(waitid(P_PIDFD, fd, &info, WEXITED));
    show_ready("reaped", fd, 0);
    close(fd);
}

static int open_in_proc(pid_t pid, const char *below) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d%s", pid, below);
    return open(path, O_RDONLY);
}

static void by_folder(void) {
    pid_t child = quiet_fork();
    if (child == 0) {
        pause();
        _exit(0);
    }
    int fd = open_in_proc(child, ""), tasks = open_in_proc(child, "/task"), text = open_in_proc(child, "/stat");
    int proc = open("/proc", O_RDONLY), root = open("/", O_RDONLY);
    CHECK(fd >= 0 && tasks >= 0 && text >= 0 && proc >= 0 && root >= 0);
    SHOW(send(fd, 0, NULL, 0));
    SHOW(send(tasks, 0, NULL, 0));
    SHOW(send(text, 0, NULL, 0));
    SHOW(send(proc, 0, NULL, 0));
    SHOW(send(root, 0, NULL, 0));
    siginfo_t info;
    SHOW(waitid(P_PIDFD, fd, &info, WEXITED | WNOHANG));
    SHOW(syscall(SYS_pidfd_getfd, fd, 0, 0));
    SHOW(send(fd, SIGKILL, NULL, 0));
    show_end("child", child);
    SHOW(send(fd, 0, NULL, 0));
}

static void refused(void) {
    SHOW(open_pid(0, 0));
    SHOW(open_pid(-5, 0));
    SHOW(open_pid(getpid(), 1u << 20));
    SHOW(open_pid(4194303, 0));
    SHOW(send(0, 0, NULL, 0));
    SHOW(send(99, 0, NULL, 0));
    siginfo_t info;
    SHOW(waitid(P_PIDFD, 0, &info, WEXITED));
    SHOW(waitid(P_PIDFD, 99, &info, WEXITED));
    int self = open_pid(getpid(), 0);
    SHOW(waitid(P_PIDFD, self, &info, WEXITED));
    close(self);
}

static void nonblocking(void) {
    int stop[2];
    CHECK(pipe(stop) == 0);
    pid_t child = quiet_fork();
    if (child == 0) {
        close(stop[1]);
        read(stop[0], &(char){0}, 1);
        _exit(7);
    }
    int fd = open_pid(child, O_NONBLOCK);
    CHECK(fd >= 0);
    siginfo_t info = {0};
    SHOW(waitid(P_PIDFD, fd, &info, WEXITED));
    SHOW(waitid(P_PIDFD, fd, &info, WEXITED | WNOHANG));
    close(stop[1]);
    show_ready("ended", fd, 20000);
    SHOW(waitid(P_PIDFD, fd, &info, WEXITED));
    printf("status %d\n", info.si_status);
    close(fd);
}

static void cloned(void) {
    int fd = -1;
    fflush(stdout);
    struct clone_args args = {.flags = CLONE_PIDFD, .pidfd = (uintptr_t)&fd, .exit_signal = SIGCHLD};
    pid_t child = syscall(SYS_clone3, &args, sizeof args);
    CHECK(child >= 0);
    if (child == 0)
        _exit(fcntl(fd, F_GETFD) == -1 ? 3 : 4);
    siginfo_t info = {0};
    SHOW(waitid(P_PIDFD, fd, &info, WEXITED));
    printf("status %d cloexec %d\n", info.si_status, fcntl(fd, F_GETFD));
    close(fd);
    args.flags = CLONE_PIDFD | CLONE_THREAD | CLONE_SIGHAND | CLONE_VM;
    SHOW(syscall(SYS_clone3, &args, 40));
}

static void taken(void) {
    int there[2], stop[2];
    CHECK(pipe(there) == 0 && pipe(stop) == 0);
    pid_t child = quiet_fork();
    if (child == 0) {
        int fd = open("secret", O_RDWR | O_CREAT, 0600);
        CHECK(write(fd, "inside", 6) == 6 && dup2(fd, 50) == 50);
        close(stop[1]);
        CHECK(write(there[1], "x", 1) == 1);
        read(stop[0], &(char){0}, 1);
        _exit(0);
    }
    CHECK(read(there[0], &(char){0}, 1) == 1);
    int pidfd = open_pid(child, 0);
    int fd = syscall(SYS_pidfd_getfd, pidfd, 50, 0);
    CHECK(fd >= 0);
    char text[8] = {0};
    SHOW(pread(fd, text, 7, 0));
    printf("%s cloexec %d\n", text, fcntl(fd, F_GETFD));
    SHOW(lseek(fd, 0, SEEK_CUR));
    SHOW(syscall(SYS_pidfd_getfd, pidfd, 51, 0));
    SHOW(syscall(SYS_pidfd_getfd, pidfd, 50, 1));
    close(stop[1]);
    show_end("child", child);
    SHOW(syscall(SYS_pidfd_getfd, pidfd, 50, 0));
}

int main(void) {
    opened();
    by_folder();
    refused();
    nonblocking();
    cloned();
    taken();
    return 0;
}
