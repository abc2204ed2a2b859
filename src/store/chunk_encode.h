#pragma once
/*
 * Writing chunks: the encoding is chosen from the values, dictionary and blocks go to `out`, the descriptor to `table`.
 * `scratch` is used for sorting and counting; reset it between columns. LIMIT when memory or a limit of the buffers
 * does not suffice. Not all values may be absent.
 */
#include "store/chunk.h"

/* How many rows each person of the run has, in the order of the rows; they add up to the count of rows. With it, a
 * column in which all rows of a person agree is written once per person (chunk.per_person). Optional everywhere: NULL.
 */
struct chunk_persons {
    const uint32_t *rows;
    uint32_t count;
};

/* `count` values, ABSENT where not set. */
enum status chunk_encode_values(uint32_t property, const struct value *values, uint32_t count,
                                const struct chunk_persons *persons, struct arena *scratch, struct section_out *out,
                                struct buf *table) MUST_USE;
/* A column in which only the `present` items items[] (ascending) are set: cost and size follow what is there, so that a
 * million rare properties cost no more than the same values in one column. */
enum status chunk_encode_sparse(uint32_t property, const uint32_t *items, const struct value *values, uint32_t present,
                                uint32_t count, struct section_out *out, struct buf *table) MUST_USE;

/* Typed input, for merges. `presence` has one bit per item as chunk_decode_presence returns them, through the whole
 * column; NULL: all are present. What stands in absent places does not matter. Doubles are finite; whole ones become
 * INT values as everywhere. */
enum status chunk_encode_integers(uint32_t property, const int64_t *values, const uint64_t *presence, uint32_t count,
                                  const struct chunk_persons *persons, struct arena *scratch, struct section_out *out,
                                  struct buf *table) MUST_USE;
enum status chunk_encode_doubles(uint32_t property, const double *values, const uint64_t *presence, uint32_t count,
                                 const struct chunk_persons *persons, struct arena *scratch, struct section_out *out,
                                 struct buf *table) MUST_USE;
/* codes[i] is 0 for absent or the number, from 1, of a value in entries[entry_count], which strictly ascend by
 * value_cmp. Entries that no code names are dropped. */
enum status chunk_encode_codes(uint32_t property, const struct value *entries, uint32_t entry_count,
                               const uint32_t *codes, uint32_t count, const struct chunk_persons *persons,
                               struct arena *scratch, struct section_out *out, struct buf *table) MUST_USE;

/* Core streams: always INT, all present; CORE_RECEIVED and CORE_FLAGS are CONST where they can be. */
enum status chunk_encode_stream(uint32_t property, const uint64_t *values, uint32_t count, struct section_out *out,
                                struct buf *table) MUST_USE;
/* CORE_ID, given the persons of the rows: PERSON_ID, or INT where that is smaller. */
enum status chunk_encode_person_ids(const uint32_t *ids, const uint32_t *persons, uint32_t count, struct arena *scratch,
                                    struct section_out *out, struct buf *table) MUST_USE;
