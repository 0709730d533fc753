// eventfd: counting, semaphores, limits, readiness, sharing with a child. See eventfd(2).
#include "check.h"
#include <poll.h>
#include <sys/eventfd.h>

static short ready(int fd) {
    struct pollfd one = {.fd = fd, .events = POLLIN | POLLOUT};
    poll(&one, 1, 0);
    return one.revents;
}

int main(void) {
    int fd = eventfd(3, EFD_NONBLOCK);
    uint64_t value = 0;
    CHECK(fd >= 0);
    printf("in %d out %d\n", !!(ready(fd) & POLLIN), !!(ready(fd) & POLLOUT));
    SHOW(read(fd, &value, 8));
    printf("value %d\n", (int)value);
    SHOW(read(fd, &value, 8));
    printf("in %d\n", !!(ready(fd) & POLLIN));
    value = 5;
    SHOW(write(fd, &value, 8));
    SHOW(write(fd, &value, 8));
    SHOW(read(fd, &value, 8));
    printf("value %d\n", (int)value);
    SHOW(read(fd, &value, 4));
    SHOW(write(fd, &value, 4));
    value = UINT64_MAX;
    SHOW(write(fd, &value, 8));
    value = UINT64_MAX - 1;
    SHOW(write(fd, &value, 8));
    printf("out %d\n", !!(ready(fd) & POLLOUT));
    value = 1;
    SHOW(write(fd, &value, 8));
    SHOW(read(fd, &value, 8));
    printf("all %d\n", value == UINT64_MAX - 1);

    int semaphore = eventfd(2, EFD_SEMAPHORE | EFD_NONBLOCK | EFD_CLOEXEC);
    SHOW(read(semaphore, &value, 8));
    printf("value %d\n", (int)value);
    SHOW(read(semaphore, &value, 8));
    SHOW(read(semaphore, &value, 8));
    SHOW(fcntl(semaphore, F_GETFD));
    OUTCOME(eventfd(0, 0x4));
    // A blocking reader waits for a child.
    int blocking = eventfd(0, 0);
    pid_t pid = quiet_fork();
    if (pid == 0) {
        sleep_ms(20);
        value = 42;
        _exit(write(blocking, &value, 8) == 8 ? 0 : 1);
    }
    SHOW(read(blocking, &value, 8));
    printf("value %d\n", (int)value);
    show_end("child", pid);
    return 0;
}
