#include "store/inspect.h"

#include "base/hash.h"
#include "base/map.h"
#include "store/profiles.h"
#include "store/run.h"

#include <stdio.h>
#include <stdlib.h>

#define CACHE_BYTES     ((size_t)16 << 20)
#define RUN_BYTES       ((size_t)1 << 30)
#define LOG_FILES_MAX   4096
#define MANIFEST_MAX    ((uint64_t)256 << 20)
#define MANIFEST_HEADER 16

/* --- names --- */

const char *inspect_core_name(uint32_t property)
{
    switch (property) {
    case CORE_PERSON: return "person";
    case CORE_RUN: return "rows of person";
    case CORE_VECTOR: return "vector start";
    case CORE_MINUTE: return "minute";
    case CORE_MS: return "millisecond";
    case CORE_ID: return "id";
    case CORE_INSERT: return "insert id";
    case CORE_RECEIVED: return "received";
    case CORE_FLAGS: return "flags";
    default: return property > PROPERTY_ID_MAX ? "unknown stream" : NULL;
    }
}

const char *inspect_encoding_name(unsigned encoding, char buffer[24])
{
    switch (encoding) {
    case CHUNK_CONST: return "CONST";
    case CHUNK_DICT: return "DICT";
    case CHUNK_INT: return "INT";
    case CHUNK_DOUBLE: return "DOUBLE";
    case CHUNK_BYTES: return "BYTES";
    case CHUNK_VARIANT: return "VARIANT";
    case CHUNK_SPARSE: return "SPARSE";
    case CHUNK_DECIMAL: return "DECIMAL";
    case CHUNK_FIXED: return "FIXED";
    case CHUNK_PERSON_ID: return "PERSON_ID";
    default: snprintf(buffer, 24, "encoding %u", encoding); return buffer;
    }
}

const char *inspect_types(uint16_t types, char buffer[96])
{
    static const char *const names[VALUE_TYPES] = {"absent", "null", "bool",   "int",   "double",
                                                   "string", "list", "object", "bignum"};
    size_t size = 0;
    buffer[0] = 0;
    for (unsigned i = 1; i < VALUE_TYPES; i++) {
        if (types >> i & 1) size += (size_t)snprintf(buffer + size, 96 - size, "%s%s", size ? "|" : "", names[i]);
    }
    return buffer;
}

/* --- columns --- */

static int64_t column_bytes(const struct chunk *chunk)
{
    int64_t bytes = chunk->dictionary.size;
    for (uint32_t b = 0; b < chunk->block_count; b++) bytes += chunk_block(chunk, b).size;
    for (uint32_t b = 0; b < chunk->exception_block_count; b++) bytes += chunk_exception_block(chunk, b).size;
    return bytes;
}

static enum status describe_event(const struct section *section, const struct section_event *event,
                                  struct arena *scratch, struct arena *arena, struct error *error,
                                  struct inspect_event *ret)
{
    struct run run;
    arena_reset(scratch);
    TRY(run_open(&run, section, event, scratch, error));
    struct inspect_event found = *ret;
    found.columns = arena_new_array(arena, struct inspect_column, run.column_count ? run.column_count : 1);
    if (!found.columns) {
        run_close(&run);
        return error_set(error, STATUS_LIMIT, "out of memory for the description of columns");
    }
    for (uint32_t c = 0; c < run.column_count; c++) {
        const struct chunk *chunk = &run.columns[c].chunk;
        found.columns[c] = (struct inspect_column){.property = chunk->property,
                                                   .encoding = chunk->encoding,
                                                   .types = chunk->types,
                                                   .items = chunk->items,
                                                   .present = chunk->present,
                                                   .distinct = chunk->distinct,
                                                   .bytes = (uint64_t)column_bytes(chunk),
                                                   .dictionary_bytes = chunk->dictionary.size};
        found.bytes += found.columns[c].bytes;
    }
    found.column_count = run.column_count;
    run_close(&run);
    *ret = found;
    return STATUS_OK;
}

static struct str name_of(struct names *names, uint32_t number, uint32_t count, struct arena *arena)
{
    return names && number < count ? arena_str(arena, names_text(names, number)) : STR_NULL;
}

static enum status describe_section(const struct offline_file *file, const struct offline_section *at,
                                    const struct offline_project *project, const struct finding_sink *sink,
                                    struct arena *scratch, struct arena *arena, struct inspect_section *ret)
{
    const struct section *section = at->section;
    struct inspect_section found = {.file_id = file->file_id,
                                    .file = arena_cstr(arena, str_of(file->name)),
                                    .project = at->project,
                                    .ordinal = (uint32_t)(at - file->sections),
                                    .window_day = section->window_day,
                                    .window_log2 = section->window_log2,
                                    .rows = section->rows,
                                    .deleted = at->deletes ? at->deletes->count : 0,
                                    .links_applied = section->links_applied,
                                    .time_min_ms = section->time_min_ms,
                                    .time_max_ms = section->time_max_ms,
                                    .bytes = section->bytes,
                                    .dropped = at->dropped};
    found.events = arena_new_array(arena, struct inspect_event, section->event_count ? section->event_count : 1);
    if (!found.events || !found.file) return STATUS_LIMIT;
    for (uint32_t e = 0; e < section->event_count; e++) {
        const struct section_event *event = &section->events[e];
        struct error error = ERROR_INIT;
        struct inspect_event *to = &found.events[found.event_count++];
        *to = (struct inspect_event){.event_id = event->event_id,
                                     .rows = event->rows,
                                     .persons = event->persons,
                                     .time_min_ms = event->time_min_ms,
                                     .time_max_ms = event->time_max_ms};
        if (project) to->name = name_of(project->events, event->event_id, project->event_count, arena);
        enum status status = describe_event(section, event, scratch, arena, &error, to);
        if (status == STATUS_LIMIT) return status;
        if (status != STATUS_OK)
            finding_report_error(sink, FINDING_DAMAGE, file->name, at->offset + event->table.offset, &error);
        found.column_bytes += to->bytes;
    }
    *ret = found;
    return STATUS_OK;
}

/* --- totals --- */

static int total_cmp(const void *a, const void *b)
{
    const struct inspect_total *x = a, *y = b;
    if (x->bytes != y->bytes) return x->bytes > y->bytes ? -1 : 1;
    return x->property < y->property ? -1 : x->property > y->property;
}

static enum status total_columns(const struct inspection *all, const struct offline_project *names, struct arena *arena,
                                 struct inspect_project *project)
{
    struct u64map index = U64MAP_INIT(UINT32_MAX);
    enum status status = STATUS_OK;
    size_t capacity = 0;
    for (size_t s = 0; s < all->section_count && status == STATUS_OK; s++) {
        const struct inspect_section *section = &all->sections[s];
        if (section->project != project->id || section->dropped) continue;
        project->sections++;
        project->rows += section->rows;
        project->deleted += section->deleted;
        project->bytes += section->bytes;
        project->column_bytes += section->column_bytes;
        for (uint32_t e = 0; e < section->event_count && status == STATUS_OK; e++) {
            const struct inspect_event *event = &section->events[e];
            for (uint32_t c = 0; c < event->column_count; c++) {
                const struct inspect_column *column = &event->columns[c];
                bool added = false;
                uint64_t *at = u64map_at(&index, column->property, project->total_count, &added);
                if (added && project->total_count == capacity) {
                    size_t grown = capacity ? capacity * 2 : 64;
                    project->totals = arena_realloc(arena, project->totals, capacity * sizeof *project->totals,
                                                    grown * sizeof *project->totals);
                    capacity = grown;
                }
                if (!at || !project->totals) {
                    status = STATUS_LIMIT;
                    break;
                }
                struct inspect_total *total = &project->totals[*at];
                if (added) {
                    *total = (struct inspect_total){.property = column->property};
                    const char *core = inspect_core_name(column->property);
                    total->name = core    ? str_of(core)
                                  : names ? name_of(names->properties, column->property, names->property_count, arena)
                                          : STR_NULL;
                    project->total_count++;
                }
                total->encodings |= 1u << (column->encoding & 31);
                total->types |= column->types;
                total->chunks++;
                total->rows += event->rows;
                total->present += column->present;
                total->bytes += column->bytes;
                total->dictionary_bytes += column->dictionary_bytes;
            }
        }
    }
    u64map_fini(&index);
    if (project->total_count) qsort(project->totals, project->total_count, sizeof *project->totals, total_cmp);
    return status;
}

static struct inspect_project *project_of(struct inspection *all, uint64_t id)
{
    for (size_t i = 0; i < all->project_count; i++) {
        if (all->projects[i].id == id) return &all->projects[i];
    }
    return NULL;
}

/* Projects of the catalogs, and those that only sections know (a file by itself, damaged catalogs). */
static enum status describe_projects(struct inspection *all, const struct offline *offline, int64_t only,
                                     struct arena *arena)
{
    size_t most = (offline ? offline->project_count : 0) + all->section_count;
    all->projects = arena_new_array(arena, struct inspect_project, most ? most : 1);
    if (!all->projects) return STATUS_LIMIT;
    for (size_t i = 0; offline && i < offline->project_count; i++) {
        const struct offline_project *from = &offline->projects[i];
        if (only >= 0 && store_profiles_owner(from->id) != (uint64_t)only) continue;
        all->projects[all->project_count++] = (struct inspect_project){.id = from->id,
                                                                       .event_names = from->event_count,
                                                                       .property_names = from->property_count,
                                                                       .ids = from->id_count,
                                                                       .links = from->link_count};
    }
    for (size_t s = 0; s < all->section_count; s++) {
        if (!project_of(all, all->sections[s].project))
            all->projects[all->project_count++] = (struct inspect_project){.id = all->sections[s].project};
    }
    for (size_t i = 0; i < all->project_count; i++) {
        struct inspect_project *project = &all->projects[i];
        const struct offline_project *names = offline ? offline_project(offline, project->id) : NULL;
        for (uint32_t id = 1; names && id <= names->id_count; id++)
            project->persons += id_graph_person(names->ids, id) == id;
        TRY(total_columns(all, names, arena, project));
        all->rows += project->rows;
        all->deleted += project->deleted;
    }
    return STATUS_OK;
}

/* --- manifest and log --- */

static uint64_t count_edits(struct os_fs *fs, const char *name, uint64_t end)
{
    char *bytes;
    uint64_t size, edits = 0;
    struct error ignored;
    if (offline_read(fs, name, MANIFEST_MAX, &ignored, &bytes, &size) != STATUS_OK) return 0;
    if (end < size) size = end;
    for (uint64_t at = FILE_HEADER; at + MANIFEST_HEADER <= size; edits++) {
        struct reader r = reader_of(str_from(bytes + at, 4));
        at += MANIFEST_HEADER + read_u32(&r);
    }
    free(bytes);
    return edits;
}

struct log_listing {
    struct inspect_log_file *files;
    size_t count;
};

static void note_log_file(void *ctx, const char *file)
{
    struct log_listing *list = ctx;
    unsigned long long base, epoch;
    unsigned spare;
    char rest;
    bool ring = sscanf(file, "%16llx-%16llx.wa%c", &base, &epoch, &rest) == 3 && rest == 'l';
    if ((!ring && sscanf(file, "spare-%u%c", &spare, &rest) != 1) || list->count == LOG_FILES_MAX) return;
    struct inspect_log_file *to = &list->files[list->count++];
    snprintf(to->name, sizeof to->name, "wal/%.58s", file);
    to->spare = !ring;
    if (ring) to->info = (struct wal_file_info){.base = base, .epoch = epoch};
}

static int log_file_cmp(const void *a, const void *b)
{
    const struct inspect_log_file *x = a, *y = b;
    if (x->spare != y->spare) return x->spare ? 1 : -1;
    if (x->info.base != y->info.base) return x->info.base < y->info.base ? -1 : 1;
    if (x->info.epoch != y->info.epoch) return x->info.epoch < y->info.epoch ? -1 : 1;
    return strcmp(x->name, y->name);
}

static enum status describe_log(struct inspection *all, struct os_fs *fs, struct arena *arena)
{
    struct log_listing list = {.files = arena_new_array(arena, struct inspect_log_file, LOG_FILES_MAX)};
    struct error error = ERROR_INIT;
    if (!list.files) return STATUS_LIMIT;
    if (os_list(fs, "wal", note_log_file, &list, &error) != STATUS_OK) list.count = 0; /* not made yet */
    if (list.count) qsort(list.files, list.count, sizeof *list.files, log_file_cmp);
    for (size_t i = 0; i < list.count; i++) {
        struct inspect_log_file *file = &list.files[i];
        struct os_file *handle;
        if (file->spare) {
            if (os_open(fs, file->name, OS_READ, &error, &handle) != STATUS_OK) continue;
            if (os_size(handle, &file->info.size, &error) != STATUS_OK) file->info.size = 0;
            os_close(handle);
            continue;
        }
        if (wal_scan_file(fs, file->name, NULL, NULL, &error, &file->info) != STATUS_OK)
            file->problem = arena_cstr(arena, str_of(error.primary));
        bool last = i + 1 == list.count || list.files[i + 1].spare;
        file->written = !last && list.files[i + 1].info.base <= all->flushed_lsn;
    }
    all->log_files = list.files;
    all->log_file_count = list.count;
    return STATUS_OK;
}

static void *copy(struct arena *arena, const void *from, size_t count, size_t size)
{
    void *to = arena_calloc(arena, count ? count : 1, size);
    if (to && count) memcpy(to, from, count * size);
    return to;
}

const char *inspect_catalog_kind(unsigned kind)
{
    static const char *const names[CATALOG_KINDS] = {
        [CATALOG_EVENTS] = "event_names",   [CATALOG_PROPERTIES] = "property_names", [CATALOG_IDS] = "ids",
        [CATALOG_LINKS] = "links",          [CATALOG_WEIGHTS] = "weights",           [CATALOG_FORGOTTEN] = "forgotten",
        [CATALOG_SOURCES] = "link_sources",
    };
    return names[kind];
}

static enum status describe_manifest(struct inspection *all, const struct offline *offline, struct arena *arena)
{
    const struct manifest *m = &offline->manifest;
    char name[64];
    snprintf(name, sizeof name, "MANIFEST-%016llx", (unsigned long long)m->number);
    all->manifest_number = m->number;
    all->manifest_bytes = m->offset;
    all->edits = count_edits(offline->fs, name, m->offset);
    all->flushed_lsn = m->flushed_lsn;
    all->next_file_id = m->next_file_id;
    all->dropped_projects = copy(arena, m->dropped, m->dropped_count, sizeof *m->dropped);
    all->catalogs = copy(arena, m->catalogs, m->catalog_count, sizeof *m->catalogs);
    all->deletes = copy(arena, m->deletes, m->delete_count, sizeof *m->deletes);
    if (!all->dropped_projects || !all->catalogs || !all->deletes) return STATUS_LIMIT;
    all->dropped_count = m->dropped_count;
    all->catalog_count = m->catalog_count;
    memcpy(all->catalog_bytes, offline->catalog_bytes, sizeof all->catalog_bytes);
    all->delete_count = m->delete_count;
    return STATUS_OK;
}

/* --- everything --- */

static enum status describe_files(struct inspection *all, const struct offline_file *files, size_t file_count,
                                  const struct offline *names, const struct inspect_options *options,
                                  struct arena *arena)
{
    size_t most = 0;
    for (size_t f = 0; f < file_count; f++) most += files[f].section_count;
    all->sections = arena_new_array(arena, struct inspect_section, most ? most : 1);
    struct arena *scratch = arena_new(RUN_BYTES);
    enum status status = all->sections ? STATUS_OK : STATUS_LIMIT;
    for (size_t f = 0; f < file_count; f++) {
        all->bytes += files[f].handle ? files[f].size : 0;
        for (uint32_t s = 0; s < files[f].section_count && status == STATUS_OK; s++) {
            const struct offline_section *at = &files[f].sections[s];
            if (!at->section ||
                (options->project >= 0 && store_profiles_owner(at->project) != (uint64_t)options->project))
                continue;
            status = describe_section(&files[f], at, names ? offline_project(names, at->project) : NULL, &options->sink,
                                      scratch, arena, &all->sections[all->section_count++]);
        }
    }
    arena_free(scratch);
    if (status == STATUS_OK) status = describe_projects(all, names, options->project, arena);
    return status;
}

static enum status without_memory(enum status status, struct error *error)
{
    if (status == STATUS_LIMIT) error_set(error, status, "the description does not fit into memory");
    return status;
}

enum status inspect_directory(const struct inspect_options *options, struct arena *arena, struct error *error,
                              struct inspection *ret_inspection)
{
    struct offline_options opening = {.fs = options->fs, .cache_bytes = CACHE_BYTES, .sink = options->sink};
    struct inspection all = {0};
    struct offline *offline;
    TRY(offline_open(&opening, error, &offline));
    enum status status = describe_manifest(&all, offline, arena);
    if (status == STATUS_OK) status = describe_log(&all, offline->fs, arena);
    if (status == STATUS_OK)
        status = describe_files(&all, offline->files, offline->file_count, offline, options, arena);
    offline_free(offline);
    if (status != STATUS_OK) return without_memory(status, error);
    *ret_inspection = all;
    return STATUS_OK;
}

enum status inspect_section_file(const struct inspect_options *options, const char *name, struct arena *arena,
                                 struct error *error, struct inspection *ret_inspection)
{
    struct offline_options opening = {.fs = options->fs, .cache_bytes = CACHE_BYTES};
    struct inspection all = {0};
    struct offline *names = NULL;
    struct error ignored;
    struct offline_file file = {0};
    if (offline_open(&opening, &ignored, &names) != STATUS_OK) names = NULL; /* numbers must do */
    struct cache *cache = cache_new(CACHE_BYTES);
    enum status status = offline_open_file(options->fs, name, cache, NULL, &options->sink, error, &file);
    if (status == STATUS_OK) status = without_memory(describe_files(&all, &file, 1, names, options, arena), error);
    offline_file_fini(&file);
    cache_free(cache);
    offline_free(names);
    if (status != STATUS_OK) return status;
    *ret_inspection = all;
    return STATUS_OK;
}

enum status inspect_header(struct os_fs *fs, const char *name, struct error *error, struct inspect_header *ret_header)
{
    struct os_file *file;
    unsigned char bytes[FILE_HEADER];
    struct inspect_header header = {0};
    TRY(os_open(fs, name, OS_READ, error, &file));
    enum status status = os_size(file, &header.size, error);
    if (status == STATUS_OK && header.size < sizeof bytes)
        status = error_set(error, STATUS_CORRUPT, "file \"%s\" is too short to be one of Cairn's", name);
    if (status == STATUS_OK) status = os_pread(file, bytes, sizeof bytes, 0, error);
    os_close(file);
    if (status != STATUS_OK) return status;
    struct reader r = reader_of(str_from(bytes, sizeof bytes));
    struct str magic = read_bytes(&r, 8);
    if (memcmp(magic.data, "CAIRN", 5) != 0)
        return error_set(error, STATUS_CORRUPT, "file \"%s\" is none of Cairn's", name);
    memcpy(header.kind, magic.data, 8);
    header.version = read_u16(&r);
    header.reader_min = read_u16(&r);
    (void)read_u32(&r);
    memcpy(header.node, read_bytes(&r, 16).data, 16);
    header.file_id = read_u64(&r);
    header.lsn = read_u64(&r);
    (void)read_u64(&r);
    if (read_u64(&r) != hash_bytes(bytes, 56, 0))
        return error_set(error, STATUS_CORRUPT, "the header of file \"%s\" is damaged", name);
    *ret_header = header;
    return STATUS_OK;
}
