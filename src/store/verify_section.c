/*
 * One section: first the bytes of every object, then what the core streams say. A run whose bytes are damaged is not
 * read any further, so that one flipped bit is one finding and not a thousand.
 */
#include "store/verify_int.h"

#include "base/civil.h"
#include "store/bitmap.h"
#include "store/person_set.h"
#include "store/statistics.h"
#include "store/store.h"

#include <stdlib.h>

#define QUARTER_MS     (15 * 60000LL)
#define QUARTERS_A_DAY 96
#define GAP_BYTES_MAX  64 /* objects begin at multiples of 8, sections at multiples of 64 */

/* --- objects --- */

static struct str event_name(const struct section_check *check, uint32_t event_id)
{
    struct str name = check->project && event_id < check->project->event_count
                          ? names_text(check->project->events, event_id)
                          : STR("?");
    return str_slice(name, 0, name.size < 100 ? name.size : 100);
}

static enum status fetch(const struct section_check *check, struct section_ref ref, struct error *error)
{
    struct pinned pinned;
    TRY(section_fetch(check->at->section, ref, error, &pinned));
    pinned_release(&pinned);
    return STATUS_OK;
}

/* Remembers where it is, for verify_coverage. */
static void note_object(struct section_check *check, struct section_ref ref)
{
    if (ref.size == 0) return;
    if (check->object_count == check->object_capacity) {
        check->object_capacity = check->object_capacity ? check->object_capacity * 2 : 256;
        struct section_ref *grown = realloc(check->objects, check->object_capacity * sizeof *grown);
        if (!grown) abort();
        check->objects = grown;
    }
    check->objects[check->object_count++] = ref;
}

static bool verify_object(struct section_check *check, const struct section_event *event, const char *what,
                          uint32_t property, struct section_ref ref)
{
    struct error error = ERROR_INIT;
    if (ref.size == 0) return true;
    note_object(check, ref);
    if (fetch(check, ref, &error) == STATUS_OK) return true;
    section_finding(check, ref.offset, "%s of column %08x of event %u \"" STR_FMT "\": %s", what, property,
                    event->event_id, STR_ARG(event_name(check, event->event_id)), error.primary);
    return false;
}

static bool verify_section_object(struct section_check *check, const char *what, struct section_ref ref)
{
    struct error error = ERROR_INIT;
    if (ref.size == 0) return true;
    note_object(check, ref);
    if (fetch(check, ref, &error) == STATUS_OK) return true;
    section_finding(check, ref.offset, "%s: %s", what, error.primary);
    return false;
}

static int ref_cmp(const void *a, const void *b)
{
    const struct section_ref *x = a, *y = b;
    if (x->offset != y->offset) return x->offset < y->offset ? -1 : 1;
    return x->size < y->size ? -1 : x->size > y->size;
}

static void verify_gap(const struct section_check *check, uint64_t from, uint64_t to)
{
    char bytes[GAP_BYTES_MAX];
    struct error error;
    if (to < from) {
        section_finding(check, to, "two objects overlap");
        return;
    }
    if (to - from >= GAP_BYTES_MAX) {
        section_finding(check, from, "%llu bytes belong to nothing", (unsigned long long)(to - from));
        return;
    }
    if (to == from || os_pread(check->file->handle->file, bytes, to - from, check->at->offset + from, &error)) return;
    for (uint64_t i = 0; i < to - from; i++) {
        if (bytes[i]) {
            section_finding(check, from + i, "padding is not zero");
            return;
        }
    }
}

/* Objects do not overlap, and between them lie only the zeros that align them. */
static void verify_coverage(struct section_check *check)
{
    uint64_t end = 0;
    qsort(check->objects, check->object_count, sizeof *check->objects, ref_cmp);
    for (size_t i = 0; i < check->object_count; i++) {
        const struct section_ref *ref = &check->objects[i];
        if (i && ref_cmp(ref, ref - 1) == 0) continue; /* one object may serve two columns */
        verify_gap(check, end, ref->offset);
        end = ref->offset + ref->size;
    }
    verify_gap(check, end, check->at->size);
}

static bool verify_chunks(struct section_check *check, struct run *run)
{
    bool good = true;
    for (uint32_t c = 0; c < run->column_count; c++) {
        const struct chunk *chunk = &run->columns[c].chunk;
        good &= verify_object(check, run->event, "the dictionary", chunk->property, chunk->dictionary);
        for (uint32_t b = 0; b < chunk->block_count; b++)
            good &= verify_object(check, run->event, "a block", chunk->property, chunk_block(chunk, b));
        for (uint32_t b = 0; b < chunk->exception_block_count; b++)
            good &= verify_object(check, run->event, "exceptions", chunk->property, chunk_exception_block(chunk, b));
        bool ascending = c == 0 || (chunk[0].property > run->columns[c - 1].chunk.property) ||
                         (run->columns[c - 1].chunk.property >= CORE_PERSON && chunk->property < CORE_PERSON);
        if (!ascending) section_finding(check, run->event->table.offset, "the chunk table is not in order");
        if (check->project && chunk->property <= PROPERTY_ID_MAX && chunk->property >= check->project->property_count)
            section_finding(check, run->event->table.offset, "property %u has no name in the catalogs",
                            chunk->property);
    }
    return good;
}

/* --- core streams --- */

struct core_check {
    const struct section_check *section;
    struct run *run;
    const struct section_event *event;
    struct error error;
    roaring_bitmap_t *persons; /* of the whole section */
    uint32_t *quarters;        /* rows by quarter of the window; NULL: not wanted */
};

static void core_finding(const struct core_check *core, const char *what, uint64_t row)
{
    section_finding(core->section, core->event->table.offset, "event %u \"" STR_FMT "\", row %llu: %s",
                    core->event->event_id, STR_ARG(event_name(core->section, core->event->event_id)),
                    (unsigned long long)row, what);
}

static enum status stream_failed(const struct core_check *core, enum status status)
{
    section_finding(core->section, core->event->table.offset, "event %u: %s", core->event->event_id,
                    core->error.primary);
    return status;
}

/* The person list ascends strictly, its lengths sum up to the rows, and every vector of rows starts where it says. */
static enum status verify_person_list(struct core_check *core)
{
    int64_t persons[VECTOR_ROWS_MAX], lengths[VECTOR_ROWS_MAX], starts[VECTOR_ROWS_MAX], last = -1;
    const struct offline_project *project = core->section->project;
    uint64_t row = 0, next_start = 0; /* rows before this person; vector whose start comes next */
    for (uint32_t i = 0; i < core->event->persons; i++) {
        uint32_t at = i % VECTOR_ROWS_MAX;
        if (at == 0) {
            TRY(run_read_ints(core->run, CORE_PERSON, i / VECTOR_ROWS_MAX, &core->error, persons));
            TRY(run_read_ints(core->run, CORE_RUN, i / VECTOR_ROWS_MAX, &core->error, lengths));
        }
        if (persons[at] <= last) core_finding(core, "persons do not ascend", row);
        if (persons[at] < 0 || persons[at] > UINT32_MAX || (project && (uint64_t)persons[at] > project->id_count))
            core_finding(core, "the person is not in the catalogs", row);
        if (lengths[at] < 1 || (uint64_t)lengths[at] > core->event->rows - row) {
            core_finding(core, "the rows of persons do not sum up", row);
            return STATUS_CORRUPT;
        }
        for (; next_start * VECTOR_ROWS_MAX < row + (uint64_t)lengths[at]; next_start++) {
            if (next_start % VECTOR_ROWS_MAX == 0)
                TRY(run_read_ints(core->run, CORE_VECTOR, (uint32_t)(next_start / VECTOR_ROWS_MAX), &core->error,
                                  starts));
            uint64_t expected = (uint64_t)i << 32 | (next_start * VECTOR_ROWS_MAX - row);
            if ((uint64_t)starts[next_start % VECTOR_ROWS_MAX] != expected)
                core_finding(core, "a vector starts with another person", next_start * VECTOR_ROWS_MAX);
        }
        last = persons[at];
        row += (uint64_t)lengths[at];
        roaring_bitmap_add(core->persons, (uint32_t)persons[at]);
    }
    if (row != core->event->rows) {
        core_finding(core, "the rows of persons do not sum up", row);
        return STATUS_CORRUPT;
    }
    return STATUS_OK;
}

/* Whether a row of this id may stand under that number. */
static bool was_stored_so(const struct offline_project *project, uint32_t id, uint32_t number)
{
    if (!id_view_is_mixed(project->view, number))
        return id_view_person(project->view, id) == id_view_person(project->view, number);
    uint32_t history[ID_HISTORY_MAX];
    size_t count = id_graph_history(project->ids, id, history);
    for (size_t i = 0; i < count; i++) {
        if (history[i] == number) return true;
    }
    return id_view_person(project->view, id) == 0; /* forgotten */
}

/* Order, times and ids of the rows. One finding of a kind is enough for a run. */
static enum status verify_rows(struct core_check *core)
{
    const struct section *section = core->section->at->section;
    const struct offline_project *project = core->section->project;
    int64_t window_ms = section->window_day * DAY_MS, end_ms = window_ms + (DAY_MS << section->window_log2);
    int64_t times[VECTOR_ROWS_MAX], ids[VECTOR_ROWS_MAX], min_ms = INT64_MAX, max_ms = INT64_MIN, last_ms = 0;
    uint32_t persons[VECTOR_ROWS_MAX], last_person = 0;
    bool order = false, window = false, unknown = false, other = false;
    for (uint32_t v = 0; v < run_vectors(core->run); v++) {
        TRY(run_read_persons(core->run, v, &core->error, persons));
        TRY(run_read_times(core->run, v, &core->error, times));
        TRY(run_read_ints(core->run, CORE_ID, v, &core->error, ids));
        for (uint32_t i = 0; i < run_vector_rows(core->run, v); i++) {
            uint64_t row = (uint64_t)v * VECTOR_ROWS_MAX + i;
            bool first = row == 0;
            if (!first && !order && (persons[i] < last_person || (persons[i] == last_person && times[i] < last_ms))) {
                core_finding(core, "rows are not in the order of person and time", row);
                order = true;
            }
            if ((times[i] < window_ms || times[i] >= end_ms) && !window) {
                core_finding(core, "the time lies outside the section's window", row);
                window = true;
            } else if (times[i] >= window_ms && times[i] < end_ms)
                core->quarters[(times[i] - window_ms) / QUARTER_MS]++;
            if (times[i] < min_ms) min_ms = times[i];
            if (times[i] > max_ms) max_ms = times[i];
            last_person = persons[i];
            last_ms = times[i];
            if (!project) continue;
            if (ids[i] < 0 || ids[i] > project->id_count || persons[i] > project->id_count) {
                if (!unknown) core_finding(core, "the id is not in the catalogs", row);
                unknown = true;
            } else if (!other && !was_stored_so(project, (uint32_t)ids[i], persons[i])) {
                core_finding(core, "the row is stored under a number that its id's person never had", row);
                other = true;
            }
        }
    }
    if (min_ms != core->event->time_min_ms || max_ms != core->event->time_max_ms)
        core_finding(core, "the directory tells other first and last times than the rows", 0);
    return STATUS_OK;
}

/* The counters of the statistics are those of the rows. */
static void verify_statistics(struct core_check *core)
{
    const struct section_check *check = core->section;
    uint32_t log2 = check->at->section->window_log2;
    struct section_ref ref = core->event->statistics;
    struct scan_quarter *quarters;
    size_t count;
    struct pinned pinned;
    if (ref.size == 0 || section_fetch(check->at->section, ref, &core->error, &pinned) != STATUS_OK) return;
    enum status status =
        statistics_read(pinned.bytes, log2, core->event->rows, check->verify->arena, &quarters, &count);
    pinned_release(&pinned);
    bool same = status == STATUS_OK;
    size_t at = 0;
    for (uint32_t q = 0; same && q < (uint32_t)QUARTERS_A_DAY << log2; q++) {
        uint32_t rows = 0;
        if (at < count && quarters[at].quarter == q) rows = quarters[at++].rows;
        same = rows == core->quarters[q];
    }
    if (!same)
        section_finding(check, ref.offset, "event %u \"" STR_FMT "\": the statistics are not those of the rows",
                        core->event->event_id, STR_ARG(event_name(check, core->event->event_id)));
}

static void verify_run(struct section_check *check, const struct section_event *event, roaring_bitmap_t *persons)
{
    struct verify *v = check->verify;
    struct run run;
    struct core_check core = {.section = check, .run = &run, .event = event, .error = ERROR_INIT, .persons = persons};
    arena_reset(v->arena);
    note_object(check, event->table);
    if (run_open(&run, check->at->section, event, v->arena, &core.error) != STATUS_OK) {
        section_finding(check, event->table.offset, "chunk table of event %u \"" STR_FMT "\": %s", event->event_id,
                        STR_ARG(event_name(check, event->event_id)), core.error.primary);
        check->damaged = true;
        return;
    }
    core.quarters = arena_new_array(v->arena, uint32_t, (size_t)QUARTERS_A_DAY << check->at->section->window_log2);
    if (!core.quarters) abort();
    bool good = verify_chunks(check, &run);
    good &= verify_object(check, event, "the statistics", 0, event->statistics);
    if (good) {
        enum status status = verify_person_list(&core);
        if (status == STATUS_OK) status = verify_rows(&core);
        if (status != STATUS_OK && core.error.status != STATUS_OK) (void)!stream_failed(&core, status);
        if (status == STATUS_OK) verify_statistics(&core);
        if (status == STATUS_OK && v->options->deep) verify_values(check, &run);
        good = status == STATUS_OK;
    }
    check->damaged |= !good;
    run_close(&run);
}

/* The set of persons is that of the rows, and is found to be so by those who look one up in it. */
static void verify_persons(const struct section_check *check, const roaring_bitmap_t *persons)
{
    const struct section *section = check->at->section;
    struct error error;
    struct pinned pinned;
    if (section->persons.size == 0 || section_fetch(section, section->persons, &error, &pinned) != STATUS_OK) return;
    roaring_bitmap_t *set = bitmap_read(pinned.bytes);
    bool same = set && roaring_bitmap_equals(set, persons);
    roaring_uint32_iterator_t *each = roaring_create_iterator(persons);
    for (; same && each->has_value; roaring_advance_uint32_iterator(each))
        same = person_set_has(pinned.bytes, each->current_value);
    roaring_free_uint32_iterator(each);
    if (set) roaring_bitmap_free(set);
    pinned_release(&pinned);
    if (!same) section_finding(check, section->persons.offset, "the set of persons is not that of the rows");
}

void verify_section(struct verify *v, const struct offline_file *file, const struct offline_section *at)
{
    const struct section *section = at->section;
    struct section_check check = {
        .verify = v,
        .file = file,
        .at = at,
        .project = v->offline->catalogs_damaged || at->dropped ? NULL : offline_project(v->offline, at->project)};
    bool known = check.project || v->offline->catalogs_damaged || at->dropped;
    if (!known) section_finding(&check, at->directory.offset, "the catalogs do not know the project");
    if (check.project && section->links_applied > check.project->link_count)
        section_finding(&check, at->directory.offset, "it applied %u links of ids, but there are only %u",
                        section->links_applied, check.project->link_count);
    if (section->window_day & (((int64_t)1 << section->window_log2) - 1))
        section_finding(&check, at->directory.offset, "its window of 2^%u days cannot start at day %lld",
                        section->window_log2, (long long)section->window_day);
    roaring_bitmap_t *persons = roaring_bitmap_create();
    if (!persons) abort();
    note_object(&check, at->directory);
    bool sets = verify_section_object(&check, "the filter", section->filter);
    sets &= verify_section_object(&check, "the set of persons", section->persons);
    int64_t min_ms = INT64_MAX, max_ms = INT64_MIN;
    for (uint32_t e = 0; e < section->event_count; e++) {
        const struct section_event *event = &section->events[e];
        if (check.project && event->event_id >= check.project->event_count)
            section_finding(&check, at->directory.offset, "event %u has no name in the catalogs", event->event_id);
        verify_run(&check, event, persons);
        if (event->time_min_ms < min_ms) min_ms = event->time_min_ms;
        if (event->time_max_ms > max_ms) max_ms = event->time_max_ms;
    }
    if (section->event_count && (min_ms != section->time_min_ms || max_ms != section->time_max_ms))
        section_finding(&check, at->directory.offset, "the directory tells other first and last times than its events");
    if (sets && !check.damaged) {
        verify_persons(&check, persons);
        verify_coverage(&check);
    }
    roaring_bitmap_free(persons);
    free(check.objects);
    v->report.sections++;
    v->report.rows += section->rows;
    v->report.rows_deleted += at->deletes ? at->deletes->count : 0;
}
