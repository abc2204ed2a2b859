/* The line of a raw export: what stands in it of the person, and how times are written. */
#include "query/event_json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>

static struct row_name name = {{"plan", 4}, {"\"plan\":", 7}};

static void assert_line(const struct event_row *row, enum event_time_form form, const char *expected)
{
    struct buf line = BUF_INIT(4096);
    event_write_json(&line, row, form);
    assert_int_equal(buf_status(&line), STATUS_OK);
    buf_byte(&line, '\0');
    assert_string_equal(line.data, expected);
    buf_fini(&line);
}

static void who_it_is_and_was(void **state)
{
    (void)state;
    struct row_property property = {&name, {.type = VALUE_INT, .integer = 7}};
    struct event_row row = {.event = STR("say \"hi\""),
                            .time_ms = 1700000000000,
                            .distinct_id = STR("$device:D"),
                            .user = STR("U"),
                            .insert_id = STR("i"),
                            .received_ms = 1700000001000,
                            .properties = &property,
                            .property_count = 1};
    assert_line(&row, EVENT_TIME_EXACT,
                "{\"event\":\"say \\\"hi\\\"\",\"properties\":{\"time\":1700000000,\"distinct_id\":\"U\","
                "\"$distinct_id_before_identity\":\"$device:D\",\"$is_reshuffled\":true,\"$insert_id\":\"i\","
                "\"mp_processing_time_ms\":1700000001000,\"plan\":7}}");
    row.user = row.distinct_id;
    row.imported = true;
    row.json = STR(",\"a\":[1]");
    assert_line(&row, EVENT_TIME_EXACT,
                "{\"event\":\"say \\\"hi\\\"\",\"properties\":{\"time\":1700000000,\"distinct_id\":\"$device:D\","
                "\"$insert_id\":\"i\",\"$import\":true,\"mp_processing_time_ms\":1700000001000,\"a\":[1]}}");
}

static void times(void **state)
{
    (void)state;
    static const struct {
        int64_t time_ms;
        enum event_time_form form;
        const char *text;
    } rows[] = {
        {1700000000000, EVENT_TIME_EXACT, "1700000000"},
        {1700000000123, EVENT_TIME_EXACT, "1700000000123"},
        {1700000000123, EVENT_TIME_SECONDS, "1700000000"},
        {1700000000123, EVENT_TIME_MS, "1700000000123"},
        {1700000000000, EVENT_TIME_MS, "1700000000000"},
        {99999999500, EVENT_TIME_EXACT, "99999999.5"},
        {-1500, EVENT_TIME_SECONDS, "-2"},
        {-2000, EVENT_TIME_SECONDS, "-2"},
        {-1500, EVENT_TIME_EXACT, "-1.5"},
        {0, EVENT_TIME_SECONDS, "0"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char expected[256];
        struct event_row row = {.event = STR("E"), .time_ms = rows[i].time_ms, .insert_id = STR("i")};
        snprintf(expected, sizeof expected,
                 "{\"event\":\"E\",\"properties\":{\"time\":%s,\"distinct_id\":\"\",\"$insert_id\":\"i\","
                 "\"mp_processing_time_ms\":0}}",
                 rows[i].text);
        row.distinct_id = row.user = STR("");
        assert_line(&row, rows[i].form, expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(who_it_is_and_was), cmocka_unit_test(times)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
