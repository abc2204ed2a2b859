/* What the manifest says, and how an edit changes it: the same for edits of ours and for those that are read. */
#include "store/manifest.h"

#include "store/manifest_int.h"

#include <stdatomic.h>
#include <stdlib.h>

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

void manifest_write_body(struct buf *body, const struct manifest_edit *edit)
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

enum status manifest_apply_body(struct manifest *m, struct str body, bool live)
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

void manifest_remove_emptied(const struct manifest *m, const struct manifest_edit *edit, struct buf *body)
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
