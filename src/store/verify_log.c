#include "store/verify_int.h"

#include "os/thread.h"
#include "store/delete_record.h"
#include "store/profiles.h"
#include "store/update_record.h"
#include "store/wal.h"

#include <stdio.h>

#define TRIES_MAX        5
#define RETRY_DELAY_NS   200000000
#define RECORD_ARENA_MAX ((size_t)1 << 30)

struct log_check {
    struct verify *verify;
    struct arena *arena;
    uint64_t frames, records, malformed_lsn;
    bool malformed;
};

static bool is_good(struct log_check *check, struct record record)
{
    struct batch_reader batch;
    struct link_view link;
    struct delete_view view;
    struct update_view update;
    struct unlink_view unlink;
    arena_reset(check->arena);
    switch (record.kind) {
    case RECORD_EVENTS: return batch_open(check->arena, record.body, &batch) == STATUS_OK;
    case RECORD_LINK: return link_open(record.body, &link) == STATUS_OK;
    case RECORD_UNLINK: return unlink_open(record.body, &unlink) == STATUS_OK;
    case RECORD_DELETE_PERSON:
    case RECORD_DELETE_ROWS:
    case RECORD_DELETE_BEFORE: return delete_open(check->arena, record.kind, record.body, &view) == STATUS_OK;
    case RECORD_UPDATE: return store_is_profiles(record.project) && update_open(record.body, &update) == STATUS_OK;
    default: return record.kind == RECORD_PROJECT_DROP;
    }
}

static enum status read_frame(void *ctx, uint64_t lsn, uint64_t end_lsn, struct str records)
{
    struct log_check *check = ctx;
    (void)end_lsn;
    check->frames++;
    struct reader reader = reader_of(records);
    while (reader_left(&reader)) {
        struct record record;
        if (record_next(&reader, &record) != STATUS_OK || !is_good(check, record)) {
            if (!check->malformed) check->malformed_lsn = lsn;
            check->malformed = true;
            break;
        }
        check->records++;
    }
    return STATUS_OK;
}

/* One reading of the log behind `manifest`'s flushed LSN. OK when nothing is wrong with it. */
static enum status read_log(struct log_check *check, const struct manifest *manifest, bool salvage, struct error *error,
                            struct wal_report *ret_report)
{
    struct wal_options options = {.fs = check->verify->offline->fs, .salvage = salvage};
    struct wal *wal;
    memcpy(options.node, manifest->node, sizeof options.node);
    check->frames = check->records = 0;
    check->malformed = false;
    TRY(wal_open(&options, manifest->flushed_lsn, read_frame, check, error, ret_report, &wal));
    wal_free(wal);
    return check->malformed ? error_set(error, STATUS_CORRUPT, "a record in the frame at %llu is malformed",
                                        (unsigned long long)(check->malformed_lsn - WAL_FRAME_HEADER))
                            : STATUS_OK;
}

/* What looks wrong beside a running server may be a write under way, or a file that was put to other use. */
static enum status read_live_log(struct log_check *check, struct error *error, struct wal_report *ret_report)
{
    enum status status = STATUS_OK;
    for (int tries = 0; tries < TRIES_MAX; tries++) {
        struct manifest manifest;
        if (tries) os_sleep_ns(RETRY_DELAY_NS);
        TRY(manifest_open(check->verify->offline->fs, error, &manifest));
        status = read_log(check, &manifest, false, error, ret_report);
        manifest_fini(&manifest);
        if (status == STATUS_OK) return status;
    }
    return status;
}

struct newest {
    uint64_t base, epoch;
    bool any;
};

static void note_newest(void *ctx, const char *name)
{
    struct newest *newest = ctx;
    unsigned long long base, epoch;
    char rest;
    if (sscanf(name, "%16llx-%16llx.wa%c", &base, &epoch, &rest) != 3 || rest != 'l') return;
    if (newest->any && (base < newest->base || (base == newest->base && epoch < newest->epoch))) return;
    *newest = (struct newest){base, epoch, true};
}

/* The end of the log is a frame that does not verify. If the machine stopped while it was written, nobody was told that
 * it is safe; nothing can tell that from damage to the very last frame. */
static void note_torn_end(struct verify *v)
{
    struct newest newest = {0};
    struct wal_file_info info;
    struct error ignored;
    char name[64];
    if (os_list(v->offline->fs, "wal", note_newest, &newest, &ignored) != STATUS_OK || !newest.any) return;
    snprintf(name, sizeof name, "wal/%016llx-%016llx.wal", (unsigned long long)newest.base,
             (unsigned long long)newest.epoch);
    if (wal_scan_file(v->offline->fs, name, NULL, NULL, &ignored, &info) == STATUS_OK && info.torn)
        finding_report(&v->sink, FINDING_NOTE, name, FILE_HEADER + info.end_lsn - info.base,
                       "the last frame is not complete and does not count, as after a crash while it was written");
}

void verify_log(struct verify *v)
{
    struct log_check check = {.verify = v, .arena = arena_new(RECORD_ARENA_MAX)};
    struct wal_report report = {0};
    struct error error = ERROR_INIT;
    enum status status = v->options->live ? read_live_log(&check, &error, &report)
                                          : read_log(&check, &v->offline->manifest, false, &error, &report);
    if (status != STATUS_OK) {
        finding_report_error(&v->sink, FINDING_DAMAGE, "wal", FINDING_NO_OFFSET, &error);
        if (!v->options->live && !check.malformed &&
            read_log(&check, &v->offline->manifest, true, &error, &report) == STATUS_OK && report.bytes_lost)
            finding_report(&v->sink, FINDING_DAMAGE, "wal", FINDING_NO_OFFSET,
                           "%llu acknowledged bytes of the log are lost in all; %llu good frames are left",
                           (unsigned long long)report.bytes_lost, (unsigned long long)check.frames);
    } else if (report.bytes_torn && !v->options->live) {
        finding_report(&v->sink, FINDING_NOTE, "wal", FINDING_NO_OFFSET,
                       "the log ends in %llu bytes that nobody was told of, as after a crash",
                       (unsigned long long)report.bytes_torn);
    }
    if (status == STATUS_OK && !v->options->live) note_torn_end(v);
    v->report.frames += check.frames;
    v->report.records += check.records;
    arena_free(check.arena);
}
