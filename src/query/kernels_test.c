/* Each kernel agrees with the obvious loop, at every level that this machine has. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/hash.h"
#include "column/vector.h"
#include "query/native/kernels.h"

#include <stdlib.h>
#include <string.h>

#define PERSONS 4096u
#define WORDS   (PERSONS / 64)
#define BUCKETS 7u
#define PLACES  40u

static const uint32_t counts[] = {0, 1, 7, 63, 64, 65, 511, 512, 513, 575, 1000, 1023, 1024};

/* Bits of people, set row by row. `persons_apart` 0: all rows are of one person. */
static void bits_are_those_of_the_rows(void **state)
{
    (void)state;
    for (int level = CPU_PLAIN; level <= (int)cpu_level(); level++) {
        const struct kernels *kernels = CPU_AT(kernels, level);
        for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
            for (uint32_t persons_apart = 0; persons_apart < 5; persons_apart++) {
                uint32_t minutes[VECTOR_ROWS_MAX], persons[VECTOR_ROWS_MAX], rows[PLACES], base = 640, at = base;
                static uint64_t bits[(BUCKETS + 1) * WORDS], list[WORDS];
                static uint8_t expected[BUCKETS + 1][PERSONS];
                memset(bits, 0, sizeof bits);
                memset(list, 0, sizeof list);
                memset(expected, 0, sizeof expected);
                for (uint32_t i = 0; i < PLACES; i++) rows[i] = i * (BUCKETS + 1) / PLACES * WORDS;
                for (uint32_t i = 0; i < counts[c]; i++) {
                    uint64_t random = hash_u64(i, c * 5 + persons_apart);
                    uint32_t place = (uint32_t)(random % PLACES);
                    minutes[i] = (place + 3) * 32 + (uint32_t)(random >> 32) % 32;
                    at += persons_apart ? (uint32_t)(random >> 40) % persons_apart : 0;
                    persons[i] = at;
                    expected[rows[place] / WORDS][at - base] = 1;
                }
                struct mark_times marks = {.bits = bits,
                                           .rows = rows,
                                           .shift = 5,
                                           .first_place = 3,
                                           .place_count = PLACES,
                                           .base = base,
                                           .person_count = PERSONS};
                assert_true(kernels->mark_times(&marks, minutes, persons, counts[c]));
                assert_true(kernels->mark_persons(list, persons, counts[c], base, PERSONS));
                uint64_t all = 0;
                for (uint32_t p = 0; p < PERSONS; p++) {
                    bool any = false;
                    for (uint32_t b = 0; b <= BUCKETS; b++) {
                        assert_int_equal(bits[b * WORDS + p / 64] >> (p % 64) & 1, expected[b][p]);
                        any |= expected[b][p];
                        all += expected[b][p];
                    }
                    assert_int_equal(list[p / 64] >> (p % 64) & 1, any);
                }
                assert_int_equal(kernels->count_bits(bits, (BUCKETS + 1) * WORDS), all);
                for (uint32_t i = 0; i < counts[c]; i += 37) {
                    uint64_t one[WORDS + 10] = {0}; /* persons begin at base */
                    assert_false(kernels->any_bit(one, base + PERSONS, persons, counts[c]));
                    one[persons[i] / 64] = (uint64_t)1 << (persons[i] % 64);
                    assert_true(kernels->any_bit(one, base + PERSONS, persons, counts[c]));
                    memset(one, 0, sizeof one);
                    assert_true(kernels->any_bit(one, persons[counts[c] - 1], persons, counts[c]));
                }
            }
        }
    }
}

/* What lies outside is refused before anything is set, wherever it stands. */
static void what_lies_outside_is_refused(void **state)
{
    (void)state;
    static const uint32_t wrong_persons[] = {0, 639, 640 + PERSONS, UINT32_MAX};
    static const uint32_t wrong_minutes[] = {0, 95, (3 + PLACES) * 32, UINT32_MAX};
    for (int level = CPU_PLAIN; level <= (int)cpu_level(); level++) {
        const struct kernels *kernels = CPU_AT(kernels, level);
        for (size_t wrong = 0; wrong < 8; wrong++) {
            for (uint32_t at = 0; at < VECTOR_ROWS_MAX; at += 93) {
                uint32_t minutes[VECTOR_ROWS_MAX], persons[VECTOR_ROWS_MAX], rows[PLACES] = {0};
                static uint64_t bits[WORDS];
                for (uint32_t i = 0; i < VECTOR_ROWS_MAX; i++) {
                    minutes[i] = 3 * 32 + i;
                    persons[i] = 640 + i;
                }
                if (wrong < 4)
                    persons[at] = wrong_persons[wrong];
                else
                    minutes[at] = wrong_minutes[wrong - 4];
                struct mark_times marks = {.bits = bits,
                                           .rows = rows,
                                           .shift = 5,
                                           .first_place = 3,
                                           .place_count = PLACES,
                                           .base = 640,
                                           .person_count = PERSONS};
                assert_false(kernels->mark_times(&marks, minutes, persons, VECTOR_ROWS_MAX));
                if (wrong < 4) assert_false(kernels->mark_persons(bits, persons, VECTOR_ROWS_MAX, 640, PERSONS));
                for (size_t i = 0; i < WORDS; i++) assert_true(bits[i] == 0);
            }
        }
    }
}

static void changes_are_counted(void **state)
{
    (void)state;
    for (int level = CPU_PLAIN; level <= (int)cpu_level(); level++) {
        const struct kernels *kernels = CPU_AT(kernels, level);
        for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
            uint32_t tables[(BUCKETS + 1) * CHANGE_TABLES] = {0}, expected[BUCKETS + 1] = {0};
            uint16_t cells[VECTOR_ROWS_MAX], last = BUCKETS;
            uint8_t starts[VECTOR_ROWS_MAX];
            for (uint32_t i = 0; i < counts[c]; i++) {
                starts[i] = hash_u64(i, c + 99) % 3 == 0;
                cells[i] = (uint16_t)(hash_u64(i / (1 + c % 4), c) % (BUCKETS + 1));
                expected[cells[i]] += starts[i] || cells[i] != last;
                last = cells[i];
            }
            kernels->count_changes(cells, starts, counts[c], BUCKETS, tables, BUCKETS + 1);
            for (uint32_t b = 0; b <= BUCKETS; b++) {
                uint32_t sum = 0;
                for (uint32_t t = 0; t < CHANGE_TABLES; t++) sum += tables[t * (BUCKETS + 1) + b];
                assert_int_equal(sum, expected[b]);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bits_are_those_of_the_rows),
        cmocka_unit_test(what_lies_outside_is_refused),
        cmocka_unit_test(changes_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
