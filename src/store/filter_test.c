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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_key_is_forgotten_and_few_others_pass),
        cmocka_unit_test(without_keys_nothing_passes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
