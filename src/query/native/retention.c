/*
 * Retention on the event store.
 *
 * Births and returns are two surveys (survey.h) of one snapshot: the same machinery as for segmentations says which
 * rows match, by dictionaries and statistics where it can, and with which labels. The persons are cut into ranges, as
 * for counting people (people.c). A task takes one range:
 *
 * 1. The births of its persons: the earliest matching row of each, in an array by person.
 * 2. Their returns. All that is asked of a row is in which interval after its owner's birth it lies; a bit for that is
 *    set in the marks of its owner (retention_marks.c). Neither rows nor intervals need to come in any order, nothing
 *    is sorted, and a person with millions of rows takes no more room than one with a single row. With labels, or when
 * a person is in several cohorts, marks are not enough: then (place of the person, interval or time, label) is
 *    collected and sorted (retention_items.c).
 * 3. The bits are added to the cells of cohorts.
 *
 * Rows that moved to other persons since their run was sorted are collected beforehand, and looked up by each range.
 * A row of the returns that could be a birth itself does not count at the instant of the birth: for runs that are in
 * both surveys it is found out which rows those are, a vector at a time.
 */
#include "query/native/retention.h"

#include "base/civil.h"

#include <stdlib.h>

#define MINUTE_MS        60000
#define RANGE_BYTES_NEAR ((size_t)1 << 20) /* of the arrays of a range: they stay near ... */
#define PIECE_ROWS       8192              /* ... unless then a range has fewer rows of a run, mostly */
#define ROWS_WORTH       ((uint64_t)1 << 17)
#define ITEM_ROWS        ((uint64_t)1 << 18) /* of a range that is sorted */
#define MOVED_FIRST      1024
#define UNBORN_COHORTS   8
#define MARKED_MAX       ((uint64_t)1 << 16) /* numbers of a range: they stay near */

static enum status out_of_memory(struct retaining *r)
{
    return survey_out_of_memory(&r->returns, r->error);
}

/* --- moved rows --- */

static int by_person(const void *a, const void *b)
{
    const struct moved_row *x = a, *y = b;
    return (x->person > y->person) - (x->person < y->person);
}

size_t moved_rows_from(const struct moved_rows *moved, uint64_t person)
{
    size_t low = 0, high = moved->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (moved->rows[middle].person < person)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static enum status add_moved(struct worker *worker, struct moved_rows *moved, struct moved_row row)
{
    if (moved->count == moved->capacity) {
        size_t capacity = moved->capacity ? moved->capacity * 2 : MOVED_FIRST;
        struct moved_row *grown = NULL;
        if (capacity * sizeof *grown <= worker->survey->worker_bytes_max / 4)
            grown = realloc(moved->rows, capacity * sizeof *grown);
        if (!grown) return survey_out_of_memory(worker->survey, &worker->error);
        moved->rows = grown;
        moved->capacity = capacity;
    }
    moved->rows[moved->count++] = row;
    return STATUS_OK;
}

static enum status collect_moved(struct worker *worker, struct moved_rows *moved, const struct retainer *retainer,
                                 const uint16_t *rows, const uint32_t *cells, uint32_t from, uint32_t count)
{
    const struct survey *survey = worker->survey;
    const uint32_t *ids = NULL;
    const int64_t *times;
    TRY(scan_times(worker->scan, &worker->error, &times));
    for (uint32_t i = 0; i < count; i++) {
        uint32_t row = rows ? rows[i] : from + i, person = worker->persons[row], now;
        if (cells[i] >= survey->cell_count || !is_moved(survey, person)) continue;
        bool born = retainer && retainer_is_born(retainer, row);
        TRY(people_owner(worker, row, person, &ids, &now));
        TRY(add_moved(worker, moved, (struct moved_row){now, cells[i], times[row], born}));
    }
    return STATUS_OK;
}

static enum status collect_moved_birth(struct worker *worker, const uint16_t *rows, const uint32_t *cells,
                                       uint32_t from, uint32_t count)
{
    struct retainer *retainer = retainer_of(retaining_of(worker, true), worker);
    return collect_moved(worker, &retainer->moved_births, NULL, rows, cells, from, count);
}

static enum status collect_moved_return(struct worker *worker, const uint16_t *rows, const uint32_t *cells,
                                        uint32_t from, uint32_t count)
{
    struct retainer *retainer = retainer_of(retaining_of(worker, false), worker);
    return collect_moved(worker, &retainer->moved_returns, retainer, rows, cells, from, count);
}

static enum status moved_slices(struct retaining *r, struct survey *survey, unsigned slot, uint32_t index)
{
    struct worker *worker = &survey->workers[slot];
    bool births = survey == &r->births;
    TRY(survey_interrupted(survey, &worker->error));
    for (uint32_t s = survey->task_slices[index]; s < survey->task_slices[index + 1]; s++) {
        const struct slice *slice = &survey->slices[s];
        const struct bound *bound = &survey->runs[slice->run];
        if (!may_hold_moved(survey, bound)) continue;
        if (!births) r->retainers[slot].born_run = r->born_runs[slice->run];
        for (uint32_t v = slice->from_vector; v < slice->to_vector; v++) {
            TRY(worker_open(worker, bound));
            TRY(scan_vector(worker->scan, v, &worker->error, &worker->rows));
            if (!births) TRY(retention_born_rows(r, slot, v, 0, worker->rows));
            TRY(scan_stored_persons(worker->scan, &worker->error, &worker->persons));
            TRY(worker_cells(worker, v, 0, worker->rows, births ? collect_moved_birth : collect_moved_return));
        }
    }
    return STATUS_OK;
}

static enum status moved_births_task(void *ctx, unsigned slot, uint32_t index)
{
    struct retaining *r = ctx;
    return moved_slices(r, &r->births, slot, index);
}

static enum status moved_returns_task(void *ctx, unsigned slot, uint32_t index)
{
    struct retaining *r = ctx;
    return moved_slices(r, &r->returns, slot, index);
}

/* The lists of all retainers in one, by person. */
static enum status join_moved(struct retaining *r, bool births, struct moved_rows *ret)
{
    unsigned slots = pool_slots(r->native->pool);
    size_t count = 0;
    for (unsigned i = 0; i < slots; i++)
        count += births ? r->retainers[i].moved_births.count : r->retainers[i].moved_returns.count;
    if (!count) return STATUS_OK;
    ret->rows = malloc(count * sizeof *ret->rows);
    if (!ret->rows) return out_of_memory(r);
    for (unsigned i = 0; i < slots; i++) {
        struct moved_rows *from = births ? &r->retainers[i].moved_births : &r->retainers[i].moved_returns;
        if (from->count) memcpy(ret->rows + ret->count, from->rows, from->count * sizeof *ret->rows);
        ret->count += from->count;
        free(from->rows);
        *from = (struct moved_rows){0};
    }
    qsort(ret->rows, ret->count, sizeof *ret->rows, by_person);
    return STATUS_OK;
}

static enum status find_moved(struct retaining *r, struct survey *survey,
                              enum status (*task)(void *ctx, unsigned slot, uint32_t index), struct moved_rows *ret)
{
    TRY(people_look_for_moved(survey));
    if (!survey->moved_bits) return STATUS_OK;
    TRY(pool_run(survey->pool, survey->task_count, task, r));
    return join_moved(r, survey == &r->births, ret);
}

/* --- births --- */

static inline void set_birth(const struct retaining *r, struct retainer *retainer, uint64_t place, int64_t time_ms,
                             uint32_t bucket)
{
    retainer->births[place] = time_ms;
    retainer->buckets[place] = bucket;
    retainer->minutes[place] = (uint32_t)((time_ms - r->base_ms) / MINUTE_MS);
}

static enum status note_birth(struct worker *worker, const uint16_t *rows, const uint32_t *cells, uint32_t from,
                              uint32_t count)
{
    struct retaining *r = retaining_of(worker, true);
    struct retainer *retainer = retainer_of(r, worker);
    bool moved = may_hold_moved(worker->survey, worker->open);
    const uint32_t *persons;
    const int64_t *times;
    TRY(scan_times(worker->scan, &worker->error, &times));
    TRY(scan_stored_persons(worker->scan, &worker->error, &persons));
    for (uint32_t i = 0; i < count; i++) {
        uint32_t row = rows ? rows[i] : from + i, person = persons[row];
        if (cells[i] >= r->bucket_count || !person || (moved && is_moved(worker->survey, person))) continue;
        uint64_t place = person - retainer->low;
        if (times[row] < retainer->births[place]) set_birth(r, retainer, place, times[row], cells[i]);
    }
    return STATUS_OK;
}

static enum status find_births(struct retaining *r, unsigned slot)
{
    struct survey *survey = &r->births;
    struct worker *worker = &survey->workers[slot];
    struct retainer *retainer = &r->retainers[slot];
    for (size_t i = 0; i < survey->run_count; i++) {
        const struct bound *bound = &survey->runs[i];
        if (bound->never) continue;
        struct people_vectors vectors = {.low = retainer->low, .high = retainer->high};
        TRY(worker_open(worker, bound));
        while (vectors.more || !vectors.begun) {
            TRY(people_next_vector(worker, bound, &vectors));
            if (vectors.from < vectors.to)
                TRY(worker_cells(worker, vectors.vector, vectors.from, vectors.to, note_birth));
        }
    }
    for (size_t i = moved_rows_from(&r->moved_births, retainer->low); i < r->moved_births.count; i++) {
        const struct moved_row *row = &r->moved_births.rows[i];
        if (row->person >= retainer->high) break;
        uint64_t place = row->person - retainer->low;
        if (row->time_ms < retainer->births[place]) set_birth(r, retainer, place, row->time_ms, row->cell);
    }
    return STATUS_OK;
}

static enum status note_born_row(struct worker *worker, const uint16_t *rows, const uint32_t *cells, uint32_t from,
                                 uint32_t count)
{
    struct retaining *r = retaining_of(worker, true);
    struct retainer *retainer = retainer_of(r, worker);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t row = rows ? rows[i] : from + i;
        if (cells[i] < r->bucket_count) retainer->born_rows[row / 64] |= (uint64_t)1 << (row % 64);
    }
    return STATUS_OK;
}

enum status retention_born_rows(struct retaining *r, unsigned slot, uint32_t vector, uint32_t from, uint32_t to)
{
    struct retainer *retainer = &r->retainers[slot];
    if (!retainer->born_run) return STATUS_OK;
    if (!r->births.term_count) { /* at the instant of a birth, which is in the range, they all could */
        memset(retainer->born_rows, 0xFF, sizeof retainer->born_rows);
        return STATUS_OK;
    }
    struct worker *worker = &r->births.workers[slot];
    memset(retainer->born_rows, 0, sizeof retainer->born_rows);
    TRY(worker_open(worker, retainer->born_run));
    return worker_cells(worker, vector, from, to, note_born_row);
}

struct run_key {
    uint64_t key;
    const struct bound *bound;
};

static int by_key(const void *a, const void *b)
{
    const struct run_key *x = a, *y = b;
    return (x->key > y->key) - (x->key < y->key);
}

static uint64_t key_of(const struct scan_run *run)
{
    return (uint64_t)run->section << 32 | run->event_id;
}

static enum status pair_runs(struct retaining *r)
{
    size_t count = 0;
    r->born_runs = arena_new_array(r->returns.arena, const struct bound *, r->returns.run_count + 1);
    struct run_key *keys = arena_new_array(r->returns.arena, struct run_key, r->births.run_count + 1);
    if (!r->born_runs || !keys) return out_of_memory(r);
    for (size_t i = 0; i < r->births.run_count; i++) {
        const struct bound *bound = &r->births.runs[i];
        if (!bound->never) keys[count++] = (struct run_key){key_of(&bound->run), bound};
    }
    qsort(keys, count, sizeof *keys, by_key);
    for (size_t i = 0; i < r->returns.run_count; i++) {
        struct run_key wanted = {.key = key_of(&r->returns.runs[i].run)};
        const struct run_key *found = bsearch(&wanted, keys, count, sizeof *keys, by_key);
        if (found) r->born_runs[i] = found->bound;
    }
    return STATUS_OK;
}

/* --- counting --- */

void retention_add(const struct retaining *r, const uint64_t *marks, uint32_t bucket, uint64_t *counts)
{
    counts += (size_t)bucket * r->intervals;
    for (uint32_t w = r->words; w-- > 0;) {
        if (r->plan->retention.unbounded && marks[w]) {
            counts[w * 64 + 63 - (uint32_t)__builtin_clzll(marks[w])]++;
            return;
        }
        for (uint64_t left = marks[w]; left; left &= left - 1) counts[w * 64 + (uint32_t)__builtin_ctzll(left)]++;
    }
}

/* All persons alike, for who was born and who was not come in no order: the others are in cohorts that nobody looks at,
 * several, because adding to the same numbers again takes time. */
static void count_all_marks(const struct retaining *r, struct retainer *retainer)
{
    const struct cohort_kernels *kernels = CPU_SELECT(cohort_kernels);
    uint64_t persons = retainer->high - retainer->low;
    memset(retainer->marked, 0, ((size_t)r->bucket_count + UNBORN_COHORTS) * r->stride * sizeof *retainer->marked);
    kernels->count_marks(retainer->marks, (uint64_t)1 << (r->stride - 1), retainer->buckets, persons, r->stride,
                         retainer->marked);
    for (uint32_t b = 0; b < r->bucket_count; b++) {
        const uint32_t *from = retainer->marked + (size_t)b * r->stride;
        uint64_t *to = retainer->counts + (size_t)b * r->intervals;
        for (uint32_t k = 0; k < r->intervals; k++) to[k] += from[k];
        retainer->first[b] += from[r->stride - 1];
    }
}

static void count_marks(struct retaining *r, struct retainer *retainer)
{
    uint64_t persons = retainer->high - retainer->low;
    if (r->stride) {
        count_all_marks(r, retainer);
        return;
    }
    for (uint64_t place = 0; place < persons; place++) {
        if (retainer->births[place] == BIRTH_NONE) continue;
        retainer->first[retainer->buckets[place]]++;
        if (!r->by_items)
            retention_add(r, retainer->marks + place * r->words, retainer->buckets[place], retainer->counts);
    }
}

static enum status make_range(struct retaining *r, struct retainer *retainer)
{
    uint64_t persons = r->range_persons;
    struct survey *survey = &r->returns;
    if (!retainer->births) {
        retainer->births = malloc(persons * sizeof *retainer->births);
        retainer->buckets = malloc(persons * sizeof *retainer->buckets);
        retainer->minutes = malloc(persons * sizeof *retainer->minutes);
        if (!r->by_items) retainer->marks = malloc(persons * r->words * sizeof *retainer->marks);
        if (!retainer->births || !retainer->buckets || !retainer->minutes || (!r->by_items && !retainer->marks))
            return survey_out_of_memory(survey, &survey->workers[retainer - r->retainers].error);
    }
    for (uint64_t place = 0; place < persons; place++) retainer->births[place] = BIRTH_NONE;
    for (uint64_t place = 0; place < persons; place++) retainer->minutes[place] = MINUTE_NONE;
    for (uint64_t place = 0; r->stride && place < persons; place++)
        retainer->buckets[place] = r->bucket_count + place % UNBORN_COHORTS;
    if (!r->by_items) memset(retainer->marks, 0, persons * r->words * sizeof *retainer->marks);
    return STATUS_OK;
}

static enum status range_task(void *ctx, unsigned slot, uint32_t index)
{
    struct retaining *r = ctx;
    struct retainer *retainer = &r->retainers[slot];
    TRY(survey_interrupted(&r->returns, &r->returns.workers[slot].error));
    retainer->low = index * r->range_persons;
    retainer->high = retainer->low + r->range_persons;
    TRY(make_range(r, retainer));
    if (retaining_counts_births(r)) TRY(find_births(r, slot));
    TRY(r->by_items ? retention_collect(r, slot) : retention_mark(r, slot));
    count_marks(r, retainer);
    return STATUS_OK;
}

static enum status count_ranges(struct retaining *r)
{
    uint64_t persons = (uint64_t)snapshot_id_count(r->snapshot) + 1, runs = 1, slots = pool_slots(r->native->pool);
    uint64_t rows = r->returns.row_count + r->births.row_count;
    uint64_t bytes = persons * (16 + (r->by_items ? 0 : r->words * 8));
    for (size_t i = 0; i < r->returns.run_count; i++) runs += !r->returns.runs[i].never;
    for (size_t i = 0; i < r->births.run_count; i++) runs += !r->births.runs[i].never;
    uint64_t near = bytes / RANGE_BYTES_NEAR + 1, most = rows / (runs * PIECE_ROWS) + 1;
    uint64_t ranges = near < most ? near : most;
    if (slots > 1 && rows > ROWS_WORTH && ranges < slots * 4) ranges = slots * 4;
    if (ranges < bytes / (r->returns.worker_bytes_max / 4) + 1) ranges = bytes / (r->returns.worker_bytes_max / 4) + 1;
    if (r->by_items && ranges < rows / ITEM_ROWS + 1) ranges = rows / ITEM_ROWS + 1;
    if (r->by_items && ranges < persons / ITEM_PERSONS + 1) ranges = persons / ITEM_PERSONS + 1;
    r->range_persons = (persons / ranges / 64 + 1) * 64;
    if (r->by_items && r->range_persons > ITEM_PERSONS) r->range_persons = ITEM_PERSONS;
    r->range_count = (uint32_t)((persons + r->range_persons - 1) / r->range_persons);
    return pool_run(r->native->pool, r->range_count, range_task, r);
}

/* --- setting up --- */

/* The instants of the range, from its first to behind its last, and those in which returns are looked for. */
static enum status find_window(struct retaining *r)
{
    bool any = false;
    for (size_t i = 0; i < r->edge_count; i++) {
        if (r->edges[i].bucket == BUCKET_NONE) continue;
        if (!any) r->from_ms = r->edges[i].from_ms;
        any = true;
        r->to_ms = i + 1 < r->edge_count ? r->edges[i + 1].from_ms : r->edges[i].from_ms;
    }
    r->behind_ms = r->to_ms + (any ? r->intervals * r->interval_ms : 0);
    r->base_ms = floor_div(r->from_ms, MINUTE_MS) * MINUTE_MS;
    r->by_minutes = r->interval_ms % MINUTE_MS == 0 && (r->behind_ms - r->base_ms) / MINUTE_MS < INT64_C(1) << 30;
    r->window[0] = (struct bucket_edge){r->from_ms, any ? 0 : BUCKET_NONE};
    r->window[1] = (struct bucket_edge){r->behind_ms, BUCKET_NONE};
    if (r->behind_ms - r->from_ms < ITEM_TIME_MS) return STATUS_OK;
    error_set(r->error, STATUS_LIMIT, "the intervals reach more than 500 years far");
    error_hint(r->error, "use a shorter range, or fewer or shorter intervals");
    return STATUS_LIMIT;
}

/* Plans of segmentations, as the surveys know them. */
static void make_plans(struct retaining *r)
{
    r->back_plan = *r->plan;
    r->back_plan.kind = PLAN_SEGMENT;
    r->back_plan.measure = MEASURE_UNIQUE;
    r->back_plan.of = STR_NULL;
    r->born_plan = r->back_plan;
    r->born_plan.events = r->plan->retention.born_events;
    r->born_plan.event_count = r->plan->retention.born_event_count;
    r->born_plan.where = r->plan->retention.born_where;
    r->born_plan.on = STR_NULL;
}

static enum status begin_surveys(struct retaining *r)
{
    struct survey *births = &r->births, *returns = &r->returns;
    births->snapshot = returns->snapshot = r->snapshot;
    births->from_ms = returns->from_ms = r->from_ms;
    births->to_ms = r->to_ms;
    returns->to_ms = r->behind_ms;
    births->edges = r->edges;
    births->edge_count = r->edge_count;
    births->bucket_count = births->cell_count = r->bucket_count;
    births->slot_count = 1;
    births->where_name = "born_where";
    if (retaining_counts_births(r)) TRY(survey_begin(births));
    returns->edges = r->window;
    returns->edge_count = 2;
    returns->bucket_count = 1;
    returns->slot_count = returns->cell_count = 1;
    TRY(survey_begin(returns));
    return pair_runs(r);
}

/* Gives a slot to each label that is answered, and one to all others. */
static enum status choose_labels(struct retaining *r, struct ranked **ret_ranked, uint32_t *ret_count)
{
    struct survey *survey = &r->returns;
    TRY(survey_choose_labels(survey, ret_ranked, ret_count));
    r->slot_count = survey->slot_count;
    for (uint32_t i = 0; i < survey->labels.count; i++) {
        if (survey->slots[i] == LABEL_UNKNOWN) survey->slots[i] = r->slot_count;
    }
    survey->cell_count = survey->slot_count = r->slot_count + 1;
    return STATUS_OK;
}

static uint64_t *new_counts(struct retaining *r, size_t count)
{
    return arena_new_array(r->returns.arena, uint64_t, count + 1);
}

static enum status make_retainers(struct retaining *r)
{
    unsigned slots = pool_slots(r->native->pool);
    uint32_t stride = (r->intervals / MARK_LANES + 1) * MARK_LANES; /* one for the births */
    uint64_t numbers = ((uint64_t)r->bucket_count + UNBORN_COHORTS) * stride;
    if (retaining_counts_births(r) && !r->plan->on.data && stride <= 64 && !r->plan->retention.unbounded &&
        numbers <= MARKED_MAX)
        r->stride = stride;
    r->retainers = arena_new_array(r->returns.arena, struct retainer, slots);
    if (!r->retainers) return out_of_memory(r);
    for (unsigned i = 0; i < slots; i++) {
        struct retainer *retainer = &r->retainers[i];
        retainer->first = new_counts(r, r->bucket_count);
        retainer->counts = new_counts(r, r->cells);
        if (!retainer->first || !retainer->counts) return out_of_memory(r);
        if (!r->stride) continue;
        retainer->marked = arena_new_array(r->returns.arena, uint32_t, numbers);
        if (!retainer->marked) return out_of_memory(r);
    }
    return STATUS_OK;
}

static enum status make_slot_counts(struct retaining *r)
{
    uint64_t count = (uint64_t)r->slot_count * r->cells;
    if (count > r->limits.memory_bytes_max / sizeof(uint64_t)) return out_of_memory(r);
    for (unsigned i = 0; i < pool_slots(r->native->pool); i++) {
        r->retainers[i].slot_counts = new_counts(r, count);
        if (!r->retainers[i].slot_counts) return out_of_memory(r);
    }
    return STATUS_OK;
}

/* --- the answer --- */

/* Adds up what the retainers have counted; those of unbounded intervals from the last to the first. */
static enum status sum_up(struct retaining *r, struct retention *result, uint32_t slot, uint64_t **ret_counts)
{
    uint64_t *counts = arena_new_array(result->arena, uint64_t, r->cells + 1);
    if (!counts) return out_of_memory(r);
    for (unsigned i = 0; i < pool_slots(r->native->pool); i++) {
        const struct retainer *retainer = &r->retainers[i];
        const uint64_t *from = slot == UINT32_MAX ? retainer->counts : retainer->slot_counts + slot * r->cells;
        for (size_t c = 0; c < r->cells; c++) counts[c] += from[c];
    }
    for (uint32_t b = 0; b < r->bucket_count && r->plan->retention.unbounded; b++) {
        uint64_t *cohort = counts + (size_t)b * r->intervals;
        for (uint32_t k = r->intervals - 1; k-- > 0;) cohort[k] += cohort[k + 1];
    }
    *ret_counts = counts;
    return STATUS_OK;
}

static enum status write_cohorts(struct retaining *r, struct retention *result)
{
    result->bucket_count = r->bucket_count;
    result->interval_count = r->intervals;
    result->buckets = arena_new_array(result->arena, struct str, r->bucket_count + 1);
    result->first = arena_new_array(result->arena, uint64_t, r->bucket_count + 1);
    result->lengths = arena_new_array(result->arena, uint32_t, r->bucket_count + 1);
    if (!result->buckets || !result->first || !result->lengths) return out_of_memory(r);
    for (uint32_t b = 0; b < r->bucket_count; b++) {
        result->buckets[b] = arena_str(result->arena, buckets_label(r->buckets, b));
        if (!result->buckets[b].data) return out_of_memory(r);
    }
    for (size_t i = r->edge_count; i-- > 0;) { /* so that the first edge of a bucket has the last word */
        if (r->edges[i].bucket == BUCKET_NONE) continue;
        int64_t since_ms = r->plan->now_ms - r->edges[i].from_ms,
                begun = since_ms < 0 ? 0 : since_ms / r->interval_ms + 1;
        result->lengths[r->edges[i].bucket] = begun < r->intervals ? (uint32_t)begun : r->intervals;
    }
    return STATUS_OK;
}

static enum status write_answer(struct retaining *r, const struct ranked *ranked, struct retention *result)
{
    TRY(write_cohorts(r, result));
    for (unsigned i = 0; i < pool_slots(r->native->pool); i++) {
        for (uint32_t b = 0; b < r->bucket_count; b++) result->first[b] += r->retainers[i].first[b];
    }
    TRY(sum_up(r, result, UINT32_MAX, &result->overall.counts));
    result->series = arena_new_array(result->arena, struct retention_series, (size_t)r->slot_count + 1);
    if (!result->series) return out_of_memory(r);
    for (uint32_t i = 0; i < r->slot_count; i++) {
        struct retention_series *series = &result->series[result->series_count++];
        series->label = arena_str(result->arena, ranked[i].text);
        if (!series->label.data) return out_of_memory(r);
        TRY(sum_up(r, result, ranked[i].slot, &series->counts));
    }
    return STATUS_OK;
}

static enum status answer(struct retaining *r, struct retention *result)
{
    struct ranked *ranked = NULL;
    TRY(find_window(r));
    TRY(make_retainers(r));
    TRY(begin_surveys(r));
    r->by_items = r->plan->on.data || !retaining_counts_births(r);
    enum status status = STATUS_OK;
    if (r->returns.on) status = choose_labels(r, &ranked, &result->label_count);
    if (status == STATUS_OK && r->returns.on) status = make_slot_counts(r);
    if (status == STATUS_OK && retaining_counts_births(r))
        status = find_moved(r, &r->births, moved_births_task, &r->moved_births);
    if (status == STATUS_OK) status = find_moved(r, &r->returns, moved_returns_task, &r->moved_returns);
    if (status == STATUS_OK && r->bucket_count) status = count_ranges(r);
    if (status == STATUS_OK) status = write_answer(r, ranked, result);
    free(ranked);
    return status;
}

static void free_retainers(struct retaining *r)
{
    for (unsigned i = 0; r->retainers && i < pool_slots(r->native->pool); i++) {
        struct retainer *retainer = &r->retainers[i];
        free(retainer->births);
        free(retainer->buckets);
        free(retainer->minutes);
        free(retainer->marks);
        free(retainer->late);
        free(retainer->items);
        free(retainer->spare);
        free(retainer->slot_marks);
        free(retainer->touched);
        free(retainer->bucket_person);
        free(retainer->moved_births.rows);
        free(retainer->moved_returns.rows);
        scan_free(retainer->late_scan);
    }
    free(r->moved_births.rows);
    free(r->moved_returns.rows);
}

enum status native_retention(struct executor *executor, const struct plan *plan, const struct plan_limits *limits,
                             struct error *error, struct retention *ret_result)
{
    struct native *native = (struct native *)executor;
    struct error local = ERROR_INIT;
    struct retaining r = {.native = native, .plan = plan, .error = error ? error : &local, .limits = *limits};
    TRY(plan_check(plan, error));
    if (plan->kind != PLAN_RETENTION) return error_set(error, STATUS_INVALID, "the plan is not about retention");
    struct retention result = {.arena = arena_new(limits->memory_bytes_max)};
    r.limits.memory_bytes_max /= 2; /* there are two surveys */
    r.intervals = plan->retention.interval_count;
    r.words = (r.intervals + 63) / 64;
    r.interval_ms = retention_interval_ms(plan);
    make_plans(&r);
    survey_init(&r.births, native, &r.born_plan, &r.limits, r.error);
    survey_init(&r.returns, native, &r.back_plan, &r.limits, r.error);
    struct arena *arena = r.returns.arena;
    enum status status = buckets_new(arena, plan, limits->buckets_max, r.error, &r.buckets);
    if (status == STATUS_OK) status = buckets_edges(r.buckets, arena, r.error, &r.edges, &r.edge_count);
    if (status == STATUS_OK) status = store_snapshot(native->store, plan->project, r.error, &r.snapshot);
    if (status == STATUS_OK) {
        r.bucket_count = buckets_count(r.buckets);
        r.cells = (size_t)r.bucket_count * r.intervals;
        status = answer(&r, &result);
    }
    free_retainers(&r);
    survey_fini(&r.births, status);
    survey_fini(&r.returns, status);
    snapshot_free(r.snapshot);
    if (status != STATUS_OK) {
        arena_free(result.arena);
        return status;
    }
    *ret_result = result;
    return STATUS_OK;
}
