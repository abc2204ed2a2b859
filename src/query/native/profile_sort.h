#pragma once
/*
 * Puts values in the order of query/profiles.h. Works on places in arrays of the caller's; the values' bytes stay where
 * they are.
 */
#include "base/arena.h"
#include "base/error.h"
#include "column/value.h"

/* The places 0..count-1 in the order of values[], ties by place; ABSENT and null last. `descending` reverses all but
 * ties and those last ones. In the arena. LIMIT when it refuses. */
enum status profile_sort(const struct value *values, uint32_t count, bool descending, struct arena *arena,
                         uint32_t **ret_places) MUST_USE;
