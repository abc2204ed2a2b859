/*
 * People in parts: a window that has more rows than a section takes consists of several, cut from one order of persons,
 * and who is in one of them is in no other, unless somebody has more rows than a section. Counted again and again while
 * rows come late, are replaced, and change hands, and compared with counting by hand.
 */
#include "query/backend.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/civil.h"
#include "base/hash.h"
#include "query/store_testing.h"
#include "store/delete_record.h"

#define PROJECT 3
#define DAY0    19786 /* 2024-03-04, a Monday; a window of 32 days ends in the middle of the days that follow */
#define DAYS    35
#define USERS   50
#define DEVICES 30 /* come behind the users */
#define BUSY    7  /* this user has more rows than a section */
#define LINKED  40 /* only users below are linked with devices */
#define ROWS    3000
#define NAMES   3
#define GONE    NAMES /* instead of a name */
#define SETS    4     /* of labels; the last is that of rows without */

static struct row {
    int name, who, hour, number, set;
} rows[2 * ROWS];
static int row_count, owner[USERS + DEVICES];
static uint64_t seed, draws;
static struct executor *executors[2];

static int below(int limit)
{
    return (int)(hash_u64(draws++, seed) % (uint64_t)limit);
}

static void open_store(void)
{
    testing_store_open(1 << 20);
    executors[0] = executor_native_new_threads(store, 1);
    executors[1] = executor_native_new_threads(store, 3);
}

static void close_executors(void)
{
    for (size_t i = 0; i < 2; i++) executor_free(executors[i]);
}

/* --- what happens --- */

static void send_row(struct batch *batch, int i)
{
    static const char *const sets[] = {"x", "y", "z"};
    char who[24], insert_id[24], name[2] = {(char)('A' + rows[i].name), 0};
    const struct row *row = &rows[i];
    snprintf(who, sizeof who, row->who < USERS ? "U%d" : "$device:D%d", row->who);
    snprintf(insert_id, sizeof insert_id, "i%d", i);
    batch_event(batch, str_of(name), DAY0 * DAY_MS + row->hour * HOUR_MS, str_of(who), STR_NULL, str_of(insert_id));
    struct json number = json_int(row->number), set;
    assert_int_equal(batch_property(batch, STR("n"), &number), STATUS_OK);
    if (row->set < SETS - 1) {
        set = json_string(str_of(sets[row->set]));
        assert_int_equal(batch_property(batch, STR("s"), &set), STATUS_OK);
    }
    batch_event_end(batch);
}

static void send(const int *which, int count)
{
    struct batch batch;
    struct buf record;
    batch_init(&batch, (size_t)16 << 20);
    batch_begin(&batch, PROJECT, (DAY0 + 100) * DAY_MS, IDENTITY_SIMPLIFIED, 0);
    for (int i = 0; i < count; i++) send_row(&batch, which[i]);
    assert_int_equal(batch_finish(&batch, &record), STATUS_OK);
    batch_fini(&batch);
    assert_int_equal(store_append_wait(store, &record), STATUS_OK);
}

/* New rows, of which some have a label that belongs to the person, and others any. */
static void happen(int count)
{
    static int which[ROWS];
    for (int i = 0; i < count; i++) {
        int who = below(8) == 0 ? BUSY : below(USERS + DEVICES);
        rows[row_count] = (struct row){.name = below(5) ? 0 : below(NAMES),
                                       .who = who,
                                       .hour = below(DAYS * 24),
                                       .number = below(10),
                                       .set = below(6) ? who % SETS : below(SETS)};
        which[i] = row_count++;
    }
    send(which, count);
}

/* Rows that come again with other properties: the older ones are gone. */
static void happen_again(int count)
{
    int which[ROWS];
    for (int i = 0; i < count; i++) {
        do which[i] = below(row_count);
        while (rows[which[i]].name == GONE);
        rows[which[i]].number = below(10);
        rows[which[i]].set = below(SETS);
    }
    send(which, count);
}

static void link_device(int device, int user)
{
    struct buf record = BUF_INIT(4096);
    char texts[2][24];
    if (owner[device] != device) return;
    snprintf(texts[0], sizeof texts[0], "$device:D%d", device);
    snprintf(texts[1], sizeof texts[1], "U%d", user);
    assert_int_equal(record_link(&record, PROJECT, DAY0 * DAY_MS, IDENTITY_SIMPLIFIED, LINK_CREATE, str_of(texts[0]),
                                 str_of(texts[1])),
                     STATUS_OK);
    assert_int_equal(store_append_wait(store, &record), STATUS_OK);
    owner[device] = user;
}

/* Of somebody who was linked with nobody: no row comes instead of those that go. */
static void forget(int user)
{
    struct buf record = BUF_INIT(4096);
    struct store_deletion deletion;
    char text[24];
    snprintf(text, sizeof text, "U%d", user);
    assert_int_equal(record_delete_person(&record, PROJECT, 0, (struct str[]){str_of(text)}, 1), STATUS_OK);
    assert_int_equal(store_delete(store, PROJECT, 0, &record, &error, &deletion), STATUS_OK);
    for (int i = 0; i < row_count; i++) {
        if (rows[i].who == user) rows[i].name = GONE;
    }
}

static void flush(void)
{
    assert_int_equal(store_flush(store, &error), STATUS_OK);
}

static void compact(void)
{
    flush();
    assert_int_equal(store_compact_wait(store, &error), STATUS_OK);
}

static uint64_t section_count(void)
{
    struct store_stats stats;
    store_stats(store, &stats);
    return stats.sections;
}

/* --- questions --- */

struct question {
    enum plan_unit unit;
    int from, days, names; /* the first names */
    bool filtered, labelled, average;
};

static int bucket_of(const struct question *q, int hour)
{
    int day = hour / 24;
    if (day < q->from || day >= q->from + q->days) return -1;
    switch (q->unit) {
    case UNIT_HOUR: return hour - q->from * 24;
    case UNIT_DAY: return day - q->from;
    case UNIT_WEEK: return day / 7 - q->from / 7;
    default: return 0;
    }
}

/* By hand: people and rows of [set][bucket]. */
static void expect(const struct question *q, double numbers[SETS][DAYS * 24])
{
    static uint8_t seen[SETS][DAYS * 24][USERS + DEVICES];
    static int people[SETS][DAYS * 24], events[SETS][DAYS * 24];
    memset(seen, 0, sizeof seen);
    memset(people, 0, sizeof people);
    memset(events, 0, sizeof events);
    for (int i = 0; i < row_count; i++) {
        int bucket = bucket_of(q, rows[i].hour), set = q->labelled ? rows[i].set : 0, person = owner[rows[i].who];
        if (bucket < 0 || rows[i].name >= q->names || (q->filtered && rows[i].number < 5)) continue;
        people[set][bucket] += !seen[set][bucket][person];
        seen[set][bucket][person] = 1;
        events[set][bucket]++;
    }
    for (int s = 0; s < SETS; s++) {
        for (int b = 0; b < DAYS * 24; b++)
            numbers[s][b] = !q->average ? people[s][b] : people[s][b] ? (double)events[s][b] / people[s][b] : 0;
    }
}

static void ask(const struct question *q)
{
    static double wanted[SETS][DAYS * 24];
    const struct str names[] = {STR("A"), STR("B"), STR("C")};
    struct plan plan = {.kind = PLAN_SEGMENT,
                        .project = PROJECT,
                        .zone = timezone_utc(),
                        .from_day = DAY0 + q->from,
                        .to_day = DAY0 + q->from + q->days - 1,
                        .unit = q->unit,
                        .events = names,
                        .event_count = (size_t)q->names,
                        .measure = q->average ? MEASURE_AVERAGE : MEASURE_UNIQUE,
                        .where = q->filtered ? STR("properties[\"n\"] >= 5") : STR_NULL,
                        .on = q->labelled ? STR("properties[\"s\"]") : STR_NULL,
                        .limit = 60,
                        .now_ms = DAY0 * DAY_MS};
    struct plan_limits limits = {.memory_bytes_max = (size_t)64 << 20, .buckets_max = 10000, .deadline_ns = INT64_MAX};
    expect(q, wanted);
    for (size_t e = 0; e < 2; e++) {
        struct segmentation result;
        char text[1200];
        if (executors[e]->segment(executors[e], &plan, &limits, &error, &result) != STATUS_OK)
            fail_msg("%s", error_text(&error, text, sizeof text));
        for (uint32_t i = 0; i < result.series_count; i++) {
            struct str label = result.series[i].label;
            int set = !q->labelled ? 0 : label.size == 1 ? label.data[0] - 'x' : SETS - 1;
            for (uint32_t b = 0; b < result.bucket_count; b++) {
                double got = 0;
                if (!series_number(&result.series[i], b, &got)) got = 0;
                if (got == wanted[set][b]) continue;
                fail_msg("seed %d: %g instead of %g in bucket %u of set %d; unit %d, days %d + %d, %d names%s%s%s, %d "
                         "executor",
                         (int)seed, got, wanted[set][b], b, set, (int)q->unit, q->from, q->days, q->names,
                         q->filtered ? ", filtered" : "", q->labelled ? ", labelled" : "",
                         q->average ? ", average" : "", (int)e);
            }
            for (uint32_t b = 0; b < result.bucket_count; b++) wanted[set][b] = 0;
        }
        for (int s = 0; s < SETS; s++) {
            for (int b = 0; b < DAYS * 24; b++) assert_true(wanted[s][b] == 0); /* no label is missing */
        }
        expect(q, wanted);
        segmentation_free(&result);
    }
}

static void ask_all(void)
{
    static const enum plan_unit units[] = {UNIT_HOUR, UNIT_DAY, UNIT_WEEK, UNIT_RANGE};
    for (size_t u = 0; u < sizeof units / sizeof *units; u++) {
        for (int form = 0; form < 8; form++) {
            struct question q = {.unit = units[u],
                                 .names = 1,
                                 .filtered = form & 1,
                                 .labelled = form & 2,
                                 .average = form & 4,
                                 .days = DAYS};
            ask(&q);
            q.from = below(DAYS);
            q.days = 1 + below(DAYS - q.from);
            q.names = 1 + below(NAMES);
            ask(&q);
        }
    }
}

static void begin(uint64_t number, uint64_t section_rows)
{
    seed = number;
    draws = 0;
    row_count = 0;
    for (int i = 0; i < USERS + DEVICES; i++) owner[i] = i;
    testing_section_rows = section_rows;
    testing_store_begin(1 << 20);
    executors[0] = executor_native_new_threads(store, 1);
    executors[1] = executor_native_new_threads(store, 3);
}

static void end(void)
{
    close_executors();
    assert_int_equal(testing_store_end(), 0);
}

/* Parts of one order, with somebody in several of them; then what is late, deleted, or replaced, and what changes
 * hands, by itself and together. */
static void people_of_parts(void **state)
{
    (void)state;
    for (uint64_t s = 1; s <= 6; s++) {
        begin(s, s == 1 ? 100000 : 30 + 30 * s);
        for (int i = 0; i < 4; i++) {
            happen(ROWS / 4);
            flush();
        }
        compact();
        if (s > 1) assert_true(section_count() > 6);
        ask_all();
        if (s % 2) {
            forget(LINKED + below(USERS - LINKED));
            ask_all();
            happen_again(20);
            ask_all();
        }
        for (int i = 0; i < 4 && s % 3 == 0; i++) link_device(USERS + below(DEVICES), below(LINKED));
        ask_all();
        happen(ROWS / 8);
        ask_all();
        flush();
        for (int i = 0; i < 4; i++) link_device(USERS + below(DEVICES), below(LINKED));
        happen_again(20);
        ask_all();
        compact();
        ask_all();
        close_executors();
        store_close(store);
        open_store();
        ask_all();
        end();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(people_of_parts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
