#include "meta/meta_testing.h"

static const struct meta_lookup_limits limits = {.tables_max = 3, .rows_max = 100};

/* What install and sweep do here: count, and fail when told to. */
struct calls {
    int installs, sweeps;
    enum status fails;
    char files[256];
};

static enum status install(void *ctx, struct error *error)
{
    struct calls *calls = ctx;
    calls->installs++;
    return calls->fails ? error_set(error, calls->fails, "told to fail") : STATUS_OK;
}
static void each(void *ctx, struct str file)
{
    struct calls *calls = ctx;
    size_t used = strlen(calls->files);
    snprintf(calls->files + used, sizeof calls->files - used, STR_FMT " ", STR_ARG(file));
}
static enum status sweep(void *ctx, struct error *error)
{
    (void)error;
    struct calls *calls = ctx;
    calls->sweeps++;
    return STATUS_OK;
}

static enum status make(struct fixture *fixture, struct meta *meta, int64_t project, const char *name, const char *file,
                        int64_t rows, struct calls *calls, struct meta_lookup_table *ret)
{
    struct meta_lookup_table spec = {.project_id = project,
                                     .name = str_of(name),
                                     .file = str_of(file),
                                     .rows = rows,
                                     .columns = file[0] ? 2 : 0,
                                     .bytes = rows * 10};
    return meta_lookup_create(meta, &spec, &limits, install, calls, fixture->arena, &fixture->error, ret);
}

/* Made with and without a first version, replaced, deleted; seen by views and past them, in its project alone. */
static void test_life(void **state)
{
    struct fixture *fixture = *state;
    struct meta *meta = fixture_open(fixture);
    struct calls calls = {0};
    struct meta_lookup_table first, second, found;
    struct meta_view *view;
    struct str old;
    size_t count;
    fixture_project(fixture, meta, 1, "one");
    fixture_project(fixture, meta, 2, "two");
    assert_status(STATUS_OK, make(fixture, meta, 1, "Skus", "", 0, &calls, &first));
    assert_int_equal(calls.installs, 0);
    assert_int_equal(first.id.size, META_LOOKUP_ID_SIZE);
    assert_true(first.created_ms > 1600000000000 && first.modified_ms == first.created_ms);
    assert_status(STATUS_OK, make(fixture, meta, 1, "Accounts", "a.lut", 30, &calls, &second));
    assert_int_equal(calls.installs, 1);
    assert_false(str_eq(first.id, second.id));
    assert_status(STATUS_CONFLICT, make(fixture, meta, 1, "Skus", "", 0, &calls, &found));
    assert_status(STATUS_OK, make(fixture, meta, 2, "Skus", "", 0, &calls, &found));
    assert_status(STATUS_NOT_FOUND, make(fixture, meta, 3, "Skus", "", 0, &calls, &found));
    assert_status(STATUS_INVALID, make(fixture, meta, 1, "", "", 0, &calls, &found));
    assert_status(STATUS_INVALID, make(fixture, meta, 1, "a\nb", "", 0, &calls, &found));
    assert_status(STATUS_INVALID, make(fixture, meta, 1, "\xFF", "", 0, &calls, &found));

    first.file = STR("b.lut");
    first.rows = 70;
    first.columns = 5;
    assert_status(STATUS_OK,
                  meta_lookup_replace(meta, &first, &limits, install, &calls, fixture->arena, &fixture->error, &old));
    assert_int_equal(old.size, 0);
    first.file = STR("c.lut");
    assert_status(STATUS_OK,
                  meta_lookup_replace(meta, &first, &limits, install, &calls, fixture->arena, &fixture->error, &old));
    assert_str(old, "b.lut");
    assert_status(STATUS_OK, meta_lookup_table(meta, 1, first.id, fixture->arena, &fixture->error, &found));
    assert_str(found.file, "c.lut");
    assert_true(found.rows == 70 && found.columns == 5 && found.modified_ms >= found.created_ms);
    assert_status(STATUS_NOT_FOUND, meta_lookup_table(meta, 2, first.id, fixture->arena, &fixture->error, &found));
    first.project_id = 2;
    assert_status(STATUS_NOT_FOUND,
                  meta_lookup_replace(meta, &first, &limits, install, &calls, fixture->arena, &fixture->error, &old));
    assert_true(str_starts(str_of(fixture->error.primary), STR("Lookup table with id '")));

    assert_status(STATUS_OK, meta_view_load(meta, &fixture->error, &view));
    const struct meta_lookup_table *tables = meta_view_lookups(view, 1, &count);
    assert_int_equal(count, 2);
    assert_str(tables[0].name, "Accounts");
    assert_str(tables[1].name, "Skus");
    assert_ptr_equal(meta_view_lookup(view, 1, first.id), &tables[1]);
    assert_null(meta_view_lookup(view, 2, first.id));
    (void)meta_view_lookups(view, 0, &count);
    assert_int_equal(count, 3);
    (void)meta_view_lookups(view, 7, &count);
    assert_int_equal(count, 0);
    meta_view_unref(view);

    assert_status(STATUS_NOT_FOUND, meta_lookup_delete(meta, 2, first.id, fixture->arena, &fixture->error, &old));
    assert_status(STATUS_OK, meta_lookup_sweep(meta, each, sweep, &calls, &fixture->error));
    assert_int_equal(calls.sweeps, 1);
    assert_non_null(strstr(calls.files, "a.lut "));
    assert_non_null(strstr(calls.files, "c.lut "));
    assert_int_equal(strlen(calls.files), 12);
    assert_status(STATUS_OK, meta_lookup_delete(meta, 1, first.id, fixture->arena, &fixture->error, &old));
    assert_str(old, "c.lut");
    assert_status(STATUS_OK, meta_project_delete(meta, 1, &fixture->error));
    calls.files[0] = 0;
    assert_status(STATUS_OK, meta_lookup_sweep(meta, each, sweep, &calls, &fixture->error));
    assert_string_equal(calls.files, "");
    meta_close(meta);
}

/* A version whose file cannot be put in place does not become the current one; nor one that passes a limit. */
static void test_refused(void **state)
{
    struct fixture *fixture = *state;
    struct meta *meta = fixture_open(fixture);
    struct calls calls = {.fails = STATUS_IO};
    struct meta_lookup_table table, found;
    struct str old;
    fixture_project(fixture, meta, 1, "one");
    assert_status(STATUS_IO, make(fixture, meta, 1, "A", "a.lut", 10, &calls, &table));
    calls.fails = STATUS_OK;
    assert_status(STATUS_LIMIT, make(fixture, meta, 1, "A", "a.lut", 101, &calls, &table));
    assert_status(STATUS_OK, make(fixture, meta, 1, "A", "a.lut", 60, &calls, &table));
    assert_status(STATUS_LIMIT, make(fixture, meta, 1, "B", "b.lut", 41, &calls, &found));
    assert_status(STATUS_OK, make(fixture, meta, 1, "B", "b.lut", 40, &calls, &found));
    table.file = STR("c.lut");
    table.rows = 61;
    int installs = calls.installs;
    assert_status(STATUS_LIMIT,
                  meta_lookup_replace(meta, &table, &limits, install, &calls, fixture->arena, &fixture->error, &old));
    assert_int_equal(calls.installs, installs);
    table.rows = 60; /* its own rows do not count twice */
    calls.fails = STATUS_UNAVAILABLE;
    assert_status(STATUS_UNAVAILABLE,
                  meta_lookup_replace(meta, &table, &limits, install, &calls, fixture->arena, &fixture->error, &old));
    assert_status(STATUS_OK, meta_lookup_table(meta, 1, table.id, fixture->arena, &fixture->error, &found));
    assert_str(found.file, "a.lut");
    assert_status(STATUS_OK, make(fixture, meta, 1, "C", "", 0, &calls, &found));
    assert_status(STATUS_LIMIT, make(fixture, meta, 1, "D", "", 0, &calls, &found));
    meta_close(meta);
}

/* A property has one table, a table any number of properties; they go with the table. */
static void test_properties(void **state)
{
    struct fixture *fixture = *state;
    struct meta *meta = fixture_open(fixture);
    struct calls calls = {0};
    struct meta_lookup_table a, b, found;
    struct meta_view *view;
    struct str old;
    size_t count;
    fixture_project(fixture, meta, 1, "one");
    fixture_project(fixture, meta, 2, "two");
    assert_status(STATUS_OK, make(fixture, meta, 1, "A", "", 0, &calls, &a));
    assert_status(STATUS_OK, make(fixture, meta, 1, "B", "", 0, &calls, &b));
    assert_status(STATUS_OK, meta_lookup_map(meta, 1, a.id, STR("sku"), &fixture->error));
    assert_status(STATUS_OK, meta_lookup_map(meta, 1, a.id, STR("item"), &fixture->error));
    assert_status(STATUS_OK, meta_lookup_map(meta, 1, a.id, STR("sku"), &fixture->error));
    assert_status(STATUS_OK, meta_lookup_map(meta, 1, b.id, STR("account"), &fixture->error));
    assert_status(STATUS_NOT_FOUND, meta_lookup_map(meta, 2, b.id, STR("account"), &fixture->error));
    assert_status(STATUS_INVALID, meta_lookup_map(meta, 1, a.id, STR("$distinct_id"), &fixture->error));
    assert_status(STATUS_INVALID, meta_lookup_map(meta, 1, a.id, STR(""), &fixture->error));
    assert_status(STATUS_OK, meta_lookup_table(meta, 1, a.id, fixture->arena, &fixture->error, &found));
    assert_int_equal(found.property_count, 2);
    assert_str(found.properties[0], "item");
    assert_str(found.properties[1], "sku");
    assert_status(STATUS_OK, meta_lookup_map(meta, 1, b.id, STR("sku"), &fixture->error));
    assert_status(STATUS_NOT_FOUND, meta_lookup_unmap(meta, 1, a.id, STR("sku"), &fixture->error));
    assert_status(STATUS_NOT_FOUND, meta_lookup_unmap(meta, 2, b.id, STR("sku"), &fixture->error));
    assert_status(STATUS_OK, meta_lookup_unmap(meta, 1, a.id, STR("item"), &fixture->error));
    assert_status(STATUS_OK, meta_view_load(meta, &fixture->error, &view));
    const struct meta_lookup_table *tables = meta_view_lookups(view, 1, &count);
    assert_int_equal(tables[0].property_count, 0);
    assert_int_equal(tables[1].property_count, 2);
    assert_str(tables[1].properties[0], "account");
    assert_str(tables[1].properties[1], "sku");
    meta_view_unref(view);
    assert_status(STATUS_OK, meta_lookup_delete(meta, 1, b.id, fixture->arena, &fixture->error, &old));
    assert_status(STATUS_OK, meta_lookup_map(meta, 1, a.id, STR("sku"), &fixture->error));
    assert_status(STATUS_OK, meta_lookup_table(meta, 1, a.id, fixture->arena, &fixture->error, &found));
    assert_int_equal(found.property_count, 1);
    meta_close(meta);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {TEST(test_life), TEST(test_refused), TEST(test_properties)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
