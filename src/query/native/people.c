/*
 * How many different people: exact, without hashing strings.
 *
 * Person numbers are dense and runs are sorted by them. So the persons are cut into ranges; a task takes one range,
 * visits the rows of that range in every run (they are contiguous: two binary searches), and sets a bit for each (cell,
 * person of the range) that it sees. The bits of a cell are then counted. Every person lies in one range, so counts of
 * ranges add up. Within a run persons ascend, so the bits of a cell are touched in order. Still, ranges are as narrow
 * as the rows allow: bits that stay in the cache need no memory that is fetched, cleared, and counted from afar.
 *
 * With very many cells and few rows, bits would be mostly zeros: then a range keeps a hash set of (cell, person)
 * (people_set.c).
 *
 * Persons that were merged into others after a run was sorted stand in it under their old numbers ("moved"). A first
 * pass (people_moved.c) collects, for these rows alone, the person whose they are now and the cell; the ranges start
 * with those, and clear the bits of the old numbers at the end, which are nobody's.
 *
 * A run that shares nobody with other runs may need no bits: people_alone.c. Labels and filters of the usual kinds are
 * counted in 16 bits: people_labels.c.
 *
 * Rows of nobody (person 0) are events without a user.
 */
#include "query/native/people.h"

#include "query/native/kernels.h"

#include <stdlib.h>

#define RANGE_BYTES_MAX  ((size_t)64 << 20)
#define RANGE_BYTES_NEAR ((size_t)1 << 20) /* of bits that are set: they stay near ... */
#define PIECE_ROWS       8192              /* ... unless then a range has fewer rows of a run, mostly */
#define SET_BYTES        ((size_t)4 << 20) /* a hash set that stays in the cache */
#define ROWS_PER_RANGE   ((uint64_t)1 << 20)

/* Bits by person instead of by row: without labels, a row is in one cell. */
static enum status mark_segments(struct worker *worker, const uint16_t *rows, const uint32_t *cells, uint32_t from,
                                 uint32_t count)
{
    const struct survey *survey = worker->survey;
    const struct scan_segments *segments = &worker->segments;
    size_t words = worker->words;
    uint32_t low = 0, high = segments->count;
    (void)rows;
    if (survey->count_rows_too)
        for (uint32_t i = 0; i < count; i++) worker->counts[cells[i]]++;
    while (low < high) { /* the segment in which `from` lies */
        uint32_t middle = low + (high - low) / 2;
        if (segments->ends[middle] <= from)
            low = middle + 1;
        else
            high = middle;
    }
    for (uint32_t row = from; row < from + count; low++) {
        uint32_t person = segments->persons[low], end = segments->ends[low];
        if (end > from + count) end = from + count;
        if (person) {
            uint32_t place = person - worker->person_base;
            uint64_t *bits = worker->bits + place / 64, bit = (uint64_t)1 << (place % 64);
            for (; row < end; row++) bits[cells[row - from] * words] |= bit;
        }
        row = end;
    }
    return STATUS_OK;
}

/* The rows of persons [low, high) of a run. */
static enum status visit(struct worker *worker, const struct bound *bound, uint64_t low, uint64_t high)
{
    const struct survey *survey = worker->survey;
    uint32_t from = 0, to = bound->run.rows;
    if (people_is_list_enough(survey, bound)) return people_visit_list(worker, bound, low, high);
    if (people_can_count_changes(survey, bound)) return people_count_changes(worker, bound, low, high);
    bool by_times;
    TRY(people_can_mark_times(worker, bound, &by_times));
    if (by_times) return people_mark_times(worker, bound, low, high);
    TRY(worker_open(worker, bound));
    if (survey->range_count > 1) {
        if (low) TRY(scan_seek_person(worker->scan, (uint32_t)low, &worker->error, &from));
        if (high <= UINT32_MAX) TRY(scan_seek_person(worker->scan, (uint32_t)high, &worker->error, &to));
    }
    if (people_is_alone(survey, bound)) return people_visit_alone(worker, bound, from, to);
    for (uint32_t v = from / VECTOR_ROWS_MAX; from < to; v++) {
        uint32_t start = v * VECTOR_ROWS_MAX, end = start + VECTOR_ROWS_MAX < to ? start + VECTOR_ROWS_MAX : to;
        if (v % 16 == 0) TRY(survey_interrupted(worker->survey, &worker->error));
        TRY(scan_vector(worker->scan, v, &worker->error, &worker->rows));
        if (!survey->on && !survey->use_set) {
            TRY(scan_segments(worker->scan, &worker->error, &worker->segments));
            const struct scan_segments *s = &worker->segments;
            uint32_t first = 0, last = s->count - 1;
            while (s->ends[first] <= from - start) first++;
            while (last > first && s->ends[last - 1] >= end - start) last--;
            if (s->persons[first] < low || s->persons[last] >= high)
                return error_set(&worker->error, STATUS_CORRUPT, "the persons of a run are not in order");
            TRY(worker_cells(worker, v, from - start, end - start, mark_segments));
            from = end;
            continue;
        }
        TRY(scan_stored_persons(worker->scan, &worker->error, &worker->persons));
        if (worker->persons[from - start] < low || worker->persons[end - 1 - start] >= high)
            return error_set(&worker->error, STATUS_CORRUPT, "the persons of a run are not in order");
        TRY(worker_cells(worker, v, from - start, end - start, people_mark_labelled));
        from = end;
    }
    return STATUS_OK;
}

/* A number that was taken away is never given again. */
void people_clear_moved(const struct survey *survey, uint64_t low, uint64_t *bits, size_t words)
{
    if (!survey->moved_bits) return;
    size_t first = (size_t)(low / 64), all = (size_t)snapshot_id_count(survey->snapshot) / 64 + 1;
    if (words > all - first) words = all - first;
    for (size_t w = 0; w < words; w++) bits[w] &= ~survey->moved_bits[first + w];
}

static enum status range_task(void *ctx, unsigned slot, uint32_t index)
{
    struct survey *survey = ctx;
    const struct kernels *kernels = CPU_SELECT(kernels);
    struct worker *worker = &survey->workers[slot];
    uint64_t low = index * survey->range_persons, high = low + survey->range_persons;
    if (index + 1 == survey->range_count) high = (uint64_t)UINT32_MAX + 1;
    worker->person_base = (uint32_t)low;
    if (survey->use_set) {
        worker->set_count = 0;
        if (worker->set) memset(worker->set, 0, worker->set_capacity * sizeof *worker->set);
    } else {
        worker->words = (survey->range_persons + 63) / 64;
        size_t words = ((size_t)survey->cell_count + 1) * worker->words;
        if (!worker->bits) worker->bits = calloc(words, sizeof *worker->bits);
        if (!worker->bits) return survey_out_of_memory(survey, &worker->error);
    }
    for (size_t at = people_first_moved(survey, low); at < survey->moved_count && survey->moved[at] >> 32 < high;
         at++) {
        uint32_t person = (uint32_t)(survey->moved[at] >> 32), cell = (uint32_t)survey->moved[at];
        if (survey->use_set)
            TRY(people_add_to_set(worker, cell, person));
        else
            worker->bits[cell * worker->words + (person - low) / 64] |= (uint64_t)1 << ((person - low) % 64);
    }
    for (size_t i = 0; i < survey->run_count; i++) {
        if (!survey->runs[i].never) TRY(visit(worker, &survey->runs[i], low, high));
    }
    for (uint32_t cell = 0; !survey->use_set && cell < survey->cell_count; cell++) {
        uint64_t *words = worker->bits + cell * worker->words;
        if (!survey->marked[cell % survey->bucket_count]) continue;
        if (low == 0) words[0] &= ~(uint64_t)1; /* nobody */
        people_clear_moved(survey, low, words, worker->words);
        worker->users[cell] += kernels->count_bits(words, worker->words);
        memset(words, 0, worker->words * sizeof *words); /* for the next range */
    }
    plan_passed_rows(survey->limits, survey->row_count / survey->range_count);
    return STATUS_OK;
}

static enum status count_ranges(struct survey *survey)
{
    uint64_t persons = (uint64_t)snapshot_id_count(survey->snapshot) + 1, cells = (uint64_t)survey->cell_count + 1;
    uint32_t marked_buckets;
    if (survey->cell_count == 0) return STATUS_OK;
    TRY(people_find_marked(survey, &marked_buckets));
    uint64_t marked = (uint64_t)survey->slot_count * marked_buckets + 1;
    uint64_t wanted = survey->row_count / ROWS_PER_RANGE + 1;
    if (survey->worker_count > 1 && wanted > 1 && wanted < survey->worker_count * 4) wanted = survey->worker_count * 4;
    uint64_t marked_rows = survey->row_count / survey->bucket_count * marked_buckets; /* about */
    survey->use_set = persons / 64 * marked > marked_rows * 2 + 65536;
    uint64_t ranges;
    if (survey->use_set) {
        ranges = survey->row_count * 32 / SET_BYTES + 1;
    } else {
        size_t budget = survey->worker_bytes_max / 2 < RANGE_BYTES_MAX ? survey->worker_bytes_max / 2 : RANGE_BYTES_MAX;
        uint64_t bytes = (persons + 63) / 64 * 8 * cells, marked_bytes = (persons + 63) / 64 * 8 * marked, runs = 1;
        for (size_t i = 0; i < survey->run_count; i++) runs += !survey->runs[i].never;
        ranges = bytes / budget + 1;
        uint64_t near = marked_bytes / RANGE_BYTES_NEAR + 1, most = survey->row_count / (runs * PIECE_ROWS) + 1;
        if (near > most) near = most;
        if (ranges < near) ranges = near;
        if (survey->worker_count > 1 && ranges < wanted && ranges < survey->worker_count * 4)
            ranges = survey->worker_count * 4 < wanted ? survey->worker_count * 4 : wanted;
    }
    survey->range_persons = (persons / ranges / 64 + 1) * 64;
    survey->range_count = (uint32_t)((persons + survey->range_persons - 1) / survey->range_persons);
    plan_expects_rows(survey->limits, survey->row_count);
    return pool_run(survey->pool, survey->range_count, range_task, survey);
}

enum status survey_count_people(struct survey *survey)
{
    bool done;
    TRY(people_find_moved(survey));
    TRY(people_find_shared(survey));
    for (unsigned w = 0; w < survey->worker_count; w++) {
        struct worker *worker = &survey->workers[w];
        worker->users = arena_new_array(worker->arena, uint64_t, (size_t)survey->cell_count + 1);
        if (!worker->users) return survey_out_of_memory(survey, survey->error);
    }
    TRY(people_count_labelled(survey, &done));
    if (!done) TRY(count_ranges(survey));
    for (unsigned w = 0; w < survey->worker_count; w++) people_take_changes(&survey->workers[w]);
    survey->people = survey->workers[0].users;
    for (unsigned w = 1; w < survey->worker_count; w++) {
        for (uint32_t c = 0; c < survey->cell_count; c++) survey->people[c] += survey->workers[w].users[c];
    }
    return STATUS_OK;
}
