/*
 * The distinct values of a column, and their order. Sealing does this for every string column of every row, so it
 * counts:
 *
 * Collecting: rows of one person stand together, so a value often repeats the one before and costs a comparison; else
 * one hash and, on a hit, one comparison of the bytes. The table keeps 32 bits of the hash beside the number of the
 * entry: other entries are told apart, and growing is done, without touching values. A column whose first thousands of
 * values hardly repeat (ids, texts) is given up early. So is one that makes the table probe too long: values come from
 * clients, who may know the hash function.
 *
 * Sorting strings: by eight bytes at a time, as integers, radix; ties are sorted by what follows their common prefix.
 */
#include "store/dictionary.h"

#include "base/hash.h"

#include <assert.h>
#include <stdlib.h>

#define PROBES_MAX      1024
#define UNIQUE_SAMPLE   4096 /* so many values, */
#define UNIQUE_REPEATS  4    /* of which at most so many were seen before: unique ones */
#define SORT_LEVELS_MAX 64
#define SORT_SMALL      24

/* --- collecting --- */

struct slot {
    uint32_t tag, entry; /* entry 0: empty */
};

struct table {
    struct slot *slots;
    size_t mask;
    struct distinct distinct;
    uint32_t capacity; /* of entries */
    struct arena *scratch;
};

static uint64_t mix(uint64_t a, uint64_t b)
{
    __uint128_t product = (__uint128_t)(a ^ 0x9E3779B97F4A7C15u) * (b ^ 0xD6E8FEB86659FD93u);
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t word_at(const char *data)
{
    uint64_t word;
    memcpy(&word, data, 8);
    return word;
}

/* Most strings are short: sixteen bytes at a time, the last ones together with those before. */
static uint64_t hash_text(const char *data, uint32_t size)
{
    if (size > 128) return hash_bytes(data, size, 0);
    if (size >= 8) {
        uint64_t hash = size;
        for (uint32_t at = 0; at + 16 < size; at += 16) hash = mix(hash ^ word_at(data + at), word_at(data + at + 8));
        const char *last = data + (size < 16 ? 0 : size - 16);
        return mix(hash ^ word_at(last), word_at(data + size - 8));
    }
    uint64_t a = 0;
    if (size >= 4) {
        uint32_t low, high;
        memcpy(&low, data, 4);
        memcpy(&high, data + size - 4, 4);
        a = (uint64_t)high << 32 | low;
    } else if (size) {
        a = (uint64_t)(unsigned char)data[0] << 16 | (uint64_t)(unsigned char)data[size / 2] << 8 |
            (unsigned char)data[size - 1];
    }
    return mix(a, size);
}

static bool same_text(const char *a, const char *b, uint32_t size)
{
    if (a == b) return true;
    if (size < 8) {
        if (size < 4) {
            for (uint32_t i = 0; i < size; i++) {
                if (a[i] != b[i]) return false;
            }
            return true;
        }
        return memcmp(a, b, 4) == 0 && memcmp(a + size - 4, b + size - 4, 4) == 0;
    }
    if (word_at(a) != word_at(b) || word_at(a + size - 8) != word_at(b + size - 8)) return false;
    return size <= 16 || memcmp(a + 8, b + 8, size - 16) == 0;
}

uint64_t dictionary_hash(struct value v)
{
    switch (v.type) {
    case VALUE_BOOL: return mix(v.boolean, v.type);
    case VALUE_INT:
    case VALUE_DOUBLE: return mix((uint64_t)v.integer, v.type);
    case VALUE_STRING: return hash_text(v.data, v.size);
    case VALUE_BIGNUM:
    case VALUE_LIST:
    case VALUE_OBJECT: return hash_bytes(v.data, v.size, v.type);
    default: return mix(0, v.type);
    }
}

bool dictionary_same(struct value a, struct value b)
{
    if (a.type != b.type) return false;
    switch (a.type) {
    case VALUE_BOOL: return a.boolean == b.boolean;
    case VALUE_INT:
    case VALUE_DOUBLE: return a.integer == b.integer;
    case VALUE_STRING:
    case VALUE_BIGNUM:
    case VALUE_LIST:
    case VALUE_OBJECT: return a.size == b.size && same_text(a.data, b.data, a.size);
    default: return true;
    }
}

static bool table_init(struct table *table, struct arena *scratch)
{
    *table = (struct table){.mask = 127, .capacity = 64, .scratch = scratch};
    table->slots = arena_new_array(scratch, struct slot, table->mask + 1);
    table->distinct.entries = arena_new_array(scratch, struct value, table->capacity);
    table->distinct.rows = arena_new_array(scratch, uint32_t, table->capacity);
    return table->slots && table->distinct.entries && table->distinct.rows;
}

static bool table_grow(struct table *table)
{
    struct distinct *distinct = &table->distinct;
    size_t old = table->mask + 1, grown = old * 4;
    struct value *entries = arena_alloc(table->scratch, (size_t)table->capacity * 4 * sizeof *entries);
    uint32_t *rows = arena_alloc(table->scratch, (size_t)table->capacity * 4 * sizeof *rows);
    struct slot *slots = arena_new_array(table->scratch, struct slot, grown);
    if (!entries || !rows || !slots) return false;
    memcpy(entries, distinct->entries, distinct->count * sizeof *entries);
    memcpy(rows, distinct->rows, distinct->count * sizeof *rows);
    for (size_t i = 0; i < old; i++) {
        if (!table->slots[i].entry) continue;
        size_t to = table->slots[i].tag & (grown - 1);
        while (slots[to].entry) to = (to + 1) & (grown - 1);
        slots[to] = table->slots[i];
    }
    *table = (struct table){slots, grown - 1, {entries, rows, distinct->count}, table->capacity * 4, table->scratch};
    return true;
}

/* The code of a value, adding it when it is new. The low bits of the tag are the place, so the table may have 2^32 at
 * most; it has 2^22. */
static enum collected table_find(struct table *table, struct value value, uint64_t hash, uint32_t distinct_max,
                                 uint32_t *ret_code)
{
    uint32_t tag = (uint32_t)(hash >> 32);
    for (unsigned probes = 0; probes < PROBES_MAX; probes++) {
        struct slot *slot = &table->slots[(tag + probes) & table->mask];
        if (slot->entry) {
            if (slot->tag != tag || !dictionary_same(table->distinct.entries[slot->entry - 1], value)) continue;
            *ret_code = slot->entry;
            return COLLECTED;
        }
        if (table->distinct.count == distinct_max) return COLLECT_MANY;
        if (table->distinct.count == table->capacity) {
            if (!table_grow(table)) return COLLECT_NO_MEMORY;
            return table_find(table, value, hash, distinct_max, ret_code);
        }
        table->distinct.entries[table->distinct.count] = value;
        table->distinct.rows[table->distinct.count] = 0;
        *slot = (struct slot){tag, ++table->distinct.count};
        *ret_code = slot->entry;
        return COLLECTED;
    }
    return COLLECT_MANY;
}

enum collected dictionary_collect(const struct value *values, const uint32_t *weights, uint32_t count,
                                  uint32_t distinct_max, bool hasty, struct arena *scratch, uint32_t *codes,
                                  struct distinct *ret_distinct)
{
    struct table table;
    struct value last = value_absent();
    uint32_t last_code = 0, present = 0;
    if (!table_init(&table, scratch)) return COLLECT_NO_MEMORY;
    if (distinct_max > CHUNK_DICTIONARY_MAX) distinct_max = CHUNK_DICTIONARY_MAX;
    for (uint32_t i = 0; i < count; i++) {
        codes[i] = 0;
        value_prefetch(values, i + PREFETCH_AHEAD, count);
        if (values[i].type == VALUE_ABSENT) continue;
        if (!dictionary_same(values[i], last)) {
            enum collected found = table_find(&table, values[i], dictionary_hash(values[i]), distinct_max, &last_code);
            if (found != COLLECTED) return found;
            last = values[i];
        }
        codes[i] = last_code;
        table.distinct.rows[last_code - 1] += weights ? weights[i] : 1;
        if (hasty && ++present == UNIQUE_SAMPLE && table.distinct.count + UNIQUE_REPEATS >= UNIQUE_SAMPLE)
            return COLLECT_MANY;
    }
    *ret_distinct = table.distinct;
    return COLLECTED;
}

enum collected dictionary_collect_words(const uint64_t *words, bool doubles, const uint64_t *presence,
                                        const uint32_t *weights, uint32_t count, uint32_t distinct_max,
                                        struct arena *scratch, uint32_t *codes, struct distinct *ret_distinct)
{
    struct table table;
    uint64_t last = 0;
    uint32_t last_code = 0;
    if (!table_init(&table, scratch)) return COLLECT_NO_MEMORY;
    if (distinct_max > CHUNK_DICTIONARY_MAX) distinct_max = CHUNK_DICTIONARY_MAX;
    for (uint32_t i = 0; i < count; i++) {
        codes[i] = 0;
        if (presence && !(presence[i / 64] >> (i % 64) & 1)) continue;
        if (last_code == 0 || words[i] != last) {
            double number;
            memcpy(&number, &words[i], 8);
            struct value value = doubles ? value_number(number) : value_int((int64_t)words[i]);
            enum collected found = table_find(&table, value, dictionary_hash(value), distinct_max, &last_code);
            if (found != COLLECTED) return found;
            last = words[i];
        }
        codes[i] = last_code;
        table.distinct.rows[last_code - 1] += weights ? weights[i] : 1;
    }
    *ret_distinct = table.distinct;
    return COLLECTED;
}

/* --- ordering --- */

struct item {
    uint64_t key; /* eight bytes, big-endian */
    const struct value *value;
};

static int text_cmp(const void *a, const void *b)
{
    return str_cmp(value_text(*((const struct item *)a)->value), value_text(*((const struct item *)b)->value));
}

static int any_cmp(const void *a, const void *b)
{
    return value_cmp(*((const struct item *)a)->value, *((const struct item *)b)->value);
}

static uint64_t key_at(const struct value *v, uint32_t depth)
{
    uint64_t key = 0;
    if (v->size >= depth + 8) {
        memcpy(&key, v->data + depth, 8);
    } else {
        memcpy(&key, v->data + depth, v->size - depth);
    }
    return __builtin_bswap64(key);
}

/* Bytes that all share behind `depth`. */
static uint32_t common_prefix(const struct item *items, uint32_t count, uint32_t depth)
{
    uint32_t common = items[0].value->size - depth;
    const char *first = items[0].value->data + depth;
    for (uint32_t i = 1; i < count && common; i++) {
        const char *other = items[i].value->data + depth;
        uint32_t size = items[i].value->size - depth, at = 0;
        if (size < common) common = size;
        while (at < common && first[at] == other[at]) at++;
        common = at;
    }
    return common;
}

static void sort_small(struct item *items, uint32_t count, uint32_t depth)
{
    for (uint32_t i = 1; i < count; i++) {
        struct item item = items[i];
        struct str text = str_from(item.value->data + depth, item.value->size - depth);
        uint32_t at = i;
        for (; at > 0; at--) {
            const struct value *other = items[at - 1].value;
            if (items[at - 1].key < item.key) break;
            if (items[at - 1].key == item.key && str_cmp(str_from(other->data + depth, other->size - depth), text) < 0)
                break;
            items[at] = items[at - 1];
        }
        items[at] = item;
    }
}

static void sort_keys(struct item *items, struct item *spare, uint32_t count)
{
    uint32_t histogram[8][256] = {0};
    for (uint32_t i = 0; i < count; i++) {
        for (int byte = 0; byte < 8; byte++) histogram[byte][items[i].key >> byte * 8 & 0xFF]++;
    }
    struct item *from = items, *to = spare;
    for (int byte = 0; byte < 8; byte++) {
        uint32_t *counts = histogram[byte], sum = 0;
        if (counts[from[0].key >> byte * 8 & 0xFF] == count) continue;
        for (int i = 0; i < 256; i++) {
            uint32_t here = counts[i];
            counts[i] = sum;
            sum += here;
        }
        for (uint32_t i = 0; i < count; i++) to[counts[from[i].key >> byte * 8 & 0xFF]++] = from[i];
        struct item *swap = from;
        from = to;
        to = swap;
    }
    if (from != items) memcpy(items, from, count * sizeof *items);
}

/* Sorts strings that share their first `depth` bytes. Each level takes away at least one byte, and groups get smaller;
 * strings made to need many levels are left to qsort. */
static void sort_strings(struct item *items, struct item *spare, uint32_t count, uint32_t depth, unsigned level)
{
    if (count < 2) return;
    if (level == SORT_LEVELS_MAX) {
        qsort(items, count, sizeof *items, text_cmp);
        return;
    }
    depth += common_prefix(items, count, depth);
    for (uint32_t i = 0; i < count; i++) items[i].key = key_at(items[i].value, depth);
    if (count <= SORT_SMALL) {
        sort_small(items, count, depth);
        return;
    }
    sort_keys(items, spare, count);
    for (uint32_t from = 0, to; from < count; from = to) {
        for (to = from + 1; to < count && items[to].key == items[from].key; to++) {
        }
        if (to - from < 2) continue;
        /* Those that end within the eight bytes differ in size only, and are prefixes of the others. */
        uint32_t ended = 0, longer = 0;
        for (uint32_t i = from; i < to; i++) {
            if (items[i].value->size - depth > 8) {
                spare[longer++] = items[i];
                continue;
            }
            uint32_t at = ended++;
            struct item item = items[i];
            for (; at > 0 && items[from + at - 1].value->size > item.value->size; at--)
                items[from + at] = items[from + at - 1];
            items[from + at] = item;
        }
        memcpy(items + from + ended, spare, longer * sizeof *items);
        if (longer > 1) sort_strings(items + from + ended, spare, longer, depth + 8, level + 1);
    }
}

/* As value_cmp orders them: what is no string stands before (null, booleans, numbers) or behind (lists, objects). */
enum status dictionary_order(const struct value *entries, uint32_t count, struct arena *scratch, uint32_t *ret_order)
{
    struct item *items = arena_alloc(scratch, ((size_t)count + 1) * sizeof *items);
    struct item *spare = arena_alloc(scratch, ((size_t)count + 1) * sizeof *spare);
    if (!items || !spare) return STATUS_LIMIT;
    uint32_t sizes[3] = {0}, starts[3];
    for (uint32_t i = 0; i < count; i++) {
        uint8_t type = entries[i].type;
        sizes[type == VALUE_STRING ? 1 : type == VALUE_LIST || type == VALUE_OBJECT ? 2 : 0]++;
    }
    starts[0] = 0;
    starts[1] = sizes[0];
    starts[2] = sizes[0] + sizes[1];
    for (uint32_t i = 0; i < count; i++) {
        uint8_t type = entries[i].type;
        int part = type == VALUE_STRING ? 1 : type == VALUE_LIST || type == VALUE_OBJECT ? 2 : 0;
        items[starts[part]++] = (struct item){0, &entries[i]};
    }
    assert(starts[2] == count);
    if (sizes[0]) qsort(items, sizes[0], sizeof *items, any_cmp);
    sort_strings(items + sizes[0], spare, sizes[1], 0, 0);
    if (sizes[2]) qsort(items + sizes[0] + sizes[1], sizes[2], sizeof *items, any_cmp);
    for (uint32_t i = 0; i < count; i++) ret_order[i] = (uint32_t)(items[i].value - entries);
    return STATUS_OK;
}
