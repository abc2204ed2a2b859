#pragma once
/*
 * A profile while it is being changed, and the callback that changes it. What operations mean is the profile floor's;
 * the store reads the row that counts, has it changed, and writes the new one.
 */
#include "base/arena.h"
#include "column/value.h"
#include "store/update_record.h"

#define PROFILE_PROPERTY_NEW UINT32_MAX

struct profile_property {
    struct str name;
    struct value value;
    uint32_t number; /* the store's, of the name; PROFILE_PROPERTY_NEW: it knows best */
};
struct profile_row {
    bool exists;
    struct profile_property *items; /* in the arena, with room for `capacity`; no two of one name */
    size_t count, capacity;
};
struct profile_outcome {
    bool changed;      /* false: the row is as it was */
    uint32_t left_out; /* properties for which the limits leave no room */
};

/* The callback (profile_update_fn, store.h) changes the row as update->operations say. It is called by the applier in
 * log order, and a function of its arguments alone, so that replay repeats it. What it adds lies in the arena, in the
 * update or in the row. CORRUPT: the operations are malformed; LIMIT: memory. */
