#include "query/bins.h"

#include "base/buf.h"
#include "base/number.h"

#include <math.h>
#include <stdio.h>

#define EXPONENT_MIN (-340)
#define WIDTHS_MAX   1e15
#define TEXT_MAX     512 /* of an edge: the digits of a double, and commas */

/* factor · 10^exponent */
struct width {
    int64_t factor;
    int exponent;
};

static double decimal(int64_t digits, int exponent)
{
    char text[48];
    double number = 0;
    int size = snprintf(text, sizeof text, "%llde%d", (long long)digits, exponent);
    (void)number_parse(str_from(text, (size_t)size), &number); /* beyond the doubles: infinite, or 0 */
    return number;
}

static double edge(struct width width, int64_t index)
{
    return decimal(index * width.factor, width.exponent);
}

/* The range that holds the number: its lower edge, in widths. False when that is too far from zero. */
static bool find_index(struct width width, double number, int64_t *ret_index)
{
    double size = decimal(width.factor, width.exponent);
    if (size == 0 || !(fabs(number) / size < WIDTHS_MAX)) return false;
    int64_t index = (int64_t)floor(number / size);
    /* the quotient is rounded: a range too far, at most */
    while (edge(width, index) > number) index--;
    while (edge(width, index + 1) <= number) index++;
    *ret_index = index;
    return true;
}

static struct width next_width(struct width width)
{
    if (width.factor == 1) return (struct width){2, width.exponent};
    if (width.factor == 2) return (struct width){5, width.exponent};
    return (struct width){1, width.exponent + 1};
}

static struct width width_of_one(double number)
{
    double size = fabs(number);
    if (size == 0) return (struct width){1, 0};
    int exponent = (int)floor(log10(size));
    while (decimal(1, exponent) > size) exponent--;
    while (decimal(1, exponent + 1) <= size) exponent++;
    return (struct width){1, exponent};
}

/* Where to begin to look: one that is too small. */
static struct width least_width(const struct extent *extent, uint32_t count)
{
    double least = extent->max / count - extent->min / count;
    int exponent = least > 0 ? (int)floor(log10(least)) - 2 : EXPONENT_MIN;
    if (exponent < EXPONENT_MIN) exponent = EXPONENT_MIN;
    if (!extent->fractional && exponent < 0) exponent = 0;
    return (struct width){1, exponent};
}

static struct width choose(const struct extent *extent, uint32_t count, int64_t *ret_first, int64_t *ret_last)
{
    struct width width = extent->min == extent->max ? width_of_one(extent->min) : least_width(extent, count);
    /* From some width on, zero is the only edge between the numbers. */
    while (!find_index(width, extent->min, ret_first) || !find_index(width, extent->max, ret_last) ||
           *ret_last - *ret_first >= count)
        width = next_width(width);
    return width;
}

/* --- labels --- */

static void write_edge(struct buf *text, struct width width, int64_t index)
{
    char digits[TEXT_MAX];
    int64_t value = index * width.factor;
    int size = snprintf(digits, sizeof digits, "%llu", (unsigned long long)(value < 0 ? -value : value));
    int fraction = width.exponent < 0 ? -width.exponent : 0; /* digits behind the point */
    if (value < 0) buf_byte(text, '-');
    if (value == 0) fraction = 0;
    for (int i = 0; value && i < width.exponent; i++) digits[size++] = '0';
    int whole = size - fraction;
    for (int i = 0; i < whole; i++) {
        if (i && (whole - i) % 3 == 0) buf_byte(text, ',');
        buf_byte(text, digits[i]);
    }
    if (whole <= 0) buf_byte(text, '0');
    while (size > 0 && size > whole && fraction && digits[size - 1] == '0') {
        size--;
        fraction--;
    }
    if (fraction == 0) return;
    buf_byte(text, '.');
    for (int i = whole; i < 0; i++) buf_byte(text, '0');
    for (int i = whole > 0 ? whole : 0; i < size; i++) buf_byte(text, digits[i]);
}

static struct str label(struct arena *arena, struct width width, int64_t index)
{
    struct buf text = BUF_INIT(4 * TEXT_MAX);
    write_edge(&text, width, index);
    buf_lit(&text, " - ");
    write_edge(&text, width, index + 1);
    struct str copy = buf_status(&text) == STATUS_OK ? arena_str(arena, buf_str(&text)) : STR_NULL;
    buf_fini(&text);
    return copy;
}

enum status bins_new(struct arena *arena, const struct extent *extent, uint32_t count, struct error *error,
                     struct bins *ret_bins)
{
    struct bins bins = {0};
    if (!extent->any) {
        *ret_bins = bins;
        return STATUS_OK;
    }
    int64_t last;
    struct width width = choose(extent, count, &bins.first, &last);
    bins.width = decimal(width.factor, width.exponent);
    bins.count = (uint32_t)(last - bins.first + 1);
    double *edges = arena_new_array(arena, double, (size_t)bins.count + 1);
    struct str *labels = arena_new_array(arena, struct str, bins.count);
    if (!edges || !labels) return error_set(error, STATUS_LIMIT, "memory budget exceeded");
    for (uint32_t i = 0; i <= bins.count; i++) edges[i] = edge(width, bins.first + i);
    for (uint32_t i = 0; i < bins.count; i++) {
        labels[i] = label(arena, width, bins.first + i);
        if (!labels[i].data) return error_set(error, STATUS_LIMIT, "memory budget exceeded");
    }
    bins.edges = edges;
    bins.labels = labels;
    *ret_bins = bins;
    return STATUS_OK;
}

uint32_t bins_find(const struct bins *bins, double number)
{
    if (bins->count == 0 || number < bins->edges[0] || number >= bins->edges[bins->count]) return BIN_NONE;
    double guess = floor(number / bins->width) - (double)bins->first, last = bins->count - 1;
    uint32_t at = guess < 0 ? 0 : guess > last ? bins->count - 1 : (uint32_t)guess;
    while (bins->edges[at] > number) at--;
    while (bins->edges[at + 1] <= number) at++;
    return at;
}
