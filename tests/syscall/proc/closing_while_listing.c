// /proc/self/fd is listed while what it lists goes away, as programs do that close all they inherited: nothing is left out.
#include "check.h"
#include <dirent.h>
#include <sys/syscall.h>

int main(void) {
    for (int fd = 40; fd < 80; fd++)
        CHECK(dup2(1, fd) == fd);
    int dir = open("/proc/self/fd", O_RDONLY | O_DIRECTORY);
    CHECK(dir >= 0);
    char buffer[120];
    int seen = 0;
    long count;
    while ((count = syscall(SYS_getdents64, dir, buffer, sizeof buffer)) > 0) {
        for (long at = 0; at < count;) {
            struct dirent64 *entry = (struct dirent64 *)(buffer + at);
            int fd = atoi(entry->d_name);
            if (fd >= 40 && fd < 80) {
                CHECK(close(fd) == 0);
                seen++;
            }
            at += entry->d_reclen;
        }
    }
    CHECK(count == 0);
    printf("seen and closed: %d\n", seen);
    for (int fd = 40; fd < 80; fd++)
        CHECK(fcntl(fd, F_GETFD) == -1 && errno == EBADF);
    return 0;
}
