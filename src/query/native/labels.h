#pragma once
/*
 * Breakdown labels and their numbers. Values become labels (docs/decisions/0005-segmentation-choices.md, 5); each
 * distinct label has a dense number from 0, in no particular order. Several threads may add labels.
 */
#include "base/map.h"
#include "column/value.h"
#include "os/thread.h"

struct bins;
struct labels {
    struct os_mutex lock;
    struct arena *arena; /* texts */
    struct strmap index;
    struct str *texts; /* to be read when nobody adds */
    uint32_t count, capacity, count_max;
    struct str absent; /* the label of rows without a value; NULL data: `undefined` */
    bool fixed;        /* no more are added: other values have none */
    const struct bins *bins;
};
#define LABEL_UNKNOWN UINT32_MAX
#define LABEL_NONE    (UINT32_MAX - 1) /* of a value that has none */
/* For labels.absent, where rows without a value are to be told from texts: no text has this byte. */
#define LABEL_NO_VALUE STR("\xFF")

/* What one thread needs to ask for labels. */
struct label_list {
    struct buf text;
    uint32_t *labels; /* of the last value */
    uint32_t count, capacity;
};

void labels_init(struct labels *labels, size_t memory_bytes_max);
void labels_fini(struct labels *labels);
void label_list_init(struct label_list *list);
void label_list_fini(struct label_list *list);

/* These are the labels, numbered from 0 in this order, and there will be no others. The texts are copied. */
enum status labels_fix(struct labels *labels, const struct str *texts, size_t count) MUST_USE;
/* The labels of these ranges of numbers: what is no number has none. The bins must outlive them. */
enum status labels_fix_bins(struct labels *labels, const struct bins *bins) MUST_USE;

/* The label of a value that is no list. LIMIT when memory or the number of labels is exhausted. */
enum status labels_one(struct labels *labels, struct label_list *list, struct value value,
                       uint32_t *ret_label) MUST_USE;
/* The same of many values. */
enum status labels_many(struct labels *labels, struct label_list *list, const struct value *values, uint32_t count,
                        uint32_t *ret_labels) MUST_USE;
/* The labels of any value, each once, in `list`: one, but for lists those of their items; the one of `undefined` for an
 * empty list. Values that have none bring none. */
enum status labels_all(struct labels *labels, struct label_list *list, struct value value) MUST_USE;
