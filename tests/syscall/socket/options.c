// Which sockets there are, what can be set on them, and what else answers.
#include "check.h"
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

static void show_int(const char *what, int fd, int level, int name) {
    int value = -1;
    socklen_t len = sizeof value;
    if (getsockopt(fd, level, name, &value, &len) != 0)
        printf("%s: %s\n", what, strerrorname_np(errno));
    else
        printf("%s: %d (%d bytes)\n", what, value, (int)len);
}

static void set(const char *what, int fd, int level, int name, int value) {
    int done = setsockopt(fd, level, name, &value, sizeof value);
    printf("%s = %d: %s; now ", what, value, done ? strerrorname_np(errno) : "ok");
    show_int(what, fd, level, name);
}

int main(void) {
    OUTCOME(socket(AF_INET, SOCK_STREAM, IPPROTO_TCP));
    SHOW(socket(AF_INET, SOCK_STREAM, IPPROTO_UDP));
    SHOW(socket(AF_INET, SOCK_DGRAM, IPPROTO_TCP));
    SHOW(socket(AF_INET, SOCK_SEQPACKET, 0));
    SHOW(socket(AF_INET, 77, 0));
    SHOW(socket(AF_UNIX, SOCK_STREAM, 5));
    SHOW(socket(AF_UNIX, SOCK_RDM, 0));
    SHOW(socket(12345, SOCK_STREAM, 0));
    SHOW(socket(AF_UNIX, SOCK_STREAM | 0x10000, 0));
    int pair[2];
    SHOW(socketpair(AF_INET, SOCK_STREAM, 0, pair));
    SHOW(listen(0, 1));
    int t = socket(AF_INET, SOCK_STREAM, 0), u = socket(AF_UNIX, SOCK_STREAM, 0), d = socket(AF_INET, SOCK_DGRAM, 0);
    show_int("type", t, SOL_SOCKET, SO_TYPE);
    show_int("type", d, SOL_SOCKET, SO_TYPE);
    show_int("domain", u, SOL_SOCKET, SO_DOMAIN);
    show_int("protocol", t, SOL_SOCKET, SO_PROTOCOL);
    show_int("protocol", u, SOL_SOCKET, SO_PROTOCOL);
    show_int("listening", t, SOL_SOCKET, SO_ACCEPTCONN);
    CHECK(listen(t, 1) == 0);
    show_int("listening", t, SOL_SOCKET, SO_ACCEPTCONN);
    set("reuse", t, SOL_SOCKET, SO_REUSEADDR, 5);
    set("keepalive", t, SOL_SOCKET, SO_KEEPALIVE, 1);
    set("nodelay", t, IPPROTO_TCP, TCP_NODELAY, 1);
    set("keepidle", t, IPPROTO_TCP, TCP_KEEPIDLE, 10);
    set("sndbuf", t, SOL_SOCKET, SO_SNDBUF, 5000);
    set("nodelay of UDP", d, IPPROTO_TCP, TCP_NODELAY, 1);
    set("nodelay of AF_UNIX", u, IPPROTO_TCP, TCP_NODELAY, 1);
    set("unknown", t, SOL_SOCKET, 9999, 1);
    set("ttl", t, IPPROTO_IP, 2, 5);
    SHOW(setsockopt(t, SOL_SOCKET, SO_KEEPALIVE, "x", 1));
    struct timeval limit = {1, 2000000};
    SHOW(setsockopt(t, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit));
    limit.tv_usec = 500000;
    SHOW(setsockopt(t, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit));
    socklen_t len = sizeof limit;
    SHOW(getsockopt(t, SOL_SOCKET, SO_RCVTIMEO, &limit, &len));
    printf("%ld %ld\n", (long)limit.tv_sec, (long)limit.tv_usec);
    struct linger linger = {1, 3};
    SHOW(setsockopt(t, SOL_SOCKET, SO_LINGER, &linger, sizeof linger));
    len = 100;
    SHOW(getsockopt(t, SOL_SOCKET, SO_LINGER, &linger, &len));
    printf("linger %d %d, %d bytes\n", linger.l_onoff, linger.l_linger, (int)len);

    // The loopback interface.
    printf("lo is number %u\n", if_nametoindex("lo"));
    struct ifreq request = {0};
    strcpy(request.ifr_name, "lo");
    SHOW(ioctl(d, SIOCGIFADDR, &request));
    printf("%#x\n", ntohl(((struct sockaddr_in *)&request.ifr_addr)->sin_addr.s_addr));
    SHOW(ioctl(d, SIOCGIFFLAGS, &request));
    printf("up %d loopback %d\n", !!(request.ifr_flags & IFF_UP), !!(request.ifr_flags & IFF_LOOPBACK));
    SHOW(ioctl(d, SIOCGIFMTU, &request));
    printf("mtu %d\n", request.ifr_mtu);
    strcpy(request.ifr_name, "nonesuch0");
    SHOW(ioctl(d, SIOCGIFADDR, &request));
    return 0;
}
