#pragma once
/* XXH3-64 (libxxhash): in-memory tables and, with seed 0, the checksums of docs/formats/. Not for secrets. */
#include "base/str.h"

uint64_t hash_bytes(const void *data, size_t size, uint64_t seed);
static inline uint64_t hash_str(struct str s)
{
    return hash_bytes(s.data, s.size, 0);
}
/* A mixer for integers (the finaliser of splitmix64). */
static inline uint64_t hash_u64(uint64_t value, uint64_t seed)
{
    uint64_t z = value + seed * 0x9E3779B97F4A7C15u + 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}
