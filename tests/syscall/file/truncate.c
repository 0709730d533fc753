// truncate, ftruncate: shrink, grow with zeros, errors. See truncate(2).
#include "check.h"

static long size(const char *path) {
    struct stat st;
    CHECK(stat(path, &st) == 0);
    return st.st_size;
}

int main(void) {
    put("f", "0123456789");
    SHOW(truncate("f", 4));
    show_file("f");
    SHOW(truncate("f", 8));
    show_file("f");
    int fd = open("f", O_RDWR);
    CHECK(lseek(fd, 0, SEEK_END) == 8);
    SHOW(ftruncate(fd, 2));
    SHOW(lseek(fd, 0, SEEK_CUR));
    SHOW(write(fd, "x", 1));
    show_file("f");
    SHOW(ftruncate(fd, -1));
    SHOW(truncate("missing", 0));
    SHOW(truncate(".", 0));
    SHOW(ftruncate(fd, 100000));
    printf("size %ld\n", size("f"));
    char c = 'y';
    SHOW(pread(fd, &c, 1, 99999));
    printf("%d\n", c);
    SHOW(ftruncate(fd, 0));
    printf("size %ld\n", size("f"));
    SHOW(ftruncate(fd, 5));
    show_file("f");
    int ends[2];
    CHECK(pipe(ends) == 0);
    SHOW(ftruncate(ends[1], 0));
    // Contents shorter than a page and regrown: the old bytes must not come back.
    CHECK(pwrite(fd, "secret", 6, 0) == 6);
    CHECK(ftruncate(fd, 3) == 0 && ftruncate(fd, 6) == 0);
    show_file("f");
    return 0;
}
