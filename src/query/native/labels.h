#pragma once
/*
 * Breakdown labels and their numbers. Values become labels (docs/decisions/0005-segmentation-choices.md, 5); each
 * distinct label has a dense number from 0. While a result vector is a dictionary, each of its entries is looked up
 * once.
 */
#include "base/map.h"
#include "column/vector.h"

struct labels {
    struct arena *arena; /* texts */
    struct strmap index;
    struct str *texts;
    uint64_t *totals; /* events per label */
    uint32_t count, capacity, count_max;
    struct buf text;
    /* of the dictionary `dict_id`: entry -> label, LABEL_UNKNOWN, or LABEL_LIST for lists */
    uint64_t dict_id;
    uint32_t *dict_labels;
    uint32_t dict_capacity;
    uint32_t *list; /* distinct labels of one list */
    uint32_t list_count, list_capacity;
};
#define LABEL_UNKNOWN UINT32_MAX
#define LABEL_LIST    (UINT32_MAX - 1)

void labels_init(struct labels *labels, size_t memory_bytes_max);
void labels_fini(struct labels *labels);
/* The labels of row `row`: usually one. The array is good until the next call. LIMIT when memory or the number is
 * exhausted. */
enum status labels_of(struct labels *labels, const struct vector *vector, uint32_t row, const uint32_t **ret_labels,
                      uint32_t *ret_count) MUST_USE;
