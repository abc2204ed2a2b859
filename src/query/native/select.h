#pragma once
/*
 * Which rows a plan is about: what PROPERTIES, FEED and EXPORT have in common. A selection holds a snapshot, the plan's
 * events and range as the store knows them, and `where`. One thread.
 */
#include "query/native/columns.h"
#include "query/native/native.h"

struct selection {
    const struct plan *plan;
    struct plan_limits limits;
    struct snapshot *snapshot;
    bool forked;                   /* the snapshot is another one's */
    size_t share_bytes_max;        /* what decoding may take, of the limits */
    struct arena *arena;           /* lives as long as the selection */
    struct profile_join *profiles; /* of all forks; loaded by selection_load_profiles */
    uint32_t *events;              /* of the plan, each once; NULL: any */
    size_t event_count;
    /* The instants of the plan's local days, as [from, to): one interval, unless clocks went back over midnight at an
     * end of the range. */
    struct interval {
        int64_t from_ms, to_ms;
    } * intervals;
    size_t interval_count;
    const struct expr *where;
    struct expr_state *where_state;
    struct columns *where_columns;
};
/* The plan must outlive it. What failed half-way is torn down. */
enum status selection_init(struct selection *selection, struct native *native, const struct plan *plan,
                           const struct plan_limits *limits, struct error *error) MUST_USE;
/* The instants of some local days, like those of the whole range. In the arena. */
enum status selection_intervals(struct selection *selection, int64_t from_day, int64_t to_day, struct error *error,
                                struct interval **ret_intervals, size_t *ret_count) MUST_USE;
/* Another one of the same snapshot for another thread. `from` must outlive it. */
enum status selection_fork(const struct selection *from, struct error *error, struct selection *ret_selection) MUST_USE;
void selection_fini(struct selection *selection);

/* One of the plan's other expressions; free *ret_state before the selection. `parameter` is named in errors. */
enum status selection_compile(struct selection *selection, const char *parameter, struct str text, struct error *error,
                              const struct expr **ret_expr, struct expr_state **ret_state,
                              struct columns **ret_columns) MUST_USE;
/* The runs that may hold rows, in the order of the store. In the arena. */
enum status selection_runs(struct selection *selection, struct error *error, struct scan_run **ret_runs,
                           size_t *ret_count) MUST_USE;
/* Reads what the expressions need of profiles: before rows of these runs are read, and before forks are made. */
enum status selection_load_profiles(struct selection *selection, struct native *native, const struct scan_run *runs,
                                    size_t run_count, struct error *error) MUST_USE;
enum status selection_scan(const struct selection *selection, struct error *error, struct scan **ret_scan) MUST_USE;

bool selection_in_range(const struct selection *selection, int64_t time_ms);
/* All rows of the run lie in the range. */
bool selection_covers(const struct selection *selection, const struct scan_run *run);
/* Clears keep[row] for the rows of the scan's current vector that are not in it: deleted, outside the range, or not
 * matching. Only rows whose keep is not 0 are looked at. */
enum status selection_keep(struct selection *selection, struct scan *scan, const struct scan_run *run, uint32_t rows,
                           struct error *error, uint8_t *keep, uint32_t *ret_left) MUST_USE;

/* CANCELLED when it is time to stop. */
enum status selection_interrupted(const struct selection *selection, struct error *error) MUST_USE;
enum status selection_out_of_memory(const struct selection *selection, struct error *error);

/* top_values.c, properties.c, feed.c, export.c. `error` is not NULL. */
enum status native_top_values(struct executor *executor, const struct plan *plan, const struct plan_limits *limits,
                              struct error *error, struct top_values *ret_result);
enum status native_properties(struct native *native, const struct plan *plan, const struct plan_limits *limits,
                              struct error *error, struct top_values *ret_result);
enum status native_feed(struct native *native, const struct plan *plan, const struct plan_limits *limits,
                        struct error *error, struct event_rows **ret_rows);
enum status native_export(struct native *native, const struct plan *plan, const struct plan_limits *limits,
                          struct error *error, struct event_rows **ret_rows);
