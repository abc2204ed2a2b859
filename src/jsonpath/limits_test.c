/* That nothing of a query or a value makes evaluation endless, deep or large: each ends in an error that says so. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>

#include "jsonpath/jsonpath.h"

static struct str repeated(struct arena *arena, const char *begin, const char *middle, size_t count, const char *end)
{
    struct buf buf = BUF_INIT((size_t)1 << 20);
    buf_str_add(&buf, str_of(begin));
    for (size_t i = 0; i < count; i++) buf_str_add(&buf, str_of(middle));
    buf_str_add(&buf, str_of(end));
    struct str text = arena_str(arena, buf_str(&buf));
    buf_fini(&buf);
    return text;
}

static enum status compiled(struct arena *arena, struct str query)
{
    const struct jsonpath *path;
    return jsonpath_compile(arena, query, JSONPATH_RFC9535, NULL, &path);
}

static void deep_and_long_queries_are_refused(void **state)
{
    struct arena *arena = arena_new((size_t)64 << 20);
    (void)state;
    assert_int_equal(compiled(arena, repeated(arena, "$", "[?(", 60000 / 3, "")), STATUS_INVALID);
    assert_int_equal(compiled(arena, repeated(arena, "$[?", "(", 60000, "")), STATUS_INVALID);
    assert_int_equal(compiled(arena, repeated(arena, "$[?", "length(", 8000, "")), STATUS_INVALID);
    assert_int_equal(compiled(arena, repeated(arena, "$", ".a", 20000, "")), STATUS_INVALID);
    assert_int_equal(compiled(arena, repeated(arena, "$", " ", 70000, ".a")), STATUS_INVALID);
    assert_int_equal(compiled(arena, repeated(arena, "$[?@", "&&@", 20000, "]")), STATUS_INVALID);
    assert_int_equal(compiled(arena, repeated(arena, "$", ".a", 2000, "")), STATUS_OK);
    arena_free(arena);
}

static void effort_is_bounded(void **state)
{
    struct arena *arena = arena_new((size_t)512 << 20);
    const struct jsonpath *path;
    struct jsonpath_nodes nodes;
    struct json value;
    struct error error = ERROR_INIT;
    (void)state;
    assert_int_equal(json_parse(arena, repeated(arena, "[0", ",1", 4000, "]"), NULL, NULL, &value), STATUS_OK);
    assert_int_equal(jsonpath_compile(arena, STR("$[?count($[?count($..*)>@])>@]"), JSONPATH_RFC9535, NULL, &path),
                     STATUS_OK);
    assert_int_equal(jsonpath_evaluate(arena, path, &value, &error, &nodes), STATUS_LIMIT);
    assert_non_null(strstr(error.primary, "looks at more than"));
    arena_free(arena);
}

static void memory_is_bounded(void **state)
{
    struct arena *arena = arena_new((size_t)1 << 20);
    const struct jsonpath *path;
    struct jsonpath_nodes nodes;
    struct json value;
    struct error error = ERROR_INIT;
    (void)state;
    assert_int_equal(json_parse(arena, repeated(arena, "[0", ",1", 5000, "]"), NULL, NULL, &value), STATUS_OK);
    assert_int_equal(jsonpath_compile(arena, STR("$[*,*,*,*,*,*,*,*,*]"), JSONPATH_RFC9535, NULL, &path), STATUS_OK);
    assert_int_equal(jsonpath_evaluate(arena, path, &value, &error, &nodes), STATUS_LIMIT);
    arena_free(arena);
}

static void depth_is_bounded(void **state)
{
    struct arena *arena = arena_new((size_t)64 << 20);
    const struct json_limits limits = {.depth_max = 5000};
    const struct jsonpath *path;
    struct jsonpath_nodes nodes;
    struct json value;
    struct error error = ERROR_INIT;
    (void)state;
    struct str text = arena_printf(arena, STR_FMT STR_FMT, STR_ARG(repeated(arena, "", "[", 2000, "")),
                                   STR_ARG(repeated(arena, "", "]", 2000, "")));
    if (json_parse(arena, text, &limits, NULL, &value) != STATUS_OK) skip();
    assert_int_equal(jsonpath_compile(arena, STR("$..*"), JSONPATH_RFC9535, NULL, &path), STATUS_OK);
    assert_int_equal(jsonpath_evaluate(arena, path, &value, &error, &nodes), STATUS_LIMIT);
    assert_non_null(strstr(error.primary, "nested"));
    arena_free(arena);
}

/* A pattern that would backtrack for ages gives up: no match. */
static void patterns_are_bounded(void **state)
{
    struct arena *arena = arena_new((size_t)16 << 20);
    const struct jsonpath *path;
    struct jsonpath_nodes nodes;
    (void)state;
    struct json value = JSON_ARRAY_EMPTY;
    struct str text = repeated(arena, "", "a", 40, "!");
    assert_int_equal(json_push(arena, &value, json_string(text)), STATUS_OK);
    assert_int_equal(jsonpath_compile(arena, STR("$[?match(@, '((a|a)*)*b')]"), JSONPATH_RFC9535, NULL, &path),
                     STATUS_OK);
    assert_int_equal(jsonpath_evaluate(arena, path, &value, NULL, &nodes), STATUS_OK);
    assert_int_equal(nodes.count, 0);
    arena_free(arena);
}

static void singular_queries_are_told(void **state)
{
    static const struct {
        const char *query;
        bool singular;
    } rows[] = {{"$", true},    {"$.a[0]['b']", true}, {"$[-1]", true},
                {"$.*", false}, {"$..a", false},       {"$[0,1]", false}};
    struct arena *arena = arena_new((size_t)1 << 20);
    const struct jsonpath *path;
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(jsonpath_compile(arena, str_of(rows[i].query), JSONPATH_RFC9535, NULL, &path), STATUS_OK);
        assert_int_equal(jsonpath_is_singular(path), rows[i].singular);
    }
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(deep_and_long_queries_are_refused),
        cmocka_unit_test(effort_is_bounded),
        cmocka_unit_test(memory_is_bounded),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(patterns_are_bounded),
        cmocka_unit_test(singular_queries_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
