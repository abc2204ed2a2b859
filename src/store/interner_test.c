#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/hash.h"
#include "store/dictionary.h"
#include "store/interner.h"

#include <stdlib.h>

/* Values of all kinds, strings of all sizes around those that a slot holds whole, in random order: the code of each is
 * that of the first that is strictly the same. */
static void codes_tell_values_apart(void **state)
{
    (void)state;
    enum { VALUES = 800, ROUNDS = 40000 };
    static char text[VALUES][64];
    static struct value values[VALUES];
    uint32_t expected[VALUES] = {0}, count = 0;
    for (int i = 0; i < VALUES; i++) {
        /* few letters: many share their first and last eight bytes */
        for (size_t c = 0; c < sizeof text[i]; c++) text[i][c] = (char)('a' + (hash_u64((uint64_t)i, c) % 8 == 0));
        size_t size = (size_t)i % 64;
        if (i >= VALUES / 2) { /* or differ in the middle alone, of one size */
            size = 40;
            memset(text[i], 'a', size);
            for (uint64_t k = 0; k < 4; k++)
                text[i][16 + hash_u64((uint64_t)i, 100 + k) % 8] = (char)('a' + hash_u64((uint64_t)i, 200 + k) % 26);
        }
        struct str string = str_from(text[i], size);
        switch (i % 20) {
        case 0: values[i] = value_int(i % 60); break;
        case 1: values[i] = (struct value){.type = VALUE_DOUBLE, .number = i % 40 == 1 ? -0.0 : i / 4.0}; break;
        case 2: values[i] = value_bool(i % 40 == 2); break;
        case 3: values[i] = value_null(); break;
        case 4: values[i] = (struct value){.type = VALUE_BIGNUM, .data = "123456789012345678901", .size = 21}; break;
        case 5: values[i] = (struct value){.type = VALUE_LIST, .data = text[i], .size = (uint32_t)string.size}; break;
        default: values[i] = value_str(string);
        }
    }
    struct arena *arena = arena_new(1 << 24);
    struct interner interner = {0};
    for (uint64_t round = 0; round < ROUNDS; round++) {
        uint32_t at = (uint32_t)(hash_u64(round, 1) % VALUES), code, first = at;
        for (uint32_t i = 0; i < VALUES; i++) {
            if (expected[i] && dictionary_same(values[i], values[at])) first = i;
        }
        assert_int_equal(interner_code(&interner, arena, values[at], &code), STATUS_OK);
        if (!expected[first]) expected[first] = ++count;
        assert_int_equal(code, expected[first]);
        assert_true(dictionary_same(interner.entries[code - 1], values[at]));
        if (values[at].type != VALUE_STRING) continue;
        assert_int_equal(interner_text(&interner, arena, values[at].data, values[at].size, &code), STATUS_OK);
        assert_int_equal(code, expected[first]);
    }
    assert_false(interner.loose);
    assert_int_equal(interner.count, count);
    assert_int_equal(interner_sort(&interner, arena), STATUS_OK);
    for (uint32_t i = 1; i < count; i++) assert_true(value_cmp(interner.sorted[i - 1], interner.sorted[i]) < 0);
    for (uint32_t i = 0; i < count; i++)
        assert_true(dictionary_same(interner.sorted[interner.ranks[i + 1] - 1], interner.entries[i]));
    arena_free(arena);
}

static void unique_values_are_not_looked_up(void **state)
{
    (void)state;
    enum { VALUES = 10000 };
    struct arena *arena = arena_new(1 << 24);
    struct interner interner = {0};
    uint32_t code, last = 0;
    for (int i = 0; i < VALUES; i++) {
        assert_int_equal(interner_code(&interner, arena, value_int(i), &code), STATUS_OK);
        assert_int_equal(code, ++last);
    }
    assert_true(interner.loose);
    assert_int_equal(interner_code(&interner, arena, value_int(5), &code), STATUS_OK);
    assert_int_equal(code, last + 1);
    assert_int_equal(interner.entries[code - 1].integer, 5);
    arena_free(arena);
}

static void memory_is_an_answer(void **state)
{
    (void)state;
    struct arena *arena = arena_new(1 << 16);
    struct interner interner = {0};
    uint32_t code;
    enum status status = STATUS_OK;
    for (int i = 0; i < 100000 && status == STATUS_OK; i++)
        status = interner_code(&interner, arena, value_int(i % 4000), &code);
    assert_int_equal(status, STATUS_LIMIT);
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codes_tell_values_apart),
        cmocka_unit_test(unique_values_are_not_looked_up),
        cmocka_unit_test(memory_is_an_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
