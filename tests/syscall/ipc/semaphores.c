// System V semaphores: values, operations that wait, undoing, removal. See semget(2), semop(2), semctl(2).
#include "check.h"
#include <sys/ipc.h>
#include <sys/sem.h>

union semun {
    int val;
    struct semid_ds *buf;
    unsigned short *array;
};

static int op(int id, int number, int change, int flags) {
    struct sembuf one = {number, change, flags};
    return semop(id, &one, 1);
}

static void await(int id, int command, int wanted) {
    while (semctl(id, 0, command) != wanted)
        sleep_ms(1);
}

static void values(int id) {
    unsigned short all[3] = {1, 2, 3};
    SHOW(semctl(id, 0, SETALL, (union semun){.array = all}));
    SHOW(semctl(id, 2, GETVAL));
    SHOW(semctl(id, 1, SETVAL, (union semun){.val = 7}));
    memset(all, 0, sizeof all);
    SHOW(semctl(id, 0, GETALL, (union semun){.array = all}));
    printf("%d %d %d\n", all[0], all[1], all[2]);
    SHOW(semctl(id, 3, GETVAL));
    SHOW(semctl(id, 1, SETVAL, (union semun){.val = 40000}));
    SHOW(semctl(id, 1, SETVAL, (union semun){.val = -1}));
    printf("pid %d\n", semctl(id, 1, GETPID) == getpid());
    struct semid_ds status;
    SHOW(semctl(id, 0, IPC_STAT, (union semun){.buf = &status}));
    printf("count %d mode %o operated %d\n", (int)status.sem_nsems, status.sem_perm.mode, status.sem_otime != 0);
}

static void operations(int id) {
    SHOW(op(id, 0, -1, IPC_NOWAIT));
    SHOW(op(id, 0, -1, IPC_NOWAIT));
    SHOW(op(id, 0, 0, 0));
    SHOW(op(id, 1, 0, IPC_NOWAIT));
    SHOW(op(id, 1, 32767, 0));
    SHOW(op(id, 5, 1, 0));
    struct sembuf both[] = {{1, -1, 0}, {0, -1, IPC_NOWAIT}};
    SHOW(semop(id, both, 2));
    SHOW(semctl(id, 1, GETVAL));
    SHOW(semop(id, both, 0));
    SHOW(semop(id, both, 501));
    SHOW(semtimedop(id, &(struct sembuf){0, -1, 0}, 1, &(struct timespec){0, 20000000}));
}

static void waiting(int id) {
    pid_t child = quiet_fork();
    if (child == 0)
        _exit(op(id, 0, -2, 0) == 0 ? 0 : 1);
    await(id, GETNCNT, 1);
    SHOW(op(id, 0, 1, 0));
    SHOW(semctl(id, 0, GETVAL));
    SHOW(op(id, 0, 1, 0));
    show_end("taker", child);
    SHOW(semctl(id, 0, GETVAL));
    SHOW(op(id, 0, 1, 0));
    child = quiet_fork();
    if (child == 0)
        _exit(op(id, 0, 0, 0) == 0 ? 0 : 1);
    await(id, GETZCNT, 1);
    SHOW(op(id, 0, -1, 0));
    show_end("waiter for zero", child);
}

static void undone(int id) {
    SHOW(semctl(id, 0, SETVAL, (union semun){.val = 5}));
    pid_t child = quiet_fork();
    if (child == 0) {
        CHECK(op(id, 0, -3, SEM_UNDO) == 0);
        CHECK(op(id, 0, 1, 0) == 0);
        printf("inside %d\n", semctl(id, 0, GETVAL));
        fflush(stdout);
        raise(SIGKILL);
    }
    show_end("child", child);
    SHOW(semctl(id, 0, GETVAL));
}

static void on_alarm(int sig) {
    (void)sig;
}

static void interrupted_and_removed(int id) {
    CHECK(semctl(id, 0, SETVAL, (union semun){.val = 0}) == 0);
    struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    pid_t child = quiet_fork();
    if (child == 0) {
        int first = op(id, 0, -1, 0) == -1 ? errno : 0;
        int second = op(id, 0, -1, 0) == -1 ? errno : 0;
        printf("%s %s\n", strerrorname_np(first), strerrorname_np(second));
        fflush(stdout);
        _exit(0);
    }
    await(id, GETNCNT, 1);
    CHECK(kill(child, SIGUSR1) == 0);
    // The second wait begins after the handler.
    sleep_ms(50);
    await(id, GETNCNT, 1);
    SHOW(semctl(id, 0, IPC_RMID));
    show_end("child", child);
    SHOW(semctl(id, 0, IPC_RMID));
}

int main(void) {
    int id = semget(IPC_PRIVATE, 3, IPC_CREAT | 0600);
    CHECK(id >= 0);
    values(id);
    operations(id);
    waiting(id);
    undone(id);
    interrupted_and_removed(id);
    SHOW(semget(IPC_PRIVATE, 0, 0600));
    SHOW(semget(IPC_PRIVATE, -1, 0600));
    SHOW(semget(own_key(), 1, 0));
    return 0;
}
