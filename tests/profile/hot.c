// Nearly all its time goes into `hot`, by way of `main`, `outer`, `middle`. The argument is how often; with another one it
// handles faults, or maps its own file as ldconfig maps libraries.
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

__attribute__((noinline, noclone)) static unsigned hot(unsigned seed) {
    for (int i = 0; i < 100000; i++)
        seed = seed * 1664525 + 1013904223;
    return seed;
}

// Not the last thing that they do, so that they stay on the stack.
__attribute__((noinline, noclone)) static unsigned middle(unsigned seed) {
    return hot(seed) + 1;
}

__attribute__((noinline, noclone)) static unsigned outer(unsigned seed) {
    return middle(seed) + 1;
}

int main(int count, char **arguments) {
    int times = count > 1 ? atoi(arguments[1]) : 10;
    unsigned seed = 1;
    if (count > 2 && strcmp(arguments[2], "maps-itself") == 0) {
        if (mmap(NULL, 1 << 16, PROT_READ, MAP_SHARED, open(arguments[0], O_RDONLY), 0) == MAP_FAILED)
            return 1;
    } else if (count > 2) {
        signal(SIGSEGV, exit);
    }
    for (int i = 0; i < times; i++)
        seed = outer(seed);
    printf("%u\n", seed);
    return 0;
}
