/*
 * Reading columns as codes and numbers, for those who do not need values.
 */
#include "store/run_int.h"
#include "store/store.h"

#include <math.h>

enum status run_describe(struct run *run, struct run_column *column, struct error *error, struct scan_column *ret)
{
    TRY(run_prepare(run, column, error));
    *ret = (struct scan_column){.form = SCAN_VALUES};
    switch (column->chunk.encoding) {
    case CHUNK_CONST:
        ret->form = SCAN_CONST;
        ret->values = column->values;
        ret->value_count = 1;
        break;
    case CHUNK_DICT:
        ret->form = SCAN_CODES;
        ret->values = column->values;
        ret->value_count = column->dict_count;
        break;
    case CHUNK_INT:
    case CHUNK_DOUBLE: ret->form = SCAN_NUMBERS; break;
    default: break;
    }
    return STATUS_OK;
}

enum status run_read_codes(struct run *run, struct run_column *column, uint32_t vector, struct error *error,
                           uint32_t *ret_codes)
{
    struct vector codes;
    TRY(run_read(run, column, vector, error, &codes));
    if (codes.kind != VECTOR_DICT) return error_set(error, STATUS_INTERNAL, "the column has no codes");
    memcpy(ret_codes, codes.codes, codes.count * sizeof *ret_codes);
    return STATUS_OK;
}

enum status run_read_numbers(struct run *run, struct run_column *column, uint32_t vector, struct error *error,
                             double *ret_numbers)
{
    struct vector values;
    TRY(run_read(run, column, vector, error, &values));
    for (uint32_t i = 0; i < values.count; i++) {
        if (!value_double(vector_at(&values, i), &ret_numbers[i])) ret_numbers[i] = NAN;
    }
    return STATUS_OK;
}

enum status run_number_range(struct run *run, struct run_column *column, uint32_t vector, struct error *error,
                             double *ret_min, double *ret_max)
{
    (void)run;
    (void)column;
    (void)vector;
    (void)error;
    *ret_min = -INFINITY;
    *ret_max = INFINITY;
    return STATUS_OK;
}

enum status run_read_u32(struct run *run, enum core_stream stream, uint32_t vector, struct error *error,
                         uint32_t *ret_values)
{
    int64_t values[VECTOR_ROWS_MAX];
    TRY(run_read_ints(run, stream, vector, error, values));
    uint32_t rows = run_vector_rows(run, vector);
    for (uint32_t i = 0; i < rows; i++) ret_values[i] = (uint32_t)values[i];
    return STATUS_OK;
}
