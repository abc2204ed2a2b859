#pragma once
/*
 * Chunks: one column of one run, encoded (docs/formats/section.md, "Encodings").
 *
 * Writing (chunk_encode.h) looks at all values of the column, picks the smallest encoding that decodes fast, and
 * appends the dictionary and the blocks to the section being built. Reading, here: a chunk descriptor is parsed from
 * the chunk table; blocks and the dictionary are byte ranges that the caller fetches (from RAM or through the block
 * cache, checksums already verified) and this module decodes one vector at a time.
 *
 * Nothing in the bytes is trusted. Everything decoded is checked against what the head of its vector promises: codes
 * are below the dictionary's count, numbers lie in the vector's range. Damaged bytes give CORRUPT or other values,
 * never a wild read and never a number outside of the range. All functions are pure and may run in any thread.
 *
 * `vector` counts through the whole chunk; `block` is the bytes of block number vector / BLOCK_VECTORS. Output arrays
 * have VECTOR_ROWS_MAX places; only the vector's items are set.
 */
#include "base/arena.h"
#include "column/vector.h"
#include "store/out.h"

#define BLOCK_VECTORS 16
#define BLOCK_ITEMS   (BLOCK_VECTORS * VECTOR_ROWS_MAX)

enum chunk_encoding {
    CHUNK_CONST = 1,      /* one value for all items */
    CHUNK_DICT = 2,       /* codes into a sorted dictionary; code 0 is ABSENT */
    CHUNK_INT = 3,        /* min + scale * offset */
    CHUNK_DOUBLE = 4,     /* 8 bytes each */
    CHUNK_BYTES = 5,      /* strings */
    CHUNK_VARIANT = 6,    /* any values, one after the other */
    CHUNK_SPARSE = 7,     /* the few items that are set */
    CHUNK_DECIMAL = 8,    /* integers as in INT, divided by a power of ten */
    CHUNK_FIXED = 9,      /* strings of one length, over small alphabets */
    CHUNK_PERSON_ID = 10, /* CORE_ID: the id is the row's person except in listed ranges */
};
#define CHUNK_ENCODING_MAX CHUNK_PERSON_ID

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

#define CHUNK_FIXED_BYTES_MAX 64
#define CHUNK_EXPONENT_MAX    22
#define CHUNK_DECIMAL_MAX     ((int64_t)1 << 52) /* of the integers of a DECIMAL: sums of base and offset are exact */
#define CHUNK_DICTIONARY_MAX  (1u << 20)
#define CHUNK_PRESENCE_WORDS  (VECTOR_ROWS_MAX / 64)

struct chunk {
    uint32_t property;
    uint8_t encoding;
    bool per_person;   /* the items are the run's persons (in the order of CORE_PERSON), not its rows; behind them come
                          the exceptions. See chunk_exceptions.h */
    uint8_t parameter; /* DECIMAL: exponent of ten; FIXED: bytes of a string */
    uint16_t types;    /* bit = enum value_type, of the items (ABSENT as well) */
    uint32_t items;
    uint32_t present;  /* rows that have a value: of rows also when per_person */
    uint32_t distinct; /* DICT: entries of the dictionary without ABSENT; CONST 1; otherwise 0: unknown */
    uint32_t block_count;
    struct section_ref dictionary;   /* CONST, DICT, SPARSE; else empty */
    const unsigned char *block_refs; /* block_count × SECTION_REF_BYTES inside the chunk table */
    uint32_t exceptions;             /* per_person: the last so many items are of ranges of rows */
    uint32_t exception_block_count;  /* one for each BLOCK_ITEMS rows, or none */
    const unsigned char *exception_refs;
};
struct section_ref chunk_block(const struct chunk *chunk, uint32_t index);
struct section_ref chunk_exception_block(const struct chunk *chunk, uint32_t index);
/* Parses the descriptor at the reader. */
enum status chunk_read(struct reader *table, struct chunk *ret_chunk) MUST_USE;
/* Adds `base` to every reference of a chunk table that this process has written for objects elsewhere. */
void chunk_table_move(char *table, size_t size, uint64_t base);
/* Items of a vector, 0 behind the last. */
uint32_t chunk_vector_items(const struct chunk *chunk, uint32_t vector);

/* So few are set that SPARSE is used. */
static inline bool chunk_is_sparse(uint32_t present, uint32_t count)
{
    return (uint64_t)present * 32 < count;
}

/* --- dictionaries --- */

/* The values of a DICT, CONST or SPARSE dictionary: DICT gets an ABSENT entry 0 in front, and its entries ascend by
 * value_cmp. Strings of a DICT are decoded into the arena, the other values point into `bytes`. For SPARSE, *ret_items
 * (else untouched) gets the item numbers. LIMIT when the arena's budget does not suffice. */
enum status chunk_dictionary(const struct chunk *chunk, struct str bytes, struct arena *arena,
                             struct value **ret_values, uint32_t *ret_count, uint32_t **ret_items) MUST_USE;
/* DICT: how many rows have each entry, *ret_count as above; [0] counts the rows in which it is absent, given the run's
 * number of rows. Deleted rows are counted. */
enum status chunk_dictionary_counts(const struct chunk *chunk, struct str bytes, uint32_t rows, struct arena *arena,
                                    uint32_t **ret_rows, uint32_t *ret_count) MUST_USE;

/* --- vectors of codes: DICT --- */

/* Codes, each below dict_count (as chunk_dictionary returned it). 16 bits are enough whenever dict_count <= 65536. */
enum status chunk_decode_codes16(const struct chunk *chunk, struct str block, uint32_t vector, uint32_t dict_count,
                                 uint16_t *ret_codes) MUST_USE;
enum status chunk_decode_codes32(const struct chunk *chunk, struct str block, uint32_t vector, uint32_t dict_count,
                                 uint32_t *ret_codes) MUST_USE;
/* Bounds of the vector's codes that are known without decoding: the least is met, the greatest may not be. */
enum status chunk_codes_range(const struct chunk *chunk, struct str block, uint32_t vector, uint32_t dict_count,
                              uint32_t *ret_min, uint32_t *ret_max) MUST_USE;

/* --- vectors of numbers: INT, DECIMAL, DOUBLE --- */

/* What the head of an INT or DECIMAL vector says. Item i is min + scale * offset i; the integers of a DECIMAL are to be
 * divided by 10^parameter. The items lie in [min, max], which are reached; absent items have offset 0. */
struct chunk_ints {
    uint32_t items;
    unsigned width; /* bits of an offset: decides between 16, 32 and 64 */
    uint32_t scale; /* at least 1 */
    int64_t min, max;
    bool all_present;
};
enum status chunk_ints(const struct chunk *chunk, struct str block, uint32_t vector, struct chunk_ints *ret) MUST_USE;
/* The offsets: 16 when width <= 16, 32 when width <= 32 (CORRUPT when it is greater). They are checked:
 * scale * offset <= max - min. */
enum status chunk_decode_offsets16(const struct chunk *chunk, struct str block, uint32_t vector,
                                   struct chunk_ints *ret_head, uint16_t *ret_offsets) MUST_USE;
enum status chunk_decode_offsets32(const struct chunk *chunk, struct str block, uint32_t vector,
                                   struct chunk_ints *ret_head, uint32_t *ret_offsets) MUST_USE;
/* The items of an INT vector, any width. CORRUPT when some are absent: core streams never have such. */
enum status chunk_decode_ints(const struct chunk *chunk, struct str block, uint32_t vector,
                              int64_t *ret_values) MUST_USE;
/* Presence bits of an INT, DECIMAL, DOUBLE, BYTES or FIXED vector: bit i % 64 of word i / 64; zero behind the items. */
enum status chunk_decode_presence(const struct chunk *chunk, struct str block, uint32_t vector,
                                  uint64_t ret_bits[CHUNK_PRESENCE_WORDS]) MUST_USE;
/* INT (rounded to double where it must be), DECIMAL and DOUBLE, with presence as above. The numbers of absent items
 * mean nothing but lie in the range. */
enum status chunk_decode_doubles(const struct chunk *chunk, struct str block, uint32_t vector, double *ret_values,
                                 uint64_t ret_bits[CHUNK_PRESENCE_WORDS]) MUST_USE;
/* Zone map: the least and the greatest present number of an INT, DECIMAL or DOUBLE vector, as chunk_decode_doubles
 * would return them, without decoding. *ret_any is false when no item is present, and the bounds mean nothing. */
enum status chunk_vector_range(const struct chunk *chunk, struct str block, uint32_t vector, double *ret_min,
                               double *ret_max, bool *ret_any) MUST_USE;
/* One item of an INT chunk; `block` is the one that holds it. NOT_FOUND when it is absent. */
enum status chunk_get_int(const struct chunk *chunk, struct str block, uint32_t item, int64_t *ret_value) MUST_USE;

/* --- others --- */

/* PERSON_ID: `ids` holds the persons of the vector's rows and becomes their ids. */
enum status chunk_decode_person_ids(const struct chunk *chunk, struct str block, uint32_t vector,
                                    uint32_t *ids) MUST_USE;
/* Bytes that chunk_decode_values needs at `text` for one vector: 0 but for FIXED. */
size_t chunk_text_bytes(const struct chunk *chunk);
/* INT, DECIMAL, DOUBLE, BYTES, VARIANT and FIXED as values. Strings of FIXED point into `text`, all others into
 * `block`. */
enum status chunk_decode_values(const struct chunk *chunk, struct str block, uint32_t vector, char *text,
                                struct value *ret_values) MUST_USE;
