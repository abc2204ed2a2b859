/*
 * Values as numbers, so that a visitor compares and counts them without touching texts. A key tells values apart: a
 * byte for the kind, then the label, or of a list its JSON text. Numbers are given as values come, so which number a
 * value has depends on threads; nothing may depend on it. Entries are in pages that never move: readers need no lock,
 * because a number reaches them only through rows that were written after the entry was.
 */
#include "query/native/journey_int.h"

#include <stdlib.h>

#define PAGE_ENTRIES  1024u
#define KEY_BYTES_MAX ((size_t)1 << 24)

enum key_kind { KEY_UNDEFINED = '0', KEY_NULL = '1', KEY_LABEL = '2', KEY_LIST = '3' };

static struct journey_entry *entry_at(const struct journey_values *values, journey_value number)
{
    return &values->pages[number / PAGE_ENTRIES][number % PAGE_ENTRIES];
}

static struct str *label_at(const struct journey_values *values, uint32_t label)
{
    return &values->label_pages[label / PAGE_ENTRIES]->texts[label % PAGE_ENTRIES];
}

/* Labels whose texts are not in a page yet. */
static enum status publish_labels(struct journey_values *values)
{
    while (values->label_count < values->labels.count) {
        uint32_t label = values->label_count;
        if (label >= values->label_count_max) return STATUS_LIMIT;
        struct label_page **page = &values->label_pages[label / PAGE_ENTRIES];
        if (!*page) *page = arena_new_array(values->arena, struct label_page, 1);
        if (!*page) return STATUS_LIMIT;
        *label_at(values, label) = values->labels.texts[label];
        /* what is below the count can be read */
        __atomic_store_n(&values->label_count, label + 1, __ATOMIC_RELEASE);
    }
    return STATUS_OK;
}

static enum status write_key(struct buf *text, struct value value)
{
    buf_reset(text);
    buf_byte(text, value.type == VALUE_ABSENT ? KEY_UNDEFINED
                   : value.type == VALUE_NULL ? KEY_NULL
                   : value.type == VALUE_LIST ? KEY_LIST
                                              : KEY_LABEL);
    value_write_label(text, value);
    return buf_status(text);
}

/* The lock is held. */
static enum status add(struct journey_values *values, struct label_list *list, struct str key, struct value value,
                       journey_value *ret_number)
{
    uint32_t number = values->count;
    if (number >= values->count_max) return STATUS_LIMIT;
    struct journey_entry **page = &values->pages[number / PAGE_ENTRIES];
    if (!*page) *page = arena_new_array(values->arena, struct journey_entry, PAGE_ENTRIES);
    if (!*page) return STATUS_LIMIT;
    struct journey_entry *entry = entry_at(values, number);
    TRY(labels_all(&values->labels, list, value));
    *entry =
        (struct journey_entry){.key = arena_str(values->arena, key), .label = list->labels[0], .count = list->count};
    if (!entry->key.data) return STATUS_LIMIT;
    if (list->count > 1) {
        uint32_t *labels = arena_alloc(values->arena, list->count * sizeof *labels);
        if (!labels) return STATUS_LIMIT;
        memcpy(labels, list->labels, list->count * sizeof *labels);
        entry->labels = labels;
    }
    TRY(publish_labels(values));
    TRY(strmap_put(&values->index, entry->key, number));
    values->count++;
    *ret_number = number;
    return STATUS_OK;
}

enum status journey_values_number(struct journey_values *values, struct buf *text, struct value value,
                                  journey_value *ret_number)
{
    if (value.type == VALUE_ABSENT || value.type == VALUE_NULL) {
        *ret_number = value.type == VALUE_ABSENT ? JOURNEY_UNDEFINED : JOURNEY_NULL;
        return STATUS_OK;
    }
    TRY(write_key(text, value));
    os_mutex_lock(&values->lock);
    uint64_t *known = strmap_get(&values->index, buf_str(text));
    enum status status = STATUS_OK;
    if (known) {
        *ret_number = (journey_value)*known;
    } else {
        struct label_list list;
        label_list_init(&list);
        status = add(values, &list, buf_str(text), value, ret_number);
        label_list_fini(&list);
    }
    os_mutex_unlock(&values->lock);
    return status;
}

enum status journey_values_init(struct journey_values *values, size_t memory_bytes_max)
{
    size_t each = sizeof(struct journey_entry) + sizeof(struct strmap_slot) * 2 + 64;
    *values = (struct journey_values){.arena = arena_new(memory_bytes_max / 2)};
    os_mutex_init(&values->lock, "values of journeys");
    labels_init(&values->labels, memory_bytes_max / 2);
    values->count_max = memory_bytes_max / each < (1u << 30) ? (uint32_t)(memory_bytes_max / each) : 1u << 30;
    if (values->count_max < 2 * PAGE_ENTRIES) values->count_max = 2 * PAGE_ENTRIES;
    values->label_count_max = values->count_max;
    values->index = STRMAP_INIT(values->count_max);
    size_t pages = values->count_max / PAGE_ENTRIES + 1;
    values->pages = calloc(pages, sizeof *values->pages);
    values->label_pages = calloc(pages, sizeof *values->label_pages);
    if (!values->pages || !values->label_pages) return STATUS_LIMIT;
    static const char keys[] = {KEY_UNDEFINED, KEY_NULL};
    struct label_list list;
    journey_value number;
    label_list_init(&list);
    enum status status = add(values, &list, str_from(&keys[0], 1), value_absent(), &number);
    if (status == STATUS_OK) status = add(values, &list, str_from(&keys[1], 1), value_null(), &number);
    label_list_fini(&list);
    return status;
}

void journey_values_fini(struct journey_values *values)
{
    if (!values->arena) return;
    labels_fini(&values->labels);
    strmap_fini(&values->index);
    free(values->pages);
    free(values->label_pages);
    arena_free(values->arena);
    os_mutex_destroy(&values->lock);
}

int journey_values_cmp(const struct journey_values *values, journey_value a, journey_value b)
{
    return str_cmp(entry_at(values, a)->key, entry_at(values, b)->key);
}

int journey_value_cmp(const struct journeys *journeys, journey_value a, journey_value b)
{
    return journey_values_cmp(&journeys->values, a, b);
}

bool journey_value_is_defined(const struct journeys *journeys, journey_value value)
{
    struct str key = entry_at(&journeys->values, value)->key;
    return key.data[0] == KEY_LABEL || (key.data[0] == KEY_LIST && !str_eq(key, STR("3[]")));
}

void journey_value_labels(const struct journeys *journeys, journey_value value, const uint32_t **ret_labels,
                          uint32_t *ret_count)
{
    const struct journey_entry *entry = entry_at(&journeys->values, value);
    *ret_labels = entry->labels ? entry->labels : &entry->label;
    *ret_count = entry->count;
}

uint32_t journey_label_count(const struct journeys *journeys)
{
    return __atomic_load_n(&journeys->values.label_count, __ATOMIC_ACQUIRE);
}

struct str journey_label_text(const struct journeys *journeys, uint32_t label)
{
    return *label_at(&journeys->values, label);
}
