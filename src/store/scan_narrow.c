/*
 * Columns of the current vector in as few bits as they are stored in: codes of 16 bits, integers as offsets from the
 * vector's least.
 */
#include "store/chunk_int.h"
#include "store/run_shared.h"
#include "store/scan_int.h"

static struct run_column *find(struct scan *scan, uint32_t property)
{
    if (property == SCAN_MINUTES) return run_column(&scan->run, CORE_MINUTE);
    return property > PROPERTY_ID_MAX ? NULL : run_column(&scan->run, property);
}

enum status scan_codes16(struct scan *scan, uint32_t property_id, uint32_t code_count, struct error *error,
                         uint16_t ret_codes[VECTOR_ROWS_MAX])
{
    struct run *run = &scan->run;
    struct run_column *column = find(scan, property_id);
    if (!column || column->chunk.encoding != CHUNK_DICT || code_count > UINT16_MAX)
        return error_set(error, STATUS_INTERNAL, "the column has no codes of 16 bits");
    if (column->chunk.per_person) {
        if (!column->values) column->dict_count = code_count; /* no more of the dictionary is needed */
        if (column->dict_count > code_count) return run_damaged(run, STATUS_CORRUPT, error);
        return run_shared_codes16(run, column, scan->vector, error, ret_codes);
    }
    TRY(run_pin_block(run, column, scan->vector, error));
    return run_damaged(
        run, chunk_decode_codes16(&column->chunk, column->block.bytes, scan->vector, code_count, ret_codes), error);
}

bool scan_has_integers(struct scan *scan, uint32_t property_id, double *ret_divisor)
{
    const struct run_column *column = find(scan, property_id);
    if (!column || column->chunk.per_person) return false;
    const struct chunk *chunk = &column->chunk;
    if (chunk->encoding != CHUNK_INT && chunk->encoding != CHUNK_DECIMAL) return false;
    *ret_divisor = chunk->encoding == CHUNK_DECIMAL ? chunk_power_of_ten(chunk->parameter) : 1;
    return true;
}

enum status scan_integers(struct scan *scan, uint32_t property_id, struct error *error, struct scan_integers *ret)
{
    struct run *run = &scan->run;
    struct run_column *column = find(scan, property_id);
    struct chunk_open_ints ints;
    if (!column) return error_set(error, STATUS_INTERNAL, "no such column");
    TRY(run_pin_block(run, column, scan->vector, error));
    TRY(run_damaged(run, chunk_open_ints(&column->chunk, column->block.bytes, scan->vector, &ints), error));
    if (property_id == SCAN_MINUTES && (ints.presence || ints.head.min < 0 || ints.head.max > UINT32_MAX))
        return run_damaged(run, STATUS_CORRUPT, error);
    *ret = (struct scan_integers){.min = ints.head.min,
                                  .max = ints.head.max,
                                  .scale = ints.head.scale,
                                  .width = ints.head.width,
                                  .all_present = ints.head.all_present};
    return STATUS_OK;
}

enum status scan_offsets16(struct scan *scan, uint32_t property_id, struct error *error,
                           uint16_t ret_offsets[VECTOR_ROWS_MAX])
{
    struct run *run = &scan->run;
    struct run_column *column = find(scan, property_id);
    struct chunk_ints head;
    if (!column) return error_set(error, STATUS_INTERNAL, "no such column");
    TRY(run_pin_block(run, column, scan->vector, error));
    return run_damaged(
        run, chunk_decode_offsets16(&column->chunk, column->block.bytes, scan->vector, &head, ret_offsets), error);
}

enum status scan_offsets32(struct scan *scan, uint32_t property_id, struct error *error,
                           uint32_t ret_offsets[VECTOR_ROWS_MAX])
{
    struct run *run = &scan->run;
    struct run_column *column = find(scan, property_id);
    struct chunk_ints head;
    if (!column) return error_set(error, STATUS_INTERNAL, "no such column");
    TRY(run_pin_block(run, column, scan->vector, error));
    return run_damaged(
        run, chunk_decode_offsets32(&column->chunk, column->block.bytes, scan->vector, &head, ret_offsets), error);
}

enum status scan_presence(struct scan *scan, uint32_t property_id, struct error *error,
                          uint64_t ret_bits[SCAN_MASK_WORDS])
{
    struct run *run = &scan->run;
    struct run_column *column = find(scan, property_id);
    if (!column) return error_set(error, STATUS_INTERNAL, "no such column");
    TRY(run_pin_block(run, column, scan->vector, error));
    return run_damaged(run, chunk_decode_presence(&column->chunk, column->block.bytes, scan->vector, ret_bits), error);
}
