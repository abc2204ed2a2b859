/* Runs tests/golden/jsonpath/NAME.txt (see the README there), all cases of a file in one test, and shows what is wrong
 * with each. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "jsonpath/jsonpath.h"

#define FILE_BYTES ((size_t)2 << 20)

struct golden {
    const char *file;
    unsigned line;
    struct json parts;
};

static unsigned failures;

static void complain(const struct golden *golden, const char *what, struct str got)
{
    failures++;
    print_error("%s:%u: %s: %.*s\n", golden->file, golden->line, what, (int)got.size, got.data ? got.data : "");
}

/* Is `got` what is wanted, or one of what is allowed? */
static bool allowed(const struct json *wanted, const struct json *got)
{
    const struct json *either = json_member(wanted, "either");
    if (!either) return json_equal(wanted, got);
    for (size_t i = 0; i < either->array.count; i++)
        if (json_equal(&either->array.items[i], got)) return true;
    return false;
}

static void check_nodes(struct arena *arena, const struct golden *golden, const struct jsonpath_nodes *nodes)
{
    struct json values = JSON_ARRAY_EMPTY, paths = JSON_ARRAY_EMPTY;
    struct buf text = BUF_INIT(FILE_BYTES);
    for (size_t i = 0; i < nodes->count; i++) {
        buf_reset(&text);
        jsonpath_write_path(&text, nodes->items[i]);
        struct str path = arena_str(arena, buf_str(&text));
        assert_int_equal(json_push(arena, &values, *nodes->items[i]->value), STATUS_OK);
        assert_int_equal(json_push(arena, &paths, json_string(path)), STATUS_OK);
    }
    const struct json *wanted_values = json_at(&golden->parts, 2), *wanted_paths = json_at(&golden->parts, 3);
    buf_reset(&text);
    json_write(&text, &values);
    if (!allowed(wanted_values, &values)) complain(golden, "selects", buf_str(&text));
    buf_reset(&text);
    json_write(&text, &paths);
    if (wanted_paths && !allowed(wanted_paths, &paths)) complain(golden, "selects at", buf_str(&text));
    buf_fini(&text);
}

static void check(struct arena *arena, const struct golden *golden, enum jsonpath_dialect dialect)
{
    const struct json *query = json_at(&golden->parts, 0), *value = json_at(&golden->parts, 1);
    const struct jsonpath *path;
    struct jsonpath_nodes nodes;
    struct error error = ERROR_INIT;
    enum status status = jsonpath_compile(arena, query->string, dialect, &error, &path);
    if (status != STATUS_OK && status != STATUS_INVALID) {
        complain(golden, "not INVALID", str_of(status_name(status)));
    } else if (status == STATUS_INVALID) {
        if (value) complain(golden, "refused", str_of(error.primary));
        if (error.column == 0 || error.column > query->string.size + 1)
            complain(golden, "no good position", str_of(error.primary));
    } else if (!value) {
        complain(golden, "accepted", query->string);
    } else if (jsonpath_evaluate(arena, path, value, &error, &nodes) != STATUS_OK) {
        complain(golden, "failed", str_of(error.primary));
    } else {
        check_nodes(arena, golden, &nodes);
    }
}

static unsigned run_file(const char *name, enum jsonpath_dialect dialect)
{
    char path[4096], *text = malloc(FILE_BYTES);
    snprintf(path, sizeof path, "%s/tests/golden/jsonpath/%s.txt", CAIRN_SOURCE_DIR, name);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    struct str rest = {text, fread(text, 1, FILE_BYTES, file)}, line;
    assert_true(rest.size < FILE_BYTES);
    fclose(file);
    struct arena *arena = arena_new((size_t)16 << 20);
    struct golden golden = {.file = name};
    unsigned count = 0;
    failures = 0;
    while (str_next_part(&rest, '\n', &line)) {
        golden.line++;
        if (line.size == 0 || line.data[0] == '#') continue;
        struct error error = ERROR_INIT;
        if (json_parse(arena, line, NULL, &error, &golden.parts) != STATUS_OK || golden.parts.type != JSON_ARRAY ||
            (golden.parts.array.count != 1 && golden.parts.array.count < 3))
            fail_msg("%s:%u is no case: %s", name, golden.line, error.primary);
        check(arena, &golden, dialect);
        count++;
        arena_reset(arena);
    }
    arena_free(arena);
    free(text);
    assert_int_equal(failures, 0);
    return count;
}

static void the_compliance_suite_passes_whole(void **state)
{
    static const char *const files[] = {"basic",         "filter",         "functions", "index-selector",
                                        "name-selector", "slice-selector", "whitespace"};
    unsigned count = 0;
    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) count += run_file(files[i], JSONPATH_RFC9535);
    assert_int_equal(count, 703);
}

static void our_own_cases_pass(void **state)
{
    (void)state;
    assert_true(run_file("more", JSONPATH_RFC9535) > 20);
}

static void the_older_dialect_is_read(void **state)
{
    (void)state;
    assert_true(run_file("goessner", JSONPATH_GOESSNER) > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_compliance_suite_passes_whole),
        cmocka_unit_test(our_own_cases_pass),
        cmocka_unit_test(the_older_dialect_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
