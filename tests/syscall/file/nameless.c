// O_TMPFILE: a file without a name, and giving it one. See open(2).
#include "check.h"

static void link_fd(int fd, const char *name) {
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    printf("link as %s: ", name);
    OUTCOME(linkat(AT_FDCWD, path, AT_FDCWD, name, AT_SYMLINK_FOLLOW));
}

int main(void) {
    CHECK(mkdir("d", 0755) == 0);
    umask(022);
    int fd = open("d", O_TMPFILE | O_RDWR, 0666);
    CHECK(fd >= 0);
    CHECK(write(fd, "kept", 4) == 4);
    struct stat st;
    CHECK(fstat(fd, &st) == 0);
    printf("mode %o links %d size %d\n", st.st_mode, (int)st.st_nlink, (int)st.st_size);
    OUTCOME(rmdir("d"));
    CHECK(mkdir("d", 0755) == 0);
    CHECK(close(fd) == 0);

    fd = open("d", O_TMPFILE | O_RDWR, 0640);
    CHECK(write(fd, "named", 5) == 5);
    link_fd(fd, "d/name");
    CHECK(fstat(fd, &st) == 0);
    printf("mode %o links %d\n", st.st_mode, (int)st.st_nlink);
    show_file("d/name");
    link_fd(fd, "d/second");
    link_fd(fd, "d/name");
    CHECK(unlink("d/name") == 0 && unlink("d/second") == 0);
    link_fd(fd, "d/third");
    CHECK(pwrite(fd, "NAMED", 5, 0) == 5);
    close(fd);

    fd = open("d", O_TMPFILE | O_RDWR | O_EXCL, 0640);
    link_fd(fd, "d/never");
    close(fd);

    OUTCOME(open("d", O_TMPFILE | O_RDONLY, 0600));
    OUTCOME(open("d", O_TMPFILE | O_RDWR | O_CREAT, 0600));
    OUTCOME(open("missing", O_TMPFILE | O_RDWR, 0600));
    put("plain", "");
    OUTCOME(open("plain", O_TMPFILE | O_RDWR, 0600));
    FILE *file = tmpfile();
    CHECK(file != NULL && fputs("x", file) >= 0 && fclose(file) == 0);
    OUTCOME(rmdir("d"));
    return 0;
}
