/* The level is one that the machine has, and stays. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/cpu.h"

static void level_is_supported(void **state)
{
    (void)state;
    enum cpu_level level = cpu_level();
    assert_in_range(level, CPU_PLAIN, CPU_V4);
    assert_int_equal(cpu_level(), level);
#ifdef __x86_64__
    /* the compiler's own knowledge of the main features, where it has it */
    if (level >= CPU_V3) assert_true(__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2"));
    if (level >= CPU_V4) assert_true(__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"));
    if (!__builtin_cpu_supports("avx2")) assert_int_equal(level, CPU_PLAIN);
#else
    assert_int_equal(level, CPU_PLAIN);
#endif
    assert_non_null(cpu_level_name(level));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(level_is_supported)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
