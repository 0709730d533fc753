// riscv_hwprobe: what is told of the processors. Elsewhere, what Linux documents (Documentation/arch/riscv/hwprobe.rst).
#include "check.h"
#include <sys/syscall.h>

#if defined(__riscv)
struct pair {
    int64_t key;
    uint64_t value;
};

static long probe(struct pair *pairs, size_t count, size_t size, void *cpus, unsigned flags) {
    return syscall(258, pairs, count, size, cpus, flags);
}

int main(void) {
    struct pair pairs[] = {{3, 9}, {4, 9}, {5, 9}, {9, 9}, {1234567, 9}, {-2, 9}};
    CHECK(probe(pairs, 6, 0, NULL, 0) == 0);
    printf("base %d, extensions F, D, C %d, misaligned fast %d %d\n", pairs[0].value == 1, (pairs[1].value & 3) == 3,
           (pairs[2].value & 7) == 3, pairs[3].value == 3);
    printf("unknown %ld %ld, %ld %ld\n", (long)pairs[4].key, (long)pairs[4].value, (long)pairs[5].key, (long)pairs[5].value);
    unsigned long cpus = 1, none = 0;
    SHOW(probe(pairs, 1, sizeof cpus, &cpus, 0));
    SHOW(probe(pairs, 1, sizeof none, &none, 0));
    SHOW(probe(pairs, 1, sizeof none, NULL, 0));
    SHOW(probe(pairs, 1, 0, NULL, 2));
    SHOW(probe(NULL, 1, 0, NULL, 0));
    SHOW(probe(NULL, 0, 0, NULL, 0));
    // Which processors have these values: those that have more, too.
    struct pair wanted[] = {{4, 1}, {3, 1}};
    SHOW(probe(wanted, 2, 0, NULL, 1));
    SHOW(probe(wanted, 2, sizeof none, &none, 1));
    printf("%d\n", (int)(none & 1));
    struct pair others[] = {{4, 1}, {1234567, 0}};
    SHOW(probe(others, 2, sizeof cpus, &cpus, 1));
    printf("%d, %ld\n", (int)(cpus & 1), (long)others[1].key);
}
#else
int main(void) {
    puts("base 1, extensions F, D, C 1, misaligned fast 1 1\n"
         "unknown -1 0, -1 0\n"
         "probe(pairs, 1, sizeof cpus, &cpus, 0) = 0\n"
         "probe(pairs, 1, sizeof none, &none, 0) = EINVAL\n"
         "probe(pairs, 1, sizeof none, NULL, 0) = EFAULT\n"
         "probe(pairs, 1, 0, NULL, 2) = EINVAL\n"
         "probe(NULL, 1, 0, NULL, 0) = EFAULT\n"
         "probe(NULL, 0, 0, NULL, 0) = 0\n"
         "probe(wanted, 2, 0, NULL, 1) = EINVAL\n"
         "probe(wanted, 2, sizeof none, &none, 1) = 0\n"
         "1\n"
         "probe(others, 2, sizeof cpus, &cpus, 1) = 0\n"
         "0, -1");
}
#endif
