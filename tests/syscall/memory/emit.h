// Code that test programs write themselves. RISC-V or x86-64.
#ifndef EMIT_H
#define EMIT_H

#include <stdint.h>
#include <string.h>

typedef int function(int);

// A function that adds a small number to its argument.
static void emit(unsigned char *at, int number) {
#if defined(__riscv)
    uint32_t code[2] = {0x0005051bu | (uint32_t)number << 20, 0x00008067u}; // addiw a0, a0, number; ret
#elif defined(__x86_64__)
    unsigned char code[4] = {0x8d, 0x47, (unsigned char)number, 0xc3}; // lea eax, [rdi + number]; ret
#else
#error "no code for this machine"
#endif
    memcpy(at, code, sizeof code);
#if defined(__riscv)
    // Without a system call, as programs with one thread may.
    if (number % 2 != 0) {
        __asm__ volatile("fence.i" ::: "memory");
        return;
    }
#endif
    __builtin___clear_cache((char *)at, (char *)at + sizeof code);
}

#endif
