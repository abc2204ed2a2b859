#pragma once
/* What the files of journeys share. */
#include "query/native/journey.h"
#include "query/native/survey.h"

/* --- journey_values.c: numbers for values --- */

struct journey_values {
    struct os_mutex lock;
    struct arena *arena;
    struct strmap index; /* key -> number */
    struct journey_entry {
        struct str key; /* a byte for the kind of value, then its text: what journey_value_cmp compares */
        uint32_t label, count;
        const uint32_t *labels; /* of a list; NULL: `label` */
    } * *pages;                 /* never moved, so they are read without the lock */
    uint32_t count, count_max;
    struct labels labels;
    struct label_page {
        struct str texts[1024];
    } * *label_pages;
    uint32_t label_count, label_count_max;
};
enum status journey_values_init(struct journey_values *values, size_t memory_bytes_max) MUST_USE;
void journey_values_fini(struct journey_values *values);
/* `text` is room of the caller's. LIMIT when memory or numbers run out. */
enum status journey_values_number(struct journey_values *values, struct buf *text, struct value value,
                                  journey_value *ret_number) MUST_USE;
int journey_values_cmp(const struct journey_values *values, journey_value a, journey_value b);

/* --- journey_sort.c --- */

/* `spare` has room for as many. */
void journey_sort_keys(uint64_t *keys, uint32_t count, uint64_t *spare);
void journey_sort_events(struct journey_event *events, uint32_t count, struct journey_event *spare,
                         const struct journey_values *values, size_t value_count);
#define JOURNEY_SORT_SMALL 24 /* up to here no spare room is needed */

/* --- journey.c --- */

/* Where a value comes from in a run. */
struct journey_source {
    enum source_form form; /* ONE, TABLE, ROWS; NONE: not tried on any row */
    uint32_t property;
    journey_value one;
    const journey_value *by_code;
};
/* What there is to say of a run besides its bound (survey->runs, with the same index). */
struct journey_run {
    uint64_t possible; /* selectors that a row may match */
    uint64_t always;   /* those that every row in the range matches */
    uint64_t tried;    /* those with terms to be tried row by row */
    bool where;        /* the plan's filter is to be tried row by row */
    bool plain;        /* rows need no look, save at persons and times */
    bool counted;      /* and whoever has one may be left out: journeys_left_out */
    struct journey_source sources[JOURNEY_VALUES_MAX];
};

/* A selector as it is tried: a range of the survey's terms. */
struct journey_filter {
    size_t first_term, term_count;
    const uint32_t *events; /* NULL: any */
    size_t event_count;
};

/* Rows that are stored under numbers which were taken away from their persons since. */
struct journey_moved {
    uint32_t person; /* whose they are now */
    struct journey_event event;
};

enum { MARK_COUNTED = 1, MARK_FOLLOWED = 2 };

/* What a participant has to itself, besides the survey's worker. */
struct walker {
    struct worker *worker;
    struct buf text;
    uint32_t *counts, *cursors; /* by person of the range */
    uint8_t *marks;             /* MARK_*, the same */
    uint64_t left_out;
    uint64_t *keys;
    struct journey_event *events;
    void *spare;
    size_t capacity, spare_capacity;
    struct expr_state *value_states[JOURNEY_VALUES_MAX];
    struct columns *value_columns[JOURNEY_VALUES_MAX];
    struct {
        uint64_t dict_id;
        uint32_t count;
        journey_value *by_code;
    } memos[JOURNEY_VALUES_MAX];
    struct journey_moved *moved;
    size_t moved_count, moved_capacity;
    /* the vector at hand; keep is 0 outside of the rows that are asked for */
    uint8_t keep[VECTOR_ROWS_MAX], tried[VECTOR_ROWS_MAX], after_where[VECTOR_ROWS_MAX];
    uint64_t times[VECTOR_ROWS_MAX]; /* from the base; or whole keys */
    uint64_t masks[VECTOR_ROWS_MAX];
    journey_value values[JOURNEY_VALUES_MAX][VECTOR_ROWS_MAX];
};

struct journeys {
    const struct journey_plan *plan;
    struct plan base; /* what the survey wants to know of a plan */
    struct plan_limits limits;
    struct survey survey;
    struct journey_values values;
    struct journey_filter filters[JOURNEY_SELECTORS_MAX + 1]; /* the last one is the plan's own */
    const struct expr *value_exprs[JOURNEY_VALUES_MAX];
    struct journey_run *runs;
    uint32_t *order, required_runs, run_count; /* runs that matter: those with required selectors first */
    bool short_form, may_lack;                 /* may_lack: counted rows may turn out to match nothing required */
    bool by_selector, leaves_out;
    unsigned mask_bits;
    uint64_t span; /* of the range */
    size_t entry_bytes, entries_max;
    struct walker *walkers;
    bool moved_ready;
    uint64_t *moved_bits;
    struct journey_moved *moved; /* ascending by person */
    size_t moved_count;
    uint32_t person_count, range_persons, range_count;
    journey_visit_fn visit;
    void *visit_ctx;
};
enum status journeys_out_of_memory(const struct journeys *journeys, struct error *error);
/* The error of the first participant that failed with `status`. */
void journeys_take_error(struct journeys *journeys, enum status status, struct error *error);
enum status walker_number(struct journeys *journeys, struct walker *walker, struct value value,
                          journey_value *ret_number) MUST_USE;

/* --- journey_vector.c --- */

/* Fills times: from the base, shifted, with `mask` below. */
enum status walker_read_times(const struct journeys *journeys, struct walker *walker, const struct scan_run *run,
                              unsigned shift, uint64_t mask) MUST_USE;
/* Of the vector at which the worker's scan is: what the rows with keep match. Fills times and masks, and, for rows
 * whose mask is not 0, the values. *ret_any is false when none matches. */
enum status walker_match(struct journeys *journeys, struct walker *walker, const struct bound *bound,
                         bool *ret_any) MUST_USE;

/* --- journey_moved.c --- */

/* Fills moved_bits, the runs' holds_moved, and moved. */
enum status journeys_find_moved(struct journeys *journeys) MUST_USE;
size_t journeys_first_moved(const struct journeys *journeys, uint64_t person);
static inline bool journeys_is_moved(const struct journeys *journeys, uint32_t person)
{
    return journeys->moved_bits[person / 64] >> (person % 64) & 1;
}
