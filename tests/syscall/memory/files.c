// Mapped files: private and shared, coherence with read and write, msync, SIGBUS past the end. See mmap(2).
#include "check.h"
#include <setjmp.h>
#include <sys/mman.h>

static sigjmp_buf back;

static void fault(int number) {
    siglongjmp(back, number);
}

int main(void) {
    signal(SIGSEGV, fault);
    signal(SIGBUS, fault);
    const size_t page = 4096;
    int fd = open("f", O_RDWR | O_CREAT, 0644);
    CHECK(ftruncate(fd, 2 * page + 100) == 0 && pwrite(fd, "hello", 5, 0) == 5 && pwrite(fd, "second", 6, page) == 6);
    char *shared = mmap(NULL, 4 * page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    char *private = mmap(NULL, 3 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    char *offset = mmap(NULL, page, PROT_READ, MAP_SHARED, fd, page);
    CHECK(shared != MAP_FAILED && private != MAP_FAILED && offset != MAP_FAILED);
    printf("%.5s %.5s %.6s\n", shared, private, offset);
    shared[0] = 'H';
    char text[8] = {0};
    CHECK(pread(fd, text, 5, 0) == 5);
    printf("write to the map, read: %s\n", text);
    CHECK(pwrite(fd, "J", 1, 0) == 1);
    printf("write, look at the map: %.5s\n", shared);
    private[0] = 'P';
    CHECK(pread(fd, text, 5, 0) == 5);
    printf("private: %.5s, file %s, shared %.5s\n", private, text, shared);
    shared[page] = 'S';
    printf("two maps: %.6s\n", offset);
    // The rest of the last page is zero and goes nowhere; beyond is SIGBUS.
    printf("after the end: %d\n", shared[2 * page + 100]);
    shared[2 * page + 100] = 'x';
    if (sigsetjmp(back, 1) == 0) {
        *(volatile char *)(shared + 3 * page) = 1;
        printf("no fault\n");
    } else {
        printf("SIGBUS past the end\n");
    }
    struct stat st;
    CHECK(fstat(fd, &st) == 0);
    printf("size %ld\n", (long)st.st_size);
    CHECK(ftruncate(fd, 3 * page + 1) == 0);
    *(volatile char *)(shared + 3 * page) = 'g';
    CHECK(pread(fd, text, 1, 3 * page) == 1);
    printf("grown: %c\n", text[0]);
    CHECK(ftruncate(fd, page) == 0);
    if (sigsetjmp(back, 1) == 0)
        printf("%d\n", *(volatile char *)(shared + page));
    else
        printf("fault after shrinking\n");
    SHOW(msync(shared, page, MS_SYNC));
    SHOW(msync(shared + 1, page, MS_SYNC));
    SHOW(msync(shared, page, MS_SYNC | MS_ASYNC));
    // A map outlives its descriptor and its name.
    CHECK(close(fd) == 0 && unlink("f") == 0);
    shared[1] = 'E';
    printf("%.5s\n", shared);
    put("r", "read only");
    int reader = open("r", O_RDONLY);
    OUTCOME(mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, reader, 0));
    OUTCOME(mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE, reader, 0));
    char *map = mmap(NULL, page, PROT_READ, MAP_SHARED, reader, 0);
    SHOW(mprotect(map, page, PROT_READ | PROT_WRITE));
    OUTCOME(mmap(NULL, page, PROT_READ, MAP_SHARED, reader, 1));
    int writer = open("r", O_WRONLY);
    OUTCOME(mmap(NULL, page, PROT_WRITE, MAP_SHARED, writer, 0));
    int folder = open(".", O_RDONLY);
    OUTCOME(mmap(NULL, page, PROT_READ, MAP_PRIVATE, folder, 0));
    return 0;
}
