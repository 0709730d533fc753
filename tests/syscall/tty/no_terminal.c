// What is no terminal says so. See isatty(3), tcgetattr(3), ioctl_tty(2).
#include "check.h"
#include <sys/ioctl.h>
#include <termios.h>

static void look(const char *what, int fd) {
    struct termios settings;
    struct winsize size;
    int terminal = isatty(fd);
    printf("%s: isatty %d %s", what, terminal, strerrorname_np(errno));
    printf(", tcgetattr %s", tcgetattr(fd, &settings) == 0 ? "ok" : strerrorname_np(errno));
    printf(", size %s", ioctl(fd, TIOCGWINSZ, &size) == 0 ? "ok" : strerrorname_np(errno));
    printf(", group %s", tcgetpgrp(fd) >= 0 ? "ok" : strerrorname_np(errno));
    printf(", name %s\n", ttyname(fd) != NULL ? "ok" : strerrorname_np(errno));
}

int main(void) {
    int ends[2];
    CHECK(pipe(ends) == 0);
    look("pipe", ends[0]);
    look("file", open("f", O_RDWR | O_CREAT, 0644));
    look("null", open("/dev/null", O_RDWR));
    look("zero", open("/dev/zero", O_RDWR));
    look("folder", open(".", O_RDONLY));
    look("closed", 99);
    // A session of its own has no controlling terminal.
    pid_t pid = quiet_fork();
    if (pid == 0) {
        CHECK(setsid() > 0);
        OUTCOME(open("/dev/tty", O_RDWR));
        fflush(stdout);
        _exit(0);
    }
    show_end("session", pid);
    return 0;
}
