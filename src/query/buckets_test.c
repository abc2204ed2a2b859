/*
 * Buckets by hand: their labels, and which instants they take, where calendars and clocks are awkward.
 * Instants are written as local times with their offset.
 */
#include "query/buckets.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/buf.h"
#include "base/civil.h"

static struct arena *arena;
static struct buckets *buckets;

static int setup(void **state)
{
    (void)state;
    arena = arena_new((size_t)64 << 20);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(arena);
    return 0;
}

static int64_t day(const char *text)
{
    int64_t days;
    if (!civil_parse_date(str_of(text), &days)) fail_msg("%s is no date", text);
    return days;
}

static int64_t instant(const char *text)
{
    int64_t ms;
    bool has_zone;
    if (!civil_parse_datetime(str_of(text), &ms, &has_zone) || !has_zone) fail_msg("%s is no instant", text);
    return ms;
}

static enum status make(const char *zone, const char *from, const char *to, enum plan_unit unit, unsigned interval_days,
                        uint32_t buckets_max, struct error *error)
{
    struct plan plan = {.from_day = day(from), .to_day = day(to), .unit = unit, .interval_days = interval_days};
    assert_int_equal(timezone_load(str_of(zone), error, &plan.zone), STATUS_OK);
    return buckets_new(arena, &plan, buckets_max, error, &buckets);
}

static void make_well(const char *zone, const char *from, const char *to, enum plan_unit unit, unsigned interval_days)
{
    struct error error = ERROR_INIT;
    if (make(zone, from, to, unit, interval_days, 100000, &error) != STATUS_OK) fail_msg("%s", error.primary);
}

/* `wanted`: the labels with a comma between them. */
static void check_labels(const char *wanted)
{
    struct buf buf = BUF_INIT(1 << 20);
    for (uint32_t i = 0; i < buckets_count(buckets); i++) {
        if (i) buf_byte(&buf, ',');
        buf_str_add(&buf, buckets_label(buckets, i));
    }
    buf_byte(&buf, 0);
    assert_string_equal(buf.data, wanted);
    buf_fini(&buf);
}

/* The bucket of an instant has that label; NULL: none. */
static void check_find(const char *at, const char *wanted)
{
    uint32_t found = buckets_find(buckets, instant(at));
    if (!wanted) {
        if (found != BUCKET_NONE) fail_msg("%s is in a bucket", at);
        return;
    }
    if (found == BUCKET_NONE) fail_msg("%s is in no bucket", at);
    struct str label = buckets_label(buckets, found);
    if (!str_eq(label, str_of(wanted))) fail_msg("%s is in %.*s", at, (int)label.size, label.data);
}

/* How many hours of UTC, each by its beginning, fall into the bucket with that label. */
static unsigned hours_of(const char *label)
{
    unsigned hours = 0;
    int64_t from, to;
    buckets_span(buckets, &from, &to);
    for (int64_t at = from; at < to; at += HOUR_MS) {
        uint32_t found = buckets_find(buckets, at);
        hours += found != BUCKET_NONE && str_eq(buckets_label(buckets, found), str_of(label));
    }
    return hours;
}

/* --- calendar --- */

static void days_include_both_ends(void **state)
{
    (void)state;
    make_well("UTC", "2024-02-28", "2024-03-01", UNIT_DAY, 0);
    check_labels("2024-02-28,2024-02-29,2024-03-01");
    check_find("2024-02-27T23:59:59.999Z", NULL);
    check_find("2024-02-28T00:00:00Z", "2024-02-28");
    check_find("2024-02-29T23:59:59.999Z", "2024-02-29");
    check_find("2024-03-01T23:59:59.999Z", "2024-03-01");
    check_find("2024-03-02T00:00:00Z", NULL);
    check_find("1970-01-01T00:00:00Z", NULL);
    check_find("2999-01-01T00:00:00Z", NULL);
}

/* Weeks are named by their Monday even when the range begins on a Wednesday, but take only what is in the
 * range. */
static void weeks_that_the_range_cuts(void **state)
{
    (void)state;
    make_well("UTC", "2024-01-03", "2024-01-15", UNIT_WEEK, 0);
    check_labels("2024-01-01,2024-01-08,2024-01-15");
    check_find("2024-01-02T23:59:59Z", NULL);
    check_find("2024-01-03T00:00:00Z", "2024-01-01");
    check_find("2024-01-07T23:59:59Z", "2024-01-01");
    check_find("2024-01-08T00:00:00Z", "2024-01-08");
    check_find("2024-01-15T12:00:00Z", "2024-01-15");
    check_find("2024-01-16T00:00:00Z", NULL);
    make_well("UTC", "2024-01-07", "2024-01-07", UNIT_WEEK, 0); /* a Sunday */
    check_labels("2024-01-01");
    make_well("UTC", "1969-12-31", "1970-01-05", UNIT_WEEK, 0); /* around the day that days count from */
    check_labels("1969-12-29,1970-01-05");
}

static void months_that_the_range_cuts(void **state)
{
    (void)state;
    make_well("UTC", "2023-11-30", "2024-02-01", UNIT_MONTH, 0);
    check_labels("2023-11-01,2023-12-01,2024-01-01,2024-02-01");
    check_find("2023-11-29T12:00:00Z", NULL);
    check_find("2023-11-30T12:00:00Z", "2023-11-01");
    check_find("2023-12-31T23:59:59Z", "2023-12-01");
    check_find("2024-02-01T23:59:59Z", "2024-02-01");
    check_find("2024-02-02T00:00:00Z", NULL);
    make_well("UTC", "1969-11-15", "1970-01-01", UNIT_MONTH, 0);
    check_labels("1969-11-01,1969-12-01,1970-01-01");
}

/* interval=N: spans of N days from the first day of the range; the last one may be short. */
static void spans_of_days(void **state)
{
    (void)state;
    make_well("UTC", "2024-02-27", "2024-03-04", UNIT_DAYS, 3);
    check_labels("2024-02-27,2024-03-01,2024-03-04");
    check_find("2024-02-29T23:00:00Z", "2024-02-27");
    check_find("2024-03-01T00:00:00Z", "2024-03-01");
    check_find("2024-03-04T23:00:00Z", "2024-03-04");
    check_find("2024-03-05T00:00:00Z", NULL);
    make_well("UTC", "2024-02-27", "2024-03-04", UNIT_DAYS, 1);
    assert_int_equal(buckets_count(buckets), 7);
    make_well("UTC", "2024-02-27", "2024-03-04", UNIT_DAYS, 1000);
    check_labels("2024-02-27");
}

static void minutes(void **state)
{
    (void)state;
    make_well("UTC", "2024-02-29", "2024-02-29", UNIT_MINUTE, 0);
    assert_int_equal(buckets_count(buckets), 1440);
    check_find("2024-02-29T00:00:59.999Z", "2024-02-29 00:00:00");
    check_find("2024-02-29T00:01:00Z", "2024-02-29 00:01:00");
    check_find("2024-02-29T23:59:59.999Z", "2024-02-29 23:59:00");
}

/* --- clocks --- */

/* In spring a day has 23 hours, and the hour that clocks skip has no bucket. */
static void clocks_go_forward(void **state)
{
    (void)state;
    make_well("America/New_York", "2024-03-09", "2024-03-11", UNIT_DAY, 0);
    check_labels("2024-03-09,2024-03-10,2024-03-11");
    assert_int_equal(hours_of("2024-03-09"), 24);
    assert_int_equal(hours_of("2024-03-10"), 23);
    assert_int_equal(hours_of("2024-03-11"), 24);
    check_find("2024-03-10T00:00:00-05:00", "2024-03-10");
    check_find("2024-03-10T23:59:59-04:00", "2024-03-10");
    check_find("2024-03-11T00:00:00-04:00", "2024-03-11");
    make_well("America/New_York", "2024-03-10", "2024-03-10", UNIT_HOUR, 0);
    assert_int_equal(buckets_count(buckets), 23);
    check_find("2024-03-10T01:59:59-05:00", "2024-03-10 01:00:00");
    check_find("2024-03-10T03:00:00-04:00", "2024-03-10 03:00:00");
    assert_int_equal(hours_of("2024-03-10 02:00:00"), 0);
    make_well("America/New_York", "2024-03-10", "2024-03-10", UNIT_MINUTE, 0);
    assert_int_equal(buckets_count(buckets), 23 * 60);
}

/* In autumn a day has 25 hours; both passes through the repeated hour share a bucket. */
static void clocks_go_back(void **state)
{
    (void)state;
    make_well("Europe/Berlin", "2024-10-27", "2024-10-28", UNIT_DAY, 0);
    assert_int_equal(hours_of("2024-10-27"), 25);
    assert_int_equal(hours_of("2024-10-28"), 24);
    make_well("Europe/Berlin", "2024-10-27", "2024-10-27", UNIT_HOUR, 0);
    assert_int_equal(buckets_count(buckets), 24);
    assert_int_equal(hours_of("2024-10-27 01:00:00"), 1);
    assert_int_equal(hours_of("2024-10-27 02:00:00"), 2);
    check_find("2024-10-27T02:30:00+02:00", "2024-10-27 02:00:00");
    check_find("2024-10-27T02:30:00+01:00", "2024-10-27 02:00:00");
    check_find("2024-10-27T03:00:00+01:00", "2024-10-27 03:00:00");
}

/* In Newfoundland clocks went back at one minute past midnight: to the evening before. */
static void a_day_is_entered_twice(void **state)
{
    (void)state;
    make_well("America/St_Johns", "2010-11-06", "2010-11-07", UNIT_DAY, 0);
    check_labels("2010-11-06,2010-11-07");
    check_find("2010-11-07T00:00:30-02:30", "2010-11-07");
    check_find("2010-11-06T23:01:00-03:30", "2010-11-06");
    check_find("2010-11-07T00:00:00-03:30", "2010-11-07");
}

/* Zones with half hours: an hour is a local one. */
static void half_hour_zones(void **state)
{
    (void)state;
    make_well("Asia/Kolkata", "2024-02-29", "2024-02-29", UNIT_HOUR, 0);
    assert_int_equal(buckets_count(buckets), 24);
    check_find("2024-02-28T18:29:59Z", NULL);
    check_find("2024-02-28T18:30:00Z", "2024-02-29 00:00:00");
    check_find("2024-02-28T19:29:59Z", "2024-02-29 00:00:00");
    check_find("2024-02-29T18:29:59Z", "2024-02-29 23:00:00");
    check_find("2024-02-29T18:30:00Z", NULL);
}

/* On Lord Howe clocks change by half an hour: no hour is skipped whole. */
static void half_hour_changes(void **state)
{
    (void)state;
    make_well("Australia/Lord_Howe", "2024-10-06", "2024-10-06", UNIT_HOUR, 0);
    assert_int_equal(buckets_count(buckets), 24);
    check_find("2024-10-06T01:59:59+10:30", "2024-10-06 01:00:00");
    check_find("2024-10-06T02:30:00+11:00", "2024-10-06 02:00:00");
    make_well("Australia/Lord_Howe", "2024-10-06", "2024-10-06", UNIT_MINUTE, 0);
    assert_int_equal(buckets_count(buckets), 1410);
}

/* Samoa left out Friday 2011-12-30. */
static void a_day_that_did_not_happen(void **state)
{
    (void)state;
    make_well("Pacific/Apia", "2011-12-29", "2011-12-31", UNIT_DAY, 0);
    check_labels("2011-12-29,2011-12-31");
    check_find("2011-12-29T23:59:59-10:00", "2011-12-29");
    check_find("2011-12-31T00:00:00+14:00", "2011-12-31");
    make_well("Pacific/Apia", "2011-12-30", "2011-12-30", UNIT_DAY, 0);
    assert_int_equal(buckets_count(buckets), 0);
    make_well("Pacific/Apia", "2011-12-30", "2012-01-02", UNIT_WEEK, 0);
    check_labels("2011-12-26,2012-01-02");
    make_well("Pacific/Apia", "2011-12-28", "2011-12-31", UNIT_DAYS, 2);
    check_labels("2011-12-28,2011-12-30");
    check_find("2011-12-31T12:00:00+14:00", "2011-12-30");
    make_well("Pacific/Apia", "2011-12-29", "2011-12-31", UNIT_HOUR, 0);
    assert_int_equal(buckets_count(buckets), 48);
}

/* Where clocks go forward at midnight, the day begins at one. */
static void a_day_without_midnight(void **state)
{
    (void)state;
    make_well("America/Sao_Paulo", "2018-11-04", "2018-11-04", UNIT_HOUR, 0);
    assert_int_equal(buckets_count(buckets), 23);
    assert_true(str_is(buckets_label(buckets, 0), "2018-11-04 01:00:00"));
    check_find("2018-11-03T23:59:59-03:00", NULL);
    check_find("2018-11-04T01:00:00-02:00", "2018-11-04 01:00:00");
}

/* --- limits, and the order of questions --- */

static void ranges_that_are_refused(void **state)
{
    (void)state;
    struct error error = ERROR_INIT;
    assert_int_equal(make("UTC", "2024-01-02", "2024-01-01", UNIT_DAY, 0, 100, &error), STATUS_INVALID);
    assert_string_equal(error.primary, "from_date is later than to_date");
    assert_int_equal(make("UTC", "2024-01-01", "2024-01-10", UNIT_DAY, 0, 10, &error), STATUS_OK);
    assert_int_equal(make("UTC", "2024-01-01", "2024-01-11", UNIT_DAY, 0, 10, &error), STATUS_LIMIT);
    assert_int_equal(make("UTC", "2024-01-01", "2024-01-01", UNIT_MINUTE, 0, 1439, &error), STATUS_LIMIT);
    assert_int_equal(make("UTC", "2024-01-01", "2024-12-31", UNIT_MONTH, 0, 12, &error), STATUS_OK);
    assert_int_equal(make("UTC", "2024-01-01", "2025-01-01", UNIT_MONTH, 0, 12, &error), STATUS_LIMIT);
    assert_int_equal(make("UTC", "1000-01-01", "9999-12-31", UNIT_MONTH, 0, UINT32_MAX, &error), STATUS_LIMIT);
}

/* The offset that is remembered from one instant does not leak into others, whatever the order. */
static void instants_in_any_order(void **state)
{
    (void)state;
    uint32_t ahead[3 * 96];
    make_well("America/New_York", "2024-11-02", "2024-11-04", UNIT_HOUR, 0);
    int64_t first = instant("2024-11-02T04:00:00Z");
    for (int i = 0; i < 3 * 96; i++) ahead[i] = buckets_find(buckets, first + i * 900000LL);
    for (int i = 3 * 96 - 1; i >= 0; i--) assert_int_equal(buckets_find(buckets, first + i * 900000LL), ahead[i]);
    for (int i = 0; i < 3 * 96; i++) {
        int at = i * 101 % (3 * 96);
        assert_int_equal(buckets_find(buckets, first + at * 900000LL), ahead[at]);
    }
    check_find("2024-11-03T01:30:00-04:00", "2024-11-03 01:00:00");
    check_find("2024-11-03T01:30:00-05:00", "2024-11-03 01:00:00");
}

/* Every instant of the range is inside of the span that scans are restricted to. */
static void the_span_holds_the_range(void **state)
{
    (void)state;
    static const char *const zones[] = {"Pacific/Kiritimati", "Pacific/Pago_Pago", "UTC", "Asia/Kathmandu"};
    for (size_t i = 0; i < 4; i++) {
        int64_t from, to;
        make_well(zones[i], "2024-05-01", "2024-05-01", UNIT_DAY, 0);
        buckets_span(buckets, &from, &to);
        assert_int_equal(hours_of("2024-05-01"), 24);
        assert_int_equal(buckets_find(buckets, from - 1), BUCKET_NONE);
        assert_int_equal(buckets_find(buckets, to), BUCKET_NONE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(days_include_both_ends, setup, teardown),
        cmocka_unit_test_setup_teardown(weeks_that_the_range_cuts, setup, teardown),
        cmocka_unit_test_setup_teardown(months_that_the_range_cuts, setup, teardown),
        cmocka_unit_test_setup_teardown(spans_of_days, setup, teardown),
        cmocka_unit_test_setup_teardown(minutes, setup, teardown),
        cmocka_unit_test_setup_teardown(clocks_go_forward, setup, teardown),
        cmocka_unit_test_setup_teardown(clocks_go_back, setup, teardown),
        cmocka_unit_test_setup_teardown(a_day_is_entered_twice, setup, teardown),
        cmocka_unit_test_setup_teardown(half_hour_zones, setup, teardown),
        cmocka_unit_test_setup_teardown(half_hour_changes, setup, teardown),
        cmocka_unit_test_setup_teardown(a_day_that_did_not_happen, setup, teardown),
        cmocka_unit_test_setup_teardown(a_day_without_midnight, setup, teardown),
        cmocka_unit_test_setup_teardown(ranges_that_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(instants_in_any_order, setup, teardown),
        cmocka_unit_test_setup_teardown(the_span_holds_the_range, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
