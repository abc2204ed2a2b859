#pragma once
/*
 * Split block Bloom filter, as in the Apache Parquet format specification (BloomFilter.md): 256-bit blocks, a key sets
 * one bit in each of the block's eight 32-bit words, so a probe costs one cache line. At 16 bits a key about 1 in 2000
 * absent keys passes.
 */
#include "base/str.h"

#define FILTER_KIND_SPLIT_BLOCK 1

/* Bytes for so many keys: whole 32-byte blocks. */
size_t filter_bytes(size_t keys);
void filter_add(unsigned char *filter, size_t bytes, uint64_t key);
bool filter_has(const unsigned char *filter, size_t bytes, uint64_t key);
