// openat flags: O_EXCL, O_APPEND, O_TRUNC, O_DIRECTORY, O_NOFOLLOW, access modes. See open(2).
#include "check.h"

int main(void) {
    put("a", "hello");
    OUTCOME(open("a", O_CREAT | O_EXCL | O_RDWR, 0600));
    OUTCOME(open("missing", O_RDONLY));
    OUTCOME(open("new", O_CREAT | O_EXCL | O_RDWR, 0600));
    OUTCOME(open("a", O_RDONLY | O_DIRECTORY));
    OUTCOME(open("a/b", O_RDONLY));
    OUTCOME(open("", O_RDONLY));
    OUTCOME(open(".", O_WRONLY));
    OUTCOME(open(".", O_RDONLY));
    OUTCOME(open("gone/new", O_CREAT | O_WRONLY, 0600));
    CHECK(symlink("a", "link") == 0);
    CHECK(symlink("nowhere", "dangling") == 0);
    OUTCOME(open("link", O_RDONLY | O_NOFOLLOW));
    OUTCOME(open("dangling", O_CREAT | O_EXCL | O_WRONLY, 0600));
    OUTCOME(open("dangling", O_RDONLY));
    OUTCOME(open("dangling", O_CREAT | O_WRONLY, 0600));
    OUTCOME(access("nowhere", F_OK));

    int append = open("a", O_WRONLY | O_APPEND);
    CHECK(append >= 0);
    CHECK(lseek(append, 0, SEEK_SET) == 0);
    SHOW(write(append, " world", 6));
    SHOW(lseek(append, 0, SEEK_CUR));
    char byte;
    SHOW(read(append, &byte, 1));
    show_file("a");
    int reader = open("a", O_RDONLY);
    SHOW(write(reader, "x", 1));
    SHOW(ftruncate(reader, 0));
    int truncating = open("a", O_WRONLY | O_TRUNC);
    CHECK(truncating >= 0);
    show_file("a");
    CHECK(write(truncating, "new", 3) == 3);
    SHOW(write(append, "+", 1));
    show_file("a");
    SHOW(read(reader, &byte, 1));
    SHOW(close(reader));
    SHOW(close(reader));
    SHOW(read(reader, &byte, 1));
    SHOW(write(-1, "x", 1));
    return 0;
}
