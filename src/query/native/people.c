/*
 * How many different people: exact, without hashing strings.
 *
 * Person numbers are dense and runs are sorted by them. So the persons are cut into ranges; a task takes one range,
 * visits the rows of that range in every run (they are contiguous: two binary searches), and sets a bit for each (cell,
 * person of the range) that it sees. The bits of a cell are then counted. Every person lies in one range, so counts of
 * ranges add up. Within a run persons ascend, so the bits of a cell are touched in order and stay in the cache, however
 * wide the range is; it is the memory budget that bounds a range.
 *
 * With very many cells and few rows, bits would be mostly zeros: then a range keeps a hash set of (cell, person).
 *
 * Persons that were merged into others after a run was sorted stand in it under their old numbers ("moved"). A first
 * pass over the runs that may hold such rows collects, for these rows alone, the person whose they are now and the
 * cell; the ranges start with those, and skip the rows where they meet them.
 *
 * A run whose buckets no other run has, with nothing moved and no labels, needs no bits: rows of a person are adjacent
 * and ascend in time, so a person is new in a bucket exactly where the person or the bucket changes.
 *
 * Rows of nobody (person 0) are events without a user.
 */
#include "query/native/survey.h"

#include "base/hash.h"
#include "query/native/kernels.h"

#include <stdlib.h>

#define RANGE_BYTES_MAX  ((size_t)64 << 20)
#define SET_BYTES        ((size_t)4 << 20) /* a hash set that stays in the cache */
#define ROWS_PER_RANGE   ((uint64_t)1 << 20)
#define MOVED_ROWS_FIRST ((size_t)1 << 16)
#define PLAIN_CELLS_MAX  16384

static bool is_moved(const struct survey *survey, uint32_t person)
{
    return survey->moved_bits[person / 64] >> (person % 64) & 1;
}

static bool may_hold_moved(const struct survey *survey, const struct bound *bound)
{
    return survey->moved_bits && bound->run.links_applied < snapshot_link_count(survey->snapshot);
}

/* --- rows that belong to somebody else now --- */

static int u64_cmp(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static size_t unique(uint64_t *values, size_t count)
{
    size_t kept = 0;
    qsort(values, count, sizeof *values, u64_cmp);
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || values[i] != values[i - 1]) values[kept++] = values[i];
    }
    return kept;
}

static enum status add_moved(struct worker *worker, uint64_t entry)
{
    if (worker->moved_count && worker->moved[worker->moved_count - 1] == entry) return STATUS_OK;
    if (worker->moved_count == worker->moved_capacity) {
        worker->moved_count = worker->moved_count ? unique(worker->moved, worker->moved_count) : 0;
        if (worker->moved_count * 2 >= worker->moved_capacity) {
            size_t capacity = worker->moved_capacity ? worker->moved_capacity * 2 : MOVED_ROWS_FIRST;
            if (capacity * sizeof *worker->moved > worker->survey->worker_bytes_max)
                return survey_out_of_memory(worker->survey, &worker->error);
            uint64_t *grown = realloc(worker->moved, capacity * sizeof *grown);
            if (!grown) return survey_out_of_memory(worker->survey, &worker->error);
            worker->moved = grown;
            worker->moved_capacity = capacity;
        }
    }
    worker->moved[worker->moved_count++] = entry;
    return STATUS_OK;
}

static enum status collect_moved(struct worker *worker, const uint16_t *rows, const uint32_t *cells, uint32_t from,
                                 uint32_t count)
{
    const struct survey *survey = worker->survey;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t person = worker->persons[rows ? rows[i] : from + i];
        if (cells[i] >= survey->cell_count || !is_moved(survey, person)) continue;
        uint64_t now = snapshot_person(survey->snapshot, person);
        TRY(add_moved(worker, now << 32 | cells[i]));
    }
    return STATUS_OK;
}

static enum status moved_task(void *ctx, unsigned slot, uint32_t index)
{
    struct survey *survey = ctx;
    struct worker *worker = &survey->workers[slot];
    TRY(survey_interrupted(survey, &worker->error));
    for (uint32_t s = survey->task_slices[index]; s < survey->task_slices[index + 1]; s++) {
        const struct slice *slice = &survey->slices[s];
        const struct bound *bound = &survey->runs[slice->run];
        if (!may_hold_moved(survey, bound)) continue;
        TRY(worker_open(worker, bound));
        for (uint32_t v = slice->from_vector; v < slice->to_vector; v++) {
            TRY(scan_vector(worker->scan, v, &worker->error, &worker->rows));
            TRY(scan_stored_persons(worker->scan, &worker->error, &worker->persons));
            bool any = false;
            for (uint32_t i = 0; i < worker->rows; i++) any |= is_moved(survey, worker->persons[i]);
            if (!any) continue;
            TRY(worker_cells(worker, v, 0, worker->rows, collect_moved));
        }
    }
    return STATUS_OK;
}

static enum status find_moved(struct survey *survey)
{
    uint32_t oldest = UINT32_MAX;
    for (size_t i = 0; i < survey->run_count; i++) {
        if (!survey->runs[i].never && survey->runs[i].run.links_applied < oldest)
            oldest = survey->runs[i].run.links_applied;
    }
    if (oldest == UINT32_MAX) return STATUS_OK;
    TRY(snapshot_moved(survey->snapshot, oldest, survey->error, &survey->moved_bits));
    if (!survey->moved_bits) return STATUS_OK;
    TRY(pool_run(survey->pool, survey->task_count, moved_task, survey));
    size_t total = 0;
    for (unsigned w = 0; w < survey->worker_count; w++) total += survey->workers[w].moved_count;
    if (total == 0) return STATUS_OK;
    survey->moved = malloc(total * sizeof *survey->moved);
    if (!survey->moved) return survey_out_of_memory(survey, survey->error);
    for (unsigned w = 0; w < survey->worker_count; w++) {
        struct worker *worker = &survey->workers[w];
        if (worker->moved_count)
            memcpy(survey->moved + survey->moved_count, worker->moved, worker->moved_count * sizeof *survey->moved);
        survey->moved_count += worker->moved_count;
        free(worker->moved);
        worker->moved = NULL;
    }
    survey->moved_count = unique(survey->moved, survey->moved_count);
    return STATUS_OK;
}

/* --- ranges --- */

static enum status grow_set(struct worker *worker)
{
    size_t capacity = worker->set_capacity ? worker->set_capacity * 2 : 1024;
    if (capacity * sizeof *worker->set > worker->survey->worker_bytes_max)
        return survey_out_of_memory(worker->survey, &worker->error);
    uint64_t *grown = calloc(capacity, sizeof *grown);
    if (!grown) return survey_out_of_memory(worker->survey, &worker->error);
    for (size_t i = 0; i < worker->set_capacity; i++) {
        if (!worker->set[i]) continue;
        size_t at = hash_u64(worker->set[i], 0) & (capacity - 1);
        while (grown[at]) at = (at + 1) & (capacity - 1);
        grown[at] = worker->set[i];
    }
    free(worker->set);
    worker->set = grown;
    worker->set_capacity = capacity;
    return STATUS_OK;
}

/* `person` is never 0, so an entry never is. */
static enum status add_to_set(struct worker *worker, uint32_t cell, uint32_t person)
{
    if (worker->set_count * 2 >= worker->set_capacity) TRY(grow_set(worker));
    uint64_t entry = (uint64_t)cell << 32 | person;
    size_t at = hash_u64(entry, 0) & (worker->set_capacity - 1);
    while (worker->set[at] && worker->set[at] != entry) at = (at + 1) & (worker->set_capacity - 1);
    if (worker->set[at]) return STATUS_OK;
    worker->set[at] = entry;
    worker->set_count++;
    worker->users[cell]++;
    return STATUS_OK;
}

static enum status mark(struct worker *worker, const uint16_t *rows, const uint32_t *cells, uint32_t from,
                        uint32_t count)
{
    const struct survey *survey = worker->survey;
    const uint32_t *persons = worker->persons;
    uint32_t base = worker->person_base, none = survey->cell_count;
    bool moved = may_hold_moved(survey, worker->open);
    if (survey->on || survey->plan->measure == MEASURE_AVERAGE) {
        for (uint32_t i = 0; i < count; i++) worker->counts[cells[i]]++;
    }
    if (survey->use_set || moved) {
        uint32_t last_cell = UINT32_MAX, last_person = 0;
        for (uint32_t i = 0; i < count; i++) {
            uint32_t cell = cells[i], person = persons[rows ? rows[i] : from + i];
            if (cell >= none || person == 0 || (cell == last_cell && person == last_person)) continue;
            last_cell = cell;
            last_person = person;
            if (moved && is_moved(survey, person)) continue;
            if (survey->use_set)
                TRY(add_to_set(worker, cell, person));
            else
                worker->bits[cell * worker->words + (person - base) / 64] |= (uint64_t)1 << ((person - base) % 64);
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

/* Bits by person instead of by row: without labels, a row is in one cell. */
static enum status mark_segments(struct worker *worker, const uint16_t *rows, const uint32_t *cells, uint32_t from,
                                 uint32_t count)
{
    const struct survey *survey = worker->survey;
    const struct scan_segments *segments = &worker->segments;
    bool moved = may_hold_moved(survey, worker->open);
    size_t words = worker->words;
    uint32_t low = 0, high = segments->count;
    (void)rows;
    if (survey->plan->measure == MEASURE_AVERAGE)
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
        if (person && !(moved && is_moved(survey, person))) {
            uint32_t place = person - worker->person_base;
            uint64_t *bits = worker->bits + place / 64, bit = (uint64_t)1 << (place % 64);
            for (; row < end; row++) bits[cells[row - from] * words] |= bit;
        }
        row = end;
    }
    return STATUS_OK;
}

/* All rows of the run go to one cell: the list of its persons tells who, and nothing else needs to be read. */
static bool is_list_enough(const struct survey *survey, const struct bound *bound)
{
    if (!bound->one_bucket || bound->run.deleted || may_hold_moved(survey, bound)) return false;
    for (size_t t = 0; t < survey->term_count; t++) {
        if (bound->terms[t].form != TERM_ALWAYS) return false;
    }
    return bound->labels.form == SOURCE_NONE || bound->labels.form == SOURCE_ONE;
}

static enum status visit_list(struct worker *worker, const struct bound *bound, uint64_t low, uint64_t high)
{
    const struct survey *survey = worker->survey;
    uint32_t cell = bound->bucket, from = 0, to = bound->run.persons, first_row = 0, last_row = bound->run.rows;
    if (bound->labels.form == SOURCE_ONE) {
        uint32_t slot = survey->slots ? survey->slots[bound->labels.label] : bound->labels.label;
        if (slot >= survey->slot_count) return STATUS_OK;
        cell += slot * survey->bucket_count;
    }
    TRY(worker_open(worker, bound));
    if (survey->range_count > 1) {
        TRY(scan_seek_owner(worker->scan, (uint32_t)low, &worker->error, &from));
        TRY(scan_seek_person(worker->scan, (uint32_t)low, &worker->error, &first_row));
        if (high <= UINT32_MAX) {
            TRY(scan_seek_owner(worker->scan, (uint32_t)high, &worker->error, &to));
            TRY(scan_seek_person(worker->scan, (uint32_t)high, &worker->error, &last_row));
        }
    }
    worker->counts[cell] += last_row - first_row;
    uint64_t *bits = worker->bits ? worker->bits + cell * worker->words : NULL;
    while (from < to) {
        const uint32_t *persons;
        uint32_t start = from / VECTOR_ROWS_MAX * VECTOR_ROWS_MAX;
        uint32_t end = to - start < VECTOR_ROWS_MAX ? to : start + VECTOR_ROWS_MAX;
        TRY(survey_interrupted(worker->survey, &worker->error));
        TRY(scan_owners(worker->scan, from / VECTOR_ROWS_MAX, &worker->error, &persons));
        if (persons[from - start] < low || persons[end - 1 - start] >= high)
            return error_set(&worker->error, STATUS_CORRUPT, "the persons of a run are not in order");
        for (; from < end; from++) {
            uint32_t person = persons[from - start], bit = person - worker->person_base;
            if (!survey->use_set)
                bits[bit / 64] |= (uint64_t)1 << (bit % 64);
            else if (person)
                TRY(add_to_set(worker, cell, person));
        }
    }
    return STATUS_OK;
}

/* --- runs that are alone --- */

static enum status count_changes(struct worker *worker, const uint16_t *rows, const uint32_t *cells, uint32_t from,
                                 uint32_t count)
{
    uint32_t none = worker->survey->cell_count, last = worker->last_cell;
    const uint8_t *starts = worker->starts + from;
    uint64_t *users = worker->users, *counts = worker->counts;
    (void)rows; /* there are no labels, so each row stands for itself */
    for (uint32_t i = 0; i < count; i++) {
        uint32_t cell = cells[i];
        last = starts[i] ? none : last;
        users[cell] += (cell != last) & (cell != none);
        last = cell == none ? last : cell;
    }
    if (worker->survey->plan->measure == MEASURE_AVERAGE)
        for (uint32_t i = 0; i < count; i++) counts[cells[i]]++;
    worker->last_cell = last;
    worker->visited = true;
    return STATUS_OK;
}

/* Every row in the range counts, and how many rows a cell has does not matter. */
static bool is_plain(const struct worker *worker, const struct bound *bound)
{
    const struct survey *survey = worker->survey;
    return survey->term_count == 0 && bound->run.deleted == 0 && !bound->one_bucket && worker->minutes_count &&
           survey->plan->measure == MEASURE_UNIQUE && survey->cell_count <= PLAIN_CELLS_MAX;
}

/* Bits for the rows in buckets that other runs have, too; cell i is that of row from + i. */
static enum status mark_shared(struct worker *worker, const uint16_t *cells, uint32_t from, uint32_t count)
{
    const uint8_t *shared = worker->survey->shared; /* the entry behind the last is 0 */
    struct scan_segments segments;
    uint32_t any = 0, segment = 0;
    for (uint32_t i = 0; i < count; i++) any |= shared[cells[i]];
    if (!any) return STATUS_OK;
    TRY(scan_segments(worker->scan, &worker->error, &segments));
    for (uint32_t i = 0; i < count; i++) {
        if (!shared[cells[i]]) continue;
        while (segments.ends[segment] <= from + i) segment++;
        uint32_t place = segments.persons[segment] - worker->person_base;
        worker->bits[cells[i] * worker->words + place / 64] |= (uint64_t)1 << (place % 64);
    }
    return STATUS_OK;
}

static enum status visit_plain(struct worker *worker, uint32_t from, uint32_t to)
{
    const struct kernels *kernels = CPU_SELECT(kernels);
    bool alone = worker->open->alone;
    uint32_t stride = worker->survey->cell_count + 1;
    uint32_t first = (uint32_t)worker->minutes_from, minute_count = (uint32_t)worker->minutes_count;
    uint16_t cells[VECTOR_ROWS_MAX], none = (uint16_t)(stride - 1), last = none;
    uint32_t *tables = calloc((size_t)stride * CHANGE_TABLES, sizeof *tables);
    enum status status = tables ? STATUS_OK : survey_out_of_memory(worker->survey, &worker->error);
    for (uint32_t v = from / VECTOR_ROWS_MAX; from < to && status == STATUS_OK; v++) {
        const uint32_t *minutes;
        const uint8_t *starts;
        uint32_t start = v * VECTOR_ROWS_MAX, high = 0;
        uint32_t end = to - start < VECTOR_ROWS_MAX ? to : start + VECTOR_ROWS_MAX;
        if (v % 16 == 0) status = survey_interrupted(worker->survey, &worker->error);
        if (status == STATUS_OK) status = scan_vector(worker->scan, v, &worker->error, &worker->rows);
        if (status == STATUS_OK) status = scan_starts(worker->scan, &worker->error, &starts);
        if (status == STATUS_OK) status = scan_minutes(worker->scan, &worker->error, &minutes);
        if (status != STATUS_OK) break;
        uint32_t low = from - start, rows = end - from;
        for (uint32_t i = low; i < low + rows; i++) high = minutes[i] - first > high ? minutes[i] - first : high;
        if (high >= minute_count) {
            status = error_set(&worker->error, STATUS_CORRUPT, "a time lies outside its section");
            break;
        }
        kernels->cells_of_minutes(minutes + low, rows, first, worker->minute_buckets, none, cells);
        kernels->count_changes(cells, starts + low, rows, last, tables, stride);
        if (!alone) status = mark_shared(worker, cells, low, rows);
        last = cells[rows - 1];
        from = end;
    }
    for (size_t i = 0; tables && i < (size_t)stride * CHANGE_TABLES; i++) {
        uint32_t cell = (uint32_t)(i % stride);
        if (cell < worker->survey->cell_count && worker->survey->shared[cell]) continue; /* by bits */
        worker->users[cell] += tables[i];
    }
    free(tables);
    return status;
}

/* Rows of nobody stand first and are no people. */
static enum status visit_alone(struct worker *worker, const struct bound *bound, uint32_t from, uint32_t to)
{
    const uint32_t *persons;
    TRY(scan_owners(worker->scan, 0, &worker->error, &persons));
    if (from == 0 && persons[0] == 0) {
        uint32_t nobody = bound->run.rows;
        if (bound->run.persons > 1) TRY(scan_seek_person(worker->scan, 1, &worker->error, &nobody));
        if (nobody > to) nobody = to;
        for (uint32_t v = 0; from < nobody; v++) {
            uint32_t start = v * VECTOR_ROWS_MAX,
                     end = start + VECTOR_ROWS_MAX < nobody ? start + VECTOR_ROWS_MAX : nobody;
            TRY(worker_cells(worker, v, from - start, end - start, worker_count));
            from = end;
        }
    }
    if (from < to && is_plain(worker, bound)) return visit_plain(worker, from, to);
    worker->last_cell = worker->survey->cell_count;
    for (uint32_t v = from / VECTOR_ROWS_MAX; from < to; v++) {
        uint32_t start = v * VECTOR_ROWS_MAX, end = start + VECTOR_ROWS_MAX < to ? start + VECTOR_ROWS_MAX : to;
        if (v % 16 == 0) TRY(survey_interrupted(worker->survey, &worker->error));
        TRY(scan_vector(worker->scan, v, &worker->error, &worker->rows));
        TRY(scan_starts(worker->scan, &worker->error, &worker->starts));
        /* worker_cells calls nothing when no row of the vector counts; then the person may have changed unseen */
        bool any_start = memchr(worker->starts + (from - start), 1, end - from) != NULL;
        uint32_t before = worker->last_cell;
        worker->visited = false;
        TRY(worker_cells(worker, v, from - start, end - start, count_changes));
        if (!worker->visited) worker->last_cell = any_start ? worker->survey->cell_count : before;
        from = end;
    }
    return STATUS_OK;
}

static bool can_count_changes(const struct survey *survey, const struct worker *worker, const struct bound *bound)
{
    if (!bound->ascends || survey->on || may_hold_moved(survey, bound)) return false;
    return bound->alone || (is_plain(worker, bound) && !survey->use_set);
}

/* Which runs have their buckets to themselves, and which buckets are not any run's alone. */
static enum status find_alone(struct survey *survey)
{
    uint32_t *runs = arena_new_array(survey->arena, uint32_t, (size_t)survey->bucket_count + 1);
    survey->shared = arena_new_array(survey->arena, uint8_t, (size_t)survey->bucket_count + 1);
    if (!runs || !survey->shared) return survey_out_of_memory(survey, survey->error);
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < survey->run_count; i++) {
            struct bound *bound = &survey->runs[i];
            if (bound->never) continue;
            uint32_t before = 0;
            bound->alone = bound->ascends = true;
            for (size_t e = bound->first_edge;; e++) {
                uint32_t bucket = e == SIZE_MAX ? BUCKET_NONE : survey->edges[e].bucket;
                if (bucket != BUCKET_NONE) {
                    if (runs[bucket] && runs[bucket] != i + 1) survey->shared[bucket] = 1;
                    runs[bucket] = (uint32_t)i + 1;
                    bound->ascends &= bucket >= before; /* clocks set back: minutes return */
                    bound->alone &= !survey->shared[bucket];
                    before = bucket;
                }
                if (e == bound->last_edge) break;
            }
            bound->alone &= bound->ascends;
        }
    }
    return STATUS_OK;
}

/* The rows of persons [low, high) of a run. */
static enum status visit(struct worker *worker, const struct bound *bound, uint64_t low, uint64_t high)
{
    const struct survey *survey = worker->survey;
    uint32_t from = 0, to = bound->run.rows;
    if (is_list_enough(survey, bound)) return visit_list(worker, bound, low, high);
    TRY(worker_open(worker, bound));
    if (survey->range_count > 1) {
        if (low) TRY(scan_seek_person(worker->scan, (uint32_t)low, &worker->error, &from));
        if (high <= UINT32_MAX) TRY(scan_seek_person(worker->scan, (uint32_t)high, &worker->error, &to));
    }
    if (can_count_changes(survey, worker, bound)) return visit_alone(worker, bound, from, to);
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
        TRY(worker_cells(worker, v, from - start, end - start, mark));
        from = end;
    }
    return STATUS_OK;
}

static enum status range_task(void *ctx, unsigned slot, uint32_t index)
{
    struct survey *survey = ctx;
    struct worker *worker = &survey->workers[slot];
    uint64_t low = index * survey->range_persons, high = low + survey->range_persons;
    if (index + 1 == survey->range_count) high = (uint64_t)UINT32_MAX + 1;
    worker->person_base = (uint32_t)low;
    if (survey->use_set) {
        worker->set_count = 0;
        if (worker->set) memset(worker->set, 0, worker->set_capacity * sizeof *worker->set);
    } else {
        worker->words = (survey->range_persons + 63) / 64;
        size_t bytes = ((size_t)survey->cell_count + 1) * worker->words * sizeof *worker->bits;
        if (!worker->bits) worker->bits = malloc(bytes);
        if (!worker->bits) return survey_out_of_memory(survey, &worker->error);
        memset(worker->bits, 0, bytes);
    }
    size_t at = 0, end = survey->moved_count;
    while (at < end) { /* the first entry of the range */
        size_t middle = at + (end - at) / 2;
        if (survey->moved[middle] >> 32 < low)
            at = middle + 1;
        else
            end = middle;
    }
    for (; at < survey->moved_count && survey->moved[at] >> 32 < high; at++) {
        uint32_t person = (uint32_t)(survey->moved[at] >> 32), cell = (uint32_t)survey->moved[at];
        if (survey->use_set)
            TRY(add_to_set(worker, cell, person));
        else
            worker->bits[cell * worker->words + (person - low) / 64] |= (uint64_t)1 << ((person - low) % 64);
    }
    for (size_t i = 0; i < survey->run_count; i++) {
        if (!survey->runs[i].never) TRY(visit(worker, &survey->runs[i], low, high));
    }
    for (uint32_t cell = 0; !survey->use_set && cell < survey->cell_count; cell++) {
        uint64_t *words = worker->bits + cell * worker->words, users = 0;
        if (low == 0) words[0] &= ~(uint64_t)1; /* nobody */
        for (size_t i = 0; i < worker->words; i++) users += (uint64_t)__builtin_popcountll(words[i]);
        worker->users[cell] += users;
    }
    return STATUS_OK;
}

enum status survey_count_people(struct survey *survey)
{
    TRY(find_moved(survey));
    TRY(find_alone(survey));
    uint64_t persons = (uint64_t)snapshot_id_count(survey->snapshot) + 1, cells = (uint64_t)survey->cell_count + 1;
    uint64_t wanted = survey->row_count / ROWS_PER_RANGE + 1;
    if (survey->worker_count > 1 && wanted > 1 && wanted < survey->worker_count * 4) wanted = survey->worker_count * 4;
    survey->use_set = persons / 64 * cells > survey->row_count * 2 + 65536;
    uint64_t ranges;
    if (survey->use_set) {
        ranges = survey->row_count * 32 / SET_BYTES + 1;
    } else {
        size_t budget = survey->worker_bytes_max / 2 < RANGE_BYTES_MAX ? survey->worker_bytes_max / 2 : RANGE_BYTES_MAX;
        uint64_t bytes = (persons + 63) / 64 * 8 * cells;
        ranges = bytes / budget + 1;
        if (survey->worker_count > 1 && ranges < wanted && ranges < survey->worker_count * 4)
            ranges = survey->worker_count * 4 < wanted ? survey->worker_count * 4 : wanted;
    }
    survey->range_persons = (persons / ranges / 64 + 1) * 64;
    survey->range_count = (uint32_t)((persons + survey->range_persons - 1) / survey->range_persons);
    for (unsigned w = 0; w < survey->worker_count; w++) {
        struct worker *worker = &survey->workers[w];
        worker->users = arena_new_array(worker->arena, uint64_t, (size_t)survey->cell_count + 1);
        if (!worker->users) return survey_out_of_memory(survey, survey->error);
    }
    TRY(pool_run(survey->pool, survey->range_count, range_task, survey));
    survey->people = survey->workers[0].users;
    for (unsigned w = 1; w < survey->worker_count; w++) {
        for (uint32_t c = 0; c < survey->cell_count; c++) survey->people[c] += survey->workers[w].users[c];
    }
    return STATUS_OK;
}
