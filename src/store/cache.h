#pragma once
/*
 * The block cache: checksum-verified pieces of section files, bounded in bytes, shared by all readers. An entry that
 * somebody holds (a pin) stays; others go in the order of a clock hand. Thread-safe.
 */
#include "os/fs.h"
#include "store/chunk.h"

struct cache;
struct cache_entry;

struct pinned {
    struct str bytes;
    struct cache_entry *entry; /* NULL: the bytes belong to somebody else (an image in RAM) */
};

struct cache *cache_new(size_t bytes_max);
void cache_free(struct cache *cache);
/* The object `ref` of the section that starts at file offset `base`. CORRUPT when its checksum is wrong; IO; LIMIT. */
enum status cache_fetch(struct cache *cache, struct os_file *file, uint64_t file_id, uint64_t base,
                        struct section_ref ref, struct error *error, struct pinned *ret_pinned) MUST_USE;
void pinned_release(struct pinned *pinned);
size_t cache_bytes(struct cache *cache);
