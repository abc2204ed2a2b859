#pragma once
/*
 * Two open-addressing hash tables (linear probing, load below 3/4), both heap-backed, bounded by a maximum number of
 * entries from birth, and not thread-safe.
 *
 *   strmap  bytes -> uint64. Keys are NOT copied: they must stay where they are while they are in the map.
 *   u64map  uint64 -> uint64. Any key value is allowed.
 *
 * A put that would pass the maximum, or that memory refuses, fails with LIMIT and changes nothing.
 */
#include "base/status.h"
#include "base/str.h"

struct strmap_slot {
    struct str key; /* data NULL: free */
    uint64_t value;
    uint64_t hash;
};
struct strmap {
    struct strmap_slot *slots;
    size_t count, capacity, count_max;
};
#define STRMAP_INIT(max) ((struct strmap){.count_max = (max)})
void strmap_fini(struct strmap *map);
/* Where the key's value is, or NULL. The pointer is good until the next put. */
uint64_t *strmap_get(const struct strmap *map, struct str key);
/* Inserts or overwrites. */
enum status strmap_put(struct strmap *map, struct str key, uint64_t value) MUST_USE;
bool strmap_remove(struct strmap *map, struct str key);
/* Iterates in no order: start with *cursor = 0. */
bool strmap_next(const struct strmap *map, size_t *cursor, struct str *ret_key, uint64_t *ret_value);

struct u64map_slot {
    uint64_t key, value;
};
struct u64map {
    struct u64map_slot *slots;
    unsigned char *used;
    size_t count, capacity, count_max;
};
#define U64MAP_INIT(max) ((struct u64map){.count_max = (max)})
void u64map_fini(struct u64map *map);
void u64map_clear(struct u64map *map);
uint64_t *u64map_get(const struct u64map *map, uint64_t key);
enum status u64map_put(struct u64map *map, uint64_t key, uint64_t value) MUST_USE;
/* The place of the key's value, which starts as `initial` when the key was not there; NULL at the limit. */
uint64_t *u64map_at(struct u64map *map, uint64_t key, uint64_t initial, bool *ret_added);
bool u64map_remove(struct u64map *map, uint64_t key);
bool u64map_next(const struct u64map *map, size_t *cursor, uint64_t *ret_key, uint64_t *ret_value);
