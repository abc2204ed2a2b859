#pragma once
/*
 * The lookup tables of a data directory.
 *
 * Which tables there are, and which file is the current version of each, stands in the control plane (meta/); what
 * stands in them, in immutable files in the folder lookup/, one for each version. A new version is written and synced
 * under a temporary name, gets its own in the transaction that makes it the current one, and only then the old file is
 * removed. Whatever a crash leaves behind belongs to no table, and lookup_sweep() removes it.
 *
 * A query sees one version of each table: the current one when it first needs it, for as long as the query lasts. Files
 * are read into memory when they are needed, and kept there for the next query as far as the budget allows. Other
 * processes may change tables at any time (the command line does).
 *
 * Threads: everything here may be called from any thread. Errors: as meta/ and build.h say; CORRUPT and IO for files
 * that cannot be read, LIMIT when the tables of the queries at work are too large to be in memory together.
 */
#include "expr/join.h"
#include "lookup/build.h"
#include "lookup/table.h"
#include "meta/meta.h"

#define LOOKUP_FOLDER "lookup"

struct lookup;

struct lookup_options {
    struct os_fs *fs; /* of the data directory */
    struct meta *meta;
    uint64_t memory_bytes_max; /* of all tables in memory; a single larger one is served nevertheless */
    struct lookup_build_limits build;
    struct meta_lookup_limits limits;
};
#define LOOKUP_BUILD_LIMITS_DEFAULT ((struct lookup_build_limits){.rows_max = 1000000, .columns_max = 100})
#define LOOKUP_LIMITS_DEFAULT       ((struct meta_lookup_limits){.tables_max = 1000, .rows_max = 5000000})

/* Makes the folder when there is none. */
enum status lookup_new(const struct lookup_options *options, struct error *error, struct lookup **ret_lookup) MUST_USE;
void lookup_free(struct lookup *lookup);

/* A new table; `csv` NULL: without a version for now. */
enum status lookup_create(struct lookup *lookup, int64_t project_id, struct str name, struct source *csv,
                          struct arena *arena, struct error *error, struct lookup_report *report,
                          struct meta_lookup_table *ret_table) MUST_USE;
/* Everything in it is replaced. NOT_FOUND (before `csv` is read) when the project has no such table. */
enum status lookup_replace(struct lookup *lookup, int64_t project_id, struct str id, struct source *csv,
                           struct arena *arena, struct error *error, struct lookup_report *report) MUST_USE;
enum status lookup_delete(struct lookup *lookup, int64_t project_id, struct str id, struct arena *arena,
                          struct error *error) MUST_USE;
/* Removes versions that belong to no table: what a crash or a deleted project left behind. `unfinished`, for the start:
 * also those that nobody finished writing, and left-overs of requests; a version that another process is writing at
 * that moment is lost to it, and said so there. */
enum status lookup_sweep(struct lookup *lookup, bool unfinished, struct error *error) MUST_USE;

/* A version's file, in memory; to be given back. NOT_FOUND: it is no more (replaced, or deleted). */
enum status lookup_open(struct lookup *lookup, const struct meta_lookup_table *table, struct error *error,
                        struct lookup_table **ret_table) MUST_USE;
void lookup_close(struct lookup *lookup, struct lookup_table *table);
struct meta *lookup_meta(const struct lookup *lookup);
/* Bytes of tables in memory. */
uint64_t lookup_memory(struct lookup *lookup);

/* What `cairn verify` asks: calls found() for each file of a table that is damaged, or missing (note false), or that
 * belongs to none (note true). */
struct lookup_verify {
    void (*found)(void *ctx, bool note, const char *file, const char *what);
    void *ctx;
    uint64_t files, bytes, rows; /* that were checked */
};
enum status lookup_check_all(struct os_fs *fs, struct meta *meta, struct error *error,
                             struct lookup_verify *verify) MUST_USE;

/*
 * The joins of a project's properties, for one query:
 *
 *     lookup_joins_new(lookup, view, project_id, &error, &joins)
 *     plan.joins = lookup_joins_list(joins, &plan.join_count);
 *     … run it …
 *     lookup_joins_status(joins, &error)    not OK: a table could not be read, and the answer is not to be given
 *     lookup_joins_free(joins)
 *
 * A table is read when an expression that uses it is compiled.
 */
struct lookup_joins;
enum status lookup_joins_new(struct lookup *lookup, struct meta_view *view, int64_t project_id, struct error *error,
                             struct lookup_joins **ret_joins) MUST_USE;
const struct expr_join *const *lookup_joins_list(const struct lookup_joins *joins, size_t *ret_count);
enum status lookup_joins_status(struct lookup_joins *joins, struct error *error) MUST_USE;
void lookup_joins_free(struct lookup_joins *joins);
