#include "base/cow.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static void page_unref(struct cow_page *page)
{
    if (atomic_fetch_sub_explicit(&page->refs, 1, memory_order_acq_rel) == 1) free(page);
}

static void table_unref(struct cow_table *table)
{
    if (!table || atomic_fetch_sub_explicit(&table->refs, 1, memory_order_acq_rel) != 1) return;
    for (uint32_t i = 0; i < table->count; i++) page_unref(table->pages[i]);
    free(table);
}

void cow32_fini(struct cow32 *array)
{
    table_unref(array->table);
    *array = (struct cow32){0};
}

/* Makes the table the owner's alone, with room for `pages` pages. */
static enum status own_table(struct cow32 *array, uint32_t pages)
{
    struct cow_table *table = array->table;
    bool shared = table && atomic_load_explicit(&table->refs, memory_order_acquire) > 1;
    if (table && !shared && table->capacity >= pages) return STATUS_OK;
    uint32_t capacity = table ? table->capacity : 0;
    if (capacity < pages) capacity = pages < 8 ? 8 : pages + pages / 2;
    struct cow_table *own = malloc(sizeof *own + capacity * sizeof own->pages[0]);
    if (!own) return STATUS_LIMIT;
    atomic_init(&own->refs, 1);
    own->capacity = capacity;
    own->count = table ? table->count : 0;
    for (uint32_t i = 0; i < own->count; i++) {
        own->pages[i] = table->pages[i];
        atomic_fetch_add_explicit(&own->pages[i]->refs, 1, memory_order_relaxed);
    }
    table_unref(table);
    array->table = own;
    return STATUS_OK;
}

static enum status own_page(struct cow32 *array, uint32_t index)
{
    struct cow_page *page = array->table->pages[index];
    if (atomic_load_explicit(&page->refs, memory_order_acquire) == 1) return STATUS_OK;
    struct cow_page *own = malloc(sizeof *own);
    if (!own) return STATUS_LIMIT;
    atomic_init(&own->refs, 1);
    memcpy(own->values, page->values, sizeof own->values);
    page_unref(page);
    array->table->pages[index] = own;
    return STATUS_OK;
}

enum status cow32_push(struct cow32 *array, uint32_t value)
{
    uint32_t index = array->count / COW_PAGE;
    if (array->count == UINT32_MAX) return STATUS_LIMIT;
    TRY(own_table(array, index + 1));
    if (index == array->table->count) {
        struct cow_page *page = calloc(1, sizeof *page);
        if (!page) return STATUS_LIMIT;
        atomic_init(&page->refs, 1);
        array->table->pages[array->table->count++] = page;
    }
    TRY(own_page(array, index));
    array->table->pages[index]->values[array->count % COW_PAGE] = value;
    array->count++;
    return STATUS_OK;
}

enum status cow32_extend(struct cow32 *array, uint32_t count, uint32_t first, uint32_t step)
{
    if (count > UINT32_MAX - array->count) return STATUS_LIMIT;
    if (count) TRY(own_table(array, (uint32_t)(((uint64_t)array->count + count - 1) / COW_PAGE) + 1));
    while (count) {
        TRY(cow32_push(array, first)); /* makes the page, and makes it ours */
        uint32_t at = array->count % COW_PAGE, more = at ? COW_PAGE - at : 0;
        if (more > count - 1) more = count - 1;
        uint32_t *values = array->table->pages[(array->count - 1) / COW_PAGE]->values + at;
        for (uint32_t i = 0; i < more; i++) values[i] = first + (i + 1) * step;
        array->count += more;
        first += (more + 1) * step;
        count -= more + 1;
    }
    return STATUS_OK;
}

enum status cow32_set(struct cow32 *array, uint32_t index, uint32_t value)
{
    assert(index < array->count);
    TRY(own_table(array, array->table->count));
    TRY(own_page(array, index / COW_PAGE));
    array->table->pages[index / COW_PAGE]->values[index % COW_PAGE] = value;
    return STATUS_OK;
}

struct cow32 cow32_share(const struct cow32 *array)
{
    if (array->table) atomic_fetch_add_explicit(&array->table->refs, 1, memory_order_relaxed);
    return *array;
}
