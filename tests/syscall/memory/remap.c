// mremap: shrink, grow in place or move, fixed targets; contents stay. See mremap(2).
#include "check.h"
#include <sys/mman.h>

static const size_t page = 4096;

static char *area(size_t pages) {
    char *at = mmap(NULL, pages * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(at != MAP_FAILED);
    return at;
}

static int holds(const char *at, size_t length, char byte) {
    for (size_t i = 0; i < length; i++)
        if (at[i] != byte)
            return 0;
    return 1;
}

int main(void) {
    char *at = area(4);
    memset(at, 'a', 4 * page);
    printf("shrink stays %d\n", mremap(at, 4 * page, 2 * page, 0) == at);
    OUTCOME(mprotect(at + 2 * page, page, PROT_READ));
    // The two pages behind are free now, so growing works in place.
    printf("grow %d\n", mremap(at, 2 * page, 3 * page, 0) == at);
    printf("old %d, new %d\n", holds(at, 2 * page, 'a'), holds(at + 2 * page, page, 0));
    // A neighbour is in the way.
    char *neighbour = mmap(at + 3 * page, page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    CHECK(neighbour == at + 3 * page);
    OUTCOME(mremap(at, 3 * page, 5 * page, 0));
    char *moved = mremap(at, 3 * page, 100 * page, MREMAP_MAYMOVE);
    CHECK(moved != MAP_FAILED);
    printf("moved %d, contents %d, rest %d\n", moved != at, holds(moved, 2 * page, 'a'),
           holds(moved + 2 * page, 98 * page, 0));
    OUTCOME(mprotect(at, page, PROT_READ));
    char *target = area(100);
    memset(target, 't', 100 * page);
    char *fixed = mremap(moved, 100 * page, 50 * page, MREMAP_MAYMOVE | MREMAP_FIXED, target);
    printf("fixed %d, contents %d, behind %c\n", fixed == target, holds(fixed, 2 * page, 'a'), target[50 * page]);
    OUTCOME(mremap(fixed + 1, page, 2 * page, MREMAP_MAYMOVE));
    OUTCOME(mremap(fixed, page, 0, MREMAP_MAYMOVE));
    OUTCOME(mremap(fixed, 2 * page, 2 * page, MREMAP_FIXED, moved));
    OUTCOME(mremap((void *)(page * 3), page, 2 * page, MREMAP_MAYMOVE));
    OUTCOME(mremap(fixed, 10 * page, 10 * page, MREMAP_MAYMOVE | MREMAP_FIXED, fixed + page));
    // A shared mapping of a file grows over the file.
    int fd = open("f", O_RDWR | O_CREAT, 0644);
    CHECK(ftruncate(fd, 8 * page) == 0 && pwrite(fd, "far", 3, 5 * page) == 3);
    char *map = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    map = mremap(map, page, 8 * page, MREMAP_MAYMOVE);
    CHECK(map != MAP_FAILED);
    printf("%.3s\n", map + 5 * page);
    // realloc of large blocks uses it.
    char *block = malloc(1 << 20);
    memset(block, 'm', 1 << 20);
    block = realloc(block, 64 << 20);
    CHECK(block != NULL);
    printf("realloc %d\n", holds(block, 1 << 20, 'm'));
    block = realloc(block, 1000);
    printf("realloc %d\n", holds(block, 1000, 'm'));
    free(block);
    return 0;
}
