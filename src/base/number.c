/*
 * Comparing numbers without rounding them. A text is looked at where it stands, as 0.d1 d2 d3… × 10^point with d1 not
 * 0; two such numbers of one sign are ordered by `point` and then by their digits, of which each has zeros without end.
 * A double is compared as its nearest text first: rounding never turns an order around, it only makes unequal numbers
 * equal, so every digit is needed only then.
 */
#include "base/number.h"

#include <math.h>

#define EXPONENT_MAX ((int64_t)100000000000000000)

struct decimal {
    const char *at, *end; /* at the first digit that is not 0; the end of the digits */
    int64_t point;
    int sign; /* -1, 0, 1 */
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static struct decimal decimal_of(struct str text)
{
    struct decimal d = {.at = text.data, .end = text.data + text.size, .sign = 1};
    const char *at = text.data, *end = d.end;
    if (at < end && (*at == '+' || *at == '-')) d.sign = *at++ == '-' ? -1 : 1;
    bool fraction = false, found = false;
    for (; at < end && (is_digit(*at) || *at == '.'); at++) {
        if (*at == '.') {
            fraction = true;
        } else if (found || *at != '0') {
            if (!found) d.at = at;
            found = true;
            d.point += !fraction;
        } else {
            d.point -= fraction;
        }
    }
    d.end = at;
    if (!found) return (struct decimal){.at = end, .end = end};
    if (at == end) return d;
    bool small = *++at == '-'; /* behind the e */
    int64_t exponent = 0;
    for (at += *at == '-' || *at == '+'; at < end; at++) {
        if (exponent < EXPONENT_MAX) exponent = exponent * 10 + (*at - '0');
    }
    if (exponent > EXPONENT_MAX) exponent = EXPONENT_MAX;
    d.point += small ? -exponent : exponent;
    return d;
}

static char next_digit(struct decimal *d)
{
    if (d->at < d->end && *d->at == '.') d->at++;
    return d->at < d->end ? *d->at++ : '0';
}

static int decimal_cmp(struct decimal a, struct decimal b)
{
    if (a.sign != b.sign) return a.sign < b.sign ? -1 : 1;
    if (a.sign == 0) return 0;
    if (a.point != b.point) return a.point < b.point ? -a.sign : a.sign;
    while (a.at < a.end || b.at < b.end) {
        char x = next_digit(&a), y = next_digit(&b);
        if (x != y) return x < y ? -a.sign : a.sign;
    }
    return 0;
}

int number_cmp_text(struct str a, struct str b)
{
    return decimal_cmp(decimal_of(a), decimal_of(b));
}

int number_cmp_text_int(struct str a, int64_t b)
{
    char text[NUMBER_TEXT_MAX];
    return number_cmp_text(a, str_from(text, number_format_int(b, text)));
}

int number_cmp_text_double(struct str a, double b)
{
    double nearest;
    char text[NUMBER_EXACT_MAX];
    if (isinf(b)) return b < 0 ? 1 : -1;
    if (number_parse(a, &nearest) && nearest != b) return nearest < b ? -1 : 1;
    return number_cmp_text(a, str_from(text, number_format_exact(b, text)));
}

int number_cmp_int_double(int64_t a, double b)
{
    if (b >= 9223372036854775808.0) return -1;
    if (b < -9223372036854775808.0) return 1;
    int64_t whole = (int64_t)b; /* towards zero */
    if (a != whole) return a < whole ? -1 : 1;
    double fraction = b - (double)whole;
    return fraction > 0 ? -1 : fraction < 0 ? 1 : 0;
}

size_t number_tidy(struct str text, char *out)
{
    size_t at = 0, size = 0;
    if (at < text.size && (text.data[at] == '+' || text.data[at] == '-')) {
        if (text.data[at] == '-') out[size++] = '-';
        at++;
    }
    while (at + 1 < text.size && text.data[at] == '0' && is_digit(text.data[at + 1])) at++;
    if (at < text.size && text.data[at] == '.') out[size++] = '0';
    while (at < text.size && is_digit(text.data[at])) out[size++] = text.data[at++];
    if (at < text.size && text.data[at] == '.') {
        if (at + 1 < text.size && is_digit(text.data[at + 1])) out[size++] = '.';
        at++;
    }
    while (at < text.size) out[size++] = text.data[at++];
    return size;
}
