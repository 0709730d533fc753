// utimensat, futimens, utimes: set, UTIME_NOW, UTIME_OMIT, symlinks, errors. See utimensat(2).
#include "check.h"
#include <sys/time.h>

static void show(const char *path) {
    struct stat st;
    CHECK(lstat(path, &st) == 0);
    printf("%s: %ld.%09ld %ld.%09ld\n", path, (long)st.st_atim.tv_sec, st.st_atim.tv_nsec, (long)st.st_mtim.tv_sec,
           st.st_mtim.tv_nsec);
}

int main(void) {
    put("f", "x");
    CHECK(symlink("f", "l") == 0);
    struct timespec times[2] = {{1000, 5}, {2000, 999999999}};
    SHOW(utimensat(AT_FDCWD, "f", times, 0));
    show("f");
    struct timespec omit[2] = {{0, UTIME_OMIT}, {3000, 7}};
    SHOW(utimensat(AT_FDCWD, "f", omit, 0));
    show("f");
    struct timespec link_times[2] = {{11, 0}, {22, 0}};
    SHOW(utimensat(AT_FDCWD, "l", link_times, AT_SYMLINK_NOFOLLOW));
    show("l");
    show("f");
    SHOW(utimensat(AT_FDCWD, "l", times, 0));
    show("f");
    struct timespec bad[2] = {{0, 1000000000}, {0, 0}};
    SHOW(utimensat(AT_FDCWD, "f", bad, 0));
    SHOW(utimensat(AT_FDCWD, "missing", times, 0));
    int fd = open("f", O_RDWR);
    struct timespec early[2] = {{-5, 0}, {0, 0}};
    SHOW(futimens(fd, early));
    show("f");
    struct timeval coarse[2] = {{1, 500000}, {2, 250000}};
    SHOW(utimes("f", coarse));
    show("f");
    struct timespec now[2] = {{0, UTIME_NOW}, {0, UTIME_OMIT}};
    SHOW(futimens(fd, now));
    struct stat st;
    CHECK(fstat(fd, &st) == 0);
    printf("recent %d, kept %ld\n", llabs((long long)time(NULL) - st.st_atim.tv_sec) < 100, (long)st.st_mtim.tv_sec);
    SHOW(utimensat(AT_FDCWD, "f", NULL, 0));
    CHECK(fstat(fd, &st) == 0);
    printf("recent %d\n", llabs((long long)time(NULL) - st.st_mtim.tv_sec) < 100);
    // Past 2038.
    struct timespec late[2] = {{4000000000, 1}, {4000000001, 2}};
    SHOW(utimensat(AT_FDCWD, "f", late, 0));
    show("f");
    return 0;
}
