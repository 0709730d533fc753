// rename: replacing files and folders, onto itself, between hard links, into a child. See rename(2).
#include "check.h"

int main(void) {
    put("a", "A");
    put("b", "B");
    CHECK(mkdir("d", 0755) == 0 && mkdir("e", 0755) == 0 && mkdir("full", 0755) == 0);
    put("full/x", "X");
    SHOW(rename("a", "b"));
    show_file("b");
    OUTCOME(access("a", F_OK));
    SHOW(rename("missing", "b"));
    SHOW(rename("b", "d"));
    SHOW(rename("d", "b"));
    SHOW(rename("d", "full"));
    SHOW(rename("full", "d"));
    show_file("d/x");
    SHOW(rename("d", "d/sub"));
    SHOW(rename("d", "d"));
    SHOW(rename("d/x", "e/y"));
    show_file("e/y");
    SHOW(rename("e/", "renamed/"));
    show_file("renamed/y");
    SHOW(rename("b", "new/"));
    SHOW(rename("b", "missing/b"));
    SHOW(rename("b/x", "c"));
    SHOW(rename(".", "here"));
    SHOW(rename("d/.", "here"));
    SHOW(rename("renamed/..", "here"));
    // Two names of one file: nothing happens and both stay.
    CHECK(link("b", "b2") == 0);
    SHOW(rename("b", "b2"));
    OUTCOME(access("b", F_OK));
    // A symlink itself is renamed and replaced, never its target.
    CHECK(symlink("b", "l") == 0);
    put("target", "T");
    SHOW(rename("target", "l"));
    show_file("l");
    show_file("b");
    struct stat st;
    CHECK(lstat("l", &st) == 0);
    printf("regular %d\n", S_ISREG(st.st_mode));
    // An open file keeps its contents when its name is taken over.
    int fd = open("b", O_RDONLY);
    CHECK(rename("l", "b") == 0);
    char byte = 0;
    CHECK(read(fd, &byte, 1) == 1);
    printf("%c\n", byte);
    show_file("b");
    return 0;
}
