#include "os/workers.h"

#include <stdbool.h>
#include <stdlib.h>

#include "os/thread.h"

struct job {
    void (*run)(void *arg);
    void *arg;
};

struct workers {
    struct os_mutex lock;
    struct os_cond filled;
    struct job *ring;
    size_t first, count, capacity;
    bool stopping;
    unsigned thread_count;
    struct os_thread threads[];
};

static void worker_main(void *arg)
{
    struct workers *workers = arg;
    os_mutex_lock(&workers->lock);
    for (;;) {
        while (!workers->count && !workers->stopping) os_cond_wait(&workers->filled, &workers->lock);
        if (!workers->count) break;
        struct job job = workers->ring[workers->first];
        workers->first = (workers->first + 1) % workers->capacity;
        workers->count--;
        os_mutex_unlock(&workers->lock);
        job.run(job.arg);
        os_mutex_lock(&workers->lock);
    }
    os_mutex_unlock(&workers->lock);
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
    os_mutex_init(&workers->lock, "workers");
    os_cond_init(&workers->filled, "workers filled");
    for (unsigned i = 0; i < threads; i++) {
        if (os_thread_spawn(&workers->threads[i], "worker", worker_main, workers) != STATUS_OK) break;
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
    os_mutex_lock(&workers->lock);
    bool room = workers->count < workers->capacity && !workers->stopping;
    if (room) {
        workers->ring[(workers->first + workers->count++) % workers->capacity] = (struct job){run, arg};
        os_cond_signal(&workers->filled);
    }
    os_mutex_unlock(&workers->lock);
    return room ? STATUS_OK : STATUS_UNAVAILABLE;
}

void workers_free(struct workers *workers)
{
    if (!workers) return;
    os_mutex_lock(&workers->lock);
    workers->stopping = true;
    os_cond_broadcast(&workers->filled);
    os_mutex_unlock(&workers->lock);
    for (unsigned i = 0; i < workers->thread_count; i++) os_thread_join(&workers->threads[i]);
    os_cond_destroy(&workers->filled);
    os_mutex_destroy(&workers->lock);
    free(workers->ring);
    free(workers);
}
