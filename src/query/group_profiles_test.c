/*
 * The profiles of groups in expressions, on a real store: properties["company"]["plan"] and its other spelling, with
 * keys of every type, lists of them, several group keys at once, and what changes between questions.
 */
#include "query/profiles_testing.h"

#include "expr/join.h"

#define COMPANY PROFILE_GROUP_PREFIX "company"
#define TEAM    PROFILE_GROUP_PREFIX "team"

static void rows_see_their_groups_profile(void **state)
{
    (void)state;
    track(1, "U1", NULL, "{\"company\":\"acme\",\"team\":5}");
    track(2, "U2", NULL, "{\"company\":\"acme\",\"team\":\"5\",\"n\":3}");
    track(3, "U3", NULL, "{\"company\":\"initech\",\"team\":[5,7,true]}");
    track(4, "U1", NULL, "{\"company\":\"nobody knows it\",\"team\":1.5}");
    track(5, "U4", NULL, NULL);
    profile_of(COMPANY, "acme", "{\"plan\":\"pro\",\"seats\":10,\"$group_id\":\"acme\"}");
    profile_of(COMPANY, "initech", "{\"plan\":\"free\",\"tags\":[\"a\",\"b\"]}");
    profile_of(TEAM, "5", "{\"plan\":\"team five\",\"$group_id\":5}");
    profile_of(TEAM, "7", "{\"plan\":\"team seven\"}");
    profile_of(TEAM, "true", "{\"plan\":\"yes\"}");
    profile_of(PROFILE_USER_EVENT, "acme", "{\"plan\":\"a user's\"}");
    for (int round = 0; round < 3; round++) {
        settle(round);
        plan.measure = MEASURE_COUNT;
        check("group[\"company\"][\"plan\"] == \"pro\"", NULL, "A 2");
        check(NULL, "properties[\"company\"][\"plan\"]", "pro 2; undefined 2; free 1");
        check(NULL, "group[\"team\"][\"plan\"]", "team five 3; undefined 2; team seven 1; yes 1");
        check(NULL, "group[\"team\"][\"$group_id\"]", "5 3; undefined 3");
        check(NULL, "group[\"company\"][\"tags\"]", "undefined 4; a 1; b 1");
        check("group[\"company\"][\"seats\"] * 2 > properties[\"n\"] * 6", NULL, "A 1");
        check("group[\"company\"][\"plan\"] == \"pro\" and group[\"team\"][\"plan\"] == \"team five\"",
              "properties[\"n\"]", "3 1; undefined 1");
        check("group[\"company\"][\"no such\"] == undefined", NULL, "A 5");
        check("group[\"region\"][\"plan\"] == undefined", NULL, "A 5");
        plan.measure = MEASURE_UNIQUE;
        check(NULL, "group[\"company\"][\"plan\"]", "pro 2; undefined 2; free 1");
        plan.measure = MEASURE_SUM;
        plan.of = STR("group[\"company\"][\"seats\"]");
        check(NULL, NULL, "A 20");
    }
}

static void profiles_change(void **state)
{
    (void)state;
    track(1, "U1", NULL, "{\"company\":\"acme\"}");
    check(NULL, "group[\"company\"][\"plan\"]", "undefined 1");
    for (int round = 0; round < 3; round++) {
        char text[64], wanted[64];
        snprintf(text, sizeof text, "{\"plan\":\"p%d\"}", round);
        snprintf(wanted, sizeof wanted, "p%d 1", round);
        profile_of(COMPANY, "acme", text);
        settle(round);
        check(NULL, "group[\"company\"][\"plan\"]", wanted);
    }
    delete_profile_of(COMPANY, "acme");
    check(NULL, "group[\"company\"][\"plan\"]", "undefined 1");
}

/* A join that the plan brings along comes first, and the rest of the plan stays as it was. */
static uint32_t any_column(const struct expr_join *join, struct str name)
{
    (void)join, (void)name;
    return 0;
}
static struct value own_value(const struct expr_join *join, uint32_t column, const struct value *key)
{
    (void)join, (void)column;
    return value_text(*key).size == 4 ? value_str(STR("from the table")) : value_absent();
}
static void joins_of_the_plan_win(void **state)
{
    (void)state;
    const struct expr_join own = {.property = STR("company"), .column = any_column, .value = own_value};
    const struct expr_join *const joins[] = {&own};
    track(1, "U1", NULL, "{\"company\":\"acme\",\"team\":5}");
    profile_of(COMPANY, "acme", "{\"plan\":\"pro\"}");
    profile_of(TEAM, "5", "{\"plan\":\"five\"}");
    plan.joins = joins;
    plan.join_count = 1;
    check(NULL, "group[\"company\"][\"plan\"] + group[\"team\"][\"plan\"]", "from the tablefive 1");
    plan.where = plan.on = STR_NULL;
    struct group_joins *groups;
    assert_int_equal(group_joins_new(store, &plan, &limits, &error, &groups), STATUS_OK);
    assert_null(groups);
    assert_true(plan.joins == joins && plan.join_count == 1);
}

static void budgets_and_mistakes(void **state)
{
    (void)state;
    static const _Atomic bool cancelled = true;
    char text[64], id[16], properties[256];
    struct batch batch;
    begin(&batch, store_profiles_of(PROJECT));
    for (int i = 0; i < 3000; i++) {
        snprintf(id, sizeof id, "c%d", i);
        snprintf(properties, sizeof properties, "{\"name\":\"%0150d\"}", i);
        add_profile(&batch, COMPANY, id, properties);
    }
    commit(&batch);
    track(1, "U1", NULL, "{\"company\":\"c17\"}");
    size_t enough = limits.memory_bytes_max;
    limits.memory_bytes_max = 500000;
    plan.where = STR("right(group[\"company\"][\"name\"], 2) == \"17\"");
    assert_int_equal(run(text, sizeof text), STATUS_LIMIT);
    assert_non_null(strstr(error.primary, "profiles"));
    assert_true(plan.joins == NULL && plan.join_count == 0);
    limits.memory_bytes_max = enough;
    limits.cancelled = &cancelled;
    assert_int_equal(run(text, sizeof text), STATUS_CANCELLED);
    limits.cancelled = NULL;
    check("right(group[\"company\"][\"name\"], 2) == \"17\"", NULL, "A 1");
    plan.where = STR("group[\"company\"][");
    assert_int_equal(run(text, sizeof text), STATUS_INVALID);
    assert_true(str_starts(str_of(error.primary), STR("where: ")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(rows_see_their_groups_profile, setup, teardown),
        cmocka_unit_test_setup_teardown(profiles_change, setup, teardown),
        cmocka_unit_test_setup_teardown(joins_of_the_plan_win, setup, teardown),
        cmocka_unit_test_setup_teardown(budgets_and_mistakes, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
