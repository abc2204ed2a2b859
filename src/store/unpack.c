/*
 * The inner loops of decoding, written so that the compiler vectorises them: widths are constants after inlining, trip
 * counts are fixed, pointers do not alias. Compiled once per CPU level (base/cpu.h).
 *
 * A packed vector of width W (1..16) is W rows of 64 words of 16 bits. Lane l is the bit string made of word l of every
 * row; it holds the items l, 64 + l, 128 + l, ... one after the other, low bits first. So 64 neighbouring items sit at
 * the same bit position of 64 neighbouring words, and unpacking them is one shift, one or and one mask over whole
 * vector registers, whatever their size; and items come out in their order. Widths 17..32 use 32 lanes of 32-bit words.
 */
#include "store/unpack.h"

/* Words of a section are 8-byte aligned at most. */
typedef uint16_t __attribute__((aligned(1), may_alias)) word16;
typedef uint32_t __attribute__((aligned(1), may_alias)) word32;

typedef uint32_t __attribute__((vector_size(32), aligned(4), may_alias)) eight32;

#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* The items [64 row, 64 row + 64). */
ALWAYS_INLINE void row16(const word16 *restrict in, uint16_t *restrict out, unsigned width, unsigned row)
{
    unsigned word = row * width / 16, shift = row * width % 16, mask = (1u << width) - 1;
    in += 64 * word;
    out += 64 * row;
    if (shift + width <= 16) {
        for (unsigned l = 0; l < 64; l++) out[l] = (uint16_t)(in[l] >> shift & mask);
    } else {
        for (unsigned l = 0; l < 64; l++) out[l] = (uint16_t)((in[l] >> shift | in[l + 64] << (16 - shift)) & mask);
    }
}

ALWAYS_INLINE void row32(const word32 *restrict in, uint32_t *restrict out, unsigned width, unsigned row)
{
    unsigned word = row * width / 32, shift = row * width % 32;
    uint32_t mask = width == 32 ? UINT32_MAX : ((uint32_t)1 << width) - 1;
    in += 32 * word;
    out += 32 * row;
    if (shift + width <= 32) {
        for (unsigned l = 0; l < 32; l++) out[l] = in[l] >> shift & mask;
    } else {
        for (unsigned l = 0; l < 32; l++) out[l] = (in[l] >> shift | in[l + 32] << (32 - shift)) & mask;
    }
}

#define ROWS4(row, in, out, width, at)                                                                                 \
    row(in, out, width, at);                                                                                           \
    row(in, out, width, (at) + 1);                                                                                     \
    row(in, out, width, (at) + 2);                                                                                     \
    row(in, out, width, (at) + 3)
#define ROWS16(row, in, out, width, at)                                                                                \
    ROWS4(row, in, out, width, at);                                                                                    \
    ROWS4(row, in, out, width, (at) + 4);                                                                              \
    ROWS4(row, in, out, width, (at) + 8);                                                                              \
    ROWS4(row, in, out, width, (at) + 12)

#define UNPACK16(width)                                                                                                \
    static void unpack_##width(const unsigned char *packed, uint16_t *restrict out)                                    \
    {                                                                                                                  \
        const word16 *in = (const void *)packed;                                                                       \
        ROWS16(row16, in, out, width, 0);                                                                              \
    }
#define UNPACK32(width)                                                                                                \
    static void unpack_##width(const unsigned char *packed, uint32_t *restrict out)                                    \
    {                                                                                                                  \
        const word32 *in = (const void *)packed;                                                                       \
        ROWS16(row32, in, out, width, 0);                                                                              \
        ROWS16(row32, in, out, width, 16);                                                                             \
    }
UNPACK16(1)
UNPACK16(2)
UNPACK16(3)
UNPACK16(4)
UNPACK16(5)
UNPACK16(6)
UNPACK16(7)
UNPACK16(8)
UNPACK16(9)
UNPACK16(10)
UNPACK16(11)
UNPACK16(12)
UNPACK16(13)
UNPACK16(14)
UNPACK16(15)
UNPACK16(16)
UNPACK32(17)
UNPACK32(18)
UNPACK32(19)
UNPACK32(20)
UNPACK32(21)
UNPACK32(22)
UNPACK32(23)
UNPACK32(24)
UNPACK32(25)
UNPACK32(26)
UNPACK32(27)
UNPACK32(28)
UNPACK32(29)
UNPACK32(30)
UNPACK32(31)
UNPACK32(32)

static void zero16(const unsigned char *packed, uint16_t *restrict out)
{
    (void)packed;
    for (unsigned i = 0; i < UNPACK_ITEMS; i++) out[i] = 0;
}

static void unpack16(const unsigned char *packed, unsigned width, uint16_t *out)
{
    static void (*const by_width[])(const unsigned char *packed, uint16_t *restrict out) = {
        zero16,   unpack_1,  unpack_2,  unpack_3,  unpack_4,  unpack_5,  unpack_6,  unpack_7, unpack_8,
        unpack_9, unpack_10, unpack_11, unpack_12, unpack_13, unpack_14, unpack_15, unpack_16};
    by_width[width](packed, out);
}

static void unpack32(const unsigned char *packed, unsigned width, uint32_t *restrict out)
{
    static void (*const by_width[])(const unsigned char *packed, uint32_t *restrict out) = {
        unpack_17, unpack_18, unpack_19, unpack_20, unpack_21, unpack_22, unpack_23, unpack_24,
        unpack_25, unpack_26, unpack_27, unpack_28, unpack_29, unpack_30, unpack_31, unpack_32};
    if (width > 16) {
        by_width[width - 17](packed, out);
        return;
    }
    uint16_t narrow[UNPACK_ITEMS];
    unpack16(packed, width, narrow);
    for (unsigned i = 0; i < UNPACK_ITEMS; i++) out[i] = narrow[i];
}

static uint16_t max16(const uint16_t *values, uint32_t count)
{
    uint16_t max = 0;
    for (uint32_t i = 0; i < count; i++) max = values[i] > max ? values[i] : max;
    return max;
}

static uint32_t max32(const uint32_t *values, uint32_t count)
{
    uint32_t max = 0;
    for (uint32_t i = 0; i < count; i++) max = values[i] > max ? values[i] : max;
    return max;
}

static void add16(uint16_t *values, uint32_t count, uint16_t base)
{
    for (uint32_t i = 0; i < count; i++) values[i] = (uint16_t)(values[i] + base);
}

static void add32(uint32_t *values, uint32_t count, uint32_t base)
{
    for (uint32_t i = 0; i < count; i++) values[i] += base;
}

/* (base + offset * scale) / divisor; the caller has seen to it that the dividend is exact. */
static void doubles16(const uint16_t *restrict offsets, uint32_t count, double base, double scale, double divisor,
                      double *restrict out)
{
    if (divisor == 1)
        for (uint32_t i = 0; i < count; i++) out[i] = base + (double)offsets[i] * scale;
    else
        for (uint32_t i = 0; i < count; i++) out[i] = (base + (double)offsets[i] * scale) / divisor;
}

static void doubles32(const uint32_t *restrict offsets, uint32_t count, double base, double scale, double divisor,
                      double *restrict out)
{
    if (divisor == 1)
        for (uint32_t i = 0; i < count; i++) out[i] = base + (double)offsets[i] * scale;
    else
        for (uint32_t i = 0; i < count; i++) out[i] = (base + (double)offsets[i] * scale) / divisor;
}

/* Eight copies at once; what is too much is overwritten by those of the next value. */
static uint32_t spread(const uint32_t *restrict values, const uint32_t *restrict lengths, uint32_t count, uint32_t rows,
                       uint32_t done, uint32_t *restrict out)
{
    size_t limit = rows < UNPACK_ITEMS - 7 ? rows : UNPACK_ITEMS - 7, at = done, i = 0;
    for (; i < count && at < limit; i++) {
        size_t end = at + lengths[i];
        eight32 copies = (eight32){0} + values[i];
        *(eight32 *)(out + at) = copies;
        if (end - at > 8) {
            size_t wide = end < limit ? end : limit;
            for (at += 8; at < wide; at += 8) *(eight32 *)(out + at) = copies;
            for (; at < end && at < rows; at++) out[at] = values[i];
        }
        at = end;
    }
    for (; i < count && at < rows; i++) {
        size_t end = lengths[i] < rows - at ? at + lengths[i] : rows;
        while (at < end) out[at++] = values[i];
    }
    return at < rows ? (uint32_t)at : rows;
}

/* (offset * scale + base); 32 bits suffice, the caller has checked the greatest. */
static void ints16(const uint16_t *restrict offsets, uint32_t count, uint32_t base, uint32_t scale,
                   uint32_t *restrict out)
{
    if (scale == 1)
        for (uint32_t i = 0; i < count; i++) out[i] = base + offsets[i];
    else
        for (uint32_t i = 0; i < count; i++) out[i] = base + scale * offsets[i];
}

static void ints32(uint32_t *values, uint32_t count, uint32_t base, uint32_t scale)
{
    if (scale == 1)
        for (uint32_t i = 0; i < count; i++) values[i] += base;
    else
        for (uint32_t i = 0; i < count; i++) values[i] = base + scale * values[i];
}

static uint32_t outside32(const uint32_t *values, uint32_t count, uint32_t min, uint32_t max)
{
    uint32_t outside = 0;
    for (uint32_t i = 0; i < count; i++) outside |= values[i] - min > max - min;
    return outside;
}

const struct unpack_table CPU_NAME(unpack_table) = {
    .u16 = unpack16,
    .u32 = unpack32,
    .max16 = max16,
    .max32 = max32,
    .add16 = add16,
    .add32 = add32,
    .doubles16 = doubles16,
    .doubles32 = doubles32,
    .spread = spread,
    .ints16 = ints16,
    .ints32 = ints32,
    .outside32 = outside32,
};
