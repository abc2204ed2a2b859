#pragma once
/*
 * All threads of a test on one, taking turns as a seed says.
 *
 * sim_threads_run() calls main(arg) as the first simulated thread. Until it returns, everything of thread.h and clock.h
 * is simulated: a thread is a fiber with a stack of its own, and at every lock, unlock, wait, wake-up, yield and call
 * of the simulated disk (sim.h) the scheduler may go on with another one. Time is virtual: it moves a little at each of
 * these points, to the next deadline when nobody can run, and now and then there by leaps. Random bytes come from the
 * seed, too. So the seed decides everything, and `trace` is the same in every run of it unless something looked at what
 * is not simulated (an address, the machine's clock).
 *
 * What goes wrong between threads ends the run with CONFLICT and a text: nobody can ever run again, somebody waits
 * without a deadline for longer than `stuck_ns`, a mutex is locked twice or unlocked by another, or there were more
 * than `steps_max` steps. The fibers are then left where they stood; what they had allocated is lost.
 *
 * Not thread-safe: one run at a time in a process, and no machine's threads beside it that use thread.h.
 */
#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

struct sim_threads_options {
    uint64_t seed;
    unsigned switch_odds;       /* of 256: at a point where the thread could go on, another one does */
    unsigned leap_odds;         /* of 65536: time leaps to the next deadline although somebody can run */
    unsigned spurious_odds;     /* of 65536: a wait ends for no reason */
    int64_t tick_ns;            /* a step takes 0 to this long */
    int64_t disk_ns;            /* syncing and reserving space take 0 to this long */
    int64_t stuck_ns;           /* 0: no limit */
    const char *const *patient; /* names of threads that may wait for work for ever; NULL-terminated, or NULL */
    int64_t start_ms;           /* the wall clock at the beginning */
    int64_t clock_jump_ms;      /* how far the wall clock may jump, now and then, in either direction */
    uint64_t steps_max;         /* 0: no limit */
    bool uneven;                /* some threads get the turn far more often than others */
};
/* Every number drawn from the seed, from friendly to hostile. */
void sim_threads_options_draw(struct sim_threads_options *options, uint64_t seed);

struct sim_threads_result {
    uint64_t trace, steps, switches;
    int64_t virtual_ns;
};
enum status sim_threads_run(const struct sim_threads_options *options, void (*main)(void *arg), void *arg,
                            struct error *error, struct sim_threads_result *ret_result) MUST_USE;

/* For code that runs inside; they do nothing outside. */
void sim_threads_note(uint64_t value); /* makes `value` part of the trace */
void sim_threads_disk_call(bool slow); /* a point; a slow call takes time */
uint64_t sim_threads_steps(void);      /* so far */
uint64_t sim_threads_trace(void);
