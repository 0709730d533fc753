// Hard links: counts, EEXIST, EPERM for folders, folder link counts' lower bound, linkat of symlinks. See link(2).
#include "check.h"

static void count(const char *path) {
    struct stat st;
    if (lstat(path, &st) != 0)
        printf("%s: %s\n", path, strerrorname_np(errno));
    else
        printf("%s: %lu links\n", path, (unsigned long)st.st_nlink);
}

int main(void) {
    put("a", "text");
    count("a");
    SHOW(link("a", "b"));
    SHOW(link("a", "b"));
    count("a");
    count("b");
    put("b", "changed");
    show_file("a");
    SHOW(unlink("a"));
    count("a");
    count("b");
    SHOW(link("missing", "c"));
    SHOW(link("b", "missing/c"));
    CHECK(mkdir("d", 0755) == 0);
    SHOW(link("d", "d2"));
    SHOW(link("b", "d/b"));
    count("b");
    CHECK(symlink("b", "l") == 0);
    SHOW(link("l", "l2"));
    struct stat st;
    CHECK(lstat("l2", &st) == 0);
    printf("symlink %d\n", S_ISLNK(st.st_mode));
    SHOW(linkat(AT_FDCWD, "l", AT_FDCWD, "b3", AT_SYMLINK_FOLLOW));
    CHECK(lstat("b3", &st) == 0);
    printf("regular %d, links %d\n", S_ISREG(st.st_mode), (int)st.st_nlink);
    SHOW(linkat(AT_FDCWD, "b", AT_FDCWD, "b4", 0x40000000));
    struct stat one, two;
    CHECK(stat("b", &one) == 0 && stat("d/b", &two) == 0);
    printf("same %d\n", one.st_ino == two.st_ino && one.st_dev == two.st_dev);
    int fd = open("b", O_RDONLY);
    CHECK(fd >= 0 && unlink("b") == 0 && unlink("d/b") == 0 && unlink("b3") == 0);
    CHECK(fstat(fd, &st) == 0);
    printf("open and unlinked: %d links\n", (int)st.st_nlink);
    return 0;
}
