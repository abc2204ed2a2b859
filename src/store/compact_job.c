#include "store/compact_job.h"

#include "base/log.h"
#include "store/bitmap.h"
#include "store/merge.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>

#define READ_CACHE_BYTES                                                                                               \
    ((size_t)64 << 20) /* a merge reads everything once: that must not drive out what queries use */

void compact_job_free(struct compact_job *job)
{
    if (!job) return;
    for (size_t i = 0; i < job->part_count; i++) {
        struct compact_part *part = &job->parts[i];
        for (size_t k = 0; k < part->input_count; k++) {
            section_unref(part->inputs[k].section);
            deletes_unref(part->inputs[k].deletes);
            if (part->now) deletes_unref(part->now[k]);
        }
        for (size_t k = 0; k < part->output_count; k++) {
            section_unref(part->outputs[k]);
            if (part->marked && part->marked[k]) roaring_bitmap_free(part->marked[k]);
        }
        free(part->inputs);
        free(part->outputs);
        free(part->now);
        free(part->now_lsn);
        free(part->now_ms);
        free(part->marked);
        id_view_unref(part->ids);
    }
    for (size_t i = 0; i < job->survey_count; i++) {
        section_unref(job->surveys[i].section);
        id_view_unref(job->surveys[i].ids);
    }
    free(job->parts);
    free(job->surveys);
    free(job);
}

/* --- writing --- */

struct output {
    struct compact_job *job;
    struct section_writer *writer;
};

static enum status write_bytes(void *context, struct str bytes)
{
    struct output *output = context;
    if (atomic_load(&output->job->cancel))
        return error_set(&output->job->error, STATUS_UNAVAILABLE, "the store is being closed");
    output->job->bytes_written += bytes.size;
    return section_writer_write(output->writer, bytes);
}

/* The inputs as they are, but read through a cache of their own. */
static struct section *private_readers(const struct compact_part *part, struct cache *cache,
                                       struct version_section **ret_inputs)
{
    struct section *readers = calloc(part->input_count + 1, sizeof *readers);
    struct version_section *inputs = calloc(part->input_count + 1, sizeof *inputs);
    if (!readers || !inputs) {
        free(readers);
        free(inputs);
        return NULL;
    }
    for (size_t i = 0; i < part->input_count; i++) {
        const struct section *from = part->inputs[i].section;
        readers[i] = (struct section){.project = from->project,
                                      .window_day = from->window_day,
                                      .window_log2 = from->window_log2,
                                      .rows = from->rows,
                                      .event_count = from->event_count,
                                      .links_applied = from->links_applied,
                                      .time_min_ms = from->time_min_ms,
                                      .time_max_ms = from->time_max_ms,
                                      .events = from->events,
                                      .filter = from->filter,
                                      .filter_kind = from->filter_kind,
                                      .persons = from->persons,
                                      .bytes = from->bytes,
                                      .image = from->image,
                                      .file = from->file,
                                      .file_base = from->file_base,
                                      .ordinal = from->ordinal,
                                      .cache = cache};
        inputs[i] = (struct version_section){&readers[i], part->inputs[i].deletes};
    }
    *ret_inputs = inputs;
    return readers;
}

static enum status write_part(struct compact_job *job, struct compact_part *part, struct section_writer *writer,
                              struct cache *cache)
{
    uint64_t base;
    size_t bad = SIZE_MAX, count = 0;
    struct version_section *inputs;
    struct merge_output *outputs = NULL;
    struct output output = {job, writer};
    TRY(section_writer_align(writer, &base));
    struct section *readers = private_readers(part, cache, &inputs);
    if (!readers) return error_set(&job->error, STATUS_LIMIT, "out of memory while compacting");
    struct merge_job merge = {.inputs = inputs,
                              .input_count = part->input_count,
                              .ids = part->ids,
                              .links_applied = part->links,
                              .fixed = true,
                              .window_day = part->day,
                              .window_log2 = part->log2,
                              .rows_max = job->rows_max,
                              .for_file = true,
                              .write = write_bytes,
                              .write_context = &output,
                              .threads = job->threads,
                              .memory_bytes_max = job->memory_bytes_max,
                              .ret_bad_input = &bad};
    enum status status = merge_sections(&merge, &job->error, &outputs, &count);
    if (bad < part->input_count) job->bad = part->inputs[bad].section;
    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        struct written_section section = {.project = part->project,
                                          .offset = base + outputs[i].offset,
                                          .size = outputs[i].size,
                                          .lsn = part->lsn,
                                          .made_ms = job->now_ms,
                                          .directory = outputs[i].directory};
        status = section_writer_add(writer, &section);
    }
    if (status == STATUS_OK) part->output_count = count;
    merge_outputs_free(outputs, count);
    free(readers);
    free(inputs);
    return status;
}

/* The outputs, from the file as it was written. */
static enum status open_parts(struct compact_job *job, const struct section_writer *writer, struct cache *cache)
{
    struct section_file *file;
    TRY(section_writer_open(writer, &file));
    enum status status = STATUS_OK;
    size_t number = 0;
    for (size_t i = 0; i < job->part_count; i++) {
        struct compact_part *part = &job->parts[i];
        size_t count = part->output_count;
        part->output_count = 0;
        part->outputs = calloc(count + 1, sizeof *part->outputs);
        part->marked = calloc(count + 1, sizeof *part->marked);
        if (!part->outputs || !part->marked)
            status = error_set(&job->error, STATUS_LIMIT, "out of memory while compacting");
        for (size_t k = 0; k < count && status == STATUS_OK; k++) {
            status = section_writer_section(writer, file, number + k, cache, &part->outputs[k]);
            if (status == STATUS_OK) part->output_count++;
        }
        number += count;
    }
    section_file_unref(file);
    return status;
}

void compact_job_write(struct compact_job *job, struct os_fs *fs, struct manifest *manifest, struct cache *cache)
{
    struct section_writer writer = {.bytes_per_second = job->bytes_per_second};
    struct cache *own = cache_new(READ_CACHE_BYTES);
    job->file_id = manifest_take_ids(manifest, 2);
    atomic_store(&manifest->busy_file_id, job->file_id);
    enum status status = section_writer_begin(&writer, fs, manifest->node, job->file_id, job->applied_lsn, &job->error);
    for (size_t i = 0; i < job->part_count && status == STATUS_OK; i++)
        status = write_part(job, &job->parts[i], &writer, own);
    job->has_file = status == STATUS_OK && writer.count > 0;
    if (job->has_file) {
        status = section_writer_finish(&writer, &job->file);
        if (status == STATUS_OK) status = os_sync_dir(fs, "events", &job->error);
        if (status == STATUS_OK) status = open_parts(job, &writer, cache);
    }
    if (status != STATUS_OK || !job->has_file) {
        for (size_t i = 0; i < job->part_count; i++) {
            if (!job->parts[i].outputs) job->parts[i].output_count = 0;
        }
        section_writer_abort(&writer);
    }
    if (status != STATUS_OK) atomic_store(&manifest->busy_file_id, 0);
    section_writer_fini(&writer);
    cache_free(own);
    if (status != STATUS_OK && job->error.status == STATUS_OK)
        error_set(&job->error, status, "out of memory while compacting");
    job->status = status;
}

void compact_job_discard(struct compact_job *job, struct os_fs *fs, struct manifest *manifest)
{
    if (job->has_file) event_file_remove(fs, job->file_id, "sec");
    atomic_store(&manifest->busy_file_id, 0);
}

/* --- committing --- */

static enum status forward_part(struct compact_job *job, struct compact_part *part)
{
    for (size_t i = 0; i < part->input_count; i++) {
        if (!part->now[i]) continue;
        const struct deletes *frozen = part->inputs[i].deletes;
        roaring_bitmap_t *late =
            frozen ? roaring_bitmap_andnot(part->now[i]->rows, frozen->rows) : roaring_bitmap_copy(part->now[i]->rows);
        if (!late) return error_set(&job->error, STATUS_LIMIT, "out of memory while compacting");
        enum status status = STATUS_OK;
        if (!roaring_bitmap_is_empty(late))
            status = forward_rows(part->inputs[i].section, late, part->ids, part->outputs, part->output_count,
                                  &job->error, part->marked);
        roaring_bitmap_free(late);
        if (status != STATUS_OK) return status;
    }
    return STATUS_OK;
}

/* The delete file of the new sections, if one is needed. */
static enum status write_marks(struct compact_job *job, struct os_fs *fs, const struct manifest *manifest,
                               struct manifest_deletes **ret_entries, size_t *ret_count)
{
    size_t total = 0, count = 0;
    for (size_t i = 0; i < job->part_count; i++) total += job->parts[i].output_count;
    const roaring_bitmap_t **rows = calloc(total + 1, sizeof *rows);
    struct manifest_deletes *entries = calloc(total + 1, sizeof *entries);
    enum status status = rows && entries ? STATUS_OK : STATUS_LIMIT;
    for (size_t i = 0; i < job->part_count && status == STATUS_OK; i++) {
        const struct compact_part *part = &job->parts[i];
        for (size_t k = 0; k < part->output_count; k++) {
            if (!part->marked[k]) continue;
            rows[count] = part->marked[k];
            entries[count++] = (struct manifest_deletes){.section_file = job->file_id,
                                                         .ordinal = part->outputs[k]->ordinal,
                                                         .marked_lsn = part->marks_lsn,
                                                         .marked_ms = job->now_ms};
        }
    }
    if (status == STATUS_OK && count) {
        status = delete_file_write(fs, manifest->node, job->file_id + 1, job->applied_lsn, rows, entries, count,
                                   &job->error);
        if (status == STATUS_OK) status = os_sync_dir(fs, "events", &job->error);
        if (status != STATUS_OK) event_file_remove(fs, job->file_id + 1, "del");
    }
    free(rows);
    if (status != STATUS_OK) {
        free(entries);
        return status;
    }
    *ret_entries = entries;
    *ret_count = count;
    return STATUS_OK;
}

/* A dead section still holds its rows: not only those that are deleted in it, but also what is deleted elsewhere from
 * now on. */
static enum status list_dead(const struct compact_job *job, struct manifest_dead **ret_dead, size_t *ret_count)
{
    size_t total = 0, count = 0;
    for (size_t i = 0; i < job->part_count; i++) total += job->parts[i].input_count;
    struct manifest_dead *dead = calloc(total + 1, sizeof *dead);
    if (!dead) return STATUS_LIMIT;
    for (size_t i = 0; i < job->part_count; i++) {
        const struct compact_part *part = &job->parts[i];
        for (size_t k = 0; k < part->input_count; k++) {
            const struct section *section = part->inputs[k].section;
            dead[count++] =
                (struct manifest_dead){section->file->file_id, section->ordinal, part->now_lsn[k], part->now_ms[k]};
        }
    }
    *ret_dead = dead;
    *ret_count = count;
    return STATUS_OK;
}

void compact_job_commit(struct compact_job *job, struct os_fs *fs, struct manifest *manifest)
{
    enum status status = STATUS_OK;
    struct manifest_deletes *entries = NULL;
    struct manifest_dead *dead = NULL;
    size_t entry_count = 0, dead_count = 0, old_count = 0;
    bool tried = false;
    for (size_t i = 0; i < job->part_count && status == STATUS_OK; i++) status = forward_part(job, &job->parts[i]);
    uint64_t *old_deletes = delete_files(manifest, &old_count);
    if (!old_deletes && status == STATUS_OK) status = STATUS_LIMIT;
    if (status == STATUS_OK) status = list_dead(job, &dead, &dead_count);
    if (status == STATUS_OK) status = write_marks(job, fs, manifest, &entries, &entry_count);
    if (status == STATUS_OK) {
        struct manifest_edit edit = {.flushed_lsn = manifest->flushed_lsn,
                                     .next_file_id = manifest->next_file_id,
                                     .add_sections = &job->file,
                                     .add_section_count = job->has_file,
                                     .drop_sections = dead,
                                     .drop_section_count = dead_count,
                                     .deletes = entries,
                                     .delete_count = entry_count};
        tried = true;
        status = manifest_append(manifest, &edit, &job->error);
    }
    if (status == STATUS_OK) {
        for (size_t i = 0; i < dead_count; i++) {
            bool repeated = false;
            for (size_t k = 0; k < i && !repeated; k++) repeated = dead[k].section_file == dead[i].section_file;
            if (!repeated && !manifest_has_file(manifest, dead[i].section_file))
                event_file_remove(fs, dead[i].section_file, "sec");
        }
        delete_files_sweep(fs, manifest, old_deletes, old_count);
    } else if (!tried && job->has_file) {
        event_file_remove(fs, job->file_id, "sec");
        event_file_remove(fs, job->file_id + 1, "del");
    } /* an edit that failed may yet count: the files stay until a new manifest says that it does not */
    atomic_store(&manifest->busy_file_id, 0);
    free(entries);
    free(dead);
    free(old_deletes);
    if (status != STATUS_OK && job->error.status == STATUS_OK)
        error_set(&job->error, status, "out of memory while compacting");
    job->status = status;
}

/* --- surveys --- */

void compact_job_survey(struct compact_job *job)
{
    for (size_t i = 0; i < job->survey_count; i++) {
        struct compact_survey *survey = &job->surveys[i];
        struct pinned pinned;
        struct error error;
        if (section_fetch(survey->section, survey->section->persons, &error, &pinned) != STATUS_OK) continue;
        roaring_bitmap_t *persons = bitmap_read(pinned.bytes);
        pinned_release(&pinned);
        roaring_bitmap_t *moved = roaring_bitmap_create();
        for (uint32_t link = survey->section->links_applied; moved && link < survey->links; link++)
            roaring_bitmap_add(moved, id_view_moved(survey->ids, link));
        if (moved) roaring_bitmap_remove(moved, 0);
        if (persons && moved) {
            survey->persons = (uint32_t)roaring_bitmap_get_cardinality(persons);
            survey->moved = (uint32_t)roaring_bitmap_and_cardinality(persons, moved);
        }
        if (persons) roaring_bitmap_free(persons);
        if (moved) roaring_bitmap_free(moved);
    }
    job->status = STATUS_OK;
}
