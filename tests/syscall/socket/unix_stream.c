// AF_UNIX sockets with connections: names, accept, what both ends see, and how it ends.
#include "check.h"
#include <poll.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

static socklen_t named(struct sockaddr_un *at, const char *name, int is_abstract) {
    memset(at, 0, sizeof *at);
    at->sun_family = AF_UNIX;
    strcpy(at->sun_path + is_abstract, name);
    return offsetof(struct sockaddr_un, sun_path) + strlen(name) + 1;
}

static void show_name(const char *what, int (*ask)(int, struct sockaddr *, socklen_t *), int fd) {
    struct sockaddr_un at;
    memset(&at, 'x', sizeof at);
    socklen_t len = sizeof at;
    if (ask(fd, (void *)&at, &len) != 0) {
        printf("%s: %s\n", what, strerrorname_np(errno));
        return;
    }
    printf("%s: family %d, length %d, \"%.*s\"\n", what, at.sun_family, (int)len, len > 2 ? (int)len - 3 : 0,
           at.sun_path[0] ? at.sun_path : at.sun_path + 1);
}

static void show_poll(const char *what, int fd) {
    struct pollfd p = {fd, POLLIN | POLLOUT | POLLRDHUP, 0};
    CHECK(poll(&p, 1, 0) >= 0);
    printf("%s:%s%s%s%s%s\n", what, p.revents & POLLIN ? " IN" : "", p.revents & POLLOUT ? " OUT" : "",
           p.revents & POLLHUP ? " HUP" : "", p.revents & POLLERR ? " ERR" : "", p.revents & POLLRDHUP ? " RDHUP" : "");
}

static void names_and_errors(int type) {
    struct sockaddr_un at, other;
    socklen_t len = named(&at, "door", 0), other_len = named(&other, "nobody", 0);
    unlink("door");
    int s = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
    CHECK(s >= 0);
    show_poll("fresh", s);
    show_name("fresh own", getsockname, s);
    show_name("fresh peer", getpeername, s);
    SHOW(listen(s, 5));
    SHOW(bind(s, (void *)&at, len));
    SHOW(bind(s, (void *)&at, len));
    int again = socket(AF_UNIX, type, 0);
    SHOW(bind(again, (void *)&at, len));
    SHOW(connect(again, (void *)&at, len));
    SHOW(connect(again, (void *)&other, other_len));
    put("file", "");
    other_len = named(&other, "file", 0);
    SHOW(connect(again, (void *)&other, other_len));
    SHOW(accept(s, NULL, NULL));
    SHOW(listen(s, 1));
    struct stat st;
    CHECK(stat("door", &st) == 0);
    printf("file type is socket: %d\n", S_ISSOCK(st.st_mode));
    OUTCOME(open("door", O_RDONLY));
    int datagram = socket(AF_UNIX, SOCK_DGRAM, 0);
    SHOW(connect(datagram, (void *)&at, len));
    close(datagram);
    show_name("bound own", getsockname, s);
    fcntl(s, F_SETFL, O_NONBLOCK);
    SHOW(accept(s, NULL, NULL));
    show_poll("listening", s);
    SHOW(send(again, "x", 1, MSG_NOSIGNAL));
    SHOW(recv(again, &st, 1, 0));
    SHOW(connect(again, (void *)&at, len));
    SHOW(connect(again, (void *)&at, len));
    show_poll("one waits", s);
    show_name("client peer", getpeername, again);
    struct sockaddr_un who;
    socklen_t who_len = sizeof who;
    int got = accept4(s, (void *)&who, &who_len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    CHECK(got >= 0);
    printf("client's address has length %d\n", (int)who_len);
    printf("accepted: flags %d %d\n", !!(fcntl(got, F_GETFL) & O_NONBLOCK), fcntl(got, F_GETFD));
    show_name("accepted own", getsockname, got);
    show_name("accepted peer", getpeername, got);
    SHOW(send(again, "hello", 5, 0));
    SHOW(send(again, "world", 5, 0));
    int count = 0;
    CHECK(ioctl(got, FIONREAD, &count) == 0);
    printf("waiting: %d\n", count);
    char buf[16] = "";
    SHOW(recv(got, buf, 3, MSG_PEEK));
    SHOW(recv(got, buf, sizeof buf, 0));
    SHOW(recv(got, buf + 10, 1, 0));
    printf("got \"%.10s\"\n", buf);
    show_poll("accepted", got);
    SHOW(shutdown(again, SHUT_WR));
    show_poll("after the peer's shutdown", got);
    SHOW(send(got, "back", 4, 0));
    SHOW(send(again, "x", 1, MSG_NOSIGNAL));
    close(again);
    show_poll("after the peer's close", got);
    SHOW(recv(got, buf, sizeof buf, 0));
    SHOW(recv(got, buf, sizeof buf, 0));
    SHOW(send(got, "x", 1, MSG_NOSIGNAL));
    close(got);
    close(s);
    s = socket(AF_UNIX, type, 0);
    SHOW(connect(s, (void *)&at, len));
    SHOW(unlink("door"));
    close(s);
}

static void abstract_names(void) {
    struct sockaddr_un at;
    char name[40];
    snprintf(name, sizeof name, "shallop-test-%d", (int)getpid());
    socklen_t len = named(&at, name, 1);
    int s = socket(AF_UNIX, SOCK_STREAM, 0), c = socket(AF_UNIX, SOCK_STREAM, 0);
    SHOW(bind(s, (void *)&at, len));
    SHOW(listen(s, 0));
    SHOW(connect(c, (void *)&at, len));
    SHOW(connect(c, (void *)&at, len - 1));
    close(s);
    char byte;
    SHOW(recv(c, &byte, 1, 0));
    close(c);
    c = socket(AF_UNIX, SOCK_STREAM, 0);
    SHOW(connect(c, (void *)&at, len));
    // The kernel chooses a name.
    at.sun_family = AF_UNIX;
    SHOW(bind(c, (void *)&at, sizeof(sa_family_t)));
    len = sizeof at;
    CHECK(getsockname(c, (void *)&at, &len) == 0);
    printf("chosen: length %d, abstract %d\n", (int)len, at.sun_path[0] == 0);
    close(c);
}

static void waits(void) {
    struct sockaddr_un at;
    socklen_t len = named(&at, "slow", 0);
    int s = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK(bind(s, (void *)&at, len) == 0 && listen(s, 0) == 0);
    pid_t pid = quiet_fork();
    if (pid == 0) {
        int c = socket(AF_UNIX, SOCK_STREAM, 0);
        if (connect(c, (void *)&at, len) != 0)
            _exit(1);
        char buf[100000];
        memset(buf, 'a', sizeof buf);
        for (int i = 0; i < 20; i++)
            if (write(c, buf, sizeof buf) != sizeof buf)
                _exit(2);
        _exit(0);
    }
    int got = accept(s, NULL, NULL);
    CHECK(got >= 0);
    long total = 0;
    char buf[3000];
    for (ssize_t n; (n = read(got, buf, sizeof buf)) > 0;)
        total += n;
    printf("total %ld\n", total);
    show_end("writer", pid);
    struct timeval limit = {0, 30000};
    SHOW(setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit));
    SHOW(accept(s, NULL, NULL));
    // A full backlog.
    int one = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0), two = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    SHOW(connect(one, (void *)&at, len));
    SHOW(connect(two, (void *)&at, len));
    char byte = 'q';
    SHOW(send(one, &byte, 1, 0));
    close(s);
    SHOW(recv(one, &byte, 1, 0));
    unlink("slow");
}

int main(void) {
    puts("-- stream");
    names_and_errors(SOCK_STREAM);
    puts("-- seqpacket");
    names_and_errors(SOCK_SEQPACKET);
    puts("-- abstract");
    abstract_names();
    puts("-- waits");
    waits();
    return 0;
}
