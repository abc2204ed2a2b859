/* The kernels agree with the obvious loops, at every CPU level and for counts that are no multiple of any register; and
 * the ranges of integers that a comparison comes to are those that compare so. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/hash.h"
#include "query/native/narrow.h"
#include "query/native/pair_kernels.h"

#include <math.h>

static const uint32_t counts[] = {0, 1, 2, 3, 31, 32, 33, 63, 64, 65, 100, 127, 128, 129, 500, 1000, 1023, 1024};
#define COUNTS (sizeof counts / sizeof *counts)

static struct rows {
    uint16_t narrow[VECTOR_ROWS_MAX + LOOKUP_PAD], other[VECTOR_ROWS_MAX], out[VECTOR_ROWS_MAX];
    uint32_t wide[VECTOR_ROWS_MAX];
    uint8_t keep[VECTOR_ROWS_MAX];
    uint64_t mask[MASK_WORDS], before[MASK_WORDS];
} rows;

static void fill(uint64_t seed, uint32_t count, uint32_t below)
{
    memset(&rows, 0xEE, sizeof rows); /* what lies behind the count must not matter */
    memset(rows.mask, 0, sizeof rows.mask);
    for (uint32_t i = 0; i < count; i++) {
        rows.narrow[i] = (uint16_t)(hash_u64(i, seed) % below);
        rows.other[i] = (uint16_t)(hash_u64(i, seed + 1) % below);
        rows.wide[i] = (uint32_t)hash_u64(i, seed + 2) % (below * 31);
        rows.keep[i] = hash_u64(i, seed + 3) % 3 == 0;
        if (hash_u64(i, seed + 4) % 4) rows.mask[i / 64] |= (uint64_t)1 << (i % 64);
    }
    memcpy(rows.before, rows.mask, sizeof rows.mask);
}

static bool had(uint32_t i)
{
    return rows.before[i / 64] >> (i % 64) & 1;
}

static void check_mask(uint32_t i, bool kept)
{
    assert_int_equal(rows.mask[i / 64] >> (i % 64) & 1, had(i) && kept);
}

static void masks_agree(void **state)
{
    (void)state;
    for (int level = CPU_PLAIN; level <= (int)cpu_level(); level++) {
        const struct mask_kernels *k = CPU_AT(mask_kernels, level);
        for (uint64_t c = 0; c < COUNTS * 3; c++) {
            uint32_t count = counts[c % COUNTS], below = c < COUNTS ? 65536 : c < COUNTS * 2 ? 300 : 5;
            uint32_t low = (uint32_t)hash_u64(c, 7) % below, span = (uint32_t)hash_u64(c, 8) % below;
            fill(c, count, below);
            k->between16(rows.narrow, count, (uint16_t)low, (uint16_t)span, rows.mask);
            for (uint32_t i = 0; i < VECTOR_ROWS_MAX; i++)
                check_mask(i, (uint16_t)(rows.narrow[i] - low) <= (uint16_t)span);
            fill(c, count, below);
            k->between32(rows.wide, count, low * 30, span * 30, rows.mask);
            for (uint32_t i = 0; i < VECTOR_ROWS_MAX; i++) check_mask(i, rows.wide[i] - low * 30 <= span * 30);
            fill(c, count, below);
            k->below(rows.narrow, count, (uint16_t)low, rows.mask);
            for (uint32_t i = 0; i < VECTOR_ROWS_MAX; i++) check_mask(i, rows.narrow[i] < low);
            fill(c, count, below);
            k->keep_rows(rows.keep, count, rows.mask);
            for (uint32_t i = 0; i < VECTOR_ROWS_MAX; i++) check_mask(i, rows.keep[i]);
            uint8_t back[VECTOR_ROWS_MAX];
            k->to_rows(rows.mask, back);
            for (uint32_t i = 0; i < VECTOR_ROWS_MAX; i++) assert_int_equal(back[i], rows.mask[i / 64] >> (i % 64) & 1);
            static uint8_t table[65536];
            for (uint32_t i = 0; i < below; i++) table[i] = hash_u64(i, c) & 1;
            fill(c, count, below);
            k->keep_codes(rows.narrow, count, table, rows.mask);
            for (uint32_t i = 0; i < VECTOR_ROWS_MAX; i++) check_mask(i, i < count && table[rows.narrow[i]]);
        }
    }
}

static void cells_agree(void **state)
{
    (void)state;
    static uint16_t table[40000 + LOOKUP_PAD];
    for (uint32_t i = 0; i < 40000; i++) table[i] = (uint16_t)hash_u64(i, 1);
    for (int level = CPU_PLAIN; level <= (int)cpu_level(); level++) {
        const struct mask_kernels *k = CPU_AT(mask_kernels, level);
        static const uint32_t sizes[] = {1, 2, 32, 33, 64, 65, 127, 128, 129, 192, 193, 255, 256, 257, 1000, 40000};
        for (uint64_t c = 0; c < COUNTS * (sizeof sizes / sizeof *sizes); c++) {
            uint32_t count = counts[c % COUNTS], size = sizes[c / COUNTS];
            fill(c, count, size);
            k->lookup(rows.narrow, count, table, size, rows.out);
            for (uint32_t i = 0; i < count; i++) assert_int_equal(rows.out[i], table[rows.narrow[i]]);
            k->lookup(rows.narrow, count, table, size, rows.narrow); /* in place */
            for (uint32_t i = 0; i < count; i++) assert_int_equal(rows.out[i], rows.narrow[i]);
        }
        for (uint64_t c = 0; c < COUNTS; c++) {
            uint32_t count = counts[c];
            uint16_t none = (uint16_t)(hash_u64(c, 2) % 32000);
            fill(c, count, 32768);
            k->add(rows.narrow, rows.other, count, none, rows.out);
            for (uint32_t i = 0; i < count; i++) {
                uint32_t sum = (uint32_t)rows.narrow[i] + rows.other[i];
                assert_int_equal(rows.out[i], sum < none ? sum : none);
            }
            fill(c, count, 30000);
            memcpy(rows.out, rows.narrow, sizeof rows.out);
            k->hide(rows.mask, count, none, rows.out);
            for (uint32_t i = 0; i < count; i++) assert_int_equal(rows.out[i], had(i) ? rows.narrow[i] : none);
        }
    }
}

static void units_agree(void **state)
{
    (void)state;
    static const uint32_t units[] = {1, 2, 3, 7, 15, 30, 60, 180, 1440, 10080, 44640, 525600, 1 << 21};
    for (int level = CPU_PLAIN; level <= (int)cpu_level(); level++) {
        const struct mask_kernels *k = CPU_AT(mask_kernels, level);
        for (uint64_t c = 0; c < 13 * COUNTS; c++) {
            uint32_t count = counts[c % COUNTS], unit = units[c / COUNTS], most = (1 << 22) - 1;
            fill(c, count, 65536);
            /* around the edges of units, up to the greatest that may come */
            for (uint32_t i = 0; i < count; i++) {
                uint64_t edge = hash_u64(i, c) % (most / unit + 1) * unit + hash_u64(i, 5) % 3;
                uint64_t number = edge ? edge - 1 : 0;
                if (number / unit > UINT16_MAX) number %= unit;
                rows.wide[i] = number < most ? (uint32_t)number : most;
            }
            k->units32(rows.wide, count, 1, 0, 1.0f / (float)unit, rows.out);
            for (uint32_t i = 0; i < count; i++) assert_int_equal(rows.out[i], rows.wide[i] / unit);
            uint32_t scale = unit > 100 ? 5 : 1, add = unit * 3 - 1;
            for (uint32_t i = 0; i < count; i++) rows.narrow[i] %= 60000;
            if (add > (1 << 21)) add = 1 << 21;
            k->units16(rows.narrow, count, scale, add, 1.0f / (float)unit, rows.out);
            for (uint32_t i = 0; i < count; i++)
                assert_int_equal(rows.out[i], (uint16_t)((rows.narrow[i] * scale + add) / unit));
        }
    }
}

static void counts_agree(void **state)
{
    (void)state;
    for (int level = CPU_PLAIN; level <= (int)cpu_level(); level++) {
        const struct mask_kernels *k = CPU_AT(mask_kernels, level);
        for (uint64_t c = 0; c < COUNTS; c++) {
            uint32_t stride = c % 2 ? 40 : 700, all[700] = {0}, kept[700] = {0};
            uint16_t tables[COUNT_TABLES * 700] = {0};
            fill(c, counts[c], stride);
            for (uint32_t i = 0; i < counts[c]; i++) {
                all[rows.narrow[i]]++;
                kept[rows.narrow[i]] += had(i);
            }
            k->count(rows.narrow, counts[c], tables, stride);
            for (uint32_t i = 0; i < stride; i++)
                assert_int_equal(tables[i] + tables[stride + i] + tables[2 * stride + i] + tables[3 * stride + i],
                                 all[i]);
            k->count_kept(rows.narrow, rows.mask, tables, stride);
            for (uint32_t i = 0; i < stride; i++)
                assert_int_equal(tables[i] + tables[stride + i] + tables[2 * stride + i] + tables[3 * stride + i],
                                 all[i] + kept[i]);
        }
    }
}

/* Persons in segments of all lengths, ascending. */
static uint32_t make_segments(uint64_t seed, uint32_t count, uint32_t length, uint32_t *persons, uint32_t *ends)
{
    uint32_t segments = 0;
    for (uint32_t i = 0, person = 1; i < count; segments++) {
        uint32_t some = 1 + (uint32_t)(hash_u64(segments, seed) % length);
        person += 1 + (uint32_t)(hash_u64(segments, seed + 1) % 7);
        i = some < count - i ? i + some : count;
        persons[segments] = person;
        ends[segments] = i;
    }
    return segments;
}

static void expanding_agrees(void **state)
{
    (void)state;
    static const uint32_t lengths[] = {1, 2, 5, 20, 400};
    for (int level = CPU_PLAIN; level <= (int)cpu_level(); level++) {
        const struct pair_kernels *k = CPU_AT(pair_kernels, level);
        for (uint64_t c = 0; c < COUNTS * 5; c++) {
            uint32_t segments[VECTOR_ROWS_MAX + EXPAND_PAD] = {0}, ends[VECTOR_ROWS_MAX], count = counts[c % COUNTS];
            uint32_t persons[VECTOR_ROWS_MAX + EXPAND_PAD], s = 0;
            uint32_t segment_count = make_segments(c, count, lengths[c / COUNTS], segments, ends);
            k->expand(segments, ends, segment_count, persons);
            for (uint32_t i = 0; i < count; i++) {
                s += i == ends[s];
                assert_int_equal(persons[i], segments[s]);
            }
        }
    }
}

#define CELLS   90
#define PERSONS (PAIR_BLOCK * 20)

/* What pairs and bits say of the rows in `only`, beside a table of who was seen where. */
static void check_people(const struct pair_kernels *k, const uint32_t *persons, uint32_t count, const uint64_t *only)
{
    static uint8_t seen[CELLS][PERSONS];
    static uint64_t bits[(size_t)PERSONS / 64 * CELLS];
    uint32_t all[CELLS] = {0}, users[CELLS] = {0};
    uint64_t pairs[CELLS] = {0}, taken[CELLS] = {0};
    memset(seen, 0, sizeof seen);
    for (uint32_t i = 0; i < count; i++) {
        if (only && !(only[i / 64] >> (i % 64) & 1)) continue;
        all[rows.narrow[i]]++;
        users[rows.narrow[i]] += !seen[rows.narrow[i]][persons[i]];
        seen[rows.narrow[i]][persons[i]] = 1;
    }
    for (int again = 0; again < 2; again++) { /* the second time nothing is new */
        if (only) {
            k->pairs_kept(rows.narrow, persons, only, pairs);
            k->mark_kept(rows.narrow, persons, only, 1, CELLS, bits);
        } else {
            k->pairs(rows.narrow, persons, count, pairs);
            k->mark(rows.narrow, persons, count, 1, CELLS, bits);
        }
        for (uint32_t cell = 0; cell < CELLS && !again; cell++) {
            assert_int_equal(PAIR_ROWS(pairs[cell]), all[cell]);
            assert_int_equal(PAIR_USERS(pairs[cell]), users[cell]);
        }
    }
    k->take(bits, PERSONS / PAIR_BLOCK, CELLS, taken);
    for (uint32_t cell = 0; cell < CELLS; cell++) assert_int_equal(taken[cell], users[cell]);
    k->take(bits, PERSONS / PAIR_BLOCK, CELLS, taken); /* they are cleared */
    for (uint32_t cell = 0; cell < CELLS; cell++) assert_int_equal(taken[cell], users[cell]);
}

static void changes_agree(void **state)
{
    (void)state;
    for (int level = CPU_PLAIN; level <= (int)cpu_level(); level++) {
        const struct pair_kernels *k = CPU_AT(pair_kernels, level);
        for (uint64_t c = 0; c < COUNTS * 3; c++) {
            uint32_t segments[VECTOR_ROWS_MAX + EXPAND_PAD] = {0}, ends[VECTOR_ROWS_MAX], count = counts[c % COUNTS];
            uint32_t persons[VECTOR_ROWS_MAX + EXPAND_PAD] = {0};
            k->expand(segments, ends, make_segments(c, count, 20, segments, ends), persons);
            fill(c, count, c < COUNTS ? 1 : 3);
            k->changes(rows.narrow, persons, rows.mask);
            for (uint32_t i = 0; i < VECTOR_ROWS_MAX; i++)
                check_mask(i, i == 0 || rows.narrow[i] != rows.narrow[i - 1] || persons[i] != persons[i - 1]);
        }
    }
}

static void people_agree(void **state)
{
    (void)state;
    for (int level = CPU_PLAIN; level <= (int)cpu_level(); level++) {
        const struct pair_kernels *k = CPU_AT(pair_kernels, level);
        for (uint64_t c = 0; c < COUNTS * 2; c++) {
            uint32_t segments[VECTOR_ROWS_MAX + EXPAND_PAD] = {0}, ends[VECTOR_ROWS_MAX], count = counts[c % COUNTS];
            uint32_t persons[VECTOR_ROWS_MAX + EXPAND_PAD];
            uint32_t segment_count = make_segments(c, count, c < COUNTS ? 5 : 100, segments, ends);
            k->expand(segments, ends, segment_count, persons);
            fill(c, count, c % 3 ? CELLS : 2);
            check_people(k, persons, count, NULL);
            check_people(k, persons, count, rows.mask);
        }
    }
}

static bool compares(enum expr_comparison comparison, double number, double bound)
{
    switch (comparison) {
    case EXPR_LESS: return number < bound;
    case EXPR_LESS_EQUAL: return number <= bound;
    case EXPR_GREATER: return number > bound;
    case EXPR_GREATER_EQUAL: return number >= bound;
    default: return number == bound;
    }
}

static void comparisons_are_ranges_of_integers(void **state)
{
    (void)state;
    static const double bounds[] = {0,      -0.0,   0.01,   0.07,    0.1,   1.1,    50,       49.999999999999993,
                                    4.35,   -4.35,  1e15,   1.5e15,  1e300, -1e300, INFINITY, -INFINITY,
                                    0x1p53, 0x1p62, 0x1p63, -0x1p63, NAN};
    static const double divisors[] = {1, 10, 100, 1e6, 1e22};
    for (size_t b = 0; b < sizeof bounds / sizeof *bounds; b++) {
        for (size_t d = 0; d < 5; d++) {
            for (int comparison = EXPR_LESS; comparison <= EXPR_EQUAL; comparison++) {
                struct expr_term term = {.comparison = (enum expr_comparison)comparison, .bound = bounds[b]};
                struct narrow_range range = narrow_range_of(&term, divisors[d]);
                double near = bounds[b] * divisors[d];
                int64_t middle = near > 9.2e18 ? INT64_MAX - 3000 : near > -9.2e18 ? (int64_t)near : INT64_MIN + 3000;
                for (int64_t i = -3000; i <= 3000; i++) {
                    int64_t integers[] = {middle + (i > 0 ? -i : i), i, (int64_t)hash_u64((uint64_t)i, 3)};
                    if (middle < INT64_MAX - 3000) integers[0] = middle > INT64_MIN + 3000 ? middle + i : middle;
                    for (size_t n = 0; n < 3; n++) {
                        bool in = !range.empty && integers[n] >= range.low && integers[n] <= range.high;
                        double number = (double)integers[n] / divisors[d];
                        assert_int_equal(in, compares(term.comparison, number, bounds[b]));
                    }
                }
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(masks_agree),      cmocka_unit_test(cells_agree),
        cmocka_unit_test(units_agree),      cmocka_unit_test(counts_agree),
        cmocka_unit_test(expanding_agrees), cmocka_unit_test(changes_agree),
        cmocka_unit_test(people_agree),     cmocka_unit_test(comparisons_are_ranges_of_integers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
