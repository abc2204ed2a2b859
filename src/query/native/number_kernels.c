#include "query/native/number_kernels.h"

#include <string.h>

typedef double pair __attribute__((vector_size(16), may_alias));

/* number * power - whole, exactly: what rounding a quotient leaves is a double again. */
static inline double remainder_of(double whole, double number, double power)
{
#ifdef __FP_FAST_FMA
    return __builtin_fma(-number, power, whole);
#else
    /* The same without a fused operation: the upper 26 bits of the number and the others, whose products with a small
     * power are exact. */
    uint64_t bits;
    double upper;
    memcpy(&bits, &number, 8);
    bits &= ~(((uint64_t)1 << 27) - 1);
    memcpy(&upper, &bits, 8);
    return (whole - upper * power) - (number - upper) * power;
#endif
}

static void take_apart(const uint32_t *restrict offsets, uint32_t count, double base, double scale, double power,
                       struct number_parts *restrict parts)
{
    if (power == 1) {
        for (uint32_t i = 0; i < count; i++) parts[i] = (struct number_parts){base + (double)offsets[i] * scale, 0};
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        double whole = base + (double)offsets[i] * scale;
        parts[i] = (struct number_parts){whole, remainder_of(whole, whole / power, power)};
    }
}

static inline void add_one(struct number_tally *tally, const struct number_parts *parts)
{
    *(pair *)&tally->sums += *(const pair *)parts;
    tally->count++;
}

static void add_parts(const struct number_parts *restrict parts, const uint32_t *restrict cells, uint32_t count,
                      struct number_tally *restrict tallies, uint32_t stride)
{
    uint32_t i = 0;
    for (; i + TALLIES <= count; i += TALLIES) {
        add_one(&tallies[cells[i]], &parts[i]);
        add_one(&tallies[stride + cells[i + 1]], &parts[i + 1]);
        add_one(&tallies[2 * stride + cells[i + 2]], &parts[i + 2]);
        add_one(&tallies[3 * stride + cells[i + 3]], &parts[i + 3]);
    }
    for (; i < count; i++) add_one(&tallies[cells[i]], &parts[i]);
}

static void codes(const uint32_t *restrict cells, const uint32_t *restrict offsets, uint32_t count, unsigned shift,
                  uint32_t base, uint32_t scale, uint32_t *restrict codes)
{
    for (uint32_t i = 0; i < count; i++) codes[i] = (cells[i] << shift) | (base + scale * offsets[i]);
}

static uint32_t max(const uint32_t *values, uint32_t count)
{
    uint32_t result = 0;
    for (uint32_t i = 0; i < count; i++) result = values[i] > result ? values[i] : result;
    return result;
}

static void steps16(const uint16_t *restrict offsets, uint32_t count, const uint16_t *restrict from, uint32_t steps,
                    uint16_t first, uint16_t *restrict codes)
{
    for (uint32_t i = 0; i < count; i++) codes[i] = first;
    for (uint32_t s = 0; s < steps; s++) {
        uint16_t least = from[s];
        for (uint32_t i = 0; i < count; i++) codes[i] = (uint16_t)(codes[i] + (offsets[i] >= least));
    }
}

static void steps32(const uint32_t *restrict offsets, uint32_t count, const uint32_t *restrict from, uint32_t steps,
                    uint16_t first, uint16_t *restrict codes)
{
    for (uint32_t i = 0; i < count; i++) codes[i] = first;
    for (uint32_t s = 0; s < steps; s++) {
        uint32_t least = from[s];
        for (uint32_t i = 0; i < count; i++) codes[i] = (uint16_t)(codes[i] + (offsets[i] >= least));
    }
}

extern const struct number_kernels CPU_NAME(number_kernels);
const struct number_kernels CPU_NAME(number_kernels) = {take_apart, add_parts, codes, max, steps16, steps32};
