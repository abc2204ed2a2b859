#include "store/offline.h"

#include "base/hash.h"
#include "os/machine.h"
#include "os/peek.h"
#include "store/bitmap.h"
#include "store/catalog.h"
#include "store/event_files.h"
#include "store/file_header.h"
#include "store/store.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define TRIES_MAX        20
#define FOOTER_BYTES_MAX ((uint64_t)64 << 20)
#define FOOTER_ENTRY     (8 + 8 + 8 + SECTION_REF_BYTES + 8 + 8)

/* --- findings --- */

void finding_report(const struct finding_sink *sink, enum finding_kind kind, const char *file, uint64_t offset,
                    const char *format, ...)
{
    char what[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    if (sink->report) sink->report(sink->ctx, &(struct finding){kind, file, offset, what});
}

void finding_report_error(const struct finding_sink *sink, enum finding_kind kind, const char *file, uint64_t offset,
                          const struct error *error)
{
    if (error->detail[0])
        finding_report(sink, kind, file, offset, "%s (%s)", error->primary, error->detail);
    else
        finding_report(sink, kind, file, offset, "%s", error->primary[0] ? error->primary : status_name(error->status));
}

/* --- files --- */

enum status offline_read(struct os_fs *fs, const char *name, uint64_t bytes_max, struct error *error, char **ret_bytes,
                         uint64_t *ret_size)
{
    struct os_file *file;
    uint64_t size = 0;
    char *bytes = NULL;
    TRY(os_open(fs, name, OS_READ, error, &file));
    enum status status = os_size(file, &size, error);
    if (status == STATUS_OK && size > bytes_max)
        status = error_set(error, STATUS_LIMIT, "file \"%s\" is too large to be read", name);
    if (status == STATUS_OK && !(bytes = malloc(size + 1)))
        status = error_set(error, STATUS_LIMIT, "out of memory for file \"%s\"", name);
    if (status == STATUS_OK) status = os_pread(file, bytes, size, 0, error);
    os_close(file);
    if (status != STATUS_OK) {
        free(bytes);
        return status;
    }
    *ret_bytes = bytes;
    *ret_size = size;
    return STATUS_OK;
}

void offline_file_fini(struct offline_file *file)
{
    for (uint32_t i = 0; i < file->section_count; i++) {
        section_unref(file->sections[i].section);
        deletes_unref(file->sections[i].deletes);
    }
    free(file->sections);
    section_file_unref(file->handle);
    file->sections = NULL;
    file->handle = NULL;
    file->section_count = 0;
}

static enum status open_handle(struct os_fs *fs, const char *name, uint64_t file_id, struct error *error,
                               struct section_file **ret_handle)
{
    struct section_file *handle = calloc(1, sizeof *handle);
    if (!handle) return error_set(error, STATUS_LIMIT, "out of memory");
    enum status status = os_open(fs, name, OS_READ, error, &handle->file);
    if (status != STATUS_OK) {
        free(handle);
        return status;
    }
    atomic_init(&handle->refs, 1);
    handle->file_id = file_id;
    *ret_handle = handle;
    return STATUS_OK;
}

/* The footer's bytes, malloc'd. `expected` NULL: the trailer's own word is taken. */
static enum status read_footer(struct offline_file *file, const struct manifest_file *expected,
                               const unsigned char *node, const struct finding_sink *sink, struct error *error,
                               char **ret_footer, uint64_t *ret_size)
{
    unsigned char header[FILE_HEADER], trailer[SECTION_TRAILER_BYTES];
    uint64_t id;
    TRY(os_size(file->handle->file, &file->size, error));
    if (expected && file->size != expected->size)
        return error_set(error, STATUS_CORRUPT, "the file has %llu bytes instead of %llu",
                         (unsigned long long)file->size, (unsigned long long)expected->size);
    if (file->size < FILE_HEADER + SECTION_TRAILER_BYTES)
        return error_set(error, STATUS_CORRUPT, "the file is cut short");
    TRY(os_pread(file->handle->file, header, sizeof header, 0, error));
    enum status status =
        file_header_check(header, SECTION_MAGIC, node ? node : header + 16, error, &id, &file->created_lsn);
    if (status != STATUS_OK) {
        finding_report_error(sink, FINDING_DAMAGE, file->name, 0, error);
        /* The rest may be good, but a newer version's rest means something else. */
        if (status == STATUS_UNSUPPORTED) return status;
    } else if (expected && id != expected->file_id) {
        finding_report(sink, FINDING_DAMAGE, file->name, 32, "the header is that of file %016llx",
                       (unsigned long long)id);
    }
    TRY(os_pread(file->handle->file, trailer, sizeof trailer, file->size - sizeof trailer, error));
    struct reader r = reader_of(str_from(trailer, sizeof trailer));
    uint64_t footer_size = read_u64(&r), check = read_u64(&r), size = read_u64(&r);
    if (memcmp(trailer + 24, "CAIRNEND", 8) != 0 || size != file->size)
        finding_report(sink, FINDING_DAMAGE, file->name, file->size - 16,
                       "the end of the file is not as it was written");
    uint64_t room = file->size - FILE_HEADER - SECTION_TRAILER_BYTES;
    if ((expected && check != expected->check) || footer_size > room || footer_size > FOOTER_BYTES_MAX)
        return error_set(error, STATUS_CORRUPT, "the footer is not the one that the manifest names");
    char *footer = malloc(footer_size + 1);
    if (!footer) return error_set(error, STATUS_LIMIT, "out of memory for a footer");
    status = os_pread(file->handle->file, footer, footer_size, file->size - SECTION_TRAILER_BYTES - footer_size, error);
    if (status == STATUS_OK && hash_bytes(footer, footer_size, 0) != check)
        status = error_set(error, STATUS_CORRUPT, "the footer's checksum is wrong");
    if (status != STATUS_OK) {
        free(footer);
        return status;
    }
    *ret_footer = footer;
    *ret_size = footer_size;
    return STATUS_OK;
}

/* Between sections lies nothing but zeros up to the next multiple of 64. */
static void check_gap(const struct offline_file *file, uint64_t from, uint64_t to, const struct finding_sink *sink)
{
    char bytes[64];
    struct error error;
    if (to < from || to - from >= sizeof bytes) {
        finding_report(sink, FINDING_DAMAGE, file->name, from, "sections overlap or leave a hole");
        return;
    }
    if (os_pread(file->handle->file, bytes, to - from, from, &error) != STATUS_OK) {
        finding_report_error(sink, FINDING_DAMAGE, file->name, from, &error);
        return;
    }
    for (uint64_t i = 0; i < to - from; i++) {
        if (bytes[i]) {
            finding_report(sink, FINDING_DAMAGE, file->name, from + i, "padding is not zero");
            return;
        }
    }
}

static void open_sections(struct offline_file *file, struct str footer, struct cache *cache,
                          const struct finding_sink *sink)
{
    struct reader r = reader_of(footer);
    uint64_t footer_offset = file->size - SECTION_TRAILER_BYTES - footer.size, end = FILE_HEADER;
    uint32_t count = read_u32(&r);
    if (r.failed || count != reader_left(&r) / FOOTER_ENTRY || reader_left(&r) % FOOTER_ENTRY) {
        finding_report(sink, FINDING_DAMAGE, file->name, footer_offset, "the footer is malformed");
        return;
    }
    file->sections = calloc(count ? count : 1, sizeof *file->sections);
    if (!file->sections) abort();
    file->section_count = count;
    for (uint32_t i = 0; i < count; i++) {
        struct offline_section *at = &file->sections[i];
        struct error error = ERROR_INIT;
        at->project = read_u64(&r);
        at->offset = read_u64(&r);
        at->size = read_u64(&r);
        at->directory = section_ref_read(&r);
        uint64_t lsn = read_u64(&r);
        int64_t made_ms = (int64_t)read_u64(&r);
        if (at->offset > footer_offset || at->size > footer_offset - at->offset) {
            finding_report(sink, FINDING_DAMAGE, file->name, footer_offset, "section %u lies outside the file", i);
            continue;
        }
        check_gap(file, end, at->offset, sink);
        end = at->offset + at->size;
        if (section_open_file(file->handle, cache, at->offset, at->size, at->directory, at->project, i, &error,
                              &at->section) != STATUS_OK)
            finding_report_error(sink, FINDING_DAMAGE, file->name, at->offset + at->directory.offset, &error);
        if (!at->section) continue;
        at->section->lsn = lsn;
        at->section->made_ms = made_ms;
    }
    if (count) check_gap(file, end, footer_offset, sink);
}

static enum status fill_file(struct offline_file *file, const struct manifest_file *expected, const unsigned char *node,
                             struct cache *cache, const struct finding_sink *sink, struct error *error)
{
    char *footer;
    uint64_t size;
    TRY(read_footer(file, expected, node, sink, error, &footer, &size));
    open_sections(file, str_from(footer, size), cache, sink);
    free(footer);
    return STATUS_OK;
}

enum status offline_open_file(struct os_fs *fs, const char *name, struct cache *cache, const unsigned char *node,
                              const struct finding_sink *sink, struct error *error, struct offline_file *ret_file)
{
    struct offline_file file = {0};
    unsigned long long id = 0;
    char rest;
    if (sscanf(name, "%16llx.se%c", &id, &rest) != 2) id = 0;
    snprintf(file.name, sizeof file.name, "%s", name);
    TRY(open_handle(fs, name, id, error, &file.handle));
    file.file_id = id;
    enum status status = fill_file(&file, NULL, node, cache, sink, error);
    if (status != STATUS_OK) {
        offline_file_fini(&file);
        return status;
    }
    *ret_file = file;
    return STATUS_OK;
}

/* --- catalogs --- */

static void event_name(char out[64], uint64_t id, const char *kind)
{
    snprintf(out, 64, "events/%016llx.%s", (unsigned long long)id, kind);
}

struct offline_project *offline_project(const struct offline *offline, uint64_t id)
{
    size_t low = 0, high = offline->project_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (offline->projects[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < offline->project_count && offline->projects[low].id == id ? &offline->projects[low] : NULL;
}

static struct offline_project *find_project(struct offline *offline, uint64_t id)
{
    struct offline_project *known = offline_project(offline, id);
    if (known) return known;
    struct offline_project *grown =
        realloc(offline->projects, (offline->project_count + 1) * sizeof *offline->projects);
    if (!grown) abort();
    offline->projects = grown;
    size_t at = 0;
    while (at < offline->project_count && grown[at].id < id) at++;
    memmove(grown + at + 1, grown + at, (offline->project_count++ - at) * sizeof *grown);
    grown[at] = (struct offline_project){.id = id,
                                         .events = names_new(STORE_NAMES_MAX + 1),
                                         .properties = names_new(STORE_NAMES_MAX + 1),
                                         .ids = id_graph_new()};
    return &grown[at];
}

static bool find_target(void *ctx, uint64_t id, struct catalog_target *ret_target)
{
    const struct offline_project *project = find_project(ctx, id);
    *ret_target =
        (struct catalog_target){.events = project->events, .properties = project->properties, .ids = project->ids};
    return true;
}

/* Damage to an index makes everything unknown that comes after it; all files are looked at in any case. */
static void load_catalogs(struct offline *offline, struct os_file *const *handles)
{
    const struct manifest *m = &offline->manifest;
    struct catalog_file *files = calloc(m->catalog_count + 1, sizeof *files);
    struct error error = ERROR_INIT;
    if (!files) abort();
    for (size_t i = 0; i < m->catalog_count; i++) {
        char name[64];
        event_name(name, m->catalogs[i].file_id, "cat");
        enum status status = STATUS_NOT_FOUND; /* reported */
        if (handles[i]) {
            status = catalog_open(handles[i], name, &m->catalogs[i], m->node, &error, &files[i]);
            if (status != STATUS_OK)
                finding_report_error(&offline->sink, FINDING_DAMAGE, name, FINDING_NO_OFFSET, &error);
        }
        if (status != STATUS_OK) offline->catalogs_damaged = true;
        for (size_t b = 0; b < files[i].count; b++)
            offline->catalog_bytes[files[i].blocks[b].kind] += files[i].blocks[b].size;
    }
    if (!offline->catalogs_damaged) {
        struct catalog_load load = {
            .files = files, .file_count = m->catalog_count, .threads = os_cores(), .find = find_target, .ctx = offline};
        const struct catalog_file *bad;
        offline->catalogs_damaged = catalog_load(&load, &error, &bad) != STATUS_OK;
        if (offline->catalogs_damaged)
            finding_report_error(&offline->sink, FINDING_DAMAGE, bad ? bad->name : "events", FINDING_NO_OFFSET, &error);
    }
    for (size_t i = 0; i < m->catalog_count; i++) catalog_fini(&files[i]);
    free(files);
}

/* --- deleted rows --- */

static void load_deletes(struct offline *offline, const struct manifest_deletes *entry, const char *name,
                         struct os_file *file)
{
    struct offline_section *at = NULL;
    for (size_t i = 0; i < offline->file_count; i++) {
        struct offline_file *section_file = &offline->files[i];
        if (section_file->file_id != entry->section_file) continue;
        if (entry->ordinal >= section_file->section_count && section_file->section_count)
            finding_report(&offline->sink, FINDING_DAMAGE, name, entry->offset,
                           "rows are deleted in section %u of file %016llx, which has only %u sections", entry->ordinal,
                           (unsigned long long)entry->section_file, section_file->section_count);
        else if (entry->ordinal < section_file->section_count)
            at = &section_file->sections[entry->ordinal];
    }
    struct error error = ERROR_INIT;
    char *bytes = NULL;
    enum status status = delete_file_read(file, name, entry, &error, &bytes);
    roaring_bitmap_t *bitmap = NULL;
    if (status == STATUS_OK && hash_bytes(bytes, entry->size, 0) != entry->check)
        status = error_set(&error, STATUS_CORRUPT, "the checksum of deleted rows is wrong");
    if (status == STATUS_OK && !(bitmap = bitmap_read(str_from(bytes, entry->size))))
        status = error_set(&error, STATUS_CORRUPT, "the set of deleted rows is malformed");
    free(bytes);
    if (bitmap && at && at->section && !roaring_bitmap_is_empty(bitmap) &&
        roaring_bitmap_maximum(bitmap) >= at->section->rows)
        status = error_set(&error, STATUS_CORRUPT, "row %u is deleted in a section of %u rows",
                           roaring_bitmap_maximum(bitmap), at->section->rows);
    if (status != STATUS_OK) {
        finding_report_error(&offline->sink, FINDING_DAMAGE, name, entry->offset, &error);
        if (bitmap) roaring_bitmap_free(bitmap);
    } else if (at) {
        deletes_unref(at->deletes);
        at->deletes = deletes_new(bitmap);
    } else {
        roaring_bitmap_free(bitmap);
    }
}

static void check_delete_header(struct offline *offline, uint64_t file_id, const char *name, struct os_file *file)
{
    unsigned char header[FILE_HEADER];
    struct error error = ERROR_INIT;
    uint64_t id = 0, lsn;
    enum status status = os_pread(file, header, sizeof header, 0, &error);
    if (status == STATUS_OK)
        status = file_header_check(header, DELETE_MAGIC, offline->manifest.node, &error, &id, &lsn);
    if (status == STATUS_OK && id != file_id)
        status = error_set(&error, STATUS_CORRUPT, "the header is that of file %016llx", (unsigned long long)id);
    if (status != STATUS_OK) finding_report_error(&offline->sink, FINDING_DAMAGE, name, 0, &error);
}

/* --- opening --- */

/* Every file that the manifest names, opened before any is read. */
struct handles {
    struct os_file **catalogs, **deletes;
    struct section_file **sections;
    bool missing;
};

static void close_handles(const struct offline *offline, struct handles *handles)
{
    for (size_t i = 0; i < offline->manifest.catalog_count && handles->catalogs; i++) os_close(handles->catalogs[i]);
    for (size_t i = 0; i < offline->manifest.delete_count && handles->deletes; i++) os_close(handles->deletes[i]);
    for (size_t i = 0; i < offline->manifest.section_count && handles->sections; i++)
        section_file_unref(handles->sections[i]);
    free(handles->catalogs);
    free(handles->deletes);
    free(handles->sections);
    *handles = (struct handles){0};
}

/* Reports what cannot be opened, unless `quiet`. */
static void open_handles(struct offline *offline, bool quiet, struct handles *ret)
{
    const struct manifest *m = &offline->manifest;
    struct handles handles = {.catalogs = calloc(m->catalog_count + 1, sizeof *handles.catalogs),
                              .deletes = calloc(m->delete_count + 1, sizeof *handles.deletes),
                              .sections = calloc(m->section_count + 1, sizeof *handles.sections)};
    struct finding_sink none = {0};
    const struct finding_sink *sink = quiet ? &none : &offline->sink;
    struct error error;
    char name[64];
    if (!handles.catalogs || !handles.deletes || !handles.sections) abort();
    for (size_t i = 0; i < m->section_count; i++) {
        event_name(name, m->sections[i].file_id, "sec");
        enum status status = open_handle(offline->fs, name, m->sections[i].file_id, &error, &handles.sections[i]);
        handles.missing |= status == STATUS_NOT_FOUND;
        if (status != STATUS_OK) finding_report_error(sink, FINDING_DAMAGE, name, FINDING_NO_OFFSET, &error);
    }
    for (size_t i = 0; i < m->catalog_count; i++) {
        event_name(name, m->catalogs[i].file_id, "cat");
        enum status status = os_open(offline->fs, name, OS_READ, &error, &handles.catalogs[i]);
        handles.missing |= status == STATUS_NOT_FOUND;
        if (status != STATUS_OK) finding_report_error(sink, FINDING_DAMAGE, name, FINDING_NO_OFFSET, &error);
    }
    for (size_t i = 0; i < m->delete_count; i++) {
        event_name(name, m->deletes[i].delete_file, "del");
        enum status status = os_open(offline->fs, name, OS_READ, &error, &handles.deletes[i]);
        handles.missing |= status == STATUS_NOT_FOUND;
        if (status != STATUS_OK) finding_report_error(sink, FINDING_DAMAGE, name, FINDING_NO_OFFSET, &error);
    }
    *ret = handles;
}

static void count_manifest(void *ctx, const char *name)
{
    unsigned long long number;
    char rest;
    *(size_t *)ctx += sscanf(name, "MANIFEST-%16llx%c", &number, &rest) == 1;
}

static enum status read_manifest(struct offline *offline, struct error *error)
{
    size_t manifests = 0;
    TRY(os_list(offline->fs, "", count_manifest, &manifests, error));
    if (!manifests) {
        error_set(error, STATUS_NOT_FOUND, "there is no manifest in the directory");
        error_hint(error, "name a directory that a server has used, with --data");
        return STATUS_NOT_FOUND;
    }
    return manifest_open(offline->fs, error, &offline->manifest);
}

/* The manifest and all files that it names, as of one moment. */
static enum status open_all(struct offline *offline, struct error *error, struct handles *ret_handles)
{
    TRY(read_manifest(offline, error));
    for (unsigned tries = 0;; tries++) {
        struct handles handles;
        open_handles(offline, true, &handles);
        if (!handles.missing) {
            *ret_handles = handles;
            return STATUS_OK;
        }
        close_handles(offline, &handles);
        uint64_t number = offline->manifest.number, offset = offline->manifest.offset;
        manifest_fini(&offline->manifest);
        TRY(read_manifest(offline, error));
        if ((number == offline->manifest.number && offset == offline->manifest.offset) || tries == TRIES_MAX) break;
    }
    open_handles(offline, false, ret_handles); /* really missing */
    return STATUS_OK;
}

static void load_files(struct offline *offline, struct handles *handles)
{
    const struct manifest *m = &offline->manifest;
    struct error error = ERROR_INIT;
    char name[64];
    load_catalogs(offline, handles->catalogs);
    for (size_t i = 0; i < offline->project_count; i++) {
        struct offline_project *project = &offline->projects[i];
        project->view = id_graph_view(project->ids);
        project->event_count = names_count(project->events);
        project->property_count = names_count(project->properties);
        struct id_mark mark = id_graph_mark(project->ids);
        project->id_count = mark.ids;
        project->link_count = mark.links;
    }
    offline->files = calloc(m->section_count + 1, sizeof *offline->files);
    if (!offline->files) abort();
    for (size_t i = 0; i < m->section_count; i++) {
        struct offline_file *file = &offline->files[offline->file_count++];
        file->file_id = m->sections[i].file_id;
        event_name(file->name, file->file_id, "sec");
        file->handle = handles->sections[i];
        handles->sections[i] = NULL;
        if (file->handle &&
            fill_file(file, &m->sections[i], m->node, offline->cache, &offline->sink, &error) != STATUS_OK) {
            if (error.status != STATUS_UNSUPPORTED)
                finding_report_error(&offline->sink, FINDING_DAMAGE, file->name, FINDING_NO_OFFSET, &error);
            offline_file_fini(file);
        }
        for (uint32_t s = 0; s < file->section_count; s++)
            file->sections[s].dropped =
                manifest_is_dropped(m, file->sections[s].project) || manifest_is_dead(m, file->file_id, s);
    }
    for (size_t i = 0; i < m->delete_count; i++) {
        if (!handles->deletes[i]) continue;
        event_name(name, m->deletes[i].delete_file, "del");
        bool seen = false;
        for (size_t k = 0; k < i && !seen; k++) seen = m->deletes[k].delete_file == m->deletes[i].delete_file;
        if (!seen) check_delete_header(offline, m->deletes[i].delete_file, name, handles->deletes[i]);
        load_deletes(offline, &m->deletes[i], name, handles->deletes[i]);
    }
}

enum status offline_open(const struct offline_options *options, struct error *error, struct offline **ret_offline)
{
    struct offline *offline = calloc(1, sizeof *offline);
    if (!offline) return error_set(error, STATUS_LIMIT, "out of memory");
    offline->sink = options->sink;
    offline->cache = cache_new(options->cache_bytes);
    enum status status = os_readonly_new(options->fs, error, &offline->fs);
    struct handles handles = {0};
    if (status == STATUS_OK) status = open_all(offline, error, &handles);
    if (status == STATUS_OK) load_files(offline, &handles);
    close_handles(offline, &handles);
    if (status != STATUS_OK) {
        offline_free(offline);
        return status;
    }
    *ret_offline = offline;
    return STATUS_OK;
}

void offline_free(struct offline *offline)
{
    if (!offline) return;
    for (size_t i = 0; i < offline->file_count; i++) offline_file_fini(&offline->files[i]);
    free(offline->files);
    for (size_t i = 0; i < offline->project_count; i++) {
        id_view_unref(offline->projects[i].view);
        names_free(offline->projects[i].events);
        names_free(offline->projects[i].properties);
        id_graph_free(offline->projects[i].ids);
    }
    free(offline->projects);
    if (offline->manifest.fs) manifest_fini(&offline->manifest);
    cache_free(offline->cache);
    os_fs_free(offline->fs);
    free(offline);
}
