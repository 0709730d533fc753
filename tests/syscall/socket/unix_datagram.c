// AF_UNIX datagrams: names, connected or not, full receivers, and pairs.
#include "check.h"
#include <poll.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

static socklen_t named(struct sockaddr_un *at, const char *name) {
    memset(at, 0, sizeof *at);
    at->sun_family = AF_UNIX;
    strcpy(at->sun_path, name);
    unlink(name);
    return offsetof(struct sockaddr_un, sun_path) + strlen(name) + 1;
}

static int bound(const char *name, struct sockaddr_un *at) {
    socklen_t len = named(at, name);
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    CHECK(fd >= 0 && bind(fd, (void *)at, len) == 0);
    return fd;
}

int main(void) {
    struct sockaddr_un at, from_at, who;
    char buf[64];
    int server = bound("server", &at), client = bound("client", &from_at);
    int nameless = socket(AF_UNIX, SOCK_DGRAM, 0);
    SHOW(send(nameless, "x", 1, 0));
    SHOW(sendto(client, "one", 3, 0, (void *)&at, sizeof at));
    SHOW(sendto(nameless, "four", 4, 0, (void *)&at, sizeof at));
    socklen_t len = sizeof who;
    SHOW(recvfrom(server, buf, sizeof buf, 0, (void *)&who, &len));
    printf("from \"%s\" (%d)\n", who.sun_path, (int)len);
    len = sizeof who;
    SHOW(recvfrom(server, buf, 2, MSG_TRUNC, (void *)&who, &len));
    printf("from a nameless one: %d\n", (int)len);
    SHOW(recv(server, buf, sizeof buf, MSG_DONTWAIT));
    SHOW(connect(client, (void *)&at, sizeof at));
    SHOW(send(client, "", 0, 0));
    SHOW(recv(server, buf, sizeof buf, MSG_DONTWAIT));
    // A connected socket hears its peer alone.
    SHOW(sendto(nameless, "x", 1, 0, (void *)&from_at, sizeof from_at));
    SHOW(sendto(server, "y", 1, 0, (void *)&from_at, sizeof from_at));
    SHOW(recv(client, buf, sizeof buf, MSG_DONTWAIT));
    int sent = 0;
    while (send(client, "z", 1, MSG_DONTWAIT) == 1)
        sent++;
    printf("%d before it was full: %s\n", sent, strerrorname_np(errno));
    struct pollfd p = {client, POLLOUT, 0};
    SHOW(poll(&p, 1, 0));
    SHOW(recv(server, buf, sizeof buf, 0));
    SHOW(poll(&p, 1, 1000));
    close(server);
    SHOW(send(client, "x", 1, 0));
    SHOW(send(client, "x", 1, 0));
    SHOW(sendto(client, "x", 1, 0, (void *)&at, sizeof at));
    close(client);

    int pair[2];
    SHOW(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, pair));
    SHOW(send(pair[0], "abc", 3, 0));
    SHOW(send(pair[0], "de", 2, 0));
    SHOW(recv(pair[1], buf, sizeof buf, 0));
    SHOW(shutdown(pair[0], SHUT_WR));
    SHOW(send(pair[0], "x", 1, MSG_NOSIGNAL));
    SHOW(send(pair[1], "back", 4, 0));
    SHOW(recv(pair[0], buf, sizeof buf, 0));
    SHOW(recv(pair[1], buf, sizeof buf, 0));
    close(pair[0]);
    SHOW(recv(pair[1], buf, sizeof buf, 0));
    SHOW(send(pair[1], "x", 1, 0));
    return 0;
}
