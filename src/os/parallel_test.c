/* Every turn of a parallel loop runs once, whatever the number of threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "os/parallel.h"

#include <stdatomic.h>

#define TURNS 1000

static void count(void *ctx, size_t index)
{
    atomic_fetch_add(&((atomic_uint *)ctx)[index], 1);
}

static void every_turn_runs_once(void **state)
{
    (void)state;
    static const unsigned threads[] = {0, 1, 2, 7, 100};
    static const size_t counts[] = {0, 1, 3, TURNS};
    for (size_t t = 0; t < sizeof threads / sizeof *threads; t++) {
        for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
            static atomic_uint turns[TURNS];
            for (size_t i = 0; i < TURNS; i++) atomic_init(&turns[i], 0);
            os_parallel(threads[t], counts[c], count, turns);
            for (size_t i = 0; i < TURNS; i++) assert_int_equal(atomic_load(&turns[i]), i < counts[c]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_turn_runs_once)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
