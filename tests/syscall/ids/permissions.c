// What an ordinary user may do to files: sticky folders, set-id bits on write, chmod and utime of others' files.
#include "check.h"
#include <grp.h>

static void as_user(void) {
    CHECK(setgroups(0, NULL) == 0 && setresgid(700, 700, 700) == 0 && setresuid(700, 700, 700) == 0);
    OUTCOME(open("root-only", O_RDONLY));
    OUTCOME(open("group", O_RDONLY));
    OUTCOME(open("all", O_RDWR));
    SHOW(chmod("all", 0777));
    SHOW(utimensat(AT_FDCWD, "all", NULL, 0));
    struct timespec times[2] = {{1, 0}, {1, 0}};
    SHOW(utimensat(AT_FDCWD, "all", times, 0));
    SHOW(unlink("sticky/theirs"));
    put("sticky/mine", "");
    SHOW(rename("sticky/theirs", "sticky/x"));
    SHOW(unlink("sticky/mine"));
    SHOW(unlink("open/theirs"));
    OUTCOME(open("closed/x", O_CREAT | O_WRONLY, 0600));
    SHOW(mkdir("closed/d", 0755));
    SHOW(chdir("dark"));
    OUTCOME(open("listless", O_RDONLY | O_DIRECTORY));
    show_file("listless/known");
    put("open/mine", "");
    SHOW(chmod("open/mine", 06755));
    struct stat st;
    CHECK(stat("open/mine", &st) == 0);
    printf("mode %o\n", st.st_mode & 07777);
    CHECK(chmod("open/mine", 04755) == 0);
    int fd = open("open/mine", O_WRONLY);
    CHECK(write(fd, "x", 1) == 1 && stat("open/mine", &st) == 0);
    printf("after a write %o\n", st.st_mode & 07777);
    SHOW(chown("open/mine", 701, -1));
    SHOW(chown("open/mine", -1, 701));
    SHOW(chown("open/mine", 700, 700));
    SHOW(kill(getppid(), 0));
    SHOW(link("open/mine", "open/again"));
    OUTCOME(open("run", O_WRONLY));
    SHOW(access("run", X_OK));
    fflush(stdout);
    _exit(0);
}

int main(void) {
    if (geteuid() != 0) {
        printf("not root\n");
        return 0;
    }
    umask(0);
    CHECK(chmod(".", 0755) == 0);
    put("root-only", "");
    put("group", "");
    put("all", "");
    put("run", "");
    CHECK(chmod("root-only", 0600) == 0 && chmod("group", 0640) == 0 && chown("group", 0, 700) == 0);
    CHECK(chmod("all", 0666) == 0 && chmod("run", 0711) == 0);
    CHECK(mkdir("sticky", 01777) == 0 && mkdir("open", 0777) == 0 && mkdir("closed", 0755) == 0);
    CHECK(mkdir("dark", 0700) == 0 && mkdir("listless", 0711) == 0);
    put("sticky/theirs", "");
    put("open/theirs", "");
    put("listless/known", "known name");
    CHECK(chmod("listless/known", 0644) == 0);
    pid_t pid = quiet_fork();
    if (pid == 0)
        as_user();
    show_end("user", pid);
    return 0;
}
