// Many sockets at once: epoll in both modes over TCP and AF_UNIX, and a thread that waits while another one closes.
#include "check.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum { CLIENTS = 20 };

static struct sockaddr_in server_at;

static void *client(void *argument) {
    long number = (long)argument;
    char buf[32];
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(connect(fd, (void *)&server_at, sizeof server_at) == 0);
    int len = sprintf(buf, "client %ld", number);
    CHECK(write(fd, buf, len) == len);
    CHECK(shutdown(fd, SHUT_WR) == 0);
    char back[32] = "";
    int got = 0;
    for (ssize_t n; (n = read(fd, back + got, sizeof back - 1 - got)) > 0;)
        got += n;
    CHECK(got == len && memcmp(buf, back, len) == 0);
    close(fd);
    return NULL;
}

static void echo_server(unsigned mode) {
    int s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), set = epoll_create1(0);
    server_at = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof server_at;
    CHECK(bind(s, (void *)&server_at, len) == 0 && listen(s, CLIENTS) == 0);
    CHECK(getsockname(s, (void *)&server_at, &len) == 0);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = s};
    CHECK(epoll_ctl(set, EPOLL_CTL_ADD, s, &event) == 0);
    pthread_t threads[CLIENTS];
    for (long i = 0; i < CLIENTS; i++)
        CHECK(pthread_create(&threads[i], NULL, client, (void *)i) == 0);
    int open = 0, served = 0;
    while (served < CLIENTS) {
        struct epoll_event ready[8];
        int count = epoll_wait(set, ready, 8, 20000);
        CHECK(count > 0);
        for (int i = 0; i < count; i++) {
            int fd = ready[i].data.fd;
            if (fd == s) {
                for (int got; (got = accept4(s, NULL, NULL, SOCK_NONBLOCK)) >= 0; open++) {
                    event = (struct epoll_event){.events = EPOLLIN | mode, .data.fd = got};
                    CHECK(epoll_ctl(set, EPOLL_CTL_ADD, got, &event) == 0);
                }
                continue;
            }
            char buf[7];
            ssize_t n;
            while ((n = read(fd, buf, sizeof buf)) > 0)
                CHECK(write(fd, buf, n) == n);
            if (n == 0) {
                close(fd);
                served++;
            } else {
                CHECK(errno == EAGAIN);
            }
        }
    }
    for (int i = 0; i < CLIENTS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    printf("%d accepted, %d served\n", open, served);
    close(set);
    close(s);
}

static void *stop(void *argument) {
    sleep_ms(30);
    CHECK(shutdown(*(int *)argument, SHUT_RDWR) == 0);
    return NULL;
}

int main(void) {
    echo_server(0);
    echo_server(EPOLLET);
    // A listener that is shut down wakes who accepts.
    int s = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(listen(s, 1) == 0);
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, stop, &s) == 0);
    SHOW(accept(s, NULL, NULL));
    CHECK(pthread_join(thread, NULL) == 0);
    return 0;
}
