// UDP on the loopback, and the calls that move several messages.
#include "check.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static struct sockaddr_in loopback(int port) {
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static struct sockaddr_in own(int fd) {
    struct sockaddr_in a;
    socklen_t len = sizeof a;
    CHECK(getsockname(fd, (void *)&a, &len) == 0);
    return a;
}

int main(void) {
    char buf[64];
    struct sockaddr_in a = loopback(0), who;
    socklen_t len = sizeof who;
    int s = socket(AF_INET, SOCK_DGRAM, 0), c = socket(AF_INET, SOCK_DGRAM, 0);
    SHOW(send(c, "x", 1, 0));
    SHOW(bind(s, (void *)&a, sizeof a));
    a = own(s);
    SHOW(sendto(c, "hello", 5, 0, (void *)&a, sizeof a));
    SHOW(sendto(c, "", 0, 0, (void *)&a, sizeof a));
    int count = -1;
    CHECK(ioctl(s, FIONREAD, &count) == 0);
    printf("first is %d\n", count);
    SHOW(recvfrom(s, buf, 3, MSG_TRUNC, (void *)&who, &len));
    printf("from the client: %d, %s, length %d\n", who.sin_port == own(c).sin_port, inet_ntoa(who.sin_addr), (int)len);
    SHOW(recv(s, buf, sizeof buf, 0));
    SHOW(recv(s, buf, sizeof buf, MSG_DONTWAIT));
    SHOW(sendto(s, "answer", 6, 0, (void *)&who, sizeof who));
    SHOW(recv(c, buf, sizeof buf, 0));

    SHOW(connect(c, (void *)&a, sizeof a));
    printf("own address %s\n", inet_ntoa(own(c).sin_addr));
    // Only the peer is heard now.
    int third = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in client = own(c);
    SHOW(sendto(third, "stranger", 8, 0, (void *)&client, sizeof client));
    SHOW(recv(c, buf, sizeof buf, MSG_DONTWAIT));
    SHOW(sendto(s, "friend", 6, 0, (void *)&client, sizeof client));
    SHOW(recv(c, buf, sizeof buf, 0));
    SHOW(bind(third, (void *)&a, sizeof a));
    close(s);
    SHOW(send(c, "nobody", 6, 0));
    struct pollfd p = {c, POLLIN, 0};
    SHOW(poll(&p, 1, 2000));
    SHOW(recv(c, buf, sizeof buf, 0));
    SHOW(recv(c, buf, sizeof buf, MSG_DONTWAIT));
    struct sockaddr none = {.sa_family = AF_UNSPEC};
    SHOW(connect(c, &none, sizeof none));
    SHOW(send(c, "x", 1, 0));

    s = socket(AF_INET, SOCK_DGRAM, 0);
    a = loopback(0);
    CHECK(bind(s, (void *)&a, sizeof a) == 0);
    a = own(s);
    struct iovec parts[3] = {{"one", 3}, {"two!", 4}, {"three", 5}};
    struct mmsghdr out[3] = {0}, in[4] = {0};
    char room[4][16];
    struct iovec places[4];
    for (int i = 0; i < 3; i++)
        out[i].msg_hdr = (struct msghdr){.msg_name = &a, .msg_namelen = sizeof a, .msg_iov = &parts[i], .msg_iovlen = 1};
    for (int i = 0; i < 4; i++) {
        places[i] = (struct iovec){room[i], sizeof room[i]};
        in[i].msg_hdr = (struct msghdr){.msg_iov = &places[i], .msg_iovlen = 1};
    }
    SHOW(sendmmsg(c, out, 3, 0));
    printf("sent %u %u %u\n", out[0].msg_len, out[1].msg_len, out[2].msg_len);
    SHOW(recvmmsg(s, in, 4, MSG_WAITFORONE, NULL));
    printf("received %u %u %u\n", in[0].msg_len, in[1].msg_len, in[2].msg_len);
    SHOW(recvmmsg(s, in, 4, MSG_DONTWAIT, NULL));
    struct timeval limit = {0, 20000};
    SHOW(setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit));
    SHOW(recv(s, buf, sizeof buf, 0));
    char large[70000] = "";
    SHOW(sendto(c, large, sizeof large, 0, (void *)&a, sizeof a));
    SHOW(sendto(c, large, 65507, 0, (void *)&a, sizeof a));
    SHOW(recv(s, large, sizeof large, 0));
    a.sin_port = 0;
    SHOW(sendto(c, "x", 1, 0, (void *)&a, sizeof a));
    return 0;
}
