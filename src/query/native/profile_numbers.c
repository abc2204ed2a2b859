/*
 * Numbers of profiles: all are collected and sorted, because a percentile needs that; the sums are exact or taken in
 * that order, so that nothing depends on which thread read what.
 */
#include "base/exact_sum.h"
#include "base/radix.h"
#include "query/native/profile_pass.h"
#include "query/native/profiles.h"

#include <math.h>

struct found {
    struct found *next;
    uint32_t count;
    double numbers[];
};
struct totals {
    uint64_t profiles, count;
    struct found *first;
};

/* Of one worker. */
static struct totals *totals_of(struct pass_worker *worker)
{
    if (!worker->visitor) worker->visitor = arena_new_array(worker->arena, struct totals, 1);
    return worker->visitor;
}

static enum status collect(void *ctx, struct pass_worker *worker, uint32_t task, const struct pass_vector *vector)
{
    struct totals *totals = totals_of(worker);
    struct vector values;
    (void)ctx, (void)task;
    if (!totals) return selection_out_of_memory(&worker->pass->selection, &worker->error);
    totals->profiles += vector->left;
    if (!worker->pass->value) return STATUS_OK;
    struct found *found = profile_pass_keep(worker, sizeof *found + vector->left * sizeof found->numbers[0]);
    if (!found) return selection_out_of_memory(&worker->pass->selection, &worker->error);
    *found = (struct found){.next = totals->first};
    TRY(profile_pass_values(worker, vector, &values));
    for (uint32_t row = 0; row < vector->rows; row++) {
        if (!vector->keep[row]) continue;
        struct value v = vector_at(&values, row);
        double number;
        if (!value_is_number(v) || !value_double(v, &number)) continue;
        found->numbers[found->count++] = number == 0 ? 0 : number;
    }
    totals->count += found->count;
    totals->first = found;
    return STATUS_OK;
}

static enum status measure(const struct profile_pass *pass, uint64_t count, double percentile, struct arena *arena,
                           struct error *error, struct profile_numbers *ret)
{
    struct radix_item *items = arena_alloc(arena, (count + 1) * sizeof *items);
    struct radix_item *spare = arena_alloc(arena, (count + 1) * sizeof *spare);
    struct exact_sum sum = {0}, squares = {0};
    uint64_t at = 0;
    if (!items || !spare || count > UINT32_MAX) return selection_out_of_memory(&pass->selection, error);
    for (unsigned i = 0; i < pass->worker_count; i++) {
        const struct totals *totals = pass->workers[i].visitor;
        for (const struct found *found = totals ? totals->first : NULL; found; found = found->next) {
            for (uint32_t k = 0; k < found->count; k++) items[at++].key = radix_key_of_double(found->numbers[k]);
        }
    }
    items = radix_sort(items, spare, count);
    double large = 0, deviation = 0;
    for (uint64_t i = 0; i < count; i++) {
        double number = radix_double_of_key(items[i].key), square = number * number;
        if (exact_sum_add(&sum, number, arena) != STATUS_OK) return selection_out_of_memory(&pass->selection, error);
        if (!isfinite(square))
            large = square;
        else if (exact_sum_add(&squares, square, arena) != STATUS_OK)
            return selection_out_of_memory(&pass->selection, error);
    }
    ret->mean = exact_sum_over(&sum, count);
    for (uint64_t i = 0; i < count; i++) {
        double away = radix_double_of_key(items[i].key) - ret->mean;
        deviation += away * away;
    }
    ret->min = radix_double_of_key(items[0].key);
    ret->max = radix_double_of_key(items[count - 1].key);
    ret->variance = deviation / (double)count;
    ret->sum_of_squares = exact_sum_over(&squares, 1) + large;
    ret->percentile = radix_double_of_key(items[plan_percentile_rank(percentile, count) - 1].key);
    return STATUS_OK;
}

enum status native_profile_numbers(struct executor *executor, const struct profile_plan *plan, struct str of,
                                   double percentile, const struct plan_limits *limits, struct error *error,
                                   struct profile_numbers *ret_numbers)
{
    struct profile_pass pass;
    struct profile_numbers numbers = {0};
    struct error local;
    if (!error) error = &local;
    TRY(profile_pass_init(&pass, (struct native *)executor, plan, limits, error));
    enum status status = of.data ? profile_pass_want(&pass, "action", of, error) : STATUS_OK;
    if (status == STATUS_OK) status = profile_pass_run(&pass, collect, NULL, error);
    for (unsigned i = 0; i < pass.worker_count; i++) {
        const struct totals *totals = pass.workers[i].visitor;
        if (!totals) continue;
        numbers.profiles += totals->profiles;
        numbers.count += totals->count;
    }
    struct arena *arena = arena_new(profile_pass_result_bytes(limits));
    if (status == STATUS_OK && numbers.count)
        status = measure(&pass, numbers.count, percentile, arena, error, &numbers);
    arena_free(arena);
    profile_pass_fini(&pass);
    if (status == STATUS_OK) *ret_numbers = numbers;
    return status;
}
