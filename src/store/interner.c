/*
 * Most values are short strings out of few, so the common case must cost one probe: the slot holds the first and the
 * last eight bytes of a string and its size, which for up to sixteen bytes is all of it. Nothing but the slot is looked
 * at then.
 */
#include "store/interner.h"

#include "store/dictionary.h"

#include <string.h>

#define PROBES_MAX     1024
#define SLOTS_MIN      8
#define SAMPLE         INTERNER_SAMPLE
#define SAMPLE_REPEATS 4 /* at most so many were seen before: they do not repeat */
#define SHORT_MAX      16
#define MIDDLE_MAX     48

struct interner_slot {
    uint64_t head, tail;
    uint32_t kind; /* of a string the size; else OTHER and the type */
    uint32_t code; /* 0: empty */
    uint64_t hash;
};
#define OTHER 0xFFFFFF00u

static uint64_t word_at(const char *data)
{
    uint64_t word;
    memcpy(&word, data, 8);
    return word;
}

static uint64_t mix(uint64_t a, uint64_t b)
{
    __uint128_t product = (__uint128_t)(a ^ 0x9E3779B97F4A7C15u) * (b ^ 0xD6E8FEB86659FD93u);
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline struct interner_slot slot_of_text(const char *data, uint32_t size)
{
    struct interner_slot slot = {.kind = size};
    if (size >= 8) {
        slot.head = word_at(data);
        slot.tail = word_at(data + size - 8);
    } else if (size >= 4) {
        uint32_t head, tail;
        memcpy(&head, data, 4);
        memcpy(&tail, data + size - 4, 4);
        slot.head = (uint64_t)tail << 32 | head;
    } else if (size) {
        slot.head = (uint64_t)(unsigned char)data[0] << 16 | (uint64_t)(unsigned char)data[size / 2] << 8 |
                    (unsigned char)data[size - 1];
    }
    slot.hash = mix(slot.head ^ size, slot.tail);
    if (size <= SHORT_MAX) return slot;
    /* The words behind the first and before the last: with them, up to 32 bytes are all of it; with two more, 48. */
    slot.hash = mix(slot.hash ^ word_at(data + 8), word_at(data + size - 16));
    if (size > 32) slot.hash = mix(slot.hash ^ word_at(data + 16), word_at(data + size - 24));
    if (size > MIDDLE_MAX) slot.hash = mix(slot.hash, dictionary_hash(value_str(str_from(data, size))));
    return slot;
}

/* What the slot of a value looks like, but for the code. */
static struct interner_slot slot_of(struct value v)
{
    if (v.type == VALUE_STRING && v.size < OTHER) return slot_of_text(v.data, v.size);
    struct interner_slot slot = {.kind = OTHER | v.type};
    if (v.type == VALUE_BOOL)
        slot.head = v.boolean;
    else if (v.type == VALUE_INT || v.type == VALUE_DOUBLE)
        slot.head = (uint64_t)v.integer;
    else if (v.type != VALUE_NULL)
        slot.head = dictionary_hash(v);
    slot.hash = mix(slot.head, slot.kind);
    return slot;
}

/* The slot says everything about it. */
static inline bool is_whole(struct value v)
{
    return v.type == VALUE_STRING ? v.size <= SHORT_MAX : v.type < VALUE_STRING;
}

static enum status grow_slots(struct interner *interner, struct arena *arena)
{
    uint32_t slots = interner->slots ? (interner->mask + 1) * 4 : SLOTS_MIN;
    struct interner_slot *grown = arena_new_array(arena, struct interner_slot, slots);
    if (!grown) return STATUS_LIMIT;
    for (uint32_t i = 0; interner->slots && i <= interner->mask; i++) {
        if (!interner->slots[i].code) continue;
        uint32_t to = (uint32_t)interner->slots[i].hash & (slots - 1);
        while (grown[to].code) to = (to + 1) & (slots - 1);
        grown[to] = interner->slots[i];
    }
    interner->slots = grown;
    interner->mask = slots - 1;
    return STATUS_OK;
}

static enum status add_entry(struct interner *interner, struct arena *arena, struct value value, uint32_t *ret_code)
{
    if (interner->count == interner->capacity) {
        size_t capacity = interner->capacity ? (size_t)interner->capacity * 2 : SLOTS_MIN / 2;
        struct value *grown =
            arena_realloc(arena, interner->entries, interner->capacity * sizeof *grown, capacity * sizeof *grown);
        if (!grown) return STATUS_LIMIT;
        interner->entries = grown;
        interner->capacity = (uint32_t)capacity;
    }
    interner->entries[interner->count++] = value;
    *ret_code = interner->count;
    return STATUS_OK;
}

enum status interner_code(struct interner *interner, struct arena *arena, struct value value, uint32_t *ret_code)
{
    if (interner->loose) return add_entry(interner, arena, value, ret_code);
    if (interner->seen++ == SAMPLE && interner->count + SAMPLE_REPEATS >= SAMPLE) interner->loose = true;
    struct interner_slot slot = slot_of(value);
    if (!interner->slots) TRY(grow_slots(interner, arena));
    uint32_t at = (uint32_t)slot.hash & interner->mask;
    for (unsigned probes = 0; probes < PROBES_MAX; probes++, at = (at + 1) & interner->mask) {
        struct interner_slot *there = &interner->slots[at];
        if (!there->code) {
            TRY(add_entry(interner, arena, value, &slot.code));
            *there = slot;
            *ret_code = slot.code;
            if (interner->count == CHUNK_DICTIONARY_MAX) interner->loose = true;
            return interner->count > interner->mask / 4 * 3 ? grow_slots(interner, arena) : STATUS_OK;
        }
        if (there->head != slot.head || there->tail != slot.tail || there->kind != slot.kind) continue;
        if (!is_whole(value) && !dictionary_same(interner->entries[there->code - 1], value)) continue;
        *ret_code = there->code;
        return STATUS_OK;
    }
    interner->loose = true;
    return add_entry(interner, arena, value, ret_code);
}

/* Of texts of one size from 17 to MIDDLE_MAX bytes, whose first and last eight are the same. */
static inline bool same_middle(const char *a, const char *b, uint32_t size)
{
    if (word_at(a + 8) != word_at(b + 8) || word_at(a + size - 16) != word_at(b + size - 16)) return false;
    return size <= 32 || (word_at(a + 16) == word_at(b + 16) && word_at(a + size - 24) == word_at(b + size - 24));
}

enum status interner_text(struct interner *interner, struct arena *arena, const char *data, uint32_t size,
                          uint32_t *ret_code)
{
    if (size <= MIDDLE_MAX && interner->slots && !interner->loose && interner->seen > SAMPLE) {
        struct interner_slot slot = slot_of_text(data, size);
        const struct interner_slot *there = &interner->slots[(uint32_t)slot.hash & interner->mask];
        if (there->code && there->head == slot.head && there->tail == slot.tail && there->kind == slot.kind &&
            (size <= SHORT_MAX || same_middle(interner->entries[there->code - 1].data, data, size))) {
            *ret_code = there->code;
            return STATUS_OK;
        }
    }
    return interner_code(interner, arena, value_str(str_from(data, size)), ret_code);
}

enum status interner_sort(struct interner *interner, struct arena *arena)
{
    uint32_t *order = arena_alloc(arena, ((size_t)interner->count + 1) * sizeof *order);
    interner->ranks = arena_alloc(arena, ((size_t)interner->count + 1) * sizeof *interner->ranks);
    interner->sorted = arena_alloc(arena, ((size_t)interner->count + 1) * sizeof *interner->sorted);
    if (!order || !interner->ranks || !interner->sorted) return STATUS_LIMIT;
    TRY(dictionary_order(interner->entries, interner->count, arena, order));
    interner->ranks[0] = 0;
    for (uint32_t i = 0; i < interner->count; i++) {
        interner->sorted[i] = interner->entries[order[i]];
        interner->ranks[order[i] + 1] = i + 1;
    }
    return STATUS_OK;
}
