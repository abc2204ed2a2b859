#pragma once
/* Exact sums of finite doubles, in any order. */
#include <stdbool.h>
#include <stdint.h>

#define REF_EXACT_DIGITS 70 /* 2098 bits for a double, and room for 2^40 of the largest */

struct ref_exact {
    int64_t digits[REF_EXACT_DIGITS]; /* times 2^(32 i - 1074); not carried */
    uint64_t count;                   /* below 2^31 */
};
void ref_exact_add(struct ref_exact *sum, double number);
/* The sum divided by a number, rounded once: to nearest, ties to even. */
double ref_exact_divided(const struct ref_exact *sum, uint64_t divisor);
