#pragma once
/*
 * Columns that are written once per person (struct chunk, per_person), and the rows that differ.
 *
 * Of most properties all rows of a person agree, or all but a few: a city, a browser, the id of a device. Such a column
 * holds one item per person of the run, in their order, and behind these one item per exception: a range of rows of one
 * vector that has another value than its person's item. The items are encoded like those of any column and know nothing
 * of rows; which rows have which item is told by
 *
 *   the list of persons and their lengths (CORE_RUN, CORE_VECTOR), and
 *   the exception blocks, one for every BLOCK_ITEMS rows: the ranges of each vector of rows.
 *
 * Ranges and items of exceptions have the same order, so that those of a vector of rows are neighbours.
 */
#include "store/chunk.h"

/* The item of the first exception, which is the number of persons. */
static inline uint32_t chunk_exception_items(const struct chunk *chunk)
{
    return chunk->items - chunk->exceptions;
}

/* Range r of a vector of rows: [starts[r], ends[r]) have the item `first` + r. They ascend and do not overlap. */
struct chunk_exceptions {
    uint32_t count, first;
    uint16_t starts[VECTOR_ROWS_MAX], ends[VECTOR_ROWS_MAX];
};
/* `run_rows`: of the whole run. `block` is the exception block number vector / BLOCK_VECTORS. */
enum status chunk_decode_exceptions(const struct chunk *chunk, struct str block, uint32_t run_rows, uint32_t vector,
                                    struct chunk_exceptions *ret) MUST_USE;
