#include "query/native/profile_columns.h"

#include "query/native/behaviors.h"

enum source { SOURCE_ABSENT, SOURCE_PROPERTY, SOURCE_ID, SOURCE_BEHAVIOR };

struct column {
    enum source source;
    uint32_t property;           /* of the shadow, or the number of the behaviour */
    struct value *values;        /* VECTOR_ROWS_MAX, for computed columns */
    char (*texts)[ID_TEXT_ROOM]; /* of ids */
};

struct profile_columns {
    const struct snapshot *shadow;
    const struct behavior_counts *counts;
    struct column *columns;
    struct vector *vectors;
    size_t count;
};

static void find_source(struct column *column, const struct expr_column *wanted, const struct snapshot *shadow,
                        const struct profile_plan *plan, const struct behavior_counts *counts)
{
    column->source = SOURCE_ABSENT;
    if (wanted->root == EXPR_BEHAVIOR) {
        for (size_t i = 0; i < plan->behavior_count && counts; i++) {
            if (!str_eq(plan->behaviors[i].name, wanted->name)) continue;
            column->source = SOURCE_BEHAVIOR;
            column->property = (uint32_t)i;
            return;
        }
        return;
    }
    column->property = snapshot_property_id(shadow, wanted->name);
    if (str_is(wanted->name, "$distinct_id") ||
        (column->property == PROPERTY_ID_NONE && str_is(wanted->name, "distinct_id")))
        column->source = SOURCE_ID;
    else if (column->property != PROPERTY_ID_NONE)
        column->source = SOURCE_PROPERTY;
}

enum status profile_columns_new(struct arena *arena, const struct expr *expr, const struct snapshot *shadow,
                                const struct profile_plan *plan, const struct behavior_counts *counts,
                                struct error *error, struct profile_columns **ret_columns)
{
    size_t count;
    const struct expr_column *wanted = expr_columns(expr, &count);
    struct profile_columns *columns = arena_new_array(arena, struct profile_columns, 1);
    if (columns) {
        columns->columns = arena_new_array(arena, struct column, count + 1);
        columns->vectors = arena_new_array(arena, struct vector, count + 1);
    }
    if (!columns || !columns->columns || !columns->vectors)
        return error_set(error, STATUS_LIMIT, "memory budget exceeded");
    columns->shadow = shadow;
    columns->counts = counts;
    columns->count = count;
    for (size_t i = 0; i < count; i++) {
        struct column *column = &columns->columns[i];
        find_source(column, &wanted[i], shadow, plan, counts);
        if (column->source < SOURCE_ID) continue;
        column->values = arena_new_array(arena, struct value, VECTOR_ROWS_MAX);
        if (column->source == SOURCE_ID) column->texts = arena_alloc(arena, VECTOR_ROWS_MAX * sizeof *column->texts);
        if (!column->values || (column->source == SOURCE_ID && !column->texts))
            return error_set(error, STATUS_LIMIT, "memory budget exceeded");
    }
    *ret_columns = columns;
    return STATUS_OK;
}

size_t profile_columns_count(const struct profile_columns *columns)
{
    return columns->count;
}

/* The rows of a shadow are stored under the number of their id, because it has no links. */
static void read_ids(const struct profile_columns *columns, struct column *column, const uint32_t *ids, uint32_t rows,
                     const uint8_t *keep)
{
    snapshot_expect_id_texts(columns->shadow, ids, rows);
    for (uint32_t i = 0; i < rows; i++) {
        if (keep[i]) column->values[i] = value_str(snapshot_id_text(columns->shadow, ids[i], column->texts[i]));
    }
}

enum status profile_columns_read(struct profile_columns *columns, struct scan *scan, uint32_t rows, const uint8_t *keep,
                                 struct error *error, const struct vector **ret_vectors)
{
    static const struct value absent = {.type = VALUE_ABSENT};
    const uint32_t *ids;
    for (size_t i = 0; i < columns->count; i++) {
        struct column *column = &columns->columns[i];
        struct vector *vector = &columns->vectors[i];
        *vector = (struct vector){.kind = VECTOR_FLAT, .count = rows, .values = column->values};
        switch (column->source) {
        case SOURCE_PROPERTY: TRY(scan_property(scan, column->property, error, vector)); break;
        case SOURCE_ID:
            TRY(scan_stored_persons(scan, error, &ids));
            read_ids(columns, column, ids, rows, keep);
            break;
        case SOURCE_BEHAVIOR:
            TRY(scan_stored_persons(scan, error, &ids));
            for (uint32_t row = 0; row < rows; row++) {
                if (keep[row])
                    column->values[row] = value_int(behavior_counts_get(columns->counts, column->property, ids[row]));
            }
            break;
        default: *vector = (struct vector){.kind = VECTOR_CONST, .count = rows, .values = &absent};
        }
    }
    *ret_vectors = columns->vectors;
    return STATUS_OK;
}

enum status profile_columns_describe(struct profile_columns *columns, size_t index, struct scan *scan,
                                     struct error *error, struct scan_column *ret_column, uint32_t *ret_property)
{
    static const struct value absent = {.type = VALUE_ABSENT};
    struct column *column = &columns->columns[index];
    *ret_property = PROPERTY_ID_NONE;
    *ret_column = (struct scan_column){.form = SCAN_VALUES};
    if (column->source == SOURCE_PROPERTY) {
        *ret_property = column->property;
        TRY(scan_column(scan, column->property, error, ret_column));
    }
    if (column->source == SOURCE_ABSENT || ret_column->form == SCAN_ABSENT)
        *ret_column = (struct scan_column){.form = SCAN_CONST, .values = &absent, .value_count = 1};
    return STATUS_OK;
}
