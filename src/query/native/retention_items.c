/*
 * Returns as items that are sorted: with labels, and for people who are in several cohorts.
 *
 * BIRTH: an item is (place of the person in the range, interval, slot of the label). When there is no room for more,
 * items that are the same are made one. COMPOUNDED: (place, time, slot); the person's births are found on the way
 * through his items, and each birth looks ahead as far as its intervals reach.
 */
#include "query/native/retention.h"

#include <stdlib.h>

#define PLACE_SHIFT 44
#define ITEMS_FIRST ((size_t)1 << 16)
#define LOOKS_MAX   ((uint64_t)1 << 22) /* between two questions whether to go on */

static struct error *error_of(struct retaining *r, const struct retainer *retainer)
{
    return &r->returns.workers[retainer - r->retainers].error;
}

/* --- items --- */

static void sort(struct retainer *retainer)
{
    struct radix_item *sorted = radix_sort(retainer->items, retainer->spare, retainer->item_count);
    if (sorted == retainer->items) return;
    retainer->spare = retainer->items;
    retainer->items = sorted;
}

static int by_value(const void *a, const void *b)
{
    const struct radix_item *x = a, *y = b;
    if (x->key != y->key) return x->key < y->key ? -1 : 1;
    return (x->value > y->value) - (x->value < y->value);
}

/* Leaves one of those that are the same. */
static void make_unique(struct retainer *retainer)
{
    size_t kept = 0;
    struct radix_item *items = retainer->items;
    qsort(items, retainer->item_count, sizeof *items, by_value);
    for (size_t i = 0; i < retainer->item_count; i++) {
        if (i == 0 || by_value(&items[i], &items[kept - 1]) != 0) items[kept++] = items[i];
    }
    retainer->item_count = kept;
}

static enum status make_room(struct retaining *r, struct retainer *retainer)
{
    size_t capacity = retainer->item_capacity ? retainer->item_capacity * 2 : ITEMS_FIRST;
    size_t bytes = capacity * sizeof *retainer->items;
    if (bytes > r->returns.worker_bytes_max / 4) {
        make_unique(retainer);
        if (retainer->item_count <= retainer->item_capacity / 2) return STATUS_OK;
        return survey_out_of_memory(&r->returns, error_of(r, retainer));
    }
    struct radix_item *items = realloc(retainer->items, bytes);
    if (items) retainer->items = items;
    struct radix_item *spare = items ? realloc(retainer->spare, bytes) : NULL;
    if (!spare) return survey_out_of_memory(&r->returns, error_of(r, retainer));
    retainer->spare = spare;
    retainer->item_capacity = capacity;
    return STATUS_OK;
}

static enum status add_item(struct retaining *r, struct retainer *retainer, uint64_t place, int64_t time_ms,
                            uint32_t slot, bool born)
{
    uint64_t low;
    if (retaining_counts_births(r)) {
        int64_t birth = retainer->births[place];
        if (birth == BIRTH_NONE || time_ms < birth || (time_ms == birth && born)) return STATUS_OK;
        low = (uint64_t)(time_ms - birth) / (uint64_t)r->interval_ms;
        if (low >= r->intervals) return STATUS_OK;
    } else {
        low = (uint64_t)(time_ms - r->from_ms);
    }
    if (retainer->item_count == retainer->item_capacity) TRY(make_room(r, retainer));
    retainer->items[retainer->item_count++] = (struct radix_item){place << PLACE_SHIFT | low, slot};
    return STATUS_OK;
}

static enum status add_rows(struct worker *worker, const uint16_t *rows, const uint32_t *cells, uint32_t from,
                            uint32_t count)
{
    struct retaining *r = retaining_of(worker, false);
    struct retainer *retainer = retainer_of(r, worker);
    bool moved = may_hold_moved(worker->survey, worker->open);
    const int64_t *times;
    TRY(scan_times(worker->scan, &worker->error, &times));
    for (uint32_t i = 0; i < count; i++) {
        uint32_t row = rows ? rows[i] : from + i, person = worker->persons[row];
        if (cells[i] >= worker->survey->cell_count || !person) continue;
        if (moved && is_moved(worker->survey, person)) continue;
        TRY(add_item(r, retainer, person - retainer->low, times[row], cells[i], retainer_is_born(retainer, row)));
    }
    return STATUS_OK;
}

static enum status collect(struct retaining *r, unsigned slot)
{
    struct worker *worker = &r->returns.workers[slot];
    struct retainer *retainer = &r->retainers[slot];
    retainer->item_count = 0;
    for (size_t i = 0; i < r->returns.run_count; i++) {
        const struct bound *bound = &r->returns.runs[i];
        struct people_vectors vectors = {.low = retainer->low, .high = retainer->high};
        if (bound->never) continue;
        retainer->born_run = r->born_runs[i];
        TRY(worker_open(worker, bound));
        while (vectors.more || !vectors.begun) {
            TRY(people_next_vector(worker, bound, &vectors));
            if (vectors.from >= vectors.to) continue;
            TRY(retention_born_rows(r, slot, vectors.vector, vectors.from, vectors.to));
            TRY(worker_cells(worker, vectors.vector, vectors.from, vectors.to, add_rows));
        }
    }
    for (size_t i = moved_rows_from(&r->moved_returns, retainer->low); i < r->moved_returns.count; i++) {
        const struct moved_row *row = &r->moved_returns.rows[i];
        if (row->person >= retainer->high) break;
        TRY(add_item(r, retainer, row->person - retainer->low, row->time_ms, row->cell, row->born));
    }
    return STATUS_OK;
}

/* --- counting --- */

/* Marks of one cohort of one person: all, and by slot. */
struct marks {
    uint64_t *all;
    uint32_t touched; /* slots that have some */
};

static void set_mark(const struct retaining *r, struct retainer *retainer, struct marks *marks, uint32_t slot,
                     uint64_t interval)
{
    uint64_t bit = (uint64_t)1 << (interval % 64);
    marks->all[interval / 64] |= bit;
    if (slot >= r->slot_count) return;
    /* the last word tells whether the slot is among the touched ones */
    uint64_t *of_slot = retainer->slot_marks + (size_t)slot * (r->words + 1);
    if (!of_slot[r->words]) retainer->touched[marks->touched++] = slot;
    of_slot[r->words] = 1;
    of_slot[interval / 64] |= bit;
}

static void take_marks(const struct retaining *r, struct retainer *retainer, struct marks *marks, uint32_t bucket)
{
    retention_add(r, marks->all, bucket, retainer->counts);
    memset(marks->all, 0, r->words * sizeof *marks->all);
    for (uint32_t i = 0; i < marks->touched; i++) {
        uint32_t slot = retainer->touched[i];
        uint64_t *of_slot = retainer->slot_marks + (size_t)slot * (r->words + 1);
        retention_add(r, of_slot, bucket, retainer->slot_counts + slot * r->cells);
        memset(of_slot, 0, (r->words + 1) * sizeof *of_slot);
    }
    marks->touched = 0;
}

static uint64_t low_of(const struct radix_item *item)
{
    return item->key & (((uint64_t)1 << PLACE_SHIFT) - 1);
}

/* Walks along the edges of buckets, as times ascend. */
static uint32_t bucket_at(const struct retaining *r, int64_t time_ms, size_t *edge)
{
    while (*edge + 1 < r->edge_count && r->edges[*edge + 1].from_ms <= time_ms) ++*edge;
    return r->edges[*edge].from_ms <= time_ms ? r->edges[*edge].bucket : BUCKET_NONE;
}

/* The cohorts of one person, whose items these are, in the order of time. */
static enum status follow(struct retaining *r, struct retainer *retainer, const struct radix_item *items, size_t count,
                          struct marks *marks, uint64_t *looks)
{
    size_t edge = 0;
    uint32_t place = (uint32_t)(items->key >> PLACE_SHIFT);
    uint64_t reach = (uint64_t)r->interval_ms * r->intervals;
    for (size_t i = 0; i < count; i++) {
        uint64_t birth = low_of(&items[i]);
        uint32_t bucket = bucket_at(r, r->from_ms + (int64_t)birth, &edge);
        if (bucket == BUCKET_NONE || retainer->bucket_person[bucket] == place + 1) continue;
        retainer->bucket_person[bucket] = place + 1;
        retainer->first[bucket]++;
        for (size_t next = i + 1; next < count && low_of(&items[next]) - birth < reach; next++) {
            uint64_t since = low_of(&items[next]) - birth;
            if (since) set_mark(r, retainer, marks, items[next].value, since / (uint64_t)r->interval_ms);
            if (++*looks % LOOKS_MAX == 0) TRY(survey_interrupted(&r->returns, error_of(r, retainer)));
        }
        take_marks(r, retainer, marks, bucket);
    }
    return STATUS_OK;
}

static enum status make_marks(struct retaining *r, struct retainer *retainer)
{
    size_t words = r->words + 1;
    if (retainer->slot_marks) return STATUS_OK;
    if ((r->slot_count + 1) * words * sizeof(uint64_t) <= r->returns.worker_bytes_max / 4) {
        retainer->slot_marks = calloc((size_t)r->slot_count + 1, words * sizeof *retainer->slot_marks);
        retainer->touched = calloc((size_t)r->slot_count + 1, sizeof *retainer->touched);
        retainer->bucket_person = calloc((size_t)r->bucket_count + 1, sizeof *retainer->bucket_person);
    }
    if (retainer->slot_marks && retainer->touched && retainer->bucket_person) return STATUS_OK;
    return survey_out_of_memory(&r->returns, error_of(r, retainer));
}

enum status retention_collect(struct retaining *r, unsigned slot)
{
    struct retainer *retainer = &r->retainers[slot];
    uint64_t looks = 0;
    TRY(make_marks(r, retainer));
    TRY(collect(r, slot));
    sort(retainer);
    /* behind the marks of the slots are those of all */
    struct marks marks = {.all = retainer->slot_marks + (size_t)r->slot_count * (r->words + 1)};
    memset(retainer->bucket_person, 0, r->bucket_count * sizeof *retainer->bucket_person);
    const struct radix_item *items = retainer->items;
    for (size_t from = 0, to; from < retainer->item_count; from = to) {
        uint64_t place = items[from].key >> PLACE_SHIFT;
        for (to = from; to < retainer->item_count && items[to].key >> PLACE_SHIFT == place;) to++;
        if (!retaining_counts_births(r)) {
            TRY(follow(r, retainer, items + from, to - from, &marks, &looks));
            continue;
        }
        for (size_t i = from; i < to; i++) set_mark(r, retainer, &marks, items[i].value, low_of(&items[i]));
        take_marks(r, retainer, &marks, retainer->buckets[place]);
    }
    return STATUS_OK;
}
