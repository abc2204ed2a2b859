/*
 * Ranges of numbers as labels. First the least and the greatest number are found: where a whole vector counts, from
 * what is known of it without decoding. They give the ranges (query/bins.h), and then the labels are known. Both look
 * at the same snapshot.
 */
#include "query/native/decimals.h"

#include <math.h>

void extent_add_value(struct extent *extent, struct value value)
{
    struct value_iter iter = value_iter(value);
    struct value item;
    double number;
    while (value_next(&iter, NULL, &item)) {
        if (value_double(item, &number)) extent_add(extent, number + 0.0); /* -0 becomes 0 */
    }
}

enum status worker_extent_of_vector(struct worker *worker, const struct bound *bound, uint32_t vector, bool *ret_done)
{
    struct scan_integers integers;
    double divisor;
    *ret_done = false;
    if (!bound->everything || bound->run.deleted || bound->numbers.form != SOURCE_NUMBERS) return STATUS_OK;
    TRY(worker_open_run(worker, bound));
    if (!scan_has_integers(worker->scan, bound->numbers.property, &divisor)) return STATUS_OK;
    /* some number of a decimal column is not whole, but which */
    if (divisor != 1 && !worker->extent.fractional) return STATUS_OK;
    TRY(scan_vector(worker->scan, vector, &worker->error, &worker->rows));
    TRY(scan_integers(worker->scan, bound->numbers.property, &worker->error, &integers));
    if (!integers.all_present) {
        uint64_t present[SCAN_MASK_WORDS], any = 0;
        TRY(scan_presence(worker->scan, bound->numbers.property, &worker->error, present));
        for (uint32_t w = 0; w < SCAN_MASK_WORDS; w++) any |= present[w];
        *ret_done = !any;
        if (!any) return STATUS_OK;
    }
    extent_add(&worker->extent, (double)integers.min / divisor);
    extent_add(&worker->extent, (double)integers.max / divisor);
    *ret_done = true;
    return STATUS_OK;
}

enum status survey_run_binned(struct native *native, struct snapshot *snapshot, const struct plan *plan,
                              const struct plan_limits *limits, struct error *error, struct segmentation *ret_result)
{
    struct plan numbers = *plan;
    struct extent extent = {.any = false};
    struct bins bins = {.count = 0};
    numbers.unit = UNIT_RANGE;
    numbers.measure = MEASURE_MIN;
    numbers.of = plan->on;
    numbers.on = STR_NULL;
    numbers.bin_count = 0;
    enum status status = survey_run(native, snapshot, &numbers, limits, NULL, error, NULL, &extent);
    /* what is wrong with `of` here is wrong with `on` */
    if (status != STATUS_OK && strncmp(error->primary, "of: ", 4) == 0) memcpy(error->primary, "on", 2);
    TRY(status);
    struct arena *arena = arena_new(limits->memory_bytes_max);
    status = bins_new(arena, &extent, plan->bin_count, error, &bins);
    struct fixed_labels fixed = {.count = bins.count, .bins = &bins};
    if (status == STATUS_OK) status = survey_run(native, snapshot, plan, limits, &fixed, error, ret_result, NULL);
    arena_free(arena);
    return status;
}
