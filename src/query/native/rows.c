#include "query/native/rows.h"

#include <stdio.h>

enum status rows_init(struct rows *rows, struct selection *selection, struct error *error)
{
    *rows = (struct rows){.snapshot = selection->snapshot, .arena = arena_new(selection->limits.memory_bytes_max)};
    enum status status = selection_scan(selection, error, &rows->scan);
    if (status != STATUS_OK) rows_fini(rows);
    return status;
}

void rows_fini(struct rows *rows)
{
    scan_free(rows->scan);
    arena_free(rows->arena);
    *rows = (struct rows){0};
}

enum status rows_run(struct rows *rows, const struct scan_run *run, struct error *error)
{
    TRY(scan_open(rows->scan, run, error));
    TRY(scan_properties(rows->scan, error, &rows->properties, &rows->property_count));
    arena_reset(rows->arena);
    rows->run = run;
    rows->vectors = arena_new_array(rows->arena, struct vector, rows->property_count + 1);
    rows->one = arena_new_array(rows->arena, struct row_property, rows->property_count + 1);
    if (!rows->vectors || !rows->one) return error_set(error, STATUS_LIMIT, "memory budget exceeded");
    return STATUS_OK;
}

enum status rows_vector(struct rows *rows, uint32_t vector, struct error *error, uint32_t *ret_count)
{
    return scan_vector(rows->scan, vector, error, ret_count);
}

enum status rows_load(struct rows *rows, struct error *error)
{
    TRY(scan_times(rows->scan, error, &rows->times));
    TRY(scan_received(rows->scan, error, &rows->received));
    TRY(scan_persons(rows->scan, error, &rows->persons));
    TRY(scan_ids(rows->scan, error, &rows->ids));
    TRY(scan_flags(rows->scan, error, &rows->flags));
    TRY(scan_insert_ids(rows->scan, error, &rows->insert_ids));
    for (size_t i = 0; i < rows->property_count; i++)
        TRY(scan_property(rows->scan, rows->properties[i], error, &rows->vectors[i]));
    return STATUS_OK;
}

void rows_get(struct rows *rows, uint32_t row, struct event_row *ret_row)
{
    struct value insert = vector_at(&rows->insert_ids, row);
    struct str insert_id;
    if (insert.type == VALUE_STRING) {
        insert_id = value_text(insert);
    } else {
        snprintf(rows->insert_text, sizeof rows->insert_text, "%016llx", (unsigned long long)insert.integer);
        insert_id = str_from(rows->insert_text, 16);
    }
    size_t count = 0;
    for (size_t i = 0; i < rows->property_count; i++) {
        struct value value = vector_at(&rows->vectors[i], row);
        if (value.type == VALUE_ABSENT) continue;
        rows->one[count].name = snapshot_property_name(rows->snapshot, rows->properties[i]);
        rows->one[count++].value = value;
    }
    *ret_row = (struct event_row){
        .event = snapshot_event_name(rows->snapshot, rows->run->event_id),
        .time_ms = rows->times[row],
        .distinct_id = snapshot_id_text(rows->snapshot, rows->ids[row]),
        .user = snapshot_id_text(rows->snapshot, snapshot_person_id(rows->snapshot, rows->persons[row])),
        .insert_id = insert_id,
        .insert_id_sent = insert.type == VALUE_STRING,
        .imported = rows->flags[row] & BATCH_IMPORT,
        .received_ms = rows->received[row] / 1000 * 1000,
        .properties = rows->one,
        .property_count = count,
    };
}
