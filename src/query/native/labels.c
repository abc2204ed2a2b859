#include "query/native/labels.h"

#include <stdlib.h>

#define LABEL_BYTES_MAX ((size_t)1 << 24)

void labels_init(struct labels *labels, size_t memory_bytes_max)
{
    *labels = (struct labels){.arena = arena_new(memory_bytes_max), .text = BUF_INIT(LABEL_BYTES_MAX)};
    size_t each = sizeof(struct strmap_slot) * 2 + sizeof(struct str) + 2 * sizeof(uint64_t);
    labels->count_max = memory_bytes_max / each < UINT32_MAX / 4 ? (uint32_t)(memory_bytes_max / each) : UINT32_MAX / 4;
    labels->index = STRMAP_INIT(labels->count_max);
}

void labels_fini(struct labels *labels)
{
    arena_free(labels->arena);
    strmap_fini(&labels->index);
    buf_fini(&labels->text);
    free(labels->texts);
    free(labels->totals);
    free(labels->dict_labels);
    free(labels->list);
}

static enum status label_of_text(struct labels *labels, struct str text, uint32_t *ret_label)
{
    uint64_t *known = strmap_get(&labels->index, text);
    if (known) {
        *ret_label = (uint32_t)*known;
        return STATUS_OK;
    }
    if (labels->count == labels->capacity) {
        uint32_t capacity = labels->capacity ? labels->capacity * 2 : 64;
        struct str *texts = realloc(labels->texts, capacity * sizeof *texts);
        if (texts) labels->texts = texts;
        uint64_t *totals = realloc(labels->totals, capacity * sizeof *totals);
        if (totals) labels->totals = totals;
        if (!texts || !totals) return STATUS_LIMIT;
        labels->capacity = capacity;
    }
    struct str copy = arena_str(labels->arena, text);
    if (!copy.data) return STATUS_LIMIT;
    TRY(strmap_put(&labels->index, copy, labels->count));
    labels->texts[labels->count] = copy;
    labels->totals[labels->count] = 0;
    *ret_label = labels->count++;
    return STATUS_OK;
}

static enum status label_of_value(struct labels *labels, struct value value, uint32_t *ret_label)
{
    if (value.type == VALUE_STRING) return label_of_text(labels, value_text(value), ret_label);
    buf_reset(&labels->text);
    value_write_label(&labels->text, value);
    TRY(buf_status(&labels->text));
    return label_of_text(labels, buf_str(&labels->text), ret_label);
}

static enum status labels_of_list(struct labels *labels, struct value list)
{
    struct value_iter iter = value_iter(list);
    struct value item = value_absent();
    labels->list_count = 0;
    bool any = value_next(&iter, NULL, &item);
    do {
        uint32_t label, i = 0;
        TRY(label_of_value(labels, any ? item : value_absent(), &label));
        while (i < labels->list_count && labels->list[i] != label) i++;
        if (i < labels->list_count) continue;
        if (labels->list_count == labels->list_capacity) {
            uint32_t capacity = labels->list_capacity ? labels->list_capacity * 2 : 16;
            uint32_t *grown = realloc(labels->list, capacity * sizeof *grown);
            if (!grown) return STATUS_LIMIT;
            labels->list = grown;
            labels->list_capacity = capacity;
        }
        labels->list[labels->list_count++] = label;
    } while (any && value_next(&iter, NULL, &item));
    return STATUS_OK;
}

static enum status one(struct labels *labels, struct value value, const uint32_t **ret_labels, uint32_t *ret_count)
{
    if (value.type == VALUE_LIST) {
        TRY(labels_of_list(labels, value));
    } else {
        if (!labels->list) {
            labels->list = malloc(16 * sizeof *labels->list);
            if (!labels->list) return STATUS_LIMIT;
            labels->list_capacity = 16;
        }
        TRY(label_of_value(labels, value, &labels->list[0]));
        labels->list_count = 1;
    }
    *ret_labels = labels->list;
    *ret_count = labels->list_count;
    return STATUS_OK;
}

enum status labels_of(struct labels *labels, const struct vector *vector, uint32_t row, const uint32_t **ret_labels,
                      uint32_t *ret_count)
{
    if (vector->kind != VECTOR_DICT) return one(labels, vector_at(vector, row), ret_labels, ret_count);
    if (labels->dict_id != vector->dict_id) {
        if (labels->dict_capacity < vector->dict_count) {
            uint32_t *grown = realloc(labels->dict_labels, vector->dict_count * sizeof *grown);
            if (!grown) return STATUS_LIMIT;
            labels->dict_labels = grown;
            labels->dict_capacity = vector->dict_count;
        }
        for (uint32_t i = 0; i < vector->dict_count; i++) labels->dict_labels[i] = LABEL_UNKNOWN;
        labels->dict_id = vector->dict_id;
    }
    uint32_t code = vector->codes[row];
    struct value value = vector->values[code];
    if (labels->dict_labels[code] == LABEL_UNKNOWN) {
        labels->dict_labels[code] = LABEL_LIST;
        if (value.type != VALUE_LIST) TRY(label_of_value(labels, value, &labels->dict_labels[code]));
    }
    if (labels->dict_labels[code] == LABEL_LIST) return one(labels, value, ret_labels, ret_count);
    *ret_labels = &labels->dict_labels[code];
    *ret_count = 1;
    return STATUS_OK;
}
