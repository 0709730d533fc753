// execve with large arguments: many strings, E2BIG for one string over 128 KiB. See execve(2), "Limits on size".
#include "check.h"

static int second(int argc, char **argv) {
    unsigned long bytes = 0;
    for (int i = 0; i < argc; i++)
        bytes += strlen(argv[i]) + 1;
    printf("%d arguments, %lu bytes\n", argc, bytes);
    fflush(stdout);
    return 0;
}

static void run(int count, size_t length) {
    pid_t pid = quiet_fork();
    if (pid == 0) {
        char **argv = calloc(count + 2, sizeof *argv), *text = malloc(length + 1);
        memset(text, 'x', length);
        text[length] = 0;
        argv[0] = "second";
        for (int i = 0; i < count; i++)
            argv[i + 1] = text;
        char *envp[] = {NULL};
        execve("/proc/self/exe", argv, envp);
        printf("%d of %zu: %s\n", count, length, strerrorname_np(errno));
        fflush(stdout);
        _exit(1);
    }
    show_end("end", pid);
}

int main(int argc, char **argv) {
    if (argc > 1)
        return second(argc, argv);
    run(1, 1);
    run(10000, 20);
    run(10, 100000);
    run(1, 131071);
    run(1, 131072);
    return 0;
}
