#pragma once
/*
 * Shared by the files of meta/ only.
 *
 * Connections: SQLite objects are opened without SQLite's own mutexes, so each connection has one owner: `writer`
 * belongs to whoever holds write_lock, `loader` to whoever holds view_lock, a reader's to the reader.
 */
#include "base/buf.h"
#include "base/map.h"
#include "meta/meta.h"

#include <pthread.h>
#include <sodium.h>
#include <sqlite3.h>

#include <stdatomic.h>

/* ---- database.c ---- */

enum status database_open(const char *path, int busy_timeout_ms, struct error *error, sqlite3 **ret_db) MUST_USE;
/* Makes the file if need be, opens it and runs the migrations. */
enum status database_prepare(const char *dir, const char *path, const struct meta_options *options, struct error *error,
                             sqlite3 **ret_db) MUST_USE;
/* Sets the error to `what` and SQLite's own text, and returns the status that fits SQLite's code. */
enum status database_failed(sqlite3 *db, const char *path, struct error *error, const char *what) MUST_USE;
enum status database_run(sqlite3 *db, const char *path, const char *sql, struct error *error) MUST_USE;
/* Prepares and binds: `types` has one letter per parameter: i (int64_t), s (struct str, text), b (struct str, blob). */
enum status database_query(sqlite3 *db, const char *path, struct error *error, sqlite3_stmt **ret_statement,
                           const char *sql, const char *types, ...) MUST_USE;
/* Likewise, for a statement without rows. */
enum status database_change(sqlite3 *db, const char *path, struct error *error, const char *sql, const char *types,
                            ...) MUST_USE;
/* Moves to the next row. *ret_row is false after the last. */
enum status database_step(sqlite3_stmt *statement, const char *path, struct error *error, bool *ret_row) MUST_USE;
/* A column's text or blob, good until the next step. */
struct str database_column(sqlite3_stmt *statement, int column);

/* ---- credential.c ---- */

struct cached_credential {
    unsigned char key[32]; /* keyed digest of username and secret */
    uint64_t used;         /* the cache's clock at the last hit; 0: free */
    unsigned char hash_size;
    char hash[crypto_pwhash_STRBYTES]; /* the stored hash that it was verified against */
};
struct credentials {
    unsigned char cache_key[32]; /* random per process */
    pthread_mutex_t cache_lock;
    struct cached_credential *cache; /* sets of CACHE_WAYS entries; made with the first entry */
    size_t cache_sets;
    uint64_t cache_clock;
    pthread_mutex_t gate_lock; /* guards the two counts */
    pthread_cond_t gate_free;
    unsigned computing, waiting;
    unsigned char decoy_salt[crypto_pwhash_SALTBYTES];
};
void credentials_init(struct credentials *credentials);
void credentials_fini(struct credentials *credentials);
void project_secret_digest(struct str secret, unsigned char digest[META_DIGEST_SIZE]);
enum status secret_hash(const struct meta_options *options, struct str secret, struct arena *arena, struct error *error,
                        struct str *ret_hash) MUST_USE;
/* `size` random characters out of `alphabet`; LIMIT when the arena is full. */
enum status random_text(struct arena *arena, size_t size, struct str alphabet, struct str *ret_text) MUST_USE;
#define ALPHABET_HEX   STR("0123456789abcdef")
#define ALPHABET_ALNUM STR("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")

/* ---- meta.c ---- */

/* A write transaction: from begin, if it succeeds, to finish, which commits when `status` is OK and returns it. */
enum status meta_begin(struct meta *meta, struct error *error) MUST_USE;
enum status meta_finish(struct meta *meta, enum status status, struct error *error) MUST_USE;
/* NOT_FOUND, with a hint, when there is no such project; inside a transaction. */
enum status meta_project_require(struct meta *meta, int64_t project_id, struct error *error) MUST_USE;

struct meta {
    struct meta_options options;
    char *path;
    pthread_mutex_t write_lock;
    sqlite3 *writer;
    pthread_mutex_t view_lock;
    sqlite3 *loader;        /* opened with the first load */
    int64_t loaded_version; /* the loader's PRAGMA data_version when `view` was loaded */
    struct meta_view *view; /* the newest; NULL before the first load */
    uint64_t view_serial;   /* of the newest */
    struct credentials credentials;
};

struct meta_view {
    atomic_uint references;
    uint64_t serial;
    struct arena *arena;
    struct meta_project *projects;
    size_t project_count;
    struct meta_account *accounts;
    size_t account_count;
    struct meta_lookup_table *lookups; /* by project and name */
    size_t lookup_count;
    struct u64map by_id;
    struct strmap by_token, by_digest, by_username;
};
