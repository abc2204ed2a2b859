/*
 * Per event: the rows of all inputs are listed with window, person (as of now), time, input and row, sorted, and cut
 * into windows; then each column is gathered once, in that order, and handed to the windows' builders in slices. Memory
 * is one event's rows times one column (plus the core streams), never all columns at once.
 */
#include "store/merge.h"

#include "base/civil.h"
#include "store/memtable.h"
#include "store/run.h"

#include <assert.h>
#include <stdlib.h>

struct merge_row {
    uint32_t window, person;
    int64_t time_ms;
    uint32_t input, row; /* row within the run */
};

struct window {
    int64_t day;
    uint32_t log2, keys;
    struct section_builder *builder;
};

struct merge {
    const struct merge_job *job;
    struct arena *arena; /* reset per event */
    struct window *windows;
    size_t window_count;
    struct run *runs; /* per input, for the current event */
    bool *open;
    uint32_t **place; /* per input: row of the run -> position in the merged order, UINT32_MAX for dropped rows */
    struct error *error;
};

static enum status no_memory(struct error *error)
{
    return error_set(error, STATUS_LIMIT, "out of memory while merging sections");
}

static int row_cmp(const void *a, const void *b)
{
    const struct merge_row *x = a, *y = b;
    if (x->window != y->window) return x->window < y->window ? -1 : 1;
    if (x->person != y->person) return x->person < y->person ? -1 : 1;
    if (x->time_ms != y->time_ms) return x->time_ms < y->time_ms ? -1 : 1;
    if (x->input != y->input) return x->input < y->input ? -1 : 1;
    return x->row < y->row ? -1 : x->row > y->row;
}

static int window_cmp(const void *a, const void *b)
{
    const struct window *x = a, *y = b;
    return x->day < y->day ? -1 : x->day > y->day;
}

static size_t find_window(const struct merge *m, int64_t time_ms)
{
    if (!m->job->split) return 0;
    uint32_t log2 = m->windows[0].log2;
    int64_t day = window_start(floor_div(time_ms, DAY_MS), log2);
    size_t low = 0, high = m->window_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (m->windows[middle].day < day)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool is_deleted(const struct version_section *input, uint32_t row)
{
    return input->deletes && roaring_bitmap_contains(input->deletes->rows, row);
}

/* Walks every live row's time once, to learn which days are touched. */
static enum status collect_days(struct merge *m, int64_t **ret_days, size_t *ret_count)
{
    size_t capacity = 64, count = 0;
    int64_t *days = malloc(capacity * sizeof *days), last = INT64_MIN;
    if (!days) return no_memory(m->error);
    enum status status = STATUS_OK;
    for (size_t i = 0; i < m->job->input_count && status == STATUS_OK; i++) {
        const struct section *section = m->job->inputs[i].section;
        for (uint32_t e = 0; e < section->event_count && status == STATUS_OK; e++) {
            struct run run;
            int64_t times[VECTOR_ROWS_MAX];
            arena_reset(m->arena);
            status = run_open(&run, section, &section->events[e], m->arena, m->error);
            if (status != STATUS_OK) break;
            for (uint32_t v = 0; v < run_vectors(&run) && status == STATUS_OK; v++) {
                status = run_read_times(&run, v, m->error, times);
                for (uint32_t r = 0; r < run_vector_rows(&run, v) && status == STATUS_OK; r++) {
                    int64_t day = floor_div(times[r], DAY_MS);
                    if (day == last) continue;
                    last = day;
                    size_t low = 0, high = count;
                    while (low < high) {
                        size_t middle = low + (high - low) / 2;
                        if (days[middle] < day)
                            low = middle + 1;
                        else
                            high = middle;
                    }
                    if (low < count && days[low] == day) continue;
                    if (count == capacity) {
                        int64_t *grown = realloc(days, capacity * 2 * sizeof *days);
                        if (!grown) {
                            status = no_memory(m->error);
                            break;
                        }
                        days = grown;
                        capacity *= 2;
                    }
                    memmove(days + low + 1, days + low, (count - low) * sizeof *days);
                    days[low] = day;
                    count++;
                }
            }
            run_close(&run);
        }
    }
    if (status != STATUS_OK) {
        free(days);
        return status;
    }
    *ret_days = days;
    *ret_count = count;
    return STATUS_OK;
}

/* The narrowest windows of which there are not too many. */
static enum status make_windows(struct merge *m)
{
    const struct merge_job *job = m->job;
    uint64_t rows = 0;
    int64_t time_min = INT64_MAX, time_max = INT64_MIN;
    for (size_t i = 0; i < job->input_count; i++) {
        const struct section *section = job->inputs[i].section;
        rows += section->rows;
        if (section->time_min_ms < time_min) time_min = section->time_min_ms;
        if (section->time_max_ms > time_max) time_max = section->time_max_ms;
    }
    if (rows > SECTION_ROWS_MAX) return error_set(m->error, STATUS_LIMIT, "too many rows in one merge");
    if (!job->split) {
        m->windows = calloc(1, sizeof *m->windows);
        if (!m->windows) return no_memory(m->error);
        m->window_count = 1;
        window_around(time_min, time_max, &m->windows[0].day, &m->windows[0].log2);
    } else {
        int64_t *days = NULL;
        size_t count = 0;
        TRY(collect_days(m, &days, &count));
        uint32_t log2 = 0;
        for (;; log2++) {
            size_t windows = 0;
            for (size_t i = 0; i < count; i++) windows += i == 0 || days[i] >> log2 != days[i - 1] >> log2;
            if (windows <= job->outputs_max || log2 == SECTION_LOG2_MAX) break;
        }
        m->windows = calloc(count ? count : 1, sizeof *m->windows);
        for (size_t i = 0; i < count && m->windows; i++) {
            int64_t day = window_start(days[i], log2);
            if (i == 0 || day != m->windows[m->window_count - 1].day)
                m->windows[m->window_count++] = (struct window){.day = day, .log2 = log2};
        }
        free(days);
        if (!m->windows) return no_memory(m->error);
        qsort(m->windows, m->window_count, sizeof *m->windows, window_cmp);
    }
    /* The filter is sized before its keys are known: by the rows of the inputs, shared out evenly would starve a
     * window, so each gets room for all when there is one window and for twice its even share otherwise. */
    for (size_t w = 0; w < m->window_count; w++) {
        uint64_t keys = m->window_count == 1 ? rows : rows / m->window_count * 2 + 1024;
        m->windows[w].builder = section_builder_new(m->windows[w].day, m->windows[w].log2, job->links_applied,
                                                    (uint32_t)(keys < rows ? keys : rows), job->memory_bytes_max);
        if (!m->windows[w].builder) return no_memory(m->error);
    }
    return STATUS_OK;
}

static enum status list_rows(struct merge *m, uint32_t event_id, struct merge_row **ret_rows, uint32_t *ret_count)
{
    uint64_t total = 0;
    uint32_t count = 0;
    for (size_t i = 0; i < m->job->input_count; i++) {
        const struct section_event *event = section_find_event(m->job->inputs[i].section, event_id);
        m->open[i] = false;
        if (!event) continue;
        TRY(run_open(&m->runs[i], m->job->inputs[i].section, event, m->arena, m->error));
        m->open[i] = true;
        total += event->rows;
    }
    struct merge_row *rows = arena_alloc(m->arena, (total ? total : 1) * sizeof *rows);
    if (!rows) return no_memory(m->error);
    for (size_t i = 0; i < m->job->input_count; i++) {
        if (!m->open[i]) continue;
        struct run *run = &m->runs[i];
        m->place[i] = arena_alloc(m->arena, run->event->rows * sizeof *m->place[i]);
        if (!m->place[i]) return no_memory(m->error);
        for (uint32_t v = 0; v < run_vectors(run); v++) {
            int64_t times[VECTOR_ROWS_MAX], ids[VECTOR_ROWS_MAX];
            TRY(run_read_times(run, v, m->error, times));
            TRY(run_read_ints(run, CORE_ID, v, m->error, ids));
            for (uint32_t r = 0; r < run_vector_rows(run, v); r++) {
                uint32_t row = v * VECTOR_ROWS_MAX + r;
                m->place[i][row] = UINT32_MAX;
                if (is_deleted(&m->job->inputs[i], run->event->first_row + row)) continue;
                if ((uint64_t)ids[r] > id_view_count(m->job->ids))
                    return error_set(m->error, STATUS_CORRUPT, "id %lld does not exist", (long long)ids[r]);
                rows[count++] =
                    (struct merge_row){(uint32_t)find_window(m, times[r]),
                                       id_view_person(m->job->ids, (uint32_t)ids[r]), times[r], (uint32_t)i, row};
            }
        }
    }
    qsort(rows, count, sizeof *rows, row_cmp);
    for (uint32_t at = 0; at < count; at++) m->place[rows[at].input][rows[at].row] = at;
    *ret_rows = rows;
    *ret_count = count;
    return STATUS_OK;
}

/* A value that outlives the block it was decoded from. Blocks of RAM images stay where they are. */
static enum status keep_value(struct arena *arena, const struct section *section, bool dictionary, struct value *v)
{
    if (v->type < VALUE_STRING || section->image || dictionary || v->size == 0) return STATUS_OK;
    struct str copy = arena_str(arena, value_text(*v));
    if (!copy.data) return STATUS_LIMIT;
    v->data = copy.data;
    return STATUS_OK;
}

/* Puts one column of every input into the merged order; dense values, ABSENT elsewhere. */
static enum status gather(struct merge *m, uint32_t property, struct arena *arena, struct value *values)
{
    for (size_t i = 0; i < m->job->input_count; i++) {
        struct run_column *column = m->open[i] ? run_column(&m->runs[i], property) : NULL;
        if (!column) continue;
        const struct section *section = m->job->inputs[i].section;
        bool sparse;
        const uint32_t *items;
        const struct value *sparse_values;
        uint32_t sparse_count;
        TRY(run_read_sparse(&m->runs[i], column, m->error, &sparse, &items, &sparse_values, &sparse_count));
        if (sparse) {
            for (uint32_t s = 0; s < sparse_count; s++) {
                uint32_t to = m->place[i][items[s]];
                if (to != UINT32_MAX) values[to] = sparse_values[s];
            }
            continue;
        }
        for (uint32_t v = 0; v < run_vectors(&m->runs[i]); v++) {
            struct vector vector;
            TRY(run_read(&m->runs[i], column, v, m->error, &vector));
            for (uint32_t r = 0; r < vector.count; r++) {
                uint32_t to = m->place[i][v * VECTOR_ROWS_MAX + r];
                if (to == UINT32_MAX) continue;
                values[to] = vector_at(&vector, r);
                if (keep_value(arena, section, vector.kind != VECTOR_FLAT, &values[to]) != STATUS_OK)
                    return no_memory(m->error);
            }
        }
    }
    return STATUS_OK;
}

/* Like gather, for a property so rare that walking all rows for it would cost more than it holds. */
static enum status gather_sparse(struct merge *m, uint32_t property, struct arena *arena, uint32_t **ret_rows,
                                 struct value **ret_values, uint32_t *ret_count, uint32_t present_max)
{
    uint32_t count = 0;
    uint32_t *rows = arena_alloc(arena, (present_max ? present_max : 1) * sizeof *rows);
    struct value *values = arena_alloc(arena, (present_max ? present_max : 1) * sizeof *values);
    if (!rows || !values) return no_memory(m->error);
    for (size_t i = 0; i < m->job->input_count; i++) {
        struct run_column *column = m->open[i] ? run_column(&m->runs[i], property) : NULL;
        if (!column) continue;
        bool sparse;
        const uint32_t *items;
        const struct value *sparse_values;
        uint32_t sparse_count;
        TRY(run_read_sparse(&m->runs[i], column, m->error, &sparse, &items, &sparse_values, &sparse_count));
        assert(sparse);
        for (uint32_t s = 0; s < sparse_count; s++) {
            uint32_t to = m->place[i][items[s]];
            if (to == UINT32_MAX) continue;
            /* insertion keeps the rows ascending; the lists are short */
            uint32_t at = count++;
            for (; at > 0 && rows[at - 1] > to; at--) {
                rows[at] = rows[at - 1];
                values[at] = values[at - 1];
            }
            rows[at] = to;
            values[at] = sparse_values[s];
        }
    }
    *ret_rows = rows;
    *ret_values = values;
    *ret_count = count;
    return STATUS_OK;
}

static int u32_cmp(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static enum status list_properties(struct merge *m, uint32_t **ret_properties, size_t *ret_count)
{
    size_t total = 0, count = 0, distinct = 0;
    for (size_t i = 0; i < m->job->input_count; i++) total += m->open[i] ? m->runs[i].column_count : 0;
    uint32_t *list = arena_alloc(m->arena, (total ? total : 1) * sizeof *list);
    if (!list) return no_memory(m->error);
    for (size_t i = 0; i < m->job->input_count; i++) {
        for (uint32_t c = 0; m->open[i] && c < m->runs[i].column_count; c++) {
            if (m->runs[i].columns[c].chunk.property <= PROPERTY_ID_MAX)
                list[count++] = m->runs[i].columns[c].chunk.property;
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

struct slice {
    uint32_t window, from, to;
};

static enum status merge_columns(struct merge *m, const struct slice *slices, size_t slice_count, uint32_t count)
{
    uint32_t *properties = NULL;
    size_t property_count = 0;
    TRY(list_properties(m, &properties, &property_count));
    struct arena *arena = arena_new(m->job->memory_bytes_max);
    enum status status = STATUS_OK;
    for (size_t p = 0; p < property_count && status == STATUS_OK; p++) {
        arena_reset(arena);
        bool all_sparse = true;
        uint64_t present = 0;
        for (size_t i = 0; i < m->job->input_count; i++) {
            struct run_column *column = m->open[i] ? run_column(&m->runs[i], properties[p]) : NULL;
            if (!column) continue;
            present += column->chunk.present;
            all_sparse = all_sparse && column->chunk.encoding == CHUNK_SPARSE;
        }
        if (all_sparse && present <= 1024) {
            uint32_t *rows = NULL, found = 0, at = 0;
            struct value *values = NULL;
            status = gather_sparse(m, properties[p], arena, &rows, &values, &found, (uint32_t)present);
            for (size_t s = 0; s < slice_count && status == STATUS_OK; s++) {
                uint32_t from = at;
                while (at < found && rows[at] < slices[s].to) rows[at++] -= slices[s].from;
                status = section_builder_sparse(m->windows[slices[s].window].builder, properties[p], rows + from,
                                                values + from, at - from);
            }
            continue;
        }
        struct value *values = arena_new_array(arena, struct value, count);
        if (!values)
            status = no_memory(m->error);
        else
            status = gather(m, properties[p], arena, values);
        for (size_t s = 0; s < slice_count && status == STATUS_OK; s++) {
            status =
                section_builder_column(m->windows[slices[s].window].builder, properties[p], values + slices[s].from);
        }
    }
    arena_free(arena);
    return status;
}

static enum status gather_ints(struct merge *m, enum core_stream stream, int64_t *values)
{
    for (size_t i = 0; i < m->job->input_count; i++) {
        if (!m->open[i]) continue;
        for (uint32_t v = 0; v < run_vectors(&m->runs[i]); v++) {
            int64_t vector[VECTOR_ROWS_MAX];
            TRY(run_read_ints(&m->runs[i], stream, v, m->error, vector));
            for (uint32_t r = 0; r < run_vector_rows(&m->runs[i], v); r++) {
                uint32_t to = m->place[i][v * VECTOR_ROWS_MAX + r];
                if (to != UINT32_MAX) values[to] = vector[r];
            }
        }
    }
    return STATUS_OK;
}

static enum status merge_event(struct merge *m, uint32_t event_id)
{
    struct merge_row *rows;
    uint32_t count;
    arena_reset(m->arena);
    TRY(list_rows(m, event_id, &rows, &count));
    if (count == 0) return STATUS_OK;
    uint32_t *persons = arena_new_array(m->arena, uint32_t, count), *ids = arena_new_array(m->arena, uint32_t, count);
    int64_t *times = arena_new_array(m->arena, int64_t, count), *received = arena_new_array(m->arena, int64_t, count);
    int64_t *scratch = arena_new_array(m->arena, int64_t, count);
    struct value *inserts = arena_new_array(m->arena, struct value, count);
    uint8_t *flags = arena_new_array(m->arena, uint8_t, count);
    struct slice *slices = arena_new_array(m->arena, struct slice, m->window_count);
    if (!persons || !ids || !times || !received || !scratch || !inserts || !flags || !slices)
        return no_memory(m->error);
    size_t slice_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        persons[i] = rows[i].person;
        times[i] = rows[i].time_ms;
        if (i == 0 || rows[i].window != rows[i - 1].window)
            slices[slice_count++] = (struct slice){rows[i].window, i, i};
        slices[slice_count - 1].to = i + 1;
    }
    TRY(gather_ints(m, CORE_ID, scratch));
    for (uint32_t i = 0; i < count; i++) ids[i] = (uint32_t)scratch[i];
    TRY(gather_ints(m, CORE_FLAGS, scratch));
    for (uint32_t i = 0; i < count; i++) flags[i] = (uint8_t)scratch[i];
    TRY(gather_ints(m, CORE_RECEIVED, received));
    TRY(gather(m, CORE_INSERT, m->arena, inserts));
    for (uint32_t i = 0; i < count; i++) {
        if (inserts[i].type != VALUE_STRING && inserts[i].type != VALUE_INT)
            return error_set(m->error, STATUS_CORRUPT, "a column chunk is malformed");
    }
    for (size_t s = 0; s < slice_count; s++) {
        uint32_t from = slices[s].from;
        struct section_rows part = {slices[s].to - from, persons + from, ids + from,  times + from,
                                    received + from,     inserts + from, flags + from};
        TRY(section_builder_run(m->windows[slices[s].window].builder, event_id, &part));
    }
    TRY(merge_columns(m, slices, slice_count, count));
    for (size_t s = 0; s < slice_count; s++) TRY(section_builder_run_end(m->windows[slices[s].window].builder));
    return STATUS_OK;
}

static enum status list_events(const struct merge_job *job, uint32_t **ret_events, size_t *ret_count)
{
    size_t total = 0, count = 0, distinct = 0;
    for (size_t i = 0; i < job->input_count; i++) total += job->inputs[i].section->event_count;
    uint32_t *events = malloc((total ? total : 1) * sizeof *events);
    if (!events) return STATUS_LIMIT;
    for (size_t i = 0; i < job->input_count; i++) {
        const struct section *section = job->inputs[i].section;
        for (uint32_t e = 0; e < section->event_count; e++) events[count++] = section->events[e].event_id;
    }
    qsort(events, count, sizeof *events, u32_cmp);
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || events[i] != events[i - 1]) events[distinct++] = events[i];
    }
    *ret_events = events;
    *ret_count = distinct;
    return STATUS_OK;
}

enum status merge_sections(const struct merge_job *job, struct error *error, struct merge_output **ret_outputs,
                           size_t *ret_count)
{
    struct merge m = {.job = job, .error = error, .arena = arena_new(job->memory_bytes_max)};
    uint32_t *events = NULL;
    size_t event_count = 0, output_count = 0;
    struct merge_output *outputs = NULL;
    m.runs = calloc(job->input_count ? job->input_count : 1, sizeof *m.runs);
    m.open = calloc(job->input_count ? job->input_count : 1, sizeof *m.open);
    m.place = calloc(job->input_count ? job->input_count : 1, sizeof *m.place);
    enum status status = m.runs && m.open && m.place ? list_events(job, &events, &event_count) : STATUS_LIMIT;
    if (status != STATUS_OK)
        no_memory(error);
    else
        status = make_windows(&m);
    for (size_t e = 0; e < event_count && status == STATUS_OK; e++) {
        status = merge_event(&m, events[e]);
        for (size_t i = 0; i < job->input_count; i++) {
            if (m.open[i]) run_close(&m.runs[i]);
            m.open[i] = false;
        }
    }
    if (status == STATUS_OK) {
        outputs = calloc(m.window_count ? m.window_count : 1, sizeof *outputs);
        if (!outputs) status = no_memory(error);
    }
    for (size_t w = 0; w < m.window_count && status == STATUS_OK; w++) {
        if (section_builder_rows(m.windows[w].builder) == 0) continue;
        struct merge_output *output = &outputs[output_count];
        output->rows = section_builder_rows(m.windows[w].builder);
        status = section_builder_finish(m.windows[w].builder, &output->image, &output->directory);
        if (status == STATUS_OK)
            output_count++;
        else
            error_set(error, status, "out of memory while merging sections");
    }
    for (size_t w = 0; w < m.window_count; w++) section_builder_free(m.windows[w].builder);
    free(m.windows);
    free(m.runs);
    free(m.open);
    free(m.place);
    free(events);
    arena_free(m.arena);
    if (status != STATUS_OK) {
        merge_outputs_free(outputs, output_count);
        return status;
    }
    *ret_outputs = outputs;
    *ret_count = output_count;
    return STATUS_OK;
}

void merge_outputs_free(struct merge_output *outputs, size_t count)
{
    for (size_t i = 0; outputs && i < count; i++) buf_fini(&outputs[i].image);
    free(outputs);
}
