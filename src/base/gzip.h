#pragma once
/*
 * gzip and zlib bodies (RFC 1952, RFC 1950) through libdeflate, whole and bounded. Thread-safe: each thread keeps its
 * own (de)compressor.
 */
#include "base/arena.h"
#include "base/error.h"

static inline bool gzip_magic(struct str s)
{
    return s.size >= 2 && (unsigned char)s.data[0] == 0x1F && (unsigned char)s.data[1] == 0x8B;
}
/* Unpacks one or more gzip members (or one zlib stream when the magic is absent). LIMIT when more than `size_max` bytes
 * come out, INVALID when the data is damaged or cut short. The result lies in the arena. */
enum status gzip_decompress(struct arena *arena, struct str packed, size_t size_max, struct error *error,
                            struct str *ret_plain) MUST_USE;
/* level 1..12 */
enum status gzip_compress(struct arena *arena, struct str plain, int level, struct str *ret_packed) MUST_USE;
