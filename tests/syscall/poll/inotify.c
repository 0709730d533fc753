// Watched files: which events come, in which order, with which names. See inotify(7).
#include "check.h"
#include <poll.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>

static int watcher;
static uint32_t cookie;

static const struct {
    uint32_t bit;
    const char *name;
} NAMES[] = {{IN_ACCESS, "ACCESS"},         {IN_MODIFY, "MODIFY"},
             {IN_ATTRIB, "ATTRIB"},         {IN_CLOSE_WRITE, "CLOSE_WRITE"},
             {IN_CLOSE_NOWRITE, "CLOSE_NOWRITE"}, {IN_OPEN, "OPEN"},
             {IN_MOVED_FROM, "MOVED_FROM"}, {IN_MOVED_TO, "MOVED_TO"},
             {IN_CREATE, "CREATE"},         {IN_DELETE, "DELETE"},
             {IN_DELETE_SELF, "DELETE_SELF"}, {IN_MOVE_SELF, "MOVE_SELF"},
             {IN_Q_OVERFLOW, "OVERFLOW"},   {IN_IGNORED, "IGNORED"},
             {IN_ISDIR, "ISDIR"}};

static void show_events(const char *what) {
    _Alignas(struct inotify_event) char buffer[8192];
    printf("%s:\n", what);
    ssize_t n = read(watcher, buffer, sizeof buffer);
    if (n < 0) {
        printf("  %s\n", strerrorname_np(errno));
        return;
    }
    for (char *at = buffer; at < buffer + n;) {
        struct inotify_event *event = (void *)at;
        printf("  %d", event->wd);
        for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++)
            if (event->mask & NAMES[i].bit)
                printf(" %s", NAMES[i].name);
        if (event->len)
            printf(" '%s' %u", event->name, event->len);
        if (event->cookie) {
            printf(event->cookie == cookie ? " same" : " cookie");
            cookie = event->cookie;
        }
        printf("\n");
        at += sizeof *event + event->len;
    }
}

static void directory(void) {
    CHECK(mkdir("d", 0755) == 0 && mkdir("other", 0755) == 0);
    SHOW(inotify_add_watch(watcher, "d", IN_ALL_EVENTS));
    show_events("nothing yet");
    put("d/file", "text");
    show_events("put");
    show_file("d/file");
    show_events("read");
    CHECK(chmod("d/file", 0600) == 0);
    CHECK(truncate("d/file", 2) == 0);
    show_events("chmod, truncate");
    CHECK(rename("d/file", "d/other") == 0);
    show_events("renamed");
    CHECK(rename("d/other", "other/x") == 0);
    show_events("away");
    CHECK(rename("other/x", "d/back") == 0);
    show_events("back");
    CHECK(link("d/back", "d/second") == 0);
    CHECK(symlink("back", "d/soft") == 0);
    show_events("links");
    CHECK(mkdir("d/sub", 0755) == 0);
    CHECK(rmdir("d/sub") == 0);
    CHECK(unlink("d/second") == 0);
    CHECK(unlink("d/soft") == 0);
    show_events("removed");
    put("d/back", "again");
    show_events("again");
}

static void file(void) {
    put("f", "text");
    int wd = inotify_add_watch(watcher, "f", IN_ALL_EVENTS);
    printf("watch %d\n", wd);
    SHOW(inotify_add_watch(watcher, "f", IN_ALL_EVENTS));
    SHOW(inotify_add_watch(watcher, "f", IN_MODIFY | IN_MASK_CREATE));
    put("f", "new");
    show_events("file");
    CHECK(rename("f", "g") == 0);
    show_events("moved");
    SHOW(inotify_add_watch(watcher, "g", IN_DELETE_SELF | IN_ATTRIB));
    put("g", "quiet");
    show_events("only asked");
    CHECK(unlink("g") == 0);
    show_events("unlinked");
    SHOW(inotify_rm_watch(watcher, wd));
    put("h", "");
    wd = inotify_add_watch(watcher, "h", IN_MODIFY);
    SHOW(inotify_rm_watch(watcher, wd));
    show_events("given up");
    inotify_add_watch(watcher, "h", IN_MODIFY | IN_ONESHOT);
    put("h", "1");
    put("h", "2");
    show_events("one shot");
}

static void readiness(void) {
    CHECK(mkdir("r", 0755) == 0);
    CHECK(inotify_add_watch(watcher, "r", IN_CREATE) > 0);
    struct pollfd one = {.fd = watcher, .events = POLLIN};
    int set = epoll_create1(0), bytes = -1;
    struct epoll_event event = {.events = EPOLLIN | EPOLLET};
    CHECK(epoll_ctl(set, EPOLL_CTL_ADD, watcher, &event) == 0);
    SHOW(poll(&one, 1, 0));
    SHOW(epoll_wait(set, &event, 1, 0));
    pid_t child = quiet_fork();
    if (child == 0) {
        sleep_ms(20);
        put("r/new", "");
        _exit(0);
    }
    SHOW(epoll_wait(set, &event, 1, 20000));
    show_end("child", child);
    SHOW(poll(&one, 1, 0));
    SHOW(ioctl(watcher, FIONREAD, &bytes));
    printf("%d bytes\n", bytes);
    char small[16];
    SHOW(read(watcher, small, sizeof small));
    show_events("made");
    SHOW(write(watcher, small, 1));
}

static void refused(void) {
    SHOW(inotify_init1(1));
    SHOW(inotify_add_watch(watcher, "missing", IN_MODIFY));
    SHOW(inotify_add_watch(watcher, "h", IN_MODIFY | IN_ONLYDIR));
    SHOW(inotify_add_watch(watcher, "h", 0));
    SHOW(inotify_add_watch(watcher, "h", IN_MODIFY | IN_MASK_ADD | IN_MASK_CREATE));
    SHOW(inotify_add_watch(0, "h", IN_MODIFY));
    SHOW(inotify_add_watch(99, "h", IN_MODIFY));
    SHOW(inotify_rm_watch(watcher, 99));
}

int main(void) {
    watcher = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    CHECK(watcher >= 0);
    directory();
    file();
    readiness();
    refused();
    return 0;
}
