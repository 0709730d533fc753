// Programs that want more than there is. Each mode must end by itself, or by the limit that the test expects; what was
// refused is told by errno, as Linux does.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static int deeper(volatile char *above) {
    volatile char frame[4096];
    frame[0] = above ? *above : 1;
    return deeper(frame) + frame[0];
}

/* The stack's end: SIGSEGV for the process that goes there, and for no other. */
static int recursion(void) {
    pid_t child = fork();
    if (child == 0)
        _exit(deeper(NULL) & 1);
    int status = 0;
    waitpid(child, &status, 0);
    printf("signal %d\n", WIFSIGNALED(status) ? WTERMSIG(status) : 0);
    return 0;
}

static void *sleeper(void *unused) {
    (void)unused;
    for (;;)
        pause();
}

/* Threads until there is no more. */
static int threads(void) {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 32768);
    long count = 0;
    int error = 0;
    while (error == 0 && count < 1000000) {
        pthread_t thread;
        error = pthread_create(&thread, &attributes, sleeper, NULL);
        count += error == 0;
    }
    printf("%s after %s\n", strerrorname_np(error), count > 100 ? "many" : "few");
    return 0;
}

/* Processes until there is no more, and they are all waited for. */
static int processes(void) {
    int error = 0;
    long count = 0;
    pid_t group = 0;
    while (error == 0 && count < 1000000) {
        pid_t child = fork();
        if (child == 0) {
            for (;;)
                pause();
        }
        if (child < 0) {
            error = errno;
            break;
        }
        setpgid(child, group);
        if (group == 0)
            group = child;
        count++;
    }
    kill(-group, SIGKILL);
    long gone = 0;
    while (wait(NULL) > 0)
        gone++;
    printf("%s after %s, %s\n", strerrorname_np(error), count > 100 ? "many" : "few", gone == count ? "all gone" : "some left");
    /* There is room again. */
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    printf("fork %s\n", child > 0 && waitpid(child, NULL, 0) == child ? "works" : "fails");
    return 0;
}

/* Mappings that cannot be merged, until there is no more. */
static int mappings(void) {
    long count = 0;
    int error = 0;
    while (count < 10000000) {
        void *page = mmap(NULL, 4096, count % 2 ? PROT_READ : PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (page == MAP_FAILED) {
            error = errno;
            break;
        }
        count++;
    }
    printf("%s after %s\n", error ? strerrorname_np(error) : "no error", count > 1000 ? "many" : "few");
    return 0;
}

/* Address space that is never touched. */
static int space(void) {
    int error = 0;
    for (long count = 0; count < 1000000; count++) {
        if (mmap(NULL, 1UL << 30, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) == MAP_FAILED) {
            error = errno;
            break;
        }
    }
    printf("%s\n", strerrorname_np(error));
    return 0;
}

/* Memory that is touched, page by page: up to `mib`, all of it kept. */
static int touch(long mib) {
    for (long at = 0; at < mib; at++) {
        char *part = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (part == MAP_FAILED) {
            printf("%s\n", strerrorname_np(errno));
            return 0;
        }
        for (int page = 0; page < 256; page++)
            part[page * 4096] = (char)(at + 1);
    }
    printf("touched all\n");
    return 0;
}

/* Descriptors until there is no more. */
static int descriptors(void) {
    long count = 0;
    while (open("/dev/null", O_RDONLY) >= 0)
        count++;
    printf("%s after %s\n", strerrorname_np(errno), count > 100 ? "many" : "few");
    return 0;
}

/* Pipes full of bytes that nobody reads. */
static int pipes(void) {
    int ends[2];
    char block[4096] = {0};
    while (pipe2(ends, O_NONBLOCK) == 0)
        while (write(ends[1], block, sizeof block) > 0) {
        }
    printf("%s\n", strerrorname_np(errno));
    return 0;
}

/* Small files in one folder: each can be found again, all can be counted, all go. */
static int files(long count) {
    char name[32];
    if (mkdir("/many", 0755) != 0 || chdir("/many") != 0)
        return 1;
    for (long n = 0; n < count; n++) {
        snprintf(name, sizeof name, "f%ld", n);
        int fd = open(name, O_CREAT | O_EXCL | O_WRONLY, 0644);
        if (fd < 0 || write(fd, name, 8) != 8 || close(fd) != 0) {
            printf("%s: %s\n", name, strerrorname_np(errno));
            return 1;
        }
    }
    long seen = 0;
    DIR *folder = opendir(".");
    for (struct dirent *entry; (entry = readdir(folder));)
        seen += entry->d_name[0] == 'f';
    closedir(folder);
    printf("%ld seen\n", seen);
    for (long n = 0; n < count; n++) {
        snprintf(name, sizeof name, "f%ld", n);
        seen -= unlink(name) == 0;
    }
    printf("%ld left\n", seen);
    return 0;
}

int main(int argc, char **argv) {
    const char *mode = argc > 1 ? argv[1] : "";
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (!strcmp(mode, "recursion")) return recursion();
    if (!strcmp(mode, "threads")) return threads();
    if (!strcmp(mode, "processes")) return processes();
    if (!strcmp(mode, "mappings")) return mappings();
    if (!strcmp(mode, "space")) return space();
    if (!strcmp(mode, "touch")) return touch(atol(argv[2]));
    if (!strcmp(mode, "files")) return files(atol(argv[2]));
    if (!strcmp(mode, "descriptors")) return descriptors();
    if (!strcmp(mode, "pipes")) return pipes();
    fprintf(stderr, "no such mode: %s\n", mode);
    return 99;
}
