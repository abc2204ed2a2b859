/*
 * Most ranges have few rows, how many is hard to predict, and a wrong guess costs more than many stores: so sixteen
 * rows are written for every range, whether or not it has as many; what is too much is overwritten by the ranges that
 * follow. Compiled once per CPU level (base/cpu.h).
 */
#include "store/spread.h"

#define AT_ONCE 16

#define SPREAD(type)                                                                                                   \
    for (size_t s = 0, at = from; s < count; at = ends[s++]) {                                                         \
        type value = values[s];                                                                                        \
        size_t end = ends[s];                                                                                          \
        for (bool first = true; (first || at < end) && at + AT_ONCE <= VECTOR_ROWS_MAX; first = false) {               \
            type *to = ret + at;                                                                                       \
            for (size_t k = 0; k < AT_ONCE; k++) to[k] = value;                                                        \
            at += AT_ONCE;                                                                                             \
        }                                                                                                              \
        while (at < end) ret[at++] = value;                                                                            \
    }

#define PUT()                                                                                                          \
    for (uint32_t r = 0; r < count; r++) {                                                                             \
        uint32_t row = starts[r];                                                                                      \
        do ret[row] = values[r];                                                                                       \
        while (++row < ends[r]);                                                                                       \
    }

static void codes(const uint32_t *restrict values, const uint32_t *restrict ends, uint32_t count, uint32_t from,
                  uint32_t *restrict ret)
{
    SPREAD(uint32_t)
}

static void codes16(const uint16_t *restrict values, const uint32_t *restrict ends, uint32_t count, uint32_t from,
                    uint16_t *restrict ret)
{
    SPREAD(uint16_t)
}

static void numbers(const double *restrict values, const uint32_t *restrict ends, uint32_t count, uint32_t from,
                    double *restrict ret)
{
    SPREAD(double)
}

static void put_codes(const uint32_t *restrict values, const uint16_t *restrict starts, const uint16_t *restrict ends,
                      uint32_t count, uint32_t *restrict ret)
{
    PUT()
}

static void put_codes16(const uint16_t *restrict values, const uint16_t *restrict starts, const uint16_t *restrict ends,
                        uint32_t count, uint16_t *restrict ret)
{
    PUT()
}

static void put_numbers(const double *restrict values, const uint16_t *restrict starts, const uint16_t *restrict ends,
                        uint32_t count, double *restrict ret)
{
    PUT()
}

const struct spread_table CPU_NAME(spread_table) = {
    .codes = codes,
    .codes16 = codes16,
    .numbers = numbers,
    .put_codes = put_codes,
    .put_codes16 = put_codes16,
    .put_numbers = put_numbers,
};
