// fallocate and posix_fallocate: plain, keeping the size, punching holes. See fallocate(2).
#include "check.h"

int main(void) {
    int fd = open("f", O_RDWR | O_CREAT, 0644);
    CHECK(fd >= 0);
    CHECK(write(fd, "abcdef", 6) == 6);
    struct stat st;
    SHOW(fallocate(fd, 0, 0, 10));
    show_file("f");
    SHOW(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 100));
    CHECK(fstat(fd, &st) == 0);
    printf("size %ld\n", (long)st.st_size);
    SHOW(fallocate(fd, 0, 0, 0));
    SHOW(fallocate(fd, 0, -1, 5));
    SHOW(fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, 5));
    SHOW(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 2, 2));
    show_file("f");
    SHOW(posix_fallocate(fd, 0, 20));
    CHECK(fstat(fd, &st) == 0);
    printf("size %ld\n", (long)st.st_size);
    int reader = open("f", O_RDONLY);
    SHOW(fallocate(reader, 0, 0, 10));
    int ends[2];
    CHECK(pipe(ends) == 0);
    SHOW(fallocate(ends[1], 0, 0, 10));
    SHOW(fallocate(-1, 0, 0, 10));
    return 0;
}
