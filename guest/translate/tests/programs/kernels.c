/* Small programs of different shapes: each takes a size and gives a checksum. */
typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long i64;

/* Without a C library: what the compiler itself calls. */
#ifndef NATIVE
void *memset(void *to, int value, unsigned long count) {
    u8 *bytes = to;
    while (count--) {
        *bytes++ = value;
        __asm__ volatile("" ::: "memory");
    }
    return to;
}
void *memcpy(void *to, const void *from, unsigned long count) {
    u8 *bytes = to;
    const u8 *source = from;
    while (count--) {
        *bytes++ = *source++;
        __asm__ volatile("" ::: "memory");
    }
    return to;
}
#endif

__attribute__((noinline)) static i64 fib(i64 n) {
    return n < 2 ? n : fib(n - 1) + fib(n - 2);
}
i64 run_fib(i64 n) {
    return fib(n);
}

static const u32 K[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};
#define ROTATE(x, n) ((x) >> (n) | (x) << (32 - (n)))
__attribute__((noinline)) static void sha256(u32 h[8], const u8 *block) {
    u32 w[64], s[8];
    for (int i = 0; i < 16; i++)
        w[i] = (u32)block[4 * i] << 24 | block[4 * i + 1] << 16 | block[4 * i + 2] << 8 | block[4 * i + 3];
    for (int i = 16; i < 64; i++)
        w[i] = w[i - 16] + w[i - 7] + (ROTATE(w[i - 15], 7) ^ ROTATE(w[i - 15], 18) ^ w[i - 15] >> 3)
             + (ROTATE(w[i - 2], 17) ^ ROTATE(w[i - 2], 19) ^ w[i - 2] >> 10);
    for (int i = 0; i < 8; i++) s[i] = h[i];
    for (int i = 0; i < 64; i++) {
        u32 a = s[0], e = s[4];
        u32 t = s[7] + (ROTATE(e, 6) ^ ROTATE(e, 11) ^ ROTATE(e, 25)) + ((e & s[5]) ^ (~e & s[6])) + K[i] + w[i];
        u32 u = (ROTATE(a, 2) ^ ROTATE(a, 13) ^ ROTATE(a, 22)) + ((a & s[1]) ^ (a & s[2]) ^ (s[1] & s[2]));
        s[7] = s[6], s[6] = s[5], s[5] = e, s[4] = s[3] + t, s[3] = s[2], s[2] = s[1], s[1] = a, s[0] = t + u;
    }
    for (int i = 0; i < 8; i++) h[i] += s[i];
}
i64 run_sha256(i64 n) {
    u32 h[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    static u8 block[64];
    while (n--) {
        block[n & 63] += n;
        sha256(h, block);
    }
    return h[0] ^ (u64)h[7] << 32;
}

static u32 values[1 << 16];
static void quicksort(u32 *a, i64 low, i64 high) {
    while (low < high) {
        u32 pivot = a[(low + high) / 2];
        i64 i = low, j = high;
        while (i <= j) {
            while (a[i] < pivot) i++;
            while (a[j] > pivot) j--;
            if (i <= j) {
                u32 t = a[i];
                a[i++] = a[j];
                a[j--] = t;
            }
        }
        if (j - low < high - i) {
            quicksort(a, low, j);
            low = i;
        } else {
            quicksort(a, i, high);
            high = j;
        }
    }
}
i64 run_sort(i64 n) {
    u64 sum = 0;
    u32 x = 1;
    for (i64 k = 0; k < n; k++) {
        for (int i = 0; i < 1 << 16; i++) values[i] = x = x * 1664525 + 1013904223;
        quicksort(values, 0, (1 << 16) - 1);
        for (int i = 0; i < 1 << 16; i += 97) sum = sum * 31 + values[i];
    }
    return sum;
}

static u64 keys[1 << 16];
static u32 counts[1 << 16];
i64 run_hash(i64 n) {
    u64 x = 88172645463325252ull, sum = 0;
    for (i64 i = 0; i < n; i++) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        u64 key = x % 40000 + 1;
        u32 at = key * 0x9e3779b97f4a7c15ull >> 48;
        while (keys[at] && keys[at] != key) at = (at + 1) & 0xffff;
        keys[at] = key;
        sum += counts[at]++;
    }
    return sum;
}

struct body {
    double x, y, z, vx, vy, vz, mass;
};
static struct body bodies[5];
static double root(double a) {
    return __builtin_sqrt(a);
}
__attribute__((noinline)) static void advance(double dt) {
    for (int i = 0; i < 5; i++)
        for (int j = i + 1; j < 5; j++) {
            struct body *a = &bodies[i], *b = &bodies[j];
            double dx = a->x - b->x, dy = a->y - b->y, dz = a->z - b->z;
            double d = dx * dx + dy * dy + dz * dz;
            double m = dt / (d * root(d));
            a->vx -= dx * b->mass * m, a->vy -= dy * b->mass * m, a->vz -= dz * b->mass * m;
            b->vx += dx * a->mass * m, b->vy += dy * a->mass * m, b->vz += dz * a->mass * m;
        }
    for (int i = 0; i < 5; i++) {
        struct body *a = &bodies[i];
        a->x += dt * a->vx, a->y += dt * a->vy, a->z += dt * a->vz;
    }
}
i64 run_nbody(i64 n) {
    for (int i = 0; i < 5; i++) {
        struct body b = {i * 1.5 + 0.1, i * i * 0.7, 3.3 - i, 0.01 * i, 0.3 - 0.1 * i, 0.02, 1.0 / (i + 1)};
        bodies[i] = b;
    }
    while (n--) advance(0.001);
    double sum = 0;
    for (int i = 0; i < 5; i++) sum += bodies[i].x + bodies[i].vy;
    return (i64)(sum * 1e9);
}

enum { PUSH, ADD, SUB, JUMP_IF, STORE, LOAD, MUL, XOR, STOP };
static const int program[] = {PUSH, 1,  STORE, 1, LOAD, 0, PUSH, 1, SUB, STORE, 0, LOAD,    1, LOAD, 0, MUL, PUSH, 7,
                              ADD,  STORE, 1,  LOAD, 1, LOAD, 0, XOR, STORE, 1, LOAD, 0, JUMP_IF, 4, STOP};
i64 run_switch(i64 n) {
    i64 stack[16], slots[2] = {n, 0};
    int sp = 0, pc = 0;
    for (;;) switch (program[pc++]) {
            case PUSH: stack[sp++] = program[pc++]; break;
            case ADD: sp--, stack[sp - 1] += stack[sp]; break;
            case SUB: sp--, stack[sp - 1] -= stack[sp]; break;
            case MUL: sp--, stack[sp - 1] *= stack[sp]; break;
            case XOR: sp--, stack[sp - 1] ^= stack[sp]; break;
            case STORE: slots[program[pc++]] = stack[--sp]; break;
            case LOAD: stack[sp++] = slots[program[pc++]]; break;
            case JUMP_IF: pc = stack[--sp] ? program[pc] : pc + 1; break;
            default: return slots[1];
        }
}

i64 run_goto(i64 n) {
    static const void *const labels[] = {&&push, &&add, &&sub, &&jump_if, &&store, &&load, &&mul, &&xor, &&stop};
    i64 stack[16], slots[2] = {n, 0};
    int sp = 0, pc = 0;
#define NEXT goto *labels[program[pc++]]
    NEXT;
push: stack[sp++] = program[pc++]; NEXT;
add: sp--, stack[sp - 1] += stack[sp]; NEXT;
sub: sp--, stack[sp - 1] -= stack[sp]; NEXT;
mul: sp--, stack[sp - 1] *= stack[sp]; NEXT;
xor: sp--, stack[sp - 1] ^= stack[sp]; NEXT;
store: slots[program[pc++]] = stack[--sp]; NEXT;
load: stack[sp++] = slots[program[pc++]]; NEXT;
jump_if: pc = stack[--sp] ? program[pc] : pc + 1; NEXT;
stop: return slots[1];
}

typedef i64 (*operation)(i64, i64);
__attribute__((noinline)) static i64 op_add(i64 a, i64 b) { return a + b; }
__attribute__((noinline)) static i64 op_xor(i64 a, i64 b) { return a ^ b << 1; }
__attribute__((noinline)) static i64 op_sub(i64 a, i64 b) { return b - a; }
static operation volatile operations[3] = {op_add, op_xor, op_sub};
i64 run_pointers(i64 n) {
    i64 sum = 0;
    for (i64 i = 0; i < n; i++) sum = operations[i % 3](sum, i);
    return sum;
}

// An interpreter of so many blocks that the translator treats it as a large function: 64 instructions, each with branches,
// stores, a call, and a jump of its own to the next.
static i64 cells[64];
#define STEP(k)                                                                                                        \
    step_##k:                                                                                                          \
    x = x * 6364136223846793005ull + 2 * k + 1;                                                                        \
    if (x >> 62 & 1) cells[x >> 40 & 63] += a;                                                                         \
    if (x >> 61 & 1) a ^= cells[k & 63], b += k;                                                                            \
    else if (x >> 60 & 1) cells[k & 63] = b;                                                                                \
    if (x >> 58 & 1) cells[x >> 34 & 63] ^= b;                                                                              \
    if (x >> 59 & 1) b = operations[k % 3](a, b), a += b >> 3;                                                         \
    if (!--n) return a ^ b;                                                                                            \
    goto *labels[x >> 33 & 63];
#define EIGHT(of, t) of(t##0) of(t##1) of(t##2) of(t##3) of(t##4) of(t##5) of(t##6) of(t##7)
#define ALL(of) EIGHT(of, 1) EIGHT(of, 2) EIGHT(of, 3) EIGHT(of, 4) EIGHT(of, 5) EIGHT(of, 6) EIGHT(of, 7) EIGHT(of, 8)
#define LABEL(k) &&step_##k,
i64 run_large(i64 n) {
    static const void *const labels[] = {ALL(LABEL)};
    u64 x = 1;
    i64 a = 3, b = 5;
    for (int i = 0; i < 64; i++) cells[i] = i;
    goto *labels[0];
    ALL(STEP)
}

#ifdef NATIVE
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
int main(int argc, char **argv) {
    i64 (*const all[])(i64) = {run_fib, run_sha256, run_sort, run_hash, run_nbody, run_switch, run_goto, run_pointers, run_large};
    for (int i = 0; i + 1 < argc && i < 9; i++) {
        struct timespec a, b;
        clock_gettime(CLOCK_MONOTONIC, &a);
        i64 value = all[i](atoll(argv[i + 1]));
        clock_gettime(CLOCK_MONOTONIC, &b);
        printf("%lld %lld\n", value, (b.tv_sec - a.tv_sec) * 1000000000ll + b.tv_nsec - a.tv_nsec);
    }
}
#endif
