#include "expr/expr.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static size_t cut(struct arena *arena, const char *text, const struct expr_term **terms)
{
    struct error error = ERROR_INIT;
    size_t count;
    assert_int_equal(expr_compile_terms(arena, str_of(text), NULL, &error, terms, &count), STATUS_OK);
    return count;
}

static void test_conjunctions_are_cut(void **state)
{
    (void)state;
    struct arena *arena = arena_new((size_t)1 << 24);
    const struct expr_term *terms;
    size_t columns;
    assert_int_equal(
        cut(arena, "properties[\"a\"] > 5 and (10 >= properties[\"b\"] and properties[\"c\"] == \"x\")", &terms), 3);
    assert_int_equal(terms[0].comparison, EXPR_GREATER);
    assert_true(terms[0].bound == 5);
    assert_int_equal(terms[1].comparison, EXPR_LESS_EQUAL);
    assert_true(terms[1].bound == 10);
    assert_int_equal(terms[2].comparison, EXPR_NO_COMPARISON);
    for (int i = 0; i < 3; i++) {
        const struct expr_column *column = expr_columns(terms[i].expr, &columns);
        assert_int_equal(columns, 1);
        assert_int_equal(column[0].name.data[0], "abc"[i]);
    }
    assert_int_equal(cut(arena, "properties[\"a\"] == properties[\"b\"] and properties[\"a\"] == 1.5", &terms), 2);
    (void)expr_columns(terms[0].expr, &columns);
    assert_int_equal(columns, 2);
    assert_int_equal(terms[1].comparison, EXPR_EQUAL);
    /* number() of a number is that number */
    assert_int_equal(cut(arena, "number(properties[\"a\"]) > 5 and 7 > number(number(properties[\"a\"]))", &terms), 2);
    assert_int_equal(terms[0].comparison, EXPR_GREATER);
    assert_int_equal(terms[1].comparison, EXPR_LESS);
    assert_int_equal(cut(arena, "number(properties[\"a\"], 9) > 5", &terms), 1);
    assert_int_equal(terms[0].comparison, EXPR_NO_COMPARISON);
    arena_free(arena);
}

/* `and` objects to a string that stands where a truth value is needed: cutting would lose the error. */
static void test_what_may_fail_stays_whole(void **state)
{
    (void)state;
    struct arena *arena = arena_new((size_t)1 << 24);
    const struct expr_term *terms;
    assert_int_equal(cut(arena, "properties[\"a\"] and properties[\"b\"] > 1", &terms), 1);
    assert_int_equal(terms[0].comparison, EXPR_NO_COMPARISON);
    assert_int_equal(cut(arena, "properties[\"a\"] > 1 or properties[\"b\"] > 1", &terms), 1);
    assert_int_equal(cut(arena, "properties[\"a\"] > 9007199254740993", &terms), 1);
    assert_int_equal(terms[0].comparison, EXPR_NO_COMPARISON);
    /* a double that the integer below it is rounded to */
    assert_int_equal(cut(arena, "9223372036854775808 == properties[\"a\"]", &terms), 1);
    assert_int_equal(terms[0].comparison, EXPR_NO_COMPARISON);
    arena_free(arena);
}

static void test_terms_keep_what_the_whole_keeps(void **state)
{
    (void)state;
    struct arena *arena = arena_new((size_t)1 << 24);
    const char *text = "properties[\"a\"] > 2 and properties[\"b\"] == \"x\" and (properties[\"a\"] < 6 or "
                       "defined(properties[\"c\"]))";
    struct value a[64], b[64], c[64];
    for (int i = 0; i < 64; i++) {
        a[i] = i % 9 ? value_int(i % 9) : value_absent();
        b[i] = i % 3 ? value_str(STR("x")) : value_str(STR("y"));
        c[i] = i % 5 ? value_absent() : value_bool(false);
    }
    const struct expr *whole;
    const struct expr_term *terms;
    size_t term_count, count;
    struct error error = ERROR_INIT;
    assert_int_equal(expr_compile(arena, str_of(text), NULL, &error, &whole), STATUS_OK);
    assert_int_equal(expr_compile_terms(arena, str_of(text), NULL, &error, &terms, &term_count), STATUS_OK);
    assert_int_equal(term_count, 3);
    uint8_t keep_whole[64], keep_terms[64];
    memset(keep_whole, 1, 64);
    memset(keep_terms, 1, 64);
    for (size_t t = 0; t <= term_count; t++) {
        const struct expr *expr = t < term_count ? terms[t].expr : whole;
        const struct expr_column *columns = expr_columns(expr, &count);
        struct vector vectors[3];
        for (size_t i = 0; i < count; i++) {
            char name = columns[i].name.data[0];
            vectors[i] = (struct vector){.kind = VECTOR_FLAT,
                                         .count = 64,
                                         .values = name == 'a'   ? a
                                                   : name == 'b' ? b
                                                                 : c};
        }
        struct expr_state *s = expr_state_new(expr, (size_t)1 << 20);
        assert_int_equal(expr_filter(s, vectors, 64, &error, t < term_count ? keep_terms : keep_whole), STATUS_OK);
        expr_state_free(s);
    }
    assert_memory_equal(keep_whole, keep_terms, 64);
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_conjunctions_are_cut),
        cmocka_unit_test(test_what_may_fail_stays_whole),
        cmocka_unit_test(test_terms_keep_what_the_whole_keeps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
