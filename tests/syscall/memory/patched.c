// Code of a file that changes after it was run often: patched through mprotect, mapped over, by a child alone.
#include "check.h"
#include "emit.h"
#include <sys/mman.h>

enum { PAGE = 4096, OFTEN = 5000 };

__attribute__((noinline, noclone, aligned(4096))) static int value(int number) {
    __asm__ volatile("" : "+r"(number));
    return number + 1;
}

// So that nothing else is in the page of `value`.
__attribute__((noinline, noclone, aligned(4096))) static long often(function *call) {
    long sum = 0;
    for (int i = 0; i < OFTEN; i++)
        sum += call(i);
    return sum;
}

static void patch(unsigned char *at, int number) {
    CHECK(mprotect(at, PAGE, PROT_READ | PROT_WRITE) == 0);
    emit(at, number);
    CHECK(mprotect(at, PAGE, PROT_READ | PROT_EXEC) == 0);
}

int main(void) {
    function *volatile hidden = value;
    function *call = hidden;
    unsigned char *at = (unsigned char *)call;
    printf("as built: %ld\n", often(call));
    pid_t pid = quiet_fork();
    if (pid == 0) {
        patch(at, 9);
        printf("in a child: %ld\n", often(call));
        fflush(stdout);
        _exit(0);
    }
    show_end("child", pid);
    printf("here: %ld\n", often(call));
    for (int number = 2; number < 5; number++) {
        patch(at, number);
        printf("patched: %ld\n", often(call));
    }
    // Written to while it can be executed.
    CHECK(mprotect(at, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC) == 0);
    long sum = 0;
    for (int i = 0; i < 200; i++) {
        emit(at, i % 50);
        sum += call(i);
    }
    printf("patched and called by turns: %ld\n", sum);
    // Another mapping in its place.
    CHECK(mmap(at, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == at);
    emit(at, 7);
    printf("mapped over: %ld\n", often(call));
    return 0;
}
