#include "store/run_shared.h"

#include "store/spread.h"

#include <math.h>

enum form {
    FORM_CODES,
    FORM_CODES16,
    FORM_NUMBERS,
    FORM_VALUES,
    FORMS,
};

/* One vector of items, decoded. */
struct slot {
    struct pinned block;
    uint32_t block_index, vectors[FORMS]; /* UINT32_MAX: none */
    uint32_t *codes;
    uint16_t *codes16;
    double *numbers;
    struct value *values;
    char *text; /* FIXED, of files */
};

/* Neighbouring vectors of items never share a slot: two are for persons, two for exceptions. */
struct run_shared {
    struct slot slots[4];
    struct pinned ranges;
    uint32_t ranges_index, vector; /* block of exceptions that is pinned; vector whose exceptions these are */
    struct chunk_exceptions exceptions;
};

enum status run_shared_check(const struct run *run, const struct chunk *chunk)
{
    uint32_t blocks = chunk->exceptions ? (run->event->rows + BLOCK_ITEMS - 1) / BLOCK_ITEMS : 0;
    bool fits = chunk->property < CORE_PERSON && chunk_exception_items(chunk) == run->event->persons &&
                chunk->exception_block_count == blocks;
    return fits ? STATUS_OK : STATUS_CORRUPT;
}

void run_shared_release(struct run_column *column)
{
    struct run_shared *shared = column->shared;
    if (!shared) return;
    for (size_t i = 0; i < sizeof shared->slots / sizeof *shared->slots; i++) pinned_release(&shared->slots[i].block);
    pinned_release(&shared->ranges);
    column->shared = NULL;
}

static void empty(struct slot *slot)
{
    slot->block_index = UINT32_MAX;
    for (int form = 0; form < FORMS; form++) slot->vectors[form] = UINT32_MAX;
}

static enum status prepare(struct run *run, struct run_column *column, struct error *error)
{
    if (column->shared) return STATUS_OK;
    struct run_shared *shared = arena_new_array(run->arena, struct run_shared, 1);
    if (!shared) return run_damaged(run, STATUS_LIMIT, error);
    shared->ranges_index = shared->vector = UINT32_MAX;
    for (size_t i = 0; i < sizeof shared->slots / sizeof *shared->slots; i++) empty(&shared->slots[i]);
    column->shared = shared;
    return STATUS_OK;
}

/* --- items --- */

static enum status place_items(struct run *run, struct run_column *column, enum form form, uint32_t vector,
                               struct error *error, struct slot *slot, char **ret_text)
{
    size_t n = VECTOR_ROWS_MAX, text = chunk_text_bytes(&column->chunk);
    bool placed;
    switch (form) {
    case FORM_CODES:
        if (!slot->codes) slot->codes = arena_alloc(run->arena, n * sizeof *slot->codes);
        placed = slot->codes;
        break;
    case FORM_CODES16:
        if (!slot->codes16) slot->codes16 = arena_alloc(run->arena, n * sizeof *slot->codes16);
        placed = slot->codes16;
        break;
    case FORM_NUMBERS:
        if (!slot->numbers) slot->numbers = arena_alloc(run->arena, n * sizeof *slot->numbers);
        placed = slot->numbers;
        break;
    default:
        if (!slot->values) slot->values = arena_alloc(run->arena, n * sizeof *slot->values);
        placed = slot->values;
    }
    *ret_text = NULL;
    if (placed && form == FORM_VALUES && text) {
        if (run->section->image) return run_place_text(run, column, vector, error, ret_text);
        if (!slot->text) slot->text = arena_alloc(run->arena, text);
        *ret_text = slot->text;
        placed = slot->text;
    }
    return placed ? STATUS_OK : run_damaged(run, STATUS_LIMIT, error);
}

static enum status decode_numbers(const struct chunk *chunk, struct str block, uint32_t vector, double *ret_numbers)
{
    uint64_t present[CHUNK_PRESENCE_WORDS];
    TRY(chunk_decode_doubles(chunk, block, vector, ret_numbers, present));
    uint32_t items = chunk_vector_items(chunk, vector);
    for (uint32_t at = 0; at < items; at += 64) {
        uint64_t absent = ~present[at / 64];
        if (items - at < 64) absent &= ((uint64_t)1 << (items - at)) - 1;
        for (; absent; absent &= absent - 1) ret_numbers[at + (uint32_t)__builtin_ctzll(absent)] = NAN;
    }
    return STATUS_OK;
}

/* The slot that holds the vector of items, decoded. */
static enum status load_items(struct run *run, struct run_column *column, enum form form, uint32_t vector,
                              bool exceptions, struct error *error, const struct slot **ret_slot)
{
    struct slot *slot = &column->shared->slots[(exceptions ? 2 : 0) + vector % 2];
    uint32_t index = vector / BLOCK_VECTORS;
    const struct chunk *chunk = &column->chunk;
    *ret_slot = slot;
    if (slot->vectors[form] == vector) return STATUS_OK;
    if (slot->block_index != index) {
        /* whatever was decoded from the block before may point into it */
        empty(slot);
        pinned_release(&slot->block);
        if (index >= chunk->block_count) return run_damaged(run, STATUS_CORRUPT, error);
        TRY(section_fetch(run->section, chunk_block(chunk, index), error, &slot->block));
        slot->block_index = index;
    }
    char *text;
    slot->vectors[form] = UINT32_MAX;
    TRY(place_items(run, column, form, vector, error, slot, &text));
    enum status status;
    switch (form) {
    case FORM_CODES:
        status = chunk_decode_codes32(chunk, slot->block.bytes, vector, column->dict_count, slot->codes);
        break;
    case FORM_CODES16:
        status = chunk_decode_codes16(chunk, slot->block.bytes, vector, column->dict_count, slot->codes16);
        break;
    case FORM_NUMBERS: status = decode_numbers(chunk, slot->block.bytes, vector, slot->numbers); break;
    default: status = chunk_decode_values(chunk, slot->block.bytes, vector, text, slot->values);
    }
    if (status != STATUS_OK) return run_damaged(run, status, error);
    slot->vectors[form] = vector;
    return STATUS_OK;
}

enum status run_shared_exceptions(struct run *run, struct run_column *column, uint32_t vector, struct error *error,
                                  const struct chunk_exceptions **ret_exceptions)
{
    TRY(prepare(run, column, error));
    struct run_shared *shared = column->shared;
    *ret_exceptions = &shared->exceptions;
    if (!column->chunk.exceptions || shared->vector == vector) return STATUS_OK;
    shared->vector = UINT32_MAX;
    if (shared->ranges_index != vector / BLOCK_VECTORS) {
        shared->ranges_index = UINT32_MAX;
        pinned_release(&shared->ranges);
        struct section_ref ref = chunk_exception_block(&column->chunk, vector / BLOCK_VECTORS);
        TRY(section_fetch(run->section, ref, error, &shared->ranges));
        shared->ranges_index = vector / BLOCK_VECTORS;
    }
    TRY(run_damaged(
        run,
        chunk_decode_exceptions(&column->chunk, shared->ranges.bytes, run->event->rows, vector, &shared->exceptions),
        error));
    shared->vector = vector;
    return STATUS_OK;
}

/* --- rows --- */

union rows {
    uint32_t *codes;
    uint16_t *codes16;
    double *numbers;
    struct value *values;
};

/* The items from `inside` on, for the rows up to ends[0], ends[1], ... */
static void spread(enum form form, const struct slot *slot, uint32_t inside, const uint32_t *ends, uint32_t count,
                   uint32_t from, union rows ret)
{
    switch (form) {
    case FORM_CODES: CPU_SELECT(spread_table)->codes(slot->codes + inside, ends, count, from, ret.codes); break;
    case FORM_CODES16: CPU_SELECT(spread_table)->codes16(slot->codes16 + inside, ends, count, from, ret.codes16); break;
    case FORM_NUMBERS: CPU_SELECT(spread_table)->numbers(slot->numbers + inside, ends, count, from, ret.numbers); break;
    default:
        for (uint32_t s = 0, row = from; s < count; s++) {
            while (row < ends[s]) ret.values[row++] = slot->values[inside + s];
        }
    }
}

/* The items from `inside` on, for the ranges from r on. */
static void put(enum form form, const struct slot *slot, uint32_t inside, const struct chunk_exceptions *exceptions,
                uint32_t r, uint32_t count, union rows ret)
{
    const uint16_t *starts = exceptions->starts + r, *ends = exceptions->ends + r;
    switch (form) {
    case FORM_CODES: CPU_SELECT(spread_table)->put_codes(slot->codes + inside, starts, ends, count, ret.codes); break;
    case FORM_CODES16:
        CPU_SELECT(spread_table)->put_codes16(slot->codes16 + inside, starts, ends, count, ret.codes16);
        break;
    case FORM_NUMBERS:
        CPU_SELECT(spread_table)->put_numbers(slot->numbers + inside, starts, ends, count, ret.numbers);
        break;
    default:
        for (uint32_t i = 0; i < count; i++) {
            for (uint32_t row = starts[i]; row < ends[i]; row++) ret.values[row] = slot->values[inside + i];
        }
    }
}

/* How many of `left` neighbouring items, of which the first is at place `inside` of its vector, lie in that vector. */
static uint32_t items_of_vector(uint32_t inside, uint32_t left)
{
    return VECTOR_ROWS_MAX - inside < left ? VECTOR_ROWS_MAX - inside : left;
}

static enum status read_rows(struct run *run, struct run_column *column, enum form form, uint32_t vector,
                             struct error *error, union rows ret)
{
    const struct slot *slot;
    const struct chunk_exceptions *exceptions;
    TRY(prepare(run, column, error));
    TRY(run_load_ends(run, vector, error));
    for (uint32_t s = 0, count; s < run->ends_count; s += count) {
        uint32_t item = run->ends_ordinal + s, inside = item % VECTOR_ROWS_MAX;
        TRY(load_items(run, column, form, item / VECTOR_ROWS_MAX, false, error, &slot));
        count = items_of_vector(inside, run->ends_count - s);
        spread(form, slot, inside, run->ends + s, count, s ? run->ends[s - 1] : 0, ret);
    }
    if (!column->chunk.exceptions) return STATUS_OK;
    TRY(run_shared_exceptions(run, column, vector, error, &exceptions));
    for (uint32_t r = 0, count; r < exceptions->count; r += count) {
        uint32_t item = exceptions->first + r, inside = item % VECTOR_ROWS_MAX;
        TRY(load_items(run, column, form, item / VECTOR_ROWS_MAX, true, error, &slot));
        count = items_of_vector(inside, exceptions->count - r);
        put(form, slot, inside, exceptions, r, count, ret);
    }
    return STATUS_OK;
}

enum status run_shared_codes(struct run *run, struct run_column *column, uint32_t vector, struct error *error,
                             uint32_t *ret_codes)
{
    return read_rows(run, column, FORM_CODES, vector, error, (union rows){.codes = ret_codes});
}

enum status run_shared_codes16(struct run *run, struct run_column *column, uint32_t vector, struct error *error,
                               uint16_t *ret_codes)
{
    return read_rows(run, column, FORM_CODES16, vector, error, (union rows){.codes16 = ret_codes});
}

enum status run_shared_numbers(struct run *run, struct run_column *column, uint32_t vector, struct error *error,
                               double *ret_numbers)
{
    return read_rows(run, column, FORM_NUMBERS, vector, error, (union rows){.numbers = ret_numbers});
}

enum status run_shared_read(struct run *run, struct run_column *column, uint32_t vector, struct error *error,
                            struct vector *ret)
{
    *ret = (struct vector){.kind = VECTOR_FLAT, .count = run_vector_rows(run, vector), .values = column->values};
    if (column->chunk.encoding != CHUNK_DICT)
        return read_rows(run, column, FORM_VALUES, vector, error, (union rows){.values = column->values});
    ret->kind = VECTOR_DICT;
    ret->dict_count = column->dict_count;
    ret->dict_id = column->dict_id;
    ret->codes = column->codes;
    return run_shared_codes(run, column, vector, error, column->codes);
}

enum status run_shared_items(struct run *run, struct run_column *column, uint32_t vector, const uint32_t *rows,
                             const uint32_t *ordinals, uint32_t count, struct error *error, uint32_t *ret_items)
{
    const struct chunk_exceptions *exceptions;
    memcpy(ret_items, ordinals, count * sizeof *ret_items);
    if (!column->chunk.exceptions) return STATUS_OK;
    TRY(run_shared_exceptions(run, column, vector, error, &exceptions));
    for (uint32_t i = 0, r = 0; i < count; i++) {
        while (r < exceptions->count && exceptions->ends[r] <= rows[i]) r++;
        if (r == exceptions->count) break;
        if (exceptions->starts[r] <= rows[i]) ret_items[i] = exceptions->first + r;
    }
    return STATUS_OK;
}
