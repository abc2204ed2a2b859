#pragma once
/*
 * Numbers to text and back, exactly: the shortest decimal that reads back as the same double, independent of the
 * locale. Text forms follow ECMAScript's Number::toString (plain decimal from 1e-6 up to 1e21, otherwise exponent
 * form), because that is what the clients of the API print.
 */
#include "base/str.h"

#define NUMBER_TEXT_MAX 32 /* bytes that number_format may write */

/* Returns the length. NaN, inf and -inf give "NaN", "Infinity", "-Infinity". No NUL is added. */
size_t number_format(double value, char out[NUMBER_TEXT_MAX]);
size_t number_format_int(int64_t value, char out[NUMBER_TEXT_MAX]);
/* The whole text must be a JSON-like decimal (leading '+', leading zeros, ".5" and "5." are tolerated; no blanks, hex,
 * inf or nan). False for anything else; an overflow gives +-HUGE_VAL, an underflow 0. */
bool number_parse(struct str text, double *ret_value);
/* [+-]digits that fit; false otherwise. */
bool number_parse_int(struct str text, int64_t *ret_value);
/* Digits only, within [0, max]. */
bool number_parse_unsigned(struct str text, uint64_t max, uint64_t *ret_value);
/* True when value is whole and fits int64, which *ret_value then holds exactly. -0.0 is not (its sign would be lost).
 */
bool number_is_int(double value, int64_t *ret_value);

/* The order of the numbers themselves, -1, 0 or 1, without rounding any. A text must be one that number_parse takes; its
 * exponent counts as 10^17 at most. NaN has no order. */
int number_cmp_int_double(int64_t a, double b);
int number_cmp_text(struct str a, struct str b);
int number_cmp_text_int(struct str a, int64_t b);
int number_cmp_text_double(struct str a, double b);

/* Every digit of a double: as many as its exact value has, at most 767, in exponent form. Finite ones only. */
#define NUMBER_EXACT_MAX 800
size_t number_format_exact(double value, char out[NUMBER_EXACT_MAX]);

/* The same number as JSON writes it: without '+', leading zeros and a point at either end. `text` is one that
 * number_parse takes, `out` has room for one byte more than it has; returns the length. */
size_t number_tidy(struct str text, char *out);
