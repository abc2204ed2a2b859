#pragma once
/*
 * Up to 1024 rows of one column, as the store decodes them and as expressions pass them on. A vector does not own its
 * bytes: they live as long as the run cursor or the expression state that filled it says.
 *
 *   FLAT   values[i] is row i
 *   CONST  values[0] is every row
 *   DICT   values[codes[i]] is row i; code 0 is always ABSENT. `dict_id` names the dictionary (never 0): while it is
 * the same, values[] is the same, so work per distinct value can be kept between vectors.
 */
#include "column/value.h"

#define VECTOR_ROWS_MAX 1024

enum vector_kind { VECTOR_FLAT, VECTOR_CONST, VECTOR_DICT };

struct vector {
    enum vector_kind kind;
    uint32_t count;      /* rows */
    uint32_t dict_count; /* DICT: entries of values[] */
    uint64_t dict_id;
    const struct value *values;
    const uint32_t *codes;
};

static inline struct value vector_at(const struct vector *v, uint32_t row)
{
    return v->values[v->kind == VECTOR_FLAT ? row : v->kind == VECTOR_CONST ? 0 : v->codes[row]];
}
