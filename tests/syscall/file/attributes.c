// Extended attributes in the user name space. See xattr(7). Prints one line where the file system has none.
#include "check.h"
#include <sys/xattr.h>

static int by_name(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

int main(void) {
    put("f", "");
    if (setxattr("f", "user.probe", "", 0, 0) != 0 && errno == ENOTSUP) {
        printf("no extended attributes\n");
        return 0;
    }
    SHOW(removexattr("f", "user.probe"));
    SHOW(setxattr("f", "user.one", "value", 5, 0));
    SHOW(setxattr("f", "user.one", "other", 5, XATTR_CREATE));
    SHOW(setxattr("f", "user.two", "2", 1, XATTR_REPLACE));
    SHOW(setxattr("f", "user.two", "22", 2, 0));
    char text[64] = {0};
    SHOW(getxattr("f", "user.one", text, sizeof text));
    printf("%s\n", text);
    SHOW(getxattr("f", "user.one", NULL, 0));
    SHOW(getxattr("f", "user.one", text, 2));
    SHOW(getxattr("f", "user.none", text, 2));
    char names[256];
    ssize_t n = listxattr("f", names, sizeof names);
    char *list[8];
    int count = 0;
    for (char *at = names; at < names + n && count < 8; at += strlen(at) + 1)
        if (strncmp(at, "user.", 5) == 0)
            list[count++] = at;
    qsort(list, count, sizeof *list, by_name);
    for (int i = 0; i < count; i++)
        printf("%s\n", list[i]);
    int fd = open("f", O_RDONLY);
    SHOW(fsetxattr(fd, "user.three", "", 0, 0));
    SHOW(fgetxattr(fd, "user.three", text, sizeof text));
    SHOW(removexattr("f", "user.one"));
    SHOW(removexattr("f", "user.one"));
    SHOW(setxattr("f", "nospace", "", 0, 0));
    SHOW(setxattr("missing", "user.x", "", 0, 0));
    CHECK(symlink("f", "l") == 0);
    SHOW(lsetxattr("l", "user.x", "", 0, 0));
    SHOW(getxattr("l", "user.two", text, sizeof text));
    return 0;
}
