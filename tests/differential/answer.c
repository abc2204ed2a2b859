#include "differential/answer.h"

#include "base/json.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>

#define MEMORY ((size_t)256 << 20)
#define TEXT   ((size_t)64 << 20)

#define EXPRESSION_REFUSED "an expression is refused"

static void write_failure(struct buf *out, enum status status, const struct error *error)
{
    char text[1200];
    if (status == STATUS_INVALID && error->column > 0)
        buf_lit(out, EXPRESSION_REFUSED);
    else
        buf_printf(out, "%s: %s", status_name(status), error_text(error, text, sizeof text));
}

static void write_segmentation(struct buf *out, const struct segmentation *result)
{
    buf_printf(out, "%u labels, %s, buckets", result->label_count,
               result->cell_type == CELL_COUNT ? "counts" : "numbers");
    for (uint32_t b = 0; b < result->bucket_count; b++) buf_printf(out, " " STR_FMT, STR_ARG(result->buckets[b]));
    for (uint32_t i = 0; i < result->series_count; i++) {
        const struct series *series = &result->series[i];
        buf_lit(out, "\n    ");
        json_write_str(out, series->label);
        if (result->by_count) buf_lit(out, " / ");
        if (result->by_count) json_write_str(out, result->by[i % result->by_count]);
        for (uint32_t b = 0; b < result->bucket_count; b++) {
            if (result->cell_type == CELL_COUNT)
                buf_printf(out, " %" PRIu64, series->counts[b]);
            else
                buf_printf(out, " %.17g", series->numbers[b]);
        }
    }
}

static void write_top_values(struct buf *out, const struct top_values *result)
{
    buf_printf(out, "%u labels", result->label_count);
    for (uint32_t i = 0; i < result->value_count; i++) {
        buf_lit(out, "\n    ");
        json_write_str(out, result->values[i].label);
        buf_printf(out, " %" PRIu64, result->values[i].count);
    }
}

static void write_counts(struct buf *out, struct str label, const uint64_t *counts, size_t count)
{
    buf_lit(out, "\n    ");
    if (label.data) json_write_str(out, label);
    for (size_t i = 0; i < count; i++) buf_printf(out, " %" PRIu64, counts[i]);
}

static void write_retention(struct buf *out, const struct retention *result)
{
    size_t cells = (size_t)result->bucket_count * result->interval_count;
    uint64_t people = 0;
    for (uint32_t b = 0; b < result->bucket_count; b++) people += result->first[b];
    buf_printf(out, "%" PRIu64 " people, %u labels, %u intervals, buckets", people, result->label_count,
               result->interval_count);
    for (uint32_t b = 0; b < result->bucket_count; b++)
        buf_printf(out, " " STR_FMT " %" PRIu64 " to %u", STR_ARG(result->buckets[b]), result->first[b],
                   result->lengths[b]);
    write_counts(out, STR_NULL, result->overall.counts, cells);
    for (uint32_t i = 0; i < result->series_count; i++)
        write_counts(out, result->series[i].label, result->series[i].counts, cells);
}

static void write_frequency(struct buf *out, const struct frequency *result)
{
    size_t cells = (size_t)result->bucket_count * result->width;
    uint64_t people = 0;
    for (uint32_t b = 0; b < result->bucket_count; b++) people += result->overall.counts[(size_t)b * result->width];
    buf_printf(out, "%" PRIu64 " people, %u labels, %u units, buckets", people, result->label_count, result->width);
    for (uint32_t b = 0; b < result->bucket_count; b++)
        buf_printf(out, " " STR_FMT " to %u", STR_ARG(result->buckets[b]), result->lengths[b]);
    write_counts(out, STR_NULL, result->overall.counts, cells);
    for (uint32_t i = 0; i < result->series_count; i++)
        write_counts(out, result->series[i].label, result->series[i].counts, cells);
}

/* --- events ------------------------------------------------------------------------------------------- */

struct line_sink {
    struct row_sink base;
    struct arena *arena;
    struct str *lines;
    size_t count, capacity;
};

static int by_text(const void *a, const void *b)
{
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

static void *must(void *memory)
{
    if (!memory) abort();
    return memory;
}

static void *array(struct arena *arena, size_t count, size_t size)
{
    return must(arena_calloc(arena, count + 1, size));
}

static void add_line(struct line_sink *sink, struct str line)
{
    if (sink->count == sink->capacity) {
        sink->capacity = sink->capacity ? sink->capacity * 2 : 64;
        sink->lines = must(realloc(sink->lines, sink->capacity * sizeof *sink->lines));
    }
    sink->lines[sink->count] = arena_str(sink->arena, line);
    if (!sink->lines[sink->count++].data) abort();
}

static enum status take_row(struct row_sink *base, const struct event_row *row, struct error *error)
{
    struct line_sink *sink = (struct line_sink *)base;
    struct buf line = BUF_INIT(TEXT), one = BUF_INIT(TEXT);
    struct str *properties = array(sink->arena, row->property_count, sizeof *properties);
    (void)error;
    json_write_str(&line, row->event);
    buf_printf(&line, " %" PRId64 " received %" PRId64 " %s ", row->time_ms, row->received_ms,
               row->imported ? "imported" : "tracked");
    json_write_str(&line, row->distinct_id);
    buf_lit(&line, " of ");
    json_write_str(&line, row->user);
    buf_lit(&line, " insert ");
    json_write_str(&line, row->insert_id_sent ? row->insert_id : STR("(none)"));
    for (size_t i = 0; i < row->property_count; i++) {
        buf_reset(&one);
        buf_str_add(&one, row->properties[i].name->json);
        value_write_json(&one, row->properties[i].value);
        properties[i] = arena_str(sink->arena, buf_str(&one));
    }
    qsort(properties, row->property_count, sizeof *properties, by_text);
    for (size_t i = 0; i < row->property_count; i++) {
        buf_byte(&line, ' ');
        buf_str_add(&line, properties[i]);
    }
    if (line.failed || one.failed) abort();
    add_line(sink, buf_str(&line));
    buf_fini(&line);
    buf_fini(&one);
    return STATUS_OK;
}

static enum status read_lines(struct executor *executor, const struct plan *plan, const struct plan_limits *limits,
                              uint64_t piece, struct error *error, struct line_sink *sink)
{
    struct event_rows *rows;
    bool done = false;
    TRY(executor->rows(executor, plan, limits, error, &rows));
    enum status status = STATUS_OK;
    while (!done && status == STATUS_OK) {
        size_t before = sink->count;
        status = event_rows_read(rows, piece, &sink->base, error, &done);
        /* a piece is as large as was asked for, except the last */
        if (status == STATUS_OK && (sink->count - before > piece || (!done && sink->count - before < piece))) abort();
    }
    event_rows_free(rows);
    if (status == STATUS_OK && plan->kind == PLAN_EXPORT && sink->count)
        qsort(sink->lines, sink->count, sizeof *sink->lines, by_text);
    return status;
}

static void write_lines(struct buf *out, const struct line_sink *sink)
{
    buf_printf(out, "%zu events", sink->count);
    for (size_t i = 0; i < sink->count; i++) {
        buf_lit(out, "\n    ");
        buf_str_add(out, sink->lines[i]);
    }
}

/* --- asking ------------------------------------------------------------------------------------------- */

static const struct plan_limits limits = {.memory_bytes_max = MEMORY, .buckets_max = 100000, .deadline_ns = INT64_MAX};

void answer_write(struct executor *executor, const struct plan *plan, uint64_t piece, struct buf *out)
{
    struct error error = ERROR_INIT;
    struct segmentation segmentation;
    struct top_values values;
    struct retention retention;
    struct frequency frequency;
    struct line_sink sink = {.base.row = take_row};
    enum status status;
    switch (plan->kind) {
    case PLAN_SEGMENT:
        if ((status = executor->segment(executor, plan, &limits, &error, &segmentation)) != STATUS_OK) break;
        write_segmentation(out, &segmentation);
        segmentation_free(&segmentation);
        return;
    case PLAN_TOP_VALUES:
    case PLAN_PROPERTIES:
        if ((status = executor->top_values(executor, plan, &limits, &error, &values)) != STATUS_OK) break;
        write_top_values(out, &values);
        top_values_free(&values);
        return;
    case PLAN_RETENTION:
        if ((status = executor->retention(executor, plan, &limits, &error, &retention)) != STATUS_OK) break;
        write_retention(out, &retention);
        retention_free(&retention);
        return;
    case PLAN_FREQUENCY:
        if ((status = executor->frequency(executor, plan, &limits, &error, &frequency)) != STATUS_OK) break;
        write_frequency(out, &frequency);
        frequency_free(&frequency);
        return;
    case PLAN_FEED:
    case PLAN_EXPORT:
        sink.arena = arena_new((size_t)1 << 30);
        status = read_lines(executor, plan, &limits, piece, &error, &sink);
        if (status == STATUS_OK) write_lines(out, &sink);
        free(sink.lines);
        arena_free(sink.arena);
        if (status != STATUS_OK) break;
        return;
    default: abort();
    }
    write_failure(out, status, &error);
}

/* Every line of `some` is in `all`; both are sorted. */
static bool is_part(struct str some, struct str all)
{
    struct str line, other;
    while (str_next_part(&some, '\n', &line)) {
        do {
            if (!str_next_part(&all, '\n', &other)) return false;
        } while (!str_eq(line, other));
    }
    return true;
}

static struct str after_count(const struct buf *answer, size_t *ret_count)
{
    *ret_count = strtoul(answer->data, NULL, 10);
    size_t line = str_find_byte(buf_str(answer), '\n', 0);
    return line == SIZE_MAX ? STR("") : str_slice(buf_str(answer), line + 1, answer->size);
}

bool answers_agree(struct executor *first, struct executor *second, const struct plan *plan, uint64_t piece,
                   struct buf *ret_first, struct buf *ret_second)
{
    bool rows = plan->kind == PLAN_FEED || plan->kind == PLAN_EXPORT, some = rows && plan->limit;
    struct plan whole = *plan;
    if (plan->kind == PLAN_EXPORT) whole.limit = 0;
    answer_write(first, plan, piece, ret_first);
    answer_write(second, &whole, piece, ret_second);
    if (ret_first->failed || ret_second->failed) abort();
    if (str_eq(buf_str(ret_first), buf_str(ret_second))) return true;
    bool refused = str_is(buf_str(ret_second), EXPRESSION_REFUSED);
    /* Events beyond the limit are not looked at by everybody, and so not what is wrong with them. */
    if (some && refused) return isdigit((unsigned char)ret_first->data[0]);
    if (plan->kind != PLAN_EXPORT || !some || refused) return false;
    size_t got, all;
    struct str part = after_count(ret_first, &got), of = after_count(ret_second, &all);
    return got == (all < plan->limit ? all : plan->limit) && (got == 0 || is_part(part, of));
}

static void print_expression(FILE *file, const char *name, struct str text)
{
    if (text.data) fprintf(file, "\n  %s: %.*s", name, (int)text.size, text.data);
}

void plan_print(FILE *file, const struct plan *plan)
{
    static const char *const kinds[] = {"SEGMENT",    "TOP_VALUES", "FEED",     "EXPORT",
                                        "PROPERTIES", "RETENTION",  "FREQUENCY"};
    static const char *const units[] = {"minute", "hour", "day", "week", "month", "days", "range"};
    static const char *const measures[] = {"count", "unique", "average", "sum", "mean", "min", "max", "percentile"};
    struct str zone = timezone_name(plan->zone);
    fprintf(file, "%s in %.*s, days %" PRId64 "..%" PRId64, kinds[plan->kind], (int)zone.size, zone.data,
            plan->from_day, plan->to_day);
    if (plan->to_local_ms) fprintf(file, " narrowed to %" PRId64 "..%" PRId64, plan->from_local_ms, plan->to_local_ms);
    fprintf(file, ", now %" PRId64 ", limit %u", plan->now_ms, plan->limit);
    if (plan->kind == PLAN_SEGMENT)
        fprintf(file, ", unit %s (%u), measure %s (%g)", units[plan->unit], plan->interval_days,
                measures[plan->measure], plan->percentile);
    if (plan->kind == PLAN_FREQUENCY)
        fprintf(file, ", unit %s, active units %s", units[plan->unit], units[plan->active_unit]);
    if (plan->kind == PLAN_RETENTION)
        fprintf(file, ", unit %s (%u), %s%s, %u intervals", units[plan->unit], plan->interval_days,
                plan->retention.type == RETENTION_BIRTH ? "birth" : "compounded",
                plan->retention.unbounded ? ", unbounded" : "", plan->retention.interval_count);
    for (size_t i = 0; i < plan->retention.born_event_count; i++)
        print_expression(file, "born event", plan->retention.born_events[i]);
    print_expression(file, "born where", plan->retention.born_where);
    if (plan->kind == PLAN_FEED) fprintf(file, ", %s first", plan->order == ORDER_NEWEST_FIRST ? "newest" : "oldest");
    for (size_t i = 0; i < plan->event_count; i++) print_expression(file, "event", plan->events[i]);
    for (size_t i = 0; plan->kind == PLAN_FEED && i < plan->distinct_id_count; i++)
        print_expression(file, "id", plan->distinct_ids[i]);
    print_expression(file, "where", plan->where);
    print_expression(file, "on", plan->on);
    print_expression(file, "of", plan->of);
    print_expression(file, "by", plan->by);
    for (size_t i = 0; i < plan->label_count; i++) print_expression(file, "label", plan->labels[i]);
    if (plan->bin_count) fprintf(file, "\n  %u bins", plan->bin_count);
    fputc('\n', file);
}
