/*
 * Properties and times of the current run in the form in which they are stored: codes, numbers, minutes.
 */
#include "store/run_int.h"
#include "store/scan_int.h"
#include "store/statistics.h"
#include "store/unpack.h"

static struct run_column *find(struct scan *scan, uint32_t property)
{
    return property > PROPERTY_ID_MAX ? NULL : run_column(&scan->run, property);
}

enum status scan_column(struct scan *scan, uint32_t property_id, struct error *error, struct scan_column *ret_column)
{
    struct run_column *column = find(scan, property_id);
    *ret_column = (struct scan_column){.form = SCAN_ABSENT};
    if (!column) return STATUS_OK;
    return run_describe(&scan->run, column, error, ret_column);
}

enum status scan_value_rows(struct scan *scan, uint32_t property_id, struct error *error, const uint32_t **ret_rows)
{
    struct run_column *column = find(scan, property_id);
    if (!column) return error_set(error, STATUS_INTERNAL, "no such column");
    return run_value_rows(&scan->run, column, error, ret_rows);
}

enum status scan_codes(struct scan *scan, uint32_t property_id, struct error *error, const uint32_t **ret_codes)
{
    struct run_column *column = find(scan, property_id);
    if (!column) return error_set(error, STATUS_INTERNAL, "no such column");
    *ret_codes = scan->codes;
    return run_read_codes(&scan->run, column, scan->vector, error, scan->codes);
}

enum status scan_numbers(struct scan *scan, uint32_t property_id, struct error *error, const double **ret_numbers)
{
    struct run_column *column = find(scan, property_id);
    if (!column) return error_set(error, STATUS_INTERNAL, "no such column");
    *ret_numbers = scan->numbers;
    return run_read_numbers(&scan->run, column, scan->vector, error, scan->numbers);
}

enum status scan_number_range(struct scan *scan, uint32_t property_id, struct error *error, double *ret_min,
                              double *ret_max)
{
    struct run_column *column = find(scan, property_id);
    if (!column) return error_set(error, STATUS_INTERNAL, "no such column");
    return run_number_range(&scan->run, column, scan->vector, error, ret_min, ret_max);
}

enum status scan_minutes(struct scan *scan, struct error *error, const uint32_t **ret_minutes)
{
    *ret_minutes = scan->minutes;
    return run_read_u32(&scan->run, CORE_MINUTE, scan->vector, error, scan->minutes);
}

enum status scan_milliseconds(struct scan *scan, struct error *error, const uint32_t **ret_milliseconds)
{
    const struct unpack_table *table = CPU_SELECT(unpack_table);
    struct run_column *column = run_column(&scan->run, CORE_MS);
    uint32_t *to = scan->milliseconds;
    int64_t all;
    if (!column) return run_damaged(&scan->run, STATUS_CORRUPT, error);
    if (column->chunk.encoding == CHUNK_CONST) {
        TRY(run_read_constant(&scan->run, column, error, &all));
        if (all < 0 || all >= 60000) return run_damaged(&scan->run, STATUS_CORRUPT, error);
        for (uint32_t i = 0; i < scan->rows; i++) to[i] = (uint32_t)all;
    } else {
        TRY(run_read_u32(&scan->run, CORE_MS, scan->vector, error, to));
        if (table->outside32(to, scan->rows, 0, 59999)) return run_damaged(&scan->run, STATUS_CORRUPT, error);
    }
    *ret_milliseconds = to;
    return STATUS_OK;
}

enum status scan_stored_persons(struct scan *scan, struct error *error, const uint32_t **ret_persons)
{
    TRY(run_read_persons(&scan->run, scan->vector, error, scan->stored_persons));
    uint32_t last = scan->stored_persons[scan->rows - 1]; /* they ascend */
    if (last > id_view_count(scan->snapshot->ids))
        return error_set(error, STATUS_CORRUPT, "person %u does not exist", last);
    *ret_persons = scan->stored_persons;
    return STATUS_OK;
}

enum status scan_segments(struct scan *scan, struct error *error, struct scan_segments *ret_segments)
{
    uint32_t *persons = scan->segment_persons, *count = &scan->segment_count;
    if (!scan->have_segments) {
        TRY(run_read_segments(&scan->run, scan->vector, error, persons, &scan->segment_ends, count));
        if (persons[*count - 1] > id_view_count(scan->snapshot->ids))
            return error_set(error, STATUS_CORRUPT, "person %u does not exist", persons[*count - 1]);
    }
    scan->have_segments = true;
    *ret_segments = (struct scan_segments){persons, scan->segment_ends, *count};
    return STATUS_OK;
}

enum status scan_starts(struct scan *scan, struct error *error, const uint8_t **ret_starts)
{
    *ret_starts = scan->starts;
    return run_read_starts(&scan->run, scan->vector, error, scan->starts);
}

enum status scan_seek_owner(struct scan *scan, uint32_t person, struct error *error, uint32_t *ret_place)
{
    return run_seek_owner(&scan->run, person, error, ret_place);
}

enum status scan_owners(struct scan *scan, uint32_t vector, struct error *error, const uint32_t **ret_persons)
{
    uint32_t persons = scan->run.event->persons, end;
    if (vector >= (persons + VECTOR_ROWS_MAX - 1) / VECTOR_ROWS_MAX)
        return error_set(error, STATUS_INTERNAL, "no such vector of persons");
    TRY(run_read_owners(&scan->run, vector, error, ret_persons));
    end = persons - vector * VECTOR_ROWS_MAX < VECTOR_ROWS_MAX ? persons - vector * VECTOR_ROWS_MAX : VECTOR_ROWS_MAX;
    if ((*ret_persons)[end - 1] > id_view_count(scan->snapshot->ids))
        return error_set(error, STATUS_CORRUPT, "person %u does not exist", (*ret_persons)[end - 1]);
    return STATUS_OK;
}

enum status scan_seek_vector(struct scan *scan, uint32_t person, struct error *error, uint32_t *ret_vector)
{
    return run_seek_vector(&scan->run, person, error, ret_vector);
}

enum status scan_seek_person(struct scan *scan, uint32_t person, struct error *error, uint32_t *ret_row)
{
    return run_seek_person(&scan->run, person, error, ret_row);
}

enum status scan_quarters(struct scan *scan, const struct scan_run *run, struct error *error,
                          const struct scan_quarter **ret_quarters, size_t *ret_count)
{
    if (scan->open) run_close(&scan->run);
    scan->open = false;
    arena_reset(scan->arena);
    if (run->section >= scan->snapshot->section_count) return error_set(error, STATUS_INTERNAL, "no such run");
    const struct section *section = scan->snapshot->sections[run->section].section;
    if (run->event >= section->event_count) return error_set(error, STATUS_INTERNAL, "no such run");
    const struct section_event *event = &section->events[run->event];
    struct pinned pinned;
    struct scan_quarter *quarters;
    *ret_quarters = NULL;
    *ret_count = 0;
    if (event->statistics.size == 0) return STATUS_OK;
    TRY(section_fetch(section, event->statistics, error, &pinned));
    enum status status =
        statistics_read(pinned.bytes, section->window_log2, event->rows, scan->arena, &quarters, ret_count);
    pinned_release(&pinned);
    if (status == STATUS_LIMIT) return error_set(error, status, "memory budget exceeded");
    scan->run.section = section; /* for the error */
    if (status != STATUS_OK) return run_damaged(&scan->run, status, error);
    *ret_quarters = quarters;
    return STATUS_OK;
}
