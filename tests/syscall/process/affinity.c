// sched_getaffinity(2), sched_setaffinity(2): whom they name, and what they refuse.
#include "check.h"
#include <sched.h>
#include <sys/syscall.h>

int main(void) {
    unsigned long mask[128] = {0};
    long got = syscall(SYS_sched_getaffinity, 0, sizeof mask, mask);
    CHECK(got > 0 && got % 8 == 0);
    CHECK(mask[0] != 0);
    SHOW(syscall(SYS_sched_getaffinity, -1, sizeof mask, mask));
    SHOW(syscall(SYS_sched_getaffinity, 0, 0, mask));
    SHOW(syscall(SYS_sched_getaffinity, 0, 1021, mask));
    SHOW(syscall(SYS_sched_getaffinity, -1, 7, mask));
    SHOW(syscall(SYS_sched_setaffinity, -1, sizeof mask, mask));
    SHOW(syscall(SYS_sched_setaffinity, 0, sizeof mask, mask));
    memset(mask, 0, sizeof mask);
    SHOW(syscall(SYS_sched_setaffinity, 0, sizeof mask, mask));
    return 0;
}
