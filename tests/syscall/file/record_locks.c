// fcntl locks between processes: conflict, ranges, release on close of any descriptor; open file locks. See fcntl(2).
#include "check.h"

static struct flock range(short type, off_t start, off_t length) {
    return (struct flock){.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = length};
}

// What another process sees.
static void child(const char *what, short type, off_t start, off_t length) {
    pid_t pid = quiet_fork();
    if (pid == 0) {
        int fd = open("f", O_RDWR);
        struct flock query = range(type, start, length), set = query;
        CHECK(fcntl(fd, F_GETLK, &query) == 0);
        int result = fcntl(fd, F_SETLK, &set);
        printf("%s: %s", what, result == 0 ? "locked" : strerrorname_np(errno));
        if (query.l_type == F_UNLCK)
            printf(", free\n");
        else
            printf(", held as %s at %ld+%ld by parent %d\n", query.l_type == F_WRLCK ? "write" : "read",
                   (long)query.l_start, (long)query.l_len, query.l_pid == getppid());
        fflush(stdout);
        _exit(0);
    }
    CHECK(waitpid(pid, NULL, 0) == pid);
}

int main(void) {
    put("f", "0123456789");
    int fd = open("f", O_RDWR);
    struct flock lock = range(F_WRLCK, 2, 4);
    SHOW(fcntl(fd, F_SETLK, &lock));
    child("write inside", F_WRLCK, 3, 1);
    child("read inside", F_RDLCK, 3, 1);
    child("before", F_WRLCK, 0, 2);
    child("after", F_WRLCK, 6, 0);
    lock = range(F_RDLCK, 3, 1);
    SHOW(fcntl(fd, F_SETLK, &lock));
    child("read in the middle", F_RDLCK, 3, 1);
    child("write in the middle", F_WRLCK, 3, 1);
    child("left part", F_RDLCK, 2, 1);
    lock = range(F_UNLCK, 0, 0);
    SHOW(fcntl(fd, F_SETLK, &lock));
    child("all unlocked", F_WRLCK, 0, 0);
    // A read lock needs a descriptor open for reading, and so on.
    int reader = open("f", O_RDONLY);
    lock = range(F_WRLCK, 0, 1);
    SHOW(fcntl(reader, F_SETLK, &lock));
    lock = range(F_WRLCK, -1, 1);
    SHOW(fcntl(fd, F_SETLK, &lock));
    // Closing any descriptor of the file drops the locks of the process.
    lock = range(F_WRLCK, 0, 0);
    CHECK(fcntl(fd, F_SETLK, &lock) == 0);
    close(reader);
    child("after a close", F_WRLCK, 0, 0);
    // F_SETLKW waits until the holder ends.
    int ends[2];
    CHECK(pipe(ends) == 0);
    pid_t pid = quiet_fork();
    if (pid == 0) {
        lock = range(F_WRLCK, 0, 0);
        CHECK(fcntl(fd, F_SETLK, &lock) == 0 && write(ends[1], "r", 1) == 1);
        sleep_ms(100);
        printf("holder ends\n");
        fflush(stdout);
        _exit(0);
    }
    char byte;
    CHECK(read(ends[0], &byte, 1) == 1);
    lock = range(F_WRLCK, 0, 0);
    CHECK(fcntl(fd, F_SETLKW, &lock) == 0);
    printf("waiter has it\n");
    CHECK(waitpid(pid, NULL, 0) == pid);
    // Locks of the open file, not of the process.
    int second = open("f", O_RDWR);
    CHECK(second >= 0);
    lock = range(F_UNLCK, 0, 0);
    CHECK(fcntl(fd, F_SETLK, &lock) == 0);
    lock = range(F_WRLCK, 0, 0);
    SHOW(fcntl(fd, F_OFD_SETLK, &lock));
    lock = range(F_WRLCK, 0, 0);
    SHOW(fcntl(second, F_OFD_SETLK, &lock));
    return 0;
}
