#pragma once
/*
 * Finding out whether a column is written once per person, and with which exceptions (chunk_exceptions.h). For
 * chunk_encode.c.
 */
#include "store/chunk_encode.h"

/* The rows of a column in one of the forms in which they are handed in; the others are NULL. */
struct chunk_source {
    const uint32_t *codes;
    const uint64_t *words, *presence; /* presence NULL: all */
    const struct value *values;
    uint32_t count;
};

struct chunk_shares {
    uint32_t items;            /* persons, then exceptions */
    uint32_t exceptions, rows; /* rows: of the run */
    uint32_t *item_rows;       /* per item: a row that has its value; of an exception: its first one */
    uint32_t *weights;         /* per item: how many rows have it */
    uint32_t *sizes;           /* per exception: its rows, all in one vector */
};

/* Bits that an item of the column may take, by a sample. Codes: the caller knows. */
unsigned chunk_share_width(const struct chunk_source *source);
/* *ret_pays tells whether the column becomes smaller per person than per row, `width` bits an item being guessed; and
 * by enough to be worth the reader's while. Columns of a run with few rows a person never do. */
enum status chunk_share(const struct chunk_source *source, const struct chunk_persons *persons, unsigned width,
                        struct arena *scratch, bool *ret_pays, struct chunk_shares *ret) MUST_USE;
/* The exception blocks; their references go to `table`. */
enum status chunk_share_write(const struct chunk_shares *shares, struct section_out *out, struct buf *table) MUST_USE;
