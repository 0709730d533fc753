// Named pipes: open waits for the other side, nonblocking opens, reopening after an end. See fifo(7).
#include "check.h"

int main(void) {
    CHECK(mkfifo("p", 0644) == 0);
    OUTCOME(mkfifo("p", 0644));
    OUTCOME(open("p", O_WRONLY | O_NONBLOCK));
    int reader = open("p", O_RDONLY | O_NONBLOCK);
    CHECK(reader >= 0);
    char text[64] = {0};
    SHOW(read(reader, text, sizeof text));
    int writer = open("p", O_WRONLY | O_NONBLOCK);
    CHECK(writer >= 0);
    SHOW(read(reader, text, sizeof text));
    SHOW(write(writer, "one", 3));
    SHOW(read(reader, text, sizeof text));
    close(writer);
    SHOW(read(reader, text, sizeof text));
    close(reader);
    // Blocking opens meet.
    pid_t pid = quiet_fork();
    if (pid == 0) {
        int out = open("p", O_WRONLY);
        CHECK(out >= 0 && write(out, "from the child", 14) == 14);
        _exit(0);
    }
    int in = open("p", O_RDONLY);
    SHOW(read(in, text, sizeof text));
    printf("%.14s\n", text);
    show_end("writer", pid);
    SHOW(read(in, text, sizeof text));
    close(in);
    // The other way about: the child reads.
    pid = quiet_fork();
    if (pid == 0) {
        in = open("p", O_RDONLY);
        long total = 0, n;
        while ((n = read(in, text, sizeof text)) > 0)
            total += n;
        _exit(total);
    }
    int out = open("p", O_WRONLY);
    CHECK(write(out, "12345", 5) == 5);
    sleep_ms(20);
    CHECK(write(out, "67", 2) == 2);
    close(out);
    show_end("reader", pid);
    // Who waits for the other side has the pipe, whatever becomes of its name.
    pid = quiet_fork();
    if (pid == 0) {
        in = open("p", O_RDONLY);
        _exit(in < 0 ? 99 : read(in, text, sizeof text));
    }
    sleep_ms(50);
    out = open("p", O_WRONLY);
    CHECK(rename("p", "q") == 0);
    CHECK(write(out, "123", 3) == 3);
    close(out);
    show_end("reader", pid);
    CHECK(rename("q", "p") == 0);
    int both = open("p", O_RDWR);
    SHOW(write(both, "xy", 2));
    SHOW(read(both, text, sizeof text));
    SHOW(unlink("p"));
    SHOW(write(both, "z", 1));
    SHOW(read(both, text, sizeof text));
    return 0;
}
