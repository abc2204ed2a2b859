#include "store/event_files.h"

#include "base/hash.h"
#include "base/log.h"
#include "os/clock.h"
#include "os/machine.h"
#include "store/bitmap.h"
#include "store/catalog.h"
#include "store/file_header.h"

#include <stdatomic.h>
#include <stdlib.h>

#define FOOTER_ENTRY (8 + 8 + 8 + SECTION_REF_BYTES + 8 + 8)

/* --- catalogs --- */

struct targets {
    struct project *(*find)(void *ctx, uint64_t id);
    void *ctx;
};

static bool find_target(void *ctx, uint64_t id, struct catalog_target *ret_target)
{
    const struct targets *targets = ctx;
    struct project *project = targets->find(targets->ctx, id);
    if (!project) return false;
    *ret_target =
        (struct catalog_target){.events = project->events, .properties = project->properties, .ids = project->ids};
    return true;
}

static void note_loaded(struct project *project)
{
    if (id_graph_forgot_texts(project->ids) && !project->forgot_lsn) {
        project->forgot_lsn = 1; /* when, is not known */
        project->forgot_ms = os_now_ms();
    }
    project->saved_events = names_count(project->events);
    project->saved_properties = names_count(project->properties);
    project->saved_ids = id_graph_mark(project->ids);
}

static enum status open_catalog(struct os_fs *fs, const struct manifest *manifest, const struct manifest_file *entry,
                                struct os_file **ret_file, struct error *error, struct catalog_file *ret_catalog)
{
    char name[64];
    event_file_name(name, entry->file_id, "cat");
    TRY(os_open(fs, name, OS_READ, error, ret_file));
    enum status status = catalog_open(*ret_file, name, entry, manifest->node, error, ret_catalog);
    if (status != STATUS_OK) error_prefix(error, "file %s", name);
    return status;
}

static enum status load_catalogs(struct os_fs *fs, const struct manifest *manifest, const struct targets *targets,
                                 struct error *error)
{
    size_t count = manifest->catalog_count;
    struct catalog_file *files = calloc(count + 1, sizeof *files);
    struct os_file **handles = calloc(count + 1, sizeof *handles);
    enum status status =
        files && handles ? STATUS_OK : error_set(error, STATUS_LIMIT, "out of memory for the list of catalog files");
    for (size_t i = 0; i < count && status == STATUS_OK; i++)
        status = open_catalog(fs, manifest, &manifest->catalogs[i], &handles[i], error, &files[i]);
    if (status == STATUS_OK) {
        struct catalog_load load = {.files = files,
                                    .file_count = count,
                                    .threads = os_cores(),
                                    .find = find_target,
                                    .ctx = (void *)(uintptr_t)targets};
        const struct catalog_file *bad;
        status = catalog_load(&load, error, &bad);
        if (status != STATUS_OK && bad) error_prefix(error, "file %s", bad->name);
        if (status == STATUS_CORRUPT) error_hint(error, "restore it from a backup");
    }
    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        for (size_t b = 0; b < files[i].count; b++)
            note_loaded(targets->find(targets->ctx, files[i].blocks[b].project));
    }
    for (size_t i = 0; i < count && files && handles; i++) {
        catalog_fini(&files[i]);
        os_close(handles[i]);
    }
    free(files);
    free(handles);
    return status;
}

/* --- sections --- */

static const struct manifest_deletes *find_deletes(const struct manifest *manifest, uint64_t section_file,
                                                   uint32_t ordinal)
{
    for (size_t i = 0; i < manifest->delete_count; i++) {
        if (manifest->deletes[i].section_file == section_file && manifest->deletes[i].ordinal == ordinal)
            return &manifest->deletes[i];
    }
    return NULL;
}

static enum status load_deletes(struct os_fs *fs, const struct manifest *manifest, const struct manifest_deletes *entry,
                                uint32_t rows, struct error *error, struct deletes **ret_deletes)
{
    *ret_deletes = NULL;
    if (!entry) return STATUS_OK;
    char name[64];
    unsigned char header[FILE_HEADER];
    uint64_t id, lsn;
    struct os_file *file;
    event_file_name(name, entry->delete_file, "del");
    TRY(os_open(fs, name, OS_READ, error, &file));
    char *bytes = NULL;
    enum status status = delete_file_read(file, name, entry, error, &bytes);
    if (status == STATUS_OK) status = os_pread(file, header, sizeof header, 0, error);
    os_close(file);
    roaring_bitmap_t *bitmap = NULL;
    if (status == STATUS_OK) {
        status = file_header_check(header, delete_magic, manifest->node, error, &id, &lsn);
        if (status != STATUS_OK) error_prefix(error, "file %s", name);
    }
    if (status == STATUS_OK && hash_bytes(bytes, entry->size, 0) == entry->check)
        bitmap = bitmap_read(str_from(bytes, entry->size));
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
    file->bytes = entry->size;
    file->marked_lsn = UINT64_MAX;
    enum status status = os_open(fs, name, OS_READ, error, &file->file);
    if (status != STATUS_OK) {
        free(file);
        return status;
    }
    unsigned char header[FILE_HEADER], trailer[EVENT_FILE_TRAILER];
    uint64_t id, lsn, size = 0;
    status = os_size(file->file, &size, error);
    if (status == STATUS_OK && (size != entry->size || size < FILE_HEADER + EVENT_FILE_TRAILER))
        status = error_set(error, STATUS_CORRUPT, "it has %llu bytes instead of %llu", (unsigned long long)size,
                           (unsigned long long)entry->size);
    if (status == STATUS_OK) status = os_pread(file->file, header, sizeof header, 0, error);
    if (status == STATUS_OK) status = file_header_check(header, section_magic, manifest->node, error, &id, &lsn);
    if (status == STATUS_OK && id != entry->file_id)
        status = error_set(error, STATUS_CORRUPT, "it is file %016llx by its header", (unsigned long long)id);
    if (status == STATUS_OK) status = os_pread(file->file, trailer, sizeof trailer, size - EVENT_FILE_TRAILER, error);
    if (status == STATUS_OK) {
        struct reader r = reader_of(str_from(trailer, sizeof trailer));
        uint64_t footer_size = read_u64(&r), check = read_u64(&r);
        if (check != entry->check || footer_size > size - FILE_HEADER - EVENT_FILE_TRAILER ||
            footer_size > footer->size_max) {
            status = error_set(error, STATUS_CORRUPT, "its footer is not the one that was written");
        } else {
            char *to = buf_reserve(footer, footer_size);
            status = to ? os_pread(file->file, to, footer_size, size - EVENT_FILE_TRAILER - footer_size, error)
                        : STATUS_LIMIT;
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

static void note_garbage(struct section_file *file, uint64_t marked_lsn, int64_t marked_ms)
{
    if (marked_lsn >= file->marked_lsn) return;
    file->marked_lsn = marked_lsn;
    file->marked_ms = marked_ms;
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
    if (count != entry->sections || count != reader_left(&r) / FOOTER_ENTRY || reader_left(&r) % FOOTER_ENTRY)
        status = error_set(error, STATUS_CORRUPT, "section file %s: its footer is malformed", name);
    for (uint32_t ordinal = 0; ordinal < count && status == STATUS_OK; ordinal++) {
        struct written_section at = {.project = read_u64(&r), .offset = read_u64(&r)};
        at.size = read_u64(&r);
        at.directory = section_ref_read(&r);
        at.lsn = read_u64(&r);
        at.made_ms = (int64_t)read_u64(&r);
        if (r.failed || at.offset > entry->size || at.size > entry->size - at.offset) {
            status = error_set(error, STATUS_CORRUPT, "section file %s: its footer is malformed", name);
            break;
        }
        if (manifest_is_dead(manifest, entry->file_id, ordinal)) continue;
        if (manifest_is_dropped(manifest, at.project)) {
            note_garbage(file, 0, os_now_ms());
            continue;
        }
        struct project *project = find(ctx, at.project);
        struct section *section = NULL;
        struct deletes *deletes = NULL;
        const struct manifest_deletes *deleted = find_deletes(manifest, entry->file_id, ordinal);
        if (!project) status = error_set(error, STATUS_LIMIT, "out of memory for a project");
        if (status == STATUS_OK)
            status =
                section_open_file(file, cache, at.offset, at.size, at.directory, at.project, ordinal, error, &section);
        if (status != STATUS_OK) break;
        section->lsn = at.lsn;
        section->made_ms = at.made_ms;
        file->sections_live++;
        file->bytes_live += at.size;
        status = load_deletes(fs, manifest, deleted, section->rows, error, &deletes);
        if (status != STATUS_OK) {
            section_unref(section);
            break;
        }
        if (project_add_section(project, section, deletes) != STATUS_OK) {
            status = error_set(error, STATUS_LIMIT, "out of memory for a section");
        } else if (deletes) {
            project->live[project->live_count - 1].marked_lsn = deleted->marked_lsn;
            project->live[project->live_count - 1].marked_ms = deleted->marked_ms;
        }
        (*ret_live)++;
    }
    for (size_t i = 0; i < manifest->dead_count; i++) {
        if (manifest->dead[i].section_file == entry->file_id)
            note_garbage(file, manifest->dead[i].marked_lsn, manifest->dead[i].marked_ms);
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
    TRY(load_catalogs(fs, manifest, &(struct targets){.find = find, .ctx = ctx}, error));
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
