#pragma once
/*
 * An executor answers plans. The native one runs on the event store; others (a cluster behind SQL, the slow reference
 * evaluator of the tests) stand behind the same interface and must give the same answers.
 *
 * What an executor does depends on the plan's kind: segment() for SEGMENT, top_values() for TOP_VALUES and PROPERTIES,
 * rows() for FEED and EXPORT, retention() for RETENTION, frequency() for FREQUENCY. Any number of threads may run plans
 * on one executor.
 *
 * Errors: INVALID for what is wrong with the plan (an expression: error->column is the position in it), UNSUPPORTED for
 * what `capable` refuses, LIMIT for budgets, CANCELLED for deadlines and cancelled runs; CORRUPT and IO from the data.
 */
#include "query/frequency.h"
#include "query/result.h"
#include "query/retention.h"

struct event_rows;
struct funnel_plan;
struct funnel_result;
struct profile_functions;

struct plan_cost {
    uint64_t rows;  /* that would be looked at */
    uint64_t bytes; /* that would be decoded for them */
};

struct executor {
    const char *name;
    /* OK, or UNSUPPORTED and what it is that this executor cannot do. Says nothing about whether the plan is valid. */
    enum status (*capable)(struct executor *executor, const struct plan *plan, struct error *error);
    /* Roughly what an answer would cost, from what is known without reading columns. */
    enum status (*estimate)(struct executor *executor, const struct plan *plan, struct error *error,
                            struct plan_cost *ret_cost);
    enum status (*segment)(struct executor *executor, const struct plan *plan, const struct plan_limits *limits,
                           struct error *error, struct segmentation *ret_result);
    enum status (*top_values)(struct executor *executor, const struct plan *plan, const struct plan_limits *limits,
                              struct error *error, struct top_values *ret_result);
    enum status (*retention)(struct executor *executor, const struct plan *plan, const struct plan_limits *limits,
                             struct error *error, struct retention *ret_result);
    enum status (*frequency)(struct executor *executor, const struct plan *plan, const struct plan_limits *limits,
                             struct error *error, struct frequency *ret_result);
    /* The plan, its strings and the flag in `limits` must outlive the rows. */
    enum status (*rows)(struct executor *executor, const struct plan *plan, const struct plan_limits *limits,
                        struct error *error, struct event_rows **ret_rows);
    /* funnel.h; NULL: UNSUPPORTED */
    enum status (*funnel)(struct executor *executor, const struct funnel_plan *plan, const struct plan_limits *limits,
                          struct error *error, struct funnel_result *ret_result);
    const struct profile_functions *profiles; /* profiles.h; NULL: events only */
    void (*free)(struct executor *executor);
};

/*
 * Events on their way to a reader. A read stops after rows_max events, and the next one goes on behind them, from the
 * same picture of the data: a server sends what fits, waits for its client without holding a thread, and reads on.
 * Memory does not grow with the number of events for EXPORT, and is bounded by plan_limits for both kinds. One thread
 * at a time. After a failure other than the sink's only event_rows_free is left.
 */
struct event_rows {
    enum status (*read)(struct event_rows *rows, uint64_t rows_max, struct row_sink *sink, struct error *error,
                        bool *ret_done);
    void (*free)(struct event_rows *rows);
};
/* *ret_done: nothing is left. What the sink returns when it is not OK is passed on, and its row counts as delivered. */
static inline enum status event_rows_read(struct event_rows *rows, uint64_t rows_max, struct row_sink *sink,
                                          struct error *error, bool *ret_done)
{
    return rows->read(rows, rows_max, sink, error, ret_done);
}
static inline void event_rows_free(struct event_rows *rows)
{
    if (rows) rows->free(rows);
}

struct store;
/* Answers from a snapshot taken when the run begins. The store must outlive it. */
struct executor *executor_native_new(struct store *store);
/* The same with so many threads at work on one plan at most, instead of one a core. */
struct executor *executor_native_new_threads(struct store *store, unsigned threads);
static inline void executor_free(struct executor *executor)
{
    if (executor) executor->free(executor);
}
