// epoll: level, edge and one-shot, changes, removal by close, nesting, errors. See epoll(7).
#include "check.h"
#include <sys/epoll.h>

static int set;

static void show(const char *what, int ms) {
    struct epoll_event got[8];
    int n = epoll_wait(set, got, 8, ms);
    printf("%s: %d", what, n);
    unsigned events = 0;
    uint64_t data = 0;
    for (int i = 0; i < n; i++) {
        events |= got[i].events;
        data += got[i].data.u64;
    }
    if (n > 0)
        printf(", data %lu,%s%s%s%s", (unsigned long)data, events & EPOLLIN ? " in" : "", events & EPOLLOUT ? " out" : "",
               events & EPOLLHUP ? " hup" : "", events & EPOLLERR ? " err" : "");
    printf("\n");
}

static long change(int how, int fd, unsigned events, uint64_t data) {
    struct epoll_event event = {.events = events, .data.u64 = data};
    return epoll_ctl(set, how, fd, &event);
}

int main(void) {
    int a[2], b[2];
    char text[16];
    CHECK(pipe(a) == 0 && pipe(b) == 0);
    set = epoll_create1(EPOLL_CLOEXEC);
    CHECK(set >= 0);
    SHOW(change(EPOLL_CTL_ADD, a[0], EPOLLIN, 1));
    SHOW(change(EPOLL_CTL_ADD, a[0], EPOLLIN, 1));
    SHOW(change(EPOLL_CTL_MOD, b[0], EPOLLIN, 2));
    SHOW(change(EPOLL_CTL_DEL, b[0], 0, 0));
    SHOW(change(EPOLL_CTL_ADD, set, EPOLLIN, 0));
    SHOW(change(EPOLL_CTL_ADD, 999, EPOLLIN, 0));
    SHOW(change(9, a[0], EPOLLIN, 0));
    int file = open("f", O_RDWR | O_CREAT, 0644);
    SHOW(change(EPOLL_CTL_ADD, file, EPOLLIN, 0));
    show("nothing", 10);
    CHECK(write(a[1], "12345", 5) == 5);
    show("level", 0);
    show("level again", 0);
    SHOW(change(EPOLL_CTL_MOD, a[0], EPOLLIN | EPOLLET, 3));
    show("edge after the change", 0);
    show("edge is over", 0);
    CHECK(read(a[0], text, 1) == 1);
    show("reading makes no edge", 0);
    CHECK(write(a[1], "6", 1) == 1);
    show("writing makes one", 0);
    show("once", 0);
    SHOW(change(EPOLL_CTL_MOD, a[0], EPOLLIN | EPOLLONESHOT, 4));
    show("one shot", 0);
    show("spent", 0);
    SHOW(change(EPOLL_CTL_MOD, a[0], EPOLLIN | EPOLLONESHOT, 5));
    show("armed again", 0);
    SHOW(change(EPOLL_CTL_MOD, a[0], 0, 6));
    show("no events asked", 0);
    SHOW(change(EPOLL_CTL_MOD, a[0], EPOLLIN, 10));
    SHOW(change(EPOLL_CTL_ADD, b[1], EPOLLOUT, 100));
    show("both", 0);
    SHOW(change(EPOLL_CTL_DEL, a[0], 0, 0));
    show("one left", 0);
    close(b[0]);
    show("reader gone", 0);
    // A closed descriptor leaves the set; one whose open file lives on by another descriptor stays.
    int copy = dup(b[1]);
    close(b[1]);
    show("copy keeps it", 0);
    close(copy);
    show("gone", 0);
    // Nested sets.
    int outer = epoll_create(1);
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = 7};
    CHECK(epoll_ctl(outer, EPOLL_CTL_ADD, set, &event) == 0);
    SHOW(change(EPOLL_CTL_ADD, a[0], EPOLLIN, 1));
    SHOW(epoll_wait(outer, &event, 1, 0));
    while (read(a[0], text, sizeof text) == sizeof text) {
    }
    SHOW(epoll_wait(outer, &event, 1, 0));
    // Waiting wakes for a write by another process.
    pid_t pid = quiet_fork();
    if (pid == 0) {
        sleep_ms(30);
        write(a[1], "x", 1);
        _exit(0);
    }
    SHOW(epoll_wait(outer, &event, 1, -1));
    show_end("writer", pid);
    SHOW(epoll_wait(set, &event, 0, 0));
    SHOW(epoll_wait(a[0], &event, 1, 0));
    SHOW(epoll_create(0));
    SHOW(epoll_create1(77));
    return 0;
}
