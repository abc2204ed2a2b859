#include "query/native/native.h"

#include "base/civil.h"
#include "os/clock.h"
#include "os/machine.h"
#include "query/native/profile_ids.h"
#include "query/native/profiles.h"
#include "query/native/select.h"
#include "query/turns.h"

#include <stdatomic.h>
#include <stdlib.h>

#define CELL_BYTES     8  /* decoded, of a row and a column */
#define PROPERTIES_MAX 64 /* that an event is taken to have at most, when all are read */

enum status native_interrupted(const struct plan_limits *limits, struct error *error)
{
    turn_yield(limits->turn);
    if (limits->cancelled && atomic_load_explicit(limits->cancelled, memory_order_relaxed))
        return error_set(error, STATUS_CANCELLED, "the query was cancelled");
    if (limits->turn && atomic_load_explicit(&limits->turn->put_back, memory_order_relaxed))
        return error_set(error, STATUS_CANCELLED, "the query gives way to shorter ones");
    if (limits->deadline_ns != INT64_MAX && os_monotonic_ns() > limits->deadline_ns) {
        error_set(error, STATUS_CANCELLED, "the query took longer than allowed");
        error_hint(error, "use a shorter range, or raise query.timeout");
        return STATUS_CANCELLED;
    }
    return STATUS_OK;
}

enum status native_expression(const char *parameter, enum status status, struct error *error)
{
    if (status == STATUS_CANCELLED) return status; /* not for the expression's sake */
    if (status != STATUS_OK) error_prefix(error, "%s", parameter);
    if (status == STATUS_LIMIT && error && !error->hint[0]) error_hint(error, "make it simpler");
    return status;
}

static enum status look(const void *arg, struct error *error)
{
    return native_interrupted(arg, error);
}

void native_watch(struct expr_state *state, const struct plan_limits *limits)
{
    expr_state_watch(state, look, limits);
}

static enum status native_capable(struct executor *executor, const struct plan *plan, struct error *error)
{
    (void)executor;
    switch (plan->kind) {
    case PLAN_SEGMENT:
    case PLAN_TOP_VALUES:
    case PLAN_FEED:
    case PLAN_EXPORT:
    case PLAN_PROPERTIES:
    case PLAN_RETENTION:
    case PLAN_FREQUENCY: return STATUS_OK;
    }
    return error_set(error, STATUS_UNSUPPORTED, "this kind of plan is not supported");
}

/* Adds the columns that an expression reads. */
static enum status count_columns(struct selection *s, const char *parameter, struct str text, struct error *error,
                                 uint64_t *count)
{
    const struct expr *expr;
    struct expr_state *state;
    struct columns *columns;
    size_t wanted;
    if (!text.data) return STATUS_OK;
    TRY(selection_compile(s, parameter, text, error, &expr, &state, &columns));
    expr_state_free(state);
    expr_columns(expr, &wanted);
    *count += wanted;
    return STATUS_OK;
}

/* From the runs that would be opened: those of the plan's events that overlap its range. Of a feed, their mean share of
 * a person. */
static enum status estimate_events(struct executor *executor, const struct plan *plan, struct error *error,
                                   struct plan_cost *ret_cost)
{
    static const struct plan_limits limits = {.memory_bytes_max = (size_t)64 << 20, .deadline_ns = INT64_MAX};
    struct error local;
    struct selection s;
    struct scan_run *runs;
    size_t run_count;
    bool whole = plan->kind == PLAN_FEED || plan->kind == PLAN_EXPORT || plan->kind == PLAN_PROPERTIES;
    uint64_t columns = 1; /* time */
    if (!error) error = &local;
    TRY(selection_init(&s, (struct native *)executor, plan, &limits, error));
    struct plan_cost cost = {0};
    enum status status = selection_runs(&s, error, &runs, &run_count);
    if (status == STATUS_OK) status = count_columns(&s, "where", plan->where, error, &columns);
    if (status == STATUS_OK && !whole) status = count_columns(&s, "on", plan->on, error, &columns);
    if (status == STATUS_OK && !whole) status = count_columns(&s, "by", plan->by, error, &columns);
    if (status == STATUS_OK && !whole && plan_measures_numbers(plan->measure))
        status = count_columns(&s, "of", plan->of, error, &columns);
    for (size_t i = 0; status == STATUS_OK && i < run_count; i++) {
        uint64_t share = runs[i].persons ? runs[i].rows / runs[i].persons + 1 : 0;
        cost.rows += plan->kind == PLAN_FEED ? share * plan->distinct_id_count : runs[i].rows;
    }
    if (whole) {
        uint32_t properties = snapshot_property_count(s.snapshot);
        columns += properties < PROPERTIES_MAX ? properties : PROPERTIES_MAX;
    }
    cost.bytes = cost.rows * columns * CELL_BYTES;
    selection_fini(&s);
    if (status == STATUS_OK) *ret_cost = cost;
    return status;
}

/* Returns lie up to the last interval behind the range; births are events of their own. */
static enum status native_estimate(struct executor *executor, const struct plan *plan, struct error *error,
                                   struct plan_cost *ret_cost)
{
    struct plan_cost returns, births = {0};
    if (plan->kind != PLAN_RETENTION) return estimate_events(executor, plan, error, ret_cost);
    TRY(plan_check(plan, error));
    struct plan back = *plan, born = *plan;
    back.to_day += plan->retention.interval_count * (retention_interval_ms(plan) / DAY_MS);
    TRY(estimate_events(executor, &back, error, &returns));
    if (plan->retention.type == RETENTION_BIRTH) {
        born.events = plan->retention.born_events;
        born.event_count = plan->retention.born_event_count;
        born.where = plan->retention.born_where;
        born.on = STR_NULL;
        TRY(estimate_events(executor, &born, error, &births));
    }
    *ret_cost = (struct plan_cost){.rows = returns.rows + births.rows, .bytes = returns.bytes + births.bytes};
    return STATUS_OK;
}

static enum status native_rows(struct executor *executor, const struct plan *plan, const struct plan_limits *limits,
                               struct error *error, struct event_rows **ret_rows)
{
    struct native *native = (struct native *)executor;
    struct error local;
    if (!error) error = &local;
    if (plan->kind == PLAN_FEED) return native_feed(native, plan, limits, error, ret_rows);
    if (plan->kind == PLAN_EXPORT) return native_export(native, plan, limits, error, ret_rows);
    return error_set(error, STATUS_INVALID, "the plan is not about events");
}

static enum status native_tops(struct executor *executor, const struct plan *plan, const struct plan_limits *limits,
                               struct error *error, struct top_values *ret_result)
{
    struct error local;
    if (!error) error = &local;
    if (plan->kind == PLAN_PROPERTIES)
        return native_properties((struct native *)executor, plan, limits, error, ret_result);
    return native_top_values(executor, plan, limits, error, ret_result);
}

static void native_free(struct executor *executor)
{
    struct native *native = (struct native *)executor;
    pool_free(native->pool);
    profile_ids_cache_free(native->profile_ids);
    free(native);
}

struct executor *executor_native_new(struct store *store)
{
    return executor_native_new_threads(store, os_cores());
}

struct executor *executor_native_new_threads(struct store *store, unsigned threads)
{
    struct native *native = calloc(1, sizeof *native);
    if (!native) abort();
    native->base = (struct executor){.name = "native",
                                     .capable = native_capable,
                                     .estimate = native_estimate,
                                     .segment = native_segment,
                                     .top_values = native_tops,
                                     .retention = native_retention,
                                     .frequency = native_frequency,
                                     .rows = native_rows,
                                     .funnel = native_funnel,
                                     .profiles = &native_profiles,
                                     .free = native_free};
    native->store = store;
    native->pool = pool_new(threads);
    native->profile_ids = profile_ids_cache_new(PROFILE_IDS_BYTES_MAX);
    return &native->base;
}
