// Writes of up to PIPE_BUF bytes by several processes do not mix. See pipe(7).
#include "check.h"

enum { WRITERS = 4, RECORDS = 200, SIZE = 512 };

int main(void) {
    int ends[2];
    CHECK(pipe(ends) == 0);
    for (int writer = 0; writer < WRITERS; writer++) {
        if (quiet_fork() != 0)
            continue;
        char record[SIZE];
        memset(record, 'a' + writer, SIZE);
        for (int i = 0; i < RECORDS; i++)
            CHECK(write(ends[1], record, SIZE) == SIZE);
        _exit(0);
    }
    close(ends[1]);
    int counts[WRITERS] = {0}, mixed = 0, filled = 0;
    char record[SIZE];
    ssize_t n;
    while ((n = read(ends[0], record + filled, SIZE - filled)) > 0) {
        filled += n;
        if (filled < SIZE)
            continue;
        filled = 0;
        for (int i = 1; i < SIZE; i++)
            mixed += record[i] != record[0];
        counts[record[0] - 'a']++;
    }
    for (int writer = 0; writer < WRITERS; writer++)
        printf("writer %d: %d records\n", writer, counts[writer]);
    printf("mixed %d, rest %d\n", mixed, filled);
    int ended = 0;
    while (wait(NULL) > 0)
        ended++;
    printf("ended %d\n", ended);
    return 0;
}
