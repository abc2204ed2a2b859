#include "meta/meta_testing.h"

/* A request goes its way, belongs to its project alone, and can be called back only before it was begun. */
static void test_life_of_a_request(void **state)
{
    struct fixture *fixture = *state;
    struct meta *meta = fixture_open(fixture);
    fixture_project(fixture, meta, 1, "one");
    fixture_project(fixture, meta, 2, "two");
    struct meta_deletion spec = {.project_id = 1,
                                 .kind = META_DELETION_PERSON,
                                 .request = STR("{\"distinct_ids\":[\"u\"]}"),
                                 .requested_by = STR("me")},
                         found;
    int64_t first, second;
    assert_status(STATUS_OK, meta_deletion_create(meta, &spec, &fixture->error, &first));
    spec.dry_run = true;
    spec.kind = META_DELETION_BEFORE;
    assert_status(STATUS_OK, meta_deletion_create(meta, &spec, &fixture->error, &second));
    assert_true(second > first);
    spec.project_id = 3;
    assert_status(STATUS_NOT_FOUND, meta_deletion_create(meta, &spec, &fixture->error, &second));
    assert_status(STATUS_OK, meta_deletion(meta, 1, first, fixture->arena, &fixture->error, &found));
    assert_str(found.request, "{\"distinct_ids\":[\"u\"]}");
    assert_str(found.requested_by, "me");
    assert_int_equal(found.kind, META_DELETION_PERSON);
    assert_int_equal(found.status, META_DELETION_PENDING);
    assert_true(!found.dry_run && found.requested_ms > 1600000000000 && found.marked_ms == 0 && found.rows == 0);
    assert_status(STATUS_NOT_FOUND, meta_deletion(meta, 2, first, fixture->arena, &fixture->error, &found));
    assert_status(STATUS_OK, meta_deletion(meta, 0, first, fixture->arena, &fixture->error, &found));
    found.status = META_DELETION_MARKED;
    found.rows = 17;
    found.lsn = 4711;
    found.marked_ms = 5;
    assert_status(STATUS_OK, meta_deletion_update(meta, &found, &fixture->error));
    assert_status(STATUS_CONFLICT, meta_deletion_cancel(meta, 1, first, &fixture->error));
    assert_status(STATUS_NOT_FOUND, meta_deletion_cancel(meta, 2, second, &fixture->error));
    assert_status(STATUS_OK, meta_deletion_cancel(meta, 1, second, &fixture->error));
    meta_close(meta);

    meta = fixture_open(fixture);
    struct meta_deletion *list;
    size_t count;
    assert_status(STATUS_OK, meta_deletions(meta, 1, -1, 100, fixture->arena, &fixture->error, &list, &count));
    assert_int_equal(count, 2);
    assert_int_equal(list[0].id, second);
    assert_int_equal(list[0].status, META_DELETION_CANCELLED);
    assert_true(list[0].dry_run && list[0].kind == META_DELETION_BEFORE);
    assert_int_equal(list[1].rows, 17);
    assert_int_equal(list[1].lsn, 4711);
    assert_status(STATUS_OK,
                  meta_deletions(meta, 0, META_DELETION_MARKED, 100, fixture->arena, &fixture->error, &list, &count));
    assert_int_equal(count, 1);
    assert_int_equal(list[0].id, first);
    assert_status(STATUS_OK, meta_deletions(meta, 2, -1, 100, fixture->arena, &fixture->error, &list, &count));
    assert_int_equal(count, 0);
    assert_status(STATUS_OK, meta_deletions(meta, 0, -1, 1, fixture->arena, &fixture->error, &list, &count));
    assert_int_equal(count, 1);
    meta_close(meta);
}

static void test_retention(void **state)
{
    struct fixture *fixture = *state;
    struct meta *meta = fixture_open(fixture);
    struct meta_view *view = NULL;
    fixture_project(fixture, meta, 1, "one");
    assert_status(STATUS_INVALID, meta_project_set_retention(meta, 1, -1, &fixture->error));
    assert_status(STATUS_INVALID, meta_project_set_retention(meta, 1, META_RETENTION_DAYS_MAX + 1, &fixture->error));
    assert_status(STATUS_NOT_FOUND, meta_project_set_retention(meta, 2, 30, &fixture->error));
    for (int64_t days = 0; days < 60; days += 30) {
        assert_status(STATUS_OK, meta_project_set_retention(meta, 1, days, &fixture->error));
        assert_status(STATUS_OK, meta_view_load(meta, &fixture->error, &view));
        assert_int_equal(meta_view_project(view, 1)->retention_days, days);
        meta_view_unref(view);
    }
    meta_close(meta);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_life_of_a_request, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_retention, fixture_setup, fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
