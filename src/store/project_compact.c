#include "store/project.h"

#include "base/log.h"
#include "store/compact_job.h"
#include "store/delete.h"
#include "store/delete_order.h"
#include "store/profiles.h"

#include <stdlib.h>

/* Files smaller than this are not worth rewriting what counts in them. */
#define GARBAGE_BYTES_MIN ((uint64_t)1 << 20)

struct live *project_find_live(struct project *project, const struct section *section)
{
    for (size_t i = 0; i < project->live_count; i++) {
        if (project->live[i].section == section) return &project->live[i];
    }
    return NULL;
}

static bool same_run(const struct section *a, const struct section *b)
{
    return a->file == b->file && a->window_day == b->window_day && a->window_log2 == b->window_log2;
}

static void add_to_run(const struct project *project, const struct live *live, struct compact_run *run)
{
    const struct section *section = live->section;
    run->rows += section->rows;
    const struct deletes *deletes = store_is_profiles(project->id) ? live->saved : live->deletes;
    if (deletes) run->deleted += deletes->count;
    if (live->pending && !store_is_profiles(project->id)) run->deleted += roaring_bitmap_get_cardinality(live->pending);
    run->moved += ((uint64_t)section->rows * live->moved_per_million + 999999) / 1000000;
    run->busy |= live->compacting || live->bad || project_owes(project, section);
    /* What a rewrite would not leave out yet (project_update.h) is no reason for one. */
    bool leaves_out = !store_is_profiles(project->id) || live->saved;
    if (leaves_out && live->marked_ms && live->marked_ms < run->delete_ms) run->delete_ms = live->marked_ms;
    if (section->file->marked_lsn != UINT64_MAX && section->file->marked_ms < run->delete_ms)
        run->delete_ms = section->file->marked_ms;
    run->garbage |= section->file->bytes > GARBAGE_BYTES_MIN && section->file->bytes_live * 4 < section->file->bytes;
}

enum status project_runs(const struct project *project, struct project_runs *ret_runs)
{
    struct project_runs runs = {.runs = calloc(project->live_count + 1, sizeof *runs.runs),
                                .first = calloc(project->live_count + 1, sizeof *runs.first)};
    if (!runs.runs || !runs.first) {
        project_runs_fini(&runs);
        return STATUS_LIMIT;
    }
    for (size_t i = 0; i < project->live_count && !section_in_ram(project->live[i].section); i++) {
        const struct section *section = project->live[i].section;
        if (i == 0 || !same_run(section, project->live[i - 1].section)) {
            runs.first[runs.count] = i;
            runs.runs[runs.count++] = (struct compact_run){.day = section->window_day,
                                                           .log2 = section->window_log2,
                                                           .lsn = section->lsn,
                                                           .written_ms = section->made_ms,
                                                           .delete_ms = COMPACT_NEVER};
        }
        add_to_run(project, &project->live[i], &runs.runs[runs.count - 1]);
        runs.first[runs.count] = i + 1;
    }
    /* marks on rows that were deleted before they were counted twice */
    for (size_t i = 0; i < runs.count; i++) {
        if (runs.runs[i].deleted > runs.runs[i].rows) runs.runs[i].deleted = runs.runs[i].rows;
    }
    *ret_runs = runs;
    return STATUS_OK;
}

void project_runs_fini(struct project_runs *runs)
{
    free(runs->runs);
    free(runs->first);
    *runs = (struct project_runs){0};
}

enum status project_layout(const struct project *project, int64_t now_ms, const struct compact_options *options,
                           struct compact_layout **ret_layout)
{
    struct project_runs runs;
    TRY(project_runs(project, &runs));
    *ret_layout = compact_layout_new(runs.runs, runs.count, now_ms, options);
    project_runs_fini(&runs);
    return *ret_layout ? STATUS_OK : STATUS_LIMIT;
}

static int live_cmp(const void *a, const void *b)
{
    const struct section *x = ((const struct live *)a)->section, *y = ((const struct live *)b)->section;
    if (x->lsn != y->lsn) return x->lsn < y->lsn ? -1 : 1;
    if (x->file->file_id != y->file->file_id) return x->file->file_id < y->file->file_id ? -1 : 1;
    return x->ordinal < y->ordinal ? -1 : x->ordinal > y->ordinal;
}

void project_sort_sections(struct project *project)
{
    if (project->live_count) qsort(project->live, project->live_count, sizeof *project->live, live_cmp);
}

void project_note_flushed(struct project *project, struct id_view *ids, uint32_t links)
{
    id_view_unref(project->flushed_ids);
    project->flushed_ids = id_view_ref(ids);
    project->flushed_links = links;
}

/* --- deletions that came too late --- */

static void note_marks(struct live *live, uint64_t lsn, int64_t ms)
{
    live->unsaved = true;
    if (!live->marked_ms || lsn < live->marked_lsn) live->marked_lsn = lsn;
    if (!live->marked_ms || ms < live->marked_ms) live->marked_ms = ms;
}

static enum status forward(struct project *project, const struct late_marks *late, struct error *error)
{
    size_t count = 0;
    struct section **to = malloc((project->live_count + 1) * sizeof *to);
    size_t *places = malloc((project->live_count + 1) * sizeof *places);
    roaring_bitmap_t **marked = calloc(project->live_count + 1, sizeof *marked);
    enum status status = to && places && marked ? STATUS_OK : STATUS_LIMIT;
    for (size_t i = 0; i < project->live_count && status == STATUS_OK; i++) {
        const struct section *section = project->live[i].section;
        if (!section->file || section->file->file_id != late->file_id) continue;
        places[count] = i;
        to[count++] = project->live[i].section;
    }
    if (status == STATUS_OK) status = forward_rows(late->from, late->rows, late->ids, to, count, error, marked);
    for (size_t i = 0; marked && i < count; i++) {
        struct live *live = &project->live[places[i]];
        if (!marked[i]) continue;
        if (status == STATUS_OK && live->pending) {
            roaring_bitmap_or_inplace(live->pending, marked[i]);
            roaring_bitmap_free(marked[i]);
        } else if (status == STATUS_OK) {
            live->pending = marked[i];
        } else {
            roaring_bitmap_free(marked[i]);
            continue;
        }
        note_marks(live, late->lsn, late->ms);
        project->changed = true;
    }
    free(to);
    free(places);
    free(marked);
    return status;
}

static void late_fini(struct late_marks *late)
{
    section_unref(late->from);
    roaring_bitmap_free(late->rows);
    id_view_unref(late->ids);
}

/* What a disk error prevents is tried again with the next snapshot: until then the deleted row shows, to those who can
 * read its block. */
void project_forward_late(struct project *project)
{
    size_t kept = 0;
    for (size_t i = 0; i < project->late_count; i++) {
        struct error error = ERROR_INIT;
        if (forward(project, &project->late[i], &error) == STATUS_OK) {
            late_fini(&project->late[i]);
            continue;
        }
        if (kept == 0) log_failure(LOG_ERROR, "cannot_forward_deleted_rows", &error);
        project->late[kept++] = project->late[i];
    }
    project->late_count = kept;
}

void project_compact_clear(struct project *project)
{
    for (size_t i = 0; i < project->late_count; i++) late_fini(&project->late[i]);
    free(project->late);
    project->late = NULL;
    project->late_count = project->late_capacity = 0;
}

/* What was deleted in an input since the outputs' marks were made. */
static enum status add_late(struct project *project, const struct project_rewrite *rewrite,
                            const struct version_section *input, struct live *live)
{
    live_publish_deletes(live);
    if (!live->deletes || live->deletes == input->deletes || rewrite->output_count == 0) return STATUS_OK;
    roaring_bitmap_t *rows = input->deletes ? roaring_bitmap_andnot(live->deletes->rows, input->deletes->rows)
                                            : roaring_bitmap_copy(live->deletes->rows);
    if (!rows) return STATUS_LIMIT;
    if (roaring_bitmap_is_empty(rows)) {
        roaring_bitmap_free(rows);
        return STATUS_OK;
    }
    if (project->late_count == project->late_capacity) {
        size_t capacity = project->late_capacity ? project->late_capacity * 2 : 16;
        struct late_marks *grown = realloc(project->late, capacity * sizeof *grown);
        if (!grown) {
            roaring_bitmap_free(rows);
            return STATUS_LIMIT;
        }
        project->late = grown;
        project->late_capacity = capacity;
    }
    project->late[project->late_count++] = (struct late_marks){.from = section_ref_take(input->section),
                                                               .rows = rows,
                                                               .ids = id_view_ref(rewrite->ids),
                                                               .file_id = rewrite->outputs[0]->file->file_id,
                                                               .lsn = rewrite->lsn,
                                                               .ms = rewrite->ms};
    return STATUS_OK;
}

/* Deletes that could not read an input are owed by every output. */
static enum status pass_on_debts(struct project *project, const struct project_rewrite *rewrite)
{
    size_t count = project->owed_count;
    for (size_t i = 0; i < count; i++) {
        bool is_input = false;
        for (size_t k = 0; k < rewrite->input_count && !is_input; k++)
            is_input = project->owed[i].section == rewrite->inputs[k].section;
        if (!is_input || rewrite->output_count == 0) continue;
        for (size_t k = 1; k < rewrite->output_count; k++) {
            if (project->owed_count == project->owed_capacity) {
                size_t capacity = project->owed_capacity * 2;
                struct delete_debt *grown = realloc(project->owed, capacity * sizeof *grown);
                if (!grown) return STATUS_LIMIT;
                project->owed = grown;
                project->owed_capacity = capacity;
            }
            project->owed[project->owed_count++] =
                (struct delete_debt){delete_order_ref(project->owed[i].order), section_ref_take(rewrite->outputs[k])};
        }
        section_unref(project->owed[i].section);
        project->owed[i].section = section_ref_take(rewrite->outputs[0]);
    }
    return STATUS_OK;
}

static void leave_file(struct live *live, const struct project_rewrite *rewrite)
{
    struct section_file *file = live->section->file;
    uint64_t lsn = live->deletes ? live->marked_lsn : rewrite->lsn;
    int64_t ms = live->deletes ? live->marked_ms : rewrite->ms;
    file->sections_live--;
    file->bytes_live -= live->section->bytes;
    if (lsn < file->marked_lsn) {
        file->marked_lsn = lsn;
        file->marked_ms = ms;
    }
    section_unref(live->section);
    deletes_unref(live->deletes);
    deletes_unref(live->saved);
    if (live->pending) roaring_bitmap_free(live->pending);
}

enum status project_replace(struct project *project, const struct project_rewrite *rewrite, struct error *error)
{
    struct live *grown = calloc(project->live_count + rewrite->output_count + 1, sizeof *grown);
    enum status status = grown ? pass_on_debts(project, rewrite) : STATUS_LIMIT;
    for (size_t i = 0; i < rewrite->input_count && status == STATUS_OK; i++) {
        struct live *live = project_find_live(project, rewrite->inputs[i].section);
        status = live ? add_late(project, rewrite, &rewrite->inputs[i], live) : STATUS_INTERNAL;
    }
    if (status != STATUS_OK) {
        free(grown);
        return error_set(error, status, "out of memory after a compaction");
    }
    size_t count = 0, seen = 0;
    for (size_t i = 0; i < project->live_count; i++) {
        struct live *live = &project->live[i];
        bool is_input = false;
        for (size_t k = 0; k < rewrite->input_count && !is_input; k++)
            is_input = live->section == rewrite->inputs[k].section;
        if (!is_input) {
            grown[count++] = *live;
            continue;
        }
        leave_file(live, rewrite);
        if (++seen < rewrite->input_count) continue;
        for (size_t k = 0; k < rewrite->output_count; k++) {
            struct live *output = &grown[count++];
            *output = (struct live){.section = section_ref_take(rewrite->outputs[k]),
                                    .surveyed_links = rewrite->outputs[k]->links_applied};
            if (!rewrite->marked[k]) continue;
            roaring_bitmap_t *rows = roaring_bitmap_copy(rewrite->marked[k]);
            output->deletes = deletes_new(rows);
            if (store_is_profiles(project->id)) output->saved = deletes_ref(output->deletes);
            output->marked_lsn = rewrite->lsn;
            output->marked_ms = rewrite->ms;
        }
    }
    free(project->live);
    project->live = grown;
    project->live_capacity = project->live_count + rewrite->output_count + 1;
    project->live_count = count;
    project->changed = true;
    project_forward_late(project);
    return STATUS_OK;
}
