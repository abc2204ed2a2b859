/*
 * Segmentation by hand, on a real store: small sets of events whose answers can be told by looking. An answer
 * is written as `label b1 b2 …; label b1 b2 …`, with the number of labels in front where it is more than what
 * is shown.
 */
#include "query/backend.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/civil.h"
#include "query/store_testing.h"

#define WAL_FILE_BYTES (1 << 20)

#define PROJECT 3
#define DAY0    19783 /* 2024-03-01, a Friday */
#define T0      (DAY0 * DAY_MS)

static struct executor *executor;
static struct plan plan;
static struct str event_name;
static struct plan_limits limits;

static void open_store(void)
{
    testing_store_open(WAL_FILE_BYTES);
    executor = executor_native_new(store);
}

static int setup(void **state)
{
    (void)state;
    testing_store_begin(WAL_FILE_BYTES);
    executor = executor_native_new(store);
    event_name = STR("A");
    plan = (struct plan){.kind = PLAN_SEGMENT,
                         .project = PROJECT,
                         .zone = timezone_utc(),
                         .from_day = DAY0,
                         .to_day = DAY0 + 2,
                         .unit = UNIT_DAY,
                         .events = &event_name,
                         .event_count = 1,
                         .limit = 60,
                         .now_ms = T0};
    limits = (struct plan_limits){.memory_bytes_max = (size_t)64 << 20, .buckets_max = 10000, .deadline_ns = INT64_MAX};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    executor_free(executor);
    return testing_store_end();
}

/* --- events --- */

struct sent {
    const char *name;
    int hour; /* after T0 */
    const char *id, *device, *insert_id;
    const char *properties; /* JSON object or NULL */
};

static void add(struct batch *batch, struct arena *arena, const struct sent *event)
{
    batch_event(batch, str_of(event->name), T0 + event->hour * HOUR_MS, str_of(event->id), str_of(event->device),
                str_of(event->insert_id));
    if (event->properties) {
        struct json json;
        assert_int_equal(json_parse(arena, str_of(event->properties), NULL, NULL, &json), STATUS_OK);
        for (size_t i = 0; i < json.object.count; i++) {
            const struct json_member *member = &json.object.members[i];
            assert_int_equal(batch_property(batch, member->key, &member->value), STATUS_OK);
        }
    }
    batch_event_end(batch);
}

static void send(const struct sent *events, size_t count, unsigned flags)
{
    struct batch batch;
    struct buf record;
    struct arena *arena = arena_new((size_t)64 << 20);
    batch_init(&batch, (size_t)16 << 20);
    batch_begin(&batch, PROJECT, T0 + 100 * DAY_MS, IDENTITY_SIMPLIFIED, flags);
    for (size_t i = 0; i < count; i++) add(&batch, arena, &events[i]);
    assert_int_equal(batch_finish(&batch, &record), STATUS_OK);
    batch_fini(&batch);
    assert_int_equal(store_append_wait(store, &record), STATUS_OK);
    arena_free(arena);
}
#define SEND(...)                                                                                                      \
    do {                                                                                                               \
        const struct sent events_[] = {__VA_ARGS__};                                                                   \
        send(events_, sizeof events_ / sizeof *events_, 0);                                                            \
    } while (0)

/* --- questions --- */

static enum status run(char *text, size_t size)
{
    struct segmentation result;
    struct buf buf = BUF_INIT(size - 1);
    enum status status = executor->segment(executor, &plan, &limits, &error, &result);
    if (status != STATUS_OK) return status;
    if (!result.by_count && result.label_count != result.series_count) buf_printf(&buf, "%u: ", result.label_count);
    for (uint32_t i = 0; i < result.series_count; i++) {
        buf_printf(&buf, "%s" STR_FMT, i ? "; " : "", STR_ARG(result.series[i].label));
        if (result.by_count) buf_printf(&buf, "/" STR_FMT, STR_ARG(result.by[i % result.by_count]));
        for (uint32_t b = 0; b < result.bucket_count; b++) {
            double number;
            if (series_number(&result.series[i], b, &number))
                buf_printf(&buf, " %g", number);
            else
                buf_lit(&buf, " -");
        }
    }
    assert_int_equal(buf_status(&buf), STATUS_OK);
    if (buf.size) memcpy(text, buf.data, buf.size);
    text[buf.size] = 0;
    buf_fini(&buf);
    segmentation_free(&result);
    return STATUS_OK;
}

static void check_answer(int line, const char *wanted)
{
    static char text[65536];
    char reason[1200];
    if (run(text, sizeof text) != STATUS_OK) fail_msg("line %d: %s", line, error_text(&error, reason, sizeof reason));
    if (strcmp(text, wanted) != 0) fail_msg("line %d:\n got    %s\n wanted %s", line, text, wanted);
}
#define check(wanted) check_answer(__LINE__, (wanted))

static void on(const char *text)
{
    plan.on = str_of(text);
}
static void where(const char *text)
{
    plan.where = str_of(text);
}

/* --- people --- */

/* The example of docs/api/identity.md: eight events, two people, whether the rows are in memory or in files.
 */
static void two_people_of_the_example(void **state)
{
    (void)state;
    SEND({"A", 1, "$device:D1", NULL, NULL, NULL}, {"A", 2, "U1", "$device:D1", NULL, NULL},
         {"A", 3, "$device:D1", NULL, NULL, NULL}, {"A", 4, "$device:D2", NULL, NULL, NULL});
    plan.measure = MEASURE_UNIQUE;
    check("A 2 0 0");
    SEND({"A", 5, "U1", "$device:D2", NULL, NULL}, {"A", 26, "U2", "$device:D1", NULL, NULL},
         {"A", 27, "$device:D1", NULL, NULL, NULL}, {"A", 28, "U2", NULL, NULL, NULL});
    check("A 1 2 0");
    on("distinct_id");
    check("U1 1 1 0; U2 0 1 0");
    plan.measure = MEASURE_COUNT;
    check("U1 5 1 0; U2 0 2 0");
    on("$identity_failure_reason");
    check("undefined 5 2 0; errAnonDistinctIdAssignedAlready 0 1 0");
    assert_int_equal(store_flush(store, &error), STATUS_OK);
    check("undefined 5 2 0; errAnonDistinctIdAssignedAlready 0 1 0");
    on("distinct_id");
    check("U1 5 1 0; U2 0 2 0");
}

/* A link counts for what came before it, in files that were written before it too. */
static void links_reach_back(void **state)
{
    (void)state;
    SEND({"A", 1, "$device:D1", NULL, NULL, NULL}, {"A", 2, "$device:D2", NULL, NULL, NULL},
         {"A", 30, "U1", NULL, NULL, NULL});
    assert_int_equal(store_flush(store, &error), STATUS_OK);
    plan.measure = MEASURE_UNIQUE;
    plan.unit = UNIT_MONTH;
    check("A 3");
    struct buf record = BUF_INIT(4096);
    assert_int_equal(record_link(&record, PROJECT, T0, IDENTITY_SIMPLIFIED, LINK_CREATE, STR("$device:D1"), STR("U1")),
                     STATUS_OK);
    assert_int_equal(store_append_wait(store, &record), STATUS_OK);
    check("A 2");
    SEND({"B", 3, "U1", "$device:D2", NULL, NULL}); /* another event links as well */
    check("A 1");
    plan.unit = UNIT_DAY;
    check("A 1 1 0"); /* a month is not the sum of its days */
    executor_free(executor);
    store_close(store);
    open_store();
    check("A 1 1 0");
}

/* average: events by people; 0 where there are none, though there are events. */
static void averages(void **state)
{
    (void)state;
    SEND({"A", 1, "U1", NULL, NULL, NULL}, {"A", 1, "U1", NULL, NULL, NULL}, {"A", 2, "U2", NULL, NULL, NULL},
         {"A", 3, NULL, NULL, NULL, NULL}, {"A", 26, NULL, NULL, NULL, NULL}, {"A", 50, "U2", NULL, NULL, NULL});
    plan.measure = MEASURE_AVERAGE;
    check("A 2 0 1");
    plan.measure = MEASURE_COUNT;
    check("A 4 1 1");
    plan.measure = MEASURE_UNIQUE;
    check("A 2 0 1");
}

/* --- labels --- */

/* Many more labels than `limit`: the largest are chosen by events, whatever is measured, ties by their bytes.
 */
static void more_labels_than_the_limit(void **state)
{
    (void)state;
    enum { LABELS = 300 };
    struct sent events[1000];
    static char properties[LABELS][32], ids[7][8];
    size_t count = 0;
    for (int i = 0; i < LABELS; i++) {
        snprintf(properties[i], sizeof properties[i], "{\"p\":\"l%03d\"}", i);
        int times = i == 250 ? 9 : i == 17 ? 6 : i == 100 || i == 20 || i == 299 ? 4 : 1;
        for (int k = 0; k < times; k++) {
            snprintf(ids[k % 7], sizeof ids[0], "U%d", k % 7);
            /* The label with the most events has one person only. */
            events[count++] = (struct sent){"A", k * 7, i == 250 ? "U0" : ids[k % 7], NULL, NULL, properties[i]};
        }
    }
    send(events, count / 2, 0);
    assert_int_equal(store_flush(store, &error), STATUS_OK);
    send(events + count / 2, count - count / 2, 0);
    on("p");
    plan.limit = 4;
    check("300: l250 4 3 2; l017 4 2 0; l020 4 0 0; l100 4 0 0");
    plan.measure = MEASURE_UNIQUE;
    check("300: l250 1 1 1; l017 4 2 0; l020 4 0 0; l100 4 0 0");
    plan.measure = MEASURE_AVERAGE;
    check("300: l250 4 3 2; l017 1 1 0; l020 1 0 0; l100 1 0 0");
    plan.measure = MEASURE_COUNT;
    plan.limit = 1;
    check("300: l250 4 3 2");
    where("properties[\"p\"] in [\"l299\", \"l100\", \"l020\"]");
    check("3: l020 4 0 0");
    plan.limit = 3; /* as many as there are: one pass */
    check("l020 4 0 0; l100 4 0 0; l299 4 0 0");
}

/* The choice among too many labels is made of all rows, not of those seen when they became too many. */
static void late_labels_win(void **state)
{
    (void)state;
    struct sent events[400];
    static char properties[100][32];
    size_t count = 0;
    for (int i = 0; i < 100; i++) {
        snprintf(properties[i], sizeof properties[i], "{\"p\":[%d,\"x\"]}", i);
        events[count++] = (struct sent){"A", 1, NULL, NULL, NULL, properties[i]};
    }
    for (int i = 0; i < 5; i++) events[count++] = (struct sent){"A", 25, NULL, NULL, NULL, "{\"p\":[99,99,\"99\"]}"};
    send(events, count, 0);
    on("properties[\"p\"]");
    plan.limit = 2;
    check("101: x 100 0 0; 99 1 5 0");
}

/* Values that print alike share a label, and its people are counted once. */
static void labels_that_look_alike(void **state)
{
    (void)state;
    SEND({"A", 1, "U1", NULL, NULL, "{\"p\":1}"}, {"A", 2, "U1", NULL, NULL, "{\"p\":\"1\"}"},
         {"A", 3, "U2", NULL, NULL, "{\"p\":[1,\"1\",1.0]}"}, {"A", 4, "U1", NULL, NULL, "{\"p\":true}"},
         {"A", 5, "U1", NULL, NULL, "{\"p\":\"true\"}"});
    on("p");
    check("1 3 0 0; true 2 0 0");
    plan.measure = MEASURE_UNIQUE;
    check("1 2 0 0; true 1 0 0");
}

static void lists_nulls_and_absence(void **state)
{
    (void)state;
    SEND({"A", 1, NULL, NULL, NULL, "{\"p\":[\"a\",\"b\",\"a\",null]}"}, {"A", 2, NULL, NULL, NULL, "{\"p\":[]}"},
         {"A", 3, NULL, NULL, NULL, "{\"p\":null}"}, {"A", 4, NULL, NULL, NULL, NULL},
         {"A", 5, NULL, NULL, NULL, "{\"p\":\"a\"}"}, {"A", 6, NULL, NULL, NULL, "{\"p\":[[1,2],{\"k\":\"v\"}]}"},
         {"A", 7, NULL, NULL, NULL, "{\"p\":\"undefined\"}"});
    on("p");
    check("undefined 3 0 0; a 2 0 0; null 2 0 0; [1,2] 1 0 0; b 1 0 0; {\"k\":\"v\"} 1 0 0");
    on("len(properties[\"p\"])");
    check("undefined 2 0 0; 0 1 0 0; 1 1 0 0; 2 1 0 0; 4 1 0 0; 9 1 0 0");
    on("undefined");
    check("undefined 7 0 0");
}

/* --- labels that are given, ranges of numbers, pairs --- */

static const struct sent orders[] = {
    {"A", 1, "U1", NULL, NULL, "{\"price\":20.5,\"plan\":\"pro\",\"tags\":[\"x\",\"y\"],\"sizes\":[1,2.5,\"s\"]}"},
    {"A", 2, "U2", NULL, NULL, "{\"price\":29.99,\"plan\":\"pro\",\"tags\":\"x\",\"sizes\":[]}"},
    {"A", 3, "U1", NULL, NULL, "{\"price\":30,\"plan\":\"free\",\"tags\":[]}"},
    {"A", 26, "U1", NULL, NULL, "{\"price\":30.0,\"plan\":\"free\",\"tags\":\"y\",\"sizes\":2.5}"},
    {"A", 27, "U3", NULL, NULL, "{\"price\":\"25\",\"plan\":null}"},
    {"A", 28, NULL, NULL, NULL, "{\"price\":61,\"plan\":\"pro\",\"tags\":[\"y\",\"y\"]}"},
};

static void send_orders(bool in_files)
{
    send(orders, 3, 0);
    if (in_files) assert_int_equal(store_flush(store, &error), STATUS_OK);
    send(orders + 3, 3, 0);
    if (in_files) assert_int_equal(store_flush(store, &error), STATUS_OK);
}

static void ask_for_ranges(void)
{
    on("properties[\"price\"]");
    plan.bin_count = 5;
    check("20 - 30 2 0 0; 30 - 40 1 1 0; 60 - 70 0 1 0");
    plan.measure = MEASURE_UNIQUE;
    check("20 - 30 2 0 0; 30 - 40 1 1 0; 60 - 70 0 0 0");
    plan.measure = MEASURE_AVERAGE;
    check("20 - 30 1 0 0; 30 - 40 1 1 0; 60 - 70 0 0 0");
    plan.measure = MEASURE_COUNT;
    plan.bin_count = 2;
    check("0 - 50 3 1 0; 50 - 100 0 1 0");
    on("number(properties[\"price\"])");
    check("0 - 50 3 2 0; 50 - 100 0 1 0");
    where("properties[\"plan\"] == \"free\"");
    check("30 - 40 1 1 0"); /* one number: a power of ten */
    where("false");
    check("");
    where(NULL);
    plan.bin_count = 12;
    on("sizes");
    check("1 - 1.2 1 0 0; 2.4 - 2.6 1 1 0");
    on("plan");
    check("");
    on("event[\"$event_name\"] + 1");
    check("");
    on("7");
    check("7 - 8 3 3 0");
    on("[7, 12, 12.5]");
    check("7 - 7.5 3 3 0; 12 - 12.5 3 3 0; 12.5 - 13 3 3 0");
    plan.unit = UNIT_RANGE;
    on("price");
    plan.measure = MEASURE_SUM;
    plan.of = STR("price");
    check("20 - 25 20.5; 25 - 30 29.99; 30 - 35 60; 60 - 65 61");
}

static void ranges_of_numbers(void **state)
{
    (void)state;
    send_orders(false);
    ask_for_ranges();
}
static void ranges_of_numbers_in_files(void **state)
{
    (void)state;
    send_orders(true);
    ask_for_ranges();
}

/* Whole vectors of decimals and of integers that some rows do not have: as codes, and with their extent from heads. */
enum { MANY = 5000, MANY_BINS = 11 };
static int cents_of(int i)
{
    return i * 37 % 4001;
}
static int number_of(int i)
{
    return i * 31 % 2003 - 1000;
}

static void check_many(int line, const char *property, bool numbers, bool filtered, bool users)
{
    struct segmentation result;
    static unsigned counts[MANY_BINS][3];
    static bool seen[MANY_BINS][3][50];
    char reason[1200];
    memset(counts, 0, sizeof counts);
    memset(seen, 0, sizeof seen);
    for (int i = 0; i < MANY; i++) {
        int day = i % 60 / 24, user = i % 50, bin = numbers ? (number_of(i) + 1000) / 200 : cents_of(i) / 500;
        if ((numbers && i % 5 == 0) || (filtered && i % 3) || (users && seen[bin][day][user])) continue;
        seen[bin][day][user] = true;
        counts[bin][day]++;
    }
    plan.measure = users ? MEASURE_UNIQUE : MEASURE_COUNT;
    on(property);
    where(filtered ? "properties[\"third\"] == true" : NULL);
    if (executor->segment(executor, &plan, &limits, &error, &result) != STATUS_OK)
        fail_msg("line %d: %s", line, error_text(&error, reason, sizeof reason));
    uint32_t s = 0;
    for (int bin = 0; bin < MANY_BINS; bin++) {
        if (!(counts[bin][0] + counts[bin][1] + counts[bin][2])) continue; /* left out */
        assert_true(s < result.series_count);
        for (uint32_t b = 0; b < 3; b++) {
            if (result.series[s].counts[b] == counts[bin][b]) continue;
            fail_msg("line %d: " STR_FMT " has %llu instead of %u on day %u", line, STR_ARG(result.series[s].label),
                     (unsigned long long)result.series[s].counts[b], counts[bin][b], b);
        }
        s++;
    }
    assert_int_equal(s, result.series_count);
    segmentation_free(&result);
}

static void ranges_of_many_numbers(void **state)
{
    (void)state;
    static struct sent events[MANY];
    static char properties[MANY][64], ids[MANY][8];
    for (int i = 0; i < MANY; i++) {
        int size = snprintf(properties[i], sizeof properties[i], "{\"price\":%d.%02d,\"third\":%s", cents_of(i) / 100,
                            cents_of(i) % 100, i % 3 ? "false" : "true");
        snprintf(properties[i] + size, sizeof properties[i] - (size_t)size, i % 5 ? ",\"n\":%d}" : "}", number_of(i));
        snprintf(ids[i], sizeof ids[i], "U%d", i % 50);
        events[i] = (struct sent){"A", i % 60, ids[i], NULL, NULL, properties[i]};
    }
    send(events, MANY, 0);
    plan.bin_count = 12;
    for (int file = 0; file < 2; file++) {
        for (int mode = 0; mode < 4; mode++) {
            check_many(__LINE__, "price", false, mode & 1, mode & 2);
            check_many(__LINE__, "n", true, mode & 1, mode & 2);
            check_many(__LINE__, "properties[\"price\"] + 0", false, mode & 1, mode & 2); /* row by row */
        }
        assert_int_equal(store_flush(store, &error), STATUS_OK);
    }
    on("price");
    where("properties[\"third\"] == 5"); /* a column of numbers, and none that counts */
    check("");
    where("properties[\"price\"] > 7");
    plan.bin_count = 1000;
    plan.measure = MEASURE_COUNT;
    plan.unit = UNIT_RANGE;
    struct segmentation result;
    assert_int_equal(executor->segment(executor, &plan, &limits, &error, &result), STATUS_OK);
    uint64_t total = 0, wanted = 0;
    for (uint32_t s = 0; s < result.series_count; s++) total += result.series[s].counts[0];
    for (int i = 0; i < MANY; i++) wanted += cents_of(i) > 700;
    assert_int_equal(total, wanted);
    assert_true(result.series_count > 600); /* of 0.05 */
    segmentation_free(&result);
}

/* By tags: x 2, y 3, undefined 2. */
static void ask_for_pairs(void)
{
    on("plan");
    plan.by = STR("tags");
    check("pro/y 1 1 0; pro/undefined 0 0 0; pro/x 2 0 0; free/y 0 1 0; free/undefined 1 0 0; free/x 0 0 0; "
          "null/y 0 0 0; null/undefined 0 1 0; null/x 0 0 0");
    plan.limit = 2;
    check("pro/y 1 1 0; pro/undefined 0 0 0; free/y 0 1 0; free/undefined 1 0 0");
    plan.measure = MEASURE_UNIQUE;
    check("pro/y 1 0 0; pro/undefined 0 0 0; free/y 0 1 0; free/undefined 1 0 0");
    plan.measure = MEASURE_SUM;
    plan.of = STR("price");
    check("pro/y 20.5 61 0; pro/undefined 0 0 0; free/y 0 30 0; free/undefined 30 0 0");
    plan.measure = MEASURE_COUNT;
    plan.by = STR("properties[\"price\"] > 29");
    plan.unit = UNIT_RANGE;
    check("pro/true 2; pro/false 1; free/true 2; free/false 0");
    on("sizes"); /* a list by a list */
    plan.by = STR("tags");
    plan.limit = 60;
    check(
        "undefined/y 1; undefined/undefined 2; undefined/x 1; 2.5/y 2; 2.5/undefined 0; 2.5/x 1; 1/y 1; 1/undefined 0; "
        "1/x 1; s/y 1; s/undefined 0; s/x 1");
    on("missing");
    where("false");
    check("");
}

static void pairs_of_labels(void **state)
{
    (void)state;
    send_orders(false);
    ask_for_pairs();
}
static void pairs_of_labels_in_files(void **state)
{
    (void)state;
    send_orders(true);
    ask_for_pairs();
}

static void labels_that_are_given(void **state)
{
    (void)state;
    static const struct str wanted[] = {STR("free"), STR("none"), STR("null")}, numbers[] = {STR("30"), STR("61")};
    send_orders(true);
    on("plan");
    plan.labels = wanted;
    plan.label_count = 3;
    check("free 1 1 0; null 0 1 0");
    plan.limit = 1;
    check("2: free 1 1 0");
    plan.limit = 60;
    on("price");
    plan.labels = numbers;
    plan.label_count = 2;
    plan.measure = MEASURE_UNIQUE;
    check("30 1 1 0; 61 0 0 0");
    on("$event_name");
    plan.labels = &event_name;
    plan.label_count = 1;
    plan.measure = MEASURE_COUNT;
    check("A 3 3 0");
}

static void ranges_narrowed_to_minutes(void **state)
{
    (void)state;
    send_orders(true);
    plan.unit = UNIT_RANGE;
    plan.from_local_ms = T0 + 2 * HOUR_MS;
    plan.to_local_ms = T0 + 26 * HOUR_MS + 60000;
    check("A 3");
    plan.to_local_ms -= 60000;
    check("A 2");
    plan.measure = MEASURE_UNIQUE;
    check("A 2");
}

static void check_properties(int line, const char *wanted)
{
    struct top_values result;
    struct buf buf = BUF_INIT(65536);
    char reason[1200];
    if (executor->top_values(executor, &plan, &limits, &error, &result) != STATUS_OK)
        fail_msg("line %d: %s", line, error_text(&error, reason, sizeof reason));
    buf_printf(&buf, "%u:", result.label_count);
    for (uint32_t i = 0; i < result.value_count; i++)
        buf_printf(&buf, " " STR_FMT " %llu", STR_ARG(result.values[i].label),
                   (unsigned long long)result.values[i].count);
    if (!str_eq(buf_str(&buf), str_of(wanted)))
        fail_msg("line %d:\n got    " STR_FMT "\n wanted %s", line, STR_ARG(buf_str(&buf)), wanted);
    buf_fini(&buf);
    top_values_free(&result);
}

/* From what runs know, and from rows where some do not count. */
static void properties_of_events(void **state)
{
    (void)state;
    send_orders(true);
    SEND({"B", 5, "U1", NULL, NULL, "{\"only\":1}"}, {"A", 80, "U1", NULL, NULL, "{\"late\":1}"});
    plan.kind = PLAN_PROPERTIES;
    check_properties(__LINE__, "4: plan 6 price 6 tags 5 sizes 3");
    plan.limit = 2;
    check_properties(__LINE__, "4: plan 6 price 6");
    plan.limit = 60;
    plan.to_day = DAY0; /* cuts a run */
    check_properties(__LINE__, "4: plan 3 price 3 tags 3 sizes 2");
    plan.to_day = DAY0 + 10;
    where("properties[\"price\"] >= 30");
    check_properties(__LINE__, "4: plan 3 price 3 tags 3 sizes 1");
    where(NULL);
    plan.event_count = 0;
    check_properties(__LINE__, "6: plan 6 price 6 tags 5 sizes 3 late 1 only 1");
    plan.from_local_ms = T0 + 26 * HOUR_MS;
    plan.to_local_ms = T0 + 28 * HOUR_MS;
    check_properties(__LINE__, "4: plan 2 price 2 sizes 1 tags 1");
}

/* --- which events --- */

static void zeros_and_nothing(void **state)
{
    (void)state;
    check("A 0 0 0");
    on("p");
    check("");
    on(NULL);
    SEND({"A", -1, NULL, NULL, NULL, NULL}, {"A", 0, NULL, NULL, NULL, NULL}, {"A", 71, NULL, NULL, NULL, NULL},
         {"A", 72, NULL, NULL, NULL, NULL}, {"B", 30, NULL, NULL, NULL, NULL});
    check("A 1 0 1");
    event_name = STR("never");
    check("never 0 0 0");
    plan.event_count = 0;
    check("$any_event 1 1 1");
    on("$event_name");
    check("A 1 0 1; B 0 1 0");
    plan.project = PROJECT + 1;
    check("");
}

/* Facts of an event that are not stored as properties. */
static void facts_of_events(void **state)
{
    (void)state;
    static const struct sent imported = {"A", 30, NULL, NULL, "i2", NULL};
    SEND({"A", 1, "$device:D", NULL, "i1", NULL}, {"A", 2, "U", "$device:D", NULL, NULL});
    send(&imported, 1, BATCH_IMPORT);
    on("properties[\"$time\"]");
    check("1709254800 1 0 0; 1709258400 1 0 0; 1709359200 0 1 0");
    on("distinct_id");
    check("U 2 0 0;  0 1 0");
    on("mp_processing_time_ms");
    check("1717891200000 2 1 0");
    on("properties[\"$import\"]");
    check("undefined 2 0 0; true 0 1 0");
    on("if(len(properties[\"$insert_id\"]) == 16, \"made\", properties[\"$insert_id\"])");
    check("i1 1 0 0; i2 0 1 0; made 1 0 0");
}

/* A newer event with the same four fields replaces the older one, across files; the older one raises no
 * errors either. */
static void replaced_events_are_gone(void **state)
{
    (void)state;
    SEND({"A", 1, "U", NULL, "i1", "{\"p\":\"old\"}"}, {"A", 2, "U", NULL, "i1", "{\"p\":true}"},
         {"A", 1, "V", NULL, "i1", "{\"p\":false}"});
    assert_int_equal(store_flush(store, &error), STATUS_OK);
    on("p");
    check("false 1 0 0; old 1 0 0; true 1 0 0");
    SEND({"A", 1, "U", NULL, "i1", "{\"p\":null}"});
    check("false 1 0 0; null 1 0 0; true 1 0 0");
    on("properties[\"p\"] and true");
    check("false 2 0 0; true 1 0 0");
    on(NULL);
    where("properties[\"p\"] or false");
    check("A 1 0 0");
}

/* `and` on a number is an error only where the row counts: not outside the range, and not in `on` where
 * `where` drops the row. */
static void errors_of_rows(void **state)
{
    (void)state;
    char text[64];
    SEND({"A", 1, NULL, NULL, NULL, "{\"p\":true}"}, {"A", 80, NULL, NULL, NULL, "{\"p\":5}"},
         {"B", 1, NULL, NULL, NULL, "{\"p\":5}"});
    for (int round = 0; round < 2; round++) {
        on("properties[\"p\"] and true");
        check("true 1 0 0");
        where("properties[\"p\"] and true");
        check("true 1 0 0");
        plan.event_count = 0;
        assert_int_equal(run(text, sizeof text), STATUS_INVALID);
        assert_int_equal(error.column, 1);
        assert_true(str_starts(str_of(error.primary), STR("where: ")));
        where("$event_name == \"A\"");
        check(""); /* a bare name is undefined in `where` */
        where("properties[\"$event_name\"] == \"A\"");
        check("true 1 0 0");
        where(NULL);
        assert_int_equal(run(text, sizeof text), STATUS_INVALID);
        assert_true(str_starts(str_of(error.primary), STR("on: ")));
        plan.event_count = 1;
        assert_int_equal(store_flush(store, &error), STATUS_OK);
    }
}

/* Also where the row is nobody's, and people are counted. */
static void errors_of_nobody(void **state)
{
    (void)state;
    char text[64];
    SEND({"A", 1, NULL, NULL, NULL, "{\"p\":[],\"q\":1}"}, {"A", 2, "U", NULL, NULL, "{\"p\":true}"},
         {"A", 30, "U", NULL, NULL, "{\"p\":true}"});
    plan.measure = MEASURE_UNIQUE;
    where("properties[\"p\"] or boolean(properties[\"q\"])");
    assert_int_equal(run(text, sizeof text), STATUS_INVALID);
    limits.buckets_max = 100000; /* so many are not counted in 16 bits */
    plan.unit = UNIT_MINUTE;
    plan.to_day = DAY0 + 29;
    assert_int_equal(run(text, sizeof text), STATUS_INVALID);
    plan.unit = UNIT_DAY;
    plan.to_day = DAY0 + 2;
    where("boolean(properties[\"q\"]) or properties[\"p\"]");
    check("A 1 1 0");
}

static void faulty_texts(void **state)
{
    (void)state;
    char text[64];
    where("1 +");
    assert_int_equal(run(text, sizeof text), STATUS_INVALID);
    assert_int_equal(error.column, 4);
    where(NULL);
    on("properties[");
    assert_int_equal(run(text, sizeof text), STATUS_INVALID);
    assert_int_equal(error.column, 12);
    on("");
    assert_int_equal(run(text, sizeof text), STATUS_INVALID);
    on(NULL);
    plan.from_day = plan.to_day + 1;
    assert_int_equal(run(text, sizeof text), STATUS_INVALID);
}

/* --- size --- */

/* More rows than one vector, in memory and in files, in hours of a zone with half an hour. */
static void many_rows(void **state)
{
    (void)state;
    enum { ROWS = 5000 };
    struct sent *events = calloc(ROWS, sizeof *events);
    static char properties[10][32], ids[97][8];
    for (int i = 0; i < 10; i++) snprintf(properties[i], sizeof properties[i], "{\"n\":%d,\"s\":\"s%d\"}", i, i % 3);
    for (int i = 0; i < 97; i++) snprintf(ids[i], sizeof ids[i], "U%d", i);
    for (int i = 0; i < ROWS; i++) events[i] = (struct sent){"A", i % 72, ids[i % 97], NULL, NULL, properties[i % 10]};
    send(events, 2000, 0);
    assert_int_equal(store_flush(store, &error), STATUS_OK);
    send(events + 2000, ROWS - 2000, 0);
    free(events);
    check("A 1680 1664 1656");
    where("properties[\"n\"] == 3 and properties[\"s\"] == \"s0\"");
    plan.unit = UNIT_MONTH;
    check("A 500");
    where(NULL);
    plan.measure = MEASURE_UNIQUE;
    check("A 97");
    plan.measure = MEASURE_COUNT;
    on("properties[\"n\"] * 10 + len(properties[\"s\"])");
    plan.limit = 2;
    check("10: 12 500; 2 500");
}

/* Budgets end a query; they do not end the process, and the next query is answered. */
static void budgets(void **state)
{
    (void)state;
    static char properties[2000][128];
    struct sent *events = calloc(2000, sizeof *events);
    char text[64];
    for (int i = 0; i < 2000; i++) {
        snprintf(properties[i], sizeof properties[i], "{\"p\":\"%0100d\"}", i);
        events[i] = (struct sent){"A", 1, "U", NULL, NULL, properties[i]};
    }
    send(events, 2000, 0);
    free(events);
    on("p");
    size_t enough = limits.memory_bytes_max;
    limits.memory_bytes_max = 150000;
    assert_int_equal(run(text, sizeof text), STATUS_LIMIT);
    limits.memory_bytes_max = enough;
    limits.buckets_max = 2;
    assert_int_equal(run(text, sizeof text), STATUS_LIMIT);
    limits.buckets_max = 3;
    limits.deadline_ns = 1;
    assert_int_equal(run(text, sizeof text), STATUS_CANCELLED);
    limits.deadline_ns = INT64_MAX;
    static const _Atomic bool cancelled = true;
    limits.cancelled = &cancelled;
    assert_int_equal(run(text, sizeof text), STATUS_CANCELLED);
    limits.cancelled = NULL;
    on(NULL);
    check("A 2000 0 0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(two_people_of_the_example, setup, teardown),
        cmocka_unit_test_setup_teardown(links_reach_back, setup, teardown),
        cmocka_unit_test_setup_teardown(averages, setup, teardown),
        cmocka_unit_test_setup_teardown(more_labels_than_the_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(late_labels_win, setup, teardown),
        cmocka_unit_test_setup_teardown(labels_that_look_alike, setup, teardown),
        cmocka_unit_test_setup_teardown(lists_nulls_and_absence, setup, teardown),
        cmocka_unit_test_setup_teardown(ranges_of_numbers, setup, teardown),
        cmocka_unit_test_setup_teardown(ranges_of_numbers_in_files, setup, teardown),
        cmocka_unit_test_setup_teardown(ranges_of_many_numbers, setup, teardown),
        cmocka_unit_test_setup_teardown(pairs_of_labels, setup, teardown),
        cmocka_unit_test_setup_teardown(pairs_of_labels_in_files, setup, teardown),
        cmocka_unit_test_setup_teardown(labels_that_are_given, setup, teardown),
        cmocka_unit_test_setup_teardown(ranges_narrowed_to_minutes, setup, teardown),
        cmocka_unit_test_setup_teardown(properties_of_events, setup, teardown),
        cmocka_unit_test_setup_teardown(zeros_and_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(facts_of_events, setup, teardown),
        cmocka_unit_test_setup_teardown(replaced_events_are_gone, setup, teardown),
        cmocka_unit_test_setup_teardown(errors_of_rows, setup, teardown),
        cmocka_unit_test_setup_teardown(errors_of_nobody, setup, teardown),
        cmocka_unit_test_setup_teardown(faulty_texts, setup, teardown),
        cmocka_unit_test_setup_teardown(many_rows, setup, teardown),
        cmocka_unit_test_setup_teardown(budgets, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
