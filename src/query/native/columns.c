#include "query/native/columns.h"

#include <stdio.h>

enum source {
    SOURCE_ABSENT,
    SOURCE_PROPERTY,
    SOURCE_TIME,        /* seconds */
    SOURCE_DISTINCT_ID, /* of the resolved user */
    SOURCE_INSERT_ID,
    SOURCE_EVENT_NAME,
    SOURCE_RECEIVED,
    SOURCE_IMPORT,
    SOURCE_PROFILE,
};

struct column {
    enum source source;
    uint32_t property;
    struct value *values;        /* VECTOR_ROWS_MAX, for computed columns */
    char (*texts)[ID_TEXT_ROOM]; /* of ids, and generated insert ids */
    const struct joined_column *profile;
    uint32_t *codes; /* JOINED_CODES_ROOM */
};

struct columns {
    const struct snapshot *snapshot;
    struct column *columns;
    struct vector *vectors;
    size_t count;
};

/* expressions.md §1, "pseudo-properties". $device_id, $user_id and the geo names are stored as properties. */
static enum source pseudo(struct str name)
{
    static const struct {
        struct str name;
        enum source source;
    } names[] = {
        {STR("time"), SOURCE_TIME},
        {STR("$time"), SOURCE_TIME},
        {STR("distinct_id"), SOURCE_DISTINCT_ID},
        {STR("$distinct_id"), SOURCE_DISTINCT_ID},
        {STR("$insert_id"), SOURCE_INSERT_ID},
        {STR("$event_name"), SOURCE_EVENT_NAME},
        {STR("mp_processing_time_ms"), SOURCE_RECEIVED},
        {STR("$import"), SOURCE_IMPORT},
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (str_eq(names[i].name, name)) return names[i].source;
    }
    return SOURCE_PROPERTY;
}

enum status columns_new(struct arena *arena, const struct expr *expr, const struct snapshot *snapshot,
                        const struct profile_join *profiles, struct error *error, struct columns **ret_columns)
{
    size_t count;
    const struct expr_column *wanted = expr_columns(expr, &count);
    struct columns *columns = arena_new_array(arena, struct columns, 1);
    if (columns) {
        columns->columns = arena_new_array(arena, struct column, count + 1);
        columns->vectors = arena_new_array(arena, struct vector, count + 1);
    }
    if (!columns || !columns->columns || !columns->vectors)
        return error_set(error, STATUS_LIMIT, "memory budget exceeded");
    columns->snapshot = snapshot;
    columns->count = count;
    for (size_t i = 0; i < count; i++) {
        struct column *column = &columns->columns[i];
        if (wanted[i].root == EXPR_USER) {
            column->source = SOURCE_PROFILE;
            column->profile = profile_join_column(profiles, wanted[i].name);
            column->codes = arena_alloc(arena, JOINED_CODES_ROOM * sizeof *column->codes);
            if (!column->profile) return error_set(error, STATUS_INTERNAL, "a property of profiles was not asked for");
            if (!column->codes) return error_set(error, STATUS_LIMIT, "memory budget exceeded");
            continue;
        }
        if (wanted[i].root != EXPR_PROPERTY) continue;
        column->source = pseudo(wanted[i].name);
        if (column->source == SOURCE_PROPERTY) {
            column->property = snapshot_property_id(snapshot, wanted[i].name);
            if (column->property == PROPERTY_ID_NONE) column->source = SOURCE_ABSENT;
            continue;
        }
        column->values = arena_new_array(arena, struct value, VECTOR_ROWS_MAX);
        bool spells = column->source == SOURCE_INSERT_ID || column->source == SOURCE_DISTINCT_ID;
        if (spells) column->texts = arena_alloc(arena, VECTOR_ROWS_MAX * sizeof *column->texts);
        if (!column->values || (spells && !column->texts))
            return error_set(error, STATUS_LIMIT, "memory budget exceeded");
    }
    *ret_columns = columns;
    return STATUS_OK;
}

/* A property that no profile has. */
static bool is_nobodys(const struct column *column)
{
    return column->source == SOURCE_PROFILE && column->profile->value_count == 1;
}

static enum status compute(const struct columns *columns, struct column *column, struct scan *scan, uint32_t event_id,
                           uint32_t rows, struct error *error, struct vector *ret)
{
    *ret = (struct vector){.kind = VECTOR_FLAT, .count = rows, .values = column->values};
    switch (column->source) {
    case SOURCE_TIME: {
        const int64_t *times;
        TRY(scan_times(scan, error, &times));
        for (uint32_t i = 0; i < rows; i++)
            column->values[i] = times[i] % 1000 ? value_number((double)times[i] / 1000) : value_int(times[i] / 1000);
        return STATUS_OK;
    }
    case SOURCE_DISTINCT_ID: {
        const uint32_t *persons;
        TRY(scan_persons(scan, error, &persons));
        uint32_t last = 0;
        struct str text = STR("");
        for (uint32_t i = 0; i < rows; i++) {
            if (persons[i] != last) {
                last = persons[i];
                text =
                    snapshot_id_text(columns->snapshot, snapshot_person_id(columns->snapshot, last), column->texts[i]);
            }
            column->values[i] = value_str(text);
        }
        return STATUS_OK;
    }
    case SOURCE_INSERT_ID: {
        struct vector ids;
        TRY(scan_insert_ids(scan, error, &ids));
        for (uint32_t i = 0; i < rows; i++) {
            struct value v = vector_at(&ids, i);
            if (v.type == VALUE_INT) {
                snprintf(column->texts[i], sizeof column->texts[i], "%016llx", (unsigned long long)v.integer);
                v = value_str(str_from(column->texts[i], 16));
            }
            column->values[i] = v;
        }
        return STATUS_OK;
    }
    case SOURCE_EVENT_NAME:
        column->values[0] = value_str(snapshot_event_name(columns->snapshot, event_id));
        ret->kind = VECTOR_CONST;
        return STATUS_OK;
    case SOURCE_RECEIVED: {
        const int64_t *received;
        TRY(scan_received(scan, error, &received));
        for (uint32_t i = 0; i < rows; i++) column->values[i] = value_int(received[i]);
        return STATUS_OK;
    }
    case SOURCE_IMPORT: {
        const uint8_t *flags;
        TRY(scan_flags(scan, error, &flags));
        for (uint32_t i = 0; i < rows; i++)
            column->values[i] = flags[i] & BATCH_IMPORT ? value_bool(true) : value_absent();
        return STATUS_OK;
    }
    case SOURCE_PROFILE:
        TRY(joined_codes(column->profile, scan, error, column->codes));
        *ret = (struct vector){.kind = VECTOR_DICT,
                               .count = rows,
                               .dict_count = column->profile->value_count,
                               .dict_id = column->profile->dict_id,
                               .values = column->profile->values,
                               .codes = column->codes};
        return STATUS_OK;
    default: return error_set(error, STATUS_INTERNAL, "unknown column source");
    }
}

enum status columns_read(struct columns *columns, struct scan *scan, uint32_t event_id, uint32_t rows,
                         struct error *error, const struct vector **ret_vectors)
{
    static const struct value absent = {.type = VALUE_ABSENT};
    for (size_t i = 0; i < columns->count; i++) {
        struct column *column = &columns->columns[i];
        if (column->source == SOURCE_PROPERTY)
            TRY(scan_property(scan, column->property, error, &columns->vectors[i]));
        else if (column->source == SOURCE_ABSENT || is_nobodys(column))
            columns->vectors[i] = (struct vector){.kind = VECTOR_CONST, .count = rows, .values = &absent};
        else
            TRY(compute(columns, column, scan, event_id, rows, error, &columns->vectors[i]));
    }
    *ret_vectors = columns->vectors;
    return STATUS_OK;
}

size_t columns_count(const struct columns *columns)
{
    return columns->count;
}

const struct joined_column *columns_only_profile(const struct columns *columns)
{
    const struct column *column = columns->columns;
    return columns->count == 1 && column->source == SOURCE_PROFILE && !is_nobodys(column) ? column->profile : NULL;
}

enum status columns_describe(struct columns *columns, size_t index, struct scan *scan, uint32_t event_id,
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
    if (column->source == SOURCE_EVENT_NAME) {
        column->values[0] = value_str(snapshot_event_name(columns->snapshot, event_id));
        *ret_column = (struct scan_column){.form = SCAN_CONST, .values = column->values, .value_count = 1};
    }
    if (column->source == SOURCE_ABSENT || ret_column->form == SCAN_ABSENT || is_nobodys(column))
        *ret_column = (struct scan_column){.form = SCAN_CONST, .values = &absent, .value_count = 1};
    return STATUS_OK;
}
