#include "meta/meta_int.h"

#include "base/utf8.h"
#include "os/clock.h"

static enum status no_memory(struct error *error)
{
    return error_set(error, STATUS_LIMIT, "out of memory in the control plane");
}

static enum status no_table(struct str id, struct error *error)
{
    struct str shown = str_slice(id, 0, utf8_valid(id.data, id.size) ? utf8_cut(id.data, id.size, 64) : 0);
    return error_set(error, STATUS_NOT_FOUND, "Lookup table with id '" STR_FMT "' was not found.", STR_ARG(shown));
}

/* Texts that are shown in lists and stand in addresses. */
static enum status check_text(struct str text, const char *what, struct error *error)
{
    bool plain = utf8_valid(text.data, text.size);
    for (size_t i = 0; i < text.size && plain; i++) plain = (unsigned char)text.data[i] >= 0x20 && text.data[i] != 0x7F;
    if (text.size < 1 || text.size > META_NAME_SIZE_MAX)
        return error_set(error, STATUS_INVALID, "the name of a %s has %zu bytes, 1 to %u are allowed", what, text.size,
                         META_NAME_SIZE_MAX);
    if (!plain)
        return error_set(error, STATUS_INVALID, "the name of a %s is not plain UTF-8 text without control characters",
                         what);
    return STATUS_OK;
}

/* The first row's first column; 0 when there is none. */
static enum status number_of(struct meta *meta, struct error *error, int64_t *ret_number, sqlite3_stmt *statement)
{
    bool row = false;
    enum status status = database_step(statement, meta->path, error, &row);
    if (status == STATUS_OK) *ret_number = row ? sqlite3_column_int64(statement, 0) : 0;
    sqlite3_finalize(statement);
    return status;
}

/* A random UUID (RFC 9562, version 4). */
static struct str draw_id(struct arena *arena)
{
    unsigned char b[16];
    os_random(b, sizeof b);
    b[6] = (unsigned char)((b[6] & 0x0F) | 0x40);
    b[8] = (unsigned char)((b[8] & 0x3F) | 0x80);
    return arena_printf(arena, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1], b[2],
                        b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
}

/* --- reading, on the writer's connection: calls are few, and what was just written is seen --- */

static enum status read_properties(struct meta *meta, struct arena *arena, struct error *error,
                                   struct meta_lookup_table *table)
{
    sqlite3_stmt *rows = NULL;
    bool row = false;
    size_t capacity = 0;
    struct str *properties = NULL;
    TRY(database_query(meta->writer, meta->path, error, &rows,
                       "SELECT property FROM lookup_properties WHERE table_id = ? ORDER BY property", "s", table->id));
    enum status status = database_step(rows, meta->path, error, &row);
    while (status == STATUS_OK && row) {
        if (table->property_count == capacity) {
            size_t larger = capacity ? capacity * 2 : 4;
            properties = arena_realloc(arena, properties, capacity * sizeof *properties, larger * sizeof *properties);
            capacity = larger;
        }
        struct str name = properties ? arena_str(arena, database_column(rows, 0)) : STR_NULL;
        if (!name.data) {
            status = no_memory(error);
            break;
        }
        properties[table->property_count++] = name;
        status = database_step(rows, meta->path, error, &row);
    }
    sqlite3_finalize(rows);
    table->properties = properties;
    return status;
}

static enum status read_table(struct meta *meta, int64_t project_id, struct str id, struct arena *arena,
                              struct error *error, struct meta_lookup_table *ret_table)
{
    sqlite3_stmt *rows = NULL;
    bool row = false;
    struct meta_lookup_table table = {.project_id = project_id};
    TRY(database_query(meta->writer, meta->path, error, &rows,
                       "SELECT id, name, file, rows, columns, bytes, created_ms, modified_ms FROM lookup_tables"
                       " WHERE id = lower(?) AND project_id = ?",
                       "si", id, project_id));
    enum status status = database_step(rows, meta->path, error, &row);
    if (status == STATUS_OK && !row) status = no_table(id, error);
    if (status == STATUS_OK) {
        table.id = arena_str(arena, database_column(rows, 0));
        table.name = arena_str(arena, database_column(rows, 1));
        table.file = arena_str(arena, database_column(rows, 2));
        table.rows = sqlite3_column_int64(rows, 3);
        table.columns = sqlite3_column_int64(rows, 4);
        table.bytes = sqlite3_column_int64(rows, 5);
        table.created_ms = sqlite3_column_int64(rows, 6);
        table.modified_ms = sqlite3_column_int64(rows, 7);
        if (!table.id.data || !table.name.data || !table.file.data) status = no_memory(error);
    }
    sqlite3_finalize(rows);
    if (status == STATUS_OK) status = read_properties(meta, arena, error, &table);
    if (status == STATUS_OK) *ret_table = table;
    return status;
}

enum status meta_lookup_table(struct meta *meta, int64_t project_id, struct str id, struct arena *arena,
                              struct error *error, struct meta_lookup_table *ret_table)
{
    pthread_mutex_lock(&meta->write_lock);
    enum status status = read_table(meta, project_id, id, arena, error, ret_table);
    pthread_mutex_unlock(&meta->write_lock);
    return status;
}

/* --- limits --- */

/* The rows of the project's other tables and of this one. */
static enum status check_rows(struct meta *meta, int64_t project_id, struct str id, int64_t rows, int64_t rows_max,
                              struct error *error)
{
    sqlite3_stmt *statement = NULL;
    int64_t others = 0;
    TRY(database_query(meta->writer, meta->path, error, &statement,
                       "SELECT total(rows) FROM lookup_tables WHERE project_id = ? AND id != ?", "is", project_id, id));
    TRY(number_of(meta, error, &others, statement));
    if (rows <= rows_max - others) return STATUS_OK;
    (void)error_set(error, STATUS_LIMIT, "the lookup tables of a project may have %lld rows together, this makes %lld",
                    (long long)rows_max, (long long)(others + rows));
    error_hint(error, "delete a table, or raise lookup.project_rows_max");
    return STATUS_LIMIT;
}

static enum status check_tables(struct meta *meta, int64_t project_id, int64_t tables_max, struct error *error)
{
    sqlite3_stmt *statement = NULL;
    int64_t tables = 0;
    TRY(database_query(meta->writer, meta->path, error, &statement,
                       "SELECT count(*) FROM lookup_tables WHERE project_id = ?", "i", project_id));
    TRY(number_of(meta, error, &tables, statement));
    if (tables < tables_max) return STATUS_OK;
    (void)error_set(error, STATUS_LIMIT, "the project has %lld lookup tables already", (long long)tables);
    error_hint(error, "delete one, or raise lookup.tables_max");
    return STATUS_LIMIT;
}

static enum status check_free(struct meta *meta, const struct meta_lookup_table *table, struct error *error)
{
    sqlite3_stmt *statement = NULL;
    int64_t taken = 0;
    TRY(database_query(meta->writer, meta->path, error, &statement,
                       "SELECT count(*) FROM lookup_tables WHERE project_id = ? AND name = ?", "is", table->project_id,
                       table->name));
    TRY(number_of(meta, error, &taken, statement));
    if (!taken) return STATUS_OK;
    return error_set(error, STATUS_CONFLICT, "the project has a lookup table \"" STR_FMT "\" already",
                     STR_ARG(table->name));
}

/* --- writing --- */

static enum status create(struct meta *meta, const struct meta_lookup_table *table,
                          const struct meta_lookup_limits *limits, meta_file_fn *install, void *ctx,
                          struct error *error)
{
    TRY(meta_project_require(meta, table->project_id, error));
    TRY(check_free(meta, table, error));
    TRY(check_tables(meta, table->project_id, limits->tables_max, error));
    if (table->file.size) {
        TRY(check_rows(meta, table->project_id, table->id, table->rows, limits->rows_max, error));
        TRY(install(ctx, error));
    }
    return database_change(meta->writer, meta->path, error,
                           "INSERT INTO lookup_tables (id, project_id, name, file, rows, columns, bytes, created_ms,"
                           " modified_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                           "sissiiiii", table->id, table->project_id, table->name, table->file, table->rows,
                           table->columns, table->bytes, table->created_ms, table->modified_ms);
}

enum status meta_lookup_create(struct meta *meta, const struct meta_lookup_table *table,
                               const struct meta_lookup_limits *limits, meta_file_fn *install, void *ctx,
                               struct arena *arena, struct error *error, struct meta_lookup_table *ret_table)
{
    struct meta_lookup_table made = *table;
    TRY(check_text(table->name, "lookup table", error));
    made.id = draw_id(arena);
    made.created_ms = made.modified_ms = os_now_ms();
    made.properties = NULL;
    made.property_count = 0;
    if (!made.id.data) return no_memory(error);
    TRY(meta_begin(meta, error));
    TRY(meta_finish(meta, create(meta, &made, limits, install, ctx, error), error));
    *ret_table = made;
    return STATUS_OK;
}

static enum status replace(struct meta *meta, const struct meta_lookup_table *table,
                           const struct meta_lookup_limits *limits, meta_file_fn *install, void *ctx,
                           struct arena *arena, struct error *error, struct str *ret_old)
{
    struct meta_lookup_table old;
    TRY(read_table(meta, table->project_id, table->id, arena, error, &old));
    TRY(check_rows(meta, table->project_id, old.id, table->rows, limits->rows_max, error));
    TRY(install(ctx, error));
    TRY(database_change(
        meta->writer, meta->path, error,
        "UPDATE lookup_tables SET file = ?, rows = ?, columns = ?, bytes = ?, modified_ms = ? WHERE id = ?", "siiiis",
        table->file, table->rows, table->columns, table->bytes, os_now_ms(), old.id));
    *ret_old = old.file;
    return STATUS_OK;
}

enum status meta_lookup_replace(struct meta *meta, const struct meta_lookup_table *table,
                                const struct meta_lookup_limits *limits, meta_file_fn *install, void *ctx,
                                struct arena *arena, struct error *error, struct str *ret_old)
{
    TRY(meta_begin(meta, error));
    return meta_finish(meta, replace(meta, table, limits, install, ctx, arena, error, ret_old), error);
}

enum status meta_lookup_delete(struct meta *meta, int64_t project_id, struct str id, struct arena *arena,
                               struct error *error, struct str *ret_file)
{
    struct meta_lookup_table table;
    TRY(meta_begin(meta, error));
    enum status status = read_table(meta, project_id, id, arena, error, &table);
    if (status == STATUS_OK)
        status =
            database_change(meta->writer, meta->path, error, "DELETE FROM lookup_tables WHERE id = ?", "s", table.id);
    TRY(meta_finish(meta, status, error));
    *ret_file = table.file;
    return STATUS_OK;
}

enum status meta_lookup_map(struct meta *meta, int64_t project_id, struct str id, struct str property,
                            struct error *error)
{
    TRY(check_text(property, "property", error));
    if (str_is(property, "$distinct_id") || str_is(property, "distinct_id"))
        return error_set(error, STATUS_INVALID, "property \"" STR_FMT "\" cannot be joined with a lookup table",
                         STR_ARG(property));
    TRY(meta_begin(meta, error));
    sqlite3_stmt *statement = NULL;
    int64_t found = 0;
    enum status status = database_query(meta->writer, meta->path, error, &statement,
                                        "SELECT count(*) FROM lookup_tables WHERE id = lower(?) AND project_id = ?",
                                        "si", id, project_id);
    if (status == STATUS_OK) status = number_of(meta, error, &found, statement);
    if (status == STATUS_OK && !found) status = no_table(id, error);
    if (status == STATUS_OK)
        status = database_change(meta->writer, meta->path, error,
                                 "INSERT INTO lookup_properties (project_id, property, table_id)"
                                 " VALUES (?, ?, lower(?))"
                                 " ON CONFLICT (project_id, property) DO UPDATE SET table_id = excluded.table_id",
                                 "iss", project_id, property, id);
    return meta_finish(meta, status, error);
}

enum status meta_lookup_unmap(struct meta *meta, int64_t project_id, struct str id, struct str property,
                              struct error *error)
{
    TRY(meta_begin(meta, error));
    enum status status =
        database_change(meta->writer, meta->path, error,
                        "DELETE FROM lookup_properties WHERE project_id = ? AND property = ? AND table_id = lower(?)",
                        "iss", project_id, property, id);
    if (status == STATUS_OK && sqlite3_changes(meta->writer) == 0)
        status = error_set(error, STATUS_NOT_FOUND, "the property is not joined with that lookup table");
    return meta_finish(meta, status, error);
}

static enum status list_files(struct meta *meta, void (*each)(void *ctx, struct str file), void *ctx,
                              struct error *error)
{
    sqlite3_stmt *rows = NULL;
    bool row = false;
    TRY(database_query(meta->writer, meta->path, error, &rows, "SELECT file FROM lookup_tables WHERE file != ''", ""));
    enum status status = database_step(rows, meta->path, error, &row);
    while (status == STATUS_OK && row) {
        each(ctx, database_column(rows, 0));
        status = database_step(rows, meta->path, error, &row);
    }
    sqlite3_finalize(rows);
    return status;
}

enum status meta_lookup_sweep(struct meta *meta, void (*each)(void *ctx, struct str file), meta_file_fn *sweep,
                              void *ctx, struct error *error)
{
    TRY(meta_begin(meta, error));
    enum status status = list_files(meta, each, ctx, error);
    if (status == STATUS_OK) status = sweep(ctx, error);
    return meta_finish(meta, status, error);
}
