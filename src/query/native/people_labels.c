/*
 * How many different people, of rows that have labels or are filtered.
 *
 * Within a run persons ascend, so the rows of one person in one cell come together, with only rows of other cells
 * between them: a person is new in a cell when it is not the one that the cell saw last. Where no other run has rows of
 * these persons in the cell's bucket, that is the answer, however many cells there are.
 *
 * Cells of other buckets are `shared` (people_shared.c): there, bits of (cell, person) say who has been seen, in ranges
 * of persons that are so narrow that the bits stay in the nearest caches. The persons of a run ascend, so each cell's
 * bits are touched in order.
 *
 * Rows that belong to somebody else now, and rows of nobody, are set aside: counted as rows, and not as people. What
 * the former come to instead is known beforehand (people_moved.c), and their buckets are shared.
 *
 * Labels that are no codes, too many cells, or more bits than rows are worth, are left to people.c.
 */
#include "query/native/narrow.h"
#include "query/native/pair_kernels.h"
#include "query/native/people.h"

#include <stdlib.h>

#define RANGE_BYTES    ((uint64_t)1 << 20) /* of bits: they stay near; less, and opening runs again costs more */
#define RANGES_MAX     1024
#define BIT_BYTES_ROW  32 /* of bits that a row may cost: they are cleared and counted */
#define BIT_BYTES_FREE ((uint64_t)1 << 20)
#define PAIR_VECTORS   (PAIR_ROWS_MAX / VECTOR_ROWS_MAX)
#define TASKS_A_WORKER 4
#define SMALL_ROWS     65536 /* one task */

#define ROW_NONE UINT32_MAX

_Static_assert(SCAN_PAD >= EXPAND_PAD, "what is read behind the last person");

/* How a survey's cells are counted: made before, then only read. */
struct labelled {
    const struct pair_kernels *kernels;
    bool all_shared;    /* then the cells are the rows of bits */
    uint32_t *rows;     /* cell -> its row of bits; ROW_NONE: not shared */
    uint32_t row_count; /* and one more, for what does not count */
};

/* What one participant has to itself. */
struct labelled_worker {
    uint64_t *pairs; /* by cell */
    uint64_t *users; /* by row of bits */
    uint32_t pair_vectors;
    uint64_t shared[MASK_WORDS]; /* rows of the vector at hand in shared cells */
    uint32_t persons[VECTOR_ROWS_MAX + EXPAND_PAD];
};

/* Rows [from, to) of the vector at hand, which belong to persons from `low` on and below `high`. */
struct span {
    uint32_t from, to;
    uint64_t low, high;
    struct scan_segments segments;
    uint32_t first, last; /* segments that have such rows */
};

static enum status read_persons(struct worker *worker, struct span *span)
{
    TRY(scan_segments(worker->scan, &worker->error, &span->segments));
    const struct scan_segments *segments = &span->segments;
    uint32_t first = 0, last = segments->count - 1;
    while (segments->ends[first] <= span->from) first++;
    while (last > first && segments->ends[last - 1] >= span->to) last--;
    bool inside = true;
    for (uint32_t s = first; s <= last; s++)
        inside &= segments->persons[s] >= span->low && segments->persons[s] < span->high;
    if (!inside) return error_set(&worker->error, STATUS_CORRUPT, "the persons of a run are not in order");
    span->first = first;
    span->last = last;
    return STATUS_OK;
}

static void set_aside(struct worker *worker, const struct span *span, uint32_t segment)
{
    struct narrow *narrow = worker->narrow;
    uint32_t from = segment ? span->segments.ends[segment - 1] : 0, to = span->segments.ends[segment];
    for (uint32_t i = from > span->from ? from : span->from; i < to && i < span->to; i++) {
        if (!(narrow->mask[i / 64] >> (i % 64) & 1)) continue;
        worker->counts[narrow->cells[i]]++;
        narrow->mask[i / 64] &= ~((uint64_t)1 << (i % 64));
    }
}

static void mark_shared(struct worker *worker)
{
    const struct labelled *labelled = worker->survey->labelled;
    const struct labelled_worker *own = worker->labelled;
    for (uint32_t w = 0; w < MASK_WORDS; w++) {
        for (uint64_t left = own->shared[w]; left; left &= left - 1) {
            uint32_t i = w * 64 + (uint32_t)__builtin_ctzll(left), place = own->persons[i] - worker->person_base;
            uint32_t row = labelled->rows[worker->narrow->cells[i]];
            if (row == ROW_NONE) continue;
            worker->bits[pair_word(labelled->row_count + 1, row, place)] |= (uint64_t)1 << (place % 64);
        }
    }
}

static void flush_pairs(struct worker *worker)
{
    const struct labelled *labelled = worker->survey->labelled;
    struct labelled_worker *own = worker->labelled;
    own->pair_vectors = 0;
    for (uint32_t c = 0; c < worker->survey->cell_count; c++) {
        uint64_t pair = own->pairs[c];
        worker->counts[c] += PAIR_ROWS(pair);
        if (labelled->rows[c] == ROW_NONE) worker->users[c] += PAIR_USERS(pair);
        own->pairs[c] = (uint64_t)PAIR_PERSON(pair) << 32;
    }
}

/* Bits for all rows. Those of one person have mostly one label. */
static void mark_all(struct worker *worker, const struct span *span)
{
    const struct labelled *labelled = worker->survey->labelled;
    const struct labelled_worker *own = worker->labelled;
    struct narrow *narrow = worker->narrow;
    uint32_t rows = labelled->row_count + 1, left = 0;
    narrow->kernels->hide(narrow->mask, worker->rows, narrow->none, narrow->cells);
    labelled->kernels->changes(narrow->cells, own->persons, narrow->mask);
    for (uint32_t w = 0; w < MASK_WORDS; w++) left += (uint32_t)__builtin_popcountll(narrow->mask[w]);
    if (left * 2 < span->to - span->from)
        labelled->kernels->mark_kept(narrow->cells, own->persons, narrow->mask, worker->person_base, rows,
                                     worker->bits);
    else
        labelled->kernels->mark(narrow->cells + span->from, own->persons + span->from, span->to - span->from,
                                worker->person_base, rows, worker->bits);
}

static enum status visit_vector(struct worker *worker, uint32_t vector, struct span *span)
{
    const struct survey *survey = worker->survey;
    const struct labelled *labelled = survey->labelled;
    const struct pair_kernels *kernels = labelled->kernels;
    struct labelled_worker *own = worker->labelled;
    struct narrow *narrow = worker->narrow;
    uint32_t left, rows = span->to - span->from;
    TRY(narrow_vector(worker, vector, span->from, span->to, &left));
    if (left == 0) return STATUS_OK;
    TRY(read_persons(worker, span));
    bool moved = may_hold_moved(survey, worker->open);
    if (span->segments.persons[span->first] == 0) set_aside(worker, span, span->first);
    for (uint32_t s = span->first; moved && s <= span->last; s++) {
        if (is_moved(survey, span->segments.persons[s])) set_aside(worker, span, s);
    }
    kernels->expand(span->segments.persons, span->segments.ends, span->segments.count, own->persons);
    const uint16_t *cells = narrow->cells + span->from;
    const uint32_t *persons = own->persons + span->from;
    bool few = left * 3 < rows;
    if (!few) narrow->kernels->hide(narrow->mask, span->to, narrow->none, narrow->cells);
    if (labelled->all_shared) {
        TRY(narrow_count(worker, left));
        mark_all(worker, span);
        return STATUS_OK;
    }
    if (labelled->row_count && people_in_shared(worker, span->to, own->shared)) mark_shared(worker);
    if (own->pair_vectors == PAIR_VECTORS) flush_pairs(worker);
    own->pair_vectors++;
    if (few)
        kernels->pairs_kept(narrow->cells, own->persons, narrow->mask, own->pairs);
    else
        kernels->pairs(cells, persons, rows, own->pairs);
    return STATUS_OK;
}

/* --- ranges of persons --- */

static enum status visit(struct worker *worker, const struct bound *bound, uint64_t low, uint64_t high)
{
    const struct survey *survey = worker->survey;
    uint32_t from = 0, to = bound->run.rows;
    bool usable;
    TRY(narrow_open(worker, bound, NARROW_CELLS, &usable));
    if (!usable) return error_set(&worker->error, STATUS_INTERNAL, "the run does not fit");
    if (survey->range_count > 1) {
        if (low) TRY(scan_seek_person(worker->scan, (uint32_t)low, &worker->error, &from));
        if (high <= UINT32_MAX) TRY(scan_seek_person(worker->scan, (uint32_t)high, &worker->error, &to));
    }
    for (uint32_t v = from / VECTOR_ROWS_MAX; from < to; v++) {
        uint32_t start = v * VECTOR_ROWS_MAX, end = start + VECTOR_ROWS_MAX < to ? start + VECTOR_ROWS_MAX : to;
        struct span span = {.from = from - start, .to = end - start, .low = low, .high = high};
        if (v % 16 == 0) TRY(survey_interrupted(worker->survey, &worker->error));
        TRY(visit_vector(worker, v, &span));
        from = end;
    }
    return STATUS_OK;
}

static enum status get_ready(struct worker *worker)
{
    const struct survey *survey = worker->survey;
    if (worker->labelled) return STATUS_OK;
    worker->labelled = arena_new_array(worker->arena, struct labelled_worker, 1);
    if (!worker->labelled) return survey_out_of_memory(worker->survey, &worker->error);
    worker->labelled->pairs = arena_new_array(worker->arena, uint64_t, (size_t)survey->cell_count + 1);
    worker->labelled->users = arena_new_array(worker->arena, uint64_t, (size_t)survey->labelled->row_count + 1);
    size_t words = survey->range_persons / 64 * ((size_t)survey->labelled->row_count + 1);
    worker->bits = calloc(words, sizeof *worker->bits);
    if (!worker->labelled->pairs || !worker->labelled->users || !worker->bits)
        return survey_out_of_memory(worker->survey, &worker->error);
    return STATUS_OK;
}

static void mark_moved(struct worker *worker, uint64_t low, uint64_t high)
{
    const struct survey *survey = worker->survey;
    for (size_t at = people_first_moved(survey, low); at < survey->moved_count && survey->moved[at] >> 32 < high;
         at++) {
        uint32_t place = (uint32_t)((survey->moved[at] >> 32) - low);
        uint32_t row = survey->labelled->rows[(uint32_t)survey->moved[at]];
        worker->bits[pair_word(survey->labelled->row_count + 1, row, place)] |= (uint64_t)1 << (place % 64);
    }
}

static enum status range_task(void *ctx, unsigned slot, uint32_t index)
{
    struct survey *survey = ctx;
    const struct labelled *labelled = survey->labelled;
    struct worker *worker = &survey->workers[slot];
    uint64_t low = index * survey->range_persons, high = low + survey->range_persons;
    worker->person_base = (uint32_t)low;
    TRY(get_ready(worker));
    mark_moved(worker, low, high);
    for (size_t i = 0; i < survey->run_count; i++) {
        if (!survey->runs[i].never) TRY(visit(worker, &survey->runs[i], low, high));
    }
    if (labelled->row_count) {
        uint32_t blocks = (uint32_t)(survey->range_persons / PAIR_BLOCK);
        labelled->kernels->take(worker->bits, blocks, labelled->row_count + 1, worker->labelled->users);
    }
    plan_passed_rows(survey->limits, survey->row_count / survey->range_count);
    return STATUS_OK;
}

/* --- the whole --- */

/* Some run has labels by code, or terms that let some rows pass, and all can be read in 16 bits. Others are better off
 * elsewhere. */
static bool is_for_us(const struct survey *survey)
{
    bool any = false;
    if (!survey->on && !survey->term_count) return false;
    for (size_t i = 0; i < survey->run_count; i++) {
        const struct bound *bound = &survey->runs[i];
        if (bound->never) continue;
        if (!narrow_fits(survey, bound, NARROW_CELLS)) return false;
        any |= bound->labels.form == SOURCE_TABLE || (survey->on && !bound->one_bucket);
        for (size_t t = 0; t < survey->term_count; t++) any |= bound->terms[t].form != TERM_ALWAYS;
    }
    return any;
}

/* Which cells are shared, and their rows of bits. */
static enum status assign_rows(struct survey *survey, struct labelled *labelled)
{
    uint32_t buckets = survey->bucket_count;
    labelled->rows = arena_new_array(survey->arena, uint32_t, (size_t)survey->cell_count + 1);
    if (!labelled->rows) return survey_out_of_memory(survey, survey->error);
    for (uint32_t c = 0; c < survey->cell_count; c++)
        labelled->rows[c] = survey->unshared[c % buckets] ? ROW_NONE : labelled->row_count++;
    labelled->rows[survey->cell_count] = ROW_NONE;
    labelled->all_shared = labelled->row_count == survey->cell_count;
    return STATUS_OK;
}

static void finish(struct worker *worker)
{
    const struct labelled *labelled = worker->survey->labelled;
    if (!labelled->all_shared) flush_pairs(worker);
    for (uint32_t c = 0; labelled->row_count && c < worker->survey->cell_count; c++) {
        if (labelled->rows[c] != ROW_NONE) worker->users[c] += worker->labelled->users[labelled->rows[c]];
    }
}

enum status people_count_labelled(struct survey *survey, bool *ret_done)
{
    *ret_done = false;
    if (survey->cell_count == 0 || !is_for_us(survey)) return STATUS_OK;
    struct labelled *labelled = arena_new_array(survey->arena, struct labelled, 1);
    if (!labelled) return survey_out_of_memory(survey, survey->error);
    labelled->kernels = CPU_SELECT(pair_kernels);
    TRY(assign_rows(survey, labelled));
    uint64_t blocks = (uint64_t)snapshot_id_count(survey->snapshot) / PAIR_BLOCK + 1;
    uint64_t block_bytes = ((uint64_t)labelled->row_count + 1) * (PAIR_BLOCK / 8), bytes = blocks * block_bytes;
    if (labelled->row_count && bytes > survey->row_count * BIT_BYTES_ROW + BIT_BYTES_FREE) return STATUS_OK;
    uint64_t ranges = bytes / RANGE_BYTES + 1, tasks = (uint64_t)survey->worker_count * TASKS_A_WORKER;
    if (ranges > RANGES_MAX) ranges = RANGES_MAX;
    if (survey->worker_count > 1 && survey->row_count > SMALL_ROWS && ranges < tasks) ranges = tasks;
    uint64_t range_blocks = blocks / ranges + 1;
    if (range_blocks * block_bytes > survey->worker_bytes_max / 2) return STATUS_OK;
    survey->range_persons = range_blocks * PAIR_BLOCK;
    survey->range_count = (uint32_t)((blocks + range_blocks - 1) / range_blocks);
    survey->labelled = labelled;
    plan_expects_rows(survey->limits, survey->row_count);
    TRY(pool_run(survey->pool, survey->range_count, range_task, survey));
    for (unsigned w = 0; w < survey->worker_count; w++) {
        if (survey->workers[w].labelled) finish(&survey->workers[w]);
    }
    *ret_done = true;
    return STATUS_OK;
}

/* --- in the general way --- */

enum status people_mark_labelled(struct worker *worker, const uint16_t *rows, const uint32_t *cells, uint32_t from,
                                 uint32_t count)
{
    const struct survey *survey = worker->survey;
    const uint32_t *persons = worker->persons;
    uint32_t base = worker->person_base, none = survey->cell_count;
    bool moved = may_hold_moved(survey, worker->open);
    if (survey->count_rows_too) {
        for (uint32_t i = 0; i < count; i++) worker->counts[cells[i]]++;
    }
    if (survey->use_set) {
        uint32_t last_cell = UINT32_MAX, last_person = 0;
        for (uint32_t i = 0; i < count; i++) {
            uint32_t cell = cells[i], person = persons[rows ? rows[i] : from + i];
            if (cell >= none || person == 0 || (cell == last_cell && person == last_person)) continue;
            last_cell = cell;
            last_person = person;
            if (moved && is_moved(survey, person)) continue;
            TRY(people_add_to_set(worker, cell, person));
        }
        return STATUS_OK;
    }
    uint64_t *bits = worker->bits;
    size_t words = worker->words;
    if (rows) {
        for (uint32_t i = 0; i < count; i++) {
            uint32_t person = persons[rows[i]] - base;
            bits[cells[i] * words + person / 64] |= (uint64_t)1 << (person % 64);
        }
        return STATUS_OK;
    }
    for (uint32_t i = 0; i < count; i++) {
        uint32_t person = persons[from + i] - base;
        bits[cells[i] * words + person / 64] |= (uint64_t)1 << (person % 64);
    }
    return STATUS_OK;
}
