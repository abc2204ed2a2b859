#include "cli/table.h"

#include "base/utf8.h"

#include <stdio.h>

void table_init(struct table *table, struct arena *arena, const char *headings)
{
    *table = (struct table){.arena = arena};
    struct str rest = str_of(headings);
    while (rest.size && table->columns < TABLE_COLUMNS_MAX) {
        size_t size = 0;
        while (size < rest.size && rest.data[size] != ' ') size++;
        struct str heading = str_slice(rest, 0, size);
        rest = str_slice(rest, size < rest.size ? size + 1 : size, rest.size);
        bool right = heading.size && heading.data[0] == '>';
        table->right[table->columns++] = right;
        char *text = arena_cstr(arena, right ? str_slice(heading, 1, heading.size) : heading);
        for (char *p = text; p && *p; p++) {
            if (*p == '_') *p = ' ';
        }
        table_cell(table, text ? str_of(text) : STR(""));
    }
}

void table_cell(struct table *table, struct str cell)
{
    if (table->count == table->capacity) {
        size_t capacity = table->capacity ? table->capacity * 2 : 64;
        struct str *grown =
            arena_realloc(table->arena, table->cells, table->capacity * sizeof *grown, capacity * sizeof *grown);
        if (!grown) {
            table->failed = true;
            return;
        }
        table->cells = grown;
        table->capacity = capacity;
    }
    table->cells[table->count++] = cell;
}

void table_print(const struct table *table, const char *indent)
{
    size_t widths[TABLE_COLUMNS_MAX] = {0}, whole = table->count / table->columns * table->columns;
    for (size_t i = 0; i < whole; i++) {
        size_t width = utf8_length(table->cells[i].data, table->cells[i].size);
        if (width > widths[i % table->columns]) widths[i % table->columns] = width;
    }
    for (size_t i = 0; i < whole; i++) {
        size_t column = i % table->columns;
        int pad = (int)(widths[column] - utf8_length(table->cells[i].data, table->cells[i].size));
        bool last = column == table->columns - 1;
        if (column == 0) fputs(indent, stdout);
        if (table->right[column]) printf("%*s", pad, "");
        fwrite(table->cells[i].data, 1, table->cells[i].size, stdout);
        if (last)
            fputc('\n', stdout);
        else
            printf("%*s", table->right[column] ? 2 : pad + 2, "");
    }
    if (table->failed) printf("%s... the rest does not fit into memory\n", indent);
}
