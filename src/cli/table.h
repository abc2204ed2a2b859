#pragma once
/* A table that is filled cell by cell and printed with its columns below each other, figures to the right. The cells'
 * bytes must live until it is printed. */
#include "base/arena.h"
#include "base/str.h"

#define TABLE_COLUMNS_MAX 16
struct table {
    struct arena *arena;
    struct str *cells;
    size_t columns, count, capacity;
    bool right[TABLE_COLUMNS_MAX];
    bool failed; /* the arena is full: what fitted is printed */
};
/* `headings` separated by blanks (`_` stands for a blank inside one); those with `>` in front are aligned right. */
void table_init(struct table *table, struct arena *arena, const char *headings);
void table_cell(struct table *table, struct str cell);
void table_print(const struct table *table, const char *indent);
