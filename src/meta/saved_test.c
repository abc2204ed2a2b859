#include "meta/meta_testing.h"

static struct meta_saved spec(int64_t project, enum meta_saved_kind kind, const char *name)
{
    return (struct meta_saved){.project_id = project,
                               .kind = kind,
                               .name = str_of(name),
                               .description = STR("for the tests"),
                               .definition = STR("{\"a\":1}"),
                               .created_by = STR("tester")};
}

/* Made, read, changed and deleted, each in its project and among its kind alone. */
static void test_life(void **state)
{
    struct fixture *fixture = *state;
    struct meta *meta = fixture_open(fixture);
    struct meta_saved funnel = spec(1, META_SAVED_FUNNEL, "Signup"), cohort = spec(1, META_SAVED_COHORT, "Signup"),
                      found, *list;
    int64_t funnel_id, cohort_id, other_id, id;
    size_t count;
    fixture_project(fixture, meta, 1, "one");
    fixture_project(fixture, meta, 2, "two");
    assert_status(STATUS_OK, meta_saved_create(meta, &funnel, 10, &fixture->error, &funnel_id));
    assert_status(STATUS_OK, meta_saved_create(meta, &cohort, 10, &fixture->error, &cohort_id));
    assert_status(STATUS_CONFLICT, meta_saved_create(meta, &funnel, 10, &fixture->error, &id));
    funnel.project_id = 2;
    assert_status(STATUS_OK, meta_saved_create(meta, &funnel, 10, &fixture->error, &other_id));
    assert_true(funnel_id != cohort_id && cohort_id != other_id);
    funnel.project_id = 3;
    assert_status(STATUS_NOT_FOUND, meta_saved_create(meta, &funnel, 10, &fixture->error, &id));

    assert_status(STATUS_OK,
                  meta_saved(meta, 1, META_SAVED_FUNNEL, funnel_id, fixture->arena, &fixture->error, &found));
    assert_str(found.name, "Signup");
    assert_str(found.description, "for the tests");
    assert_str(found.definition, "{\"a\":1}");
    assert_str(found.created_by, "tester");
    assert_int_equal(found.revision, 1);
    assert_true(found.created_ms > 1600000000000 && found.modified_ms == found.created_ms);
    /* Neither another project's nor another kind's. */
    assert_status(STATUS_NOT_FOUND,
                  meta_saved(meta, 2, META_SAVED_FUNNEL, funnel_id, fixture->arena, &fixture->error, &found));
    assert_status(STATUS_NOT_FOUND,
                  meta_saved(meta, 1, META_SAVED_COHORT, funnel_id, fixture->arena, &fixture->error, &found));
    assert_status(STATUS_NOT_FOUND, meta_saved_delete(meta, 2, META_SAVED_FUNNEL, funnel_id, &fixture->error));

    assert_status(STATUS_OK,
                  meta_saved(meta, 1, META_SAVED_FUNNEL, funnel_id, fixture->arena, &fixture->error, &found));
    found.name = STR("Renamed");
    found.definition = STR("{\"b\":2}");
    assert_status(STATUS_OK, meta_saved_update(meta, &found, &fixture->error));
    /* The same revision again: somebody else was faster. */
    assert_status(STATUS_CONFLICT, meta_saved_update(meta, &found, &fixture->error));
    found.id = 999;
    assert_status(STATUS_NOT_FOUND, meta_saved_update(meta, &found, &fixture->error));
    assert_status(STATUS_OK,
                  meta_saved(meta, 1, META_SAVED_FUNNEL, funnel_id, fixture->arena, &fixture->error, &found));
    assert_str(found.name, "Renamed");
    assert_str(found.definition, "{\"b\":2}");
    assert_int_equal(found.revision, 2);

    struct meta_saved second = spec(1, META_SAVED_FUNNEL, "Second");
    assert_status(STATUS_OK, meta_saved_create(meta, &second, 10, &fixture->error, &id));
    found.name = STR("Second");
    assert_status(STATUS_CONFLICT, meta_saved_update(meta, &found, &fixture->error));
    assert_status(STATUS_OK,
                  meta_saved_list(meta, 1, META_SAVED_FUNNEL, fixture->arena, &fixture->error, &list, &count));
    assert_int_equal(count, 2);
    assert_str(list[0].name, "Renamed");
    assert_str(list[1].name, "Second");
    assert_status(STATUS_OK, meta_saved_delete(meta, 1, META_SAVED_FUNNEL, funnel_id, &fixture->error));
    assert_status(STATUS_NOT_FOUND, meta_saved_delete(meta, 1, META_SAVED_FUNNEL, funnel_id, &fixture->error));

    /* A deleted project takes its own along, and ids do not come back. */
    assert_status(STATUS_OK, meta_project_delete(meta, 1, &fixture->error));
    assert_status(STATUS_OK,
                  meta_saved_list(meta, 1, META_SAVED_FUNNEL, fixture->arena, &fixture->error, &list, &count));
    assert_int_equal(count, 0);
    second.project_id = 2;
    assert_status(STATUS_OK, meta_saved_create(meta, &second, 10, &fixture->error, &other_id));
    assert_true(other_id > id);
    meta_close(meta);
}

static void test_bad_input(void **state)
{
    struct fixture *fixture = *state;
    struct meta *meta = fixture_open(fixture);
    struct meta_saved saved = spec(1, META_SAVED_COHORT, "");
    static char long_text[META_SAVED_DEFINITION_MAX + 1];
    int64_t id;
    memset(long_text, 'x', sizeof long_text);
    fixture_project(fixture, meta, 1, "one");
    assert_status(STATUS_INVALID, meta_saved_create(meta, &saved, 2, &fixture->error, &id));
    saved.name = str_from(long_text, META_NAME_SIZE_MAX + 1);
    assert_status(STATUS_INVALID, meta_saved_create(meta, &saved, 2, &fixture->error, &id));
    saved.name = STR("a\nb");
    assert_status(STATUS_INVALID, meta_saved_create(meta, &saved, 2, &fixture->error, &id));
    saved.name = STR("\xFF");
    assert_status(STATUS_INVALID, meta_saved_create(meta, &saved, 2, &fixture->error, &id));
    saved.name = STR("ok");
    saved.description = str_from(long_text, META_SAVED_DESCRIPTION_MAX + 1);
    assert_status(STATUS_INVALID, meta_saved_create(meta, &saved, 2, &fixture->error, &id));
    saved.description = STR("two\nlines");
    saved.definition = str_from(long_text, sizeof long_text);
    assert_status(STATUS_LIMIT, meta_saved_create(meta, &saved, 2, &fixture->error, &id));
    saved.definition = STR("{}");
    assert_status(STATUS_OK, meta_saved_create(meta, &saved, 2, &fixture->error, &id));
    saved.name = STR("second");
    assert_status(STATUS_OK, meta_saved_create(meta, &saved, 2, &fixture->error, &id));
    saved.name = STR("third");
    assert_status(STATUS_LIMIT, meta_saved_create(meta, &saved, 2, &fixture->error, &id));
    saved.kind = META_SAVED_FUNNEL;
    assert_status(STATUS_OK, meta_saved_create(meta, &saved, 2, &fixture->error, &id));
    meta_close(meta);
}

static void test_export_days(void **state)
{
    struct fixture *fixture = *state;
    struct meta *meta = fixture_open(fixture);
    struct meta_view *view;
    fixture_project(fixture, meta, 1, "one");
    for (int local = 1; local >= 0; local--) {
        assert_status(STATUS_OK, meta_project_set_export_days(meta, 1, local, &fixture->error));
        assert_status(STATUS_OK, meta_view_load(meta, &fixture->error, &view));
        assert_int_equal(meta_view_project(view, 1)->export_local_days, local);
        meta_view_unref(view);
    }
    assert_status(STATUS_NOT_FOUND, meta_project_set_export_days(meta, 2, true, &fixture->error));
    meta_close(meta);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_life, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_bad_input, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_export_days, fixture_setup, fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
