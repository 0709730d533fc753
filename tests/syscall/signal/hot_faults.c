// Faults in code that was run often: left by siglongjmp, repaired by the handler, stepped over in the ucontext. What the
// code had in registers must be right afterwards. RISC-V or x86-64.
#include "check.h"
#include <setjmp.h>
#include <sys/mman.h>
#include <ucontext.h>

enum { PAGE = 4096, PAGES = 64, ROUNDS = 3000 };

static sigjmp_buf back;
static char *memory;
static volatile int faults;
static volatile uintptr_t last;

// The loads and stores of `step_over`: where they are and where they end.
extern char load_begins[], load_ends[], store_begins[], store_ends[];

__attribute__((noinline, noclone, noipa)) static long step_over(long *at, long before) {
    long value = before;
#if defined(__riscv)
    __asm__ volatile(".globl load_begins, load_ends, store_begins, store_ends\n"
                     "load_begins: ld %0, 0(%1)\nload_ends:\naddi %0, %0, 1\nstore_begins: sd %0, 0(%1)\nstore_ends:"
                     : "+r"(value)
                     : "r"(at)
                     : "memory");
#elif defined(__x86_64__)
    __asm__ volatile(".globl load_begins, load_ends, store_begins, store_ends\n"
                     "load_begins: mov (%1), %0\nload_ends:\nadd $1, %0\nstore_begins: mov %0, (%1)\nstore_ends:"
                     : "+r"(value)
                     : "r"(at)
                     : "memory");
#else
#error "no code for this machine"
#endif
    return value;
}

static void leave(int number, siginfo_t *info, void *context) {
    (void)number, (void)context;
    last = (uintptr_t)info->si_addr;
    faults++;
    siglongjmp(back, 1);
}

static void repair(int number, siginfo_t *info, void *context) {
    (void)number, (void)context;
    faults++;
    char *page = (char *)((uintptr_t)info->si_addr & ~(uintptr_t)(PAGE - 1));
    CHECK(page >= memory && page < memory + PAGES * PAGE);
    CHECK(mprotect(page, PAGE, PROT_READ | PROT_WRITE) == 0);
}

static void skip(int number, siginfo_t *info, void *context) {
    (void)number, (void)info;
    ucontext_t *user = context;
    faults++;
#if defined(__riscv)
    unsigned long *pc = &user->uc_mcontext.__gregs[0];
#else
    long long *pc = &user->uc_mcontext.gregs[REG_RIP];
#endif
    if ((char *)*pc == load_begins)
        *pc = (uintptr_t)load_ends;
    else if ((char *)*pc == store_begins)
        *pc = (uintptr_t)store_ends;
    else
        _exit(9);
}

static void handle(void (*handler)(int, siginfo_t *, void *)) {
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
    CHECK(sigaction(SIGSEGV, &action, NULL) == 0);
    faults = 0;
}

// Many values that live over each access.
__attribute__((noinline, noclone, noipa)) static long mix(char *at, long step, long count) {
    long a = 1, b = 2, c = 3, d = 4, e = 5;
    for (long i = 0; i < count; i++) {
        a = a * 31 + i;
        b ^= a >> 7;
        long *word = (long *)(at + i * step);
        c += *word;
        d = d * 17 + b;
        *word = d;
        e = e * 13 + c;
    }
    return a ^ b ^ c ^ d ^ e;
}

__attribute__((noinline, noclone, noipa)) static int through(char *at) {
    return *(volatile signed char *)at + 1;
}

static void left(void) {
    handle(leave);
    volatile long good = 0;
    for (volatile int i = 0; i < ROUNDS; i++) {
        if (sigsetjmp(back, 1) == 0)
            good += through(i % 3 == 2 ? (char *)(intptr_t)i : memory);
        else
            CHECK(last == (uintptr_t)i);
    }
    printf("left: %d faults, %ld good\n", faults, good);
}

static void repaired(void) {
    long clean = 0, mended = 0;
    handle(repair);
    for (int round = 0; round < 40; round++) {
        memset(memory, 1, PAGES * PAGE);
        clean += mix(memory, 512, PAGES * PAGE / 512);
        memset(memory, 1, PAGES * PAGE);
        // Half of the pages can be read, the others not even that.
        for (int page = 0; page < PAGES; page++)
            CHECK(mprotect(memory + page * PAGE, PAGE, page % 2 ? PROT_READ : PROT_NONE) == 0);
        mended += mix(memory, 512, PAGES * PAGE / 512);
    }
    printf("repaired: %d faults, %ld, %s\n", faults, clean, clean == mended ? "the same" : "another sum");
}

static void skipped(void) {
    handle(skip);
    long sum = 0;
    long *word = (long *)memory;
    *word = 0;
    for (int i = 0; i < ROUNDS; i++)
        sum += step_over(i % 5 == 4 ? NULL : word, i);
    printf("skipped: %d faults, %ld, %ld\n", faults, sum, *word);
}

int main(void) {
    memory = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(memory != MAP_FAILED);
    // Hot before there is a handler.
    memset(memory, 1, PAGES * PAGE);
    long sum = 0;
    for (int i = 0; i < 20; i++)
        sum += mix(memory, 64, PAGES * PAGE / 64);
    for (int i = 0; i < ROUNDS; i++)
        sum += through(memory) + step_over((long *)memory, i);
    printf("before: %ld\n", sum);
    left();
    repaired();
    skipped();
    pid_t pid = quiet_fork();
    if (pid == 0) {
        repaired();
        fflush(stdout);
        signal(SIGSEGV, SIG_DFL);
        _exit(through(NULL));
    }
    show_end("default", pid);
    return 0;
}
