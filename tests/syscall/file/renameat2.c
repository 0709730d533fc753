// renameat2 with RENAME_NOREPLACE and RENAME_EXCHANGE. See rename(2).
#include "check.h"

int main(void) {
    put("a", "A");
    put("b", "B");
    CHECK(mkdir("d", 0755) == 0);
    put("d/x", "X");
    SHOW(renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_NOREPLACE));
    SHOW(renameat2(AT_FDCWD, "a", AT_FDCWD, "c", RENAME_NOREPLACE));
    show_file("c");
    SHOW(renameat2(AT_FDCWD, "c", AT_FDCWD, "b", RENAME_EXCHANGE));
    show_file("c");
    show_file("b");
    SHOW(renameat2(AT_FDCWD, "b", AT_FDCWD, "d", RENAME_EXCHANGE));
    show_file("b/x");
    show_file("d");
    SHOW(renameat2(AT_FDCWD, "b", AT_FDCWD, "missing", RENAME_EXCHANGE));
    SHOW(renameat2(AT_FDCWD, "b", AT_FDCWD, "b/sub", RENAME_EXCHANGE));
    SHOW(renameat2(AT_FDCWD, "b", AT_FDCWD, "d", RENAME_EXCHANGE | RENAME_NOREPLACE));
    SHOW(renameat2(AT_FDCWD, "b", AT_FDCWD, "d", 1u << 30));
    int dir = open("b", O_RDONLY | O_DIRECTORY);
    CHECK(dir >= 0);
    int here = open(".", O_PATH | O_DIRECTORY);
    CHECK(here >= 0);
    OUTCOME(renameat2(dir, "x", here, "out", 0));
    show_file("out");
    OUTCOME(renameat(here, "out", dir, "back"));
    show_file("b/back");
    return 0;
}
