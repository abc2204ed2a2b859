/*
 * Marking people where only time decides, which is what is asked most: so it goes by kernels. Of a run in one bucket
 * the list of persons is enough. Of the others minutes and persons are read, and nothing else.
 *
 * Edges of buckets are coarse: a table of minutes would be large, mostly larger than the fastest cache. So a section's
 * time is cut into places of 2^shift minutes, as large as its edges allow: 32 minutes for days in UTC, 4 where the
 * clock is whole hours off.
 */
#include "query/native/kernels.h"
#include "query/native/people.h"

#include <stdlib.h>

#define MINUTE_MS  60000
#define SHIFT_MAX  16
#define PLACES_MAX ((int64_t)1 << 19)

bool people_is_list_enough(const struct survey *survey, const struct bound *bound)
{
    if (!bound->one_bucket || bound->run.deleted) return false;
    for (size_t t = 0; t < survey->term_count; t++) {
        if (bound->terms[t].form != TERM_ALWAYS) return false;
    }
    return bound->labels.form == SOURCE_NONE || bound->labels.form == SOURCE_ONE;
}

uint32_t people_list_cell(const struct survey *survey, const struct bound *bound)
{
    if (bound->labels.form != SOURCE_ONE) return bound->bucket;
    uint32_t slot = survey->slots ? survey->slots[bound->labels.label] : bound->labels.label;
    return slot < survey->slot_count ? bound->bucket + slot * survey->bucket_count : survey->cell_count;
}

enum status people_visit_list(struct worker *worker, const struct bound *bound, uint64_t low, uint64_t high)
{
    const struct kernels *kernels = CPU_SELECT(kernels);
    const struct survey *survey = worker->survey;
    uint32_t cell = people_list_cell(survey, bound), from = 0, to = bound->run.persons;
    uint32_t first_row = 0, last_row = bound->run.rows;
    bool moved = may_hold_moved(survey, bound);
    if (cell >= survey->cell_count) return STATUS_OK;
    TRY(worker_open(worker, bound));
    if (survey->range_count > 1) {
        if (low) TRY(scan_seek_owner(worker->scan, (uint32_t)low, &worker->error, &from));
        if (high <= UINT32_MAX) {
            TRY(scan_seek_owner(worker->scan, (uint32_t)high, &worker->error, &to));
        }
    }
    if (survey->count_rows_too) {
        if (low) TRY(scan_seek_person(worker->scan, (uint32_t)low, &worker->error, &first_row));
        if (high <= UINT32_MAX) TRY(scan_seek_person(worker->scan, (uint32_t)high, &worker->error, &last_row));
        worker->counts[cell] += last_row - first_row;
    }
    uint64_t *bits = worker->bits ? worker->bits + cell * worker->words : NULL;
    while (from < to) {
        const uint32_t *persons;
        uint32_t start = from / VECTOR_ROWS_MAX * VECTOR_ROWS_MAX;
        uint32_t end = to - start < VECTOR_ROWS_MAX ? to : start + VECTOR_ROWS_MAX;
        TRY(survey_interrupted(worker->survey, &worker->error));
        TRY(scan_owners(worker->scan, from / VECTOR_ROWS_MAX, &worker->error, &persons));
        if (!survey->use_set) {
            if (!kernels->mark_persons(bits, persons + (from - start), end - from, (uint32_t)low,
                                       (uint32_t)worker->words * 64))
                return error_set(&worker->error, STATUS_CORRUPT, "the persons of a run are not in order");
            from = end;
        }
        for (; from < end; from++) {
            uint32_t person = persons[from - start];
            if (person < low || person >= high)
                return error_set(&worker->error, STATUS_CORRUPT, "the persons of a run are not in order");
            if (person && !(moved && is_moved(survey, person))) TRY(people_add_to_set(worker, cell, person));
        }
    }
    return STATUS_OK;
}

/* The table place -> first word of its bucket's bits. The entry behind the last is for rows that do not count. */
static enum status make_places(struct worker *worker, const struct bound *bound)
{
    const struct survey *survey = worker->survey;
    const struct scan_run *run = &bound->run;
    if (worker->places_section == run->section) return STATUS_OK;
    worker->places_section = UINT32_MAX;
    worker->place_count = 0;
    int64_t min = (run->section_min_ms - run->window_ms) / MINUTE_MS,
            max = (run->section_max_ms - run->window_ms) / MINUTE_MS;
    uint64_t edges = (uint64_t)1 << SHIFT_MAX;
    size_t edge = 0;
    while (edge + 1 < survey->edge_count && survey->edges[edge + 1].from_ms <= run->section_min_ms) edge++;
    for (size_t i = edge; i < survey->edge_count && survey->edges[i].from_ms <= run->section_max_ms; i++)
        edges |= (uint64_t)((survey->edges[i].from_ms - run->window_ms) / MINUTE_MS);
    unsigned shift = (unsigned)__builtin_ctzll(edges);
    int64_t first = min >> shift, count = (max >> shift) - first + 1;
    if (count > PLACES_MAX) return STATUS_OK;
    if ((size_t)count + 1 > worker->place_capacity) {
        uint32_t *grown = realloc(worker->place_rows, ((size_t)count + 1) * sizeof *grown);
        if (!grown) return survey_out_of_memory(worker->survey, &worker->error);
        worker->place_rows = grown;
        worker->place_capacity = (size_t)count + 1;
    }
    worker->place_rows[count] = survey->cell_count * (uint32_t)worker->words;
    for (int64_t i = 0; i < count; i++) {
        int64_t from_ms = run->window_ms + ((first + i) << shift) * MINUTE_MS;
        while (edge + 1 < survey->edge_count && survey->edges[edge + 1].from_ms <= from_ms) edge++;
        uint32_t bucket = survey->edges[edge].from_ms <= from_ms ? survey->edges[edge].bucket : BUCKET_NONE;
        uint32_t cell = bucket == BUCKET_NONE ? survey->cell_count : bucket;
        worker->place_rows[i] = cell * (uint32_t)worker->words;
    }
    worker->place_shift = shift;
    worker->first_place = (uint32_t)first;
    worker->place_count = (uint32_t)count;
    worker->places_section = run->section;
    return STATUS_OK;
}

enum status people_can_mark_times(struct worker *worker, const struct bound *bound, bool *ret_can)
{
    const struct survey *survey = worker->survey;
    *ret_can = survey->whole_minutes && !survey->use_set && !survey->on && !survey->term_count;
    if (!*ret_can) return STATUS_OK;
    TRY(make_places(worker, bound));
    *ret_can = worker->place_count > 0;
    return STATUS_OK;
}

/* The first of `count` ascending persons that is `person` or above. */
static uint32_t first_from(const uint32_t *persons, uint32_t count, uint64_t person)
{
    uint32_t low = 0;
    while (low < count) {
        uint32_t middle = low + (count - low) / 2;
        if (persons[middle] < person)
            low = middle + 1;
        else
            count = middle;
    }
    return low;
}

/* The minutes of the vector, with those of rows that do not count behind all others. */
static enum status read_minutes(struct worker *worker, const struct bound *bound, uint32_t rows, uint32_t *buffer,
                                const uint32_t **ret_minutes)
{
    const uint8_t *live;
    uint32_t nowhere = (worker->first_place + worker->place_count) << worker->place_shift;
    TRY(scan_minutes(worker->scan, &worker->error, ret_minutes));
    if (!bound->run.deleted) return STATUS_OK;
    TRY(scan_live(worker->scan, &worker->error, &live));
    for (uint32_t i = 0; i < rows; i++) buffer[i] = live[i] ? (*ret_minutes)[i] : nowhere;
    *ret_minutes = buffer;
    return STATUS_OK;
}

/* Which rows belong to the range is seen where it begins and ends, and not searched for before. */
enum status people_next_vector(struct worker *worker, const struct bound *bound, struct people_vectors *vectors)
{
    uint32_t rows, last = 0;
    if (vectors->begun) {
        vectors->vector++;
    } else {
        vectors->begun = true;
        vectors->vector = 0;
        if (vectors->low) TRY(scan_seek_vector(worker->scan, (uint32_t)vectors->low, &worker->error, &vectors->vector));
    }
    vectors->from = vectors->to = 0;
    vectors->more = vectors->vector < bound->run.vectors;
    if (!vectors->more) return STATUS_OK;
    if (vectors->vector % 16 == 0) TRY(survey_interrupted(worker->survey, &worker->error));
    TRY(scan_vector(worker->scan, vectors->vector, &worker->error, &rows));
    TRY(scan_stored_persons(worker->scan, &worker->error, &worker->persons));
    const uint32_t *persons = worker->persons;
    worker->rows = rows;
    vectors->from = persons[0] < vectors->low ? first_from(persons, rows, vectors->low) : 0;
    vectors->more = persons[rows - 1] < vectors->high;
    vectors->to = vectors->more ? rows : first_from(persons, rows, vectors->high);
    vectors->more &= vectors->vector + 1 < bound->run.vectors;
    for (uint32_t i = vectors->from; i < vectors->to; i++) {
        uint32_t place = persons[i] - (uint32_t)vectors->low;
        last = place > last ? place : last;
    }
    if (last >= vectors->high - vectors->low)
        return error_set(&worker->error, STATUS_CORRUPT, "the persons of a run are not in order");
    return STATUS_OK;
}

enum status people_mark_times(struct worker *worker, const struct bound *bound, uint64_t low, uint64_t high)
{
    const struct kernels *kernels = CPU_SELECT(kernels);
    struct mark_times marks = {.bits = worker->bits,
                               .rows = worker->place_rows,
                               .shift = worker->place_shift,
                               .first_place = worker->first_place,
                               .place_count = worker->place_count + 1,
                               .base = worker->person_base,
                               .person_count = (uint32_t)worker->words * 64};
    uint32_t v = 0, rows, buffer[VECTOR_ROWS_MAX];
    worker->open = NULL; /* scan_open, not worker_open: its table of minutes is not needed */
    TRY(scan_open(worker->scan, &bound->run, &worker->error));
    if (low) TRY(scan_seek_vector(worker->scan, (uint32_t)low, &worker->error, &v));
    for (bool more = true; more && v < bound->run.vectors; v++) {
        const uint32_t *minutes, *persons;
        if (v % 16 == 0) TRY(survey_interrupted(worker->survey, &worker->error));
        TRY(scan_vector(worker->scan, v, &worker->error, &rows));
        TRY(scan_stored_persons(worker->scan, &worker->error, &persons));
        uint32_t from = persons[0] < low ? first_from(persons, rows, low) : 0;
        more = persons[rows - 1] < high;
        if (!more) rows = first_from(persons, rows, high);
        if (from >= rows) continue;
        TRY(read_minutes(worker, bound, rows, buffer, &minutes));
        if (!kernels->mark_times(&marks, minutes + from, persons + from, rows - from))
            return error_set(&worker->error, STATUS_CORRUPT, "a time or a person lies outside its section");
    }
    return STATUS_OK;
}
