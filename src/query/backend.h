#pragma once
/*
 * An executor answers plans. The native one runs on the event store; others (a cluster behind SQL, the slow reference
 * evaluator of the tests) stand behind the same interface and must give the same answers.
 */
#include "query/result.h"

struct executor {
    const char *name;
    /* INVALID for what is wrong with the plan (an expression: error->column is the position in it), LIMIT for budgets,
     * CANCELLED. */
    enum status (*segment)(struct executor *executor, const struct plan *plan, const struct plan_limits *limits,
                           struct error *error, struct segmentation *ret_result);
    void (*free)(struct executor *executor);
};

struct store;
/* Answers from a snapshot taken when the run begins. The store must outlive it; any number of threads may run plans. */
struct executor *executor_native_new(struct store *store);
static inline void executor_free(struct executor *executor)
{
    if (executor) executor->free(executor);
}
