// mkdir, rmdir: errors, modes, dot names. See mkdir(2), rmdir(2).
#include "check.h"

static void mode(const char *path) {
    struct stat st;
    CHECK(stat(path, &st) == 0);
    printf("%s: %o\n", path, st.st_mode);
}

int main(void) {
    umask(022);
    SHOW(mkdir("d", 0777));
    mode("d");
    SHOW(mkdir("d", 0777));
    SHOW(mkdir("d/", 0777));
    SHOW(mkdir("new/", 0700));
    mode("new");
    SHOW(mkdir("a/b", 0777));
    put("f", "");
    SHOW(mkdir("f", 0777));
    SHOW(mkdir("f/x", 0777));
    SHOW(mkdir(".", 0777));
    SHOW(mkdir("..", 0777));
    SHOW(mkdir("/", 0777));
    SHOW(mkdir("d/../e", 01777));
    mode("e");
    put("d/x", "");
    SHOW(rmdir("d"));
    SHOW(rmdir("f"));
    SHOW(rmdir("missing"));
    SHOW(rmdir("e/."));
    SHOW(rmdir("e/.."));
    SHOW(rmdir("e/"));
    CHECK(unlink("d/x") == 0);
    SHOW(rmdir("d"));
    CHECK(symlink("nowhere", "l") == 0);
    SHOW(mkdir("l", 0755));
    SHOW(mkdir("l/", 0755));
    // A tree a few hundred levels deep, made and removed.
    int depth = 200, made = 0;
    while (made < depth && mkdir("n", 0755) == 0 && chdir("n") == 0)
        made++;
    printf("deep %d\n", made);
    while (made > 0 && chdir("..") == 0 && rmdir("n") == 0)
        made--;
    printf("left %d\n", made);
    // setgid of a folder is inherited by folders in it.
    CHECK(mkdir("g", 0755) == 0 && chmod("g", 02755) == 0);
    CHECK(mkdir("g/sub", 0755) == 0);
    mode("g/sub");
    return 0;
}
