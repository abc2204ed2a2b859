#pragma once
/*
 * Chunks: one column of one run, encoded (docs/formats/section.md, "Encodings").
 *
 * Writing: chunk_encode() looks at all values of the column, picks the smallest encoding that decodes fast, and appends
 * the dictionary and the blocks to the section being built. Reading: a chunk descriptor is parsed from the chunk table;
 * blocks and the dictionary are byte ranges that the caller fetches (from RAM or through the block cache, checksums
 * already verified) and this module decodes one vector at a time, checking every offset: damaged bytes give CORRUPT,
 * never a wild read.
 */
#include "base/arena.h"
#include "column/vector.h"
#include "store/out.h"

#define BLOCK_VECTORS 16
#define BLOCK_ITEMS   (BLOCK_VECTORS * VECTOR_ROWS_MAX)

enum chunk_encoding {
    CHUNK_CONST = 1,
    CHUNK_DICT = 2,
    CHUNK_INT = 3,
    CHUNK_DOUBLE = 4,
    CHUNK_BYTES = 5,
    CHUNK_VARIANT = 6,
    CHUNK_SPARSE = 7,
};

enum core_stream {
    CORE_PERSON = 0xFFFFFF00u,
    CORE_RUN,
    CORE_VECTOR,
    CORE_MINUTE,
    CORE_MS,
    CORE_ID,
    CORE_INSERT,
    CORE_RECEIVED,
    CORE_FLAGS,
};
#define PROPERTY_ID_MAX 0xFFFFFEFFu

struct chunk {
    uint32_t property;
    uint8_t encoding;
    uint16_t types;
    uint32_t items, present, distinct, block_count;
    struct section_ref dictionary;
    const unsigned char *block_refs; /* block_count × SECTION_REF_BYTES inside the chunk table */
};
struct section_ref chunk_block(const struct chunk *chunk, uint32_t index);

/* Encodes `count` values (ABSENT where not set; not all absent), appending objects to `out` and the descriptor to
 * `table`. `scratch` is used for sorting; reset it between columns. */
enum status chunk_encode(uint32_t property, const struct value *values, uint32_t count, struct arena *scratch,
                         struct section_out *out, struct buf *table) MUST_USE;
/* A column in which only the `present` items items[] (ascending) are set: cost and size follow what is there, so that a
 * million rare properties cost no more than the same values in one column. */
enum status chunk_encode_sparse(uint32_t property, const uint32_t *items, const struct value *values, uint32_t present,
                                uint32_t count, struct section_out *out, struct buf *table) MUST_USE;
static inline bool chunk_is_sparse(uint32_t present, uint32_t count)
{
    return (uint64_t)present * 32 < count;
}
/* The same for a column of integers that are all present. */
enum status chunk_encode_ints(uint32_t property, const uint64_t *values, uint32_t count, struct section_out *out,
                              struct buf *table) MUST_USE;

/* Parses the descriptor at the reader. */
enum status chunk_read(struct reader *table, struct chunk *ret_chunk) MUST_USE;

/* The values of a DICT, CONST or SPARSE dictionary: DICT gets an ABSENT entry 0 in front. The values point into
 * `bytes`. For SPARSE, *ret_items (else untouched) gets the item numbers. */
enum status chunk_dictionary(const struct chunk *chunk, struct str bytes, struct arena *arena,
                             struct value **ret_values, uint32_t *ret_count, uint32_t **ret_items) MUST_USE;
/* Items of a vector; vectors are numbered through the whole chunk. */
uint32_t chunk_vector_items(const struct chunk *chunk, uint32_t vector);
/* These decode one vector, given the bytes of its block (number vector / BLOCK_VECTORS). INT items, all present: */
enum status chunk_decode_ints(const struct chunk *chunk, struct str block, uint32_t vector,
                              int64_t *ret_values) MUST_USE;
/* DICT codes, checked against dict_count: */
enum status chunk_decode_codes(const struct chunk *chunk, struct str block, uint32_t vector, uint32_t dict_count,
                               uint32_t *ret_codes) MUST_USE;
/* INT, DOUBLE, BYTES, VARIANT as values; strings point into `block`. */
enum status chunk_decode_values(const struct chunk *chunk, struct str block, uint32_t vector,
                                struct value *ret_values) MUST_USE;
