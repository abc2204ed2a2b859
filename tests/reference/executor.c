/* The reference behind the interface of executors. Limits are not modelled. */
#include "query/backend.h"

#include "reference/answer.h"
#include "reference/funnel.h"
#include "reference/internal.h"

#include <stdlib.h>

#define ANSWER_BYTES_MAX ((size_t)2 << 30)

struct ref_executor {
    struct executor base;
    const struct reference *reference;
};

/* Whatever the mistake in an expression is, it is one at a place. */
static enum status refuse(const char *refused, struct arena *arena, struct error *error)
{
    arena_free(arena);
    error_set(error, STATUS_INVALID, "%s", refused);
    error_position(error, 0, 1);
    return STATUS_INVALID;
}

static enum status capable(struct executor *executor, const struct plan *plan, struct error *error)
{
    (void)executor, (void)plan, (void)error;
    return STATUS_OK;
}

/* It always looks at everything. */
static enum status estimate(struct executor *executor, const struct plan *plan, struct error *error,
                            struct plan_cost *ret_cost)
{
    (void)plan, (void)error;
    *ret_cost = (struct plan_cost){.rows = reference_count(((struct ref_executor *)executor)->reference)};
    return STATUS_OK;
}

static enum status segment(struct executor *executor, const struct plan *plan, const struct plan_limits *limits,
                           struct error *error, struct segmentation *ret_result)
{
    (void)limits;
    struct arena *arena = arena_new(ANSWER_BYTES_MAX);
    const char *refused = ref_segment(((struct ref_executor *)executor)->reference, plan, arena, ret_result);
    return refused ? refuse(refused, arena, error) : STATUS_OK;
}

static enum status top_values(struct executor *executor, const struct plan *plan, const struct plan_limits *limits,
                              struct error *error, struct top_values *ret_result)
{
    (void)limits;
    struct arena *arena = arena_new(ANSWER_BYTES_MAX);
    const struct reference *reference = ((struct ref_executor *)executor)->reference;
    const char *refused = plan->kind == PLAN_PROPERTIES ? ref_properties(reference, plan, arena, ret_result)
                                                        : ref_top_values(reference, plan, arena, ret_result);
    return refused ? refuse(refused, arena, error) : STATUS_OK;
}

static enum status retention(struct executor *executor, const struct plan *plan, const struct plan_limits *limits,
                             struct error *error, struct retention *ret_result)
{
    (void)limits;
    struct arena *arena = arena_new(ANSWER_BYTES_MAX);
    const char *refused = ref_retention(((struct ref_executor *)executor)->reference, plan, arena, ret_result);
    return refused ? refuse(refused, arena, error) : STATUS_OK;
}

static enum status frequency(struct executor *executor, const struct plan *plan, const struct plan_limits *limits,
                             struct error *error, struct frequency *ret_result)
{
    (void)limits;
    struct arena *arena = arena_new(ANSWER_BYTES_MAX);
    const char *refused = ref_frequency(((struct ref_executor *)executor)->reference, plan, arena, ret_result);
    return refused ? refuse(refused, arena, error) : STATUS_OK;
}

static enum status funnel(struct executor *executor, const struct funnel_plan *plan, const struct plan_limits *limits,
                          struct error *error, struct funnel_result *ret_result)
{
    (void)limits;
    struct arena *arena = arena_new(ANSWER_BYTES_MAX);
    const char *refused = ref_funnel(((struct ref_executor *)executor)->reference, plan, arena, ret_result);
    return refused ? refuse(refused, arena, error) : STATUS_OK;
}

/* --- events ------------------------------------------------------------------------------------------- */

struct ref_event_rows {
    struct event_rows base;
    struct arena *arena;
    struct event_row *rows;
    size_t at, count;
};

static enum status rows_read(struct event_rows *base, uint64_t rows_max, struct row_sink *sink, struct error *error,
                             bool *ret_done)
{
    struct ref_event_rows *rows = (struct ref_event_rows *)base;
    enum status status = STATUS_OK;
    for (uint64_t i = 0; i < rows_max && rows->at < rows->count && status == STATUS_OK; i++)
        status = sink->row(sink, &rows->rows[rows->at++], error);
    *ret_done = rows->at == rows->count;
    return status;
}

static void rows_free(struct event_rows *base)
{
    arena_free(((struct ref_event_rows *)base)->arena);
    free(base);
}

static enum status rows(struct executor *executor, const struct plan *plan, const struct plan_limits *limits,
                        struct error *error, struct event_rows **ret_rows)
{
    (void)limits;
    struct ref_event_rows *rows = calloc(1, sizeof *rows);
    if (!rows) abort();
    rows->base = (struct event_rows){.read = rows_read, .free = rows_free};
    rows->arena = arena_new(ANSWER_BYTES_MAX);
    const char *refused =
        ref_rows(((struct ref_executor *)executor)->reference, plan, rows->arena, &rows->rows, &rows->count);
    if (refused) {
        enum status status = refuse(refused, rows->arena, error);
        free(rows);
        return status;
    }
    *ret_rows = &rows->base;
    return STATUS_OK;
}

static void executor_end(struct executor *executor)
{
    free(executor);
}

struct executor *reference_executor_new(const struct reference *reference)
{
    struct ref_executor *executor = calloc(1, sizeof *executor);
    if (!executor) abort();
    executor->base = (struct executor){.name = "reference",
                                       .capable = capable,
                                       .estimate = estimate,
                                       .segment = segment,
                                       .top_values = top_values,
                                       .retention = retention,
                                       .frequency = frequency,
                                       .rows = rows,
                                       .funnel = funnel,
                                       .free = executor_end};
    executor->reference = reference;
    return &executor->base;
}
