// System V shared memory: making, attaching, sharing, removing. See shmget(2), shmop(2), shmctl(2).
#include "check.h"
#include <sys/ipc.h>
#include <sys/shm.h>

static void show_status(int id) {
    struct shmid_ds status;
    SHOW(shmctl(id, IPC_STAT, &status));
    printf("size %zu attached %d mode %o times %d%d%d creator %d last %d\n", status.shm_segsz, (int)status.shm_nattch,
           status.shm_perm.mode, status.shm_atime != 0, status.shm_dtime != 0, status.shm_ctime != 0,
           status.shm_cpid == getpid(), status.shm_lpid == getpid());
}

static void private_segment(void) {
    int id = shmget(IPC_PRIVATE, 10000, IPC_CREAT | 0600);
    CHECK(id >= 0);
    show_status(id);
    char *at = shmat(id, NULL, 0);
    CHECK(at != (void *)-1);
    strcpy(at, "parent");
    show_status(id);
    pid_t child = quiet_fork();
    if (child == 0) {
        printf("child sees %s\n", at);
        strcpy(at + 5000, "child");
        show_status(id);
        fflush(stdout);
        _exit(0);
    }
    show_end("child", child);
    printf("parent sees %s\n", at + 5000);
    char *second = shmat(id, NULL, SHM_RDONLY);
    CHECK(second != (void *)-1);
    strcpy(at, "both");
    printf("second sees %s\n", second);
    show_status(id);
    SHOW(shmctl(id, IPC_RMID, NULL));
    show_status(id);
    OUTCOME(shmat(id, NULL, 0));
    SHOW(shmdt(second));
    printf("still %s\n", at);
    SHOW(shmdt(at));
    SHOW(shmdt(at));
}

static void with_key(void) {
    key_t key = own_key();
    SHOW(shmget(key, 4096, 0600));
    int id = shmget(key, 4096, IPC_CREAT | IPC_EXCL | 0600);
    CHECK(id >= 0);
    SHOW(shmget(key, 4096, IPC_CREAT | IPC_EXCL | 0600));
    printf("found %d\n", shmget(key, 0, 0) == id);
    SHOW(shmget(key, 5000, 0));
    struct shmid_ds status;
    CHECK(shmctl(id, IPC_STAT, &status) == 0);
    status.shm_perm.mode = 0640;
    SHOW(shmctl(id, IPC_SET, &status));
    CHECK(shmctl(id, IPC_STAT, &status) == 0);
    printf("mode %o key %d\n", status.shm_perm.mode, status.shm_perm.__key == key);
    SHOW(shmctl(id, IPC_RMID, NULL));
    SHOW(shmget(key, 4096, 0));
    SHOW(shmctl(id, IPC_STAT, &status));
}

static void places(void) {
    int id = shmget(IPC_PRIVATE, 8192, 0600);
    char *at = shmat(id, NULL, 0);
    CHECK(shmdt(at) == 0);
    printf("same place %d\n", shmat(id, at, 0) == at);
    OUTCOME(shmat(id, at, 0));
    OUTCOME(shmat(id, at + 1, 0));
    printf("rounded %d\n", shmat(id, at + 1, SHM_RND | SHM_REMAP) == at);
    OUTCOME(shmdt(at + 4096));
    CHECK(shmdt(at) == 0 && shmctl(id, IPC_RMID, NULL) == 0);
    OUTCOME(shmat(-1, NULL, 0));
    OUTCOME(shmget(IPC_PRIVATE, 0, 0600));
    SHOW(shmctl(-1, IPC_RMID, NULL));
}

int main(void) {
    private_segment();
    with_key();
    places();
    return 0;
}
