/*
 * Sums of doubles without rounding. A double is a whole number times 2^-1074, so a sum is one very long whole number:
 * digits of 32 bits, lowest first. Rounding to a double happens once, at the end.
 */
#include "reference/exact.h"

#include <math.h>

void ref_exact_add(struct ref_exact *sum, double number)
{
    int exponent;
    double fraction = frexp(number, &exponent); /* number = fraction × 2^exponent */
    int64_t whole = (int64_t)ldexp(fraction, 53);
    int at = exponent - 53 + 1074; /* number = whole × 2^(at - 1074) */
    uint64_t size = whole < 0 ? (uint64_t)-whole : (uint64_t)whole;
    if (at < 0) { /* a subnormal: its low bits are 0 */
        size >>= -at;
        at = 0;
    }
    unsigned __int128 placed = (unsigned __int128)size << (at % 32);
    for (int i = at / 32; placed; i++, placed >>= 32)
        sum->digits[i] += (int64_t)(uint32_t)placed * (whole < 0 ? -1 : 1);
    sum->count++;
}

/* The digits of |sum|, each below 2^32, moved up by four places; whether the sum is negative. */
static bool magnitude(const struct ref_exact *sum, uint32_t digits[REF_EXACT_DIGITS + 4])
{
    int64_t signed_digits[REF_EXACT_DIGITS], carry = 0;
    for (int i = 0; i < REF_EXACT_DIGITS; i++) {
        int64_t digit = sum->digits[i] + carry;
        signed_digits[i] = (int64_t)(uint32_t)digit;
        carry = (digit - signed_digits[i]) / ((int64_t)1 << 32);
    }
    bool negative = carry < 0;
    carry = 0;
    for (int i = 0; i < 4; i++) digits[i] = 0;
    for (int i = 0; i < REF_EXACT_DIGITS; i++) {
        int64_t digit = negative ? -signed_digits[i] + carry : signed_digits[i];
        digits[i + 4] = (uint32_t)digit;
        carry = digit < 0 ? -1 : 0;
    }
    return negative;
}

double ref_exact_divided(const struct ref_exact *sum, uint64_t divisor)
{
    enum { ALL = REF_EXACT_DIGITS + 4, LOWEST = 128 /* the bit that is 2^-1074 */ };
    uint32_t digits[ALL];
    bool negative = magnitude(sum, digits);
    unsigned __int128 rest = 0;
    for (int i = ALL - 1; i >= 0; i--) {
        rest = rest << 32 | digits[i];
        digits[i] = (uint32_t)(rest / divisor);
        rest %= divisor;
    }
#define BIT(n) (digits[(n) / 32] >> ((n) % 32) & 1)
    int top = ALL * 32 - 1;
    while (top > 0 && !BIT(top)) top--;
    int last = top - 52 > LOWEST ? top - 52 : LOWEST; /* the lowest bit that a double keeps */
    uint64_t kept = 0;
    for (int bit = top; bit >= last; bit--) kept = kept << 1 | BIT(bit);
    bool half = BIT(last - 1), more = rest != 0;
    for (int bit = last - 2; bit >= 0; bit--) more |= BIT(bit);
    if (half && (more || kept & 1)) kept++;
    double number = ldexp((double)kept, last - LOWEST - 1074);
    return negative && kept ? -number : number;
}
