#pragma once
/*
 * Who computes now. More queries are under way than there are cores, so that a short one never waits until a long one
 * is done; but only `slots` of them compute at one moment. A query holds a turn while it does, and passes it on where it
 * can pause, every few milliseconds: where it looks whether it is to end (native_interrupted).
 *
 * Whose turn it is next: the project that has computed least, and of its queries the one that has computed least. Who
 * comes new is put a head start in front of the others, so a short query is done before the long ones go on. Nobody
 * waits for ever: who was passed over TURN_PASSED_MAX times for each that waits is next whatever it has computed, and who
 * has waited for TURN_WAIT_NS goes on without a slot.
 *
 * A turn belongs to the thread that began it; others (helpers of the pool) may call turn_yield, which does nothing for
 * them. Do not yield with a lock that other queries want.
 */
#include "os/clock.h"
#include "os/thread.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define TURN_QUANTUM_NS    INT64_C(5000000)   /* the difference for which it is worth changing */
#define TURN_HEAD_START_NS INT64_C(200000000) /* of who comes new */
#define TURN_WAIT_NS       INT64_C(1000000000)
#define TURN_PASSED_MAX    8 /* for each that waits */

struct turns;
struct turn_group;

/* Of one query. All zero to begin with; it must not move. What it has computed stays after its end, and a query that is
 * carried out in steps begins one turn after the other, without being new each time. */
struct turn {
    struct turns *turns;
    struct turn_group *group;
    struct turn *next;      /* of its project */
    int64_t service_ns;     /* computed, and where it began */
    int64_t computed_ns;
    int64_t since_ns;       /* computing since */
    int64_t cpu_ns;         /* the processor's time up to the last turn_end */
    int64_t cpu_since_ns;   /* of the thread that has begun the turn, whose clock it is */
    clockid_t cpu_clock;
    bool has_clock;         /* between turn_begin and turn_end */
    uint64_t arrival;       /* waiting since, as a number */
    unsigned passed_over;
    bool holds, waits;
    _Atomic bool put_back; /* set by anybody: the query is to end now, and will be begun again later */
    const void *_Atomic thread; /* NULL: not begun, or ended */
    const _Atomic bool *cancelled;
    struct os_cond granted;
};

struct turns *turns_new(unsigned slots);
/* No turn may be under way. NULL is nothing. */
void turns_free(struct turns *turns);

/* Waits for a turn. `cancelled` (may be NULL) ends every wait for this turn; whoever sets it need not wake anybody. */
void turn_begin(struct turns *turns, struct turn *turn, uint64_t project, const _Atomic bool *cancelled);
/* Lets somebody else compute if it is his turn, and waits for the next one of its own. NULL is nothing. Cheap while
 * nobody waits. */
void turn_yield(struct turn *turn);
void turn_end(struct turn *turn);
/* How long it has been its turn so far, and how long the processor was at it, which is less on a busy machine; any
 * thread. */
int64_t turn_computed_ns(struct turns *turns, const struct turn *turn);
int64_t turn_cpu_ns(struct turns *turns, const struct turn *turn);

struct turns_stats {
    unsigned computing, waiting;
    uint64_t changes; /* turns that were passed on */
    uint64_t waits_over; /* that went on after TURN_WAIT_NS */
};
void turns_stats(struct turns *turns, struct turns_stats *ret_stats);

/* The same without waiting and without a clock, for tests: whether the turn holds a slot afterwards; `ns` is what it has
 * computed since it was last asked. */
bool turn_enter(struct turns *turns, struct turn *turn, uint64_t project);
bool turn_rotate(struct turn *turn, int64_t ns);
void turn_leave(struct turn *turn);
