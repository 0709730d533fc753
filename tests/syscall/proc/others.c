// Other files of /proc and /dev: of a child, of the machine; the simple devices. See proc(5), null(4), random(4).
#include "check.h"
#include <sys/random.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>

static int begins(const char *path, const char *start) {
    char text[4096];
    int fd = open(path, O_RDONLY);
    if (fd < 0)
        return -1;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    if (n < 0)
        return -2;
    text[n] = 0;
    return strncmp(text, start, strlen(start)) == 0;
}

int main(void) {
    int ends[2];
    CHECK(pipe(ends) == 0);
    pid_t pid = quiet_fork();
    char byte, path[64];
    if (pid == 0) {
        close(ends[1]);
        read(ends[0], &byte, 1);
        _exit(0);
    }
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    printf("child %d\n", begins(path, "Name:\tothers\n"));
    snprintf(path, sizeof path, "/proc/%d/cwd", pid);
    OUTCOME(access(path, F_OK));
    close(ends[1]);
    show_end("child", pid);
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    printf("gone %d\n", begins(path, ""));
    printf("meminfo %d\n", begins("/proc/meminfo", "MemTotal:"));
    printf("stat %d\n", begins("/proc/stat", "cpu "));
    printf("version %d\n", begins("/proc/version", "Linux version "));
    printf("ostype %d\n", begins("/proc/sys/kernel/ostype", "Linux\n"));
    printf("uptime %d, loadavg %d, mounts %d\n", begins("/proc/uptime", ""), begins("/proc/loadavg", ""),
           begins("/proc/mounts", ""));
    struct utsname name;
    CHECK(uname(&name) == 0);
    printf("system %s\n", name.sysname);
    struct sysinfo info;
    CHECK(sysinfo(&info) == 0);
    printf("memory %d, processes %d\n", info.totalram > 0 && info.freeram <= info.totalram, info.procs > 0);
    printf("processors %d, page %ld\n", sysconf(_SC_NPROCESSORS_ONLN) >= 1, sysconf(_SC_PAGESIZE));

    char block[32];
    int fd = open("/dev/null", O_RDWR);
    SHOW(read(fd, block, 32));
    SHOW(write(fd, block, 32));
    fd = open("/dev/zero", O_RDWR);
    memset(block, 'x', sizeof block);
    SHOW(read(fd, block, 32));
    printf("zeros %d\n", block[0] == 0 && block[31] == 0);
    fd = open("/dev/full", O_RDWR);
    SHOW(write(fd, block, 1));
    char other[32];
    memset(other, 0, sizeof other);
    fd = open("/dev/urandom", O_RDONLY);
    SHOW(read(fd, block, 32));
    SHOW(getrandom(other, 32, 0));
    printf("differ %d\n", memcmp(block, other, 32) != 0);
    SHOW(getrandom(other, 32, 0x100));
    fflush(stdout);
    fd = open("/dev/stdout", O_WRONLY | O_APPEND);
    CHECK(write(fd, "through /dev/stdout\n", 20) == 20);
    fflush(stdout);
    return 0;
}
