#pragma once
/* What the files of funnels share: funnel.c sets up and answers, funnel_attempt.c makes attempts, funnel_count.c counts
 * those that count. */
#include "query/buckets.h"
#include "query/funnel.h"
#include "query/native/journey.h"

#define NO_SESSION UINT32_MAX

/* Time -> number (of a bucket, of a day), from edges. Mostly a table of hours or quarters. */
struct time_table {
    const struct bucket_edge *edges;
    size_t edge_count;
    int64_t from_ms, to_ms; /* what the table covers; outside there is BUCKET_NONE */
    uint64_t inverse;       /* of the table's unit: offset · inverse / 2^64 */
    uint32_t *table;        /* NULL: by searching the edges */
    bool ascends;           /* no bucket returns, and there is no gap between them ... */
    int64_t *ends_ms;       /* ... so each has one end */
};
enum status time_table_init(struct time_table *table, const struct buckets *buckets, struct arena *arena,
                            struct error *error) MUST_USE;
uint32_t time_table_search(const struct time_table *table, int64_t time_ms);
static inline uint32_t time_table_at(const struct time_table *table, int64_t time_ms)
{
    if (time_ms < table->from_ms || time_ms >= table->to_ms) return BUCKET_NONE;
    if (!table->table) return time_table_search(table, time_ms);
    uint64_t offset = (uint64_t)(time_ms - table->from_ms);
    return table->table[(uint64_t)((unsigned __int128)offset * table->inverse >> 64)];
}

/* Steps that stand in for each other: one, unless the order is any. */
struct step_group {
    uint64_t mask;
    uint32_t first; /* how many steps are done when it begins */
};

struct attempt {
    uint32_t reached;                  /* steps, at least 1 */
    uint32_t events[FUNNEL_STEPS_MAX]; /* of the journey */
    bool over_with_window;
    uint32_t over_after; /* the event after which it is over, else */
};

/* When the next attempt may begin, for one combination of held values. */
struct resume {
    journey_value held[FUNNEL_HOLD_MAX];
    uint32_t generation; /* this entry of the table is empty when it is another one's */
    uint32_t after;      /* events from here on */
    int64_t time_ms;     /* that are later than this */
    uint32_t session;    /* and in a later session than this */
    bool windowed;       /* time_ms, or session, counts */
};

/* An attempt that may count: another one may be better still. */
struct candidate {
    uint32_t label, bucket, reached;
};

/* What belongs to one slot of the walk. */
struct funnel_slot {
    struct arena *arena;
    struct funnel_cell *overall; /* bucket · steps + step; count: of those that reached this step and no other */
    /* by label */
    struct funnel_cell **label_cells;
    uint64_t *label_entries;
    uint32_t *label_seen;  /* generation in which an attempt counted for it */
    uint32_t *label_place; /* its candidate */
    uint32_t label_capacity;
    /* of the journey at hand */
    uint32_t *stamps; /* event -> generation in which it was used */
    uint32_t *sessions;
    size_t event_capacity;
    struct resume *resumes; /* a hash table; the only one when nothing is held */
    uint32_t resume_capacity, resume_count;
    struct candidate *candidates;
    uint64_t *candidate_times; /* candidate · 2 · steps: from the step before, from the start */
    uint32_t candidate_count, candidate_capacity;
    uint32_t generation;       /* of the funnel at hand: one bucket's with `trend` */
    uint32_t label_generation; /* of the group of which one attempt counts */
    bool counted;              /* it has, for the funnel without labels */
    uint64_t from_previous_ms[FUNNEL_STEPS_MAX], from_start_ms[FUNNEL_STEPS_MAX]; /* of the attempt at hand */
    uint64_t work; /* events looked at since the last look at the clock */
};
#define FUNNEL_WORK_BETWEEN_LOOKS ((uint64_t)1 << 20)

struct funneling {
    const struct funnel_plan *plan;
    const struct plan_limits *limits;
    struct error *error;
    struct arena *arena;
    struct journeys *journeys;
    struct journey_plan journey_plan;
    struct buckets *buckets;
    uint32_t bucket_count, step_count;
    struct time_table entries, days;
    struct step_group *groups;
    uint64_t entry_mask, step_mask, *gap_exclusions; /* by steps reached */
    size_t hold_first;                               /* of the journeys' values; `on` is the first one, if any */
    uint32_t window_sessions;                        /* 0: window_ms */
    int64_t window_ms, session_gap_ms, grace_ms;
    bool one_counts; /* of a person, or session: not all attempts */
    bool optimized;
    struct funnel_slot *slots;
    /* labels */
    bool totals_only;       /* count entries by label, nothing else */
    uint32_t *chosen;       /* label -> place among the answered ones, UINT32_MAX; NULL: all */
    uint32_t chosen_labels; /* how many labels that table has */
    _Atomic bool too_many_labels;
};

enum status funnel_out_of_memory(const struct funneling *f, struct error *error);

/* --- funnel_attempt.c --- */
/* A person's attempts, each handed on as it ends. */
enum status funnel_visit(void *ctx, unsigned slot, const struct journey *journey, struct error *error);

/* --- funnel_plain.c --- */
/* Fixed steps and nothing else. */
bool funnel_is_plain(const struct funneling *f);
/* The same for those, when their journeys are by selector. */
enum status funnel_visit_plain(void *ctx, unsigned slot, const struct journey *journey, struct error *error);

/* --- funnel_count.c --- */
/* A new group of which one attempt counts begins; what was found of the last one is counted. */
enum status funnel_begin_group(struct funneling *f, struct funnel_slot *slot, struct error *error) MUST_USE;
enum status funnel_take(struct funneling *f, struct funnel_slot *slot, const struct journey *journey,
                        const struct attempt *attempt, uint32_t bucket, struct error *error) MUST_USE;
static inline void funnel_count_cells(struct funnel_cell *cells, uint32_t reached, const uint64_t *from_previous_ms,
                                      const uint64_t *from_start_ms)
{
    cells[reached - 1].count++;
    for (uint32_t k = 1; k < reached; k++) {
        cells[k].from_previous_ms += from_previous_ms[k];
        cells[k].from_start_ms += from_start_ms[k];
    }
}
