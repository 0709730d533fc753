// madvise(MADV_DONTNEED), brk and sbrk, mincore-free residency, mlock results are not compared. See madvise(2), brk(2).
#include "check.h"
#include <sys/mman.h>

int main(void) {
    const size_t page = 4096;
    char *at = mmap(NULL, 4 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(at, 'x', 4 * page);
    SHOW(madvise(at + page, page, MADV_DONTNEED));
    printf("%c %d %c\n", at[0], at[page], at[2 * page]);
    SHOW(madvise(at + 1, page, MADV_DONTNEED));
    SHOW(madvise(at, page, MADV_WILLNEED));
    SHOW(madvise(at, page, MADV_NORMAL));
    SHOW(madvise(at, page, 9999));
    put("f", "file contents");
    int fd = open("f", O_RDWR);
    char *map = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    map[0] = 'F';
    printf("%.13s\n", map);
    SHOW(madvise(map, page, MADV_DONTNEED));
    printf("%.13s\n", map);
    char *shared = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    shared[1] = 'I';
    SHOW(madvise(shared, page, MADV_DONTNEED));
    printf("%.13s\n", shared);
    CHECK(munmap(at + page, page) == 0);
    SHOW(madvise(at, 3 * page, MADV_DONTNEED));
    printf("before the gap %d, behind it %d\n", at[0], at[2 * page]);

    char *start = sbrk(0);
    CHECK(sbrk(3 * page) == start);
    int zeros = 1;
    for (size_t i = 0; i < 3 * page; i++)
        zeros &= start[i] == 0;
    printf("fresh %d\n", zeros);
    memset(start, 'b', 3 * page);
    CHECK(sbrk(-2 * (intptr_t)page) == start + 3 * page);
    printf("shrunk %d, kept %c\n", (char *)sbrk(0) == start + page, start[page - 1]);
    CHECK(sbrk(2 * page) != (void *)-1);
    // The first whole page of what was given back is zero again.
    char *again = (char *)(((uintptr_t)start + 2 * page - 1) & ~(page - 1));
    printf("fresh again %d\n", again[0] == 0 && again[page - 1] == 0);
    SHOW(brk(start));
    printf("back %d\n", sbrk(0) == (void *)start);
    OUTCOME(sbrk((intptr_t)1 << 60));
    return 0;
}
