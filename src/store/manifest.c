#include "store/manifest.h"

#include "base/buf.h"
#include "base/hash.h"
#include "os/clock.h"
#include "store/file_header.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define ROTATE_BYTES ((uint64_t)4 << 20)
#define MANIFEST_MAX ((size_t)256 << 20)
#define EDIT_HEADER  16
#define FILE_ID_MAX  ((uint64_t)1 << 62) /* beyond it numbers would begin anew one day */

static const char manifest_magic[8] = "CAIRNMAN";

enum operation {
    OP_FLUSHED = 1,
    OP_NEXT_FILE,
    OP_ADD_SECTION,
    OP_REMOVE_SECTION,
    OP_ADD_CATALOG,
    OP_REMOVE_CATALOG,
    OP_DELETES,
    OP_DROP_PROJECT,
    OP_DROP_SECTION,
    OP_DEBTS,
};

static void *grow(void *items, size_t count, size_t *capacity, size_t item_size)
{
    if (count < *capacity) return items;
    size_t wanted = *capacity ? *capacity * 2 : 16;
    void *grown = realloc(items, wanted * item_size);
    if (!grown) abort();
    *capacity = wanted;
    return grown;
}

static void add_file(struct manifest_file **files, size_t *count, size_t *capacity, struct manifest_file file)
{
    *files = grow(*files, *count, capacity, sizeof **files);
    (*files)[(*count)++] = file;
}

static bool remove_file(struct manifest_file *files, size_t *count, uint64_t file_id)
{
    for (size_t i = 0; i < *count; i++) {
        if (files[i].file_id != file_id) continue;
        memmove(files + i, files + i + 1, (*count - i - 1) * sizeof *files);
        (*count)--;
        return true;
    }
    return false;
}

static void set_deletes(struct manifest *m, struct manifest_deletes deletes)
{
    for (size_t i = 0; i < m->delete_count; i++) {
        if (m->deletes[i].section_file == deletes.section_file && m->deletes[i].ordinal == deletes.ordinal) {
            m->deletes[i] = deletes;
            return;
        }
    }
    m->deletes = grow(m->deletes, m->delete_count, &m->delete_capacity, sizeof *m->deletes);
    m->deletes[m->delete_count++] = deletes;
}

static void remove_section(struct manifest *m, uint64_t file_id)
{
    for (size_t i = m->delete_count; i-- > 0;) {
        if (m->deletes[i].section_file == file_id) m->deletes[i] = m->deletes[--m->delete_count];
    }
    for (size_t i = m->dead_count; i-- > 0;) {
        if (m->dead[i].section_file == file_id) m->dead[i] = m->dead[--m->dead_count];
    }
}

static const struct manifest_file *find_section_file(const struct manifest *m, uint64_t file_id)
{
    for (size_t i = 0; i < m->section_count; i++) {
        if (m->sections[i].file_id == file_id) return &m->sections[i];
    }
    return NULL;
}

bool manifest_has_file(const struct manifest *m, uint64_t section_file)
{
    return find_section_file(m, section_file) != NULL;
}

bool manifest_is_dead(const struct manifest *m, uint64_t section_file, uint32_t ordinal)
{
    for (size_t i = 0; i < m->dead_count; i++) {
        if (m->dead[i].section_file == section_file && m->dead[i].ordinal == ordinal) return true;
    }
    return false;
}

/* False when there is no such section, or it is dead already. */
static bool drop_section(struct manifest *m, struct manifest_dead dead)
{
    const struct manifest_file *file = find_section_file(m, dead.section_file);
    if (!file || dead.ordinal >= file->sections || manifest_is_dead(m, dead.section_file, dead.ordinal)) return false;
    for (size_t i = m->delete_count; i-- > 0;) {
        if (m->deletes[i].section_file == dead.section_file && m->deletes[i].ordinal == dead.ordinal)
            m->deletes[i] = m->deletes[--m->delete_count];
    }
    m->dead = grow(m->dead, m->dead_count, &m->dead_capacity, sizeof *m->dead);
    m->dead[m->dead_count++] = dead;
    return true;
}

bool manifest_is_dropped(const struct manifest *m, uint64_t project)
{
    for (size_t i = 0; i < m->dropped_count; i++) {
        if (m->dropped[i] == project) return true;
    }
    return false;
}

static void drop_project(struct manifest *m, uint64_t project)
{
    if (manifest_is_dropped(m, project)) return;
    m->dropped = grow(m->dropped, m->dropped_count, &m->dropped_capacity, sizeof *m->dropped);
    m->dropped[m->dropped_count++] = project;
}

static void set_debts(struct manifest *m, struct str debts)
{
    free(m->debts);
    m->debts = malloc(debts.size + 1);
    if (!m->debts) abort();
    if (debts.size) memcpy(m->debts, debts.data, debts.size);
    m->debt_size = debts.size;
}

/* --- bodies --- */

static void put_file(struct buf *body, enum operation operation, const struct manifest_file *file)
{
    buf_byte(body, (char)operation);
    buf_u64(body, file->file_id);
    buf_u64(body, file->size);
    buf_u64(body, file->check);
    if (operation == OP_ADD_SECTION) buf_u32(body, file->sections);
}

static void put_number(struct buf *body, enum operation operation, uint64_t number)
{
    buf_byte(body, (char)operation);
    buf_u64(body, number);
}

static void write_body(struct buf *body, const struct manifest_edit *edit)
{
    put_number(body, OP_FLUSHED, edit->flushed_lsn);
    put_number(body, OP_NEXT_FILE, edit->next_file_id);
    for (size_t i = 0; i < edit->remove_section_count; i++)
        put_number(body, OP_REMOVE_SECTION, edit->remove_sections[i]);
    for (size_t i = 0; i < edit->remove_catalog_count; i++)
        put_number(body, OP_REMOVE_CATALOG, edit->remove_catalogs[i]);
    for (size_t i = 0; i < edit->add_section_count; i++) put_file(body, OP_ADD_SECTION, &edit->add_sections[i]);
    for (size_t i = 0; i < edit->add_catalog_count; i++) put_file(body, OP_ADD_CATALOG, &edit->add_catalogs[i]);
    for (size_t i = 0; i < edit->drop_section_count; i++) {
        const struct manifest_dead *d = &edit->drop_sections[i];
        put_number(body, OP_DROP_SECTION, d->section_file);
        buf_u32(body, d->ordinal);
        buf_u64(body, d->marked_lsn);
        buf_u64(body, (uint64_t)d->marked_ms);
    }
    for (size_t i = 0; i < edit->delete_count; i++) {
        const struct manifest_deletes *d = &edit->deletes[i];
        put_number(body, OP_DELETES, d->section_file);
        buf_u32(body, d->ordinal);
        buf_u64(body, d->delete_file);
        buf_u64(body, d->offset);
        buf_u32(body, d->size);
        buf_u64(body, d->check);
        buf_u64(body, d->marked_lsn);
        buf_u64(body, (uint64_t)d->marked_ms);
    }
    for (size_t i = 0; i < edit->drop_project_count; i++) put_number(body, OP_DROP_PROJECT, edit->drop_projects[i]);
    if (edit->debts) {
        put_number(body, OP_DEBTS, edit->debts->size);
        buf_str_add(body, *edit->debts);
    }
}

/* Others may have taken numbers since our own edit was made up. */
static void set_next_file(struct manifest *m, uint64_t number, bool live)
{
    uint64_t now = live ? atomic_load(&m->next_file_id) : 0;
    if (!live) atomic_store(&m->next_file_id, number);
    while (now < number && live && !atomic_compare_exchange_weak(&m->next_file_id, &now, number)) {
    }
}

/* `live`: an edit of ours, not one that was read. */
static enum status apply_body(struct manifest *m, struct str body, bool live)
{
    struct reader r = reader_of(body);
    while (reader_left(&r)) {
        uint8_t operation = read_u8(&r);
        uint64_t number = read_u64(&r);
        switch (operation) {
        case OP_FLUSHED: m->flushed_lsn = number; break;
        case OP_NEXT_FILE: set_next_file(m, number, live); break;
        case OP_ADD_SECTION:
        case OP_ADD_CATALOG: {
            struct manifest_file file = {.file_id = number, .size = read_u64(&r)};
            file.check = read_u64(&r);
            if (operation == OP_ADD_SECTION) file.sections = read_u32(&r);
            if (operation == OP_ADD_SECTION)
                add_file(&m->sections, &m->section_count, &m->section_capacity, file);
            else
                add_file(&m->catalogs, &m->catalog_count, &m->catalog_capacity, file);
            break;
        }
        case OP_REMOVE_SECTION:
            if (!remove_file(m->sections, &m->section_count, number)) return STATUS_CORRUPT;
            remove_section(m, number);
            break;
        case OP_REMOVE_CATALOG:
            if (!remove_file(m->catalogs, &m->catalog_count, number)) return STATUS_CORRUPT;
            break;
        case OP_DELETES: {
            struct manifest_deletes d = {.section_file = number, .ordinal = read_u32(&r)};
            d.delete_file = read_u64(&r);
            d.offset = read_u64(&r);
            d.size = read_u32(&r);
            d.check = read_u64(&r);
            d.marked_lsn = read_u64(&r);
            d.marked_ms = (int64_t)read_u64(&r);
            set_deletes(m, d);
            break;
        }
        case OP_DROP_SECTION: {
            struct manifest_dead d = {.section_file = number, .ordinal = read_u32(&r)};
            d.marked_lsn = read_u64(&r);
            d.marked_ms = (int64_t)read_u64(&r);
            if (r.failed || !drop_section(m, d)) return STATUS_CORRUPT;
            break;
        }
        case OP_DROP_PROJECT: drop_project(m, number); break;
        case OP_DEBTS:
            if (number > reader_left(&r)) return STATUS_CORRUPT;
            set_debts(m, read_bytes(&r, number));
            break;
        default: return STATUS_CORRUPT;
        }
    }
    return r.failed ? STATUS_CORRUPT : STATUS_OK;
}

/* --- files --- */

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
    write_body(&picture, &full);
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

/* Files whose last sections the edit drops. */
static void remove_emptied(const struct manifest *m, const struct manifest_edit *edit, struct buf *body)
{
    for (size_t i = 0; i < edit->drop_section_count; i++) {
        uint64_t file_id = edit->drop_sections[i].section_file;
        const struct manifest_file *file = find_section_file(m, file_id);
        uint64_t dead = 0;
        bool done = false;
        for (size_t k = 0; k < i && !done; k++) done = edit->drop_sections[k].section_file == file_id;
        if (!file || done) continue;
        for (size_t k = 0; k < m->dead_count; k++) dead += m->dead[k].section_file == file_id;
        for (size_t k = i; k < edit->drop_section_count; k++) dead += edit->drop_sections[k].section_file == file_id;
        if (dead == file->sections) put_number(body, OP_REMOVE_SECTION, file_id);
    }
}

uint64_t manifest_take_ids(struct manifest *m, uint64_t count)
{
    return atomic_fetch_add(&m->next_file_id, count);
}

enum status manifest_append(struct manifest *m, const struct manifest_edit *edit, struct error *error)
{
    struct buf body = BUF_INIT(MANIFEST_MAX), out = BUF_INIT(MANIFEST_MAX);
    write_body(&body, edit);
    remove_emptied(m, edit, &body);
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
    if (status == STATUS_OK && apply_body(m, buf_str(&body), true) != STATUS_OK) abort(); /* our own bytes */
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
        status = apply_body(m, body, false);
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
