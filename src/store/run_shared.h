#pragma once
/*
 * Reading columns that are written once per person (chunk_exceptions.h), for run.c, run_column.c and scan_pick.c: the
 * items of a vector's persons are repeated for their rows, then the items of its exceptions are put over them.
 *
 * Rows of a vector belong to neighbours in the list of persons, so their items lie in at most two vectors of items, and
 * so do those of its exceptions; the next vector of rows goes on where this one ended. What is decoded is kept.
 */
#include "store/chunk_exceptions.h"
#include "store/run_int.h"

/* Whether the descriptor fits the run; CORRUPT if not. */
enum status run_shared_check(const struct run *run, const struct chunk *chunk) MUST_USE;
/* Lets go of blocks. */
void run_shared_release(struct run_column *column);

/* One vector of rows; the column is prepared. */
enum status run_shared_read(struct run *run, struct run_column *column, uint32_t vector, struct error *error,
                            struct vector *ret) MUST_USE;
enum status run_shared_codes(struct run *run, struct run_column *column, uint32_t vector, struct error *error,
                             uint32_t *ret_codes) MUST_USE;
/* Of a dictionary of at most 65536 entries. */
enum status run_shared_codes16(struct run *run, struct run_column *column, uint32_t vector, struct error *error,
                               uint16_t *ret_codes) MUST_USE;
/* NAN where a row has none. */
enum status run_shared_numbers(struct run *run, struct run_column *column, uint32_t vector, struct error *error,
                               double *ret_numbers) MUST_USE;
/* The exceptions of a vector of rows, until another one's are asked for. */
enum status run_shared_exceptions(struct run *run, struct run_column *column, uint32_t vector, struct error *error,
                                  const struct chunk_exceptions **ret_exceptions) MUST_USE;
/* Of some rows of the vector, ascending, with the places of their persons: the items. Those that are no exceptions
 * ascend, and so do those that are. */
enum status run_shared_items(struct run *run, struct run_column *column, uint32_t vector, const uint32_t *rows,
                             const uint32_t *ordinals, uint32_t count, struct error *error,
                             uint32_t *ret_items) MUST_USE;
