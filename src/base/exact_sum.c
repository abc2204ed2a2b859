#include "base/exact_sum.h"

#include <math.h>

#define UNIT_BITS   1074 /* bit 0 of the wide integer is 2^-1074 */
#define NEAR_SHIFT  (UNIT_BITS - 64)
#define TOTAL_LIMBS (EXACT_SUM_LIMBS + 1) /* and 64 bits behind the point, for quotients */

/* Adds value · 2^position, or takes it away. The wide integer has room for 2^63 doubles of any size. */
static void add_at(uint64_t *limbs, unsigned position, unsigned __int128 value, bool negative)
{
    size_t at = position / 64;
    unsigned shift = position % 64;
    /* up to 128 + 63 bits: three limbs */
    uint64_t parts[3] = {(uint64_t)(value << shift), (uint64_t)((value << shift) >> 64),
                         shift ? (uint64_t)(value >> (128 - shift)) : 0};
    uint64_t carry = 0;
    for (size_t i = 0; at + i < EXACT_SUM_LIMBS; i++) {
        uint64_t part = i < 3 ? parts[i] : 0, old = limbs[at + i];
        if (i >= 3 && !carry) break;
        if (negative) {
            limbs[at + i] = old - part - carry;
            carry = old < part || (carry && old == part);
        } else {
            limbs[at + i] = old + part + carry;
            carry = limbs[at + i] < old || (carry && limbs[at + i] == old);
        }
    }
}

static void add_signed(uint64_t *limbs, unsigned position, __int128 value)
{
    unsigned __int128 size = value < 0 ? -(unsigned __int128)value : (unsigned __int128)value;
    add_at(limbs, position, size, value < 0);
}

static void add_near(uint64_t *limbs, __int128 near)
{
    add_signed(limbs, NEAR_SHIFT, near);
}

static enum status need_wide(struct exact_sum *sum, struct arena *arena)
{
    if (!sum->wide) sum->wide = arena_new_array(arena, uint64_t, EXACT_SUM_LIMBS);
    return sum->wide ? STATUS_OK : STATUS_LIMIT;
}

enum status exact_sum_add_wide(struct exact_sum *sum, double number, struct arena *arena)
{
    uint64_t bits;
    memcpy(&bits, &number, 8);
    unsigned exponent = (unsigned)(bits >> 52) & 2047;
    uint64_t mantissa = bits & (((uint64_t)1 << 52) - 1);
    if (exponent == 0 && mantissa == 0) return STATUS_OK;
    TRY(need_wide(sum, arena));
    if (sum->near_count == EXACT_SUM_NEAR_MAX) {
        add_near(sum->wide, sum->near);
        sum->near = 0;
        sum->near_count = 0;
    }
    if (exponent) mantissa |= (uint64_t)1 << 52;
    add_at(sum->wide, exponent ? exponent - 1 : 0, mantissa, bits >> 63);
    return STATUS_OK;
}

enum status exact_sum_add_many(struct exact_sum *sum, __int128 value, unsigned shift, uint64_t count,
                               struct arena *arena)
{
    if (count <= EXACT_SUM_NEAR_MAX - sum->near_count) {
        sum->near += (__int128)((unsigned __int128)value << (EXACT_SUM_SHIFT_MAX - shift));
        sum->near_count += count;
        return STATUS_OK;
    }
    TRY(need_wide(sum, arena));
    add_signed(sum->wide, UNIT_BITS - shift, value);
    return STATUS_OK;
}

enum status exact_sum_merge(struct exact_sum *sum, const struct exact_sum *other, struct arena *arena)
{
    if (sum->near_count + other->near_count > EXACT_SUM_NEAR_MAX || other->wide) TRY(need_wide(sum, arena));
    if (sum->near_count + other->near_count > EXACT_SUM_NEAR_MAX) {
        add_near(sum->wide, sum->near);
        add_near(sum->wide, other->near);
        sum->near = 0;
        sum->near_count = 0;
    } else {
        sum->near += other->near;
        sum->near_count += other->near_count;
    }
    uint64_t carry = 0;
    for (size_t i = 0; other->wide && i < EXACT_SUM_LIMBS; i++) {
        unsigned __int128 limb = (unsigned __int128)sum->wide[i] + other->wide[i] + carry;
        sum->wide[i] = (uint64_t)limb;
        carry = (uint64_t)(limb >> 64);
    }
    return STATUS_OK;
}

static bool bit(const uint64_t *limbs, unsigned index)
{
    return limbs[index / 64] >> (index % 64) & 1;
}

double exact_sum_over(const struct exact_sum *sum, uint64_t divisor)
{
    uint64_t total[TOTAL_LIMBS] = {0};
    uint64_t *whole = total + 1;
    if (sum->wide) memcpy(whole, sum->wide, EXACT_SUM_LIMBS * sizeof *whole);
    add_near(whole, sum->near);
    bool negative = whole[EXACT_SUM_LIMBS - 1] >> 63, rest = false;
    uint64_t carry = 1;
    for (size_t i = 0; negative && i < EXACT_SUM_LIMBS; i++) {
        whole[i] = ~whole[i] + carry;
        carry = carry && whole[i] == 0;
    }
    if (divisor > 1) {
        unsigned __int128 remainder = 0;
        for (size_t i = TOTAL_LIMBS; i-- > 0;) {
            remainder = remainder << 64 | total[i];
            total[i] = (uint64_t)(remainder / divisor);
            remainder %= divisor;
        }
        rest = remainder != 0;
    }
    size_t top_limb = TOTAL_LIMBS;
    while (top_limb > 0 && total[top_limb - 1] == 0) top_limb--;
    if (top_limb == 0) return 0;
    unsigned top = (unsigned)(top_limb - 1) * 64 + 63 - (unsigned)__builtin_clzll(total[top_limb - 1]);
    /* The least bit that the double has: 52 below the highest, but not below 2^-1074, which is bit 64. */
    unsigned least = top < 64 + 52 ? 64 : top - 52;
    uint64_t mantissa = 0;
    for (unsigned i = top + 1; i-- > least;) mantissa = mantissa << 1 | bit(total, i);
    for (unsigned i = 0; i + 1 < least && !rest; i++) rest = bit(total, i);
    if (bit(total, least - 1) && (rest || mantissa & 1)) mantissa++;
    double number = ldexp((double)mantissa, (int)least - 64 - UNIT_BITS);
    return negative ? -number : number;
}
