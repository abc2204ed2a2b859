#pragma once
/*
 * The switch behind thread.h and clock.h. Normally `os_scheduler` is NULL and threads, locks, clocks and random bytes
 * are the machine's, at the price of one well-predicted branch. A test that wants every interleaving in its own hands
 * puts a table here (sim_threads.h) before anything is made, and takes it away after everything is gone.
 */
#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct os_thread;

/* What a lock or condition is when threads are simulated. */
struct os_point {
    const char *name;
    void *holder;     /* of a mutex, or the writer of a rwlock */
    uint32_t readers; /* of a rwlock */
    uint32_t number;  /* in the order of making, so that traces do not depend on addresses */
};

struct os_scheduler {
    void (*point_init)(struct os_point *, const char *name);
    void (*point_destroy)(struct os_point *);
    void (*lock)(struct os_point *, bool shared);
    void (*unlock)(struct os_point *, bool shared);
    /* Gives the mutex back, waits, takes it again. False when the deadline (INT64_MAX: none) has passed. */
    bool (*wait)(struct os_point *condition, struct os_point *mutex, int64_t deadline_ns);
    void (*wake)(struct os_point *condition, bool all);
    enum status (*spawn)(struct os_thread *);
    void (*join)(struct os_thread *);
    void (*yield)(void);
    void (*sleep)(int64_t ns);
    int64_t (*monotonic_ns)(void);
    int64_t (*now_ms)(void);
    void (*random)(void *data, size_t size);
};

extern const struct os_scheduler *os_scheduler;

#define OS_SIMULATED __builtin_expect(os_scheduler != NULL, 0)
