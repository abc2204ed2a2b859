/* The order of profiles: long lists of values of all types, with common beginnings, equal ones and numbers that no
 * double holds, against an ordinary sort that compares them. */
#include "query/native/profile_sort.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define COUNT 20000

static uint64_t state;
static unsigned below(unsigned limit)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(state >> 33) % limit;
}

static struct arena *arena;
static struct value values[COUNT];
static bool reverse;

static struct value random_text(void)
{
    switch (below(6)) {
    case 0: return value_str(arena_printf(arena, "2024-%02u-%02uT00:00:00", 1 + below(12), 1 + below(28)));
    case 1: return value_str(arena_printf(arena, "person.%u@example%u.com", below(5000), below(3)));
    case 2: return value_str(arena_printf(arena, "%u%u", below(5), below(9)));
    default: break;
    }
    /* few letters, a NUL among them, of any length: beginnings are common */
    char room[130];
    unsigned size = below(4) ? below(18) : below(sizeof room);
    for (unsigned i = 0; i < size; i++) room[i] = below(40) ? 'a' : "b\0\xFF"[below(3)];
    return value_str(arena_str(arena, str_from(room, size)));
}

static struct value random_number(void)
{
    static const char *const large[] = {"18446744073709551616", "-18446744073709551616", "1e400", "-1e400", "2e400"};
    switch (below(6)) {
    case 0: return value_int(INT64_C(9007199254740990) + below(6));
    case 1: return value_int(-INT64_C(9007199254740990) - below(6));
    case 2: {
        struct str digits = str_of(large[below(5)]);
        return (struct value){.type = VALUE_BIGNUM, .size = (uint32_t)digits.size, .data = digits.data};
    }
    case 3: return value_number(below(1000) / 8.0 - 60);
    case 4: return (struct value){.type = VALUE_DOUBLE, .number = -0.0};
    default: return value_int((int64_t)below(200) - 100);
    }
}

static struct value random_list(void)
{
    struct buf bytes = BUF_INIT(1 << 16);
    struct json list = JSON_ARRAY_EMPTY;
    struct value value;
    for (unsigned i = below(3); i > 0; i--) assert_int_equal(json_push(arena, &list, json_int(below(4))), STATUS_OK);
    assert_int_equal(value_encode_json(&bytes, &list), STATUS_OK);
    struct reader reader = reader_of(arena_str(arena, buf_str(&bytes)));
    assert_int_equal(value_decode(&reader, &value), STATUS_OK);
    buf_fini(&bytes);
    return value;
}

static int rank(struct value v)
{
    if (v.type == VALUE_ABSENT || v.type == VALUE_NULL) return 4;
    return v.type == VALUE_BOOL ? 0 : value_is_number(v) ? 1 : v.type == VALUE_STRING ? 2 : 3;
}

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    int order = rank(values[x]) - rank(values[y]);
    bool last = rank(values[x]) == 4 || rank(values[y]) == 4;
    if (!order && rank(values[x]) == 1) order = value_cmp_number(values[x], values[y]);
    if (!order && !last && rank(values[x]) != 1) order = value_cmp(values[x], values[y]);
    if (order) return reverse && !last ? -order : order;
    return (x > y) - (x < y);
}

static void check(unsigned kinds)
{
    static uint32_t expected[COUNT];
    for (uint32_t i = 0; i < COUNT; i++) {
        switch (below(kinds)) {
        case 0: values[i] = random_text(); break;
        case 1: values[i] = random_number(); break;
        case 2: values[i] = value_bool(below(2)); break;
        case 3: values[i] = below(2) ? value_absent() : value_null(); break;
        default: values[i] = random_list();
        }
    }
    for (int turn = 0; turn < 2; turn++) {
        uint32_t *places;
        reverse = turn;
        for (uint32_t i = 0; i < COUNT; i++) expected[i] = i;
        qsort(expected, COUNT, sizeof *expected, compare);
        assert_int_equal(profile_sort(values, COUNT, reverse, arena, &places), STATUS_OK);
        for (uint32_t i = 0; i < COUNT; i++) {
            if (places[i] != expected[i]) fail_msg("%u kinds, turn %d, place %u", kinds, turn, i);
        }
    }
}

static void sorted_as_compared(void **unused)
{
    (void)unused;
    for (unsigned kinds = 1; kinds <= 6; kinds++) {
        arena = arena_new((size_t)64 << 20);
        state = kinds;
        check(kinds);
        arena_free(arena);
    }
}

/* Equal long texts are no reason to go deeper and deeper. */
static void long_equal_texts(void **unused)
{
    (void)unused;
    static char bytes[200000];
    uint32_t *places;
    arena = arena_new((size_t)64 << 20);
    memset(bytes, 'x', sizeof bytes);
    for (uint32_t i = 0; i < 200; i++) values[i] = value_str(str_from(bytes, sizeof bytes - i % 2));
    assert_int_equal(profile_sort(values, 200, false, arena, &places), STATUS_OK);
    for (uint32_t i = 0; i < 200; i++) assert_int_equal(places[i], i < 100 ? 2 * i + 1 : 2 * (i - 100));
    arena_free(arena);
}

static void nothing_and_too_little_memory(void **unused)
{
    (void)unused;
    uint32_t *places;
    arena = arena_new(64 << 10);
    assert_int_equal(profile_sort(values, 0, true, arena, &places), STATUS_OK);
    for (uint32_t i = 0; i < COUNT; i++) values[i] = value_int(i);
    assert_int_equal(profile_sort(values, COUNT, true, arena, &places), STATUS_LIMIT);
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sorted_as_compared),
        cmocka_unit_test(long_equal_texts),
        cmocka_unit_test(nothing_and_too_little_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
