/* The calendar against a day-by-day count over 430 years, and the texts of dates that are accepted. */
#include "base/civil.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* Shows that every day from 1970 to 2400 has the date, weekday and number that counting gives, back and forth. */
static void test_every_day(void **state)
{
    (void)state;
    int year = 1970, month = 1, day = 1, weekday = 3; /* a Thursday */
    for (int64_t days = 0; year <= 2400; days++) {
        int y, m, d;
        civil_from_days(days, &y, &m, &d);
        if (y != year || m != month || d != day) fail_msg("day %lld is %d-%d-%d", (long long)days, y, m, d);
        assert_int_equal(civil_to_days(year, month, day), days);
        assert_int_equal(civil_weekday(days), weekday);
        weekday = (weekday + 1) % 7;
        bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        int length = month == 2 ? 28 + leap : month == 4 || month == 6 || month == 9 || month == 11 ? 30 : 31;
        assert_int_equal(civil_month_days(year, month), length);
        assert_int_equal(civil_is_leap(year), leap);
        if (++day > length) day = 1, month++;
        if (month > 12) month = 1, year++;
    }
}

/* Shows days before 1970 and before year 0. */
static void test_before_1970(void **state)
{
    (void)state;
    assert_int_equal(civil_to_days(1969, 12, 31), -1);
    assert_int_equal(civil_weekday(-1), 2);
    assert_int_equal(civil_to_days(1900, 1, 1), -25567);
    assert_int_equal(civil_to_days(0, 3, 1), -719468);
    for (int64_t days = -1500000; days < 0; days += 997) {
        int y, m, d;
        civil_from_days(days, &y, &m, &d);
        assert_int_equal(civil_to_days(y, m, d), days);
    }
    struct civil c = civil_from_ms(-1);
    assert_true(c.year == 1969 && c.month == 12 && c.day == 31 && c.hour == 23 && c.minute == 59 && c.second == 59 &&
                c.ms == 999);
    assert_int_equal(civil_to_ms(&c), -1);
    assert_int_equal(floor_div(-1, 7), -1);
    assert_int_equal(floor_div(-7, 7), -1);
    assert_int_equal(floor_div(-8, 7), -2);
    assert_int_equal(floor_div(8, 7), 1);
}

/* Shows which dates are accepted and that nothing is written for the others. */
static void test_parse_date(void **state)
{
    (void)state;
    int64_t days = 77;
    assert_true(civil_parse_date(STR("1970-01-02"), &days) && days == 1);
    assert_true(civil_parse_date(STR("1970-1-3"), &days) && days == 2);
    assert_true(civil_parse_date(STR("2024-02-29"), &days) && days == 19782);
    assert_true(civil_parse_date(STR("9999-12-31"), &days) && days == 2932896);
    days = 77;
    static const char *const bad[] = {"",           "2023-02-29",  "1900-02-29",  "2024-13-01",       "2024-00-01",
                                      "2024-01-00", "2024-01-32",  "2024-04-31",  "0999-01-01",       "24-01-01",
                                      "20240101",   "2024-01",     "2024-01-01 ", " 2024-01-01",      "2024-01-011",
                                      "2024/01/01", "10000-01-01", "-2024-01-01", "2024-01-01T00:00", "2024--1-01",
                                      "yyyy-mm-dd", "2024-+1-01"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (civil_parse_date(str_of(bad[i]), &days)) fail_msg("\"%s\" was taken", bad[i]);
    }
    assert_false(civil_parse_date(STR_NULL, &days));
    assert_int_equal(days, 77);
}

/* Shows date-times with and without zone: fractions are cut to milliseconds, an offset is subtracted. */
static void test_parse_datetime(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ms;
        bool zone;
    } good[] = {
        {"1970-01-01", 0, false},
        {"1970-01-01T00:01", 60000, false},
        {"1970-01-01 01:02:03", 3723000, false},
        {"1970-01-01T00:00:00Z", 0, true},
        {"1970-01-01t00:00:00z", 0, true},
        {"1970-01-01T00:00:00.5", 500, false},
        {"1970-01-01T00:00:00.123456789Z", 123, true},
        {"1970-01-01T00:00:00.0009Z", 0, true},
        {"1970-01-01T02:00:00+02:00", 0, true},
        {"1970-01-01T02:00:00+0200", 0, true},
        {"1970-01-01T02:00+02", 0, true},
        {"1969-12-31T18:30:00-05:30", 0, true},
        {"2016-12-31T23:59:60Z", 1483228800000, true}, /* a leap second is the second after */
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        int64_t ms = 77;
        bool zone = !good[i].zone;
        if (!civil_parse_datetime(str_of(good[i].text), &ms, &zone)) fail_msg("%s was refused", good[i].text);
        if (ms != good[i].ms || zone != good[i].zone)
            fail_msg("%s is %lld, zone %d", good[i].text, (long long)ms, zone);
    }
    static const char *const bad[] = {"",
                                      "1970-1-1T00:00",
                                      "1970-01-01T",
                                      "1970-01-01T00",
                                      "1970-01-01T00:",
                                      "1970-01-01T0:00",
                                      "1970-01-01T24:00",
                                      "1970-01-01T00:60",
                                      "1970-01-01T00:00:61",
                                      "1970-01-01T00:00:00.",
                                      "1970-01-01T00:00:00.Z",
                                      "1970-01-01T00:00:00 Z",
                                      "1970-01-01T00:00:00ZZ",
                                      "1970-01-01T00:00:00+",
                                      "1970-01-01T00:00:00+2",
                                      "1970-01-01T00:00:00+02:",
                                      "1970-01-01T00:00:00+02:6",
                                      "1970-01-01T00:00:00+24:00",
                                      "1970-01-01T00:00:00+02:60",
                                      "1970-01-01Z",
                                      "1970-01-01  00:00",
                                      "1970-02-30T00:00",
                                      "1970-01-01T00:00:00,5"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int64_t ms = 77;
        bool zone = true;
        if (civil_parse_datetime(str_of(bad[i]), &ms, &zone)) fail_msg("\"%s\" was taken", bad[i]);
        assert_true(ms == 77 && zone);
    }
}

/* Shows the written forms, also for years that do not have four digits. */
static void test_format(void **state)
{
    (void)state;
    char date[10], datetime[19];
    assert_int_equal(civil_format_date(19782, date), 10);
    assert_memory_equal(date, "2024-02-29", 10);
    assert_int_equal(civil_format_datetime(-1, datetime), 19);
    assert_memory_equal(datetime, "1969-12-31 23:59:59", 19);
    civil_format_date(civil_to_days(12345, 6, 7), date);
    assert_memory_equal(date, "9999-06-07", 10);
    civil_format_date(civil_to_days(-5, 6, 7), date);
    assert_memory_equal(date, "0000-06-07", 10);
    civil_format_date(civil_to_days(33, 6, 7), date);
    assert_memory_equal(date, "0033-06-07", 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_day),      cmocka_unit_test(test_before_1970), cmocka_unit_test(test_parse_date),
        cmocka_unit_test(test_parse_datetime), cmocka_unit_test(test_format),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
