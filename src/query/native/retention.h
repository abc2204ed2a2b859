#pragma once
/* One retention under way on the event store: what retention.c, retention_marks.c and retention_items.c share. The
 * essay is in retention.c. */
#include "base/radix.h"
#include "query/native/cohort_kernels.h"
#include "query/native/people.h"
#include "query/retention.h"

#define BIRTH_NONE   INT64_MAX
#define MINUTE_NONE  0x80000000u /* of who is not born: no return is near it */
#define ITEM_PERSONS ((uint64_t)1 << 20)
#define ITEM_TIME_MS ((int64_t)1 << 44) /* below: times since the range begins */

/* A row that belongs to somebody else than when its run was sorted. */
struct moved_row {
    uint32_t person; /* now */
    uint32_t cell;   /* birth: its bucket; return: its slot */
    int64_t time_ms;
    bool born; /* of a return: it could be a birth, too */
};
struct moved_rows {
    struct moved_row *rows; /* in one list by person */
    size_t count, capacity;
};

/* What one participant of the pool has to itself. */
struct retainer {
    uint64_t low, high; /* the persons of the range at hand */
    /* by place of a person in it */
    int64_t *births;
    uint32_t *buckets, *minutes;  /* of the birth; minutes since retaining.base_ms */
    uint64_t *marks;              /* the intervals of his returns: `words` words each */
    const struct bound *born_run; /* of the returns at hand: the same rows in the survey of births, or NULL */
    uint64_t born_rows[VECTOR_ROWS_MAX / 64]; /* of the vector at hand: those that could be births */
    struct scan *late_scan;
    struct late_row *late;
    size_t late_count;
    /* retention_items.c: key = place << 44 | interval or time since from_ms, value = slot */
    struct radix_item *items, *spare;
    size_t item_count, item_capacity;
    uint64_t *slot_marks; /* by slot, `words` words each */
    uint32_t *touched, *bucket_person;
    struct moved_rows moved_births, moved_returns;
    /* results */
    uint64_t *first, *counts; /* as in struct retention; unbounded: only the last interval counts, until the end */
    uint64_t *slot_counts;    /* by slot, as counts */
    uint32_t *marked;         /* the range's own, NULL: see retaining.stride */
};

struct retaining {
    struct native *native;
    const struct plan *plan;
    struct error *error;
    struct plan_limits limits; /* of each of the surveys */
    struct plan born_plan, back_plan;
    struct snapshot *snapshot;
    struct survey births, returns;
    bool births_begun, returns_begun;
    struct bucket_edge window[2]; /* in which returns are looked for */
    struct buckets *buckets;
    const struct bucket_edge *edges; /* of the cohorts */
    size_t edge_count;
    uint32_t bucket_count, intervals, words;
    int64_t interval_ms, from_ms, to_ms, behind_ms, base_ms; /* base_ms: from_ms, down to a minute */
    size_t cells;                                            /* cohorts × intervals */
    uint32_t stride; /* of the numbers of a cohort, where those of a range are counted by themselves; 0: they are not */
    uint32_t slot_count;            /* labels that are answered; returns with others have this slot. Without `on` 0 */
    const struct bound **born_runs; /* by run of the returns: see retainer */
    bool by_minutes;                /* minutes of all that is looked at fit into 30 bits */
    bool by_items;                  /* retention_items.c */
    struct moved_rows moved_births, moved_returns;
    uint64_t range_persons;
    uint32_t range_count;
    struct retainer *retainers; /* by slot of the pool */
};

static inline bool retaining_counts_births(const struct retaining *r)
{
    return r->plan->retention.type == RETENTION_BIRTH;
}
static inline struct retaining *retaining_of(struct worker *worker, bool births)
{
    size_t offset = births ? offsetof(struct retaining, births) : offsetof(struct retaining, returns);
    return (struct retaining *)(void *)((char *)worker->survey - offset);
}
static inline struct retainer *retainer_of(struct retaining *r, const struct worker *worker)
{
    return &r->retainers[worker - worker->survey->workers];
}

/* The rows of moved_rows of persons from `person` on. */
size_t moved_rows_from(const struct moved_rows *moved, uint64_t person);
/* Finds out which of the rows [from, to) of a vector of the returns could be births: retainer->born_rows. */
enum status retention_born_rows(struct retaining *r, unsigned slot, uint32_t vector, uint32_t from,
                                uint32_t to) MUST_USE;
static inline bool retainer_is_born(const struct retainer *retainer, uint32_t row)
{
    return retainer->born_run && retainer->born_rows[row / 64] >> (row % 64) & 1;
}
/* Adds somebody's intervals to a cohort. */
void retention_add(const struct retaining *r, const uint64_t *marks, uint32_t bucket, uint64_t *counts);

/* --- retention_marks.c: the returns of the range at hand, when those of one cohort a person are all that is asked ---
 */
enum status retention_mark(struct retaining *r, unsigned slot) MUST_USE;
/* --- retention_items.c: the same with labels, or for several cohorts --- */
enum status retention_collect(struct retaining *r, unsigned slot) MUST_USE;
