// flock: shared and exclusive, with the open file rather than the process, conversion, waiting. See flock(2).
#include "check.h"
#include <sys/file.h>

int main(void) {
    put("f", "");
    int one = open("f", O_RDWR), two = open("f", O_RDONLY), copy = dup(one);
    SHOW(flock(one, LOCK_EX));
    SHOW(flock(two, LOCK_SH | LOCK_NB));
    SHOW(flock(copy, LOCK_EX | LOCK_NB));
    SHOW(flock(one, LOCK_SH));
    SHOW(flock(two, LOCK_SH | LOCK_NB));
    SHOW(flock(two, LOCK_EX | LOCK_NB));
    SHOW(flock(one, LOCK_UN));
    SHOW(flock(two, LOCK_EX | LOCK_NB));
    SHOW(close(two));
    SHOW(flock(one, LOCK_EX | LOCK_NB));
    SHOW(flock(one, 77));
    SHOW(flock(-1, LOCK_EX));
    // A child shares the lock of the open file that it inherited; it can unlock it.
    pid_t pid = quiet_fork();
    if (pid == 0)
        _exit(flock(one, LOCK_UN) == 0 ? 0 : 1);
    show_end("child", pid);
    int three = open("f", O_RDWR);
    SHOW(flock(three, LOCK_EX | LOCK_NB));
    // Waiting ends when the holder closes the last descriptor, here by ending.
    CHECK(flock(three, LOCK_UN) == 0);
    int ends[2];
    CHECK(pipe(ends) == 0);
    pid = quiet_fork();
    if (pid == 0) {
        int own = open("f", O_RDWR);
        CHECK(flock(own, LOCK_EX) == 0 && write(ends[1], "r", 1) == 1);
        sleep_ms(100);
        printf("holder ends\n");
        fflush(stdout);
        _exit(0);
    }
    char byte;
    CHECK(read(ends[0], &byte, 1) == 1);
    SHOW(flock(three, LOCK_SH | LOCK_NB));
    CHECK(flock(three, LOCK_EX) == 0);
    printf("waiter has it\n");
    CHECK(waitpid(pid, NULL, 0) == pid);
    // flock and fcntl locks do not see each other.
    struct flock record = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    SHOW(fcntl(one, F_SETLK, &record));
    return 0;
}
