/*
 * Top values are a segmentation without time: counts per label over the whole range. So they come from dictionaries
 * where a run lies in the range as a whole and nothing is filtered or deleted, from codes where a property is asked
 * for, and on all cores. The one difference, that events without a value are left out, is segment.c's.
 */
#include "query/native/select.h"

enum status native_top_values(struct executor *executor, const struct plan *plan, const struct plan_limits *limits,
                              struct error *error, struct top_values *ret_result)
{
    struct plan totals = *plan;
    struct segmentation counted;
    if (plan->kind != PLAN_TOP_VALUES) return error_set(error, STATUS_INVALID, "the plan is not about values");
    totals.unit = UNIT_RANGE;
    totals.measure = MEASURE_COUNT;
    TRY(native_segment(executor, &totals, limits, error, &counted));
    struct top_values result = {.arena = counted.arena, .label_count = counted.label_count};
    result.values = arena_new_array(result.arena, struct top_value, (size_t)counted.series_count + 1);
    if (!result.values) {
        segmentation_free(&counted);
        return error_set(error, STATUS_LIMIT, "the query needs more than %zu bytes of memory",
                         limits->memory_bytes_max);
    }
    /* no bucket: the range has no day that exists, and so no events */
    for (uint32_t i = 0; i < counted.series_count && counted.bucket_count; i++)
        result.values[result.value_count++] = (struct top_value){counted.series[i].label, counted.series[i].counts[0]};
    *ret_result = result;
    return STATUS_OK;
}
