// Threads: join values, mutexes, condition variables, thread-local storage, barriers, one pid for all. See pthreads(7).
#include "check.h"
#include <pthread.h>
#include <sys/syscall.h>

enum { THREADS = 8, ROUNDS = 2000 };

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static pthread_barrier_t barrier;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static __thread int own = 5;
static int counter, turn, initialised, serial_threads, destroyed;
static pthread_key_t key;

static void initialise(void) {
    initialised++;
}

static void destroy(void *value) {
    (void)value;
    __atomic_fetch_add(&destroyed, 1, __ATOMIC_SEQ_CST);
}

static void *count(void *argument) {
    pthread_once(&once, initialise);
    CHECK(pthread_setspecific(key, argument) == 0);
    own += (int)(intptr_t)argument;
    for (int i = 0; i < ROUNDS; i++) {
        pthread_mutex_lock(&mutex);
        counter++;
        pthread_mutex_unlock(&mutex);
    }
    if (pthread_barrier_wait(&barrier) == PTHREAD_BARRIER_SERIAL_THREAD)
        __atomic_fetch_add(&serial_threads, 1, __ATOMIC_SEQ_CST);
    CHECK(getpid() != 0 && (getpid() == (pid_t)syscall(SYS_gettid)) == 0);
    return (void *)(intptr_t)own;
}

// Two threads take turns.
static void *alternate(void *argument) {
    int me = (int)(intptr_t)argument;
    for (int i = 0; i < 500; i++) {
        pthread_mutex_lock(&mutex);
        while (turn != me)
            pthread_cond_wait(&changed, &mutex);
        turn = !me;
        counter++;
        pthread_cond_broadcast(&changed);
        pthread_mutex_unlock(&mutex);
    }
    return NULL;
}

static void *negate(void *argument) {
    return (void *)-(intptr_t)argument;
}

int main(void) {
    pthread_t threads[THREADS];
    CHECK(pthread_key_create(&key, destroy) == 0);
    CHECK(pthread_barrier_init(&barrier, NULL, THREADS) == 0);
    for (intptr_t i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, count, (void *)(i + 1)) == 0);
    long sum = 0;
    for (int i = 0; i < THREADS; i++) {
        void *value;
        CHECK(pthread_join(threads[i], &value) == 0);
        sum += (intptr_t)value;
    }
    printf("counter %d, sum %ld, own %d, once %d, serial %d, destroyed %d\n", counter, sum, own, initialised,
           serial_threads, destroyed);
    counter = 0;
    for (intptr_t i = 0; i < 2; i++)
        CHECK(pthread_create(&threads[i], NULL, alternate, (void *)i) == 0);
    for (int i = 0; i < 2; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    printf("turns %d\n", counter);
    struct timespec limit;
    CHECK(clock_gettime(CLOCK_REALTIME, &limit) == 0);
    limit.tv_nsec += 10000000;
    limit.tv_sec += limit.tv_nsec / 1000000000;
    limit.tv_nsec %= 1000000000;
    pthread_mutex_lock(&mutex);
    printf("timed wait %s\n", strerrorname_np(pthread_cond_timedwait(&changed, &mutex, &limit)));
    printf("try %s\n", strerrorname_np(pthread_mutex_trylock(&mutex)));
    pthread_mutex_unlock(&mutex);
    // Many short threads: stacks and ids are given back.
    int made = 0;
    for (int i = 0; i < 200; i++) {
        own = i;
        if (pthread_create(&threads[0], NULL, negate, (void *)(intptr_t)-i) != 0)
            break;
        void *value;
        CHECK(pthread_join(threads[0], &value) == 0);
        made += (int)(intptr_t)value == i;
    }
    printf("short threads %d\n", made);
    return 0;
}
