// vfork, posix_spawn, popen, system: the parent waits for exec or exit; descriptors as asked. See vfork(2).
#include "check.h"
#include <spawn.h>

extern char **environ;

int main(void) {
    // A child by vfork shares memory until it ends.
    volatile int shared = 1;
    fflush(stdout);
    pid_t pid = vfork();
    if (pid == 0) {
        shared = 2;
        _exit(3);
    }
    printf("shared %d\n", shared);
    show_end("vfork", pid);
    fflush(stdout);
    pid = vfork();
    if (pid == 0) {
        execl("/bin/sh", "sh", "-c", "echo from exec; exit 4", (char *)NULL);
        _exit(127);
    }
    show_end("vfork and exec", pid);

    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, "out", O_WRONLY | O_CREAT | O_TRUNC, 0644);
    char *argv[] = {"sh", "-c", "echo spawned $1; exit 5", "sh", "child", NULL};
    CHECK(posix_spawn(&pid, "/bin/sh", &actions, NULL, argv, environ) == 0);
    show_end("spawn", pid);
    show_file("out");
    printf("missing program: %s\n", strerrorname_np(posix_spawn(&pid, "/no/such", NULL, NULL, argv, environ)));

    fflush(stdout);
    FILE *pipe = popen("printf 'a\\nb\\n' | wc -l", "r");
    CHECK(pipe != NULL);
    int lines = -1;
    CHECK(fscanf(pipe, "%d", &lines) == 1);
    printf("popen %d, close %d\n", lines, pclose(pipe));
    int status = system("exit 6");
    printf("system %d\n", WEXITSTATUS(status));
    status = system("kill -9 $$");
    printf("system killed by %d\n", WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status) - 128);
    // A hundred short-lived children.
    int good = 0;
    for (int i = 0; i < 100; i++) {
        pid = quiet_fork();
        if (pid == 0)
            _exit(i);
        CHECK(waitpid(pid, &status, 0) == pid);
        good += WEXITSTATUS(status) == i;
    }
    printf("children %d\n", good);
    return 0;
}
