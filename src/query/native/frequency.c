/*
 * How often people are active, on the event store: a survey (survey.h) of the local hours or days of the range, which
 * are its buckets. Without labels there is a bit for each (unit, person of a range), set as for counting people
 * (people.c), and then counted for some hundred persons at a time (cohort_kernels.h).
 *
 * With labels bits would be too many: (person, unit, label) is collected, sorted, and what is there twice let go of.
 */
#include "query/frequency.h"

#include <stdlib.h>

#include "base/civil.h"
#include "query/native/cohort_kernels.h"
#include "query/native/people.h"

#define RANGE_BYTES_NEAR ((size_t)1 << 20)  /* of bits that are set */
#define RANGE_PERSONS    (LEAST_WORDS * 64) /* a range has a multiple of them */
#define PIECE_ROWS       8192               /* of a run in a range, at least, mostly */
#define ROWS_WORTH       ((uint64_t)1 << 17)

/* Items of labels: place << PLACE_SHIFT | unit << UNIT_SHIFT | slot. */
#define PLACE_SHIFT  44
#define UNIT_SHIFT   20
#define ITEM_PERSONS ((uint64_t)1 << (64 - PLACE_SHIFT))
#define ITEM_UNITS   ((uint32_t)1 << (PLACE_SHIFT - UNIT_SHIFT))
#define ITEM_SLOTS   ((uint32_t)1 << UNIT_SHIFT)
#define ITEM_ROWS    ((uint64_t)1 << 18) /* of a range that is sorted */
#define ITEMS_FIRST  ((size_t)1 << 16)

/* What one participant of the pool has to itself. */
struct counter {
    uint64_t low, high; /* the persons of the range at hand */
    uint64_t *items;
    size_t item_count, item_capacity;
    uint64_t *least;          /* `width` times LEAST_WORDS */
    uint32_t *active;         /* by slot: units of the bucket at hand */
    uint32_t *touched;        /* slots with some */
    uint64_t *counts, *slots; /* at least i + 1 units: all, and by slot */
};
struct counting {
    struct native *native;
    const struct plan *plan;
    struct plan unit_plan;
    struct error *error;
    struct survey survey;
    struct buckets *buckets;
    uint32_t bucket_count, width, slot_count;
    uint32_t *unit_buckets; /* unit -> bucket; ascending */
    uint32_t *lengths;
    size_t cells;
    uint64_t range_persons;
    struct counter *counters; /* by slot of the pool */
};

static struct counting *counting_of(const struct worker *worker)
{
    return (struct counting *)(void *)((char *)worker->survey - offsetof(struct counting, survey));
}
static struct counter *counter_of(const struct worker *worker)
{
    return &counting_of(worker)->counters[worker - worker->survey->workers];
}

/* --- bits --- */

static enum status mark_cells(struct worker *worker, const uint16_t *rows, const uint32_t *cells, uint32_t from,
                              uint32_t count)
{
    const struct survey *survey = worker->survey;
    bool moved = may_hold_moved(survey, worker->open);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t person = worker->persons[rows ? rows[i] : from + i];
        if (cells[i] >= survey->cell_count || (moved && is_moved(survey, person))) continue;
        uint32_t place = person - worker->person_base;
        worker->bits[cells[i] * worker->words + place / 64] |= (uint64_t)1 << (place % 64);
    }
    return STATUS_OK;
}

static enum status mark_run(struct counting *c, struct worker *worker, const struct bound *bound)
{
    const struct survey *survey = &c->survey;
    uint64_t low = worker->person_base, high = low + c->range_persons;
    bool by_times;
    if (people_is_list_enough(survey, bound)) return people_visit_list(worker, bound, low, high);
    TRY(people_can_mark_times(worker, bound, &by_times));
    if (by_times) return people_mark_times(worker, bound, low, high);
    struct people_vectors vectors = {.low = low, .high = high};
    TRY(worker_open(worker, bound));
    while (vectors.more || !vectors.begun) {
        TRY(people_next_vector(worker, bound, &vectors));
        if (vectors.from < vectors.to) TRY(worker_cells(worker, vectors.vector, vectors.from, vectors.to, mark_cells));
    }
    return STATUS_OK;
}

static enum status bits_task(void *ctx, unsigned slot, uint32_t index)
{
    struct counting *c = ctx;
    struct survey *survey = &c->survey;
    struct worker *worker = &survey->workers[slot];
    struct counter *counter = &c->counters[slot];
    const struct cohort_kernels *kernels = CPU_SELECT(cohort_kernels);
    uint64_t low = index * c->range_persons, high = low + c->range_persons;
    TRY(survey_interrupted(survey, &worker->error));
    worker->person_base = (uint32_t)low;
    worker->words = c->range_persons / 64;
    if (!worker->bits) worker->bits = calloc(((size_t)survey->cell_count + 1) * worker->words, sizeof *worker->bits);
    if (!worker->bits) return survey_out_of_memory(survey, &worker->error);
    for (size_t i = people_first_moved(survey, low); i < survey->moved_count && survey->moved[i] >> 32 < high; i++) {
        uint64_t place = (survey->moved[i] >> 32) - low, cell = (uint32_t)survey->moved[i];
        worker->bits[cell * worker->words + place / 64] |= (uint64_t)1 << (place % 64);
    }
    for (size_t i = 0; i < survey->run_count; i++) {
        if (!survey->runs[i].never) TRY(mark_run(c, worker, &survey->runs[i]));
    }
    for (uint32_t from = 0, to; from < survey->cell_count; from = to) {
        uint32_t bucket = c->unit_buckets[from];
        for (to = from; to < survey->cell_count && c->unit_buckets[to] == bucket;) to++;
        for (uint32_t unit = from; unit < to; unit++) {
            uint64_t *words = worker->bits + unit * worker->words;
            if (low == 0) words[0] &= ~(uint64_t)1; /* nobody */
            people_clear_moved(survey, low, words, worker->words);
        }
        for (size_t word = 0; word < worker->words; word += LEAST_WORDS)
            kernels->count_least(worker->bits + from * worker->words + word, worker->words, to - from, counter->least,
                                 counter->counts + (size_t)bucket * c->width);
    }
    return STATUS_OK;
}

/* --- labels --- */

static int by_item(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void make_unique(struct counter *counter)
{
    size_t kept = 0;
    if (counter->item_count) qsort(counter->items, counter->item_count, sizeof *counter->items, by_item);
    for (size_t i = 0; i < counter->item_count; i++) {
        if (i == 0 || counter->items[i] != counter->items[i - 1]) counter->items[kept++] = counter->items[i];
    }
    counter->item_count = kept;
}

static enum status add_item(struct worker *worker, struct counter *counter, uint64_t item)
{
    if (counter->item_count && counter->items[counter->item_count - 1] == item) return STATUS_OK;
    if (counter->item_count == counter->item_capacity) {
        make_unique(counter);
        if (counter->item_count * 2 >= counter->item_capacity) {
            size_t capacity = counter->item_capacity ? counter->item_capacity * 2 : ITEMS_FIRST;
            uint64_t *grown = NULL;
            if (capacity * sizeof *grown <= worker->survey->worker_bytes_max / 2)
                grown = realloc(counter->items, capacity * sizeof *grown);
            if (!grown) return survey_out_of_memory(worker->survey, &worker->error);
            counter->items = grown;
            counter->item_capacity = capacity;
        }
    }
    counter->items[counter->item_count++] = item;
    return STATUS_OK;
}

static uint64_t item_of(const struct counting *c, uint64_t place, uint32_t cell)
{
    uint64_t unit = cell % c->survey.bucket_count, slot = cell / c->survey.bucket_count;
    return place << PLACE_SHIFT | unit << UNIT_SHIFT | slot;
}

static enum status add_items(struct worker *worker, const uint16_t *rows, const uint32_t *cells, uint32_t from,
                             uint32_t count)
{
    const struct survey *survey = worker->survey;
    struct counting *c = counting_of(worker);
    struct counter *counter = counter_of(worker);
    bool moved = may_hold_moved(survey, worker->open);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t person = worker->persons[rows ? rows[i] : from + i];
        if (cells[i] >= survey->cell_count || !person || (moved && is_moved(survey, person))) continue;
        TRY(add_item(worker, counter, item_of(c, person - counter->low, cells[i])));
    }
    return STATUS_OK;
}

/* The units of one person and bucket are counted. */
static void take_active(const struct counting *c, struct counter *counter, uint32_t bucket, uint32_t all,
                        uint32_t touched)
{
    uint64_t *counts = counter->counts + (size_t)bucket * c->width;
    for (uint32_t i = 0; i < all; i++) counts[i]++;
    for (uint32_t t = 0; t < touched; t++) {
        uint32_t slot = counter->touched[t];
        counts = counter->slots + slot * c->cells + (size_t)bucket * c->width;
        for (uint32_t i = 0; i < counter->active[slot]; i++) counts[i]++;
        counter->active[slot] = 0;
    }
}

/* Sorted by person, unit and slot. */
static void count_items(const struct counting *c, struct counter *counter)
{
    uint64_t last = UINT64_MAX; /* person and unit */
    uint32_t bucket = 0, all = 0, touched = 0;
    for (size_t i = 0; i < counter->item_count; i++) {
        uint64_t item = counter->items[i], here = item >> UNIT_SHIFT;
        uint32_t slot = (uint32_t)(item & (ITEM_SLOTS - 1)), of = c->unit_buckets[here & (ITEM_UNITS - 1)];
        bool same_person = i && here >> (PLACE_SHIFT - UNIT_SHIFT) == last >> (PLACE_SHIFT - UNIT_SHIFT);
        if (!same_person || of != bucket) {
            take_active(c, counter, bucket, all, touched);
            bucket = of;
            all = touched = 0;
        }
        all += here != last;
        last = here;
        if (slot >= c->slot_count) continue;
        if (!counter->active[slot]++) counter->touched[touched++] = slot;
    }
    take_active(c, counter, bucket, all, touched);
}

static enum status items_task(void *ctx, unsigned slot, uint32_t index)
{
    struct counting *c = ctx;
    struct survey *survey = &c->survey;
    struct worker *worker = &survey->workers[slot];
    struct counter *counter = &c->counters[slot];
    uint64_t low = index * c->range_persons, high = low + c->range_persons;
    TRY(survey_interrupted(survey, &worker->error));
    counter->low = low;
    counter->item_count = 0;
    for (size_t i = people_first_moved(survey, low); i < survey->moved_count && survey->moved[i] >> 32 < high; i++)
        TRY(add_item(worker, counter, item_of(c, (survey->moved[i] >> 32) - low, (uint32_t)survey->moved[i])));
    for (size_t i = 0; i < survey->run_count; i++) {
        const struct bound *bound = &survey->runs[i];
        struct people_vectors vectors = {.low = low, .high = high};
        if (bound->never) continue;
        TRY(worker_open(worker, bound));
        while (vectors.more || !vectors.begun) {
            TRY(people_next_vector(worker, bound, &vectors));
            if (vectors.from < vectors.to)
                TRY(worker_cells(worker, vectors.vector, vectors.from, vectors.to, add_items));
        }
    }
    make_unique(counter);
    count_items(c, counter);
    return STATUS_OK;
}

/* --- the whole --- */

static enum status out_of_memory(struct counting *c)
{
    return survey_out_of_memory(&c->survey, c->error);
}

static enum status count(struct counting *c)
{
    struct survey *survey = &c->survey;
    uint64_t persons = (uint64_t)snapshot_id_count(survey->snapshot) + 1, runs = 1, slots = pool_slots(survey->pool);
    for (size_t i = 0; i < survey->run_count; i++) runs += !survey->runs[i].never;
    uint64_t bytes = (persons / 64 + 1) * 8 * ((uint64_t)survey->cell_count + 1), rows = survey->row_count;
    uint64_t near = bytes / RANGE_BYTES_NEAR + 1, most = rows / (runs * PIECE_ROWS) + 1;
    uint64_t ranges = near < most ? near : most, least = bytes / (survey->worker_bytes_max / 2) + 1;
    if (survey->on) {
        ranges = rows / ITEM_ROWS + 1;
        least = persons / ITEM_PERSONS + 1;
    }
    if (slots > 1 && rows > ROWS_WORTH && ranges < slots * 4) ranges = slots * 4;
    if (ranges < least) ranges = least;
    c->range_persons = (persons / ranges / RANGE_PERSONS + 1) * RANGE_PERSONS;
    if (survey->on && c->range_persons > ITEM_PERSONS) c->range_persons = ITEM_PERSONS;
    survey->range_count = (uint32_t)((persons + c->range_persons - 1) / c->range_persons);
    return pool_run(survey->pool, survey->range_count, survey->on ? items_task : bits_task, c);
}

/* How many units the bucket of a day has. */
static uint32_t units_of(const struct plan *plan, int64_t day)
{
    int year, month, of_month;
    uint32_t days = plan->unit == UNIT_WEEK ? 7 : 1;
    civil_from_days(day, &year, &month, &of_month);
    if (plan->unit == UNIT_MONTH) days = (uint32_t)civil_month_days(year, month);
    return plan->active_unit == UNIT_HOUR ? days * 24 : days;
}

/* Which units belong to which bucket, by the instants at which they begin. */
static enum status find_buckets(struct counting *c)
{
    struct survey *survey = &c->survey;
    c->bucket_count = buckets_count(c->buckets);
    c->unit_buckets = arena_new_array(survey->arena, uint32_t, (size_t)survey->bucket_count + 1);
    c->lengths = arena_new_array(survey->arena, uint32_t, (size_t)c->bucket_count + 1);
    if (!c->unit_buckets || !c->lengths) return out_of_memory(c);
    for (size_t i = 0; i < survey->edge_count; i++) {
        if (survey->edges[i].bucket == BUCKET_NONE) continue;
        int64_t from_ms = survey->edges[i].from_ms, local_ms = timezone_to_local_ms(c->plan->zone, from_ms);
        uint32_t bucket = buckets_find(c->buckets, from_ms);
        c->unit_buckets[survey->edges[i].bucket] = bucket;
        c->lengths[bucket] = units_of(c->plan, floor_div(local_ms, DAY_MS));
        if (c->lengths[bucket] > c->width) c->width = c->lengths[bucket];
    }
    c->cells = (size_t)c->bucket_count * c->width;
    return STATUS_OK;
}

static enum status make_counters(struct counting *c)
{
    struct survey *survey = &c->survey;
    unsigned slots = pool_slots(survey->pool);
    size_t others = (size_t)c->slot_count + 1;
    c->counters = arena_new_array(survey->arena, struct counter, slots);
    if (!c->counters || (uint64_t)c->slot_count * c->cells > survey->limits->memory_bytes_max / 8)
        return out_of_memory(c);
    for (unsigned i = 0; i < slots; i++) {
        struct counter *counter = &c->counters[i];
        counter->counts = arena_new_array(survey->arena, uint64_t, c->cells + 1);
        counter->least = arena_new_array(survey->arena, uint64_t, ((size_t)c->width + 1) * LEAST_WORDS);
        counter->slots = arena_new_array(survey->arena, uint64_t, c->slot_count * c->cells + 1);
        counter->active = arena_new_array(survey->arena, uint32_t, others);
        counter->touched = arena_new_array(survey->arena, uint32_t, others);
        if (!counter->counts || !counter->least || !counter->slots || !counter->active || !counter->touched)
            return out_of_memory(c);
    }
    return STATUS_OK;
}

/* Gives a slot to each label that is answered, and one to all others. */
static enum status choose_labels(struct counting *c, struct ranked **ret_ranked, uint32_t *ret_count)
{
    struct survey *survey = &c->survey;
    TRY(survey_choose_labels(survey, ret_ranked, ret_count));
    c->slot_count = survey->slot_count;
    for (uint32_t i = 0; i < survey->labels.count; i++) {
        if (survey->slots[i] == LABEL_UNKNOWN) survey->slots[i] = c->slot_count;
    }
    survey->slot_count = c->slot_count + 1;
    uint64_t cells = (uint64_t)survey->slot_count * survey->bucket_count;
    if (survey->slot_count > ITEM_SLOTS || survey->bucket_count > ITEM_UNITS || cells >= UINT32_MAX)
        return out_of_memory(c);
    survey->cell_count = (uint32_t)cells;
    return STATUS_OK;
}

static enum status sum_up(struct counting *c, struct frequency *result, uint32_t slot, uint64_t **ret_counts)
{
    uint64_t *counts = arena_new_array(result->arena, uint64_t, c->cells + 1);
    if (!counts) return out_of_memory(c);
    for (unsigned i = 0; i < pool_slots(c->survey.pool); i++) {
        const struct counter *counter = &c->counters[i];
        const uint64_t *from = slot == UINT32_MAX ? counter->counts : counter->slots + slot * c->cells;
        for (size_t cell = 0; cell < c->cells; cell++) counts[cell] += from[cell];
    }
    *ret_counts = counts;
    return STATUS_OK;
}

static enum status write_answer(struct counting *c, const struct ranked *ranked, struct frequency *result)
{
    result->bucket_count = c->bucket_count;
    result->width = c->width;
    result->buckets = arena_new_array(result->arena, struct str, (size_t)c->bucket_count + 1);
    result->lengths = arena_new_array(result->arena, uint32_t, (size_t)c->bucket_count + 1);
    result->series = arena_new_array(result->arena, struct frequency_series, (size_t)c->slot_count + 1);
    if (!result->buckets || !result->lengths || !result->series) return out_of_memory(c);
    for (uint32_t b = 0; b < c->bucket_count; b++) {
        result->buckets[b] = arena_str(result->arena, buckets_label(c->buckets, b));
        result->lengths[b] = c->lengths[b];
        if (!result->buckets[b].data) return out_of_memory(c);
    }
    TRY(sum_up(c, result, UINT32_MAX, &result->overall.counts));
    for (uint32_t i = 0; i < c->slot_count; i++) {
        struct frequency_series *series = &result->series[result->series_count++];
        series->label = arena_str(result->arena, ranked[i].text);
        if (!series->label.data) return out_of_memory(c);
        TRY(sum_up(c, result, ranked[i].slot, &series->counts));
    }
    return STATUS_OK;
}

static enum status answer(struct counting *c, const struct plan_limits *limits, struct frequency *result)
{
    struct survey *survey = &c->survey;
    struct ranked *ranked = NULL;
    TRY(buckets_new(survey->arena, c->plan, limits->buckets_max, c->error, &c->buckets));
    TRY(buckets_new(survey->arena, &c->unit_plan, limits->buckets_max, c->error, &survey->buckets));
    buckets_span(survey->buckets, &survey->from_ms, &survey->to_ms);
    TRY(buckets_edges(survey->buckets, survey->arena, c->error, &survey->edges, &survey->edge_count));
    survey->bucket_count = survey->cell_count = buckets_count(survey->buckets);
    survey->slot_count = 1;
    TRY(find_buckets(c));
    TRY(survey_begin(survey));
    enum status status = STATUS_OK;
    if (survey->on) status = choose_labels(c, &ranked, &result->label_count);
    if (status == STATUS_OK) status = make_counters(c);
    if (status == STATUS_OK && survey->bucket_count) status = people_find_moved(survey);
    if (status == STATUS_OK && survey->bucket_count) status = count(c);
    if (status == STATUS_OK) status = write_answer(c, ranked, result);
    free(ranked);
    return status;
}

enum status native_frequency(struct executor *executor, const struct plan *plan, const struct plan_limits *limits,
                             struct error *error, struct frequency *ret_result)
{
    struct native *native = (struct native *)executor;
    struct error local = ERROR_INIT;
    struct counting c = {.native = native, .plan = plan, .unit_plan = *plan, .error = error ? error : &local};
    TRY(plan_check(plan, error));
    if (plan->kind != PLAN_FREQUENCY) return error_set(error, STATUS_INVALID, "the plan is not about frequency");
    struct frequency result = {.arena = arena_new(limits->memory_bytes_max)};
    c.unit_plan.kind = PLAN_SEGMENT;
    c.unit_plan.unit = plan->active_unit;
    c.unit_plan.measure = MEASURE_UNIQUE;
    c.unit_plan.of = STR_NULL;
    survey_init(&c.survey, native, &c.unit_plan, limits, c.error);
    enum status status = store_snapshot(native->store, plan->project, c.error, &c.survey.snapshot);
    if (status == STATUS_OK) status = answer(&c, limits, &result);
    for (unsigned i = 0; c.counters && i < pool_slots(native->pool); i++) free(c.counters[i].items);
    struct snapshot *snapshot = c.survey.snapshot;
    survey_fini(&c.survey, status);
    snapshot_free(snapshot);
    if (status != STATUS_OK) {
        arena_free(result.arena);
        return status;
    }
    *ret_result = result;
    return STATUS_OK;
}
