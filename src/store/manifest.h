#pragma once
/*
 * The manifest (docs/formats/manifest.md): which files count, as of which LSN. Owned by one thread at a time (the
 * maintenance thread after opening). An edit either counts whole or not at all.
 */
#include "os/fs.h"

struct manifest_file {
    uint64_t file_id, size, check;
    uint32_t sections; /* of a section file; 0: a catalog */
};
struct manifest_deletes {
    uint64_t section_file, delete_file, offset, check;
    uint32_t ordinal, size;
    uint64_t marked_lsn; /* of the oldest row's deletion; 0: older than known */
    int64_t marked_ms;   /* the clock then */
};
/* A section that does not count any more, in a file that has others that do. Rows deleted from it are still on disk. */
struct manifest_dead {
    uint64_t section_file;
    uint32_t ordinal;
    uint64_t marked_lsn; /* as above; UINT64_MAX: none was deleted */
    int64_t marked_ms;
};
struct manifest {
    struct os_fs *fs;
    unsigned char node[16];
    uint64_t number, flushed_lsn, last_check, offset;
    _Atomic uint64_t next_file_id;
    _Atomic uint64_t busy_file_id; /* of a file that is being written for long: files_sweep leaves it; 0: none */
    struct os_file *file;
    struct manifest_file *sections, *catalogs;
    size_t section_count, section_capacity, catalog_count, catalog_capacity;
    struct manifest_deletes *deletes;
    size_t delete_count, delete_capacity;
    struct manifest_dead *dead;
    size_t dead_count, dead_capacity;
    uint64_t *dropped; /* projects */
    size_t dropped_count, dropped_capacity;
    char *debts; /* deletes that sections owe, as delete.h writes them */
    size_t debt_size;
    /* What is durable is not certain: nothing was appended since opening, or the last append did not finish and its
     * edit may count after a crash. The next append starts a new file; until then nothing may be removed that an older
     * state needs. */
    bool failed;
};

/* Opens the current manifest, or makes the first one in an empty directory. */
enum status manifest_open(struct os_fs *fs, struct error *error, struct manifest *ret_manifest) MUST_USE;
/* CORRUPT when the numbers of files contradict each other, which no writer of ours does whatever happens: a file that
 * counts has a number still to be given out, so that a later file would be written over it, or counts twice. For those
 * who will write; the verifier reads such a manifest, and says all that is wrong. */
enum status manifest_check(const struct manifest *manifest, struct error *error) MUST_USE;
void manifest_fini(struct manifest *manifest);

struct manifest_edit {
    uint64_t flushed_lsn, next_file_id;
    const struct manifest_file *add_sections, *add_catalogs;
    size_t add_section_count, add_catalog_count;
    const uint64_t *remove_sections, *remove_catalogs; /* files */
    size_t remove_section_count, remove_catalog_count;
    const struct manifest_dead *drop_sections; /* a file without any other goes with the last one */
    size_t drop_section_count;
    const struct manifest_deletes *deletes; /* replace those of the same section */
    size_t delete_count;
    const uint64_t *drop_projects;
    size_t drop_project_count;
    const struct str *debts; /* all that are owed now; NULL: as before */
};
/* `count` numbers for new files, from the one returned on. From any thread. */
uint64_t manifest_take_ids(struct manifest *manifest, uint64_t count);
/* Durable when it returns OK. On failure nothing changed, and the call may be repeated. */
enum status manifest_append(struct manifest *manifest, const struct manifest_edit *edit, struct error *error) MUST_USE;
/* Starts a new file with the present state. Once it is durable, an edit whose append failed does not count in any case.
 */
enum status manifest_renew(struct manifest *manifest, struct error *error) MUST_USE;
bool manifest_has_file(const struct manifest *manifest, uint64_t section_file);
bool manifest_is_dead(const struct manifest *manifest, uint64_t section_file, uint32_t ordinal);
bool manifest_is_dropped(const struct manifest *manifest, uint64_t project);
