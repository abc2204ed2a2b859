/*
 * Feeds, exports and top values by hand, on a real store: order and ties, limits, people with several ids, reading in
 * pieces, stopping, budgets. A row is written as `EVENT@hour id>user`.
 */
#include "query/backend.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/civil.h"
#include "query/store_testing.h"

#define PROJECT 3
#define DAY0    19783 /* 2024-03-01 */
#define T0      (DAY0 * DAY_MS)

static struct executor *executor;
static struct plan plan;
static struct plan_limits limits;
static struct str ids[2];

static int setup(void **state)
{
    (void)state;
    testing_store_begin(1 << 20);
    executor = executor_native_new_threads(store, 2);
    ids[0] = STR("U");
    plan = (struct plan){.kind = PLAN_FEED,
                         .project = PROJECT,
                         .zone = timezone_utc(),
                         .from_day = DAY0,
                         .to_day = DAY0 + 9,
                         .distinct_ids = ids,
                         .distinct_id_count = 1,
                         .now_ms = T0};
    limits = (struct plan_limits){.memory_bytes_max = (size_t)64 << 20, .buckets_max = 100, .deadline_ns = INT64_MAX};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    executor_free(executor);
    return testing_store_end();
}

/* --- events --- */

static void send_at(const char *name, int64_t time_ms, const char *id, const char *device, const char *insert_id,
                    const char *plan_name)
{
    struct batch batch;
    struct buf record;
    struct json json = json_string(str_of(plan_name));
    batch_init(&batch, (size_t)1 << 20);
    batch_begin(&batch, PROJECT, T0 + 100 * DAY_MS + 999, IDENTITY_SIMPLIFIED, 0);
    batch_event(&batch, str_of(name), time_ms, str_of(id), str_of(device), str_of(insert_id));
    if (plan_name) assert_int_equal(batch_property(&batch, STR("plan"), &json), STATUS_OK);
    batch_event_end(&batch);
    assert_int_equal(batch_finish(&batch, &record), STATUS_OK);
    batch_fini(&batch);
    assert_int_equal(store_append_wait(store, &record), STATUS_OK);
}
static void send(const char *name, int hour, const char *id)
{
    send_at(name, T0 + hour * HOUR_MS, id, NULL, NULL, NULL);
}
static void flush(void)
{
    assert_int_equal(store_flush(store, &error), STATUS_OK);
}

/* --- questions --- */

struct text_sink {
    struct row_sink base;
    struct buf text;
    unsigned rows, stop_after;
};

static enum status take(struct row_sink *base, const struct event_row *row, struct error *unused)
{
    struct text_sink *sink = (struct text_sink *)base;
    (void)unused;
    buf_printf(&sink->text, "%s" STR_FMT "@%d " STR_FMT, sink->text.size ? ", " : "", STR_ARG(row->event),
               (int)((row->time_ms - T0) / HOUR_MS), STR_ARG(row->distinct_id));
    if (!str_eq(row->distinct_id, row->user)) buf_printf(&sink->text, ">" STR_FMT, STR_ARG(row->user));
    if (row->insert_id_sent) buf_printf(&sink->text, "#" STR_FMT, STR_ARG(row->insert_id));
    assert_int_equal(row->received_ms, T0 + 100 * DAY_MS);
    return ++sink->rows == sink->stop_after ? STATUS_UNAVAILABLE : STATUS_OK;
}

static enum status read_all(uint64_t piece, struct text_sink *sink)
{
    struct event_rows *rows;
    bool done = false;
    *sink = (struct text_sink){.base.row = take, .text = BUF_INIT(1 << 20)};
    TRY(executor->rows(executor, &plan, &limits, &error, &rows));
    enum status status = STATUS_OK;
    while (!done && status == STATUS_OK) status = event_rows_read(rows, piece, &sink->base, &error, &done);
    event_rows_free(rows);
    return status;
}

static void check_rows(int line, uint64_t piece, const char *wanted)
{
    struct text_sink sink;
    char reason[1200];
    if (read_all(piece, &sink) != STATUS_OK) fail_msg("line %d: %s", line, error_text(&error, reason, sizeof reason));
    buf_byte(&sink.text, 0);
    if (strcmp(sink.text.data, wanted) != 0) fail_msg("line %d:\n got    %s\n wanted %s", line, sink.text.data, wanted);
    buf_fini(&sink.text);
}
#define check(wanted) (check_rows(__LINE__, UINT64_MAX, (wanted)), check_rows(__LINE__, 1, (wanted)))

/* --- feeds --- */

/* Newest first is the reverse of oldest first; a limit takes the front; other people, other events and days outside the
 * range are not in it; whether rows are in memory or in files changes nothing. */
static void feeds_in_both_orders(void **state)
{
    (void)state;
    send("B", 30, "U");
    send("A", 5, "U");
    send("A", 7, "V");
    send("A", 300, "U"); /* the 13th */
    for (int flushed = 0; flushed < 2; flushed++) {
        if (flushed) flush();
        if (!flushed) send("A", 50, "U");
        plan.order = ORDER_NEWEST_FIRST;
        plan.limit = 0;
        check("A@50 U, B@30 U, A@5 U");
        plan.limit = 2;
        check("A@50 U, B@30 U");
        plan.order = ORDER_OLDEST_FIRST;
        check("A@5 U, B@30 U");
        plan.limit = 0;
        check("A@5 U, B@30 U, A@50 U");
    }
    static const struct str name = STR("A");
    plan.events = &name;
    plan.event_count = 1;
    check("A@5 U, A@50 U");
    plan.where = STR("properties[\"$time\"] > 1709280000"); /* hour 8 */
    check("A@50 U");
    plan.distinct_ids = (const struct str[]){STR("nobody")};
    check("");
}

/* Rows that were stored under a device are the user's once the two are linked, whichever id is asked by, and whatever
 * was in a file before the link. Two links in a row are followed. */
static void feeds_of_clusters(void **state)
{
    (void)state;
    send("A", 1, "$device:D");
    send("A", 2, "$device:E");
    flush();
    send_at("A", T0 + 3 * HOUR_MS, "U", "$device:D", NULL, NULL);
    send("A", 4, "$device:E"); /* sorted after the first link, before the second */
    send("A", 8, "$device:F");
    flush();
    send_at("A", T0 + 5 * HOUR_MS, "U", "$device:E", NULL, NULL);
    send_at("A", T0 + 6 * HOUR_MS, "V", "$device:G", NULL, NULL);
    send_at("A", T0 + 7 * HOUR_MS, "V", "$device:F", NULL, NULL); /* somebody else's merge */
    static const char *const wanted = "A@5 U, A@4 $device:E>U, A@3 U, A@2 $device:E>U, A@1 $device:D>U";
    check(wanted);
    ids[0] = STR("$device:E");
    check(wanted);
    flush();
    check(wanted);
    ids[1] = STR("$device:D"); /* the same person again */
    plan.distinct_id_count = 2;
    check(wanted);
    ids[1] = STR("V");
    check("A@8 $device:F>V, A@7 V, A@6 V, A@5 U, A@4 $device:E>U, A@3 U, A@2 $device:E>U, A@1 $device:D>U");
}

/* Many devices of one user: more numbers than a run has vectors, so persons are read instead of sought. */
static void feeds_of_a_crowd(void **state)
{
    (void)state;
    char device[32];
    for (int i = 0; i < 40; i++) {
        snprintf(device, sizeof device, "$device:D%02d", i);
        send("A", i, device);
        if (i % 10 == 0) send("A", i, "V");
    }
    flush();
    for (int i = 0; i < 40; i++) {
        snprintf(device, sizeof device, "$device:D%02d", i);
        send_at("B", T0 + 100 * HOUR_MS + i, "U", device, NULL, NULL);
    }
    static const struct str name = STR("A");
    plan.events = &name;
    plan.event_count = 1;
    plan.limit = 3;
    check("A@39 $device:D39>U, A@38 $device:D38>U, A@37 $device:D37>U");
    plan.limit = 0;
    struct text_sink sink;
    assert_int_equal(read_all(7, &sink), STATUS_OK);
    assert_int_equal(sink.rows, 40);
    buf_fini(&sink.text);
}

/* At the same instant: by name, by id as sent, by insert id, then in the order of arrival; also where the tie lies
 * across runs and files and the limit cuts through it. */
static void feeds_with_ties(void **state)
{
    (void)state;
    send_at("B", T0, "U", NULL, "i-1", NULL);
    send_at("A", T0, "U", NULL, "i-2", NULL);
    flush();
    send_at("A", T0, "U", NULL, "i-1", NULL);
    send_at("A", T0, "U", "$device:D", NULL, NULL);
    flush();
    send_at("A", T0, "$device:D", NULL, NULL, NULL);
    plan.order = ORDER_OLDEST_FIRST;
    check("A@0 $device:D>U, A@0 U#i-1, A@0 U#i-2, A@0 U, B@0 U#i-1");
    plan.limit = 2;
    check("A@0 $device:D>U, A@0 U#i-1");
    plan.order = ORDER_NEWEST_FIRST;
    check("B@0 U#i-1, A@0 U");
    plan.limit = 1;
    check("B@0 U#i-1");
    plan.limit = 3;
    check("B@0 U#i-1, A@0 U, A@0 U#i-2");
}

/* With a small limit the references are cut down again and again. */
static void feeds_that_are_pruned(void **state)
{
    (void)state;
    for (int i = 0; i < 60; i++) {
        send(i % 2 ? "A" : "B", 100 + (i * 37) % 60, "U");
        if (i % 7 == 0) flush();
    }
    plan.limit = 4;
    check("A@159 U, B@158 U, A@157 U, B@156 U");
    plan.order = ORDER_OLDEST_FIRST;
    check("B@100 U, A@101 U, B@102 U, A@103 U");
}

struct order_sink {
    struct row_sink base;
    uint32_t rows, text_bytes;
    int64_t last_ms;
};

static enum status check_order(struct row_sink *base, const struct event_row *row, struct error *unused)
{
    struct order_sink *sink = (struct order_sink *)base;
    (void)unused;
    if (plan.kind == PLAN_FEED) {
        assert_true(row->time_ms < sink->last_ms);
        assert_true(str_is(row->user, "U"));
    }
    sink->last_ms = row->time_ms;
    sink->rows++;
    assert_int_equal(row->property_count, 2);
    for (size_t i = 0; i < 2; i++) {
        const struct row_property *property = &row->properties[i];
        if (str_is(property->name->text, "text"))
            sink->text_bytes += property->value.size;
        else /* the number says when it was */
            assert_int_equal(property->value.integer, row->time_ms - T0);
    }
    return STATUS_OK;
}

/* More rows of one person than a block holds, between those of others, in two files and in memory: each comes once,
 * with its own properties. */
static void many_rows(void **state)
{
    (void)state;
    enum { BATCHES = 20, EACH = 2000 };
    for (int b = 0; b < BATCHES; b++) {
        struct batch batch;
        struct buf record;
        batch_init(&batch, (size_t)16 << 20);
        batch_begin(&batch, PROJECT, T0 + 100 * DAY_MS, IDENTITY_SIMPLIFIED, 0);
        for (int i = 0; i < EACH; i++) {
            char text[16];
            int64_t after_ms = (int64_t)(i * BATCHES + (b * 7) % BATCHES) * 1000;
            snprintf(text, sizeof text, "%010d", i * BATCHES + b);
            struct json number = json_int(after_ms), json = json_string(str_of(text));
            batch_event(&batch, STR("A"), T0 + after_ms, i % 2 ? STR("U") : STR("T"), STR_NULL, STR_NULL);
            assert_int_equal(batch_property(&batch, STR("number"), &number), STATUS_OK);
            assert_int_equal(batch_property(&batch, STR("text"), &json), STATUS_OK);
            batch_event_end(&batch);
        }
        assert_int_equal(batch_finish(&batch, &record), STATUS_OK);
        batch_fini(&batch);
        assert_int_equal(store_append_wait(store, &record), STATUS_OK);
        if (b == 11 || b == 15) flush();
    }
    static const enum plan_kind kinds[] = {PLAN_FEED, PLAN_EXPORT, PLAN_FEED};
    static const uint32_t wanted[] = {BATCHES * EACH / 2, BATCHES * EACH, 1500};
    for (size_t k = 0; k < 3; k++) {
        struct order_sink sink = {.base.row = check_order, .last_ms = INT64_MAX};
        struct event_rows *rows;
        bool done = false;
        plan.kind = kinds[k];
        plan.limit = k == 2 ? wanted[k] : 0;
        assert_int_equal(executor->rows(executor, &plan, &limits, &error, &rows), STATUS_OK);
        while (!done) assert_int_equal(event_rows_read(rows, 777, &sink.base, &error, &done), STATUS_OK);
        event_rows_free(rows);
        assert_int_equal(sink.rows, wanted[k]);
        assert_int_equal(sink.text_bytes, wanted[k] * 10);
        /* the batches of 75 odd numbers, from 1999 down */
        if (k == 2) assert_int_equal(sink.last_ms, T0 + INT64_C(1851) * BATCHES * 1000);
    }
}

/* --- exports --- */

/* Everything once, in windows of time; events of nobody too; the limit counts rows that match. */
static void exports(void **state)
{
    (void)state;
    plan.kind = PLAN_EXPORT;
    check("");
    send("A", 1, "U");
    flush();
    send("A", 300, "U");
    send("B", 2, "");
    send_at("A", T0, "V", NULL, "x", "pro");
    struct text_sink sink;
    assert_int_equal(read_all(1, &sink), STATUS_OK);
    assert_int_equal(sink.rows, 3);
    buf_fini(&sink.text);
    plan.where = STR("properties[\"plan\"] == \"pro\"");
    check("A@0 V#x");
    plan.where = STR("defined(distinct_id)"); /* of nothing */
    check("");
    plan.unknown_names_refused = true;
    assert_int_equal(read_all(1, &sink), STATUS_INVALID);
    assert_true(error.column > 0);
    buf_fini(&sink.text);
    plan.unknown_names_refused = false;
    plan.where = STR_NULL;
    plan.limit = 2;
    assert_int_equal(read_all(5, &sink), STATUS_OK);
    assert_int_equal(sink.rows, 2);
    buf_fini(&sink.text);
}

struct sum_sink {
    struct row_sink base;
    uint64_t rows, sum;
    size_t wide_bytes;
    _Atomic bool *cancel_after; /* half of the rows */
    uint64_t all;
};

static enum status add_up(struct row_sink *base, const struct event_row *row, struct error *unused)
{
    struct sum_sink *sink = (struct sum_sink *)base;
    (void)unused;
    assert_int_equal(row->property_count, 3);
    int64_t number = -1;
    for (size_t i = 0; i < 3; i++) {
        const struct row_property *property = &row->properties[i];
        if (str_is(property->name->text, "number")) number = property->value.integer;
    }
    for (size_t i = 0; i < 3; i++) {
        const struct row_property *property = &row->properties[i];
        struct str text = value_text(property->value);
        char wanted[32];
        snprintf(wanted, sizeof wanted, "%010d", (int)(number / 1000));
        if (str_is(property->name->text, "text")) assert_true(str_eq(text, str_of(wanted)));
        if (!str_is(property->name->text, "wide")) continue;
        sink->wide_bytes += text.size;
        for (size_t b = 0; b < text.size; b += 997) assert_int_equal(text.data[b], 'a' + number / 1000 % 26);
    }
    assert_int_equal(row->time_ms, T0 + number);
    assert_true(str_eq(row->distinct_id, number / 1000 % 3 ? STR("U") : STR("V")));
    sink->sum += (uint64_t)number * (uint64_t)number;
    if (++sink->rows == sink->all / 2 && sink->cancel_after) atomic_store(sink->cancel_after, true);
    return STATUS_OK;
}

static void send_wide(int first, int count, int step_s, size_t wide)
{
    struct batch batch;
    struct buf record;
    char *bytes = malloc(wide + 1);
    assert_non_null(bytes);
    batch_init(&batch, (size_t)64 << 20);
    batch_begin(&batch, PROJECT, T0 + 100 * DAY_MS, IDENTITY_SIMPLIFIED, 0);
    for (int i = first; i < first + count; i++) {
        char text[16];
        int second = i * step_s;
        snprintf(text, sizeof text, "%010d", second);
        memset(bytes, 'a' + second % 26, wide);
        struct json number = json_int(second * 1000LL), json = json_string(str_of(text));
        struct json long_text = json_string(str_from(bytes, wide));
        batch_event(&batch, i % 2 ? STR("A") : STR("B"), T0 + second * 1000LL, second % 3 ? STR("U") : STR("V"),
                    STR_NULL, STR_NULL);
        assert_int_equal(batch_property(&batch, STR("number"), &number), STATUS_OK);
        assert_int_equal(batch_property(&batch, STR("text"), &json), STATUS_OK);
        assert_int_equal(batch_property(&batch, STR("wide"), &long_text), STATUS_OK);
        batch_event_end(&batch);
    }
    assert_int_equal(batch_finish(&batch, &record), STATUS_OK);
    batch_fini(&batch);
    free(bytes);
    assert_int_equal(store_append_wait(store, &record), STATUS_OK);
}

static struct sum_sink add_up_export(struct executor *by, uint64_t piece)
{
    struct sum_sink sink = {.base.row = add_up};
    struct event_rows *rows;
    bool done = false;
    assert_int_equal(by->rows(by, &plan, &limits, &error, &rows), STATUS_OK);
    while (!done) assert_int_equal(event_rows_read(rows, piece, &sink.base, &error, &done), STATUS_OK);
    event_rows_free(rows);
    return sink;
}

/* Many batches: few rows of each vector, all of them, rows so wide that batches are full before their time, by one
 * thread and by several, read in pieces: always the same rows, each whole. */
static void exports_in_batches(void **state)
{
    (void)state;
    enum { NARROW = 30000, WIDE = 300, STEP_S = 20 };
    struct executor *others[] = {executor_native_new_threads(store, 1), executor_native_new_threads(store, 4)};
    for (int i = 0; i < NARROW; i += 3000) {
        send_wide(i, 3000, STEP_S, 10);
        if (i == NARROW / 2) flush();
    }
    for (int i = 0; i < WIDE; i += 15) send_wide(NARROW + i, 15, STEP_S, 40000);
    plan.kind = PLAN_EXPORT;
    for (int part = 0; part < 4; part++) {
        uint64_t rows = NARROW + WIDE, sum = 0, first = 0;
        plan.where = STR_NULL;
        if (part == 1) { /* one day of seven */
            plan.from_day = plan.to_day = DAY0 + 2;
            first = 2 * 86400 / STEP_S;
            rows = 86400 / STEP_S;
        }
        if (part >= 2) {
            plan.from_day = DAY0;
            plan.to_day = DAY0 + 9;
        }
        if (part == 2) plan.where = STR("properties[\"number\"] >= 600000000");
        if (part == 2) first = NARROW;
        if (part == 2) rows = WIDE;
        for (uint64_t i = first; i < first + rows; i++) sum += (i * STEP_S * 1000) * (i * STEP_S * 1000);
        if (part == 3) plan.limit = 777;
        for (int k = 0; k < 6; k++) {
            struct sum_sink sink = add_up_export(k % 3 ? others[k % 3 - 1] : executor, k == 0  ? 1
                                                                                       : k < 3 ? 1000
                                                                                               : UINT64_MAX);
            assert_int_equal(sink.rows, part == 3 ? 777 : rows);
            if (part != 3) assert_true(sink.sum == sum);
            if (part == 2) assert_int_equal(sink.wide_bytes, WIDE * 40000);
        }
    }
    executor_free(others[0]);
    executor_free(others[1]);
}

struct day_sink {
    struct row_sink base;
    uint64_t rows, sum;
    int64_t day;
    unsigned days;
};

static enum status follow_days(struct row_sink *base, const struct event_row *row, struct error *unused)
{
    struct day_sink *sink = (struct day_sink *)base;
    int64_t day = floor_div(timezone_to_local_ms(plan.zone, row->time_ms), DAY_MS);
    (void)unused;
    if (plan.by_day) assert_true(day >= sink->day);
    if (day != sink->day) sink->days++;
    sink->day = day;
    sink->rows++;
    sink->sum += (uint64_t)(row->time_ms - T0 + DAY_MS) * 1000003 % 999983;
    return STATUS_OK;
}

static struct day_sink read_days(struct executor *by, bool by_day, uint64_t piece)
{
    struct day_sink sink = {.base.row = follow_days, .day = INT64_MIN};
    struct event_rows *rows;
    bool done = false;
    plan.by_day = by_day;
    assert_int_equal(by->rows(by, &plan, &limits, &error, &rows), STATUS_OK);
    while (!done) assert_int_equal(event_rows_read(rows, piece, &sink.base, &error, &done), STATUS_OK);
    event_rows_free(rows);
    return sink;
}

/* Day by day: the same rows, each in its day, though people's rows lie together in wide windows; also where a day has
 * 23 hours, and of the first days when there is a limit. */
static void exports_by_day(void **state)
{
    (void)state;
    enum { ROWS = 43200, STEP_S = 20 }; /* ten days */
    static const char *const zones[] = {"UTC", "America/New_York", "Australia/Lord_Howe"};
    struct executor *one = executor_native_new_threads(store, 1);
    for (int i = 0; i < ROWS; i += 2400) {
        send_wide(i, 2400, STEP_S, 10);
        if (i == ROWS / 2 / 2400 * 2400) flush();
    }
    plan.kind = PLAN_EXPORT;
    for (size_t z = 0; z < 3; z++) {
        assert_int_equal(timezone_load(str_of(zones[z]), &error, &plan.zone), STATUS_OK);
        for (int narrow = 0; narrow < 2; narrow++) {
            plan.from_day = DAY0 + (narrow ? 3 : -2);
            plan.to_day = DAY0 + (narrow ? 5 : 12);
            plan.where = narrow ? STR("properties[\"number\"] % 3 == 0") : STR_NULL;
            struct day_sink any = read_days(executor, false, UINT64_MAX), sorted = read_days(executor, true, 100);
            struct day_sink alone = read_days(one, true, UINT64_MAX);
            assert_true(any.rows > 1000 && any.rows == sorted.rows && any.sum == sorted.sum);
            assert_true(alone.rows == sorted.rows && alone.sum == sorted.sum);
            assert_int_equal(sorted.days, narrow ? 3 : z ? 11 : 10);
        }
        plan.where = STR_NULL;
        plan.from_day = DAY0 - 2;
        plan.limit = 5000;
        struct day_sink first = read_days(executor, true, UINT64_MAX);
        assert_int_equal(first.rows, 5000);
        assert_true(first.days < 9);
        plan.limit = 0;
    }
    plan.by_day = false;
    executor_free(one);
}

/* Cancelled while rows are on their way: the rest does not come, also when other threads are at it. Who stops reading
 * just frees. */
static void exports_are_cancelled_in_the_middle(void **state)
{
    (void)state;
    enum { ROWS = 20000 };
    struct executor *others[] = {executor_native_new_threads(store, 1), executor_native_new_threads(store, 4)};
    for (int i = 0; i < ROWS; i += 4000) send_wide(i, 4000, 20, 10);
    flush();
    plan.kind = PLAN_EXPORT;
    for (int k = 0; k < 6; k++) {
        _Atomic bool cancelled = false;
        struct executor *by = k % 3 ? others[k % 3 - 1] : executor;
        struct sum_sink sink = {.base.row = add_up, .all = ROWS, .cancel_after = &cancelled};
        struct event_rows *rows;
        bool done = false;
        limits.cancelled = &cancelled;
        assert_int_equal(by->rows(by, &plan, &limits, &error, &rows), STATUS_OK);
        if (k < 3) {
            assert_int_equal(event_rows_read(rows, UINT64_MAX, &sink.base, &error, &done), STATUS_CANCELLED);
            assert_true(sink.rows >= ROWS / 2 && sink.rows < ROWS);
        } else {
            assert_int_equal(event_rows_read(rows, 3000, &sink.base, &error, &done), STATUS_OK);
            assert_false(done);
        }
        event_rows_free(rows);
    }
    limits.cancelled = NULL;
    executor_free(others[0]);
    executor_free(others[1]);
}

/* A sink that says stop ends the read with its word, and the next read goes on behind the row that it got, also when
 * the store has changed meanwhile. */
static void sinks_stop(void **state)
{
    (void)state;
    static const enum plan_kind kinds[] = {PLAN_FEED, PLAN_EXPORT};
    for (int i = 0; i < 3; i++) send("A", i, "U");
    for (size_t k = 0; k < 2; k++) {
        struct text_sink sink = {.base.row = take, .text = BUF_INIT(1 << 20), .stop_after = 2};
        struct event_rows *rows;
        bool done = false;
        plan.kind = kinds[k];
        plan.order = ORDER_OLDEST_FIRST;
        assert_int_equal(executor->rows(executor, &plan, &limits, &error, &rows), STATUS_OK);
        assert_int_equal(event_rows_read(rows, UINT64_MAX, &sink.base, &error, &done), STATUS_UNAVAILABLE);
        assert_int_equal(sink.rows, 2);
        send("A", 20, "U");
        flush();
        assert_int_equal(event_rows_read(rows, 0, &sink.base, NULL, &done), STATUS_OK);
        assert_false(done);
        assert_int_equal(event_rows_read(rows, UINT64_MAX, &sink.base, NULL, &done), STATUS_OK);
        assert_true(done);
        buf_byte(&sink.text, 0);
        assert_string_equal(sink.text.data, k ? "A@0 U, A@1 U, A@2 U, A@20 U" : "A@0 U, A@1 U, A@2 U");
        buf_fini(&sink.text);
        event_rows_free(rows);
    }
}

/* A flag, a deadline, and too little memory end a run with what was wrong. */
static void runs_end(void **state)
{
    (void)state;
    static const enum plan_kind kinds[] = {PLAN_FEED, PLAN_EXPORT};
    struct text_sink sink;
    _Atomic bool cancelled = true;
    for (int i = 0; i < 3; i++) send("A", i, "U");
    for (size_t k = 0; k < 2; k++) {
        plan.kind = kinds[k];
        limits.cancelled = &cancelled;
        assert_int_equal(read_all(1, &sink), STATUS_CANCELLED);
        buf_fini(&sink.text);
        limits.cancelled = NULL;
        limits.deadline_ns = 1;
        assert_int_equal(read_all(1, &sink), STATUS_CANCELLED);
        buf_fini(&sink.text);
        limits.deadline_ns = INT64_MAX;
        limits.memory_bytes_max = 100;
        assert_int_equal(read_all(1, &sink), STATUS_LIMIT);
        buf_fini(&sink.text);
        limits.memory_bytes_max = (size_t)64 << 20;
    }
}

/* --- top values --- */

static void check_top(int line, const char *wanted)
{
    struct top_values result;
    struct buf text = BUF_INIT(1 << 20);
    char reason[1200];
    if (executor->top_values(executor, &plan, &limits, &error, &result) != STATUS_OK)
        fail_msg("line %d: %s", line, error_text(&error, reason, sizeof reason));
    buf_printf(&text, "%u:", result.label_count);
    for (uint32_t i = 0; i < result.value_count; i++)
        buf_printf(&text, " " STR_FMT " %d", STR_ARG(result.values[i].label), (int)result.values[i].count);
    buf_byte(&text, 0);
    if (strcmp(text.data, wanted) != 0) fail_msg("line %d:\n got    %s\n wanted %s", line, text.data, wanted);
    buf_fini(&text);
    top_values_free(&result);
}

/* Events without a value are left out, also where a text is spelt `undefined`; ties by label; from dictionaries or not
 * is the same. */
static void top_values(void **state)
{
    (void)state;
    plan.kind = PLAN_TOP_VALUES;
    plan.on = STR("plan");
    plan.limit = 10;
    check_top(__LINE__, "0:");
    send_at("A", T0, "U", NULL, NULL, "pro");
    send_at("A", T0, "V", NULL, NULL, "pro");
    send_at("A", T0, "V", NULL, NULL, "free");
    send_at("B", T0, "V", NULL, NULL, "basic");
    send_at("A", T0, "V", NULL, NULL, "undefined");
    send_at("A", T0, "V", NULL, NULL, NULL);
    for (int flushed = 0; flushed < 2; flushed++) {
        if (flushed) flush();
        plan.limit = 10;
        check_top(__LINE__, "4: pro 2 basic 1 free 1 undefined 1");
        plan.limit = 2;
        check_top(__LINE__, "4: pro 2 basic 1");
        plan.where = STR("properties[\"distinct_id\"] == \"V\"");
        plan.limit = 10;
        check_top(__LINE__, "4: basic 1 free 1 pro 1 undefined 1");
        plan.where = STR_NULL;
    }
    plan.to_day = plan.from_day - 1;
    struct top_values result;
    assert_int_equal(executor->top_values(executor, &plan, &limits, &error, &result), STATUS_INVALID);
}

/* An estimate counts the rows of the runs that overlap the range. */
static void estimates(void **state)
{
    (void)state;
    struct plan_cost cost;
    for (int i = 0; i < 5; i++) send("A", i, i % 2 ? "U" : "V");
    send("B", 1, "V");
    plan.kind = PLAN_EXPORT;
    assert_int_equal(executor->estimate(executor, &plan, &error, &cost), STATUS_OK);
    assert_int_equal(cost.rows, 6);
    assert_true(cost.bytes >= cost.rows * 8);
    static const struct str name = STR("A");
    plan.events = &name;
    plan.event_count = 1;
    assert_int_equal(executor->estimate(executor, &plan, NULL, &cost), STATUS_OK);
    assert_int_equal(cost.rows, 5);
    plan.kind = PLAN_FEED;
    assert_int_equal(executor->estimate(executor, &plan, NULL, &cost), STATUS_OK);
    assert_int_equal(cost.rows, 3); /* 5 rows of 2 people */
    plan.kind = PLAN_SEGMENT;
    plan.where = STR("(");
    assert_int_equal(executor->estimate(executor, &plan, &error, &cost), STATUS_INVALID);
    assert_true(error.column > 0);
}

struct json_sink {
    struct row_sink base;
    struct buf text;
};

static enum status write_json(struct row_sink *base, const struct event_row *row, struct error *unused)
{
    struct buf *text = &((struct json_sink *)base)->text;
    (void)unused;
    assert_true(plan.rows_as_json ? row->json.data && !row->property_count : !row->json.data);
    buf_printf(text, "%lld " STR_FMT, (long long)row->time_ms, STR_ARG(row->distinct_id));
    buf_str_add(text, row->json);
    for (size_t i = 0; i < row->property_count; i++) {
        buf_byte(text, ',');
        json_write_str(text, row->properties[i].name->text);
        buf_byte(text, ':');
        value_write_json(text, row->properties[i].value);
    }
    buf_byte(text, '\n');
    return STATUS_OK;
}

/* Properties of all kinds: few texts that need escapes, numbers, what only a person has, lists, what is mostly absent.
 */
static void send_kinds(int first, int count)
{
    static const char *const words[] = {"plain", "\"quoted\"", "line\nbreak", "M\xc3\xbcnchen", "<b>", ""};
    struct batch batch;
    struct buf record;
    batch_init(&batch, (size_t)64 << 20);
    batch_begin(&batch, PROJECT, T0 + 100 * DAY_MS, IDENTITY_SIMPLIFIED, 0);
    for (int i = first; i < first + count; i++) {
        char id[16];
        snprintf(id, sizeof id, "U%d", i % 40);
        struct json word = json_string(str_of(words[i * 7 % 6])), traits = json_string(str_of(words[i % 40 % 5]));
        struct json price = json_number((i * 37 % 10000) / 100.0), list = JSON_ARRAY_EMPTY, rare = json_int(i);
        struct json name = json_string(str_of(id));
        batch_event(&batch, i % 3 ? STR("A") : STR("B"), T0 + i * 60000LL, str_of(id), STR_NULL, STR_NULL);
        if (i % 5) assert_int_equal(batch_property(&batch, STR("a \"word\""), &word), STATUS_OK);
        assert_int_equal(batch_property(&batch, STR("trait"), &traits), STATUS_OK);
        if (i % 7) assert_int_equal(batch_property(&batch, STR("price"), &price), STATUS_OK);
        if (i % 11 == 0) assert_int_equal(batch_property(&batch, STR("list"), &list), STATUS_OK);
        if (i % 500 == 0) assert_int_equal(batch_property(&batch, STR("rare"), &rare), STATUS_OK);
        if (i % 3 == 0) assert_int_equal(batch_property(&batch, STR("who"), &name), STATUS_OK);
        batch_event_end(&batch);
    }
    assert_int_equal(batch_finish(&batch, &record), STATUS_OK);
    batch_fini(&batch);
    assert_int_equal(store_append_wait(store, &record), STATUS_OK);
}

/* Rows as JSON say what the properties say, in exports and feeds, from memory and from files. */
static void rows_as_json(void **state)
{
    (void)state;
    static const struct str people[] = {STR("U1"), STR("U2"), STR("U39")};
    plan.to_day = DAY0 + 20;
    for (int part = 0; part < 3; part++) {
        send_kinds(part * 5000, 5000);
        if (part != 1) flush();
        for (int feed = 0; feed < 2; feed++) {
            struct json_sink sinks[2];
            plan.kind = feed ? PLAN_FEED : PLAN_EXPORT;
            plan.distinct_ids = people;
            plan.distinct_id_count = 3;
            for (int i = 0; i < 2; i++) {
                struct event_rows *rows;
                bool done = false;
                plan.rows_as_json = i;
                sinks[i] = (struct json_sink){{write_json}, BUF_INIT((size_t)64 << 20)};
                assert_int_equal(executor->rows(executor, &plan, &limits, &error, &rows), STATUS_OK);
                while (!done) assert_int_equal(event_rows_read(rows, 1000, &sinks[i].base, &error, &done), STATUS_OK);
                event_rows_free(rows);
            }
            assert_true(sinks[0].text.size > 1000);
            assert_true(str_eq(buf_str(&sinks[0].text), buf_str(&sinks[1].text)));
            buf_fini(&sinks[0].text);
            buf_fini(&sinks[1].text);
        }
    }
}

/* An event with `kinds` properties, of which each row has one and a text of many. */
static void send_odd(int count, int kinds)
{
    struct batch batch;
    struct buf record;
    batch_init(&batch, (size_t)64 << 20);
    batch_begin(&batch, PROJECT, T0 + 100 * DAY_MS, IDENTITY_SIMPLIFIED, 0);
    for (int i = 0; i < count; i++) {
        char name[16], word[32];
        snprintf(name, sizeof name, "p%d", i % kinds);
        snprintf(word, sizeof word, "word number %d", i % 700);
        struct json number = json_int(i), text = json_string(str_of(word));
        batch_event(&batch, STR("Odd"), T0 + i * 1000LL, i % 3 ? STR("U") : STR("V"), STR_NULL, STR_NULL);
        assert_int_equal(batch_property(&batch, str_of(name), &number), STATUS_OK);
        assert_int_equal(batch_property(&batch, STR("text"), &text), STATUS_OK);
        batch_event_end(&batch);
    }
    assert_int_equal(batch_finish(&batch, &record), STATUS_OK);
    batch_fini(&batch);
    assert_int_equal(store_append_wait(store, &record), STATUS_OK);
}

/* With less and less memory: all rows as they are with much, or a beginning of them and LIMIT. Rows of 40 kB fill their
 * batches, the event with very many properties is too large for helpers; with little the texts of values are not kept.
 */
static void exports_in_little_memory(void **state)
{
    (void)state;
    struct executor *by[] = {executor_native_new_threads(store, 1), executor_native_new_threads(store, 4)};
    struct buf whole = BUF_INIT((size_t)64 << 20);
    unsigned complete = 0, cut = 0;
    send_odd(6000, 1500);
    for (int i = 0; i < 60; i += 15) send_wide(i, 15, 60, 40000);
    send_kinds(0, 5000);
    flush();
    plan.kind = PLAN_EXPORT;
    plan.to_day = DAY0 + 20;
    plan.rows_as_json = true;
    for (size_t kilobytes = 64 << 10; kilobytes >= 64; kilobytes /= 2) {
        for (int threads = 0; threads < 2; threads++) {
            struct json_sink sink = {{write_json}, BUF_INIT((size_t)64 << 20)};
            struct event_rows *rows = NULL;
            bool done = false;
            limits.memory_bytes_max = kilobytes << 10;
            enum status status = by[threads]->rows(by[threads], &plan, &limits, &error, &rows);
            while (status == STATUS_OK && !done) status = event_rows_read(rows, 1000, &sink.base, &error, &done);
            event_rows_free(rows);
            if (!whole.size) buf_str_add(&whole, buf_str(&sink.text));
            if (status == STATUS_OK)
                assert_true(str_eq(buf_str(&sink.text), buf_str(&whole)));
            else
                assert_true(status == STATUS_LIMIT && str_starts(buf_str(&whole), buf_str(&sink.text)));
            *(status == STATUS_OK ? &complete : &cut) += 1;
            buf_fini(&sink.text);
        }
    }
    assert_true(whole.size > 60 * 40000);
    assert_true(complete >= 8 && cut >= 2);
    buf_fini(&whole);
    executor_free(by[0]);
    executor_free(by[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(feeds_in_both_orders, setup, teardown),
        cmocka_unit_test_setup_teardown(feeds_of_clusters, setup, teardown),
        cmocka_unit_test_setup_teardown(feeds_of_a_crowd, setup, teardown),
        cmocka_unit_test_setup_teardown(feeds_with_ties, setup, teardown),
        cmocka_unit_test_setup_teardown(feeds_that_are_pruned, setup, teardown),
        cmocka_unit_test_setup_teardown(many_rows, setup, teardown),
        cmocka_unit_test_setup_teardown(exports, setup, teardown),
        cmocka_unit_test_setup_teardown(exports_in_batches, setup, teardown),
        cmocka_unit_test_setup_teardown(exports_by_day, setup, teardown),
        cmocka_unit_test_setup_teardown(exports_are_cancelled_in_the_middle, setup, teardown),
        cmocka_unit_test_setup_teardown(rows_as_json, setup, teardown),
        cmocka_unit_test_setup_teardown(exports_in_little_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(sinks_stop, setup, teardown),
        cmocka_unit_test_setup_teardown(runs_end, setup, teardown),
        cmocka_unit_test_setup_teardown(top_values, setup, teardown),
        cmocka_unit_test_setup_teardown(estimates, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
