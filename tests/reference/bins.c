/*
 * Ranges of numbers, tried out one width after the other: docs/decisions/0023, 1. Edges are decimals made of text and
 * read by the C library.
 */
#include "reference/bins.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static double edge(long long index, int factor, int exponent)
{
    char text[64];
    snprintf(text, sizeof text, "%llde%d", index * factor, exponent);
    return strtod(text, NULL);
}

/* The range that the number lies in, counted from zero; false when it is 10^15 widths away. */
static bool index_of(double number, int factor, int exponent, long long *ret_index)
{
    double width = edge(1, factor, exponent);
    if (width == 0 || !(fabs(number) / width < 1e15)) return false;
    long long index = (long long)(number / width) - 2;
    while (edge(index + 1, factor, exponent) <= number) index++;
    *ret_index = index;
    return true;
}

/* Plain digits, with a comma before every third one of the whole part, and no zeros at the end of the other. */
static struct str edge_text(struct arena *arena, long long index, int factor, int exponent)
{
    long long value = index * factor;
    char whole[400] = "", part[400] = "", digits[800];
    int size = snprintf(digits, sizeof digits, "%0400lld", value < 0 ? -value : value);
    for (int i = 0; i < exponent && value; i++) digits[size++] = '0';
    digits[size] = 0;
    int behind = exponent < 0 ? -exponent : 0, from = 0;
    snprintf(part, sizeof part, "%s", digits + size - behind);
    for (int i = (int)strlen(part); i > 0 && part[i - 1] == '0'; i--) part[i - 1] = 0;
    digits[size - behind] = 0;
    while (digits[from] == '0' && digits[from + 1]) from++;
    snprintf(whole, sizeof whole, "%s", digits + from);
    struct str text = arena_printf(arena, "%s", value < 0 ? "-" : "");
    for (int i = 0, count = (int)strlen(whole); i < count; i++) {
        bool comma = i && (count - i) % 3 == 0;
        text = arena_printf(arena, "%.*s%s%c", (int)text.size, text.data, comma ? "," : "", whole[i]);
    }
    if (part[0]) text = arena_printf(arena, "%.*s.%s", (int)text.size, text.data, part);
    return text;
}

/* The power of ten at or below the only number there is. */
static int exponent_of(double number)
{
    int exponent = -340;
    if (number == 0) return 0;
    while (edge(1, 1, exponent + 1) <= fabs(number)) exponent++;
    return exponent;
}

void ref_bins(struct arena *arena, const double *numbers, size_t count, size_t bin_count, struct ref_bins *ret)
{
    static const int factors[] = {1, 2, 5};
    double min = INFINITY, max = -INFINITY;
    bool whole = true;
    *ret = (struct ref_bins){.count = 0};
    if (count == 0) return;
    for (size_t i = 0; i < count; i++) {
        min = numbers[i] < min ? numbers[i] : min;
        max = numbers[i] > max ? numbers[i] : max;
        whole = whole && numbers[i] == floor(numbers[i]);
    }
    bool one = min == max;
    for (int exponent = one ? exponent_of(min) : whole ? 0 : -340;; exponent++) {
        for (int f = 0; f < (one ? 1 : 3); f++) {
            long long first, last;
            if (!index_of(min, factors[f], exponent, &first) || !index_of(max, factors[f], exponent, &last)) continue;
            if (last - first + 1 > (long long)bin_count) continue;
            ret->count = (size_t)(last - first + 1);
            ret->from = ref_alloc(arena, ret->count * sizeof *ret->from);
            ret->to = ref_alloc(arena, ret->count * sizeof *ret->to);
            ret->labels = ref_alloc(arena, ret->count * sizeof *ret->labels);
            for (size_t i = 0; i < ret->count; i++) {
                long long index = first + (long long)i;
                struct str from = edge_text(arena, index, factors[f], exponent);
                struct str to = edge_text(arena, index + 1, factors[f], exponent);
                ret->from[i] = edge(index, factors[f], exponent);
                ret->to[i] = edge(index + 1, factors[f], exponent);
                ret->labels[i] = arena_printf(arena, "%.*s - %.*s", (int)from.size, from.data, (int)to.size, to.data);
            }
            return;
        }
    }
}
