// Pipes: end of file, EPIPE with and without SIGPIPE, capacity, closing in any order. See pipe(7).
#include "check.h"

int main(void) {
    int ends[2];
    char text[64] = {0};
    CHECK(pipe2(ends, O_CLOEXEC) == 0);
    SHOW(fcntl(ends[0], F_GETFD));
    SHOW(write(ends[0], "x", 1));
    SHOW(read(ends[1], text, 1));
    SHOW(write(ends[1], "hello", 5));
    SHOW(read(ends[0], text, 2));
    SHOW(close(ends[1]));
    SHOW(read(ends[0], text, sizeof text));
    printf("%.3s\n", text);
    SHOW(read(ends[0], text, sizeof text));
    SHOW(read(ends[0], text, sizeof text));
    close(ends[0]);

    CHECK(pipe(ends) == 0);
    close(ends[0]);
    pid_t pid = quiet_fork();
    if (pid == 0) {
        write(ends[1], "x", 1);
        _exit(0);
    }
    show_end("writer", pid);
    CHECK(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
    SHOW(write(ends[1], "x", 1));
    SHOW(write(ends[1], "x", 0));
    close(ends[1]);

    // A second writer keeps the pipe open.
    CHECK(pipe(ends) == 0);
    int copy = dup(ends[1]);
    close(ends[1]);
    SHOW(write(copy, "ab", 2));
    SHOW(read(ends[0], text, 64));
    pid = quiet_fork();
    if (pid == 0) {
        close(ends[0]);
        sleep_ms(50);
        write(copy, "late", 4);
        _exit(0);
    }
    close(copy);
    SHOW(read(ends[0], text, 64));
    SHOW(read(ends[0], text, 64));
    show_end("late writer", pid);
    SHOW(fcntl(ends[0], F_GETPIPE_SZ));
    struct stat st;
    CHECK(fstat(ends[0], &st) == 0);
    printf("fifo %d\n", S_ISFIFO(st.st_mode));
    SHOW(pipe2(ends, 0x4));
    return 0;
}
