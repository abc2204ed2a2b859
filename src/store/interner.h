#pragma once
/*
 * Codes for the values of one property, in the order of first sight, while rows come in: what sealing makes of every
 * value at once, so that from then on four bytes are moved and compared instead of a string somewhere.
 *
 * A value gets the code, from 1, of its entry; strictly the same values (dictionary_same) share one. A property whose
 * values hardly repeat (ids, texts), and one that makes the table probe too long (values come from clients, who may
 * know the hash function), becomes *loose*: every value gets an entry of its own, without looking. Values are not
 * copied: strings must stay where they are. Memory is the arena's. One thread.
 */
#include "base/arena.h"
#include "column/value.h"

#define INTERNER_SAMPLE 4096 /* of so many values it is looked at whether they repeat */
/* One that takes what is known to be worth it: values are looked up however little they repeat. */
#define INTERNER_OF_DISTINCT ((struct interner){.seen = INTERNER_SAMPLE + 1})

struct interner_slot;
struct interner {
    struct interner_slot *slots; /* NULL: none yet */
    uint32_t mask;
    struct value *entries; /* code - 1 */
    uint32_t count, capacity;
    uint32_t seen; /* values, up to when it was decided whether they repeat */
    bool loose;
    /* after interner_sort */
    struct value *sorted;
    uint32_t *ranks; /* by code: place in sorted[], from 1; [0] is 0 */
};

/* Not of ABSENT. LIMIT when memory does not suffice. */
enum status interner_code(struct interner *interner, struct arena *arena, struct value value,
                          uint32_t *ret_code) MUST_USE;
/* The same for a string, in fewer instructions when it is short and was seen before. */
enum status interner_text(struct interner *interner, struct arena *arena, const char *data, uint32_t size,
                          uint32_t *ret_code) MUST_USE;
/* Puts the entries in the order of value_cmp. Not of a loose one. */
enum status interner_sort(struct interner *interner, struct arena *arena) MUST_USE;
