/* What the rows of a vector match, and their times and values: column by column, only the columns that are needed. */
#include <stdlib.h>

#include "query/native/journey_int.h"
#include "query/native/journey_kernels.h"

#define MEMO_CODES_MAX ((uint32_t)1 << 20)

enum status walker_read_times(const struct journeys *journeys, struct walker *walker, const struct scan_run *run,
                              unsigned shift, uint64_t mask)
{
    const struct journey_kernels *kernels = CPU_SELECT(journey_kernels);
    struct worker *worker = walker->worker;
    const uint32_t *minutes, *milliseconds;
    struct journey_times times = {.add = (uint64_t)run->window_ms - (uint64_t)journeys->plan->from_ms,
                                  .low = (uint64_t)run->time_min_ms - (uint64_t)journeys->plan->from_ms,
                                  .span = (uint64_t)run->time_max_ms - (uint64_t)run->time_min_ms,
                                  .shift = shift,
                                  .mask = mask};
    TRY(scan_minutes(worker->scan, &worker->error, &minutes));
    TRY(scan_milliseconds(worker->scan, &worker->error, &milliseconds));
    if (!kernels->keys(&times, minutes, milliseconds, worker->rows, walker->times))
        return error_set(&worker->error, STATUS_CORRUPT, "a time lies outside its section");
    return STATUS_OK;
}

static enum status apply_filter(struct walker *walker, const struct journey_filter *filter, uint8_t *keep)
{
    for (size_t t = filter->first_term; t < filter->first_term + filter->term_count; t++)
        TRY(worker_apply_term(walker->worker, t, 0, walker->worker->rows, keep));
    return STATUS_OK;
}

/* Numbers of a dictionary that stays the same over many vectors. */
static enum status number_codes(struct journeys *journeys, struct walker *walker, size_t v, const struct vector *vector,
                                uint64_t selectors)
{
    uint32_t count = vector->dict_count;
    journey_value *by_code = walker->memos[v].by_code;
    if (walker->memos[v].dict_id != vector->dict_id || walker->memos[v].count != count) {
        free(by_code);
        walker->memos[v].by_code = by_code = malloc((count + 1) * sizeof *by_code);
        walker->memos[v].dict_id = vector->dict_id;
        walker->memos[v].count = count;
        if (!by_code) {
            walker->memos[v].dict_id = 0;
            return journeys_out_of_memory(journeys, &walker->worker->error);
        }
        for (uint32_t c = 0; c < count; c++) by_code[c] = UINT32_MAX;
    }
    for (uint32_t i = 0; i < walker->worker->rows; i++) {
        if (!(walker->masks[i] & selectors)) continue;
        journey_value *number = &by_code[vector->codes[i]];
        if (*number == UINT32_MAX) TRY(walker_number(journeys, walker, vector->values[vector->codes[i]], number));
        walker->values[v][i] = *number;
    }
    return STATUS_OK;
}

static enum status evaluate_value(struct journeys *journeys, struct walker *walker, const struct bound *bound, size_t v,
                                  uint64_t selectors)
{
    struct worker *worker = walker->worker;
    const struct vector *vectors;
    struct vector result;
    for (uint32_t i = 0; i < worker->rows; i++) walker->tried[i] = (walker->masks[i] & selectors) != 0;
    TRY(columns_read(walker->value_columns[v], worker->scan, bound->run.event_id, worker->rows, &worker->error,
                     &vectors));
    enum status status =
        expr_eval_kept(walker->value_states[v], vectors, worker->rows, walker->tried, &worker->error, &result);
    TRY(native_expression(journeys->plan->values[v].parameter, status, &worker->error));
    /* what expr_eval makes itself may differ from call to call: only a column as it comes is remembered */
    if (result.kind == VECTOR_DICT && result.dict_count <= MEMO_CODES_MAX && expr_is_column(journeys->value_exprs[v]))
        return number_codes(journeys, walker, v, &result, selectors);
    for (uint32_t i = 0; i < worker->rows; i++) {
        if (walker->tried[i]) TRY(walker_number(journeys, walker, vector_at(&result, i), &walker->values[v][i]));
    }
    return STATUS_OK;
}

static enum status read_values(struct journeys *journeys, struct walker *walker, const struct bound *bound)
{
    const struct journey_run *run = &journeys->runs[bound - journeys->survey.runs];
    struct worker *worker = walker->worker;
    for (size_t v = 0; v < journeys->plan->value_count; v++) {
        const struct journey_source *source = &run->sources[v];
        uint64_t selectors = journeys->plan->values[v].selectors;
        const uint32_t *codes;
        journey_value *to = walker->values[v];
        if (!selectors) selectors = UINT64_MAX;
        for (uint32_t i = 0; i < worker->rows; i++) to[i] = JOURNEY_UNDEFINED;
        switch (source->form) {
        case SOURCE_ONE:
            for (uint32_t i = 0; i < worker->rows; i++)
                to[i] = walker->masks[i] & selectors ? source->one : JOURNEY_UNDEFINED;
            break;
        case SOURCE_TABLE:
            TRY(scan_codes(worker->scan, source->property, &worker->error, &codes));
            for (uint32_t i = 0; i < worker->rows; i++)
                to[i] = walker->masks[i] & selectors ? source->by_code[codes[i]] : JOURNEY_UNDEFINED;
            break;
        case SOURCE_ROWS: TRY(evaluate_value(journeys, walker, bound, v, selectors)); break;
        default: break;
        }
    }
    return STATUS_OK;
}

enum status walker_match(struct journeys *journeys, struct walker *walker, const struct bound *bound, bool *ret_any)
{
    const struct journey_run *run = &journeys->runs[bound - journeys->survey.runs];
    uint64_t where_selectors = run->where ? journeys->plan->where_selectors : 0, any = 0;
    struct worker *worker = walker->worker;
    uint8_t *keep = walker->keep;
    uint32_t rows = worker->rows;
    *ret_any = false;
    TRY(walker_read_times(journeys, walker, &bound->run, 0, 0));
    if (!bound->in_range)
        for (uint32_t i = 0; i < rows; i++) keep[i] &= walker->times[i] < journeys->span;
    if (bound->run.deleted) {
        const uint8_t *live;
        TRY(scan_live(worker->scan, &worker->error, &live));
        for (uint32_t i = 0; i < rows; i++) keep[i] &= live[i];
    }
    for (uint32_t i = 0; i < rows; i++) any |= keep[i];
    for (uint32_t i = 0; i < rows; i++) walker->masks[i] = keep[i] ? run->always : 0;
    if (!any) return STATUS_OK;
    if (run->where) {
        memcpy(walker->after_where, keep, sizeof walker->after_where);
        TRY(apply_filter(walker, &journeys->filters[JOURNEY_SELECTORS_MAX], walker->after_where));
        uint64_t all = run->possible & ~run->tried & where_selectors;
        for (uint32_t i = 0; i < rows; i++) walker->masks[i] |= walker->after_where[i] ? all : 0;
    }
    for (uint64_t left = run->tried; left; left &= left - 1) {
        size_t s = (size_t)__builtin_ctzll(left);
        uint64_t bit = (uint64_t)1 << s;
        memcpy(walker->tried, where_selectors & bit ? walker->after_where : keep, sizeof walker->tried);
        TRY(apply_filter(walker, &journeys->filters[s], walker->tried));
        for (uint32_t i = 0; i < rows; i++) walker->masks[i] |= walker->tried[i] ? bit : 0;
    }
    for (uint32_t i = 0; i < rows; i++) *ret_any |= walker->masks[i] != 0;
    if (*ret_any && journeys->plan->value_count) TRY(read_values(journeys, walker, bound));
    return STATUS_OK;
}
