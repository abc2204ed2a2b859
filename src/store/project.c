/* A project: its life, and the rows that later ones replace. */
#include "store/project.h"

#include "base/log.h"
#include "os/clock.h"
#include "store/delete.h"
#include "store/pile.h"
#include "store/profiles.h"
#include "store/project_update.h"
#include "store/run.h"

#include <stdlib.h>

#define NAMES_CAPACITY (STORE_NAMES_MAX + 1) /* and one for the events of all further names */

struct project *project_new(uint64_t id)
{
    struct project *project = calloc(1, sizeof *project);
    if (!project) return NULL;
    project->id = id;
    project->events = names_new(NAMES_CAPACITY);
    project->properties = names_new(NAMES_CAPACITY);
    project->ids = id_graph_new();
    project->changed = true;
    memtable_init(&project->mem);
    return project;
}

void live_fini(struct live *live)
{
    section_unref(live->section);
    deletes_unref(live->deletes);
    deletes_unref(live->saved);
    if (live->pending) roaring_bitmap_free(live->pending);
}

static void clear_marks(struct project *project)
{
    for (size_t i = 0; i < project->mark_count; i++) free((void *)(uintptr_t)project->marks[i].insert_id.data);
    project->mark_count = 0;
}

void project_forget_new_marks(struct project *project)
{
    size_t kept = 0;
    for (size_t i = 0; i < project->mark_count; i++) {
        if (project->marks[i].file_id)
            project->marks[kept++] = project->marks[i];
        else
            free((void *)(uintptr_t)project->marks[i].insert_id.data);
    }
    project->mark_count = kept;
}

void project_free(struct project *project)
{
    if (!project) return;
    clear_marks(project);
    free(project->marks);
    project_orders_clear(project);
    project_updates_clear(project);
    project_compact_clear(project);
    id_view_unref(project->flushed_ids);
    for (size_t i = 0; i < project->live_count; i++) live_fini(&project->live[i]);
    free(project->live);
    snapshot_free(project->published);
    memtable_fini(&project->mem);
    names_free(project->events);
    names_free(project->properties);
    id_graph_free(project->ids);
    free(project);
}

void project_clear(struct project *project)
{
    clear_marks(project);
    project_orders_clear(project);
    project_updates_clear(project);
    project_compact_clear(project);
    for (size_t i = 0; i < project->live_count; i++) live_fini(&project->live[i]);
    project->live_count = 0;
    project->flushing = false;
    snapshot_free(project->published);
    project->published = NULL;
    project->changed = true;
    memtable_fini(&project->mem);
    memtable_init(&project->mem);
}

size_t project_memory(const struct project *project)
{
    size_t bytes = project->mem.bytes;
    for (size_t i = 0; i < project->live_count; i++) {
        if (section_in_ram(project->live[i].section)) bytes += project->live[i].section->bytes;
    }
    return bytes;
}

uint64_t project_memory_rows(const struct project *project)
{
    uint64_t rows = project->mem.count;
    for (size_t i = 0; i < project->live_count; i++) {
        if (section_in_ram(project->live[i].section)) rows += project->live[i].section->rows;
    }
    return rows;
}

enum status project_add_section(struct project *project, struct section *section, struct deletes *deletes)
{
    if (project->live_count == project->live_capacity) {
        size_t capacity = project->live_capacity ? project->live_capacity * 2 : 16;
        struct live *grown = realloc(project->live, capacity * sizeof *grown);
        if (!grown) {
            section_unref(section);
            deletes_unref(deletes);
            return STATUS_LIMIT;
        }
        project->live = grown;
        project->live_capacity = capacity;
    }
    project->live[project->live_count++] =
        (struct live){.section = section,
                      .deletes = deletes,
                      .saved = deletes && store_is_profiles(project->id) ? deletes_ref(deletes) : NULL,
                      .marked_ms = deletes ? os_now_ms() : 0};
    project->changed = true;
    return STATUS_OK;
}

/* --- duplicates --- */

static bool is_dead(const struct live *live, uint32_t row)
{
    return (live->deletes && roaring_bitmap_contains(live->deletes->rows, row)) ||
           (live->pending && roaring_bitmap_contains(live->pending, row));
}

static enum status mark(struct project *project, size_t index, uint32_t row, uint64_t lsn)
{
    struct live *live = &project->live[index];
    if (!live->pending && !(live->pending = roaring_bitmap_create())) return STATUS_LIMIT;
    roaring_bitmap_add(live->pending, row);
    live->unsaved = true;
    if (!live->marked_ms || lsn < live->marked_lsn) live->marked_lsn = lsn;
    if (!live->marked_ms) live->marked_ms = os_now_ms();
    project->changed = true;
    return STATUS_OK;
}

/* A mark on a section that a flush is rewriting is repeated on what the flush writes (project_flush_end). */
static enum status remember(struct project *project, uint32_t event, uint32_t id, int64_t time_ms, struct str insert_id)
{
    if (project->mark_count == project->mark_capacity) {
        size_t capacity = project->mark_capacity ? project->mark_capacity * 2 : 16;
        struct key_mark *grown = realloc(project->marks, capacity * sizeof *grown);
        if (!grown) return STATUS_LIMIT;
        project->marks = grown;
        project->mark_capacity = capacity;
    }
    char *copy = malloc(insert_id.size ? insert_id.size : 1);
    if (!copy) return STATUS_LIMIT;
    memcpy(copy, insert_id.data, insert_id.size);
    project->marks[project->mark_count++] =
        (struct key_mark){.event = event, .id = id, .time_ms = time_ms, .insert_id = {copy, insert_id.size}};
    return STATUS_OK;
}

enum status project_mark_row(struct project *project, size_t index, uint32_t row, uint64_t lsn, uint32_t event,
                             uint32_t id, int64_t time_ms, struct str insert_id)
{
    TRY(mark(project, index, row, lsn));
    if (project->flushing && index >= project->flush_first && index < project->flush_first + project->flush_count)
        return remember(project, event, id, time_ms, insert_id);
    return STATUS_OK;
}

bool project_row_is_dead(const struct project *project, size_t index, uint32_t row)
{
    return is_dead(&project->live[index], row);
}

struct deletes *project_durable_deletes(const struct project *project, struct live *live)
{
    live_publish_deletes(live);
    struct deletes *deletes = store_is_profiles(project->id) ? live->saved : live->deletes;
    return deletes_ref(deletes);
}

/* Deletes a remembered row in the file that holds it now. */
static enum status repeat_mark(struct project *project, const struct key_mark *key, struct error *error)
{
    uint32_t persons[ID_HISTORY_MAX], row;
    size_t person_count = id_graph_history(project->ids, key->id, persons);
    for (size_t i = 0; i < project->live_count; i++) {
        const struct section *section = project->live[i].section;
        if (!section->file || section->file->file_id != key->file_id) continue;
        enum status status =
            run_probe(section, key->event, persons, person_count, key->id, key->time_ms, key->insert_id, error, &row);
        if (status == STATUS_OK) return mark(project, i, row, 0);
        if (status != STATUS_NOT_FOUND) return status;
    }
    return STATUS_OK;
}

void project_repeat_marks(struct project *project)
{
    size_t kept = 0;
    for (size_t i = 0; i < project->mark_count; i++) {
        struct key_mark *key = &project->marks[i];
        struct error error = ERROR_INIT;
        if (key->file_id && repeat_mark(project, key, &error) == STATUS_OK) {
            free((void *)(uintptr_t)key->insert_id.data);
            continue;
        }
        if (key->file_id && kept == 0) log_failure(LOG_ERROR, "cannot_delete_duplicate", &error);
        project->marks[kept++] = *key;
    }
    project->mark_count = kept;
}

enum status project_replace_stored(struct project *project, struct project_context *context, const struct mem_row *new,
                                   uint64_t key, bool *ret_replaced)
{
    uint32_t event = new->event, id = new->id;
    int64_t time_ms = new->time_ms;
    struct str insert_id = str_from(new->insert_id, new->insert_size);
    uint32_t persons[ID_HISTORY_MAX];
    size_t person_count = 0;
    *ret_replaced = false;
    for (size_t i = project->live_count; i-- > 0;) {
        struct section *section = project->live[i].section;
        if (time_ms < section->time_min_ms || time_ms > section->time_max_ms) continue;
        bool frozen = project->flushing && i >= project->flush_first && i < project->flush_first + project->flush_count;
        if (section->pile) {
            uint32_t place;
            TRY(pile_find(section->pile, event, id, time_ms, insert_id, key, &place));
            section->bytes = pile_bytes(section->pile);
            if (place == UINT32_MAX) continue;
            if (!frozen) {
                pile_kill(section->pile, place);
                *ret_replaced = true;
                return STATUS_OK;
            }
            /* A flush is reading it. */
            struct error error = ERROR_INIT;
            TRY(project_sort_pile(project, i, &error));
            section = project->live[i].section;
        }
        if (!section_filter_has(section, key)) continue;
        if (!person_count) person_count = id_graph_history(project->ids, id, persons);
        uint32_t row;
        struct error error;
        enum status status = run_probe(section, event, persons, person_count, id, time_ms, insert_id, &error, &row);
        if (status == STATUS_NOT_FOUND) continue;
        if (status != STATUS_OK) {
            /* The block cannot be read: whether this is a duplicate cannot be told. Queries over the block fail loudly,
             * so keep the event. */
            if (context->probe_failures++ == 0) log_failure(LOG_ERROR, "duplicate_probe_failed", &error);
            continue;
        }
        if (is_dead(&project->live[i], row)) continue;
        TRY(project_mark_row(project, i, row, new->seq, event, id, time_ms, insert_id));
        *ret_replaced = true;
        return STATUS_OK;
    }
    return STATUS_OK;
}
