// lseek, holes, positions past the end, SEEK_DATA and SEEK_HOLE bounds. See lseek(2).
#include "check.h"

int main(void) {
    int fd = open("f", O_RDWR | O_CREAT, 0644);
    CHECK(fd >= 0);
    CHECK(write(fd, "abc", 3) == 3);
    SHOW(lseek(fd, 10, SEEK_SET));
    SHOW(write(fd, "z", 1));
    show_file("f");
    SHOW(lseek(fd, -4, SEEK_END));
    SHOW(lseek(fd, 2, SEEK_CUR));
    SHOW(lseek(fd, -1, SEEK_SET));
    SHOW(lseek(fd, -100, SEEK_CUR));
    SHOW(lseek(fd, 0, 99));
    SHOW(lseek(fd, 1000, SEEK_SET));
    char byte;
    SHOW(read(fd, &byte, 1));
    struct stat st;
    CHECK(fstat(fd, &st) == 0);
    printf("size %ld\n", (long)st.st_size);
    SHOW(lseek(fd, 0, SEEK_DATA));
    SHOW(lseek(fd, 11, SEEK_DATA));
    SHOW(lseek(fd, 11, SEEK_HOLE));
    CHECK(lseek(fd, 0, SEEK_HOLE) <= 11);
    // A large hole costs nothing and reads as zeros.
    SHOW(pwrite(fd, "end", 3, 1L << 30));
    CHECK(fstat(fd, &st) == 0);
    printf("size %ld, sparse %d\n", (long)st.st_size, st.st_blocks < 1 << 20);
    char zeros[16];
    SHOW(pread(fd, zeros, sizeof zeros, 1 << 29));
    for (unsigned i = 0; i < sizeof zeros; i++)
        CHECK(zeros[i] == 0);
    int ends[2];
    CHECK(pipe(ends) == 0);
    SHOW(lseek(ends[0], 0, SEEK_CUR));
    int dir = open(".", O_RDONLY);
    SHOW(lseek(dir, 0, SEEK_SET));
    return 0;
}
