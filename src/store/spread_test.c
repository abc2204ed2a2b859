/* The kernels write what a plain loop writes, at every level of the machine. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/hash.h"
#include "store/spread.h"

#include <string.h>

enum { ROWS = VECTOR_ROWS_MAX };

/* Ranges of up to `longest` rows, until `rows` are full. */
static uint32_t cut(uint32_t rows, uint32_t longest, uint64_t seed, uint32_t ends[ROWS])
{
    uint32_t count = 0;
    for (uint32_t at = 0; at < rows; count++) {
        at += 1 + (uint32_t)(hash_u64(count, seed) % longest);
        ends[count] = at = at < rows ? at : rows;
    }
    return count;
}

static void check(const struct spread_table *table, uint32_t rows, uint32_t longest)
{
    uint32_t codes[ROWS], ends[ROWS], got[ROWS], count = cut(rows, longest, rows, ends);
    double numbers[ROWS], got_numbers[ROWS];
    uint16_t starts[ROWS], stops[ROWS], narrow[ROWS], got_narrow[ROWS];
    for (uint32_t i = 0; i < ROWS; i++) {
        codes[i] = (uint32_t)hash_u64(i, 1);
        numbers[i] = (double)codes[i] / 7;
        narrow[i] = (uint16_t)codes[i];
    }
    for (uint32_t first = 0; first < count && first < 40; first += 13) {
        uint32_t from = first ? ends[first - 1] : 0;
        table->codes(codes + first, ends + first, count - first, from, got);
        table->codes16(narrow + first, ends + first, count - first, from, got_narrow);
        table->numbers(numbers + first, ends + first, count - first, from, got_numbers);
        for (uint32_t s = first, row = from; s < count; s++) {
            for (; row < ends[s]; row++) {
                assert_int_equal(got[row], codes[s]);
                assert_int_equal(got_narrow[row], narrow[s]);
                assert_true(got_numbers[row] == numbers[s]);
            }
        }
    }
    /* every other range is put over a plain background */
    uint32_t ranges = 0;
    for (uint32_t s = 0; s < count; s += 2) {
        starts[ranges] = (uint16_t)(s ? ends[s - 1] : 0);
        stops[ranges++] = (uint16_t)ends[s];
    }
    memset(got, 0, sizeof got);
    memset(got_narrow, 0, sizeof got_narrow);
    memset(got_numbers, 0, sizeof got_numbers);
    table->put_codes(codes, starts, stops, ranges, got);
    table->put_codes16(narrow, starts, stops, ranges, got_narrow);
    table->put_numbers(numbers, starts, stops, ranges, got_numbers);
    for (uint32_t s = 0, row = 0; s < count; s++) {
        for (; row < ends[s]; row++) {
            assert_int_equal(got[row], s % 2 ? 0 : codes[s / 2]);
            assert_int_equal(got_narrow[row], s % 2 ? 0 : narrow[s / 2]);
            assert_true(got_numbers[row] == (s % 2 ? 0 : numbers[s / 2]));
        }
    }
}

static void kernels_are_exact_at_every_level(void **state)
{
    (void)state;
    static const uint32_t rows[] = {1, 2, 15, 16, 17, 500, 1007, 1008, 1009, 1023, 1024};
    static const uint32_t longest[] = {1, 2, 5, 16, 17, 40, 2000};
    for (enum cpu_level level = CPU_PLAIN; level <= cpu_level(); level++) {
        for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
            for (size_t l = 0; l < sizeof longest / sizeof *longest; l++)
                check(CPU_AT(spread_table, level), rows[r], longest[l]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kernels_are_exact_at_every_level),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
