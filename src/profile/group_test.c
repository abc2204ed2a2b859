/* The numbers of group keys: written down, because clients keep them. */
#include "profile/group.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void numbers_never_change(void **state)
{
    (void)state;
    assert_int_equal(profile_group_number(STR("company")), INT64_C(5996851708075263));
    assert_int_equal(profile_group_number(STR("workspace_id")), INT64_C(3825946089833849));
}

static void numbers_fit_a_double(void **state)
{
    (void)state;
    char key[] = "key-0000";
    for (int i = 0; i < 10000; i++) {
        for (int at = 0, rest = i; at < 4; at++, rest /= 10) key[7 - at] = (char)('0' + rest % 10);
        int64_t number = profile_group_number(STR(key));
        assert_true(number > 0 && number < (int64_t)1 << 53);
        assert_true((int64_t)(double)number == number);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_never_change),
        cmocka_unit_test(numbers_fit_a_double),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
