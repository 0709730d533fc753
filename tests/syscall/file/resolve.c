// What openat2(2) keeps a path from: leaving a folder, leaving a mount, following links; a folder taken for the root.
#include "check.h"
#include <linux/openat2.h>
#include <sys/syscall.h>

static int base;

// Opens a path and says what came of it, with the first bytes of the file.
static void resolve(const char *path, uint64_t flags, uint64_t how) {
    struct open_how open_how = {.flags = flags, .mode = flags & O_CREAT ? 0600 : 0, .resolve = how};
    errno = 0;
    int fd = syscall(SYS_openat2, base, path, &open_how, sizeof open_how);
    char text[32] = "";
    if (fd < 0)
        printf("  %s: %s\n", path, strerrorname_np(errno));
    else if (read(fd, text, sizeof text - 1) < 0)
        printf("  %s: opened\n", path);
    else
        printf("  %s: \"%s\"\n", path, text);
    close(fd);
}

static void all(const char *what, uint64_t how) {
    printf("%s\n", what);
    const char *paths[] = {"f",       "/f",           "..",        "../f",      "sub/../../f", "sub/..",   "absolute",
                           "upwards", "to_sub/inner", "nowhere",   "/sub/inner", "/",          "dangling", "../../etc/hostname",
                           "proc/fd", "sub/inner/",   "./.././/f", "loop"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        resolve(paths[i], O_RDONLY, how);
}

int main(void) {
    // A file of the same name outside, which nothing is to reach.
    put("f", "outside");
    CHECK(mkdir("root", 0755) == 0 && mkdir("root/sub", 0755) == 0);
    put("root/f", "inside");
    put("root/sub/inner", "inner");
    CHECK(symlink("/f", "root/absolute") == 0);
    CHECK(symlink("../../../f", "root/upwards") == 0);
    CHECK(symlink("/sub", "root/to_sub") == 0);
    CHECK(symlink("/none/x", "root/dangling") == 0);
    CHECK(symlink("loop", "root/loop") == 0);
    CHECK(symlink("/proc/self", "root/proc") == 0);
    base = open("root", O_PATH | O_DIRECTORY);
    CHECK(base >= 0);
    all("in root", RESOLVE_IN_ROOT);
    all("beneath", RESOLVE_BENEATH);
    all("in root without links", RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS);
    printf("making\n");
    resolve("/new", O_RDWR | O_CREAT | O_EXCL, RESOLVE_IN_ROOT);
    resolve("../new", O_RDWR | O_CREAT | O_EXCL, RESOLVE_IN_ROOT);
    resolve("../newer", O_RDWR | O_CREAT | O_EXCL, RESOLVE_BENEATH);
    printf("new inside %d, outside %d\n", access("root/new", F_OK), access("new", F_OK));
    resolve("dangling", O_RDWR | O_CREAT, RESOLVE_IN_ROOT);

    printf("what means nothing\n");
    resolve("f", O_RDONLY, RESOLVE_IN_ROOT | RESOLVE_BENEATH);
    resolve("f", O_RDONLY, 1 << 10);
    close(base);
    base = AT_FDCWD;
    CHECK(chdir("root") == 0);
    resolve("/f", O_RDONLY, RESOLVE_IN_ROOT);
    base = open("f", O_RDONLY);
    resolve("/", O_RDONLY, RESOLVE_IN_ROOT);
    resolve("x", O_RDONLY, RESOLVE_IN_ROOT);
    close(base);
    base = 1000;
    resolve("/f", O_RDONLY, RESOLVE_IN_ROOT);

    printf("mounts and links of /proc\n");
    base = open("/proc", O_PATH | O_DIRECTORY);
    CHECK(base >= 0);
    resolve("..", O_RDONLY, RESOLVE_NO_XDEV);
    resolve("self/root", O_RDONLY, RESOLVE_NO_XDEV);
    resolve("self/..", O_RDONLY, RESOLVE_NO_XDEV);
    resolve("..", O_RDONLY, RESOLVE_IN_ROOT);
    resolve("self/cwd", O_RDONLY, RESOLVE_IN_ROOT);
    resolve("self/cwd", O_RDONLY, RESOLVE_BENEATH);
    resolve("self/cwd", O_RDONLY, RESOLVE_NO_MAGICLINKS);
    resolve("self/cwd", O_RDONLY, RESOLVE_NO_SYMLINKS);
    resolve("self/cwd", O_RDONLY, 0);
    base = open("/", O_PATH | O_DIRECTORY);
    resolve("proc/self", O_RDONLY, RESOLVE_NO_XDEV);
    resolve("proc", O_RDONLY | O_NOFOLLOW, 0);
    return 0;
}
