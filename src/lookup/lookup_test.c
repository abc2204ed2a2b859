/* Tables of a data directory: versions in files and in the control plane, in memory within the budget, joined with
 * properties while they are replaced. */
#include "lookup/lookup.h"

#include "expr/expr.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

struct fixture {
    char dir[64];
    struct os_fs *fs;
    struct meta *meta;
    struct lookup *lookup;
    struct arena *arena;
    struct error error;
};

#define ok(expression)                                                                                                 \
    do {                                                                                                               \
        enum status status_ = (expression);                                                                            \
        if (status_ != STATUS_OK) fail_msg("%s: %s: %s", #expression, status_name(status_), f->error.primary);         \
    } while (0)

static void open_lookup(struct fixture *f, uint64_t memory)
{
    struct lookup_options options = {.fs = f->fs,
                                     .meta = f->meta,
                                     .memory_bytes_max = memory,
                                     .build = LOOKUP_BUILD_LIMITS_DEFAULT,
                                     .limits = LOOKUP_LIMITS_DEFAULT};
    lookup_free(f->lookup);
    ok(lookup_new(&options, &f->error, &f->lookup));
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct meta_options options = META_OPTIONS_DEFAULT;
    struct meta_project project;
    struct str secret;
    snprintf(f->dir, sizeof f->dir, "/tmp/cairn-lookup-XXXXXX");
    if (!mkdtemp(f->dir)) return -1;
    f->arena = arena_new((size_t)64 << 20);
    ok(os_posix_new(f->dir, &f->error, &f->fs));
    ok(meta_open(f->dir, &options, &f->error, &f->meta));
    for (int64_t id = 1; id <= 2; id++) {
        struct meta_project_spec spec = {.id = id, .name = STR("p")};
        ok(meta_project_create(f->meta, &spec, f->arena, &f->error, &project, &secret));
    }
    open_lookup(f, (uint64_t)64 << 20);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    char command[128];
    lookup_free(f->lookup);
    meta_close(f->meta);
    os_fs_free(f->fs);
    arena_free(f->arena);
    snprintf(command, sizeof command, "rm -rf '%s'", f->dir);
    int code = system(command);
    free(f);
    return code;
}

static struct meta_lookup_table create(struct fixture *f, const char *name, const char *csv)
{
    struct memory_source source = memory_source_of(str_of(csv));
    struct lookup_report report;
    struct meta_lookup_table table;
    ok(lookup_create(f->lookup, 1, str_of(name), csv ? &source.base : NULL, f->arena, &f->error, &report, &table));
    return table;
}

static enum status replace(struct fixture *f, struct str id, const char *csv)
{
    struct memory_source source = memory_source_of(str_of(csv));
    struct lookup_report report;
    return lookup_replace(f->lookup, 1, id, &source.base, f->arena, &f->error, &report);
}

static void count_file(void *ctx, const char *file)
{
    (void)file;
    ++*(unsigned *)ctx;
}
static unsigned files(struct fixture *f)
{
    unsigned count = 0;
    ok(os_list(f->fs, LOOKUP_FOLDER, count_file, &count, &f->error));
    return count;
}

/* An expression's value, a query of its own, as JSON. */
static void gives(struct fixture *f, const char *text, struct value sku, const char *wanted)
{
    struct meta_view *view;
    struct lookup_joins *joins;
    struct expr_options options = {0};
    const struct expr *expr;
    struct vector column = {.kind = VECTOR_CONST, .count = 1, .values = &sku}, result;
    struct buf out = BUF_INIT(1 << 20);
    ok(meta_view_load(f->meta, &f->error, &view));
    ok(lookup_joins_new(f->lookup, view, 1, &f->error, &joins));
    meta_view_unref(view);
    options.joins = lookup_joins_list(joins, &options.join_count);
    struct arena *arena = arena_new((size_t)1 << 20);
    ok(expr_compile(arena, str_of(text), &options, &f->error, &expr));
    struct expr_state *expr_state = expr_state_new(expr, (size_t)1 << 20);
    ok(expr_eval(expr_state, &column, 1, &f->error, &result));
    struct value value = vector_at(&result, 0);
    if (value.type == VALUE_ABSENT)
        buf_lit(&out, "undefined");
    else
        value_write_json(&out, value);
    buf_byte(&out, 0);
    ok(lookup_joins_status(joins, &f->error));
    assert_string_equal(out.data, wanted);
    buf_fini(&out);
    expr_state_free(expr_state);
    arena_free(arena);
    lookup_joins_free(joins);
}

#define NAME "properties[\"sku\"][\"name\"]"

/* From creation to deletion; each step shows in the next query. */
static void life(void **state)
{
    struct fixture *f = *state;
    struct meta_lookup_table table = create(f, "Skus", NULL);
    ok(meta_lookup_map(f->meta, 1, table.id, STR("sku"), &f->error));
    gives(f, NAME, value_int(5), "undefined");
    ok(replace(f, table.id, "sku,name\n5,Bolt\ntrue,Yes\n1.5,Half\n"));
    gives(f, NAME, value_int(5), "\"Bolt\"");
    gives(f, NAME, value_str(STR("5")), "\"Bolt\"");
    gives(f, NAME, value_bool(true), "\"Yes\"");
    gives(f, NAME, value_number(1.5), "\"Half\"");
    gives(f, NAME, value_int(6), "undefined");
    gives(f, "properties[\"sku\"][\"sku\"]", value_int(5), "\"5\"");
    gives(f, "properties[\"sku\"][\"nothing\"]", value_int(5), "undefined");
    assert_int_equal(files(f), 1);
    ok(replace(f, table.id, "sku,name\n5,Nut\n"));
    gives(f, NAME, value_int(5), "\"Nut\"");
    gives(f, NAME, value_bool(true), "undefined");
    assert_int_equal(files(f), 1);
    /* What is refused changes nothing. */
    assert_int_equal(replace(f, table.id, "sku,name\n5,a\n5,b\n"), STATUS_INVALID);
    assert_int_equal(replace(f, STR("no such table"), "sku,name\n5,a\n"), STATUS_NOT_FOUND);
    gives(f, NAME, value_int(5), "\"Nut\"");
    assert_int_equal(files(f), 1);
    /* Another process changes it. */
    struct lookup *here = f->lookup;
    f->lookup = NULL;
    open_lookup(f, 1 << 20);
    ok(replace(f, table.id, "sku,name\n5,Screw\n"));
    lookup_free(f->lookup);
    f->lookup = here;
    gives(f, NAME, value_int(5), "\"Screw\"");
    ok(meta_lookup_unmap(f->meta, 1, table.id, STR("sku"), &f->error));
    gives(f, NAME, value_int(5), "undefined");
    ok(meta_lookup_map(f->meta, 1, table.id, STR("sku"), &f->error));
    ok(lookup_delete(f->lookup, 1, table.id, f->arena, &f->error));
    gives(f, NAME, value_int(5), "undefined");
    assert_int_equal(files(f), 0);
}

/* A query that has begun sees one version to its end, whatever becomes of the table. */
static void old_versions(void **state)
{
    struct fixture *f = *state;
    struct meta_lookup_table table = create(f, "Skus", "sku,name\n5,Bolt\n");
    struct meta_view *view;
    struct lookup_joins *joins, *late;
    size_t count;
    struct value five = value_int(5);
    ok(meta_lookup_map(f->meta, 1, table.id, STR("sku"), &f->error));
    ok(meta_view_load(f->meta, &f->error, &view));
    ok(lookup_joins_new(f->lookup, view, 1, &f->error, &joins));
    ok(lookup_joins_new(f->lookup, view, 1, &f->error, &late));
    const struct expr_join *join = lookup_joins_list(joins, &count)[0];
    assert_int_equal(count, 1);
    uint32_t column = join->column(join, STR("name"));
    assert_int_equal(column, 1);
    ok(replace(f, table.id, "sku,colour,name\n5,red,Nut\n"));
    assert_int_equal(join->column(join, STR("name")), 1);
    assert_int_equal(join->column(join, STR("colour")), EXPR_NO_COLUMN);
    assert_true(str_is(value_text(join->value(join, column, &five)), "Bolt"));
    /* One that holds the older view shares it while it is there. */
    const struct expr_join *newer = lookup_joins_list(late, &count)[0];
    column = newer->column(newer, STR("name"));
    assert_true(str_is(value_text(newer->value(newer, column, &five)), "Bolt"));
    lookup_joins_free(late);
    lookup_joins_free(joins);
    assert_int_equal(lookup_memory(f->lookup), 0);
    /* One that asks when the file is gone takes the newer version. */
    ok(lookup_joins_new(f->lookup, view, 1, &f->error, &joins));
    join = lookup_joins_list(joins, &count)[0];
    assert_int_equal(join->column(join, STR("name")), 2);
    ok(lookup_delete(f->lookup, 1, table.id, f->arena, &f->error));
    assert_true(str_is(value_text(join->value(join, 2, &five)), "Nut"));
    ok(lookup_joins_status(joins, &f->error));
    lookup_joins_free(joins);
    assert_int_equal(lookup_memory(f->lookup), 0);
    /* Nothing is there for one that asks after the deletion; that is no failure. */
    ok(lookup_joins_new(f->lookup, view, 1, &f->error, &late));
    newer = lookup_joins_list(late, &count)[0];
    assert_int_equal(newer->column(newer, STR("name")), EXPR_NO_COLUMN);
    ok(lookup_joins_status(late, &f->error));
    lookup_joins_free(late);
    meta_view_unref(view);
}

/* A damaged file fails the query that needs it, and no other. */
static void damaged(void **state)
{
    struct fixture *f = *state;
    struct meta_lookup_table table = create(f, "Skus", "sku,name\n5,Bolt\n");
    struct meta_view *view;
    struct lookup_joins *joins;
    struct os_file *file;
    char path[128];
    size_t count;
    ok(meta_lookup_map(f->meta, 1, table.id, STR("sku"), &f->error));
    snprintf(path, sizeof path, LOOKUP_FOLDER "/" STR_FMT, STR_ARG(table.file));
    ok(os_open(f->fs, path, OS_WRITE, &f->error, &file));
    ok(os_pwrite(file, "X", 1, 70, &f->error));
    os_close(file);
    ok(meta_view_load(f->meta, &f->error, &view));
    ok(lookup_joins_new(f->lookup, view, 1, &f->error, &joins));
    ok(lookup_joins_status(joins, &f->error));
    const struct expr_join *join = lookup_joins_list(joins, &count)[0];
    assert_int_equal(join->column(join, STR("name")), EXPR_NO_COLUMN);
    assert_int_equal(lookup_joins_status(joins, &f->error), STATUS_CORRUPT);
    assert_non_null(strstr(f->error.primary, "lookup table \"Skus\""));
    lookup_joins_free(joins);
    meta_view_unref(view);
}

static char *wide_csv(char *text, unsigned rows)
{
    size_t size = (size_t)sprintf(text, "id,text\n");
    for (unsigned i = 0; i < rows; i++)
        size += (size_t)sprintf(text + size, "%u,aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n", i);
    return text;
}

/* The longest unused goes when there is no room; what is in use stays; too much in use at once is refused; one table
 * that is larger than the budget is served, and not kept. */
static void memory(void **state)
{
    struct fixture *f = *state;
    struct meta_lookup_table tables[3];
    struct lookup_table *open[3];
    char *text = malloc(1 << 20);
    for (int i = 0; i < 3; i++) {
        char name[8];
        snprintf(name, sizeof name, "t%d", i);
        tables[i] = create(f, name, wide_csv(text, 1000));
    }
    uint64_t one = lookup_table_memory((uint64_t)tables[0].bytes, 1000);
    open_lookup(f, one * 2 + 1000);
    for (int i = 0; i < 3; i++) {
        ok(lookup_open(f->lookup, &tables[i], &f->error, &open[i]));
        lookup_close(f->lookup, open[i]);
    }
    assert_int_equal(lookup_memory(f->lookup), one * 2);
    ok(lookup_open(f->lookup, &tables[1], &f->error, &open[1]));
    ok(lookup_open(f->lookup, &tables[0], &f->error, &open[0])); /* instead of 2 */
    assert_int_equal(lookup_memory(f->lookup), one * 2);
    assert_int_equal(lookup_open(f->lookup, &tables[2], &f->error, &open[2]), STATUS_LIMIT);
    lookup_close(f->lookup, open[1]);
    ok(lookup_open(f->lookup, &tables[2], &f->error, &open[2]));
    assert_int_equal(lookup_table_value(open[0], STR("999"), 1).size, 50);
    lookup_close(f->lookup, open[0]);
    lookup_close(f->lookup, open[2]);
    open_lookup(f, one - 1);
    ok(lookup_open(f->lookup, &tables[0], &f->error, &open[0]));
    ok(lookup_open(f->lookup, &tables[0], &f->error, &open[1]));
    assert_ptr_equal(open[0], open[1]);
    assert_int_equal(lookup_open(f->lookup, &tables[1], &f->error, &open[2]), STATUS_LIMIT);
    lookup_close(f->lookup, open[0]);
    assert_int_equal(lookup_memory(f->lookup), one);
    lookup_close(f->lookup, open[1]);
    assert_int_equal(lookup_memory(f->lookup), 0);
    free(text);
}

static void put_file(struct fixture *f, const char *name)
{
    struct os_file *file;
    ok(os_open(f->fs, name, OS_WRITE | OS_CREATE, &f->error, &file));
    os_close(file);
}

static void found(void *ctx, bool note, const char *file, const char *what)
{
    (void)file, (void)what;
    unsigned *counts = ctx;
    counts[note]++;
}

/* What crashes leave behind is removed, and nothing else; verify tells of it before. */
static void sweep_and_verify(void **state)
{
    struct fixture *f = *state;
    unsigned counts[2] = {0};
    struct lookup_verify verify = {.found = found, .ctx = counts};
    struct meta_lookup_table table = create(f, "Skus", "sku,name\n5,Bolt\n");
    ok(meta_lookup_map(f->meta, 1, table.id, STR("sku"), &f->error));
    put_file(f, LOOKUP_FOLDER "/0123456789abcdef0123456789abcdef.lut");
    put_file(f, LOOKUP_FOLDER "/0123456789abcdef0123456789abcdee.lut.new");
    put_file(f, LOOKUP_FOLDER "/README");
    ok(lookup_check_all(f->fs, f->meta, &f->error, &verify));
    assert_int_equal(counts[false], 0);
    assert_int_equal(counts[true], 3);
    assert_true(verify.files == 1 && verify.rows == 1 && verify.bytes == (uint64_t)table.bytes);
    ok(lookup_sweep(f->lookup, false, &f->error));
    assert_int_equal(files(f), 3);
    ok(lookup_sweep(f->lookup, true, &f->error));
    assert_int_equal(files(f), 2);
    gives(f, NAME, value_int(5), "\"Bolt\"");
    /* A project that is gone takes its tables along. */
    struct meta_lookup_table of_two;
    struct lookup_report report;
    struct memory_source source = memory_source_of(STR("a,b\n1,2\n"));
    ok(lookup_create(f->lookup, 2, STR("T"), &source.base, f->arena, &f->error, &report, &of_two));
    assert_int_equal(files(f), 3);
    ok(meta_project_delete(f->meta, 2, &f->error));
    ok(lookup_sweep(f->lookup, false, &f->error));
    assert_int_equal(files(f), 2);
    char path[128];
    snprintf(path, sizeof path, LOOKUP_FOLDER "/" STR_FMT, STR_ARG(table.file));
    ok(os_unlink(f->fs, path, &f->error));
    counts[0] = counts[1] = 0;
    ok(lookup_check_all(f->fs, f->meta, &f->error, &verify));
    assert_int_equal(counts[false], 1);
    assert_int_equal(counts[true], 1);
}

/* Gives its bytes, and has the folder swept before the end. */
struct sweeping_source {
    struct memory_source base;
    struct fixture *f;
};
static enum status sweeping_read(struct source *base, char *data, size_t size, struct error *error, size_t *ret_size)
{
    struct fixture *f = ((struct sweeping_source *)base)->f;
    TRY(memory_source_read(base, data, size, error, ret_size));
    if (*ret_size == 0) ok(lookup_sweep(f->lookup, true, error));
    return STATUS_OK;
}

/* A version that was swept away before it became the current one is lost, and the table is what it was. */
static void swept_meanwhile(void **state)
{
    struct fixture *f = *state;
    struct lookup_report report;
    struct meta_lookup_table table = create(f, "Skus", "sku,name\n5,Bolt\n"), other;
    ok(meta_lookup_map(f->meta, 1, table.id, STR("sku"), &f->error));
    struct sweeping_source source = {memory_source_of(STR("sku,name\n5,Nut\n")), f};
    source.base.base.read = sweeping_read;
    assert_int_equal(lookup_replace(f->lookup, 1, table.id, &source.base.base, f->arena, &f->error, &report),
                     STATUS_UNAVAILABLE);
    gives(f, NAME, value_int(5), "\"Bolt\"");
    source.base.rest = STR("sku,name\n5,Nut\n");
    assert_int_equal(lookup_create(f->lookup, 1, STR("Other"), &source.base.base, f->arena, &f->error, &report, &other),
                     STATUS_UNAVAILABLE);
    assert_int_equal(files(f), 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {TEST(life),   TEST(old_versions),     TEST(damaged),
                                       TEST(memory), TEST(sweep_and_verify), TEST(swept_meanwhile)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
