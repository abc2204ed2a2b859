#include "store/scan_int.h"

#include "base/civil.h"
#include "store/run_int.h"

#include <stdlib.h>

enum status scan_new(struct snapshot *snapshot, const struct scan_options *options, struct error *error,
                     struct scan **ret_scan)
{
    struct scan *scan = calloc(1, sizeof *scan);
    if (!scan) return error_set(error, STATUS_LIMIT, "out of memory for a scan");
    scan->snapshot = snapshot;
    scan->options = *options;
    scan->arena = arena_new(options->memory_bytes_max ? options->memory_bytes_max : (size_t)256 << 20);
    size_t n = VECTOR_ROWS_MAX;
    scan->persons = malloc(n * sizeof *scan->persons);
    scan->ids = malloc(n * sizeof *scan->ids);
    scan->times = malloc(n * sizeof *scan->times);
    scan->received = malloc(n * sizeof *scan->received);
    scan->scratch = malloc(n * sizeof *scan->scratch);
    scan->flags = malloc(n);
    scan->live = malloc(n);
    scan->minutes = malloc(n * sizeof *scan->minutes);
    scan->milliseconds = malloc(n * sizeof *scan->milliseconds);
    scan->codes = malloc(n * sizeof *scan->codes);
    scan->stored_persons = calloc(n + SCAN_PAD, sizeof *scan->stored_persons);
    scan->numbers = malloc(n * sizeof *scan->numbers);
    if (options->events) {
        scan->events = malloc((options->event_count + 1) * sizeof *scan->events);
        if (scan->events && options->event_count)
            memcpy(scan->events, options->events, options->event_count * sizeof *scan->events);
        scan->options.events = scan->events;
    }
    if (!scan->persons || !scan->ids || !scan->times || !scan->received || !scan->scratch || !scan->flags ||
        !scan->live || !scan->minutes || !scan->milliseconds || !scan->codes || !scan->stored_persons ||
        !scan->numbers || (options->events && !scan->events)) {
        scan_free(scan);
        return error_set(error, STATUS_LIMIT, "out of memory for a scan");
    }
    *ret_scan = scan;
    return STATUS_OK;
}

void scan_free(struct scan *scan)
{
    if (!scan) return;
    if (scan->open) run_close(&scan->run);
    arena_free(scan->arena);
    free(scan->events);
    free(scan->persons);
    free(scan->ids);
    free(scan->times);
    free(scan->received);
    free(scan->scratch);
    free(scan->flags);
    free(scan->live);
    free(scan->minutes);
    free(scan->milliseconds);
    free(scan->codes);
    free(scan->stored_persons);
    free(scan->numbers);
    free(scan);
}

const struct snapshot *scan_snapshot(const struct scan *scan)
{
    return scan->snapshot;
}

/* The next run of a section that may hold wanted rows; *at is the place after the one before. */
static const struct section_event *next_event(const struct section *section, const struct scan_options *options,
                                              uint32_t *at)
{
    for (;;) {
        const struct section_event *event;
        if (options->events) {
            if (*at >= options->event_count) return NULL;
            event = section_find_event(section, options->events[(*at)++]);
        } else {
            if (*at >= section->event_count) return NULL;
            event = &section->events[(*at)++];
        }
        if (event && event->time_max_ms >= options->from_ms && event->time_min_ms < options->to_ms) return event;
    }
}

static struct scan_run describe(const struct snapshot *snapshot, size_t index, const struct section_event *event)
{
    const struct section *section = snapshot->sections[index].section;
    const struct deletes *deletes = snapshot->sections[index].deletes;
    struct scan_run run = {.event_id = event->event_id,
                           .rows = event->rows,
                           .vectors = (event->rows + VECTOR_ROWS_MAX - 1) / VECTOR_ROWS_MAX,
                           .persons = event->persons,
                           .links_applied = section->links_applied,
                           .time_min_ms = event->time_min_ms,
                           .time_max_ms = event->time_max_ms,
                           .window_ms = section->window_day * DAY_MS,
                           .section_min_ms = section->time_min_ms,
                           .section_max_ms = section->time_max_ms,
                           .section = (uint32_t)index,
                           .event = (uint32_t)(event - section->events)};
    if (deletes) {
        uint64_t below = event->first_row ? roaring_bitmap_rank(deletes->rows, event->first_row - 1) : 0;
        run.deleted = (uint32_t)(roaring_bitmap_rank(deletes->rows, event->first_row + event->rows - 1) - below);
    }
    return run;
}

static bool is_outside(const struct section *section, const struct scan_options *options)
{
    return section->time_max_ms < options->from_ms || section->time_min_ms >= options->to_ms;
}

enum status scan_list(const struct snapshot *snapshot, const struct scan_options *options, struct arena *arena,
                      struct error *error, struct scan_run **ret_runs, size_t *ret_count)
{
    size_t count = 0, capacity = 0;
    struct scan_run *runs = NULL;
    for (size_t i = 0; i < snapshot->section_count; i++) {
        const struct section *section = snapshot->sections[i].section;
        const struct section_event *event;
        uint32_t at = 0;
        if (is_outside(section, options)) continue;
        while ((event = next_event(section, options, &at))) {
            if (count == capacity) {
                size_t grown = capacity ? capacity * 2 : 64;
                runs = arena_realloc(arena, runs, capacity * sizeof *runs, grown * sizeof *runs);
                if (!runs) return error_set(error, STATUS_LIMIT, "memory budget exceeded");
                capacity = grown;
            }
            runs[count++] = describe(snapshot, i, event);
        }
    }
    *ret_runs = runs;
    *ret_count = count;
    return STATUS_OK;
}

enum status scan_open(struct scan *scan, const struct scan_run *run, struct error *error)
{
    if (scan->open) run_close(&scan->run);
    scan->open = false;
    if (run->section >= scan->snapshot->section_count) return error_set(error, STATUS_INTERNAL, "no such run");
    scan->section = run->section;
    const struct section *section = scan_section(scan)->section;
    if (run->event >= section->event_count) return error_set(error, STATUS_INTERNAL, "no such run");
    arena_reset(scan->arena);
    TRY(run_open(&scan->run, section, &section->events[run->event], scan->arena, error));
    scan->open = true;
    scan->rows = 0;
    scan->picked_count = 0;
    scan->properties = NULL;
    return STATUS_OK;
}

enum status scan_next(struct scan *scan, struct error *error, struct scan_run *ret_run)
{
    for (; scan->section < scan->snapshot->section_count; scan->section++, scan->event = 0) {
        const struct section *section = scan_section(scan)->section;
        if (is_outside(section, &scan->options)) continue;
        const struct section_event *event = next_event(section, &scan->options, &scan->event);
        if (!event) continue;
        struct scan_run run = describe(scan->snapshot, scan->section, event);
        TRY(scan_open(scan, &run, error));
        *ret_run = run;
        return STATUS_OK;
    }
    if (scan->open) run_close(&scan->run);
    scan->open = false;
    return STATUS_NOT_FOUND;
}

enum status scan_vector(struct scan *scan, uint32_t index, struct error *error, uint32_t *ret_rows)
{
    if (!scan->open || index >= run_vectors(&scan->run)) return error_set(error, STATUS_INTERNAL, "no such vector");
    scan->vector = index;
    scan->picked_count = 0;
    scan->rows = run_vector_rows(&scan->run, index);
    scan->have_persons = scan->have_ids = scan->have_times = scan->have_live = scan->have_segments = false;
    *ret_rows = scan->rows;
    return STATUS_OK;
}

enum status scan_times(struct scan *scan, struct error *error, const int64_t **ret_times_ms)
{
    if (!scan->have_times) TRY(run_read_times(&scan->run, scan->vector, error, scan->times));
    scan->have_times = true;
    *ret_times_ms = scan->times;
    return STATUS_OK;
}

/* Rows under a mixed number: their ids tell whose they are. */
static enum status resolve_mixed(struct scan *scan, uint32_t first, uint32_t count, struct error *error)
{
    const uint32_t *ids;
    TRY(scan_ids(scan, error, &ids));
    for (uint32_t i = first; i < first + count; i++) scan->persons[i] = id_view_person(scan->snapshot->ids, ids[i]);
    return STATUS_OK;
}

enum status scan_persons(struct scan *scan, struct error *error, const uint32_t **ret_persons)
{
    const struct id_view *view = scan->snapshot->ids;
    if (!scan->have_persons) {
        TRY(run_read_persons(&scan->run, scan->vector, error, scan->persons));
        /* Stored numbers are those of sealing time; links made since then move them. Rows of one person are adjacent.
         */
        bool any_mixed = id_view_any_mixed(view);
        for (uint32_t i = 0, end; i < scan->rows; i = end) {
            uint32_t stored = scan->persons[i];
            if (stored > id_view_count(view))
                return error_set(error, STATUS_CORRUPT, "person %u does not exist", stored);
            uint32_t person = id_view_person(view, stored);
            for (end = i; end < scan->rows && scan->persons[end] == stored; end++) scan->persons[end] = person;
            if (any_mixed && id_view_is_mixed(view, stored)) TRY(resolve_mixed(scan, i, end - i, error));
        }
    }
    scan->have_persons = true;
    *ret_persons = scan->persons;
    return STATUS_OK;
}

enum status scan_ids(struct scan *scan, struct error *error, const uint32_t **ret_ids)
{
    if (!scan->have_ids) {
        TRY(run_read_ints(&scan->run, CORE_ID, scan->vector, error, scan->scratch));
        for (uint32_t i = 0; i < scan->rows; i++) {
            if ((uint64_t)scan->scratch[i] > id_view_count(scan->snapshot->ids))
                return error_set(error, STATUS_CORRUPT, "id %lld does not exist", (long long)scan->scratch[i]);
            scan->ids[i] = (uint32_t)scan->scratch[i];
        }
    }
    scan->have_ids = true;
    *ret_ids = scan->ids;
    return STATUS_OK;
}

enum status scan_received(struct scan *scan, struct error *error, const int64_t **ret_received_ms)
{
    TRY(run_read_ints(&scan->run, CORE_RECEIVED, scan->vector, error, scan->received));
    *ret_received_ms = scan->received;
    return STATUS_OK;
}

enum status scan_flags(struct scan *scan, struct error *error, const uint8_t **ret_flags)
{
    TRY(run_read_ints(&scan->run, CORE_FLAGS, scan->vector, error, scan->scratch));
    for (uint32_t i = 0; i < scan->rows; i++) scan->flags[i] = (uint8_t)scan->scratch[i];
    *ret_flags = scan->flags;
    return STATUS_OK;
}

static enum status read_column(struct scan *scan, uint32_t property, struct error *error, struct vector *ret_vector)
{
    static const struct value absent = {.type = VALUE_ABSENT};
    struct run_column *column = run_column(&scan->run, property);
    if (!column) {
        *ret_vector = (struct vector){.kind = VECTOR_CONST, .count = scan->rows, .values = &absent};
        return STATUS_OK;
    }
    return run_read(&scan->run, column, scan->vector, error, ret_vector);
}

enum status scan_insert_ids(struct scan *scan, struct error *error, struct vector *ret_vector)
{
    return read_column(scan, CORE_INSERT, error, ret_vector);
}

enum status scan_property(struct scan *scan, uint32_t property_id, struct error *error, struct vector *ret_vector)
{
    return read_column(scan, property_id > PROPERTY_ID_MAX ? PROPERTY_ID_MAX : property_id, error, ret_vector);
}

enum status scan_live(struct scan *scan, struct error *error, const uint8_t **ret_live)
{
    (void)error;
    if (!scan->have_live) {
        memset(scan->live, 1, scan->rows);
        const struct deletes *deletes = scan_section(scan)->deletes;
        uint32_t first = scan->run.event->first_row + scan->vector * VECTOR_ROWS_MAX;
        if (deletes) {
            roaring_uint32_iterator_t at;
            roaring_init_iterator(deletes->rows, &at);
            bool more = roaring_move_uint32_iterator_equalorlarger(&at, first);
            while (more && at.current_value < first + scan->rows) {
                scan->live[at.current_value - first] = 0;
                more = roaring_advance_uint32_iterator(&at);
            }
        }
    }
    scan->have_live = true;
    *ret_live = scan->live;
    return STATUS_OK;
}

enum status scan_properties(struct scan *scan, struct error *error, const uint32_t **ret_ids, size_t *ret_count)
{
    size_t count = 0;
    if (!scan->properties) {
        scan->properties = arena_new_array(scan->arena, uint32_t, scan->run.column_count + 1);
        if (!scan->properties) return error_set(error, STATUS_LIMIT, "memory budget exceeded");
    }
    for (uint32_t i = 0; i < scan->run.column_count; i++) {
        if (scan->run.columns[i].chunk.property <= PROPERTY_ID_MAX)
            scan->properties[count++] = scan->run.columns[i].chunk.property;
    }
    *ret_ids = scan->properties;
    *ret_count = count;
    return STATUS_OK;
}

enum status scan_property_rows(struct scan *scan, struct error *error, const uint32_t **ret_rows)
{
    size_t count = 0;
    uint32_t *rows = arena_new_array(scan->arena, uint32_t, scan->run.column_count + 1);
    if (!rows) return error_set(error, STATUS_LIMIT, "memory budget exceeded");
    for (uint32_t i = 0; i < scan->run.column_count; i++) {
        const struct chunk *chunk = &scan->run.columns[i].chunk;
        if (chunk->property > PROPERTY_ID_MAX) continue;
        if (chunk->present > scan->run.event->rows) return run_damaged(&scan->run, STATUS_CORRUPT, error);
        rows[count++] = chunk->present;
    }
    *ret_rows = rows;
    return STATUS_OK;
}
