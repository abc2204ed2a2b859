/*
 * Events one after the other: their rows are put in order (merge_order.c), cut into the parts that go to one section
 * each, and their columns are gathered in that order and handed to the sections' builders (merge_column.c).
 *
 * With several windows all sections are built at once, as images. With one window a section is finished before the next
 * begins, so that it can be written as it grows.
 */
#include "store/merge.h"

#include "base/civil.h"
#include "store/memtable.h"
#include "store/merge_pile.h"

#include <assert.h>
#include <stdlib.h>

#define SECTION_ALIGN 64

enum status merge_no_memory(struct error *error)
{
    return error_set(error, STATUS_LIMIT, "out of memory while merging sections");
}

/* --- windows --- */

static const struct merge_day *find_day(const struct merge *m, int64_t day)
{
    size_t low = 0, high = m->day_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (m->days[middle].day < day)
            low = middle + 1;
        else
            high = middle;
    }
    return &m->days[low];
}

size_t merge_window_of(const struct merge *m, int64_t time_ms)
{
    return m->window_count == 1 ? 0 : find_day(m, floor_div(time_ms, DAY_MS))->window;
}

struct days { /* ascending; malloc'd */
    int64_t *days, last;
    size_t count, capacity;
};

static enum status note_time(void *context, int64_t time_ms)
{
    struct days *days = context;
    int64_t day = floor_div(time_ms, DAY_MS);
    if (day == days->last) return STATUS_OK;
    days->last = day;
    size_t low = 0, high = days->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (days->days[middle] < day)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < days->count && days->days[low] == day) return STATUS_OK;
    if (days->count == days->capacity) {
        size_t capacity = days->capacity ? days->capacity * 2 : 64;
        int64_t *grown = realloc(days->days, capacity * sizeof *grown);
        if (!grown) return STATUS_LIMIT;
        days->days = grown;
        days->capacity = capacity;
    }
    memmove(days->days + low + 1, days->days + low, (days->count - low) * sizeof *days->days);
    days->days[low] = day;
    days->count++;
    return STATUS_OK;
}

static enum status note_times_of_run(struct merge *m, const struct section *section, const struct section_event *event,
                                     struct days *days)
{
    struct run run;
    int64_t times[VECTOR_ROWS_MAX];
    arena_reset(m->arena);
    TRY(run_open(&run, section, event, m->arena, m->error));
    enum status status = STATUS_OK;
    for (uint32_t v = 0; v < run_vectors(&run) && status == STATUS_OK; v++) {
        status = run_read_times(&run, v, m->error, times);
        for (uint32_t r = 0; r < run_vector_rows(&run, v) && status == STATUS_OK; r++)
            status = note_time(days, times[r]);
    }
    run_close(&run);
    return status;
}

/* Walks every row's time once, to learn which days are touched. */
static enum status collect_days(struct merge *m, struct days *days)
{
    for (size_t i = 0; i < m->job->input_count; i++) {
        const struct section *section = m->job->inputs[i].section;
        enum status status = m->piles ? merge_pile_times(m, i, note_time, days) : STATUS_OK;
        for (uint32_t e = 0; e < section->event_count && status == STATUS_OK; e++)
            status = note_times_of_run(m, section, &section->events[e], days);
        if (status == STATUS_CORRUPT || status == STATUS_IO) m->bad_input = i;
        if (status == STATUS_LIMIT && m->error->status == STATUS_OK) merge_no_memory(m->error);
        if (status != STATUS_OK) return status;
    }
    return STATUS_OK;
}

static int window_cmp(const void *a, const void *b)
{
    const struct merge_window *x = a, *y = b;
    if (x->day != y->day) return x->day < y->day ? -1 : 1;
    return x->log2 < y->log2 ? -1 : x->log2 > y->log2;
}

/* The window of each day, widened to 2^least days. Returns how many different ones there are. */
static size_t assign_windows(const struct merge *m, uint32_t least, bool hot_too, struct merge_window *windows)
{
    const struct merge_job *job = m->job;
    for (size_t i = 0; i < m->day_count; i++) {
        struct merge_window *window = &windows[i];
        *window = (struct merge_window){.day = m->days[i].day};
        if (job->window_of) job->window_of(job->window_context, m->days[i].day, &window->day, &window->log2);
        bool hot = window->day <= job->hot_day && job->hot_day - window->day < (int64_t)1 << window->log2;
        if (window->log2 < least && (!hot || hot_too)) {
            window->log2 = least;
            window->day = window_start(window->day, least);
        }
    }
    qsort(windows, m->day_count, sizeof *windows, window_cmp);
    size_t distinct = 0;
    for (size_t i = 0; i < m->day_count; i++) {
        if (i == 0 || window_cmp(&windows[i], &windows[distinct - 1]) != 0) windows[distinct++] = windows[i];
    }
    return distinct;
}

static enum status split_windows(struct merge *m)
{
    const struct merge_job *job = m->job;
    struct days days = {.last = INT64_MIN};
    enum status status = collect_days(m, &days);
    m->day_count = days.count;
    m->days = calloc(m->day_count + 1, sizeof *m->days);
    m->windows = calloc(m->day_count + 1, sizeof *m->windows);
    for (size_t i = 0; i < m->day_count && m->days; i++) m->days[i].day = days.days[i];
    free(days.days);
    if (status != STATUS_OK) return status;
    if (!m->days || !m->windows) return merge_no_memory(m->error);
    uint32_t least = 0;
    bool hot_too = false;
    while ((m->window_count = assign_windows(m, least, hot_too, m->windows)) > job->outputs_max) {
        if (hot_too && least == SECTION_LOG2_MAX) break;
        if (++least > SECTION_LOG2_MAX) {
            least = 0;
            hot_too = true;
        }
    }
    /* Each day's window once more; the hot day may lie inside a wider one, so the narrowest that was assigned counts.
     */
    for (size_t i = 0; i < m->day_count; i++) {
        struct merge_day *day = &m->days[i];
        struct merge own = *m;
        struct merge_window window;
        own.days = day;
        own.day_count = 1;
        (void)assign_windows(&own, least, hot_too, &window);
        for (size_t w = 0; w < m->window_count; w++) {
            if (window_cmp(&m->windows[w], &window) == 0) day->window = w;
        }
    }
    return STATUS_OK;
}

static enum status make_windows(struct merge *m, uint64_t rows)
{
    const struct merge_job *job = m->job;
    if (job->split) {
        if (rows > SECTION_ROWS_MAX) return error_set(m->error, STATUS_LIMIT, "too many rows in one merge");
        return split_windows(m);
    }
    int64_t time_min = INT64_MAX, time_max = INT64_MIN;
    for (size_t i = 0; i < job->input_count; i++) {
        const struct section *section = job->inputs[i].section;
        if (section->time_min_ms < time_min) time_min = section->time_min_ms;
        if (section->time_max_ms > time_max) time_max = section->time_max_ms;
    }
    m->windows = calloc(1, sizeof *m->windows);
    if (!m->windows) return merge_no_memory(m->error);
    m->window_count = 1;
    struct merge_window *window = &m->windows[0];
    window_around(time_min, time_max, &window->day, &window->log2);
    if (job->fixed) {
        if (window->log2 > job->window_log2 || window_start(window->day, job->window_log2) != job->window_day)
            return error_set(m->error, STATUS_INTERNAL, "rows lie outside the window of their merge");
        window->day = job->window_day;
        window->log2 = job->window_log2;
    }
    return STATUS_OK;
}

/* --- sections --- */

static enum status write_part(void *context, struct str bytes)
{
    struct merge *m = context;
    TRY(m->job->write(m->job->write_context, bytes));
    m->stream += bytes.size;
    return STATUS_OK;
}

/* `rows`: of all inputs. The filter is sized before its keys are known: one section gets room for all that it may take,
 * windows twice their even share. */
enum status merge_begin_section(struct merge *m, size_t w, uint64_t rows)
{
    static const char zeros[SECTION_ALIGN];
    struct merge_window *window = &m->windows[w];
    uint64_t keys = m->window_count == 1 ? m->rows_max : rows / m->window_count * 2 + 1024;
    if (m->piles && m->window_count == 1) keys = merge_pile_keys(m);
    if (m->job->write && m->stream % SECTION_ALIGN)
        TRY(write_part(m, str_from(zeros, SECTION_ALIGN - m->stream % SECTION_ALIGN)));
    window->offset = m->stream;
    struct section_plan plan = {.window_day = window->day,
                                .window_log2 = window->log2,
                                .links_applied = m->job->links_applied,
                                .keys = (uint32_t)(keys < rows ? keys : rows),
                                .for_file = m->job->for_file,
                                .threads = m->job->threads,
                                .bytes_max = m->job->memory_bytes_max,
                                .write = m->job->write ? write_part : NULL,
                                .context = m};
    window->builder = section_builder_new(&plan);
    return window->builder ? STATUS_OK : merge_no_memory(m->error);
}

static enum status finish_section(struct merge *m, size_t w)
{
    struct merge_window *window = &m->windows[w];
    if (!window->builder) return STATUS_OK;
    if (m->output_count == m->output_capacity) {
        size_t capacity = m->output_capacity ? m->output_capacity * 2 : 16;
        struct merge_output *grown = realloc(m->outputs, capacity * sizeof *grown);
        if (!grown) return merge_no_memory(m->error);
        m->outputs = grown;
        m->output_capacity = capacity;
    }
    struct merge_output output = {.rows = section_builder_rows(window->builder), .offset = window->offset};
    enum status status = section_builder_finish(window->builder, &output.image, &output.directory, &output.size);
    if (status == STATUS_LIMIT && m->error->status == STATUS_OK) merge_no_memory(m->error);
    if (status != STATUS_OK) return status;
    m->outputs[m->output_count++] = output;
    section_builder_free(window->builder);
    window->builder = NULL;
    return STATUS_OK;
}

static enum status columns_of(struct merge *m, uint32_t event_id, const struct merge_unit *units, size_t count)
{
    return m->piles ? merge_pile_columns(m, event_id, units, count) : merge_columns(m, event_id, units, count);
}

static enum status place_event(struct merge *m, uint32_t event_id, uint64_t rows)
{
    arena_reset(m->arena);
    TRY(m->piles ? merge_pile_order(m, event_id) : merge_order(m, event_id));
    for (size_t i = 0; i < m->job->input_count; i++) m->inputs[i].run.arena = m->column_arena;
    for (size_t u = 0; u < m->unit_count; u++) {
        const struct merge_unit *unit = &m->units[u];
        if (unit->to > unit->from && !m->windows[unit->window].builder) TRY(merge_begin_section(m, unit->window, rows));
        if (m->window_count > 1) continue;
        TRY(columns_of(m, event_id, unit, 1));
        if (unit->last) TRY(finish_section(m, 0));
    }
    if (m->window_count > 1 && m->unit_count) TRY(columns_of(m, event_id, m->units, m->unit_count));
    return STATUS_OK;
}

void merge_close_runs(struct merge *m)
{
    for (size_t i = 0; i < m->job->input_count; i++) {
        if (m->inputs[i].open) run_close(&m->inputs[i].run);
        m->inputs[i].open = false;
    }
}

enum status merge_event(struct merge *m, uint32_t event_id, uint64_t rows)
{
    enum status status = place_event(m, event_id, rows);
    merge_close_runs(m);
    return status;
}

static int u32_cmp(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static enum status list_events(const struct merge *m, uint32_t **ret_events, size_t *ret_count)
{
    const struct merge_job *job = m->job;
    size_t total = 0, count = 0, distinct = 0;
    for (size_t i = 0; i < job->input_count; i++) total += job->inputs[i].section->event_count;
    uint32_t *events = malloc((total ? total : 1) * sizeof *events);
    if (!events) return merge_no_memory(m->error);
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

static enum status run_merge(struct merge *m)
{
    const struct merge_job *job = m->job;
    uint32_t *events = NULL;
    size_t event_count = 0;
    uint64_t rows = 0;
    for (size_t i = 0; i < job->input_count; i++) rows += job->inputs[i].section->rows;
    TRY(make_windows(m, rows));
    TRY(m->piles ? merge_pile_events(m, &events, &event_count) : list_events(m, &events, &event_count));
    enum status status = STATUS_OK;
    if (job->threads > 1 && job->write && job->for_file) {
        status = merge_events_together(m, events, event_count, rows);
    } else {
        for (size_t e = 0; e < event_count && status == STATUS_OK; e++) status = merge_event(m, events[e], rows);
    }
    free(events);
    for (size_t w = 0; w < m->window_count && status == STATUS_OK; w++) status = finish_section(m, w);
    return status;
}

enum status merge_open(struct merge *m)
{
    const struct merge_job *job = m->job;
    m->bad_input = SIZE_MAX;
    m->arena = arena_new(job->memory_bytes_max);
    m->column_arena = arena_new(job->memory_bytes_max);
    m->inputs = calloc(job->input_count ? job->input_count : 1, sizeof *m->inputs);
    if (!m->inputs) return merge_no_memory(m->error);
    for (size_t i = 0; i < job->input_count; i++) m->inputs[i].section = &job->inputs[i];
    return STATUS_OK;
}

void merge_close(struct merge *m)
{
    free(m->units);
    free(m->inputs);
    arena_free(m->arena);
    arena_free(m->column_arena);
}

enum status merge_sections(const struct merge_job *job, struct error *error, struct merge_output **ret_outputs,
                           size_t *ret_count)
{
    struct error own = ERROR_INIT;
    struct merge m = {.job = job, .error = error ? error : &own};
    assert(!job->write || !job->split);
    *m.error = ERROR_INIT;
    m.rows_max = job->rows_max && job->rows_max < SECTION_ROWS_MAX ? job->rows_max : SECTION_ROWS_MAX;
    m.room = m.rows_max;
    enum status status = merge_open(&m);
    bool piles = job->input_count && job->inputs[0].section->pile;
    assert(!piles || !job->write);
    if (status == STATUS_OK && piles) status = merge_piles_begin(&m);
    if (status == STATUS_OK) status = run_merge(&m);
    for (size_t w = 0; w < m.window_count; w++) section_builder_free(m.windows[w].builder);
    free(m.windows);
    free(m.days);
    merge_piles_end(&m);
    merge_close(&m);
    if (status != STATUS_OK) {
        if (m.error->status == STATUS_OK) error_set(m.error, status, "a merge of sections failed");
        if (job->ret_bad_input) *job->ret_bad_input = m.bad_input;
        merge_outputs_free(m.outputs, m.output_count);
        return status;
    }
    *ret_outputs = m.outputs;
    *ret_count = m.output_count;
    return STATUS_OK;
}

void merge_outputs_free(struct merge_output *outputs, size_t count)
{
    for (size_t i = 0; outputs && i < count; i++) buf_fini(&outputs[i].image);
    free(outputs);
}

enum status section_of_pile(const struct section *pile, const struct id_view *ids, uint32_t links_applied,
                            size_t memory_bytes_max, struct error *error, struct section **ret_section)
{
    struct version_section input = {(struct section *)(uintptr_t)pile, NULL};
    struct merge_job job = {.inputs = &input,
                            .input_count = 1,
                            .ids = ids,
                            .links_applied = links_applied,
                            .memory_bytes_max = memory_bytes_max};
    struct merge_output *outputs;
    size_t count;
    TRY(merge_sections(&job, error, &outputs, &count));
    enum status status =
        count == 1 ? section_open_image(&outputs[0].image, outputs[0].directory, pile->project, error, ret_section)
                   : error_set(error, STATUS_INTERNAL, "no row of a pile lives");
    merge_outputs_free(outputs, count);
    return status;
}
