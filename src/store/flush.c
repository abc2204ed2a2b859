#include "store/flush.h"

#include "base/hash.h"
#include "base/log.h"
#include "os/clock.h"
#include "store/merge.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define SECTIONS_PER_FLUSH_MAX 64
#define CATALOG_BYTES_MAX      ((size_t)4 << 30)
#define CATALOG_FILES_RUN      8
#define TRAILER_BYTES          32

static const char section_magic[8] = "CAIRNSEC", catalog_magic[8] = "CAIRNCAT", delete_magic[8] = "CAIRNDEL";
static const char end_magic[8] = "CAIRNEND";

static void event_file_name(char out[64], uint64_t id, const char *kind)
{
    snprintf(out, 64, "events/%016llx.%s", (unsigned long long)id, kind);
}

/* --- the job --- */

struct flush_job *flush_job_new(uint64_t flushed_lsn)
{
    struct flush_job *job = calloc(1, sizeof *job);
    if (!job) return NULL;
    job->flushed_lsn = flushed_lsn;
    job->catalog = BUF_INIT(CATALOG_BYTES_MAX);
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
        id_view_unref(part->ids);
    }
    free(job->projects);
    free(job->dropped);
    buf_fini(&job->catalog);
    free(job);
}

static enum status export_catalog(struct flush_job *job, struct flush_project *part, struct project *project)
{
    part->saved_events = names_count(project->events);
    part->saved_properties = names_count(project->properties);
    part->saved_ids = id_graph_mark(project->ids);
    bool nothing = part->input_count == 0 && part->saved_events == project->saved_events &&
                   part->saved_properties == project->saved_properties &&
                   part->saved_ids.ids == project->saved_ids.ids && part->saved_ids.links == project->saved_ids.links &&
                   part->saved_ids.forgotten == project->saved_ids.forgotten;
    if (job->renew_catalog) {
        if (project->dropped) return STATUS_OK;
        buf_varint(&job->catalog, project->id);
        names_export(project->events, 0, &job->catalog);
        names_export(project->properties, 0, &job->catalog);
        id_graph_export(project->ids, (struct id_mark){0}, &job->catalog);
        return buf_status(&job->catalog);
    }
    if (nothing) return STATUS_OK;
    buf_varint(&job->catalog, project->id);
    names_export(project->events, project->saved_events, &job->catalog);
    names_export(project->properties, project->saved_properties, &job->catalog);
    id_graph_export(project->ids, project->saved_ids, &job->catalog);
    return buf_status(&job->catalog);
}

enum status flush_job_project(struct flush_job *job, struct project *project)
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
    if (!part->deleted) return STATUS_LIMIT;
    for (size_t i = 0; i < project->flush_first; i++) {
        struct live *live = &project->live[i];
        if (!live->unsaved) continue;
        live_publish_deletes(live);
        live->unsaved = false;
        part->deleted[part->deleted_count++] =
            (struct version_section){section_ref_take(live->section), deletes_ref(live->deletes)};
    }
    return export_catalog(job, part, project);
}

enum status flush_job_finish(struct flush_project *part, const struct flush_job *job, struct project *project,
                             struct error *error)
{
    if (job->status != STATUS_OK) {
        project_flush_abort(project);
        for (size_t d = 0; d < part->deleted_count; d++) {
            for (size_t i = 0; i < project->live_count; i++) {
                if (project->live[i].section == part->deleted[d].section) project->live[i].unsaved = true;
            }
        }
        return STATUS_OK;
    }
    project->saved_events = part->saved_events;
    project->saved_properties = part->saved_properties;
    project->saved_ids = part->saved_ids;
    if (job->renew_catalog && project->forgot_lsn) {
        /* Who was forgotten since is in the new files. */
        bool more = id_graph_mark(project->ids).forgotten > part->saved_ids.forgotten;
        project->forgot_lsn = more ? job->flushed_lsn + 1 : 0;
    }
    return project_flush_end(project, part->outputs, part->output_count, error);
}

/* --- writing files --- */

/* A file written in one go: header, content, sync. The directory is synced once for all files of a job. */
static enum status write_file(struct os_fs *fs, const char *name, const struct str *pieces, size_t count,
                              struct error *error)
{
    struct os_file *file;
    TRY(os_open(fs, name, OS_WRITE | OS_CREATE, error, &file));
    uint64_t offset = 0;
    enum status status = os_truncate(file, 0, error);
    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        status = os_pwrite(file, pieces[i].data, pieces[i].size, offset, error);
        offset += pieces[i].size;
    }
    if (status == STATUS_OK) status = os_sync(file, error);
    os_close(file);
    return status;
}

struct written {
    struct manifest_file sections, catalog;
    bool has_sections, has_catalog;
    struct manifest_deletes *deletes;
    size_t delete_count;
    uint64_t delete_file;
    uint64_t *joined; /* catalog files that the new one replaces */
    size_t joined_count;
};

static enum status merge_projects(struct flush_job *job, struct merge_output ***ret_outputs, size_t **ret_counts,
                                  size_t memory_bytes_max)
{
    struct merge_output **outputs = calloc(job->project_count + 1, sizeof *outputs);
    size_t *counts = calloc(job->project_count + 1, sizeof *counts);
    enum status status = outputs && counts ? STATUS_OK : STATUS_LIMIT;
    for (size_t i = 0; i < job->project_count && status == STATUS_OK; i++) {
        struct flush_project *part = &job->projects[i];
        if (part->input_count == 0) continue;
        struct merge_job merge = {.inputs = part->inputs,
                                  .input_count = part->input_count,
                                  .ids = part->ids,
                                  .links_applied = part->links_applied,
                                  .split = true,
                                  .outputs_max = SECTIONS_PER_FLUSH_MAX,
                                  .memory_bytes_max = memory_bytes_max};
        status = merge_sections(&merge, &job->error, &outputs[i], &counts[i]);
    }
    *ret_outputs = outputs;
    *ret_counts = counts;
    return status;
}

/* One section file for all projects; its sections are opened from it. */
static enum status write_sections(struct flush_job *job, struct os_fs *fs, struct manifest *manifest,
                                  struct cache *cache, struct merge_output **outputs, const size_t *counts,
                                  uint64_t file_id, struct written *written)
{
    size_t total = 0;
    for (size_t i = 0; i < job->project_count; i++) total += counts[i];
    if (total == 0) return STATUS_OK;
    struct str *pieces = calloc(total * 2 + 3, sizeof *pieces);
    struct buf footer = BUF_INIT((size_t)64 << 20);
    static const char zeros[64];
    unsigned char header[FILE_HEADER];
    if (!pieces) return error_set(&job->error, STATUS_LIMIT, "out of memory while flushing");
    file_header_write(header, section_magic, manifest->node, file_id, job->flushed_lsn);
    size_t count = 0;
    uint64_t offset = FILE_HEADER;
    pieces[count++] = str_from(header, sizeof header);
    buf_u32(&footer, (uint32_t)total);
    for (size_t i = 0; i < job->project_count; i++) {
        for (size_t s = 0; s < counts[i]; s++) {
            const struct merge_output *output = &outputs[i][s];
            buf_u64(&footer, job->projects[i].project);
            buf_u64(&footer, offset);
            buf_u64(&footer, output->image.size);
            section_ref_write(&footer, output->directory);
            pieces[count++] = buf_str(&output->image);
            size_t pad = (64 - output->image.size % 64) % 64;
            pieces[count++] = str_from(zeros, pad);
            offset += output->image.size + pad;
        }
    }
    struct buf trailer = BUF_INIT(TRAILER_BYTES);
    uint64_t check = hash_bytes(footer.data, footer.size, 0);
    uint64_t size = offset + footer.size + TRAILER_BYTES;
    buf_u64(&trailer, footer.size);
    buf_u64(&trailer, check);
    buf_u64(&trailer, size);
    buf_add(&trailer, end_magic, 8);
    pieces[count++] = buf_str(&footer);
    pieces[count++] = buf_str(&trailer);
    char name[64];
    event_file_name(name, file_id, "sec");
    enum status status = buf_status(&footer);
    if (status == STATUS_OK) status = write_file(fs, name, pieces, count, &job->error);
    buf_fini(&trailer);
    free(pieces);
    struct section_file *file = NULL;
    if (status == STATUS_OK) {
        file = calloc(1, sizeof *file);
        status = file ? os_open(fs, name, OS_READ, &job->error, &file->file) : STATUS_LIMIT;
        if (status == STATUS_OK) {
            atomic_init(&file->refs, 1);
            file->file_id = file_id;
        } else {
            free(file);
            file = NULL;
        }
    }
    offset = FILE_HEADER;
    uint32_t ordinal = 0;
    for (size_t i = 0; i < job->project_count && status == STATUS_OK; i++) {
        struct flush_project *part = &job->projects[i];
        part->outputs = calloc(counts[i] ? counts[i] : 1, sizeof *part->outputs);
        if (!part->outputs) status = STATUS_LIMIT;
        for (size_t s = 0; s < counts[i] && status == STATUS_OK; s++) {
            const struct merge_output *output = &outputs[i][s];
            status = section_open_file(file, cache, offset, output->image.size, output->directory, part->project,
                                       ordinal++, &job->error, &part->outputs[s]);
            if (status == STATUS_OK) part->output_count++;
            offset += output->image.size + (64 - output->image.size % 64) % 64;
        }
    }
    section_file_unref(file);
    buf_fini(&footer);
    written->sections = (struct manifest_file){file_id, size, check};
    written->has_sections = true;
    return status;
}

static enum status write_catalog_file(struct flush_job *job, struct os_fs *fs, const struct manifest *manifest,
                                      uint64_t file_id, struct str content, struct written *written)
{
    unsigned char header[FILE_HEADER];
    char name[64];
    file_header_write(header, catalog_magic, manifest->node, file_id, job->flushed_lsn);
    struct str pieces[] = {str_from(header, sizeof header), content};
    event_file_name(name, file_id, "cat");
    TRY(write_file(fs, name, pieces, 2, &job->error));
    written->catalog =
        (struct manifest_file){file_id, FILE_HEADER + content.size, hash_bytes(content.data, content.size, 0)};
    written->has_catalog = true;
    return STATUS_OK;
}

/* One file instead of all there are. */
static enum status renew_catalog(struct flush_job *job, struct os_fs *fs, const struct manifest *manifest,
                                 uint64_t file_id, struct written *written)
{
    written->joined = calloc(manifest->catalog_count + 1, sizeof *written->joined);
    if (!written->joined) return error_set(&job->error, STATUS_LIMIT, "out of memory while flushing");
    for (size_t i = 0; i < manifest->catalog_count; i++)
        written->joined[written->joined_count++] = manifest->catalogs[i].file_id;
    return write_catalog_file(job, fs, manifest, file_id, buf_str(&job->catalog), written);
}

/* Many small catalog files are joined with the new piece: the newest run in which no file is much larger than all
 * behind it. */
static enum status write_catalog(struct flush_job *job, struct os_fs *fs, struct manifest *manifest, uint64_t file_id,
                                 struct written *written)
{
    if (job->catalog.size == 0) return STATUS_OK;
    if (job->renew_catalog) return renew_catalog(job, fs, manifest, file_id, written);
    uint64_t sum = job->catalog.size + 65536;
    size_t run = 0;
    while (run < manifest->catalog_count && manifest->catalogs[manifest->catalog_count - 1 - run].size <= sum * 4)
        sum += manifest->catalogs[manifest->catalog_count - 1 - run++].size;
    struct buf content = BUF_INIT(CATALOG_BYTES_MAX);
    enum status status = STATUS_OK;
    if (run >= CATALOG_FILES_RUN) {
        written->joined = calloc(run, sizeof *written->joined);
        if (!written->joined) return error_set(&job->error, STATUS_LIMIT, "out of memory while flushing");
        for (size_t i = manifest->catalog_count - run; i < manifest->catalog_count && status == STATUS_OK; i++) {
            const struct manifest_file *old = &manifest->catalogs[i];
            char name[64];
            struct os_file *file;
            event_file_name(name, old->file_id, "cat");
            status = os_open(fs, name, OS_READ, &job->error, &file);
            if (status != STATUS_OK) break;
            char *to = buf_reserve(&content, old->size - FILE_HEADER);
            status = to ? os_pread(file, to, old->size - FILE_HEADER, FILE_HEADER, &job->error) : STATUS_LIMIT;
            os_close(file);
            if (status == STATUS_OK && hash_bytes(to, old->size - FILE_HEADER, 0) != old->check)
                status = error_set(&job->error, STATUS_CORRUPT, "checksum mismatch in file %s", name);
            if (status == STATUS_OK) buf_advance(&content, old->size - FILE_HEADER);
            written->joined[written->joined_count++] = old->file_id;
        }
    }
    buf_str_add(&content, buf_str(&job->catalog));
    if (status == STATUS_OK) status = buf_status(&content);
    if (status == STATUS_OK) status = write_catalog_file(job, fs, manifest, file_id, buf_str(&content), written);
    buf_fini(&content);
    return status;
}

static enum status write_deletes(struct flush_job *job, struct os_fs *fs, struct manifest *manifest, uint64_t file_id,
                                 struct written *written)
{
    size_t total = 0;
    for (size_t i = 0; i < job->project_count; i++) total += job->projects[i].deleted_count;
    if (total == 0) return STATUS_OK;
    written->deletes = calloc(total, sizeof *written->deletes);
    struct buf content = BUF_INIT(CATALOG_BYTES_MAX);
    if (!written->deletes) return error_set(&job->error, STATUS_LIMIT, "out of memory while flushing");
    for (size_t i = 0; i < job->project_count; i++) {
        for (size_t d = 0; d < job->projects[i].deleted_count; d++) {
            const struct version_section *v = &job->projects[i].deleted[d];
            size_t size = roaring_bitmap_portable_size_in_bytes(v->deletes->rows);
            char *to = buf_reserve(&content, size);
            if (!to) break;
            roaring_bitmap_portable_serialize(v->deletes->rows, to);
            written->deletes[written->delete_count++] =
                (struct manifest_deletes){.section_file = v->section->file->file_id,
                                          .ordinal = v->section->ordinal,
                                          .delete_file = file_id,
                                          .offset = FILE_HEADER + content.size,
                                          .size = (uint32_t)size,
                                          .check = hash_bytes(to, size, 0)};
            buf_advance(&content, size);
        }
    }
    enum status status = buf_status(&content);
    if (status == STATUS_OK) {
        unsigned char header[FILE_HEADER];
        char name[64];
        file_header_write(header, delete_magic, manifest->node, file_id, job->flushed_lsn);
        struct str pieces[] = {str_from(header, sizeof header), buf_str(&content)};
        event_file_name(name, file_id, "del");
        status = write_file(fs, name, pieces, 2, &job->error);
        written->delete_file = file_id;
    }
    buf_fini(&content);
    return status;
}

static bool delete_file_used(const struct manifest *manifest, uint64_t file_id)
{
    for (size_t i = 0; i < manifest->delete_count; i++) {
        if (manifest->deletes[i].delete_file == file_id) return true;
    }
    return false;
}

/* What a flush has written before it failed; a full disk must not fill up with attempts. */
static void remove_files(struct os_fs *fs, uint64_t first_id)
{
    static const char *const kinds[] = {"sec", "cat", "del"};
    for (uint64_t i = 0; i < 3; i++) {
        char name[64];
        struct error ignored;
        event_file_name(name, first_id + i, kinds[i]);
        (void)!os_unlink(fs, name, &ignored); /* most often it was not written at all */
    }
}

void flush_job_run(struct flush_job *job, struct os_fs *fs, struct manifest *manifest, struct cache *cache,
                   size_t memory_bytes_max)
{
    struct merge_output **outputs = NULL;
    size_t *counts = NULL;
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
    uint64_t id = manifest->next_file_id;
    manifest->next_file_id = id + 3;
    if (status == STATUS_OK) status = merge_projects(job, &outputs, &counts, memory_bytes_max);
    if (status == STATUS_OK) status = write_sections(job, fs, manifest, cache, outputs, counts, id, &written);
    if (status == STATUS_OK) status = write_catalog(job, fs, manifest, id + 1, &written);
    if (status == STATUS_OK) status = write_deletes(job, fs, manifest, id + 2, &written);
    if (status == STATUS_OK) status = os_sync_dir(fs, "events", &job->error);
    /* Delete files that the new bitmaps leave without use. */
    uint64_t *old_deletes = calloc(manifest->delete_count + 1, sizeof *old_deletes);
    size_t old_count = 0;
    if (!old_deletes) status = STATUS_LIMIT;
    if (status != STATUS_OK) remove_files(fs, id);
    for (size_t i = 0; i < manifest->delete_count && old_deletes; i++)
        old_deletes[old_count++] = manifest->deletes[i].delete_file;
    if (status == STATUS_OK) {
        struct manifest_edit edit = {.flushed_lsn = job->flushed_lsn,
                                     .next_file_id = id + 3,
                                     .add_sections = &written.sections,
                                     .add_section_count = written.has_sections,
                                     .add_catalogs = &written.catalog,
                                     .add_catalog_count = written.has_catalog,
                                     .remove_catalogs = written.joined,
                                     .remove_catalog_count = written.joined_count,
                                     .deletes = written.deletes,
                                     .delete_count = written.delete_count,
                                     .drop_projects = job->dropped,
                                     .drop_project_count = job->dropped_count};
        status = manifest_append(manifest, &edit, &job->error);
    }
    if (status == STATUS_OK) {
        char name[64];
        struct error ignored;
        for (size_t i = 0; i < written.joined_count; i++) {
            event_file_name(name, written.joined[i], "cat");
            if (os_unlink(fs, name, &ignored) != STATUS_OK) log_failure(LOG_WARN, "cannot_remove_file", &ignored);
        }
        for (size_t i = 0; i < old_count; i++) {
            bool repeated = delete_file_used(manifest, old_deletes[i]);
            for (size_t k = 0; k < i && !repeated; k++) repeated = old_deletes[k] == old_deletes[i];
            if (repeated) continue;
            event_file_name(name, old_deletes[i], "del");
            if (os_unlink(fs, name, &ignored) != STATUS_OK) log_failure(LOG_WARN, "cannot_remove_file", &ignored);
        }
    }
    for (size_t i = 0; outputs && i < job->project_count; i++) merge_outputs_free(outputs[i], counts[i]);
    free(outputs);
    free(counts);
    free(old_deletes);
    free(written.deletes);
    free(written.joined);
    if (status != STATUS_OK && job->error.status == STATUS_OK)
        error_set(&job->error, status, "out of memory while flushing");
    job->status = status;
}

/* --- reading at start --- */

static enum status read_whole(struct os_fs *fs, const char *name, uint64_t size, const char magic[8],
                              const unsigned char node[16], struct error *error, char **ret_bytes)
{
    struct os_file *file;
    uint64_t actual = 0, id, lsn;
    TRY(os_open(fs, name, OS_READ, error, &file));
    enum status status = os_size(file, &actual, error);
    if (status == STATUS_OK && (actual != size || size < FILE_HEADER))
        status = error_set(error, STATUS_CORRUPT, "file %s has %llu bytes instead of %llu", name,
                           (unsigned long long)actual, (unsigned long long)size);
    char *bytes = status == STATUS_OK ? malloc(size) : NULL;
    if (status == STATUS_OK && !bytes) status = error_set(error, STATUS_LIMIT, "out of memory for file %s", name);
    if (status == STATUS_OK) status = os_pread(file, bytes, size, 0, error);
    os_close(file);
    if (status == STATUS_OK) status = file_header_check((const unsigned char *)bytes, magic, node, error, &id, &lsn);
    if (status != STATUS_OK) {
        error_prefix(error, "file %s", name);
        free(bytes);
        return status;
    }
    *ret_bytes = bytes;
    return STATUS_OK;
}

static enum status load_catalog(struct os_fs *fs, const struct manifest *manifest, const struct manifest_file *entry,
                                struct project *(*find)(void *, uint64_t), void *ctx, struct error *error)
{
    char name[64], *bytes;
    event_file_name(name, entry->file_id, "cat");
    TRY(read_whole(fs, name, entry->size, catalog_magic, manifest->node, error, &bytes));
    struct str content = str_from(bytes + FILE_HEADER, entry->size - FILE_HEADER);
    enum status status = STATUS_OK;
    if (hash_bytes(content.data, content.size, 0) != entry->check) status = STATUS_CORRUPT;
    struct reader reader = reader_of(content);
    while (status == STATUS_OK && reader_left(&reader)) {
        uint64_t id = read_varint(&reader);
        struct project *project = reader.failed ? NULL : find(ctx, id);
        if (!project) {
            status = reader.failed ? STATUS_CORRUPT : STATUS_LIMIT;
            break;
        }
        status = names_import(project->events, &reader);
        if (status == STATUS_OK) status = names_import(project->properties, &reader);
        if (status == STATUS_OK) status = id_graph_import(project->ids, &reader);
        if (status == STATUS_OK && id_graph_forgot_texts(project->ids) && !project->forgot_lsn) {
            project->forgot_lsn = 1; /* when, is not known */
            project->forgot_ms = os_now_ms();
        }
        project->saved_events = names_count(project->events);
        project->saved_properties = names_count(project->properties);
        project->saved_ids = id_graph_mark(project->ids);
    }
    free(bytes);
    if (status == STATUS_CORRUPT) {
        error_set(error, status, "file %s is damaged", name);
        error_hint(error, "restore it from a backup");
    } else if (status != STATUS_OK) {
        error_set(error, status, "out of memory while reading file %s", name);
    }
    return status;
}

static enum status load_deletes(struct os_fs *fs, const struct manifest *manifest, uint64_t section_file,
                                uint32_t ordinal, uint32_t rows, struct error *error, struct deletes **ret_deletes)
{
    *ret_deletes = NULL;
    const struct manifest_deletes *entry = NULL;
    for (size_t i = 0; i < manifest->delete_count && !entry; i++) {
        if (manifest->deletes[i].section_file == section_file && manifest->deletes[i].ordinal == ordinal)
            entry = &manifest->deletes[i];
    }
    if (!entry) return STATUS_OK;
    char name[64];
    struct os_file *file;
    event_file_name(name, entry->delete_file, "del");
    TRY(os_open(fs, name, OS_READ, error, &file));
    char *bytes = malloc(entry->size ? entry->size : 1);
    enum status status = bytes ? os_pread(file, bytes, entry->size, entry->offset, error)
                               : error_set(error, STATUS_LIMIT, "out of memory for file %s", name);
    os_close(file);
    roaring_bitmap_t *bitmap = NULL;
    if (status == STATUS_OK && hash_bytes(bytes, entry->size, 0) == entry->check)
        bitmap = roaring_bitmap_portable_deserialize_safe(bytes, entry->size);
    free(bytes);
    if (status == STATUS_OK &&
        (!bitmap || (!roaring_bitmap_is_empty(bitmap) && roaring_bitmap_maximum(bitmap) >= rows))) {
        if (bitmap) roaring_bitmap_free(bitmap);
        error_set(error, STATUS_CORRUPT, "file %s is damaged", name);
        error_hint(error, "restore it from a backup");
        return STATUS_CORRUPT;
    }
    if (status == STATUS_OK) *ret_deletes = deletes_new(bitmap);
    return status;
}

static enum status read_footer(struct os_fs *fs, const struct manifest *manifest, const struct manifest_file *entry,
                               const char *name, struct error *error, struct section_file **ret_file,
                               struct buf *footer)
{
    struct section_file *file = calloc(1, sizeof *file);
    if (!file) return error_set(error, STATUS_LIMIT, "out of memory for file %s", name);
    atomic_init(&file->refs, 1);
    file->file_id = entry->file_id;
    enum status status = os_open(fs, name, OS_READ, error, &file->file);
    if (status != STATUS_OK) {
        free(file);
        return status;
    }
    unsigned char header[FILE_HEADER], trailer[TRAILER_BYTES];
    uint64_t id, lsn, size = 0;
    status = os_size(file->file, &size, error);
    if (status == STATUS_OK && (size != entry->size || size < FILE_HEADER + TRAILER_BYTES))
        status = error_set(error, STATUS_CORRUPT, "it has %llu bytes instead of %llu", (unsigned long long)size,
                           (unsigned long long)entry->size);
    if (status == STATUS_OK) status = os_pread(file->file, header, sizeof header, 0, error);
    if (status == STATUS_OK) status = file_header_check(header, section_magic, manifest->node, error, &id, &lsn);
    if (status == STATUS_OK) status = os_pread(file->file, trailer, sizeof trailer, size - TRAILER_BYTES, error);
    if (status == STATUS_OK) {
        struct reader r = reader_of(str_from(trailer, sizeof trailer));
        uint64_t footer_size = read_u64(&r), check = read_u64(&r);
        if (check != entry->check || footer_size > size - FILE_HEADER - TRAILER_BYTES ||
            footer_size > footer->size_max) {
            status = error_set(error, STATUS_CORRUPT, "its footer is not the one that was written");
        } else {
            char *to = buf_reserve(footer, footer_size);
            status =
                to ? os_pread(file->file, to, footer_size, size - TRAILER_BYTES - footer_size, error) : STATUS_LIMIT;
            if (status == STATUS_OK) buf_advance(footer, footer_size);
            if (status == STATUS_OK && hash_bytes(footer->data, footer->size, 0) != entry->check)
                status = error_set(error, STATUS_CORRUPT, "its footer is damaged");
        }
    }
    if (status != STATUS_OK) {
        error_prefix(error, "section file %s", name);
        section_file_unref(file);
        return status;
    }
    *ret_file = file;
    return STATUS_OK;
}

static enum status load_sections(struct os_fs *fs, struct manifest *manifest, const struct manifest_file *entry,
                                 struct cache *cache, struct project *(*find)(void *, uint64_t), void *ctx,
                                 struct error *error, size_t *ret_live)
{
    char name[64];
    struct section_file *file = NULL;
    struct buf footer = BUF_INIT((size_t)64 << 20);
    event_file_name(name, entry->file_id, "sec");
    *ret_live = 0;
    enum status status = read_footer(fs, manifest, entry, name, error, &file, &footer);
    if (status != STATUS_OK) {
        buf_fini(&footer);
        return status;
    }
    struct reader r = reader_of(buf_str(&footer));
    uint32_t count = read_u32(&r);
    for (uint32_t ordinal = 0; ordinal < count && status == STATUS_OK; ordinal++) {
        uint64_t id = read_u64(&r), offset = read_u64(&r), size = read_u64(&r);
        struct section_ref directory = section_ref_read(&r);
        if (r.failed || offset > entry->size || size > entry->size - offset) {
            status = error_set(error, STATUS_CORRUPT, "section file %s: its footer is malformed", name);
            break;
        }
        if (manifest_is_dropped(manifest, id)) continue;
        struct project *project = find(ctx, id);
        struct section *section;
        struct deletes *deletes = NULL;
        if (!project) status = error_set(error, STATUS_LIMIT, "out of memory for a project");
        if (status == STATUS_OK)
            status = section_open_file(file, cache, offset, size, directory, id, ordinal, error, &section);
        if (status != STATUS_OK) break;
        status = load_deletes(fs, manifest, entry->file_id, ordinal, section->rows, error, &deletes);
        if (status != STATUS_OK) {
            section_unref(section);
            break;
        }
        if (project_add_section(project, section, deletes) != STATUS_OK)
            status = error_set(error, STATUS_LIMIT, "out of memory for a section");
        (*ret_live)++;
    }
    section_file_unref(file);
    buf_fini(&footer);
    return status;
}

enum status files_load(struct os_fs *fs, struct manifest *manifest, struct cache *cache,
                       struct project *(*find)(void *ctx, uint64_t id), void *ctx, struct error *error)
{
    TRY(os_mkdir(fs, "events", error));
    TRY(os_sync_dir(fs, "", error)); /* without its name the directory holds nothing */
    for (size_t i = 0; i < manifest->catalog_count; i++)
        TRY(load_catalog(fs, manifest, &manifest->catalogs[i], find, ctx, error));
    uint64_t *empty = calloc(manifest->section_count + 1, sizeof *empty);
    size_t empty_count = 0;
    enum status status = empty ? STATUS_OK : error_set(error, STATUS_LIMIT, "out of memory");
    for (size_t i = 0; i < manifest->section_count && status == STATUS_OK; i++) {
        size_t live;
        status = load_sections(fs, manifest, &manifest->sections[i], cache, find, ctx, error, &live);
        if (live == 0) empty[empty_count++] = manifest->sections[i].file_id;
    }
    /* Files that hold dropped projects only need not be kept; their removal from disk is files_sweep's. */
    if (status == STATUS_OK && empty_count) {
        struct manifest_edit edit = {.flushed_lsn = manifest->flushed_lsn,
                                     .next_file_id = manifest->next_file_id,
                                     .remove_sections = empty,
                                     .remove_section_count = empty_count};
        struct error later;
        if (manifest_append(manifest, &edit, &later) != STATUS_OK)
            log_failure(LOG_WARN, "cannot_drop_section_files", &later);
    }
    free(empty);
    return status;
}

struct sweep {
    const struct manifest *manifest;
    char names[256][64];
    size_t count;
};

static void sweep_file(void *ctx, const char *file)
{
    struct sweep *sweep = ctx;
    const struct manifest *m = sweep->manifest;
    unsigned long long id;
    char kind[4];
    if (sscanf(file, "%16llx.%3s", &id, kind) != 2 || sweep->count == 256) return;
    bool listed = false;
    for (size_t i = 0; i < m->section_count && strcmp(kind, "sec") == 0; i++) listed |= m->sections[i].file_id == id;
    for (size_t i = 0; i < m->catalog_count && strcmp(kind, "cat") == 0; i++) listed |= m->catalogs[i].file_id == id;
    listed |= strcmp(kind, "del") == 0 && delete_file_used(m, id);
    if (!listed && strlen(file) < 48) snprintf(sweep->names[sweep->count++], 64, "events/%.48s", file);
}

void files_sweep(struct os_fs *fs, const struct manifest *manifest)
{
    struct sweep sweep = {.manifest = manifest};
    struct error error;
    if (os_list(fs, "events", sweep_file, &sweep, &error) != STATUS_OK) return;
    for (size_t i = 0; i < sweep.count; i++) {
        if (os_unlink(fs, sweep.names[i], &error) != STATUS_OK) log_failure(LOG_WARN, "cannot_remove_file", &error);
    }
}
