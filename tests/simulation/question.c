/* Plans, asked of the engine and of the reference evaluator. */
#include "simulation/world.h"

#include "base/hash.h"
#include "base/timezone.h"
#include "os/clock.h"
#include "os/sim_threads.h"

#include <inttypes.h>
#include <stdlib.h>

#define MEMORY ((size_t)64 << 20)

struct question {
    struct plan plan;
    struct buf where, on;
    struct str event, ids[2];
    uint64_t piece; /* of a feed or an export: rows that are read at a time */
};

/* The feed of some ids, or an export, instead of a question about numbers. */
static void make_feed(struct world *w, struct question *q)
{
    bool feed = once_in(w, 2);
    q->plan = (struct plan){.kind = feed ? PLAN_FEED : PLAN_EXPORT,
                            .project = q->plan.project,
                            .from_day = q->plan.from_day,
                            .to_day = q->plan.to_day,
                            .events = q->plan.events,
                            .event_count = q->plan.event_count,
                            .where = q->plan.where,
                            .now_ms = q->plan.now_ms};
    q->piece = 1 + draw(w, once_in(w, 2) ? 5 : 1000);
    if (!feed) return;
    for (unsigned i = 0; i < 2; i++)
        q->ids[i] = str_of(once_in(w, 2) ? generate_user(&w->generator) : generate_device(&w->generator));
    q->plan.distinct_ids = q->ids;
    q->plan.distinct_id_count = 1 + draw(w, 2);
    q->plan.order = once_in(w, 2) ? ORDER_NEWEST_FIRST : ORDER_OLDEST_FIRST;
    q->plan.limit = once_in(w, 2) ? 0 : 1 + (uint32_t)draw(w, 20);
}

static void question_init(struct world *w, struct question *q, unsigned side)
{
    static const unsigned spans[] = {[UNIT_MINUTE] = 1,  [UNIT_HOUR] = 5,  [UNIT_DAY] = 40,  [UNIT_WEEK] = 60,
                                     [UNIT_MONTH] = 100, [UNIT_DAYS] = 50, [UNIT_RANGE] = 50};
    struct generator *g = &w->generator;
    int64_t today = os_now_ms() / 86400000;
    *q = (struct question){.where = BUF_INIT(1 << 16), .on = BUF_INIT(1 << 16)};
    q->event = once_in(w, 3) ? STR("mark") : str_of(generate_event_name(g));
    q->plan = (struct plan){.kind = PLAN_SEGMENT,
                            .project = w->sides[side].project,
                            .unit = (enum plan_unit)draw(w, 7),
                            .interval_days = 1 + (unsigned)draw(w, 9),
                            .measure = (enum plan_measure)draw(w, 3),
                            .events = &q->event,
                            .event_count = once_in(w, 4) ? 0 : 1,
                            .limit = 1 + (uint32_t)draw(w, 30),
                            .now_ms = os_now_ms()};
    if (q->plan.unit == UNIT_MINUTE && !once_in(w, 4)) q->plan.unit = UNIT_DAY;
    if (w->swarm.late && once_in(w, 4)) today -= 5 * 365;
    q->plan.from_day = today - (int64_t)draw(w, spans[q->plan.unit]);
    q->plan.to_day = today + 1;
    if (once_in(w, 2)) {
        generate_where(g, &q->where);
        q->plan.where = q->where.size ? buf_str(&q->where) : STR("");
    }
    if (once_in(w, 2)) {
        generate_on(g, &q->on);
        q->plan.on = q->on.size ? buf_str(&q->on) : STR("");
    }
    if (q->plan.on.data && once_in(w, 4) && w->executor->top_values) q->plan.kind = PLAN_TOP_VALUES;
    if (w->swarm.feeds && once_in(w, 3)) make_feed(w, q);
    if (timezone_load(str_of(generate_place(g).zone), NULL, &q->plan.zone) != STATUS_OK) abort();
}

static void question_fini(struct question *q)
{
    buf_fini(&q->where);
    buf_fini(&q->on);
}

/* --- whole events --- */

struct lines {
    struct row_sink base;
    struct arena *arena;
    struct str *items;
    size_t count, capacity;
};

static enum status take_row(struct row_sink *base, const struct event_row *row, struct error *error)
{
    struct lines *lines = (struct lines *)base;
    struct buf line = BUF_INIT(1 << 20), value = BUF_INIT(1 << 20);
    uint64_t properties = 0;
    (void)error;
    for (size_t i = 0; i < row->property_count; i++) {
        buf_reset(&value);
        value_write_json(&value, row->properties[i].value);
        properties += hash_u64(hash_str(row->properties[i].name->text), hash_str(buf_str(&value)));
    }
    buf_printf(&line, STR_FMT " at %" PRId64 " received %" PRId64 " of " STR_FMT ", " STR_FMT ", insert id ",
               STR_ARG(row->event), row->time_ms, row->received_ms, STR_ARG(row->distinct_id), STR_ARG(row->user));
    buf_str_add(&line, row->insert_id_sent ? row->insert_id : STR("none"));
    buf_printf(&line, ", properties %016" PRIx64, properties);
    if (lines->count == lines->capacity) {
        lines->capacity = lines->capacity ? lines->capacity * 2 : 64;
        lines->items = realloc(lines->items, lines->capacity * sizeof *lines->items);
        if (!lines->items) abort();
    }
    lines->items[lines->count] = arena_str(lines->arena, buf_str(&line));
    if (!lines->items[lines->count++].data || line.failed || value.failed) abort();
    buf_fini(&line);
    buf_fini(&value);
    return STATUS_OK;
}

static int by_text(const void *a, const void *b)
{
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

static enum status read_rows(struct executor *executor, const struct question *q, const struct plan_limits *limits,
                             struct error *error, struct buf *out)
{
    struct event_rows *rows;
    struct lines lines = {.base.row = take_row};
    bool done = false;
    TRY(executor->rows(executor, &q->plan, limits, error, &rows));
    enum status status = STATUS_OK;
    lines.arena = arena_new(MEMORY);
    while (!done && status == STATUS_OK) status = event_rows_read(rows, q->piece, &lines.base, error, &done);
    event_rows_free(rows);
    if (q->plan.kind == PLAN_EXPORT && lines.count) qsort(lines.items, lines.count, sizeof *lines.items, by_text);
    buf_printf(out, "%zu events", lines.count);
    for (size_t i = 0; i < lines.count; i++) buf_printf(out, "; " STR_FMT, STR_ARG(lines.items[i]));
    free(lines.items);
    arena_free(lines.arena);
    return status;
}

static enum status ask(struct world *w, struct executor *executor, const struct question *q, struct error *error,
                       struct buf *out)
{
    static const struct plan_limits limits = {
        .memory_bytes_max = MEMORY, .buckets_max = 100000, .deadline_ns = INT64_MAX};
    struct segmentation result;
    struct top_values top;
    w->report->counts.questions++;
    if (q->plan.kind == PLAN_FEED || q->plan.kind == PLAN_EXPORT) {
        w->report->counts.feeds++;
        return read_rows(executor, q, &limits, error, out);
    }
    if (q->plan.kind == PLAN_TOP_VALUES) {
        TRY(executor->top_values(executor, &q->plan, &limits, error, &top));
        buf_printf(out, "%u labels", top.label_count);
        for (uint32_t i = 0; i < top.value_count; i++) {
            buf_lit(out, "; ");
            json_write_str(out, top.values[i].label);
            buf_printf(out, " %" PRIu64, top.values[i].count);
        }
        top_values_free(&top);
        return STATUS_OK;
    }
    TRY(executor->segment(executor, &q->plan, &limits, error, &result));
    buf_printf(out, "%u labels, buckets", result.label_count);
    for (uint32_t b = 0; b < result.bucket_count; b++) buf_printf(out, " " STR_FMT, STR_ARG(result.buckets[b]));
    for (uint32_t i = 0; i < result.series_count; i++) {
        buf_lit(out, "; ");
        json_write_str(out, result.series[i].label);
        for (uint32_t b = 0; b < result.bucket_count; b++) {
            double number = 0;
            bool there = series_number(&result.series[i], b, &number);
            buf_printf(out, there ? " %.17g" : " none", number);
        }
    }
    segmentation_free(&result);
    return STATUS_OK;
}

void question_compare(struct world *w, unsigned side)
{
    struct question q;
    struct error error = ERROR_INIT, ignored = ERROR_INIT;
    struct buf engine = BUF_INIT((size_t)1 << 26), reference = BUF_INIT((size_t)1 << 26);
    question_init(w, &q, side);
    model_feed(w, &w->sides[side]);
    enum status expected = ask(w, w->sides[side].executor, &q, &ignored, &reference);
    enum status status = ask(w, w->executor, &q, &error, &engine);
    if (status == STATUS_OK && expected == STATUS_OK) {
        sim_threads_note(hash_str(buf_str(&engine)));
        if (!str_eq(buf_str(&engine), buf_str(&reference)))
            fail(w,
                 "project %u, event " STR_FMT ", where " STR_FMT ", on " STR_FMT ": the engine says %.*s, the "
                 "reference %.*s",
                 side, STR_ARG(q.plan.event_count ? q.event : STR("(any)")), STR_ARG(q.plan.where), STR_ARG(q.plan.on),
                 (int)(engine.size < 250 ? engine.size : 250), engine.data,
                 (int)(reference.size < 250 ? reference.size : 250), reference.data);
    } else if (status == STATUS_OK && !(q.plan.kind == PLAN_FEED && q.plan.limit)) { /* nobody looks behind a limit */
        fail(w, "the engine answers what is refused (%s): where " STR_FMT ", on " STR_FMT ": %.*s", ignored.primary,
             STR_ARG(q.plan.where), STR_ARG(q.plan.on), (int)(engine.size < 250 ? engine.size : 250), engine.data);
    } else if (status != STATUS_OK && status != STATUS_UNSUPPORTED &&
               (status != STATUS_INVALID || expected == STATUS_OK)) {
        fail_unless_excused(w, "a question failed", status, &error);
    }
    buf_fini(&engine);
    buf_fini(&reference);
    question_fini(&q);
}

void question_ask(struct world *w, unsigned side)
{
    struct question q;
    struct error error = ERROR_INIT;
    struct buf engine = BUF_INIT((size_t)1 << 26);
    question_init(w, &q, side);
    enum status status = ask(w, w->executor, &q, &error, &engine);
    if (status != STATUS_OK && status != STATUS_INVALID && status != STATUS_UNSUPPORTED)
        fail_unless_excused(w, "a question failed", status, &error);
    buf_fini(&engine);
    question_fini(&q);
}
