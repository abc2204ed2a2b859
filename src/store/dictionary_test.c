/* Dictionaries: every value is found and counted, order is that of value_cmp whatever the strings look like, and
 * damaged bytes are refused or give other values. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/hash.h"
#include "store/dictionary.h"

#include <stdio.h>
#include <stdlib.h>

/* Strings that make sorting hard: common prefixes longer than a key of eight bytes, strings that are prefixes of
 * others, zero bytes at the ends, and bytes above 127. */
static struct value hard_string(struct arena *arena, unsigned kind, uint32_t i)
{
    char text[400];
    size_t size = 0;
    switch (kind) {
    case 0: return value_str(arena_printf(arena, "https://shop.example.com/product/%u", i * 7919 % 100003));
    case 1: /* 0..n times one letter */
        size = i % 390;
        memset(text, 'a', size);
        size += (size_t)snprintf(text + size, 10, "%u", i / 390);
        break;
    case 2: /* zero bytes */
        text[size++] = (char)(i % 3 ? 'x' : 0);
        for (uint32_t n = i / 3; n; n /= 2) text[size++] = (char)(n % 2);
        break;
    case 3:
        for (uint32_t n = i * 2654435761u; n; n /= 251) text[size++] = (char)(n % 251 + 5);
        break;
    default: /* nested groups: each level splits off a few */
        for (uint32_t n = 0; n < i % 37; n++) size += (size_t)snprintf(text + size, 20, "level%u/", n);
        size += (size_t)snprintf(text + size, 20, "%u", i / 37);
    }
    return value_str(arena_str(arena, str_from(text, size)));
}

static uint32_t distinct_only(struct value *values, uint32_t count)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        bool met = false;
        for (uint32_t k = 0; k < kept && !met; k++) met = dictionary_same(values[i], values[k]);
        if (!met) values[kept++] = values[i];
    }
    return kept;
}

static void order_is_that_of_value_cmp(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind < 5; kind++) {
        for (uint32_t count = 1; count < 5000; count = count * 7 + 5) {
            struct arena *arena = arena_new(1 << 26);
            struct value *values = arena_new_array(arena, struct value, count);
            uint32_t *order = arena_new_array(arena, uint32_t, count);
            for (uint32_t i = 0; i < count; i++) values[i] = hard_string(arena, kind, i);
            uint32_t distinct = distinct_only(values, count);
            assert_int_equal(dictionary_order(values, distinct, arena, order), STATUS_OK);
            for (uint32_t i = 1; i < distinct; i++) assert_true(value_cmp(values[order[i - 1]], values[order[i]]) < 0);
            arena_free(arena);
        }
    }
}

/* Strings made to need a level of sorting each: still right, and the stack stays shallow. */
static void order_of_a_staircase(void **state)
{
    (void)state;
    enum { STEPS = 3000, STEP = 9 };
    struct arena *arena = arena_new(1 << 28);
    char *text = arena_alloc(arena, STEPS * STEP);
    struct value *values = arena_new_array(arena, struct value, STEPS);
    uint32_t *order = arena_new_array(arena, uint32_t, STEPS);
    memset(text, 'z', STEPS * STEP);
    for (uint32_t i = 0; i < STEPS; i++) values[i] = value_str(str_from(text, (i * 1117 % STEPS + 1) * STEP));
    assert_int_equal(dictionary_order(values, STEPS, arena, order), STATUS_OK);
    for (uint32_t i = 0; i < STEPS; i++) assert_int_equal(values[order[i]].size, (i + 1) * STEP);
    arena_free(arena);
}

static void values_of_all_types_are_collected(void **state)
{
    (void)state;
    struct arena *arena = arena_new(1 << 26);
    enum { COUNT = 20000 };
    struct value *values = arena_new_array(arena, struct value, COUNT);
    uint32_t *codes = arena_new_array(arena, uint32_t, COUNT), *weights = arena_new_array(arena, uint32_t, COUNT);
    uint32_t rows[4000] = {0};
    for (uint32_t i = 0; i < COUNT; i++) {
        uint64_t r = hash_u64(i, 3);
        weights[i] = 1 + (uint32_t)(r >> 60);
        switch (r % 7) {
        case 0: break;
        case 1: values[i] = value_null(); break;
        case 2: values[i] = value_bool(r & 8); break;
        case 3: values[i] = value_int((int64_t)(r / 8 % 300) - 150); break;
        case 4: values[i] = value_number((double)(r / 8 % 300) / 7); break;
        case 5: values[i] = r & 8 ? value_number(-0.0) : value_int(0); break;
        default: values[i] = hard_string(arena, r / 8 % 5, r / 64 % 400);
        }
    }
    struct distinct distinct;
    assert_int_equal(dictionary_collect(values, weights, COUNT, COUNT, true, arena, codes, &distinct), COLLECTED);
    assert_true(distinct.count > 1000 && distinct.count < 4000);
    for (uint32_t i = 0; i < COUNT; i++) {
        assert_true(codes[i] <= distinct.count);
        assert_int_equal(codes[i] == 0, values[i].type == VALUE_ABSENT);
        if (!codes[i]) continue;
        assert_true(dictionary_same(values[i], distinct.entries[codes[i] - 1]));
        rows[codes[i] - 1] += weights[i];
    }
    for (uint32_t e = 0; e < distinct.count; e++) assert_int_equal(rows[e], distinct.rows[e]);
    uint32_t total = distinct.count;
    assert_int_equal(dictionary_collect(values, NULL, COUNT, total, true, arena, codes, &distinct), COLLECTED);
    assert_int_equal(dictionary_collect(values, NULL, COUNT, total - 1, true, arena, codes, &distinct), COLLECT_MANY);

    struct arena *small = arena_new(1 << 12);
    assert_int_equal(dictionary_collect(values, NULL, COUNT, COUNT, true, small, codes, &distinct), COLLECT_NO_MEMORY);
    arena_free(small);
    arena_free(arena);
}

static void unique_columns_are_given_up_early(void **state)
{
    (void)state;
    struct arena *arena = arena_new(1 << 26);
    enum { COUNT = 10000 };
    struct value *values = arena_new_array(arena, struct value, COUNT);
    uint32_t *codes = arena_new_array(arena, uint32_t, COUNT);
    struct distinct distinct;
    for (uint32_t i = 0; i < COUNT; i++) values[i] = value_str(arena_printf(arena, "id-%u", i));
    codes[COUNT - 1] = 77;
    assert_int_equal(dictionary_collect(values, NULL, COUNT, COUNT, true, arena, codes, &distinct), COLLECT_MANY);
    assert_int_equal(codes[COUNT - 1], 77); /* it did not get that far */
    assert_int_equal(dictionary_collect(values, NULL, COUNT, COUNT, false, arena, codes, &distinct), COLLECTED);
    assert_int_equal(distinct.count, COUNT);
    arena_free(arena);
}

/* Truncated anywhere, and with any byte changed, a dictionary is CORRUPT, LIMIT or another one; never more. */
static void damaged_dictionaries(void **state)
{
    (void)state;
    struct arena *arena = arena_new(1 << 26);
    struct value values[60];
    uint32_t order[60], rows[60], count = 0;
    values[count++] = value_null();
    values[count++] = value_int(-5);
    for (uint32_t i = 0; i < 50; i++) values[count++] = hard_string(arena, i % 5, i * 13);
    count = distinct_only(values, count);
    uint32_t sum = 0;
    for (uint32_t i = 0; i < count; i++) sum += rows[i] = i * 5 + 1;
    struct buf buf = BUF_INIT(1 << 16);
    assert_int_equal(dictionary_order(values, count, arena, order), STATUS_OK);
    assert_int_equal(dictionary_write(&buf, values, rows, order, count, arena), STATUS_OK);
    struct chunk chunk = {.encoding = CHUNK_DICT, .items = sum, .present = sum, .distinct = count};
    struct arena *reading = arena_new(1 << 20);
    struct value *entries;
    uint32_t entry_count, *items, *counts;
    assert_int_equal(chunk_dictionary(&chunk, buf_str(&buf), reading, &entries, &entry_count, &items), STATUS_OK);
    assert_int_equal(entry_count, count + 1);
    assert_int_equal(chunk_dictionary_counts(&chunk, buf_str(&buf), sum + 3, reading, &counts, &entry_count),
                     STATUS_OK);
    assert_int_equal(counts[0], 3);
    for (uint32_t i = 0; i < count; i++) {
        assert_true(dictionary_same(entries[i + 1], values[order[i]]));
        assert_int_equal(counts[i + 1], rows[order[i]]);
    }
    assert_int_equal(chunk_dictionary_counts(&chunk, buf_str(&buf), sum - 1, reading, &counts, &entry_count),
                     STATUS_CORRUPT);
    for (size_t size = 0; size < buf.size; size++) {
        char *copy = malloc(size + 1);
        assert_non_null(copy);
        memcpy(copy, buf.data, size);
        arena_reset(reading);
        assert_int_equal(chunk_dictionary_counts(&chunk, str_from(copy, size), sum, reading, &counts, &entry_count),
                         STATUS_CORRUPT);
        if (chunk_dictionary(&chunk, str_from(copy, size), reading, &entries, &entry_count, &items) == STATUS_OK) {
            for (uint32_t i = 0; i < entry_count; i++) (void)value_hash(entries[i]);
        }
        free(copy);
    }
    char *copy = malloc(buf.size);
    assert_non_null(copy);
    for (size_t at = 0; at < buf.size; at++) {
        for (int bit = 0; bit < 8; bit++) {
            memcpy(copy, buf.data, buf.size);
            copy[at] = (char)(copy[at] ^ 1 << bit);
            arena_reset(reading);
            struct str bytes = str_from(copy, buf.size);
            (void)!chunk_dictionary_counts(&chunk, bytes, sum, reading, &counts, &entry_count);
            if (chunk_dictionary(&chunk, bytes, reading, &entries, &entry_count, &items) != STATUS_OK) continue;
            for (uint32_t i = 0; i < entry_count; i++) (void)value_hash(entries[i]);
        }
    }
    free(copy);
    buf_fini(&buf);
    arena_free(reading);
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(order_is_that_of_value_cmp),
        cmocka_unit_test(order_of_a_staircase),
        cmocka_unit_test(values_of_all_types_are_collected),
        cmocka_unit_test(unique_columns_are_given_up_early),
        cmocka_unit_test(damaged_dictionaries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
