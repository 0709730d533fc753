// Ids: getters agree, a process that begins as root gives up its ids step by step. See credentials(7).
#include "check.h"
#include <grp.h>
#include <sys/fsuid.h>

static void show(const char *what) {
    uid_t r, e, s;
    gid_t rg, eg, sg;
    CHECK(getresuid(&r, &e, &s) == 0 && getresgid(&rg, &eg, &sg) == 0);
    CHECK(r == getuid() && e == geteuid() && rg == getgid() && eg == getegid());
    printf("%s: uid %d %d %d gid %d %d %d\n", what, r, e, s, rg, eg, sg);
}

static void as_root(void) {
    gid_t groups[3] = {100, 200, 300}, got[8];
    SHOW(setgroups(3, groups));
    SHOW(getgroups(0, NULL));
    SHOW(getgroups(1, got));
    SHOW(getgroups(8, got));
    printf("%d %d %d\n", got[0], got[1], got[2]);
    SHOW(setgroups(1, groups));
    SHOW(setresgid(1000, 1001, 1002));
    show("setresgid");
    SHOW(setresuid(-1, 2001, -1));
    show("effective only");
    put("owned", "");
    struct stat st;
    CHECK(stat("owned", &st) == 0);
    printf("file: %d %d\n", st.st_uid, st.st_gid);
    SHOW(chown("owned", 5, 5));
    SHOW(setgroups(0, NULL));
    SHOW(seteuid(0));
    SHOW(chown("owned", 5, 6));
    CHECK(stat("owned", &st) == 0);
    printf("file: %d %d\n", st.st_uid, st.st_gid);
    SHOW(chown("owned", -1, 7));
    SHOW(lchown("owned", 8, -1));
    CHECK(stat("owned", &st) == 0);
    printf("file: %d %d\n", st.st_uid, st.st_gid);
    SHOW(setreuid(3000, 3001));
    show("setreuid");
    SHOW(setuid(3000));
    show("setuid");
    SHOW(setuid(0));
    SHOW(seteuid(3001));
    show("back to the saved id");
    SHOW(setresuid(3001, 3001, 3001));
    SHOW(setuid(3000));
    show("dropped");
    SHOW(setfsuid(-1));
    SHOW(setresgid(0, 0, 0));
    SHOW(setegid(1000));
    SHOW(setgroups(0, NULL));
    SHOW(kill(1, 0));
    pid_t pid = quiet_fork();
    if (pid == 0) {
        show("child");
        fflush(stdout);
        _exit(0);
    }
    show_end("child", pid);
    fflush(stdout);
    _exit(0);
}

int main(void) {
    CHECK(chmod(".", 0777) == 0);
    if (geteuid() != 0) {
        printf("not root\n");
        return 0;
    }
    pid_t pid = quiet_fork();
    if (pid == 0)
        as_root();
    show_end("dropping", pid);
    pid = quiet_fork();
    if (pid == 0) {
        SHOW(setuid(4000));
        show("setuid by root sets all");
        SHOW(seteuid(0));
        fflush(stdout);
        _exit(0);
    }
    show_end("setuid", pid);
    return 0;
}
