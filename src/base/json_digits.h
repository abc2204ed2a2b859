#pragma once
/*
 * The numbers that nearly all numbers in JSON texts are, read in a few instructions. The text must end with a byte that
 * is no part of a number, and 8 bytes from its begin must be readable.
 */
#include "base/json.h"
#include "base/number.h"

static inline bool json_is_digit(char c)
{
    return (unsigned char)(c - '0') < 10;
}

/* The value of eight digits at once; false when they are not digits, all of them. The multiplications add up
 * neighbours: to four numbers of two digits, two of four, one of eight. */
static inline bool json_eight_digits(const char *at, uint64_t *ret_digits)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    uint64_t chars;
    memcpy(&chars, at, 8);
    uint64_t carry = chars + 0x0606060606060606; /* ':' and what follows it leave the thirties */
    if (((chars & 0xF0F0F0F0F0F0F0F0) ^ 0x3030303030303030) | ((carry & 0xF0F0F0F0F0F0F0F0) ^ 0x3030303030303030))
        return false;
    chars = (chars & 0x0F0F0F0F0F0F0F0F) * (1 + (10 << 8)) >> 8;
    chars = (chars & 0x00FF00FF00FF00FF) * (1 + (100 << 16)) >> 16;
    *ret_digits = (chars & 0x0000FFFF0000FFFF) * (1 + (UINT64_C(10000) << 32)) >> 32;
    return true;
#else
    (void)at, (void)ret_digits;
    return false;
#endif
}

/* Up to 18 digits fit an int64. A decimal of up to 15 digits in all is the quotient of two integers that a double holds
 * exactly, so one division, which rounds correctly, gives the nearest double (W. D. Clinger, "How to read floating
 * point numbers accurately", PLDI 1990). The end of the number; NULL when it is of any other form, or none. */
static inline const char *json_short_number(const char *start, struct json *ret_value)
{
    static const double powers[] = {1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
    bool negative = *start == '-';
    const char *first = start + negative, *at = first;
    uint64_t digits = 0;
    if (json_eight_digits(at, &digits)) at += 8;
    while (json_is_digit(*at)) digits = digits * 10 + (uint64_t)(*at++ - '0');
    size_t whole = (size_t)(at - first), fraction = 0;
    if (whole == 0 || whole > 18 || (*first == '0' && whole > 1)) return NULL;
    if (*at == '.') {
        const char *point = at++;
        while (json_is_digit(*at)) digits = digits * 10 + (uint64_t)(*at++ - '0');
        fraction = (size_t)(at - point - 1);
        if (fraction == 0 || whole + fraction > 15) return NULL;
    }
    if (*at == 'e' || *at == 'E') return NULL;
    int64_t integer = (int64_t)digits;
    if (fraction || (digits == 0 && negative)) {
        double number = (double)digits / powers[fraction];
        if (negative) number = -number;
        if (!number_is_int(number, &integer)) {
            *ret_value = (struct json){.type = JSON_DOUBLE, .number = number};
            return at;
        }
    } else if (negative) {
        integer = -integer;
    }
    *ret_value = (struct json){.type = JSON_INT, .integer = integer};
    return at;
}
