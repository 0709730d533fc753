// Faults as signals: si_addr, si_code, siglongjmp out, a second stack, default ends. See sigaction(2), sigaltstack(2).
#include "check.h"
#include <setjmp.h>
#include <sys/mman.h>

static sigjmp_buf back;
static char *page;
static volatile sig_atomic_t on_second_stack;
static char second_stack[65536];

static void fault(int number, siginfo_t *info, void *context) {
    (void)context;
    char here;
    on_second_stack = &here >= second_stack && &here < second_stack + sizeof second_stack;
    char *at = info->si_addr;
    printf("SIG%s code %d, %s, second stack %d\n", sigabbrev_np(number), info->si_code,
           at == page + 5 ? "at byte 5 of the page" : at == (char *)16 ? "at 16" : "elsewhere", on_second_stack);
    siglongjmp(back, 1);
}

static int recurse(volatile int depth) {
    volatile char frame[4096];
    frame[0] = (char)depth;
    return depth == 0 ? frame[0] : recurse(depth - 1) + frame[0];
}

int main(void) {
    stack_t stack = {.ss_sp = second_stack, .ss_size = sizeof second_stack}, old;
    CHECK(sigaltstack(&stack, &old) == 0);
    printf("before: disabled %d\n", old.ss_flags == SS_DISABLE);
    CHECK(sigaltstack(NULL, &old) == 0);
    printf("now: flags %d, size %zu\n", old.ss_flags, old.ss_size);
    stack.ss_size = 100;
    SHOW(sigaltstack(&stack, NULL));
    struct sigaction action = {.sa_sigaction = fault, .sa_flags = SA_SIGINFO};
    CHECK(sigaction(SIGSEGV, &action, NULL) == 0 && sigaction(SIGBUS, &action, NULL) == 0);
    page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(page != MAP_FAILED);
    if (sigsetjmp(back, 1) == 0)
        page[5] = 1;
    CHECK(mprotect(page, 4096, PROT_NONE) == 0);
    if (sigsetjmp(back, 1) == 0)
        printf("%d\n", *(volatile char *)(page + 5));
    CHECK(munmap(page, 4096) == 0);
    if (sigsetjmp(back, 1) == 0)
        page[5] = 1;
    if (sigsetjmp(back, 1) == 0)
        *(volatile char *)(intptr_t)16 = 1;
    // The handler repaired nothing, yet the mask is back: the next fault is delivered again.
    action.sa_flags |= SA_ONSTACK;
    CHECK(sigaction(SIGSEGV, &action, NULL) == 0);
    if (sigsetjmp(back, 1) == 0)
        *(volatile char *)(intptr_t)16 = 1;
    if (sigsetjmp(back, 1) == 0)
        printf("%d\n", recurse(1 << 20));
    printf("still here\n");
    pid_t pid = quiet_fork();
    if (pid == 0) {
        signal(SIGSEGV, SIG_DFL);
        *(volatile char *)(intptr_t)16 = 1;
        _exit(0);
    }
    show_end("default", pid);
    pid = quiet_fork();
    if (pid == 0) {
        signal(SIGSEGV, SIG_IGN);
        *(volatile char *)(intptr_t)16 = 1;
        _exit(0);
    }
    show_end("ignored", pid);
    pid = quiet_fork();
    if (pid == 0)
        abort();
    show_end("abort", pid);
    return 0;
}
