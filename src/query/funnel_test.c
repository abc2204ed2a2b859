/*
 * Funnels by hand: a case for each rule of query/funnel.h. Events are written as `A@SECONDS` (with thousandths), with
 * `=VALUE` for the property `item`, in one line for each person. What is wanted is how many reached each step.
 */
#include "query/funnel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/civil.h"
#include "query/backend.h"
#include "query/store_testing.h"

#define PROJECT 4
#define DAY0    19783 /* 2024-03-01 */
#define T0      (DAY0 * DAY_MS)
#define HOUR    3600

static struct executor *executor;
static struct funnel_plan plan;
static struct funnel_step steps[64];
static struct funnel_exclusion exclusions[2];
static struct str step_names[64], exclusion_names[2], hold[4];
static struct plan_limits limits;

static int setup(void **state)
{
    (void)state;
    testing_store_begin(1 << 20);
    executor = executor_native_new_threads(store, 2);
    for (int i = 0; i < 64; i++) {
        static char letters[64][2];
        letters[i][0] = (char)('A' + i % 26);
        step_names[i] = str_of(letters[i]);
        steps[i] = (struct funnel_step){.events = &step_names[i], .event_count = 1};
    }
    plan = (struct funnel_plan){.project = PROJECT,
                                .zone = timezone_utc(),
                                .from_day = DAY0,
                                .to_day = DAY0 + 9,
                                .unit = UNIT_RANGE,
                                .steps = steps,
                                .step_count = 2,
                                .exclusions = exclusions,
                                .window_ms = HOUR * 1000,
                                .hold = hold,
                                .limit = 255,
                                .now_ms = T0};
    limits = (struct plan_limits){.memory_bytes_max = (size_t)64 << 20, .buckets_max = 1000, .deadline_ns = INT64_MAX};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    executor_free(executor);
    return testing_store_end();
}

/* --- events --- */

static void send(const char *id, struct str event, int64_t time_ms, struct str item)
{
    struct batch batch;
    struct buf record;
    struct arena *arena = arena_new(1 << 20);
    struct json json = json_string(item);
    batch_init(&batch, (size_t)1 << 20);
    batch_begin(&batch, PROJECT, T0 + 100 * DAY_MS, IDENTITY_SIMPLIFIED, 0);
    batch_event(&batch, event, time_ms, str_of(id), STR_NULL, STR_NULL);
    if (item.size && item.data[0] == '[') assert_int_equal(json_parse(arena, item, NULL, &error, &json), STATUS_OK);
    if (item.size) assert_int_equal(batch_property(&batch, STR("item"), &json), STATUS_OK);
    batch_event_end(&batch);
    assert_int_equal(batch_finish(&batch, &record), STATUS_OK);
    batch_fini(&batch);
    arena_free(arena);
    assert_int_equal(store_append_wait(store, &record), STATUS_OK);
}

/* `A@1.5=x B@60` */
static void person(const char *id, const char *events)
{
    struct str rest = str_of(events), one;
    while (str_next_part(&rest, ' ', &one)) {
        size_t at = str_find_byte(one, '@', 0), is = str_find_byte(one, '=', 0);
        assert_true(at != SIZE_MAX);
        char number[32] = {0};
        struct str text = str_slice(one, at + 1, is == SIZE_MAX ? one.size : is);
        assert_true(text.size < sizeof number);
        memcpy(number, text.data, text.size);
        double seconds = strtod(number, NULL) * 1000;
        send(id, str_slice(one, 0, at), T0 + (int64_t)(seconds < 0 ? seconds - 0.5 : seconds + 0.5),
             is == SIZE_MAX ? STR("") : str_slice(one, is + 1, one.size));
    }
}

static void exclude(const char *name, uint32_t from, uint32_t to)
{
    exclusion_names[plan.exclusion_count] = str_of(name);
    exclusions[plan.exclusion_count] = (struct funnel_exclusion){
        .events = &exclusion_names[plan.exclusion_count], .event_count = 1, .from_step = from, .to_step = to};
    plan.exclusion_count++;
}

/* --- questions --- */

static void write_counts(struct buf *out, const struct funnel_result *result, const struct funnel_cell *cells)
{
    for (uint32_t b = 0; b < result->bucket_count; b++) {
        const struct funnel_cell *first = funnel_cell_at(result, cells, b, 0);
        if (first->count == 0 && result->bucket_count > 1) continue;
        if (out->size) buf_lit(out, ", ");
        if (result->bucket_count > 1) buf_printf(out, STR_FMT ": ", STR_ARG(result->buckets[b]));
        for (uint32_t k = 0; k < result->step_count; k++) buf_printf(out, "%s%d", k ? " " : "", (int)first[k].count);
    }
}

/* The funnel without labels, then each label. */
static void check_counts(int line, const char *wanted)
{
    struct funnel_result result;
    struct buf text = BUF_INIT(1 << 16);
    char reason[1200];
    if (executor->funnel(executor, &plan, &limits, &error, &result) != STATUS_OK)
        fail_msg("line %d: %s", line, error_text(&error, reason, sizeof reason));
    write_counts(&text, &result, result.overall);
    for (uint32_t i = 0; i < result.series_count; i++) {
        struct buf series = BUF_INIT(1 << 16);
        write_counts(&series, &result, result.series[i].cells);
        buf_printf(&text, "; " STR_FMT ": " STR_FMT, STR_ARG(result.series[i].label), STR_ARG(buf_str(&series)));
        buf_fini(&series);
    }
    buf_byte(&text, 0);
    if (strcmp(text.data, wanted) != 0) fail_msg("line %d:\n got    %s\n wanted %s", line, text.data, wanted);
    buf_fini(&text);
    funnel_result_free(&result);
}
#define WANT(wanted) check_counts(__LINE__, wanted)

static void check_refused(int line, enum status wanted, const char *text)
{
    struct funnel_result result;
    char reason[1200];
    enum status status = executor->funnel(executor, &plan, &limits, &error, &result);
    if (status != wanted) fail_msg("line %d: %s instead of %s", line, status_name(status), status_name(wanted));
    error_text(&error, reason, sizeof reason);
    if (!strstr(reason, text)) fail_msg("line %d: \"%s\" does not say \"%s\"", line, reason, text);
}
#define REFUSED(text) check_refused(__LINE__, STATUS_INVALID, text)

/* --- counting methods --- */

/* Once a person, at the first entry; others may come between, steps that come too early are passed over. */
static void uniques(void **state)
{
    (void)state;
    plan.step_count = 3;
    person("U1", "A@0 X@5 B@10 C@20 A@30 B@40 C@50");
    person("U2", "C@0 B@5 A@10 C@20 B@30");
    person("U3", "B@0 C@10");
    person("U4", "A@0");
    WANT("3 2 1");
    send("", STR("A"), T0, STR("")); /* nobody's */
    send("", STR("B"), T0 + 9000, STR(""));
    WANT("3 2 1");
}

/* A to E as the documentation has it. */
static void fixed_order(void **state)
{
    (void)state;
    plan.step_count = 5;
    person("U1", "A@0 B@10 C@20 D@30 E@40");
    person("U2", "A@0 B@10 F@15 C@20 D@30 E@40");
    person("U3", "A@0 B@10 D@15 C@20 D@30 E@40");
    WANT("3 3 3 3 3");
    person("U4", "A@0 B@10 C@20 E@40");
    WANT("4 4 4 3 3");
}

static void totals(void **state)
{
    (void)state;
    plan.count = FUNNEL_TOTALS;
    person("U1", "A@0 A@10 B@20 A@30 B@40 B@50 A@60"); /* the second A is in progress, the last B is nobody's */
    WANT("3 2");
    person("U2", "A@0 A@1800 A@3600 A@3601 B@3700"); /* timed out only after the hour */
    WANT("5 3");
}

static void sessions(void **state)
{
    (void)state;
    plan.count = FUNNEL_SESSIONS;
    plan.step_count = 2;
    /* two sessions: 30 minutes are none between, half an hour and a second is */
    person("U1", "A@0 X@1800 B@3600 A@5401 B@5500 A@5600 B@5700");
    WANT("2 2");
    /* the second session has no A; B is in another one */
    person("U2", "A@0 B@1801");
    WANT("3 2");
    /* midnight ends it, though nobody paused */
    person("U3", "A@86399 B@86401");
    WANT("4 2");
    plan.session_gap_ms = 2000 * 1000;
    WANT("3 2");
    plan.zone = NULL;
    assert_int_equal(timezone_load(STR("Europe/Berlin"), &error, &plan.zone), STATUS_OK);
    WANT("3 3"); /* now U3's are on the same day */
}

static void windows_of_sessions(void **state)
{
    (void)state;
    plan.window_sessions = 2;
    person("U1", "A@0 X@1801 B@1900");
    person("U2", "A@0 X@1801 X@3700 B@3800");
    WANT("2 1");
    plan.window_sessions = 3;
    WANT("2 2");
}

/* --- the window --- */

static void window(void **state)
{
    (void)state;
    plan.step_count = 3;
    person("U1", "A@46800 A@48600 B@49500 C@51300"); /* 1:00, 1:30, 1:45, 2:15 pm of the documentation */
    WANT("1 1 0");
    person("U2", "A@0 B@10 C@3600"); /* to the last moment */
    person("U3", "A@0 B@10 C@3600.001");
    WANT("3 3 1");
    plan.window_ms = 1000;
    WANT("3 0 0");
}

/* Events are read beyond the range, on both sides: as steps, not as entries. */
static void beyond_the_range(void **state)
{
    (void)state;
    plan.to_day = DAY0;
    person("U1", "A@86399 B@88000");
    person("U2", "A@86400 B@88000");
    person("U3", "A@-1 B@10");
    person("U4", "B@-1 A@0.5");
    WANT("2 2");
}

/* --- the grace --- */

static void grace(void **state)
{
    (void)state;
    person("U1", "B@0 A@2");
    person("U2", "B@0 A@2.001");
    WANT("2 1");
    plan.step_count = 3; /* each step with the one before it */
    person("U3", "C@10 B@11.5 A@13");
    WANT("3 2 1");
}

static void each_event_serves_one_step(void **state)
{
    (void)state;
    step_names[1] = STR("A");
    person("U1", "A@0");
    WANT("1 0");
    person("U2", "A@0 A@0");
    WANT("2 1");
    plan.count = FUNNEL_TOTALS;
    person("U3", "A@0 A@10 A@20 A@30 A@40");
    WANT("5 3");
}

static void times(void **state)
{
    (void)state;
    struct funnel_result result;
    double previous, start;
    plan.step_count = 3;
    person("U1", "A@0 B@10 C@40");
    person("U2", "A@0 B@21");
    person("U3", "B@8 A@9 C@20"); /* turned round: no time, rather than less */
    assert_int_equal(executor->funnel(executor, &plan, &limits, &error, &result), STATUS_OK);
    const struct funnel_cell *cells = result.overall;
    assert_false(funnel_cell_seconds(&cells[0], 0, &previous, &start));
    assert_int_equal(cells[1].from_previous_ms, 31000);
    assert_int_equal(cells[1].from_start_ms, 31000);
    assert_int_equal(cells[2].from_previous_ms, 30000 + 12000);
    assert_int_equal(cells[2].from_start_ms, 40000 + 11000);
    assert_true(funnel_cell_seconds(&cells[2], 2, &previous, &start));
    assert_true(previous == 21 && start == 25.5);
    funnel_result_free(&result);
}

/* --- re-entry --- */

static void optimized_reentry(void **state)
{
    (void)state;
    plan.reentry = FUNNEL_REENTRY_OPTIMIZED;
    plan.count = FUNNEL_TOTALS;
    person("U1", "A@0 A@3000 B@4000"); /* scenario 2: the window of the first has ended */
    WANT("2 1");
    plan.count = FUNNEL_UNIQUES;
    WANT("1 1");
    plan.reentry = FUNNEL_REENTRY_DEFAULT;
    WANT("1 0");
    person("U2", "A@0 A@5000 B@5100"); /* scenario 1 */
    WANT("2 0");
    plan.reentry = FUNNEL_REENTRY_OPTIMIZED;
    WANT("2 2");
    person("U3", "A@0 A@10 A@20 B@30"); /* the latest before step 2, so 10 seconds */
    struct funnel_result result;
    assert_int_equal(executor->funnel(executor, &plan, &limits, &error, &result), STATUS_OK);
    assert_int_equal(result.overall[1].from_previous_ms, 1000000 + 100000 + 10000);
    funnel_result_free(&result);
    /* only step 1 restarts, and nobody converts: the furthest counts */
    plan.step_count = 3;
    person("U4", "A@0 A@10 B@20 A@30");
    WANT("4 4 0");
}

static void basic_reentry(void **state)
{
    (void)state;
    plan.count = FUNNEL_TOTALS;
    person("U1", "A@0 B@10 A@20 B@30 A@3601 B@3700");
    WANT("3 3");
    plan.reentry = FUNNEL_REENTRY_AGGRESSIVE;
    WANT("3 3");
    plan.reentry = FUNNEL_REENTRY_BASIC;
    WANT("2 2");
}

/* --- exclusions --- */

static void excluded(void **state)
{
    (void)state;
    plan.count = FUNNEL_TOTALS;
    exclude("A", 1, 2);
    person("U1", "A@0 A@10 A@20 B@30"); /* of the documentation: two entries, one conversion */
    WANT("2 1");
    /* within the grace of either step it is taken to be outside */
    plan.exclusion_count = 0;
    exclude("X", 1, 0);
    plan.step_count = 3;
    person("U2", "A@0 X@2 B@100 X@98.5 C@200 X@199");
    WANT("2 2 1");
    person("U3", "A@0 B@100 X@150 C@200");
    WANT("3 3 1");
    exclusions[0].to_step = 2; /* only between the first two */
    WANT("3 3 2");
}

/* Users still count up to where they came. */
static void excluded_uniques(void **state)
{
    (void)state;
    exclude("X", 1, 2);
    person("U1", "A@0 X@10 B@20 A@30 B@40");
    WANT("1 0");
    person("U2", "A@0 B@20 X@10000"); /* long after */
    WANT("2 1");
}

/* --- order --- */

static void any_order(void **state)
{
    (void)state;
    plan.any_order = true;
    plan.step_count = 3;
    person("U1", "C@0 A@10 B@20");
    person("U2", "B@0 B@10 A@20");
    WANT("2 2 1");
    steps[0].anchored = true; /* A first, then B and C */
    WANT("2 1 0");
    steps[0].anchored = false;
    steps[2].anchored = true; /* A and B, then C */
    person("U3", "B@0 C@10 A@20 C@30");
    WANT("3 3 1");
}

/* --- held properties --- */

static void held(void **state)
{
    (void)state;
    hold[0] = STR("item");
    plan.hold_count = 1;
    person("U1", "A@0=x A@5=y B@10=y B@20=x");
    person("U2", "A@0=x A@5=y B@10=y");
    person("U3", "A@0 B@10"); /* without a value there is nothing to hold */
    WANT("2 1");
    plan.count = FUNNEL_TOTALS; /* an attempt for each value */
    WANT("4 3");
    hold[1] = STR("properties[\"$event_name\"]"); /* both must be the same */
    plan.hold_count = 2;
    WANT("4 0");
}

/* --- labels --- */

static void labels_by_step(void **state)
{
    (void)state;
    plan.on = STR("item");
    /* of the documentation: shirt converts, jeans is in progress, shoes comes after */
    person("U1", "A@0=shirt A@10=jeans B@20 A@30=shoes");
    WANT("1 1; shirt: 1 1; shoes: 1 0");
    plan.on_step = 2;
    person("U2", "A@0=shirt B@10=hat");
    WANT("2 2; hat: 1 1; undefined: 1 1");
    plan.on_step = 0;
    plan.limit = 1;
    WANT("2 2; shirt: 2 2");
}

static void labels_first_and_last(void **state)
{
    (void)state;
    plan.on = STR("item");
    plan.step_count = 3;
    plan.attribution = FUNNEL_ATTRIBUTE_FIRST;
    person("U1", "A@0 B@10=red C@20=blue");
    WANT("1 1 1; red: 1 1 1");
    plan.attribution = FUNNEL_ATTRIBUTE_LAST;
    WANT("1 1 1; blue: 1 1 1");
    person("U2", "A@0=[\"x\",\"y\"]");
    WANT("2 1 1; blue: 1 1 1; x: 1 0 0; y: 1 0 0");
}

/* More labels than there is memory for all their cells: two walks give the same. */
static void many_labels(void **state)
{
    (void)state;
    plan.on = STR("item");
    plan.limit = 2;
    plan.unit = UNIT_DAY;
    plan.from_day = DAY0 - 900;
    plan.to_day = DAY0 + 90;
    for (int i = 0; i < 120; i++) {
        char id[16], events[64];
        snprintf(id, sizeof id, "U%d", i);
        snprintf(events, sizeof events, "A@%d=v%d B@%d A@%d=both", i, i, i + 10, i + 20000);
        person(id, events);
    }
    WANT("2024-03-01: 120 120; both: 2024-03-01: 120 0; v0: 2024-03-01: 1 1");
    limits.memory_bytes_max = (size_t)1 << 20; /* a slot has its least: two megabytes for what it counts */
    WANT("2024-03-01: 120 120; both: 2024-03-01: 120 0; v0: 2024-03-01: 1 1");
}

/* --- filters, buckets --- */

static void filters(void **state)
{
    (void)state;
    steps[0].where = STR("properties[\"item\"] == \"safari\"");
    person("U1", "A@0=chrome A@3000=safari B@4000"); /* of the documentation: enters with the second */
    WANT("1 1");
    plan.where = STR("properties[\"item\"] == \"safari\""); /* for all steps */
    WANT("1 0");
    person("U2", "A@0=safari B@10=safari");
    WANT("2 1");
    exclude("X", 1, 2); /* not for exclusions */
    person("U3", "A@0=safari X@10 B@20=safari");
    WANT("3 1");
}

static void buckets_of_entries(void **state)
{
    (void)state;
    plan.unit = UNIT_DAY;
    plan.window_ms = 2 * DAY_MS;
    person("U1", "A@0 A@86400 B@90000"); /* a day's funnel each: both convert */
    person("U2", "A@86399 B@86401");
    WANT("2024-03-01: 2 2");
    plan.trend = true;
    WANT("2024-03-01: 2 2, 2024-03-02: 1 1");
    plan.unit = UNIT_DAYS; /* weeks that begin with the range, a Friday */
    plan.interval_days = 7;
    person("U3", "A@604800");
    WANT("2024-03-01: 2 2, 2024-03-08: 1 0");
    plan.unit = UNIT_MONTH;
    WANT("3 2");
}

static void merged_people(void **state)
{
    (void)state;
    struct buf record = BUF_INIT(1 << 16);
    person("$device:D", "A@0");
    person("U", "B@10");
    WANT("1 0");
    assert_int_equal(store_flush(store, &error), STATUS_OK);
    assert_int_equal(record_link(&record, PROJECT, T0, IDENTITY_SIMPLIFIED, LINK_CREATE, STR("$device:D"), STR("U")),
                     STATUS_OK);
    assert_int_equal(store_append_wait(store, &record), STATUS_OK);
    WANT("1 1");
    assert_int_equal(store_compact_wait(store, &error), STATUS_OK);
    WANT("1 1");
}

/* --- refusals --- */

static void bad_plans(void **state)
{
    (void)state;
    struct funnel_plan good = plan;
    plan.step_count = 0;
    REFUSED("steps: a funnel needs at least one");
    plan.step_count = 31;
    REFUSED("steps: 31 are more than 30");
    plan.steps_max = 100;
    struct funnel_result result;
    assert_int_equal(executor->funnel(executor, &plan, &limits, &error, &result), STATUS_OK);
    assert_int_equal(result.step_count, 31);
    funnel_result_free(&result);
    plan.step_count = 61;
    REFUSED("more than 60 together");
    plan = good;
    exclude("X", 2, 0);
    REFUSED("exclusions[0]: between steps 2 and 2 there is nothing");
    exclusions[0].from_step = 0;
    REFUSED("exclusions[0]");
    exclusions[0] = (struct funnel_exclusion){.from_step = 1, .to_step = 3};
    REFUSED("exclusions[0]");
    plan = good;
    plan.window_ms = 0;
    REFUSED("window: must be above 0");
    plan.window_ms = FUNNEL_WINDOW_MS_MAX + 1;
    REFUSED("window: must be up to 366 days");
    plan.window_sessions = 13;
    REFUSED("window: 13 sessions");
    plan = good;
    plan.hold_count = 4;
    REFUSED("hold: 4 properties are more than 3");
    plan = good;
    plan.on = STR("item");
    plan.limit = 0;
    REFUSED("limit must be at least 1");
    plan.limit = 1;
    plan.on_step = 3;
    REFUSED("on_step: there is no step 3");
    plan = good;
    plan.from_day = plan.to_day + 1;
    REFUSED("from_date is later than to_date");
    plan.from_day = plan.to_day - 100000;
    REFUSED("from_date");
    plan = good;
    plan.any_order = true;
    plan.reentry = FUNNEL_REENTRY_OPTIMIZED;
    REFUSED("reentry");
    plan = good;
    plan.session_gap_ms = DAY_MS + 1;
    REFUSED("session_gap");
    plan = good;
    steps[1].where = STR("properties[");
    REFUSED("steps[1].where");
    steps[1].where = STR_NULL;
    exclude("X", 1, 2);
    exclusions[0].where = STR("1 +");
    REFUSED("exclusions[0].where");
    plan = good;
    hold[0] = STR("(");
    plan.hold_count = 1;
    REFUSED("hold[0]");
    plan = good;
    plan.where = STR("nonsense(");
    REFUSED("where");
    plan.where = STR_NULL;
    plan.on = STR(")");
    REFUSED("on");
}

/* What a filter does with an event may fail: the message names the step. */
static void failing_filters(void **state)
{
    (void)state;
    steps[1].where = STR("properties[\"item\"] and true");
    person("U1", "A@0 B@10=x");
    REFUSED("steps[1].where");
    plan.where = STR("properties[\"item\"] or true");
    steps[1].where = STR_NULL;
    REFUSED("where");
}

static void bounded(void **state)
{
    (void)state;
    atomic_bool cancelled = true;
    person("U1", "A@0 B@10");
    limits.cancelled = &cancelled;
    check_refused(__LINE__, STATUS_CANCELLED, "cancelled");
    limits.cancelled = NULL;
    plan.unit = UNIT_DAY;
    plan.from_day -= 2000;
    check_refused(__LINE__, STATUS_LIMIT, "more than 1000 buckets");
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(uniques),        CASE(fixed_order),
        CASE(totals),         CASE(sessions),
        CASE(window),         CASE(windows_of_sessions),
        CASE(grace),          CASE(beyond_the_range),
        CASE(times),          CASE(each_event_serves_one_step),
        CASE(basic_reentry),  CASE(optimized_reentry),
        CASE(excluded),       CASE(excluded_uniques),
        CASE(any_order),      CASE(held),
        CASE(labels_by_step), CASE(labels_first_and_last),
        CASE(many_labels),    CASE(filters),
        CASE(merged_people),  CASE(buckets_of_entries),
        CASE(bad_plans),      CASE(failing_filters),
        CASE(bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
