#include "query/plan.h"

static enum status check_segment(const struct plan *plan, struct error *error)
{
    if (plan->unit == UNIT_DAYS && plan->interval_days == 0)
        return error_set(error, STATUS_INVALID, "interval must be at least one day");
    if (!plan_measures_numbers(plan->measure)) return STATUS_OK;
    if (!plan->of.data) return error_set(error, STATUS_INVALID, "the measure needs an expression for its numbers");
    if (plan->measure == MEASURE_PERCENTILE && !(plan->percentile > 0 && plan->percentile <= 100))
        return error_set(error, STATUS_INVALID, "percentile %g is not above 0 and up to 100", plan->percentile);
    return STATUS_OK;
}

enum status plan_check(const struct plan *plan, struct error *error)
{
    if (plan->from_day > plan->to_day) return error_set(error, STATUS_INVALID, "from_date is later than to_date");
    bool narrow = plan->kind == PLAN_SEGMENT && (plan->unit == UNIT_MINUTE || plan->unit == UNIT_HOUR);
    if (plan->to_local_ms && !narrow)
        return error_set(error, STATUS_INVALID, "only minutes and hours narrow the range");
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
    }
    return error_set(error, STATUS_INVALID, "unknown kind of plan");
}
