// readdir: every name once, types, many entries, seeking back, removal while reading. See readdir(3), getdents(2).
#include "check.h"
#include <dirent.h>

static int by_name(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void list(DIR *dir) {
    char *names[64];
    int count = 0;
    struct dirent *entry;
    while ((entry = readdir(dir)) != NULL && count < 64) {
        char line[300];
        snprintf(line, sizeof line, "%s type %d", entry->d_name, entry->d_type);
        names[count++] = strdup(line);
    }
    qsort(names, count, sizeof *names, by_name);
    for (int i = 0; i < count; i++) {
        printf("  %s\n", names[i]);
        free(names[i]);
    }
}

int main(void) {
    CHECK(mkdir("d", 0755) == 0);
    put("d/file", "");
    CHECK(mkdir("d/sub", 0755) == 0 && symlink("x", "d/link") == 0 && mkfifo("d/fifo", 0644) == 0);
    put("d/.hidden", "");
    DIR *dir = opendir("d");
    CHECK(dir != NULL);
    list(dir);
    CHECK(unlink("d/file") == 0);
    put("d/later", "");
    rewinddir(dir);
    list(dir);
    closedir(dir);
    OUTCOME(opendir("missing") == NULL ? -1 : 0);
    OUTCOME(opendir("d/later") == NULL ? -1 : 0);
    // More names than one call returns.
    CHECK(mkdir("many", 0755) == 0);
    enum { COUNT = 1500 };
    char name[64];
    for (int i = 0; i < COUNT; i++) {
        snprintf(name, sizeof name, "many/a-rather-long-file-name-%04d", i);
        put(name, "");
    }
    static char seen[COUNT];
    dir = opendir("many");
    struct dirent *entry;
    int total = 0, twice = 0;
    while ((entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        int number = atoi(strrchr(entry->d_name, '-') + 1);
        twice += seen[number]++ != 0;
        total++;
    }
    printf("%d names, %d twice\n", total, twice);
    // Removing while reading: each name is still met, and the folder is empty at the end.
    rewinddir(dir);
    int removed = 0;
    while ((entry = readdir(dir)) != NULL)
        if (entry->d_name[0] != '.' && unlinkat(dirfd(dir), entry->d_name, 0) == 0)
            removed++;
    printf("removed %d\n", removed);
    SHOW(rmdir("many"));
    return 0;
}
