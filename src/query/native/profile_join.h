#pragma once
/*
 * What a query's expressions read of the profiles of users: user["plan"]. For each property a code for every person,
 * in an array by person number, and the distinct values that the codes stand for; made once a query, then only read, by
 * any thread.
 *
 *   profile_join_init    nothing yet
 *   profile_join_want    once for each expression: notes what it reads
 *   profile_join_load    reads that, of all profiles
 *   profile_codes    the codes of the rows of a vector
 *
 * The person of a row is the one whose it is now, whatever number it is stored under. A person has the profile that was
 * written to the id shown for it; those that were written to its other ids are hidden (docs/api/identity.md).
 */
#include "base/arena.h"
#include "expr/expr.h"
#include "query/native/native.h"
#include "store/profiles.h"

struct joined_column {
    struct str name;
    const struct value *values; /* by code; [0] is ABSENT. After profile_join_load */
    uint32_t value_count;       /* 1: nobody has the property, and there are no codes */
    uint64_t dict_id;           /* as in struct vector */
    unsigned code_bytes;        /* 1, 2 or 4 */
    void *codes;
};

struct profile_join {
    struct arena *arena;
    struct joined_column **columns;
    size_t count, capacity, bytes_max, code_bytes; /* code_bytes: of all columns */
};

void profile_join_init(struct profile_join *profiles, size_t bytes_max);
void profile_join_fini(struct profile_join *profiles);
/* LIMIT when memory does not suffice. */
enum status profile_join_want(struct profile_join *profiles, const struct expr *expr) MUST_USE;
enum status profile_join_want_name(struct profile_join *profiles, struct str name) MUST_USE;
/* NULL when nobody wanted it. */
const struct joined_column *profile_join_column(const struct profile_join *profiles, struct str name);
/* Does nothing when nothing is wanted. `links_from` is the least links_applied of the runs that are to be read. */
enum status profile_join_load(struct profile_join *profiles, struct native *native, const struct snapshot *events,
                              uint64_t project, uint32_t links_from, const struct plan_limits *limits,
                              struct error *error) MUST_USE;

/* The same of the rows of another event of the shadow, by the shadow's own id numbers instead of persons. On the
 * calling thread alone. */
enum status profile_join_load_rows(struct profile_join *profiles, struct snapshot *shadow, struct str event,
                                   const struct plan_limits *limits, struct error *error) MUST_USE;

/* Of a person's number, also one that a link has taken away since `links_from`. Not of a column without codes. */
static inline uint32_t joined_code(const struct joined_column *column, uint32_t person)
{
    switch (column->code_bytes) {
    case 1: return ((const uint8_t *)column->codes)[person];
    case 2: return ((const uint16_t *)column->codes)[person];
    default: return ((const uint32_t *)column->codes)[person];
    }
}

#define JOINED_CODES_ROOM (VECTOR_ROWS_MAX + 16)
/* Of the rows of the scan's current vector, one a row. */
enum status joined_codes(const struct joined_column *column, struct scan *scan, struct error *error,
                         uint32_t ret_codes[JOINED_CODES_ROOM]) MUST_USE;
