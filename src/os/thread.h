#pragma once
/*
 * Threads, locks, conditions. Two implementations: the machine's (pthread), and a simulation in which all threads share
 * one and take turns as a seed says (sim_threads.h). Which one is decided by `os_scheduler` (scheduler.h) at the moment
 * of the call; objects are made and destroyed under the same one.
 *
 * Names are texts that live as long as the object; they appear in the report of a deadlock. Objects must not move.
 * Making one does not fail: where the machine refuses, the process ends. Deadlines are on the clock of
 * os_monotonic_ns().
 */
#include "os/scheduler.h"

#include <pthread.h>

struct os_mutex {
    union {
        pthread_mutex_t posix;
        struct os_point sim;
    };
};
struct os_rwlock {
    union {
        pthread_rwlock_t posix;
        struct os_point sim;
    };
};
struct os_cond {
    union {
        pthread_cond_t posix;
        struct os_point sim;
    };
};
struct os_thread { /* stays where it is until joined */
    const char *name;
    void (*main)(void *arg);
    void *arg;
    union {
        pthread_t posix;
        void *sim;
    };
};

/* Runs main(arg) on a new thread; names are cut at 15 bytes where the system shows them. LIMIT when there is none to
 * be had. Every thread is joined, once. */
enum status os_thread_spawn(struct os_thread *thread, const char *name, void (*main)(void *arg), void *arg) MUST_USE;
void os_thread_join(struct os_thread *thread);
/* Lets others run. */
void os_yield(void);
void os_sleep_ns(int64_t ns);

void os_mutex_init(struct os_mutex *mutex, const char *name);
void os_mutex_destroy(struct os_mutex *mutex);
void os_rwlock_init(struct os_rwlock *lock, const char *name);
void os_rwlock_destroy(struct os_rwlock *lock);
void os_cond_init(struct os_cond *cond, const char *name);
void os_cond_destroy(struct os_cond *cond);
/* False when the deadline has passed; wakes for no reason, too, as conditions do. */
bool os_cond_wait_until(struct os_cond *cond, struct os_mutex *mutex, int64_t deadline_ns);

static inline void os_mutex_lock(struct os_mutex *mutex)
{
    if (OS_SIMULATED)
        os_scheduler->lock(&mutex->sim, false);
    else
        pthread_mutex_lock(&mutex->posix);
}
static inline void os_mutex_unlock(struct os_mutex *mutex)
{
    if (OS_SIMULATED)
        os_scheduler->unlock(&mutex->sim, false);
    else
        pthread_mutex_unlock(&mutex->posix);
}

static inline void os_rwlock_read(struct os_rwlock *lock)
{
    if (OS_SIMULATED)
        os_scheduler->lock(&lock->sim, true);
    else
        pthread_rwlock_rdlock(&lock->posix);
}
static inline void os_rwlock_read_end(struct os_rwlock *lock)
{
    if (OS_SIMULATED)
        os_scheduler->unlock(&lock->sim, true);
    else
        pthread_rwlock_unlock(&lock->posix);
}
static inline void os_rwlock_write(struct os_rwlock *lock)
{
    if (OS_SIMULATED)
        os_scheduler->lock(&lock->sim, false);
    else
        pthread_rwlock_wrlock(&lock->posix);
}
static inline void os_rwlock_write_end(struct os_rwlock *lock)
{
    if (OS_SIMULATED)
        os_scheduler->unlock(&lock->sim, false);
    else
        pthread_rwlock_unlock(&lock->posix);
}

static inline void os_cond_wait(struct os_cond *cond, struct os_mutex *mutex)
{
    if (OS_SIMULATED)
        (void)os_scheduler->wait(&cond->sim, &mutex->sim, INT64_MAX);
    else
        pthread_cond_wait(&cond->posix, &mutex->posix);
}
static inline void os_cond_signal(struct os_cond *cond)
{
    if (OS_SIMULATED)
        os_scheduler->wake(&cond->sim, false);
    else
        pthread_cond_signal(&cond->posix);
}
static inline void os_cond_broadcast(struct os_cond *cond)
{
    if (OS_SIMULATED)
        os_scheduler->wake(&cond->sim, true);
    else
        pthread_cond_broadcast(&cond->posix);
}
