#pragma once
/*
 * The control plane: projects, service accounts and who may do what, in the SQLite file `cairn.db` of the data
 * directory.
 *
 * Two sides. The write side (struct meta) changes the database; the command line uses it on a directory whether or
 * not a server runs there. The read side is for a server's hot path: a `struct meta_view` is an immutable picture of
 * everything, kept in memory and shared by reference count; a `struct meta_reader` tells whether the picture is still
 * current. It asks SQLite on every call (some microseconds), so that a change made by another process is seen by the
 * very next request.
 *
 *     struct meta_view *view = meta_reader_view(reader, &error);   // borrowed until the next call on this reader
 *     const struct meta_project *project = meta_view_project_by_token(view, token);
 *
 * Threads: struct meta may be used by all threads; a reader belongs to one thread at a time; a view may be read by all.
 * Close readers before their meta. Nothing here may be carried across fork().
 *
 * Errors: INVALID (a value that cannot be stored, with the reason), NOT_FOUND, CONFLICT (exists already, or existed:
 * ids are never used twice), CORRUPT (the file is no database), UNSUPPORTED (written by a newer version), UNAVAILABLE
 * (locked by another process for too long, or the disk is full), IO.
 *
 * Secrets are never stored: an account's secret as an argon2id hash, a project's as a digest (docs/decisions/0002).
 */
#include "base/arena.h"
#include "base/error.h"
#include "base/str.h"

#define META_FILE_NAME         "cairn.db"
#define META_TOKEN_SIZE        32u /* lower-case hex digits */
#define META_SECRET_SIZE       32u /* of generated secrets; a project's has lower-case hex digits */
#define META_DIGEST_SIZE       32u
#define META_NAME_SIZE_MAX     255u
#define META_USERNAME_SIZE_MAX 255u
#define META_SECRET_SIZE_MIN   8u /* of chosen secrets */
#define META_SECRET_SIZE_MAX   512u
#define META_PROJECT_ID_MAX    ((INT64_C(1) << 53) - 1) /* whole numbers that every JSON reader keeps exact */
#define META_USERNAME_SUFFIX   ".cairn-service-account"

/* How a project joins ids; fixed once it has data. The meaning is identity/'s. */
enum meta_identity { META_IDENTITY_SIMPLIFIED, META_IDENTITY_ORIGINAL, META_IDENTITY_LEGACY };
/* Each role may do what the roles before it may. */
enum meta_role { META_ROLE_CONSUMER, META_ROLE_ANALYST, META_ROLE_ADMIN, META_ROLE_OWNER };

/* "simplified", "original", "legacy"; "consumer", "analyst", "admin", "owner" */
const char *meta_identity_name(enum meta_identity identity);
const char *meta_role_name(enum meta_role role);
bool meta_identity_parse(struct str text, enum meta_identity *ret_identity);
bool meta_role_parse(struct str text, enum meta_role *ret_role);

struct meta_project {
    int64_t id;
    struct str name;
    struct str token;    /* public: it is in every web page that sends events */
    struct str timezone; /* a name of the zone database that existed when the project was made */
    enum meta_identity identity;
    int64_t retention_days; /* older events are deleted; 0: none are */
    bool export_local_days; /* days of raw exports are the time zone's, not UTC's */
    int64_t created_ms;
    unsigned char secret_digest[META_DIGEST_SIZE];
};

struct meta_membership {
    int64_t project_id;
    enum meta_role role;
};

struct meta_account {
    int64_t id;
    struct str username;
    struct str name;
    struct str secret_hash; /* argon2id in its usual text form */
    int64_t created_ms;
    const struct meta_membership *memberships; /* by project id; projects that are deleted are not among them */
    size_t membership_count;
};

struct meta;
struct meta_reader;
struct meta_view;

struct meta_options {
    bool must_exist;             /* a missing database is NOT_FOUND instead of being made */
    bool keep_schema;            /* an older schema is CONFLICT instead of being brought up to date */
    size_t argon2_memory_bytes;  /* for new secrets; a stored hash carries its own cost */
    unsigned argon2_ops;         /* passes over that memory */
    unsigned argon2_threads_max; /* hashes computed at the same time; more wait */
    unsigned argon2_waiting_max; /* and when so many wait already, UNAVAILABLE */
    size_t cache_entries_max;    /* verified credentials that are remembered */
    int busy_timeout_ms;         /* how long to wait for another process's write */
};
#define META_OPTIONS_DEFAULT                                                                                           \
    ((struct meta_options){.argon2_memory_bytes = 19u << 20,                                                           \
                           .argon2_ops = 2,                                                                            \
                           .argon2_threads_max = 2,                                                                    \
                           .argon2_waiting_max = 64,                                                                   \
                           .cache_entries_max = 10000,                                                                 \
                           .busy_timeout_ms = 5000})

/* Opens DIR/cairn.db; makes the directory (one level, mode 0700) and the file (0600) when missing, and brings an
 * older schema up to date. `options` may be NULL for the defaults. */
enum status meta_open(const char *dir, const struct meta_options *options, struct error *error,
                      struct meta **ret_meta) MUST_USE;
void meta_close(struct meta *meta);

/* ---- The write side. Results lie in the caller's arena. ---- */

struct meta_project_spec {
    int64_t id; /* 0: the lowest that was never used */
    struct str name;
    struct str token;    /* empty: random */
    struct str timezone; /* empty: UTC */
    enum meta_identity identity;
};
/* *ret_secret is shown here and never again. */
enum status meta_project_create(struct meta *meta, const struct meta_project_spec *spec, struct arena *arena,
                                struct error *error, struct meta_project *ret_project, struct str *ret_secret) MUST_USE;
/* Leaves a tombstone, so that neither id nor token come back, and removes the project's memberships, lookup tables and
 * saved definitions. */
enum status meta_project_delete(struct meta *meta, int64_t project_id, struct error *error) MUST_USE;

#define META_RETENTION_DAYS_MAX 36500
/* 0: events are kept for ever. */
enum status meta_project_set_retention(struct meta *meta, int64_t project_id, int64_t days,
                                       struct error *error) MUST_USE;

/* For a project without data only, which the caller knows (store/has_data.h): what is stored means what its mode said.
 */
enum status meta_project_set_identity(struct meta *meta, int64_t project_id, enum meta_identity identity,
                                      struct error *error) MUST_USE;
enum status meta_project_set_export_days(struct meta *meta, int64_t project_id, bool local,
                                         struct error *error) MUST_USE;

struct meta_account_spec {
    int64_t project_id;
    enum meta_role role;
    struct str name;     /* empty: "service" */
    struct str username; /* empty: NAME.xxxxxx.cairn-service-account */
    struct str secret;   /* empty: random */
};
/* Makes an account with one membership. *ret_secret is shown here and never again. CONFLICT when the name is taken. */
enum status meta_account_create(struct meta *meta, const struct meta_account_spec *spec, struct arena *arena,
                                struct error *error, struct meta_account *ret_account, struct str *ret_secret) MUST_USE;
/* Makes an existing account a member of one more project, or changes its role there. */
enum status meta_membership_put(struct meta *meta, struct str username, int64_t project_id, enum meta_role role,
                                struct error *error) MUST_USE;
/* Replaces the secret of an account; an empty `secret` draws one. What was verified before is forgotten. */
enum status meta_account_set_secret(struct meta *meta, struct str username, struct str secret, struct arena *arena,
                                    struct error *error, struct str *ret_secret) MUST_USE;
enum status meta_account_delete(struct meta *meta, struct str username, struct error *error) MUST_USE;

/* ---- Deletions: requests to delete events, and what became of them ---- */

/*
 * A request is written here first; a server that runs on the directory carries it out (its own requests at once,
 * others' within seconds). Its row stays, as the report.
 *
 *   PENDING ──▶ MARKED ──▶ PURGED
 *      ├──▶ FAILED      the request makes no sense after all; `error` says why
 *      └──▶ CANCELLED   by whoever asked, before it was begun
 *
 * MARKED: no answer contains the events any more. PURGED: no file does. A dry run only counts: it becomes PURGED at
 * once, with the number of events that it would delete.
 */
enum meta_deletion_kind { META_DELETION_PERSON, META_DELETION_EVENTS, META_DELETION_BEFORE };
enum meta_deletion_status {
    META_DELETION_PENDING,
    META_DELETION_MARKED,
    META_DELETION_PURGED,
    META_DELETION_FAILED,
    META_DELETION_CANCELLED
};
const char *meta_deletion_kind_name(enum meta_deletion_kind kind);       /* "person", "events", "before" */
const char *meta_deletion_status_name(enum meta_deletion_status status); /* "pending", … */

#define META_DELETION_REQUEST_MAX ((size_t)4 << 20)
struct meta_deletion {
    int64_t id, project_id;
    enum meta_deletion_kind kind;
    enum meta_deletion_status status;
    bool dry_run;
    struct str request;                         /* a JSON object */
    struct str requested_by;                    /* a username, "project secret" or "command line" */
    int64_t requested_ms, marked_ms, purged_ms; /* 0: not yet */
    int64_t rows;                               /* marked, or counted */
    int64_t lsn;                                /* of the newest record */
    struct str error;
};
/* Writes a request: project_id, kind, dry_run, request and requested_by are read. NOT_FOUND for an unknown project. */
enum status meta_deletion_create(struct meta *meta, const struct meta_deletion *deletion, struct error *error,
                                 int64_t *ret_id) MUST_USE;
/* Writes status, times, rows, lsn and error of the row with that id. */
enum status meta_deletion_update(struct meta *meta, const struct meta_deletion *deletion, struct error *error) MUST_USE;
/* CONFLICT when it is not pending any more, NOT_FOUND when the project has no such request. */
enum status meta_deletion_cancel(struct meta *meta, int64_t project_id, int64_t id, struct error *error) MUST_USE;
/* Those of one project (0: of all), newest first, at most `limit`; of one status only unless `status` is -1. */
enum status meta_deletions(struct meta *meta, int64_t project_id, int status, size_t limit, struct arena *arena,
                           struct error *error, struct meta_deletion **ret_deletions, size_t *ret_count) MUST_USE;
/* NOT_FOUND when the project (0: any) has no such request. */
enum status meta_deletion(struct meta *meta, int64_t project_id, int64_t id, struct arena *arena, struct error *error,
                          struct meta_deletion *ret_deletion) MUST_USE;

/* ---- Unlinks: requests to take an id out of the person that it was linked to, and what became of them ---- */

/*
 * A request is written here first, as those to delete are, and carried out by the server that runs on the directory, or
 * by the command line when none does. Its row stays: it is the record of who changed what links say.
 *
 *   PENDING ──▶ DONE      the id is a person of its own
 *      └──────▶ FAILED    it was not linked to anything, or is not known; `error` says so
 */
enum meta_unlink_status { META_UNLINK_PENDING, META_UNLINK_DONE, META_UNLINK_FAILED };
const char *meta_unlink_status_name(enum meta_unlink_status status); /* "pending", "done", "failed" */

#define META_UNLINK_ID_SIZE_MAX 1024u
struct meta_unlink {
    int64_t id, project_id;
    enum meta_unlink_status status;
    struct str distinct_id;
    struct str requested_by;       /* a username or "command line" */
    int64_t requested_ms, done_ms; /* 0: not yet */
    struct str taken_from;         /* the id that was shown for the person, once it is known */
    int64_t id_count;              /* ids that this person had, with the one that left */
    struct str error;
};
/* Writes a request: project_id, distinct_id and requested_by are read. NOT_FOUND for an unknown project, INVALID for an
 * id that is empty or too long. */
enum status meta_unlink_create(struct meta *meta, const struct meta_unlink *unlink, struct error *error,
                               int64_t *ret_id) MUST_USE;
/* Writes what became of the row with that id: status, done_ms, taken_from, id_count, error. */
enum status meta_unlink_update(struct meta *meta, const struct meta_unlink *unlink, struct error *error) MUST_USE;
/* Those of one project (0: of all), newest first, at most `limit`; of one status only unless `status` is -1. */
enum status meta_unlinks(struct meta *meta, int64_t project_id, int status, size_t limit, struct arena *arena,
                         struct error *error, struct meta_unlink **ret_unlinks, size_t *ret_count) MUST_USE;
enum status meta_unlink(struct meta *meta, int64_t id, struct arena *arena, struct error *error,
                        struct meta_unlink *ret_unlink) MUST_USE;

/* ---- Lookup tables: what there is, not what stands in them, which is lookup/'s ---- */

#define META_LOOKUP_ID_SIZE       36u /* a UUID */
#define META_LOOKUP_FILE_SIZE_MAX 80u

struct meta_lookup_table {
    struct str id;
    int64_t project_id;
    struct str name; /* unique in the project */
    struct str file; /* the current version's, a name in lookup/'s folder; empty: nothing was ever uploaded */
    int64_t rows, columns, bytes;
    int64_t created_ms, modified_ms;
    const struct str *properties; /* whose values are its keys, in byte order; a property has one table at most */
    size_t property_count;
};

/* A new version's file gets its name, and one that nobody refers to is removed, inside the transaction that says so:
 * then whoever looks for files without a row, inside a transaction too, never takes a new one for one of them. */
typedef enum status meta_file_fn(void *ctx, struct error *error);

struct meta_lookup_limits {
    int64_t tables_max; /* of one project */
    int64_t rows_max;   /* of all tables of one project */
};
/* Makes a table (project_id and name are read, and of the rest what belongs to a first version, if `file` is not empty:
 * then `install` is called). CONFLICT when the name is taken, LIMIT; NOT_FOUND for an unknown project. *ret_table is in
 * the arena. */
enum status meta_lookup_create(struct meta *meta, const struct meta_lookup_table *table,
                               const struct meta_lookup_limits *limits, meta_file_fn *install, void *ctx,
                               struct arena *arena, struct error *error, struct meta_lookup_table *ret_table) MUST_USE;
/* Makes `table->file`, with its rows, columns and bytes, the current version. *ret_old is the file that is no longer.
 */
enum status meta_lookup_replace(struct meta *meta, const struct meta_lookup_table *table,
                                const struct meta_lookup_limits *limits, meta_file_fn *install, void *ctx,
                                struct arena *arena, struct error *error, struct str *ret_old) MUST_USE;
/* NOT_FOUND when the project has no such table. Its properties are free again. */
enum status meta_lookup_delete(struct meta *meta, int64_t project_id, struct str id, struct arena *arena,
                               struct error *error, struct str *ret_file) MUST_USE;
/* Joins a property with the table, instead of one that it was joined with before. INVALID for a name that no property
 * has, or that may not be joined ($distinct_id). */
enum status meta_lookup_map(struct meta *meta, int64_t project_id, struct str id, struct str property,
                            struct error *error) MUST_USE;
/* NOT_FOUND when the property is not joined with that table. */
enum status meta_lookup_unmap(struct meta *meta, int64_t project_id, struct str id, struct str property,
                              struct error *error) MUST_USE;
/* As it is at this moment, past all views. */
enum status meta_lookup_table(struct meta *meta, int64_t project_id, struct str id, struct arena *arena,
                              struct error *error, struct meta_lookup_table *ret_table) MUST_USE;
/* Calls each() with every file that a table refers to, then sweep(), in one transaction. */
enum status meta_lookup_sweep(struct meta *meta, void (*each)(void *ctx, struct str file), meta_file_fn *sweep,
                              void *ctx, struct error *error) MUST_USE;

/* ---- Saved definitions: funnels and cohorts. What they mean is for query/ to say ---- */

enum meta_saved_kind { META_SAVED_FUNNEL, META_SAVED_COHORT };
const char *meta_saved_kind_name(enum meta_saved_kind kind); /* "funnel", "cohort" */

#define META_SAVED_DEFINITION_MAX  ((size_t)1 << 20)
#define META_SAVED_DESCRIPTION_MAX 4096u
struct meta_saved {
    int64_t id, project_id;
    enum meta_saved_kind kind;
    struct str name; /* of that kind unique in the project */
    struct str description;
    struct str definition; /* a JSON object, checked by who writes it */
    int64_t revision;      /* counts the changes */
    struct str created_by; /* a username, "project secret" or "command line" */
    int64_t created_ms, modified_ms;
};
/* Writes project_id, kind, name, description, definition and created_by. CONFLICT when the name is taken, LIMIT when
 * the project has count_max of the kind already; NOT_FOUND for an unknown project; INVALID for texts that cannot be. */
enum status meta_saved_create(struct meta *meta, const struct meta_saved *saved, int64_t count_max, struct error *error,
                              int64_t *ret_id) MUST_USE;
/* Replaces name, description and definition of (project_id, kind, id), if it still has that revision: CONFLICT when it
 * was changed meanwhile, or the name is taken. */
enum status meta_saved_update(struct meta *meta, const struct meta_saved *saved, struct error *error) MUST_USE;
/* NOT_FOUND when the project has no such one, which is for all the functions below the same. */
enum status meta_saved_delete(struct meta *meta, int64_t project_id, enum meta_saved_kind kind, int64_t id,
                              struct error *error) MUST_USE;
/* As it is at this moment. In the arena. */
enum status meta_saved(struct meta *meta, int64_t project_id, enum meta_saved_kind kind, int64_t id,
                       struct arena *arena, struct error *error, struct meta_saved *ret_saved) MUST_USE;
/* All of the kind, by id. */
enum status meta_saved_list(struct meta *meta, int64_t project_id, enum meta_saved_kind kind, struct arena *arena,
                            struct error *error, struct meta_saved **ret_saved, size_t *ret_count) MUST_USE;

/* ---- The read side ---- */

enum status meta_reader_new(struct meta *meta, struct error *error, struct meta_reader **ret_reader) MUST_USE;
void meta_reader_free(struct meta_reader *reader);
/* The current view, borrowed until the next call on this reader (take a reference to keep it longer). Never NULL.
 * When the database cannot be read, error->status says why and the last view that could be read is returned. */
struct meta_view *meta_reader_view(struct meta_reader *reader, struct error *error);
/* A view without a reader, for one look (the command line's lists). The caller owns the reference. */
enum status meta_view_load(struct meta *meta, struct error *error, struct meta_view **ret_view) MUST_USE;
struct meta_view *meta_view_ref(struct meta_view *view);
void meta_view_unref(struct meta_view *view);
/* Another one for every view that was loaded since the database was opened: two views with the same number are one. */
uint64_t meta_view_serial(const struct meta_view *view);

/* By id and by username, ascending. */
const struct meta_project *meta_view_projects(const struct meta_view *view, size_t *ret_count);
const struct meta_account *meta_view_accounts(const struct meta_view *view, size_t *ret_count);
/* NULL when there is none (deleted projects are not there). */
const struct meta_project *meta_view_project(const struct meta_view *view, int64_t project_id);
const struct meta_project *meta_view_project_by_token(const struct meta_view *view, struct str token);
const struct meta_project *meta_view_project_by_secret(const struct meta_view *view, struct str secret);
const struct meta_account *meta_view_account(const struct meta_view *view, struct str username);
/* Of one project by name; of project 0 all, by project and name. */
const struct meta_lookup_table *meta_view_lookups(const struct meta_view *view, int64_t project_id, size_t *ret_count);
/* NULL when the project has no table of that id. */
const struct meta_lookup_table *meta_view_lookup(const struct meta_view *view, int64_t project_id, struct str id);

/* ---- Credentials ---- */

/* What a request has proved. It points into the view that it was found in. */
struct meta_credential {
    enum meta_credential_kind {
        META_CREDENTIAL_NONE = 0,
        META_CREDENTIAL_ACCOUNT,        /* a service account and its secret */
        META_CREDENTIAL_PROJECT_SECRET, /* acts as the project itself */
        META_CREDENTIAL_PROJECT_TOKEN,  /* public: good for sending only */
    } kind;
    const struct meta_account *account; /* of ACCOUNT */
    const struct meta_project *project; /* of the other two */
};

/* The account when this pair was verified before and its secret is unchanged in `view`; otherwise NULL, which says
 * nothing. Never blocks for long: an event loop may call it. */
const struct meta_account *meta_account_cached(struct meta *meta, const struct meta_view *view, struct str username,
                                               struct str secret);
/* Computes argon2id (tens of ms) unless cached: call it from a worker thread. DENIED for a wrong secret and for an
 * unknown username alike, after the same work; UNAVAILABLE when too many wait already. */
enum status meta_account_verify(struct meta *meta, const struct meta_view *view, struct str username, struct str secret,
                                struct error *error, const struct meta_account **ret_account) MUST_USE;

enum meta_permission {
    META_PERMISSION_READ,     /* run queries, export */
    META_PERMISSION_DEFINE,   /* make annotations, saved reports, cohorts */
    META_PERMISSION_IMPORT,   /* send events and profiles past the limits of /track; lookup tables */
    META_PERMISSION_SETTINGS, /* change the project, its schemas and its tokens */
    META_PERMISSION_OWN,      /* delete the project or its data, manage its accounts */
    META_PERMISSION_WATCH,    /* see and stop the queries of others */
};
/* Whether the credential reaches so far in this project. `project_id` 0 means that the request names none: the
 * project is then the credential's own, and INVALID for an account. DENIED with the reason; for an account, an
 * unknown project is like a foreign one. */
enum status meta_authorize(const struct meta_view *view, const struct meta_credential *credential, int64_t project_id,
                           enum meta_permission permission, struct error *error,
                           const struct meta_project **ret_project) MUST_USE;
