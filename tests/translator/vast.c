// A program with more code than is translated for its sake alone; it calls one function as often as its argument says.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

// What tells how to unwind it says how large it is.
__asm__(".pushsection .text\nbig: .cfi_startproc\n.skip 8 << 20\n.cfi_endproc\n.popsection");

static void ignore(int number) { (void)number; }

__attribute__((noinline, noclone, noipa)) static long step(long value) {
    return value * 5 + 1;
}

int main(int argc, char **argv) {
    // From here on faults find all registers, which makes code larger still.
    signal(SIGSEGV, ignore);
    long value = argc;
    for (long count = atol(argv[1]); count > 0; count--) value = step(value);
    printf("%ld\n", value);
}
