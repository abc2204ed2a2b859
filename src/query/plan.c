#include "query/plan.h"

#include "query/retention.h"

#define INTERVAL_DAYS_MAX 100000
/* The largest number of ranges: more say nothing to anybody, and each costs a cell a bucket. */
#define BINS_MAX 100000

static enum status check_labels(const struct plan *plan, struct error *error)
{
    unsigned ways = (plan->by.data != NULL) + (plan->label_count > 0) + (plan->bin_count > 0);
    if (ways && !plan->on.data) return error_set(error, STATUS_INVALID, "labels need an expression");
    if (ways > 1) return error_set(error, STATUS_INVALID, "labels are chosen in more than one way");
    if (plan->bin_count && (plan->bin_count < 2 || plan->bin_count > BINS_MAX))
        return error_set(error, STATUS_INVALID, "there are 2 to %d ranges of numbers", BINS_MAX);
    return STATUS_OK;
}

static enum status check_segment(const struct plan *plan, struct error *error)
{
    if (plan->unit == UNIT_DAYS && plan->interval_days == 0)
        return error_set(error, STATUS_INVALID, "interval must be at least one day");
    TRY(check_labels(plan, error));
    if (!plan_measures_numbers(plan->measure)) return STATUS_OK;
    if (!plan->of.data) return error_set(error, STATUS_INVALID, "the measure needs an expression for its numbers");
    if (plan->measure == MEASURE_PERCENTILE && !(plan->percentile > 0 && plan->percentile <= 100))
        return error_set(error, STATUS_INVALID, "percentile %g is not above 0 and up to 100", plan->percentile);
    return STATUS_OK;
}

static enum status check_days(const struct plan *plan, struct error *error)
{
    if (plan->on.data && plan->limit == 0) return error_set(error, STATUS_INVALID, "limit must be at least 1");
    if (plan->unit == UNIT_DAY || plan->unit == UNIT_WEEK || plan->unit == UNIT_MONTH) return STATUS_OK;
    return error_set(error, STATUS_INVALID, "unit must be day, week or month");
}

static enum status check_retention(const struct plan *plan, struct error *error)
{
    const struct plan_retention *retention = &plan->retention;
    if (retention->interval_count < 1 || retention->interval_count > RETENTION_INTERVALS_MAX)
        return error_set(error, STATUS_INVALID, "interval_count %u is not from 1 to %d", retention->interval_count,
                         RETENTION_INTERVALS_MAX);
    if (plan->unit != UNIT_DAYS) return check_days(plan, error);
    if (plan->interval_days < 1 || plan->interval_days > INTERVAL_DAYS_MAX)
        return error_set(error, STATUS_INVALID, "interval %u is not from 1 to %d days", plan->interval_days,
                         INTERVAL_DAYS_MAX);
    if (plan->on.data && plan->limit == 0) return error_set(error, STATUS_INVALID, "limit must be at least 1");
    return STATUS_OK;
}

static enum status check_frequency(const struct plan *plan, struct error *error)
{
    if (plan->active_unit != UNIT_HOUR && plan->active_unit != UNIT_DAY)
        return error_set(error, STATUS_INVALID, "addiction_unit must be hour or day");
    return check_days(plan, error);
}

enum status plan_check(const struct plan *plan, struct error *error)
{
    if (plan->from_day > plan->to_day) return error_set(error, STATUS_INVALID, "from_date is later than to_date");
    bool fine = plan->unit == UNIT_MINUTE || plan->unit == UNIT_HOUR || plan->unit == UNIT_RANGE;
    bool narrow =
        plan->kind == PLAN_TOP_VALUES || plan->kind == PLAN_PROPERTIES || (plan->kind == PLAN_SEGMENT && fine);
    if (plan->to_local_ms && !narrow)
        return error_set(error, STATUS_INVALID, "only minutes, hours and the whole of a range narrow it");
    if (plan->from_local_ms % 60000 || plan->to_local_ms % 60000)
        return error_set(error, STATUS_INVALID, "the range is not narrowed to whole minutes");
    switch (plan->kind) {
    case PLAN_SEGMENT: return check_segment(plan, error);
    case PLAN_TOP_VALUES:
        if (!plan->on.data) return error_set(error, STATUS_INVALID, "top values need an expression");
        if (plan->limit == 0) return error_set(error, STATUS_INVALID, "limit must be at least 1");
        return STATUS_OK;
    case PLAN_FEED:
        if (plan->distinct_id_count == 0) return error_set(error, STATUS_INVALID, "distinct_ids is required");
        return STATUS_OK;
    case PLAN_EXPORT: return STATUS_OK;
    case PLAN_PROPERTIES:
        if (plan->limit == 0) return error_set(error, STATUS_INVALID, "limit must be at least 1");
        return STATUS_OK;
    case PLAN_RETENTION: return check_retention(plan, error);
    case PLAN_FREQUENCY: return check_frequency(plan, error);
    }
    return error_set(error, STATUS_INVALID, "unknown kind of plan");
}
