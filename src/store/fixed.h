#pragma once
/*
 * Strings of one length as binary numbers (docs/formats/section.md, "FIXED"): insert ids, UUIDs, hashes, digits. Works
 * on one vector: positions at which all strings have the same byte (dashes, a version digit, a prefix) are written
 * once; the others hold digits of the smallest alphabet that covers them, which become integers, packed as offsets from
 * their least. Every byte comes back.
 */
#include "column/value.h"

#define FIXED_BYTES_MAX 64

/* Appends what follows the presence bits; strings[i] has `length` bytes, or is absent (data NULL). *ret_alphabet and
 * *ret_words belong into the head. */
void fixed_encode(struct buf *buf, const struct value *values, uint32_t count, unsigned length, unsigned *ret_alphabet,
                  unsigned *ret_words);
/* Writes count · length bytes to `text`. */
enum status fixed_decode(struct reader *reader, uint32_t count, unsigned length, unsigned alphabet, unsigned words,
                         char *text) MUST_USE;
/* The same of some strings only: `items` are their places, below `count`; writes item_count · length bytes. */
enum status fixed_pick(struct reader *reader, uint32_t count, const uint32_t *items, uint32_t item_count,
                       unsigned length, unsigned alphabet, unsigned words, char *text) MUST_USE;
