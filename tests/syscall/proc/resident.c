// What /proc/self/status, statm and getrusage say of memory that a process has come to. See proc_pid_status(5).
#include "check.h"
#include <sys/mman.h>
#include <sys/resource.h>

#define BYTES (4 << 20)
#define MOST (BYTES / 1024 * 7 / 8)

// A row of /proc/self/status, in KiB.
static long row(const char *name) {
    char line[256];
    long value = -1;
    FILE *file = fopen("/proc/self/status", "r");
    CHECK(file != NULL);
    while (fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, name, strlen(name)) == 0)
            value = strtol(line + strlen(name), NULL, 10);
    fclose(file);
    CHECK(value >= 0);
    return value;
}

// Files and shared memory; which of them a file is depends on the file system.
static long of_files(void) {
    return row("RssFile:") + row("RssShmem:");
}

static void read_all(const char *at) {
    for (size_t i = 0; i < BYTES; i += 4096)
        (void)*(volatile const char *)(at + i);
}

int main(void) {
    int fd = open("file", O_RDWR | O_CREAT | O_TRUNC, 0600);
    char *block = malloc(BYTES);
    CHECK(fd >= 0 && block != NULL);
    memset(block, 1, BYTES);
    CHECK(write(fd, block, BYTES) == BYTES);

    long before = of_files();
    char *mapped = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    CHECK(mapped != MAP_FAILED);
    printf("mapped: %d\n", of_files() - before < MOST);
    read_all(mapped);
    printf("read: %d\n", of_files() - before >= MOST);
    long anonymous = row("RssAnon:");
    memset(mapped, 2, BYTES);
    printf("copied: %d %d\n", of_files() - before < MOST, row("RssAnon:") - anonymous >= MOST);

    char *shared = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(shared != MAP_FAILED);
    memset(shared, 3, BYTES);
    printf("shared: %d\n", of_files() - before >= MOST);

    long size, resident, common;
    FILE *file = fopen("/proc/self/statm", "r");
    CHECK(file != NULL && fscanf(file, "%ld %ld %ld", &size, &resident, &common) == 3);
    fclose(file);
    printf("statm: %d %d\n", resident * 4 >= 3 * MOST && resident <= size, common * 4 >= MOST && common < resident);
    struct rusage usage;
    CHECK(getrusage(RUSAGE_SELF, &usage) == 0);
    printf("most: %d\n", usage.ru_maxrss >= 3 * MOST);
    CHECK(munmap(mapped, BYTES) == 0 && munmap(shared, BYTES) == 0);
    printf("unmapped: %d\n", of_files() - before < MOST);
    return 0;
}
