// tee and vmsplice, and what splice does with them. See tee(2), vmsplice(2).
#include "check.h"
#include <sys/uio.h>

static void show(const char *what, int fd) {
    char text[64] = {0};
    ssize_t n = read(fd, text, sizeof text - 1);
    printf("%s: %zd '%s'\n", what, n, n > 0 ? text : "");
}

int main(void) {
    int a[2], b[2];
    CHECK(pipe2(a, O_NONBLOCK) == 0 && pipe2(b, O_NONBLOCK) == 0);
    SHOW(tee(a[0], b[1], 10, SPLICE_F_NONBLOCK));
    CHECK(write(a[1], "one two", 7) == 7);
    SHOW(tee(a[0], b[1], 3, 0));
    SHOW(tee(a[0], b[1], 100, 0));
    show("first", a[0]);
    show("second", b[0]);
    SHOW(tee(a[0], a[1], 3, 0));
    SHOW(tee(a[0], b[1], 0, 0));
    SHOW(tee(a[1], b[1], 3, 0));
    SHOW(tee(a[0], b[1], 3, 0x100));
    SHOW(tee(0, b[1], 3, 0));

    struct iovec parts[] = {{"from ", 5}, {"memory", 6}};
    SHOW(vmsplice(a[1], parts, 2, 0));
    char left[6] = {0}, right[16] = {0};
    struct iovec room[] = {{left, 5}, {right, 15}};
    SHOW(vmsplice(a[0], room, 2, 0));
    printf("'%s' '%s'\n", left, right);
    SHOW(vmsplice(a[1], parts, 2, 0x100));
    int file = open("file", O_RDWR | O_CREAT, 0600);
    SHOW(vmsplice(file, parts, 2, 0));
    close(a[1]);
    SHOW(tee(a[0], b[1], 3, 0));
    signal(SIGPIPE, SIG_IGN);
    int c[2];
    CHECK(pipe(c) == 0);
    CHECK(write(c[1], "x", 1) == 1);
    close(b[0]);
    SHOW(tee(c[0], b[1], 3, 0));
    return 0;
}
