/*
 * The columns of a pile. While rows come, they grow in the memtable's scratch memory, with a guess at which column is
 * the next one; then the pile gets them in as few bytes as they take.
 */
#include "store/pile_int.h"

#include <assert.h>
#include <stdlib.h>

#define EXACT_INT_MAX ((int64_t)1 << 53)
#define CELLS_MIN     16

/* --- columns as rows come --- */

static enum status make_room(struct gathering *s, struct column *column)
{
    size_t old = column->capacity, capacity = old ? old * 4 : CELLS_MIN;
    if (capacity > s->runs[column->run].count) capacity = s->runs[column->run].count;
    assert(capacity > old);
    if (column->rows) {
        column->rows =
            arena_realloc(s->scratch, column->rows, old * sizeof *column->rows, capacity * sizeof *column->rows);
        if (!column->rows) return STATUS_LIMIT;
    }
    if (column->form == PILE_CODES) {
        column->codes =
            arena_realloc(s->scratch, column->codes, old * sizeof *column->codes, capacity * sizeof *column->codes);
        if (!column->codes) return STATUS_LIMIT;
    } else {
        column->words =
            arena_realloc(s->scratch, column->words, old * sizeof *column->words, capacity * sizeof *column->words);
        if (!column->words) return STATUS_LIMIT;
    }
    column->capacity = (uint32_t)capacity;
    return STATUS_OK;
}

/* Up to now each row had a value: from now on it is written down which ones have. */
static enum status begin_rows(struct gathering *s, struct column *column)
{
    column->rows = arena_alloc(s->scratch, ((size_t)column->capacity + 1) * sizeof *column->rows);
    if (!column->rows) return STATUS_LIMIT;
    for (uint32_t i = 0; i < column->count; i++) column->rows[i] = i;
    return STATUS_OK;
}

/* The cell of a row, behind the others. A property that stands twice in one event (the log allows it) counts once, the
 * last one. */
static inline enum status begin_cell(struct gathering *s, struct column *column, uint32_t row)
{
    if (column->next == row + 1) column->count--;
    if (column->count == column->capacity) TRY(make_room(s, column));
    if (column->count != row && !column->rows) TRY(begin_rows(s, column));
    if (column->rows) column->rows[column->count] = row;
    column->next = row + 1;
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
    column->form = PILE_DOUBLES;
    return true;
}

static enum status become_codes(struct gathering *s, struct column *column)
{
    column->codes = arena_alloc(s->scratch, (size_t)column->capacity * sizeof *column->codes);
    if (!column->codes) return STATUS_LIMIT;
    for (uint32_t i = 0; i < column->count; i++) {
        double number;
        memcpy(&number, &column->words[i], 8);
        struct value value = column->form == PILE_INTS ? value_int((int64_t)column->words[i]) : value_number(number);
        TRY(interner_code(&s->interners[column->property], s->scratch, value, &column->codes[i]));
    }
    column->form = PILE_CODES;
    return STATUS_OK;
}

static enum status add_number(struct gathering *s, struct column *column, struct value value)
{
    if (column->form == PILE_INTS && value.type == VALUE_DOUBLE && !become_doubles(column))
        TRY(become_codes(s, column));
    if (column->form == PILE_DOUBLES && value.type == VALUE_INT && !is_exact(value.integer))
        TRY(become_codes(s, column));
    if (column->form == PILE_CODES)
        return interner_code(&s->interners[column->property], s->scratch, value, &column->codes[column->count]);
    if (column->form == PILE_INTS)
        column->words[column->count] = (uint64_t)value.integer;
    else
        column->words[column->count] = double_word(value.type == VALUE_INT ? (double)value.integer : value.number);
    return STATUS_OK;
}

static enum status add_value(struct gathering *s, struct column *column, uint32_t row, struct value value)
{
    bool number = value.type == VALUE_INT || value.type == VALUE_DOUBLE;
    if (column->capacity == 0 && number) column->form = value.type == VALUE_INT ? PILE_INTS : PILE_DOUBLES;
    TRY(begin_cell(s, column, row));
    if (number) {
        TRY(add_number(s, column, value));
    } else {
        if (column->form != PILE_CODES) TRY(become_codes(s, column));
        TRY(interner_code(&s->interners[column->property], s->scratch, value, &column->codes[column->count]));
    }
    column->count++;
    return STATUS_OK;
}

static inline enum status add_text(struct gathering *s, struct column *column, uint32_t row, const char *data,
                                   uint32_t size)
{
    if (column->form != PILE_CODES) return add_value(s, column, row, value_str(str_from(data, size)));
    TRY(begin_cell(s, column, row));
    return interner_text(&s->interners[column->property], s->scratch, data, size, &column->codes[column->count++]);
}

static enum status find_column(struct gathering *s, uint32_t run, uint32_t property, uint32_t *ret_column)
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

/* Looks for the column of the next property of a row where it stands in the order of the run's properties, from the one
 * behind the last that was found: rows leave properties out, but seldom change their order. */
static inline enum status column_for(struct gathering *s, struct open_run *run, uint32_t r, uint32_t *next,
                                     uint32_t property, struct column **ret_column)
{
    for (uint32_t at = *next; at < run->guess_count; at++) {
        struct column *column = &s->columns[run->guesses[at]];
        if (column->property != property) continue;
        *next = at + 1;
        *ret_column = column;
        return STATUS_OK;
    }
    uint32_t found, known = s->column_count;
    TRY(find_column(s, r, property, &found));
    *ret_column = &s->columns[found];
    if (found < known || run->guess_count == GUESSES_MAX) return STATUS_OK;
    memmove(run->guesses + *next + 1, run->guesses + *next, (run->guess_count - *next) * sizeof *run->guesses);
    run->guesses[(*next)++] = found;
    run->guess_count++;
    return STATUS_OK;
}

/* A property of the shape that most have: a name with a number below 128, and a string of less than 128 bytes. */
static inline bool is_short_text(const struct reader *reader)
{
    const unsigned char *at = reader->at;
    size_t left = reader_left(reader);
    return left >= 3 && at[0] < 0x80 && at[1] == VALUE_STRING && at[2] < 0x80 && left - 3 >= at[2];
}

/* What event_property_next does, in a few instructions for truth values, doubles and small integers. */
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
    if (left >= 4 && at[0] < 0x80 && at[1] == VALUE_INT && (at[2] < 0x80 || at[3] < 0x80)) {
        bool one = at[2] < 0x80;
        *ret_name = at[0];
        *ret_value = value_int(unzigzag(one ? at[2] : (uint64_t)(at[2] & 0x7F) | (uint64_t)at[3] << 7));
        reader->at = at + (one ? 3 : 4);
        return true;
    }
    return event_property_next(reader, ret_name, ret_value);
}

/* Strings do not become a struct value on the way: writing one in parts and reading it as a whole, at once, makes the
 * processor wait each time. */
enum status pile_take_properties(struct gathering *s, uint32_t index, uint32_t r, uint32_t arrived)
{
    const struct mem_row *row = &s->mem->rows[index];
    const uint32_t *property_ids = s->mem->batches[row->batch].property_ids;
    struct reader reader = reader_of(str_from(row->properties, row->properties_size));
    struct column *column;
    struct value value;
    struct open_run *run = &s->runs[r];
    uint32_t next = 0, name;
    for (;;) {
        if (is_short_text(&reader)) {
            const unsigned char *at = reader.at;
            uint32_t property = property_ids[at[0]], size = at[2];
            reader.at = at + 3 + size;
            if (property == UINT32_MAX) continue;
            TRY(column_for(s, run, r, &next, property, &column));
            TRY(add_text(s, column, arrived, (const char *)at + 3, size));
            continue;
        }
        if (!next_property(&reader, &name, &value)) break;
        if (property_ids[name] == UINT32_MAX) continue;
        TRY(column_for(s, run, r, &next, property_ids[name], &column));
        TRY(add_value(s, column, arrived, value));
    }
    if (!row->more) return STATUS_OK;
    const struct memtable *mem = s->mem;
    for (uint32_t m = memtable_first_more(mem, index); m < mem->more_count && mem->more[m].row == index; m++) {
        TRY(column_for(s, run, r, &next, mem->more[m].property, &column));
        TRY(add_value(s, column, arrived, value_str(mem->more[m].text)));
    }
    return STATUS_OK;
}

/* --- what the pile keeps --- */

static int column_cmp(const void *a, const void *b)
{
    const struct column *x = a, *y = b;
    if (x->run != y->run) return x->run < y->run ? -1 : 1;
    return x->property < y->property ? -1 : x->property > y->property;
}

static void *copy(struct arena *arena, const void *from, size_t size)
{
    void *to = arena_alloc(arena, size);
    if (to) memcpy(to, from, size);
    return to;
}

/* Codes up to `most`, in as few bytes as they take. */
static void *narrow(struct arena *arena, const uint32_t *codes, uint32_t count, uint32_t most, uint8_t *ret_bytes)
{
    *ret_bytes = most <= UINT8_MAX ? 1 : most <= UINT16_MAX ? 2 : 4;
    void *narrowed = arena_alloc(arena, (size_t)count * *ret_bytes);
    if (!narrowed) return NULL;
    if (*ret_bytes == 1) {
        for (uint32_t i = 0; i < count; i++) ((uint8_t *)narrowed)[i] = (uint8_t)codes[i];
    } else if (*ret_bytes == 2) {
        for (uint32_t i = 0; i < count; i++) ((uint16_t *)narrowed)[i] = (uint16_t)codes[i];
    } else {
        memcpy(narrowed, codes, (size_t)count * 4);
    }
    return narrowed;
}

enum status pile_keep_columns(struct gathering *s)
{
    struct pile *pile = s->pile;
    if (s->column_count) qsort(s->columns, s->column_count, sizeof *s->columns, column_cmp);
    pile->runs = arena_new_array(s->arena, struct pile_run, pile->run_count);
    pile->columns = arena_new_array(s->arena, struct pile_column, (size_t)s->column_count + 1);
    if (!pile->runs || !pile->columns) return STATUS_LIMIT;
    for (uint32_t r = 0; r < pile->run_count; r++)
        pile->runs[r] =
            (struct pile_run){.event = s->runs[r].event, .from = s->runs[r].from, .count = s->runs[r].count};
    for (uint32_t c = 0; c < s->column_count; c++) {
        const struct column *column = &s->columns[c];
        size_t count = column->count;
        struct pile_run *run = &pile->runs[column->run];
        struct pile_column kept = {
            .run = column->run, .property = column->property, .count = column->count, .form = column->form};
        if (!count) continue;
        if (column->rows) kept.rows = copy(s->arena, column->rows, count * sizeof *kept.rows);
        if (column->form == PILE_CODES)
            kept.codes =
                narrow(s->arena, column->codes, column->count, s->interners[column->property].count, &kept.code_bytes);
        else
            kept.words = copy(s->arena, column->words, count * sizeof *kept.words);
        if ((column->rows && !kept.rows) || (!kept.codes && !kept.words)) return STATUS_LIMIT;
        if (!run->column_count) run->first_column = pile->column_count;
        run->column_count++;
        pile->columns[pile->column_count++] = kept;
    }
    return STATUS_OK;
}

static size_t text_size(struct value value)
{
    return value.type >= VALUE_STRING ? value.size : 0;
}

/* The entries with their texts, which were in the frames so far. */
enum status pile_keep_values(struct gathering *s)
{
    struct pile *pile = s->pile;
    pile->values = arena_new_array(s->arena, struct pile_values, pile->property_end);
    if (!pile->values) return STATUS_LIMIT;
    for (size_t p = 0; p < pile->property_end; p++) {
        const struct interner *interner = &s->interners[p];
        size_t bytes = 0;
        if (!interner->count) continue;
        for (uint32_t i = 0; i < interner->count; i++) bytes += text_size(interner->entries[i]);
        struct value *entries = arena_alloc(s->arena, interner->count * sizeof *entries);
        char *at = arena_alloc(s->arena, bytes + 1);
        if (!entries || !at) return STATUS_LIMIT;
        for (uint32_t i = 0; i < interner->count; i++) {
            size_t size = text_size(interner->entries[i]);
            entries[i] = interner->entries[i];
            if (!size) continue;
            entries[i].data = memcpy(at, entries[i].data, size);
            at += size;
        }
        pile->values[p] = (struct pile_values){entries, interner->count, interner->loose};
    }
    return STATUS_OK;
}
