#include "query/native/labels.h"

#include "query/bins.h"

#include <stdlib.h>

#define LABEL_BYTES_MAX ((size_t)1 << 24)
#define STRINGS_AT_ONCE 4096 /* others wait meanwhile; to be woken for each few costs more than the few */

void labels_init(struct labels *labels, size_t memory_bytes_max)
{
    *labels = (struct labels){.arena = arena_new(memory_bytes_max)};
    size_t each = sizeof(struct strmap_slot) * 2 + sizeof(struct str) + 4 * sizeof(uint64_t);
    labels->count_max = memory_bytes_max / each < UINT32_MAX / 4 ? (uint32_t)(memory_bytes_max / each) : UINT32_MAX / 4;
    labels->index = STRMAP_INIT(labels->count_max);
    os_mutex_init(&labels->lock, "labels");
}

void labels_fini(struct labels *labels)
{
    arena_free(labels->arena);
    strmap_fini(&labels->index);
    free(labels->texts);
    os_mutex_destroy(&labels->lock);
}

void label_list_init(struct label_list *list)
{
    *list = (struct label_list){.text = BUF_INIT(LABEL_BYTES_MAX)};
}

void label_list_fini(struct label_list *list)
{
    buf_fini(&list->text);
    free(list->labels);
}

static enum status intern(struct labels *labels, struct str text, uint32_t *ret_label)
{
    uint64_t *known = strmap_get(&labels->index, text);
    if (known) {
        *ret_label = (uint32_t)*known;
        return STATUS_OK;
    }
    if (labels->count == labels->capacity) {
        uint32_t capacity = labels->capacity ? labels->capacity * 2 : 64;
        struct str *texts = realloc(labels->texts, capacity * sizeof *texts);
        if (!texts) return STATUS_LIMIT;
        labels->texts = texts;
        labels->capacity = capacity;
    }
    struct str copy = arena_str(labels->arena, text);
    if (!copy.data) return STATUS_LIMIT;
    TRY(strmap_put(&labels->index, copy, labels->count));
    labels->texts[labels->count] = copy;
    *ret_label = labels->count++;
    return STATUS_OK;
}

enum status labels_fix(struct labels *labels, const struct str *texts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t label;
        TRY(intern(labels, texts[i], &label));
    }
    labels->fixed = true;
    return STATUS_OK;
}

enum status labels_fix_bins(struct labels *labels, const struct bins *bins)
{
    labels->bins = bins;
    return labels_fix(labels, bins->labels, bins->count);
}

static uint32_t bin_of(const struct labels *labels, struct value value)
{
    double number;
    uint32_t bin = value_double(value, &number) ? bins_find(labels->bins, number) : BIN_NONE;
    return bin == BIN_NONE ? LABEL_NONE : bin;
}

static enum status label_of(struct labels *labels, struct label_list *list, struct value value, struct str absent,
                            uint32_t *ret_label)
{
    if (labels->bins) {
        *ret_label = bin_of(labels, value);
        return STATUS_OK;
    }
    struct str text = value_text(value);
    if (value.type == VALUE_ABSENT && absent.data) {
        text = absent;
    } else if (value.type != VALUE_STRING) {
        buf_reset(&list->text);
        value_write_label(&list->text, value);
        TRY(buf_status(&list->text));
        text = buf_str(&list->text);
    }
    if (labels->fixed) { /* nobody writes: no lock */
        const uint64_t *known = strmap_get(&labels->index, text);
        *ret_label = known ? (uint32_t)*known : LABEL_NONE;
        return STATUS_OK;
    }
    os_mutex_lock(&labels->lock);
    enum status status = intern(labels, text, ret_label);
    os_mutex_unlock(&labels->lock);
    return status;
}

enum status labels_one(struct labels *labels, struct label_list *list, struct value value, uint32_t *ret_label)
{
    return label_of(labels, list, value, labels->absent, ret_label);
}

enum status labels_many(struct labels *labels, struct label_list *list, const struct value *values, uint32_t count,
                        uint32_t *ret_labels)
{
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < count && status == STATUS_OK;) {
        if (values[i].type != VALUE_STRING || labels->fixed) {
            status = labels_one(labels, list, values[i], &ret_labels[i]);
            i++;
            continue;
        }
        uint32_t end = i + STRINGS_AT_ONCE < count ? i + STRINGS_AT_ONCE : count;
        os_mutex_lock(&labels->lock);
        for (; i < end && values[i].type == VALUE_STRING && status == STATUS_OK; i++)
            status = intern(labels, value_text(values[i]), &ret_labels[i]);
        os_mutex_unlock(&labels->lock);
    }
    return status;
}

static enum status add(struct label_list *list, uint32_t label)
{
    if (label == LABEL_NONE) return STATUS_OK;
    for (uint32_t i = 0; i < list->count; i++) {
        if (list->labels[i] == label) return STATUS_OK;
    }
    if (list->count == list->capacity) {
        uint32_t capacity = list->capacity ? list->capacity * 2 : 16;
        uint32_t *grown = realloc(list->labels, capacity * sizeof *grown);
        if (!grown) return STATUS_LIMIT;
        list->labels = grown;
        list->capacity = capacity;
    }
    list->labels[list->count++] = label;
    return STATUS_OK;
}

enum status labels_all(struct labels *labels, struct label_list *list, struct value value)
{
    uint32_t label;
    list->count = 0;
    if (value.type != VALUE_LIST) {
        TRY(labels_one(labels, list, value, &label));
        return add(list, label);
    }
    struct value_iter iter = value_iter(value);
    struct value item = value_absent();
    bool any = value_next(&iter, NULL, &item);
    do {
        /* an undefined item is a value of the list; an empty list is none */
        TRY(label_of(labels, list, any ? item : value_absent(), any ? STR_NULL : labels->absent, &label));
        TRY(add(list, label));
    } while (any && value_next(&iter, NULL, &item));
    return STATUS_OK;
}
