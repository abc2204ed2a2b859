/*
 * Pairs of labels of expressions with many values each, in memory and in files, against plain counting: more pairs of
 * values than fit a table, of which few are answered; dictionaries of one value; filters, uniques, days.
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
#include "query/native/native.h"
#include "query/store_testing.h"

#define PROJECT  3
#define DAY0     19783 /* 2024-03-01 */
#define DAYS     3
#define EVENTS   20000
#define PEOPLE   50
#define CITIES   500
#define PAGES    400 /* 200 000 pairs with the cities */
#define PLANS    3
#define LABELS   512
#define LIMIT    20
#define UNWANTED UINT16_MAX

struct visit {
    uint8_t day, person, plan;
    uint16_t city, page; /* the last one of either: none */
    uint16_t price;
};
static struct visit visits[EVENTS];

/* A property of the events: which of its values a visit has, and how these begin. */
struct dimension {
    const char *name, *prefix;
    uint16_t count; /* with `undefined`, which is the last, when there is `some` without */
    bool some;
    uint16_t (*of)(const struct visit *visit);
};
static uint16_t city_of(const struct visit *visit)
{
    return visit->city;
}
static uint16_t page_of(const struct visit *visit)
{
    return visit->page;
}
static uint16_t plan_of(const struct visit *visit)
{
    return visit->plan;
}
static uint16_t same_of(const struct visit *visit)
{
    (void)visit;
    return 0;
}
static const struct dimension city = {"city", "c", CITIES + 1, true, city_of};
static const struct dimension page = {"page", "/p", PAGES + 1, true, page_of};
static const struct dimension level = {"plan", "plan", PLANS, false, plan_of};
static const struct dimension same = {"same", "it", 1, false, same_of};

static void write_label(const struct dimension *dimension, uint16_t value, char text[24])
{
    if (dimension->some && value == dimension->count - 1)
        snprintf(text, 24, "undefined");
    else
        snprintf(text, 24, "%s%u", dimension->prefix, value);
}

static uint64_t random_state = 11;
static uint32_t below(uint32_t limit)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)((random_state >> 20) % limit);
}
/* Small numbers come more often. */
static uint32_t skewed(uint32_t limit)
{
    return below(below(limit) + 1);
}

static void add_property(struct batch *batch, const struct dimension *dimension, const struct visit *visit)
{
    char text[24];
    uint16_t value = dimension->of(visit);
    if (dimension->some && value == dimension->count - 1) return;
    write_label(dimension, value, text);
    struct json json = {.type = JSON_STRING, .string = str_of(text)};
    assert_int_equal(batch_property(batch, str_of(dimension->name), &json), STATUS_OK);
}

static void send_visits(uint32_t from, uint32_t to)
{
    struct batch batch;
    struct buf record;
    batch_init(&batch, (size_t)16 << 20);
    batch_begin(&batch, PROJECT, DAY0 * DAY_MS, IDENTITY_SIMPLIFIED, 0);
    for (uint32_t i = from; i < to; i++) {
        char id[16], insert_id[24];
        struct visit *visit = &visits[i];
        *visit = (struct visit){.day = (uint8_t)below(DAYS),
                                .person = (uint8_t)below(PEOPLE),
                                .plan = (uint8_t)below(PLANS),
                                .city = (uint16_t)skewed(CITIES + 1),
                                .page = (uint16_t)(below(9) ? skewed(PAGES) : PAGES),
                                .price = (uint16_t)below(100)};
        if (below(7) == 0) visit->city = CITIES;
        snprintf(id, sizeof id, "user%u", visit->person);
        snprintf(insert_id, sizeof insert_id, "i%u", i);
        batch_event(&batch, STR("A"), (DAY0 + visit->day) * DAY_MS + below(DAY_MS), str_of(id), STR(""),
                    str_of(insert_id));
        add_property(&batch, &city, visit);
        add_property(&batch, &page, visit);
        add_property(&batch, &level, visit);
        add_property(&batch, &same, visit);
        struct json price = json_number(visit->price);
        assert_int_equal(batch_property(&batch, STR("price"), &price), STATUS_OK);
        batch_event_end(&batch);
    }
    assert_int_equal(batch_finish(&batch, &record), STATUS_OK);
    batch_fini(&batch);
    assert_int_equal(store_append_wait(store, &record), STATUS_OK);
}

/* --- the plain way --- */

struct top {
    char text[24];
    uint32_t count;
    uint16_t value;
};
static int most_first(const void *a, const void *b)
{
    const struct top *x = a, *y = b;
    if (x->count != y->count) return x->count > y->count ? -1 : 1;
    return strcmp(x->text, y->text);
}

/* The top labels, and for each value its place among them. */
static uint32_t find_top(const struct dimension *dimension, uint16_t price_from, uint32_t limit, struct top top[LABELS],
                         uint16_t places[LABELS])
{
    uint32_t count = 0;
    for (uint16_t v = 0; v < dimension->count; v++) {
        top[v] = (struct top){.value = v};
        write_label(dimension, v, top[v].text);
        places[v] = UNWANTED;
    }
    for (uint32_t i = 0; i < EVENTS; i++)
        if (visits[i].price >= price_from) top[dimension->of(&visits[i])].count++;
    qsort(top, dimension->count, sizeof *top, most_first);
    while (count < limit && count < dimension->count && top[count].count) {
        places[top[count].value] = (uint16_t)count;
        count++;
    }
    return count;
}

static void check(struct executor *executor, const struct dimension *on, const struct dimension *by, unsigned mode)
{
    static struct top outer[LABELS], inner[LABELS];
    static uint16_t outer_places[LABELS], inner_places[LABELS];
    static uint8_t seen[LIMIT * LIMIT][DAYS][PEOPLE];
    static uint32_t counts[LIMIT * LIMIT][DAYS];
    struct str event = STR("A");
    struct segmentation result;
    struct plan_limits limits = {.memory_bytes_max = (size_t)64 << 20, .buckets_max = 10000, .deadline_ns = INT64_MAX};
    uint16_t price_from = mode & 1 ? 60 : 0;
    bool unique = mode & 2;
    struct plan plan = {.kind = PLAN_SEGMENT,
                        .project = PROJECT,
                        .zone = timezone_utc(),
                        .from_day = DAY0,
                        .to_day = DAY0 + DAYS - 1,
                        .unit = mode & 4 ? UNIT_RANGE : UNIT_DAY,
                        .measure = unique ? MEASURE_UNIQUE : MEASURE_COUNT,
                        .events = &event,
                        .event_count = 1,
                        .on = str_of(on->name),
                        .by = str_of(by->name),
                        .where = price_from ? STR("properties[\"price\"] >= 60") : STR_NULL,
                        .limit = LIMIT,
                        .now_ms = DAY0 * DAY_MS};
    uint32_t outer_count = find_top(on, price_from, LIMIT, outer, outer_places);
    uint32_t inner_count = find_top(by, price_from, LIMIT, inner, inner_places);
    uint32_t days = plan.unit == UNIT_RANGE ? 1 : DAYS;
    memset(seen, 0, sizeof seen);
    memset(counts, 0, sizeof counts);
    for (uint32_t i = 0; i < EVENTS; i++) {
        const struct visit *visit = &visits[i];
        uint16_t o = outer_places[on->of(visit)], n = inner_places[by->of(visit)];
        if (visit->price < price_from || o == UNWANTED || n == UNWANTED) continue;
        uint32_t pair = o * inner_count + n, day = days == 1 ? 0 : visit->day;
        if (!unique || !seen[pair][day][visit->person]) counts[pair][day]++;
        seen[pair][day][visit->person] = 1;
    }
    char reason[1200];
    if (executor->segment(executor, &plan, &limits, &error, &result) != STATUS_OK)
        fail_msg("%s x %s: %s", on->name, by->name, error_text(&error, reason, sizeof reason));
    assert_int_equal(result.by_count, inner_count);
    assert_int_equal(result.series_count, outer_count * inner_count);
    assert_int_equal(result.bucket_count, days);
    for (uint32_t s = 0; s < result.series_count; s++) {
        const struct series *series = &result.series[s];
        assert_true(str_eq(series->label, str_of(outer[s / inner_count].text)));
        assert_true(str_eq(result.by[s % inner_count], str_of(inner[s % inner_count].text)));
        for (uint32_t b = 0; b < days; b++) {
            double number = 0;
            (void)series_number(series, b, &number);
            if (number != counts[s][b])
                fail_msg("%s x %s, mode %u, " STR_FMT " / " STR_FMT ", bucket %u: %g instead of %u", on->name, by->name,
                         mode, STR_ARG(series->label), STR_ARG(result.by[s % inner_count]), b, number, counts[s][b]);
        }
    }
    segmentation_free(&result);
}

static void check_all(void)
{
    static const struct dimension *const pairs[][2] = {{&city, &page}, {&page, &city}, {&city, &level}, {&level, &page},
                                                       {&same, &page}, {&city, &same}, {&city, &city},  {&same, &same}};
    struct executor *executor = executor_native_new(store);
    for (size_t p = 0; p < sizeof pairs / sizeof *pairs; p++)
        for (unsigned mode = 0; mode < 8; mode++) check(executor, pairs[p][0], pairs[p][1], mode);
    executor_free(executor);
}

static int setup(void **state)
{
    (void)state;
    testing_store_begin(1 << 24);
    return 0;
}
static int teardown(void **state)
{
    (void)state;
    return testing_store_end();
}

static void in_memory(void **state)
{
    (void)state;
    send_visits(0, EVENTS);
    check_all();
}

static void in_files_and_memory(void **state)
{
    (void)state;
    send_visits(0, 12000);
    assert_int_equal(store_flush(store, &error), STATUS_OK);
    send_visits(12000, 19000);
    assert_int_equal(store_flush(store, &error), STATUS_OK);
    send_visits(19000, EVENTS);
    check_all();
    assert_int_equal(store_flush(store, &error), STATUS_OK);
    check_all();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(in_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(in_files_and_memory, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
