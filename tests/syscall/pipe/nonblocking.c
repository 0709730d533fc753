// Nonblocking pipes: EAGAIN on empty and full, partial writes, atomicity up to PIPE_BUF. See pipe(7).
#include "check.h"
#include <limits.h>
#include <sys/ioctl.h>

int main(void) {
    int ends[2];
    static char block[100000];
    CHECK(pipe2(ends, O_NONBLOCK) == 0);
    SHOW(read(ends[0], block, 1));
    SHOW(read(ends[0], block, 0));
    long total = 0, n;
    while ((n = write(ends[1], block, 4096)) > 0)
        total += n;
    printf("full after %ld: %s\n", total, strerrorname_np(errno));
    int waiting = 0;
    SHOW(ioctl(ends[0], FIONREAD, &waiting));
    printf("waiting %d\n", waiting);
    SHOW(read(ends[0], block, 4096));
    // Room for one page: a page fits, one byte more than PIPE_BUF may be written in part.
    SHOW(write(ends[1], block, PIPE_BUF));
    SHOW(write(ends[1], block, 1));
    SHOW(read(ends[0], block, 65536));
    SHOW(write(ends[1], block, 100000));
    SHOW(read(ends[0], block, 100000));
    // Back to blocking by fcntl: a large write then waits for its reader.
    CHECK(fcntl(ends[1], F_SETFL, 0) == 0 && fcntl(ends[0], F_SETFL, 0) == 0);
    pid_t pid = quiet_fork();
    if (pid == 0) {
        close(ends[1]);
        long sum = 0;
        while ((n = read(ends[0], block, 777)) > 0)
            sum += n;
        _exit(sum == 100000 ? 0 : 1);
    }
    SHOW(write(ends[1], block, 100000));
    close(ends[1]);
    show_end("reader", pid);
    return 0;
}
