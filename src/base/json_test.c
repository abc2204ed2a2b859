/* What JSON is accepted and refused, which type a number gets, how trees are read, built, compared and written. */
#include "base/json_int.h"
#include "base/json_testing.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static struct arena *arena;

static int setup(void **state)
{
    (void)state;
    arena = arena_new((size_t)64 << 20);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(arena);
    return 0;
}

static struct json parse(struct str text)
{
    struct json value;
    struct error error = ERROR_INIT;
    if (json_parse(arena, text, NULL, &error, &value) != STATUS_OK)
        fail_msg(STR_FMT " was refused: %s", STR_ARG(text), error.primary);
    return value;
}

static void assert_written(const struct json *value, const char *expected)
{
    struct buf buf = BUF_INIT(1 << 20);
    json_write(&buf, value);
    buf_byte(&buf, 0);
    assert_int_equal(buf_status(&buf), STATUS_OK);
    assert_string_equal(buf.data, expected);
    buf_fini(&buf);
}

/* Shows documents that are accepted, by what json_write prints for them. */
static void test_accepts(void **state)
{
    (void)state;
    static const struct {
        const char *text, *written;
    } cases[] = {
        {"null", "null"},
        {" true ", "true"},
        {"\t\r\n false", "false"},
        {"\"\"", "\"\""},
        {"0", "0"},
        {"[]", "[]"},
        {"{}", "{}"},
        {"[ [ ] , { } ]", "[[],{}]"},
        {"{\"a\":1,\"b\":[true,null,\"x\"]}", "{\"a\":1,\"b\":[true,null,\"x\"]}"},
        {"{\"\":{\"\":{}}}", "{\"\":{\"\":{}}}"},
        {"\"\\u0041\\u00e9\\u20AC\\ud83d\\ude00\"", "\"A\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\""},
        {"\"\\b\\f\\n\\r\\t\\/\\\\\\\"\"", "\"\\b\\f\\n\\r\\t/\\\\\\\"\""},
        {"\"\xF4\x8F\xBF\xBF\"", "\"\xF4\x8F\xBF\xBF\""},
        {"{\"a\":1,\"a\":2}", "{\"a\":1,\"a\":2}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct json value = parse(str_of(cases[i].text));
        assert_written(&value, cases[i].written);
    }
}

/* Shows documents that are refused, each with a text and without touching the output. */
static void test_refuses(void **state)
{
    (void)state;
    static const struct str cases[] = {
        STR(""),
        STR(" \n"),
        STR("nul"),
        STR("nulll"),
        STR("True"),
        STR("undefined"),
        STR("NaN"),
        STR("Infinity"),
        STR("-"),
        STR("01"),
        STR("-01"),
        STR("1."),
        STR(".5"),
        STR("+1"),
        STR("1e"),
        STR("1e+"),
        STR("0x10"),
        STR("1_000"),
        STR("- 1"),
        STR("--1"),
        STR("1 2"),
        STR("1,2"),
        STR("1]"),
        STR("]"),
        STR("}"),
        STR(":"),
        STR(","),
        STR("["),
        STR("[1"),
        STR("[1,"),
        STR("[1,]"),
        STR("[,1]"),
        STR("[1 2]"),
        STR("[1,,2]"),
        STR("[1}"),
        STR("[]]"),
        STR("[1],"),
        STR("[] []"),
        STR("{"),
        STR("{\"a\""),
        STR("{\"a\":"),
        STR("{\"a\":1"),
        STR("{\"a\":1,"),
        STR("{\"a\":1,}"),
        STR("{\"a\" 1}"),
        STR("{\"a\":1 \"b\":2}"),
        STR("{a:1}"),
        STR("{'a':1}"),
        STR("{1:1}"),
        STR("{\"a\":}"),
        STR("{,}"),
        STR("{}}"),
        STR("{} x"),
        STR("'a'"),
        STR("\""),
        STR("\"a"),
        STR("\"\\\""),
        STR("\"\\x41\""),
        STR("\"\\u12\""),
        STR("\"\\u12G4\""),
        STR("\"\\ud800\""),
        STR("\"\\ude00\""),
        STR("\"\\ud800\\ud800\""),
        STR("\"\\ud800x\""),
        STR("\"a\nb\""),
        STR("\"a\tb\""),
        STR("\"\0\""),
        STR("\"\x1F\""),
        STR("\"\x80\""),
        STR("\"\xC0\xAF\""),
        STR("\"\xED\xA0\x80\""),
        STR("\"\xF4\x90\x80\x80\""),
        STR("\"\xC3\""),
        STR("\xEF\xBB\xBF{}"),
        STR("\0"),
        STR("{}\0"),
        STR("1\0"),
        STR("[1\0]"),
        STR("{\"a\":1\0}"),
        STR("[1]\0"),
        STR("// c\n1"),
        STR("/* c */1"),
        STR("[1] // c"),
        STR("tru"),
        STR("[nul]"),
        STR("[truex]"),
        STR("{\"a\":tru}"),
        STR("\f1"),
        STR("1\v"),
        STR("[1\xC2\xA0]"),
        STR("1]["),
        STR("],["),
        STR("1],[2"),
        STR("[\"a\",\n1"),
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct json value = json_int(77);
        struct error error = ERROR_INIT;
        if (json_parse(arena, cases[i], NULL, &error, &value) != STATUS_INVALID)
            fail_msg("case %zu was not refused: " STR_FMT, i, STR_ARG(cases[i]));
        assert_int_equal(error.status, STATUS_INVALID);
        assert_true(error.primary[0]);
        assert_true(value.type == JSON_INT && value.integer == 77);
    }
    struct json value;
    assert_int_equal(json_parse(arena, STR_NULL, NULL, NULL, &value), STATUS_INVALID);
}

/* Shows which kind each number becomes, so that nothing is rounded silently, and that it prints as the same number. */
static void test_numbers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum json_type type;
        const char *written;
    } cases[] = {
        {"0", JSON_INT, "0"},
        {"-0", JSON_DOUBLE, "-0"},
        {"-0.0", JSON_DOUBLE, "-0"},
        {"-0e5", JSON_DOUBLE, "-0"},
        {"0.0", JSON_INT, "0"},
        {"0e99999999999999999999", JSON_INT, "0"},
        {"1.0", JSON_INT, "1"},
        {"1e3", JSON_INT, "1000"},
        {"-1.5e1", JSON_INT, "-15"},
        {"100e-2", JSON_INT, "1"},
        {"9007199254740993", JSON_INT, "9007199254740993"},
        {"9007199254740993.0", JSON_INT, "9007199254740993"},
        {"9007199254740993e0", JSON_INT, "9007199254740993"},
        {"900719925474099.3e1", JSON_INT, "9007199254740993"},
        {"9223372036854775807", JSON_INT, "9223372036854775807"},
        {"9223372036854775807.000", JSON_INT, "9223372036854775807"},
        {"-9223372036854775808", JSON_INT, "-9223372036854775808"},
        {"9223372036854775808", JSON_BIGNUM, "9223372036854775808"},
        {"-9223372036854775809", JSON_BIGNUM, "-9223372036854775809"},
        {"12345678901234567890", JSON_BIGNUM, "12345678901234567890"},
        {"1e18", JSON_INT, "1000000000000000000"},
        {"1e19", JSON_DOUBLE, "10000000000000000000"},
        {"1e21", JSON_DOUBLE, "1e+21"},
        {"0.1", JSON_DOUBLE, "0.1"},
        {"1.50", JSON_DOUBLE, "1.5"},
        {"0.30000000000000004", JSON_DOUBLE, "0.30000000000000004"},
        {"0.300000000000000044", JSON_BIGNUM, "0.300000000000000044"},
        {"5e-324", JSON_DOUBLE, "5e-324"},
        {"1e400", JSON_BIGNUM, "1e400"},
        {"-1e400", JSON_BIGNUM, "-1e400"},
        {"1e-400", JSON_BIGNUM, "1e-400"},
        {"1e9999999999999999999999", JSON_BIGNUM, "1e9999999999999999999999"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct json value = parse(str_of(cases[i].text));
        if (value.type != cases[i].type) fail_msg("%s is of type %d", cases[i].text, value.type);
        assert_written(&value, cases[i].written);
        assert_string_equal(json_type_name(&value), "number");
    }
    struct json big = parse(STR("1e400"));
    assert_true(json_double(&big) == HUGE_VAL);
    struct json zero = parse(STR("-0"));
    assert_true(signbit(json_double(&zero)));
}

/* Shows that nesting is bounded (a scalar has none), that 100,000 brackets are an answer, and that values are counted.
 */
static void test_limits(void **state)
{
    (void)state;
    struct json value;
    struct error error = ERROR_INIT;
    struct json_limits two = {.depth_max = 2};
    assert_int_equal(json_parse(arena, STR("[[1]]"), &two, &error, &value), STATUS_OK);
    assert_int_equal(json_parse(arena, STR("[{\"a\":1}]"), &two, &error, &value), STATUS_OK);
    assert_int_equal(json_parse(arena, STR("[[[]]]"), &two, &error, &value), STATUS_INVALID);
    assert_string_equal(error.primary, "JSON nested too deeply");
    struct json_limits one = {.depth_max = 1};
    assert_int_equal(json_parse(arena, STR("\"scalar\""), &one, &error, &value), STATUS_OK);

    char *deep = malloc(200000);
    memset(deep, '[', 100000);
    memset(deep + 100000, ']', 100000);
    assert_int_equal(json_parse(arena, str_from(deep, 200000), NULL, &error, &value), STATUS_INVALID);
    assert_int_equal(json_parse(arena, str_from(deep, 100000), NULL, &error, &value), STATUS_INVALID);
    assert_int_equal(
        json_parse(arena, str_from(deep + 100000 - JSON_DEPTH_DEFAULT, 2 * JSON_DEPTH_DEFAULT), NULL, &error, &value),
        STATUS_OK);
    assert_int_equal(json_parse(arena, str_from(deep + 99999 - JSON_DEPTH_DEFAULT, 2 * JSON_DEPTH_DEFAULT + 2), NULL,
                                &error, &value),
                     STATUS_INVALID);
    free(deep);

    struct json_limits values = {.values_max = 3};
    assert_int_equal(json_parse(arena, STR("[1,2]"), &values, &error, &value), STATUS_OK);
    assert_int_equal(json_parse(arena, STR("[1,2,3]"), &values, &error, &value), STATUS_LIMIT);
    struct json_limits single = {.values_max = 1};
    assert_int_equal(json_parse(arena, STR("5"), &single, &error, &value), STATUS_OK);

    struct arena *small = arena_new(100);
    assert_int_equal(
        json_parse(small, STR("[\"0123456789\",\"0123456789\",\"0123456789\",4,5,6]"), NULL, &error, &value),
        STATUS_LIMIT);
    arena_free(small);
}

/* Shows that an error says at which byte parsing stopped, counted in the text that was given. */
static void test_error_position(void **state)
{
    (void)state;
    struct json value;
    struct error error = ERROR_INIT;
    assert_int_equal(json_parse(arena, STR("{\"a\": tru}"), NULL, &error, &value), STATUS_INVALID);
    assert_in_range(error.column, 7, 10);
    assert_int_equal(error.line, 0);
    assert_int_equal(json_parse(arena, STR("01"), NULL, &error, &value), STATUS_INVALID);
    assert_in_range(error.column, 0, 3);
}

/* Shows that the input may go away and that two documents of one thread do not share memory. */
static void test_independence(void **state)
{
    (void)state;
    char text[] = "{\"key\":[\"value\",123456789012345678901]}";
    struct json first = parse(str_of(text));
    memset(text, 'x', sizeof text - 1);
    struct json second = parse(STR("{\"other\":[\"text\",2]}"));
    assert_written(&first, "{\"key\":[\"value\",123456789012345678901]}");
    assert_written(&second, "{\"other\":[\"text\",2]}");
}

/* Shows member access: the last of duplicate keys wins, missing things are NULL, so is asking the wrong type. */
static void test_access(void **state)
{
    (void)state;
    struct json doc = parse(STR("{\"a\":1,\"b\":[10,20],\"a\":2,\"\":3}"));
    assert_int_equal(json_member(&doc, "a")->integer, 2);
    assert_int_equal(json_member(&doc, "")->integer, 3);
    assert_null(json_member(&doc, "c"));
    assert_null(json_at(&doc, 0));
    assert_int_equal(json_at(json_member(&doc, "b"), 1)->integer, 20);
    assert_null(json_at(json_member(&doc, "b"), 2));
    assert_null(json_member(json_member(&doc, "b"), "a"));
    assert_null(json_get(NULL, STR("a")));
    assert_null(json_at(NULL, 0));
}

/* Shows RFC 6901 with the examples of its section 5, array indexes and malformed pointers. */
static void test_pointer(void **state)
{
    (void)state;
    struct json doc =
        parse(STR("{\"foo\":[\"bar\",\"baz\"],\"\":0,\"a/b\":1,\"c%d\":2,\"e^f\":3,\"g|h\":4,\"i\\\\j\":5,"
                  "\"k\\\"l\":6,\" \":7,\"m~n\":8,\"0\":9,\"dup\":1,\"dup\":10}"));
    assert_ptr_equal(json_pointer(&doc, STR("")), &doc);
    static const struct {
        const char *pointer;
        int value;
    } good[] = {{"/", 0},     {"/a~1b", 1}, {"/c%d", 2},  {"/e^f", 3}, {"/g|h", 4}, {"/i\\j", 5},
                {"/k\"l", 6}, {"/ ", 7},    {"/m~0n", 8}, {"/0", 9},   {"/dup", 10}};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        const struct json *found = json_pointer(&doc, str_of(good[i].pointer));
        assert_non_null(found);
        assert_int_equal(found->integer, good[i].value);
    }
    assert_true(str_is(json_pointer(&doc, STR("/foo/0"))->string, "bar"));
    static const char *const bad[] = {"foo",
                                      "/foo/2",
                                      "/foo/-",
                                      "/foo/00",
                                      "/foo/01",
                                      "/foo/ 0",
                                      "/foo/",
                                      "/foo/0/x",
                                      "/m~n",
                                      "/m~2n",
                                      "/m~",
                                      "/nope",
                                      "/foo/99999999999999999999",
                                      "//"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (json_pointer(&doc, str_of(bad[i]))) fail_msg("%s was found", bad[i]);
    }
}

/* Shows that parsed arrays and objects go on growing at every size, without losing what was there. */
static void test_growth(void **state)
{
    (void)state;
    for (size_t start = 0; start < 20; start++) {
        struct buf text = BUF_INIT(4096);
        buf_byte(&text, '[');
        for (size_t i = 0; i < start; i++) buf_printf(&text, "%s%zu", i ? "," : "", i);
        buf_byte(&text, ']');
        struct json array = parse(buf_str(&text)), object = JSON_OBJECT_EMPTY, copy;
        void *guard = arena_alloc(arena, 16); /* right behind the block: growing in place would be seen */
        memset(guard, 0x5A, 16);
        assert_int_equal(json_clone(arena, &array, &copy), STATUS_OK);
        for (size_t i = start; i < 70; i++) {
            assert_int_equal(json_push(arena, &array, json_int((int64_t)i)), STATUS_OK);
            assert_int_equal(json_push(arena, &copy, json_int((int64_t)i)), STATUS_OK);
        }
        for (size_t i = 0; i < 16; i++) assert_int_equal(((unsigned char *)guard)[i], 0x5A);
        assert_int_equal(array.array.count, 70);
        for (size_t i = 0; i < 70; i++) assert_int_equal(json_at(&array, i)->integer, i);
        assert_true(json_equal(&array, &copy));
        for (size_t i = 0; i < 40; i++) {
            struct str key = arena_printf(arena, "k%zu", i);
            assert_int_equal(json_put(arena, &object, key, json_int((int64_t)i)), STATUS_OK);
        }
        assert_int_equal(json_member(&object, "k39")->integer, 39);
        assert_int_equal(json_member(&object, "k0")->integer, 0);
        buf_fini(&text);
    }
    struct arena *none = arena_new(0);
    struct json array = JSON_ARRAY_EMPTY, object = JSON_OBJECT_EMPTY;
    assert_int_equal(json_push(none, &array, json_null()), STATUS_LIMIT);
    assert_int_equal(json_put(none, &object, STR("a"), json_null()), STATUS_LIMIT);
    assert_int_equal(array.array.count + object.object.count, 0);
    arena_free(none);
}

/* Shows that a clone shares nothing: the original's arena may go. */
static void test_clone(void **state)
{
    (void)state;
    struct arena *other = arena_new(1 << 20);
    struct json value, copy;
    const char *text = "{\"a\":[1,2.5,\"s\",12345678901234567890,{\"\":[]}],\"b\":null}";
    assert_int_equal(json_parse(other, str_of(text), NULL, NULL, &value), STATUS_OK);
    assert_int_equal(json_clone(arena, &value, &copy), STATUS_OK);
    arena_free(other);
    assert_written(&copy, text);
    struct arena *none = arena_new(0);
    struct json untouched = json_int(5);
    assert_int_equal(json_clone(none, &copy, &untouched), STATUS_LIMIT);
    assert_int_equal(untouched.integer, 5);
    arena_free(none);
}

/* Shows deep equality: order of members does not count, order of items does, the last of duplicates does. */
static void test_equal(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        bool equal;
    } cases[] = {
        {"1", "1.0", true},
        {"0", "-0", true},
        {"1", "2", false},
        {"0.5", "0.50", true},
        {"12345678901234567890", "12345678901234567890", true},
        {"12345678901234567890", "12345678901234567891234", false},
        {"12345678901234567890", "12345678901234567891", false},
        {"9223372036854775807", "9223372036854775808", false},
        {"18446744073709551616", "18446744073709551616.00", true},
        {"0.5", "0.50000000000000000000", true},
        {"0.1", "0.1000000000000000055511151231257827021181583404541015625", true},
        {"1e400", "1e401", false},
        {"1e400", "10e399", true},
        {"1", "\"1\"", false},
        {"null", "false", false},
        {"[1,2]", "[1,2]", true},
        {"[1,2]", "[2,1]", false},
        {"[1]", "[1,1]", false},
        {"{\"a\":1,\"b\":2}", "{\"b\":2,\"a\":1}", true},
        {"{\"a\":1}", "{\"a\":1,\"b\":2}", false},
        {"{\"a\":1}", "{\"b\":1}", false},
        {"{\"a\":1,\"a\":2}", "{\"a\":2,\"a\":2}", true},
        {"{\"a\":2,\"a\":1}", "{\"a\":1,\"a\":2}", false},
        {"{\"a\":1,\"a\":1}", "{\"a\":1,\"b\":1}", false},
        {"{\"a\":[{\"b\":null}]}", "{\"a\":[{\"b\":null}]}", true},
        {"[]", "{}", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct json a = parse(str_of(cases[i].a)), b = parse(str_of(cases[i].b));
        if (json_equal(&a, &b) != cases[i].equal || json_equal(&b, &a) != cases[i].equal)
            fail_msg("%s and %s", cases[i].a, cases[i].b);
    }
}

/* Shows what strings become: quotes, control characters, what a <script> must not hold, and broken UTF-8. */
static void test_write_strings(void **state)
{
    (void)state;
    static const struct {
        struct str raw;
        const char *written;
    } cases[] = {
        {STR_NULL, "\"\""},
        {STR("plain"), "\"plain\""},
        {STR("\"\\/"), "\"\\\"\\\\/\""},
        {STR("\b\f\n\r\t\x01\x1F"), "\"\\b\\f\\n\\r\\t\\u0001\\u001f\""},
        {STR("a\0b"), "\"a\\u0000b\""},
        {STR("\x7F"), "\"\\u007f\""},
        {STR("</script>"), "\"\\u003c/script>\""},
        {STR("\xE2\x80\xA8\xE2\x80\xA9"), "\"\\u2028\\u2029\""},
        {STR("\xC3\xA4\xF0\x9F\x98\x80"), "\"\xC3\xA4\xF0\x9F\x98\x80\""},
        {STR("a\xFFz"), "\"a\xEF\xBF\xBDz\""},
        {STR("\xC3"), "\"\xEF\xBF\xBD\""},
        {STR("\xEF\xBF\xBD"), "\"\xEF\xBF\xBD\""},
        {STR("\xED\xA0\x80"), "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct json value = json_string(cases[i].raw);
        assert_written(&value, cases[i].written);
    }
}

/* Shows numbers that are built (not parsed), the pretty form, and that a full buffer is noticed. */
static void test_write(void **state)
{
    (void)state;
    struct json value = json_number(3);
    assert_int_equal(value.type, JSON_INT);
    assert_int_equal(json_number(NAN).type, JSON_NULL);
    assert_int_equal(json_number(-INFINITY).type, JSON_NULL);
    assert_int_equal(json_number(-0.0).type, JSON_DOUBLE);
    value = (struct json){.type = JSON_DOUBLE, .number = INFINITY};
    assert_written(&value, "null");
    value = json_bool(true);
    assert_written(&value, "true");

    struct json doc = parse(STR("{\"a\":[1,{\"b\":[]}],\"c\":{}}"));
    struct buf buf = BUF_INIT(4096);
    json_write_pretty(&buf, &doc);
    assert_true(str_is(buf_str(&buf), "{\n  \"a\": [\n    1,\n    {\n      \"b\": []\n    }\n  ],\n  \"c\": {}\n}"));
    buf_fini(&buf);
    struct buf small = BUF_INIT(10);
    json_write(&small, &doc);
    assert_int_equal(buf_status(&small), STATUS_LIMIT);
    buf_fini(&small);
}

static uint64_t random_next(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 33;
}

/* Changes, doubles, cuts out or moves a few bytes; mostly to bytes that mean something in JSON. */
static size_t mutate(uint64_t *random, char *text, size_t size, size_t size_max)
{
    static const char bytes[] =
        "{}[],:\"\"\\\\/bfnrtu0123456789abcdefABCDEF+-.eE truefalsn\n\t\r\0\x1F\x80\xC3\xED\xF4\x7F";
    for (uint64_t changes = random_next(random) % 4 + 1; changes > 0 && size > 0; changes--) {
        size_t at = random_next(random) % size, run = random_next(random) % 8 + 1;
        if (run > size - at) run = size - at;
        switch (random_next(random) % 5) {
        case 0:
        case 1: text[at] = bytes[random_next(random) % (sizeof bytes - 1)]; break;
        case 2:
            if (size + run > size_max) break;
            memmove(text + at + run, text + at, size - at);
            size += run;
            break;
        case 3:
            memmove(text + at, text + at + run, size - at - run);
            size -= run;
            break;
        default: memmove(text + random_next(random) % (size - run + 1), text + at, run); break;
        }
    }
    return size;
}

/* Shows that the fast reader and the reference give one verdict and one tree, for many texts that are nearly JSON and
 * lie right at the end of a block. */
static void test_readers_agree(void **state)
{
    (void)state;
    static const char *const seeds[] = {
        "{\"event\":\"Page View\",\"properties\":{\"time\":1704067232,\"$city\":\"S\xC3\xA3o "
        "Paulo\",\"n\":-12.50,\"l\":[1,2.5,true]}}",
        "[\"\\u0041\\u00e9\\u20AC\\ud83d\\ude00\\b\\f\\n\\r\\t\\/\\\\\\\"\",\"a longer text, of more than sixteen "
        "bytes\",\"\"]",
        "[0,-0,1.0,1e3,-1.5e1,123456789012345,1234567890123456.5,9223372036854775808,0.300000000000000044,1e400,0.1]",
        "{\"\":{\"\":{}},\"a\":[[],[[null,false]],{}],\"a\":\"\xF0\x9F\x98\x80\\n\"} \r\n\t",
        "\"scalar\\u0000\"",
        "99999999999999.9",
    };
    uint64_t random = 7;
    struct arena *own = arena_new((size_t)1 << 20);
    size_t accepted = 0;
    for (size_t i = 0; i < 60000; i++) {
        char text[512];
        struct str seed = str_of(seeds[i % (sizeof seeds / sizeof *seeds)]);
        memcpy(text, seed.data, seed.size);
        size_t size = i < sizeof seeds / sizeof *seeds ? seed.size : mutate(&random, text, seed.size, sizeof text);
        char *exact = malloc(size ? size : 1);
        assert_non_null(exact);
        memcpy(exact, text, size);
        struct json fast, reference;
        struct json_limits limits = {.depth_max = i % 7 ? 0 : 2, .values_max = i % 5 ? 0 : 8};
        bool read = json_read(own, str_from(exact, size), &limits, &fast);
        enum status status = json_parse_reference(own, str_from(exact, size), &limits, NULL, &reference);
        if (read != (status == STATUS_OK)) fail_msg("verdicts on %.*s", (int)size, exact);
        if (read && !json_same(&fast, &reference)) fail_msg("trees of %.*s", (int)size, exact);
        accepted += read;
        free(exact);
        arena_reset(own);
    }
    assert_in_range(accepted, 6000, 54000); /* both verdicts are common */
    arena_free(own);
}

/* Shows that decimals of up to 15 digits, which are divided rather than parsed, are the doubles that strtod finds. */
static void test_short_decimals(void **state)
{
    (void)state;
    uint64_t random = 3;
    for (size_t i = 0; i < 20000; i++) {
        char text[48];
        unsigned fraction = (unsigned)(random_next(&random) % 14 + 1),
                 whole = (unsigned)(random_next(&random) % 15 + 1);
        uint64_t digits = (random_next(&random) << 31 | random_next(&random)) % 1000000000000000;
        for (unsigned k = whole; k < 15; k++) digits /= 10;
        uint64_t power = 1;
        for (unsigned k = 0; k < fraction; k++) power *= 10;
        snprintf(text, sizeof text, "%s%llu.%0*llu", i % 2 ? "-" : "", (unsigned long long)(digits / power),
                 (int)fraction, (unsigned long long)(digits % power));
        struct json value = parse(str_of(text));
        double expected = strtod(text, NULL), found = json_double(&value);
        if (memcmp(&expected, &found, sizeof found) != 0) fail_msg("%s became %.17g", text, found);
    }
}

/* Shows that what a refused document took of the arena is given back before the error is worded. */
static void test_refusal_takes_nothing(void **state)
{
    (void)state;
    struct arena *own = arena_new((size_t)1 << 20);
    struct json value;
    assert_non_null(arena_alloc(own, 100));
    char text[20001];
    memset(text, '[', 1);
    for (size_t i = 0; i < 10000; i++) memcpy(text + 1 + 2 * i, "1,", 2);
    for (int i = 0; i < 60; i++) { /* 60 copies of the text would not fit */
        size_t before = arena_used(own);
        assert_int_equal(json_parse(own, str_from(text, sizeof text), NULL, NULL, &value), STATUS_INVALID);
        assert_int_equal(arena_used(own), before);
    }
    arena_free(own);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepts),        cmocka_unit_test(test_refuses),
        cmocka_unit_test(test_numbers),        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_error_position), cmocka_unit_test(test_independence),
        cmocka_unit_test(test_access),         cmocka_unit_test(test_pointer),
        cmocka_unit_test(test_growth),         cmocka_unit_test(test_clone),
        cmocka_unit_test(test_equal),          cmocka_unit_test(test_write_strings),
        cmocka_unit_test(test_write),          cmocka_unit_test(test_readers_agree),
        cmocka_unit_test(test_short_decimals), cmocka_unit_test(test_refusal_takes_nothing),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
