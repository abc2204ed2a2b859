/*
 * Feed: the events of a few people in the order of time.
 *
 * Where. Runs are sorted by person, so in each run the rows of a person lie together, under the numbers that
 * snapshot_person_numbers gives; two binary searches find them. Sections whose set of persons has none of these numbers
 * are not looked into. When a cluster has had more numbers than a run has vectors, reading the persons of the whole run
 * is cheaper.
 *
 * Which. Only references {time, run, row, id} to matching rows are collected. Runs are visited from the end of time at
 * which the feed begins. With a limit, the references are cut down to the nearest `limit` by time (and all that tie
 * with the last of them) whenever there are twice as many, and runs that lie wholly beyond the last one are not opened.
 *
 * Order. References are sorted by (time, event name, id as sent). Those that still tie are ordered by their insert ids,
 * which are read for those alone.
 *
 * Delivery. The references are taken in pieces; the rows of a piece are decoded run by run, copied, and given away in
 * order. So memory is 24 bytes an event that is found, and a piece.
 */
#include "query/native/rows.h"
#include "store/seek.h"

#include <stdlib.h>

#define PIECE_ROWS 256

struct reference {
    int64_t time_ms;
    uint32_t run, row, id;
};

struct feed {
    struct event_rows base;
    struct selection selection;
    struct rows rows;
    int sign; /* of comparisons: 1 oldest first, -1 newest first */
    struct scan_run *runs;
    size_t run_count;
    uint32_t *persons; /* ascending */
    size_t person_count;
    struct person_number *numbers;
    size_t number_count;
    struct reference *references;
    size_t count, capacity;
    uint8_t *sections; /* by number: whether it may hold rows of the persons */
    uint32_t section_count;
    uint32_t *name_ranks; /* event id -> place of its name in byte order */
    size_t at;            /* the next one to deliver */
    /* the piece */
    struct arena *arena;
    struct event_row *piece;
    size_t piece_at, piece_count;
};

static int by_u32(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* --- which rows --- */

/* Qsort has no context: sorting goes through copies of what is compared. */
struct sorted {
    int64_t time_ms; /* times the sign */
    struct reference reference;
};

static int by_time(const void *a, const void *b)
{
    const struct sorted *x = a, *y = b;
    return (x->time_ms > y->time_ms) - (x->time_ms < y->time_ms);
}

/* Cuts the references down to the limit, and what ties with its last one. *ret_last is the time of that. */
static enum status prune(struct feed *f, size_t limit, struct error *error, int64_t *ret_last)
{
    struct sorted *sorted = malloc(f->count * sizeof *sorted);
    if (!sorted) return selection_out_of_memory(&f->selection, error);
    for (size_t i = 0; i < f->count; i++)
        sorted[i] = (struct sorted){f->references[i].time_ms * f->sign, f->references[i]};
    qsort(sorted, f->count, sizeof *sorted, by_time);
    size_t kept = limit;
    while (kept < f->count && sorted[kept].time_ms == sorted[limit - 1].time_ms) kept++;
    for (size_t i = 0; i < kept; i++) f->references[i] = sorted[i].reference;
    *ret_last = sorted[limit - 1].time_ms;
    f->count = kept;
    free(sorted);
    return STATUS_OK;
}

static enum status add(struct feed *f, struct reference reference, struct error *error)
{
    if (f->count == f->capacity) {
        size_t capacity = f->capacity ? f->capacity * 2 : 256;
        if (capacity > f->selection.limits.memory_bytes_max / sizeof *f->references)
            return selection_out_of_memory(&f->selection, error);
        struct reference *grown = realloc(f->references, capacity * sizeof *grown);
        if (!grown) return selection_out_of_memory(&f->selection, error);
        f->references = grown;
        f->capacity = capacity;
    }
    f->references[f->count++] = reference;
    return STATUS_OK;
}

/* The rows [from, to) of the current vector that are wanted. */
static enum status collect_vector(struct feed *f, uint32_t run, uint32_t vector, uint32_t rows, uint8_t *keep,
                                  struct error *error)
{
    const int64_t *times;
    const uint32_t *ids;
    uint32_t left;
    TRY(selection_keep(&f->selection, f->rows.scan, &f->runs[run], rows, error, keep, &left));
    if (!left) return STATUS_OK;
    TRY(scan_times(f->rows.scan, error, &times));
    TRY(scan_ids(f->rows.scan, error, &ids));
    for (uint32_t i = 0; i < rows; i++) {
        if (!keep[i]) continue;
        struct reference reference = {times[i], run, vector * VECTOR_ROWS_MAX + i, ids[i]};
        TRY(add(f, reference, error));
    }
    return STATUS_OK;
}

static bool is_wanted(const struct feed *f, uint32_t person)
{
    return bsearch(&person, f->persons, f->person_count, sizeof person, by_u32) != NULL;
}

/* Rows of other people under the same number do not count. */
static enum status keep_wanted(struct feed *f, uint32_t rows, uint8_t *keep, struct error *error)
{
    const uint32_t *persons;
    TRY(scan_persons(f->rows.scan, error, &persons));
    for (uint32_t i = 0; i < rows; i++) keep[i] &= is_wanted(f, persons[i]);
    return STATUS_OK;
}

/* Rows [first, end) of the run, which are in the order of time. With a limit, from the near end on until there are so
 * many and all that tie with the last of them: somebody with millions of events is not read to the end. */
static enum status collect_range(struct feed *f, uint32_t run, uint32_t first, uint32_t end, bool mixed,
                                 struct error *error)
{
    uint8_t keep[VECTOR_ROWS_MAX];
    const int64_t *times;
    int64_t edge_ms = 0; /* of the vector before: the time of its row that is farthest */
    size_t limit = f->selection.plan->limit, before = f->count;
    while (first < end) {
        uint32_t vector = (f->sign > 0 ? first : end - 1) / VECTOR_ROWS_MAX, start = vector * VECTOR_ROWS_MAX, rows;
        TRY(selection_interrupted(&f->selection, error));
        TRY(scan_vector(f->rows.scan, vector, error, &rows));
        uint32_t from = first > start ? first - start : 0, to = end - start < rows ? end - start : rows;
        if (limit) {
            TRY(scan_times(f->rows.scan, error, &times));
            if (f->count - before >= limit && times[f->sign > 0 ? from : to - 1] != edge_ms) return STATUS_OK;
            edge_ms = times[f->sign > 0 ? to - 1 : from];
        }
        memset(keep, 0, rows);
        memset(keep + from, 1, to - from);
        if (mixed) TRY(keep_wanted(f, rows, keep, error));
        TRY(collect_vector(f, run, vector, rows, keep, error));
        if (f->sign > 0)
            first = start + to;
        else
            end = start + from;
    }
    return STATUS_OK;
}

static enum status collect_by_numbers(struct feed *f, uint32_t run, struct error *error)
{
    for (size_t i = 0; i < f->number_count; i++) {
        const struct person_number *number = &f->numbers[i];
        uint32_t first, end;
        if (f->runs[run].links_applied > number->links_max) continue;
        TRY(scan_seek_person(f->rows.scan, number->number, error, &first));
        if (first == f->runs[run].rows) return STATUS_OK; /* numbers ascend */
        TRY(scan_seek_person(f->rows.scan, number->number + 1, error, &end));
        TRY(collect_range(f, run, first, end, snapshot_is_mixed(f->selection.snapshot, number->number), error));
    }
    return STATUS_OK;
}

static enum status collect_by_persons(struct feed *f, uint32_t run, struct error *error)
{
    uint8_t keep[VECTOR_ROWS_MAX];
    const uint32_t *persons;
    for (uint32_t vector = 0; vector < f->runs[run].vectors; vector++) {
        uint32_t rows, last = 0;
        bool wanted = false, any = false;
        TRY(selection_interrupted(&f->selection, error));
        TRY(scan_vector(f->rows.scan, vector, error, &rows));
        TRY(scan_persons(f->rows.scan, error, &persons));
        for (uint32_t i = 0; i < rows; i++) {
            if (persons[i] != last || i == 0) {
                last = persons[i];
                wanted = is_wanted(f, last);
            }
            keep[i] = wanted;
            any |= wanted;
        }
        if (any) TRY(collect_vector(f, run, vector, rows, keep, error));
    }
    return STATUS_OK;
}

static int newest_run_first(const void *a, const void *b)
{
    const struct scan_run *x = a, *y = b;
    return (x->time_max_ms < y->time_max_ms) - (x->time_max_ms > y->time_max_ms);
}
static int oldest_run_first(const void *a, const void *b)
{
    const struct scan_run *x = a, *y = b;
    return (x->time_min_ms > y->time_min_ms) - (x->time_min_ms < y->time_min_ms);
}

/* Whether the section of the run may hold rows of the persons; asked once a section. */
static enum status is_in_section(struct feed *f, const struct scan_run *run, struct error *error, bool *ret)
{
    enum { UNKNOWN, YES, NO };
    if (run->section >= f->section_count) {
        uint32_t count = run->section * 2 + 16;
        f->sections = arena_realloc(f->selection.arena, f->sections, f->section_count, count);
        if (!f->sections) return selection_out_of_memory(&f->selection, error);
        memset(f->sections + f->section_count, UNKNOWN, count - f->section_count);
        f->section_count = count;
    }
    uint8_t *known = &f->sections[run->section];
    if (*known == UNKNOWN)
        *known = snapshot_section_has(f->selection.snapshot, run, f->numbers, f->number_count) ? YES : NO;
    *ret = *known == YES;
    return STATUS_OK;
}

static enum status collect(struct feed *f, struct error *error)
{
    size_t limit = f->selection.plan->limit;
    int64_t last = INT64_MAX; /* times the sign: beyond it nothing is wanted */
    if (f->run_count) qsort(f->runs, f->run_count, sizeof *f->runs, f->sign > 0 ? oldest_run_first : newest_run_first);
    for (uint32_t run = 0; run < f->run_count; run++) {
        int64_t nearest = f->sign > 0 ? f->runs[run].time_min_ms : -f->runs[run].time_max_ms;
        if (nearest > last) break;
        bool wanted;
        TRY(selection_interrupted(&f->selection, error));
        TRY(is_in_section(f, &f->runs[run], error, &wanted));
        if (!wanted) continue;
        TRY(scan_open(f->rows.scan, &f->runs[run], error));
        size_t applied = 0;
        for (size_t i = 0; i < f->number_count; i++) applied += f->runs[run].links_applied <= f->numbers[i].links_max;
        if (applied > (size_t)f->runs[run].vectors + 16)
            TRY(collect_by_persons(f, run, error));
        else
            TRY(collect_by_numbers(f, run, error));
        if (limit && f->count >= limit && (last == INT64_MAX || f->count > 2 * limit))
            TRY(prune(f, limit, error, &last));
    }
    return STATUS_OK;
}

/* --- their order --- */

struct named {
    struct str name;
    uint32_t event;
};
static int by_name(const void *a, const void *b)
{
    return str_cmp(((const struct named *)a)->name, ((const struct named *)b)->name);
}

static enum status rank_names(struct feed *f, struct error *error)
{
    const struct snapshot *snapshot = f->selection.snapshot;
    uint32_t count = snapshot_event_count(snapshot);
    struct named *named = arena_new_array(f->selection.arena, struct named, (size_t)count + 1);
    f->name_ranks = arena_new_array(f->selection.arena, uint32_t, (size_t)count + 1);
    if (!named || !f->name_ranks) return selection_out_of_memory(&f->selection, error);
    for (uint32_t i = 0; i < count; i++) named[i] = (struct named){snapshot_event_name(snapshot, i), i};
    qsort(named, count, sizeof *named, by_name);
    for (uint32_t i = 0; i < count; i++) f->name_ranks[named[i].event] = i;
    return STATUS_OK;
}

/* Without insert ids; 0: a tie. */
static int compare(const struct feed *f, const struct reference *x, const struct reference *y)
{
    if (x->time_ms != y->time_ms) return x->time_ms < y->time_ms ? -1 : 1;
    uint32_t a = f->name_ranks[f->runs[x->run].event_id], b = f->name_ranks[f->runs[y->run].event_id];
    if (a != b) return a < b ? -1 : 1;
    if (x->id == y->id) return 0;
    char room[2][ID_TEXT_ROOM];
    return str_cmp(snapshot_id_text(f->selection.snapshot, x->id, room[0]),
                   snapshot_id_text(f->selection.snapshot, y->id, room[1]));
}

static void merge(const struct feed *f, const struct reference *from, size_t middle, size_t count, struct reference *to)
{
    size_t a = 0, b = middle;
    for (size_t i = 0; i < count; i++) {
        bool first = b == count || (a < middle && compare(f, &from[a], &from[b]) * f->sign <= 0);
        to[i] = from[first ? a++ : b++];
    }
}

/* Merge sort, from the bottom up. */
static enum status sort(struct feed *f, struct error *error)
{
    if (f->count < 2) return STATUS_OK;
    struct reference *other = malloc(f->count * sizeof *other), *from = f->references;
    if (!other) return selection_out_of_memory(&f->selection, error);
    for (size_t width = 1; width < f->count; width *= 2) {
        for (size_t at = 0; at < f->count; at += 2 * width) {
            size_t count = f->count - at < 2 * width ? f->count - at : 2 * width;
            merge(f, from + at, width < count ? width : count, count, other + at);
        }
        struct reference *swap = from;
        from = other;
        other = swap;
    }
    f->references = from;
    f->capacity = f->count;
    free(other);
    return STATUS_OK;
}

struct tied {
    struct reference reference;
    struct str text; /* NULL data: none was sent */
    int64_t number;  /* of arrival, then */
};

static int by_insert_id(const void *a, const void *b)
{
    const struct tied *x = a, *y = b;
    if (!x->text.data != !y->text.data) return x->text.data ? -1 : 1;
    if (x->text.data) return str_cmp(x->text, y->text);
    return (x->number > y->number) - (x->number < y->number);
}

static enum status read_insert_id(struct feed *f, struct tied *tied, struct arena *arena, struct error *error)
{
    struct vector ids;
    uint32_t rows;
    TRY(scan_open(f->rows.scan, &f->runs[tied->reference.run], error));
    TRY(scan_vector(f->rows.scan, tied->reference.row / VECTOR_ROWS_MAX, error, &rows));
    TRY(scan_insert_ids(f->rows.scan, error, &ids));
    struct value id = vector_at(&ids, tied->reference.row % VECTOR_ROWS_MAX);
    if (id.type != VALUE_STRING) {
        tied->number = id.integer;
        return STATUS_OK;
    }
    tied->text = arena_str(arena, value_text(id));
    return tied->text.data ? STATUS_OK : selection_out_of_memory(&f->selection, error);
}

static enum status order_tie(struct feed *f, struct reference *references, size_t count, struct error *error)
{
    struct arena *arena = arena_new(f->selection.limits.memory_bytes_max);
    struct tied *tied = arena_new_array(arena, struct tied, count);
    enum status status = tied ? STATUS_OK : selection_out_of_memory(&f->selection, error);
    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        tied[i].reference = references[i];
        if (i % 64 == 0) status = selection_interrupted(&f->selection, error);
        if (status == STATUS_OK) status = read_insert_id(f, &tied[i], arena, error);
    }
    if (status == STATUS_OK) {
        qsort(tied, count, sizeof *tied, by_insert_id);
        for (size_t i = 0; i < count; i++) references[f->sign > 0 ? i : count - 1 - i] = tied[i].reference;
    }
    arena_free(arena);
    return status;
}

static enum status order(struct feed *f, struct error *error)
{
    size_t limit = f->selection.plan->limit;
    TRY(rank_names(f, error));
    TRY(sort(f, error));
    for (size_t i = 0, next; i < f->count && !(limit && i >= limit); i = next) {
        for (next = i + 1; next < f->count && compare(f, &f->references[i], &f->references[next]) == 0;) next++;
        if (next - i > 1) TRY(order_tie(f, f->references + i, next - i, error));
    }
    if (limit && f->count > limit) f->count = limit;
    return STATUS_OK;
}

/* --- delivery --- */

struct placed {
    struct reference reference;
    size_t place;
};
static int by_place(const void *a, const void *b)
{
    const struct reference *x = &((const struct placed *)a)->reference, *y = &((const struct placed *)b)->reference;
    if (x->run != y->run) return x->run < y->run ? -1 : 1;
    return (x->row > y->row) - (x->row < y->row);
}

/* The rows of one vector: placed[0 .. count), by row. */
static enum status load_rows(struct feed *f, const struct placed *placed, uint32_t count, struct error *error)
{
    struct event_row rows[PIECE_ROWS];
    uint32_t picked[PIECE_ROWS], vector = placed->reference.row / VECTOR_ROWS_MAX, in_vector;
    for (uint32_t i = 0; i < count; i++) picked[i] = placed[i].reference.row % VECTOR_ROWS_MAX;
    TRY(rows_vector(&f->rows, vector, error, &in_vector));
    TRY(rows_pick(&f->rows, picked, count, f->arena, error, rows));
    for (uint32_t i = 0; i < count; i++) f->piece[placed[i].place] = rows[i];
    return STATUS_OK;
}

static enum status load_piece(struct feed *f, struct error *error)
{
    struct placed placed[PIECE_ROWS];
    uint32_t count = f->count - f->at < PIECE_ROWS ? (uint32_t)(f->count - f->at) : PIECE_ROWS, run = UINT32_MAX;
    arena_reset(f->arena);
    f->piece_at = f->piece_count = 0;
    f->piece = arena_new_array(f->arena, struct event_row, PIECE_ROWS);
    if (!f->piece) return selection_out_of_memory(&f->selection, error);
    for (uint32_t i = 0; i < count; i++) placed[i] = (struct placed){f->references[f->at + i], i};
    qsort(placed, count, sizeof *placed, by_place);
    TRY(selection_interrupted(&f->selection, error));
    for (uint32_t i = 0, end; i < count; i = end) {
        const struct reference *first = &placed[i].reference;
        if (first->run != run) TRY(rows_run(&f->rows, &f->runs[first->run], error));
        run = first->run;
        for (end = i + 1; end < count && placed[end].reference.run == run &&
                          placed[end].reference.row / VECTOR_ROWS_MAX == first->row / VECTOR_ROWS_MAX;)
            end++;
        TRY(load_rows(f, &placed[i], end - i, error));
    }
    f->at += count;
    f->piece_count = count;
    return STATUS_OK;
}

static enum status feed_read(struct event_rows *base, uint64_t rows_max, struct row_sink *sink, struct error *error,
                             bool *ret_done)
{
    struct feed *f = (struct feed *)base;
    struct error local;
    if (!error) error = &local;
    for (; rows_max && (f->piece_at < f->piece_count || f->at < f->count); rows_max--) {
        if (f->piece_at == f->piece_count) TRY(load_piece(f, error));
        TRY(sink->row(sink, &f->piece[f->piece_at++], error));
    }
    *ret_done = f->piece_at == f->piece_count && f->at == f->count;
    return STATUS_OK;
}

static void feed_free(struct event_rows *base)
{
    struct feed *f = (struct feed *)base;
    rows_fini(&f->rows);
    selection_fini(&f->selection);
    arena_free(f->arena);
    free(f->references);
    free(f);
}

/* The people behind the ids, whoever is known. */
static enum status find_persons(struct feed *f, struct error *error)
{
    const struct plan *plan = f->selection.plan;
    const struct snapshot *snapshot = f->selection.snapshot;
    f->persons = arena_new_array(f->selection.arena, uint32_t, plan->distinct_id_count * 2);
    if (!f->persons) return selection_out_of_memory(&f->selection, error);
    for (size_t i = 0; i < plan->distinct_id_count; i++) {
        uint32_t id = snapshot_id(snapshot, plan->distinct_ids[i]);
        if (id) f->persons[f->person_count++] = snapshot_person(snapshot, id);
        /* An alias of the legacy mode: what came under it since then. */
        uint32_t target = snapshot_person(snapshot, snapshot_stands_for(snapshot, id));
        if (target) f->persons[f->person_count++] = target;
    }
    if (f->person_count) qsort(f->persons, f->person_count, sizeof *f->persons, by_u32);
    return snapshot_person_numbers(snapshot, f->persons, f->person_count, f->selection.arena, error, &f->numbers,
                                   &f->number_count);
}

enum status native_feed(struct native *native, const struct plan *plan, const struct plan_limits *limits,
                        struct error *error, struct event_rows **ret_rows)
{
    struct feed *f = calloc(1, sizeof *f);
    if (!f) return error_set(error, STATUS_LIMIT, "out of memory for a feed");
    f->base = (struct event_rows){.read = feed_read, .free = feed_free};
    f->sign = plan->order == ORDER_OLDEST_FIRST ? 1 : -1;
    f->arena = arena_new(limits->memory_bytes_max);
    enum status status = selection_init(&f->selection, native, plan, limits, error);
    if (status == STATUS_OK) status = rows_init(&f->rows, &f->selection, error);
    if (status == STATUS_OK) status = find_persons(f, error);
    if (status == STATUS_OK && f->person_count) status = selection_runs(&f->selection, error, &f->runs, &f->run_count);
    if (status == STATUS_OK) status = selection_load_profiles(&f->selection, native, f->runs, f->run_count, error);
    if (status == STATUS_OK) status = collect(f, error);
    if (status == STATUS_OK) status = order(f, error);
    if (status != STATUS_OK) {
        feed_free(&f->base);
        return status;
    }
    *ret_rows = &f->base;
    return STATUS_OK;
}
