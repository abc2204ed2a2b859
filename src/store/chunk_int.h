#pragma once
/* What the files that read and write chunks share. */
#include "store/chunk.h"

/* The bytes of one vector inside its block. */
enum status chunk_open_vector(const struct chunk *chunk, struct str block, uint32_t vector,
                              struct reader *ret_reader) MUST_USE;
/* Presence bits, if the head says that there are any: *ret_bits points at them or is NULL. */
static inline void chunk_read_presence(struct reader *reader, bool presence, uint32_t items,
                                       const unsigned char **ret_bits)
{
    struct str bits = presence ? read_bytes(reader, ((size_t)items + 63) / 64 * 8) : STR_NULL;
    *ret_bits = (const unsigned char *)bits.data;
}
static inline bool chunk_present_at(const unsigned char *bits, uint32_t i)
{
    return !bits || (bits[i / 8] >> (i % 8) & 1);
}

/* Integers of an INT or DECIMAL vector, head checked and the packed offsets known to be there. */
struct chunk_open_ints {
    struct chunk_ints head;
    const unsigned char *packed, *presence;
};
enum status chunk_open_ints(const struct chunk *chunk, struct str block, uint32_t vector,
                            struct chunk_open_ints *ret) MUST_USE;
/* The packed offsets, checked against the head's range; CORRUPT also when they are wider than that. */
enum status chunk_unpack_offsets16(const struct chunk_open_ints *ints, uint16_t *ret_offsets) MUST_USE;
enum status chunk_unpack_offsets32(const struct chunk_open_ints *ints, uint32_t *ret_offsets) MUST_USE;
/* All integers of it; any of the two encodings, absent items included (as min). */
enum status chunk_unpack_ints(const struct chunk_open_ints *ints, int64_t *ret_values) MUST_USE;
/* 10^exponent, exactly; up to CHUNK_EXPONENT_MAX. */
double chunk_power_of_ten(unsigned exponent);
