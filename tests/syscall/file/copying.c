// sendfile, copy_file_range, splice: offsets, ends, errors. See sendfile(2), copy_file_range(2).
#include "check.h"
#include <sys/sendfile.h>

int main(void) {
    put("in", "0123456789");
    int in = open("in", O_RDONLY), out = open("out", O_RDWR | O_CREAT, 0644);
    off_t offset = 3;
    SHOW(sendfile(out, in, &offset, 4));
    printf("offset %ld, position %ld\n", (long)offset, (long)lseek(in, 0, SEEK_CUR));
    SHOW(sendfile(out, in, NULL, 2));
    SHOW(lseek(in, 0, SEEK_CUR));
    show_file("out");
    SHOW(sendfile(out, in, NULL, 1000));
    SHOW(sendfile(out, in, NULL, 1000));
    show_file("out");
    int ends[2];
    CHECK(pipe(ends) == 0);
    offset = 0;
    SHOW(sendfile(ends[1], in, &offset, 5));
    char text[16] = {0};
    CHECK(read(ends[0], text, 15) == 5);
    printf("%s\n", text);
    offset = -1;
    SHOW(sendfile(out, in, &offset, 1));
    SHOW(sendfile(in, out, NULL, 1));
    SHOW(sendfile(out, -1, NULL, 1));

    off_t from = 2, to = 1;
    CHECK(ftruncate(out, 0) == 0);
    SHOW(copy_file_range(in, &from, out, &to, 3, 0));
    printf("from %ld to %ld\n", (long)from, (long)to);
    show_file("out");
    from = 100;
    SHOW(copy_file_range(in, &from, out, &to, 3, 0));
    from = 0;
    SHOW(copy_file_range(in, &from, out, NULL, 3, 1));
    SHOW(copy_file_range(out, NULL, in, NULL, 3, 0));
    from = 0, to = 1;
    SHOW(copy_file_range(out, &from, out, &to, 3, 0));

    from = 4;
    SHOW(splice(in, &from, ends[1], NULL, 3, 0));
    to = 0;
    SHOW(splice(ends[0], NULL, out, &to, 10, 0));
    show_file("out");
    SHOW(splice(in, NULL, out, NULL, 3, 0));
    // More than a pipe holds, with a reader at the other end.
    enum { SIZE = 300000 };
    int big = open("big", O_RDWR | O_CREAT, 0644);
    CHECK(ftruncate(big, SIZE) == 0);
    pid_t pid = quiet_fork();
    if (pid == 0) {
        static char block[65536];
        long total = 0, n;
        close(ends[1]);
        while ((n = read(ends[0], block, sizeof block)) > 0)
            total += n;
        _exit(total == SIZE ? 0 : 1);
    }
    long sent = 0, n;
    while (sent < SIZE && (n = sendfile(ends[1], big, NULL, SIZE - sent)) > 0)
        sent += n;
    printf("sent %ld\n", sent);
    close(ends[1]);
    show_end("reader", pid);
    return 0;
}
