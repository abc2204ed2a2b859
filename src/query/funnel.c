#include "query/funnel.h"

#define DAY_OF_SESSIONS_MS INT64_C(86400000)
#define FUNNEL_DAYS_MAX    36600

static enum status check_steps(const struct funnel_plan *plan, struct error *error)
{
    uint32_t steps_max = plan->steps_max ? plan->steps_max : FUNNEL_STEPS_DEFAULT;
    if (plan->step_count == 0) return error_set(error, STATUS_INVALID, "steps: a funnel needs at least one");
    if (plan->step_count > steps_max) {
        error_set(error, STATUS_INVALID, "steps: %zu are more than %u", plan->step_count, steps_max);
        return STATUS_INVALID;
    }
    if (plan->step_count + plan->exclusion_count > FUNNEL_STEPS_MAX)
        return error_set(error, STATUS_INVALID, "steps: %zu steps and %zu exclusions are more than %d together",
                         plan->step_count, plan->exclusion_count, FUNNEL_STEPS_MAX);
    for (size_t i = 0; i < plan->exclusion_count; i++) {
        uint64_t from = plan->exclusions[i].from_step, to = plan->exclusions[i].to_step;
        if (to == 0) to = plan->step_count;
        if (from < 1 || from >= to || to > plan->step_count)
            return error_set(error, STATUS_INVALID, "exclusions[%zu]: between steps %llu and %llu there is nothing", i,
                             (unsigned long long)from, (unsigned long long)to);
    }
    if (plan->reentry == FUNNEL_REENTRY_OPTIMIZED && plan->any_order && !plan->steps[0].anchored)
        return error_set(error, STATUS_INVALID, "reentry: optimized re-entry needs an anchored first step");
    return STATUS_OK;
}

static enum status check_window(const struct funnel_plan *plan, struct error *error)
{
    if (plan->session_gap_ms < 0 || plan->session_gap_ms > DAY_OF_SESSIONS_MS)
        return error_set(error, STATUS_INVALID, "session_gap: must be up to a day");
    if (plan->count == FUNNEL_SESSIONS) return STATUS_OK;
    if (plan->window_sessions > FUNNEL_SESSIONS_MAX)
        return error_set(error, STATUS_INVALID, "window: %u sessions are more than %d", plan->window_sessions,
                         FUNNEL_SESSIONS_MAX);
    if (plan->window_sessions) return STATUS_OK;
    if (plan->window_ms <= 0) return error_set(error, STATUS_INVALID, "window: must be above 0");
    if (plan->window_ms > FUNNEL_WINDOW_MS_MAX)
        return error_set(error, STATUS_INVALID, "window: must be up to 366 days");
    return STATUS_OK;
}

enum status funnel_check(const struct funnel_plan *plan, struct error *error)
{
    if (plan->from_day > plan->to_day) return error_set(error, STATUS_INVALID, "from_date is later than to_date");
    if (plan->to_day - plan->from_day > FUNNEL_DAYS_MAX)
        return error_set(error, STATUS_INVALID, "from_date to to_date: the range is longer than a hundred years");
    if (plan->unit == UNIT_DAYS && plan->interval_days == 0)
        return error_set(error, STATUS_INVALID, "interval must be at least one day");
    TRY(check_steps(plan, error));
    TRY(check_window(plan, error));
    if (plan->hold_count > FUNNEL_HOLD_MAX)
        return error_set(error, STATUS_INVALID, "hold: %zu properties are more than %d", plan->hold_count,
                         FUNNEL_HOLD_MAX);
    if (!plan->on.data) return STATUS_OK;
    if (plan->limit == 0) return error_set(error, STATUS_INVALID, "limit must be at least 1");
    if (plan->attribution == FUNNEL_ATTRIBUTE_STEP && plan->on_step > plan->step_count)
        return error_set(error, STATUS_INVALID, "on_step: there is no step %u", plan->on_step);
    return STATUS_OK;
}

void funnel_result_free(struct funnel_result *result)
{
    arena_free(result->arena);
    *result = (struct funnel_result){0};
}

bool funnel_cell_seconds(const struct funnel_cell *cell, uint32_t step, double *ret_from_previous,
                         double *ret_from_start)
{
    if (step == 0 || cell->count == 0) return false;
    *ret_from_previous = (double)cell->from_previous_ms / 1000 / (double)cell->count;
    *ret_from_start = (double)cell->from_start_ms / 1000 / (double)cell->count;
    return true;
}
