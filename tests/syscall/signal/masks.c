// Handlers, masks, pending signals, sa_mask, SA_NODEFER, SA_RESETHAND, sigsuspend. See sigaction(2).
#include "check.h"

static volatile sig_atomic_t count, depth, deepest;

static void handler(int number) {
    (void)number;
    count++;
    depth++;
    if (depth > deepest)
        deepest = depth;
    if (count < 3)
        raise(SIGUSR1);
    depth--;
}

static void note(int number) {
    write(1, number == SIGUSR1 ? "usr1\n" : "usr2\n", 5);
    if (number == SIGUSR1)
        raise(SIGUSR2);
    write(1, number == SIGUSR1 ? "end1\n" : "end2\n", 5);
}

static void install(int number, void (*run)(int), int flags, int masked) {
    struct sigaction action = {.sa_handler = run, .sa_flags = flags};
    sigemptyset(&action.sa_mask);
    if (masked != 0)
        sigaddset(&action.sa_mask, masked);
    CHECK(sigaction(number, &action, NULL) == 0);
}

int main(void) {
    setvbuf(stdout, NULL, _IONBF, 0);
    install(SIGUSR1, handler, 0, 0);
    raise(SIGUSR1);
    printf("count %d, deepest %d\n", count, deepest);
    count = deepest = 0;
    install(SIGUSR1, handler, SA_NODEFER, 0);
    raise(SIGUSR1);
    printf("nodefer: count %d, deepest %d\n", count, deepest);
    install(SIGUSR1, note, 0, SIGUSR2);
    install(SIGUSR2, note, 0, 0);
    printf("masked\n");
    raise(SIGUSR1);
    install(SIGUSR1, note, 0, 0);
    printf("nested\n");
    raise(SIGUSR1);
    install(SIGUSR2, note, SA_RESETHAND, 0);
    raise(SIGUSR2);
    struct sigaction action;
    CHECK(sigaction(SIGUSR2, NULL, &action) == 0);
    printf("reset %d\n", action.sa_handler == SIG_DFL);

    sigset_t block, old, pending;
    install(SIGUSR2, note, 0, 0);
    sigemptyset(&block);
    sigaddset(&block, SIGUSR2);
    CHECK(sigprocmask(SIG_BLOCK, &block, &old) == 0);
    raise(SIGUSR2);
    raise(SIGUSR2);
    CHECK(sigpending(&pending) == 0);
    printf("pending %d, other %d\n", sigismember(&pending, SIGUSR2), sigismember(&pending, SIGUSR1));
    SHOW(sigsuspend(&old));
    CHECK(sigpending(&pending) == 0);
    printf("pending %d\n", sigismember(&pending, SIGUSR2));
    raise(SIGUSR2);
    CHECK(signal(SIGUSR2, SIG_IGN) != SIG_ERR);
    CHECK(sigpending(&pending) == 0);
    printf("dropped by ignoring %d\n", !sigismember(&pending, SIGUSR2));
    CHECK(sigprocmask(SIG_SETMASK, &old, NULL) == 0);
    // SIGKILL and SIGSTOP cannot be caught or blocked.
    SHOW(sigaction(SIGKILL, &action, NULL));
    SHOW(sigaction(SIGSTOP, &action, NULL));
    SHOW(sigaction(65, &action, NULL));
    sigfillset(&block);
    CHECK(sigprocmask(SIG_SETMASK, &block, NULL) == 0 && sigprocmask(SIG_SETMASK, NULL, &block) == 0);
    printf("kill blocked %d, term blocked %d\n", sigismember(&block, SIGKILL), sigismember(&block, SIGTERM));
    SHOW(sigprocmask(99, &block, NULL));
    return 0;
}
