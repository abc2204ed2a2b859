/* The files of the manifest: edits appended, new files with a full picture, and what is read at a start. */
#include "store/manifest.h"

#include "base/buf.h"
#include "base/hash.h"
#include "os/clock.h"
#include "store/file_header.h"
#include "store/manifest_int.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define ROTATE_BYTES ((uint64_t)4 << 20)
#define MANIFEST_MAX ((size_t)256 << 20)
#define EDIT_HEADER  16
#define FILE_ID_MAX  ((uint64_t)1 << 62) /* beyond it numbers would begin anew one day */

static const char manifest_magic[8] = "CAIRNMAN";

static void manifest_name(char out[64], uint64_t number)
{
    snprintf(out, 64, "MANIFEST-%016llx", (unsigned long long)number);
}

static void write_edit(struct buf *out, struct str body, uint64_t *check)
{
    *check = hash_bytes(body.data, body.size, *check);
    buf_u32(out, (uint32_t)body.size);
    buf_u32(out, 0);
    buf_u64(out, *check);
    buf_str_add(out, body);
}

struct listing {
    uint64_t numbers[256];
    size_t count;
};

static void note_name(void *ctx, const char *name)
{
    struct listing *listing = ctx;
    unsigned long long number;
    char rest;
    if (sscanf(name, "MANIFEST-%16llx%c", &number, &rest) == 1 && listing->count < 256)
        listing->numbers[listing->count++] = number;
}

/* Older manifests are only clutter: the highest number counts. */
static void remove_older(const struct manifest *m)
{
    struct listing listing = {.count = 0};
    struct error ignored;
    if (os_list(m->fs, "", note_name, &listing, &ignored) != STATUS_OK) return;
    for (size_t i = 0; i < listing.count; i++) {
        char name[64];
        manifest_name(name, listing.numbers[i]);
        if (listing.numbers[i] < m->number) (void)!os_unlink(m->fs, name, &ignored);
    }
}

/* A new file with a full picture, then the edit of `body` on top. The old file is removed when the new one is durable.
 */
static enum status rotate(struct manifest *m, struct str body, struct error *error)
{
    struct str debts = str_from(m->debts, m->debt_size);
    struct manifest_edit full = {
        .flushed_lsn = m->flushed_lsn,
        .next_file_id = m->next_file_id,
        .add_sections = m->sections,
        .add_section_count = m->section_count,
        .add_catalogs = m->catalogs,
        .add_catalog_count = m->catalog_count,
        .drop_sections = m->dead,
        .drop_section_count = m->dead_count,
        .deletes = m->deletes,
        .delete_count = m->delete_count,
        .drop_projects = m->dropped,
        .drop_project_count = m->dropped_count,
        .debts = debts.size ? &debts : NULL,
    };
    struct buf picture = BUF_INIT(MANIFEST_MAX), out = BUF_INIT(MANIFEST_MAX);
    unsigned char header[FILE_HEADER];
    uint64_t number = m->number + 1, check = 0;
    char name[64], temporary[72];
    file_header_write(header, manifest_magic, m->node, number, m->flushed_lsn);
    buf_add(&out, header, sizeof header);
    manifest_write_body(&picture, &full);
    write_edit(&out, buf_str(&picture), &check);
    if (body.size) write_edit(&out, body, &check);
    manifest_name(name, number);
    snprintf(temporary, sizeof temporary, "%s.tmp", name);
    struct os_file *file = NULL;
    enum status status = buf_status(&out) == STATUS_OK ? buf_status(&picture) : STATUS_LIMIT;
    if (status != STATUS_OK) error_set(error, status, "the manifest is too large");
    if (status == STATUS_OK) status = os_open(m->fs, temporary, OS_WRITE | OS_CREATE, error, &file);
    if (status == STATUS_OK) status = os_truncate(file, 0, error);
    if (status == STATUS_OK) status = os_pwrite(file, out.data, out.size, 0, error);
    if (status == STATUS_OK) status = os_sync(file, error);
    if (status == STATUS_OK) status = os_rename(m->fs, temporary, name, error);
    if (status == STATUS_OK) status = os_sync_dir(m->fs, "", error);
    if (status == STATUS_OK) {
        os_close(m->file);
        m->file = file;
        m->number = number;
        m->offset = out.size;
        m->last_check = check;
        m->failed = false;
        remove_older(m);
    } else {
        os_close(file);
        m->number = number; /* the name may exist: take another next time */
        m->failed = true;
    }
    buf_fini(&picture);
    buf_fini(&out);
    return status;
}

enum status manifest_renew(struct manifest *m, struct error *error)
{
    return rotate(m, STR_NULL, error);
}

uint64_t manifest_take_ids(struct manifest *m, uint64_t count)
{
    return atomic_fetch_add(&m->next_file_id, count);
}

enum status manifest_append(struct manifest *m, const struct manifest_edit *edit, struct error *error)
{
    struct buf body = BUF_INIT(MANIFEST_MAX), out = BUF_INIT(MANIFEST_MAX);
    manifest_write_body(&body, edit);
    manifest_remove_emptied(m, edit, &body);
    enum status status = buf_status(&body);
    if (status != STATUS_OK) {
        error_set(error, status, "manifest edit too large");
    } else if (m->failed || m->offset > ROTATE_BYTES) {
        status = rotate(m, buf_str(&body), error);
    } else {
        uint64_t check = m->last_check;
        write_edit(&out, buf_str(&body), &check);
        status = buf_status(&out);
        if (status == STATUS_OK) status = os_pwrite(m->file, out.data, out.size, m->offset, error);
        if (status == STATUS_OK) status = os_sync(m->file, error);
        if (status == STATUS_OK) {
            m->offset += out.size;
            m->last_check = check;
        } else {
            m->failed = true; /* what the file holds now is unknown; a new one says it all anew */
        }
    }
    if (status == STATUS_OK && manifest_apply_body(m, buf_str(&body), true) != STATUS_OK) abort(); /* our own bytes */
    buf_fini(&body);
    buf_fini(&out);
    return status;
}

static void reset(struct manifest *m)
{
    m->section_count = m->catalog_count = m->delete_count = m->dead_count = m->dropped_count = 0;
    m->debt_size = 0;
    m->flushed_lsn = m->last_check = m->offset = 0;
    m->next_file_id = 1;
}

/* INVALID: the file's first edit does not verify. */
static enum status load(struct manifest *m, uint64_t number, struct error *error)
{
    char name[64];
    manifest_name(name, number);
    struct os_file *file;
    uint64_t size = 0, id, lsn;
    TRY(os_open(m->fs, name, OS_WRITE, error, &file));
    enum status status = os_size(file, &size, error);
    unsigned char *bytes = NULL;
    if (status == STATUS_OK && (size > MANIFEST_MAX || !(bytes = malloc(size + 1))))
        status = error_set(error, STATUS_LIMIT, "file %s is too large", name);
    if (status == STATUS_OK) status = os_pread(file, bytes, size, 0, error);
    if (status == STATUS_OK && size < FILE_HEADER)
        status = error_set(error, STATUS_CORRUPT, "file %s is cut short", name);
    if (status == STATUS_OK) {
        memcpy(m->node, bytes + 16, 16);
        status = file_header_check(bytes, manifest_magic, m->node, error, &id, &lsn);
        if (status != STATUS_OK) error_prefix(error, "file %s", name);
    }
    reset(m);
    uint64_t at = FILE_HEADER;
    size_t edits = 0;
    while (status == STATUS_OK && at + EDIT_HEADER <= size) {
        struct reader r = reader_of(str_from(bytes + at, EDIT_HEADER));
        uint32_t length = read_u32(&r);
        (void)read_u32(&r);
        uint64_t check = read_u64(&r);
        if (length > size - at - EDIT_HEADER || length == 0) break;
        struct str body = str_from(bytes + at + EDIT_HEADER, length);
        if (hash_bytes(body.data, body.size, m->last_check) != check) break;
        status = manifest_apply_body(m, body, false);
        if (status != STATUS_OK) {
            error_set(error, status, "file %s holds an edit that cannot be applied", name);
            break;
        }
        m->last_check = check;
        at += EDIT_HEADER + length;
        edits++;
    }
    free(bytes);
    if (status == STATUS_OK && edits == 0)
        status = error_set(error, STATUS_CORRUPT, "file %s holds no complete edit", name);
    if (status != STATUS_OK) {
        os_close(file);
        return status;
    }
    m->file = file;
    m->number = number;
    m->offset = at;
    /* What was read may have sat in the page cache only, of a process that died before (or because) its sync failed,
     * and then no later sync would make it durable. So this file is not written again: the first append starts a new
     * one. */
    m->failed = true;
    return STATUS_OK;
}

static int descending(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x > y ? -1 : x < y;
}

enum status manifest_open(struct os_fs *fs, struct error *error, struct manifest *ret_manifest)
{
    struct manifest m = {.fs = fs};
    struct listing listing = {.count = 0};
    TRY(os_list(fs, "", note_name, &listing, error));
    qsort(listing.numbers, listing.count, sizeof *listing.numbers, descending);
    enum status status = STATUS_NOT_FOUND;
    for (size_t i = 0; i < listing.count && status != STATUS_OK; i++) {
        status = load(&m, listing.numbers[i], error);
        if (status == STATUS_UNSUPPORTED || status == STATUS_LIMIT || status == STATUS_IO) break;
    }
    if (listing.count == 0) {
        reset(&m);
        os_random(m.node, sizeof m.node);
        status = rotate(&m, STR_NULL, error);
    }
    if (status != STATUS_OK) {
        manifest_fini(&m);
        return status;
    }
    *ret_manifest = m;
    return STATUS_OK;
}

static enum status not_believable(const struct manifest *m, uint64_t file_id, const char *what, struct error *error)
{
    char name[64];
    manifest_name(name, m->number);
    error_set(error, STATUS_CORRUPT, "file %s names file %016llx, %s", name, (unsigned long long)file_id, what);
    error_hint(error, "restore the manifest and the files of events/ from one backup");
    return STATUS_CORRUPT;
}

static enum status check_files(const struct manifest *m, const struct manifest_file *files, size_t count,
                               struct error *error)
{
    uint64_t *ids = calloc(count + 1, sizeof *ids);
    if (!ids) return error_set(error, STATUS_LIMIT, "out of memory for the list of files");
    for (size_t i = 0; i < count; i++) ids[i] = files[i].file_id;
    qsort(ids, count, sizeof *ids, descending);
    enum status status = STATUS_OK;
    if (count && ids[0] >= m->next_file_id)
        status = not_believable(m, ids[0], "whose number is still to be given out", error);
    for (size_t i = 1; i < count && status == STATUS_OK; i++) {
        if (ids[i] == ids[i - 1]) status = not_believable(m, ids[i], "and names it twice", error);
    }
    free(ids);
    return status;
}

enum status manifest_check(const struct manifest *m, struct error *error)
{
    if (m->next_file_id == 0 || m->next_file_id > FILE_ID_MAX)
        return not_believable(m, m->next_file_id, "as the next one, which is no number for a file", error);
    TRY(check_files(m, m->sections, m->section_count, error));
    TRY(check_files(m, m->catalogs, m->catalog_count, error));
    for (size_t i = 0; i < m->delete_count; i++) {
        /* of a section that does not count yet: they would be believed once a section gets the number */
        uint64_t section = m->deletes[i].section_file, file = m->deletes[i].delete_file;
        if (section >= m->next_file_id || file >= m->next_file_id)
            return not_believable(m, section > file ? section : file, "whose number is still to be given out", error);
    }
    return STATUS_OK;
}

void manifest_fini(struct manifest *m)
{
    os_close(m->file);
    free(m->sections);
    free(m->catalogs);
    free(m->deletes);
    free(m->dead);
    free(m->dropped);
    free(m->debts);
    *m = (struct manifest){0};
}
