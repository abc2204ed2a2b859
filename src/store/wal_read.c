/*
 * Reading the log: what is replayed at a start, what is a torn end and what is damage, and files by themselves for
 * tools.
 *
 * A bad frame is the torn end when nothing behind it knew of durable bytes beyond it: frames state up to where the log
 * was durable when they were written. Otherwise acknowledged bytes are damaged.
 */
#include "store/wal_int.h"

#include "base/hash.h"
#include "store/bytes.h"

#include <stdio.h>
#include <stdlib.h>

#define LOOK_BYTES     ((size_t)256 << 10)
#define FILE_BYTES_MAX ((uint64_t)16 << 30)

struct listing {
    struct wal *wal;
    bool failed;
    unsigned spares[1024];
    size_t spare_count;
};

static void note_file(void *ctx, const char *name)
{
    struct listing *listing = ctx;
    unsigned long long base, epoch;
    unsigned spare;
    char rest;
    if (sscanf(name, "%16llx-%16llx.wa%c", &base, &epoch, &rest) == 3 && rest == 'l') {
        listing->failed |= !wal_add_file(listing->wal, base, epoch, true);
    } else if (sscanf(name, "spare-%u%c", &spare, &rest) == 1 && listing->spare_count < 1024) {
        listing->spares[listing->spare_count++] = spare;
    }
}

static int file_cmp(const void *a, const void *b)
{
    const struct wal_file *x = a, *y = b;
    if (x->base != y->base) return x->base < y->base ? -1 : 1;
    return x->epoch < y->epoch ? -1 : x->epoch > y->epoch;
}

struct frame {
    uint64_t lsn, durable_lsn, size; /* size with padding */
    uint16_t type;
    struct str records;
};

/* A valid frame at `offset` of the file's bytes? */
static bool parse_frame(const unsigned char *bytes, uint64_t bytes_size, uint64_t offset, const struct wal_file *file,
                        struct frame *ret)
{
    if (offset + WAL_FRAME_HEADER > bytes_size) return false;
    const unsigned char *p = bytes + offset;
    uint64_t lsn = bytes_get_u64(p + 8);
    uint32_t length = bytes_get_u32(p + 24);
    if (bytes_get_u32(p + 32) != WAL_FRAME_MAGIC || lsn != file->base + offset - FILE_HEADER ||
        length > bytes_size - offset - WAL_FRAME_HEADER)
        return false;
    if (bytes_get_u64(p) != hash_bytes(p + 8, WAL_FRAME_HEADER - 8 + length, file->epoch)) return false;
    *ret = (struct frame){.lsn = lsn,
                          .durable_lsn = bytes_get_u64(p + 16),
                          .size =
                              (WAL_FRAME_HEADER + (uint64_t)length + WAL_ALIGNMENT - 1) / WAL_ALIGNMENT * WAL_ALIGNMENT,
                          .type = (uint16_t)(p[36] | p[37] << 8),
                          .records = str_from(p + WAL_FRAME_HEADER, length)};
    return true;
}

/* What of a log file was read: its header, and from some offset on all that can be frames. */
struct content {
    unsigned char *bytes; /* by offset in the file; what is between the two is not there */
    uint64_t size;        /* of the file */
    uint64_t end;         /* of what was read; no frame begins behind it */
};

/* Looks through the file from `offset` on, a piece at a time, for what has a frame's number in a frame's place. A log
 * that was closed in order ends with a file of which nothing was used: its bytes need no memory. */
static enum status find_frames(struct os_file *handle, const struct wal_file *file, uint64_t offset, uint64_t size,
                               struct error *error, uint64_t *ret_end)
{
    unsigned char *piece = malloc(LOOK_BYTES);
    if (!piece) return error_set(error, STATUS_LIMIT, "out of memory for a log file");
    uint64_t end = offset;
    enum status status = STATUS_OK;
    for (uint64_t at = offset; at < size && status == STATUS_OK; at += LOOK_BYTES) {
        size_t count = size - at < LOOK_BYTES ? (size_t)(size - at) : LOOK_BYTES;
        status = os_pread(handle, piece, count, at, error);
        for (size_t i = 0; i + WAL_FRAME_HEADER <= count && status == STATUS_OK; i += WAL_ALIGNMENT) {
            if (bytes_get_u32(piece + i + 32) != WAL_FRAME_MAGIC ||
                bytes_get_u64(piece + i + 8) != file->base + at + i - FILE_HEADER)
                continue;
            uint64_t frame_end = at + i + WAL_FRAME_HEADER + bytes_get_u32(piece + i + 24);
            if (frame_end > end) end = frame_end < size ? frame_end : size;
        }
    }
    free(piece);
    *ret_end = end;
    return status;
}

/* Reads what of the file can be frames from LSN `from` on. */
static enum status load_file(struct wal *wal, const struct wal_file *file, uint64_t from, struct error *error,
                             struct content *ret_content)
{
    char name[64];
    wal_file_name(name, file->base, file->epoch);
    struct os_file *handle;
    struct content content = {.size = 0};
    uint64_t start = (from - file->base) / WAL_ALIGNMENT * WAL_ALIGNMENT + FILE_HEADER;
    TRY(os_open(wal->options.fs, name, OS_READ, error, &handle));
    enum status status = os_size(handle, &content.size, error);
    if (status == STATUS_OK && content.size > FILE_BYTES_MAX)
        status = error_set(error, STATUS_CORRUPT, "log file %s is too large", name);
    if (start > content.size) start = content.size;
    uint64_t header = content.size < FILE_HEADER ? content.size : FILE_HEADER;
    if (start < header) start = header;
    if (status == STATUS_OK) status = find_frames(handle, file, start, content.size, error, &content.end);
    if (status == STATUS_OK && !(content.bytes = malloc(content.end + 1)))
        status = error_set(error, STATUS_LIMIT, "out of memory for log file %s", name);
    if (status == STATUS_OK) status = os_pread(handle, content.bytes, header, 0, error);
    if (status == STATUS_OK) status = os_pread(handle, content.bytes + start, content.end - start, start, error);
    os_close(handle);
    if (status != STATUS_OK) {
        free(content.bytes);
        return status;
    }
    *ret_content = content;
    return STATUS_OK;
}

struct recovery {
    struct wal *wal;
    uint64_t flushed_lsn;
    enum status (*each)(void *ctx, uint64_t lsn, uint64_t end_lsn, struct str records);
    void *ctx;
    struct wal_report report;
    uint64_t at; /* everything below is read; frames go on here */
};

/* Reports lost bytes [from, to); OK when the caller has asked to go on without them. */
static enum status lose(struct recovery *r, uint64_t from, uint64_t to, struct error *error)
{
    r->report.bytes_lost += to - from;
    if (r->wal->options.salvage) return STATUS_OK;
    error_set(error, STATUS_CORRUPT, "acknowledged log bytes %llu to %llu are damaged", (unsigned long long)from,
              (unsigned long long)to);
    error_hint(error,
               "restore the log from a backup, or start with --set store.salvage=yes to go on without those bytes");
    return STATUS_CORRUPT;
}

/* Follows frames from LSN r->at on, up to the first bad one. */
static enum status follow_frames(struct recovery *r, const struct wal_file *file, struct str bytes, uint64_t limit,
                                 struct error *error)
{
    struct frame frame;
    while (r->at < limit &&
           parse_frame((const unsigned char *)bytes.data, bytes.size, r->at - file->base + FILE_HEADER, file, &frame)) {
        if (frame.durable_lsn > r->at) break; /* cannot be: a frame knows only of bytes before it */
        if (frame.type == WAL_FRAME_DATA) {
            r->report.frames++;
            enum status status = r->each(r->ctx, r->at + WAL_FRAME_HEADER, r->at + frame.size, frame.records);
            if (status != STATUS_OK)
                return error_set(error, status, "cannot replay the log frame at %llu", (unsigned long long)r->at);
        }
        r->at += frame.size;
    }
    return STATUS_OK;
}

/* Looks behind the bad frame at r->at. *ret_lost_to: up to where bytes were known to be durable, 0: nothing says so;
 * *ret_next: LSN of the next good frame, 0: none. */
static void look_behind(struct recovery *r, const struct wal_file *file, struct str bytes, uint64_t limit,
                        uint64_t *ret_lost_to, uint64_t *ret_next)
{
    struct frame frame;
    *ret_lost_to = *ret_next = 0;
    for (uint64_t lsn = r->at; lsn < limit && lsn - file->base + FILE_HEADER + WAL_FRAME_HEADER <= bytes.size;
         lsn += WAL_ALIGNMENT) {
        if (!parse_frame((const unsigned char *)bytes.data, bytes.size, lsn - file->base + FILE_HEADER, file, &frame))
            continue;
        if (frame.durable_lsn > r->at && frame.durable_lsn > *ret_lost_to) *ret_lost_to = frame.durable_lsn;
        if (lsn == r->at) continue;
        if (!*ret_next) *ret_next = lsn;
        if (frame.durable_lsn <= r->at && lsn + frame.size - r->at > r->report.bytes_torn)
            r->report.bytes_torn = lsn + frame.size - r->at;
    }
}

/* Reads one file up to LSN `limit` (the next file's base). */
static enum status recover_file(struct recovery *r, const struct wal_file *file, uint64_t limit, bool last,
                                struct error *error)
{
    struct content loaded;
    uint64_t id = 0, epoch = 0, lost_to, next;
    if (file->base > r->at) r->at = file->base;
    TRY(load_file(r->wal, file, r->at, error, &loaded));
    const unsigned char *content = loaded.bytes;
    uint64_t size = loaded.size;
    struct str bytes = str_from(content, loaded.end);
    enum status status = size < FILE_HEADER
                             ? error_set(error, STATUS_CORRUPT, "it is cut short")
                             : file_header_check(content, wal_file_magic, r->wal->options.node, error, &id, &epoch);
    if (status == STATUS_OK && (id != file->base || epoch != file->epoch))
        status = error_set(error, STATUS_CORRUPT, "its header is another file's");
    if (status == STATUS_OK && size < bytes_get_u64(content + WAL_SIZE_AT)) {
        /* Files have their full size before they get their name. What is behind the cut may have been acknowledged. */
        error_set(error, STATUS_CORRUPT, "log file %016llx has %llu bytes instead of %llu",
                  (unsigned long long)file->base, (unsigned long long)size,
                  (unsigned long long)bytes_get_u64(content + WAL_SIZE_AT));
        error_hint(error, "restore the log from a backup, or start with --set store.salvage=yes");
        if (!r->wal->options.salvage) {
            free(loaded.bytes);
            return STATUS_CORRUPT;
        }
    }
    if (status == STATUS_CORRUPT) {
        /* The header was durable before the file got its name, so this is damage; harmless only when the file was never
         * used. */
        look_behind(r, file, bytes, limit, &lost_to, &next);
        struct frame frame;
        bool used = size < FILE_HEADER || next ||
                    parse_frame(content, loaded.end, r->at - file->base + FILE_HEADER, file, &frame);
        error_prefix(error, "log file %016llx", (unsigned long long)file->base);
        error_hint(error, "restore the log from a backup, or start with --set store.salvage=yes");
        /* Its name says what the header says, and frames verify by themselves. */
        if (r->wal->options.salvage || (last && !used)) status = STATUS_OK;
    }
    while (status == STATUS_OK) {
        status = follow_frames(r, file, bytes, limit, error);
        if (status != STATUS_OK || r->at >= limit) break;
        /* Valid frames further on that knew of durable bytes beyond this place prove damage to acknowledged bytes. */
        look_behind(r, file, bytes, limit, &lost_to, &next);
        if (!lost_to) break;
        status = lose(r, r->at, next ? next : lost_to, error);
        r->at = next ? next : lost_to;
    }
    if (status == STATUS_OK && last && r->at - file->base > size - FILE_HEADER && size >= FILE_HEADER) {
        status = error_set(error, STATUS_CORRUPT, "the log from %llu on is missing", (unsigned long long)r->at);
        error_hint(error, "restore the files of wal/ from a backup, or start with --set store.salvage=yes");
        if (r->wal->options.salvage) status = STATUS_OK;
    }
    free(loaded.bytes);
    return status;
}

/* The log had reached the next file's base when that file was begun, so what this file does not give up to there is
 * lost; but for a mark, which the next file's first frame tells apart. */
static enum status check_durable(struct recovery *r, const struct wal_file *next, struct error *error)
{
    struct content content;
    struct frame frame;
    if (r->at >= next->base) return STATUS_OK;
    TRY(load_file(r->wal, next, next->base, error, &content));
    bool good = parse_frame(content.bytes, content.end, FILE_HEADER, next, &frame);
    uint64_t durable = good ? frame.durable_lsn : next->base;
    free(content.bytes);
    return durable > r->at ? lose(r, r->at, durable, error) : STATUS_OK;
}

static enum status recover(struct recovery *r, struct error *error)
{
    struct wal *wal = r->wal;
    r->at = r->flushed_lsn;
    size_t first = 0;
    while (first + 1 < wal->file_count && wal->files[first + 1].base <= r->flushed_lsn) first++;
    /* The newest file is never removed, so a log that got anywhere has one. */
    uint64_t begin = wal->file_count ? wal->files[first].base : UINT64_MAX;
    if (begin > r->flushed_lsn && (wal->file_count || r->flushed_lsn)) {
        error_set(error, STATUS_CORRUPT, "the log from %llu on is missing", (unsigned long long)r->flushed_lsn);
        error_hint(error, "restore the files of wal/ from a backup, or start with --set store.salvage=yes to go on "
                          "without those bytes");
        if (!wal->options.salvage) return STATUS_CORRUPT;
        r->report.bytes_lost += wal->file_count ? begin - r->flushed_lsn : 0;
    }
    for (size_t i = first; i < wal->file_count; i++) {
        bool last = i + 1 == wal->file_count;
        uint64_t limit = last ? UINT64_MAX : wal->files[i + 1].base;
        if (limit <= wal->files[i].base) continue; /* abandoned before its first frame */
        TRY(recover_file(r, &wal->files[i], limit, last, error));
        if (!last) TRY(check_durable(r, &wal->files[i + 1], error));
    }
    return STATUS_OK;
}

/* Files that begin behind the end of the log were made ready by earlier processes and never written to. Each start
 * makes a new one, so without this a server that is restarted again and again would fill its disk. The newest file
 * stays when there is no other (the log was purged): without any, the log would seem to be lost. */
static void remove_unused(struct wal *wal, uint64_t end_lsn)
{
    size_t kept = 0;
    for (size_t i = 0; i < wal->file_count; i++) {
        struct error ignored;
        bool unused = wal->files[i].base >= end_lsn && (kept || i + 1 < wal->file_count);
        char name[64];
        wal_file_name(name, wal->files[i].base, wal->files[i].epoch);
        if (unused && os_unlink(wal->options.fs, name, &ignored) == STATUS_OK) continue;
        wal->files[kept++] = wal->files[i];
    }
    wal->file_count = kept;
}

enum status wal_open(const struct wal_options *options, uint64_t flushed_lsn,
                     enum status (*each)(void *ctx, uint64_t lsn, uint64_t end_lsn, struct str records), void *ctx,
                     struct error *error, struct wal_report *ret_report, struct wal **ret_wal)
{
    struct wal *wal = calloc(1, sizeof *wal);
    if (!wal) abort();
    os_mutex_init(&wal->lock, "log files");
    wal->options = *options;
    struct listing listing = {.wal = wal};
    enum status status = STATUS_OK;
    if (flushed_lsn %
        WAL_ALIGNMENT) /* frames end and begin at multiples; the first start after this would lose its place */
        status = error_set(error, STATUS_CORRUPT, "the log is needed from %llu on, which is no place of a frame",
                           (unsigned long long)flushed_lsn);
    if (status == STATUS_OK) status = os_mkdir(options->fs, "wal", error);
    if (status == STATUS_OK)
        status = os_sync_dir(options->fs, "", error); /* without its name the directory holds nothing */
    if (status == STATUS_OK) status = os_list(options->fs, "wal", note_file, &listing, error);
    if (status == STATUS_OK && listing.failed) status = error_set(error, STATUS_LIMIT, "too many log files");
    struct recovery recovery = {.wal = wal, .flushed_lsn = flushed_lsn, .each = each, .ctx = ctx};
    if (status == STATUS_OK) {
        if (wal->file_count) qsort(wal->files, wal->file_count, sizeof *wal->files, file_cmp);
        for (size_t i = 0; i < wal->file_count; i++) {
            if (wal->files[i].epoch > wal->epoch) wal->epoch = wal->files[i].epoch;
        }
        status = recover(&recovery, error);
    }
    if (status == STATUS_OK) {
        /* Left-over spares are removed rather than trusted: their size may be of another configuration. */
        for (size_t i = 0; i < listing.spare_count; i++) {
            char name[64];
            wal_spare_name(name, listing.spares[i]);
            struct error ignored;
            (void)!os_unlink(options->fs, name, &ignored);
        }
        if (!options->salvage) remove_unused(wal, recovery.at);
        recovery.report.end_lsn = (recovery.at + WAL_ALIGNMENT - 1) / WAL_ALIGNMENT * WAL_ALIGNMENT;
        wal->lsn = wal->durable_lsn = wal->marked_lsn = recovery.report.end_lsn;
        *ret_report = recovery.report;
        *ret_wal = wal;
        return STATUS_OK;
    }
    wal_free(wal);
    return status;
}

/* --- looking --- */

enum status wal_scan_file(struct os_fs *fs, const char *name, void (*each)(void *ctx, const struct wal_frame *frame),
                          void *ctx, struct error *error, struct wal_file_info *ret_info)
{
    struct os_file *handle;
    uint64_t size = 0, at = FILE_HEADER;
    unsigned char *bytes = NULL;
    TRY(os_open(fs, name, OS_READ, error, &handle));
    enum status status = os_size(handle, &size, error);
    if (status == STATUS_OK && (size < FILE_HEADER || size > FILE_BYTES_MAX))
        status = error_set(error, STATUS_CORRUPT, "the file has %llu bytes", (unsigned long long)size);
    if (status == STATUS_OK && !(bytes = malloc(size))) status = error_set(error, STATUS_LIMIT, "out of memory");
    if (status == STATUS_OK) status = os_pread(handle, bytes, size, 0, error);
    os_close(handle);
    struct wal_file_info info = {.size = size};
    struct wal_file file = {0};
    if (status == STATUS_OK)
        status = file_header_check(bytes, wal_file_magic, bytes + 16, error, &file.base, &file.epoch);
    for (struct frame frame; status == STATUS_OK && parse_frame(bytes, size, at, &file, &frame); at += frame.size) {
        struct wal_frame found = {.lsn = frame.lsn,
                                  .end_lsn = frame.lsn + frame.size,
                                  .durable_lsn = frame.durable_lsn,
                                  .wall_ms = (int64_t)bytes_get_u64(bytes + at + 40),
                                  .record_count = bytes_get_u32(bytes + at + 28),
                                  .mark = frame.type == WAL_FRAME_MARK,
                                  .records = frame.records};
        info.frames++;
        info.records += found.record_count;
        if (each) each(ctx, &found);
    }
    if (status == STATUS_OK && at + WAL_FRAME_HEADER <= size)
        info.torn = bytes_get_u64(bytes + at + 8) == file.base + at - FILE_HEADER &&
                    bytes_get_u32(bytes + at + 32) == WAL_FRAME_MAGIC;
    free(bytes);
    if (status != STATUS_OK) return status;
    info.base = file.base;
    info.epoch = file.epoch;
    info.end_lsn = file.base + at - FILE_HEADER;
    *ret_info = info;
    return STATUS_OK;
}
