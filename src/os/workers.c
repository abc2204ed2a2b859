#include "os/workers.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

struct job {
    void (*run)(void *arg);
    void *arg;
};

struct workers {
    pthread_mutex_t lock;
    pthread_cond_t filled;
    struct job *ring;
    size_t first, count, capacity;
    bool stopping;
    unsigned thread_count;
    pthread_t threads[];
};

static void *worker_main(void *arg)
{
    struct workers *workers = arg;
    pthread_mutex_lock(&workers->lock);
    for (;;) {
        while (!workers->count && !workers->stopping) pthread_cond_wait(&workers->filled, &workers->lock);
        if (!workers->count) break;
        struct job job = workers->ring[workers->first];
        workers->first = (workers->first + 1) % workers->capacity;
        workers->count--;
        pthread_mutex_unlock(&workers->lock);
        job.run(job.arg);
        pthread_mutex_lock(&workers->lock);
    }
    pthread_mutex_unlock(&workers->lock);
    return NULL;
}

enum status workers_new(unsigned threads, size_t waiting_max, struct workers **ret_workers)
{
    struct workers *workers = calloc(1, sizeof *workers + threads * sizeof workers->threads[0]);
    struct job *ring = calloc(waiting_max ? waiting_max : 1, sizeof *ring);
    if (!workers || !ring) {
        free(workers);
        free(ring);
        return STATUS_UNAVAILABLE;
    }
    workers->ring = ring;
    workers->capacity = waiting_max ? waiting_max : 1;
    pthread_mutex_init(&workers->lock, NULL);
    pthread_cond_init(&workers->filled, NULL);
    for (unsigned i = 0; i < threads; i++) {
        if (pthread_create(&workers->threads[i], NULL, worker_main, workers) != 0) break;
        workers->thread_count++;
    }
    if (workers->thread_count == 0) {
        workers_free(workers);
        return STATUS_UNAVAILABLE;
    }
    *ret_workers = workers;
    return STATUS_OK;
}

enum status workers_submit(struct workers *workers, void (*run)(void *arg), void *arg)
{
    pthread_mutex_lock(&workers->lock);
    bool room = workers->count < workers->capacity && !workers->stopping;
    if (room) {
        workers->ring[(workers->first + workers->count++) % workers->capacity] = (struct job){run, arg};
        pthread_cond_signal(&workers->filled);
    }
    pthread_mutex_unlock(&workers->lock);
    return room ? STATUS_OK : STATUS_UNAVAILABLE;
}

void workers_free(struct workers *workers)
{
    if (!workers) return;
    pthread_mutex_lock(&workers->lock);
    workers->stopping = true;
    pthread_cond_broadcast(&workers->filled);
    pthread_mutex_unlock(&workers->lock);
    for (unsigned i = 0; i < workers->thread_count; i++) pthread_join(workers->threads[i], NULL);
    pthread_cond_destroy(&workers->filled);
    pthread_mutex_destroy(&workers->lock);
    free(workers->ring);
    free(workers);
}

unsigned os_cores(void)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    return cores > 0 ? (unsigned)cores : 1;
}
