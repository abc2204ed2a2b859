#include "store/chunk_exceptions.h"

#include "store/bitpack.h"
#include "store/chunk_int.h"

enum status chunk_decode_exceptions(const struct chunk *chunk, struct str block, uint32_t run_rows, uint32_t vector,
                                    struct chunk_exceptions *ret)
{
    struct chunk rows_of_run = {.items = run_rows}; /* exception blocks are laid out like those of a column of rows */
    uint32_t rows = chunk_vector_items(&rows_of_run, vector);
    struct reader reader;
    TRY(chunk_open_vector(&rows_of_run, block, vector, &reader));
    uint32_t count = read_u16(&reader);
    unsigned width = read_u8(&reader);
    (void)read_u8(&reader);
    uint32_t first = read_u32(&reader);
    if (reader.failed || count > rows || width > 10 || first > chunk->exceptions || count > chunk->exceptions - first)
        return STATUS_CORRUPT;
    struct str starts = read_bytes(&reader, bitpack_bytes(count, 10));
    struct str sizes = read_bytes(&reader, bitpack_bytes(count, width));
    if (reader.failed) return STATUS_CORRUPT;
    uint64_t free_from = 0;
    for (uint32_t r = 0; r < count; r++) {
        uint64_t start = bitpack_get((const unsigned char *)starts.data, r, 10);
        uint64_t end = start + bitpack_get((const unsigned char *)sizes.data, r, width) + 1;
        if (start < free_from || end > rows) return STATUS_CORRUPT;
        ret->starts[r] = (uint16_t)start;
        ret->ends[r] = (uint16_t)end;
        free_from = end;
    }
    ret->count = count;
    ret->first = chunk_exception_items(chunk) + first;
    return STATUS_OK;
}
