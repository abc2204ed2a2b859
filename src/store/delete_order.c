/*
 * Finding the rows that a delete means, in a section.
 *
 * Rows are sorted by (event, person as of writing, time), so the rows of a person are one range per event: marking them
 * is one addition to the bitmap, however many there are. Which numbers may stand for the person:
 *
 *   Let M be the ids of a cluster at the order's place L in the log. A row is stored under the number of its id's
 *   cluster as of some earlier moment, and clusters only grow, but for splits. So for sections written with links up to
 * L, "stored under a number in M" and "its id is in M" are the same, for the number of a cluster is one of its ids.
 *
 *   That is not so for ids of a cluster that was split before L: what they left behind lies under numbers of others.
 * For these L counts as 0: the sections up to it have every row under its own id.
 *
 *   A section that was folded with links after L (replay after a crash meets such, and so does a delete that could not
 *   be carried out at first because the disk failed) may hold M's rows under a foreign number, and others' under M's.
 *   There every row is asked for its id as sent, which never changes.
 *
 * Keys are looked up in a hash table while walking the rows of their persons, vector by vector; each vector is decoded
 * once, however many keys there are.
 */
#include "store/delete_order.h"

#include "base/hash.h"
#include "store/run.h"

#include <stdlib.h>

#define RUN_BYTES_MAX ((size_t)256 << 20)
/* How far the sum of run lengths is followed before a binary search over the row vectors pays. */
#define STEPS_MAX 4096u
/* More persons than that are looked for in the runs at once: one of so many is nearly always there. */
#define ASKED_MAX 64u

struct delete_order *delete_order_new(enum record_kind kind)
{
    struct delete_order *order = calloc(1, sizeof *order);
    if (!order) return NULL;
    order->refs = 1;
    order->kind = kind;
    order->time_min_ms = INT64_MIN;
    order->time_max_ms = INT64_MAX;
    order->index = U64MAP_INIT(DELETE_ROWS_MAX * 2);
    return order;
}

struct delete_order *delete_order_ref(struct delete_order *order)
{
    order->refs++;
    return order;
}

void delete_order_unref(struct delete_order *order)
{
    if (!order || --order->refs) return;
    free(order->persons);
    free(order->keys);
    free(order->texts);
    u64map_fini(&order->index);
    free(order);
}

static int number_cmp(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static uint64_t place_hash(uint32_t event, uint32_t id, int64_t time_ms)
{
    uint64_t fields[2] = {(uint64_t)event << 32 | id, (uint64_t)time_ms};
    return hash_bytes(fields, sizeof fields, 0);
}

enum status delete_order_finish(struct delete_order *order)
{
    if (order->person_count) qsort(order->persons, order->person_count, sizeof *order->persons, number_cmp);
    size_t kept = 0;
    for (size_t i = 0; i < order->person_count; i++) {
        if (kept == 0 || order->persons[kept - 1] != order->persons[i]) order->persons[kept++] = order->persons[i];
    }
    order->person_count = kept;
    for (size_t i = 0; i < order->key_count; i++) {
        struct delete_key *key = &order->keys[i];
        bool added;
        uint64_t *first = u64map_at(&order->index, place_hash(key->event, key->id, key->time_ms), i, &added);
        if (!first) return STATUS_LIMIT;
        key->next = added ? UINT32_MAX : (uint32_t)*first;
        *first = i;
        if (i == 0 || key->time_ms < order->time_min_ms) order->time_min_ms = key->time_ms;
        if (i == 0 || key->time_ms > order->time_max_ms) order->time_max_ms = key->time_ms;
    }
    order->bytes += sizeof *order + order->person_count * sizeof *order->persons +
                    order->key_count * sizeof *order->keys + order->index.capacity * (sizeof *order->index.slots + 1);
    return STATUS_OK;
}

static bool is_member(const struct delete_order *order, uint32_t id)
{
    return order->person_count &&
           bsearch(&id, order->persons, order->person_count, sizeof *order->persons, number_cmp) != NULL;
}

/* The keys of a place, from the first one on; UINT32_MAX: none. */
static uint32_t first_key(const struct delete_order *order, uint32_t event, uint32_t id, int64_t time_ms)
{
    const uint64_t *first = u64map_get(&order->index, place_hash(event, id, time_ms));
    return first ? (uint32_t)*first : UINT32_MAX;
}

static bool has_key(const struct delete_order *order, uint32_t at, uint32_t event, uint32_t id, int64_t time_ms,
                    struct str insert_id, uint64_t number)
{
    for (; at != UINT32_MAX; at = order->keys[at].next) {
        const struct delete_key *key = &order->keys[at];
        if (key->event != event || key->id != id || key->time_ms != time_ms) continue;
        if (key->insert_id.data ? insert_id.data && str_eq(insert_id, key->insert_id)
                                : !insert_id.data && number == key->number)
            return true;
    }
    return false;
}

bool delete_order_has(const struct delete_order *order, uint32_t event, uint32_t id, int64_t time_ms,
                      struct str insert_id, uint64_t number)
{
    switch (order->kind) {
    case RECORD_DELETE_PERSON: return is_member(order, id);
    case RECORD_DELETE_BEFORE: return time_ms <= order->time_max_ms;
    default: return has_key(order, first_key(order, event, id, time_ms), event, id, time_ms, insert_id, number);
    }
}

/* --- marking --- */

struct marker {
    const struct delete_order *order;
    roaring_bitmap_t *rows;
    uint64_t next; /* ranges that touch are added as one: [from, next) waits */
    uint64_t from;
};

static void flush_range(struct marker *marker)
{
    if (marker->next > marker->from)
        roaring_bitmap_add_range_closed(marker->rows, (uint32_t)marker->from, (uint32_t)(marker->next - 1));
    marker->from = marker->next = 0;
}

static void add_range(struct marker *marker, uint64_t first, uint64_t count)
{
    if (first != marker->next || marker->next == marker->from) {
        flush_range(marker);
        marker->from = marker->next = first;
    }
    marker->next += count;
}

static enum status damaged(const struct run *run, struct error *error)
{
    error_set(error, STATUS_CORRUPT, "a column chunk is malformed");
    if (run->section->file)
        error_detail(error, "section file %016llx", (unsigned long long)run->section->file->file_id);
    return STATUS_CORRUPT;
}

/* Where the rows of persons are, asked in ascending order. Keeps what it decoded last. */
struct person_cursor {
    struct run *run;
    uint32_t person_vector, length_vector; /* decoded; UINT32_MAX: none */
    uint32_t ordinal;                      /* `row` is the first row of this person */
    uint64_t row;
    int64_t persons[VECTOR_ROWS_MAX], lengths[VECTOR_ROWS_MAX], scratch[VECTOR_ROWS_MAX];
};

static enum status load_persons(struct person_cursor *c, uint32_t vector, struct error *error)
{
    if (c->person_vector == vector) return STATUS_OK;
    c->person_vector = UINT32_MAX;
    TRY(run_read_ints(c->run, CORE_PERSON, vector, error, c->persons));
    c->person_vector = vector;
    return STATUS_OK;
}

static uint32_t vector_items(uint32_t items, uint32_t vector)
{
    uint32_t left = items - vector * VECTOR_ROWS_MAX;
    return left < VECTOR_ROWS_MAX ? left : VECTOR_ROWS_MAX;
}

/* The first person of the run that is not below the one sought, at or behind the one found last; false: none. */
static enum status seek_person(struct person_cursor *c, uint32_t person, struct error *error, bool *ret_found,
                               uint32_t *ret_ordinal, uint32_t *ret_person)
{
    uint32_t persons = c->run->event->persons, vectors = (persons + VECTOR_ROWS_MAX - 1) / VECTOR_ROWS_MAX;
    uint32_t low = c->person_vector == UINT32_MAX ? 0 : c->person_vector;
    TRY(load_persons(c, low, error));
    if (c->persons[vector_items(persons, low) - 1] < person && low + 1 < vectors) {
        /* The last vector whose first person is not above it; if that ends below, the next one's first it is. */
        uint32_t from = low, to = vectors;
        while (from + 1 < to) {
            uint32_t middle = from + (to - from) / 2;
            TRY(load_persons(c, middle, error));
            if (c->persons[0] <= person)
                from = middle;
            else
                to = middle;
        }
        TRY(load_persons(c, from, error));
        if (c->persons[vector_items(persons, from) - 1] < person) {
            if (from + 1 == vectors) return *ret_found = false, STATUS_OK;
            TRY(load_persons(c, ++from, error));
        }
        low = from;
    }
    uint32_t items = vector_items(persons, low), at = 0, end = items;
    while (at < end) {
        uint32_t middle = at + (end - at) / 2;
        if (c->persons[middle] < person)
            at = middle + 1;
        else
            end = middle;
    }
    *ret_found = at < items;
    if (at == items) return STATUS_OK;
    *ret_ordinal = low * VECTOR_ROWS_MAX + at;
    *ret_person = (uint32_t)c->persons[at];
    return STATUS_OK;
}

static enum status length_of(struct person_cursor *c, uint32_t ordinal, struct error *error, uint64_t *ret_length)
{
    uint32_t vector = ordinal / VECTOR_ROWS_MAX;
    if (c->length_vector != vector) {
        c->length_vector = UINT32_MAX;
        TRY(run_read_ints(c->run, CORE_RUN, vector, error, c->lengths));
        c->length_vector = vector;
    }
    *ret_length = (uint64_t)c->lengths[ordinal % VECTOR_ROWS_MAX];
    return *ret_length && *ret_length <= c->run->event->rows ? STATUS_OK : damaged(c->run, error);
}

/* Moves to the person's first row; ordinals ascend. */
static enum status go_to_person(struct person_cursor *c, uint32_t ordinal, struct error *error)
{
    if (ordinal - c->ordinal > STEPS_MAX) {
        /* The last row vector that begins with this person or one before. */
        uint32_t from = (uint32_t)(c->row / VECTOR_ROWS_MAX), to = run_vectors(c->run), loaded = UINT32_MAX;
        uint64_t start;
        while (from + 1 < to) {
            uint32_t middle = from + (to - from) / 2;
            if (middle / VECTOR_ROWS_MAX != loaded) {
                loaded = middle / VECTOR_ROWS_MAX;
                TRY(run_read_ints(c->run, CORE_VECTOR, loaded, error, c->scratch));
            }
            start = (uint64_t)c->scratch[middle % VECTOR_ROWS_MAX];
            if (start >> 32 < ordinal || start == (uint64_t)ordinal << 32)
                from = middle;
            else
                to = middle;
        }
        TRY(run_read_ints(c->run, CORE_VECTOR, from / VECTOR_ROWS_MAX, error, c->scratch));
        start = (uint64_t)c->scratch[from % VECTOR_ROWS_MAX];
        uint64_t row = (uint64_t)from * VECTOR_ROWS_MAX;
        if (start >> 32 > ordinal || (uint32_t)start > row) return damaged(c->run, error);
        if (start >> 32 >= c->ordinal) {
            c->ordinal = (uint32_t)(start >> 32);
            c->row = row - (uint32_t)start;
        }
    }
    for (; c->ordinal < ordinal; c->ordinal++) {
        uint64_t length;
        TRY(length_of(c, c->ordinal, error, &length));
        c->row += length;
        if (c->row >= c->run->event->rows) return damaged(c->run, error);
    }
    return STATUS_OK;
}

/* Walks rows [first, first + count) of a run and marks those that the order's keys or ids name. */
static enum status mark_by_row(struct marker *marker, struct run *run, uint64_t first, uint64_t count, int64_t *times,
                               int64_t *ids, uint32_t *loaded, struct error *error)
{
    const struct delete_order *order = marker->order;
    struct run_column *inserts = run_column(run, CORE_INSERT);
    if (!inserts) return damaged(run, error);
    for (uint32_t vector = (uint32_t)(first / VECTOR_ROWS_MAX); (uint64_t)vector * VECTOR_ROWS_MAX < first + count;
         vector++) {
        if (*loaded != vector) {
            *loaded = UINT32_MAX;
            TRY(run_read_times(run, vector, error, times));
            TRY(run_read_ints(run, CORE_ID, vector, error, ids));
            *loaded = vector;
        }
        struct vector texts = {0};
        uint32_t rows = run_vector_rows(run, vector);
        for (uint32_t i = 0; i < rows; i++) {
            uint64_t row = (uint64_t)vector * VECTOR_ROWS_MAX + i;
            if (row < first || row >= first + count) continue;
            if (order->kind == RECORD_DELETE_PERSON) {
                if (is_member(order, (uint32_t)ids[i])) add_range(marker, run->event->first_row + row, 1);
                continue;
            }
            if (times[i] < order->time_min_ms || times[i] > order->time_max_ms) continue;
            uint32_t key = first_key(order, run->event->event_id, (uint32_t)ids[i], times[i]);
            if (key == UINT32_MAX) continue;
            if (!texts.count) TRY(run_read(run, inserts, vector, error, &texts));
            struct value insert = vector_at(&texts, i);
            bool is_text = insert.type == VALUE_STRING;
            if (has_key(order, key, run->event->event_id, (uint32_t)ids[i], times[i],
                        is_text ? value_text(insert) : STR_NULL, is_text ? 0 : (uint64_t)insert.integer))
                add_range(marker, run->event->first_row + row, 1);
        }
    }
    return STATUS_OK;
}

/* The rows stored under the order's numbers: marked (a person), or searched for the keys. */
static enum status mark_by_person(struct marker *marker, struct run *run, struct person_cursor *c, int64_t *times,
                                  int64_t *ids, struct error *error)
{
    const struct delete_order *order = marker->order;
    uint32_t loaded = UINT32_MAX;
    *c = (struct person_cursor){.run = run, .person_vector = UINT32_MAX, .length_vector = UINT32_MAX};
    for (size_t i = 0; i < order->person_count;) {
        bool found;
        uint32_t ordinal, person;
        TRY(seek_person(c, order->persons[i], error, &found, &ordinal, &person));
        if (!found) return STATUS_OK;
        if (person != order->persons[i]) {
            size_t low = i, high = order->person_count;
            while (low < high) {
                size_t middle = low + (high - low) / 2;
                if (order->persons[middle] < person)
                    low = middle + 1;
                else
                    high = middle;
            }
            if (low == i) return damaged(run, error); /* the list does not ascend */
            i = low;
            continue;
        }
        uint64_t length;
        TRY(go_to_person(c, ordinal, error));
        TRY(length_of(c, ordinal, error, &length));
        if (c->row + length > run->event->rows) return damaged(run, error);
        if (order->kind == RECORD_DELETE_PERSON)
            add_range(marker, run->event->first_row + c->row, length);
        else
            TRY(mark_by_row(marker, run, c->row, length, times, ids, &loaded, error));
        i++;
    }
    return STATUS_OK;
}

static enum status mark_before(struct marker *marker, struct run *run, int64_t *times, struct error *error)
{
    for (uint32_t vector = 0; vector < run_vectors(run); vector++) {
        TRY(run_read_times(run, vector, error, times));
        uint32_t rows = run_vector_rows(run, vector);
        uint64_t first = run->event->first_row + (uint64_t)vector * VECTOR_ROWS_MAX;
        for (uint32_t i = 0; i < rows; i++) {
            if (times[i] <= marker->order->time_max_ms) add_range(marker, first + i, 1);
        }
    }
    return STATUS_OK;
}

static bool wants_event(const struct delete_order *order, uint32_t event)
{
    if (order->kind != RECORD_DELETE_ROWS) return true;
    for (size_t i = 0; i < order->key_count; i++) {
        if (order->keys[i].event == event) return true;
    }
    return false;
}

struct work { /* too large for the stack */
    struct person_cursor cursor;
    int64_t times[VECTOR_ROWS_MAX], ids[VECTOR_ROWS_MAX];
};

static enum status mark_event(struct marker *marker, const struct section *section, const struct section_event *event,
                              struct arena *arena, struct work *work, struct error *error)
{
    const struct delete_order *order = marker->order;
    if (event->time_min_ms > order->time_max_ms || event->time_max_ms < order->time_min_ms) return STATUS_OK;
    if (order->kind == RECORD_DELETE_BEFORE && event->time_max_ms <= order->time_max_ms) {
        add_range(marker, event->first_row, event->rows);
        return STATUS_OK;
    }
    if (!wants_event(order, event->event_id)) return STATUS_OK;
    struct run run;
    arena_reset(arena);
    TRY(run_open(&run, section, event, arena, error));
    enum status status;
    uint32_t loaded = UINT32_MAX;
    if (order->kind == RECORD_DELETE_BEFORE)
        status = mark_before(marker, &run, work->times, error);
    else if (section->links_applied > order->links)
        status = mark_by_row(marker, &run, 0, event->rows, work->times, work->ids, &loaded, error);
    else
        status = mark_by_person(marker, &run, &work->cursor, work->times, work->ids, error);
    run_close(&run);
    return status;
}

/* What the section's set of persons says. */
static bool may_have(const struct delete_order *order, const struct section *section)
{
    if (order->kind == RECORD_DELETE_BEFORE || section->links_applied > order->links) return true;
    for (size_t i = 0; i < order->person_count && i < ASKED_MAX; i++) {
        if (section_has_person(section, order->persons[i])) return true;
    }
    return order->person_count > ASKED_MAX;
}

enum status delete_mark(const struct delete_order *order, const struct section *section, const struct deletes *deletes,
                        roaring_bitmap_t **pending, struct error *error, uint64_t *ret_rows)
{
    *ret_rows = 0;
    if (section->time_min_ms > order->time_max_ms || section->time_max_ms < order->time_min_ms) return STATUS_OK;
    if (deletes && deletes->count == section->rows) return STATUS_OK;
    if (!may_have(order, section)) return STATUS_OK;
    struct marker marker = {.order = order, .rows = roaring_bitmap_create()};
    struct arena *arena = arena_new(RUN_BYTES_MAX);
    struct work *work = malloc(sizeof *work);
    enum status status =
        marker.rows && work ? STATUS_OK : error_set(error, STATUS_LIMIT, "out of memory while deleting");
    if (status == STATUS_OK && order->kind == RECORD_DELETE_BEFORE && section->time_max_ms <= order->time_max_ms) {
        add_range(&marker, 0, section->rows);
    } else {
        for (uint32_t i = 0; i < section->event_count && status == STATUS_OK; i++)
            status = mark_event(&marker, section, &section->events[i], arena, work, error);
    }
    if (marker.rows) {
        flush_range(&marker);
        if (deletes) roaring_bitmap_andnot_inplace(marker.rows, deletes->rows);
        if (*pending) roaring_bitmap_andnot_inplace(marker.rows, *pending);
        *ret_rows = roaring_bitmap_get_cardinality(marker.rows);
        if (*ret_rows == 0) {
            roaring_bitmap_free(marker.rows);
        } else if (*pending) {
            roaring_bitmap_or_inplace(*pending, marker.rows);
            roaring_bitmap_free(marker.rows);
        } else {
            *pending = marker.rows;
        }
    }
    free(work);
    arena_free(arena);
    return status;
}
