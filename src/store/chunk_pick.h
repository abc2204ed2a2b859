#pragma once
/*
 * Single items of a vector, for readers who want few of them (chunk.h decodes whole vectors). The same trust: none, and
 * the same checks, for the items that are picked. `items` are places within the vector, strictly ascending, at most
 * CHUNK_PICKS_MAX of them; a place behind the vector's last item gives CORRUPT. No DICT, CONST, SPARSE here but codes.
 */
#include "store/chunk.h"

#define CHUNK_PICKS_MAX 128

struct chunk_picks {
    const uint32_t *items;
    uint32_t count;
};
/* DICT: codes below dict_count. */
enum status chunk_pick_codes(const struct chunk *chunk, struct str block, uint32_t vector, struct chunk_picks picks,
                             uint32_t dict_count, uint32_t *ret_codes) MUST_USE;
/* INT. CORRUPT when one of them is absent: core streams never have such. */
enum status chunk_pick_ints(const struct chunk *chunk, struct str block, uint32_t vector, struct chunk_picks picks,
                            int64_t *ret_values) MUST_USE;
/* PERSON_ID: `ids` holds the persons of the rows that are picked and becomes their ids. */
enum status chunk_pick_person_ids(const struct chunk *chunk, struct str block, uint32_t vector,
                                  struct chunk_picks picks, uint32_t *ids) MUST_USE;
/* INT, DECIMAL, DOUBLE, BYTES, VARIANT and FIXED as values. Strings of FIXED are written to `text`, chunk->parameter
 * bytes each; all others point into `block`. */
enum status chunk_pick_values(const struct chunk *chunk, struct str block, uint32_t vector, struct chunk_picks picks,
                              char *text, struct value *ret_values) MUST_USE;
