// Code of a file that was just written, run often: the file is written to, by calls and through a mapping, and cut short.
#include "check.h"
#include "emit.h"
#include <sys/mman.h>

enum { PAGE = 4096, OFTEN = 5000 };

__attribute__((noinline)) static long often(function *call) {
    long sum = 0;
    for (int i = 0; i < OFTEN; i++)
        sum += call(i);
    return sum;
}

static function *map_pages(int fd, int first, int count) {
    void *at = mmap(NULL, (size_t)count * PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, (off_t)first * PAGE);
    CHECK(at != MAP_FAILED);
    return (function *)at;
}

static function *map(int fd) {
    return map_pages(fd, 0, 1);
}

// Writes a function to a page of the file, in the place of the one that is mapped at `mapped`.
static void store_in(int fd, int at, int number, function *mapped) {
    unsigned char page[PAGE] = {0};
    emit(page, number);
    CHECK(pwrite(fd, page, PAGE, (off_t)at * PAGE) == PAGE);
    if (mapped)
        __builtin___clear_cache((char *)mapped, (char *)mapped + PAGE);
}

static void store(int fd, int number, function *mapped) {
    store_in(fd, 0, number, mapped);
}

// Two pages in one mapping, which change one after the other.
static void by_pages(int fd) {
    store_in(fd, 1, 50, NULL);
    function *first = map_pages(fd, 0, 2);
    function *second = (function *)((char *)first + PAGE);
    printf("two: %ld, %ld\n", often(first), often(second));
    store_in(fd, 0, 51, first);
    printf("the first changed: %ld, %ld\n", often(first), often(second));
    printf("the second alone: %ld\n", often(map_pages(fd, 1, 1)));
    store_in(fd, 1, 52, second);
    printf("the second changed: %ld, %ld\n", often(first), often(second));
    printf("the second alone: %ld\n", often(map_pages(fd, 1, 1)));
}

static void in_a_child(const char *what, function *call) {
    pid_t pid = quiet_fork();
    if (pid == 0) {
        printf("%s: %ld\n", what, often(call));
        fflush(stdout);
        _exit(0);
    }
    show_end(what, pid);
}

int main(void) {
    int fd = open("program", O_RDWR | O_CREAT, 0755);
    CHECK(fd >= 0);
    store(fd, 1, NULL);
    function *call = map(fd);
    printf("as written: %ld\n", often(call));
    in_a_child("in a child", call);
    for (int number = 2; number < 5; number++) {
        store(fd, number, call);
        printf("written to: %ld\n", often(call));
        printf("mapped again: %ld\n", often(map(fd)));
    }
    in_a_child("in another child", call);
    // As one that replaces a program does: the old one goes on.
    CHECK(unlink("program") == 0);
    int other = open("program", O_RDWR | O_CREAT, 0755);
    CHECK(other >= 0);
    store(other, 20, NULL);
    printf("replaced: %ld, %ld\n", often(call), often(map(other)));
    // Emptied and filled again.
    CHECK(ftruncate(fd, 0) == 0);
    store(fd, 30, call);
    printf("filled again: %ld\n", often(map(fd)));
    by_pages(fd);
    // Through a mapping, without a call.
    unsigned char *shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, other, 0);
    CHECK(shared != MAP_FAILED);
    function *seen = map(other);
    for (int number = 40; number < 44; number++) {
        emit(shared, number);
        __builtin___clear_cache((char *)seen, (char *)seen + PAGE);
        printf("through a mapping: %ld\n", often(seen));
    }
    return 0;
}
