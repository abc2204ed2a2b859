#include "store/event_files.h"

#include "base/hash.h"
#include "base/log.h"
#include "os/clock.h"
#include "os/thread.h"
#include "store/file_header.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define ALIGN           64
#define FOOTER_MAX      ((size_t)64 << 20)
#define DELETE_FILE_MAX ((size_t)4 << 30)
#define SLEEP_NS_MAX    100000000LL

const char section_magic[8] = "CAIRNSEC", catalog_magic[8] = "CAIRNCAT", delete_magic[8] = "CAIRNDEL",
           end_magic[8] = "CAIRNEND";

void event_file_name(char out[64], uint64_t id, const char *kind)
{
    snprintf(out, 64, "events/%016llx.%s", (unsigned long long)id, kind);
}

enum status event_file_write(struct os_fs *fs, const char *name, const struct str *pieces, size_t count,
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

void event_file_remove(struct os_fs *fs, uint64_t id, const char *kind)
{
    char name[64];
    struct error error;
    event_file_name(name, id, kind);
    enum status status = os_unlink(fs, name, &error);
    if (status != STATUS_OK && status != STATUS_NOT_FOUND) log_failure(LOG_WARN, "cannot_remove_file", &error);
}

/* --- section files --- */

enum status section_writer_begin(struct section_writer *writer, struct os_fs *fs, const unsigned char node[16],
                                 uint64_t file_id, uint64_t lsn, struct error *error)
{
    char name[64];
    unsigned char header[FILE_HEADER];
    writer->fs = fs;
    writer->file_id = file_id;
    writer->error = error;
    event_file_name(name, file_id, "sec");
    TRY(os_open(fs, name, OS_WRITE | OS_CREATE | OS_STREAM, error, &writer->file));
    TRY(os_truncate(writer->file, 0, error));
    file_header_write(header, section_magic, node, file_id, lsn);
    return section_writer_write(writer, str_from(header, sizeof header));
}

/* A bucket that holds a tenth of a second: sleeps until the bytes written so far are paid for. */
static void throttle(struct section_writer *writer, size_t bytes)
{
    if (!writer->bytes_per_second) return;
    int64_t now = os_monotonic_ns();
    if (writer->ready_ns < now) writer->ready_ns = now;
    writer->ready_ns += (int64_t)((double)bytes * 1e9 / (double)writer->bytes_per_second);
    while (writer->ready_ns - now > SLEEP_NS_MAX) {
        os_sleep_ns(SLEEP_NS_MAX);
        now = os_monotonic_ns();
    }
}

enum status section_writer_write(void *context, struct str bytes)
{
    struct section_writer *writer = context;
    throttle(writer, bytes.size);
    TRY(os_pwrite(writer->file, bytes.data, bytes.size, writer->offset, writer->error));
    writer->offset += bytes.size;
    return STATUS_OK;
}

enum status section_writer_align(struct section_writer *writer, uint64_t *ret_offset)
{
    static const char zeros[ALIGN];
    size_t pad = (size_t)(-writer->offset % ALIGN);
    if (pad) TRY(section_writer_write(writer, str_from(zeros, pad)));
    *ret_offset = writer->offset;
    return STATUS_OK;
}

enum status section_writer_add(struct section_writer *writer, const struct written_section *section)
{
    if (writer->count == writer->capacity) {
        size_t capacity = writer->capacity ? writer->capacity * 2 : 16;
        struct written_section *grown = realloc(writer->sections, capacity * sizeof *grown);
        if (!grown) return error_set(writer->error, STATUS_LIMIT, "out of memory while writing a section file");
        writer->sections = grown;
        writer->capacity = capacity;
    }
    writer->sections[writer->count++] = *section;
    return STATUS_OK;
}

enum status section_writer_finish(struct section_writer *writer, struct manifest_file *ret_file)
{
    struct buf footer = BUF_INIT(FOOTER_MAX), trailer = BUF_INIT(EVENT_FILE_TRAILER);
    uint64_t offset;
    TRY(section_writer_align(writer, &offset));
    buf_u32(&footer, (uint32_t)writer->count);
    for (size_t i = 0; i < writer->count; i++) {
        const struct written_section *section = &writer->sections[i];
        buf_u64(&footer, section->project);
        buf_u64(&footer, section->offset);
        buf_u64(&footer, section->size);
        section_ref_write(&footer, section->directory);
        buf_u64(&footer, section->lsn);
        buf_u64(&footer, (uint64_t)section->made_ms);
    }
    enum status status = buf_status(&footer);
    if (status != STATUS_OK) error_set(writer->error, status, "too many sections in one file");
    if (status == STATUS_OK) {
        uint64_t size = offset + footer.size + EVENT_FILE_TRAILER;
        uint64_t check = hash_bytes(footer.data, footer.size, 0);
        buf_u64(&trailer, footer.size);
        buf_u64(&trailer, check);
        buf_u64(&trailer, size);
        buf_add(&trailer, end_magic, 8);
        *ret_file = (struct manifest_file){writer->file_id, size, check, (uint32_t)writer->count};
        status = section_writer_write(writer, buf_str(&footer));
    }
    if (status == STATUS_OK) status = section_writer_write(writer, buf_str(&trailer));
    if (status == STATUS_OK) status = os_sync(writer->file, writer->error);
    if (status == STATUS_OK) {
        os_close(writer->file);
        writer->file = NULL;
    }
    buf_fini(&footer);
    buf_fini(&trailer);
    return status;
}

void section_writer_abort(struct section_writer *writer)
{
    if (!writer->fs) return;
    os_close(writer->file);
    writer->file = NULL;
    event_file_remove(writer->fs, writer->file_id, "sec");
}

void section_writer_fini(struct section_writer *writer)
{
    os_close(writer->file);
    free(writer->sections);
    *writer = (struct section_writer){0};
}

enum status section_writer_open(const struct section_writer *writer, struct section_file **ret_file)
{
    char name[64];
    struct section_file *file = calloc(1, sizeof *file);
    if (!file) return error_set(writer->error, STATUS_LIMIT, "out of memory for a section file");
    event_file_name(name, writer->file_id, "sec");
    enum status status = os_open(writer->fs, name, OS_READ, writer->error, &file->file);
    if (status != STATUS_OK) {
        free(file);
        return status;
    }
    atomic_init(&file->refs, 1);
    file->file_id = writer->file_id;
    file->sections_live = (uint32_t)writer->count;
    file->bytes = file->bytes_live = writer->offset;
    file->marked_lsn = UINT64_MAX;
    *ret_file = file;
    return STATUS_OK;
}

enum status section_writer_section(const struct section_writer *writer, struct section_file *file, size_t number,
                                   struct cache *cache, struct section **ret_section)
{
    const struct written_section *at = &writer->sections[number];
    TRY(section_open_file(file, cache, at->offset, at->size, at->directory, at->project, (uint32_t)number,
                          writer->error, ret_section));
    (*ret_section)->lsn = at->lsn;
    (*ret_section)->made_ms = at->made_ms;
    return STATUS_OK;
}

/* --- delete files --- */

enum status delete_file_read(struct os_file *file, const char *name, const struct manifest_deletes *entry,
                             struct error *error, char **ret_bytes)
{
    uint64_t size;
    TRY(os_size(file, &size, error));
    if (entry->offset > size || entry->size > size - entry->offset)
        return error_set(error, STATUS_CORRUPT, "file %s ends before the deleted rows that it should hold", name);
    char *bytes = malloc(entry->size ? entry->size : 1);
    if (!bytes) return error_set(error, STATUS_LIMIT, "out of memory for file %s", name);
    enum status status = os_pread(file, bytes, entry->size, entry->offset, error);
    if (status == STATUS_OK)
        *ret_bytes = bytes;
    else
        free(bytes);
    return status;
}

enum status delete_file_write(struct os_fs *fs, const unsigned char node[16], uint64_t file_id, uint64_t lsn,
                              const roaring_bitmap_t *const *rows, struct manifest_deletes *entries, size_t count,
                              struct error *error)
{
    struct buf content = BUF_INIT(DELETE_FILE_MAX);
    for (size_t i = 0; i < count; i++) {
        size_t size = roaring_bitmap_portable_size_in_bytes(rows[i]);
        char *to = size <= UINT32_MAX ? buf_reserve(&content, size) : NULL;
        if (!to) break;
        roaring_bitmap_portable_serialize(rows[i], to);
        entries[i].delete_file = file_id;
        entries[i].offset = FILE_HEADER + content.size;
        entries[i].size = (uint32_t)size;
        entries[i].check = hash_bytes(to, size, 0);
        buf_advance(&content, size);
    }
    enum status status = buf_status(&content);
    if (status == STATUS_OK) {
        unsigned char header[FILE_HEADER];
        char name[64];
        file_header_write(header, delete_magic, node, file_id, lsn);
        struct str pieces[] = {str_from(header, sizeof header), buf_str(&content)};
        event_file_name(name, file_id, "del");
        status = event_file_write(fs, name, pieces, 2, error);
    } else {
        error_set(error, status, "out of memory while writing deleted rows");
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

uint64_t *delete_files(const struct manifest *manifest, size_t *ret_count)
{
    uint64_t *files = calloc(manifest->delete_count + 1, sizeof *files);
    *ret_count = 0;
    for (size_t i = 0; i < manifest->delete_count && files; i++) {
        uint64_t id = manifest->deletes[i].delete_file;
        bool known = false;
        for (size_t k = 0; k < *ret_count && !known; k++) known = files[k] == id;
        if (!known) files[(*ret_count)++] = id;
    }
    return files;
}

void delete_files_sweep(struct os_fs *fs, const struct manifest *manifest, const uint64_t *before, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!delete_file_used(manifest, before[i])) event_file_remove(fs, before[i], "del");
    }
}

/* --- left-overs --- */

#define SWEEP_MAX 256

struct sweep {
    const struct manifest *manifest;
    char names[SWEEP_MAX][64];
    size_t count;
};

static void sweep_file(void *ctx, const char *file)
{
    struct sweep *sweep = ctx;
    const struct manifest *m = sweep->manifest;
    unsigned long long id;
    char kind[4];
    if (sscanf(file, "%16llx.%3s", &id, kind) != 2 || sweep->count == SWEEP_MAX) return;
    bool listed = m->busy_file_id && id == m->busy_file_id;
    listed |= strcmp(kind, "sec") == 0 && manifest_has_file(m, id);
    for (size_t i = 0; i < m->catalog_count && strcmp(kind, "cat") == 0; i++) listed |= m->catalogs[i].file_id == id;
    listed |= strcmp(kind, "del") == 0 && delete_file_used(m, id);
    if (!listed && strlen(file) < 48) snprintf(sweep->names[sweep->count++], 64, "events/%.48s", file);
}

void files_sweep(struct os_fs *fs, const struct manifest *manifest)
{
    struct sweep *sweep = malloc(sizeof *sweep);
    if (!sweep) return; /* the next start will do it */
    bool more = true;
    while (more) {
        struct error error;
        *sweep = (struct sweep){.manifest = manifest};
        if (os_list(fs, "events", sweep_file, sweep, &error) != STATUS_OK) break;
        more = sweep->count == SWEEP_MAX;
        for (size_t i = 0; i < sweep->count; i++) {
            if (os_unlink(fs, sweep->names[i], &error) == STATUS_OK) continue;
            log_failure(LOG_WARN, "cannot_remove_file", &error);
            more = false;
        }
    }
    free(sweep);
}
