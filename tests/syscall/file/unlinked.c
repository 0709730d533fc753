// A file without a name: reads, writes, size, reappearance of the name, linkat of O_TMPFILE. See unlink(2), open(2).
#include "check.h"

int main(void) {
    put("f", "first");
    int fd = open("f", O_RDWR);
    SHOW(unlink("f"));
    OUTCOME(open("f", O_RDONLY));
    SHOW(write(fd, "F", 1));
    char text[16] = {0};
    SHOW(pread(fd, text, sizeof text, 0));
    printf("%s\n", text);
    put("f", "second");
    memset(text, 0, sizeof text);
    CHECK(pread(fd, text, sizeof text - 1, 0) == 5);
    printf("%s\n", text);
    show_file("f");
    struct stat old, new;
    CHECK(fstat(fd, &old) == 0 && stat("f", &new) == 0);
    printf("other inode %d, links %d\n", old.st_ino != new.st_ino, (int)old.st_nlink);
    SHOW(unlink("missing"));
    CHECK(mkdir("d", 0755) == 0);
    SHOW(unlink("d"));
    SHOW(unlinkat(AT_FDCWD, "d", AT_REMOVEDIR));
    SHOW(unlinkat(AT_FDCWD, "f", AT_REMOVEDIR));
    SHOW(unlink("f/"));
    // The current folder may be removed; then nothing can be made in it.
    CHECK(mkdir("here", 0755) == 0 && chdir("here") == 0);
    SHOW(rmdir("../here"));
    OUTCOME(open("x", O_CREAT | O_WRONLY, 0600));
    OUTCOME(getcwd(text, sizeof text) == NULL ? -1 : 0);
    CHECK(stat(".", &new) == 0);
    printf("links of a removed folder %d\n", (int)new.st_nlink);
    OUTCOME(chdir(".."));
    return 0;
}
