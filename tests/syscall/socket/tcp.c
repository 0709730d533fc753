// TCP on the loopback: names, connections with and without waiting, ends of all kinds.
#include "check.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static struct sockaddr_in at(const char *ip, int port) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    CHECK(inet_pton(AF_INET, ip, &a.sin_addr) == 1);
    return a;
}

static int port_of(int fd) {
    struct sockaddr_storage a;
    socklen_t len = sizeof a;
    CHECK(getsockname(fd, (void *)&a, &len) == 0);
    return ntohs(a.ss_family == AF_INET ? ((struct sockaddr_in *)&a)->sin_port : ((struct sockaddr_in6 *)&a)->sin6_port);
}

static void show_name(const char *what, int (*ask)(int, struct sockaddr *, socklen_t *), int fd, int port) {
    struct sockaddr_storage a;
    socklen_t len = sizeof a;
    char text[64] = "";
    if (ask(fd, (void *)&a, &len) != 0) {
        printf("%s: %s\n", what, strerrorname_np(errno));
        return;
    }
    int found;
    if (a.ss_family == AF_INET) {
        inet_ntop(AF_INET, &((struct sockaddr_in *)&a)->sin_addr, text, sizeof text);
        found = ntohs(((struct sockaddr_in *)&a)->sin_port);
    } else {
        inet_ntop(AF_INET6, &((struct sockaddr_in6 *)&a)->sin6_addr, text, sizeof text);
        found = ntohs(((struct sockaddr_in6 *)&a)->sin6_port);
    }
    printf("%s: family %d length %d %s port %s\n", what, a.ss_family, (int)len, text,
           found == 0 ? "0" : found == port ? "the server's" : "another");
}

static void show_poll(const char *what, int fd, int wait) {
    struct pollfd p = {fd, POLLIN | POLLOUT | POLLRDHUP, 0};
    CHECK(poll(&p, 1, wait) >= 0);
    printf("%s:%s%s%s%s%s\n", what, p.revents & POLLIN ? " IN" : "", p.revents & POLLOUT ? " OUT" : "",
           p.revents & POLLHUP ? " HUP" : "", p.revents & POLLERR ? " ERR" : "", p.revents & POLLRDHUP ? " RDHUP" : "");
}

static int server_on(const char *ip, struct sockaddr_in *a) {
    int s = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    // Else connections that have ended keep the port for a minute.
    CHECK(setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0);
    *a = at(ip, 0);
    CHECK(s >= 0 && bind(s, (void *)a, sizeof *a) == 0 && listen(s, 5) == 0);
    a->sin_port = htons(port_of(s));
    return s;
}

static void names(void) {
    struct sockaddr_in a;
    int fresh = socket(AF_INET, SOCK_STREAM, 0);
    show_name("fresh own", getsockname, fresh, 1);
    show_name("fresh peer", getpeername, fresh, 1);
    show_poll("fresh", fresh, 0);
    char byte;
    SHOW(recv(fresh, &byte, 1, 0));
    SHOW(send(fresh, &byte, 1, MSG_NOSIGNAL));
    SHOW(shutdown(fresh, SHUT_RD));
    SHOW(accept(fresh, NULL, NULL));
    int s = server_on("127.0.0.1", &a);
    int port = ntohs(a.sin_port);
    show_name("server own", getsockname, s, port);
    struct sockaddr_in other = at("127.0.0.1", port);
    SHOW(bind(fresh, (void *)&other, sizeof other));
    int on = 1;
    SHOW(setsockopt(fresh, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on));
    SHOW(bind(fresh, (void *)&other, sizeof other));
    other = at("127.0.0.2", port);
    SHOW(bind(fresh, (void *)&other, sizeof other));
    SHOW(bind(fresh, (void *)&other, sizeof other));
    other = at("192.0.2.1", port);
    int third = socket(AF_INET, SOCK_STREAM, 0);
    SHOW(bind(third, (void *)&other, sizeof other));
    SHOW(connect(third, (void *)&a, sizeof a));
    SHOW(connect(third, (void *)&a, sizeof a));
    show_name("client own", getsockname, third, port);
    show_name("client peer", getpeername, third, port);
    struct sockaddr_in who;
    socklen_t len = sizeof who;
    int got = accept(s, (void *)&who, &len);
    CHECK(got >= 0);
    printf("client: %s, its own port %d, length %d\n", inet_ntoa(who.sin_addr), ntohs(who.sin_port) == port_of(third), (int)len);
    show_name("accepted own", getsockname, got, port);
    SHOW(listen(got, 1));
    close(got);
    close(third);
    close(fresh);
    close(s);
    // The same port again, with and without what says that it may be.
    int again = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(setsockopt(again, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0);
    SHOW(bind(again, (void *)&a, sizeof a));
    close(again);
}

static void ends(void) {
    struct sockaddr_in a;
    int s = server_on("127.0.0.1", &a);
    char buf[32] = "";
    int c = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(connect(c, (void *)&a, sizeof a) == 0);
    int got = accept4(s, NULL, NULL, SOCK_CLOEXEC);
    CHECK(got >= 0);
    SHOW(send(c, "0123456789", 10, 0));
    show_poll("server has bytes", got, 1000);
    SHOW(recv(got, buf, 4, MSG_PEEK));
    int count = -1;
    CHECK(ioctl(got, FIONREAD, &count) == 0);
    printf("waiting %d\n", count);
    SHOW(recv(got, buf, 10, MSG_WAITALL));
    SHOW(recv(got, buf, 10, MSG_DONTWAIT));
    SHOW(shutdown(c, SHUT_WR));
    show_poll("half closed", got, 1000);
    SHOW(recv(got, buf, sizeof buf, 0));
    SHOW(send(got, "late", 4, 0));
    SHOW(recv(c, buf, sizeof buf, 0));
    SHOW(send(c, "x", 1, MSG_NOSIGNAL));
    close(got);
    SHOW(recv(c, buf, sizeof buf, 0));
    close(c);

    // Closed with bytes that nobody read: a reset.
    c = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(connect(c, (void *)&a, sizeof a) == 0);
    got = accept(s, NULL, NULL);
    SHOW(send(c, "unread", 6, 0));
    struct pollfd p = {got, POLLIN, 0};
    CHECK(poll(&p, 1, 2000) == 1);
    close(got);
    p.fd = c;
    CHECK(poll(&p, 1, 2000) == 1);
    SHOW(recv(c, buf, sizeof buf, 0));
    SHOW(recv(c, buf, sizeof buf, 0));
    close(c);

    // Written to after it was closed.
    c = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(connect(c, (void *)&a, sizeof a) == 0);
    got = accept(s, NULL, NULL);
    close(got);
    p.fd = c;
    CHECK(poll(&p, 1, 2000) == 1);
    SHOW(send(c, "x", 1, MSG_NOSIGNAL));
    sleep_ms(50);
    SHOW(send(c, "x", 1, MSG_NOSIGNAL));
    signal(SIGPIPE, SIG_IGN);
    SHOW(write(c, "x", 1));
    close(c);
    close(s);
}

static void without_waiting(void) {
    struct sockaddr_in a;
    int s = server_on("127.0.0.1", &a);
    int c = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    SHOW(connect(c, (void *)&a, sizeof a));
    struct pollfd p = {c, POLLOUT, 0};
    SHOW(poll(&p, 1, 2000));
    int error = -1;
    socklen_t len = sizeof error;
    SHOW(getsockopt(c, SOL_SOCKET, SO_ERROR, &error, &len));
    printf("error %d\n", error);
    SHOW(connect(c, (void *)&a, sizeof a));
    SHOW(connect(c, (void *)&a, sizeof a));
    close(c);
    close(accept(s, NULL, NULL));
    close(s);
    c = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    SHOW(connect(c, (void *)&a, sizeof a));
    p.fd = c;
    SHOW(poll(&p, 1, 2000));
    printf("ERR %d HUP %d\n", !!(p.revents & POLLERR), !!(p.revents & POLLHUP));
    SHOW(getsockopt(c, SOL_SOCKET, SO_ERROR, &error, &len));
    printf("error %s\n", strerrorname_np(error));
    SHOW(getsockopt(c, SOL_SOCKET, SO_ERROR, &error, &len));
    printf("then %d\n", error);
    close(c);
    c = socket(AF_INET, SOCK_STREAM, 0);
    SHOW(connect(c, (void *)&a, sizeof a));
    close(c);
}

static void many_bytes(void) {
    struct sockaddr_in a;
    int s = server_on("127.0.0.1", &a);
    pid_t pid = quiet_fork();
    if (pid == 0) {
        int c = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(c, (void *)&a, sizeof a) != 0)
            _exit(1);
        char buf[65536];
        for (int i = 0; i < 100; i++) {
            memset(buf, i, sizeof buf);
            if (write(c, buf, sizeof buf) != sizeof buf)
                _exit(2);
        }
        _exit(0);
    }
    int got = accept(s, NULL, NULL);
    char buf[10000];
    long total = 0, sum = 0;
    for (ssize_t n; (n = read(got, buf, sizeof buf)) > 0; total += n)
        for (ssize_t i = 0; i < n; i++)
            sum += buf[i];
    printf("total %ld, sum %ld\n", total, sum);
    show_end("writer", pid);
    struct timeval limit = {0, 30000};
    CHECK(setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == 0);
    SHOW(accept(s, NULL, NULL));
    close(got);
    close(s);
}

static void both_families(void) {
    int on = 1, off = 0;
    int s = socket(AF_INET6, SOCK_STREAM, 0);
    CHECK(s >= 0);
    CHECK(setsockopt(s, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) == 0);
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_ANY_INIT};
    CHECK(bind(s, (void *)&six, sizeof six) == 0 && listen(s, 5) == 0);
    int port = port_of(s);
    struct sockaddr_in four = at("127.0.0.1", port);
    int c = socket(AF_INET, SOCK_STREAM, 0);
    SHOW(connect(c, (void *)&four, sizeof four));
    int got = accept(s, NULL, NULL);
    CHECK(got >= 0);
    show_name("over IPv4", getpeername, got, port);
    show_name("its own", getsockname, got, port);
    close(got);
    close(c);
    six.sin6_addr = (struct in6_addr)IN6ADDR_LOOPBACK_INIT;
    six.sin6_port = htons(port);
    c = socket(AF_INET6, SOCK_STREAM, 0);
    SHOW(connect(c, (void *)&six, sizeof six));
    got = accept(s, NULL, NULL);
    CHECK(got >= 0);
    show_name("over IPv6", getpeername, got, port);
    close(c);
    c = socket(AF_INET6, SOCK_STREAM, 0);
    SHOW(connect(c, (void *)&four, sizeof four));
    four = at("0.0.0.0", port);
    int other = socket(AF_INET, SOCK_STREAM, 0);
    SHOW(bind(other, (void *)&four, sizeof four));
    close(s);
    close(got);
    s = socket(AF_INET6, SOCK_STREAM, 0);
    CHECK(setsockopt(s, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) == 0);
    six = (struct sockaddr_in6){.sin6_family = AF_INET6};
    CHECK(bind(s, (void *)&six, sizeof six) == 0 && listen(s, 5) == 0);
    four = at("127.0.0.1", port_of(s));
    SHOW(connect(socket(AF_INET, SOCK_STREAM, 0), (void *)&four, sizeof four));
}

int main(void) {
    puts("-- names");
    names();
    puts("-- ends");
    ends();
    puts("-- without waiting");
    without_waiting();
    puts("-- many bytes");
    many_bytes();
    puts("-- both families");
    both_families();
    return 0;
}
