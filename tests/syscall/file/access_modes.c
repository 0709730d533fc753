// access, faccessat, chmod, fchmod, umask; permission denials are looked at as an ordinary user. See access(2).
#include "check.h"
#include <grp.h>

static void mode(const char *path) {
    struct stat st;
    CHECK(stat(path, &st) == 0);
    printf("%s: %o\n", path, st.st_mode & 07777);
}

static void as_user(void) {
    if (geteuid() == 0) {
        CHECK(setgroups(0, NULL) == 0);
        CHECK(setresgid(12345, 12345, 12345) == 0);
        CHECK(setresuid(12345, 12345, 12345) == 0);
    }
    OUTCOME(access("closed", R_OK));
    OUTCOME(access("closed", F_OK));
    OUTCOME(open("closed", O_RDONLY));
    OUTCOME(access("open", R_OK));
    OUTCOME(access("open", X_OK));
    OUTCOME(access("run", X_OK));
    OUTCOME(access("dark/x", F_OK));
    OUTCOME(open("dark", O_RDONLY));
    fflush(stdout);
    _exit(0);
}

int main(void) {
    umask(0);
    CHECK(chmod(".", 0755) == 0);
    put("open", "");
    put("closed", "");
    put("run", "");
    CHECK(mkdir("dark", 0700) == 0);
    SHOW(chmod("closed", 0));
    SHOW(chmod("run", 04711));
    mode("run");
    SHOW(chmod("missing", 0));
    SHOW(umask(027));
    SHOW(umask(022));
    umask(077);
    int fd = open("masked", O_CREAT | O_RDWR, 0666);
    mode("masked");
    SHOW(fchmod(fd, 01644));
    mode("masked");
    umask(0);
    CHECK(mkdir("free", 0777) == 0);
    mode("free");
    SHOW(access("open", 8));
    SHOW(access("missing", R_OK));
    SHOW(faccessat(AT_FDCWD, "open", R_OK | W_OK, AT_EACCESS));
    CHECK(symlink("missing", "l") == 0);
    SHOW(faccessat(AT_FDCWD, "l", F_OK, AT_SYMLINK_NOFOLLOW));
    SHOW(faccessat(AT_FDCWD, "l", F_OK, 0));
    SHOW(fchmodat(AT_FDCWD, "open", 0604, 0));
    mode("open");
    CHECK(chmod("dark", 0) == 0 && chmod("run", 0711) == 0);
    pid_t pid = quiet_fork();
    if (pid == 0)
        as_user();
    show_end("user", pid);
    CHECK(chmod("dark", 0700) == 0);
    return 0;
}
