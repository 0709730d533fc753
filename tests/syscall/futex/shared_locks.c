// Locks between processes: shared mutexes, robust mutexes whose owner dies, semaphores, condition variables.
#include "check.h"
#include <pthread.h>
#include <semaphore.h>
#include <sys/mman.h>

struct shared {
    pthread_mutex_t mutex, robust;
    pthread_cond_t cond;
    sem_t sem;
    int count, ready;
};

int main(void) {
    struct shared *at = mmap(NULL, sizeof *at, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(at != MAP_FAILED);
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    CHECK(pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED) == 0);
    CHECK(pthread_mutex_init(&at->mutex, &attributes) == 0);
    CHECK(pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST) == 0);
    CHECK(pthread_mutex_init(&at->robust, &attributes) == 0);
    pthread_condattr_t condition;
    pthread_condattr_init(&condition);
    CHECK(pthread_condattr_setpshared(&condition, PTHREAD_PROCESS_SHARED) == 0);
    CHECK(pthread_cond_init(&at->cond, &condition) == 0 && sem_init(&at->sem, 1, 0) == 0);

    for (int i = 0; i < 4; i++)
        if (quiet_fork() == 0) {
            for (int n = 0; n < 500; n++) {
                pthread_mutex_lock(&at->mutex);
                int value = at->count;
                at->count = value + 1;
                pthread_mutex_unlock(&at->mutex);
            }
            CHECK(sem_post(&at->sem) == 0);
            _exit(0);
        }
    for (int i = 0; i < 4; i++)
        CHECK(sem_wait(&at->sem) == 0);
    printf("count %d, try %d\n", at->count, sem_trywait(&at->sem));
    while (wait(NULL) > 0) {
    }

    pid_t pid = quiet_fork();
    if (pid == 0) {
        pthread_mutex_lock(&at->mutex);
        while (!at->ready)
            pthread_cond_wait(&at->cond, &at->mutex);
        pthread_mutex_unlock(&at->mutex);
        _exit(at->ready);
    }
    sleep_ms(10);
    pthread_mutex_lock(&at->mutex);
    at->ready = 7;
    pthread_cond_signal(&at->cond);
    pthread_mutex_unlock(&at->mutex);
    show_end("waiter", pid);

    pid = quiet_fork();
    if (pid == 0) {
        pthread_mutex_lock(&at->robust);
        _exit(0);
    }
    show_end("owner", pid);
    printf("lock: %s\n", strerrorname_np(pthread_mutex_lock(&at->robust)));
    CHECK(pthread_mutex_consistent(&at->robust) == 0 && pthread_mutex_unlock(&at->robust) == 0);
    SHOW(pthread_mutex_lock(&at->robust));
    SHOW(pthread_mutex_unlock(&at->robust));
    struct timespec limit;
    CHECK(clock_gettime(CLOCK_REALTIME, &limit) == 0);
    SHOW(sem_timedwait(&at->sem, &limit));

    pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;
    SHOW(pthread_rwlock_rdlock(&lock));
    SHOW(pthread_rwlock_tryrdlock(&lock));
    printf("writer: %s\n", strerrorname_np(pthread_rwlock_trywrlock(&lock)));
    CHECK(pthread_rwlock_unlock(&lock) == 0 && pthread_rwlock_unlock(&lock) == 0);
    SHOW(pthread_rwlock_trywrlock(&lock));
    return 0;
}
