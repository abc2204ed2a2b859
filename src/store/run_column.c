/*
 * Reading columns as codes and numbers, for those who do not need values.
 */
#include "store/chunk_int.h"
#include "store/run_shared.h"
#include "store/store.h"
#include "store/unpack.h"

#include <math.h>

enum status run_describe(struct run *run, struct run_column *column, struct error *error, struct scan_column *ret)
{
    *ret = (struct scan_column){.form = SCAN_VALUES};
    switch (column->chunk.encoding) {
    case CHUNK_CONST:
    case CHUNK_DICT:
        TRY(run_prepare_dictionary(run, column, error));
        ret->form = column->chunk.encoding == CHUNK_CONST ? SCAN_CONST : SCAN_CODES;
        ret->values = column->values;
        ret->value_count = column->chunk.encoding == CHUNK_CONST ? 1 : column->dict_count;
        break;
    case CHUNK_INT:
    case CHUNK_DECIMAL:
    case CHUNK_DOUBLE: ret->form = SCAN_NUMBERS; break;
    default: break;
    }
    return STATUS_OK;
}

enum status run_value_rows(struct run *run, struct run_column *column, struct error *error, const uint32_t **ret_rows)
{
    uint32_t *rows, count;
    TRY(run_prepare_dictionary(run, column, error));
    enum status status =
        chunk_dictionary_counts(&column->chunk, column->dictionary.bytes, run->event->rows, run->arena, &rows, &count);
    *ret_rows = rows;
    return run_damaged(run, status, error);
}

enum status run_read_codes(struct run *run, struct run_column *column, uint32_t vector, struct error *error,
                           uint32_t *ret_codes)
{
    TRY(run_prepare_dictionary(run, column, error));
    if (column->chunk.encoding != CHUNK_DICT) return error_set(error, STATUS_INTERNAL, "the column has no codes");
    if (column->chunk.per_person) return run_shared_codes(run, column, vector, error, ret_codes);
    TRY(run_pin_block(run, column, vector, error));
    return run_damaged(
        run, chunk_decode_codes32(&column->chunk, column->block.bytes, vector, column->dict_count, ret_codes), error);
}

enum status run_read_numbers(struct run *run, struct run_column *column, uint32_t vector, struct error *error,
                             double *ret_numbers)
{
    uint32_t rows = run_vector_rows(run, vector);
    if (column->chunk.per_person) return run_shared_numbers(run, column, vector, error, ret_numbers);
    uint64_t present[CHUNK_PRESENCE_WORDS];
    TRY(run_pin_block(run, column, vector, error));
    TRY(run_damaged(run, chunk_decode_doubles(&column->chunk, column->block.bytes, vector, ret_numbers, present),
                    error));
    for (uint32_t at = 0; at < rows; at += 64) {
        uint32_t end = rows - at < 64 ? rows - at : 64;
        uint64_t all = end == 64 ? UINT64_MAX : ((uint64_t)1 << end) - 1;
        if ((present[at / 64] & all) == all) continue;
        for (uint32_t i = 0; i < end; i++) {
            if (!(present[at / 64] >> i & 1)) ret_numbers[at + i] = NAN;
        }
    }
    return STATUS_OK;
}

enum status run_number_range(struct run *run, struct run_column *column, uint32_t vector, struct error *error,
                             double *ret_min, double *ret_max)
{
    bool any;
    *ret_min = -INFINITY;
    *ret_max = INFINITY;
    if (column->chunk.per_person) return STATUS_OK;
    TRY(run_pin_block(run, column, vector, error));
    TRY(run_damaged(run, chunk_vector_range(&column->chunk, column->block.bytes, vector, ret_min, ret_max, &any),
                    error));
    if (!any) { /* no number: nothing compares */
        *ret_min = INFINITY;
        *ret_max = -INFINITY;
    }
    return STATUS_OK;
}

enum status run_read_u32(struct run *run, enum core_stream stream, uint32_t vector, struct error *error,
                         uint32_t *ret_values)
{
    const struct unpack_table *table = CPU_SELECT(unpack_table);
    struct run_column *column = run_column(run, stream);
    struct chunk_open_ints ints;
    if (!column || column->chunk.encoding != CHUNK_INT) return run_damaged(run, STATUS_CORRUPT, error);
    TRY(run_pin_block(run, column, vector, error));
    TRY(run_damaged(run, chunk_open_ints(&column->chunk, column->block.bytes, vector, &ints), error));
    const struct chunk_ints *head = &ints.head;
    if (ints.presence || head->min < 0 || head->max > UINT32_MAX) return run_damaged(run, STATUS_CORRUPT, error);
    if (head->width <= 16) {
        uint16_t offsets[VECTOR_ROWS_MAX];
        TRY(run_damaged(run, chunk_unpack_offsets16(&ints, offsets), error));
        table->ints16(offsets, head->items, (uint32_t)head->min, head->scale, ret_values);
        return STATUS_OK;
    }
    TRY(run_damaged(run, chunk_unpack_offsets32(&ints, ret_values), error));
    table->ints32(ret_values, head->items, (uint32_t)head->min, head->scale);
    return STATUS_OK;
}
