// Memory over fork: copies, shared anonymous maps, shared files, memfd, MADV_DONTFORK, MADV_WIPEONFORK.
#include "check.h"
#include <sys/mman.h>

static int global = 1;

int main(void) {
    const size_t page = 4096;
    int local = 1, *heap = malloc(sizeof *heap);
    *heap = 1;
    int *shared = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int *private = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int fd = open("f", O_RDWR | O_CREAT, 0644);
    CHECK(ftruncate(fd, page) == 0);
    int *file = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    *shared = *private = *file = 1;
    pid_t pid = quiet_fork();
    if (pid == 0) {
        CHECK(global == 1 && local == 1 && *heap == 1 && *private == 1 && *shared == 1);
        global = local = *heap = *private = *shared = *file = 2;
        _exit(0);
    }
    show_end("child", pid);
    printf("global %d, local %d, heap %d, private %d, shared %d, file %d\n", global, local, *heap, *private, *shared,
           *file);
    // The parent's writes after the fork are not seen by the child, those to shared memory are.
    int ends[2];
    CHECK(pipe(ends) == 0);
    pid = quiet_fork();
    if (pid == 0) {
        char byte;
        close(ends[1]);
        read(ends[0], &byte, 1);
        printf("child sees private %d, shared %d\n", *private, *shared);
        fflush(stdout);
        _exit(0);
    }
    *private = *shared = 3;
    close(ends[1]);
    show_end("child", pid);
    // A grandchild and its grandparent share the same page.
    pid = quiet_fork();
    if (pid == 0) {
        pid_t inner = fork();
        if (inner == 0) {
            __atomic_fetch_add(shared, 10, __ATOMIC_SEQ_CST);
            _exit(0);
        }
        waitpid(inner, NULL, 0);
        __atomic_fetch_add(shared, 100, __ATOMIC_SEQ_CST);
        _exit(0);
    }
    show_end("tree", pid);
    printf("sum %d\n", *shared);
    for (int i = 0; i < 4; i++)
        if (quiet_fork() == 0) {
            for (int n = 0; n < 1000; n++)
                __atomic_fetch_add(shared, 1, __ATOMIC_SEQ_CST);
            _exit(0);
        }
    while (wait(NULL) > 0) {
    }
    printf("atomic sum %d\n", *shared);

    int memory = memfd_create("name", MFD_CLOEXEC);
    CHECK(memory >= 0 && ftruncate(memory, page) == 0);
    char *one = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
    pid = quiet_fork();
    if (pid == 0) {
        strcpy(one, "through memfd");
        _exit(0);
    }
    show_end("child", pid);
    char text[32] = {0};
    CHECK(pread(memory, text, 13, 0) == 13);
    printf("%s\n", text);
    SHOW(madvise(private, page, MADV_WIPEONFORK));
    pid = quiet_fork();
    if (pid == 0)
        _exit(*private);
    show_end("wiped", pid);
    printf("kept %d\n", *private);
    SHOW(madvise(private, page, MADV_DONTFORK));
    pid = quiet_fork();
    if (pid == 0)
        _exit(*(volatile int *)private);
    show_end("not there", pid);
    return 0;
}
