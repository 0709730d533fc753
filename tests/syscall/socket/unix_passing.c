// Control messages: descriptors (SCM_RIGHTS), credentials (SCM_CREDENTIALS, SO_PEERCRED).
#include "check.h"
#include <sys/socket.h>

static ssize_t send_with(int fd, const char *text, int kind, const void *data, size_t len) {
    char control[256] = {0};
    struct iovec part = {(void *)text, strlen(text)};
    struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = CMSG_SPACE(len)};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = kind;
    c->cmsg_len = CMSG_LEN(len);
    memcpy(CMSG_DATA(c), data, len);
    return sendmsg(fd, &m, 0);
}

// Receives, tells what came, and gives the last descriptor.
static int receive(int fd, size_t room, int flags) {
    char buf[64], control[256];
    struct iovec part = {buf, sizeof buf};
    struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = room};
    ssize_t n = recvmsg(fd, &m, flags);
    printf("received %zd, flags %#x, control %zu\n", n, m.msg_flags & ~MSG_CMSG_CLOEXEC, (size_t)m.msg_controllen);
    int got = -1;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); n >= 0 && c; c = CMSG_NXTHDR(&m, c)) {
        printf("  level %d type %d length %zu\n", c->cmsg_level, c->cmsg_type, (size_t)c->cmsg_len);
        if (c->cmsg_type == SCM_CREDENTIALS) {
            struct ucred who;
            memcpy(&who, CMSG_DATA(c), sizeof who);
            printf("  this process: %d %d %d\n", who.pid == getpid(), who.uid == getuid(), who.gid == getgid());
        } else {
            int count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
            printf("  %d descriptors\n", count);
            for (int i = 0; i < count; i++)
                memcpy(&got, CMSG_DATA(c) + i * sizeof(int), sizeof got);
        }
    }
    return got;
}

int main(void) {
    int pair[2], ends[2];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0 && pipe(ends) == 0);
    SHOW(send_with(pair[0], "a", SCM_RIGHTS, &ends[0], sizeof(int)));
    SHOW(send(pair[0], "b", 1, 0));
    close(ends[0]);
    int got = receive(pair[1], 256, MSG_CMSG_CLOEXEC);
    CHECK(got >= 0);
    printf("close-on-exec %d\n", fcntl(got, F_GETFD));
    CHECK(write(ends[1], "through", 7) == 7);
    char buf[16] = "";
    SHOW(read(got, buf, sizeof buf));
    receive(pair[1], 256, 0);
    int two[2] = {got, ends[1]};
    SHOW(send_with(pair[0], "cut", SCM_RIGHTS, two, sizeof two));
    receive(pair[1], CMSG_LEN(sizeof(int)), 0);
    int bad = 1000;
    SHOW(send_with(pair[0], "bad", SCM_RIGHTS, &bad, sizeof bad));
    SHOW(send_with(pair[0], "odd", 77, &bad, sizeof bad));

    int on = 1;
    SHOW(setsockopt(pair[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on));
    SHOW(send(pair[0], "who", 3, 0));
    receive(pair[1], 256, 0);
    struct ucred me = {getpid(), getuid(), getgid()};
    SHOW(send_with(pair[0], "me", SCM_CREDENTIALS, &me, sizeof me));
    receive(pair[1], 256, 0);

    struct ucred peer;
    socklen_t len = sizeof peer;
    SHOW(getsockopt(pair[0], SOL_SOCKET, SO_PEERCRED, &peer, &len));
    printf("peer: %d %d %d\n", peer.pid == getpid(), peer.uid == geteuid(), peer.gid == getegid());
    // A socket inside a socket, and a process that ends with messages on their way.
    SHOW(send_with(pair[0], "self", SCM_RIGHTS, &pair[1], sizeof(int)));
    close(pair[1]);
    close(pair[0]);
    return 0;
}
