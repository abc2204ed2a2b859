#pragma once
/*
 * Dictionaries of DICT chunks (docs/formats/section.md, "Dictionary"): finding the distinct values of a column,
 * ordering them, writing them. Reading is chunk_dictionary() and chunk_dictionary_counts() of chunk.h.
 */
#include "store/chunk.h"

enum collected {
    COLLECTED,
    COLLECT_MANY, /* more than allowed, or a column of nothing but unique values: no dictionary */
    COLLECT_NO_MEMORY,
};

/* The strings of a column lie wherever their rows do: far apart. What is read next is asked for before. */
#define PREFETCH_AHEAD 16
static inline void value_prefetch(const struct value *values, uint32_t i, uint32_t count)
{
    if (i < count && values[i].type >= VALUE_STRING) __builtin_prefetch(values[i].data);
}

/* Strictly the same: -0.0 and 0, or equal objects with other key order, are different entries. */
bool dictionary_same(struct value a, struct value b);
/* In memory only. */
uint64_t dictionary_hash(struct value v);

/* The distinct values of a column in the order of first sight, and the rows that have each. */
struct distinct {
    struct value *entries;
    uint32_t *rows, count;
};

/* codes[i] becomes 0 for absent, else the number, from 1, of the value's entry. weights[i] is how many rows item i
 * stands for (NULL: one each). With `hasty`, columns that seem unique are given up early. What the result points at
 * lives in the arena; strings point where the values do. */
enum collected dictionary_collect(const struct value *values, const uint32_t *weights, uint32_t count,
                                  uint32_t distinct_max, bool hasty, struct arena *scratch, uint32_t *codes,
                                  struct distinct *ret_distinct) MUST_USE;
/* The same for integers, or for the bits of doubles. */
enum collected dictionary_collect_words(const uint64_t *words, bool doubles, const uint64_t *presence,
                                        const uint32_t *weights, uint32_t count, uint32_t distinct_max,
                                        struct arena *scratch, uint32_t *codes, struct distinct *ret_distinct) MUST_USE;
/* The entries' numbers in ascending order (value_cmp); they are distinct. */
enum status dictionary_order(const struct value *entries, uint32_t count, struct arena *scratch,
                             uint32_t *ret_order) MUST_USE;
/* Appends a dictionary: entries[order[i]] and rows[order[i]], ascending. */
enum status dictionary_write(struct buf *buf, const struct value *entries, const uint32_t *rows, const uint32_t *order,
                             uint32_t count, struct arena *scratch) MUST_USE;
