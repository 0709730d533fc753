// fsync, fdatasync, syncfs, sync_file_range: what they take and refuse. See fsync(2), sync(2), sync_file_range(2).
#include "check.h"
#include <sys/socket.h>

int main(void) {
    put("file", "some text");
    int fd = open("file", O_RDWR), folder = open(".", O_RDONLY | O_DIRECTORY);
    int path = open("file", O_PATH), read_only = open("file", O_RDONLY);
    int pipes[2], sockets[2];
    CHECK(fd >= 0 && folder >= 0 && path >= 0 && read_only >= 0);
    CHECK(pipe(pipes) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) == 0);
    const int all = SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;

    SHOW(fsync(fd));
    SHOW(fdatasync(read_only));
    SHOW(fsync(folder));
    SHOW(syncfs(folder));
    SHOW(fsync(pipes[0]));
    SHOW(fdatasync(sockets[0]));
    SHOW(fsync(path));
    SHOW(fsync(-1));

    SHOW(sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE));
    SHOW(sync_file_range(fd, 0, 0, 0));
    SHOW(sync_file_range(fd, 4, 100, all));
    SHOW(sync_file_range(read_only, 1 << 20, 1, all));
    SHOW(sync_file_range(folder, 0, 0, SYNC_FILE_RANGE_WAIT_BEFORE));
    SHOW(sync_file_range(fd, 0, 0, 8));
    SHOW(sync_file_range(fd, -1, 0, SYNC_FILE_RANGE_WRITE));
    SHOW(sync_file_range(fd, 0, -1, SYNC_FILE_RANGE_WRITE));
    SHOW(sync_file_range(fd, INT64_MAX, 1, SYNC_FILE_RANGE_WRITE));
    SHOW(sync_file_range(pipes[1], 0, 0, SYNC_FILE_RANGE_WRITE));
    SHOW(sync_file_range(sockets[0], 0, 0, SYNC_FILE_RANGE_WRITE));
    SHOW(sync_file_range(pipes[1], 0, 0, 8));
    SHOW(sync_file_range(path, 0, 0, SYNC_FILE_RANGE_WRITE));
    SHOW(sync_file_range(-1, 0, 0, 8));

    int null = open("/dev/null", O_WRONLY);
    CHECK(null >= 0);
    SHOW(sync_file_range(null, 0, 0, SYNC_FILE_RANGE_WRITE));
    show_file("file");
}
