/* The filter forgets no key and lets few others pass. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/hash.h"
#include "store/filter.h"

#include <stdlib.h>

static void no_key_is_forgotten_and_few_others_pass(void **state)
{
    (void)state;
    static const size_t counts[] = {1, 2, 16, 1000, 50000};
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
        size_t keys = counts[c], bytes = filter_bytes(keys), passed = 0;
        unsigned char *filter = calloc(1, bytes);
        assert_non_null(filter);
        assert_true(bytes % 32 == 0 && bytes >= keys * 2);
        for (size_t i = 0; i < keys; i++) filter_add(filter, bytes, hash_u64(i, 1));
        for (size_t i = 0; i < keys; i++) assert_true(filter_has(filter, bytes, hash_u64(i, 1)));
        for (size_t i = 0; i < 100000; i++) passed += filter_has(filter, bytes, hash_u64(i, 2));
        assert_true(passed < 300); /* 0.3 %; about 0.05 % is expected */
        free(filter);
    }
}

static void without_keys_nothing_passes(void **state)
{
    (void)state;
    assert_int_equal(filter_bytes(0), 0);
    assert_false(filter_has(NULL, 0, 1));
}

/* Filters of one shard and of several; keys may repeat. */
static void fuse_forgets_no_key(void **state)
{
    (void)state;
    static const size_t counts[] = {1, 2, 3, 10, 100, 1000, 4097, 50000, 1100000};
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
        for (unsigned repeats = 1; repeats <= 3; repeats += 2) {
            size_t count = counts[c], total = count * repeats, passed = 0;
            if (count > 50000 && repeats > 1) continue;
            uint64_t *keys = malloc(total * sizeof *keys);
            assert_non_null(keys);
            /* neighbouring numbers: nothing may depend on the keys being hashes */
            for (size_t i = 0; i < total; i++) keys[i] = i % count;
            struct buf buf = BUF_INIT(1 << 24);
            buf_byte(&buf, 'x'); /* offsets count from the filter's start */
            assert_int_equal(fuse_build(keys, total, 1, &buf), STATUS_OK);
            struct str filter = str_from(buf.data + 1, buf.size - 1);
            for (size_t i = 0; i<count; i += count> 100000 ? 7 : 1) assert_true(fuse_has(filter, i));
            for (size_t i = 0; i < 100000; i++) passed += fuse_has(filter, (uint64_t)1 << 40 | i);
            assert_true(passed < 600); /* 0.6 %; 0.39 % is expected */
            if (count >= 50000) assert_true(filter.size * 8 < count * 10);
            for (size_t i = 0; i < total; i++) keys[i] = i % count;
            struct buf shared = BUF_INIT(1 << 24);
            assert_int_equal(fuse_build(keys, total, 3, &shared), STATUS_OK);
            assert_int_equal(shared.size, filter.size);
            assert_memory_equal(shared.data, filter.data, filter.size);
            buf_fini(&shared);
            buf_fini(&buf);
            free(keys);
        }
    }
    assert_false(fuse_has(STR_NULL, 1));
}

static void fuse_is_bounded(void **state)
{
    (void)state;
    uint64_t keys[1000];
    struct buf buf = BUF_INIT(500);
    for (size_t i = 0; i < 1000; i++) keys[i] = i;
    assert_int_equal(fuse_build(keys, 1000, 1, &buf), STATUS_LIMIT);
    buf_fini(&buf);
    buf = BUF_INIT(500);
    assert_int_equal(fuse_build(keys, 0, 1, &buf), STATUS_OK);
    assert_int_equal(buf.size, 0);
    buf_fini(&buf);
}

/* Whatever the bytes are, nothing outside of them is read. */
static void damaged_fuse_filters(void **state)
{
    (void)state;
    uint64_t keys[500];
    struct buf buf = BUF_INIT(1 << 16);
    for (size_t i = 0; i < 500; i++) keys[i] = i;
    assert_int_equal(fuse_build(keys, 500, 1, &buf), STATUS_OK);
    unsigned char *copy = malloc(buf.size);
    assert_non_null(copy);
    for (size_t at = 0; at < 24; at++) {
        for (int bit = 0; bit < 8; bit++) {
            memcpy(copy, buf.data, buf.size);
            copy[at] ^= (unsigned char)(1 << bit);
            for (uint64_t key = 0; key < 100; key++) (void)fuse_has(str_from(copy, buf.size), key);
        }
    }
    free(copy);
    for (size_t size = 1; size < buf.size; size += 13) {
        copy = malloc(size);
        assert_non_null(copy);
        memcpy(copy, buf.data, size);
        for (uint64_t key = 0; key < 100; key++) assert_true(fuse_has(str_from(copy, size), key));
        free(copy);
    }
    buf_fini(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_key_is_forgotten_and_few_others_pass),
        cmocka_unit_test(without_keys_nothing_passes),
        cmocka_unit_test(fuse_forgets_no_key),
        cmocka_unit_test(fuse_is_bounded),
        cmocka_unit_test(damaged_fuse_filters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
