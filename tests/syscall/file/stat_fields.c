// stat, lstat, fstatat, statx: types, modes, sizes, times that move. See stat(2), statx(2).
#include "check.h"
#include <sys/sysmacros.h>

static void show(const char *path) {
    struct stat st;
    if (lstat(path, &st) != 0) {
        printf("%s: %s\n", path, strerrorname_np(errno));
        return;
    }
    printf("%s: mode %o", path, st.st_mode);
    if (!S_ISDIR(st.st_mode))
        printf(", size %ld, links %d", (long)st.st_size, (int)st.st_nlink);
    printf(", mine %d, blocksize %d\n", st.st_uid == geteuid(), st.st_blksize > 0);
}

int main(void) {
    umask(022);
    put("f", "twelve bytes");
    CHECK(mkdir("d", 0750) == 0 && symlink("target", "l") == 0 && mkfifo("p", 0640) == 0);
    show("f");
    show("d");
    show("l");
    show("p");
    show("missing");
    show("f/x");
    show("");
    struct stat st;
    SHOW(stat("l", &st));
    SHOW(fstatat(AT_FDCWD, "l", &st, AT_SYMLINK_NOFOLLOW));
    int fd = open("f", O_RDONLY);
    SHOW(fstatat(fd, "", &st, AT_EMPTY_PATH));
    printf("size %ld\n", (long)st.st_size);
    SHOW(fstatat(fd, "x", &st, 0));
    SHOW(fstatat(-1, "x", &st, 0));
    SHOW(fstatat(AT_FDCWD, "f", &st, 0x8000));
    CHECK(stat("/dev/null", &st) == 0);
    printf("null: %o %u:%u\n", st.st_mode & S_IFMT, major(st.st_rdev), minor(st.st_rdev));
    struct statx sx;
    SHOW(statx(AT_FDCWD, "f", AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &sx));
    printf("statx mode %o size %lu mask %d\n", sx.stx_mode, (unsigned long)sx.stx_size,
           (sx.stx_mask & STATX_BASIC_STATS) == STATX_BASIC_STATS);
    SHOW(statx(fd, "", AT_EMPTY_PATH, STATX_SIZE, &sx));
    CHECK(stat("f", &st) == 0);
    printf("same inode %d\n", sx.stx_ino == st.st_ino);
    // A change of contents moves the modification time; a change of mode only the change time.
    struct timespec modified = st.st_mtim, changed = st.st_ctim;
    sleep_ms(20);
    CHECK(chmod("f", 0600) == 0 && stat("f", &st) == 0);
    printf("mode: mtime moved %d, ctime moved %d\n", memcmp(&modified, &st.st_mtim, sizeof modified) != 0,
           memcmp(&changed, &st.st_ctim, sizeof changed) != 0);
    sleep_ms(20);
    put("f", "other");
    CHECK(stat("f", &st) == 0);
    printf("write: mtime moved %d\n", memcmp(&modified, &st.st_mtim, sizeof modified) != 0);
    CHECK(stat("d", &st) == 0);
    modified = st.st_mtim;
    sleep_ms(20);
    put("d/x", "");
    CHECK(stat("d", &st) == 0);
    printf("new name: folder's mtime moved %d\n", memcmp(&modified, &st.st_mtim, sizeof modified) != 0);
    return 0;
}
