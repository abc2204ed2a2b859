#include "query/native/parallel.h"

#include "os/thread.h"

#include <stdlib.h>

struct pool {
    struct os_mutex lock;
    struct os_cond filled, finished;
    struct pool_job *ring; /* the next to be served */
    unsigned slots, helper_count;
    bool stopping;
    struct os_thread helpers[];
};

static void link_job(struct pool *pool, struct pool_job *job)
{
    if (!pool->ring) {
        pool->ring = job->next = job->previous = job;
        return;
    }
    job->next = pool->ring;
    job->previous = pool->ring->previous;
    job->next->previous = job->previous->next = job;
}

static void unlink_job(struct pool *pool, struct pool_job *job)
{
    if (!job->next) return;
    if (pool->ring == job) pool->ring = job->next == job ? NULL : job->next;
    job->next->previous = job->previous;
    job->previous->next = job->next;
    job->next = job->previous = NULL;
}

/* Runs one task of the job; the lock is held before and after. */
static void work(struct pool *pool, struct pool_job *job)
{
    uint32_t index = job->taken++;
    if (job->taken == job->count) unlink_job(pool, job);
    unsigned slot = (unsigned)__builtin_ctzll(job->slots_free);
    job->slots_free &= ~((uint64_t)1 << slot);
    job->working++;
    os_mutex_unlock(&pool->lock);
    enum status status = job->task(job->ctx, slot, index);
    os_mutex_lock(&pool->lock);
    job->slots_free |= (uint64_t)1 << slot;
    job->working--;
    if (status != STATUS_OK) {
        if (job->status == STATUS_OK || index < job->failed_index) {
            job->status = status;
            job->failed_index = index;
        }
        job->taken = job->count;
        unlink_job(pool, job);
    }
    if (job->working == 0 && job->taken == job->count) os_cond_broadcast(&pool->finished);
}

static void helper_main(void *arg)
{
    struct pool *pool = arg;
    os_mutex_lock(&pool->lock);
    for (;;) {
        struct pool_job *job = pool->ring;
        for (struct pool_job *first = job; job && !job->slots_free;) {
            job = job->next;
            if (job == first) job = NULL;
        }
        if (job) {
            pool->ring = job->next;
            work(pool, job);
        } else if (pool->stopping) {
            break;
        } else {
            os_cond_wait(&pool->filled, &pool->lock);
        }
    }
    os_mutex_unlock(&pool->lock);
}

struct pool *pool_new(unsigned threads)
{
    if (threads < 1) threads = 1;
    if (threads > POOL_SLOTS_MAX) threads = POOL_SLOTS_MAX;
    struct pool *pool = calloc(1, sizeof *pool + threads * sizeof pool->helpers[0]);
    if (!pool) abort();
    os_mutex_init(&pool->lock, "query pool");
    os_cond_init(&pool->filled, "query pool: tasks");
    os_cond_init(&pool->finished, "query pool: job done");
    while (pool->helper_count + 1 < threads) {
        if (os_thread_spawn(&pool->helpers[pool->helper_count], "query", helper_main, pool) != STATUS_OK) break;
        pool->helper_count++;
    }
    pool->slots = pool->helper_count + 1;
    return pool;
}

void pool_free(struct pool *pool)
{
    if (!pool) return;
    os_mutex_lock(&pool->lock);
    pool->stopping = true;
    os_cond_broadcast(&pool->filled);
    os_mutex_unlock(&pool->lock);
    for (unsigned i = 0; i < pool->helper_count; i++) os_thread_join(&pool->helpers[i]);
    os_cond_destroy(&pool->filled);
    os_cond_destroy(&pool->finished);
    os_mutex_destroy(&pool->lock);
    free(pool);
}

unsigned pool_slots(const struct pool *pool)
{
    return pool->slots;
}

void pool_start(struct pool *pool, struct pool_job *job, unsigned slots, uint32_t count,
                enum status (*task)(void *ctx, unsigned slot, uint32_t index), void *ctx)
{
    *job = (struct pool_job){.task = task, .ctx = ctx, .count = count};
    if (slots > pool->slots) slots = pool->slots;
    job->slots_free = slots >= 64 ? UINT64_MAX : ((uint64_t)1 << slots) - 1;
    if (count == 0) return;
    os_mutex_lock(&pool->lock);
    link_job(pool, job);
    os_cond_broadcast(&pool->filled);
    os_mutex_unlock(&pool->lock);
}

enum status pool_finish(struct pool *pool, struct pool_job *job)
{
    os_mutex_lock(&pool->lock);
    while (job->taken < job->count || job->working) {
        if (job->taken < job->count && job->slots_free)
            work(pool, job);
        else
            os_cond_wait(&pool->finished, &pool->lock);
    }
    os_mutex_unlock(&pool->lock);
    return job->status;
}

enum status pool_run(struct pool *pool, uint32_t count, enum status (*task)(void *ctx, unsigned slot, uint32_t index),
                     void *ctx)
{
    struct pool_job job;
    if (count == 0) return STATUS_OK;
    if (count == 1) return task(ctx, 0, 0);
    pool_start(pool, &job, POOL_SLOTS_MAX, count, task, ctx);
    return pool_finish(pool, &job);
}
