#include "meta/meta_int.h"

#include "base/utf8.h"
#include "os/clock.h"

static const char *const kind_names[] = {"funnel", "cohort"};

const char *meta_saved_kind_name(enum meta_saved_kind kind)
{
    return kind_names[kind];
}

static enum status no_saved(enum meta_saved_kind kind, int64_t id, struct error *error)
{
    return error_set(error, STATUS_NOT_FOUND, "no %s has the id %lld", kind_names[kind], (long long)id);
}

/* --- what can be written --- */

static bool plain_text(struct str text, bool lines)
{
    for (size_t i = 0; i < text.size; i++) {
        unsigned char byte = (unsigned char)text.data[i];
        if ((byte < 0x20 && !(lines && (byte == '\n' || byte == '\t'))) || byte == 0x7F) return false;
    }
    return utf8_valid(text.data, text.size);
}

static enum status check(const struct meta_saved *saved, struct error *error)
{
    const char *kind = kind_names[saved->kind];
    if (saved->name.size < 1 || saved->name.size > META_NAME_SIZE_MAX)
        return error_set(error, STATUS_INVALID, "name: has %zu bytes, 1 to %u are allowed", saved->name.size,
                         META_NAME_SIZE_MAX);
    if (!plain_text(saved->name, false))
        return error_set(error, STATUS_INVALID, "name: is not plain UTF-8 text without control characters");
    if (saved->description.size > META_SAVED_DESCRIPTION_MAX)
        return error_set(error, STATUS_INVALID, "description: has %zu bytes, at most %u are allowed",
                         saved->description.size, META_SAVED_DESCRIPTION_MAX);
    if (!plain_text(saved->description, true))
        return error_set(error, STATUS_INVALID, "description: is not plain UTF-8 text");
    if (saved->definition.size > META_SAVED_DEFINITION_MAX)
        return error_set(error, STATUS_LIMIT, "the %s has %zu bytes, at most %zu are possible", kind,
                         saved->definition.size, META_SAVED_DEFINITION_MAX);
    return STATUS_OK;
}

static enum status count_of(struct meta *meta, struct error *error, sqlite3_stmt *statement, int64_t *ret_count)
{
    bool row = false;
    enum status status = database_step(statement, meta->path, error, &row);
    if (status == STATUS_OK) *ret_count = row ? sqlite3_column_int64(statement, 0) : 0;
    sqlite3_finalize(statement);
    return status;
}

static enum status check_free(struct meta *meta, const struct meta_saved *saved, struct error *error)
{
    sqlite3_stmt *statement = NULL;
    int64_t taken = 0;
    const char *kind = kind_names[saved->kind];
    TRY(database_query(meta->writer, meta->path, error, &statement,
                       "SELECT count(*) FROM saved WHERE project_id = ? AND kind = ? AND name = ? AND id != ?", "issi",
                       saved->project_id, str_of(kind), saved->name, saved->id));
    TRY(count_of(meta, error, statement, &taken));
    if (!taken) return STATUS_OK;
    return error_set(error, STATUS_CONFLICT, "name: the project has a %s \"" STR_FMT "\" already", kind,
                     STR_ARG(saved->name));
}

static enum status check_count(struct meta *meta, const struct meta_saved *saved, int64_t count_max,
                               struct error *error)
{
    sqlite3_stmt *statement = NULL;
    int64_t count = 0;
    const char *kind = kind_names[saved->kind];
    TRY(database_query(meta->writer, meta->path, error, &statement,
                       "SELECT count(*) FROM saved WHERE project_id = ? AND kind = ?", "is", saved->project_id,
                       str_of(kind)));
    TRY(count_of(meta, error, statement, &count));
    if (count < count_max) return STATUS_OK;
    (void)error_set(error, STATUS_LIMIT, "the project has %lld %ss already, which is the most", (long long)count, kind);
    error_hint(error, "delete one, or raise saved.%ss_max", kind);
    return STATUS_LIMIT;
}

static enum status create(struct meta *meta, const struct meta_saved *saved, int64_t count_max, struct error *error)
{
    int64_t now_ms = os_now_ms();
    TRY(meta_project_require(meta, saved->project_id, error));
    TRY(check_free(meta, saved, error));
    TRY(check_count(meta, saved, count_max, error));
    return database_change(meta->writer, meta->path, error,
                           "INSERT INTO saved (project_id, kind, name, description, definition, created_by, created_ms,"
                           " modified_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                           "isssssii", saved->project_id, str_of(kind_names[saved->kind]), saved->name,
                           saved->description, saved->definition, saved->created_by, now_ms, now_ms);
}

enum status meta_saved_create(struct meta *meta, const struct meta_saved *saved, int64_t count_max, struct error *error,
                              int64_t *ret_id)
{
    struct meta_saved made = *saved;
    made.id = 0;
    TRY(check(&made, error));
    TRY(meta_begin(meta, error));
    enum status status = create(meta, &made, count_max, error);
    int64_t id = sqlite3_last_insert_rowid(meta->writer);
    TRY(meta_finish(meta, status, error));
    *ret_id = id;
    return STATUS_OK;
}

/* --- reading, on the writer's connection: what was just written is seen --- */

#define COLUMNS                                                                                                        \
    "SELECT id, project_id, name, description, definition, revision, created_by, created_ms, modified_ms FROM saved"

static enum status read_row(sqlite3_stmt *row, enum meta_saved_kind kind, struct arena *arena, struct error *error,
                            struct meta_saved *ret)
{
    struct meta_saved saved = {
        .id = sqlite3_column_int64(row, 0),
        .project_id = sqlite3_column_int64(row, 1),
        .kind = kind,
        .name = arena_str(arena, database_column(row, 2)),
        .description = arena_str(arena, database_column(row, 3)),
        .definition = arena_str(arena, database_column(row, 4)),
        .revision = sqlite3_column_int64(row, 5),
        .created_by = arena_str(arena, database_column(row, 6)),
        .created_ms = sqlite3_column_int64(row, 7),
        .modified_ms = sqlite3_column_int64(row, 8),
    };
    if (!saved.name.data || !saved.description.data || !saved.definition.data || !saved.created_by.data)
        return error_set(error, STATUS_LIMIT, "out of memory in the control plane");
    *ret = saved;
    return STATUS_OK;
}

static enum status read_one(struct meta *meta, int64_t project_id, enum meta_saved_kind kind, int64_t id,
                            struct arena *arena, struct error *error, struct meta_saved *ret_saved)
{
    sqlite3_stmt *rows = NULL;
    bool row = false;
    TRY(database_query(meta->writer, meta->path, error, &rows, COLUMNS " WHERE id = ? AND project_id = ? AND kind = ?",
                       "iis", id, project_id, str_of(kind_names[kind])));
    enum status status = database_step(rows, meta->path, error, &row);
    if (status == STATUS_OK) status = row ? read_row(rows, kind, arena, error, ret_saved) : no_saved(kind, id, error);
    sqlite3_finalize(rows);
    return status;
}

enum status meta_saved(struct meta *meta, int64_t project_id, enum meta_saved_kind kind, int64_t id,
                       struct arena *arena, struct error *error, struct meta_saved *ret_saved)
{
    pthread_mutex_lock(&meta->write_lock);
    enum status status = read_one(meta, project_id, kind, id, arena, error, ret_saved);
    pthread_mutex_unlock(&meta->write_lock);
    return status;
}

static enum status read_list(struct meta *meta, int64_t project_id, enum meta_saved_kind kind, struct arena *arena,
                             struct error *error, struct meta_saved **ret_saved, size_t *ret_count)
{
    sqlite3_stmt *rows = NULL;
    struct meta_saved *list = NULL;
    size_t count = 0, capacity = 0;
    bool row = false;
    TRY(database_query(meta->writer, meta->path, error, &rows, COLUMNS " WHERE project_id = ? AND kind = ? ORDER BY id",
                       "is", project_id, str_of(kind_names[kind])));
    enum status status = database_step(rows, meta->path, error, &row);
    while (status == STATUS_OK && row) {
        if (count == capacity) {
            size_t larger = capacity ? capacity * 2 : 16;
            list = arena_realloc(arena, list, capacity * sizeof *list, larger * sizeof *list);
            if (!list) {
                status = error_set(error, STATUS_LIMIT, "out of memory in the control plane");
                break;
            }
            capacity = larger;
        }
        status = read_row(rows, kind, arena, error, &list[count]);
        if (status != STATUS_OK) break;
        count++;
        status = database_step(rows, meta->path, error, &row);
    }
    sqlite3_finalize(rows);
    *ret_saved = list;
    *ret_count = count;
    return status;
}

enum status meta_saved_list(struct meta *meta, int64_t project_id, enum meta_saved_kind kind, struct arena *arena,
                            struct error *error, struct meta_saved **ret_saved, size_t *ret_count)
{
    pthread_mutex_lock(&meta->write_lock);
    enum status status = read_list(meta, project_id, kind, arena, error, ret_saved, ret_count);
    pthread_mutex_unlock(&meta->write_lock);
    return status;
}

/* --- changing --- */

static enum status revision_of(struct meta *meta, const struct meta_saved *saved, struct error *error,
                               int64_t *ret_revision)
{
    sqlite3_stmt *rows = NULL;
    bool row = false;
    TRY(database_query(meta->writer, meta->path, error, &rows,
                       "SELECT revision FROM saved WHERE id = ? AND project_id = ? AND kind = ?", "iis", saved->id,
                       saved->project_id, str_of(kind_names[saved->kind])));
    enum status status = database_step(rows, meta->path, error, &row);
    if (status == STATUS_OK && !row) status = no_saved(saved->kind, saved->id, error);
    if (status == STATUS_OK) *ret_revision = sqlite3_column_int64(rows, 0);
    sqlite3_finalize(rows);
    return status;
}

static enum status update(struct meta *meta, const struct meta_saved *saved, struct error *error)
{
    int64_t revision;
    TRY(revision_of(meta, saved, error, &revision));
    if (revision != saved->revision) {
        error_set(error, STATUS_CONFLICT, "the %s was changed by somebody else meanwhile", kind_names[saved->kind]);
        error_hint(error, "read it and try again");
        return STATUS_CONFLICT;
    }
    TRY(check_free(meta, saved, error));
    return database_change(meta->writer, meta->path, error,
                           "UPDATE saved SET name = ?, description = ?, definition = ?, revision = revision + 1,"
                           " modified_ms = ? WHERE id = ?",
                           "sssii", saved->name, saved->description, saved->definition, os_now_ms(), saved->id);
}

enum status meta_saved_update(struct meta *meta, const struct meta_saved *saved, struct error *error)
{
    TRY(check(saved, error));
    TRY(meta_begin(meta, error));
    return meta_finish(meta, update(meta, saved, error), error);
}

enum status meta_saved_delete(struct meta *meta, int64_t project_id, enum meta_saved_kind kind, int64_t id,
                              struct error *error)
{
    TRY(meta_begin(meta, error));
    enum status status =
        database_change(meta->writer, meta->path, error,
                        "DELETE FROM saved WHERE id = ? AND project_id = ? AND kind = ?", "iis", id, project_id,
                        str_of(kind_names[kind]));
    if (status == STATUS_OK && sqlite3_changes(meta->writer) == 0) status = no_saved(kind, id, error);
    return meta_finish(meta, status, error);
}
