/*
 * Sealing: rows in the order of arrival become a section, which is sorted and columnar.
 *
 * What a row consists of lies in the log frame that it came with, so frames are read once, from front to back, and
 * never in the order of the section: that would be a cache miss a row. On the way every row of an event goes to its
 * place among those of the event (its *run*), in the order of arrival, and every property to its column of that run:
 * strings as codes (interner.h), numbers as words. Then the runs are written one after the other, and what is moved
 * into their order are columns of four or eight bytes a row.
 */
#include "base/civil.h"
#include "base/radix.h"
#include "store/interner.h"
#include "store/memtable.h"

#include <assert.h>
#include <stdlib.h>

#define SEAL_BYTES_MAX ((size_t)4 << 30)
#define GUESSES_MAX    64
#define EXACT_INT_MAX  ((int64_t)1 << 53)
#define CELLS_MIN      16

enum form {
    FORM_CODES,
    FORM_INTS,
    FORM_DOUBLES,
};

/* One property of one run: the rows that have it, and what they have. */
struct column {
    uint32_t run, property, count, capacity;
    uint32_t next; /* one more than the last of rows */
    enum form form;
    uint32_t *rows; /* within the run as it arrived, ascending */
    uint32_t *codes;
    uint64_t *words;
};

struct seal_run {
    uint32_t event, from, count;   /* rows [from, from + count) of the sorted order */
    uint32_t arrived;              /* so far */
    uint32_t guesses[GUESSES_MAX]; /* columns of the properties of the last row: most rows of an event have the same */
};

struct sealing {
    struct memtable *mem;
    const struct memtable_seal *seal;
    struct arena *arena, *scratch; /* of the seal; of a run */
    struct radix_item *order;      /* key: event and person; value: the row */
    uint32_t count, with_key;
    int64_t time_min_ms, time_max_ms;
    struct seal_run *runs;
    uint32_t run_count, *run_of_event;
    /* by place: runs one behind the other, in each the order of arrival */
    uint32_t *place_of_row, *ids;
    int64_t *times, *received;
    struct value *inserts;
    uint8_t *flags;
    char *texts; /* of inserts */
    struct column *columns;
    uint32_t column_count, column_capacity;
    struct u64map column_of;    /* run and property -> column */
    struct interner *interners; /* by property */
};

/* --- order --- */

static int time_cmp(const void *a, const void *b, void *arg)
{
    const struct memtable *mem = arg;
    uint32_t x = ((const struct radix_item *)a)->value, y = ((const struct radix_item *)b)->value;
    int64_t x_ms = mem->rows[x].time_ms, y_ms = mem->rows[y].time_ms;
    if (x_ms != y_ms) return x_ms < y_ms ? -1 : 1;
    return x < y ? -1 : x > y; /* rows ascend in arrival */
}

/* Rows of one person arrive in the order of time, mostly: sorting by event and person leaves little to do. */
static void sort_times(struct memtable *mem, struct radix_item *rows, uint32_t count)
{
    for (uint32_t from = 0, to; from < count; from = to) {
        bool ascends = true;
        for (to = from + 1; to < count && rows[to].key == rows[from].key; to++)
            ascends &= mem->rows[rows[to - 1].value].time_ms <= mem->rows[rows[to].value].time_ms;
        if (ascends) continue;
        qsort_r(rows + from, to - from, sizeof *rows, time_cmp, mem);
    }
}

static enum status sort_rows(struct sealing *s)
{
    const struct memtable *mem = s->mem;
    struct radix_item *rows = arena_alloc(s->arena, ((size_t)mem->count + 1) * sizeof *rows);
    struct radix_item *spare = arena_alloc(s->arena, ((size_t)mem->count + 1) * sizeof *spare);
    s->time_min_ms = INT64_MAX;
    s->time_max_ms = INT64_MIN;
    if (!rows || !spare) return STATUS_LIMIT;
    for (uint32_t i = 0; i < mem->count; i++) {
        const struct mem_row *row = &mem->rows[i];
        if (row->dead) continue;
        uint64_t key = (uint64_t)row->event << 32 | id_graph_person(s->seal->ids, row->id);
        rows[s->count++] = (struct radix_item){key, i};
        s->with_key += row->insert_id != NULL;
        if (row->time_ms < s->time_min_ms) s->time_min_ms = row->time_ms;
        if (row->time_ms > s->time_max_ms) s->time_max_ms = row->time_ms;
    }
    s->order = radix_sort(rows, spare, s->count);
    sort_times(s->mem, s->order, s->count);
    return STATUS_OK;
}

static enum status find_runs(struct sealing *s)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < s->count; i++) count += i == 0 || s->order[i].key >> 32 != s->order[i - 1].key >> 32;
    uint32_t last = (uint32_t)(s->order[s->count - 1].key >> 32);
    s->runs = arena_new_array(s->arena, struct seal_run, count);
    s->run_of_event = arena_alloc(s->arena, ((size_t)last + 1) * sizeof *s->run_of_event);
    if (!s->runs || !s->run_of_event) return STATUS_LIMIT;
    for (uint32_t i = 0; i < s->count; i++) {
        uint32_t event = (uint32_t)(s->order[i].key >> 32);
        if (i == 0 || event != s->runs[s->run_count - 1].event) {
            s->run_of_event[event] = s->run_count;
            s->runs[s->run_count++] = (struct seal_run){.event = event, .from = i};
        }
        s->runs[s->run_count - 1].count++;
    }
    return STATUS_OK;
}

/* --- columns as rows come --- */

static enum status make_room(struct sealing *s, struct column *column)
{
    size_t old = column->capacity, capacity = old ? old * 4 : CELLS_MIN;
    if (capacity > s->runs[column->run].count) capacity = s->runs[column->run].count;
    assert(capacity > old);
    column->rows = arena_realloc(s->arena, column->rows, old * sizeof *column->rows, capacity * sizeof *column->rows);
    if (!column->rows) return STATUS_LIMIT;
    if (column->form == FORM_CODES) {
        column->codes =
            arena_realloc(s->arena, column->codes, old * sizeof *column->codes, capacity * sizeof *column->codes);
        if (!column->codes) return STATUS_LIMIT;
    } else {
        column->words =
            arena_realloc(s->arena, column->words, old * sizeof *column->words, capacity * sizeof *column->words);
        if (!column->words) return STATUS_LIMIT;
    }
    column->capacity = (uint32_t)capacity;
    return STATUS_OK;
}

static bool is_exact(int64_t integer)
{
    return integer >= -EXACT_INT_MAX && integer <= EXACT_INT_MAX;
}

static uint64_t double_word(double number)
{
    uint64_t word;
    memcpy(&word, &number, 8);
    return word;
}

/* Integers among which a double has come; false when one of them is none. */
static bool become_doubles(struct column *column)
{
    for (uint32_t i = 0; i < column->count; i++) {
        if (!is_exact((int64_t)column->words[i])) return false;
    }
    for (uint32_t i = 0; i < column->count; i++) column->words[i] = double_word((double)(int64_t)column->words[i]);
    column->form = FORM_DOUBLES;
    return true;
}

static enum status become_codes(struct sealing *s, struct column *column)
{
    column->codes = arena_alloc(s->arena, (size_t)column->capacity * sizeof *column->codes);
    if (!column->codes) return STATUS_LIMIT;
    for (uint32_t i = 0; i < column->count; i++) {
        double number;
        memcpy(&number, &column->words[i], 8);
        struct value value = column->form == FORM_INTS ? value_int((int64_t)column->words[i]) : value_number(number);
        TRY(interner_code(&s->interners[column->property], s->arena, value, &column->codes[i]));
    }
    column->form = FORM_CODES;
    return STATUS_OK;
}

static enum status add_number(struct sealing *s, struct column *column, struct value value)
{
    if (column->form == FORM_INTS && value.type == VALUE_DOUBLE && !become_doubles(column))
        TRY(become_codes(s, column));
    if (column->form == FORM_DOUBLES && value.type == VALUE_INT && !is_exact(value.integer))
        TRY(become_codes(s, column));
    if (column->form == FORM_CODES)
        return interner_code(&s->interners[column->property], s->arena, value, &column->codes[column->count]);
    if (column->form == FORM_INTS)
        column->words[column->count] = (uint64_t)value.integer;
    else
        column->words[column->count] = double_word(value.type == VALUE_INT ? (double)value.integer : value.number);
    return STATUS_OK;
}

static enum status add_value(struct sealing *s, struct column *column, uint32_t row, struct value value)
{
    bool number = value.type == VALUE_INT || value.type == VALUE_DOUBLE;
    /* A property that stands twice in one event (the log allows it) counts once, the last one. */
    if (column->next == row + 1) column->count--;
    if (column->capacity == 0 && number) column->form = value.type == VALUE_INT ? FORM_INTS : FORM_DOUBLES;
    if (column->count == column->capacity) TRY(make_room(s, column));
    column->rows[column->count] = row;
    column->next = row + 1;
    if (number) {
        TRY(add_number(s, column, value));
    } else {
        if (column->form != FORM_CODES) TRY(become_codes(s, column));
        TRY(interner_code(&s->interners[column->property], s->arena, value, &column->codes[column->count]));
    }
    column->count++;
    return STATUS_OK;
}

static inline enum status add_text(struct sealing *s, struct column *column, uint32_t row, const char *data,
                                   uint32_t size)
{
    if (column->form != FORM_CODES) return add_value(s, column, row, value_str(str_from(data, size)));
    if (column->next == row + 1) column->count--;
    if (column->count == column->capacity) TRY(make_room(s, column));
    column->rows[column->count] = row;
    column->next = row + 1;
    return interner_text(&s->interners[column->property], s->arena, data, size, &column->codes[column->count++]);
}

static enum status find_column(struct sealing *s, uint32_t run, uint32_t property, uint32_t *ret_column)
{
    bool added;
    uint64_t *at = u64map_at(&s->column_of, (uint64_t)run << 32 | property, s->column_count, &added);
    if (!at) return STATUS_LIMIT;
    *ret_column = (uint32_t)*at;
    if (!added) return STATUS_OK;
    if (s->column_count == s->column_capacity) {
        uint32_t capacity = s->column_capacity ? s->column_capacity * 2 : 64;
        struct column *grown = realloc(s->columns, capacity * sizeof *grown);
        if (!grown) return STATUS_LIMIT;
        s->columns = grown;
        s->column_capacity = capacity;
    }
    s->columns[s->column_count++] = (struct column){.run = run, .property = property};
    return STATUS_OK;
}

/* The column of the nth property of a row. */
static inline enum status column_for(struct sealing *s, uint32_t run, uint32_t nth, uint32_t property,
                                     struct column **ret_column)
{
    uint32_t own, *guess = nth < GUESSES_MAX ? &s->runs[run].guesses[nth] : &own;
    if (guess == &own || *guess >= s->column_count || s->columns[*guess].property != property ||
        s->columns[*guess].run != run)
        TRY(find_column(s, run, property, guess));
    *ret_column = &s->columns[*guess];
    return STATUS_OK;
}

/* A property of the shape that most have: a name with a number below 128, and a string of less than 128 bytes. */
static inline bool is_short_text(const struct reader *reader)
{
    const unsigned char *at = reader->at;
    size_t left = reader_left(reader);
    return left >= 3 && at[0] < 0x80 && at[1] == VALUE_STRING && at[2] < 0x80 && left - 3 >= at[2];
}

/* What event_property_next does, in a few instructions for truth values and doubles. */
static inline bool next_property(struct reader *reader, uint32_t *ret_name, struct value *ret_value)
{
    const unsigned char *at = reader->at;
    size_t left = reader_left(reader);
    if (left >= 3 && at[0] < 0x80 && at[1] == VALUE_BOOL && at[2] <= 1) {
        *ret_name = at[0];
        *ret_value = value_bool(at[2]);
        reader->at = at + 3;
        return true;
    }
    if (left >= 10 && at[0] < 0x80 && at[1] == VALUE_DOUBLE) {
        *ret_name = at[0];
        *ret_value = (struct value){.type = VALUE_DOUBLE};
        memcpy(&ret_value->number, at + 2, 8);
        reader->at = at + 10;
        return true;
    }
    return event_property_next(reader, ret_name, ret_value);
}

/* Strings do not become a struct value on the way: writing one in parts and reading it as a whole, at once, makes the
 * processor wait each time. */
static enum status take_properties(struct sealing *s, const struct mem_row *row, uint32_t r, uint32_t arrived)
{
    const uint32_t *property_ids = s->mem->batches[row->batch].property_ids;
    struct reader reader = reader_of(str_from(row->properties, row->properties_size));
    struct column *column;
    struct value value;
    uint32_t nth = 0, name;
    for (;;) {
        if (is_short_text(&reader)) {
            const unsigned char *at = reader.at;
            uint32_t property = property_ids[at[0]], size = at[2];
            reader.at = at + 3 + size;
            if (property == UINT32_MAX) continue;
            TRY(column_for(s, r, nth++, property, &column));
            TRY(add_text(s, column, arrived, (const char *)at + 3, size));
            continue;
        }
        if (!next_property(&reader, &name, &value)) break;
        if (property_ids[name] == UINT32_MAX) continue;
        TRY(column_for(s, r, nth++, property_ids[name], &column));
        TRY(add_value(s, column, arrived, value));
    }
    if (!row->reason) return STATUS_OK;
    TRY(column_for(s, r, nth, s->seal->reason_property, &column));
    return add_value(s, column, arrived, value_str(str_of(s->seal->reasons[row->reason])));
}

static enum status take_row(struct sealing *s, uint32_t index)
{
    const struct mem_row *row = &s->mem->rows[index];
    const struct mem_batch *batch = &s->mem->batches[row->batch];
    uint32_t r = s->run_of_event[row->event];
    uint32_t arrived = s->runs[r].arrived++, place = s->runs[r].from + arrived;
    s->place_of_row[index] = place;
    s->ids[place] = row->id;
    s->times[place] = row->time_ms;
    s->received[place] = batch->received_ms;
    s->flags[place] = row->flags;
    if (row->insert_id) {
        memcpy(s->texts, row->insert_id, row->insert_size);
        s->inserts[place] = value_str(str_from(s->texts, row->insert_size));
        s->texts += row->insert_size;
    } else {
        s->inserts[place] = value_int((int64_t)row->seq);
    }
    return take_properties(s, row, r, arrived);
}

/* One more than the highest property id in the memtable. */
static size_t property_end(const struct memtable *mem, const struct memtable_seal *seal)
{
    size_t end = seal->reason_property == UINT32_MAX ? 1 : (size_t)seal->reason_property + 1;
    for (uint32_t b = 0; b < mem->batch_count; b++) {
        for (uint32_t i = 0; i < mem->batches[b].name_count; i++) {
            uint32_t id = mem->batches[b].property_ids[i];
            if (id != UINT32_MAX && id >= end) end = (size_t)id + 1;
        }
    }
    return end;
}

static enum status take_rows(struct sealing *s)
{
    size_t count = s->count, text_bytes = 0;
    for (uint32_t i = 0; i < s->mem->count; i++) text_bytes += s->mem->rows[i].dead ? 0 : s->mem->rows[i].insert_size;
    s->place_of_row = arena_alloc(s->arena, (size_t)s->mem->count * sizeof *s->place_of_row);
    s->ids = arena_alloc(s->arena, count * sizeof *s->ids);
    s->times = arena_alloc(s->arena, count * sizeof *s->times);
    s->received = arena_alloc(s->arena, count * sizeof *s->received);
    s->inserts = arena_alloc(s->arena, count * sizeof *s->inserts);
    s->flags = arena_alloc(s->arena, count);
    s->texts = arena_alloc(s->arena, text_bytes + 1);
    s->interners = arena_new_array(s->arena, struct interner, property_end(s->mem, s->seal));
    if (!s->place_of_row || !s->ids || !s->times || !s->received || !s->inserts || !s->flags || !s->texts ||
        !s->interners)
        return STATUS_LIMIT;
    for (uint32_t i = 0; i < s->mem->count; i++) {
        if (!s->mem->rows[i].dead) TRY(take_row(s, i));
    }
    return STATUS_OK;
}

/* --- writing runs --- */

static int column_cmp(const void *a, const void *b)
{
    const struct column *x = a, *y = b;
    if (x->run != y->run) return x->run < y->run ? -1 : 1;
    return x->property < y->property ? -1 : x->property > y->property;
}

/* arrived[i] is where row i of the run stands in the order of arrival. */
static enum status write_core(struct sealing *s, const struct seal_run *run, uint32_t *arrived,
                              struct section_builder *builder)
{
    struct arena *arena = s->scratch;
    size_t count = run->count;
    uint32_t *persons = arena_alloc(arena, count * sizeof *persons), *ids = arena_alloc(arena, count * sizeof *ids);
    int64_t *times = arena_alloc(arena, count * sizeof *times),
            *received = arena_alloc(arena, count * sizeof *received);
    struct value *inserts = arena_alloc(arena, count * sizeof *inserts);
    uint8_t *flags = arena_alloc(arena, count);
    if (!persons || !ids || !times || !received || !inserts || !flags) return STATUS_LIMIT;
    for (uint32_t i = 0; i < count; i++) {
        const struct radix_item *item = &s->order[run->from + i];
        uint32_t at = s->place_of_row[item->value];
        arrived[i] = at - run->from;
        persons[i] = (uint32_t)item->key;
        ids[i] = s->ids[at];
        times[i] = s->times[at];
        received[i] = s->received[at];
        inserts[i] = s->inserts[at];
        flags[i] = s->flags[at];
    }
    struct section_rows rows = {run->count, persons, ids, times, received, inserts, flags};
    return section_builder_run(builder, run->event, &rows);
}

static struct value cell_value(const struct sealing *s, const struct column *column, uint32_t i)
{
    double number;
    if (column->form == FORM_CODES) return s->interners[column->property].entries[column->codes[i] - 1];
    memcpy(&number, &column->words[i], 8);
    return column->form == FORM_INTS ? value_int((int64_t)column->words[i]) : value_number(number);
}

/* Few rows have it: they are sorted, as the other way round all rows of the run would be looked at. */
static enum status write_sparse(struct sealing *s, const struct column *column, const uint32_t *sorted,
                                struct section_builder *builder)
{
    struct arena *arena = s->scratch;
    struct radix_item *items = arena_alloc(arena, column->count * sizeof *items);
    struct radix_item *spare = arena_alloc(arena, column->count * sizeof *spare);
    uint32_t *rows = arena_alloc(arena, column->count * sizeof *rows);
    struct value *values = arena_alloc(arena, column->count * sizeof *values);
    if (!items || !spare || !rows || !values) return STATUS_LIMIT;
    for (uint32_t i = 0; i < column->count; i++) items[i] = (struct radix_item){sorted[column->rows[i]], i};
    items = radix_sort(items, spare, column->count);
    for (uint32_t i = 0; i < column->count; i++) {
        rows[i] = (uint32_t)items[i].key;
        values[i] = cell_value(s, column, items[i].value);
    }
    return section_builder_sparse(builder, column->property, rows, values, column->count);
}

static enum status write_words(struct sealing *s, const struct seal_run *run, const struct column *column,
                               const uint32_t *sorted, const uint32_t *arrived, struct section_builder *builder)
{
    uint64_t *words = arena_alloc(s->scratch, run->count * sizeof *words), *presence = NULL;
    if (!words) return STATUS_LIMIT;
    if (column->count == run->count) {
        for (uint32_t i = 0; i < run->count; i++) words[i] = column->words[arrived[i]];
    } else {
        presence = arena_new_array(s->scratch, uint64_t, (size_t)run->count / 64 + 1);
        if (!presence) return STATUS_LIMIT;
        memset(words, 0, run->count * sizeof *words);
        for (uint32_t i = 0; i < column->count; i++) {
            uint32_t to = sorted[column->rows[i]];
            words[to] = column->words[i];
            presence[to / 64] |= (uint64_t)1 << to % 64;
        }
    }
    return column->form == FORM_INTS
               ? section_builder_ints(builder, column->property, (const int64_t *)words, presence)
               : section_builder_doubles(builder, column->property, (const double *)words, presence);
}

/* The property's entries are those of all runs; what the run has of them is numbered anew, in the same order. */
static enum status write_codes(struct sealing *s, const struct seal_run *run, const struct column *column,
                               const uint32_t *sorted, const uint32_t *arrived, struct section_builder *builder)
{
    struct interner *interner = &s->interners[column->property];
    uint32_t *codes = arena_new_array(s->scratch, uint32_t, run->count);
    uint64_t *used = arena_new_array(s->scratch, uint64_t, (size_t)interner->count / 64 + 1);
    uint32_t *number = arena_alloc(s->scratch, ((size_t)interner->count + 1) * sizeof *number), count = 0;
    if (!codes || !used || !number) return STATUS_LIMIT;
    if (!interner->ranks) TRY(interner_sort(interner, s->arena));
    for (uint32_t i = 0; i < column->count; i++) {
        uint32_t rank = interner->ranks[column->codes[i]];
        used[rank / 64] |= (uint64_t)1 << rank % 64;
    }
    size_t most = column->count < interner->count ? column->count : interner->count;
    struct value *entries = arena_alloc(s->scratch, most * sizeof *entries);
    if (!entries) return STATUS_LIMIT;
    for (size_t w = 0; w <= interner->count / 64; w++) {
        for (uint64_t bits = used[w]; bits; bits &= bits - 1) {
            uint32_t rank = (uint32_t)w * 64 + (uint32_t)__builtin_ctzll(bits);
            entries[count++] = interner->sorted[rank - 1];
            number[rank] = count;
        }
    }
    if (column->count == run->count) {
        for (uint32_t i = 0; i < run->count; i++) codes[i] = number[interner->ranks[column->codes[arrived[i]]]];
    } else {
        for (uint32_t i = 0; i < column->count; i++)
            codes[sorted[column->rows[i]]] = number[interner->ranks[column->codes[i]]];
    }
    return section_builder_codes(builder, column->property, entries, count, codes);
}

static enum status write_values(struct sealing *s, const struct seal_run *run, const struct column *column,
                                const uint32_t *sorted, struct section_builder *builder)
{
    struct value *values = arena_new_array(s->scratch, struct value, run->count); /* zero is ABSENT */
    if (!values) return STATUS_LIMIT;
    for (uint32_t i = 0; i < column->count; i++) values[sorted[column->rows[i]]] = cell_value(s, column, i);
    return section_builder_column(builder, column->property, values);
}

static enum status write_column(struct sealing *s, const struct seal_run *run, const struct column *column,
                                const uint32_t *sorted, const uint32_t *arrived, struct section_builder *builder)
{
    if (column->count == 0) return STATUS_OK;
    if (chunk_is_sparse(column->count, run->count)) return write_sparse(s, column, sorted, builder);
    if (column->form != FORM_CODES) return write_words(s, run, column, sorted, arrived, builder);
    if (s->interners[column->property].loose) return write_values(s, run, column, sorted, builder);
    return write_codes(s, run, column, sorted, arrived, builder);
}

static enum status write_run(struct sealing *s, uint32_t r, const struct column **at, struct section_builder *builder)
{
    const struct seal_run *run = &s->runs[r];
    const struct column *end = s->columns + s->column_count;
    arena_reset(s->scratch);
    uint32_t *arrived = arena_alloc(s->scratch, run->count * sizeof *arrived);
    uint32_t *sorted = arena_alloc(s->scratch, run->count * sizeof *sorted);
    if (!arrived || !sorted) return STATUS_LIMIT;
    struct arena_mark mark = arena_mark_set(s->scratch);
    TRY(write_core(s, run, arrived, builder));
    for (uint32_t i = 0; i < run->count; i++) sorted[arrived[i]] = i;
    for (; *at < end && (*at)->run == r; ++*at) {
        arena_rewind(s->scratch, mark);
        TRY(write_column(s, run, *at, sorted, arrived, builder));
    }
    return section_builder_run_end(builder);
}

static enum status write_runs(struct sealing *s, struct section_builder *builder)
{
    const struct column *at = s->columns;
    if (s->column_count) qsort(s->columns, s->column_count, sizeof *s->columns, column_cmp);
    for (uint32_t r = 0; r < s->run_count; r++) TRY(write_run(s, r, &at, builder));
    return STATUS_OK;
}

static enum status build(struct sealing *s, struct buf *ret_image, struct section_ref *ret_directory)
{
    int64_t day;
    uint32_t log2;
    uint64_t size;
    TRY(find_runs(s));
    TRY(take_rows(s));
    window_around(s->time_min_ms, s->time_max_ms, &day, &log2);
    struct section_plan plan = {.window_day = day,
                                .window_log2 = log2,
                                .links_applied = s->seal->links_applied,
                                .keys = s->with_key,
                                .bytes_max = SEAL_BYTES_MAX};
    struct section_builder *builder = section_builder_new(&plan);
    enum status status = builder ? write_runs(s, builder) : STATUS_LIMIT;
    if (status == STATUS_OK) status = section_builder_finish(builder, ret_image, ret_directory, &size);
    section_builder_free(builder);
    return status;
}

enum status memtable_seal(struct memtable *mem, uint64_t project, const struct memtable_seal *seal, struct error *error,
                          struct section **ret_section)
{
    struct section *section = NULL;
    struct section_ref directory;
    struct buf image;
    struct sealing s = {.mem = mem,
                        .seal = seal,
                        .arena = arena_new(SEAL_BYTES_MAX),
                        .scratch = arena_new(SEAL_BYTES_MAX),
                        .column_of = U64MAP_INIT((size_t)1 << 31)};
    enum status status = sort_rows(&s);
    if (status == STATUS_OK && s.count) {
        status = build(&s, &image, &directory);
        if (status == STATUS_OK) status = section_open_image(&image, directory, project, error, &section);
    }
    arena_free(s.arena);
    arena_free(s.scratch);
    free(s.columns);
    u64map_fini(&s.column_of);
    if (status == STATUS_LIMIT) error_set(error, status, "out of memory while sealing");
    if (status != STATUS_OK) return status;
    memtable_clear(mem);
    *ret_section = section;
    return STATUS_OK;
}
