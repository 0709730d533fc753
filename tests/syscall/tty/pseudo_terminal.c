// A pseudo terminal: line discipline, raw mode, window size, hang-up, job control of a session. See pty(7), termios(3).
// Prints one line where there are no pseudo terminals.
#include "check.h"
#include <sys/ioctl.h>
#include <termios.h>

static void take(const char *what, int fd) {
    char text[64];
    ssize_t n = read(fd, text, sizeof text);
    printf("%s: %zd", what, n);
    for (ssize_t i = 0; i < n; i++)
        printf(" %02x", (unsigned char)text[i]);
    printf("\n");
}

int main(void) {
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    if (master < 0 || grantpt(master) != 0 || unlockpt(master) != 0) {
        printf("no pseudo terminals\n");
        return 0;
    }
    int slave = open(ptsname(master), O_RDWR | O_NOCTTY);
    CHECK(slave >= 0);
    printf("terminal %d\n", isatty(slave));
    CHECK(write(master, "ab\x7f" "c\n", 5) == 5);
    take("line", slave);
    take("echo", master);
    CHECK(write(slave, "x\n", 2) == 2);
    take("output", master);
    CHECK(write(master, "12\x04", 3) == 3);
    take("end of file flushes", slave);
    struct termios settings;
    CHECK(tcgetattr(slave, &settings) == 0);
    printf("canonical %d echo %d signals %d\n", !!(settings.c_lflag & ICANON), !!(settings.c_lflag & ECHO),
           !!(settings.c_lflag & ISIG));
    take("echo", master);
    cfmakeraw(&settings);
    CHECK(tcsetattr(slave, TCSANOW, &settings) == 0);
    CHECK(write(master, "r\x03", 2) == 2);
    take("raw", slave);
    struct winsize size = {.ws_row = 24, .ws_col = 80}, got;
    CHECK(ioctl(master, TIOCSWINSZ, &size) == 0 && ioctl(slave, TIOCGWINSZ, &got) == 0);
    printf("%d rows %d columns\n", got.ws_row, got.ws_col);
    settings.c_lflag |= ISIG | ICANON;
    CHECK(tcsetattr(slave, TCSANOW, &settings) == 0);
    int ends[2];
    CHECK(pipe(ends) == 0);
    pid_t pid = quiet_fork();
    if (pid == 0) {
        CHECK(setsid() > 0 && ioctl(slave, TIOCSCTTY, 0) == 0);
        CHECK(tcgetpgrp(slave) == getpgrp() && tcgetsid(slave) == getsid(0));
        CHECK(open("/dev/tty", O_RDWR) >= 0 && write(ends[1], "r", 1) == 1);
        for (;;)
            pause();
    }
    char byte;
    CHECK(read(ends[0], &byte, 1) == 1);
    CHECK(write(master, "\x03", 1) == 1);
    show_end("interrupted", pid);
    close(slave);
    SHOW(read(master, &byte, 1));
    return 0;
}
