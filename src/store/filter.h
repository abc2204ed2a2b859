#pragma once
/*
 * Split block Bloom filter, as in the Apache Parquet format specification (BloomFilter.md): 256-bit blocks, a key sets
 * one bit in each of the block's eight 32-bit words, so a probe costs one cache line. At 16 bits a key about 1 in 2000
 * absent keys passes.
 */
#include "base/buf.h"
#include "base/status.h"

#define FILTER_KIND_NONE        0
#define FILTER_KIND_SPLIT_BLOCK 1
#define FILTER_KIND_FUSE        2

/* Bytes for so many keys: whole 32-byte blocks. */
size_t filter_bytes(size_t keys);
void filter_add(unsigned char *filter, size_t bytes, uint64_t key);
bool filter_has(const unsigned char *filter, size_t bytes, uint64_t key);

/*
 * Binary fuse filters: made at once from all keys, in 9 bits each; 1 in 256 absent keys passes. Big sets are split, so
 * that building takes 40 MB a thread however many keys there are; the bytes are the same with any number of threads.
 *
 * Appends the filter to `out` (no keys: nothing). keys[] is used up: reordered and overwritten. Keys may repeat. LIMIT
 * when memory or the buffer does not suffice.
 */
enum status fuse_build(uint64_t *keys, size_t count, unsigned threads, struct buf *out) MUST_USE;
/* False only when the key is not in the set. True also when the bytes are not what they should be. */
bool fuse_has(struct str filter, uint64_t key);
