#include "store/flush.h"

#include "base/civil.h"
#include "base/log.h"
#include "store/delete.h"
#include "store/merge.h"
#include "store/pile.h"
#include "store/profiles.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define SECTIONS_PER_FLUSH_MAX 128
#define CATALOG_BYTES_MAX      ((size_t)4 << 30)
#define DEBT_BYTES_MAX         ((size_t)64 << 20)
#define CATALOG_FILES_RUN      8

/* --- the job --- */

struct flush_job *flush_job_new(uint64_t flushed_lsn, int64_t now_ms)
{
    struct flush_job *job = calloc(1, sizeof *job);
    if (!job) return NULL;
    job->flushed_lsn = flushed_lsn;
    job->now_ms = now_ms;
    catalog_out_init(&job->catalog, CATALOG_BYTES_MAX);
    job->debts = BUF_INIT(DEBT_BYTES_MAX);
    return job;
}

static void release(struct version_section *sections, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        section_unref(sections[i].section);
        deletes_unref(sections[i].deletes);
    }
    free(sections);
}

void flush_job_free(struct flush_job *job)
{
    if (!job) return;
    for (size_t i = 0; i < job->project_count; i++) {
        struct flush_project *part = &job->projects[i];
        release(part->inputs, part->input_count);
        release(part->deleted, part->deleted_count);
        for (size_t s = 0; s < part->output_count; s++) section_unref(part->outputs[s]);
        free(part->outputs);
        free(part->marks);
        compact_layout_free(part->layout);
        id_view_unref(part->ids);
    }
    free(job->projects);
    free(job->dropped);
    free(job->dead);
    catalog_out_fini(&job->catalog);
    buf_fini(&job->debts);
    free(job);
}

static void save_names(struct catalog_out *out, uint64_t project, enum catalog_kind kind, const struct names *names,
                       uint32_t first)
{
    while (first < names_count(names) && !out->failed) {
        catalog_begin(out, project, kind, first);
        uint32_t count = names_export(names, first, CATALOG_BLOCK_BYTES, &out->bytes);
        catalog_end(out, count);
        first += count;
    }
}

/* What the catalog files do not hold; everything, when they are to be written anew. */
static enum status save_catalog(struct flush_job *job, struct flush_project *part, struct project *project)
{
    part->saved_events = names_count(project->events);
    part->saved_properties = names_count(project->properties);
    part->saved_ids = id_graph_mark(project->ids);
    /* What a flush wrote while the project was dropped is not noted as saved: it must not be written again. */
    part->left_out = project->dropped;
    if (project->dropped) return STATUS_OK;
    bool all = job->renew_catalog;
    save_names(&job->catalog, project->id, CATALOG_EVENTS, project->events, all ? 0 : project->saved_events);
    save_names(&job->catalog, project->id, CATALOG_PROPERTIES, project->properties,
               all ? 0 : project->saved_properties);
    id_graph_save(project->ids, all ? (struct id_mark){0} : project->saved_ids, project->id, &job->catalog);
    return catalog_out_status(&job->catalog);
}

enum status flush_job_project(struct flush_job *job, struct project *project, const struct compact_options *options)
{
    struct flush_project *grown = realloc(job->projects, (job->project_count + 1) * sizeof *grown);
    if (!grown) return STATUS_LIMIT;
    job->projects = grown;
    struct flush_project *part = &job->projects[job->project_count];
    *part = (struct flush_project){.project = project->id};
    TRY(project_flush_begin(project, &part->inputs, &part->input_count));
    job->project_count++;
    part->ids = id_graph_view(project->ids);
    part->links_applied = id_graph_mark(project->ids).links;
    part->deleted = calloc(project->flush_first ? project->flush_first : 1, sizeof *part->deleted);
    part->marks = calloc(project->flush_first ? project->flush_first : 1, sizeof *part->marks);
    if (!part->deleted || !part->marks) return STATUS_LIMIT;
    if (part->input_count) TRY(project_layout(project, job->now_ms, options, &part->layout));
    for (size_t i = 0; i < project->flush_first; i++) {
        struct live *live = &project->live[i];
        if (!live->unsaved) continue;
        live_publish_deletes(live);
        live->unsaved = false;
        part->marks[part->deleted_count] = (struct manifest_deletes){.section_file = live->section->file->file_id,
                                                                     .ordinal = live->section->ordinal,
                                                                     .marked_lsn = live->marked_lsn,
                                                                     .marked_ms = live->marked_ms};
        part->deleted[part->deleted_count++] =
            (struct version_section){section_ref_take(live->section), deletes_ref(live->deletes)};
    }
    project_debts_write(project, &job->debts);
    TRY(buf_status(&job->debts));
    return save_catalog(job, part, project);
}

enum status flush_job_finish(struct flush_project *part, const struct flush_job *job, struct project *project,
                             struct error *error)
{
    if (job->status != STATUS_OK) {
        project_flush_abort(project);
        id_graph_not_saved(project->ids);
        for (size_t d = 0; d < part->deleted_count; d++) {
            for (size_t i = 0; i < project->live_count; i++) {
                if (project->live[i].section == part->deleted[d].section) project->live[i].unsaved = true;
            }
        }
        return STATUS_OK;
    }
    for (size_t d = 0; d < part->deleted_count && store_is_profiles(project->id); d++) {
        struct live *live = project_find_live(project, part->deleted[d].section);
        if (!live) continue;
        deletes_unref(live->saved);
        live->saved = deletes_ref(part->deleted[d].deletes);
    }
    project->flushed_lsn = job->flushed_lsn;
    project->saved_events = part->saved_events;
    project->saved_properties = part->saved_properties;
    project->saved_ids = part->saved_ids;
    id_graph_saved(project->ids, part->saved_ids);
    project_note_flushed(project, part->ids, part->links_applied);
    if (job->renew_catalog && part->left_out) project->catalogued = false;
    if (job->renew_catalog && project->forgot_lsn) {
        /* Who was forgotten since is in the new files. */
        bool more = id_graph_mark(project->ids).forgotten > part->saved_ids.forgotten;
        project->forgot_lsn = more ? job->flushed_lsn + 1 : 0;
    }
    return project_flush_end(project, part->outputs, part->output_count, error);
}

/* --- writing files --- */

struct written {
    struct manifest_file sections, catalog;
    bool has_sections, has_catalog;
    struct manifest_deletes *deletes;
    size_t delete_count;
    uint64_t delete_file;
    uint64_t *joined; /* catalog files that the new one replaces */
    size_t joined_count;
};

static void window_of(void *layout, int64_t day, int64_t *ret_day, uint32_t *ret_log2)
{
    compact_layout_window(layout, day, 0, ret_day, ret_log2);
}

/* Inputs of a merge are all piles or none: when somebody has looked into some, the others become images as well. */
static enum status settle_inputs(struct flush_job *job, struct flush_project *part, size_t memory_bytes_max)
{
    size_t kept = 0;
    bool images = false;
    for (size_t i = 0; i < part->input_count; i++) {
        struct version_section input = part->inputs[i];
        if (input.section->pile && input.section->pile->dead_count == input.section->pile->count) {
            section_unref(input.section);
            continue;
        }
        images |= !input.section->pile;
        part->inputs[kept++] = input;
    }
    part->input_count = kept;
    for (size_t i = 0; i < kept && images; i++) {
        struct section *pile = part->inputs[i].section, *sorted;
        if (!pile->pile) continue;
        TRY(section_of_pile(pile, part->ids, part->links_applied, memory_bytes_max, &job->error, &sorted));
        section_unref(pile);
        part->inputs[i].section = sorted;
    }
    return STATUS_OK;
}

/* The project's sections, one per window, to the file. */
static enum status write_project(struct flush_job *job, struct flush_project *part, struct section_writer *writer,
                                 size_t memory_bytes_max)
{
    struct merge_job merge = {.inputs = part->inputs,
                              .input_count = part->input_count,
                              .ids = part->ids,
                              .links_applied = part->links_applied,
                              .split = true,
                              .outputs_max = SECTIONS_PER_FLUSH_MAX,
                              .window_of = part->layout ? window_of : NULL,
                              .window_context = part->layout,
                              .hot_day = floor_div(job->now_ms, DAY_MS),
                              .for_file = true,
                              .memory_bytes_max = memory_bytes_max};
    struct merge_output *outputs;
    size_t count;
    TRY(settle_inputs(job, part, memory_bytes_max));
    if (!part->input_count) return STATUS_OK;
    merge.input_count = part->input_count;
    TRY(merge_sections(&merge, &job->error, &outputs, &count));
    enum status status = STATUS_OK;
    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        struct written_section section = {.project = part->project,
                                          .size = outputs[i].size,
                                          .lsn = job->flushed_lsn,
                                          .made_ms = job->now_ms,
                                          .directory = outputs[i].directory};
        status = section_writer_align(writer, &section.offset);
        if (status == STATUS_OK) status = section_writer_write(writer, buf_str(&outputs[i].image));
        if (status == STATUS_OK) status = section_writer_add(writer, &section);
        buf_fini(&outputs[i].image);
    }
    merge_outputs_free(outputs, count);
    return status;
}

static enum status open_outputs(struct flush_job *job, const struct section_writer *writer, struct cache *cache)
{
    struct section_file *file;
    TRY(section_writer_open(writer, &file));
    enum status status = STATUS_OK;
    size_t number = 0;
    for (size_t i = 0; i < job->project_count && status == STATUS_OK; i++) {
        struct flush_project *part = &job->projects[i];
        size_t count = 0;
        while (number + count < writer->count && writer->sections[number + count].project == part->project) count++;
        part->outputs = calloc(count ? count : 1, sizeof *part->outputs);
        if (!part->outputs) status = STATUS_LIMIT;
        for (size_t s = 0; s < count && status == STATUS_OK; s++) {
            status = section_writer_section(writer, file, number + s, cache, &part->outputs[s]);
            if (status == STATUS_OK) part->output_count++;
        }
        number += count;
    }
    section_file_unref(file);
    return status;
}

/* One section file for all projects; its sections are opened from it. */
static enum status write_sections(struct flush_job *job, struct os_fs *fs, struct manifest *manifest,
                                  struct cache *cache, uint64_t file_id, size_t memory_bytes_max,
                                  struct written *written)
{
    struct section_writer writer = {0};
    enum status status = STATUS_OK;
    for (size_t i = 0; i < job->project_count && status == STATUS_OK; i++) {
        struct flush_project *part = &job->projects[i];
        if (part->input_count == 0) continue;
        if (!writer.fs)
            status = section_writer_begin(&writer, fs, manifest->node, file_id, job->flushed_lsn, &job->error);
        if (status == STATUS_OK) status = write_project(job, part, &writer, memory_bytes_max);
    }
    if (status == STATUS_OK && writer.count) {
        status = section_writer_finish(&writer, &written->sections);
        if (status == STATUS_OK) status = open_outputs(job, &writer, cache);
        written->has_sections = true;
        job->bytes_written += writer.offset;
    } else {
        section_writer_abort(&writer); /* or nothing lived */
    }
    section_writer_fini(&writer);
    return status;
}

/* How many of the newest catalog files are joined with what is new: all when they are renewed; else the newest run in
 * which no file is much larger than all behind it, once it is long. */
static size_t catalog_run(const struct flush_job *job, const struct manifest *manifest)
{
    if (job->renew_catalog) return manifest->catalog_count;
    uint64_t sum = job->catalog.bytes.size + 65536;
    size_t run = 0;
    while (run < manifest->catalog_count && manifest->catalogs[manifest->catalog_count - 1 - run].size <= sum * 4)
        sum += manifest->catalogs[manifest->catalog_count - 1 - run++].size;
    return run >= CATALOG_FILES_RUN ? run : 0;
}

/* `old`: the files that are joined, all but for renewing; their content comes before what is new. */
static enum status join_catalogs(struct flush_job *job, struct os_fs *fs, const struct manifest *manifest,
                                 uint64_t file_id, const struct manifest_file *old, size_t count,
                                 struct manifest_file *ret_file)
{
    struct catalog_file *sources = calloc(count + 1, sizeof *sources);
    struct os_file **handles = calloc(count + 1, sizeof *handles);
    enum status status =
        sources && handles ? STATUS_OK : error_set(&job->error, STATUS_LIMIT, "out of memory while flushing");
    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        char name[64];
        event_file_name(name, old[i].file_id, "cat");
        status = os_open(fs, name, OS_READ, &job->error, &handles[i]);
        if (status != STATUS_OK) break;
        status = catalog_open(handles[i], name, &old[i], manifest->node, &job->error, &sources[i]);
        if (status != STATUS_OK) error_prefix(&job->error, "file %s", name);
    }
    if (status == STATUS_OK) {
        catalog_of_out(&job->catalog, &sources[count]);
        status = catalog_join(fs, manifest->node, file_id, job->flushed_lsn, sources, count + 1, &job->error, ret_file);
    }
    for (size_t i = 0; i < count && sources && handles; i++) {
        catalog_fini(&sources[i]);
        os_close(handles[i]);
    }
    free(sources);
    free(handles);
    return status;
}

static enum status write_catalog(struct flush_job *job, struct os_fs *fs, struct manifest *manifest, uint64_t file_id,
                                 struct written *written)
{
    if (job->catalog.count == 0 && !job->renew_catalog) return STATUS_OK;
    size_t run = catalog_run(job, manifest);
    const struct manifest_file *old = run ? &manifest->catalogs[manifest->catalog_count - run] : NULL;
    written->joined = calloc(run + 1, sizeof *written->joined);
    if (!written->joined) return error_set(&job->error, STATUS_LIMIT, "out of memory while flushing");
    for (size_t i = 0; i < run; i++) written->joined[written->joined_count++] = old[i].file_id;
    if (job->catalog.count == 0) return STATUS_OK; /* nothing is left */
    TRY(join_catalogs(job, fs, manifest, file_id, old, job->renew_catalog ? 0 : run, &written->catalog));
    job->bytes_written += written->catalog.size;
    written->has_catalog = true;
    return STATUS_OK;
}

static enum status write_deletes(struct flush_job *job, struct os_fs *fs, struct manifest *manifest, uint64_t file_id,
                                 struct written *written)
{
    size_t total = 0;
    for (size_t i = 0; i < job->project_count; i++) total += job->projects[i].deleted_count;
    if (total == 0) return STATUS_OK;
    const roaring_bitmap_t **rows = calloc(total, sizeof *rows);
    written->deletes = calloc(total, sizeof *written->deletes);
    enum status status = rows && written->deletes ? STATUS_OK : STATUS_LIMIT;
    for (size_t i = 0; i < job->project_count && status == STATUS_OK; i++) {
        const struct flush_project *part = &job->projects[i];
        for (size_t d = 0; d < part->deleted_count; d++) {
            rows[written->delete_count] = part->deleted[d].deletes->rows;
            written->deletes[written->delete_count++] = part->marks[d];
        }
    }
    if (status == STATUS_OK)
        status = delete_file_write(fs, manifest->node, file_id, job->flushed_lsn, rows, written->deletes,
                                   written->delete_count, &job->error);
    free(rows);
    return status;
}

/* What a flush has written before it failed; a full disk must not fill up with attempts. */
static void remove_files(struct os_fs *fs, uint64_t first_id)
{
    static const char *const kinds[] = {"sec", "cat", "del"};
    for (uint64_t i = 0; i < 3; i++) event_file_remove(fs, first_id + i, kinds[i]);
}

static enum status append_edit(struct flush_job *job, struct manifest *manifest, const struct written *written)
{
    struct manifest_edit edit = {.flushed_lsn = job->flushed_lsn,
                                 .next_file_id = manifest->next_file_id,
                                 .add_sections = &written->sections,
                                 .add_section_count = written->has_sections,
                                 .add_catalogs = &written->catalog,
                                 .add_catalog_count = written->has_catalog,
                                 .remove_catalogs = written->joined,
                                 .remove_catalog_count = written->joined_count,
                                 .drop_sections = job->dead,
                                 .drop_section_count = job->dead_count,
                                 .deletes = written->deletes,
                                 .delete_count = written->delete_count,
                                 .drop_projects = job->dropped,
                                 .drop_project_count = job->dropped_count};
    struct str debts = buf_str(&job->debts);
    if (!str_eq(debts, str_from(manifest->debts, manifest->debt_size))) edit.debts = &debts;
    return manifest_append(manifest, &edit, &job->error);
}

void flush_job_run(struct flush_job *job, struct os_fs *fs, struct manifest *manifest, struct cache *cache,
                   size_t memory_bytes_max)
{
    struct written written = {0};
    enum status status = STATUS_OK;
    if (manifest->failed) {
        /* An edit that failed may yet count after a crash, one that was read may not: no file is touched until a new
         * manifest says so. */
        status = manifest_renew(manifest, &job->error);
        if (status == STATUS_OK) files_sweep(fs, manifest);
    }
    /* A number is used once, even when the flush fails: for the reason above, and because the cache knows blocks by
     * file number. */
    uint64_t id = manifest_take_ids(manifest, 3);
    if (status == STATUS_OK) status = write_sections(job, fs, manifest, cache, id, memory_bytes_max, &written);
    if (status == STATUS_OK) status = write_catalog(job, fs, manifest, id + 1, &written);
    if (status == STATUS_OK) status = write_deletes(job, fs, manifest, id + 2, &written);
    if (status == STATUS_OK) status = os_sync_dir(fs, "events", &job->error);
    size_t old_count = 0;
    uint64_t *old_deletes = delete_files(manifest, &old_count);
    if (!old_deletes) status = STATUS_LIMIT;
    if (status != STATUS_OK)
        remove_files(fs, id);
    else
        status = append_edit(job, manifest, &written);
    if (status == STATUS_OK) {
        for (size_t i = 0; i < written.joined_count; i++) event_file_remove(fs, written.joined[i], "cat");
        for (size_t i = 0; i < job->dead_count; i++) {
            if (!manifest_has_file(manifest, job->dead[i].section_file))
                event_file_remove(fs, job->dead[i].section_file, "sec");
        }
        delete_files_sweep(fs, manifest, old_deletes, old_count);
    }
    free(old_deletes);
    free(written.deletes);
    free(written.joined);
    if (status != STATUS_OK && job->error.status == STATUS_OK)
        error_set(&job->error, status, "out of memory while flushing");
    job->status = status;
}
