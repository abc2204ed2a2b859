#include "query/turns.h"

#include "os/clock.h"

#include <stdlib.h>

#define LOOK_NS INT64_C(50000000) /* between looks at `cancelled` */

/* The queries of a project. */
struct turn_group {
    struct turn_group *next;
    struct turn *members;
    uint64_t project;
    int64_t service_ns;
    int64_t floor_ns; /* what its members have at least, not counting those who came since */
};

struct turns {
    struct os_mutex lock;
    struct turn_group *groups; /* that have members */
    int64_t floor_ns;          /* of their service, likewise */
    atomic_uint waiting;       /* read without the lock by turn_yield */
    unsigned slots, held;
    uint64_t arrivals, changes, waits_over;
};

/* An address that is the thread's own. */
static const void *this_thread(void)
{
    static _Thread_local char mark;
    return &mark;
}

struct turns *turns_new(unsigned slots)
{
    struct turns *turns = calloc(1, sizeof *turns);
    if (!turns) abort();
    turns->slots = slots ? slots : 1;
    os_mutex_init(&turns->lock, "turns");
    return turns;
}

void turns_free(struct turns *turns)
{
    if (!turns) return;
    os_mutex_destroy(&turns->lock);
    free(turns);
}

/* --- the order; the lock is held --- */

/* In front of the others, when it is new. */
static int64_t head_start(const struct turn *turn)
{
    return turn->computed_ns ? 0 : TURN_HEAD_START_NS;
}

static struct turn_group *find_group(struct turns *turns, const struct turn *turn, uint64_t project)
{
    for (struct turn_group *group = turns->groups; group; group = group->next)
        if (group->project == project) return group;
    struct turn_group *group = calloc(1, sizeof *group);
    if (!group) abort();
    *group = (struct turn_group){.next = turns->groups,
                                 .project = project,
                                 .service_ns = turns->floor_ns - (turns->groups ? head_start(turn) : 0)};
    turns->groups = group;
    return group;
}

static void join(struct turns *turns, struct turn *turn, uint64_t project)
{
    struct turn_group *group = find_group(turns, turn, project);
    os_cond_init(&turn->granted, "turn granted");
    turn->turns = turns;
    turn->group = group;
    int64_t least_ns = group->floor_ns - (group->members ? head_start(turn) : 0);
    if (!turn->computed_ns || turn->service_ns < least_ns) turn->service_ns = least_ns;
    turn->passed_over = 0;
    turn->holds = turn->waits = false;
    turn->next = group->members;
    group->members = turn;
    atomic_store(&turn->thread, this_thread());
}

static void leave(struct turns *turns, struct turn *turn)
{
    struct turn_group *group = turn->group;
    struct turn **at = &group->members;
    while (*at != turn) at = &(*at)->next;
    *at = turn->next;
    atomic_store(&turn->thread, NULL);
    turn->group = NULL;
    os_cond_destroy(&turn->granted);
    if (group->members) return;
    struct turn_group **place = &turns->groups;
    while (*place != group) place = &(*place)->next;
    *place = group->next;
    free(group);
}

/* Whether `a` is to compute before `b`, by more than so much. */
static bool ahead(const struct turn *a, const struct turn *b, int64_t by_ns)
{
    if (a->group != b->group) return a->group->service_ns + by_ns < b->group->service_ns;
    return a->service_ns + by_ns < b->service_ns;
}

static bool before(const struct turn *a, const struct turn *b)
{
    unsigned due = TURN_PASSED_MAX * atomic_load(&a->turns->waiting);
    bool a_due = a->passed_over >= due, b_due = b->passed_over >= due;
    if (a_due != b_due) return a_due;
    if (!a_due && ahead(a, b, 0)) return true;
    if (!a_due && ahead(b, a, 0)) return false;
    return a->arrival < b->arrival;
}

static struct turn *first_waiting(const struct turns *turns)
{
    struct turn *best = NULL;
    for (const struct turn_group *group = turns->groups; group; group = group->next) {
        for (struct turn *turn = group->members; turn; turn = turn->next)
            if (turn->waits && (!best || before(turn, best))) best = turn;
    }
    return best;
}

static void take_slot(struct turns *turns, struct turn *turn)
{
    if (turn->waits) atomic_fetch_sub(&turns->waiting, 1);
    turn->waits = false;
    turn->holds = true;
    turn->passed_over = 0;
    turns->held++;
}

static void await_slot(struct turns *turns, struct turn *turn)
{
    turn->waits = true;
    turn->arrival = turns->arrivals++;
    atomic_fetch_add(&turns->waiting, 1);
}

static void release_slot(struct turns *turns, struct turn *turn)
{
    turn->holds = false;
    turns->held--;
}

/* Gives free slots to those who are next. */
static void hand_out(struct turns *turns)
{
    struct turn *next;
    while (turns->held < turns->slots && (next = first_waiting(turns))) {
        take_slot(turns, next);
        for (struct turn_group *group = turns->groups; group; group = group->next) {
            for (struct turn *turn = group->members; turn; turn = turn->next) turn->passed_over += turn->waits;
        }
        os_cond_signal(&next->granted);
    }
}

static bool enter(struct turns *turns, struct turn *turn, uint64_t project)
{
    join(turns, turn, project);
    await_slot(turns, turn);
    hand_out(turns);
    return turn->holds;
}

/* Floors only rise, so that all who come new begin at the same place. */
static void raise_floors(struct turns *turns, struct turn_group *group)
{
    int64_t least = INT64_MAX;
    for (const struct turn *member = group->members; member; member = member->next)
        if (member->service_ns < least) least = member->service_ns;
    if (least > group->floor_ns) group->floor_ns = least;
    least = INT64_MAX;
    for (const struct turn_group *other = turns->groups; other; other = other->next)
        if (other->service_ns < least) least = other->service_ns;
    if (least > turns->floor_ns) turns->floor_ns = least;
}

static void charge(struct turn *turn, int64_t ns)
{
    if (ns < 0) ns = 0;
    turn->service_ns += ns;
    turn->computed_ns += ns;
    turn->group->service_ns += ns;
    raise_floors(turn->turns, turn->group);
}

/* True when the turn still has its slot. */
static bool rotate(struct turns *turns, struct turn *turn, int64_t ns)
{
    charge(turn, ns);
    const struct turn *next = first_waiting(turns);
    if (!next) return true;
    if (!ahead(next, turn, TURN_QUANTUM_NS) && turns->held <= turns->slots) return true;
    turns->changes++;
    release_slot(turns, turn);
    await_slot(turns, turn);
    hand_out(turns);
    return turn->holds;
}

/* --- with waiting --- */

static void wait_for_slot(struct turns *turns, struct turn *turn)
{
    int64_t end_ns = os_monotonic_ns() + TURN_WAIT_NS;
    while (!turn->holds) {
        int64_t now_ns = os_monotonic_ns();
        bool cancelled = turn->cancelled && atomic_load_explicit(turn->cancelled, memory_order_relaxed);
        if (now_ns >= end_ns || cancelled) {
            turns->waits_over += !cancelled;
            take_slot(turns, turn); /* one more than there are: the next who yields makes up for it */
            break;
        }
        (void)os_cond_wait_until(&turn->granted, &turns->lock, now_ns + LOOK_NS < end_ns ? now_ns + LOOK_NS : end_ns);
    }
    turn->since_ns = os_monotonic_ns();
}

void turn_begin(struct turns *turns, struct turn *turn, uint64_t project, const _Atomic bool *cancelled)
{
    os_mutex_lock(&turns->lock);
    turn->cancelled = cancelled;
    (void)enter(turns, turn, project);
    turn->cpu_clock = os_thread_cpu_clock();
    turn->cpu_since_ns = os_thread_cpu_ns(turn->cpu_clock);
    turn->has_clock = true;
    wait_for_slot(turns, turn);
    os_mutex_unlock(&turns->lock);
}

void turn_yield(struct turn *turn)
{
    if (!turn || atomic_load_explicit(&turn->thread, memory_order_relaxed) != this_thread()) return;
    struct turns *turns = turn->turns;
    if (!atomic_load_explicit(&turns->waiting, memory_order_relaxed)) return;
    os_mutex_lock(&turns->lock);
    int64_t now_ns = os_monotonic_ns();
    bool holds = rotate(turns, turn, now_ns - turn->since_ns);
    turn->since_ns = now_ns;
    if (!holds) wait_for_slot(turns, turn);
    os_mutex_unlock(&turns->lock);
}

void turn_end(struct turn *turn)
{
    struct turns *turns = turn->turns;
    os_mutex_lock(&turns->lock);
    charge(turn, os_monotonic_ns() - turn->since_ns);
    turn->cpu_ns += os_thread_cpu_ns(turn->cpu_clock) - turn->cpu_since_ns;
    turn->has_clock = false;
    release_slot(turns, turn);
    leave(turns, turn);
    hand_out(turns);
    os_mutex_unlock(&turns->lock);
}

int64_t turn_computed_ns(struct turns *turns, const struct turn *turn)
{
    os_mutex_lock(&turns->lock);
    int64_t ns = turn->computed_ns;
    if (turn->group && turn->holds) ns += os_monotonic_ns() - turn->since_ns;
    os_mutex_unlock(&turns->lock);
    return ns;
}

int64_t turn_cpu_ns(struct turns *turns, const struct turn *turn)
{
    os_mutex_lock(&turns->lock);
    int64_t ns = turn->cpu_ns;
    if (turn->has_clock) ns += os_thread_cpu_ns(turn->cpu_clock) - turn->cpu_since_ns;
    os_mutex_unlock(&turns->lock);
    return ns;
}

void turns_stats(struct turns *turns, struct turns_stats *ret_stats)
{
    os_mutex_lock(&turns->lock);
    *ret_stats = (struct turns_stats){.computing = turns->held,
                                      .waiting = atomic_load(&turns->waiting),
                                      .changes = turns->changes,
                                      .waits_over = turns->waits_over};
    os_mutex_unlock(&turns->lock);
}

/* --- without --- */

bool turn_enter(struct turns *turns, struct turn *turn, uint64_t project)
{
    os_mutex_lock(&turns->lock);
    bool holds = enter(turns, turn, project);
    os_mutex_unlock(&turns->lock);
    return holds;
}

bool turn_rotate(struct turn *turn, int64_t ns)
{
    struct turns *turns = turn->turns;
    os_mutex_lock(&turns->lock);
    bool holds = turn->holds && rotate(turns, turn, ns);
    os_mutex_unlock(&turns->lock);
    return holds;
}

void turn_leave(struct turn *turn)
{
    struct turns *turns = turn->turns;
    os_mutex_lock(&turns->lock);
    if (turn->holds) release_slot(turns, turn);
    if (turn->waits) atomic_fetch_sub(&turns->waiting, 1);
    leave(turns, turn);
    hand_out(turns);
    os_mutex_unlock(&turns->lock);
}
