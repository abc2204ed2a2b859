/*
 * The rules of retention and frequency (src/query/retention.h, frequency.h), one by one, on histories of a few events:
 * the engine and the reference evaluator are both asked, and both must give what is written here. Each history is asked
 * about in memory, in files, and after the store was compacted.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/civil.h"
#include "differential/answer.h"
#include "differential/world.h"

#include <stdlib.h>

#define DAY0      19783 /* 2024-03-01, a Friday */
#define STEPS_MAX 64
#define RECEIVED  INT64_C(1900000000000)

static struct history history;
static struct step steps[STEPS_MAX];
static struct plan plan;
static struct str born = STR("A"), back = STR("B");

static int setup(void **state)
{
    (void)state;
    history = (struct history){
        .arena = arena_new((size_t)1 << 24), .mode = IDENTITY_SIMPLIFIED, .flush_rows = 1000000, .steps = steps};
    plan = (struct plan){.kind = PLAN_RETENTION,
                         .zone = timezone_utc(),
                         .from_day = DAY0,
                         .to_day = DAY0 + 1,
                         .unit = UNIT_DAY,
                         .events = &back,
                         .event_count = 1,
                         .limit = 10,
                         .now_ms = (DAY0 + 1000) * DAY_MS,
                         .retention = {.interval_count = 3, .born_events = &born, .born_event_count = 1},
                         .active_unit = UNIT_HOUR};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(history.arena);
    return 0;
}

/* --- what happens --- */

static struct step *add(enum step_kind kind)
{
    assert_true(history.count < STEPS_MAX);
    steps[history.count] = (struct step){.kind = kind, .received_ms = RECEIVED, .batch = (unsigned)history.count};
    return &steps[history.count++];
}

/* `ms` since the beginning of DAY0; `id` NULL: of nobody; `more`: further properties, or "". */
static void event_with(const char *name, const char *id, int64_t ms, const char *more)
{
    int64_t time_ms = DAY0 * DAY_MS + ms;
    add(STEP_EVENT)->event =
        arena_printf(history.arena, "{\"event\":\"%s\",\"properties\":{\"token\":\"t\",\"time\":%lld.%03d%s%s%s%s}}",
                     name, (long long)(time_ms / 1000), (int)(time_ms % 1000), id ? ",\"distinct_id\":\"" : "",
                     id ? id : "", id ? "\"" : "", more);
    assert_non_null(steps[history.count - 1].event.data);
}

static void event(const char *name, const char *id, int64_t ms)
{
    event_with(name, id, ms, "");
}

static int64_t hours(int64_t count)
{
    return count * HOUR_MS;
}

static void zone(const char *name)
{
    assert_int_equal(timezone_load(str_of(name), NULL, &plan.zone), STATUS_OK);
}

/* --- what is said about it --- */

static void check_executor(int line, struct executor *executor, const char *when, const char *wanted)
{
    struct buf answer = BUF_INIT((size_t)1 << 20);
    answer_write(executor, &plan, UINT64_MAX, &answer);
    assert_int_equal(buf_status(&answer), STATUS_OK);
    if (!str_eq(buf_str(&answer), str_of(wanted)))
        fail_msg("line %d, %s %s:\n got    " STR_FMT "\n wanted %s", line, executor->name, when,
                 STR_ARG(buf_str(&answer)), wanted);
    buf_fini(&answer);
}

static void check_at(int line, const char *wanted)
{
    struct world w;
    world_init(&w, &history);
    check_executor(line, w.naive, "", wanted);
    check_executor(line, w.native, "in memory", wanted);
    world_flush(&w);
    check_executor(line, w.native, "in files", wanted);
    world_compact(&w);
    check_executor(line, w.native, "in one file", wanted);
    world_fini(&w);
}
#define check(wanted) check_at(__LINE__, (wanted))

/* Two cohorts of three intervals. */
#define COHORTS(people, first, second)                                                                                 \
    people " people, 0 labels, 3 intervals, buckets 2024-03-01 " first " to 3 2024-03-02 " second " to 3\n    "

/* --- retention --- */

static void intervals_are_of_ones_own_time(void **state)
{
    (void)state;
    event("A", "u", hours(20));
    event("B", "u", hours(19)); /* before */
    event("B", "u", hours(30)); /* another day, but within 24 hours */
    event("B", "u", hours(20 + 48));
    check(COHORTS("1", "1", "0") " 1 0 1 0 0 0");
}

/* The last millisecond of an interval, the first of the next one, the first behind all; and the same minute. */
static void intervals_have_ends(void **state)
{
    (void)state;
    int64_t birth = hours(7) + 12345;
    static const char *const ids[] = {"u1", "u2", "u3", "u4", "u5", "u6"};
    const int64_t returns[] = {birth,    birth + DAY_MS - 1, birth + DAY_MS, birth + 3 * DAY_MS - 1, birth + 3 * DAY_MS,
                               birth - 1};
    for (size_t i = 0; i < 6; i++) {
        event("A", ids[i], birth);
        event("B", ids[i], returns[i]);
    }
    check(COHORTS("6", "6", "0") " 2 1 1 0 0 0");
}

static void who_is_born_is_born_once(void **state)
{
    (void)state;
    event("A", "u", hours(30));
    event("A", "u", hours(10)); /* comes later, is earlier */
    event("A", "u", hours(-1)); /* not in the range */
    event("B", "u", hours(10 + 25));
    check(COHORTS("1", "1", "0") " 0 1 0 0 0 0");
}

static void a_birth_is_no_return(void **state)
{
    (void)state;
    plan.event_count = 0;
    event("A", "u", hours(1));
    check(COHORTS("1", "1", "0") " 0 0 0 0 0 0");
    event("A", "u", hours(1)); /* sent twice */
    check(COHORTS("1", "1", "0") " 0 0 0 0 0 0");
    event("B", "u", hours(1)); /* at once, but no birth */
    check(COHORTS("1", "1", "0") " 1 0 0 0 0 0");
    plan.event_count = 1;
    plan.events = &born;
    check(COHORTS("1", "1", "0") " 0 0 0 0 0 0");
    event("A", "u", hours(1) + 1);
    check(COHORTS("1", "1", "0") " 1 0 0 0 0 0");
}

/* Of events with the same name only those that fulfil born_where are births. */
static void born_where_says_what_a_birth_is(void **state)
{
    (void)state;
    plan.events = &born;
    plan.retention.born_where = STR("properties[\"n\"] > 1");
    event_with("A", "u", hours(1), ",\"n\":1");
    event_with("A", "u", hours(2), ",\"n\":2");
    event_with("A", "u", hours(2), ",\"n\":3");
    check(COHORTS("1", "1", "0") " 0 0 0 0 0 0");
    event_with("A", "u", hours(2), ",\"n\":0");
    check(COHORTS("1", "1", "0") " 1 0 0 0 0 0");
    plan.where = STR("properties[\"n\"] == 1");
    check(COHORTS("1", "1", "0") " 0 0 0 0 0 0");
    plan.retention.born_where = STR("properties[\"n\"] >");
    check("an expression is refused");
}

static void returns_may_lie_behind_the_range(void **state)
{
    (void)state;
    plan.to_day = DAY0;
    event("A", "u", hours(23));
    event("B", "u", hours(23 + 50));
    check("1 people, 0 labels, 3 intervals, buckets 2024-03-01 1 to 3\n     0 0 1");
}

static void nobody_counts_for_nothing(void **state)
{
    (void)state;
    event("A", NULL, hours(1));
    event("B", NULL, hours(2));
    event("A", "u", hours(3));
    check(COHORTS("1", "1", "0") " 0 0 0 0 0 0");
}

static void unbounded_is_then_or_later(void **state)
{
    (void)state;
    plan.retention.unbounded = true;
    event("A", "u", hours(1));
    event("B", "u", hours(1 + 25));
    event("A", "v", hours(1));
    event("B", "v", hours(2));
    event("A", "w", hours(1));
    event("B", "w", hours(1 + 72)); /* behind the last interval */
    check(COHORTS("3", "3", "0") " 2 1 0 0 0 0");
}

/* Each day on which he did it has him, and what he does later counts for all of them. */
static void compounded(void **state)
{
    (void)state;
    plan.retention.type = RETENTION_COMPOUNDED;
    plan.retention.born_event_count = 0;
    plan.events = &born;
    event("A", "u", hours(5));
    event("A", "u", hours(6));
    event("A", "u", hours(40));
    event("A", "u", hours(40)); /* the same birth */
    event("A", "v", hours(5));
    check(COHORTS("3", "2", "1") " 1 1 0 0 0 0");
    event("A", "u", hours(41));
    check(COHORTS("3", "2", "1") " 1 1 0 1 0 0");
}

static void units_and_their_lengths(void **state)
{
    (void)state;
    plan.to_day = DAY0 + 40;
    plan.retention.interval_count = 2;
    event("A", "u", hours(24));
    event("B", "u", hours(24) + 7 * DAY_MS - 1);
    event("B", "u", hours(24) + 30 * DAY_MS);
    plan.unit = UNIT_WEEK;
    check("1 people, 0 labels, 2 intervals, buckets 2024-02-26 1 to 2 2024-03-04 0 to 2 2024-03-11 0 to 2 2024-03-18 0 "
          "to 2 2024-03-25 0 to 2 2024-04-01 0 to 2 2024-04-08 0 to 2\n     1 0 0 0 0 0 0 0 0 0 0 0 0 0");
    plan.unit = UNIT_MONTH;
    check("1 people, 0 labels, 2 intervals, buckets 2024-03-01 1 to 2 2024-04-01 0 to 2\n     1 1 0 0");
    plan.unit = UNIT_DAYS;
    plan.interval_days = 25;
    check("1 people, 0 labels, 2 intervals, buckets 2024-03-01 1 to 2 2024-03-26 0 to 2\n     1 1 0 0");
}

/* A day of 23 hours: the interval is still 24 of them. */
static void clocks_do_not_change_intervals(void **state)
{
    (void)state;
    zone("America/New_York");
    plan.from_day = plan.to_day = DAY0 + 8; /* 2024-03-09; on the 10th clocks go forward */
    int64_t noon = 8 * DAY_MS + hours(12 + 5);
    event("A", "u", noon);
    event("B", "u", noon + hours(24) - 1); /* 12:59 of the next day */
    event("A", "v", noon);
    event("B", "v", noon + hours(24));
    check("2 people, 0 labels, 3 intervals, buckets 2024-03-09 2 to 3\n     1 1 0");
}

static void days_are_those_of_the_zone(void **state)
{
    (void)state;
    zone("Asia/Kolkata");
    event("A", "u", hours(-5));     /* 00:30 of the first */
    event("A", "v", hours(-6));     /* 23:30 of the day before */
    event("A", "w", hours(18) + 1); /* 23:30 */
    event("A", "x", hours(19));     /* 00:30 of the second */
    check(COHORTS("3", "2", "1") " 0 0 0 0 0 0");
}

/* Intervals that have not begun for anybody are told apart from those without returns. */
static void young_cohorts_have_fewer_intervals(void **state)
{
    (void)state;
    event("A", "u", hours(1));
    plan.now_ms = DAY0 * DAY_MS + hours(47);
    check("1 people, 0 labels, 3 intervals, buckets 2024-03-01 1 to 2 2024-03-02 0 to 1\n     0 0 0 0 0 0");
    plan.now_ms = DAY0 * DAY_MS - 1;
    check("1 people, 0 labels, 3 intervals, buckets 2024-03-01 1 to 0 2024-03-02 0 to 0\n     0 0 0 0 0 0");
    plan.unit = UNIT_WEEK; /* its Monday is not in the range: the first is when it begins */
    plan.to_day = DAY0;
    plan.now_ms = (DAY0 + 7) * DAY_MS - 1;
    check("1 people, 0 labels, 3 intervals, buckets 2024-02-26 1 to 1\n     0 0 0");
}

/* Returns are split, not births; a list has all its labels; the labels with most events are answered. */
static void labels_are_those_of_returns(void **state)
{
    (void)state;
    plan.on = STR("p");
    plan.to_day = DAY0;
    plan.limit = 3;
    event_with("A", "u", hours(1), ",\"p\":\"birth\"");
    event_with("B", "u", hours(2), ",\"p\":[\"x\",\"y\",\"x\"]");
    event_with("B", "u", hours(30), ",\"p\":\"x\"");
    event("B", "u", hours(31));
    event_with("A", "v", hours(1), "");
    event_with("B", "v", hours(3), ",\"p\":\"x\"");
    event_with("B", NULL, hours(3), ",\"p\":\"nobody's\"");
    event_with("B", NULL, hours(3), ",\"p\":\"nobody's\"");
    event_with("B", NULL, hours(900), ",\"p\":\"late\"");
    check("2 people, 4 labels, 3 intervals, buckets 2024-03-01 2 to 3\n     2 1 0\n    \"x\" 2 1 0\n"
          "    \"nobody's\" 0 0 0\n    \"undefined\" 0 1 0");
    plan.retention.unbounded = true;
    check("2 people, 4 labels, 3 intervals, buckets 2024-03-01 2 to 3\n     2 1 0\n    \"x\" 2 1 0\n"
          "    \"nobody's\" 0 0 0\n    \"undefined\" 1 1 0");
    plan.retention.unbounded = false;
    plan.retention.type = RETENTION_COMPOUNDED;
    check("2 people, 4 labels, 3 intervals, buckets 2024-03-01 2 to 3\n     0 1 0\n    \"x\" 0 1 0\n"
          "    \"nobody's\" 0 0 0\n    \"undefined\" 0 1 0");
}

/* Who was two is one: his births and returns come together, also those that were stored before. */
static void merged_people_are_one(void **state)
{
    (void)state;
    event_with("A", NULL, hours(1), ",\"$device_id\":\"d\"");
    event_with("B", NULL, hours(30), ",\"$device_id\":\"d\"");
    add(STEP_FLUSH);
    event("A", "u", hours(28));
    event("B", "u", hours(28 + 20));
    add(STEP_FLUSH);
    check(COHORTS("2", "1", "1") " 0 1 0 1 0 0");
    event_with("C", "u", hours(60), ",\"$device_id\":\"d\",\"$user_id\":\"u\"");
    check(COHORTS("1", "1", "0") " 0 1 0 0 0 0");
    plan.retention.type = RETENTION_COMPOUNDED;
    plan.events = &born;
    check(COHORTS("2", "1", "1") " 0 1 0 0 0 0");
}

static void what_is_deleted_is_gone(void **state)
{
    (void)state;
    event("A", "u", hours(1));
    event("B", "u", hours(3));
    event("A", "u", hours(26));
    event("B", "u", hours(27));
    struct step *step = add(STEP_DELETE_BEFORE);
    step->before_ms = DAY0 * DAY_MS + hours(2);
    check(COHORTS("1", "0", "1") " 0 0 0 1 0 0");
    step = add(STEP_DELETE_PERSON);
    step->device = "u";
    check(COHORTS("0", "0", "0") " 0 0 0 0 0 0");
}

/* More intervals than there are bits in a word. */
static void many_intervals(void **state)
{
    (void)state;
    plan.to_day = DAY0;
    plan.retention.interval_count = 130;
    event("A", "u", hours(1));
    event("B", "u", hours(1) + 64 * DAY_MS);
    event("B", "u", hours(1) + 129 * DAY_MS + 60000);
    event("B", "u", hours(1) + 130 * DAY_MS);
    struct buf wanted = BUF_INIT(4096);
    for (int bounded = 1; bounded >= 0; bounded--) {
        buf_reset(&wanted);
        buf_lit(&wanted, "1 people, 0 labels, 130 intervals, buckets 2024-03-01 1 to 130\n    ");
        for (int k = 0; k < 130; k++) buf_printf(&wanted, " %d", bounded ? k == 64 || k == 129 : 1);
        buf_byte(&wanted, 0);
        plan.retention.unbounded = !bounded;
        check(wanted.data);
    }
    buf_fini(&wanted);
}

/* An `and` of what is no truth value fails for an event, whoever's it is. */
static void failing_expressions(void **state)
{
    (void)state;
    plan.where = STR("properties[\"p\"] and true");
    event_with("A", "u", hours(1), ",\"p\":\"x\"");
    check(COHORTS("1", "1", "0") " 0 0 0 0 0 0");
    event_with("B", "v", hours(500), ",\"p\":\"x\""); /* outside */
    check(COHORTS("1", "1", "0") " 0 0 0 0 0 0");
    event_with("B", "v", hours(60), ",\"p\":\"x\"");
    check("an expression is refused");
    plan.where = STR_NULL;
    plan.retention.born_where = STR("properties[\"p\"] and true");
    check("an expression is refused");
}

/* --- frequency --- */

static void hours_of_days(void **state)
{
    (void)state;
    plan.kind = PLAN_FREQUENCY;
    event("B", "u", hours(1));
    event("B", "u", hours(2) - 1); /* the same hour */
    event("B", "u", hours(2));
    event("B", "u", hours(23));
    event("B", "v", hours(1));
    event("B", "v", hours(25));
    event("B", NULL, hours(5));
    event("A", "v", hours(6));
    check("3 people, 0 labels, 24 units, buckets 2024-03-01 to 24 2024-03-02 to 24\n     2 1 1 0 0 0 0 0 0 0 0 0 0 0 0 "
          "0 0 "
          "0 0 0 0 0 0 0 1 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0");
}

static void days_of_weeks_and_months(void **state)
{
    (void)state;
    plan.kind = PLAN_FREQUENCY;
    plan.active_unit = UNIT_DAY;
    plan.unit = UNIT_WEEK;
    plan.to_day = DAY0 + 5; /* to Wednesday of the second week */
    for (int day = -1; day < 7; day++) event("B", "u", day * DAY_MS + hours(12));
    event("B", "v", hours(12));
    check("3 people, 0 labels, 7 units, buckets 2024-02-26 to 7 2024-03-04 to 7\n     2 1 1 0 0 0 0 1 1 1 0 0 0 0");
    plan.unit = UNIT_MONTH;
    plan.from_day = DAY0 - 2;
    check("3 people, 0 labels, 31 units, buckets 2024-02-01 to 29 2024-03-01 to 31\n     1 0 0 0 0 0 0 0 0 0 0 0 0 0 0 "
          "0 0 "
          "0 0 0 0 0 0 0 0 0 0 0 0 0 0 2 1 1 1 1 1 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0");
    plan.unit = UNIT_DAY;
    plan.from_day = plan.to_day = DAY0;
    check("2 people, 0 labels, 1 units, buckets 2024-03-01 to 1\n     2");
}

/* The hour that clocks repeat is one, the one that they skip is none. */
static void hours_of_odd_days(void **state)
{
    (void)state;
    zone("America/New_York");
    plan.kind = PLAN_FREQUENCY;
    plan.from_day = plan.to_day = DAY0 + 247; /* 2024-11-03 */
    event("B", "u", 247 * DAY_MS + hours(5)); /* 1:00, before and after */
    event("B", "u", 247 * DAY_MS + hours(6));
    event("B", "u", 247 * DAY_MS + hours(7)); /* 2:00 */
    check(
        "1 people, 0 labels, 24 units, buckets 2024-11-03 to 24\n     1 1 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0");
    plan.from_day = plan.to_day = DAY0 + 9;
    check(
        "0 people, 0 labels, 24 units, buckets 2024-03-10 to 24\n     0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0");
}

static void labels_of_activity(void **state)
{
    (void)state;
    plan.kind = PLAN_FREQUENCY;
    plan.active_unit = UNIT_DAY;
    plan.unit = UNIT_WEEK;
    plan.to_day = DAY0 + 2;
    plan.on = STR("p");
    plan.limit = 2;
    event_with("B", "u", hours(1), ",\"p\":[\"x\",\"y\"]");
    event_with("B", "u", hours(2), ",\"p\":\"x\"");
    event_with("B", "u", hours(30), ",\"p\":\"x\"");
    event_with("B", "v", hours(1), ",\"p\":\"y\"");
    event_with("B", "v", hours(30), ",\"p\":\"z\"");
    check("2 people, 3 labels, 7 units, buckets 2024-02-26 to 7\n     2 2 0 0 0 0 0\n    \"x\" 1 1 0 0 0 0 0\n"
          "    \"y\" 2 0 0 0 0 0 0");
}

static void merged_people_are_active_once(void **state)
{
    (void)state;
    plan.kind = PLAN_FREQUENCY;
    plan.active_unit = UNIT_DAY;
    plan.unit = UNIT_WEEK;
    event_with("B", NULL, hours(1), ",\"$device_id\":\"d\"");
    event_with("B", NULL, hours(25), ",\"$device_id\":\"d\"");
    add(STEP_FLUSH);
    event("B", "u", hours(2));
    add(STEP_FLUSH);
    check("2 people, 0 labels, 7 units, buckets 2024-02-26 to 7\n     2 1 0 0 0 0 0");
    event_with("C", "u", hours(60), ",\"$device_id\":\"d\",\"$user_id\":\"u\"");
    check("1 people, 0 labels, 7 units, buckets 2024-02-26 to 7\n     1 1 0 0 0 0 0");
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(intervals_are_of_ones_own_time),
        CASE(intervals_have_ends),
        CASE(who_is_born_is_born_once),
        CASE(a_birth_is_no_return),
        CASE(born_where_says_what_a_birth_is),
        CASE(returns_may_lie_behind_the_range),
        CASE(nobody_counts_for_nothing),
        CASE(unbounded_is_then_or_later),
        CASE(compounded),
        CASE(units_and_their_lengths),
        CASE(clocks_do_not_change_intervals),
        CASE(days_are_those_of_the_zone),
        CASE(young_cohorts_have_fewer_intervals),
        CASE(labels_are_those_of_returns),
        CASE(merged_people_are_one),
        CASE(what_is_deleted_is_gone),
        CASE(many_intervals),
        CASE(failing_expressions),
        CASE(hours_of_days),
        CASE(days_of_weeks_and_months),
        CASE(hours_of_odd_days),
        CASE(labels_of_activity),
        CASE(merged_people_are_active_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
