/*
 * Revenue: the list `$transactions` of each profile is walked, its amounts added to the bucket of their day, week or
 * month. Sums are exact, so they are the same whichever thread added what.
 */
#include "base/civil.h"
#include "base/exact_sum.h"
#include "query/buckets.h"
#include "query/native/profile_pass.h"
#include "query/native/profiles.h"

#include <math.h>

/* Of one worker; the last cell is that of the whole range. */
struct ledger {
    uint64_t profiles, serial; /* serial: of the profile at hand */
    struct buckets *buckets;
    uint32_t cell_count;
    struct exact_sum *sums;
    uint64_t *payers, *paid_by; /* paid_by: the serial of the last payer */
};

struct question {
    const struct plan *plan; /* for buckets */
    uint32_t buckets_max;
    uint32_t property;
};

static struct ledger *ledger_of(const struct question *q, struct pass_worker *worker)
{
    if (worker->visitor) return worker->visitor;
    struct ledger *ledger = arena_new_array(worker->arena, struct ledger, 1);
    if (!ledger || buckets_new(worker->arena, q->plan, q->buckets_max, &worker->error, &ledger->buckets) != STATUS_OK)
        return NULL;
    ledger->cell_count = buckets_count(ledger->buckets) + 1;
    ledger->sums = arena_new_array(worker->arena, struct exact_sum, ledger->cell_count);
    ledger->payers = arena_new_array(worker->arena, uint64_t, ledger->cell_count);
    ledger->paid_by = arena_new_array(worker->arena, uint64_t, ledger->cell_count);
    if (!ledger->sums || !ledger->payers || !ledger->paid_by) return NULL;
    worker->visitor = ledger;
    return ledger;
}

/* Clients send texts of UTC, or seconds. */
static bool read_time(struct value v, int64_t *ret_ms)
{
    double seconds;
    bool zone;
    if (v.type == VALUE_STRING) return civil_parse_datetime(value_text(v), ret_ms, &zone);
    if (!value_is_number(v) || !value_double(v, &seconds) || !(fabs(seconds) < 1e14)) return false;
    *ret_ms = (int64_t)(seconds < 1e11 ? seconds * 1000 : seconds);
    return true;
}

static enum status add_payment(struct ledger *ledger, struct pass_worker *worker, uint32_t cell, double amount)
{
    if (exact_sum_add(&ledger->sums[cell], amount, worker->arena) != STATUS_OK)
        return selection_out_of_memory(&worker->pass->selection, &worker->error);
    if (ledger->paid_by[cell] != ledger->serial) ledger->payers[cell]++;
    ledger->paid_by[cell] = ledger->serial;
    return STATUS_OK;
}

static enum status add_transactions(struct ledger *ledger, struct pass_worker *worker, struct value list)
{
    struct value transaction;
    if (list.type != VALUE_LIST) return STATUS_OK;
    struct value_iter iter = value_iter(list);
    while (value_next(&iter, NULL, &transaction)) {
        double amount;
        int64_t time_ms;
        if (transaction.type != VALUE_OBJECT) continue;
        struct value v = value_member(transaction, STR("$amount"));
        if (!value_is_number(v) || !value_double(v, &amount)) continue;
        if (!read_time(value_member(transaction, STR("$time")), &time_ms)) continue;
        uint32_t bucket = buckets_find(ledger->buckets, time_ms);
        if (bucket == BUCKET_NONE) continue;
        TRY(add_payment(ledger, worker, bucket, amount));
        TRY(add_payment(ledger, worker, ledger->cell_count - 1, amount));
    }
    return STATUS_OK;
}

static enum status visit(void *ctx, struct pass_worker *worker, uint32_t task, const struct pass_vector *vector)
{
    const struct question *q = ctx;
    struct ledger *ledger = ledger_of(q, worker);
    struct vector values;
    (void)task;
    if (!ledger) return selection_out_of_memory(&worker->pass->selection, &worker->error);
    ledger->profiles += vector->left;
    if (q->property == PROPERTY_ID_NONE) return STATUS_OK;
    TRY(scan_property(worker->scan, q->property, &worker->error, &values));
    for (uint32_t row = 0; row < vector->rows; row++) {
        if (!vector->keep[row]) continue;
        ledger->serial++;
        TRY(add_transactions(ledger, worker, vector_at(&values, row)));
    }
    return STATUS_OK;
}

static enum status add_up(const struct profile_pass *pass, const struct question *q, struct error *error,
                          struct profile_revenue *ret)
{
    struct buckets *buckets;
    TRY(buckets_new(ret->arena, q->plan, q->buckets_max, error, &buckets));
    ret->bucket_count = buckets_count(buckets);
    ret->buckets = arena_new_array(ret->arena, struct revenue_bucket, (size_t)ret->bucket_count + 1);
    if (!ret->buckets) return selection_out_of_memory(&pass->selection, error);
    for (uint32_t cell = 0; cell <= ret->bucket_count; cell++) {
        struct exact_sum sum = {0};
        uint64_t payers = 0;
        for (unsigned i = 0; i < pass->worker_count; i++) {
            const struct ledger *ledger = pass->workers[i].visitor;
            if (!ledger) continue;
            if (cell == 0) ret->profiles += ledger->profiles;
            payers += ledger->payers[cell];
            if (exact_sum_merge(&sum, &ledger->sums[cell], ret->arena) != STATUS_OK)
                return selection_out_of_memory(&pass->selection, error);
        }
        struct revenue_bucket *bucket = cell < ret->bucket_count ? &ret->buckets[cell] : &ret->overall;
        *bucket = (struct revenue_bucket){.amount = exact_sum_over(&sum, 1), .payers = payers};
        if (cell < ret->bucket_count) bucket->label = buckets_label(buckets, cell);
    }
    return STATUS_OK;
}

enum status native_profile_revenue(struct executor *executor, const struct profile_plan *plan,
                                   const struct revenue_plan *revenue, const struct plan_limits *limits,
                                   struct error *error, struct profile_revenue *ret_revenue)
{
    struct profile_pass pass;
    struct error local;
    if (!error) error = &local;
    struct plan days = {.kind = PLAN_SEGMENT,
                        .zone = plan->zone,
                        .from_day = revenue->from_day,
                        .to_day = revenue->to_day,
                        .unit = revenue->unit};
    struct profile_revenue result = {.arena = arena_new(profile_pass_result_bytes(limits))};
    struct buckets *checked; /* what is wrong with the range is told whether there are profiles or not */
    enum status status = buckets_new(result.arena, &days, limits->buckets_max, error, &checked);
    if (status == STATUS_OK) status = profile_pass_init(&pass, (struct native *)executor, plan, limits, error);
    if (status != STATUS_OK) {
        arena_free(result.arena);
        return status;
    }
    struct question q = {&days, limits->buckets_max,
                         snapshot_property_id(pass.selection.snapshot, STR("$transactions"))};
    status = profile_pass_run(&pass, visit, &q, error);
    if (status == STATUS_OK) status = add_up(&pass, &q, error, &result);
    profile_pass_fini(&pass);
    if (status == STATUS_OK)
        *ret_revenue = result;
    else
        arena_free(result.arena);
    return status;
}
