#pragma once
/* For tests: a join whose table is a JSON object, {"KEY":{"COLUMN":value,…},…}, looked through from the front. */
#include <stdlib.h>

#include "expr/join.h"

#define TEST_JOIN_COLUMNS_MAX 16

struct test_join {
    struct expr_join base;
    struct value table; /* an object of objects */
    struct str columns[TEST_JOIN_COLUMNS_MAX];
    size_t column_count;
};

static inline uint32_t test_join_column(const struct expr_join *base, struct str name)
{
    const struct test_join *join = (const struct test_join *)base;
    for (size_t i = 0; i < join->column_count; i++) {
        if (str_eq(join->columns[i], name)) return (uint32_t)i;
    }
    return EXPR_NO_COLUMN;
}

static inline struct value test_join_value(const struct expr_join *base, uint32_t column, const struct value *key)
{
    const struct test_join *join = (const struct test_join *)base;
    struct buf text = BUF_INIT(1 << 20);
    if (key->type != VALUE_STRING && key->type != VALUE_BOOL && !value_is_number(*key)) abort();
    value_write_label(&text, *key);
    struct value row = value_member(join->table, buf_str(&text));
    buf_fini(&text);
    return row.type == VALUE_OBJECT ? value_member(row, join->columns[column]) : value_absent();
}

/* Everything it needs is in the arena afterwards. */
static inline void test_join_init(struct test_join *join, struct arena *arena, struct str property,
                                  const struct json *table)
{
    struct buf bytes = BUF_INIT(1 << 20);
    *join = (struct test_join){.base = {arena_str(arena, property), test_join_column, test_join_value}};
    if (value_encode_json(&bytes, table) != STATUS_OK || bytes.failed) abort();
    struct reader reader = reader_of(arena_str(arena, buf_str(&bytes)));
    if (value_decode(&reader, &join->table) != STATUS_OK) abort();
    buf_fini(&bytes);
    struct value_iter rows = value_iter(join->table), members;
    struct value row, value;
    struct str name;
    while (value_next(&rows, NULL, &row)) {
        members = value_iter(row);
        while (value_next(&members, &name, &value)) {
            bool known = test_join_column(&join->base, name) != EXPR_NO_COLUMN;
            if (!known && join->column_count < TEST_JOIN_COLUMNS_MAX) join->columns[join->column_count++] = name;
        }
    }
}
