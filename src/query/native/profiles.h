#pragma once
/*
 * What a query's expressions read of the profiles of users: user["plan"]. For each property a code for every person,
 * in an array by person number, and the distinct values that the codes stand for; made once a query, then only read, by
 * any thread.
 *
 *   profiles_init    nothing yet
 *   profiles_want    once for each expression: notes what it reads
 *   profiles_load    reads that, of all profiles
 *   profile_codes    the codes of the rows of a vector
 *
 * The person of a row is the one whose it is now, whatever number it is stored under. A person has the profile that was
 * written to the id shown for it; those that were written to its other ids are hidden (docs/api/identity.md).
 */
#include "base/arena.h"
#include "expr/expr.h"
#include "query/native/native.h"

struct profile_column {
    struct str name;
    const struct value *values; /* by code; [0] is ABSENT. After profiles_load */
    uint32_t value_count;       /* 1: nobody has the property, and there are no codes */
    uint64_t dict_id;           /* as in struct vector */
    unsigned code_bytes;        /* 1, 2 or 4 */
    void *codes;
};

struct profiles {
    struct arena *arena;
    struct profile_column **columns;
    size_t count, capacity, bytes_max, code_bytes; /* code_bytes: of all columns */
};

void profiles_init(struct profiles *profiles, size_t bytes_max);
void profiles_fini(struct profiles *profiles);
/* LIMIT when memory does not suffice. */
enum status profiles_want(struct profiles *profiles, const struct expr *expr) MUST_USE;
/* NULL when nobody wanted it. */
const struct profile_column *profiles_column(const struct profiles *profiles, struct str name);
/* Does nothing when nothing is wanted. `links_from` is the least links_applied of the runs that are to be read. */
enum status profiles_load(struct profiles *profiles, struct native *native, const struct snapshot *events,
                          uint64_t project, uint32_t links_from, const struct plan_limits *limits,
                          struct error *error) MUST_USE;

/* Of a person's number, also one that a link has taken away since `links_from`. Not of a column without codes. */
static inline uint32_t profile_code(const struct profile_column *column, uint32_t person)
{
    switch (column->code_bytes) {
    case 1: return ((const uint8_t *)column->codes)[person];
    case 2: return ((const uint16_t *)column->codes)[person];
    default: return ((const uint32_t *)column->codes)[person];
    }
}

#define PROFILE_CODES_ROOM (VECTOR_ROWS_MAX + 16)
/* Of the rows of the scan's current vector, one a row. */
enum status profile_codes(const struct profile_column *column, struct scan *scan, struct error *error,
                          uint32_t ret_codes[PROFILE_CODES_ROOM]) MUST_USE;
