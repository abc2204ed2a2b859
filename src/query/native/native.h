#pragma once
/* The executor on the event store: what its files give to native.c, and what they share. */
#include "query/backend.h"
#include "query/native/parallel.h"
#include "store/store.h"

struct expr_state;
struct profile_ids_cache;

struct native {
    struct executor base;
    struct store *store;
    struct pool *pool;
    struct profile_ids_cache *profile_ids;
};

/* Has the expression's evaluation look at the limits, as native_interrupted does; they live as long as the state. */
void native_watch(struct expr_state *state, const struct plan_limits *limits);
/* CANCELLED when the query is to end. Cheap. `error` may be NULL. Others may compute meanwhile (turns.h): a query that
 * holds a lock which others want has no turn in `limits`. */
enum status native_interrupted(const struct plan_limits *limits, struct error *error) MUST_USE;
/* Makes what an expression failed with an error of the parameter that holds it; OK stays as it is. */
enum status native_expression(const char *parameter, enum status status, struct error *error) MUST_USE;

enum status native_segment(struct executor *executor, const struct plan *plan, const struct plan_limits *limits,
                           struct error *error, struct segmentation *ret_result);
enum status native_retention(struct executor *executor, const struct plan *plan, const struct plan_limits *limits,
                             struct error *error, struct retention *ret_result);
enum status native_frequency(struct executor *executor, const struct plan *plan, const struct plan_limits *limits,
                             struct error *error, struct frequency *ret_result);
enum status native_funnel(struct executor *executor, const struct funnel_plan *plan, const struct plan_limits *limits,
                          struct error *error, struct funnel_result *ret_result);
