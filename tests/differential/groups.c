#include "differential/groups.h"

#include "expr/join_testing.h"
#include "query/native/group_join.h"

#include <stdlib.h>

#define MEMORY ((size_t)256 << 20)

/* What a plan is joined with for as long as it runs. */
struct joined {
    struct plan plan;
    struct group_joins *stored;
    struct arena *arena; /* of the told ones */
};

struct wrapper {
    struct executor base;
    struct executor *inner;
    struct store *store; /* or NULL */
    struct told_group *const *groups;
};

static void join_told(struct joined *joined, const struct told_group *groups)
{
    struct plan *plan = &joined->plan;
    size_t count = 0;
    joined->arena = arena_new(MEMORY);
    for (const struct told_group *group = groups; group; group = group->next) count++;
    const struct expr_join **joins =
        arena_new_array(joined->arena, const struct expr_join *, count + plan->join_count + 1);
    struct json_member *members = arena_new_array(joined->arena, struct json_member, count + 1);
    if (!joins || !members) abort();
    for (size_t i = 0; i < plan->join_count; i++) joins[i] = plan->joins[i];
    for (const struct told_group *first = groups; first; first = first->next) {
        bool known = false;
        for (const struct told_group *before = groups; before != first; before = before->next)
            known |= str_eq(before->key, first->key);
        if (known) continue;
        struct json table = {.type = JSON_OBJECT};
        struct test_join *join = arena_new_array(joined->arena, struct test_join, 1);
        if (!join) abort();
        table.object.members = members;
        for (const struct told_group *group = first; group; group = group->next) {
            if (str_eq(group->key, first->key))
                members[table.object.count++] = (struct json_member){group->id, group->properties};
        }
        test_join_init(join, joined->arena, first->key, &table);
        joins[plan->join_count++] = &join->base;
    }
    plan->joins = joins;
}

static enum status begin(struct executor *executor, const struct plan *plan, const struct plan_limits *limits,
                         struct error *error, struct joined *ret_joined)
{
    const struct wrapper *wrapper = (const struct wrapper *)executor;
    *ret_joined = (struct joined){.plan = *plan};
    if (wrapper->store) return group_joins_new(wrapper->store, &ret_joined->plan, limits, error, &ret_joined->stored);
    join_told(ret_joined, *wrapper->groups);
    return STATUS_OK;
}

static void end(struct joined *joined)
{
    group_joins_free(joined->stored);
    if (joined->arena) arena_free(joined->arena);
}

static struct executor *inner_of(struct executor *executor)
{
    return ((struct wrapper *)executor)->inner;
}

static enum status capable(struct executor *executor, const struct plan *plan, struct error *error)
{
    return inner_of(executor)->capable(inner_of(executor), plan, error);
}

static enum status estimate(struct executor *executor, const struct plan *plan, struct error *error,
                            struct plan_cost *ret_cost)
{
    return inner_of(executor)->estimate(inner_of(executor), plan, error, ret_cost);
}

static enum status segment(struct executor *executor, const struct plan *plan, const struct plan_limits *limits,
                           struct error *error, struct segmentation *ret_result)
{
    struct joined joined;
    TRY(begin(executor, plan, limits, error, &joined));
    enum status status = inner_of(executor)->segment(inner_of(executor), &joined.plan, limits, error, ret_result);
    end(&joined);
    return status;
}

static enum status top_values(struct executor *executor, const struct plan *plan, const struct plan_limits *limits,
                              struct error *error, struct top_values *ret_result)
{
    struct joined joined;
    TRY(begin(executor, plan, limits, error, &joined));
    enum status status = inner_of(executor)->top_values(inner_of(executor), &joined.plan, limits, error, ret_result);
    end(&joined);
    return status;
}

static enum status retention(struct executor *executor, const struct plan *plan, const struct plan_limits *limits,
                             struct error *error, struct retention *ret_result)
{
    struct joined joined;
    TRY(begin(executor, plan, limits, error, &joined));
    enum status status = inner_of(executor)->retention(inner_of(executor), &joined.plan, limits, error, ret_result);
    end(&joined);
    return status;
}

static enum status frequency(struct executor *executor, const struct plan *plan, const struct plan_limits *limits,
                             struct error *error, struct frequency *ret_result)
{
    struct joined joined;
    TRY(begin(executor, plan, limits, error, &joined));
    enum status status = inner_of(executor)->frequency(inner_of(executor), &joined.plan, limits, error, ret_result);
    end(&joined);
    return status;
}

/* Funnels are asked without groups here. */
static enum status funnel(struct executor *executor, const struct funnel_plan *plan, const struct plan_limits *limits,
                          struct error *error, struct funnel_result *ret_result)
{
    return inner_of(executor)->funnel(inner_of(executor), plan, limits, error, ret_result);
}

/* --- events ------------------------------------------------------------------------------------------- */

struct joined_rows {
    struct event_rows base;
    struct event_rows *inner;
    struct joined joined;
};

static enum status rows_read(struct event_rows *base, uint64_t rows_max, struct row_sink *sink, struct error *error,
                             bool *ret_done)
{
    return event_rows_read(((struct joined_rows *)base)->inner, rows_max, sink, error, ret_done);
}

static void rows_free(struct event_rows *base)
{
    struct joined_rows *rows = (struct joined_rows *)base;
    event_rows_free(rows->inner);
    end(&rows->joined);
    free(rows);
}

static enum status rows(struct executor *executor, const struct plan *plan, const struct plan_limits *limits,
                        struct error *error, struct event_rows **ret_rows)
{
    struct joined_rows *rows = calloc(1, sizeof *rows);
    if (!rows) abort();
    rows->base = (struct event_rows){.read = rows_read, .free = rows_free};
    enum status status = begin(executor, plan, limits, error, &rows->joined);
    if (status == STATUS_OK)
        status = inner_of(executor)->rows(inner_of(executor), &rows->joined.plan, limits, error, &rows->inner);
    if (status != STATUS_OK) {
        end(&rows->joined);
        free(rows);
        return status;
    }
    *ret_rows = &rows->base;
    return STATUS_OK;
}

static void wrapper_free(struct executor *executor)
{
    executor_free(inner_of(executor));
    free(executor);
}

static struct executor *wrap(struct executor *inner, struct store *store, struct told_group *const *groups)
{
    struct wrapper *wrapper = calloc(1, sizeof *wrapper);
    if (!wrapper) abort();
    wrapper->base = (struct executor){.name = inner->name,
                                      .capable = capable,
                                      .estimate = estimate,
                                      .segment = segment,
                                      .top_values = top_values,
                                      .retention = retention,
                                      .frequency = frequency,
                                      .rows = rows,
                                      .funnel = funnel,
                                      .free = wrapper_free};
    wrapper->inner = inner;
    wrapper->store = store;
    wrapper->groups = groups;
    return &wrapper->base;
}

struct executor *executor_with_stored_groups(struct executor *inner, struct store *store)
{
    return wrap(inner, store, NULL);
}

struct executor *executor_with_told_groups(struct executor *inner, struct told_group *const *groups)
{
    return wrap(inner, NULL, groups);
}
