/* Numbers as strings of decimal digits, however long: what is exact for people is exact here. */
#include "reference/internal.h"

#include "base/number.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

struct digits {
    bool negative;
    char *text; /* without zeros at either end; empty for 0 */
    size_t count;
    int64_t exponent; /* of ten, of the last digit */
};

static struct digits digits_of_text(struct arena *arena, struct str text)
{
    struct digits d = {.text = ref_alloc(arena, text.size)};
    size_t i = 0;
    int64_t exponent = 0;
    bool fraction = false, small = false;
    if (i < text.size && (text.data[i] == '+' || text.data[i] == '-')) d.negative = text.data[i++] == '-';
    for (; i < text.size && text.data[i] != 'e' && text.data[i] != 'E'; i++) {
        if (text.data[i] == '.') {
            fraction = true;
            continue;
        }
        d.exponent -= fraction;
        if (d.count || text.data[i] != '0') d.text[d.count++] = text.data[i];
    }
    for (i++; i < text.size; i++) {
        if (text.data[i] == '-') small = true;
        if (text.data[i] == '-' || text.data[i] == '+') continue;
        exponent = exponent * 10 + (text.data[i] - '0');
        if (exponent > 100000000000000000) exponent = 100000000000000000;
    }
    d.exponent += small ? -exponent : exponent;
    for (; d.count && d.text[d.count - 1] == '0'; d.count--) d.exponent++;
    if (d.count == 0) d.negative = false;
    return d;
}

static struct digits digits_of(struct arena *arena, struct ref_value v)
{
    enum { SIZE = 1500 };
    if (v.text.data) return digits_of_text(arena, v.text);
    char *text = ref_alloc(arena, SIZE);
    int size = snprintf(text, SIZE, "%.1074Lf", v.number); /* the smallest bit of a double is 2^-1074 */
    if (size < 0 || size >= SIZE) abort();
    return digits_of_text(arena, str_from(text, (size_t)size));
}

int ref_order(struct arena *arena, struct ref_value a, struct ref_value b)
{
    if (!a.text.data && !b.text.data) return a.number < b.number ? -1 : a.number > b.number; /* exact, in long double */
    struct digits x = digits_of(arena, a), y = digits_of(arena, b);
    if (x.count == 0 || y.count == 0) return x.count ? (x.negative ? -1 : 1) : y.count ? (y.negative ? 1 : -1) : 0;
    if (x.negative != y.negative) return x.negative ? -1 : 1;
    int larger = x.negative ? -1 : 1;
    int64_t before_x = (int64_t)x.count + x.exponent, before_y = (int64_t)y.count + y.exponent;
    if (before_x != before_y) return before_x > before_y ? larger : -larger;
    for (size_t i = 0; i < x.count || i < y.count; i++) {
        char p = i < x.count ? x.text[i] : '0', q = i < y.count ? y.text[i] : '0';
        if (p != q) return p > q ? larger : -larger;
    }
    return 0;
}

/* As JSON would write it. */
static struct str tidy(struct arena *arena, struct str text)
{
    struct str sign = str_starts(text, STR("-")) ? STR("-") : STR("");
    if (str_starts(text, STR("-")) || str_starts(text, STR("+"))) text = str_slice(text, 1, text.size);
    while (text.size > 1 && text.data[0] == '0' && text.data[1] >= '0' && text.data[1] <= '9')
        text = str_slice(text, 1, text.size);
    if (str_starts(text, STR("."))) text = ref_join(arena, STR("0"), text);
    size_t point = str_find_byte(text, '.', 0);
    bool bare =
        point != SIZE_MAX && (point + 1 == text.size || text.data[point + 1] < '0' || text.data[point + 1] > '9');
    if (bare) text = ref_join(arena, str_slice(text, 0, point), str_slice(text, point + 1, text.size));
    return ref_join(arena, sign, text);
}

struct ref_value ref_number_from_text(struct arena *arena, struct str text)
{
    double nearest;
    int64_t integer;
    if (number_parse_int(text, &integer)) return ref_int(integer);
    if (!number_parse(text, &nearest) || !isfinite(nearest)) return ref_undefined;
    struct digits d = digits_of_text(arena, text);
    if (d.count == 0) return ref_int(0);
    if (d.exponent >= 0 && d.exponent < 19) {
        char *whole = ref_alloc(arena, d.count + 20);
        size_t size = 0;
        if (d.negative) whole[size++] = '-';
        for (size_t i = 0; i < d.count; i++) whole[size++] = d.text[i];
        for (int64_t i = 0; i < d.exponent; i++) whole[size++] = '0';
        if (number_parse_int(str_from(whole, size), &integer)) return ref_int(integer);
    }
    if (d.count <= 17 && nearest != 0) return ref_double(nearest);
    return (struct ref_value){.type = REF_NUMBER, .number = nearest, .text = tidy(arena, text)};
}
