// O_PATH descriptors, calls through folder descriptors, openat2-less resolution, /proc/self/fd. See open(2), proc(5).
#include "check.h"
#include <limits.h>

static void link_of(int fd, const char *what) {
    char name[64], text[PATH_MAX];
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(name, text, sizeof text - 1);
    CHECK(n > 0);
    text[n] = 0;
    char *last = strrchr(text, '/');
    printf("%s: %s\n", what, last ? last + 1 : strncmp(text, "pipe:[", 6) == 0 ? "pipe" : text);
}

int main(void) {
    CHECK(mkdir("d", 0755) == 0);
    put("d/f", "text");
    CHECK(symlink("f", "d/l") == 0);
    int path = open("d/f", O_PATH);
    CHECK(path >= 0);
    char byte;
    SHOW(read(path, &byte, 1));
    SHOW(write(path, "x", 1));
    SHOW(lseek(path, 0, SEEK_SET));
    SHOW(fchmod(path, 0600));
    SHOW(ftruncate(path, 0));
    struct stat st;
    SHOW(fstat(path, &st));
    printf("size %ld\n", (long)st.st_size);
    printf("path flag %d\n", !!(fcntl(path, F_GETFL) & O_PATH));
    link_of(path, "path");
    int link = open("d/l", O_PATH | O_NOFOLLOW);
    CHECK(link >= 0 && fstat(link, &st) == 0);
    printf("link %d\n", S_ISLNK(st.st_mode));
    char target[16];
    SHOW(readlinkat(link, "", target, sizeof target));
    // Opening again through /proc gives a new open file.
    char name[64];
    snprintf(name, sizeof name, "/proc/self/fd/%d", path);
    int again = open(name, O_RDWR);
    CHECK(again >= 0);
    SHOW(write(again, "T", 1));
    show_file("d/f");
    link_of(again, "again");
    int dir = open("d", O_RDONLY | O_DIRECTORY);
    link_of(dir, "dir");
    OUTCOME(openat(dir, "f", O_RDONLY));
    OUTCOME(openat(dir, "../d/f", O_RDONLY));
    OUTCOME(openat(path, "f", O_RDONLY));
    OUTCOME(openat(999, "f", O_RDONLY));
    OUTCOME(openat(999, "/dev/null", O_RDONLY));
    OUTCOME(mkdirat(dir, "sub", 0755));
    OUTCOME(symlinkat("f", dir, "m"));
    OUTCOME(fchmodat(dir, "f", 0600, 0));
    OUTCOME(faccessat(dir, "f", R_OK, 0));
    OUTCOME(renameat(dir, "m", AT_FDCWD, "here"));
    OUTCOME(readlinkat(AT_FDCWD, "here", target, sizeof target));
    OUTCOME(unlinkat(dir, "sub", AT_REMOVEDIR));
    int ends[2];
    CHECK(pipe(ends) == 0);
    link_of(ends[0], "end");
    CHECK(unlink("d/f") == 0);
    link_of(again, "unlinked");
    int file = open("/dev/fd/../fd", O_RDONLY | O_DIRECTORY);
    OUTCOME(file);
    return 0;
}
