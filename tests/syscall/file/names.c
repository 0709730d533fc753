// Trailing slashes, dots, repeated slashes, names and paths that are too long, bytes beyond ASCII.
#include "check.h"
#include <limits.h>

int main(void) {
    put("f", "x");
    CHECK(mkdir("d", 0755) == 0 && symlink("f", "lf") == 0 && symlink("d", "ld") == 0);
    struct stat st;
    SHOW(stat("f/", &st));
    SHOW(stat("d/", &st));
    SHOW(stat("d//.//../f", &st));
    SHOW(lstat("lf/", &st));
    SHOW(lstat("ld/", &st));
    printf("folder %d\n", S_ISDIR(st.st_mode));
    SHOW(lstat("ld/.", &st));
    OUTCOME(open("new/", O_CREAT | O_WRONLY, 0644));
    OUTCOME(open("f/", O_WRONLY));
    SHOW(unlink("lf/"));
    SHOW(rmdir("ld/"));
    SHOW(link("f", "g/"));
    SHOW(symlink("f", "h/"));
    SHOW(stat("/../../..", &st));
    SHOW(stat("f/..", &st));
    SHOW(stat("missing/../f", &st));

    static char name[NAME_MAX + 2], path[PATH_MAX + 2];
    memset(name, 'n', NAME_MAX);
    OUTCOME(open(name, O_CREAT | O_WRONLY, 0644));
    name[NAME_MAX] = 'n';
    int result = open(name, O_CREAT | O_WRONLY, 0644);
    printf("256: %d %s\n", result, strerrorname_np(errno));
    for (int i = 0; i < PATH_MAX - 2; i += 2)
        memcpy(path + i, "./", 2);
    path[PATH_MAX - 2] = 'f';
    printf("4095: %d\n", stat(path, &st));
    path[PATH_MAX - 2] = '/';
    path[PATH_MAX - 1] = 'f';
    result = stat(path, &st);
    printf("4096: %d %s\n", result, strerrorname_np(errno));
    put("caf\xc3\xa9", "utf-8");
    show_file("caf\xc3\xa9");
    put("\x01\xff\n", "bytes");
    OUTCOME(access("\x01\xff\n", F_OK));
    put("a b*?\"'\\", "odd");
    OUTCOME(access("a b*?\"'\\", F_OK));
    OUTCOME(access("F", F_OK));
    OUTCOME(access((char *)1, F_OK));
    return 0;
}
