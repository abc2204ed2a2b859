/*
 * Zones against the C library, which reads the same files with other code: offsets at thousands of random instants from
 * 1900 to 2400 and around every change, for zones with every kind of rule (none, northern, southern, negative daylight
 * time, a day that was left out, half hours). Then wall-clock times in gaps and overlaps, the footer's rule in a TZif
 * file made here, and files that are damaged.
 */
#include "base/timezone.h"

#include "base/buf.h"
#include "base/civil.h"
#include "base/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <time.h>

static const char *const zones[] = {
    "Europe/Berlin",      "America/New_York",    "Asia/Kolkata",      "Pacific/Apia",    "Africa/Casablanca",
    "Europe/Dublin",      "Australia/Lord_Howe", "America/Sao_Paulo", "Asia/Kathmandu",  "America/St_Johns",
    "Pacific/Kiritimati", "Antarctica/Troll",    "Asia/Gaza",         "Pacific/Chatham", "America/Nuuk",
    "Etc/GMT+12",         "Africa/Monrovia",     "Asia/Tehran",
};

static const struct timezone_info *load(const char *name)
{
    const struct timezone_info *zone = NULL;
    struct error error = ERROR_INIT;
    if (timezone_load(str_of(name), &error, &zone) != STATUS_OK) fail_msg("%s: %s", name, error.primary);
    return zone;
}

static int64_t glibc_offset_ms(int64_t utc_ms)
{
    time_t seconds = (time_t)floor_div(utc_ms, 1000);
    struct tm tm;
    assert_non_null(localtime_r(&seconds, &tm));
    return tm.tm_gmtoff * 1000LL;
}

static void compare(const char *name, const struct timezone_info *zone, int64_t utc_ms)
{
    int64_t expected = glibc_offset_ms(utc_ms), actual = timezone_offset_ms(zone, utc_ms);
    if (actual != expected) {
        char text[20] = "";
        civil_format_datetime(utc_ms, text);
        fail_msg("%s at %s (%lld): %lld instead of %lld", name, text, (long long)utc_ms, (long long)actual,
                 (long long)expected);
    }
}

/* Shows that offsets agree with the C library at random instants and on both sides of every change until 2400. */
static void test_against_libc(void **state)
{
    (void)state;
    int64_t from = civil_to_days(1900, 1, 1) * DAY_MS, to = civil_to_days(2400, 1, 1) * DAY_MS;
    for (size_t i = 0; i < sizeof zones / sizeof *zones; i++) {
        const struct timezone_info *zone = load(zones[i]);
        setenv("TZ", zones[i], 1);
        tzset();
        for (uint64_t k = 0; k < 3000; k++) {
            compare(zones[i], zone, from + (int64_t)(hash_u64(k, i) % (uint64_t)(to - from)));
        }
        size_t changes = 0;
        for (int64_t at = from; (at = timezone_next_change_ms(zone, at)) < to; changes++) {
            assert_true(changes < 2000);
            assert_true(timezone_offset_ms(zone, at - 1) != timezone_offset_ms(zone, at));
            compare(zones[i], zone, at - 1000);
            compare(zones[i], zone, at);
        }
    }
    unsetenv("TZ");
    tzset();
}

static int64_t utc(const struct timezone_info *zone, const char *local)
{
    int64_t ms;
    bool has_zone;
    assert_true(civil_parse_datetime(str_of(local), &ms, &has_zone));
    return timezone_to_utc_ms(zone, ms);
}

static void assert_instant(int64_t actual, const char *expected)
{
    char text[20] = "";
    civil_format_datetime(actual, text);
    assert_string_equal(text, expected);
}

/* Shows ordinary wall-clock times, the hour that occurs twice (first occurrence) and the one that does not occur. */
static void test_to_utc(void **state)
{
    (void)state;
    const struct timezone_info *berlin = load("Europe/Berlin"), *york = load("America/New_York");
    assert_instant(utc(berlin, "2024-01-15 12:00:00"), "2024-01-15 11:00:00");
    assert_instant(utc(berlin, "2024-07-15 12:00:00"), "2024-07-15 10:00:00");
    assert_instant(utc(berlin, "2024-10-27 02:30:00"), "2024-10-27 00:30:00");
    assert_instant(utc(berlin, "2024-10-27 03:00:00"), "2024-10-27 02:00:00");
    assert_instant(utc(berlin, "2024-03-31 01:59:59"), "2024-03-31 00:59:59");
    assert_instant(utc(berlin, "2024-03-31 02:30:00"), "2024-03-31 01:30:00"); /* reads 03:30 on the clock */
    assert_instant(utc(berlin, "2024-03-31 03:00:00"), "2024-03-31 01:00:00");
    assert_instant(utc(york, "2024-11-03 01:30:00"), "2024-11-03 05:30:00");
    assert_instant(utc(york, "2024-11-03 02:00:00"), "2024-11-03 07:00:00");
    assert_instant(utc(load("Asia/Kolkata"), "2024-01-15 00:00:00"), "2024-01-14 18:30:00");
    /* Samoa left out the whole of 2011-12-30. */
    assert_instant(utc(load("Pacific/Apia"), "2011-12-29 12:00:00"), "2011-12-29 22:00:00");
    assert_instant(utc(load("Pacific/Apia"), "2011-12-31 12:00:00"), "2011-12-30 22:00:00");
    assert_instant(utc(load("Pacific/Apia"), "2011-12-30 12:00:00"), "2011-12-30 22:00:00");
    /* The rule of the footer goes on: the last Sunday of March 2100 is the 28th. */
    assert_instant(utc(berlin, "2100-03-28 01:30:00"), "2100-03-28 00:30:00");
    assert_instant(utc(berlin, "2100-03-28 03:30:00"), "2100-03-28 01:30:00");
    assert_instant(utc(berlin, "2100-07-01 12:00:00"), "2100-07-01 10:00:00");
    assert_instant(utc(timezone_utc(), "2024-01-15 12:00:00"), "2024-01-15 12:00:00");
}

/* Shows that local time there and back is the identity for every instant that is not the second of two readings. */
static void test_round_trip(void **state)
{
    (void)state;
    int64_t from = civil_to_days(1970, 1, 1) * DAY_MS, span = 200 * 365 * DAY_MS;
    for (size_t i = 0; i < sizeof zones / sizeof *zones; i++) {
        const struct timezone_info *zone = load(zones[i]);
        for (uint64_t k = 0; k < 3000; k++) {
            int64_t at = from + (int64_t)(hash_u64(k, i + 100) % (uint64_t)span);
            int64_t local = timezone_to_local_ms(zone, at), back = timezone_to_utc_ms(zone, local);
            assert_int_equal(timezone_to_local_ms(zone, back), local);
            assert_true(back <= at);
        }
    }
}

/* Shows the names that are refused, whatever lies on the disk, and that a hint goes with it. */
static void test_names(void **state)
{
    (void)state;
    static const char *const bad[] = {"",          "Mars/Olympus", "../../../etc/passwd", "/etc/passwd",
                                      "Europe",    "Europe/",      "Europe/Berlin\n",     "posix/../Europe/Berlin",
                                      "tzdata.zi", "zone.tab",     "Europe/Berlin ",      "europe"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const struct timezone_info *zone = timezone_utc();
        struct error error = ERROR_INIT;
        if (timezone_load(str_of(bad[i]), &error, &zone) != STATUS_INVALID) fail_msg("\"%s\" was loaded", bad[i]);
        assert_ptr_equal(zone, timezone_utc());
        assert_true(error.primary[0]);
    }
    assert_ptr_equal(load("UTC"), timezone_utc());
    assert_true(str_is(timezone_name(timezone_utc()), "UTC"));
    assert_true(str_is(timezone_name(load("Europe/Berlin")), "Europe/Berlin"));
    assert_ptr_equal(load("Europe/Berlin"), load("Europe/Berlin"));
    assert_true(timezone_next_change_ms(timezone_utc(), 0) == INT64_MAX);
    assert_true(timezone_next_change_ms(load("Asia/Kolkata"), 0) == INT64_MAX);
}

static void be32(struct buf *buf, uint32_t value)
{
    for (int shift = 24; shift >= 0; shift -= 8) buf_byte(buf, (char)(value >> shift));
}

/* A version 2 file with one standard type and only a footer. */
static struct buf tzif(const char *footer)
{
    struct buf buf = BUF_INIT(4096);
    for (int part = 0; part < 2; part++) {
        buf_lit(&buf, "TZif2");
        buf_fill(&buf, 0, 15);
        for (int i = 0; i < 4; i++) be32(&buf, 0);
        be32(&buf, 1); /* types */
        be32(&buf, 4); /* characters */
        be32(&buf, 3600);
        buf_add(&buf,
                "\0\0"
                "CET\0",
                6);
    }
    buf_printf(&buf, "\n%s\n", footer);
    return buf;
}

static enum status parse_footer(const char *footer, struct timezone_info **ret_zone)
{
    struct buf bytes = tzif(footer);
    char *exact = malloc(bytes.size); /* so that reading past the end is seen */
    memcpy(exact, bytes.data, bytes.size);
    enum status status = timezone_parse(str_from(exact, bytes.size), NULL, ret_zone);
    free(exact);
    buf_fini(&bytes);
    return status;
}

/* Shows the forms of the footer's rule, by the offsets in January and July and by the instant of a change. */
static void test_footer(void **state)
{
    (void)state;
    static const struct {
        const char *rule;
        double january, july; /* hours */
        const char *change;   /* the first after 2030-01-01, UTC */
    } cases[] = {
        {"CET-1", 1, 1, NULL},
        {"EST5EDT,M3.2.0,M11.1.0", -5, -4, "2030-03-10 07:00:00"},
        {"CET-1CEST,M3.5.0,M10.5.0/3", 1, 2, "2030-03-31 01:00:00"},
        {"<+1030>-10:30<+11>-11,M10.1.0,M4.1.0", 11, 10.5, "2030-04-06 15:00:00"},
        {"IST-1GMT0,M10.5.0,M3.5.0/1", 0, 1, "2030-03-31 01:00:00"},
        {"STD3DAY,J60/0,J300/0", -3, -2, "2030-03-01 03:00:00"},
        {"STD3DAY,59/0,299/0", -3, -2, "2030-03-01 03:00:00"},
        {"STD0DAY,M3.4.4/50,M10.4.4/50", 0, 1, "2030-03-30 02:00:00"},
        {"STD0DAY,M3.5.0/-2,M10.5.0/-1", 0, 1, "2030-03-30 22:00:00"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct timezone_info *zone;
        if (parse_footer(cases[i].rule, &zone) != STATUS_OK) fail_msg("%s was refused", cases[i].rule);
        int64_t january = civil_to_days(2030, 1, 15) * DAY_MS, july = civil_to_days(2030, 7, 15) * DAY_MS;
        assert_int_equal(timezone_offset_ms(zone, january), (int64_t)(cases[i].january * HOUR_MS));
        assert_int_equal(timezone_offset_ms(zone, july), (int64_t)(cases[i].july * HOUR_MS));
        int64_t change = timezone_next_change_ms(zone, civil_to_days(2030, 1, 1) * DAY_MS);
        if (cases[i].change)
            assert_instant(change, cases[i].change);
        else
            assert_true(change == INT64_MAX);
        timezone_free(zone);
    }
    static const char *const bad[] = {"C",
                                      "CET",
                                      "CET-1CEST",
                                      "CET-1CEST,M3.5.0",
                                      "CET-1CEST,M13.1.0,M10.5.0",
                                      "CET-1CEST,M3.0.0,M10.5.0",
                                      "CET-1CEST,M3.6.0,M10.5.0",
                                      "CET-1CEST,M3.5.7,M10.5.0",
                                      "CET-1CEST,J0,J300",
                                      "CET-1CEST,366,1",
                                      "CET-1CEST,M3.5.0,M10.5.0x",
                                      "<CET-1",
                                      "CET-168",
                                      "CET-1:60",
                                      "CET-1CEST,M3.5.0/,M10.5.0"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct timezone_info *zone;
        if (parse_footer(bad[i], &zone) != STATUS_INVALID) fail_msg("%s was taken", bad[i]);
    }
}

/* Shows that a file cut at any byte, or with any one byte changed, is an answer and never a read beyond its end. */
static void test_damaged(void **state)
{
    (void)state;
    struct buf bytes = tzif("CET-1CEST,M3.5.0,M10.5.0/3");
    size_t refused = 0;
    for (size_t size = 0; size < bytes.size; size++) {
        char *exact = malloc(size ? size : 1);
        memcpy(exact, bytes.data, size);
        struct timezone_info *zone = NULL;
        if (timezone_parse(str_from(exact, size), NULL, &zone) == STATUS_OK)
            timezone_free(zone);
        else
            refused++;
        free(exact);
    }
    assert_true(refused >= 108);
    for (size_t at = 0; at < bytes.size; at++) {
        for (int change = 0; change < 3; change++) {
            char *exact = malloc(bytes.size);
            memcpy(exact, bytes.data, bytes.size);
            exact[at] = (char)(change == 0 ? 0xFF : change == 1 ? exact[at] ^ 1 : 0x7F);
            struct timezone_info *zone = NULL;
            if (timezone_parse(str_from(exact, bytes.size), NULL, &zone) == STATUS_OK) {
                (void)timezone_offset_ms(zone, 0);
                (void)timezone_to_utc_ms(zone, civil_to_days(2030, 6, 1) * DAY_MS);
                timezone_free(zone);
            }
            free(exact);
        }
    }
    buf_fini(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_libc), cmocka_unit_test(test_to_utc), cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_names),        cmocka_unit_test(test_footer), cmocka_unit_test(test_damaged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
