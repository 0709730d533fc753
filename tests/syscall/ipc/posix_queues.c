// POSIX message queues: making and opening, order, blocking, time-outs, notification, poll, limits. See mq_overview(7).
#include "check.h"
#include <grp.h>
#include <mqueue.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>

static char name[64];
static char buffer[8192];

static mqd_t make(int flags, mode_t mode, long messages, long bytes) {
    struct mq_attr attr = {.mq_maxmsg = messages, .mq_msgsize = bytes};
    return mq_open(name, flags, mode, &attr);
}

static void show_attr(const char *what, mqd_t queue) {
    struct mq_attr attr;
    CHECK(mq_getattr(queue, &attr) == 0);
    printf("%s: flags %s, %ld of %ld messages of %ld bytes\n", what, attr.mq_flags & O_NONBLOCK ? "nonblock" : "none",
           attr.mq_curmsgs, attr.mq_maxmsg, attr.mq_msgsize);
}

static void receive(mqd_t queue) {
    unsigned priority = 99;
    errno = 0;
    ssize_t n = mq_receive(queue, buffer, sizeof buffer, &priority);
    if (n < 0)
        printf("receive: %s\n", strerrorname_np(errno));
    else
        printf("received \"%.*s\" at %u\n", (int)n, buffer, priority);
}

static void opening(void) {
    puts("opening");
    SHOW(mq_open(name, O_RDWR));
    SHOW(mq_open("name", O_RDWR));
    SHOW(mq_open("/", O_RDWR));
    SHOW(mq_open("/a/b", O_RDWR | O_CREAT, 0600, NULL));
    SHOW(mq_open("/..", O_RDWR | O_CREAT, 0600, NULL));
    char longest[300] = "/";
    memset(longest + 1, 'x', 256);
    SHOW(mq_open(longest, O_RDWR | O_CREAT, 0600, NULL));
    SHOW(make(O_RDWR | O_CREAT, 0600, 0, 10));
    SHOW(make(O_RDWR | O_CREAT, 0600, 10, -1));
    SHOW(make(O_RDWR | O_CREAT, 0600, 1 << 20, 10));
    SHOW(make(O_RDWR | O_CREAT, 0600, 10, 17 << 20));
    SHOW(syscall(SYS_mq_open, name + 1, O_RDWR | O_CREAT, 0600, (void *)8));
    umask(022);
    mqd_t queue = make(O_RDWR | O_CREAT | O_EXCL, 0622, 3, 16);
    CHECK(queue >= 0);
    struct stat st;
    CHECK(fstat(queue, &st) == 0);
    printf("mode %o, size %ld, own %d, links %ld\n", st.st_mode, (long)st.st_size, st.st_uid == geteuid(), (long)st.st_nlink);
    printf("closes on exec %d\n", fcntl(queue, F_GETFD) & FD_CLOEXEC);
    SHOW(make(O_RDWR | O_CREAT | O_EXCL, 0600, 3, 16));
    SHOW(mq_open(name, O_WRONLY | O_RDWR));
    // What it is for is said once: later attributes do not count.
    mqd_t again = make(O_RDONLY | O_CREAT | O_NONBLOCK, 0600, 1, 1);
    CHECK(again >= 0);
    show_attr("again", again);
    SHOW(mq_send(again, "x", 1, 0));
    receive(again);
    mqd_t writer = mq_open(name, O_WRONLY);
    SHOW(mq_receive(writer, buffer, sizeof buffer, NULL));
    SHOW(mq_receive(0, buffer, sizeof buffer, NULL));
    SHOW(mq_send(1000, "x", 1, 0));
    SHOW(write(queue, "x", 1));
    SHOW(syscall(SYS_mq_getsetattr, queue, &(struct mq_attr){.mq_flags = 1}, NULL));
    struct mq_attr none = {0}, old;
    CHECK(mq_setattr(again, &none, &old) == 0);
    printf("old flags %d\n", old.mq_flags == O_NONBLOCK);
    show_attr("now", again);
    CHECK(mq_close(again) == 0 && mq_close(writer) == 0);
    SHOW(mq_unlink(name));
    SHOW(mq_unlink(name));
    SHOW(mq_unlink("/a/b"));
    CHECK(fstat(queue, &st) == 0);
    printf("links %ld\n", (long)st.st_nlink);
    SHOW(mq_send(queue, "still", 5, 0));
    receive(queue);
    CHECK(mq_close(queue) == 0);
    SHOW(mq_close(queue));
}

static void order(void) {
    puts("order");
    mqd_t queue = make(O_RDWR | O_CREAT | O_NONBLOCK, 0600, 4, 16);
    CHECK(queue >= 0);
    struct pollfd pollfd = {queue, POLLIN | POLLOUT};
    CHECK(poll(&pollfd, 1, 0) == 1);
    printf("empty: events %d\n", pollfd.revents);
    SHOW(mq_send(queue, "low", 3, 1));
    SHOW(mq_send(queue, "high", 4, 32767));
    SHOW(mq_send(queue, "", 0, 1));
    SHOW(mq_send(queue, "high too", 8, 32767));
    SHOW(mq_send(queue, "full", 4, 0));
    SHOW(mq_send(queue, "x", 1, 32768));
    SHOW(mq_send(queue, "seventeen bytes..", 17, 0));
    SHOW(mq_receive(queue, buffer, 15, NULL));
    CHECK(poll(&pollfd, 1, 0) == 1);
    printf("full: events %d\n", pollfd.revents);
    show_attr("full", queue);
    char line[100] = "";
    ssize_t n = read(queue, line, sizeof line);
    printf("line of %ld: %s", (long)n, line);
    for (int i = 0; i < 5; i++)
        receive(queue);
    SHOW(syscall(SYS_mq_timedsend, queue, (void *)8, 4, 0, NULL));
    show_attr("nothing came", queue);
    CHECK(mq_close(queue) == 0 && mq_unlink(name) == 0);
}

static void on_signal(int number) {
    (void)number;
}

static void waiting(void) {
    puts("waiting");
    mqd_t queue = make(O_RDWR | O_CREAT, 0600, 1, 16);
    CHECK(queue >= 0);
    struct timespec past = in_ms(CLOCK_REALTIME, 0), soon = in_ms(CLOCK_REALTIME, 30), odd = {0, 1000000000};
    past.tv_sec--;
    SHOW(mq_timedreceive(queue, buffer, sizeof buffer, NULL, &past));
    SHOW(mq_timedreceive(queue, buffer, sizeof buffer, NULL, &soon));
    SHOW(mq_timedreceive(queue, buffer, sizeof buffer, NULL, &odd));
    SHOW(mq_send(queue, "first", 5, 0));
    soon = in_ms(CLOCK_REALTIME, 30);
    SHOW(mq_timedsend(queue, "second", 6, 0, &soon));
    // A time that is not needed is looked at all the same.
    SHOW(mq_timedsend(queue, "second", 6, 0, &odd));
    // Two senders wait; each message comes, in turn.
    pid_t senders[2];
    for (int i = 0; i < 2; i++) {
        senders[i] = quiet_fork();
        if (senders[i] == 0)
            _exit(mq_send(queue, i ? "of two" : "of one", 6, i ? 0 : 7) == 0 ? 0 : 1);
        sleep_ms(60);
    }
    show_attr("two wait", queue);
    for (int i = 0; i < 3; i++)
        receive(queue);
    show_end("sender", senders[0]);
    show_end("sender", senders[1]);
    // A receiver that waits is given the message past the queue.
    pid_t receiver = quiet_fork();
    if (receiver == 0) {
        receive(queue);
        fflush(stdout);
        _exit(0);
    }
    sleep_ms(60);
    SHOW(mq_send(queue, "direct", 6, 3));
    show_end("receiver", receiver);
    show_attr("empty", queue);
    // Signals.
    struct sigaction action = {.sa_handler = on_signal};
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    pid_t parent = getpid(), child = quiet_fork();
    if (child == 0) {
        sleep_ms(50);
        kill(parent, SIGUSR1);
        _exit(0);
    }
    receive(queue);
    show_end("signaller", child);
    action.sa_flags = SA_RESTART;
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    child = quiet_fork();
    if (child == 0) {
        sleep_ms(50);
        kill(parent, SIGUSR1);
        sleep_ms(50);
        _exit(mq_send(queue, "after", 5, 0) == 0 ? 0 : 1);
    }
    receive(queue);
    show_end("signaller", child);
    CHECK(mq_close(queue) == 0 && mq_unlink(name) == 0);
}

static volatile int told, told_code, told_value, told_pid;

static void on_message(int number, siginfo_t *info, void *context) {
    (void)number, (void)context;
    told++;
    told_code = info->si_code == SI_MESGQ;
    told_value = info->si_value.sival_int;
    told_pid = info->si_pid == getpid();
}

static sem_t called;
static volatile int called_value;

static void on_thread(union sigval value) {
    called_value = value.sival_int;
    sem_post(&called);
}

static void notification(void) {
    puts("notification");
    mqd_t queue = make(O_RDWR | O_CREAT | O_NONBLOCK, 0600, 4, 16);
    CHECK(queue >= 0);
    struct sigaction action = {.sa_sigaction = on_message, .sa_flags = SA_SIGINFO};
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1, .sigev_value.sival_int = 42};
    struct sigevent odd = {.sigev_notify = 9}, beyond = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = 65};
    SHOW(mq_notify(queue, &odd));
    SHOW(mq_notify(queue, &beyond));
    SHOW(mq_notify(0, &event));
    SHOW(mq_notify(queue, NULL));
    SHOW(mq_notify(queue, &event));
    SHOW(mq_notify(queue, &event));
    pid_t child = quiet_fork();
    if (child == 0) {
        SHOW(mq_notify(queue, &event));
        SHOW(mq_notify(queue, NULL));
        // A child's descriptor is not the parent's.
        CHECK(mq_close(queue) == 0);
        fflush(stdout);
        _exit(0);
    }
    show_end("child", child);
    SHOW(mq_send(queue, "one", 3, 0));
    printf("told %d, code %d, value %d, by this process %d\n", told, told_code, told_value, told_pid);
    // Once, and for an empty queue only.
    SHOW(mq_notify(queue, &event));
    SHOW(mq_send(queue, "two", 3, 0));
    printf("told %d\n", told);
    receive(queue);
    receive(queue);
    SHOW(mq_send(queue, "three", 5, 0));
    printf("told %d\n", told);
    receive(queue);
    // Not when somebody waits for it.
    SHOW(mq_notify(queue, &event));
    child = quiet_fork();
    if (child == 0) {
        struct mq_attr none = {0};
        mqd_t own = mq_open(name, O_RDONLY);
        receive(own);
        fflush(stdout);
        _exit(0);
    }
    sleep_ms(60);
    SHOW(mq_send(queue, "four", 4, 0));
    show_end("receiver", child);
    printf("told %d\n", told);
    // Closing any descriptor of it ends it.
    mqd_t other = mq_open(name, O_RDWR);
    CHECK(mq_close(other) == 0);
    SHOW(mq_notify(queue, &event));
    // So does the process's end.
    SHOW(mq_notify(queue, NULL));
    child = quiet_fork();
    if (child == 0)
        _exit(mq_notify(queue, &event) == 0 ? 0 : 1);
    show_end("child", child);
    struct sigevent silent = {.sigev_notify = SIGEV_NONE};
    SHOW(mq_notify(queue, &silent));
    SHOW(mq_send(queue, "five", 4, 0));
    SHOW(mq_notify(queue, &silent));
    SHOW(mq_notify(queue, NULL));
    receive(queue);
    struct sigevent thread = {.sigev_notify = SIGEV_THREAD, .sigev_notify_function = on_thread, .sigev_value.sival_int = 7};
    CHECK(sem_init(&called, 0, 0) == 0);
    SHOW(mq_notify(queue, &thread));
    SHOW(mq_send(queue, "six", 3, 0));
    CHECK(sem_wait(&called) == 0);
    printf("a thread is told: %d\n", called_value);
    SHOW(mq_notify(queue, &thread));
    SHOW(mq_notify(queue, NULL));
    CHECK(mq_close(queue) == 0 && mq_unlink(name) == 0);
}

// What binds an ordinary user.
static void limits(void) {
    puts("limits");
    fflush(stdout);
    mqd_t foreign = mq_open(name, O_RDWR | O_CREAT, 0604, NULL);
    CHECK(foreign >= 0);
    pid_t child = quiet_fork();
    if (child == 0) {
        struct rlimit few = {40000, 40000};
        CHECK(setrlimit(RLIMIT_MSGQUEUE, &few) == 0);
        if (geteuid() == 0) {
            // A user of its own, whose queues no other run of this counts among its own.
            int own = 20000 + getpid() % 10000;
            CHECK(setgroups(0, NULL) == 0 && setgid(own) == 0 && setuid(own) == 0);
            OUTCOME(mq_open(name, O_RDONLY));
            SHOW(mq_open(name, O_RDWR));
            SHOW(mq_unlink(name));
        } else {
            puts("mq_open(name, O_RDONLY) = ok\nmq_open(name, O_RDWR) = EACCES\nmq_unlink(name) = EACCES");
        }
        strcat(name, "-own");
        SHOW(make(O_RDWR | O_CREAT, 0600, 10, 8192));
        mqd_t first = make(O_RDWR | O_CREAT, 0000, 2, 8192);
        CHECK(first >= 0);
        // The mode does not bind who makes it, but does the next time.
        SHOW(mq_send(first, "x", 1, 0));
        SHOW(mq_open(name, O_RDWR));
        strcat(name, "-second");
        OUTCOME(make(O_RDWR | O_CREAT, 0600, 2, 8192));
        strcat(name, "-third");
        SHOW(make(O_RDWR | O_CREAT, 0600, 2, 8192));
        *strrchr(name, '-') = 0;
        CHECK(mq_unlink(name) == 0);
        *strrchr(name, '-') = 0;
        CHECK(mq_unlink(name) == 0);
        fflush(stdout);
        _exit(0);
    }
    show_end("user", child);
    CHECK(mq_close(foreign) == 0 && mq_unlink(name) == 0);
}

// Without room for a descriptor nothing is made.
static void descriptors(void) {
    puts("descriptors");
    struct rlimit before, few = {3, 0};
    CHECK(getrlimit(RLIMIT_NOFILE, &before) == 0);
    few.rlim_max = before.rlim_max;
    CHECK(setrlimit(RLIMIT_NOFILE, &few) == 0);
    SHOW(mq_open(name, O_RDWR | O_CREAT, 0600, NULL));
    SHOW(mq_open(name, O_RDWR));
    SHOW(mq_open("/a/b", O_RDWR));
    SHOW(mq_unlink(name));
    SHOW(open("made", O_RDWR | O_CREAT, 0600));
    SHOW(open("missing", O_RDWR));
    SHOW(open(".", O_TMPFILE | O_RDWR, 0600));
    SHOW(open(".", O_TMPFILE | O_RDONLY, 0600));
    SHOW(access("made", F_OK));
    CHECK(setrlimit(RLIMIT_NOFILE, &before) == 0);
}

int main(void) {
    snprintf(name, sizeof name, "/shallop-test-%d", (int)getpid());
    opening();
    order();
    waiting();
    notification();
    limits();
    descriptors();
    return 0;
}
