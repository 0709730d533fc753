// dup, dup2, dup3, fcntl: shared positions, flags per descriptor, flags per open file. See dup(2), fcntl(2).
#include "check.h"

int main(void) {
    put("f", "0123456789");
    int fd = open("f", O_RDWR);
    int copy = dup(fd);
    char byte;
    CHECK(read(fd, &byte, 1) == 1 && read(copy, &byte, 1) == 1);
    printf("shared position: %c\n", byte);
    int other = open("f", O_RDONLY);
    CHECK(read(other, &byte, 1) == 1);
    printf("own position: %c\n", byte);
    SHOW(dup2(fd, 77));
    SHOW(dup2(fd, fd) == fd);
    SHOW(dup2(99, 77));
    SHOW(fcntl(77, F_GETFD));
    SHOW(dup3(fd, 77, O_CLOEXEC));
    SHOW(fcntl(77, F_GETFD));
    SHOW(dup3(fd, fd, 0));
    SHOW(dup3(fd, 78, O_APPEND));
    SHOW(dup2(fd, -1));
    SHOW(dup2(-1, 77));
    SHOW(fcntl(fd, F_GETFD));
    SHOW(fcntl(fd, F_SETFD, FD_CLOEXEC));
    SHOW(fcntl(fd, F_GETFD));
    SHOW(fcntl(copy, F_GETFD));
    SHOW(fcntl(fd, F_DUPFD, 200));
    SHOW(fcntl(fd, F_DUPFD_CLOEXEC, 200));
    SHOW(fcntl(201, F_GETFD));
    SHOW(fcntl(200, F_GETFD));
    SHOW(fcntl(fd, F_DUPFD, -1));
    SHOW(fcntl(fd, F_GETFL) & O_ACCMODE);
    SHOW(fcntl(fd, F_SETFL, O_APPEND | O_NONBLOCK));
    printf("copy: append %d nonblock %d\n", !!(fcntl(copy, F_GETFL) & O_APPEND), !!(fcntl(copy, F_GETFL) & O_NONBLOCK));
    printf("other: append %d\n", !!(fcntl(other, F_GETFL) & O_APPEND));
    CHECK(write(copy, "!", 1) == 1);
    show_file("f");
    // The access mode cannot be changed.
    SHOW(fcntl(other, F_SETFL, O_RDWR));
    SHOW(write(other, "x", 1));
    SHOW(fcntl(fd, 9999));
    SHOW(fcntl(-1, F_GETFD));
    // The lowest free number is taken.
    close(other);
    int again = open("f", O_RDONLY);
    printf("lowest %d\n", again == other);
    // A position is also shared with a child.
    lseek(fd, 0, SEEK_SET);
    pid_t pid = quiet_fork();
    if (pid == 0)
        _exit(lseek(fd, 5, SEEK_SET) == 5 ? 0 : 1);
    show_end("child", pid);
    SHOW(lseek(copy, 0, SEEK_CUR));
    SHOW(close_range(200, 201, 0));
    SHOW(fcntl(200, F_GETFD));
    return 0;
}
