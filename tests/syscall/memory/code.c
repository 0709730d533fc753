// Code written at run time: write, make executable, run, write other code at the same place. RISC-V or x86-64.
#include "check.h"
#include <sys/mman.h>

typedef int function(void);

// A function that returns a small number.
static size_t emit(unsigned char *at, int value) {
#if defined(__riscv)
    uint32_t code[2] = {0x00000513u | (uint32_t)value << 20, 0x00008067u}; // li a0, value; ret
    memcpy(at, code, sizeof code);
    return sizeof code;
#elif defined(__x86_64__)
    unsigned char code[6] = {0xb8, (unsigned char)value, 0, 0, 0, 0xc3}; // mov eax, value; ret
    memcpy(at, code, sizeof code);
    return sizeof code;
#else
#error "no code for this machine"
#endif
}

static int call(unsigned char *at, size_t length) {
    __builtin___clear_cache((char *)at, (char *)at + length);
    return ((function *)at)();
}

int main(void) {
    const size_t page = 4096;
    unsigned char *at = mmap(NULL, page, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(at != MAP_FAILED);
    printf("%d\n", call(at, emit(at, 1)));
    int sum = 0;
    for (int i = 0; i < 100; i++)
        sum += call(at, emit(at, i));
    printf("%d\n", sum);
    // Write protected while it runs, as careful compilers do.
    for (int i = 10; i < 13; i++) {
        CHECK(mprotect(at, page, PROT_READ | PROT_WRITE) == 0);
        size_t length = emit(at, i);
        CHECK(mprotect(at, page, PROT_READ | PROT_EXEC) == 0);
        printf("%d\n", call(at, length));
    }
    // Another mapping at the same address.
    CHECK(munmap(at, page) == 0);
    unsigned char *again = mmap(at, page, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    CHECK(again == at);
    printf("%d\n", call(at, emit(at, 77)));
    // A child overwrites its own copy only.
    pid_t pid = quiet_fork();
    if (pid == 0)
        _exit(call(at, emit(at, 78)));
    show_end("child", pid);
    printf("%d\n", call(at, 8));
    return 0;
}
