#include "cli/bench.h"

#include "base/civil.h"
#include "os/clock.h"

/* Questions about funnels, and their answers, as JSON. */

#define QUERY_MEMORY_MAX ((size_t)8 << 30)
#define BUCKETS_MAX      1000000

bool bench_is_funnel(const struct json *question)
{
    const struct json *kind = json_member(question, "kind");
    return kind && kind->type == JSON_STRING && str_is(kind->string, "funnel");
}

static enum status wrong(struct error *error, struct str name, const char *what)
{
    return error_set(error, STATUS_INVALID, "\"" STR_FMT "\" of a question %s", STR_ARG(name), what);
}

/* Steps are names of events. */
static enum status take_steps(struct arena *arena, struct str name, const struct json *value, struct error *error,
                              struct funnel_plan *plan)
{
    if (value->type != JSON_ARRAY) return wrong(error, name, "must be a list of events");
    struct funnel_step *steps = arena_new_array(arena, struct funnel_step, value->array.count + 1);
    if (!steps) return error_set(error, STATUS_LIMIT, "out of memory");
    for (size_t i = 0; i < value->array.count; i++) {
        if (value->array.items[i].type != JSON_STRING) return wrong(error, name, "must be a list of events");
        steps[i] = (struct funnel_step){.events = &value->array.items[i].string, .event_count = 1};
    }
    plan->steps = steps;
    plan->step_count = value->array.count;
    return STATUS_OK;
}

static enum status take_word(struct str name, const struct json *value, const char *const *words, struct error *error,
                             int *ret_word)
{
    for (int i = 0; words[i]; i++) {
        if (value->type != JSON_STRING || !str_eq(value->string, str_of(words[i]))) continue;
        *ret_word = i;
        return STATUS_OK;
    }
    return wrong(error, name, "is not known");
}

static enum status take_day(struct str name, const struct json *value, struct error *error, int64_t *ret_day)
{
    if (value->type != JSON_STRING || !civil_parse_date(value->string, ret_day))
        return wrong(error, name, "must be a date like 2024-01-31");
    return STATUS_OK;
}

static enum status take_member(struct arena *arena, const struct json_member *member, struct error *error,
                               struct funnel_plan *plan)
{
    static const char *const units[] = {"minute", "hour", "day", "week", "month", "days", "range", NULL};
    static const char *const counts[] = {"uniques", "totals", "sessions", NULL};
    static const char *const reentries[] = {"default", "basic", "aggressive", "optimized", NULL};
    struct str name = member->key;
    const struct json *value = &member->value;
    int word = 0;
    if (str_is(name, "name") || str_is(name, "kind")) return STATUS_OK;
    if (str_is(name, "steps")) return take_steps(arena, name, value, error, plan);
    if (str_is(name, "from")) return take_day(name, value, error, &plan->from_day);
    if (str_is(name, "to")) return take_day(name, value, error, &plan->to_day);
    if (str_is(name, "unit")) {
        TRY(take_word(name, value, units, error, &word));
        plan->unit = (enum plan_unit)word;
    } else if (str_is(name, "count")) {
        TRY(take_word(name, value, counts, error, &word));
        plan->count = (enum funnel_count)word;
    } else if (str_is(name, "reentry")) {
        TRY(take_word(name, value, reentries, error, &word));
        plan->reentry = (enum funnel_reentry)word;
    } else if (str_is(name, "zone")) {
        if (value->type != JSON_STRING) return wrong(error, name, "must be a string");
        return timezone_load(value->string, error, &plan->zone);
    } else if (str_is(name, "trend")) {
        plan->trend = value->type == JSON_BOOL && value->boolean;
    } else if (str_is(name, "no_grace")) {
        plan->no_grace = value->type == JSON_BOOL && value->boolean;
    } else if (str_is(name, "window_days")) {
        if (!json_is_number(value)) return wrong(error, name, "must be a number");
        plan->window_ms = (int64_t)(json_double(value) * (double)DAY_MS);
    } else if (str_is(name, "where") || str_is(name, "on")) {
        if (value->type != JSON_STRING) return wrong(error, name, "must be a string");
        *(str_is(name, "on") ? &plan->on : &plan->where) = value->string;
    } else {
        return wrong(error, name, "is not known");
    }
    return STATUS_OK;
}

enum status bench_funnel_plan(struct arena *arena, const struct json *question, struct error *error,
                              struct funnel_plan *ret_plan)
{
    struct funnel_plan plan = {.project = BENCH_PROJECT,
                               .zone = timezone_utc(),
                               .unit = UNIT_RANGE,
                               .to_day = -1,
                               .window_ms = FUNNEL_WINDOW_DEFAULT,
                               .limit = 255,
                               .now_ms = os_now_ms()};
    for (size_t i = 0; i < question->object.count; i++)
        TRY(take_member(arena, &question->object.members[i], error, &plan));
    if (plan.to_day < plan.from_day) return error_set(error, STATUS_INVALID, "a question needs days: from and to");
    TRY(funnel_check(&plan, error));
    *ret_plan = plan;
    return STATUS_OK;
}

static void write_cells(const struct funnel_result *result, struct str label, const struct funnel_cell *cells,
                        struct buf *answer)
{
    for (uint32_t b = 0; b < result->bucket_count; b++) {
        for (uint32_t k = 0; k < result->step_count; k++) {
            const struct funnel_cell *cell = funnel_cell_at(result, cells, b, k);
            if (cell->count == 0) continue;
            buf_add(answer, answer->size > 1 ? ",\n[" : "\n[", answer->size > 1 ? 3 : 2);
            json_write_str(answer, result->buckets[b]);
            buf_byte(answer, ',');
            if (label.data) {
                json_write_str(answer, label);
                buf_byte(answer, ',');
            }
            buf_printf(answer, "\"%u\",%llu]", k + 1, (unsigned long long)cell->count);
        }
    }
}

enum status bench_funnel_answer(struct executor *executor, const struct funnel_plan *plan, struct error *error,
                                struct buf *answer)
{
    struct plan_limits limits = {
        .memory_bytes_max = QUERY_MEMORY_MAX, .buckets_max = BUCKETS_MAX, .deadline_ns = INT64_MAX};
    struct funnel_result result;
    TRY(executor->funnel(executor, plan, &limits, error, &result));
    buf_byte(answer, '[');
    if (!plan->on.data) write_cells(&result, STR_NULL, result.overall, answer);
    for (uint32_t i = 0; i < result.series_count; i++)
        write_cells(&result, result.series[i].label, result.series[i].cells, answer);
    buf_byte(answer, ']');
    funnel_result_free(&result);
    return buf_status(answer) == STATUS_OK ? STATUS_OK
                                           : error_set(error, STATUS_LIMIT, "the answer does not fit into memory");
}
