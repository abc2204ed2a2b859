/*
 * user[…] by hand, on a real store: whose profile a row sees, and what becomes of it in every kind of plan. Then many
 * users: properties of so many values that codes need one, two and four bytes, against sums told beforehand, while
 * profiles and events come in turns and ids that came later have to be matched.
 */
#include "query/profiles_testing.h"

static void profile(const char *id, const char *properties)
{
    profile_of(PROFILE_USER_EVENT, id, properties);
}

static void delete_profile(const char *id)
{
    delete_profile_of(PROFILE_USER_EVENT, id);
}

static void delete_person(uint64_t project, const char *id)
{
    struct buf record = BUF_INIT(1 << 16);
    struct str text = str_of(id);
    assert_int_equal(record_delete_person(&record, project, 0, &text, 1), STATUS_OK);
    carry_out(project, &record);
}

/* --- whose profile --- */

static void rows_see_their_users_profile(void **state)
{
    (void)state;
    track(1, "U1", NULL, "{\"plan\":\"event\",\"n\":1}");
    track(2, "U1", NULL, "{\"n\":5}");
    track(3, "U2", NULL, "{\"n\":7}");
    track(4, "U3", NULL, NULL);
    track(5, NULL, NULL, NULL);
    profile("U1", "{\"plan\":\"pro\",\"age\":30,\"tags\":[\"a\",\"b\"],\"vip\":true}");
    profile("U2", "{\"plan\":\"free\",\"age\":40.5,\"tags\":[\"b\"],\"vip\":null}");
    profile("U4", "{\"plan\":\"never seen\",\"tags\":[\"c\"]}");
    for (int round = 0; round < 3; round++) {
        settle(round);
        plan.measure = MEASURE_COUNT;
        check("user[\"plan\"] == \"pro\"", NULL, "A 2");
        check(NULL, "user[\"plan\"]", "pro 2; undefined 2; free 1");
        check(NULL, "upper(user[\"plan\"])", "PRO 2; undefined 2; FREE 1");
        check("defined(user[\"plan\"])", "properties[\"plan\"]", "undefined 2; event 1");
        check(NULL, "user[\"tags\"]", "b 3; a 2; undefined 2");
        check(NULL, "user[\"vip\"]", "true 2; undefined 2; null 1");
        check("user[\"age\"] > 30 or user[\"vip\"]", NULL, "A 3");
        check("properties[\"n\"] * 10 > user[\"age\"]", NULL, "A 2");
        check("user[\"plan\"] == \"pro\" and properties[\"n\"] == 5", "user[\"plan\"]", "pro 1");
        check("user[\"nobody has it\"] == undefined", "user[\"nobody has it\"]", "undefined 5");
        check("not defined(user[\"plan\"])", "properties[\"$distinct_id\"]", " 1; U3 1");
        plan.measure = MEASURE_UNIQUE;
        check(NULL, "user[\"plan\"]", "pro 1; undefined 1; free 1");
        check("user[\"plan\"] != \"pro\"", NULL, "A 2");
        check(NULL, "user[\"tags\"]", "b 2; a 1; undefined 1");
        plan.measure = MEASURE_SUM;
        plan.of = STR("user[\"age\"]");
        check(NULL, NULL, "A 100.5");
        check(NULL, "user[\"plan\"]", "pro 60; undefined 0; free 40.5");
        plan.of = STR("user[\"age\"] + properties[\"n\"]");
        check(NULL, NULL, "A 113.5");
        plan.measure = MEASURE_MAX;
        plan.of = STR("user[\"age\"]");
        check("user[\"plan\"] == \"pro\"", NULL, "A 30");
        check("user[\"plan\"] == undefined", NULL, "A -");
    }
}

/* The newest profile counts, one that was deleted does not; other projects have their own. */
static void profiles_change(void **state)
{
    (void)state;
    track(1, "U1", NULL, NULL);
    check(NULL, "user[\"plan\"]", "undefined 1");
    for (int round = 0; round < 3; round++) {
        char text[64], wanted[64];
        snprintf(text, sizeof text, "{\"plan\":\"p%d\"}", round);
        snprintf(wanted, sizeof wanted, "p%d 1", round);
        profile("U1", text);
        check(NULL, "user[\"plan\"]", wanted);
        settle(round);
        check(NULL, "user[\"plan\"]", wanted);
    }
    profile("U1", "{\"other\":1}");
    check(NULL, "user[\"plan\"]", "undefined 1");
    check(NULL, "user[\"other\"]", "1 1");
    delete_profile("U1");
    check(NULL, "user[\"other\"]", "undefined 1");
    struct batch batch;
    begin(&batch, store_profiles_of(PROJECT + 1));
    add_profile(&batch, PROFILE_USER_EVENT, "U1", "{\"plan\":\"another project's\"}");
    commit(&batch);
    check(NULL, "user[\"plan\"]", "undefined 1");
}

/* A link gives past rows to a user, and with them his profile; what was written to the device is hidden. Rows that were
 * stored before are stored under other numbers. */
static void profiles_follow_links(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) track(1, "$device:D1", NULL, NULL);
    track(2, "U1", NULL, NULL);
    track(3, "U2", NULL, NULL);
    profile("U1", "{\"plan\":\"user\"}");
    profile("$device:D1", "{\"plan\":\"device\",\"only\":1}");
    check(NULL, "user[\"plan\"]", "device 4; undefined 1; user 1");
    settle(1);
    struct buf record = BUF_INIT(4096);
    assert_int_equal(record_link(&record, PROJECT, T0, IDENTITY_SIMPLIFIED, LINK_CREATE, STR("$device:D1"), STR("U1")),
                     STATUS_OK);
    assert_int_equal(store_append_wait(store, &record), STATUS_OK);
    track(4, "$device:D1", NULL, NULL);
    for (int round = 0; round < 3; round++) {
        settle(round);
        plan.measure = MEASURE_COUNT;
        check(NULL, "user[\"plan\"]", "user 6; undefined 1");
        check("user[\"plan\"] == \"user\"", "properties[\"$distinct_id\"]", "U1 6");
        check("defined(user[\"only\"])", NULL, "A 0");
        plan.measure = MEASURE_UNIQUE;
        check(NULL, "user[\"plan\"]", "user 1; undefined 1");
        check("user[\"plan\"] == \"user\"", NULL, "A 1");
    }
}

/* An id that was forgotten and comes again is somebody new, whose profile is the one that was written since. */
static void forgotten_people_come_again(void **state)
{
    (void)state;
    track(1, "U1", NULL, NULL);
    track(1, "U2", NULL, NULL);
    profile("U1", "{\"plan\":\"old\"}");
    profile("U2", "{\"plan\":\"kept\"}");
    check(NULL, "user[\"plan\"]", "kept 1; old 1");
    delete_person(PROJECT, "U1"); /* and what is known about him */
    check(NULL, "user[\"plan\"]", "kept 1");
    track(2, "U1", NULL, NULL);
    check(NULL, "user[\"plan\"]", "kept 1; undefined 1");
    profile("U1", "{\"plan\":\"new\"}");
    check(NULL, "user[\"plan\"]", "kept 1; new 1");
    delete_person(store_profiles_of(PROJECT), "U1");
    track(3, "U1", NULL, NULL);
    check(NULL, "user[\"plan\"]", "undefined 2; kept 1");
}

/* --- other kinds of plans --- */

struct counting_sink {
    struct row_sink base;
    unsigned count;
    int64_t hours;
};
static enum status count_row(struct row_sink *base, const struct event_row *row, struct error *ret_error)
{
    struct counting_sink *sink = (struct counting_sink *)base;
    (void)ret_error;
    sink->count++;
    sink->hours = sink->hours * 10 + (row->time_ms - T0) / HOUR_MS;
    return STATUS_OK;
}

static unsigned count_rows(int64_t *ret_hours)
{
    struct counting_sink sink = {.base = {.row = count_row}};
    struct event_rows *rows;
    bool done;
    assert_int_equal(executor->rows(executor, &plan, &limits, &error, &rows), STATUS_OK);
    assert_int_equal(event_rows_read(rows, UINT64_MAX, &sink.base, &error, &done), STATUS_OK);
    event_rows_free(rows);
    *ret_hours = sink.hours;
    return sink.count;
}

static void feeds_exports_and_top_values(void **state)
{
    (void)state;
    struct str ids[] = {STR("U1"), STR("U2")};
    struct top_values values;
    struct plan_cost cost;
    int64_t hours;
    track(1, "U1", NULL, NULL);
    track(2, "U2", NULL, NULL);
    track(3, "U1", NULL, NULL);
    track(4, "U3", NULL, NULL);
    profile("U1", "{\"plan\":\"pro\"}");
    profile("U3", "{\"plan\":\"pro\"}");
    plan.where = STR("user[\"plan\"] == \"pro\"");
    plan.limit = 0;
    plan.distinct_ids = ids;
    plan.distinct_id_count = 2;
    plan.order = ORDER_OLDEST_FIRST;
    plan.kind = PLAN_FEED;
    assert_int_equal(count_rows(&hours), 2);
    assert_int_equal(hours, 13);
    ids[0] = ids[1] = STR("nobody");
    assert_int_equal(count_rows(&hours), 0);
    plan.kind = PLAN_EXPORT;
    assert_int_equal(count_rows(&hours), 3);
    assert_int_equal(executor->estimate(executor, &plan, &error, &cost), STATUS_OK);
    assert_int_equal(cost.rows, 4);
    plan.kind = PLAN_TOP_VALUES;
    plan.where = STR_NULL;
    plan.on = STR("user[\"plan\"]");
    plan.limit = 10;
    assert_int_equal(executor->top_values(executor, &plan, &limits, &error, &values), STATUS_OK);
    assert_int_equal(values.value_count, 1);
    assert_true(str_is(values.values[0].label, "pro") && values.values[0].count == 3);
    top_values_free(&values);
}

/* --- errors and limits --- */

static void errors_are_those_of_rows(void **state)
{
    (void)state;
    char text[64];
    track(1, "U1", NULL, NULL);
    track(2, "U2", NULL, NULL);
    profile("U1", "{\"vip\":true}");
    profile("U3", "{\"vip\":5}"); /* has no events */
    check("user[\"vip\"] and true", NULL, "A 1");
    profile("U2", "{\"vip\":5}");
    assert_int_equal(run(text, sizeof text), STATUS_INVALID);
    assert_true(str_starts(str_of(error.primary), STR("where: ")));
    plan.where = STR_NULL;
    plan.on = STR("user[\"vip\"] and true");
    assert_int_equal(run(text, sizeof text), STATUS_INVALID);
    assert_true(str_starts(str_of(error.primary), STR("on: ")));
}

static void budgets(void **state)
{
    (void)state;
    static const _Atomic bool cancelled = true;
    char text[64], id[16], properties[256];
    struct batch batch;
    begin(&batch, store_profiles_of(PROJECT));
    for (int i = 0; i < 3000; i++) {
        snprintf(id, sizeof id, "U%d", i);
        snprintf(properties, sizeof properties, "{\"name\":\"%0150d\"}", i);
        add_profile(&batch, PROFILE_USER_EVENT, id, properties);
    }
    commit(&batch);
    track(1, "U1", NULL, NULL);
    plan.where = STR("left(user[\"name\"], 1) == \"0\"");
    size_t enough = limits.memory_bytes_max;
    limits.memory_bytes_max = 500000;
    assert_int_equal(run(text, sizeof text), STATUS_LIMIT);
    assert_non_null(strstr(error.primary, "profiles"));
    limits.memory_bytes_max = enough;
    limits.cancelled = &cancelled;
    assert_int_equal(run(text, sizeof text), STATUS_CANCELLED);
    limits.cancelled = NULL;
    check("left(user[\"name\"], 1) == \"0\"", NULL, "A 1");
}

/* --- many users --- */

#define USERS  70000u
#define ROUNDS 7u

/* User i has i % 4 + 1 events; profiles and events come in pieces, in different orders. */
static void send_piece(uint32_t round)
{
    struct batch batch;
    uint32_t from = round * (USERS / ROUNDS), to = from + USERS / ROUNDS;
    char id[16], properties[128];
    begin(&batch, PROJECT);
    for (uint32_t i = from; i < to; i++) {
        snprintf(id, sizeof id, "U%u", i);
        for (uint32_t k = 0; k <= i % 4; k++) {
            batch_event(&batch, STR("A"), T0 + (i % 48) * HOUR_MS + k, str_of(id), STR_NULL, STR_NULL);
            batch_event_end(&batch);
        }
    }
    commit(&batch);
    begin(&batch, store_profiles_of(PROJECT));
    for (uint32_t at = from; at < to; at++) {
        uint32_t i = (at + USERS / ROUNDS * (round % 2)) % USERS; /* also before their users' first events */
        snprintf(id, sizeof id, "U%u", i);
        snprintf(properties, sizeof properties, "{\"two\":%u,\"some\":\"s%u\",\"number\":%u.5,\"each\":\"value %u\"}",
                 i % 2, i % 1000, i, i);
        add_profile(&batch, PROFILE_USER_EVENT, id, properties);
    }
    commit(&batch);
}

static void many_users(void **state)
{
    (void)state;
    uint32_t with_profile = 0, with_two = 0;
    char wanted[64];
    for (uint32_t round = 0; round < ROUNDS; round++) {
        send_piece(round);
        settle((int)round % 4);
        /* which users have events and a profile by now */
        uint32_t piece = USERS / ROUNDS;
        with_profile = with_two = 0;
        for (uint32_t i = 0; i < (round + 1) * piece; i++) {
            bool has = false;
            for (uint32_t r = 0; r <= round; r++) has |= i / piece == (r + r % 2) % ROUNDS;
            with_profile += has;
            with_two += has && i % 2;
        }
        plan.measure = MEASURE_UNIQUE;
        snprintf(wanted, sizeof wanted, "A %u", with_profile);
        check("defined(user[\"each\"])", NULL, wanted);
        snprintf(wanted, sizeof wanted, "A %u", with_two);
        check("user[\"two\"] == 1", NULL, wanted);
    }
    /* Some pieces were written twice and some never. */
    for (uint32_t round = 0; round < ROUNDS; round++) {
        struct batch batch;
        char id[16], properties[128];
        begin(&batch, store_profiles_of(PROJECT));
        for (uint32_t i = round * (USERS / ROUNDS); i < (round + 1) * (USERS / ROUNDS); i++) {
            snprintf(id, sizeof id, "U%u", i);
            snprintf(properties, sizeof properties,
                     "{\"two\":%u,\"some\":\"s%u\",\"number\":%u.5,\"each\":\"value %u\"}", i % 2, i % 1000, i, i);
            add_profile(&batch, PROFILE_USER_EVENT, id, properties);
        }
        commit(&batch);
    }
    for (int round = 0; round < 3; round++) {
        settle(round);
        plan.measure = MEASURE_UNIQUE;
        check("defined(user[\"each\"])", "user[\"two\"]", "1 35000; 0 35000");
        check("user[\"some\"] == \"s7\"", NULL, "A 70");
        check("user[\"each\"] == \"value 69999\"", "user[\"some\"]", "s999 1");
        plan.measure = MEASURE_COUNT;
        check("user[\"some\"] in [\"s7\", \"s8\"]", "user[\"some\"]", "s7 280; s8 70");
        check("user[\"number\"] >= 69996", "user[\"number\"]", "69999.5 4; 69998.5 3; 69997.5 2; 69996.5 1");
        plan.limit = 2;
        check("user[\"number\"] < 8", "user[\"each\"]", "value 3 4; value 7 4");
        plan.limit = 60;
        plan.measure = MEASURE_SUM;
        plan.of = STR("user[\"number\"]");
        check("user[\"number\"] < 4", NULL, "A 25"); /* 0.5 + 2 * 1.5 + 3 * 2.5 + 4 * 3.5 */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(rows_see_their_users_profile, setup, teardown),
        cmocka_unit_test_setup_teardown(profiles_change, setup, teardown),
        cmocka_unit_test_setup_teardown(profiles_follow_links, setup, teardown),
        cmocka_unit_test_setup_teardown(forgotten_people_come_again, setup, teardown),
        cmocka_unit_test_setup_teardown(feeds_exports_and_top_values, setup, teardown),
        cmocka_unit_test_setup_teardown(errors_are_those_of_rows, setup, teardown),
        cmocka_unit_test_setup_teardown(budgets, setup, teardown),
        cmocka_unit_test_setup_teardown(many_users, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
