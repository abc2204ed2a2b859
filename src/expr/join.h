#pragma once
/*
 * A join of a property with a table: `properties["sku"]["name"]` is, for each event, what the table says under the
 * column `name` in the row whose key is the event's sku. The expression language knows no more of a table than this;
 * who has one (lookup tables, the profiles of a group key) embeds struct expr_join and hands out the base.
 *
 * The compiler asks for a column once; value() is asked while evaluating, by any number of threads at a time, mostly
 * once per distinct key. It must be pure: the same answer to the same question as long as the join lives, in bytes that
 * stay where they are. A join has to outlive the expressions that were compiled with it.
 *
 * Keys compare by their text form, whatever the type of the property: 5, "5" and 5.0 are the key `5`, true is `true`.
 */
#include "column/value.h"

#define EXPR_NO_COLUMN UINT32_MAX

struct expr_join {
    struct str property; /* whose values are keys of the table */
    /* The number of a column for value(), or EXPR_NO_COLUMN: there is none of that name, and all of it is undefined. */
    uint32_t (*column)(const struct expr_join *join, struct str name);
    /* What stands in the column in the key's row; ABSENT when there is no such row or nothing stands there. `key` is a
     * text, a number or a boolean. */
    struct value (*value)(const struct expr_join *join, uint32_t column, const struct value *key);
};

/* The join of a property: the first of that name; NULL when it has none. */
const struct expr_join *expr_join_of(const struct expr_join *const *joins, size_t count, struct str property);
