/* Rows as numbers that can be compared: the engine's by scanning, the reference's by walking its list. */
#include "simulation/world.h"

#include "base/hash.h"
#include "reference/events.h"

#include <stdlib.h>

static uint64_t hash_property(struct arena *arena, struct str name, struct ref_value value)
{
    return hash_u64(hash_str(name) ^ hash_u64(hash_str(ref_json_text(arena, value)), 1), 2);
}

/* When it was received is kept in whole seconds. */
static uint64_t hash_core(struct str event, struct str id, struct str insert_id, int64_t time_ms, int64_t received_ms)
{
    uint64_t h = hash_u64(hash_str(event), 3) ^ hash_u64(hash_str(id), 4);
    if (insert_id.data) h ^= hash_u64(hash_str(insert_id), 5);
    return h ^ hash_u64((uint64_t)time_ms, 6) ^ hash_u64((uint64_t)(received_ms / 1000), 7);
}

static enum status read_vector(struct scan *scan, struct snapshot *snapshot, struct str event, uint32_t rows,
                               struct arena *arena, void (*each)(void *, const struct row_seen *), void *ctx,
                               struct error *error)
{
    const uint8_t *live;
    const uint32_t *ids, *persons, *properties;
    const int64_t *times, *received;
    size_t property_count;
    struct vector inserts;
    struct row_seen views[1024] = {0};
    TRY(scan_live(scan, error, &live));
    TRY(scan_ids(scan, error, &ids));
    TRY(scan_persons(scan, error, &persons));
    TRY(scan_times(scan, error, &times));
    TRY(scan_received(scan, error, &received));
    TRY(scan_insert_ids(scan, error, &inserts));
    TRY(scan_properties(scan, error, &properties, &property_count));
    for (uint32_t i = 0; i < rows; i++) {
        struct value insert = vector_at(&inserts, i);
        char room[ID_TEXT_ROOM];
        views[i].hash = hash_core(event, snapshot_id_text(snapshot, ids[i], room),
                                  insert.type == VALUE_STRING ? value_text(insert) : STR_NULL, times[i], received[i]);
        if (persons[i] != snapshot_person(snapshot, ids[i])) views[i].hash = 0; /* somebody else's row */
    }
    for (size_t p = 0; p < property_count; p++) {
        struct vector vector;
        struct str name = snapshot_property_name(snapshot, properties[p]);
        bool serial = str_eq(name, STR("serial"));
        TRY(scan_property(scan, properties[p], error, &vector));
        for (uint32_t i = 0; i < rows; i++) {
            struct value value = vector_at(&vector, i);
            struct json json;
            if (value.type == VALUE_ABSENT || !live[i]) continue;
            if (serial && value.type == VALUE_INT) views[i].serial = (uint32_t)value.integer;
            if (value_to_json(arena, value, &json) != STATUS_OK) abort();
            views[i].hash += hash_property(arena, name, ref_from_json(arena, &json));
        }
        arena_reset(arena);
    }
    for (uint32_t i = 0; i < rows; i++) {
        if (live[i]) each(ctx, &views[i]);
    }
    return STATUS_OK;
}

enum status rows_read(struct world *w, struct snapshot *snapshot, void (*each)(void *ctx, const struct row_seen *row),
                      void *ctx, struct error *error)
{
    struct scan *scan;
    struct scan_options options = {.from_ms = INT64_MIN, .to_ms = INT64_MAX, .memory_bytes_max = (size_t)64 << 20};
    struct scan_run run;
    struct arena *arena = arena_new((size_t)64 << 20);
    (void)w;
    enum status status = scan_new(snapshot, &options, error, &scan);
    if (status != STATUS_OK) {
        arena_free(arena);
        return status;
    }
    while ((status = scan_next(scan, error, &run)) == STATUS_OK) {
        struct str event = snapshot_event_name(snapshot, run.event_id);
        for (uint32_t v = 0; v < run.vectors && status == STATUS_OK; v++) {
            uint32_t rows;
            status = scan_vector(scan, v, error, &rows);
            if (status == STATUS_OK) status = read_vector(scan, snapshot, event, rows, arena, each, ctx, error);
        }
        if (status != STATUS_OK) break;
    }
    scan_free(scan);
    arena_free(arena);
    return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

void rows_expected(struct side *side, void (*each)(void *ctx, const struct row_seen *row), void *ctx)
{
    struct arena *arena = arena_new((size_t)64 << 20);
    for (const struct ref_event *event = side->reference->first; event; event = event->next) {
        if (event->gone) continue;
        struct row_seen row = {.hash = hash_core(event->name, event->id.data ? event->id : STR(""), event->insert_id,
                                                 event->time_ms, event->received_ms)};
        for (size_t i = 0; i < event->properties.count; i++) {
            struct str name = event->properties.keys[i];
            if (str_eq(name, STR("serial"))) row.serial = (uint32_t)event->properties.items[i].number;
            row.hash += hash_property(arena, name, event->properties.items[i]);
        }
        each(ctx, &row);
        arena_reset(arena);
    }
    arena_free(arena);
}
