// What poll says about each end of a pipe. See poll(2), pipe(7).
#include "check.h"
#include <poll.h>

static void show(const char *what, int fd, short events) {
    struct pollfd one = {.fd = fd, .events = events};
    int n = poll(&one, 1, 0);
    printf("%s: %d%s%s%s%s%s\n", what, n, one.revents & POLLIN ? " in" : "", one.revents & POLLOUT ? " out" : "",
           one.revents & POLLERR ? " err" : "", one.revents & POLLHUP ? " hup" : "",
           one.revents & POLLNVAL ? " nval" : "");
}

int main(void) {
    int ends[2];
    static char block[65536];
    CHECK(pipe(ends) == 0);
    show("empty, read end", ends[0], POLLIN | POLLOUT);
    show("empty, write end", ends[1], POLLIN | POLLOUT);
    CHECK(write(ends[1], "x", 1) == 1);
    show("filled, read end", ends[0], POLLIN);
    show("filled, no events asked", ends[0], 0);
    CHECK(read(ends[0], block, 1) == 1);
    CHECK(write(ends[1], block, sizeof block) == sizeof block);
    show("full, write end", ends[1], POLLOUT);
    CHECK(read(ends[0], block, 4096) == 4096);
    show("room for a page, write end", ends[1], POLLOUT);
    close(ends[1]);
    show("hung up with data", ends[0], POLLIN);
    CHECK(read(ends[0], block, sizeof block) == sizeof block - 4096);
    show("hung up, empty", ends[0], POLLIN);
    close(ends[0]);
    show("closed", ends[0], POLLIN);
    CHECK(pipe(ends) == 0);
    close(ends[0]);
    show("no reader", ends[1], POLLOUT);
    show("negative", -1, POLLIN);
    int file = open("f", O_RDWR | O_CREAT, 0644);
    show("file", file, POLLIN | POLLOUT);
    return 0;
}
