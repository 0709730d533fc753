// /proc/self: exe, status, maps, cmdline, comm, environ, fd, limits, stat. See proc(5).
#include "check.h"
#include <dirent.h>
#include <limits.h>
#include <sys/prctl.h>

static char text[65536];

static ssize_t load(const char *path) {
    int fd = open(path, O_RDONLY);
    CHECK(fd >= 0);
    ssize_t total = 0, n;
    while ((n = read(fd, text + total, sizeof text - 1 - total)) > 0)
        total += n;
    CHECK(n == 0);
    close(fd);
    text[total] = 0;
    return total;
}

// The value of a line `name:\tvalue`.
static void field(const char *name) {
    char *at = text;
    while (at != NULL && *at != 0) {
        if (strncmp(at, name, strlen(name)) == 0) {
            printf("%.*s\n", (int)strcspn(at, "\n"), at);
            return;
        }
        at = strchr(at, '\n');
        at = at ? at + 1 : NULL;
    }
    printf("no %s\n", name);
}

int main(int argc, char **argv) {
    (void)argc;
    char link[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", link, sizeof link - 1);
    CHECK(n > 0);
    link[n] = 0;
    printf("exe %s\n", strrchr(link, '/'));
    char here[PATH_MAX];
    n = readlink("/proc/self/cwd", link, sizeof link - 1);
    link[n] = 0;
    printf("cwd %d\n", getcwd(here, sizeof here) != NULL && strcmp(here, link) == 0);
    n = readlink("/proc/self/root", link, sizeof link - 1);
    printf("root %.*s\n", (int)n, link);
    n = readlink("/proc/self", link, sizeof link - 1);
    link[n] = 0;
    printf("self %d\n", atoi(link) == getpid());
    load("/proc/self/status");
    field("Name:");
    field("State:");
    field("Threads:");
    char line[64];
    snprintf(line, sizeof line, "Pid:\t%d\n", getpid());
    printf("Pid %d\n", strstr(text, line) != NULL);
    snprintf(line, sizeof line, "PPid:\t%d\n", getppid());
    printf("PPid %d\n", strstr(text, line) != NULL);
    snprintf(line, sizeof line, "Uid:\t%d\t%d\t%d\t", getuid(), geteuid(), geteuid());
    printf("Uid %d\n", strstr(text, line) != NULL);
    load("/proc/self/maps");
    printf("stack %d, program %d\n", strstr(text, "[stack]") != NULL, strstr(text, "/self") != NULL);
    n = load("/proc/self/cmdline");
    printf("cmdline %d\n", n == (ssize_t)strlen(argv[0]) + 1 && strcmp(text, argv[0]) == 0);
    load("/proc/self/comm");
    printf("comm %s", text);
    CHECK(prctl(PR_SET_NAME, "a name that is too long") == 0);
    load("/proc/self/comm");
    printf("comm %s", text);
    load("/proc/self/stat");
    printf("stat %d\n", atoi(text) == getpid() && strstr(text, "(a name that is ) R ") != NULL);
    int fd = open("/dev/null", O_RDONLY);
    snprintf(line, sizeof line, "/proc/self/fd/%d", fd);
    n = readlink(line, link, sizeof link);
    printf("fd %.*s\n", (int)n, link);
    DIR *dir = opendir("/proc/self/fd");
    int count = 0, own = 0;
    struct dirent *entry;
    while ((entry = readdir(dir)) != NULL) {
        count += entry->d_name[0] != '.';
        own += entry->d_name[0] != '.' && atoi(entry->d_name) == fd;
    }
    printf("descriptors %d, own %d\n", count >= 4, own);
    OUTCOME(open("/proc/self/nothing", O_RDONLY));
    OUTCOME(open("/proc/999999/status", O_RDONLY));
    OUTCOME(open("/proc/self/status", O_CREAT | O_EXCL | O_RDWR, 0644));
    OUTCOME(mkdir("/proc/self/x", 0755));
    return 0;
}
