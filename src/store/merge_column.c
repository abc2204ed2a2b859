/*
 * Columns of one event, one after the other: every input's vectors are decoded once and their values put into place.
 * What a column is put together from decides the form in which that is done:
 *
 *   all dictionaries (or constants)   the sorted dictionaries are merged, codes renumbered; no value is looked at twice
 *   all integers, all numbers         as int64, as double, with presence bits
 *   rare in all inputs                the few values
 *   anything else                     struct value
 *
 * A batch of places is at most one section's part of the event (or all windows of a small merge), so memory follows the
 * size of sections, not of merges.
 */
#include "store/merge_int.h"
#include "store/run_int.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

#define DICTIONARY_MAX (1u << 20) /* entries; beyond, codes do not pay */
#define EXACT_INT_MAX  9007199254740992.0

struct batch {
    struct merge *m;
    uint32_t from, count; /* places [from, from + count) */
    const struct merge_unit *units;
    size_t unit_count;
};

static enum status failed(struct merge *m, size_t input, enum status status)
{
    if (status == STATUS_CORRUPT || status == STATUS_IO) m->bad_input = input;
    return status;
}

/* Whether the vector has rows in the batch. */
static bool touches(const struct batch *b, const struct merge_input *in, uint32_t vector)
{
    return in->vector_low[vector] <= in->vector_high[vector] && in->vector_low[vector] < b->from + b->count &&
           in->vector_high[vector] >= b->from;
}

/* The place of a row within the batch, or something beyond its end. */
static uint32_t place_of(const struct batch *b, const struct merge_input *in, uint32_t vector, uint32_t row)
{
    return in->place[(size_t)vector * VECTOR_ROWS_MAX + row] - b->from;
}

#define each_vector(b, in, v)                                                                                          \
    for (uint32_t v = 0; v < run_vectors(&(in)->run); v++)                                                             \
        if (touches(b, in, v))

/* Lets go of what reading a column has allocated, before the arena is reset. */
static void forget(struct merge *m, uint32_t property)
{
    for (size_t i = 0; i < m->job->input_count; i++) {
        struct run_column *column = m->inputs[i].open ? run_column(&m->inputs[i].run, property) : NULL;
        if (column) run_forget(&m->inputs[i].run, column);
    }
}

/* --- core streams --- */

struct core {
    uint32_t *persons, *ids;
    int64_t *times, *received;
    uint8_t *flags;
    struct value *inserts;
    char *texts; /* of inserts that come from FIXED chunks: `stride` bytes a place */
    size_t stride;
};

/* A value that outlives the block it was decoded from. Blocks of RAM images stay where they are. */
static enum status keep_value(struct arena *arena, const struct section *section, bool dictionary, struct value *v)
{
    if (v->type < VALUE_STRING || section->image || dictionary || v->size == 0) return STATUS_OK;
    struct str copy = arena_str(arena, value_text(*v));
    if (!copy.data) return STATUS_LIMIT;
    v->data = copy.data;
    return STATUS_OK;
}

static enum status gather_values(struct batch *b, size_t input, struct run_column *column, struct arena *arena,
                                 struct value *values)
{
    struct merge *m = b->m;
    struct merge_input *in = &m->inputs[input];
    each_vector(b, in, v)
    {
        struct vector vector;
        TRY(failed(m, input, run_read(&in->run, column, v, m->error, &vector)));
        for (uint32_t r = 0; r < vector.count; r++) {
            uint32_t to = place_of(b, in, v, r);
            if (to >= b->count) continue;
            values[to] = vector_at(&vector, r);
            if (keep_value(arena, in->section->section, vector.kind != VECTOR_FLAT, &values[to]) != STATUS_OK)
                return merge_no_memory(m->error);
        }
    }
    return STATUS_OK;
}

/* Insert ids are nearly always FIXED. Their texts are put side by side in the order of the places, in which they are
 * hashed and written. */
static enum status gather_inserts(struct batch *b, size_t input, struct run_column *column, struct core *core)
{
    struct merge *m = b->m;
    struct merge_input *in = &m->inputs[input];
    size_t stride = core->stride;
    if (column->chunk.encoding != CHUNK_FIXED || column->chunk.parameter > stride)
        return gather_values(b, input, column, m->column_arena, core->inserts);
    each_vector(b, in, v)
    {
        struct vector vector;
        TRY(failed(m, input, run_read(&in->run, column, v, m->error, &vector)));
        for (uint32_t r = 0; r < vector.count; r++) {
            uint32_t to = place_of(b, in, v, r);
            if (to >= b->count) continue;
            struct value value = vector_at(&vector, r);
            if (value.type == VALUE_STRING) {
                assert(value.size <= stride);
                value.data = memcpy(core->texts + to * stride, value.data, value.size);
            }
            core->inserts[to] = value;
        }
    }
    return STATUS_OK;
}

static enum status gather_core(struct batch *b, size_t input, struct core *core)
{
    struct merge *m = b->m;
    struct merge_input *in = &m->inputs[input];
    const struct id_view *ids = m->job->ids;
    bool resolves = in->section->section->links_applied != m->job->links_applied;
    uint32_t persons[VECTOR_ROWS_MAX], last = UINT32_MAX, resolved = 0;
    bool mixed = false;
    int64_t times[VECTOR_ROWS_MAX], numbers[VECTOR_ROWS_MAX];
    struct run_column *inserts = run_column(&in->run, CORE_INSERT);
    if (!inserts) return failed(m, input, error_set(m->error, STATUS_CORRUPT, "a run has no insert ids"));
    each_vector(b, in, v)
    {
        uint32_t rows = run_vector_rows(&in->run, v);
        enum status status = run_read_persons(&in->run, v, m->error, persons);
        if (status == STATUS_OK) status = run_read_times(&in->run, v, m->error, times);
        if (status == STATUS_OK) status = run_read_ints(&in->run, CORE_ID, v, m->error, numbers);
        if (status != STATUS_OK) return failed(m, input, status);
        for (uint32_t r = 0; r < rows; r++) {
            uint32_t to = place_of(b, in, v, r);
            if (to >= b->count) continue;
            if (persons[r] != last) {
                last = persons[r];
                if (last > id_view_count(ids))
                    return failed(m, input, error_set(m->error, STATUS_CORRUPT, "person %u does not exist", last));
                resolved = resolves ? id_view_person(ids, last) : last;
                mixed = resolves && id_view_is_mixed(ids, last);
            }
            if ((uint64_t)numbers[r] > id_view_count(ids))
                return failed(m, input,
                              error_set(m->error, STATUS_CORRUPT, "id %lld does not exist", (long long)numbers[r]));
            core->persons[to] = mixed ? id_view_person(ids, (uint32_t)numbers[r]) : resolved;
            core->times[to] = times[r];
            core->ids[to] = (uint32_t)numbers[r];
        }
        status = run_read_ints(&in->run, CORE_RECEIVED, v, m->error, times);
        if (status == STATUS_OK) status = run_read_ints(&in->run, CORE_FLAGS, v, m->error, numbers);
        if (status != STATUS_OK) return failed(m, input, status);
        for (uint32_t r = 0; r < rows; r++) {
            uint32_t to = place_of(b, in, v, r);
            if (to >= b->count) continue;
            core->received[to] = times[r];
            core->flags[to] = (uint8_t)numbers[r];
        }
    }
    return gather_inserts(b, input, inserts, core);
}

static enum status begin_runs(struct batch *b, uint32_t event_id)
{
    struct merge *m = b->m;
    size_t n = b->count;
    struct arena *arena = m->column_arena;
    struct core core = {.persons = arena_alloc(arena, n * 4),
                        .ids = arena_alloc(arena, n * 4),
                        .times = arena_alloc(arena, n * 8),
                        .received = arena_alloc(arena, n * 8),
                        .flags = arena_alloc(arena, n),
                        .inserts = arena_new_array(arena, struct value, n)};
    if (!core.persons || !core.ids || !core.times || !core.received || !core.flags || !core.inserts)
        return merge_no_memory(m->error);
    for (size_t i = 0; i < m->job->input_count; i++) {
        const struct run_column *inserts = m->inputs[i].open ? run_column(&m->inputs[i].run, CORE_INSERT) : NULL;
        if (inserts && inserts->chunk.encoding == CHUNK_FIXED && inserts->chunk.parameter > core.stride)
            core.stride = inserts->chunk.parameter;
    }
    core.texts = arena_alloc(arena, n * core.stride + 1);
    if (!core.texts) return merge_no_memory(m->error);
    for (size_t i = 0; i < m->job->input_count; i++) {
        if (m->inputs[i].open) TRY(gather_core(b, i, &core));
    }
    for (size_t u = 0; u < b->unit_count; u++) {
        const struct merge_unit *unit = &b->units[u];
        uint32_t at = unit->from - b->from;
        for (uint32_t i = at; i < unit->to - b->from; i++) {
            if (core.inserts[i].type != VALUE_STRING && core.inserts[i].type != VALUE_INT)
                return error_set(m->error, STATUS_CORRUPT, "a column chunk is malformed");
        }
        struct section_rows part = {unit->to - unit->from, core.persons + at, core.ids + at,   core.times + at,
                                    core.received + at,    core.inserts + at, core.flags + at, NULL};
        enum status status = section_builder_run(m->windows[unit->window].builder, event_id, &part);
        if (status == STATUS_LIMIT) return merge_no_memory(m->error);
        if (status != STATUS_OK) return status;
    }
    return STATUS_OK;
}

/* --- rare columns --- */

struct rare {
    uint32_t place;
    struct value value;
};

static int rare_cmp(const void *a, const void *b)
{
    uint32_t x = ((const struct rare *)a)->place, y = ((const struct rare *)b)->place;
    return x < y ? -1 : x > y;
}

static enum status merge_rare(struct batch *b, uint32_t property, uint64_t present)
{
    struct merge *m = b->m;
    struct arena *arena = m->column_arena;
    struct rare *found = arena_alloc(arena, (present ? present : 1) * sizeof *found);
    uint32_t *rows = arena_alloc(arena, (present ? present : 1) * sizeof *rows);
    struct value *values = arena_alloc(arena, (present ? present : 1) * sizeof *values);
    if (!found || !rows || !values) return merge_no_memory(m->error);
    uint32_t count = 0;
    for (size_t i = 0; i < m->job->input_count; i++) {
        struct merge_input *in = &m->inputs[i];
        struct run_column *column = in->open ? run_column(&in->run, property) : NULL;
        if (!column) continue;
        bool sparse;
        const uint32_t *items;
        const struct value *sparse_values;
        uint32_t sparse_count;
        TRY(failed(m, i, run_read_sparse(&in->run, column, m->error, &sparse, &items, &sparse_values, &sparse_count)));
        assert(sparse && sparse_count <= column->chunk.present);
        for (uint32_t s = 0; s < sparse_count; s++) {
            uint32_t to = in->place[items[s]] - b->from;
            if (to < b->count) found[count++] = (struct rare){to, sparse_values[s]};
        }
    }
    qsort(found, count, sizeof *found, rare_cmp);
    for (uint32_t i = 0; i < count; i++) values[i] = found[i].value;
    uint32_t at = 0;
    for (size_t u = 0; u < b->unit_count; u++) {
        const struct merge_unit *unit = &b->units[u];
        uint32_t first = at, start = unit->from - b->from, end = unit->to - b->from;
        for (; at < count && found[at].place < end; at++) rows[at] = found[at].place - start;
        TRY(section_builder_sparse(m->windows[unit->window].builder, property, rows + first, values + first,
                                   at - first));
    }
    return STATUS_OK;
}

/* --- dictionaries --- */

struct entry {
    struct value value;
    uint32_t input, code;
};

/* value_cmp, with the common case in line. */
static int entry_order(const struct entry *a, const struct entry *b)
{
    if (a->value.type == VALUE_STRING && b->value.type == VALUE_STRING) {
        size_t size = a->value.size < b->value.size ? a->value.size : b->value.size;
        int order = size ? memcmp(a->value.data, b->value.data, size) : 0;
        return order ? order : (a->value.size > b->value.size) - (a->value.size < b->value.size);
    }
    return value_cmp(a->value, b->value);
}

static int entry_cmp(const void *a, const void *b)
{
    return entry_order(a, b);
}

/* Merges sorted lists, laid one behind the other, by neighbours. */
static struct entry *sort_entries(struct entry *from, struct entry *to, size_t count, size_t *starts, size_t lists)
{
    while (lists > 1) {
        size_t merged = 0;
        for (size_t s = 0; s < lists; s += 2) {
            size_t a = starts[s], a_end = s + 1 < lists ? starts[s + 1] : count;
            size_t b = a_end, b_end = s + 2 < lists ? starts[s + 2] : count, out = a;
            while (a < a_end && b < b_end) to[out++] = entry_order(&from[b], &from[a]) < 0 ? from[b++] : from[a++];
            while (a < a_end) to[out++] = from[a++];
            while (b < b_end) to[out++] = from[b++];
            starts[merged++] = starts[s];
        }
        lists = merged;
        struct entry *swap = from;
        from = to;
        to = swap;
    }
    return from;
}

static bool has_codes(const struct run_column *column)
{
    return column->chunk.encoding == CHUNK_DICT || column->chunk.encoding == CHUNK_CONST ||
           column->chunk.encoding == CHUNK_SPARSE;
}

/* The entries of one input's column; those of a SPARSE one are sorted here, duplicates and all. */
static enum status list_entries(struct merge *m, size_t input, struct run_column *column, struct entry *entries,
                                size_t entry_max, size_t *ret_count)
{
    struct merge_input *in = &m->inputs[input];
    size_t count = 0;
    if (column->chunk.encoding == CHUNK_SPARSE) {
        bool sparse;
        const uint32_t *items;
        const struct value *values;
        uint32_t n;
        TRY(failed(m, input, run_read_sparse(&in->run, column, m->error, &sparse, &items, &values, &n)));
        if (n > entry_max) return failed(m, input, error_set(m->error, STATUS_CORRUPT, "a column chunk is malformed"));
        for (uint32_t i = 0; i < n; i++) entries[count++] = (struct entry){values[i], (uint32_t)input, i + 1};
        qsort(entries, count, sizeof *entries, entry_cmp);
    } else {
        TRY(failed(m, input, run_prepare_dictionary(&in->run, column, m->error)));
        bool constant = column->chunk.encoding == CHUNK_CONST;
        uint32_t n = constant ? 1 : column->dict_count;
        if (n > entry_max + !constant) /* the descriptor says otherwise */
            return failed(m, input, error_set(m->error, STATUS_CORRUPT, "a dictionary is malformed"));
        for (uint32_t i = constant ? 0 : 1; i < n; i++)
            entries[count++] = (struct entry){column->values[i], (uint32_t)input, constant ? 1 : i};
        /* damaged ones may be out of order */
        for (size_t i = 1; i < count; i++) {
            if (entry_order(&entries[i - 1], &entries[i]) >= 0)
                return failed(m, input, error_set(m->error, STATUS_CORRUPT, "a dictionary is malformed"));
        }
    }
    *ret_count = count;
    return STATUS_OK;
}

static enum status put_codes(struct batch *b, size_t input, struct run_column *column, const uint32_t *renumber,
                             uint32_t *codes)
{
    struct merge *m = b->m;
    struct merge_input *in = &m->inputs[input];
    if (column->chunk.encoding == CHUNK_SPARSE) {
        bool sparse;
        const uint32_t *items;
        const struct value *values;
        uint32_t n;
        TRY(failed(m, input, run_read_sparse(&in->run, column, m->error, &sparse, &items, &values, &n)));
        for (uint32_t i = 0; i < n; i++) {
            uint32_t to = in->place[items[i]] - b->from;
            if (to < b->count) codes[to] = renumber[i + 1];
        }
        return STATUS_OK;
    }
    bool constant = column->chunk.encoding == CHUNK_CONST;
    uint32_t own[VECTOR_ROWS_MAX];
    each_vector(b, in, v)
    {
        uint32_t rows = run_vector_rows(&in->run, v);
        const uint32_t *place = in->place + (size_t)v * VECTOR_ROWS_MAX;
        if (!constant) TRY(failed(m, input, run_read_codes(&in->run, column, v, m->error, own)));
        for (uint32_t r = 0; r < rows; r++) {
            uint32_t to = place[r] - b->from;
            if (to < b->count) codes[to] = renumber[constant ? 1 : own[r]];
        }
    }
    return STATUS_OK;
}

static enum status merge_codes(struct batch *b, uint32_t property, size_t entry_max)
{
    struct merge *m = b->m;
    struct arena *arena = m->column_arena;
    size_t inputs = m->job->input_count, count = 0, lists = 0, distinct = 0;
    struct entry *entries = arena_alloc(arena, entry_max * sizeof *entries);
    struct entry *spare = arena_alloc(arena, entry_max * sizeof *spare);
    size_t *starts = arena_alloc(arena, (inputs + 1) * sizeof *starts);
    uint32_t **renumber = arena_new_array(arena, uint32_t *, inputs + 1);
    uint32_t *codes = arena_new_array(arena, uint32_t, b->count);
    if (!entries || !spare || !starts || !renumber || !codes) return merge_no_memory(m->error);
    for (size_t i = 0; i < inputs; i++) {
        struct run_column *column = m->inputs[i].open ? run_column(&m->inputs[i].run, property) : NULL;
        size_t here;
        if (!column) continue;
        starts[lists++] = count;
        TRY(list_entries(m, i, column, entries + count, entry_max - count, &here));
        count += here;
        renumber[i] = arena_new_array(arena, uint32_t, here + 1);
        if (!renumber[i]) return merge_no_memory(m->error);
    }
    entries = sort_entries(entries, spare, count, starts, lists);
    struct value *values = arena_alloc(arena, (count ? count : 1) * sizeof *values);
    if (!values) return merge_no_memory(m->error);
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || entry_order(&entries[i - 1], &entries[i]) != 0) values[distinct++] = entries[i].value;
        renumber[entries[i].input][entries[i].code] = (uint32_t)distinct;
    }
    for (size_t i = 0; i < inputs; i++) {
        struct run_column *column = m->inputs[i].open ? run_column(&m->inputs[i].run, property) : NULL;
        if (column) TRY(put_codes(b, i, column, renumber[i], codes));
    }
    for (size_t u = 0; u < b->unit_count; u++) {
        const struct merge_unit *unit = &b->units[u];
        TRY(section_builder_codes(m->windows[unit->window].builder, property, values, (uint32_t)distinct,
                                  codes + (unit->from - b->from)));
    }
    return STATUS_OK;
}

/* --- numbers --- */

static void set_bit(uint64_t *bits, uint32_t at)
{
    bits[at / 64] |= (uint64_t)1 << (at % 64);
}

/* A vector that is all integers, all present; false in *ret_done: it must be read another way. */
static enum status put_whole(struct batch *b, size_t input, struct run_column *column, uint32_t v, int64_t *integers,
                             uint64_t *presence, bool *ret_done)
{
    struct merge *m = b->m;
    struct merge_input *in = &m->inputs[input];
    struct chunk_ints head;
    int64_t own[VECTOR_ROWS_MAX];
    *ret_done = false;
    if (column->chunk.encoding != CHUNK_INT || column->chunk.per_person) return STATUS_OK;
    TRY(failed(m, input, run_pin_block(&in->run, column, v, m->error)));
    enum status status = chunk_ints(&column->chunk, column->block.bytes, v, &head);
    if (status != STATUS_OK) return failed(m, input, run_damaged(&in->run, status, m->error));
    if (!head.all_present) return STATUS_OK;
    status = chunk_decode_ints(&column->chunk, column->block.bytes, v, own);
    if (status != STATUS_OK) return failed(m, input, run_damaged(&in->run, status, m->error));
    const uint32_t *place = in->place + (size_t)v * VECTOR_ROWS_MAX;
    for (uint32_t r = 0; r < head.items; r++) {
        uint32_t to = place[r] - b->from;
        if (to >= b->count) continue;
        integers[to] = own[r];
        set_bit(presence, to);
    }
    *ret_done = true;
    return STATUS_OK;
}

static enum status put_integers(struct batch *b, size_t input, struct run_column *column, int64_t *integers,
                                uint64_t *presence)
{
    struct merge *m = b->m;
    struct merge_input *in = &m->inputs[input];
    each_vector(b, in, v)
    {
        struct vector vector;
        bool done;
        TRY(put_whole(b, input, column, v, integers, presence, &done));
        if (done) continue;
        TRY(failed(m, input, run_read(&in->run, column, v, m->error, &vector)));
        for (uint32_t r = 0; r < vector.count; r++) {
            uint32_t to = place_of(b, in, v, r);
            struct value value = vector_at(&vector, r);
            if (to >= b->count || value.type == VALUE_ABSENT) continue;
            if (value.type != VALUE_INT)
                return failed(m, input, error_set(m->error, STATUS_CORRUPT, "a column chunk is malformed"));
            set_bit(presence, to);
            integers[to] = value.integer;
        }
    }
    return STATUS_OK;
}

/* *ret_exact becomes false when an integer is too large for a double. */
static enum status put_doubles(struct batch *b, size_t input, struct run_column *column, double *numbers,
                               uint64_t *presence, bool *ret_exact)
{
    struct merge *m = b->m;
    struct merge_input *in = &m->inputs[input];
    uint8_t encoding = column->chunk.encoding;
    /* numbers may also lie as bytes: large integers between fractions */
    bool numeric = encoding == CHUNK_INT || encoding == CHUNK_DOUBLE || encoding == CHUNK_DECIMAL;
    double own[VECTOR_ROWS_MAX];
    each_vector(b, in, v)
    {
        uint32_t rows = run_vector_rows(&in->run, v);
        if (numeric) {
            TRY(failed(m, input, run_read_numbers(&in->run, column, v, m->error, own)));
        } else {
            struct vector vector;
            TRY(failed(m, input, run_read(&in->run, column, v, m->error, &vector)));
            for (uint32_t r = 0; r < rows; r++) {
                if (!value_double(vector_at(&vector, r), &own[r])) own[r] = NAN;
            }
        }
        const uint32_t *place = in->place + (size_t)v * VECTOR_ROWS_MAX;
        for (uint32_t r = 0; r < rows; r++) {
            uint32_t to = place[r] - b->from;
            if (to >= b->count || isnan(own[r])) continue;
            if (fabs(own[r]) >= EXACT_INT_MAX && rint(own[r]) == own[r]) *ret_exact = false; /* may have been one */
            set_bit(presence, to);
            numbers[to] = own[r];
        }
    }
    return STATUS_OK;
}

static enum status merge_numbers(struct batch *b, uint32_t property, bool whole, bool *ret_done)
{
    struct merge *m = b->m;
    struct arena *arena = m->column_arena;
    uint64_t *presence = arena_new_array(arena, uint64_t, b->count / 64 + 1);
    int64_t *integers = whole ? arena_new_array(arena, int64_t, b->count) : NULL;
    double *numbers = whole ? NULL : arena_new_array(arena, double, b->count);
    if (!presence || (!integers && !numbers)) return merge_no_memory(m->error);
    bool exact = true;
    for (size_t i = 0; i < m->job->input_count; i++) {
        struct run_column *column = m->inputs[i].open ? run_column(&m->inputs[i].run, property) : NULL;
        if (!column) continue;
        TRY(whole ? put_integers(b, i, column, integers, presence)
                  : put_doubles(b, i, column, numbers, presence, &exact));
    }
    *ret_done = exact;
    for (size_t u = 0; u < b->unit_count && exact; u++) {
        const struct merge_unit *unit = &b->units[u];
        uint32_t at = unit->from - b->from;
        struct section_builder *builder = m->windows[unit->window].builder;
        assert(at % 64 == 0);
        TRY(whole ? section_builder_ints(builder, property, integers + at, presence + at / 64)
                  : section_builder_doubles(builder, property, numbers + at, presence + at / 64));
    }
    return STATUS_OK;
}

/* --- any column --- */

static enum status merge_values(struct batch *b, uint32_t property)
{
    struct merge *m = b->m;
    struct value *values = arena_new_array(m->column_arena, struct value, b->count);
    if (!values) return merge_no_memory(m->error);
    for (size_t i = 0; i < m->job->input_count; i++) {
        struct run_column *column = m->inputs[i].open ? run_column(&m->inputs[i].run, property) : NULL;
        if (column) TRY(gather_values(b, i, column, m->column_arena, values));
    }
    for (size_t u = 0; u < b->unit_count; u++) {
        const struct merge_unit *unit = &b->units[u];
        TRY(section_builder_column(m->windows[unit->window].builder, property, values + (unit->from - b->from)));
    }
    return STATUS_OK;
}

static enum status merge_column(struct batch *b, uint32_t property)
{
    struct merge *m = b->m;
    bool sparse = true, codes = true;
    uint64_t present = 0, entries = 0;
    uint16_t types = 0;
    for (size_t i = 0; i < m->job->input_count; i++) {
        struct run_column *column = m->inputs[i].open ? run_column(&m->inputs[i].run, property) : NULL;
        if (!column) continue;
        const struct chunk *chunk = &column->chunk;
        types |= chunk->types & (uint16_t) ~(1u << VALUE_ABSENT);
        present += chunk->present;
        entries += chunk->encoding == CHUNK_SPARSE  ? chunk->present
                   : chunk->encoding == CHUNK_CONST ? 1
                                                    : chunk->distinct;
        sparse = sparse && chunk->encoding == CHUNK_SPARSE;
        codes = codes && has_codes(column);
    }
    if (sparse && chunk_is_sparse((uint32_t)(present < UINT32_MAX ? present : UINT32_MAX), b->count))
        return merge_rare(b, property, present);
    if (codes && entries <= DICTIONARY_MAX) return merge_codes(b, property, entries ? entries : 1);
    bool done = false;
    if (types == 1u << VALUE_INT) {
        TRY(merge_numbers(b, property, true, &done));
    } else if ((types & (uint16_t) ~(1u << VALUE_INT | 1u << VALUE_DOUBLE)) == 0) {
        TRY(merge_numbers(b, property, false, &done));
    }
    return done ? STATUS_OK : merge_values(b, property);
}

static enum status merge_property(struct batch *b, uint32_t property)
{
    arena_reset(b->m->column_arena);
    enum status status = merge_column(b, property);
    forget(b->m, property);
    return status;
}

static int u32_cmp(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static enum status list_properties(struct merge *m, uint32_t **ret_properties, size_t *ret_count)
{
    size_t total = 0, count = 0, distinct = 0;
    for (size_t i = 0; i < m->job->input_count; i++) total += m->inputs[i].open ? m->inputs[i].run.column_count : 0;
    uint32_t *list = arena_alloc(m->arena, (total ? total : 1) * sizeof *list);
    if (!list) return merge_no_memory(m->error);
    for (size_t i = 0; i < m->job->input_count; i++) {
        for (uint32_t c = 0; m->inputs[i].open && c < m->inputs[i].run.column_count; c++) {
            uint32_t property = m->inputs[i].run.columns[c].chunk.property;
            if (property <= PROPERTY_ID_MAX) list[count++] = property;
        }
    }
    qsort(list, count, sizeof *list, u32_cmp);
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || list[i] != list[i - 1]) list[distinct++] = list[i];
    }
    *ret_properties = list;
    *ret_count = distinct;
    return STATUS_OK;
}

enum status merge_columns(struct merge *m, uint32_t event_id, const struct merge_unit *units, size_t count)
{
    struct batch b = {.m = m,
                      .from = units[0].from,
                      .count = units[count - 1].to - units[0].from,
                      .units = units,
                      .unit_count = count};
    if (b.count == 0) return STATUS_OK;
    uint32_t *properties = NULL;
    size_t property_count = 0;
    arena_reset(m->column_arena);
    enum status status = begin_runs(&b, event_id);
    forget(m, CORE_INSERT);
    if (status == STATUS_OK) status = list_properties(m, &properties, &property_count);
    for (size_t p = 0; p < property_count && status == STATUS_OK; p++) status = merge_property(&b, properties[p]);
    for (size_t u = 0; u < count && status == STATUS_OK; u++)
        status = section_builder_run_end(m->windows[units[u].window].builder);
    if (status == STATUS_LIMIT && m->error->status == STATUS_OK) merge_no_memory(m->error);
    return status;
}
