// How threads end: exit from another thread, the main thread leaving first, exec, cancellation, fork in a thread.
#include "check.h"
#include <pthread.h>

static int ends[2];

static void *wait_for_ever(void *argument) {
    char byte;
    read(ends[0], &byte, 1);
    return argument;
}

static void *leave(void *argument) {
    (void)argument;
    exit(21);
}

static void *leave_later(void *argument) {
    (void)argument;
    sleep_ms(30);
    printf("the last thread ends\n");
    fflush(stdout);
    return NULL;
}

static void *exec(void *argument) {
    (void)argument;
    execl("/bin/sh", "sh", "-c", "exit 22", (char *)NULL);
    return NULL;
}

static void *crash(void *argument) {
    (void)argument;
    abort();
}

static void *fork_one(void *argument) {
    pid_t pid = fork();
    if (pid == 0)
        _exit(23);
    show_end("forked by a thread", pid);
    return argument;
}

static void start(void *(*run)(void *)) {
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, run, NULL) == 0);
}

// Run `run` in a thread of a new process whose other threads wait.
static void process(const char *what, void *(*run)(void *)) {
    pid_t pid = quiet_fork();
    if (pid == 0) {
        start(wait_for_ever);
        start(run);
        for (;;)
            pause();
    }
    show_end(what, pid);
}

static void cleaned(void *argument) {
    printf("cleaned %s\n", (char *)argument);
}

static void *cancelled(void *argument) {
    pthread_cleanup_push(cleaned, "up");
    wait_for_ever(argument);
    pthread_cleanup_pop(0);
    return NULL;
}

int main(void) {
    CHECK(pipe(ends) == 0);
    process("exit by a thread", leave);
    process("exec by a thread", exec);
    process("abort by a thread", crash);
    pid_t pid = quiet_fork();
    if (pid == 0) {
        start(leave_later);
        pthread_exit(NULL);
    }
    show_end("main thread first", pid);
    pthread_t thread;
    fflush(stdout);
    CHECK(pthread_create(&thread, NULL, fork_one, NULL) == 0 && pthread_join(thread, NULL) == 0);
    CHECK(pthread_create(&thread, NULL, cancelled, NULL) == 0);
    sleep_ms(20);
    CHECK(pthread_cancel(thread) == 0);
    void *value;
    CHECK(pthread_join(thread, &value) == 0);
    printf("cancelled %d\n", value == PTHREAD_CANCELED);
    // A process killed while its threads wait.
    pid = quiet_fork();
    if (pid == 0) {
        start(wait_for_ever);
        start(wait_for_ever);
        for (;;)
            pause();
    }
    sleep_ms(20);
    CHECK(kill(pid, SIGKILL) == 0);
    show_end("killed", pid);
    return 0;
}
