/* `behaviors` and `action` as clients send them, and everything that can be wrong with them, with the place it is at.
 */
#include "api/behaviors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/civil.h"

static struct arena *arena;
static struct error error;

static int setup(void **state)
{
    (void)state;
    arena = arena_new((size_t)4 << 20);
    return 0;
}
static int teardown(void **state)
{
    (void)state;
    arena_free(arena);
    return 0;
}

#define assert_text(actual, expected) assert_true(str_eq((actual), str_of(expected)))

static void behaviors_are_read(void **state)
{
    (void)state;
    const struct behavior *behaviors;
    size_t count;
    struct str text =
        STR("[{\"window\":\"90d\",\"name\":\"behavior_79\",\"event_selectors\":[{\"event\":\"X\",\"selector\":"
            "\"properties[\\\"n\\\"] > 1\"},{\"event\":\"Y\",\"selector\":\"\"},{\"event\":\"Z\"},"
            "{\"event\":\"Z\",\"selector\":null}]},"
            "{\"name\":\"b\",\"window\":\"2w\",\"event_selectors\":[{\"event\":\"A\"}]}]");
    assert_int_equal(behaviors_parse(arena, text, 5, &error, &behaviors, &count), STATUS_OK);
    assert_int_equal(count, 2);
    assert_text(behaviors[0].name, "behavior_79");
    assert_int_equal(behaviors[0].window_ms, 90 * DAY_MS);
    assert_int_equal(behaviors[0].selector_count, 4);
    assert_text(behaviors[0].selectors[0].event, "X");
    assert_text(behaviors[0].selectors[0].where, "properties[\"n\"] > 1");
    for (int i = 1; i < 4; i++) assert_null(behaviors[0].selectors[i].where.data);
    assert_int_equal(behaviors[1].window_ms, 14 * DAY_MS);
    assert_int_equal(behaviors_parse(arena, text, 4, &error, &behaviors, &count), STATUS_LIMIT);
    assert_non_null(strstr(error.hint, "query.behaviors_max"));
    assert_int_equal(behaviors_parse(arena, STR("[]"), 4, &error, &behaviors, &count), STATUS_OK);
    assert_int_equal(count, 0);
}

static void windows(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ms; /* 0: refused */
    } rows[] = {
        {"1h", HOUR_MS},
        {"24h", DAY_MS},
        {"7d", 7 * DAY_MS},
        {"1w", 7 * DAY_MS},
        {"3m", 90 * DAY_MS},
        {"0d", 0},
        {"-1d", 0},
        {"d", 0},
        {"", 0},
        {"90", 0},
        {"90y", 0},
        {"1.5d", 0},
        {"90 days", 0},
        {"9223372036854775807d", 0},
        {"36601d", 0},
        {"36600d", 36600 * DAY_MS},
        {"999999999h", 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct behavior *behaviors;
        size_t count;
        struct str text = arena_printf(
            arena, "[{\"name\":\"b\",\"window\":\"%s\",\"event_selectors\":[{\"event\":\"A\"}]}]", rows[i].text);
        enum status status = behaviors_parse(arena, text, 4, &error, &behaviors, &count);
        if (status != (rows[i].ms ? STATUS_OK : STATUS_INVALID)) fail_msg("%s", rows[i].text);
        if (rows[i].ms)
            assert_int_equal(behaviors[0].window_ms, rows[i].ms);
        else
            assert_non_null(strstr(error.primary, "behaviors[0].window"));
    }
}

static void wrong_behaviors_are_told_where(void **state)
{
    (void)state;
#define GOOD "{\"name\":\"a\",\"window\":\"1d\",\"event_selectors\":[{\"event\":\"A\"}]}"
    static const struct {
        const char *text, *place;
    } rows[] = {
        {"", "behaviors"},
        {"{", "behaviors"},
        {"{}", "behaviors:"},
        {"[1]", "behaviors[0]:"},
        {"[" GOOD ",null]", "behaviors[1]:"},
        {"[{\"window\":\"1d\",\"event_selectors\":[{\"event\":\"A\"}]}]", "behaviors[0].name"},
        {"[{\"name\":\"\",\"window\":\"1d\",\"event_selectors\":[{\"event\":\"A\"}]}]", "behaviors[0].name"},
        {"[{\"name\":7,\"window\":\"1d\",\"event_selectors\":[{\"event\":\"A\"}]}]", "behaviors[0].name"},
        {"[{\"name\":\"a\",\"window\":90,\"event_selectors\":[{\"event\":\"A\"}]}]", "behaviors[0].window"},
        {"[{\"name\":\"a\",\"window\":\"1d\"}]", "behaviors[0].event_selectors"},
        {"[{\"name\":\"a\",\"window\":\"1d\",\"event_selectors\":[]}]", "behaviors[0].event_selectors"},
        {"[{\"name\":\"a\",\"window\":\"1d\",\"event_selectors\":{\"event\":\"A\"}}]", "behaviors[0].event_selectors"},
        {"[{\"name\":\"a\",\"window\":\"1d\",\"event_selectors\":[\"A\"]}]", "behaviors[0].event_selectors[0]:"},
        {"[{\"name\":\"a\",\"window\":\"1d\",\"event_selectors\":[{\"event\":\"\"}]}]", "event_selectors[0].event"},
        {"[{\"name\":\"a\",\"window\":\"1d\",\"event_selectors\":[{\"event\":\"A\"},{\"event\":\"A\",\"selector\":1}]}"
         "]",
         "behaviors[0].event_selectors[1].selector"},
        {"[" GOOD "," GOOD "]", "behaviors[1].name"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct behavior *behaviors;
        size_t count;
        assert_int_equal(behaviors_parse(arena, str_of(rows[i].text), 9, &error, &behaviors, &count), STATUS_INVALID);
        if (!strstr(error.primary, rows[i].place)) fail_msg("%s: %s", rows[i].text, error.primary);
    }
}

static void actions(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int kind; /* -1: refused */
        const char *of;
        double percentile;
    } rows[] = {
        {"count()", STATS_COUNT, NULL, 50},
        {" Count ( ) ", STATS_COUNT, NULL, 50},
        {"extremes(properties[\"ltv\"])", STATS_EXTREMES, "properties[\"ltv\"]", 50},
        {"numeric_summary(properties[\"a\"] + min(1, 2))", STATS_SUMMARY, "properties[\"a\"] + min(1, 2)", 50},
        {"percentile(properties[\"age\"], 99.5)", STATS_PERCENTILE, "properties[\"age\"]", 99.5},
        {"percentile(max(1, 2), 50)", STATS_PERCENTILE, "max(1, 2)", 50},
        {"percentile(properties[\"a,b\"],7)", STATS_PERCENTILE, "properties[\"a,b\"]", 7},
        {"percentile(properties[\"a\\\",\"],100)", STATS_PERCENTILE, "properties[\"a\\\",\"]", 100},
        {"percentile(properties['a,'],1)", STATS_PERCENTILE, "properties['a,']", 1},
        {"", -1, NULL, 0},
        {"count", -1, NULL, 0},
        {"count(1)", -1, NULL, 0},
        {"sum(properties[\"a\"])", -1, NULL, 0},
        {"extremes()", -1, NULL, 0},
        {"extremes(properties[\"a\"]", -1, NULL, 0},
        {"percentile(properties[\"a\"])", -1, NULL, 0},
        {"percentile(properties[\"a\"], x)", -1, NULL, 0},
        {"percentile(properties[\"a\"], 0)", -1, NULL, 0},
        {"percentile(properties[\"a\"], 100.1)", -1, NULL, 0},
        {"percentile(properties[\"a\"], NaN)", -1, NULL, 0},
        {"percentile(, 5)", -1, NULL, 0},
        {"percentile(\"", -1, NULL, 0},
        {")(", -1, NULL, 0},
        {"(", -1, NULL, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct stats_action action;
        enum status status = stats_action_parse(str_of(rows[i].text), &error, &action);
        enum status wanted = rows[i].kind < 0 ? STATUS_INVALID : STATUS_OK;
        if (status != wanted) fail_msg("%s", rows[i].text);
        if (rows[i].kind < 0) {
            assert_non_null(strstr(error.primary, "action"));
            continue;
        }
        assert_int_equal(action.kind, rows[i].kind);
        assert_true(action.percentile == rows[i].percentile);
        if (rows[i].of)
            assert_text(action.of, rows[i].of);
        else
            assert_null(action.of.data);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(behaviors_are_read, setup, teardown),
        cmocka_unit_test_setup_teardown(windows, setup, teardown),
        cmocka_unit_test_setup_teardown(wrong_behaviors_are_told_where, setup, teardown),
        cmocka_unit_test_setup_teardown(actions, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
