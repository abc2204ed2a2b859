/* From memory to files: rows of memory become piles and sections, sections small enough are merged, versions are
 * published, and a flush takes what is in memory away. */
#include "store/project.h"

#include "store/delete.h"
#include "store/merge.h"
#include "store/pile.h"
#include "store/profiles.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>

#define FAN_IN          8
#define MERGE_ROWS_MAX  262144u
#define MERGE_BYTES_MAX ((size_t)2 << 30)

static unsigned level(const struct section *section)
{
    unsigned n = 0;
    for (uint32_t rows = section->rows; rows >= FAN_IN; rows /= FAN_IN) n++;
    return n;
}

void live_publish_deletes(struct live *live)
{
    if (!live->pending) return;
    if (live->deletes) roaring_bitmap_or_inplace(live->pending, live->deletes->rows);
    deletes_unref(live->deletes);
    live->deletes = deletes_new(live->pending);
    live->pending = NULL;
}

/* Merges the newest RAM sections while there are FAN_IN of one size class, so that a query after every event does not
 * leave a section per event behind. */
static enum status merge_small(struct project *project, struct error *error)
{
    size_t frozen = project->flushing ? project->flush_first + project->flush_count : 0;
    for (;;) {
        size_t count = 0;
        uint64_t rows = 0;
        while (count < FAN_IN && project->live_count - count > frozen) {
            const struct section *section = project->live[project->live_count - 1 - count].section;
            if (!section->image || level(section) > level(project->live[project->live_count - 1].section)) break;
            rows += section->rows;
            count++;
        }
        if (count < FAN_IN || rows > MERGE_ROWS_MAX) return STATUS_OK;
        size_t first = project->live_count - count;
        struct version_section inputs[FAN_IN];
        for (size_t i = 0; i < count; i++) {
            live_publish_deletes(&project->live[first + i]);
            inputs[i] = (struct version_section){project->live[first + i].section, project->live[first + i].deletes};
        }
        struct id_view *ids = id_graph_view(project->ids);
        struct merge_job job = {.inputs = inputs,
                                .input_count = count,
                                .ids = ids,
                                .links_applied = id_graph_mark(project->ids).links,
                                .memory_bytes_max = MERGE_BYTES_MAX};
        struct merge_output *outputs;
        size_t output_count;
        enum status status = merge_sections(&job, error, &outputs, &output_count);
        id_view_unref(ids);
        if (status != STATUS_OK) return status;
        struct section *merged = NULL;
        if (output_count)
            status = section_open_image(&outputs[0].image, outputs[0].directory, project->id, error, &merged);
        merge_outputs_free(outputs, output_count);
        if (status != STATUS_OK) return status;
        for (size_t i = 0; i < count; i++) live_fini(&project->live[first + i]);
        project->live_count = first;
        project->changed = true;
        if (merged) TRY(project_add_section(project, merged, NULL));
    }
}

enum status project_sort_pile(struct project *project, size_t index, struct error *error)
{
    struct live *live = &project->live[index];
    struct pile *pile = live->section->pile;
    if (!pile || pile->dead_count == pile->count) return STATUS_OK;
    struct section *sorted;
    struct id_view *ids = id_graph_view(project->ids);
    enum status status =
        section_of_pile(live->section, ids, id_graph_mark(project->ids).links, MERGE_BYTES_MAX, error, &sorted);
    id_view_unref(ids);
    if (status != STATUS_OK) return status;
    section_unref(live->section);
    live->section = sorted;
    return STATUS_OK;
}

static enum status merge_images(struct project *project, struct project_context *context, struct error *error)
{
    size_t before = project->live_count;
    TRY(merge_small(project, error));
    if (project->live_count < before) row_readers_clear(&context->readers); /* they hold what was merged */
    return STATUS_OK;
}

enum status project_pile(struct project *project, struct project_context *context, struct error *error)
{
    if (project->mem.count == 0) return STATUS_OK;
    struct section *section = NULL;
    TRY(memtable_pile(&project->mem, project->id, error, &section));
    if (!section) return STATUS_OK;
    context->memory_bytes += section->bytes;
    if (project_add_section(project, section, NULL) != STATUS_OK)
        return error_set(error, STATUS_LIMIT, "out of memory while sealing");
    if (store_is_profiles(project->id)) {
        TRY(project_sort_pile(project, project->live_count - 1, error));
        return merge_images(project, context, error);
    }
    /* A pile takes some times as much as an image: better an image than a flush of few rows. */
    if (context->memory_bytes > context->options->memory_bytes_max)
        return project_sort_pile(project, project->live_count - 1, error);
    return STATUS_OK;
}

enum status project_seal(struct project *project, struct project_context *context, struct error *error)
{
    TRY(project_pile(project, context, error));
    for (size_t i = project->live_count; i-- > 0 && section_in_ram(project->live[i].section);)
        TRY(project_sort_pile(project, i, error));
    return merge_images(project, context, error);
}

enum status project_publish(struct project *project, struct project_context *context, struct error *error,
                            struct snapshot **ret_snapshot)
{
    if (project->mark_count) project_repeat_marks(project);
    if (project->late_count) project_forward_late(project);
    if (project->owed_count) project_orders_retry(project, context);
    if (project->changed || !project->published) {
        TRY(project_seal(project, context, error));
        struct snapshot *snapshot = calloc(1, sizeof *snapshot);
        if (!snapshot) return error_set(error, STATUS_LIMIT, "out of memory for a snapshot");
        atomic_init(&snapshot->refs, 1);
        snapshot->project = project->id;
        snapshot->sections = calloc(project->live_count ? project->live_count : 1, sizeof *snapshot->sections);
        if (!snapshot->sections) {
            free(snapshot);
            return error_set(error, STATUS_LIMIT, "out of memory for a snapshot");
        }
        for (size_t i = 0; i < project->live_count; i++) {
            struct live *live = &project->live[i];
            live_publish_deletes(live);
            /* nothing in it counts */
            if (live->section->pile || (live->deletes && live->deletes->count == live->section->rows)) continue;
            snapshot->sections[snapshot->section_count++] =
                (struct version_section){section_ref_take(live->section), deletes_ref(live->deletes)};
        }
        snapshot->ids = id_graph_view(project->ids);
        snapshot->events = project->events;
        snapshot->properties = project->properties;
        snapshot->event_count = names_count(project->events);
        snapshot->property_count = names_count(project->properties);
        snapshot_free(project->published);
        project->published = snapshot;
        project->changed = false;
    }
    *ret_snapshot = snapshot_ref(project->published);
    return STATUS_OK;
}

/* --- flushing --- */

enum status project_flush_begin(struct project *project, struct version_section **ret_inputs, size_t *ret_count)
{
    assert(!project->flushing);
    project_repeat_marks(project);
    size_t first = project->live_count;
    while (first > 0 && section_in_ram(project->live[first - 1].section)) first--;
    size_t count = project->live_count - first;
    struct version_section *inputs = calloc(count ? count : 1, sizeof *inputs);
    if (!inputs) return STATUS_LIMIT;
    for (size_t i = 0; i < count; i++) {
        struct live *live = &project->live[first + i];
        live_publish_deletes(live);
        inputs[i] = (struct version_section){section_ref_take(live->section), deletes_ref(live->deletes)};
    }
    project->flushing = true;
    project->flush_stamp = project_orders_hold(project);
    project->flush_first = first;
    project->flush_count = count;
    *ret_inputs = inputs;
    *ret_count = count;
    return STATUS_OK;
}

void project_flush_abort(struct project *project)
{
    project_forget_new_marks(project);
    if (project->flushing) project_orders_release(project, project->flush_stamp);
    project->flushing = false;
}

enum status project_flush_end(struct project *project, struct section *const *sections, size_t count,
                              struct error *error)
{
    size_t first = project->flush_first, after = first + project->flush_count, rest = project->live_count - after;
    struct live *live = calloc(first + count + rest + 1, sizeof *live);
    if (!live) return error_set(error, STATUS_LIMIT, "out of memory after a flush");
    if (first) memcpy(live, project->live, first * sizeof *live);
    for (size_t i = 0; i < count; i++) live[first + i] = (struct live){.section = section_ref_take(sections[i])};
    if (rest) memcpy(live + first + count, project->live + after, rest * sizeof *live);
    for (size_t i = first; i < after; i++) live_fini(&project->live[i]);
    free(project->live);
    project->live = live;
    project->live_count = first + count + rest;
    project->live_capacity = project->live_count + 1;
    project->flushing = false;
    project->changed = true;
    /* Rows that a newer duplicate replaced while the flush was reading them. */
    for (size_t m = 0; m < project->mark_count; m++) {
        if (project->marks[m].file_id == 0) project->marks[m].file_id = count ? sections[0]->file->file_id : UINT64_MAX;
    }
    project_repeat_marks(project);
    for (size_t i = 0; i < count; i++) {
        if (project_orders_repeat(project, first + i, project->flush_stamp) != STATUS_OK)
            return error_set(error, STATUS_LIMIT, "out of memory after a flush");
    }
    project_orders_release(project, project->flush_stamp);
    return STATUS_OK;
}
