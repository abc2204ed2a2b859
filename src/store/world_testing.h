#pragma once
/*
 * For tests that damage what a store wrote: a store on a simulated disk, filled with events of every kind in several
 * flushes, and its files as bytes that can be read, changed and put back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/hash.h"
#include "os/sim.h"
#include "os/thread.h"
#include "store/ids.h"
#include "store/manifest.h"
#include "store/store.h"
#include "store/verify.h"
#include "store/wal.h"

#include <stdio.h>
#include <stdlib.h>

#define WORLD_T0 1700000000000LL /* 2023-11-14T22:13:20Z */

/* What a project's rows say: how many count, and a sum over everything in them that does not depend on their order. */
struct world_digest {
    uint64_t rows, sum;
};

struct world {
    struct sim *sim;
    struct os_fs *fs;
    struct store *store;
    struct error error;
    struct world_digest sent[3]; /* by project, when world_full closed it */
};

static unsigned world_link(struct id_graph *graph, const struct link_request *request)
{
    uint32_t device = request->device, user = request->user;
    return device && user && id_graph_link(graph, device, user, user, NULL) == STATUS_OK ? 0 : 1;
}

static size_t world_explain(const struct id_graph *graph, const struct link_request *request, unsigned reason,
                            char room[LINK_TEXT_ROOM], struct link_property ret_properties[LINK_PROPERTIES_MAX])
{
    (void)graph, (void)request, (void)reason, (void)room;
    ret_properties[0] = (struct link_property){STR("$identity_failure_reason"), STR("refused")};
    return 1;
}

/* With other options than the usual ones, where `change` makes some; it may be NULL. */
static inline enum status world_try_open_with(struct world *w, void (*change)(struct store_options *options))
{
    struct store_options options;
    struct store_report report;
    store_options_defaults(&options);
    options.fs = w->fs;
    options.link = world_link;
    options.explain = world_explain;
    options.wal_file_bytes = 65536;
    options.cache_bytes = 1 << 20;
    options.retry_ms = 10; /* disks heal at once here */
    if (change) change(&options);
    w->error = ERROR_INIT;
    w->store = NULL;
    return store_open(&options, &w->error, &report, &w->store);
}

static inline void world_open_with(struct world *w, void (*change)(struct store_options *options))
{
    if (world_try_open_with(w, change) != STATUS_OK) fail_msg("%s %s", w->error.primary, w->error.detail);
}

static inline enum status world_try_open(struct world *w)
{
    return world_try_open_with(w, NULL);
}

static inline void world_open(struct world *w)
{
    world_open_with(w, NULL);
}

static inline void world_close(struct world *w)
{
    store_close(w->store);
    w->store = NULL;
}

static inline struct world world_new(uint64_t seed)
{
    struct world w = {.sim = sim_new(seed)};
    w.fs = sim_fs(w.sim);
    world_open(&w);
    return w;
}

static inline void world_end(struct world *w)
{
    world_close(w);
    os_fs_free(w->fs);
}

static inline struct json world_value(struct arena *arena, unsigned kind, uint64_t n)
{
    switch (kind % 8) {
    case 0: return json_int((int64_t)n * 1000003 - 77);
    case 1: return json_number((double)n / 7);
    case 2: return json_string(arena_printf(arena, "value %llu", (unsigned long long)n % 5));
    case 3: return json_string(arena_printf(arena, "%016llx", (unsigned long long)hash_u64(n, 1)));
    case 4: return json_bool(n % 2);
    case 5: return json_null();
    case 6: {
        struct json list = JSON_ARRAY_EMPTY;
        for (uint64_t i = 0; i < n % 4; i++)
            assert_int_equal(json_push(arena, &list, world_value(arena, (unsigned)i, n + i)), STATUS_OK);
        return list;
    }
    default: {
        struct json object = JSON_OBJECT_EMPTY;
        assert_int_equal(json_put(arena, &object, STR("k"), json_int((int64_t)n)), STATUS_OK);
        return object;
    }
    }
}

/* Appends `count` events of one record, numbered from `first`: three names, many persons, devices that are linked to
 * users, properties of every type, insert ids in two of three. Repeating a number repeats the event. */
static inline enum status world_try_send(struct world *w, uint64_t project, uint64_t first, uint64_t count)
{
    struct arena *arena = arena_new((size_t)64 << 20);
    struct batch batch;
    struct buf record;
    batch_init(&batch, (size_t)4 << 20);
    batch_begin(&batch, project, WORLD_T0, IDENTITY_SIMPLIFIED, 0);
    for (uint64_t n = first; n < first + count; n++) {
        static const char *const names[] = {"View", "Buy", "Sign up"};
        struct str device = arena_printf(arena, "$device:d%llu", (unsigned long long)n % 40);
        struct str user = arena_printf(arena, "user %llu", (unsigned long long)n % 40);
        bool known = n % 3 == 1;
        batch_event(&batch, str_of(names[n % 7 % 3]), WORLD_T0 - (int64_t)(n * 7919 % 500) * 600001,
                    known ? user : device, known ? device : STR_NULL,
                    n % 3 == 2 ? STR_NULL : arena_printf(arena, "insert-%llu", (unsigned long long)n));
        for (unsigned p = 0; p < 9; p++) {
            char name[16];
            snprintf(name, sizeof name, "p%u", p);
            if ((n + p) % (p + 1) > 1) continue;
            struct json value = world_value(arena, p == 8 ? (unsigned)n : p, n);
            assert_int_equal(batch_property(&batch, str_of(name), &value), STATUS_OK);
        }
        batch_event_end(&batch);
    }
    assert_int_equal(batch_finish(&batch, &record), STATUS_OK);
    batch_fini(&batch);
    arena_free(arena);
    return store_append_wait(w->store, &record);
}

static inline void world_send(struct world *w, uint64_t project, uint64_t first, uint64_t count)
{
    assert_int_equal(world_try_send(w, project, first, count), STATUS_OK);
}

static inline void world_flush(struct world *w)
{
    if (store_flush(w->store, &w->error) != STATUS_OK) fail_msg("%s", w->error.primary);
}

/* CORRUPT and IO are answers; others fail the test. */
static inline enum status world_try_digest(struct world *w, uint64_t project, struct world_digest *ret_digest)
{
    struct snapshot *snapshot;
    struct scan *scan;
    struct scan_run run;
    struct scan_options options = {.from_ms = INT64_MIN, .to_ms = INT64_MAX, .memory_bytes_max = (size_t)64 << 20};
    struct world_digest digest = {0};
    uint64_t *hashes = calloc(VECTOR_ROWS_MAX, sizeof *hashes);
    assert_non_null(hashes);
    enum status status = store_snapshot(w->store, project, &w->error, &snapshot);
    if (status == STATUS_OK) {
        status = scan_new(snapshot, &options, &w->error, &scan);
        if (status != STATUS_OK) snapshot_free(snapshot);
    }
    if (status != STATUS_OK) {
        free(hashes);
        return status;
    }
    enum status next = STATUS_OK;
    while (status == STATUS_OK && (next = scan_next(scan, &w->error, &run)) == STATUS_OK) {
        const uint32_t *properties;
        size_t property_count;
        status = scan_properties(scan, &w->error, &properties, &property_count);
        for (uint32_t v = 0; v < run.vectors && status == STATUS_OK; v++) {
            uint32_t count = 0;
            const uint8_t *live = NULL;
            const int64_t *times = NULL;
            const uint32_t *persons = NULL, *ids = NULL;
            struct vector vector;
            status = scan_vector(scan, v, &w->error, &count);
            if (status == STATUS_OK) status = scan_live(scan, &w->error, &live);
            if (status == STATUS_OK) status = scan_times(scan, &w->error, &times);
            if (status == STATUS_OK) status = scan_persons(scan, &w->error, &persons);
            if (status == STATUS_OK) status = scan_ids(scan, &w->error, &ids);
            if (status == STATUS_OK) status = scan_insert_ids(scan, &w->error, &vector);
            for (uint32_t i = 0; i < count && status == STATUS_OK; i++) {
                struct value insert = vector_at(&vector, i);
                char room[2][ID_TEXT_ROOM];
                struct str id = snapshot_id_text(snapshot, ids[i], room[0]);
                struct str shown = snapshot_id_text(snapshot, snapshot_person_id(snapshot, persons[i]), room[1]);
                struct str event = snapshot_event_name(snapshot, run.event_id);
                hashes[i] = hash_u64((uint64_t)times[i], hash_str(event));
                hashes[i] = hash_bytes(id.data, id.size, hashes[i]);
                hashes[i] = hash_bytes(shown.data, shown.size, hashes[i]);
                /* numbers for events without one are the engine's own */
                if (insert.type == VALUE_STRING) hashes[i] = hash_u64(value_hash(insert), hashes[i]);
            }
            for (size_t p = 0; p < property_count && status == STATUS_OK; p++) {
                status = scan_property(scan, properties[p], &w->error, &vector);
                uint64_t name = hash_str(snapshot_property_name(snapshot, properties[p]));
                for (uint32_t i = 0; i < count && status == STATUS_OK; i++) {
                    struct value value = vector_at(&vector, i);
                    if (value.type == VALUE_ABSENT) continue;
                    struct buf bytes = BUF_INIT((size_t)64 << 20);
                    value_encode(&bytes, value);
                    hashes[i] += hash_bytes(bytes.data, bytes.size, name);
                    buf_fini(&bytes);
                }
            }
            for (uint32_t i = 0; i < count && status == STATUS_OK; i++) {
                digest.rows += live[i];
                if (live[i]) digest.sum += hash_u64(hashes[i], 7);
            }
        }
    }
    if (status == STATUS_OK && next != STATUS_NOT_FOUND) status = next;
    scan_free(scan);
    snapshot_free(snapshot);
    free(hashes);
    if (status == STATUS_OK) *ret_digest = digest;
    return status;
}

static inline struct world_digest world_digest(struct world *w, uint64_t project)
{
    struct world_digest digest = {0};
    if (world_try_digest(w, project, &digest) != STATUS_OK) fail_msg("%s %s", w->error.primary, w->error.detail);
    return digest;
}

/* Both projects hold what was sent, no more and no less. */
static inline void world_expect_sent(struct world *w)
{
    for (uint64_t project = 1; project <= 2; project++) {
        struct world_digest digest = world_digest(w, project);
        assert_int_equal(digest.rows, w->sent[project].rows);
        assert_true(digest.sum == w->sent[project].sum);
    }
}

static inline uint64_t world_count(struct world *w, uint64_t project)
{
    return world_digest(w, project).rows;
}

/* Two projects, three flushes, events sent again later (their older rows are deleted), and a tail that only the log
 * has. Closed. */
static inline struct world world_full(uint64_t seed)
{
    struct world w = world_new(seed);
    for (uint64_t round = 0; round < 3; round++) {
        world_send(&w, 1, round * 200, 200);
        world_send(&w, 2, round * 50, 50);
        if (round) world_send(&w, 1, (round - 1) * 200, 30);
        world_flush(&w);
    }
    world_send(&w, 1, 600, 20);
    world_send(&w, 1, 0, 3);
    for (uint64_t p = 1; p <= 2; p++) w.sent[p] = world_digest(&w, p);
    world_close(&w);
    return w;
}

/* --- files --- */

struct world_names {
    const char *directory;
    char names[64][64];
    size_t count;
};

static void world_note(void *ctx, const char *file)
{
    struct world_names *list = ctx;
    if (list->count < 64)
        snprintf(list->names[list->count++], 64, "%.8s%s%.50s", list->directory, list->directory[0] ? "/" : "", file);
}

/* Files of "", "events" or "wal" whose name contains `part`. */
static inline struct world_names world_list(struct world *w, const char *directory, const char *part)
{
    struct world_names all = {.directory = directory}, some = {.directory = directory};
    struct error error;
    assert_int_equal(os_list(w->fs, directory, world_note, &all, &error), STATUS_OK);
    for (size_t i = 0; i < all.count; i++) {
        if (strstr(all.names[i], part)) memcpy(some.names[some.count++], all.names[i], 64);
    }
    assert_true(some.count > 0);
    return some;
}

/* False when there is no such file, or no more: a compaction may have removed it since it was listed. */
static inline bool world_try_read(struct world *w, const char *name, struct buf *ret_bytes)
{
    struct buf bytes = BUF_INIT((size_t)64 << 20);
    struct os_file *file;
    struct error error;
    uint64_t size;
    enum status status = os_open(w->fs, name, OS_READ, &error, &file);
    if (status == STATUS_NOT_FOUND) return false;
    assert_int_equal(status, STATUS_OK);
    assert_int_equal(os_size(file, &size, &error), STATUS_OK);
    char *to = buf_reserve(&bytes, size ? size : 1);
    assert_non_null(to);
    assert_int_equal(os_pread(file, to, size, 0, &error), STATUS_OK);
    buf_advance(&bytes, size);
    os_close(file);
    *ret_bytes = bytes;
    return true;
}

static inline struct buf world_read(struct world *w, const char *name)
{
    struct buf bytes = BUF_INIT(0);
    assert_true(world_try_read(w, name, &bytes));
    return bytes;
}

static inline void world_write(struct world *w, const char *name, struct str bytes)
{
    struct os_file *file;
    struct error error;
    assert_int_equal(os_open(w->fs, name, OS_WRITE | OS_CREATE, &error, &file), STATUS_OK);
    assert_int_equal(os_truncate(file, 0, &error), STATUS_OK);
    if (bytes.size) assert_int_equal(os_pwrite(file, bytes.data, bytes.size, 0, &error), STATUS_OK);
    assert_int_equal(os_sync(file, &error), STATUS_OK);
    os_close(file);
}

/* A header that says another format version, with a good checksum. */
static inline void world_set_version(struct buf *bytes, unsigned version)
{
    assert_true(bytes->size >= FILE_HEADER);
    for (int i = 8; i <= 10; i += 2) {
        bytes->data[i] = (char)version;
        bytes->data[i + 1] = (char)(version >> 8);
    }
    uint64_t check = hash_bytes(bytes->data, 56, 0);
    for (int i = 0; i < 8; i++) bytes->data[56 + i] = (char)(check >> 8 * i);
}

/* All files of a directory in memory, to be laid out on fresh disks. */
struct world_image {
    char names[96][64];
    struct buf files[96];
    size_t count;
    struct world_digest sent[3];
};

static inline struct world_image world_image_of(struct world *w)
{
    static const char *const directories[] = {"", "events", "wal"};
    struct world_image image = {.count = 0};
    for (size_t d = 0; d < 3; d++) {
        struct world_names list = world_list(w, directories[d], directories[d][0] ? "." : "MANIFEST");
        for (size_t i = 0; i < list.count; i++) {
            assert_true(image.count < 96);
            memcpy(image.names[image.count], list.names[i], 64);
            image.files[image.count++] = world_read(w, list.names[i]);
        }
    }
    memcpy(image.sent, w->sent, sizeof image.sent);
    return image;
}

static inline void world_image_fini(struct world_image *image)
{
    for (size_t i = 0; i < image->count; i++) buf_fini(&image->files[i]);
}

/* The place of the `nth` file whose name contains `part`. */
static inline size_t world_image_find(const struct world_image *image, const char *part, size_t nth)
{
    for (size_t i = 0; i < image->count; i++) {
        if (strstr(image->names[i], part) && nth-- == 0) return i;
    }
    fail_msg("the image has no such %s", part);
    return 0;
}

static inline struct world world_of_image(const struct world_image *image)
{
    struct world w = {.sim = sim_new(1)};
    struct error error;
    w.fs = sim_fs(w.sim);
    memcpy(w.sent, image->sent, sizeof w.sent);
    assert_int_equal(os_mkdir(w.fs, "events", &error), STATUS_OK);
    assert_int_equal(os_mkdir(w.fs, "wal", &error), STATUS_OK);
    for (size_t i = 0; i < image->count; i++) world_write(&w, image->names[i], buf_str(&image->files[i]));
    assert_int_equal(os_sync_dir(w.fs, "", &error), STATUS_OK);
    assert_int_equal(os_sync_dir(w.fs, "events", &error), STATUS_OK);
    assert_int_equal(os_sync_dir(w.fs, "wal", &error), STATUS_OK);
    return w;
}

/* --- verifying --- */

struct world_verdict {
    enum status status;
    struct error error;
    struct verify_report report;
    char text[8192]; /* the findings, a line each */
    size_t size;
};

static void world_finding(void *ctx, const struct finding *finding)
{
    struct world_verdict *verdict = ctx;
    size_t left = sizeof verdict->text - verdict->size;
    int size = snprintf(verdict->text + verdict->size, left, "%s%s: %s\n",
                        finding->kind == FINDING_NOTE ? "note: " : "", finding->file, finding->what);
    if (size > 0) verdict->size += (size_t)size < left ? (size_t)size : left - 1;
}

static inline struct world_verdict world_verify(struct world *w, bool deep)
{
    struct world_verdict verdict = {.error = ERROR_INIT};
    struct verify_options options = {.fs = w->fs, .deep = deep, .sink = {world_finding, &verdict}};
    verdict.status = verify_directory(&options, &verdict.error, &verdict.report);
    return verdict;
}

static inline void world_expect_clean(struct world *w)
{
    struct world_verdict verdict = world_verify(w, true);
    if (verdict.status != STATUS_OK || verdict.report.findings) fail_msg("%s\n%s", verdict.error.primary, verdict.text);
}

/* Something was said: a finding, or that the work cannot be done. */
static inline bool world_noticed(const struct world_verdict *verdict, bool notes_too)
{
    return verdict->status != STATUS_OK || verdict->report.findings || (notes_too && verdict->report.notes);
}
