#include "meta/meta_int.h"

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/*
 * The schema is the result of the migrations below, applied in order; `PRAGMA user_version` counts those that were.
 * They run in one write transaction together with the count, so a crash leaves the old schema or the new one. A
 * migration that was ever released is never edited: what is wrong with it is corrected by the next.
 *
 * `PRAGMA application_id` says that the file is ours, so that a stray SQLite file of that name is refused and not
 * filled.
 */
static const char *const migrations[] = {
    "CREATE TABLE projects ("
    "  id INTEGER PRIMARY KEY CHECK (id BETWEEN 1 AND 9007199254740991),"
    "  name TEXT NOT NULL,"
    "  token TEXT NOT NULL UNIQUE CHECK (length(token) = 32),"
    "  secret_digest BLOB NOT NULL UNIQUE CHECK (length(secret_digest) = 32),"
    "  timezone TEXT NOT NULL,"
    "  identity TEXT NOT NULL CHECK (identity IN ('simplified', 'original', 'legacy')),"
    "  created_ms INTEGER NOT NULL,"
    "  deleted_ms INTEGER"
    ") STRICT;"
    "CREATE TABLE accounts ("
    "  id INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  username TEXT NOT NULL UNIQUE,"
    "  name TEXT NOT NULL,"
    "  secret_hash TEXT NOT NULL,"
    "  created_ms INTEGER NOT NULL"
    ") STRICT;"
    "CREATE TABLE memberships ("
    "  account_id INTEGER NOT NULL REFERENCES accounts ON DELETE CASCADE,"
    "  project_id INTEGER NOT NULL REFERENCES projects,"
    "  role TEXT NOT NULL CHECK (role IN ('owner', 'admin', 'analyst', 'consumer')),"
    "  PRIMARY KEY (account_id, project_id)"
    ") STRICT, WITHOUT ROWID;",

    "ALTER TABLE projects ADD COLUMN retention_days INTEGER NOT NULL DEFAULT 0 CHECK (retention_days >= 0);"
    "CREATE TABLE deletions ("
    "  id INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  project_id INTEGER NOT NULL REFERENCES projects,"
    "  kind TEXT NOT NULL CHECK (kind IN ('person', 'events', 'before')),"
    "  status TEXT NOT NULL CHECK (status IN ('pending', 'marked', 'purged', 'failed', 'cancelled')),"
    "  dry_run INTEGER NOT NULL,"
    "  request TEXT NOT NULL,"
    "  requested_by TEXT NOT NULL,"
    "  requested_ms INTEGER NOT NULL,"
    "  marked_ms INTEGER NOT NULL DEFAULT 0,"
    "  purged_ms INTEGER NOT NULL DEFAULT 0,"
    "  rows INTEGER NOT NULL DEFAULT 0,"
    "  lsn INTEGER NOT NULL DEFAULT 0,"
    "  error TEXT NOT NULL DEFAULT ''"
    ") STRICT;"
    "CREATE INDEX deletions_status ON deletions (status) WHERE status IN ('pending', 'marked');",

    "CREATE TABLE lookup_tables ("
    "  id TEXT PRIMARY KEY CHECK (length(id) = 36),"
    "  project_id INTEGER NOT NULL REFERENCES projects,"
    "  name TEXT NOT NULL,"
    "  file TEXT NOT NULL DEFAULT '',"
    "  rows INTEGER NOT NULL DEFAULT 0 CHECK (rows >= 0),"
    "  columns INTEGER NOT NULL DEFAULT 0 CHECK (columns >= 0),"
    "  bytes INTEGER NOT NULL DEFAULT 0 CHECK (bytes >= 0),"
    "  created_ms INTEGER NOT NULL,"
    "  modified_ms INTEGER NOT NULL,"
    "  UNIQUE (project_id, name)"
    ") STRICT;"
    "CREATE TABLE lookup_properties ("
    "  project_id INTEGER NOT NULL REFERENCES projects,"
    "  property TEXT NOT NULL,"
    "  table_id TEXT NOT NULL REFERENCES lookup_tables ON DELETE CASCADE,"
    "  PRIMARY KEY (project_id, property)"
    ") STRICT, WITHOUT ROWID;"
    "CREATE INDEX lookup_properties_table ON lookup_properties (table_id);",

    "ALTER TABLE projects ADD COLUMN export_local_days INTEGER NOT NULL DEFAULT 0 CHECK (export_local_days IN (0, 1));"
    "CREATE TABLE saved ("
    "  id INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  project_id INTEGER NOT NULL REFERENCES projects,"
    "  kind TEXT NOT NULL CHECK (kind IN ('funnel', 'cohort')),"
    "  name TEXT NOT NULL,"
    "  description TEXT NOT NULL,"
    "  definition TEXT NOT NULL,"
    "  revision INTEGER NOT NULL DEFAULT 1,"
    "  created_by TEXT NOT NULL,"
    "  created_ms INTEGER NOT NULL,"
    "  modified_ms INTEGER NOT NULL,"
    "  UNIQUE (project_id, kind, name)"
    ") STRICT;",

    "CREATE TABLE unlinks ("
    "  id INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  project_id INTEGER NOT NULL REFERENCES projects,"
    "  status TEXT NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'done', 'failed')),"
    "  distinct_id TEXT NOT NULL,"
    "  requested_by TEXT NOT NULL,"
    "  requested_ms INTEGER NOT NULL,"
    "  done_ms INTEGER NOT NULL DEFAULT 0,"
    "  taken_from TEXT NOT NULL DEFAULT '',"
    "  id_count INTEGER NOT NULL DEFAULT 0,"
    "  error TEXT NOT NULL DEFAULT ''"
    ") STRICT;"
    "CREATE INDEX unlinks_pending ON unlinks (status) WHERE status = 'pending';",
};
#define SCHEMA_VERSION ((int64_t)(sizeof migrations / sizeof *migrations))
#define APPLICATION_ID 0x4361726E /* "Carn" */

static enum status status_of_code(int code)
{
    switch (code & 0xFF) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_FULL: return STATUS_UNAVAILABLE;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: return STATUS_CORRUPT;
    case SQLITE_CONSTRAINT: return STATUS_CONFLICT;
    case SQLITE_NOMEM:
    case SQLITE_TOOBIG: return STATUS_LIMIT;
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
    case SQLITE_PROTOCOL: return STATUS_IO;
    default: return STATUS_INTERNAL;
    }
}

enum status database_failed(sqlite3 *db, const char *path, struct error *error, const char *what)
{
    int code = sqlite3_extended_errcode(db);
    enum status status = status_of_code(code);
    (void)error_set(error, status, "cannot %s in the control plane %s", what, path);
    /* SQLite says "disk I/O error" for everything that the system refused; the system's own word tells a full disk. */
    int os_errno = (code & 0xFF) == SQLITE_IOERR || (code & 0xFF) == SQLITE_CANTOPEN ? sqlite3_system_errno(db) : 0;
    if (os_errno == ENOSPC || os_errno == EDQUOT) {
        status = STATUS_UNAVAILABLE;
        if (error) error->status = status;
    }
    error_detail(error, "SQLite: %s, code %d%s%s", sqlite3_errmsg(db), code, os_errno ? ": " : "",
                 os_errno ? strerror(os_errno) : "");
    if (status == STATUS_UNAVAILABLE && os_errno) error_hint(error, "make space on the disk and try again");
    switch (code & 0xFF) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED: error_hint(error, "another process is writing to it; try again"); break;
    case SQLITE_FULL: error_hint(error, "make space on the disk and try again"); break;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        error_hint(error, "it is damaged or not a database: keep a copy and restore the file from a backup");
        break;
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM: error_hint(error, "check who owns the data directory and who may write to it"); break;
    default: break;
    }
    return status;
}

enum status database_run(sqlite3 *db, const char *path, const char *sql, struct error *error)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK) {
        char what[64];
        snprintf(what, sizeof what, "run \"%.40s\"", sql);
        return database_failed(db, path, error, what);
    }
    return STATUS_OK;
}

static enum status query_list(sqlite3 *db, const char *path, struct error *error, sqlite3_stmt **ret_statement,
                              const char *sql, const char *types, va_list values)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
    for (int i = 0; code == SQLITE_OK && types[i] != '\0'; i++) {
        if (types[i] == 'i') {
            code = sqlite3_bind_int64(statement, i + 1, va_arg(values, int64_t));
            continue;
        }
        struct str s = va_arg(values, struct str);
        const char *data = s.data ? s.data : ""; /* NULL would bind SQL NULL */
        if (types[i] == 's')
            code = sqlite3_bind_text64(statement, i + 1, data, s.size, SQLITE_TRANSIENT, SQLITE_UTF8);
        else
            code = sqlite3_bind_blob64(statement, i + 1, data, s.size, SQLITE_TRANSIENT);
    }
    if (code != SQLITE_OK) {
        enum status status = database_failed(db, path, error, "prepare a statement");
        sqlite3_finalize(statement);
        return status;
    }
    *ret_statement = statement;
    return STATUS_OK;
}

enum status database_query(sqlite3 *db, const char *path, struct error *error, sqlite3_stmt **ret_statement,
                           const char *sql, const char *types, ...)
{
    va_list values;
    va_start(values, types);
    enum status status = query_list(db, path, error, ret_statement, sql, types, values);
    va_end(values);
    return status;
}

enum status database_change(sqlite3 *db, const char *path, struct error *error, const char *sql, const char *types, ...)
{
    sqlite3_stmt *statement = NULL;
    va_list values;
    va_start(values, types);
    enum status status = query_list(db, path, error, &statement, sql, types, values);
    va_end(values);
    bool row = false;
    if (status == STATUS_OK) status = database_step(statement, path, error, &row);
    sqlite3_finalize(statement);
    return status;
}

enum status database_step(sqlite3_stmt *statement, const char *path, struct error *error, bool *ret_row)
{
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW || code == SQLITE_DONE) {
        *ret_row = code == SQLITE_ROW;
        return STATUS_OK;
    }
    char what[64];
    snprintf(what, sizeof what, "run \"%.40s\"", sqlite3_sql(statement));
    return database_failed(sqlite3_db_handle(statement), path, error, what);
}

struct str database_column(sqlite3_stmt *statement, int column)
{
    /* The order matters: the size is that of the last form asked for. */
    const void *data = sqlite3_column_blob(statement, column);
    return str_from(data, (size_t)sqlite3_column_bytes(statement, column));
}

static enum status query_number(sqlite3 *db, const char *path, const char *sql, struct error *error,
                                int64_t *ret_number)
{
    sqlite3_stmt *statement = NULL;
    TRY(database_query(db, path, error, &statement, sql, ""));
    bool row = false;
    enum status status = database_step(statement, path, error, &row);
    if (status == STATUS_OK) *ret_number = row ? sqlite3_column_int64(statement, 0) : 0;
    sqlite3_finalize(statement);
    return status;
}

enum status database_open(const char *path, int busy_timeout_ms, struct error *error, sqlite3 **ret_db)
{
    sqlite3 *db = NULL;
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK) {
        enum status status = db ? database_failed(db, path, error, "open the file")
                                : error_set(error, STATUS_LIMIT, "out of memory opening %s", path);
        sqlite3_close(db);
        return status;
    }
    sqlite3_busy_timeout(db, busy_timeout_ms);
    /* FULL: a project that was printed must be there after a power cut. In WAL mode that is one fsync a transaction. */
    enum status status = database_run(
        db, path, "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF;", error);
    if (status != STATUS_OK) {
        sqlite3_close(db);
        return status;
    }
    *ret_db = db;
    return STATUS_OK;
}

/* SQLite opens files itself, past os/; so does this. Makes an empty file (for SQLite an empty database) with a mode
 * that keeps others from reading hashes; SQLite gives its side files the same mode. Only when there is none: opening
 * and closing an existing one behind SQLite's back would drop the locks that this process holds on it. */
static enum status create_file(const char *dir, const char *path, struct error *error)
{
    if (access(path, F_OK) == 0) return STATUS_OK;
    if (errno != ENOENT) return error_set_os(error, STATUS_IO, errno, "cannot look for %s", path);
    if (mkdir(dir, 0700) != 0 && errno != EEXIST)
        return error_set_os(error, STATUS_IO, errno, "cannot make the data directory %s", dir);
    int file = open(path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
    if (file < 0 && errno == EEXIST) return STATUS_OK;
    if (file < 0) return error_set_os(error, STATUS_IO, errno, "cannot make %s", path);
    close(file);
    int directory = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int failure = directory < 0 || fsync(directory) != 0 ? errno : 0;
    if (directory >= 0) close(directory);
    if (failure != 0) return error_set_os(error, STATUS_IO, failure, "cannot sync the data directory %s", dir);
    return STATUS_OK;
}

static enum status check_version(const char *path, int64_t version, struct error *error)
{
    if (version <= SCHEMA_VERSION) return STATUS_OK;
    (void)error_set(error, STATUS_UNSUPPORTED, "%s has schema version %lld, this program knows %lld", path,
                    (long long)version, (long long)SCHEMA_VERSION);
    error_hint(error, "it was written by a newer version: run that one, or restore a backup made before the upgrade");
    return STATUS_UNSUPPORTED;
}

static enum status migrate_locked(sqlite3 *db, const char *path, struct error *error)
{
    int64_t version = 0, application = 0, objects = 0;
    TRY(query_number(db, path, "PRAGMA user_version", error, &version));
    TRY(query_number(db, path, "PRAGMA application_id", error, &application));
    TRY(query_number(db, path, "SELECT count(*) FROM sqlite_schema", error, &objects));
    if (application != APPLICATION_ID && (version != 0 || objects != 0)) {
        (void)error_set(error, STATUS_CORRUPT, "%s is a database of another program", path);
        error_hint(error, "use another data directory, or move that file away");
        return STATUS_CORRUPT;
    }
    TRY(check_version(path, version, error));
    for (int64_t i = version; i < SCHEMA_VERSION; i++) TRY(database_run(db, path, migrations[i], error));
    char sql[96];
    snprintf(sql, sizeof sql, "PRAGMA application_id = %d; PRAGMA user_version = %lld", APPLICATION_ID,
             (long long)SCHEMA_VERSION);
    return database_run(db, path, sql, error);
}

static enum status migrate(sqlite3 *db, const char *path, bool keep_schema, struct error *error)
{
    int64_t version = 0, application = 0;
    TRY(query_number(db, path, "PRAGMA user_version", error, &version));
    TRY(query_number(db, path, "PRAGMA application_id", error, &application));
    if (version == SCHEMA_VERSION && application == APPLICATION_ID) return STATUS_OK; /* the usual case takes no lock */
    if (keep_schema && application == APPLICATION_ID && version < SCHEMA_VERSION)
        return error_set(error, STATUS_CONFLICT, "%s has the older schema version %lld", path, (long long)version);
    TRY(database_run(db, path, "BEGIN IMMEDIATE", error));
    enum status status = migrate_locked(db, path, error);
    if (status == STATUS_OK) status = database_run(db, path, "COMMIT", error);
    if (status != STATUS_OK) sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    return status;
}

/* Write-ahead mode is a property of the file, so only the first opening ever changes it. SQLite does not wait for
 * others while it does (two processes may make the same database at the same time), so this does. */
static enum status use_wal(sqlite3 *db, const char *path, int timeout_ms, struct error *error)
{
    const int pause_ms = 20;
    for (int waited_ms = 0;; waited_ms += pause_ms) {
        sqlite3_stmt *statement = NULL;
        bool row = false;
        enum status status = database_query(db, path, error, &statement, "PRAGMA journal_mode = WAL", "");
        if (status == STATUS_OK) status = database_step(statement, path, error, &row);
        bool wal = status == STATUS_OK && row && str_is(database_column(statement, 0), "wal");
        sqlite3_finalize(statement);
        if (wal) return STATUS_OK;
        if (status != STATUS_OK && status != STATUS_UNAVAILABLE) return status;
        if (waited_ms >= timeout_ms) {
            if (status != STATUS_OK) return status;
            (void)error_set(error, STATUS_UNSUPPORTED, "%s cannot be put into write-ahead mode", path);
            error_hint(error, "the data directory must be on a local file system with shared memory and locks");
            return STATUS_UNSUPPORTED;
        }
        struct timespec pause = {.tv_nsec = pause_ms * 1000000L};
        nanosleep(&pause, NULL);
    }
}

enum status database_prepare(const char *dir, const char *path, const struct meta_options *options, struct error *error,
                             sqlite3 **ret_db)
{
    if (options->must_exist && access(path, F_OK) != 0) {
        if (errno != ENOENT && errno != ENOTDIR)
            return error_set_os(error, STATUS_IO, errno, "cannot look for %s", path);
        (void)error_set(error, STATUS_NOT_FOUND, "no project was ever made in the data directory \"%s\"", dir);
        error_hint(error, "check the path, or make one: cairn project create --data %s --name NAME", dir);
        return STATUS_NOT_FOUND;
    }
    TRY(create_file(dir, path, error));
    sqlite3 *db = NULL;
    TRY(database_open(path, options->busy_timeout_ms, error, &db));
    enum status status = use_wal(db, path, options->busy_timeout_ms, error);
    if (status == STATUS_OK) status = migrate(db, path, options->keep_schema, error);
    if (status == STATUS_OK)
        *ret_db = db;
    else
        sqlite3_close(db);
    return status;
}
