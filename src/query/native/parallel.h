#pragma once
/*
 * Queries on several cores. A pool has threads that help whoever runs a job; a job is a list of small tasks (a few
 * milliseconds at most), handed out in order to the threads that take part: the caller itself, and helpers of the pool.
 * Helpers go from job to job in turns after every task, so a long query does not hold up a short one.
 *
 * Each participant of a job has a slot, a number below pool_slots(), for state of its own. Which slot runs which task
 * is not determined: results must not depend on it.
 */
#include "base/status.h"

#include <stdint.h>

#define POOL_SLOTS_MAX 64

struct pool;

/* A job between pool_start and pool_finish. Its owner's memory, the pool's content. */
struct pool_job {
    struct pool_job *next, *previous; /* ring of the jobs that have tasks to hand out */
    enum status (*task)(void *ctx, unsigned slot, uint32_t index);
    void *ctx;
    uint32_t count, taken, failed_index;
    unsigned working; /* tasks under way */
    enum status status;
    uint64_t slots_free; /* a bit for each */
};

/* `threads` at work on one job, the caller included, at least 1. Fewer when the machine refuses threads. */
struct pool *pool_new(unsigned threads);
/* No job may be running. */
void pool_free(struct pool *pool);
unsigned pool_slots(const struct pool *pool);

/* Calls task(ctx, slot, index) for every index below `count` and returns when all calls have. After a call that is not
 * OK no further ones begin; the status of the lowest such index is returned. */
enum status pool_run(struct pool *pool, uint32_t count, enum status (*task)(void *ctx, unsigned slot, uint32_t index),
                     void *ctx) MUST_USE;
/* The same in two steps, for callers who have something else to do meanwhile: helpers begin at once, on at most `slots`
 * slots; the caller takes part when it finishes the job, which it must. The job must not move. */
void pool_start(struct pool *pool, struct pool_job *job, unsigned slots, uint32_t count,
                enum status (*task)(void *ctx, unsigned slot, uint32_t index), void *ctx);
enum status pool_finish(struct pool *pool, struct pool_job *job) MUST_USE;
