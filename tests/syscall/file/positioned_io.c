// pread, pwrite, readv, writev, preadv, pwritev. See pread(2), readv(2).
#include "check.h"
#include <sys/uio.h>

int main(void) {
    int fd = open("f", O_RDWR | O_CREAT, 0644);
    CHECK(fd >= 0);
    struct iovec parts[3] = {{"one ", 4}, {NULL, 0}, {"two", 3}};
    SHOW(writev(fd, parts, 3));
    SHOW(pwrite(fd, "ONE", 3, 0));
    SHOW(lseek(fd, 0, SEEK_CUR));
    show_file("f");
    char a[3] = {0}, b[10] = {0};
    struct iovec into[2] = {{a, 2}, {b, 9}};
    SHOW(preadv(fd, into, 2, 1));
    printf("%s|%s\n", a, b);
    SHOW(lseek(fd, 0, SEEK_SET));
    memset(a, 0, sizeof a);
    memset(b, 0, sizeof b);
    SHOW(readv(fd, into, 2));
    printf("%s|%s\n", a, b);
    SHOW(readv(fd, into, 2));
    SHOW(pwritev(fd, parts, 1, 20));
    show_file("f");
    SHOW(pread(fd, b, 5, -1));
    SHOW(pread(fd, b, 5, 1000));
    SHOW(pread(fd, b, 0, 0));
    SHOW(readv(fd, into, -1));
    SHOW(readv(fd, into, 1025));
    SHOW(writev(fd, parts, 0));
    struct iovec huge[2] = {{a, (size_t)-1}, {b, 1}};
    SHOW(readv(fd, huge, 2));
    int ends[2];
    CHECK(pipe(ends) == 0);
    SHOW(pread(ends[0], b, 1, 0));
    SHOW(pwrite(ends[1], b, 1, 0));
    // O_APPEND makes Linux append even with pwrite: see BUGS in pwrite(2).
    int append = open("f", O_WRONLY | O_APPEND);
    SHOW(pwrite(append, "!", 1, 0));
    show_file("f");
    char *nowhere = (char *)8;
    lseek(fd, 0, SEEK_SET);
    SHOW(read(fd, nowhere, 4));
    SHOW(write(fd, nowhere, 4));
    SHOW(lseek(fd, 0, SEEK_CUR));
    return 0;
}
