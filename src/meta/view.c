#include "meta/meta.h"
#include "meta/meta_int.h"

#include <stdlib.h>

/*
 * How a change reaches the readers. SQLite's `PRAGMA data_version` is a number private to one connection that changes
 * when another connection, of this process or not, has committed. Each reader has its own connection and remembers
 * the number it saw last. When it differs, the reader asks for a refresh under view_lock; there, the loader's
 * connection compares its own number, so that of many readers that notice the same change only the first reads the
 * tables. Number and tables are read in one transaction and so belong together. The reader remembers the number it
 * had before the refresh: when another change slips in between, it notices again at its next call.
 *
 * A view is never changed after it was made; the last of those who hold it frees it.
 */

#define VIEW_SIZE_MAX  ((size_t)4 << 30)
#define VIEW_COUNT_MAX ((size_t)1 << 24)

struct meta_reader {
    struct meta *meta;
    sqlite3 *db;
    sqlite3_stmt *version;
    int64_t version_seen;
    struct meta_view *view;
};

struct meta_view *meta_view_ref(struct meta_view *view)
{
    atomic_fetch_add_explicit(&view->references, 1, memory_order_relaxed);
    return view;
}

void meta_view_unref(struct meta_view *view)
{
    if (view == NULL || atomic_fetch_sub_explicit(&view->references, 1, memory_order_acq_rel) != 1) return;
    u64map_fini(&view->by_id);
    strmap_fini(&view->by_token);
    strmap_fini(&view->by_digest);
    strmap_fini(&view->by_username);
    arena_free(view->arena);
    free(view);
}

/* ---- Loading ---- */

/* One pass over a result, and what a row means. */
struct load {
    struct meta *meta;
    struct meta_view *view;
    struct error *error;
};

static enum status too_large(struct load *load)
{
    return error_set(load->error, STATUS_LIMIT, "out of memory reading %s", load->meta->path);
}

static enum status bad_row(struct load *load, const char *table)
{
    return error_set(load->error, STATUS_CORRUPT, "a row of the table %s in %s makes no sense", table,
                     load->meta->path);
}

static enum status keep(struct load *load, sqlite3_stmt *row, int column, struct str *ret_text)
{
    struct str text = arena_str(load->view->arena, database_column(row, column));
    if (text.data == NULL) return too_large(load);
    *ret_text = text;
    return STATUS_OK;
}

static enum status count_rows(struct load *load, const char *sql, size_t *ret_count)
{
    sqlite3_stmt *statement = NULL;
    bool row = false;
    TRY(database_query(load->meta->loader, load->meta->path, load->error, &statement, sql, ""));
    enum status status = database_step(statement, load->meta->path, load->error, &row);
    int64_t count = status == STATUS_OK && row ? sqlite3_column_int64(statement, 0) : 0;
    sqlite3_finalize(statement);
    TRY(status);
    if (count < 0 || (uint64_t)count > VIEW_COUNT_MAX) return too_large(load);
    *ret_count = (size_t)count;
    return STATUS_OK;
}

static enum status load_project(struct load *load, sqlite3_stmt *row, struct meta_project *project)
{
    struct meta_view *view = load->view;
    uint64_t index = (uint64_t)(project - view->projects);
    project->id = sqlite3_column_int64(row, 0);
    TRY(keep(load, row, 1, &project->name));
    TRY(keep(load, row, 2, &project->token));
    TRY(keep(load, row, 3, &project->timezone));
    project->created_ms = sqlite3_column_int64(row, 5);
    project->retention_days = sqlite3_column_int64(row, 7);
    project->export_local_days = sqlite3_column_int64(row, 8) != 0;
    struct str digest = database_column(row, 6);
    if (!meta_identity_parse(database_column(row, 4), &project->identity) || digest.size != META_DIGEST_SIZE)
        return bad_row(load, "projects");
    memcpy(project->secret_digest, digest.data, META_DIGEST_SIZE);
    if (u64map_put(&view->by_id, (uint64_t)project->id, index) != STATUS_OK ||
        strmap_put(&view->by_token, project->token, index) != STATUS_OK ||
        strmap_put(&view->by_digest, str_from(project->secret_digest, META_DIGEST_SIZE), index) != STATUS_OK)
        return too_large(load);
    return STATUS_OK;
}

static enum status load_projects(struct load *load)
{
    struct meta_view *view = load->view;
    size_t count = 0;
    TRY(count_rows(load, "SELECT count(*) FROM projects WHERE deleted_ms IS NULL", &count));
    view->projects = arena_new_array(view->arena, struct meta_project, count + 1);
    if (view->projects == NULL) return too_large(load);
    sqlite3_stmt *rows = NULL;
    TRY(database_query(
        load->meta->loader, load->meta->path, load->error, &rows,
        "SELECT id, name, token, timezone, identity, created_ms, secret_digest, retention_days,"
        " export_local_days FROM projects"
        " WHERE deleted_ms IS NULL ORDER BY id",
        ""));
    bool row = false;
    enum status status = database_step(rows, load->meta->path, load->error, &row);
    while (status == STATUS_OK && row && view->project_count < count) {
        status = load_project(load, rows, &view->projects[view->project_count++]);
        if (status == STATUS_OK) status = database_step(rows, load->meta->path, load->error, &row);
    }
    sqlite3_finalize(rows);
    return status;
}

/* Rows are (account, membership) pairs, the account's columns repeated, its memberships together. */
static enum status load_account(struct load *load, sqlite3_stmt *row, struct meta_membership *memberships,
                                size_t membership_index)
{
    struct meta_view *view = load->view;
    int64_t id = sqlite3_column_int64(row, 0);
    struct meta_account *account = view->account_count ? &view->accounts[view->account_count - 1] : NULL;
    if (account == NULL || account->id != id) {
        account = &view->accounts[view->account_count++];
        account->id = id;
        TRY(keep(load, row, 1, &account->username));
        TRY(keep(load, row, 2, &account->name));
        TRY(keep(load, row, 3, &account->secret_hash));
        account->created_ms = sqlite3_column_int64(row, 4);
        account->memberships = &memberships[membership_index];
        if (strmap_put(&view->by_username, account->username, view->account_count - 1) != STATUS_OK)
            return too_large(load);
    }
    if (sqlite3_column_type(row, 5) == SQLITE_NULL) return STATUS_OK;
    struct meta_membership *membership = &memberships[membership_index];
    membership->project_id = sqlite3_column_int64(row, 5);
    if (!meta_role_parse(database_column(row, 6), &membership->role)) return bad_row(load, "memberships");
    account->membership_count++;
    return STATUS_OK;
}

static enum status load_accounts(struct load *load)
{
    struct meta_view *view = load->view;
    size_t accounts = 0, memberships = 0, index = 0;
    TRY(count_rows(load, "SELECT count(*) FROM accounts", &accounts));
    TRY(count_rows(load, "SELECT count(*) FROM memberships", &memberships));
    view->accounts = arena_new_array(view->arena, struct meta_account, accounts + 1);
    struct meta_membership *all = arena_new_array(view->arena, struct meta_membership, memberships + 1);
    if (view->accounts == NULL || all == NULL) return too_large(load);
    sqlite3_stmt *rows = NULL;
    TRY(database_query(load->meta->loader, load->meta->path, load->error, &rows,
                       "SELECT a.id, a.username, a.name, a.secret_hash, a.created_ms, m.project_id, m.role"
                       " FROM accounts a LEFT JOIN memberships m ON m.account_id = a.id"
                       " ORDER BY a.username, m.project_id",
                       ""));
    bool row = false;
    enum status status = database_step(rows, load->meta->path, load->error, &row);
    while (status == STATUS_OK && row) {
        status = load_account(load, rows, all, index);
        if (sqlite3_column_type(rows, 5) != SQLITE_NULL) index++;
        if (status == STATUS_OK) status = database_step(rows, load->meta->path, load->error, &row);
    }
    sqlite3_finalize(rows);
    return status;
}

static enum status load_lookup(struct load *load, sqlite3_stmt *row, struct meta_lookup_table *table)
{
    TRY(keep(load, row, 0, &table->id));
    table->project_id = sqlite3_column_int64(row, 1);
    TRY(keep(load, row, 2, &table->name));
    TRY(keep(load, row, 3, &table->file));
    table->rows = sqlite3_column_int64(row, 4);
    table->columns = sqlite3_column_int64(row, 5);
    table->bytes = sqlite3_column_int64(row, 6);
    table->created_ms = sqlite3_column_int64(row, 7);
    table->modified_ms = sqlite3_column_int64(row, 8);
    return STATUS_OK;
}

/* Rows are (table, property) pairs, in the order of the tables. */
static enum status load_lookups(struct load *load)
{
    struct meta_view *view = load->view;
    size_t tables = 0, properties = 0, at = 0;
    TRY(count_rows(load, "SELECT count(*) FROM lookup_tables", &tables));
    TRY(count_rows(load, "SELECT count(*) FROM lookup_properties", &properties));
    view->lookups = arena_new_array(view->arena, struct meta_lookup_table, tables + 1);
    struct str *all = arena_new_array(view->arena, struct str, properties + 1);
    if (view->lookups == NULL || all == NULL) return too_large(load);
    sqlite3_stmt *rows = NULL;
    TRY(database_query(load->meta->loader, load->meta->path, load->error, &rows,
                       "SELECT t.id, t.project_id, t.name, t.file, t.rows, t.columns, t.bytes, t.created_ms,"
                       " t.modified_ms, p.property FROM lookup_tables t LEFT JOIN lookup_properties p"
                       " ON p.table_id = t.id ORDER BY t.project_id, t.name, p.property",
                       ""));
    bool row = false;
    enum status status = database_step(rows, load->meta->path, load->error, &row);
    while (status == STATUS_OK && row) {
        struct meta_lookup_table *table = view->lookup_count ? &view->lookups[view->lookup_count - 1] : NULL;
        if (table == NULL || !str_eq(table->id, database_column(rows, 0))) {
            table = &view->lookups[view->lookup_count++];
            table->properties = &all[at];
            status = load_lookup(load, rows, table);
        }
        if (status == STATUS_OK && sqlite3_column_type(rows, 9) != SQLITE_NULL) {
            status = keep(load, rows, 9, &all[at++]);
            table->property_count++;
        }
        if (status == STATUS_OK) status = database_step(rows, load->meta->path, load->error, &row);
    }
    sqlite3_finalize(rows);
    return status;
}

static enum status read_version(sqlite3_stmt *statement, const char *path, struct error *error, int64_t *ret_version)
{
    bool row = false;
    enum status status = database_step(statement, path, error, &row);
    if (status == STATUS_OK) *ret_version = row ? sqlite3_column_int64(statement, 0) : 0;
    sqlite3_reset(statement);
    return status;
}

static enum status loader_version(struct meta *meta, struct error *error, int64_t *ret_version)
{
    sqlite3_stmt *statement = NULL;
    TRY(database_query(meta->loader, meta->path, error, &statement, "PRAGMA data_version", ""));
    enum status status = read_version(statement, meta->path, error, ret_version);
    sqlite3_finalize(statement);
    return status;
}

static enum status load_all(struct load *load)
{
    TRY(load_projects(load));
    TRY(load_accounts(load));
    return load_lookups(load);
}

/* Makes meta->view current. The caller holds view_lock and has begun a transaction. */
static enum status refresh_in_transaction(struct meta *meta, struct error *error)
{
    int64_t version = 0;
    TRY(loader_version(meta, error, &version));
    if (meta->view != NULL && version == meta->loaded_version) return STATUS_OK;
    struct meta_view *view = calloc(1, sizeof *view);
    struct arena *arena = view ? arena_new(VIEW_SIZE_MAX) : NULL;
    if (view == NULL || arena == NULL) {
        free(view);
        return error_set(error, STATUS_LIMIT, "out of memory reading %s", meta->path);
    }
    *view = (struct meta_view){.references = 1,
                               .arena = arena,
                               .by_id = U64MAP_INIT(VIEW_COUNT_MAX),
                               .by_token = STRMAP_INIT(VIEW_COUNT_MAX),
                               .by_digest = STRMAP_INIT(VIEW_COUNT_MAX),
                               .by_username = STRMAP_INIT(VIEW_COUNT_MAX)};
    enum status status = load_all(&(struct load){meta, view, error});
    if (status != STATUS_OK) {
        meta_view_unref(view);
        return status;
    }
    meta_view_unref(meta->view);
    view->serial = ++meta->view_serial;
    meta->view = view;
    meta->loaded_version = version;
    return STATUS_OK;
}

enum status meta_view_load(struct meta *meta, struct error *error, struct meta_view **ret_view)
{
    pthread_mutex_lock(&meta->view_lock);
    enum status status = STATUS_OK;
    if (meta->loader == NULL) status = database_open(meta->path, meta->options.busy_timeout_ms, error, &meta->loader);
    if (status == STATUS_OK) status = database_run(meta->loader, meta->path, "BEGIN", error);
    if (status == STATUS_OK) {
        status = refresh_in_transaction(meta, error);
        sqlite3_exec(meta->loader, "ROLLBACK", NULL, NULL, NULL); /* nothing was written */
    }
    if (status == STATUS_OK) *ret_view = meta_view_ref(meta->view);
    pthread_mutex_unlock(&meta->view_lock);
    return status;
}

uint64_t meta_view_serial(const struct meta_view *view)
{
    return view->serial;
}

/* ---- Readers ---- */

enum status meta_reader_new(struct meta *meta, struct error *error, struct meta_reader **ret_reader)
{
    struct meta_reader *reader = calloc(1, sizeof *reader);
    if (reader == NULL) return error_set(error, STATUS_LIMIT, "out of memory opening the control plane");
    reader->meta = meta;
    enum status status = database_open(meta->path, meta->options.busy_timeout_ms, error, &reader->db);
    if (status == STATUS_OK)
        status = database_query(reader->db, meta->path, error, &reader->version, "PRAGMA data_version", "");
    if (status == STATUS_OK) status = read_version(reader->version, meta->path, error, &reader->version_seen);
    if (status == STATUS_OK) status = meta_view_load(meta, error, &reader->view);
    if (status == STATUS_OK)
        *ret_reader = reader;
    else
        meta_reader_free(reader);
    return status;
}

void meta_reader_free(struct meta_reader *reader)
{
    if (reader == NULL) return;
    meta_view_unref(reader->view);
    sqlite3_finalize(reader->version);
    sqlite3_close(reader->db);
    free(reader);
}

struct meta_view *meta_reader_view(struct meta_reader *reader, struct error *error)
{
    int64_t version = 0;
    if (read_version(reader->version, reader->meta->path, error, &version) != STATUS_OK ||
        version == reader->version_seen)
        return reader->view;
    struct meta_view *view;
    if (meta_view_load(reader->meta, error, &view) != STATUS_OK) return reader->view;
    meta_view_unref(reader->view);
    reader->view = view;
    reader->version_seen = version;
    return view;
}

/* ---- Looking things up ---- */

const struct meta_project *meta_view_projects(const struct meta_view *view, size_t *ret_count)
{
    *ret_count = view->project_count;
    return view->projects;
}

const struct meta_account *meta_view_accounts(const struct meta_view *view, size_t *ret_count)
{
    *ret_count = view->account_count;
    return view->accounts;
}

const struct meta_project *meta_view_project(const struct meta_view *view, int64_t project_id)
{
    const uint64_t *index = u64map_get(&view->by_id, (uint64_t)project_id);
    return index ? &view->projects[*index] : NULL;
}

const struct meta_project *meta_view_project_by_token(const struct meta_view *view, struct str token)
{
    const uint64_t *index = strmap_get(&view->by_token, token);
    return index ? &view->projects[*index] : NULL;
}

const struct meta_project *meta_view_project_by_secret(const struct meta_view *view, struct str secret)
{
    if (secret.size != META_SECRET_SIZE) return NULL;
    unsigned char digest[META_DIGEST_SIZE];
    project_secret_digest(secret, digest);
    /* Finding it by digest leaks nothing by its timing: who can choose a digest's bytes knows no secret for them. */
    const uint64_t *index = strmap_get(&view->by_digest, str_from(digest, sizeof digest));
    return index ? &view->projects[*index] : NULL;
}

const struct meta_account *meta_view_account(const struct meta_view *view, struct str username)
{
    const uint64_t *index = strmap_get(&view->by_username, username);
    return index ? &view->accounts[*index] : NULL;
}

const struct meta_lookup_table *meta_view_lookups(const struct meta_view *view, int64_t project_id, size_t *ret_count)
{
    size_t from = 0, to = view->lookup_count;
    while (project_id && from < to && view->lookups[from].project_id < project_id) from++;
    while (project_id && to > from && view->lookups[to - 1].project_id > project_id) to--;
    *ret_count = to - from;
    return view->lookups + from;
}

const struct meta_lookup_table *meta_view_lookup(const struct meta_view *view, int64_t project_id, struct str id)
{
    size_t count;
    const struct meta_lookup_table *tables = meta_view_lookups(view, project_id, &count);
    for (size_t i = 0; i < count; i++) {
        if (str_eq_nocase(tables[i].id, id)) return &tables[i];
    }
    return NULL;
}
