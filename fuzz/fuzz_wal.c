/*
 * A log file that a disk may present at start. The first byte chooses how the rest is dressed up, so that the fuzzer
 * need not find checksums by chance:
 *
 *   0  frames of records: { u16 size, bytes } each in a valid frame of its own
 *   1  the same, and every piece is wrapped as one record (its length in front)
 *   2  everything behind a valid file header is the input
 *   3  the whole file is the input
 *
 * The store is opened on a simulated disk with that file, its projects are read, and it is opened again: whatever was
 * there, the second time shows the same number of rows.
 */
#include "base/buf.h"
#include "base/hash.h"
#include "base/log.h"
#include "os/sim.h"
#include "profile/update.h"
#include "store/ids.h"
#include "store/manifest.h"
#include "store/profiles.h"
#include "store/store.h"
#include "store/wal.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FILE_BYTES 65536
#define PROJECTS   4

static void need(bool holds, const char *what)
{
    if (holds) return;
    fprintf(stderr, "does not hold: %s\n", what);
    abort();
}

static unsigned link_all(struct id_graph *graph, const struct link_request *request)
{
    uint32_t device = request->device, user = request->user;
    if (request->mode == IDENTITY_LEGACY || request->operation == LINK_ALIAS || !device || !user) return 1;
    struct id_source source = {ID_LINK_IDENTIFY, device, user, request->received_ms, 0};
    return id_graph_link(graph, device, user, user, &source) == STATUS_OK ? 0 : 1;
}

static enum status unlink_any(struct id_graph *graph, enum identity_mode mode, uint32_t id, int64_t received_ms)
{
    (void)mode;
    if (id_graph_is_alone(graph, id)) return STATUS_NOT_FOUND;
    uint32_t shown = id_graph_next_member(graph, id);
    while (id_graph_is_bare(graph, shown)) shown = id_graph_next_member(graph, shown);
    return id_graph_split(graph, &id, 1, shown, received_ms);
}

static size_t explain_any(const struct id_graph *graph, const struct link_request *request, unsigned reason,
                          char room[LINK_TEXT_ROOM], struct link_property ret_properties[LINK_PROPERTIES_MAX])
{
    (void)graph, (void)request, (void)reason, (void)room;
    ret_properties[0] = (struct link_property){STR("$identity_failure_reason"), STR("refused")};
    return 1;
}

static void add_frame(struct buf *file, struct str records, bool wrap)
{
    uint64_t lsn = file->size - FILE_HEADER;
    struct buf frame = BUF_INIT(1 << 20), body = BUF_INIT(1 << 20);
    if (wrap) buf_varint(&body, records.size);
    buf_str_add(&body, records);
    buf_u64(&frame, lsn);
    buf_u64(&frame, lsn);
    buf_u32(&frame, (uint32_t)body.size);
    buf_u32(&frame, 1);
    buf_u32(&frame, 0x464E5243u);
    buf_u16(&frame, 1);
    buf_u16(&frame, 0);
    buf_u64(&frame, 0);
    buf_str_add(&frame, buf_str(&body));
    buf_u64(file, hash_bytes(frame.data, frame.size, 1));
    buf_str_add(file, buf_str(&frame));
    buf_fill(file, 0, (64 - file->size % 64) % 64);
    buf_fini(&frame);
    buf_fini(&body);
}

static void dress_up(struct buf *file, const unsigned char node[16], const uint8_t *data, size_t size)
{
    unsigned mode = size ? data[0] % 4 : 2;
    unsigned char header[FILE_HEADER];
    file_header_write(header, "CAIRNWAL", node, 0, 1);
    struct reader reader = reader_of(str_from(data + (size > 0), size - (size > 0)));
    if (mode < 3) buf_add(file, header, sizeof header);
    if (mode >= 2) {
        buf_str_add(file, read_bytes(&reader, reader_left(&reader)));
        return;
    }
    while (reader_left(&reader) > 2 && file->size < FILE_BYTES / 2) {
        size_t length = read_u16(&reader);
        add_frame(file, read_bytes(&reader, length < reader_left(&reader) ? length : reader_left(&reader)), mode == 1);
    }
}

/* Live rows of all projects and their profiles; every column of every row is read. */
static uint64_t read_rows(struct store *store)
{
    uint64_t rows = 0;
    for (uint64_t number = 0; number < 2 * PROJECTS; number++) {
        uint64_t project = number < PROJECTS ? number : store_profiles_of(number - PROJECTS);
        struct error error = ERROR_INIT;
        struct snapshot *snapshot;
        struct scan *scan;
        struct scan_run run;
        struct scan_options options = {.from_ms = INT64_MIN, .to_ms = INT64_MAX};
        need(store_snapshot(store, project, &error, &snapshot) == STATUS_OK, "a snapshot");
        need(scan_new(snapshot, &options, &error, &scan) == STATUS_OK, "a scan");
        enum status status;
        while ((status = scan_next(scan, &error, &run)) == STATUS_OK) {
            const uint32_t *properties, *persons, *ids;
            size_t property_count;
            need(scan_properties(scan, &error, &properties, &property_count) == STATUS_OK, "properties");
            for (uint32_t v = 0; v < run.vectors; v++) {
                uint32_t count;
                const uint8_t *live;
                const int64_t *times;
                struct vector vector;
                need(scan_vector(scan, v, &error, &count) == STATUS_OK, "a vector");
                need(scan_live(scan, &error, &live) == STATUS_OK, "live");
                need(scan_times(scan, &error, &times) == STATUS_OK, "times");
                need(scan_persons(scan, &error, &persons) == STATUS_OK, "persons");
                need(scan_ids(scan, &error, &ids) == STATUS_OK, "ids");
                need(scan_insert_ids(scan, &error, &vector) == STATUS_OK, "insert ids");
                for (uint32_t i = 0; i < count; i++) {
                    rows += live[i];
                    need(persons[i] == snapshot_person(snapshot, ids[i]), "a row's person");
                    need(times[i] >= run.time_min_ms && times[i] <= run.time_max_ms, "times within the run's");
                }
                for (size_t p = 0; p < property_count; p++) {
                    need(scan_property(scan, properties[p], &error, &vector) == STATUS_OK, "a property");
                    for (uint32_t i = 0; i < count; i++)
                        need(vector_at(&vector, i).type < VALUE_TYPES, "a value's type");
                }
            }
        }
        need(status == STATUS_NOT_FOUND, "the end of a scan");
        scan_free(scan);
        snapshot_free(snapshot);
    }
    return rows;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > FILE_BYTES / 4) return 0;
    log_configure(LOG_ERROR, LOG_TEXT);
    struct error error = ERROR_INIT;
    struct sim *sim = sim_new(1);
    struct os_fs *fs = sim_fs(sim);
    struct manifest manifest;
    struct os_file *handle;
    struct buf file = BUF_INIT(1 << 20);
    need(manifest_open(fs, &error, &manifest) == STATUS_OK && os_mkdir(fs, "wal", &error) == STATUS_OK,
         "an empty directory");
    dress_up(&file, manifest.node, data, size);
    manifest_fini(&manifest);
    need(os_open(fs, "wal/0000000000000000-0000000000000001.wal", OS_WRITE | OS_CREATE, &error, &handle) == STATUS_OK,
         "a file");
    need(os_pwrite(handle, file.data, file.size, 0, &error) == STATUS_OK, "its content");
    need(os_sync(handle, &error) == STATUS_OK && os_sync_dir(fs, "", &error) == STATUS_OK &&
             os_sync_dir(fs, "wal", &error) == STATUS_OK,
         "durable");
    os_close(handle);
    buf_fini(&file);
    uint64_t rows = 0;
    for (int life = 0; life < 2; life++) {
        struct store_options options;
        struct store_report report;
        struct store *store;
        store_options_defaults(&options);
        options.fs = fs;
        options.link = link_all;
        options.update = profile_update;
        options.unlink = unlink_any;
        options.explain = explain_any;
        options.wal_file_bytes = FILE_BYTES;
        enum status status = store_open(&options, &error, &report, &store);
        if (status != STATUS_OK) {
            need(life == 0 && status != STATUS_INTERNAL, error.primary);
            break;
        }
        uint64_t now = read_rows(store);
        need(life == 0 || now == rows, "the same rows after opening again");
        rows = now;
        store_close(store);
        sim_crash(sim, 1);
    }
    os_fs_free(fs);
    return 0;
}
