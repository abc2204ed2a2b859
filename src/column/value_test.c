/* Values: their encoding and what a damaged one does, numbers in their forms, equality, order, labels. */
#include "column/value.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include <math.h>

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

/* The value of a JSON text; its bytes live in the arena. */
static struct value value_of(const char *text)
{
    struct json json;
    struct buf buf = BUF_INIT(1 << 20);
    struct value value;
    if (json_parse(arena, str_of(text), NULL, NULL, &json) != STATUS_OK) fail_msg("%s is not JSON", text);
    assert_int_equal(value_encode_json(&buf, &json), STATUS_OK);
    assert_int_equal(buf_status(&buf), STATUS_OK);
    struct reader reader = reader_of(arena_str(arena, buf_str(&buf)));
    assert_int_equal(value_decode(&reader, &value), STATUS_OK);
    assert_int_equal(reader_left(&reader), 0);
    buf_fini(&buf);
    return value;
}

static const char *written(void (*write)(struct buf *, struct value), struct value value)
{
    static char text[4096];
    struct buf buf = BUF_INIT(sizeof text - 1);
    write(&buf, value);
    assert_int_equal(buf_status(&buf), STATUS_OK);
    if (buf.size) memcpy(text, buf.data, buf.size);
    text[buf.size] = 0;
    buf_fini(&buf);
    return text;
}

/* --- encoding --- */

static const char *const samples[] = {
    "null",
    "true",
    "false",
    "0",
    "1",
    "-1",
    "63",
    "64",
    "-65",
    "9223372036854775807",
    "-9223372036854775808",
    "0.5",
    "-0.0",
    "1e-7",
    "1.7976931348623157e308",
    "5e-324",
    "18446744073709551616",
    "1e400",
    "\"\"",
    "\"a\"",
    "\"\xE6\x97\xA5\\u0000\"",
    "[]",
    "{}",
    "[null,[true,[1,2.5,\"x\"]],{}]",
    "{\"\":0,\"a\":{\"b\":[{\"c\":null}]},\"z\":18446744073709551616}",
};

/* What went in comes out: as a value, as JSON text and as a JSON document; the size is known before. */
static void encodings_round_trip(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
        struct value value = value_of(samples[i]), again;
        struct buf buf = BUF_INIT(1 << 16);
        value_encode(&buf, value);
        assert_int_equal(buf.size, value_encoded_size(value));
        struct reader reader = reader_of(buf_str(&buf));
        assert_int_equal(value_decode(&reader, &again), STATUS_OK);
        assert_int_equal(again.type, value.type);
        assert_true(value_equal(value, again));
        assert_int_equal(value_cmp(value, again), 0);
        assert_true(value_hash(value) == value_hash(again));
        struct json wanted, json;
        assert_int_equal(json_parse(arena, str_of(samples[i]), NULL, NULL, &wanted), STATUS_OK);
        assert_int_equal(value_to_json(arena, again, &json), STATUS_OK);
        assert_true(json_equal(&wanted, &json));
        assert_true(value_equal(value_of(written(value_write_json, again)), value));
        buf_fini(&buf);
    }
    struct buf buf = BUF_INIT(16);
    struct value absent = value_null();
    value_encode(&buf, value_absent());
    assert_int_equal(buf.size, value_encoded_size(value_absent()));
    struct reader reader = reader_of(buf_str(&buf));
    assert_int_equal(value_decode(&reader, &absent), STATUS_OK);
    assert_int_equal(absent.type, VALUE_ABSENT);
    buf_fini(&buf);
}

/* The bytes are those of docs/formats/values.md: files written today are read for ever. */
static void bytes_are_the_documented_ones(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        struct str bytes;
    } cases[] = {
        {"null", STR("\1")},
        {"true", STR("\2\1")},
        {"-1", STR("\3\1")},
        {"64", STR("\3\x80\1")},
        {"0.5", STR("\4\0\0\0\0\0\0\xE0\x3F")},
        {"\"ab\"", STR("\5\2ab")},
        {"[1,[]]", STR("\6\6\2\3\2\6\1\0")},
        {"{\"k\":false}", STR("\7\5\1\1k\2\0")},
        {"1e400", STR("\10\5"
                      "1e400")},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf buf = BUF_INIT(1 << 10);
        value_encode(&buf, value_of(cases[i].json));
        if (!str_eq(buf_str(&buf), cases[i].bytes)) fail_msg("%s", cases[i].json);
        buf_fini(&buf);
    }
}

/* Cut anywhere, an encoding is corrupt and nothing is returned. */
static void cut_encodings_are_corrupt(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
        struct buf buf = BUF_INIT(1 << 16);
        value_encode(&buf, value_of(samples[i]));
        for (size_t size = 0; size < buf.size; size++) {
            char *copy = malloc(size ? size : 1); /* so that the sanitizer sees a read behind the end */
            memcpy(copy, buf.data, size);
            struct reader reader = reader_of(str_from(copy, size));
            struct value value = value_int(77);
            assert_int_equal(value_decode(&reader, &value), STATUS_CORRUPT);
            assert_int_equal(value.integer, 77);
            free(copy);
        }
        buf_fini(&buf);
    }
}

static void malformed_bytes_are_corrupt(void **state)
{
    (void)state;
    static const struct str cases[] = {
        STR("\11"), /* a tag that is not given out */
        STR("\xFF"),
        STR("\2\2"),   /* a boolean of 2 */
        STR("\5\5ab"), /* a text longer than the bytes */
        STR("\5\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\1"),
        STR("\6\1\1"),     /* a list of one item without it */
        STR("\6\2\0\1"),   /* an item behind the last */
        STR("\6\3\1\5\5"), /* an item that goes beyond the list */
        STR("\6\12\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\1"),
        STR("\7\3\1\5k"),                     /* a key longer than the object */
        STR("\7\3\1\1k"),                     /* a key without value */
        STR("\6\3\1\2\2"),                    /* damage inside */
        STR("\4\0\0\0\0\0\0\xF8\x7F"),        /* no number */
        STR("\6\12\1\4\0\0\0\0\0\0\xF0\xFF"), /* an infinite item */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct reader reader = reader_of(cases[i]);
        struct value value;
        if (value_decode(&reader, &value) != STATUS_CORRUPT) fail_msg("case %zu was taken", i);
    }
}

/* Random damage never does more than be refused or give another value that can be walked through. */
static void damaged_bytes_are_safe(void **state)
{
    (void)state;
    struct buf buf = BUF_INIT(1 << 10);
    uint64_t random = 88172645463325252u;
    value_encode(&buf, value_of("{\"a\":[1,2.5,\"text\",{\"b\":null,\"c\":[true,18446744073709551616]}],\"d\":\"x\"}"));
    unsigned taken = 0;
    for (int i = 0; i < 20000; i++) {
        char *copy = malloc(buf.size);
        memcpy(copy, buf.data, buf.size);
        for (int k = 0; k < 2; k++) {
            random ^= random << 13, random ^= random >> 7, random ^= random << 17;
            copy[random % buf.size] = (char)(random >> 32);
        }
        struct reader reader = reader_of(str_from(copy, buf.size));
        struct value value;
        if (value_decode(&reader, &value) == STATUS_OK) {
            struct buf text = BUF_INIT(1 << 16);
            value_write_json(&text, value);
            (void)value_hash(value);
            assert_true(value.type != VALUE_OBJECT || value_cmp(value, value) == 0);
            taken++;
            buf_fini(&text);
        }
        free(copy);
    }
    assert_true(taken > 100);
    buf_fini(&buf);
}

/* Sixteen lists inside each other are taken, seventeen are not, in either direction. */
static void nesting_is_bounded(void **state)
{
    (void)state;
    char deep[] = "[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]"; /* 17 */
    struct json json;
    struct buf buf = BUF_INIT(1 << 10);
    assert_int_equal(json_parse(arena, str_of(deep), NULL, NULL, &json), STATUS_OK);
    assert_int_equal(value_encode_json(&buf, &json), STATUS_INVALID);
    value_of("[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]");
    buf_reset(&buf);
    struct buf inner = BUF_INIT(1 << 10);
    buf_lit(&inner, "\6\1\0");
    for (int depth = 1; depth < VALUE_DEPTH_MAX + 1; depth++) {
        struct reader reader = reader_of(buf_str(&inner));
        struct value value;
        assert_int_equal(value_decode(&reader, &value), STATUS_OK);
        buf_reset(&buf);
        buf_byte(&buf, VALUE_LIST);
        buf_varint(&buf, inner.size + 1);
        buf_varint(&buf, 1);
        buf_str_add(&buf, buf_str(&inner));
        buf_reset(&inner);
        buf_str_add(&inner, buf_str(&buf));
    }
    struct reader reader = reader_of(buf_str(&inner));
    struct value value;
    assert_int_equal(value_decode(&reader, &value), STATUS_CORRUPT);
    buf_fini(&buf);
    buf_fini(&inner);
}

/* Containers whose size takes more than one byte to say. */
static void long_containers(void **state)
{
    (void)state;
    static const unsigned counts[] = {0, 1, 62, 63, 64, 65, 127, 128, 8190, 8192, 20000};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        struct buf text = BUF_INIT(1 << 20);
        buf_byte(&text, '[');
        for (unsigned k = 0; k < counts[i]; k++) buf_printf(&text, "%s%u", k ? "," : "", k % 50);
        buf_byte(&text, ']');
        buf_byte(&text, 0);
        struct value list = value_of(text.data), item;
        assert_int_equal(value_count(list), counts[i]);
        struct value_iter iter = value_iter(list);
        unsigned seen = 0;
        while (value_next(&iter, NULL, &item)) assert_int_equal(item.integer, seen++ % 50);
        assert_int_equal(seen, counts[i]);
        buf_fini(&text);
    }
}

/* Of repeated keys the last counts, in nested objects as well. */
static void the_last_of_repeated_keys(void **state)
{
    (void)state;
    struct value object = value_of("{\"a\":1,\"b\":{\"x\":1,\"x\":2},\"a\":3}");
    assert_int_equal(value_count(object), 2);
    assert_int_equal(value_member(object, STR("a")).integer, 3);
    assert_int_equal(value_member(value_member(object, STR("b")), STR("x")).integer, 2);
    assert_int_equal(value_member(object, STR("c")).type, VALUE_ABSENT);
    assert_int_equal(value_member(value_int(1), STR("a")).type, VALUE_ABSENT);
    assert_int_equal(value_count(value_int(1)), 0);
}

/* --- numbers --- */

static void one_number_has_one_form(void **state)
{
    (void)state;
    assert_int_equal(value_number(3).type, VALUE_INT);
    assert_int_equal(value_number(-9223372036854775808.0).type, VALUE_INT);
    assert_int_equal(value_number(9223372036854775808.0).type, VALUE_DOUBLE);
    assert_int_equal(value_number(0.5).type, VALUE_DOUBLE);
    assert_int_equal(value_number(-0.0).type, VALUE_DOUBLE);
    assert_int_equal(value_number((double)NAN).type, VALUE_ABSENT);
    assert_int_equal(value_number(-(double)INFINITY).type, VALUE_ABSENT);
    assert_int_equal(value_of("1e3").type, VALUE_INT);
    assert_int_equal(value_of("1e20").type, VALUE_DOUBLE);
    assert_int_equal(value_of("18446744073709551617").type, VALUE_BIGNUM);
    double number = 7;
    assert_true(value_double(value_of("18446744073709551616"), &number) && number == 18446744073709551616.0);
    assert_false(value_double(value_of("1e400"), &number));
    assert_false(value_double(value_of("\"1\""), &number));
    assert_true(number == 18446744073709551616.0);
}

/* Ascending; the integers are exact where doubles are not. */
static void numbers_compare_exactly(void **state)
{
    (void)state;
    static const char *const ascending[] = {
        "-1e300",
        "-9223372036854777856.0",
        "-9223372036854775808.5",
        "-9223372036854775808",
        "-9223372036854775807",
        "-1.5",
        "-1",
        "-1e-300",
        "-1e-400",
        "0",
        "1e-401",
        "1e-400",
        "5e-324",
        "0.1000000000000000055511151231257827", /* the double nearest to 0.1 has 55 digits; these are its first 34 */
        "0.1",
        "0.1000000000000000055511151231257828",
        "0.5",
        "0.50000000000000000000001",
        "1",
        "1.5",
        "9007199254740992",
        "9007199254740993",
        "9223372036854774784",
        "9223372036854775807",
        "9223372036854775807.5",
        "9223372036854775808",
        "9223372036854775808.000000000000000000000000000001",
        "9223372036854775809",
        "18446744073709551615",
        "18446744073709551616",
        "18446744073709551616.5",
        "1e300",
        "1.7976931348623157e308",
        "1e400",
        "1000000000000000000000001e376",
        "1e401",
        "1e99999999999999999999",
    };
    size_t count = sizeof ascending / sizeof *ascending;
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < count; j++) {
            struct value a = value_of(ascending[i]), b = value_of(ascending[j]);
            int wanted = i < j ? -1 : i > j;
            if (value_cmp_number(a, b) != wanted) fail_msg("%s and %s", ascending[i], ascending[j]);
            assert_true(value_equal(a, b) == (i == j));
            assert_true((value_cmp(a, b) < 0) == (wanted < 0) && (value_cmp(a, b) > 0) == (wanted > 0));
        }
    }
    assert_int_equal(value_cmp_number(value_of("0"), value_of("-0.0")), 0);
    assert_true(value_equal(value_of("0"), value_of("-0.0")));
    assert_int_not_equal(value_cmp(value_of("0"), value_of("-0.0")), 0); /* dictionaries keep both */
}

/* --- equality, order, labels --- */

static void equality_is_deep(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        bool equal;
    } cases[] = {
        {"1", "\"1\"", false},
        {"1", "true", false},
        {"null", "false", false},
        {"null", "null", true},
        {"\"a\"", "\"A\"", false},
        {"[1,2]", "[1,2]", true},
        {"[1,2]", "[2,1]", false},
        {"[1]", "[1,1]", false},
        {"[0]", "[-0.0]", true},
        {"[]", "{}", false},
        {"{\"a\":1,\"b\":[2]}", "{\"b\":[2],\"a\":1}", true},
        {"{\"a\":1}", "{\"b\":1}", false},
        {"{\"a\":1}", "{\"a\":1,\"b\":1}", false},
        {"{\"a\":null}", "{\"b\":null}", false},
        {"{\"a\":{\"x\":0}}", "{\"a\":{\"x\":-0.0}}", true},
        {"18446744073709551616", "18446744073709551616", true},
        {"18446744073709551616", "18446744073709551616.5", false},
        {"18446744073709551616", "18446744073709551616.000", true},
        {"1844674407370955161600e-2", "18446744073709551616", true},
        {"0.1", "0.1000000000000000055511151231257827021181583404541015625", true},
        {"1e400", "10e399", true},
        {"1e400", "1e401", false},
        {"[9223372036854775807]", "[9223372036854775808]", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct value a = value_of(cases[i].a), b = value_of(cases[i].b);
        if (value_equal(a, b) != cases[i].equal || value_equal(b, a) != cases[i].equal)
            fail_msg("%s and %s", cases[i].a, cases[i].b);
    }
    assert_true(value_equal(value_absent(), value_absent()));
    assert_false(value_equal(value_absent(), value_null()));
}

/* value_cmp is a total order: ascending here means ascending there, for every pair. */
static void order_is_total(void **state)
{
    (void)state;
    static const char *const ascending[] = {"null",         "false",        "true", "-1",    "0",
                                            "0.5",          "1e400",        "\"\"", "\"A\"", "\"a\"",
                                            "\"a\\u0000\"", "\"\xC3\xA4\"", "[]",   "{}"};
    size_t count = sizeof ascending / sizeof *ascending;
    for (size_t i = 0; i < count; i++) {
        assert_true(value_cmp(value_absent(), value_of(ascending[i])) < 0);
        for (size_t j = 0; j < count; j++) {
            int order = value_cmp(value_of(ascending[i]), value_of(ascending[j]));
            if (i < j ? order >= 0 : i > j ? order <= 0 : order != 0)
                fail_msg("%s and %s: %d", ascending[i], ascending[j], order);
        }
    }
}

static void labels(void **state)
{
    (void)state;
    static const struct {
        const char *json, *label;
    } cases[] = {
        {"null", "null"},
        {"true", "true"},
        {"false", "false"},
        {"5", "5"},
        {"5.0", "5"},
        {"-2.5", "-2.5"},
        {"1e21", "1e+21"},
        {"1e20", "100000000000000000000"},
        {"\"\"", ""},
        {"\"a \\\"b\\\"\"", "a \"b\""},
        {"\"5\"", "5"},
        {"18446744073709551616", "18446744073709551616"},
        {"{\"a\":[1,\"x\"]}", "{\"a\":[1,\"x\"]}"},
        {"[]", "[]"},
        {"9007199254740993", "9007199254740993"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(written(value_write_label, value_of(cases[i].json)), cases[i].label);
    assert_string_equal(written(value_write_label, value_absent()), "undefined");
    assert_string_equal(written(value_write_json, value_absent()), "null");
}

/* A buffer that is full fails; it is not written past its end. */
static void a_full_buffer_is_an_error(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
        struct json json;
        assert_int_equal(json_parse(arena, str_of(samples[i]), NULL, NULL, &json), STATUS_OK);
        size_t size = value_encoded_size(value_of(samples[i]));
        for (size_t max = 1; max < size; max++) {
            struct buf buf = BUF_INIT(max);
            assert_int_equal(value_encode_json(&buf, &json), STATUS_OK);
            assert_int_equal(buf_status(&buf), STATUS_LIMIT);
            assert_true(buf.size <= max);
            buf_fini(&buf);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(encodings_round_trip, setup, teardown),
        cmocka_unit_test_setup_teardown(bytes_are_the_documented_ones, setup, teardown),
        cmocka_unit_test_setup_teardown(cut_encodings_are_corrupt, setup, teardown),
        cmocka_unit_test_setup_teardown(malformed_bytes_are_corrupt, setup, teardown),
        cmocka_unit_test_setup_teardown(damaged_bytes_are_safe, setup, teardown),
        cmocka_unit_test_setup_teardown(nesting_is_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(long_containers, setup, teardown),
        cmocka_unit_test_setup_teardown(the_last_of_repeated_keys, setup, teardown),
        cmocka_unit_test_setup_teardown(one_number_has_one_form, setup, teardown),
        cmocka_unit_test_setup_teardown(numbers_compare_exactly, setup, teardown),
        cmocka_unit_test_setup_teardown(equality_is_deep, setup, teardown),
        cmocka_unit_test_setup_teardown(order_is_total, setup, teardown),
        cmocka_unit_test_setup_teardown(labels, setup, teardown),
        cmocka_unit_test_setup_teardown(a_full_buffer_is_an_error, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
