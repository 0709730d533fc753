// Calls within calls: far deeper than any engine's own stack, through a library's callbacks, and left by longjmp(3) and
// signal handlers.
#include "check.h"
#include <setjmp.h>

static jmp_buf out;
static sigjmp_buf caught;
static volatile int handled;

__attribute__((noinline)) static long depth(long n, volatile long *sum) {
    volatile long own = n * 3;
    if (n > 0)
        *sum += depth(n - 1, sum) & 1;
    return own + n;
}

__attribute__((noinline)) static void jump_from(int n) {
    volatile char room[32];
    room[0] = (char)n;
    if (n == 0)
        longjmp(out, 7);
    jump_from(n - 1);
    room[1] = room[0];
}

// Sorts inside the comparison, so that libc's frames lie between ours.
static int levels;
static int compare(const void *a, const void *b) {
    int left = *(const int *)a, right = *(const int *)b;
    if (levels > 0) {
        int few[] = {left, right};
        levels--;
        qsort(few, 2, sizeof few[0], compare);
        CHECK(few[0] <= few[1]);
    }
    return (left > right) - (left < right);
}

static void on_signal(int number) {
    volatile long sum = 0;
    (void)number;
    handled++;
    depth(100, &sum);
    if (handled % 2 == 0)
        siglongjmp(caught, 1);
}

__attribute__((noinline)) static void raise_below(int n) {
    volatile int own = n;
    if (n == 0)
        raise(SIGUSR1);
    else
        raise_below(n - 1);
    CHECK(own == n);
}

int main(void) {
    volatile long sum = 0;
    printf("%ld", depth(50000, &sum));
    printf(" %ld\n", sum);

    volatile int jumps = 0;
    for (int i = 0; i < 3000; i++)
        if (setjmp(out) == 0)
            jump_from(i % 40);
        else
            jumps++;
    printf("%d jumps\n", jumps);

    for (int i = 0; i < 20; i++) {
        int numbers[40];
        for (int k = 0; k < 40; k++)
            numbers[k] = k * 7919 % 101 - i;
        levels = 300;
        qsort(numbers, 40, sizeof numbers[0], compare);
        for (int k = 1; k < 40; k++)
            CHECK(numbers[k - 1] <= numbers[k]);
    }
    printf("sorted\n");

    CHECK(signal(SIGUSR1, on_signal) != SIG_ERR);
    volatile int returned = 0, left = 0;
    for (int i = 0; i < 200; i++)
        if (sigsetjmp(caught, 1) == 0) {
            raise_below(i % 50);
            returned++;
        } else
            left++;
    printf("%d handled, %d returned, %d left\n", handled, returned, left);
    return 0;
}
