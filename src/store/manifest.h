#pragma once
/*
 * The manifest (docs/formats/manifest.md): which files count, as of which LSN. Owned by one thread at a time (the
 * maintenance thread after opening). An edit either counts whole or not at all.
 */
#include "os/fs.h"

struct manifest_file {
    uint64_t file_id, size, check;
};
struct manifest_deletes {
    uint64_t section_file, delete_file, offset, check;
    uint32_t ordinal, size;
};
struct manifest {
    struct os_fs *fs;
    unsigned char node[16];
    uint64_t number, flushed_lsn, next_file_id, last_check, offset;
    struct os_file *file;
    struct manifest_file *sections, *catalogs;
    size_t section_count, section_capacity, catalog_count, catalog_capacity;
    struct manifest_deletes *deletes;
    size_t delete_count, delete_capacity;
    uint64_t *dropped; /* projects */
    size_t dropped_count, dropped_capacity;
    /* What is durable is not certain: nothing was appended since opening, or the last append did not finish and its
     * edit may count after a crash. The next append starts a new file; until then nothing may be removed that an older
     * state needs. */
    bool failed;
};

/* Opens the current manifest, or makes the first one in an empty directory. */
enum status manifest_open(struct os_fs *fs, struct error *error, struct manifest *ret_manifest) MUST_USE;
void manifest_fini(struct manifest *manifest);

struct manifest_edit {
    uint64_t flushed_lsn, next_file_id;
    const struct manifest_file *add_sections, *add_catalogs;
    size_t add_section_count, add_catalog_count;
    const uint64_t *remove_sections, *remove_catalogs;
    size_t remove_section_count, remove_catalog_count;
    const struct manifest_deletes *deletes; /* replace those of the same section */
    size_t delete_count;
    const uint64_t *drop_projects;
    size_t drop_project_count;
};
/* Durable when it returns OK. On failure nothing changed, and the call may be repeated. */
enum status manifest_append(struct manifest *manifest, const struct manifest_edit *edit, struct error *error) MUST_USE;
/* Starts a new file with the present state. Once it is durable, an edit whose append failed does not count in any case.
 */
enum status manifest_renew(struct manifest *manifest, struct error *error) MUST_USE;
bool manifest_is_dropped(const struct manifest *manifest, uint64_t project);
