/* Log records of updates: what goes in comes out, several stand behind each other, and what is cut short or not as it
 * must be is refused. */
#include "store/update_record.h"

#include "store/batch.h"
#include "store/delete_record.h"
#include "store/profiles.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

static const struct update_view sample = {.received_ms = 1700000000000,
                                          .flags = UPDATE_LITERAL,
                                          .limits = {2000, 1 << 18, 1 << 20},
                                          .event = {"$group:company", 14},
                                          .id = {"a\0b", 3},
                                          .operations = {"\1\2\3", 3}};

static void round_trip(void **state)
{
    (void)state;
    struct buf records = BUF_INIT(1 << 16);
    struct update_view second = sample;
    second.flags = 0;
    second.operations = STR("");
    assert_int_equal(record_update(&records, store_profiles_of(7), &sample), STATUS_OK);
    assert_int_equal(record_update(&records, store_profiles_of(8), &second), STATUS_OK);
    assert_true(record_is_update(buf_str(&records)));
    struct reader reader = reader_of(buf_str(&records));
    for (uint64_t project = 7; project <= 8; project++) {
        const struct update_view *sent = project == 7 ? &sample : &second;
        struct record record;
        struct update_view update;
        assert_int_equal(record_next(&reader, &record), STATUS_OK);
        assert_int_equal(record.kind, RECORD_UPDATE);
        assert_true(record.project == store_profiles_of(project) && store_is_profiles(record.project));
        assert_true(store_profiles_owner(record.project) == project);
        assert_int_equal(update_open(record.body, &update), STATUS_OK);
        assert_true(update.received_ms == sent->received_ms && update.flags == sent->flags);
        assert_memory_equal(&update.limits, &sent->limits, sizeof update.limits);
        assert_true(str_eq(update.event, sent->event) && str_eq(update.id, sent->id));
        assert_true(str_eq(update.operations, sent->operations));
    }
    assert_int_equal(reader_left(&reader), 0);
    buf_fini(&records);
}

static void too_long(void **state)
{
    (void)state;
    struct buf record = BUF_INIT(20);
    assert_int_equal(record_update(&record, store_profiles_of(7), &sample), STATUS_LIMIT);
    buf_fini(&record);
}

static void malformed(void **state)
{
    (void)state;
    struct update_view view, bad[4] = {sample, sample, sample, sample};
    bad[0].event = STR("");
    bad[1].id = STR("");
    bad[2].flags = 4;
    bad[3].received_ms = UINT64_C(1) << 60;
    for (size_t i = 0; i < 4; i++) {
        struct buf records = BUF_INIT(1 << 16);
        struct record record;
        assert_int_equal(record_update(&records, store_profiles_of(7), &bad[i]), STATUS_OK);
        struct reader reader = reader_of(buf_str(&records));
        assert_int_equal(record_next(&reader, &record), STATUS_OK);
        assert_int_equal(update_open(record.body, &view), STATUS_CORRUPT);
        buf_fini(&records);
    }
    struct buf records = BUF_INIT(1 << 16);
    struct record record;
    assert_int_equal(record_update(&records, store_profiles_of(7), &sample), STATUS_OK);
    struct reader reader = reader_of(buf_str(&records));
    assert_int_equal(record_next(&reader, &record), STATUS_OK);
    for (size_t size = 0; size < record.body.size - sample.operations.size; size++)
        assert_int_equal(update_open(str_slice(record.body, 0, size), &view), STATUS_CORRUPT);
    buf_fini(&records);
}

static void other_records(void **state)
{
    (void)state;
    struct buf record = BUF_INIT(1 << 16);
    struct str id = STR("u");
    assert_false(record_is_update(STR("")));
    assert_false(record_is_update(STR("\x05")));
    assert_int_equal(record_delete_person(&record, 1, 0, &id, 1), STATUS_OK);
    assert_false(record_is_update(buf_str(&record)));
    buf_fini(&record);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),
        cmocka_unit_test(too_long),
        cmocka_unit_test(malformed),
        cmocka_unit_test(other_records),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
