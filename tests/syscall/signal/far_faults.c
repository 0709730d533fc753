// Accesses above 4 GiB, from code that ran often before: without a handler the process dies of them, with one it goes on.
#include "check.h"
#include <setjmp.h>

static sigjmp_buf out;
static volatile unsigned long address;
static long cells[512];

__attribute__((noinline)) static long sum(const long *from, long count) {
    long total = 0;
    for (long k = 0; k < count; k++) total += from[k];
    return total;
}

__attribute__((noinline)) static void fill(long *to, long count, long value) {
    for (long k = 0; k < count; k++) to[k] = value + k;
}

static void run_often(void) {
    long total = 0;
    for (int turn = 0; turn < 3000; turn++) {
        fill(cells, 512, turn);
        total += sum(cells, 512);
    }
    printf("total %ld\n", total);
}

static void on_fault(int number, siginfo_t *info, void *context) {
    (void)number, (void)context;
    address = (unsigned long)info->si_addr;
    siglongjmp(out, 1);
}

// How a child ends that reads or writes there.
static void dies(const char *what, long *where, int writes) {
    fflush(stdout);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        if (writes)
            fill(where, 4, 1);
        else
            printf("read %ld\n", sum(where, 4));
        _exit(0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    printf("%s: %s %d\n", what, WIFSIGNALED(status) ? "signal" : "exit", WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
}

int main(void) {
    run_often();
    dies("read at 1 << 40", (long *)(1ul << 40), 0);
    dies("write at 1 << 40", (long *)(1ul << 40), 1);
    dies("read at 1 << 33", (long *)((1ul << 33) + 64), 0);
    dies("read below 0", (long *)-64l, 0);
    dies("write below 0", (long *)-64l, 1);
    dies("read at 0", NULL, 0);
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    CHECK(sigaction(SIGSEGV, &action, NULL) == 0);
    for (int turn = 0; turn < 3; turn++) {
        run_often();
        if (sigsetjmp(out, 1) == 0) {
            printf("read %ld\n", sum((long *)((1ul << 40) + 4096 * (unsigned long)turn), 4));
        } else {
            printf("fault at %#lx\n", address);
        }
        if (sigsetjmp(out, 1) == 0) {
            fill((long *)((1ul << 40) + 8192), 4, 5);
        } else {
            printf("fault at %#lx\n", address);
        }
    }
    printf("sum %ld\n", sum(cells, 512));
    return 0;
}
