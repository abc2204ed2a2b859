#pragma once
/*
 * A growing array of uint32 with cheap immutable pictures of it. The array is cut into pages; a picture shares the
 * pages, and the owner copies a page before it changes one that a picture still holds. Taking a picture copies the page
 * table only (4 bytes of table for every 512 bytes of data, and only when something changed since the last picture).
 *
 * The owner (one thread) may set and push; pictures may be read, and dropped, from any thread.
 */
#include "base/status.h"

#include <stdint.h>

#define COW_PAGE 1024

struct cow_page;
struct cow_table;
struct cow32 {
    struct cow_table *table; /* NULL while empty */
    uint32_t count;
};
void cow32_fini(struct cow32 *array);
enum status cow32_push(struct cow32 *array, uint32_t value) MUST_USE;
/* Pushes `count` values: first, first + step, first + 2 step and so on. On failure some may have been pushed. */
enum status cow32_extend(struct cow32 *array, uint32_t count, uint32_t first, uint32_t step) MUST_USE;
enum status cow32_set(struct cow32 *array, uint32_t index, uint32_t value) MUST_USE;
/* A picture: fini it like an array, never set or push on it. */
struct cow32 cow32_share(const struct cow32 *array);

struct cow_page {
    _Atomic uint32_t refs;
    uint32_t values[COW_PAGE];
};
struct cow_table {
    _Atomic uint32_t refs;
    uint32_t capacity, count; /* pages */
    struct cow_page *pages[];
};
static inline uint32_t cow32_get(const struct cow32 *array, uint32_t index)
{
    return array->table->pages[index / COW_PAGE]->values[index % COW_PAGE];
}
