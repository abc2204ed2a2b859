#include "store/row_reader.h"

#include "store/scan_int.h"

#include <stdlib.h>

#define ALONE_BYTES ((size_t)1 << 30)

struct row_reader {
    struct section *section;
    const struct section_event *event;
    struct arena *arena;
    uint64_t used;
    struct scan scan; /* only what reading picked rows of an open run needs */
};

static void reader_free(struct row_reader *reader)
{
    if (!reader) return;
    if (reader->scan.open) run_close(&reader->scan.run);
    arena_free(reader->arena);
    section_unref(reader->section);
    free(reader);
}

void row_readers_clear(struct row_readers *readers)
{
    for (size_t i = 0; i < ROW_READERS_MAX; i++) {
        reader_free(readers->items[i]);
        readers->items[i] = NULL;
    }
}

static enum status reader_new(struct section *section, const struct section_event *event, size_t bytes_max,
                              struct error *error, struct row_reader **ret_reader)
{
    struct row_reader *reader = calloc(1, sizeof *reader);
    if (!reader) return error_set(error, STATUS_LIMIT, "out of memory for a reader of rows");
    reader->section = section_ref_take(section);
    reader->event = event;
    reader->arena = arena_new(bytes_max);
    enum status status = run_open(&reader->scan.run, section, event, reader->arena, error);
    if (status != STATUS_OK) {
        reader_free(reader);
        return status;
    }
    reader->scan.open = true;
    *ret_reader = reader;
    return STATUS_OK;
}

/* The place of the reader for this run, or else the one that is to make room for it. */
static size_t place_of(const struct row_readers *readers, const struct section *section,
                       const struct section_event *event)
{
    size_t oldest = 0;
    for (size_t i = 0; i < ROW_READERS_MAX; i++) {
        const struct row_reader *reader = readers->items[i];
        if (reader && reader->section == section && reader->event == event) return i;
        uint64_t used = reader ? reader->used : 0, least = readers->items[oldest] ? readers->items[oldest]->used : 0;
        if (used < least) oldest = i;
    }
    return oldest;
}

static enum status find_row(struct row_reader *reader, const uint32_t *persons, size_t person_count,
                            const struct row_place *place, struct error *error, uint32_t *ret_row)
{
    return run_find(&reader->scan.run, persons, person_count, place->id, place->time_ms, place->insert_id, error,
                    ret_row);
}

static enum status read_row(struct row_reader *reader, uint32_t row, struct arena *arena, struct error *error,
                            struct row_property **ret_properties, size_t *ret_count)
{
    struct scan *scan = &reader->scan;
    struct run *run = &scan->run;
    uint32_t core = 0, in_run = row - run->event->first_row;
    size_t count = 0;
    while (core < run->column_count && run->columns[core].chunk.property > PROPERTY_ID_MAX) core++;
    struct row_property *properties = arena_alloc(arena, ((size_t)run->column_count + 1) * sizeof *properties);
    if (!properties) return error_set(error, STATUS_LIMIT, "memory budget exceeded");
    scan->vector = in_run / VECTOR_ROWS_MAX;
    scan->rows = run_vector_rows(run, scan->vector);
    uint32_t in_vector = in_run % VECTOR_ROWS_MAX;
    TRY(scan_pick(scan, &in_vector, 1, error));
    for (uint32_t c = core; c < run->column_count; c++) {
        struct value value;
        TRY(scan_pick_property(scan, c - core, arena, error, &value));
        if (value.type != VALUE_ABSENT)
            properties[count++] = (struct row_property){run->columns[c].chunk.property, value};
    }
    *ret_properties = properties;
    *ret_count = count;
    return STATUS_OK;
}

struct wanted {
    const uint32_t *persons; /* NULL: `row` is to be read */
    size_t person_count;
    const struct row_place *place;
    uint32_t row;
    struct arena *arena;
    struct row_property *properties;
    size_t property_count;
};

static enum status carry_out(struct row_reader *reader, struct wanted *wanted, struct error *error)
{
    if (wanted->persons)
        return find_row(reader, wanted->persons, wanted->person_count, wanted->place, error, &wanted->row);
    return read_row(reader, wanted->row, wanted->arena, error, &wanted->properties, &wanted->property_count);
}

static enum status use(struct row_readers *readers, struct section *section, uint32_t event_id, struct wanted *wanted,
                       struct error *error)
{
    const struct section_event *event = section_find_event(section, event_id);
    if (!event) return STATUS_NOT_FOUND;
    size_t at = place_of(readers, section, event);
    struct row_reader *reader = readers->items[at];
    if (!reader || reader->section != section || reader->event != event) {
        enum status opened = reader_new(section, event, ROW_READER_BYTES, error, &reader);
        if (opened != STATUS_OK && opened != STATUS_LIMIT) return opened;
        if (opened == STATUS_OK) {
            reader_free(readers->items[at]);
            readers->items[at] = reader;
        } else {
            reader = NULL;
        }
    }
    enum status status = STATUS_LIMIT;
    if (reader) {
        reader->used = ++readers->clock;
        status = carry_out(reader, wanted, error);
        if (status == STATUS_OK || status == STATUS_NOT_FOUND) return status;
        /* What failed may be half read. */
        reader_free(reader);
        readers->items[at] = NULL;
    }
    if (status != STATUS_LIMIT) return status;
    TRY(reader_new(section, event, ALONE_BYTES, error, &reader));
    status = carry_out(reader, wanted, error);
    reader_free(reader);
    return status;
}

enum status row_readers_find(struct row_readers *readers, struct section *section, const uint32_t *persons,
                             size_t person_count, const struct row_place *place, struct error *error, uint32_t *ret_row)
{
    struct wanted wanted = {.persons = persons, .person_count = person_count, .place = place};
    TRY(use(readers, section, place->event, &wanted, error));
    *ret_row = wanted.row;
    return STATUS_OK;
}

enum status row_readers_read(struct row_readers *readers, struct section *section, uint32_t event, uint32_t row,
                             struct arena *arena, struct error *error, struct row_property **ret_properties,
                             size_t *ret_count)
{
    struct wanted wanted = {.row = row, .arena = arena};
    TRY(use(readers, section, event, &wanted, error));
    *ret_properties = wanted.properties;
    *ret_count = wanted.property_count;
    return STATUS_OK;
}
