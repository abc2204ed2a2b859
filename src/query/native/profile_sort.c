/*
 * A million values in a fraction of a second. Values are parted by class; numbers and texts are then sorted by keys of
 * 64 bits in linear time (base/radix.h), where equal keys need a closer look:
 *
 *   numbers  the key is the nearest double, in an order-preserving form. Equal keys of integers beyond 2^53 and of big
 *            numbers are compared exactly.
 *   texts    the key is seven bytes and how many there are, 8 for more than seven; a group of equal keys that ends in
 *            more is sorted by the next seven bytes, and so on. Dates, the usual case, are told apart at the third
 *            step. What is still equal after PREFIX_MAX bytes, or is a small group, is compared as a whole.
 *
 * Sorting by key is stable, so ties keep the order of places. Descending order is that of complemented keys.
 */
#include "query/native/profile_sort.h"

#include "base/radix.h"

#include <math.h>
#include <stdlib.h>

#define PIECE       7
#define PREFIX_MAX  (PIECE * 12)
#define GROUP_SMALL 24

enum value_class { CLASS_BOOLEAN, CLASS_NUMBER, CLASS_TEXT, CLASS_CONTAINER, CLASS_LAST, CLASSES };

struct sort {
    const struct value *values;
    bool descending;
    struct radix_item *items, *spare; /* of the class at hand */
};

static enum value_class class_of(struct value v)
{
    switch (v.type) {
    case VALUE_BOOL: return CLASS_BOOLEAN;
    case VALUE_INT:
    case VALUE_DOUBLE:
    case VALUE_BIGNUM: return CLASS_NUMBER;
    case VALUE_STRING: return CLASS_TEXT;
    case VALUE_LIST:
    case VALUE_OBJECT: return CLASS_CONTAINER;
    default: return CLASS_LAST;
    }
}

/* Values of one class. */
static int compare_values(struct value a, struct value b)
{
    return value_is_number(a) ? value_cmp_number(a, b) : value_cmp(a, b);
}

static int compare_items(const void *a, const void *b, void *ctx)
{
    const struct sort *sort = ctx;
    const struct radix_item *x = a, *y = b;
    int order = compare_values(sort->values[x->value], sort->values[y->value]);
    if (sort->descending) order = -order;
    return order ? order : (x->value > y->value) - (x->value < y->value);
}

static void sort_whole(struct sort *sort, struct radix_item *items, size_t count)
{
    qsort_r(items, count, sizeof *items, compare_items, sort);
}

/* Items by key; the spare ones that belong to the same places are scratch. */
static void sort_keys(struct radix_item *items, struct radix_item *spare, size_t count)
{
    const struct radix_item *sorted = radix_sort(items, spare, count);
    if (sorted != items) memcpy(items, sorted, count * sizeof *items);
}

/* A number beyond all doubles is infinite here, and compared exactly with those like it. */
static uint64_t number_key(struct value v)
{
    double number = 0;
    if (!value_double(v, &number)) number = v.size && v.data[0] == '-' ? -INFINITY : INFINITY;
    return radix_key_of_double(number == 0 ? 0 : number);
}

static void sort_booleans(struct sort *sort, size_t count)
{
    for (size_t i = 0; i < count; i++)
        sort->items[i].key = sort->values[sort->items[i].value].boolean != sort->descending;
    sort_keys(sort->items, sort->spare, count);
}

static bool is_rounded(struct value v)
{
    return v.type == VALUE_BIGNUM ||
           (v.type == VALUE_INT && (v.integer > (INT64_C(1) << 53) || v.integer < -(INT64_C(1) << 53)));
}

static void sort_numbers(struct sort *sort, size_t count)
{
    struct radix_item *items = sort->items;
    uint64_t flip = sort->descending ? UINT64_MAX : 0;
    for (size_t i = 0; i < count; i++) items[i].key = number_key(sort->values[items[i].value]) ^ flip;
    sort_keys(items, sort->spare, count);
    for (size_t from = 0, to; from < count; from = to) {
        bool rounded = false;
        for (to = from; to < count && items[to].key == items[from].key; to++)
            rounded |= is_rounded(sort->values[items[to].value]);
        if (rounded && to - from > 1) sort_whole(sort, items + from, to - from);
    }
}

static uint64_t text_key(struct value v, size_t depth)
{
    size_t left = v.size - depth;
    uint64_t key = 0;
    if (left > PIECE) {
        memcpy(&key, v.data + depth, 8); /* one more than is used */
        return (__builtin_bswap64(key) & ~UINT64_C(255)) | (PIECE + 1);
    }
    for (size_t i = 0; i < left; i++) key |= (uint64_t)(unsigned char)v.data[depth + i] << (56 - 8 * i);
    return key | left;
}

/* Items whose texts are equal below `depth` and at least so long. */
static void sort_texts(struct sort *sort, size_t first, size_t count, size_t depth)
{
    struct radix_item *items = sort->items + first;
    uint64_t flip = sort->descending ? UINT64_MAX : 0;
    if (count < 2) return;
    if (count <= GROUP_SMALL || depth >= PREFIX_MAX) {
        sort_whole(sort, items, count);
        return;
    }
    for (size_t i = 0; i < count; i++) items[i].key = text_key(sort->values[items[i].value], depth) ^ flip;
    sort_keys(items, sort->spare + first, count);
    for (size_t from = 0, to; from < count; from = to) {
        for (to = from; to < count && items[to].key == items[from].key;) to++;
        if (((items[from].key ^ flip) & 255) > PIECE) sort_texts(sort, first + from, to - from, depth + PIECE);
    }
}

enum status profile_sort(const struct value *values, uint32_t count, bool descending, struct arena *arena,
                         uint32_t **ret_places)
{
    uint32_t *places = arena_alloc(arena, ((size_t)count + 1) * sizeof *places), filled = 0;
    struct sort sort = {.values = values, .descending = descending};
    sort.items = arena_alloc(arena, ((size_t)count + 1) * sizeof *sort.items);
    sort.spare = arena_alloc(arena, ((size_t)count + 1) * sizeof *sort.spare);
    if (!places || !sort.items || !sort.spare) return STATUS_LIMIT;
    for (int i = 0; i < CLASSES; i++) {
        enum value_class class = (enum value_class)(!descending || i == CLASS_LAST ? i : CLASS_CONTAINER - i);
        size_t of_class = 0;
        for (uint32_t p = 0; p < count; p++) {
            if (class_of(values[p]) == class) sort.items[of_class++] = (struct radix_item){0, p};
        }
        switch (class) {
        case CLASS_NUMBER: sort_numbers(&sort, of_class); break;
        case CLASS_TEXT: sort_texts(&sort, 0, of_class, 0); break;
        case CLASS_BOOLEAN: sort_booleans(&sort, of_class); break;
        case CLASS_CONTAINER: sort_whole(&sort, sort.items, of_class); break;
        default: break;
        }
        for (size_t k = 0; k < of_class; k++) places[filled++] = sort.items[k].value;
    }
    *ret_places = places;
    return STATUS_OK;
}
