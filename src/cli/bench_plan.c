#include "cli/bench.h"

#include "base/civil.h"
#include "os/clock.h"

/* Questions and answers as JSON: the only place of `cairn bench` that knows plans and results. */

#define QUERY_MEMORY_MAX ((size_t)8 << 30)
#define BUCKETS_MAX      1000000
#define EXPORT_STEP      8192
#define LINE_BYTES_KEPT  ((size_t)1 << 20)

/* ---- Plans ---- */

struct word {
    const char *text;
    int value;
};
static const struct word kinds[] = {
    {"segment", PLAN_SEGMENT}, {"top_values", PLAN_TOP_VALUES}, {"properties", PLAN_PROPERTIES}, {"feed", PLAN_FEED},
    {"export", PLAN_EXPORT},   {"retention", PLAN_RETENTION},   {"frequency", PLAN_FREQUENCY},   {0}};
static const struct word units[] = {{"minute", UNIT_MINUTE},
                                    {"hour", UNIT_HOUR},
                                    {"day", UNIT_DAY},
                                    {"week", UNIT_WEEK},
                                    {"month", UNIT_MONTH},
                                    {"range", UNIT_RANGE},
                                    {0}};
static const struct word measures[] = {{"count", MEASURE_COUNT},
                                       {"unique", MEASURE_UNIQUE},
                                       {"average", MEASURE_AVERAGE},
                                       {"sum", MEASURE_SUM},
                                       {"mean", MEASURE_MEAN},
                                       {"min", MEASURE_MIN},
                                       {"max", MEASURE_MAX},
                                       {"percentile", MEASURE_PERCENTILE},
                                       {0}};
static const struct word retention_types[] = {{"birth", RETENTION_BIRTH}, {"compounded", RETENTION_COMPOUNDED}, {0}};
static const struct word orders[] = {{"newest", ORDER_NEWEST_FIRST}, {"oldest", ORDER_OLDEST_FIRST}, {0}};

static enum status wrong(struct error *error, struct str name, const char *what)
{
    return error_set(error, STATUS_INVALID, "\"" STR_FMT "\" of a question %s", STR_ARG(name), what);
}

static enum status take_word(struct str name, const struct json *value, const struct word *words, struct error *error,
                             int *ret_value)
{
    if (value->type != JSON_STRING) return wrong(error, name, "must be a string");
    for (; words->text; words++) {
        if (!str_eq(value->string, str_of(words->text))) continue;
        *ret_value = words->value;
        return STATUS_OK;
    }
    return error_set(error, STATUS_INVALID, "\"" STR_FMT "\" is no " STR_FMT, STR_ARG(value->string), STR_ARG(name));
}

static enum status take_text(struct str name, const struct json *value, struct error *error, struct str *ret_text)
{
    if (value->type != JSON_STRING) return wrong(error, name, "must be a string");
    *ret_text = value->string;
    return STATUS_OK;
}

static enum status take_texts(struct arena *arena, struct str name, const struct json *value, struct error *error,
                              const struct str **ret_texts, size_t *ret_count)
{
    if (value->type != JSON_ARRAY) return wrong(error, name, "must be a list of strings");
    struct str *texts = arena_new_array(arena, struct str, value->array.count + 1);
    if (!texts) return error_set(error, STATUS_LIMIT, "out of memory");
    for (size_t i = 0; i < value->array.count; i++) TRY(take_text(name, &value->array.items[i], error, &texts[i]));
    *ret_texts = texts;
    *ret_count = value->array.count;
    return STATUS_OK;
}

static enum status take_day(struct str name, const struct json *value, struct error *error, int64_t *ret_day)
{
    if (value->type != JSON_STRING || !civil_parse_date(value->string, ret_day))
        return wrong(error, name, "must be a date like 2024-01-31");
    return STATUS_OK;
}

static enum status take_number(struct str name, const struct json *value, double max, struct error *error,
                               double *ret_number)
{
    if (!json_is_number(value)) return wrong(error, name, "must be a number");
    *ret_number = json_double(value);
    return *ret_number >= 0 && *ret_number <= max ? STATUS_OK : wrong(error, name, "is out of range");
}

static enum status take_member(struct arena *arena, const struct json_member *member, struct error *error,
                               struct plan *plan)
{
    struct str name = member->key;
    const struct json *value = &member->value;
    int word = 0;
    double number = 0;
    if (str_is(name, "name")) return STATUS_OK;
    if (str_is(name, "kind")) {
        TRY(take_word(name, value, kinds, error, &word));
        plan->kind = (enum plan_kind)word;
    } else if (str_is(name, "unit")) {
        TRY(take_word(name, value, units, error, &word));
        plan->unit = (enum plan_unit)word;
    } else if (str_is(name, "measure")) {
        TRY(take_word(name, value, measures, error, &word));
        plan->measure = (enum plan_measure)word;
    } else if (str_is(name, "order")) {
        TRY(take_word(name, value, orders, error, &word));
        plan->order = (enum plan_order)word;
    } else if (str_is(name, "active_unit")) {
        TRY(take_word(name, value, units, error, &word));
        plan->active_unit = (enum plan_unit)word;
    } else if (str_is(name, "retention")) {
        TRY(take_word(name, value, retention_types, error, &word));
        plan->retention.type = (enum retention_type)word;
    } else if (str_is(name, "born_events")) {
        return take_texts(arena, name, value, error, &plan->retention.born_events, &plan->retention.born_event_count);
    } else if (str_is(name, "born_where")) {
        return take_text(name, value, error, &plan->retention.born_where);
    } else if (str_is(name, "intervals")) {
        TRY(take_number(name, value, RETENTION_INTERVALS_MAX, error, &number));
        plan->retention.interval_count = (uint32_t)number;
    } else if (str_is(name, "from")) {
        return take_day(name, value, error, &plan->from_day);
    } else if (str_is(name, "to")) {
        return take_day(name, value, error, &plan->to_day);
    } else if (str_is(name, "zone")) {
        struct str zone;
        TRY(take_text(name, value, error, &zone));
        return timezone_load(zone, error, &plan->zone);
    } else if (str_is(name, "events")) {
        return take_texts(arena, name, value, error, &plan->events, &plan->event_count);
    } else if (str_is(name, "distinct_ids")) {
        return take_texts(arena, name, value, error, &plan->distinct_ids, &plan->distinct_id_count);
    } else if (str_is(name, "where")) {
        return take_text(name, value, error, &plan->where);
    } else if (str_is(name, "on")) {
        return take_text(name, value, error, &plan->on);
    } else if (str_is(name, "of")) {
        return take_text(name, value, error, &plan->of);
    } else if (str_is(name, "by")) {
        return take_text(name, value, error, &plan->by);
    } else if (str_is(name, "labels")) {
        return take_texts(arena, name, value, error, &plan->labels, &plan->label_count);
    } else if (str_is(name, "bins")) {
        TRY(take_number(name, value, UINT32_MAX, error, &number));
        plan->bin_count = (uint32_t)number;
    } else if (str_is(name, "percentile")) {
        return take_number(name, value, 100, error, &plan->percentile);
    } else if (str_is(name, "project")) {
        TRY(take_number(name, value, 1e15, error, &number));
        plan->project = (uint64_t)number;
    } else if (str_is(name, "limit")) {
        TRY(take_number(name, value, UINT32_MAX, error, &number));
        plan->limit = (uint32_t)number;
    } else {
        return wrong(error, name, "is not known");
    }
    return STATUS_OK;
}

enum status bench_plan(struct arena *arena, const struct json *question, struct error *error, struct plan *ret_plan)
{
    struct plan plan = {
        .project = BENCH_PROJECT,
        .zone = timezone_utc(),
        .unit = UNIT_DAY,
        .to_day = -1,
        .limit = UINT32_MAX,
        .rows_as_json = true,
        .now_ms = os_now_ms(),
    };
    if (question->type != JSON_OBJECT) return error_set(error, STATUS_INVALID, "a question must be an object");
    for (size_t i = 0; i < question->object.count; i++)
        TRY(take_member(arena, &question->object.members[i], error, &plan));
    if (plan.to_day < plan.from_day) return error_set(error, STATUS_INVALID, "a question needs days: from and to");
    TRY(plan_check(&plan, error));
    *ret_plan = plan;
    return STATUS_OK;
}

/* ---- Answers ---- */

static void row_begin(struct buf *answer, bool *first)
{
    buf_add(answer, *first ? "\n[" : ",\n[", *first ? 2 : 3);
    *first = false;
}

/* `outer / inner` with two expressions: once, not in each bucket. */
static enum status join_labels(struct segmentation *result, struct error *error)
{
    for (uint32_t s = 0; result->by_count && s < result->series_count; s++) {
        struct series *series = &result->series[s];
        struct str inner = result->by[s % result->by_count];
        series->label = arena_printf(result->arena, STR_FMT " / " STR_FMT, STR_ARG(series->label), STR_ARG(inner));
        if (!series->label.data) return error_set(error, STATUS_LIMIT, "out of memory");
    }
    return STATUS_OK;
}

static enum status answer_segment(struct executor *executor, const struct plan *plan, const struct plan_limits *limits,
                                  struct error *error, struct buf *answer)
{
    struct segmentation result;
    bool first = true;
    TRY(executor->segment(executor, plan, limits, error, &result));
    enum status status = join_labels(&result, error);
    for (uint32_t b = 0; status == STATUS_OK && b < result.bucket_count; b++) {
        for (uint32_t s = 0; s < result.series_count; s++) {
            double number;
            if (!series_number(&result.series[s], b, &number) || number == 0) continue;
            row_begin(answer, &first);
            json_write_str(answer, result.buckets[b]);
            if (plan->on.data) {
                buf_byte(answer, ',');
                json_write_str(answer, result.series[s].label);
            }
            buf_byte(answer, ',');
            json_write_double(answer, number);
            buf_byte(answer, ']');
        }
    }
    segmentation_free(&result);
    return status;
}

static enum status answer_top_values(struct executor *executor, const struct plan *plan,
                                     const struct plan_limits *limits, struct error *error, struct buf *answer)
{
    struct top_values result;
    bool first = true;
    TRY(executor->top_values(executor, plan, limits, error, &result));
    for (uint32_t i = 0; i < result.value_count; i++) {
        row_begin(answer, &first);
        json_write_str(answer, result.values[i].label);
        buf_byte(answer, ',');
        json_write_int(answer, (int64_t)result.values[i].count);
        buf_byte(answer, ']');
    }
    top_values_free(&result);
    return STATUS_OK;
}

/* [bucket, index, n] or, with a label, [bucket, label, index, n]. */
static void answer_counts(struct buf *answer, struct str bucket, struct str label, const uint64_t *counts,
                          uint32_t count, uint32_t from, bool *first)
{
    for (uint32_t i = 0; i < count; i++) {
        if (!counts[i]) continue;
        row_begin(answer, first);
        json_write_str(answer, bucket);
        if (label.data) {
            buf_byte(answer, ',');
            json_write_str(answer, label);
        }
        buf_printf(answer, ",\"%u\",%llu]", i + from, (unsigned long long)counts[i]);
    }
}

static enum status answer_retention(struct executor *executor, const struct plan *plan,
                                    const struct plan_limits *limits, struct error *error, struct buf *answer)
{
    struct retention result;
    bool first = true;
    TRY(executor->retention(executor, plan, limits, error, &result));
    for (uint32_t b = 0; b < result.bucket_count; b++) {
        size_t at = (size_t)b * result.interval_count;
        answer_counts(answer, result.buckets[b], STR_NULL, result.overall.counts + at, result.interval_count, 0,
                      &first);
        for (uint32_t s = 0; s < result.series_count; s++)
            answer_counts(answer, result.buckets[b], result.series[s].label, result.series[s].counts + at,
                          result.interval_count, 0, &first);
    }
    retention_free(&result);
    return STATUS_OK;
}

static enum status answer_frequency(struct executor *executor, const struct plan *plan,
                                    const struct plan_limits *limits, struct error *error, struct buf *answer)
{
    struct frequency result;
    bool first = true;
    TRY(executor->frequency(executor, plan, limits, error, &result));
    for (uint32_t b = 0; b < result.bucket_count; b++) {
        size_t at = (size_t)b * result.width;
        answer_counts(answer, result.buckets[b], STR_NULL, result.overall.counts + at, result.width, 1, &first);
        for (uint32_t s = 0; s < result.series_count; s++)
            answer_counts(answer, result.buckets[b], result.series[s].label, result.series[s].counts + at, result.width,
                          1, &first);
    }
    frequency_free(&result);
    return STATUS_OK;
}

struct lines {
    struct row_sink sink;
    struct buf line;
    struct buf *answer; /* gets [event, time, distinct_id, insert_id], or is NULL */
    bool first;
    uint64_t events;
    int64_t seconds; /* sum of the times, in whole seconds */
};

static enum status take_row(struct row_sink *sink, const struct event_row *row, struct error *error)
{
    struct lines *lines = (struct lines *)sink;
    struct buf *line = &lines->line;
    if (line->size > LINE_BYTES_KEPT) buf_reset(line);
    buf_lit(line, "{\"event\":");
    json_write_str(line, row->event);
    buf_lit(line, ",\"properties\":{\"time\":");
    json_write_int(line, row->time_ms / 1000);
    buf_lit(line, ",\"distinct_id\":");
    json_write_str(line, row->user);
    buf_lit(line, ",\"$insert_id\":");
    json_write_str(line, row->insert_id);
    buf_str_add(line, row->json);
    for (size_t i = 0; i < row->property_count; i++) {
        buf_byte(line, ',');
        buf_str_add(line, row->properties[i].name->json);
        value_write_json(line, row->properties[i].value);
    }
    buf_lit(line, "}}\n");
    lines->events++;
    lines->seconds += row->time_ms / 1000;
    if (buf_status(line) != STATUS_OK) return error_set(error, STATUS_LIMIT, "an event does not fit into memory");
    if (!lines->answer) return STATUS_OK;
    row_begin(lines->answer, &lines->first);
    json_write_str(lines->answer, row->event);
    buf_byte(lines->answer, ',');
    json_write_int(lines->answer, row->time_ms / 1000);
    buf_byte(lines->answer, ',');
    json_write_str(lines->answer, row->distinct_id);
    buf_byte(lines->answer, ',');
    json_write_str(lines->answer, row->insert_id);
    buf_byte(lines->answer, ']');
    return STATUS_OK;
}

static enum status answer_rows(struct executor *executor, const struct plan *plan, const struct plan_limits *limits,
                               struct error *error, struct buf *answer)
{
    struct event_rows *rows;
    struct lines lines = {.sink.row = take_row, .first = true, .answer = plan->kind == PLAN_FEED ? answer : NULL};
    TRY(executor->rows(executor, plan, limits, error, &rows));
    buf_init(&lines.line, (size_t)64 << 20);
    enum status status = STATUS_OK;
    for (bool done = false; !done && status == STATUS_OK;)
        status = event_rows_read(rows, EXPORT_STEP, &lines.sink, error, &done);
    event_rows_free(rows);
    buf_fini(&lines.line);
    if (status == STATUS_OK && !lines.answer)
        buf_printf(answer, "[%llu,%lld]", (unsigned long long)lines.events, (long long)lines.seconds);
    return status;
}

enum status bench_answer(struct executor *executor, const struct plan *plan, struct error *error, struct buf *answer)
{
    struct plan_limits limits = {
        .memory_bytes_max = QUERY_MEMORY_MAX, .buckets_max = BUCKETS_MAX, .deadline_ns = INT64_MAX};
    if (executor->capable) TRY(executor->capable(executor, plan, error));
    buf_byte(answer, '[');
    switch (plan->kind) {
    case PLAN_SEGMENT: TRY(answer_segment(executor, plan, &limits, error, answer)); break;
    case PLAN_TOP_VALUES:
    case PLAN_PROPERTIES: TRY(answer_top_values(executor, plan, &limits, error, answer)); break;
    case PLAN_RETENTION: TRY(answer_retention(executor, plan, &limits, error, answer)); break;
    case PLAN_FREQUENCY: TRY(answer_frequency(executor, plan, &limits, error, answer)); break;
    default: TRY(answer_rows(executor, plan, &limits, error, answer));
    }
    buf_byte(answer, ']');
    return buf_status(answer) == STATUS_OK ? STATUS_OK
                                           : error_set(error, STATUS_LIMIT, "the answer does not fit into memory");
}
