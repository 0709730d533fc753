// A program with more code than is translated for its sake alone; it calls one function as often as its argument says.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

// What tells how to unwind it says how large it is.
__asm__(".pushsection .text\nbig: .cfi_startproc\n.skip 26 << 20\n.cfi_endproc\n.popsection");

static void ignore(int number) { (void)number; }

// As much code as makes a module.
__attribute__((noinline, noclone, noipa)) static long step(long value) {
    __asm__(".rept 9000\naddi %0, %0, 100\n.endr" : "+r"(value));
    return value;
}

int main(int argc, char **argv) {
    // From here on code is of the variant in which faults find all registers.
    signal(SIGSEGV, ignore);
    long value = argc;
    for (long count = atol(argv[1]); count > 0; count--) value = step(value);
    printf("%ld\n", value);
}
