// chdir, fchdir, getcwd: after renames, across fork, sizes. See getcwd(3), chdir(2).
#include "check.h"
#include <limits.h>
#include <sys/syscall.h>

static char base[PATH_MAX];

// The current folder, relative to where the program began.
static void where(void) {
    char text[PATH_MAX];
    if (getcwd(text, sizeof text) == NULL)
        printf("%s\n", strerrorname_np(errno));
    else if (strncmp(text, base, strlen(base)) == 0)
        printf("<base>%s\n", text + strlen(base));
    else
        printf("%s\n", text);
}

int main(void) {
    CHECK(getcwd(base, sizeof base) != NULL);
    CHECK(mkdir("a", 0755) == 0 && mkdir("a/b", 0755) == 0 && symlink("a/b", "l") == 0);
    put("f", "");
    SHOW(chdir("missing"));
    SHOW(chdir("f"));
    SHOW(chdir("a/b"));
    where();
    SHOW(rename("../../a", "../../moved"));
    where();
    SHOW(chdir("../.."));
    where();
    SHOW(chdir("l"));
    SHOW(unlink("l"));
    SHOW(symlink("moved/b", "l"));
    SHOW(chdir("l/../b/."));
    where();
    int parent = open("..", O_RDONLY | O_DIRECTORY);
    CHECK(parent >= 0);
    SHOW(chdir("/"));
    where();
    SHOW(chdir("../../.."));
    where();
    SHOW(fchdir(parent));
    where();
    SHOW(fchdir(-1));
    int file = open("../f", O_RDONLY);
    CHECK(file >= 0);
    SHOW(fchdir(file));
    pid_t pid = quiet_fork();
    if (pid == 0)
        _exit(chdir("b"));
    show_end("child", pid);
    where();
    char small[4];
    OUTCOME(getcwd(small, sizeof small) == NULL ? -1 : 0);
    CHECK(chdir("/proc") == 0);
    // The call counts the terminating zero byte.
    char text[16];
    SHOW(syscall(SYS_getcwd, text, sizeof text));
    SHOW(syscall(SYS_getcwd, text, 5UL));
    return 0;
}
