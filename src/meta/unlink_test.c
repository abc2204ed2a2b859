#include "meta/meta_testing.h"

/* A request waits, is carried out or fails, and stays on record with who asked; each belongs to its project. */
static void test_life_of_an_unlink(void **state)
{
    struct fixture *fixture = *state;
    struct meta *meta = fixture_open(fixture);
    struct error *error = &fixture->error;
    fixture_project(fixture, meta, 1, "one");
    fixture_project(fixture, meta, 2, "two");
    struct meta_unlink spec = {.project_id = 1, .distinct_id = STR("$device:D"), .requested_by = STR("ada")}, found;
    int64_t first, second, third;
    assert_status(STATUS_OK, meta_unlink_create(meta, &spec, error, &first));
    spec.distinct_id = STR("ü\"'; DROP TABLE unlinks; --");
    assert_status(STATUS_OK, meta_unlink_create(meta, &spec, error, &second));
    spec.project_id = 2;
    assert_status(STATUS_OK, meta_unlink_create(meta, &spec, error, &third));
    spec.project_id = 3;
    assert_status(STATUS_NOT_FOUND, meta_unlink_create(meta, &spec, error, &third));
    spec.project_id = 1;
    spec.distinct_id = STR("");
    assert_status(STATUS_INVALID, meta_unlink_create(meta, &spec, error, &third));
    static char large[META_UNLINK_ID_SIZE_MAX + 1];
    memset(large, 'x', sizeof large);
    spec.distinct_id = str_from(large, sizeof large);
    assert_status(STATUS_INVALID, meta_unlink_create(meta, &spec, error, &third));

    assert_status(STATUS_OK, meta_unlink(meta, first, fixture->arena, error, &found));
    assert_true(found.status == META_UNLINK_PENDING && found.requested_ms > 1600000000000 && found.done_ms == 0);
    assert_str(found.distinct_id, "$device:D");
    assert_str(found.requested_by, "ada");
    found.status = META_UNLINK_DONE;
    found.done_ms = 7;
    found.taken_from = STR("U");
    found.id_count = 3;
    assert_status(STATUS_OK, meta_unlink_update(meta, &found, error));
    assert_status(STATUS_OK, meta_unlink(meta, second, fixture->arena, error, &found));
    assert_str(found.distinct_id, "ü\"'; DROP TABLE unlinks; --");
    found.status = META_UNLINK_FAILED;
    found.error = STR("not linked");
    assert_status(STATUS_OK, meta_unlink_update(meta, &found, error));
    assert_status(STATUS_NOT_FOUND, meta_unlink(meta, third + 100, fixture->arena, error, &found));
    meta_close(meta);

    meta = fixture_open(fixture);
    struct meta_unlink *list;
    size_t count;
    assert_status(STATUS_OK, meta_unlinks(meta, 1, -1, 100, fixture->arena, error, &list, &count));
    assert_int_equal(count, 2);
    assert_true(list[0].id == second && list[0].status == META_UNLINK_FAILED);
    assert_str(list[0].error, "not linked");
    assert_true(list[1].id == first && list[1].status == META_UNLINK_DONE && list[1].done_ms == 7);
    assert_str(list[1].taken_from, "U");
    assert_int_equal(list[1].id_count, 3);
    assert_status(STATUS_OK, meta_unlinks(meta, 0, META_UNLINK_PENDING, 100, fixture->arena, error, &list, &count));
    assert_int_equal(count, 1);
    assert_int_equal(list[0].project_id, 2);
    assert_status(STATUS_OK, meta_unlinks(meta, 0, -1, 1, fixture->arena, error, &list, &count));
    assert_int_equal(count, 1);
    meta_close(meta);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_life_of_an_unlink, fixture_setup, fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
