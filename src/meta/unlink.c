#include "meta/meta_int.h"

#include "os/clock.h"

enum { STATUS_COUNT = META_UNLINK_FAILED + 1 };
static const char *const status_names[STATUS_COUNT] = {"pending", "done", "failed"};

const char *meta_unlink_status_name(enum meta_unlink_status status)
{
    return status_names[status];
}

enum status meta_unlink_create(struct meta *meta, const struct meta_unlink *unlink, struct error *error,
                               int64_t *ret_id)
{
    if (unlink->distinct_id.size == 0 || unlink->distinct_id.size > META_UNLINK_ID_SIZE_MAX)
        return error_set(error, STATUS_INVALID, "a distinct_id has 1 to %u bytes, not %zu", META_UNLINK_ID_SIZE_MAX,
                         unlink->distinct_id.size);
    TRY(meta_begin(meta, error));
    enum status status = meta_project_require(meta, unlink->project_id, error);
    if (status == STATUS_OK)
        status = database_change(
            meta->writer, meta->path, error,
            "INSERT INTO unlinks (project_id, distinct_id, requested_by, requested_ms) VALUES (?, ?, ?, ?)", "issi",
            unlink->project_id, unlink->distinct_id, unlink->requested_by, os_now_ms());
    int64_t id = sqlite3_last_insert_rowid(meta->writer);
    TRY(meta_finish(meta, status, error));
    *ret_id = id;
    return STATUS_OK;
}

enum status meta_unlink_update(struct meta *meta, const struct meta_unlink *unlink, struct error *error)
{
    TRY(meta_begin(meta, error));
    enum status status = database_change(
        meta->writer, meta->path, error,
        "UPDATE unlinks SET status = ?, done_ms = ?, taken_from = ?, id_count = ?, error = ? WHERE id = ?", "sisisi",
        str_of(status_names[unlink->status]), unlink->done_ms, unlink->taken_from, unlink->id_count, unlink->error,
        unlink->id);
    return meta_finish(meta, status, error);
}

/* ---- Reading. On the writer's connection, so that what was just written is seen. ---- */

#define COLUMNS                                                                                                        \
    "SELECT id, project_id, status, distinct_id, requested_by, requested_ms, done_ms, taken_from, id_count, error"     \
    " FROM unlinks"

static enum status read_row(struct meta *meta, sqlite3_stmt *row, struct arena *arena, struct error *error,
                            struct meta_unlink *ret)
{
    struct meta_unlink unlink = {
        .id = sqlite3_column_int64(row, 0),
        .project_id = sqlite3_column_int64(row, 1),
        .distinct_id = arena_str(arena, database_column(row, 3)),
        .requested_by = arena_str(arena, database_column(row, 4)),
        .requested_ms = sqlite3_column_int64(row, 5),
        .done_ms = sqlite3_column_int64(row, 6),
        .taken_from = arena_str(arena, database_column(row, 7)),
        .id_count = sqlite3_column_int64(row, 8),
        .error = arena_str(arena, database_column(row, 9)),
    };
    int status = 0;
    while (status < STATUS_COUNT && !str_eq(database_column(row, 2), str_of(status_names[status]))) status++;
    if (status == STATUS_COUNT)
        return error_set(error, STATUS_CORRUPT, "a row of the table unlinks in %s makes no sense", meta->path);
    if (!unlink.distinct_id.data || !unlink.requested_by.data || !unlink.taken_from.data || !unlink.error.data)
        return error_set(error, STATUS_LIMIT, "out of memory in the control plane");
    unlink.status = (enum meta_unlink_status)status;
    *ret = unlink;
    return STATUS_OK;
}

enum status meta_unlinks(struct meta *meta, int64_t project_id, int status, size_t limit, struct arena *arena,
                         struct error *error, struct meta_unlink **ret_unlinks, size_t *ret_count)
{
    struct meta_unlink *unlinks = NULL;
    size_t count = 0, capacity = 0;
    sqlite3_stmt *rows = NULL;
    bool row = false;
    struct str wanted = str_of(status < 0 ? "" : status_names[status]);
    pthread_mutex_lock(&meta->write_lock);
    enum status result =
        database_query(meta->writer, meta->path, error, &rows,
                       COLUMNS " WHERE (? IN (0, project_id)) AND (? = '' OR status = ?) ORDER BY id DESC LIMIT ?",
                       "issi", project_id, wanted, wanted, (int64_t)limit);
    if (result == STATUS_OK) result = database_step(rows, meta->path, error, &row);
    while (result == STATUS_OK && row) {
        if (count == capacity) {
            size_t larger = capacity ? capacity * 2 : 16;
            unlinks = arena_realloc(arena, unlinks, capacity * sizeof *unlinks, larger * sizeof *unlinks);
            if (!unlinks) {
                result = error_set(error, STATUS_LIMIT, "out of memory in the control plane");
                break;
            }
            capacity = larger;
        }
        result = read_row(meta, rows, arena, error, &unlinks[count]);
        if (result != STATUS_OK) break;
        count++;
        result = database_step(rows, meta->path, error, &row);
    }
    sqlite3_finalize(rows);
    pthread_mutex_unlock(&meta->write_lock);
    TRY(result);
    *ret_unlinks = unlinks;
    *ret_count = count;
    return STATUS_OK;
}

enum status meta_unlink(struct meta *meta, int64_t id, struct arena *arena, struct error *error,
                        struct meta_unlink *ret_unlink)
{
    sqlite3_stmt *rows = NULL;
    bool row = false;
    pthread_mutex_lock(&meta->write_lock);
    enum status status = database_query(meta->writer, meta->path, error, &rows, COLUMNS " WHERE id = ?", "i", id);
    if (status == STATUS_OK) status = database_step(rows, meta->path, error, &row);
    if (status == STATUS_OK && !row)
        status = error_set(error, STATUS_NOT_FOUND, "no unlink has the id %lld", (long long)id);
    if (status == STATUS_OK) status = read_row(meta, rows, arena, error, ret_unlink);
    sqlite3_finalize(rows);
    pthread_mutex_unlock(&meta->write_lock);
    return status;
}
