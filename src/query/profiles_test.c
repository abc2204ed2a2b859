/*
 * Profiles in numbers: more than a vector and more than a task holds, in one run and in several, so that ranges,
 * seeking and merging are passed through; rows hidden in both ways of finding that out; budgets and stopping. Whether
 * answers are right in all small cases is for tests/profiles_test.c.
 */
#include "query/profiles.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/number.h"
#include "query/backend.h"
#include "query/store_testing.h"
#include "store/profiles.h"

#define PROJECT 3
#define COUNT   20000u
#define MS      INT64_C(1700000000000)

static struct executor *executor;
static struct profile_plan plan;
static struct plan_limits limits;

static int setup(void **state)
{
    (void)state;
    testing_store_begin(64 << 20);
    executor = executor_native_new_threads(store, 3);
    plan = (struct profile_plan){.project = PROJECT, .zone = timezone_utc(), .now_ms = MS, .as_of_ms = MS};
    limits = (struct plan_limits){.memory_bytes_max = (size_t)64 << 20, .buckets_max = 100, .deadline_ns = INT64_MAX};
    return 0;
}
static int teardown(void **state)
{
    (void)state;
    executor_free(executor);
    return testing_store_end();
}

static void send(struct batch *batch)
{
    struct buf record;
    assert_int_equal(batch_finish(batch, &record), STATUS_OK);
    batch_fini(batch);
    assert_int_equal(store_append_wait(store, &record), STATUS_OK);
}
static void begin(struct batch *batch, uint64_t project)
{
    batch_init(batch, (size_t)16 << 20);
    batch_begin(batch, project, MS, IDENTITY_SIMPLIFIED, 0);
}

/* Profile i has n = i · 7 mod COUNT and a text; every third has a city. */
static void put(unsigned from, unsigned to)
{
    struct batch batch;
    char id[24], name[16];
    begin(&batch, store_profiles_of(PROJECT));
    for (unsigned i = from; i < to; i++) {
        struct json n = json_int((int64_t)i * 7 % COUNT), text, city = json_string(STR("Bonn"));
        snprintf(id, sizeof id, "$device:u%05u", i);
        snprintf(name, sizeof name, "name %u", i % 1000);
        text = json_string(str_of(name));
        batch_event(&batch, STR(PROFILE_USER_EVENT), PROFILE_TIME_MS, str_of(id), STR_NULL, STR(PROFILE_INSERT_ID));
        assert_int_equal(batch_property(&batch, STR("n"), &n), STATUS_OK);
        assert_int_equal(batch_property(&batch, STR("$name"), &text), STATUS_OK);
        if (i % 3 == 0) assert_int_equal(batch_property(&batch, STR("city"), &city), STATUS_OK);
        batch_event_end(&batch);
    }
    send(&batch);
}

/* The devices of [from, to) turn out to be somebody's. */
static void hide(unsigned from, unsigned to)
{
    struct batch batch;
    char user[16], device[24];
    begin(&batch, PROJECT);
    for (unsigned i = from; i < to; i++) {
        snprintf(device, sizeof device, "$device:u%05u", i);
        snprintf(user, sizeof user, "owner%u", i);
        batch_event(&batch, STR("E"), MS, str_of(user), str_of(device), STR_NULL);
        batch_event_end(&batch);
    }
    send(&batch);
}

static void settle(void)
{
    assert_int_equal(store_compact_wait(store, &error), STATUS_OK);
}

static struct profile_list *list(void)
{
    struct profile_list *result;
    char text[1200];
    if (executor->profiles->list(executor, &plan, &limits, &error, &result) != STATUS_OK)
        fail_msg("%s", error_text(&error, text, sizeof text));
    return result;
}
static uint64_t count(const char *where)
{
    plan.where = where ? str_of(where) : STR_NULL;
    struct profile_list *found = list();
    uint64_t total = found->count;
    profile_list_free(found);
    return total;
}

struct number_sink {
    struct profile_sink base;
    unsigned numbers[COUNT]; /* of the ids */
    int64_t n[COUNT];
    unsigned rows;
};
static enum status take(struct profile_sink *base, const struct listed_profile *row, struct error *unused)
{
    struct number_sink *sink = (struct number_sink *)base;
    (void)unused;
    assert_int_equal(row->received_ms, MS);
    uint64_t number; /* the text does not end in a NUL */
    assert_true(number_parse_unsigned(str_slice(row->id, strlen("$device:u"), row->id.size), COUNT, &number));
    sink->numbers[sink->rows] = (unsigned)number;
    for (size_t i = 0; i < row->property_count; i++) {
        if (str_is(row->properties[i].name->text, "n")) sink->n[sink->rows] = row->properties[i].value.integer;
    }
    sink->rows++;
    return STATUS_OK;
}
static struct number_sink *read_all(uint64_t piece)
{
    static struct number_sink sink;
    struct profile_list *found = list();
    sink = (struct number_sink){.base.row = take};
    for (uint64_t from = 0; from < found->count; from += piece)
        assert_int_equal(profile_list_read(found, from, piece, &limits, &sink.base, &error), STATUS_OK);
    assert_int_equal(sink.rows, found->count);
    assert_int_equal(profile_list_read(found, found->count, 10, &limits, &sink.base, &error), STATUS_OK);
    assert_int_equal(sink.rows, found->count);
    profile_list_free(found);
    return &sink;
}

/* In memory, in several files, in one. */
static void many_profiles(void **state)
{
    (void)state;
    for (unsigned i = 0; i < COUNT; i += COUNT / 5) {
        put(i, i + COUNT / 5);
        if (i) assert_int_equal(store_flush(store, &error), STATUS_OK);
    }
    put(100, 3000); /* again: newer rows, older ids */
    for (int turn = 0; turn < 2; turn++) {
        if (turn) settle();
        assert_int_equal(count(NULL), COUNT);
        assert_int_equal(count("properties[\"n\"] < 5000"), 5000);
        assert_int_equal(count("properties[\"n\"] >= 5000 and properties[\"n\"] < 5002"), 2);
        assert_int_equal(count("properties[\"n\"] == 19999"), 1);
        assert_int_equal(count("properties[\"n\"] <= 0 or properties[\"n\"] > 19990"), 10);
        assert_int_equal(count("defined(user[\"city\"])"), (COUNT + 2) / 3);
        assert_int_equal(count("properties[\"city\"] == \"Bonn\" and properties[\"n\"] > 1e9"), 0);
        assert_int_equal(count("properties[\"$name\"] == \"name 77\""), COUNT / 1000);
        assert_int_equal(count("properties[\"$distinct_id\"] >= \"$device:u19990\""), 10);
        assert_int_equal(count("true"), COUNT);
        assert_int_equal(count("properties[\"nobody's\"] == 1"), 0);
        plan.where = STR_NULL;
        const struct number_sink *all = read_all(777);
        for (unsigned i = 0; i < COUNT; i++) assert_int_equal(all->numbers[i], i);
        plan.sort = STR("properties[\"n\"]");
        for (int descending = 0; descending < 2; descending++) {
            plan.descending = descending;
            all = read_all(5000);
            for (unsigned i = 0; i < COUNT; i++) assert_int_equal(all->n[i], descending ? COUNT - 1 - i : i);
        }
        plan.sort = STR_NULL;
    }
}

static void profiles_by_id(void **state)
{
    (void)state;
    struct str ids[] = {STR("$device:u01023"), STR("$device:u01024"), STR("$device:u19999"),
                        STR("$device:u00000"), STR("none"),           STR("$device:u01024")};
    put(0, COUNT);
    settle();
    put(1024, 1025);
    plan.by_ids = true;
    plan.ids = ids;
    plan.id_count = sizeof ids / sizeof *ids;
    const struct number_sink *found = read_all(10);
    assert_int_equal(found->rows, 4);
    static const unsigned wanted[] = {0, 1023, 1024, 19999};
    for (unsigned i = 0; i < 4; i++) assert_int_equal(found->numbers[i], wanted[i]);
    assert_int_equal(count("properties[\"n\"] == 0"), 1);
    plan.id_count = 0;
    assert_int_equal(count(NULL), 0);
}

/* Fewer links than profiles, then more. */
static void hidden_profiles(void **state)
{
    (void)state;
    put(0, COUNT);
    settle();
    hide(1000, 3000);
    assert_int_equal(count(NULL), COUNT - 2000);
    assert_int_equal(count("properties[\"$distinct_id\"] < \"$device:u01500\""), 1000);
    hide(COUNT, 2 * COUNT); /* of others, who have no profiles */
    assert_int_equal(count(NULL), COUNT - 2000);
    assert_int_equal(count("properties[\"$distinct_id\"] < \"$device:u01500\""), 1000);
    /* what is wrong with a hidden one is not told, either way */
    static const char mistake[] =
        "(properties[\"$distinct_id\"] == \"$device:u02000\" and properties[\"$name\"]) or true";
    assert_int_equal(count(mistake), COUNT - 2000);
    plan.where = STR("(properties[\"$distinct_id\"] == \"$device:u05000\" and properties[\"$name\"]) or true");
    struct profile_list *none;
    assert_int_equal(executor->profiles->list(executor, &plan, &limits, &error, &none), STATUS_INVALID);
    assert_non_null(strstr(error.primary, "where"));
    plan.where = STR_NULL;
    plan.by_ids = true; /* the owner of a hidden one has no profile */
    plan.ids = (const struct str[]){STR("$device:u02000"), STR("$device:u05000")};
    plan.id_count = 2;
    assert_int_equal(count(NULL), 1);
}

static void budgets_and_stopping(void **state)
{
    (void)state;
    struct profile_list *none;
    struct profile_numbers numbers;
    put(0, COUNT);
    settle();
    limits.memory_bytes_max = 300 << 10;
    plan.sort = STR("properties[\"$name\"]");
    assert_int_equal(executor->profiles->list(executor, &plan, &limits, &error, &none), STATUS_LIMIT);
    assert_non_null(strstr(error.hint, "query.memory_max"));
    limits.memory_bytes_max = (size_t)64 << 20;
    _Atomic bool cancelled = true;
    limits.cancelled = &cancelled;
    assert_int_equal(executor->profiles->list(executor, &plan, &limits, &error, &none), STATUS_CANCELLED);
    limits.cancelled = NULL;
    limits.deadline_ns = 1;
    assert_int_equal(
        executor->profiles->numbers(executor, &plan, STR("properties[\"n\"]"), 50, &limits, &error, &numbers),
        STATUS_CANCELLED);
    limits.deadline_ns = INT64_MAX;
    assert_int_equal(
        executor->profiles->numbers(executor, &plan, STR("properties[\"n\"]"), 50, &limits, &error, &numbers),
        STATUS_OK);
    assert_int_equal(numbers.count, COUNT);
    assert_true(numbers.min == 0 && numbers.max == COUNT - 1 && numbers.mean == (COUNT - 1) / 2.0);
    assert_true(numbers.percentile == COUNT / 2 - 1);
    struct profile_list *found = list();
    limits.deadline_ns = 1;
    struct number_sink sink = {.base.row = take};
    assert_int_equal(profile_list_read(found, 0, 10, &limits, &sink.base, &error), STATUS_CANCELLED);
    profile_list_free(found);
}

/* A project that nobody wrote to. */
static void nothing(void **state)
{
    (void)state;
    struct str *keys;
    size_t key_count;
    struct profile_properties properties;
    struct arena *arena = arena_new(1 << 20);
    assert_int_equal(count(NULL), 0);
    plan.group_key = STR("company");
    assert_int_equal(count(NULL), 0);
    assert_int_equal(executor->profiles->properties(executor, &plan, &limits, &error, &properties), STATUS_OK);
    assert_int_equal(properties.count, 0);
    arena_free(properties.arena);
    assert_int_equal(executor->profiles->group_keys(executor, PROJECT, arena, &error, &keys, &key_count), STATUS_OK);
    assert_int_equal(key_count, 0);
    plan.where = STR("1 +");
    struct profile_list *none;
    assert_int_equal(executor->profiles->list(executor, &plan, &limits, &error, &none), STATUS_INVALID);
    assert_int_equal(error.column, 4);
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(many_profiles, setup, teardown),
        cmocka_unit_test_setup_teardown(profiles_by_id, setup, teardown),
        cmocka_unit_test_setup_teardown(hidden_profiles, setup, teardown),
        cmocka_unit_test_setup_teardown(budgets_and_stopping, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
