// preadv2 and pwritev2 with flags. See preadv2(2).
#include "check.h"
#include <sys/uio.h>

#ifndef RWF_APPEND
#define RWF_APPEND 0x10
#endif

int main(void) {
    put("file", "0123456789");
    int fd = open("file", O_RDWR), pipes[2];
    CHECK(fd >= 0 && pipe(pipes) == 0);
    char text[5] = {0};
    struct iovec in = {text, 4}, out = {"abcd", 4};
    SHOW(preadv2(fd, &in, 1, 2, RWF_NOWAIT));
    printf("%s\n", text);
    SHOW(preadv2(fd, &in, 1, -1, RWF_HIPRI));
    SHOW(lseek(fd, 0, SEEK_CUR));
    SHOW(pwritev2(fd, &out, 1, 0, RWF_DSYNC));
    SHOW(pwritev2(fd, &out, 1, 2, RWF_APPEND));
    SHOW(lseek(fd, 0, SEEK_CUR));
    SHOW(pwritev2(fd, &out, 1, -1, RWF_APPEND | RWF_SYNC));
    SHOW(lseek(fd, 0, SEEK_CUR));
    show_file("file");
    SHOW(preadv2(fd, &in, 1, 0, 1 << 20));
    SHOW(pwritev2(fd, &out, 1, 0, 1 << 20));
    SHOW(preadv2(pipes[0], &in, 1, 0, 0));
    return 0;
}
