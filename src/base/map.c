#include "base/map.h"

#include "base/hash.h"

#include <stdlib.h>

#define CAPACITY_MIN 16

static bool needs_room(size_t count, size_t capacity)
{
    return (count + 1) * 4 > capacity * 3;
}

void strmap_fini(struct strmap *map)
{
    free(map->slots);
    *map = STRMAP_INIT(map->count_max);
}

static struct strmap_slot *strmap_slot(const struct strmap *map, struct str key, uint64_t hash)
{
    size_t mask = map->capacity - 1, i = hash & mask;
    while (map->slots[i].key.data && !(map->slots[i].hash == hash && str_eq(map->slots[i].key, key)))
        i = (i + 1) & mask;
    return &map->slots[i];
}

/* The empty string may come with NULL data, which marks free slots. */
static struct str strmap_key(struct str key)
{
    return key.data ? key : STR("");
}

uint64_t *strmap_get(const struct strmap *map, struct str key)
{
    if (!map->capacity) return NULL;
    key = strmap_key(key);
    struct strmap_slot *slot = strmap_slot(map, key, hash_str(key));
    return slot->key.data ? &slot->value : NULL;
}

static enum status strmap_grow(struct strmap *map)
{
    struct strmap grown = {
        .capacity = map->capacity ? map->capacity * 2 : CAPACITY_MIN, .count = map->count, .count_max = map->count_max};
    grown.slots = calloc(grown.capacity, sizeof *grown.slots);
    if (!grown.slots) return STATUS_LIMIT;
    for (size_t i = 0; i < map->capacity; i++) {
        if (map->slots[i].key.data) *strmap_slot(&grown, map->slots[i].key, map->slots[i].hash) = map->slots[i];
    }
    free(map->slots);
    *map = grown;
    return STATUS_OK;
}

enum status strmap_put(struct strmap *map, struct str key, uint64_t value)
{
    key = strmap_key(key);
    uint64_t hash = hash_str(key);
    if (map->capacity) {
        struct strmap_slot *slot = strmap_slot(map, key, hash);
        if (slot->key.data) {
            slot->value = value;
            return STATUS_OK;
        }
    }
    if (map->count >= map->count_max) return STATUS_LIMIT;
    if (needs_room(map->count, map->capacity)) TRY(strmap_grow(map));
    *strmap_slot(map, key, hash) = (struct strmap_slot){key, value, hash};
    map->count++;
    return STATUS_OK;
}

bool strmap_remove(struct strmap *map, struct str key)
{
    if (!map->capacity) return false;
    key = strmap_key(key);
    struct strmap_slot *slot = strmap_slot(map, key, hash_str(key));
    if (!slot->key.data) return false;
    /* Close the gap: later entries of the probe run move back when their home allows it. */
    size_t mask = map->capacity - 1, gap = (size_t)(slot - map->slots), i = gap;
    for (;;) {
        i = (i + 1) & mask;
        if (!map->slots[i].key.data) break;
        size_t home = map->slots[i].hash & mask;
        if (((i - home) & mask) >= ((i - gap) & mask)) {
            map->slots[gap] = map->slots[i];
            gap = i;
        }
    }
    map->slots[gap] = (struct strmap_slot){.key = STR_NULL};
    map->count--;
    return true;
}

bool strmap_next(const struct strmap *map, size_t *cursor, struct str *ret_key, uint64_t *ret_value)
{
    while (*cursor < map->capacity) {
        const struct strmap_slot *slot = &map->slots[(*cursor)++];
        if (!slot->key.data) continue;
        *ret_key = slot->key;
        *ret_value = slot->value;
        return true;
    }
    return false;
}

void u64map_fini(struct u64map *map)
{
    free(map->slots);
    free(map->used);
    *map = U64MAP_INIT(map->count_max);
}

void u64map_clear(struct u64map *map)
{
    if (map->used) memset(map->used, 0, map->capacity);
    map->count = 0;
}

static size_t u64map_slot(const struct u64map *map, uint64_t key)
{
    size_t mask = map->capacity - 1, i = hash_u64(key, 0) & mask;
    while (map->used[i] && map->slots[i].key != key) i = (i + 1) & mask;
    return i;
}

uint64_t *u64map_get(const struct u64map *map, uint64_t key)
{
    if (!map->capacity) return NULL;
    size_t i = u64map_slot(map, key);
    return map->used[i] ? &map->slots[i].value : NULL;
}

static enum status u64map_grow(struct u64map *map)
{
    struct u64map grown = {
        .capacity = map->capacity ? map->capacity * 2 : CAPACITY_MIN, .count = map->count, .count_max = map->count_max};
    grown.slots = malloc(grown.capacity * sizeof *grown.slots);
    grown.used = calloc(grown.capacity, 1);
    if (!grown.slots || !grown.used) {
        free(grown.slots);
        free(grown.used);
        return STATUS_LIMIT;
    }
    for (size_t i = 0; i < map->capacity; i++) {
        if (!map->used[i]) continue;
        size_t to = u64map_slot(&grown, map->slots[i].key);
        grown.slots[to] = map->slots[i];
        grown.used[to] = 1;
    }
    free(map->slots);
    free(map->used);
    *map = grown;
    return STATUS_OK;
}

uint64_t *u64map_at(struct u64map *map, uint64_t key, uint64_t initial, bool *ret_added)
{
    size_t i = 0;
    if (map->capacity) {
        i = u64map_slot(map, key);
        if (map->used[i]) {
            if (ret_added) *ret_added = false;
            return &map->slots[i].value;
        }
    }
    if (map->count >= map->count_max) return NULL;
    if (needs_room(map->count, map->capacity)) {
        if (u64map_grow(map) != STATUS_OK) return NULL;
        i = u64map_slot(map, key);
    }
    map->slots[i] = (struct u64map_slot){key, initial};
    map->used[i] = 1;
    map->count++;
    if (ret_added) *ret_added = true;
    return &map->slots[i].value;
}

enum status u64map_put(struct u64map *map, uint64_t key, uint64_t value)
{
    uint64_t *place = u64map_at(map, key, value, NULL);
    if (!place) return STATUS_LIMIT;
    *place = value;
    return STATUS_OK;
}

bool u64map_remove(struct u64map *map, uint64_t key)
{
    if (!map->capacity) return false;
    size_t gap = u64map_slot(map, key);
    if (!map->used[gap]) return false;
    size_t mask = map->capacity - 1, i = gap;
    for (;;) {
        i = (i + 1) & mask;
        if (!map->used[i]) break;
        size_t home = hash_u64(map->slots[i].key, 0) & mask;
        if (((i - home) & mask) >= ((i - gap) & mask)) {
            map->slots[gap] = map->slots[i];
            gap = i;
        }
    }
    map->used[gap] = 0;
    map->count--;
    return true;
}

bool u64map_next(const struct u64map *map, size_t *cursor, uint64_t *ret_key, uint64_t *ret_value)
{
    while (*cursor < map->capacity) {
        size_t i = (*cursor)++;
        if (!map->used[i]) continue;
        *ret_key = map->slots[i].key;
        *ret_value = map->slots[i].value;
        return true;
    }
    return false;
}
