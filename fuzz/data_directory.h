#pragma once
/*
 * A data directory on a simulated disk for the targets that damage one kind of file in it: made once by a store, with
 * events, duplicates, links and deleted rows in several files, then laid out anew for every input. What came of an
 * input is judged by check_directory: the verifier and the store read it, and may complain, but not crash; and what the
 * store takes, it shows the same after another start.
 */
#include "base/hash.h"
#include "base/log.h"
#include "os/sim.h"
#include "store/ids.h"
#include "store/manifest.h"
#include "store/store.h"
#include "store/verify.h"
#include "store/wal.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define FILES_MAX 32

struct kept_file {
    char name[80];
    char *bytes;
    size_t size;
};
static struct kept_file kept[FILES_MAX];
static size_t kept_count;

static void need(bool holds, const char *what)
{
    if (holds) return;
    fprintf(stderr, "does not hold: %s\n", what);
    abort();
}

static unsigned link_ids(struct id_graph *graph, const struct link_request *request)
{
    uint32_t device = request->device, user = request->user;
    struct id_source source = {ID_LINK_ALIAS, device, user, request->received_ms, 0};
    return device && user && id_graph_link(graph, device, user, user, &source) == STATUS_OK ? 0 : 1;
}

static enum status unlink_id(struct id_graph *graph, enum identity_mode mode, uint32_t id, int64_t received_ms)
{
    (void)mode;
    if (id_graph_is_alone(graph, id)) return STATUS_NOT_FOUND;
    uint32_t shown = id_graph_next_member(graph, id);
    while (id_graph_is_bare(graph, shown)) shown = id_graph_next_member(graph, shown);
    return id_graph_split(graph, &id, 1, shown, received_ms);
}

static size_t explain_refused(const struct id_graph *graph, const struct link_request *request, unsigned reason,
                              char room[LINK_TEXT_ROOM], struct link_property ret_properties[LINK_PROPERTIES_MAX])
{
    (void)graph, (void)request, (void)reason, (void)room;
    ret_properties[0] = (struct link_property){STR("$identity_failure_reason"), STR("refused")};
    return 1;
}

static enum status open_store(struct os_fs *fs, struct error *error, struct store **ret_store)
{
    struct store_options options;
    struct store_report report;
    store_options_defaults(&options);
    options.fs = fs;
    options.link = link_ids;
    options.unlink = unlink_id;
    options.explain = explain_refused;
    options.wal_file_bytes = 65536;
    options.cache_bytes = 1 << 20;
    return store_open(&options, error, &report, ret_store);
}

static void send_events(struct store *store, int first, int count)
{
    struct batch batch;
    struct buf record;
    batch_init(&batch, 1 << 20);
    batch_begin(&batch, 1, 1700000000000LL, IDENTITY_SIMPLIFIED, 0);
    for (int i = first; i < first + count; i++) {
        char insert[16], user[16], device[24];
        snprintf(insert, sizeof insert, "i%d", i);
        snprintf(user, sizeof user, "u%d", i % 5);
        snprintf(device, sizeof device, "$device:d%d", i % 5);
        struct json number = json_int(i);
        batch_event(&batch, i % 2 ? STR("a") : STR("b"), 1700000000000LL - i * 1000, str_of(i % 3 ? user : device),
                    i % 3 == 1 ? str_of(device) : STR_NULL, str_of(insert));
        need(batch_property(&batch, STR("n"), &number) == STATUS_OK, "a property");
        batch_event_end(&batch);
    }
    need(batch_finish(&batch, &record) == STATUS_OK, "a record");
    batch_fini(&batch);
    need(store_append_wait(store, &record) == STATUS_OK, "an appended record");
}

struct keeping {
    struct os_fs *fs;
    const char *directory;
};

static void keep_file(void *ctx, const char *name)
{
    struct keeping *keeping = ctx;
    need(kept_count < FILES_MAX, "room for a file");
    struct kept_file *to = &kept[kept_count++];
    snprintf(to->name, sizeof to->name, "%s%s%.60s", keeping->directory, keeping->directory[0] ? "/" : "", name);
}

/* The files of a store that has flushed twice. */
static void make_directory(void)
{
    static const char *const directories[] = {"", "events", "wal"};
    struct error error = ERROR_INIT;
    struct store *store;
    struct sim *sim = sim_new(1);
    struct os_fs *fs = sim_fs(sim);
    log_configure(LOG_ERROR + 1, LOG_TEXT); /* complaints are what is asked for */
    need(open_store(fs, &error, &store) == STATUS_OK, "a new store");
    send_events(store, 0, 30);
    need(store_flush(store, &error) == STATUS_OK, "a flush");
    send_events(store, 20, 20);
    struct buf unlink = BUF_INIT(1 << 10);
    need(record_unlink(&unlink, 1, &(struct unlink_view){1700000000000LL, IDENTITY_SIMPLIFIED, STR("$device:d1")}) ==
                 STATUS_OK &&
             store_append_wait(store, &unlink) == STATUS_OK,
         "an unlinked device");
    need(store_flush(store, &error) == STATUS_OK, "a flush");
    store_close(store);
    for (size_t d = 0; d < 3; d++) {
        struct keeping keeping = {fs, directories[d]};
        need(os_list(fs, directories[d], keep_file, &keeping, &error) == STATUS_OK, "a list of files");
    }
    for (size_t i = 0; i < kept_count; i++) {
        struct os_file *file;
        uint64_t size;
        if (os_open(fs, kept[i].name, OS_READ, &error, &file) != STATUS_OK) { /* a directory */
            kept[i--] = kept[--kept_count];
            continue;
        }
        need(os_size(file, &size, &error) == STATUS_OK, "a size");
        kept[i].bytes = malloc(size + 1);
        kept[i].size = size;
        need(kept[i].bytes && os_pread(file, kept[i].bytes, size, 0, &error) == STATUS_OK, "a file's bytes");
        os_close(file);
    }
    os_fs_free(fs);
}

static inline struct kept_file *find_kept(const char *part)
{
    for (size_t i = 0; i < kept_count; i++) {
        if (strstr(kept[i].name, part)) return &kept[i];
    }
    need(false, part);
    return NULL;
}

static void write_file(struct os_fs *fs, const char *name, const char *bytes, size_t size)
{
    struct os_file *file;
    struct error error;
    need(os_open(fs, name, OS_WRITE | OS_CREATE, &error, &file) == STATUS_OK, "a file");
    need(os_truncate(file, 0, &error) == STATUS_OK, "an empty file");
    if (size) need(os_pwrite(file, bytes, size, 0, &error) == STATUS_OK, "a file's content");
    need(os_sync(file, &error) == STATUS_OK, "a durable file");
    os_close(file);
}

/* A fresh disk with all files but those whose name contains `without` (NULL: all). */
static struct sim *lay_out(const char *without)
{
    struct error error;
    if (!kept_count) make_directory();
    struct sim *sim = sim_new(1);
    struct os_fs *fs = sim_fs(sim);
    need(os_mkdir(fs, "events", &error) == STATUS_OK && os_mkdir(fs, "wal", &error) == STATUS_OK, "directories");
    for (size_t i = 0; i < kept_count; i++) {
        if (!without || !strstr(kept[i].name, without)) write_file(fs, kept[i].name, kept[i].bytes, kept[i].size);
    }
    return sim;
}

static uint64_t live_rows(struct store *store)
{
    struct error error = ERROR_INIT;
    struct snapshot *snapshot;
    struct scan *scan;
    struct scan_run run;
    struct scan_options options = {.from_ms = INT64_MIN, .to_ms = INT64_MAX};
    uint64_t rows = 0;
    need(store_snapshot(store, 1, &error, &snapshot) == STATUS_OK, "a snapshot");
    need(scan_new(snapshot, &options, &error, &scan) == STATUS_OK, "a scan");
    while (scan_next(scan, &error, &run) == STATUS_OK) {
        for (uint32_t v = 0; v < run.vectors; v++) {
            uint32_t count;
            const uint8_t *live;
            const uint32_t *ids, *persons;
            need(scan_vector(scan, v, &error, &count) == STATUS_OK, "a vector");
            need(scan_live(scan, &error, &live) == STATUS_OK, "live rows");
            if (scan_ids(scan, &error, &ids) != STATUS_OK || scan_persons(scan, &error, &persons) != STATUS_OK) break;
            for (uint32_t i = 0; i < count; i++) rows += live[i] + (ids[i] + persons[i] == UINT32_MAX);
        }
    }
    scan_free(scan);
    snapshot_free(snapshot);
    return rows;
}

/* Frees the disk. */
static void check_directory(struct sim *sim)
{
    struct os_fs *fs = sim_fs(sim);
    struct error error = ERROR_INIT;
    struct verify_report report;
    struct verify_options options = {.fs = fs, .deep = true};
    need(os_sync_dir(fs, "", &error) == STATUS_OK && os_sync_dir(fs, "events", &error) == STATUS_OK &&
             os_sync_dir(fs, "wal", &error) == STATUS_OK,
         "durable names");
    (void)!verify_directory(&options, &error, &report);
    uint64_t rows = 0;
    for (int life = 0; life < 2; life++) {
        struct store *store;
        error = ERROR_INIT;
        if (open_store(fs, &error, &store) != STATUS_OK) {
            need(error.primary[0], "a reason to refuse");
            need(life == 0, error.primary);
            break;
        }
        uint64_t now = live_rows(store);
        need(life == 0 || now == rows, "the same rows after another start");
        rows = now;
        store_close(store);
        sim_crash(sim, 1);
    }
    os_fs_free(fs);
}

/* The manifest's state changed by `edit`, in a new manifest file. */
static inline void edit_manifest(struct os_fs *fs, void (*change)(void *ctx, struct manifest *, struct manifest_edit *),
                                 void *ctx)
{
    struct manifest manifest;
    struct error error = ERROR_INIT;
    need(manifest_open(fs, &error, &manifest) == STATUS_OK, "the manifest");
    struct manifest_edit edit = {.flushed_lsn = manifest.flushed_lsn, .next_file_id = manifest.next_file_id};
    change(ctx, &manifest, &edit);
    need(manifest_append(&manifest, &edit, &error) == STATUS_OK, "an edit");
    manifest_fini(&manifest);
}
