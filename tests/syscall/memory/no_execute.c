// Pages without PROT_EXEC cannot be executed. See mprotect(2).
#include "check.h"
#include <sys/mman.h>

// Returns 1; copied to pages as data.
static const unsigned char code[] = {
#if defined(__riscv)
    0x05, 0x45, 0x82, 0x80, // c.li a0, 1; c.ret
#else
    0xb8, 1, 0, 0, 0, 0xc3, // mov eax, 1; ret
#endif
};

static void try(const char *what, int protection) {
    char *at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(at != MAP_FAILED);
    memcpy(at, code, sizeof code);
    CHECK(mprotect(at, 4096, protection) == 0);
    pid_t pid = quiet_fork();
    if (pid == 0) {
        __builtin___clear_cache(at, at + sizeof code);
        _exit(((int (*)(void))at)());
    }
    show_end(what, pid);
}

int main(void) {
    try("executable", PROT_READ | PROT_EXEC);
    try("readable", PROT_READ);
    try("writable", PROT_READ | PROT_WRITE);
    try("nothing", PROT_NONE);
    return 0;
}
