/* The hashes that lie in files on disk must never change: fixed values, from the reference implementation of XXH3. */
#include "base/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* Shows known values of XXH3-64 and that the seed and NULL are what they should be. */
static void test_bytes(void **state)
{
    (void)state;
    assert_true(hash_str(STR("")) == 0x2D06800538D394C2u);
    assert_true(hash_str(STR_NULL) == hash_str(STR("")));
    assert_true(hash_str(STR("a")) == 0xE6C632B61E964E1Fu);
    assert_true(hash_str(STR("abc")) == 0x78AF5F94892F3950u);
    assert_true(hash_bytes("abc", 3, 1) != hash_bytes("abc", 3, 0));
}

/* Shows that the integer mixer is that of splitmix64 and does not collide over a small range. */
static void test_u64(void **state)
{
    (void)state;
    /* The first outputs of splitmix64 with state 0 and 1. */
    assert_true(hash_u64(0, 0) == 0xE220A8397B1DCDAFu);
    assert_true(hash_u64(1, 0) == 0x910A2DEC89025CC1u);
    assert_true(hash_u64(0, 1) != hash_u64(0, 0));
    static unsigned char seen[1 << 16];
    unsigned collisions = 0;
    for (uint64_t i = 0; i < 4096; i++) collisions += seen[hash_u64(i, 0) & 0xFFFF]++ > 0;
    assert_in_range(collisions, 60, 200); /* 128 are expected of a random function */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_bytes), cmocka_unit_test(test_u64)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
