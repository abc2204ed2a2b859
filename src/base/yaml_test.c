/* What the YAML reader makes of scalars, structure, positions and hostile input; each case is a small text
 * and the JSON that json_write prints for it, or the error's text and position. */
#include "base/yaml.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

static struct arena *arena;

static int setup(void **state)
{
    (void)state;
    arena = arena_new((size_t)16 << 20);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(arena);
    return 0;
}

static void reads_as(const char *yaml, const char *json)
{
    struct json value;
    struct error error = ERROR_INIT;
    if (json_from_yaml(arena, str_of(yaml), NULL, &error, &value) != STATUS_OK) fail_msg("%s: %s", yaml, error.primary);
    struct buf buf = BUF_INIT((size_t)1 << 20);
    json_write(&buf, &value);
    buf_byte(&buf, 0);
    assert_string_equal(buf.data, json);
    buf_fini(&buf);
}

static void fails_as(const char *yaml, const char *text, unsigned line, unsigned column)
{
    struct json value;
    struct error error = ERROR_INIT;
    assert_int_not_equal(json_from_yaml(arena, str_of(yaml), NULL, &error, &value), STATUS_OK);
    if (!strstr(error.primary, text)) fail_msg("%s: \"%s\" does not say \"%s\"", yaml, error.primary, text);
    assert_int_equal(error.line, line);
    assert_int_equal(error.column, column);
}

/* The core schema: words of YAML 1.1 are strings, bases are read, quoted scalars stay text. */
static void test_scalars(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"[on, off, yes, no, y, n, On, NO]", "[\"on\",\"off\",\"yes\",\"no\",\"y\",\"n\",\"On\",\"NO\"]"},
        {"[true, True, TRUE, tRUE, false, False, FALSE]", "[true,true,true,\"tRUE\",false,false,false]"},
        {"[null, Null, NULL, ~, nUll]", "[null,null,null,null,\"nUll\"]"},
        {"a:\nb: ''", "{\"a\":null,\"b\":\"\"}"},
        {"[0, 007, -12, +5, 0o17, 0x1f, 0xFF, 0b11, 1_000]", "[0,7,-12,5,15,31,255,\"0b11\",\"1_000\"]"},
        {"[1.5, .5, 5., 1e3, -1.25E-2, +0.5, 1.0, 08.50]", "[1.5,0.5,5,1000,-0.0125,0.5,1,8.5]"},
        {"[., -, +, -., e3, 1e, 1.2.3, 1.0.1, 0o8, 0x, --1]",
         "[\".\",\"-\",\"+\",\"-.\",\"e3\",\"1e\",\"1.2.3\",\"1.0.1\",\"0o8\",\"0x\",\"--1\"]"},
        {"[.inf, -.INF, .nan, .Inf]", "[null,null,null,null]"},
        {"[2024-01-31, 12:30:45, 1.2.3]", "[\"2024-01-31\",\"12:30:45\",\"1.2.3\"]"},
        {"['1', \"true\", 'null', \"\\u00e9\\n\"]", "[\"1\",\"true\",\"null\",\"\xC3\xA9\\n\"]"},
        {"[9223372036854775807, 9223372036854775808, -00123456789012345678901]",
         "[9223372036854775807,9223372036854775808,-123456789012345678901]"},
        {"[!!str 1, !!int 3, !!float 1.5, !!bool true, ! 7]", "[\"1\",3,1.5,true,\"7\"]"},
        {"a: >-\n  folded\n  text\nb: |\n  12\n  13\n", "{\"a\":\"folded text\",\"b\":\"12\\n13\\n\"}"},
        {"plain # comment", "\"plain\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) reads_as(cases[i][0], cases[i][1]);
    struct json value;
    assert_int_equal(json_from_yaml(arena, STR("[.inf, -.inf]"), NULL, NULL, &value), STATUS_OK);
    assert_true(value.array.items[0].number > 1e308);
    assert_true(value.array.items[1].number < -1e308);
    assert_int_equal(json_from_yaml(arena, STR("['1', 1, |-\n 1\n]"), NULL, NULL, &value), STATUS_INVALID);
    assert_int_equal(json_from_yaml(arena, STR("['1', 1]"), NULL, NULL, &value), STATUS_OK);
    assert_int_equal(value.array.items[0].flags & JSON_FLAG_QUOTED, JSON_FLAG_QUOTED);
    assert_int_equal(value.array.items[1].flags, 0);
}

/* Keys are text as written; order is kept; JSON is read too. */
static void test_structure(void **state)
{
    (void)state;
    reads_as("200: ok\non: 1\n~: 2\n0x1f: 3\n$set: 4\n'a b': 5",
             "{\"200\":\"ok\",\"on\":1,\"~\":2,\"0x1f\":3,\"$set\":4,\"a b\":5}");
    reads_as("- a\n- - b\n  - c: d\n- []\n- {}\n", "[\"a\",[\"b\",{\"c\":\"d\"}],[],{}]");
    reads_as("{\"a\":[1,2.50,\"x\"],\t\"b\":{\"c\":null}}", "{\"a\":[1,2.5,\"x\"],\"b\":{\"c\":null}}");
    reads_as("{\"a\": \"\\ud83d\\ude00 \\/\"}", "{\"a\":\"\xF0\x9F\x98\x80 /\"}");
    reads_as("\xEF\xBB\xBF%YAML 1.2\n---\na: 1\n...\n", "{\"a\":1}");
    reads_as("base: &b {x: 1}\ncopy: *b\nlist: [*b, &n 5, *n]\n&k key: *k",
             "{\"base\":{\"x\":1},\"copy\":{\"x\":1},\"list\":[{\"x\":1},5,5],\"key\":\"key\"}");
    reads_as("a: {<<: &x {b: 1}, c: *x}", "{\"a\":{\"\\u003c\\u003c\":{\"b\":1},\"c\":{\"b\":1}}}");
}

/* Every value knows where it begins, from 1. */
static void test_positions(void **state)
{
    (void)state;
    struct json value;
    assert_int_equal(json_from_yaml(arena, STR("a: 1\nb:\n  - x\n  -   c: 'y'\n"), NULL, NULL, &value), STATUS_OK);
    const struct json *a = json_pointer(&value, STR("/a")), *b = json_pointer(&value, STR("/b"));
    const struct json *c = json_pointer(&value, STR("/b/1/c")), *x = json_pointer(&value, STR("/b/0"));
    assert_int_equal(value.line, 1);
    assert_int_equal(value.column, 1);
    assert_true(a->line == 1 && a->column == 4);
    assert_true(b->line == 3 && b->column == 3);
    assert_true(x->line == 3 && x->column == 5);
    assert_true(c->line == 4 && c->column == 10);
    assert_int_equal(json_from_yaml(arena, STR("{\n \"k\": [\n  true]}"), NULL, NULL, &value), STATUS_OK);
    assert_int_equal(json_pointer(&value, STR("/k/0"))->line, 3);
}

/* Refusals say what and where. */
static void test_refusals(void **state)
{
    (void)state;
    fails_as("a: 1\nb: 2\na: 3\n", "duplicate key \"a\"", 3, 1);
    fails_as("x:\n  k: {}\n  'k': 2", "duplicate key \"k\"", 3, 3);
    fails_as("{\"a\":1,\"a\":2}", "duplicate key \"a\"", 1, 8);
    fails_as("a: 1\n---\nb: 2\n", "more than one document", 2, 1);
    fails_as("a: [1, 2\nb: 3", "malformed YAML", 2, 2);
    fails_as("a:\n\t- b", "malformed YAML", 2, 1);
    fails_as("", "empty", 0, 0);
    fails_as("# only a comment\n", "empty", 0, 0);
    fails_as("a: *nowhere", "alias *nowhere", 1, 4);
    fails_as("a: &self [1, *self]", "alias *self", 1, 14);
    fails_as("? [a, b]\n: 1", "a key must be", 1, 3);
    fails_as("? {a: b}\n: 1", "a key must be", 1, 3);
    fails_as("x: &a k\n*a : 1", "alias cannot be a key", 2, 1);
    fails_as("a: !mine 3", "tag \"!mine\"", 1, 4);
    fails_as("a: !!int x", "does not fit", 1, 4);
    fails_as("a: !!binary aGk=", "tag", 1, 4);
    fails_as("a: 0xffffffffffffffffff", "does not fit 64 bits", 1, 4);
    fails_as("a: \"\xFF\"", "malformed YAML", 1, 1);
    fails_as("{\"a\": 1} x", "malformed YAML", 1, 10);
}

/* Depth, number of values, size and memory are bounded, also through aliases. */
static void test_limits(void **state)
{
    (void)state;
    struct json value;
    struct error error = ERROR_INIT;
    char deep[400];
    memset(deep, '[', 200);
    memset(deep + 200, ']', 200);
    assert_int_equal(json_from_yaml(arena, str_from(deep, 400), NULL, &error, &value), STATUS_LIMIT);
    assert_non_null(strstr(error.primary, "too deeply"));
    assert_int_equal(json_from_yaml(arena, str_from(deep + 200 - 64, 128), NULL, &error, &value), STATUS_OK);

    struct buf buf = BUF_INIT((size_t)1 << 16);
    buf_lit(&buf, "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for (int i = 1; i < 10; i++) {
        buf_printf(&buf, "a%d: &a%d [", i, i);
        for (int k = 0; k < 10; k++) buf_printf(&buf, "%s*a%d", k ? ", " : "", i - 1);
        buf_lit(&buf, "]\n");
    }
    assert_int_equal(json_from_yaml(arena, buf_str(&buf), NULL, &error, &value), STATUS_LIMIT);
    assert_non_null(strstr(error.primary, "too many values"));
    buf_reset(&buf);
    buf_lit(&buf, "a0: &a0 [x]\n");
    for (int i = 1; i < 70; i++) buf_printf(&buf, "a%d: &a%d [*a%d]\n", i, i, i - 1);
    assert_int_equal(json_from_yaml(arena, buf_str(&buf), NULL, &error, &value), STATUS_LIMIT);
    assert_non_null(strstr(error.primary, "too deeply"));
    buf_fini(&buf);

    const struct yaml_read_limits limits = {.size_max = 10, .values_max = 4};
    assert_int_equal(json_from_yaml(arena, STR("a: 34567890"), &limits, &error, &value), STATUS_LIMIT);
    assert_int_equal(json_from_yaml(arena, STR("[1, 2, 3]"), &limits, &error, &value), STATUS_OK);
    assert_int_equal(json_from_yaml(arena, STR("[1,2,3,4]"), &limits, &error, &value), STATUS_LIMIT);

    struct arena *small = arena_new(4096);
    struct buf text = BUF_INIT((size_t)1 << 16);
    for (int i = 0; i < 500; i++) buf_printf(&text, "key%d: some value %d\n", i, i);
    assert_int_equal(json_from_yaml(small, buf_str(&text), NULL, &error, &value), STATUS_LIMIT);
    buf_fini(&text);
    arena_free(small);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scalars),  cmocka_unit_test(test_structure), cmocka_unit_test(test_positions),
        cmocka_unit_test(test_refusals), cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
