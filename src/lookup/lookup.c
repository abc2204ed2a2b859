#include "lookup/lookup.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/map.h"
#include "os/clock.h"
#include "os/thread.h"

#define SUFFIX      ".lut"
#define SUFFIX_NEW  ".new"
#define SUFFIX_BODY ".tmp" /* of a request (http_options.body_directory) */
#define NAME_MAX_   128u
#define FILES_MAX   ((size_t)1 << 24)

/* A file in memory. The cache has one reference, each that uses it one more; `users` counts those. */
struct entry {
    struct entry *next;
    struct str file; /* malloc'd */
    struct lookup_table *table;
    uint64_t bytes, used; /* the cache's clock when it was last asked for */
    unsigned users;
    bool gone; /* its file is: it goes with its last user */
};

struct lookup {
    struct lookup_options options;
    struct os_mutex lock;      /* of everything below */
    struct os_mutex load_lock; /* held while a file is read, so that two queries do not read the same */
    struct entry *entries;
    uint64_t bytes, clock;
};

enum status lookup_new(const struct lookup_options *options, struct error *error, struct lookup **ret_lookup)
{
    TRY(os_mkdir(options->fs, LOOKUP_FOLDER, error));
    struct lookup *lookup = calloc(1, sizeof *lookup);
    if (!lookup) return error_set(error, STATUS_LIMIT, "out of memory for lookup tables");
    lookup->options = *options;
    os_mutex_init(&lookup->lock, "lookup");
    os_mutex_init(&lookup->load_lock, "lookup load");
    *ret_lookup = lookup;
    return STATUS_OK;
}

/* --- in memory --- */

static void drop(struct lookup *lookup, struct entry **link)
{
    struct entry *entry = *link;
    *link = entry->next;
    lookup->bytes -= entry->bytes;
    lookup_table_unref(entry->table);
    free((void *)(uintptr_t)entry->file.data);
    free(entry);
}

void lookup_free(struct lookup *lookup)
{
    if (!lookup) return;
    while (lookup->entries) drop(lookup, &lookup->entries);
    os_mutex_destroy(&lookup->lock);
    os_mutex_destroy(&lookup->load_lock);
    free(lookup);
}

/* Drops what nobody uses, the longest unused first, until `room` more bytes fit. */
static void make_room(struct lookup *lookup, uint64_t room)
{
    while (lookup->bytes + room > lookup->options.memory_bytes_max) {
        struct entry **oldest = NULL;
        for (struct entry **link = &lookup->entries; *link; link = &(*link)->next) {
            if ((*link)->users == 0 && (!oldest || (*link)->used < (*oldest)->used)) oldest = link;
        }
        if (!oldest) return;
        drop(lookup, oldest);
    }
}

static struct lookup_table *find(struct lookup *lookup, struct str file)
{
    struct lookup_table *table = NULL;
    os_mutex_lock(&lookup->lock);
    for (struct entry *entry = lookup->entries; entry && !table; entry = entry->next) {
        if (!str_eq(entry->file, file)) continue;
        entry->users++;
        entry->used = ++lookup->clock;
        table = entry->table;
    }
    os_mutex_unlock(&lookup->lock);
    return table;
}

static enum status no_room(struct error *error)
{
    (void)error_set(error, STATUS_LIMIT, "the lookup tables of queries at work need too much memory together");
    error_hint(error, "try again, or raise lookup.memory_max");
    return STATUS_LIMIT;
}

static enum status read_file(struct os_fs *fs, struct str name, uint64_t size_max, struct error *error,
                             struct lookup_table **ret_table)
{
    char path[NAME_MAX_];
    struct os_file *file;
    uint64_t size;
    snprintf(path, sizeof path, LOOKUP_FOLDER "/" STR_FMT, STR_ARG(name));
    TRY(os_open(fs, path, OS_READ, error, &file));
    enum status status = os_size(file, &size, error);
    if (status == STATUS_OK && size > size_max)
        status = error_set(error, STATUS_CORRUPT, "file %s has %llu bytes instead of %llu", path,
                           (unsigned long long)size, (unsigned long long)size_max);
    char *bytes = status == STATUS_OK ? malloc((size_t)size + 1) : NULL;
    if (status == STATUS_OK && !bytes) status = error_set(error, STATUS_LIMIT, "out of memory for a lookup table");
    if (status == STATUS_OK) status = os_pread(file, bytes, (size_t)size, 0, error);
    os_close(file);
    if (status != STATUS_OK) {
        free(bytes);
        return status;
    }
    status = lookup_table_new(bytes, size, error, ret_table);
    if (status != STATUS_OK) error_prefix(error, "%s", path);
    return status;
}

static enum status keep(struct lookup *lookup, struct str file, struct lookup_table *table, uint64_t bytes,
                        struct error *error)
{
    struct entry *entry = calloc(1, sizeof *entry);
    char *name = malloc(file.size + 1);
    if (!entry || !name) {
        free(entry);
        free(name);
        return error_set(error, STATUS_LIMIT, "out of memory for a lookup table");
    }
    memcpy(name, file.data, file.size);
    os_mutex_lock(&lookup->lock);
    *entry = (struct entry){.next = lookup->entries,
                            .file = str_from(name, file.size),
                            .table = table,
                            .bytes = bytes,
                            .used = ++lookup->clock,
                            .users = 1};
    lookup->entries = entry;
    lookup->bytes += bytes;
    os_mutex_unlock(&lookup->lock);
    return STATUS_OK;
}

/* One at a time. Nobody else makes entries, so the room that was made is still there afterwards. */
static enum status load(struct lookup *lookup, const struct meta_lookup_table *of, struct error *error,
                        struct lookup_table **ret_table)
{
    uint64_t bytes = lookup_table_memory((uint64_t)of->bytes, (uint64_t)of->rows);
    struct lookup_table *table = find(lookup, of->file);
    if (table) {
        *ret_table = table;
        return STATUS_OK;
    }
    os_mutex_lock(&lookup->lock);
    make_room(lookup, bytes);
    bool fits = lookup->bytes == 0 || lookup->bytes + bytes <= lookup->options.memory_bytes_max;
    os_mutex_unlock(&lookup->lock);
    if (!fits) return no_room(error);
    TRY(read_file(lookup->options.fs, of->file, (uint64_t)of->bytes, error, &table));
    enum status status = keep(lookup, of->file, table, bytes, error);
    if (status == STATUS_OK)
        *ret_table = table;
    else
        lookup_table_unref(table);
    return status;
}

enum status lookup_open(struct lookup *lookup, const struct meta_lookup_table *of, struct error *error,
                        struct lookup_table **ret_table)
{
    struct lookup_table *table = find(lookup, of->file);
    if (table) {
        *ret_table = table;
        return STATUS_OK;
    }
    os_mutex_lock(&lookup->load_lock);
    enum status status = load(lookup, of, error, ret_table);
    os_mutex_unlock(&lookup->load_lock);
    return status;
}

void lookup_close(struct lookup *lookup, struct lookup_table *table)
{
    if (!table) return;
    os_mutex_lock(&lookup->lock);
    for (struct entry **link = &lookup->entries; *link; link = &(*link)->next) {
        if ((*link)->table != table) continue;
        if (--(*link)->users == 0 && (*link)->gone) drop(lookup, link);
        break;
    }
    make_room(lookup, 0);
    os_mutex_unlock(&lookup->lock);
}

/* Its file is gone: nobody will ask for it again. Those that use it finish with it. */
static void forget(struct lookup *lookup, struct str file)
{
    os_mutex_lock(&lookup->lock);
    for (struct entry **link = &lookup->entries; *link; link = &(*link)->next) {
        if (!str_eq((*link)->file, file)) continue;
        (*link)->gone = true;
        if ((*link)->users == 0) drop(lookup, link);
        break;
    }
    os_mutex_unlock(&lookup->lock);
}

struct meta *lookup_meta(const struct lookup *lookup)
{
    return lookup->options.meta;
}

uint64_t lookup_memory(struct lookup *lookup)
{
    os_mutex_lock(&lookup->lock);
    uint64_t bytes = lookup->bytes;
    os_mutex_unlock(&lookup->lock);
    return bytes;
}

/* --- versions --- */

/* A version on its way: its two names. */
struct version {
    struct os_fs *fs;
    char name[META_LOOKUP_FILE_SIZE_MAX]; /* in the folder */
    char path[NAME_MAX_], path_new[NAME_MAX_];
};

static void version_init(struct version *version, struct os_fs *fs)
{
    uint64_t number[2];
    os_random(number, sizeof number);
    version->fs = fs;
    snprintf(version->name, sizeof version->name, "%016llx%016llx" SUFFIX, (unsigned long long)number[0],
             (unsigned long long)number[1]);
    snprintf(version->path, sizeof version->path, LOOKUP_FOLDER "/%s", version->name);
    snprintf(version->path_new, sizeof version->path_new, "%s" SUFFIX_NEW, version->path);
}

/* Inside the transaction of the control plane. */
static enum status install(void *ctx, struct error *error)
{
    struct version *version = ctx;
    enum status status = os_rename(version->fs, version->path_new, version->path, error);
    if (status == STATUS_NOT_FOUND) {
        (void)error_set(error, STATUS_UNAVAILABLE, "the new version was swept away by a server that started meanwhile");
        error_hint(error, "try again");
        return STATUS_UNAVAILABLE;
    }
    return status == STATUS_OK ? os_sync_dir(version->fs, LOOKUP_FOLDER, error) : status;
}

/* What is left is swept away at the next start. */
static void unlink_quietly(struct os_fs *fs, const char *path)
{
    enum status status = os_unlink(fs, path, NULL);
    (void)status;
}

static void remove_old(struct lookup *lookup, struct str file)
{
    char path[NAME_MAX_];
    if (!file.size) return;
    forget(lookup, file);
    snprintf(path, sizeof path, LOOKUP_FOLDER "/" STR_FMT, STR_ARG(file));
    unlink_quietly(lookup->options.fs, path);
}

static enum status write_version(struct lookup *lookup, struct source *csv, struct error *error,
                                 struct lookup_report *report, struct version *version, struct meta_lookup_table *table)
{
    version_init(version, lookup->options.fs);
    TRY(lookup_build(lookup->options.fs, version->path_new, csv, &lookup->options.build, error, report));
    table->file = str_of(version->name);
    table->rows = (int64_t)report->rows;
    table->columns = report->columns;
    table->bytes = (int64_t)report->bytes;
    return STATUS_OK;
}

/* After the transaction failed the file has one of its two names, or none. */
static void take_back(struct version *version)
{
    unlink_quietly(version->fs, version->path_new);
    unlink_quietly(version->fs, version->path);
}

enum status lookup_create(struct lookup *lookup, int64_t project_id, struct str name, struct source *csv,
                          struct arena *arena, struct error *error, struct lookup_report *report,
                          struct meta_lookup_table *ret_table)
{
    struct meta_lookup_table table = {.project_id = project_id, .name = name};
    struct version version;
    *report = (struct lookup_report){0};
    if (csv) TRY(write_version(lookup, csv, error, report, &version, &table));
    enum status status = meta_lookup_create(lookup->options.meta, &table, &lookup->options.limits, install, &version,
                                            arena, error, &table);
    if (status != STATUS_OK && csv) take_back(&version);
    TRY(status);
    table.file = arena_str(arena, table.file);
    *ret_table = table;
    return STATUS_OK;
}

enum status lookup_replace(struct lookup *lookup, int64_t project_id, struct str id, struct source *csv,
                           struct arena *arena, struct error *error, struct lookup_report *report)
{
    struct meta_lookup_table table;
    struct version version;
    struct str old;
    *report = (struct lookup_report){0};
    TRY(meta_lookup_table(lookup->options.meta, project_id, id, arena, error, &table));
    TRY(write_version(lookup, csv, error, report, &version, &table));
    enum status status = meta_lookup_replace(lookup->options.meta, &table, &lookup->options.limits, install, &version,
                                             arena, error, &old);
    if (status == STATUS_OK)
        remove_old(lookup, old);
    else
        take_back(&version);
    return status;
}

enum status lookup_delete(struct lookup *lookup, int64_t project_id, struct str id, struct arena *arena,
                          struct error *error)
{
    struct str file;
    TRY(meta_lookup_delete(lookup->options.meta, project_id, id, arena, error, &file));
    remove_old(lookup, file);
    return STATUS_OK;
}

/* --- files that belong to no table --- */

struct sweep {
    struct os_fs *fs;
    struct lookup *lookup; /* NULL: only look */
    struct arena *arena;
    struct strmap used;
    struct str *found; /* in the folder */
    size_t found_count, found_room;
    bool failed, unfinished;
};

static void sweep_used(void *ctx, struct str file)
{
    struct sweep *sweep = ctx;
    struct str name = arena_str(sweep->arena, file);
    if (!name.data || strmap_put(&sweep->used, name, 0) != STATUS_OK) sweep->failed = true;
}

static void sweep_found(void *ctx, const char *file)
{
    struct sweep *sweep = ctx;
    if (sweep->found_count == sweep->found_room) {
        size_t room = sweep->found_room ? sweep->found_room * 2 : 64;
        sweep->found = arena_realloc(sweep->arena, sweep->found, sweep->found_room * sizeof *sweep->found,
                                     room * sizeof *sweep->found);
        sweep->found_room = room;
    }
    struct str name = sweep->found ? arena_str(sweep->arena, str_of(file)) : STR_NULL;
    if (name.data)
        sweep->found[sweep->found_count++] = name;
    else
        sweep->failed = true;
}

static bool is_unfinished(struct str name)
{
    return str_ends(name, STR(SUFFIX_NEW)) || str_ends(name, STR(SUFFIX_BODY));
}
static bool is_ours(struct str name)
{
    return str_ends(name, STR(SUFFIX)) || is_unfinished(name);
}

static enum status sweep_list(struct sweep *sweep, struct error *error)
{
    TRY(os_list(sweep->fs, LOOKUP_FOLDER, sweep_found, sweep, error));
    return sweep->failed ? error_set(error, STATUS_LIMIT, "out of memory for lookup tables") : STATUS_OK;
}

static enum status sweep_remove(void *ctx, struct error *error)
{
    struct sweep *sweep = ctx;
    TRY(sweep_list(sweep, error));
    for (size_t i = 0; i < sweep->found_count; i++) {
        struct str name = sweep->found[i];
        bool ours = is_ours(name) && (sweep->unfinished || !is_unfinished(name));
        if (ours && !strmap_get(&sweep->used, name)) remove_old(sweep->lookup, name);
    }
    return STATUS_OK;
}

static struct sweep sweep_new(struct os_fs *fs, struct lookup *lookup)
{
    return (struct sweep){
        .fs = fs, .lookup = lookup, .arena = arena_new((size_t)1 << 30), .used = STRMAP_INIT(FILES_MAX)};
}
static void sweep_end(struct sweep *sweep)
{
    strmap_fini(&sweep->used);
    arena_free(sweep->arena);
}

enum status lookup_sweep(struct lookup *lookup, bool unfinished, struct error *error)
{
    struct sweep sweep = sweep_new(lookup->options.fs, lookup);
    sweep.unfinished = unfinished;
    enum status status = meta_lookup_sweep(lookup->options.meta, sweep_used, sweep_remove, &sweep, error);
    sweep_end(&sweep);
    return status;
}

/* --- verify --- */

static void check_table(struct os_fs *fs, const struct meta_lookup_table *of, struct lookup_verify *verify)
{
    char path[NAME_MAX_], text[1100];
    struct error error = ERROR_INIT;
    struct lookup_table *table;
    snprintf(path, sizeof path, LOOKUP_FOLDER "/" STR_FMT, STR_ARG(of->file));
    if (read_file(fs, of->file, (uint64_t)of->bytes, &error, &table) != STATUS_OK) {
        verify->found(verify->ctx, false, path, error_text(&error, text, sizeof text));
        return;
    }
    verify->files++;
    verify->bytes += (uint64_t)of->bytes;
    verify->rows += lookup_table_rows(table);
    if (lookup_table_rows(table) != (uint64_t)of->rows || lookup_table_columns(table) != (uint64_t)of->columns)
        verify->found(verify->ctx, false, path, "its rows or columns are not as many as the control plane says");
    lookup_table_unref(table);
}

/* A file that is gone by now because its table was replaced meanwhile is no finding. */
static bool is_current(struct meta *meta, const struct meta_lookup_table *of, struct arena *arena)
{
    struct meta_lookup_table now;
    return meta_lookup_table(meta, of->project_id, of->id, arena, NULL, &now) == STATUS_OK &&
           str_eq(now.file, of->file);
}

struct deferred {
    struct lookup_verify *to;
    struct meta *meta;
    const struct meta_lookup_table *of;
    struct arena *arena;
};

static void found_of_current(void *ctx, bool note, const char *file, const char *what)
{
    struct deferred *deferred = ctx;
    if (is_current(deferred->meta, deferred->of, deferred->arena))
        deferred->to->found(deferred->to->ctx, note, file, what);
}

enum status lookup_check_all(struct os_fs *fs, struct meta *meta, struct error *error, struct lookup_verify *verify)
{
    struct meta_view *view;
    size_t count;
    TRY(meta_view_load(meta, error, &view));
    struct sweep sweep = sweep_new(fs, NULL);
    const struct meta_lookup_table *tables = meta_view_lookups(view, 0, &count);
    for (size_t i = 0; i < count; i++) {
        if (!tables[i].file.size) continue;
        struct deferred deferred = {verify, meta, &tables[i], sweep.arena};
        struct lookup_verify one = {.found = found_of_current, .ctx = &deferred};
        sweep_used(&sweep, tables[i].file);
        check_table(fs, &tables[i], &one);
        verify->files += one.files;
        verify->bytes += one.bytes;
        verify->rows += one.rows;
    }
    enum status status = sweep_list(&sweep, error);
    if (status == STATUS_NOT_FOUND) status = STATUS_OK; /* there never was a table */
    for (size_t i = 0; status == STATUS_OK && i < sweep.found_count; i++) {
        char path[NAME_MAX_];
        if (strmap_get(&sweep.used, sweep.found[i])) continue;
        snprintf(path, sizeof path, LOOKUP_FOLDER "/" STR_FMT, STR_ARG(sweep.found[i]));
        verify->found(verify->ctx, true, path,
                      is_ours(sweep.found[i]) ? "it belongs to no lookup table; the next start of the server removes it"
                                              : "it is not one of the server's files");
    }
    sweep_end(&sweep);
    meta_view_unref(view);
    return status;
}
