// System V message queues: order, types, sizes, waiting, removal. See msgget(2), msgop(2), msgctl(2).
#include "check.h"
#include <sys/ipc.h>
#include <sys/msg.h>

struct message {
    long type;
    char text[10000];
};

static int put_message(int id, long type, const char *text, int flags) {
    struct message message = {.type = type};
    strcpy(message.text, text);
    return msgsnd(id, &message, strlen(text), flags);
}

static void take(int id, size_t size, long type, int flags) {
    struct message message = {0};
    ssize_t n = msgrcv(id, &message, size, type, flags);
    if (n < 0)
        printf("take %ld: %s\n", type, strerrorname_np(errno));
    else
        printf("take %ld: %zd of type %ld '%s'\n", type, n, message.type, message.text);
}

static void order(int id) {
    SHOW(put_message(id, 3, "three", 0));
    SHOW(put_message(id, 1, "one", 0));
    SHOW(put_message(id, 2, "two", 0));
    SHOW(put_message(id, 1, "another", 0));
    SHOW(put_message(id, 0, "none", 0));
    SHOW(put_message(id, -1, "none", 0));
    struct msqid_ds status;
    SHOW(msgctl(id, IPC_STAT, &status));
    printf("count %d limit %d sender %d receiver %d\n", (int)status.msg_qnum, (int)status.msg_qbytes,
           status.msg_lspid == getpid(), status.msg_lrpid);
    take(id, 100, 2, 0);
    take(id, 100, -2, 0);
    take(id, 3, 1, 0);
    take(id, 3, 1, MSG_NOERROR);
    take(id, 100, 3, MSG_EXCEPT | IPC_NOWAIT);
    take(id, 100, 0, 0);
    take(id, 100, 0, IPC_NOWAIT);
    take(id, 100, 9, IPC_NOWAIT);
    static struct message large = {.type = 1};
    SHOW(msgsnd(id, &large, 8193, 0));
    SHOW(msgsnd(id, &large, 8192, IPC_NOWAIT));
    SHOW(msgsnd(id, &large, 8192, IPC_NOWAIT));
    SHOW(msgsnd(id, &large, 1, IPC_NOWAIT));
    SHOW(msgrcv(id, &large, 9000, 0, 0));
    SHOW(msgrcv(id, &large, 9000, 0, 0));
}

static void waiting(int id) {
    pid_t child = quiet_fork();
    if (child == 0) {
        take(id, 100, 5, 0);
        fflush(stdout);
        _exit(0);
    }
    SHOW(put_message(id, 4, "not this", 0));
    SHOW(put_message(id, 5, "this", 0));
    show_end("receiver", child);
    take(id, 100, 0, 0);
    child = quiet_fork();
    if (child == 0) {
        take(id, 100, 0, 0);
        fflush(stdout);
        _exit(0);
    }
    sleep_ms(30);
    SHOW(msgctl(id, IPC_RMID, NULL));
    show_end("left behind", child);
    SHOW(msgctl(id, IPC_RMID, NULL));
}

int main(void) {
    int id = msgget(IPC_PRIVATE, IPC_CREAT | 0600);
    CHECK(id >= 0);
    order(id);
    waiting(id);
    key_t key = own_key();
    SHOW(msgget(key, 0));
    int kept = msgget(key, IPC_CREAT | 0600);
    CHECK(kept >= 0);
    printf("found %d\n", msgget(key, 0) == kept);
    SHOW(msgget(key, IPC_CREAT | IPC_EXCL));
    SHOW(msgctl(kept, IPC_RMID, NULL));
    return 0;
}
