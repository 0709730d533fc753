// mmap, munmap, MAP_FIXED, zero pages, partial unmaps, bad arguments. See mmap(2).
#include "check.h"
#include <setjmp.h>
#include <sys/mman.h>

static sigjmp_buf back;

static void fault(int number) {
    siglongjmp(back, number);
}

// How a byte can be used: r, w or -.
static void probe(const char *what, volatile char *at) {
    char can[3] = "--";
    if (sigsetjmp(back, 1) == 0) {
        (void)*at;
        can[0] = 'r';
    }
    if (sigsetjmp(back, 1) == 0) {
        *at = 1;
        can[1] = 'w';
    }
    printf("%s: %s\n", what, can);
}

int main(void) {
    signal(SIGSEGV, fault);
    signal(SIGBUS, fault);
    const size_t page = 4096;
    char *area = mmap(NULL, 8 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(area != MAP_FAILED && ((uintptr_t)area & (page - 1)) == 0);
    for (size_t i = 0; i < 8 * page; i++)
        CHECK(area[i] == 0);
    memset(area, 'x', 8 * page);
    SHOW(munmap(area + 2 * page, 2 * page));
    probe("before the gap", area + 2 * page - 1);
    probe("first of the gap", area + 2 * page);
    probe("last of the gap", area + 4 * page - 1);
    probe("after the gap", area + 4 * page);
    SHOW(munmap(area + 2 * page, 2 * page));
    OUTCOME(mmap(area + 2 * page, page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0));
    OUTCOME(mmap(area + page, 2 * page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0));
    probe("filled gap", area + 2 * page);
    char *fixed = mmap(area, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    printf("replaced %d, first byte %d, next page %c\n", fixed == area, fixed[0], area[page]);
    SHOW(mprotect(area, page, PROT_READ));
    probe("read only", area);
    SHOW(mprotect(area, page, PROT_NONE));
    probe("none", area);
    SHOW(mprotect(area, page, PROT_READ | PROT_WRITE));
    probe("back", area);
    SHOW(mprotect(area + 1, page, PROT_READ));
    SHOW(mprotect(area + 2 * page, 2 * page, PROT_READ));
    OUTCOME(mmap(NULL, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    OUTCOME(mmap(NULL, page, PROT_READ, MAP_ANONYMOUS, -1, 0));
    OUTCOME(mmap(NULL, page, PROT_READ, MAP_PRIVATE, 99, 0));
    OUTCOME(mmap(area + 1, page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
    OUTCOME(mmap(NULL, (size_t)1 << 62, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    SHOW(munmap(area + 1, page));
    SHOW(munmap(area, 0));
    SHOW(munmap(area, 8 * page));
    probe("gone", area);
    probe("address zero", (char *)8);
    // Memory that is reserved and not used costs nothing.
    size_t large = (size_t)1 << 30;
    char *reserve = mmap(NULL, large, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(reserve != MAP_FAILED);
    SHOW(mprotect(reserve + large / 2, page, PROT_READ | PROT_WRITE));
    probe("middle", reserve + large / 2);
    probe("start", reserve);
    SHOW(munmap(reserve, large));
    // Many small maps.
    int made = 0;
    for (int i = 0; i < 1000; i++) {
        char *one = mmap(NULL, page * (1 + i % 3), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        CHECK(one != MAP_FAILED);
        one[0] = 1;
        made += munmap(one, page * (1 + i % 3)) == 0;
    }
    printf("made %d\n", made);
    return 0;
}
