#include "store/has_data.h"

#include "os/peek.h"
#include "store/batch.h"
#include "store/catalog.h"
#include "store/event_files.h"
#include "store/profiles.h"
#include "store/wal.h"

#include <stdio.h>
#include <string.h>

/* A running server may replace what the manifest names; then it is read anew. */
#define TRIES_MAX 5

struct search {
    struct os_fs *fs;
    uint64_t project;
    bool found;
};

static bool is_it(const struct search *search, uint64_t project)
{
    return project == search->project || project == store_profiles_of(search->project);
}

static enum status look_into_catalog(struct search *search, const struct manifest *manifest,
                                     const struct manifest_file *expected, struct error *error)
{
    char name[64];
    struct os_file *file;
    struct catalog_file catalog;
    event_file_name(name, expected->file_id, "cat");
    TRY(os_open(search->fs, name, OS_READ, error, &file));
    enum status status = catalog_open(file, name, expected, manifest->node, error, &catalog);
    for (size_t i = 0; status == STATUS_OK && i < catalog.count && !search->found; i++)
        search->found = is_it(search, catalog.blocks[i].project);
    if (status == STATUS_OK) catalog_fini(&catalog);
    os_close(file);
    return status;
}

static enum status look_into_frame(void *ctx, uint64_t lsn, uint64_t end_lsn, struct str records)
{
    struct search *search = ctx;
    struct reader reader = reader_of(records);
    (void)lsn, (void)end_lsn;
    while (reader_left(&reader) && !search->found) {
        struct record record;
        if (record_next(&reader, &record) != STATUS_OK) break;
        search->found = is_it(search, record.project);
    }
    return STATUS_OK;
}

static enum status look(struct search *search, struct error *error)
{
    struct manifest manifest;
    enum status status = manifest_open(search->fs, error, &manifest);
    if (status == STATUS_NOT_FOUND) return STATUS_OK;
    TRY(status);
    for (size_t i = 0; i < manifest.catalog_count && !search->found && status == STATUS_OK; i++)
        status = look_into_catalog(search, &manifest, &manifest.catalogs[i], error);
    if (status == STATUS_OK && !search->found) {
        struct wal_options options = {.fs = search->fs, .salvage = true};
        struct wal_report report;
        struct wal *wal;
        memcpy(options.node, manifest.node, sizeof options.node);
        status = wal_open(&options, manifest.flushed_lsn, look_into_frame, search, error, &report, &wal);
        if (status == STATUS_OK) wal_free(wal);
    }
    manifest_fini(&manifest);
    return status;
}

enum status store_has_data(struct os_fs *fs, uint64_t project, struct error *error, bool *ret_has)
{
    struct search search = {.project = project};
    TRY(os_readonly_new(fs, error, &search.fs));
    enum status status = look(&search, error);
    for (int tries = 1; tries < TRIES_MAX && status != STATUS_OK; tries++) status = look(&search, error);
    os_fs_free(search.fs);
    if (status == STATUS_OK) *ret_has = search.found;
    return status;
}
