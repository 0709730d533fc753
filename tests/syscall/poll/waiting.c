// poll, ppoll, select, pselect: time limits, masks, many descriptors, waking by another process. See poll(2), select(2).
#include "check.h"
#include <poll.h>
#include <sys/select.h>

static volatile sig_atomic_t caught;

static void note(int number) {
    (void)number;
    caught++;
}

static pid_t writer(int fd, int ms) {
    pid_t pid = quiet_fork();
    if (pid == 0) {
        sleep_ms(ms);
        write(fd, "x", 1);
        _exit(0);
    }
    return pid;
}

int main(void) {
    int a[2], b[2];
    char byte;
    CHECK(pipe(a) == 0 && pipe(b) == 0);
    struct pollfd two[2] = {{.fd = a[0], .events = POLLIN}, {.fd = b[0], .events = POLLIN}};
    SHOW(poll(two, 2, 0));
    int64_t start = now_ms();
    SHOW(poll(two, 2, 30));
    printf("waited %d\n", now_ms() - start >= 29);
    start = now_ms();
    SHOW(poll(NULL, 0, 20));
    printf("waited %d\n", now_ms() - start >= 19);
    pid_t pid = writer(b[1], 30);
    SHOW(poll(two, 2, -1));
    printf("first %d second %d\n", two[0].revents, two[1].revents == POLLIN);
    show_end("writer", pid);
    CHECK(write(a[1], "y", 1) == 1);
    SHOW(poll(two, 2, -1));
    CHECK(read(a[0], &byte, 1) == 1 && read(b[0], &byte, 1) == 1);
    // A signal that is blocked outside of ppoll only arrives in it.
    sigset_t block, none;
    sigemptyset(&none);
    sigemptyset(&block);
    sigaddset(&block, SIGUSR1);
    struct sigaction action = {.sa_handler = note, .sa_flags = SA_RESTART};
    CHECK(sigprocmask(SIG_BLOCK, &block, NULL) == 0 && sigaction(SIGUSR1, &action, NULL) == 0);
    raise(SIGUSR1);
    printf("caught %d\n", caught);
    struct timespec limit = {10, 0};
    SHOW(ppoll(two, 2, &limit, &none));
    printf("caught %d, limit kept %d\n", caught, limit.tv_sec == 10);
    limit = (struct timespec){0, 1000000000};
    SHOW(ppoll(two, 2, &limit, NULL));
    SHOW(poll((struct pollfd *)8, 1, 0));

    fd_set readers, writers;
    FD_ZERO(&readers);
    FD_ZERO(&writers);
    FD_SET(a[0], &readers);
    FD_SET(b[0], &readers);
    FD_SET(a[1], &writers);
    struct timeval soon = {0, 0};
    SHOW(select(100, &readers, &writers, NULL, &soon));
    printf("read %d %d, write %d\n", FD_ISSET(a[0], &readers), FD_ISSET(b[0], &readers), FD_ISSET(a[1], &writers));
    CHECK(write(a[1], "z", 1) == 1);
    FD_SET(a[0], &readers);
    FD_SET(a[1], &writers);
    SHOW(select(100, &readers, &writers, NULL, NULL));
    FD_ZERO(&readers);
    FD_SET(b[0], &readers);
    soon.tv_usec = 20000;
    SHOW(select(100, &readers, NULL, NULL, &soon));
    printf("left %ld, set %d\n", (long)soon.tv_usec, FD_ISSET(b[0], &readers));
    int closed = dup(a[0]);
    close(closed);
    FD_SET(closed, &readers);
    SHOW(select(closed + 1, &readers, NULL, NULL, &soon));
    SHOW(select(-1, NULL, NULL, NULL, &soon));
    raise(SIGUSR1);
    FD_ZERO(&readers);
    FD_SET(b[0], &readers);
    limit = (struct timespec){10, 0};
    SHOW(pselect(100, &readers, NULL, NULL, &limit, &none));
    printf("caught %d\n", caught);
    // The writing side closes: the reader is ready, with an end of file.
    close(b[1]);
    FD_ZERO(&readers);
    FD_SET(b[0], &readers);
    SHOW(select(100, &readers, NULL, NULL, NULL));
    SHOW(read(b[0], &byte, 1));
    return 0;
}
