#include "store/run.h"

#include "base/civil.h"
#include "store/run_int.h"
#include "store/run_shared.h"
#include "store/unpack.h"

#include <stdatomic.h>

static _Atomic uint64_t next_dict_id = 1;

enum status run_open(struct run *run, const struct section *section, const struct section_event *event,
                     struct arena *arena, struct error *error)
{
    *run = (struct run){.section = section,
                        .event = event,
                        .arena = arena,
                        .owners_vector = UINT32_MAX,
                        .lengths_vector = UINT32_MAX,
                        .ends_vector = UINT32_MAX};
    TRY(section_fetch(section, event->table, error, &run->table));
    struct reader reader = reader_of(run->table.bytes);
    uint32_t count = read_u32(&reader);
    enum status status = count > reader_left(&reader) / 48 ? STATUS_CORRUPT : STATUS_OK;
    if (status == STATUS_OK) {
        run->columns = arena_new_array(arena, struct run_column, count ? count : 1);
        if (!run->columns) status = STATUS_LIMIT;
    }
    for (uint32_t i = 0; i < count && status == STATUS_OK; i++) {
        status = chunk_read(&reader, &run->columns[i].chunk);
        run->columns[i].block_index = UINT32_MAX;
        uint32_t property = run->columns[i].chunk.property;
        uint32_t items = property == CORE_PERSON || property == CORE_RUN ? event->persons
                         : property == CORE_VECTOR                       ? run_vectors(run)
                                                                         : event->rows;
        if (status == STATUS_OK && run->columns[i].chunk.per_person)
            status = run_shared_check(run, &run->columns[i].chunk);
        else if (status == STATUS_OK && run->columns[i].chunk.items != items)
            status = STATUS_CORRUPT;
        run->column_count = i + 1;
    }
    if (status != STATUS_OK) {
        run_close(run);
        return error_set(error, status, status == STATUS_LIMIT ? "memory budget exceeded" : "chunk table is malformed");
    }
    return STATUS_OK;
}

void run_close(struct run *run)
{
    for (uint32_t i = 0; i < run->column_count; i++) {
        pinned_release(&run->columns[i].dictionary);
        pinned_release(&run->columns[i].block);
        run_shared_release(&run->columns[i]);
    }
    pinned_release(&run->table);
    run->column_count = 0;
}

void run_forget(struct run *run, struct run_column *column)
{
    pinned_release(&column->dictionary);
    pinned_release(&column->block);
    run_shared_release(column);
    *column = (struct run_column){.chunk = column->chunk, .block_index = UINT32_MAX};
    run->owners = run->lengths = run->ends = NULL;
    run->owners_vector = run->lengths_vector = run->ends_vector = UINT32_MAX;
}

struct run_column *run_column(struct run *run, uint32_t property)
{
    /* Core streams stand in front of the properties; both parts ascend. */
    uint32_t core = 0;
    while (core < run->column_count && run->columns[core].chunk.property >= CORE_PERSON) core++;
    uint32_t low = property >= CORE_PERSON ? 0 : core, high = property >= CORE_PERSON ? core : run->column_count,
             end = high;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (run->columns[middle].chunk.property < property)
            low = middle + 1;
        else
            high = middle;
    }
    return low < end && run->columns[low].chunk.property == property ? &run->columns[low] : NULL;
}

enum status run_damaged(struct run *run, enum status status, struct error *error)
{
    if (status == STATUS_LIMIT) return error_set(error, status, "memory budget exceeded");
    if (status == STATUS_CORRUPT) {
        error_set(error, status, "a column chunk is malformed");
        if (run->section->file)
            error_detail(error, "section file %016llx", (unsigned long long)run->section->file->file_id);
    }
    return status;
}

enum status run_pin_block(struct run *run, struct run_column *column, uint32_t vector, struct error *error)
{
    uint32_t index = vector / BLOCK_VECTORS;
    if (column->block_index == index) return STATUS_OK;
    if (index >= column->chunk.block_count) return run_damaged(run, STATUS_CORRUPT, error);
    pinned_release(&column->block);
    column->block_index = UINT32_MAX;
    TRY(section_fetch(run->section, chunk_block(&column->chunk, index), error, &column->block));
    column->block_index = index;
    return STATUS_OK;
}

enum status run_prepare_dictionary(struct run *run, struct run_column *column, struct error *error)
{
    uint8_t encoding = column->chunk.encoding;
    struct value *values;
    if (column->dict_id) return STATUS_OK;
    if (encoding != CHUNK_CONST && encoding != CHUNK_DICT && encoding != CHUNK_SPARSE) return STATUS_OK;
    pinned_release(&column->dictionary); /* of an attempt that failed */
    TRY(section_fetch(run->section, column->chunk.dictionary, error, &column->dictionary));
    TRY(run_damaged(run,
                    chunk_dictionary(&column->chunk, column->dictionary.bytes, run->arena, &values, &column->dict_count,
                                     &column->sparse_items),
                    error));
    *(encoding == CHUNK_SPARSE ? &column->sparse_values : &column->values) = values;
    column->dict_id = atomic_fetch_add(&next_dict_id, 1);
    return STATUS_OK;
}

enum status run_prepare(struct run *run, struct run_column *column, struct error *error)
{
    TRY(run_prepare_dictionary(run, column, error));
    if (column->chunk.encoding == CHUNK_DICT) {
        if (!column->codes) column->codes = arena_alloc(run->arena, VECTOR_ROWS_MAX * sizeof *column->codes);
        return column->codes ? STATUS_OK : run_damaged(run, STATUS_LIMIT, error);
    }
    if (!column->values) column->values = arena_alloc(run->arena, VECTOR_ROWS_MAX * sizeof *column->values);
    return column->values ? STATUS_OK : run_damaged(run, STATUS_LIMIT, error);
}

/* Index of the first sparse entry at or after `item`. */
static uint32_t sparse_from(const struct run_column *column, uint64_t item)
{
    uint32_t low = 0, high = column->dict_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (column->sparse_items[middle] < item)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

enum status run_read_sparse(struct run *run, struct run_column *column, struct error *error, bool *ret_sparse,
                            const uint32_t **ret_items, const struct value **ret_values, uint32_t *ret_count)
{
    *ret_sparse = column->chunk.encoding == CHUNK_SPARSE;
    if (!*ret_sparse) return STATUS_OK;
    TRY(run_prepare_dictionary(run, column, error));
    *ret_items = column->sparse_items;
    *ret_values = column->sparse_values;
    *ret_count = column->dict_count;
    return STATUS_OK;
}

/* Where the strings of a FIXED vector go. They stay as long as those of other encodings, which point into the block:
 * until another block is read, or as long as the run when the block is in RAM for good. */
enum status run_place_text(struct run *run, struct run_column *column, uint32_t vector, struct error *error,
                           char **ret_text)
{
    size_t bytes = chunk_text_bytes(&column->chunk);
    bool in_ram = run->section->image;
    if (!column->texts)
        column->texts = arena_new_array(run->arena, char *, in_ram ? (size_t)column->chunk.block_count : 1);
    if (!column->texts) return run_damaged(run, STATUS_LIMIT, error);
    char **text = &column->texts[in_ram ? vector / BLOCK_VECTORS : 0];
    if (!*text) *text = arena_alloc(run->arena, bytes * BLOCK_VECTORS);
    if (!*text) return run_damaged(run, STATUS_LIMIT, error);
    *ret_text = *text + bytes * (vector % BLOCK_VECTORS);
    return STATUS_OK;
}

enum status run_read(struct run *run, struct run_column *column, uint32_t vector, struct error *error,
                     struct vector *ret)
{
    TRY(run_prepare(run, column, error));
    if (column->chunk.per_person) return run_shared_read(run, column, vector, error, ret);
    struct vector result = {.count = chunk_vector_items(&column->chunk, vector), .values = column->values};
    enum status status = STATUS_OK;
    switch (column->chunk.encoding) {
    case CHUNK_CONST: result.kind = VECTOR_CONST; break;
    case CHUNK_SPARSE: {
        uint64_t first = (uint64_t)vector * VECTOR_ROWS_MAX;
        uint32_t at = sparse_from(column, first), end = sparse_from(column, first + result.count);
        if (at == end) { /* most vectors of a rare property */
            column->values[0] = value_absent();
            result.kind = VECTOR_CONST;
            break;
        }
        result.kind = VECTOR_FLAT;
        for (uint32_t i = 0; i < result.count; i++) column->values[i] = value_absent();
        for (; at < end; at++) column->values[column->sparse_items[at] - first] = column->sparse_values[at];
        break;
    }
    case CHUNK_DICT:
        TRY(run_pin_block(run, column, vector, error));
        result.kind = VECTOR_DICT;
        result.dict_count = column->dict_count;
        result.dict_id = column->dict_id;
        result.codes = column->codes;
        status = chunk_decode_codes32(&column->chunk, column->block.bytes, vector, column->dict_count, column->codes);
        break;
    case CHUNK_PERSON_ID: {
        int64_t ids[VECTOR_ROWS_MAX];
        TRY(run_read_ints(run, CORE_ID, vector, error, ids));
        result.kind = VECTOR_FLAT;
        for (uint32_t i = 0; i < result.count; i++) column->values[i] = value_int(ids[i]);
        break;
    }
    default: {
        TRY(run_pin_block(run, column, vector, error));
        result.kind = VECTOR_FLAT;
        char *text = NULL;
        if (column->chunk.encoding == CHUNK_FIXED) TRY(run_place_text(run, column, vector, error, &text));
        status = chunk_decode_values(&column->chunk, column->block.bytes, vector, text, column->values);
    }
    }
    if (status != STATUS_OK) return run_damaged(run, status, error);
    *ret = result;
    return STATUS_OK;
}

enum status run_read_constant(struct run *run, struct run_column *column, struct error *error, int64_t *ret_number)
{
    struct value value;
    if (!column->dictionary.bytes.data)
        TRY(section_fetch(run->section, column->chunk.dictionary, error, &column->dictionary));
    struct reader reader = reader_of(column->dictionary.bytes);
    if (value_decode(&reader, &value) != STATUS_OK || reader_left(&reader) || value.type != VALUE_INT)
        return run_damaged(run, STATUS_CORRUPT, error);
    *ret_number = value.integer;
    return STATUS_OK;
}

enum status run_read_ints(struct run *run, enum core_stream stream, uint32_t vector, struct error *error,
                          int64_t *ret_values)
{
    struct run_column *column = run_column(run, stream);
    if (!column) return run_damaged(run, STATUS_CORRUPT, error);
    if (column->chunk.encoding == CHUNK_CONST) {
        uint32_t items = chunk_vector_items(&column->chunk, vector);
        TRY(run_read_constant(run, column, error, &ret_values[0]));
        for (uint32_t i = 1; i < items; i++) ret_values[i] = ret_values[0];
        return STATUS_OK;
    }
    TRY(run_pin_block(run, column, vector, error));
    if (column->chunk.encoding == CHUNK_PERSON_ID && stream == CORE_ID) {
        uint32_t ids[VECTOR_ROWS_MAX], rows = run_vector_rows(run, vector);
        TRY(run_read_persons(run, vector, error, ids));
        TRY(run_damaged(run, chunk_decode_person_ids(&column->chunk, column->block.bytes, vector, ids), error));
        for (uint32_t i = 0; i < rows; i++) ret_values[i] = ids[i];
        return STATUS_OK;
    }
    return run_damaged(run, chunk_decode_ints(&column->chunk, column->block.bytes, vector, ret_values), error);
}

/* How many persons stand in a vector of the list. */
static uint32_t list_items(const struct run *run, uint32_t vector)
{
    uint32_t left = run->event->persons - vector * VECTOR_ROWS_MAX;
    return left < VECTOR_ROWS_MAX ? left : VECTOR_ROWS_MAX;
}

/* One vector of a stream of the list of persons, decoded into *array, which is allocated when it is not there yet. */
static enum status load_persons(struct run *run, enum core_stream stream, uint32_t vector, struct error *error,
                                uint32_t *loaded, uint32_t **array)
{
    if (*loaded == vector) return STATUS_OK;
    if (!*array) *array = arena_alloc(run->arena, VECTOR_ROWS_MAX * sizeof **array);
    if (!*array) return run_damaged(run, STATUS_LIMIT, error);
    *loaded = UINT32_MAX;
    TRY(run_read_u32(run, stream, vector, error, *array));
    if (stream == CORE_RUN && CPU_SELECT(unpack_table)->outside32(*array, list_items(run, vector), 1, run->event->rows))
        return run_damaged(run, STATUS_CORRUPT, error);
    *loaded = vector;
    return STATUS_OK;
}

enum status run_load_lengths(struct run *run, uint32_t ordinal, struct error *error)
{
    return load_persons(run, CORE_RUN, ordinal / VECTOR_ROWS_MAX, error, &run->lengths_vector, &run->lengths);
}

static enum status load_owners(struct run *run, uint32_t vector, struct error *error)
{
    return load_persons(run, CORE_PERSON, vector, error, &run->owners_vector, &run->owners);
}

static enum status load_list(struct run *run, uint32_t ordinal, struct error *error)
{
    if (ordinal >= run->event->persons) return run_damaged(run, STATUS_CORRUPT, error);
    TRY(load_owners(run, ordinal / VECTOR_ROWS_MAX, error));
    return run_load_lengths(run, ordinal, error);
}

enum status run_vector_start(struct run *run, uint32_t vector, struct error *error, uint32_t *ret_ordinal,
                             uint32_t *ret_skip)
{
    struct run_column *starts = run_column(run, CORE_VECTOR);
    int64_t start;
    if (!starts) return run_damaged(run, STATUS_CORRUPT, error);
    TRY(run_pin_block(run, starts, vector / VECTOR_ROWS_MAX, error));
    if (chunk_get_int(&starts->chunk, starts->block.bytes, vector, &start) != STATUS_OK)
        return run_damaged(run, STATUS_CORRUPT, error);
    *ret_ordinal = (uint32_t)((uint64_t)start >> 32);
    *ret_skip = (uint32_t)start;
    return STATUS_OK;
}

enum status run_read_persons(struct run *run, uint32_t vector, struct error *error, uint32_t *ret_persons)
{
    const struct unpack_table *table = CPU_SELECT(unpack_table);
    uint32_t ordinal, skip, rows = run_vector_rows(run, vector), done = 0;
    TRY(run_vector_start(run, vector, error, &ordinal, &skip));
    while (done < rows) {
        TRY(load_list(run, ordinal, error));
        uint32_t at = ordinal % VECTOR_ROWS_MAX, items = list_items(run, ordinal / VECTOR_ROWS_MAX) - at;
        uint32_t *lengths = run->lengths + at, whole = lengths[0];
        if (whole <= skip) return run_damaged(run, STATUS_CORRUPT, error);
        lengths[0] = whole - skip;
        done = table->spread(run->owners + at, lengths, items, rows, done, ret_persons);
        lengths[0] = whole;
        skip = 0;
        ordinal += items;
    }
    return STATUS_OK;
}

enum status run_pick_owners(struct run *run, uint32_t vector, const uint32_t *rows, uint32_t count, struct error *error,
                            uint32_t *ret_ordinals, uint32_t *ret_persons)
{
    uint32_t ordinal, skip, picked = 0;
    uint64_t done = 0; /* rows of the vector */
    TRY(run_vector_start(run, vector, error, &ordinal, &skip));
    while (picked < count) {
        TRY(load_list(run, ordinal, error));
        uint32_t end = list_items(run, ordinal / VECTOR_ROWS_MAX);
        for (uint32_t i = ordinal % VECTOR_ROWS_MAX; i < end && picked < count; i++, ordinal++) {
            uint32_t length = run->lengths[i];
            if (length <= skip) return run_damaged(run, STATUS_CORRUPT, error);
            done += length - skip;
            skip = 0;
            for (; picked < count && rows[picked] < done; picked++) {
                ret_ordinals[picked] = ordinal;
                ret_persons[picked] = run->owners[i];
            }
        }
    }
    return STATUS_OK;
}

enum status run_read_starts(struct run *run, uint32_t vector, struct error *error, uint8_t *ret_starts)
{
    uint32_t ordinal, skip, rows = run_vector_rows(run, vector), done = 0;
    TRY(run_vector_start(run, vector, error, &ordinal, &skip));
    memset(ret_starts, 0, rows);
    while (done < rows) {
        if (ordinal >= run->event->persons) return run_damaged(run, STATUS_CORRUPT, error);
        TRY(run_load_lengths(run, ordinal, error));
        uint32_t end = list_items(run, ordinal / VECTOR_ROWS_MAX);
        for (uint32_t i = ordinal % VECTOR_ROWS_MAX; i < end && done < rows; i++, ordinal++) {
            uint32_t length = run->lengths[i];
            if (length <= skip) return run_damaged(run, STATUS_CORRUPT, error);
            ret_starts[done] = skip == 0;
            done += length - skip;
            skip = 0;
        }
    }
    return STATUS_OK;
}

enum status run_load_ends(struct run *run, uint32_t vector, struct error *error)
{
    uint32_t ordinal, skip, rows = run_vector_rows(run, vector), done = 0, count = 0;
    if (run->ends_vector == vector) return STATUS_OK;
    if (!run->ends) run->ends = arena_alloc(run->arena, VECTOR_ROWS_MAX * sizeof *run->ends);
    if (!run->ends) return run_damaged(run, STATUS_LIMIT, error);
    run->ends_vector = UINT32_MAX;
    uint32_t *ends = run->ends;
    TRY(run_vector_start(run, vector, error, &ordinal, &skip));
    run->ends_ordinal = ordinal;
    while (done < rows) {
        if (ordinal >= run->event->persons) return run_damaged(run, STATUS_CORRUPT, error);
        TRY(run_load_lengths(run, ordinal, error));
        uint32_t end = list_items(run, ordinal / VECTOR_ROWS_MAX);
        uint32_t i = ordinal % VECTOR_ROWS_MAX, from = i;
        const uint32_t *lengths = run->lengths;
        if (lengths[i] <= skip) return run_damaged(run, STATUS_CORRUPT, error);
        done -= skip; /* may be below 0, until the first length is added */
        skip = 0;
        do ends[count++] = done += lengths[i++];
        while (i < end && done < rows);
        ordinal += i - from;
    }
    ends[count - 1] = rows;
    run->ends_count = count;
    run->ends_vector = vector;
    return STATUS_OK;
}

enum status run_read_segments(struct run *run, uint32_t vector, struct error *error, uint32_t *ret_persons,
                              const uint32_t **ret_ends, uint32_t *ret_count)
{
    TRY(run_load_ends(run, vector, error));
    for (uint32_t done = 0, count; done < run->ends_count; done += count) {
        uint32_t ordinal = run->ends_ordinal + done, inside = ordinal % VECTOR_ROWS_MAX;
        TRY(load_owners(run, ordinal / VECTOR_ROWS_MAX, error));
        count = list_items(run, ordinal / VECTOR_ROWS_MAX) - inside;
        if (count > run->ends_count - done) count = run->ends_count - done;
        memcpy(ret_persons + done, run->owners + inside, count * sizeof *ret_persons);
    }
    *ret_ends = run->ends;
    *ret_count = run->ends_count;
    return STATUS_OK;
}

enum status run_read_times(struct run *run, uint32_t vector, struct error *error, int64_t *ret_times_ms)
{
    int64_t ms[VECTOR_ROWS_MAX];
    TRY(run_read_ints(run, CORE_MINUTE, vector, error, ret_times_ms));
    TRY(run_read_ints(run, CORE_MS, vector, error, ms));
    int64_t window_ms = run->section->window_day * DAY_MS;
    uint32_t rows = run_vector_rows(run, vector);
    bool inside = true;
    for (uint32_t i = 0; i < rows; i++) {
        /* unsigned: damaged minutes may overflow, and do not pass the check */
        ret_times_ms[i] = (int64_t)((uint64_t)window_ms + (uint64_t)ret_times_ms[i] * 60000 + (uint64_t)ms[i]);
        inside &= ret_times_ms[i] >= run->event->time_min_ms && ret_times_ms[i] <= run->event->time_max_ms;
    }
    return inside ? STATUS_OK : run_damaged(run, STATUS_CORRUPT, error);
}

/* One item of a core stream. */
static enum status get_int(struct run *run, enum core_stream stream, uint32_t item, struct error *error, int64_t *ret)
{
    struct run_column *column = run_column(run, stream);
    if (!column) return run_damaged(run, STATUS_CORRUPT, error);
    TRY(run_pin_block(run, column, item / VECTOR_ROWS_MAX, error));
    enum status status = chunk_get_int(&column->chunk, column->block.bytes, item, ret);
    return run_damaged(run, status == STATUS_NOT_FOUND ? STATUS_CORRUPT : status, error);
}

/* The ordinal of the first person in the run's list that is `person` or above; event->persons when there is none.
 * *ret_found is that person. The vector of the list first, by the persons with which vectors begin. */
static enum status seek_ordinal(struct run *run, uint32_t person, struct error *error, uint32_t *ret_ordinal,
                                uint32_t *ret_found)
{
    uint32_t persons = run->event->persons, low = 0, high = (persons + VECTOR_ROWS_MAX - 1) / VECTOR_ROWS_MAX;
    int64_t value;
    *ret_ordinal = persons;
    if (persons == 0) return STATUS_OK;
    while (low + 1 < high) {
        uint32_t middle = low + (high - low) / 2;
        TRY(get_int(run, CORE_PERSON, middle * VECTOR_ROWS_MAX, error, &value));
        if (value <= person)
            low = middle;
        else
            high = middle;
    }
    TRY(load_owners(run, low, error));
    uint32_t first = low * VECTOR_ROWS_MAX, items = list_items(run, low), from = 0, to = items;
    while (from < to) {
        uint32_t middle = from + (to - from) / 2;
        if (run->owners[middle] < person)
            from = middle + 1;
        else
            to = middle;
    }
    *ret_ordinal = first + from;
    if (first + from == persons) return STATUS_OK;
    if (from == items) {
        TRY(get_int(run, CORE_PERSON, first + from, error, &value));
        *ret_found = (uint32_t)value;
    } else {
        *ret_found = run->owners[from];
    }
    return STATUS_OK;
}

/* The rows of the person with this ordinal: the last row vector that starts at or before it, then run lengths from
 * there. */
static enum status ordinal_rows(struct run *run, uint32_t ordinal, struct error *error, uint32_t *ret_first,
                                uint32_t *ret_count)
{
    uint32_t vectors = run_vectors(run), from = 0, to = vectors;
    int64_t item, values[VECTOR_ROWS_MAX];
    uint32_t loaded = UINT32_MAX;
    while (from + 1 < to) {
        uint32_t middle = from + (to - from) / 2;
        TRY(get_int(run, CORE_VECTOR, middle, error, &item));
        uint64_t start = (uint64_t)item;
        if ((start >> 32) < ordinal || start == (uint64_t)ordinal << 32)
            from = middle;
        else
            to = middle;
    }
    TRY(get_int(run, CORE_VECTOR, from, error, &item));
    uint32_t current = (uint32_t)((uint64_t)item >> 32), skip = (uint32_t)item;
    uint64_t row = (uint64_t)from * VECTOR_ROWS_MAX - skip;
    for (;; current++) {
        if (current >= run->event->persons) return run_damaged(run, STATUS_CORRUPT, error);
        if (current / VECTOR_ROWS_MAX != loaded) {
            loaded = current / VECTOR_ROWS_MAX;
            TRY(run_read_ints(run, CORE_RUN, loaded, error, values));
        }
        uint64_t length = (uint64_t)values[current % VECTOR_ROWS_MAX];
        if (row + length > run->event->rows) return run_damaged(run, STATUS_CORRUPT, error);
        if (current == ordinal) {
            *ret_first = (uint32_t)row;
            *ret_count = (uint32_t)length;
            return STATUS_OK;
        }
        row += length;
    }
}

/* The rows [*ret_first, *ret_first + *ret_count) of one person; false in *ret_found when the run has none. */
static enum status person_rows(struct run *run, uint32_t person, struct error *error, bool *ret_found,
                               uint32_t *ret_first, uint32_t *ret_count)
{
    uint32_t ordinal, found = 0;
    *ret_found = false;
    TRY(seek_ordinal(run, person, error, &ordinal, &found));
    if (ordinal == run->event->persons || found != person) return STATUS_OK;
    *ret_found = true;
    return ordinal_rows(run, ordinal, error, ret_first, ret_count);
}

enum status run_seek_owner(struct run *run, uint32_t person, struct error *error, uint32_t *ret_place)
{
    uint32_t found;
    return seek_ordinal(run, person, error, ret_place, &found);
}

enum status run_seek_vector(struct run *run, uint32_t person, struct error *error, uint32_t *ret_vector)
{
    uint32_t low = 0, high = run_vectors(run);
    while (low + 1 < high) {
        uint32_t middle = low + (high - low) / 2, ordinal, skip;
        int64_t first;
        TRY(run_vector_start(run, middle, error, &ordinal, &skip));
        if (ordinal >= run->event->persons) return run_damaged(run, STATUS_CORRUPT, error);
        TRY(get_int(run, CORE_PERSON, ordinal, error, &first));
        if (first < person)
            low = middle;
        else
            high = middle;
    }
    *ret_vector = low;
    return STATUS_OK;
}

enum status run_read_owners(struct run *run, uint32_t vector, struct error *error, const uint32_t **ret_persons)
{
    TRY(load_owners(run, vector, error));
    *ret_persons = run->owners;
    return STATUS_OK;
}

enum status run_seek_person(struct run *run, uint32_t person, struct error *error, uint32_t *ret_row)
{
    uint32_t ordinal, found, count;
    TRY(seek_ordinal(run, person, error, &ordinal, &found));
    *ret_row = run->event->rows;
    if (ordinal == run->event->persons) return STATUS_OK;
    if (ordinal == 0) {
        *ret_row = 0;
        return STATUS_OK;
    }
    return ordinal_rows(run, ordinal, error, ret_row, &count);
}

static enum status probe_rows(struct run *run, uint32_t first, uint32_t count, uint32_t id, int64_t time_ms,
                              struct str insert_id, struct error *error, uint32_t *ret_row)
{
    int64_t times[VECTOR_ROWS_MAX], ids[VECTOR_ROWS_MAX];
    struct run_column *inserts = run_column(run, CORE_INSERT);
    if (!inserts) return run_damaged(run, STATUS_CORRUPT, error);
    /* A person's rows ascend in time: halve the range by vectors first (one hot person may have millions of rows). */
    uint32_t low = first / VECTOR_ROWS_MAX, last = (first + count - 1) / VECTOR_ROWS_MAX;
    uint32_t high = last + 1;
    while (low + 1 < high) {
        uint32_t middle = low + (high - low) / 2;
        TRY(run_read_times(run, middle, error, times));
        /* a row equal to time_ms may also end the vector before */
        if (times[0] < time_ms)
            low = middle;
        else
            high = middle;
    }
    for (uint32_t vector = low; vector <= last; vector++) {
        TRY(run_read_times(run, vector, error, times));
        bool beyond = false, loaded = false;
        struct vector texts = {0};
        uint32_t rows = run_vector_rows(run, vector);
        for (uint32_t i = 0; i < rows; i++) {
            uint32_t row = vector * VECTOR_ROWS_MAX + i;
            if (row < first || row >= first + count || times[i] < time_ms) continue;
            if (times[i] > time_ms) {
                beyond = true;
                break;
            }
            if (!loaded) {
                TRY(run_read_ints(run, CORE_ID, vector, error, ids));
                TRY(run_read(run, inserts, vector, error, &texts));
                loaded = true;
            }
            struct value insert = vector_at(&texts, i);
            if ((uint32_t)ids[i] == id && insert.type == VALUE_STRING && str_eq(value_text(insert), insert_id)) {
                *ret_row = run->event->first_row + row;
                return STATUS_OK;
            }
        }
        if (beyond) break;
    }
    return STATUS_NOT_FOUND;
}

enum status run_find(struct run *run, const uint32_t *persons, size_t person_count, uint32_t id, int64_t time_ms,
                     struct str insert_id, struct error *error, uint32_t *ret_row)
{
    for (size_t i = 0; i < person_count; i++) {
        bool found;
        uint32_t first, count;
        TRY(person_rows(run, persons[i], error, &found, &first, &count));
        if (!found) continue;
        enum status status = probe_rows(run, first, count, id, time_ms, insert_id, error, ret_row);
        if (status != STATUS_NOT_FOUND) return status;
    }
    return STATUS_NOT_FOUND;
}

enum status run_probe(const struct section *section, uint32_t event_id, const uint32_t *persons, size_t person_count,
                      uint32_t id, int64_t time_ms, struct str insert_id, struct error *error, uint32_t *ret_row)
{
    const struct section_event *event = section_find_event(section, event_id);
    if (!event || time_ms < event->time_min_ms || time_ms > event->time_max_ms) return STATUS_NOT_FOUND;
    struct arena *arena = arena_new((size_t)64 << 20);
    struct run run;
    enum status status = run_open(&run, section, event, arena, error);
    if (status == STATUS_OK) {
        status = run_find(&run, persons, person_count, id, time_ms, insert_id, error, ret_row);
        run_close(&run);
    }
    arena_free(arena);
    return status;
}
