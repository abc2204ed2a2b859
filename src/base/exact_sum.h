#pragma once
/*
 * The exact sum of doubles: whatever the order in which they are added and however partial sums are put together, the
 * result is the same, rounded once. For finite doubles.
 *
 * The sum is a fixed-point number. Most numbers of this world (from 2^-12 to 2^32 in size, and 0) go into one 128-bit
 * integer, a few instructions each; the others into a wide integer that spans all doubles, made when first needed.
 */
#include "base/arena.h"

#define EXACT_SUM_LIMBS 34 /* 64 bits each: from 2^-1074 to 2^1024, and 2^63 times that */

struct exact_sum {
    __int128 near; /* in units of 2^-64 */
    uint64_t near_count;
    uint64_t *wide; /* two's complement, least limb first, in units of 2^-1074; NULL: 0 */
};

#define EXACT_SUM_NEAR_MAX ((uint64_t)1 << 30)

enum status exact_sum_add_wide(struct exact_sum *sum, double number, struct arena *arena) MUST_USE;

/* LIMIT when the arena refuses. */
static inline enum status MUST_USE exact_sum_add(struct exact_sum *sum, double number, struct arena *arena)
{
    uint64_t bits;
    memcpy(&bits, &number, 8);
    unsigned exponent = (unsigned)(bits >> 52) & 2047;
    if (exponent - 1011u >= 1055u - 1011u || sum->near_count == EXACT_SUM_NEAR_MAX)
        return exact_sum_add_wide(sum, number, arena);
    uint64_t mantissa = (bits & (((uint64_t)1 << 52) - 1)) | (uint64_t)1 << 52;
    __int128 part = (__int128)((unsigned __int128)mantissa << (exponent - 1011u));
    sum->near += bits >> 63 ? -part : part;
    sum->near_count++;
    return STATUS_OK;
}
/* Adds value · 2^-shift, which is the sum of `count` numbers below 2^32 in size; shift up to EXACT_SUM_SHIFT_MAX. */
#define EXACT_SUM_SHIFT_MAX 64u
enum status exact_sum_add_many(struct exact_sum *sum, __int128 value, unsigned shift, uint64_t count,
                               struct arena *arena) MUST_USE;
enum status exact_sum_merge(struct exact_sum *sum, const struct exact_sum *other, struct arena *arena) MUST_USE;

/* The sum divided by `divisor` (1: the sum itself), rounded to the nearest double, ties to even; infinite beyond the
 * range. Zero is 0, never -0. */
double exact_sum_over(const struct exact_sum *sum, uint64_t divisor);
