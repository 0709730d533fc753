// Symbolic links: loops, depth, readlink truncation, relative targets, absolute targets. See path_resolution(7).
#include "check.h"

int main(void) {
    char name[32], target[32], text[64];
    CHECK(symlink("loop", "loop") == 0);
    OUTCOME(open("loop", O_RDONLY));
    CHECK(symlink("pong", "ping") == 0 && symlink("ping", "pong") == 0);
    OUTCOME(open("ping", O_RDONLY));
    OUTCOME(mkdir("ping/x", 0755));
    put("end", "END");
    CHECK(symlink("end", "s0") == 0);
    for (int i = 1; i <= 40; i++) {
        snprintf(name, sizeof name, "s%d", i);
        snprintf(target, sizeof target, "s%d", i - 1);
        CHECK(symlink(target, name) == 0);
    }
    show_file("s10");
    show_file("s39");
    show_file("s40");
    memset(text, '-', sizeof text);
    SHOW(readlink("s10", text, 1));
    printf("%.3s\n", text);
    SHOW(readlink("s10", text, sizeof text));
    printf("%.3s\n", text);
    SHOW(readlink("end", text, sizeof text));
    SHOW(readlink("missing", text, sizeof text));
    SHOW(readlink("s10", text, 0));
    CHECK(mkdir("d", 0755) == 0);
    CHECK(symlink("../end", "d/up") == 0);
    show_file("d/up");
    CHECK(symlink("d", "dir") == 0);
    show_file("dir/up");
    OUTCOME(open("dir", O_RDONLY | O_DIRECTORY));
    OUTCOME(open("dir", O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    OUTCOME(symlink("x", "dir"));
    OUTCOME(symlink("", "empty"));
    OUTCOME(symlink("x", "missing/y"));
    struct stat st;
    CHECK(lstat("d/up", &st) == 0);
    printf("type %o size %ld\n", st.st_mode & S_IFMT, (long)st.st_size);
    OUTCOME(rmdir("dir"));
    OUTCOME(unlink("dir"));
    OUTCOME(access("d/up", F_OK));
    CHECK(symlink("/", "root") == 0);
    OUTCOME(open("root/proc/self/status", O_RDONLY));
    CHECK(symlink("end/", "slash") == 0);
    OUTCOME(open("slash", O_RDONLY));
    return 0;
}
