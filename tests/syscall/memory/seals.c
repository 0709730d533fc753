// memfd_create and its seals. See memfd_create(2), fcntl(2).
#include "check.h"
#include <sys/mman.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8
#endif
#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x10
#endif

static int fresh(unsigned flags) {
    int fd = memfd_create("box", flags);
    CHECK(fd >= 0 && write(fd, "0123456789", 10) == 10);
    return fd;
}

static void mapped(int fd, int prot, int flags) {
    void *at = mmap(NULL, 4096, prot, flags, fd, 0);
    printf("map prot %d %s: %s\n", prot, flags == MAP_SHARED ? "shared" : "private",
           at == MAP_FAILED ? strerrorname_np(errno) : "ok");
    if (at == MAP_FAILED)
        return;
    OUTCOME(mprotect(at, 4096, PROT_READ | PROT_WRITE));
    CHECK(munmap(at, 4096) == 0);
}

static void size(void) {
    int fd = fresh(MFD_ALLOW_SEALING);
    SHOW(fcntl(fd, F_GET_SEALS));
    SHOW(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK));
    SHOW(ftruncate(fd, 5));
    SHOW(ftruncate(fd, 20));
    SHOW(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW));
    SHOW(ftruncate(fd, 30));
    SHOW(pwrite(fd, "abc", 3, 18));
    SHOW(pwrite(fd, "abc", 3, 30));
    SHOW(pwrite(fd, "abc", 3, 10));
    SHOW(fcntl(fd, F_GET_SEALS));
    SHOW(fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL));
    SHOW(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
    SHOW(fcntl(fd, F_ADD_SEALS, 1 << 10));
    close(fd);
}

static void writing(void) {
    int fd = fresh(MFD_ALLOW_SEALING);
    char *at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(at != MAP_FAILED);
    SHOW(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
    SHOW(fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE));
    at[0] = 'X';
    SHOW(write(fd, "x", 1));
    mapped(fd, PROT_READ | PROT_WRITE, MAP_SHARED);
    CHECK(munmap(at, 4096) == 0);
    SHOW(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
    mapped(fd, PROT_READ, MAP_SHARED);
    mapped(fd, PROT_READ | PROT_WRITE, MAP_PRIVATE);
    SHOW(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096));
    char text[11] = {0};
    SHOW(pread(fd, text, 10, 0));
    printf("%s\n", text);
    close(fd);
}

int main(void) {
    size();
    writing();
    int plain = fresh(0);
    SHOW(fcntl(plain, F_GET_SEALS));
    SHOW(fcntl(plain, F_ADD_SEALS, F_SEAL_WRITE));
    int hard = fresh(MFD_NOEXEC_SEAL);
    SHOW(fcntl(hard, F_GET_SEALS));
    struct stat st;
    CHECK(fstat(hard, &st) == 0);
    printf("mode %o\n", st.st_mode & 07777);
    SHOW(fchmod(hard, 0755));
    SHOW(fchmod(hard, 0600));
    int pipes[2];
    CHECK(pipe(pipes) == 0);
    SHOW(fcntl(pipes[0], F_GET_SEALS));
    put("file", "x");
    int file = open("file", O_RDWR);
    SHOW(fcntl(file, F_GET_SEALS));
    SHOW(fcntl(file, F_ADD_SEALS, F_SEAL_WRITE));
    return 0;
}
