#include "meta/meta_int.h"

#include "os/clock.h"

static const char *const kind_names[] = {"person", "events", "before"};
static const char *const status_names[] = {"pending", "marked", "purged", "failed", "cancelled"};

const char *meta_deletion_kind_name(enum meta_deletion_kind kind)
{
    return kind_names[kind];
}
const char *meta_deletion_status_name(enum meta_deletion_status status)
{
    return status_names[status];
}

static int find_name(const char *const *names, int count, struct str text)
{
    int index = 0;
    while (index < count && !str_eq(text, str_of(names[index]))) index++;
    return index;
}

enum status meta_deletion_create(struct meta *meta, const struct meta_deletion *deletion, struct error *error,
                                 int64_t *ret_id)
{
    if (deletion->request.size > META_DELETION_REQUEST_MAX)
        return error_set(error, STATUS_LIMIT, "the request has %zu bytes, at most %zu are possible",
                         deletion->request.size, META_DELETION_REQUEST_MAX);
    TRY(meta_begin(meta, error));
    enum status status = meta_project_require(meta, deletion->project_id, error);
    if (status == STATUS_OK)
        status = database_change(
            meta->writer, meta->path, error,
            "INSERT INTO deletions (project_id, kind, status, dry_run, request, requested_by, requested_ms)"
            " VALUES (?, ?, 'pending', ?, ?, ?, ?)",
            "isissi", deletion->project_id, str_of(kind_names[deletion->kind]), (int64_t)deletion->dry_run,
            deletion->request, deletion->requested_by, os_now_ms());
    int64_t id = sqlite3_last_insert_rowid(meta->writer);
    TRY(meta_finish(meta, status, error));
    *ret_id = id;
    return STATUS_OK;
}

enum status meta_deletion_update(struct meta *meta, const struct meta_deletion *deletion, struct error *error)
{
    TRY(meta_begin(meta, error));
    enum status status = database_change(
        meta->writer, meta->path, error,
        "UPDATE deletions SET status = ?, marked_ms = ?, purged_ms = ?, rows = ?, lsn = ?, error = ? WHERE id = ?",
        "siiiisi", str_of(status_names[deletion->status]), deletion->marked_ms, deletion->purged_ms, deletion->rows,
        deletion->lsn, deletion->error, deletion->id);
    return meta_finish(meta, status, error);
}

/* ---- Reading. On the writer's connection: requests are few, and what was just written is seen. ---- */

#define COLUMNS                                                                                                        \
    "SELECT id, project_id, kind, status, dry_run, request, requested_by, requested_ms, marked_ms, purged_ms, rows,"   \
    " lsn, error FROM deletions"

static enum status read_row(struct meta *meta, sqlite3_stmt *row, struct arena *arena, struct error *error,
                            struct meta_deletion *ret)
{
    struct meta_deletion deletion = {
        .id = sqlite3_column_int64(row, 0),
        .project_id = sqlite3_column_int64(row, 1),
        .dry_run = sqlite3_column_int64(row, 4) != 0,
        .request = arena_str(arena, database_column(row, 5)),
        .requested_by = arena_str(arena, database_column(row, 6)),
        .requested_ms = sqlite3_column_int64(row, 7),
        .marked_ms = sqlite3_column_int64(row, 8),
        .purged_ms = sqlite3_column_int64(row, 9),
        .rows = sqlite3_column_int64(row, 10),
        .lsn = sqlite3_column_int64(row, 11),
        .error = arena_str(arena, database_column(row, 12)),
    };
    int kind = find_name(kind_names, sizeof kind_names / sizeof *kind_names, database_column(row, 2));
    int status = find_name(status_names, sizeof status_names / sizeof *status_names, database_column(row, 3));
    if (kind == sizeof kind_names / sizeof *kind_names || status == sizeof status_names / sizeof *status_names)
        return error_set(error, STATUS_CORRUPT, "a row of the table deletions in %s makes no sense", meta->path);
    if (!deletion.request.data || !deletion.requested_by.data || !deletion.error.data)
        return error_set(error, STATUS_LIMIT, "out of memory in the control plane");
    deletion.kind = (enum meta_deletion_kind)kind;
    deletion.status = (enum meta_deletion_status)status;
    *ret = deletion;
    return STATUS_OK;
}

static enum status no_deletion(int64_t id, struct error *error)
{
    (void)error_set(error, STATUS_NOT_FOUND, "no deletion has the id %lld", (long long)id);
    error_hint(error, "cairn delete list shows them all");
    return STATUS_NOT_FOUND;
}

enum status meta_deletions(struct meta *meta, int64_t project_id, int status, size_t limit, struct arena *arena,
                           struct error *error, struct meta_deletion **ret_deletions, size_t *ret_count)
{
    struct meta_deletion *deletions = NULL;
    size_t count = 0, capacity = 0;
    sqlite3_stmt *rows = NULL;
    bool row = false;
    pthread_mutex_lock(&meta->write_lock);
    enum status result = database_query(
        meta->writer, meta->path, error, &rows,
        COLUMNS " WHERE (? IN (0, project_id)) AND (? = '' OR status = ?) ORDER BY id DESC LIMIT ?", "issi", project_id,
        str_of(status < 0 ? "" : status_names[status]), str_of(status < 0 ? "" : status_names[status]), (int64_t)limit);
    if (result == STATUS_OK) result = database_step(rows, meta->path, error, &row);
    while (result == STATUS_OK && row) {
        if (count == capacity) {
            size_t larger = capacity ? capacity * 2 : 16;
            deletions = arena_realloc(arena, deletions, capacity * sizeof *deletions, larger * sizeof *deletions);
            if (!deletions) {
                result = error_set(error, STATUS_LIMIT, "out of memory in the control plane");
                break;
            }
            capacity = larger;
        }
        result = read_row(meta, rows, arena, error, &deletions[count]);
        if (result != STATUS_OK) break;
        count++;
        result = database_step(rows, meta->path, error, &row);
    }
    sqlite3_finalize(rows);
    pthread_mutex_unlock(&meta->write_lock);
    TRY(result);
    *ret_deletions = deletions;
    *ret_count = count;
    return STATUS_OK;
}

enum status meta_deletion(struct meta *meta, int64_t project_id, int64_t id, struct arena *arena, struct error *error,
                          struct meta_deletion *ret_deletion)
{
    sqlite3_stmt *rows = NULL;
    bool row = false;
    pthread_mutex_lock(&meta->write_lock);
    enum status status = database_query(meta->writer, meta->path, error, &rows,
                                        COLUMNS " WHERE id = ? AND ? IN (0, project_id)", "ii", id, project_id);
    if (status == STATUS_OK) status = database_step(rows, meta->path, error, &row);
    if (status == STATUS_OK) status = row ? read_row(meta, rows, arena, error, ret_deletion) : no_deletion(id, error);
    sqlite3_finalize(rows);
    pthread_mutex_unlock(&meta->write_lock);
    return status;
}

enum status meta_deletion_cancel(struct meta *meta, int64_t project_id, int64_t id, struct error *error)
{
    sqlite3_stmt *rows = NULL;
    bool row = false;
    TRY(meta_begin(meta, error));
    enum status status =
        database_query(meta->writer, meta->path, error, &rows,
                       "SELECT status FROM deletions WHERE id = ? AND ? IN (0, project_id)", "ii", id, project_id);
    if (status == STATUS_OK) status = database_step(rows, meta->path, error, &row);
    if (status == STATUS_OK && !row) status = no_deletion(id, error);
    if (status == STATUS_OK && !str_is(database_column(rows, 0), "pending"))
        status = error_set(error, STATUS_CONFLICT, "deletion %lld is " STR_FMT " already", (long long)id,
                           STR_ARG(database_column(rows, 0)));
    sqlite3_finalize(rows);
    if (status == STATUS_OK)
        status = database_change(meta->writer, meta->path, error,
                                 "UPDATE deletions SET status = 'cancelled' WHERE id = ?", "i", id);
    return meta_finish(meta, status, error);
}
