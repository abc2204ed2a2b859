/*
 * Most ranges have few rows, how many is hard to predict, and a wrong guess costs more than many stores: so sixteen
 * rows are written for every range, whether or not it has as many; what is too much is overwritten by the ranges that
 * follow. Compiled once per CPU level (base/cpu.h).
 */
#include "store/spread.h"

#include <string.h>

#ifdef __AVX512BW__
#include <immintrin.h>
#endif

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

#ifdef __AVX512BW__
/* The places of eight rows' values at once: bytes that say where a range begins, multiplied by ones, are summed up. */
static void codes16(const uint16_t *restrict values, const uint32_t *restrict ends, uint32_t count, uint32_t from,
                    uint16_t *restrict ret)
{
    uint8_t starts[VECTOR_ROWS_MAX + 8];
    uint32_t end = count ? ends[count - 1] : from, place = 0;
    memset(starts, 0, sizeof starts);
    for (uint32_t s = 0; s + 1 < count; s++) starts[ends[s]] = 1;
    for (uint32_t i = from; i < end; i += 8) {
        uint64_t sums;
        memcpy(&sums, starts + i, 8);
        sums *= 0x0101010101010101; /* a row's byte: ranges that begin up to it */
        __m128i places = _mm_cvtepu8_epi16(_mm_cvtsi64_si128((long long)sums)); /* 0 to 8 */
        uint32_t left = count - place;
        __mmask16 there = left < 16 ? (__mmask16)((1u << left) - 1) : (__mmask16)0xFFFF;
        __m256i near = _mm256_maskz_loadu_epi16(there, values + place);
        __m128i found = _mm256_castsi256_si128(_mm256_permutexvar_epi16(_mm256_castsi128_si256(places), near));
        __mmask8 inside = VECTOR_ROWS_MAX - i < 8 ? (__mmask8)((1u << (VECTOR_ROWS_MAX - i)) - 1) : (__mmask8)0xFF;
        _mm_mask_storeu_epi16(ret + i, inside, found);
        place += (uint32_t)(sums >> 56);
    }
}
#else
static void codes16(const uint16_t *restrict values, const uint32_t *restrict ends, uint32_t count, uint32_t from,
                    uint16_t *restrict ret)
{
    SPREAD(uint16_t)
}
#endif

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
