/*
 * The happy path. A frame is filled in, written at the current position and synced; then it is durable and its records
 * are acknowledged. When a frame does not fit into what is left of the file, the log goes on in the next one: a spare
 * is given a new header (new base, new epoch), synced, renamed into the ring, and the directory is synced. Only then
 * frames go into it.
 *
 * Failures.
 *   A write or sync fails (EIO, ENOSPC on a copy-on-write file system). The kernel may have dropped the dirty pages and
 * may report success next time, so the file is condemned: no further byte is written to it. The frame's requests fail.
 * wal_reopen begins a new file whose base is the LSN of the failed frame; from the moment that its header and name are
 * durable, whatever the condemned file holds from that LSN on is void (recovery reads a file only up to the next one's
 * base). A crash between the failed frame and wal_reopen: the frame may be found and replayed; nobody was told either
 * way. A crash while a spare is being put to use: its name is still "spare-…", or its header does not verify yet; both
 * are ignored as long as no frame can be in it, which holds because frames are written after the directory sync. The
 * disk is full when a file is needed: nothing is written, requests fail, and the next attempt may succeed.
 *
 * The frame check is seeded with the file's epoch and each frame states its own LSN, so neither left-overs of a
 * recycled file nor a frame written to the wrong place can pass for a current one.
 */
#include "store/wal.h"

#include "base/buf.h"
#include "base/hash.h"
#include "os/thread.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define LOOK_BYTES      ((size_t)256 << 10)
#define FORMAT_VERSION  4  /* of all files; docs/formats/README.md */
#define HEADER_SIZE_AT  48 /* of a log file: its size */
#define HEADER_CHECK_AT 56
#define FRAME_MAGIC     0x464E5243u
#define FRAME_DATA      1
#define FRAME_MARK      2
#define ALIGNMENT       64u
#define SPARES_MAX      2
#define FILES_MAX       65536
#define FILE_BYTES_MAX  ((uint64_t)16 << 30)

static const char wal_magic[8] = "CAIRNWAL";

struct wal_file {
    uint64_t base, epoch;
    bool stale; /* behind its frames stand some of a former life */
};
struct wal_spare {
    unsigned number;
    bool stale;
};

struct wal {
    struct wal_options options;
    struct os_file *file; /* NULL before the first wal_reopen and after a failure */
    uint64_t base, epoch; /* of the current file */
    uint64_t lsn;         /* where the next frame goes */
    uint64_t durable_lsn, marked_lsn;
    struct os_mutex lock;   /* the lists below */
    struct wal_file *files; /* ascending */
    size_t file_count, file_capacity;
    struct wal_spare spares[SPARES_MAX];
    size_t spare_count;
    unsigned next_spare;
    bool forget; /* keep no stale files */
};

/* --- the file header shared by all formats --- */

static void put_u16(unsigned char *p, uint16_t v)
{
    p[0] = (unsigned char)v;
    p[1] = (unsigned char)(v >> 8);
}
static void put_u64(unsigned char *p, uint64_t v)
{
    for (int i = 0; i < 8; i++) p[i] = (unsigned char)(v >> 8 * i);
}
static uint64_t get_u64(const unsigned char *p)
{
    uint64_t v = 0;
    for (int i = 0; i < 8; i++) v |= (uint64_t)p[i] << 8 * i;
    return v;
}
static uint32_t get_u32(const unsigned char *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}
static void put_u32(unsigned char *p, uint32_t v)
{
    for (int i = 0; i < 4; i++) p[i] = (unsigned char)(v >> 8 * i);
}

void file_header_write(unsigned char out[FILE_HEADER], const char magic[8], const unsigned char node[16],
                       uint64_t file_id, uint64_t lsn)
{
    memset(out, 0, FILE_HEADER);
    memcpy(out, magic, 8);
    put_u16(out + 8, FORMAT_VERSION);
    put_u16(out + 10, FORMAT_VERSION);
    memcpy(out + 16, node, 16);
    put_u64(out + 32, file_id);
    put_u64(out + 40, lsn);
    put_u64(out + HEADER_CHECK_AT, hash_bytes(out, HEADER_CHECK_AT, 0));
}

enum status file_header_check(const unsigned char header[FILE_HEADER], const char magic[8],
                              const unsigned char node[16], struct error *error, uint64_t *ret_file_id,
                              uint64_t *ret_lsn)
{
    if (memcmp(header, magic, 8) != 0 || get_u64(header + HEADER_CHECK_AT) != hash_bytes(header, HEADER_CHECK_AT, 0))
        return error_set(error, STATUS_CORRUPT, "not a %.8s file, or its header is damaged", magic);
    unsigned reader_min = header[10] | (unsigned)header[11] << 8;
    if (reader_min > FORMAT_VERSION) {
        error_set(error, STATUS_UNSUPPORTED, "made by a newer version of Cairn (format %u, this one knows %u)",
                  reader_min, FORMAT_VERSION);
        error_hint(error, "use that version or a newer one; going back means restoring a backup");
        return STATUS_UNSUPPORTED;
    }
    unsigned version = header[8] | (unsigned)header[9] << 8;
    if (version < FORMAT_VERSION) {
        error_set(error, STATUS_UNSUPPORTED, "made by an older version of Cairn (format %u, this one needs %u)",
                  version, FORMAT_VERSION);
        error_hint(error, "export its events with the version that made it, and import them into a new directory");
        return STATUS_UNSUPPORTED;
    }
    if (memcmp(header + 16, node, 16) != 0)
        return error_set(error, STATUS_CORRUPT, "the file belongs to another data directory");
    *ret_file_id = get_u64(header + 32);
    *ret_lsn = get_u64(header + 40);
    return STATUS_OK;
}

/* --- names --- */

static void file_name(char out[64], uint64_t base, uint64_t epoch)
{
    snprintf(out, 64, "wal/%016llx-%016llx.wal", (unsigned long long)base, (unsigned long long)epoch);
}

static void spare_name(char out[64], unsigned number)
{
    snprintf(out, 64, "wal/spare-%u", number);
}

/* --- recovery --- */

struct listing {
    struct wal *wal;
    bool failed;
    unsigned spares[1024];
    size_t spare_count;
};

static bool add_file(struct wal *wal, uint64_t base, uint64_t epoch, bool stale)
{
    if (wal->file_count == wal->file_capacity) {
        size_t capacity = wal->file_capacity ? wal->file_capacity * 2 : 16;
        struct wal_file *grown = wal->file_count < FILES_MAX ? realloc(wal->files, capacity * sizeof *grown) : NULL;
        if (!grown) return false;
        wal->files = grown;
        wal->file_capacity = capacity;
    }
    wal->files[wal->file_count++] = (struct wal_file){base, epoch, stale};
    return true;
}

static void note_file(void *ctx, const char *name)
{
    struct listing *listing = ctx;
    unsigned long long base, epoch;
    unsigned spare;
    char rest;
    if (sscanf(name, "%16llx-%16llx.wa%c", &base, &epoch, &rest) == 3 && rest == 'l') {
        listing->failed |= !add_file(listing->wal, base, epoch, true);
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
    uint64_t lsn = get_u64(p + 8);
    uint32_t length = get_u32(p + 24);
    if (get_u32(p + 32) != FRAME_MAGIC || lsn != file->base + offset - FILE_HEADER ||
        length > bytes_size - offset - WAL_FRAME_HEADER)
        return false;
    if (get_u64(p) != hash_bytes(p + 8, WAL_FRAME_HEADER - 8 + length, file->epoch)) return false;
    *ret = (struct frame){.lsn = lsn,
                          .durable_lsn = get_u64(p + 16),
                          .size = (WAL_FRAME_HEADER + (uint64_t)length + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT,
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
        for (size_t i = 0; i + WAL_FRAME_HEADER <= count && status == STATUS_OK; i += ALIGNMENT) {
            if (get_u32(piece + i + 32) != FRAME_MAGIC || get_u64(piece + i + 8) != file->base + at + i - FILE_HEADER)
                continue;
            uint64_t frame_end = at + i + WAL_FRAME_HEADER + get_u32(piece + i + 24);
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
    file_name(name, file->base, file->epoch);
    struct os_file *handle;
    struct content content = {.size = 0};
    uint64_t start = (from - file->base) / ALIGNMENT * ALIGNMENT + FILE_HEADER;
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
        if (frame.type == FRAME_DATA) {
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
         lsn += ALIGNMENT) {
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
                             : file_header_check(content, wal_magic, r->wal->options.node, error, &id, &epoch);
    if (status == STATUS_OK && (id != file->base || epoch != file->epoch))
        status = error_set(error, STATUS_CORRUPT, "its header is another file's");
    if (status == STATUS_OK && size < get_u64(content + HEADER_SIZE_AT)) {
        /* Files have their full size before they get their name. What is behind the cut may have been acknowledged. */
        error_set(error, STATUS_CORRUPT, "log file %016llx has %llu bytes instead of %llu",
                  (unsigned long long)file->base, (unsigned long long)size,
                  (unsigned long long)get_u64(content + HEADER_SIZE_AT));
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
        file_name(name, wal->files[i].base, wal->files[i].epoch);
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
        ALIGNMENT) /* frames end and begin at multiples; the first start after this would lose its place */
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
            spare_name(name, listing.spares[i]);
            struct error ignored;
            (void)!os_unlink(options->fs, name, &ignored);
        }
        if (!options->salvage) remove_unused(wal, recovery.at);
        recovery.report.end_lsn = (recovery.at + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
        wal->lsn = wal->durable_lsn = wal->marked_lsn = recovery.report.end_lsn;
        *ret_report = recovery.report;
        *ret_wal = wal;
        return STATUS_OK;
    }
    wal_free(wal);
    return status;
}

void wal_free(struct wal *wal)
{
    if (!wal) return;
    os_close(wal->file);
    free(wal->files);
    os_mutex_destroy(&wal->lock);
    free(wal);
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
    if (status == STATUS_OK) status = file_header_check(bytes, wal_magic, bytes + 16, error, &file.base, &file.epoch);
    for (struct frame frame; status == STATUS_OK && parse_frame(bytes, size, at, &file, &frame); at += frame.size) {
        struct wal_frame found = {.lsn = frame.lsn,
                                  .end_lsn = frame.lsn + frame.size,
                                  .durable_lsn = frame.durable_lsn,
                                  .wall_ms = (int64_t)get_u64(bytes + at + 40),
                                  .record_count = get_u32(bytes + at + 28),
                                  .mark = frame.type == FRAME_MARK,
                                  .records = frame.records};
        info.frames++;
        info.records += found.record_count;
        if (each) each(ctx, &found);
    }
    if (status == STATUS_OK && at + WAL_FRAME_HEADER <= size)
        info.torn = get_u64(bytes + at + 8) == file.base + at - FILE_HEADER && get_u32(bytes + at + 32) == FRAME_MAGIC;
    free(bytes);
    if (status != STATUS_OK) return status;
    info.base = file.base;
    info.epoch = file.epoch;
    info.end_lsn = file.base + at - FILE_HEADER;
    *ret_info = info;
    return STATUS_OK;
}

/* --- writing --- */

bool wal_failed(const struct wal *wal)
{
    return !wal->file;
}
uint64_t wal_end_lsn(const struct wal *wal)
{
    return wal->lsn;
}
size_t wal_frame_size(size_t records_size)
{
    return (WAL_FRAME_HEADER + records_size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}
size_t wal_records_max(const struct wal *wal)
{
    size_t room = (size_t)(wal->options.file_bytes - FILE_HEADER) / ALIGNMENT * ALIGNMENT - WAL_FRAME_HEADER;
    return room < UINT32_MAX / 2 ? room : UINT32_MAX / 2;
}

static enum status make_spare(struct wal *wal, struct error *error, unsigned *ret_number)
{
    os_mutex_lock(&wal->lock);
    unsigned number = wal->next_spare++;
    os_mutex_unlock(&wal->lock);
    char name[64];
    spare_name(name, number);
    struct os_file *file;
    TRY(os_open(wal->options.fs, name, OS_WRITE | OS_CREATE | OS_DIRECT, error, &file));
    enum status status = os_allocate(file, wal->options.file_bytes, error);
    if (status == STATUS_OK) status = os_sync(file, error);
    os_close(file);
    if (status != STATUS_OK) {
        struct error ignored;
        (void)!os_unlink(wal->options.fs, name, &ignored);
        return status;
    }
    *ret_number = number;
    return STATUS_OK;
}

enum status wal_prepare_spare(struct wal *wal, struct error *error)
{
    os_mutex_lock(&wal->lock);
    bool ready = wal->spare_count > 0;
    os_mutex_unlock(&wal->lock);
    if (ready) return STATUS_OK;
    unsigned number;
    TRY(make_spare(wal, error, &number));
    os_mutex_lock(&wal->lock);
    bool kept = wal->spare_count < SPARES_MAX;
    if (kept) wal->spares[wal->spare_count++] = (struct wal_spare){.number = number};
    os_mutex_unlock(&wal->lock);
    if (kept) return STATUS_OK;
    char name[64];
    spare_name(name, number);
    return os_unlink(wal->options.fs, name, error);
}

enum status wal_reopen(struct wal *wal, struct error *error)
{
    os_close(wal->file);
    wal->file = NULL;
    unsigned number = 0;
    os_mutex_lock(&wal->lock);
    bool spare = wal->spare_count > 0;
    bool stale = false;
    if (spare) {
        number = wal->spares[--wal->spare_count].number;
        stale = wal->spares[wal->spare_count].stale;
    }
    os_mutex_unlock(&wal->lock);
    if (!spare) TRY(make_spare(wal, error, &number));

    char from[64], to[64];
    unsigned char header[FILE_HEADER];
    uint64_t epoch = wal->epoch + 1;
    spare_name(from, number);
    file_name(to, wal->lsn, epoch);
    file_header_write(header, wal_magic, wal->options.node, wal->lsn, epoch);
    put_u64(header + HEADER_SIZE_AT, wal->options.file_bytes);
    put_u64(header + HEADER_CHECK_AT, hash_bytes(header, HEADER_CHECK_AT, 0));
    struct os_file *file = NULL;
    enum status status = os_open(wal->options.fs, from, OS_WRITE | OS_DIRECT, error, &file);
    if (status == STATUS_OK) status = os_pwrite(file, header, sizeof header, 0, error);
    if (status == STATUS_OK) status = os_sync(file, error);
    if (status == STATUS_OK) status = os_rename(wal->options.fs, from, to, error);
    if (status == STATUS_OK) status = os_sync_dir(wal->options.fs, "wal", error);
    os_mutex_lock(&wal->lock);
    if (status == STATUS_OK && !add_file(wal, wal->lsn, epoch, stale))
        status = error_set(error, STATUS_LIMIT, "too many log files");
    os_mutex_unlock(&wal->lock);
    wal->epoch = epoch; /* a failed attempt may have left a name on disk: do not use it again */
    if (status != STATUS_OK) {
        os_close(file);
        /* No frame is in it, under either name; a disk that fails for hours must not fill up with attempts. */
        struct error ignored;
        if (os_unlink(wal->options.fs, from, &ignored) != STATUS_OK) (void)!os_unlink(wal->options.fs, to, &ignored);
        return status;
    }
    wal->file = file;
    wal->base = wal->lsn;
    return STATUS_OK;
}

static enum status write_frame(struct wal *wal, char *frame, size_t records_size, uint32_t record_count, uint16_t type,
                               int64_t wall_ms, struct error *error)
{
    size_t size = wal_frame_size(records_size);
    unsigned char *p = (unsigned char *)frame;
    put_u64(p + 8, wal->lsn);
    put_u64(p + 16, wal->durable_lsn);
    put_u32(p + 24, (uint32_t)records_size);
    put_u32(p + 28, record_count);
    put_u32(p + 32, FRAME_MAGIC);
    put_u16(p + 36, type);
    put_u16(p + 38, 0);
    put_u64(p + 40, (uint64_t)wall_ms);
    put_u64(p, hash_bytes(p + 8, WAL_FRAME_HEADER - 8 + records_size, wal->epoch));
    memset(p + WAL_FRAME_HEADER + records_size, 0, size - WAL_FRAME_HEADER - records_size);
    enum status status = os_pwrite(wal->file, frame, size, wal->lsn - wal->base + FILE_HEADER, error);
    if (status == STATUS_OK) status = os_sync(wal->file, error);
    if (status != STATUS_OK) {
        os_close(wal->file); /* condemned */
        wal->file = NULL;
        return status;
    }
    wal->lsn += size;
    return STATUS_OK;
}

/* Whether the current file has room for the frame. */
static bool has_room(const struct wal *wal, size_t records_size)
{
    return wal->file && wal_frame_size(records_size) <= wal->options.file_bytes - FILE_HEADER - (wal->lsn - wal->base);
}

uint64_t wal_next_offset(const struct wal *wal, size_t records_size)
{
    return FILE_HEADER + (has_room(wal, records_size) ? wal->lsn - wal->base : 0);
}

enum status wal_write(struct wal *wal, char *frame, size_t records_size, uint32_t record_count, int64_t wall_ms,
                      struct error *error, uint64_t *ret_lsn, uint64_t *ret_end_lsn)
{
    assert(records_size <= wal_records_max(wal));
    if (!has_room(wal, records_size)) TRY(wal_reopen(wal, error));
    uint64_t lsn = wal->lsn;
    TRY(write_frame(wal, frame, records_size, record_count, FRAME_DATA, wall_ms, error));
    wal->durable_lsn = wal->lsn;
    *ret_lsn = lsn + WAL_FRAME_HEADER;
    *ret_end_lsn = wal->lsn;
    return STATUS_OK;
}

enum status wal_mark(struct wal *wal, int64_t wall_ms, struct error *error)
{
    _Alignas(8) char frame[ALIGNMENT];
    if (!wal->file || wal->marked_lsn == wal->durable_lsn) return STATUS_OK;
    if (wal->options.file_bytes - FILE_HEADER - (wal->lsn - wal->base) < ALIGNMENT) return STATUS_OK;
    TRY(write_frame(wal, frame, 0, 0, FRAME_MARK, wall_ms, error));
    /* durable_lsn stays behind the mark, which protects nothing itself: so an idle log writes one mark, not one after
     * another. */
    wal->marked_lsn = wal->durable_lsn;
    return STATUS_OK;
}

enum status wal_recycle(struct wal *wal, uint64_t flushed_lsn, struct error *error)
{
    for (;;) {
        os_mutex_lock(&wal->lock);
        bool done = wal->file_count < 2 || wal->files[1].base > flushed_lsn;
        struct wal_file file = wal->file_count ? wal->files[0] : (struct wal_file){0};
        bool keep = !done && !wal->forget && wal->spare_count < SPARES_MAX;
        unsigned number = keep ? wal->next_spare++ : 0;
        os_mutex_unlock(&wal->lock);
        if (done) return STATUS_OK;
        char name[64], spare[64];
        file_name(name, file.base, file.epoch);
        struct os_file *handle;
        uint64_t size = 0;
        if (keep) {
            TRY(os_open(wal->options.fs, name, OS_READ, error, &handle));
            enum status status = os_size(handle, &size, error);
            os_close(handle);
            if (status != STATUS_OK) return status;
            keep = size == wal->options.file_bytes;
        }
        if (keep) {
            spare_name(spare, number);
            TRY(os_rename(wal->options.fs, name, spare, error));
        } else {
            TRY(os_unlink(wal->options.fs, name, error));
        }
        os_mutex_lock(&wal->lock);
        memmove(wal->files, wal->files + 1, (wal->file_count - 1) * sizeof *wal->files);
        wal->file_count--;
        if (keep && wal->spare_count < SPARES_MAX) wal->spares[wal->spare_count++] = (struct wal_spare){number, true};
        os_mutex_unlock(&wal->lock);
    }
}

enum status wal_forget(struct wal *wal, bool forget, struct error *error)
{
    struct wal_spare stale[SPARES_MAX];
    size_t count = 0, kept = 0;
    os_mutex_lock(&wal->lock);
    wal->forget = forget;
    for (size_t i = 0; i < wal->spare_count; i++) {
        if (forget && wal->spares[i].stale)
            stale[count++] = wal->spares[i];
        else
            wal->spares[kept++] = wal->spares[i];
    }
    wal->spare_count = kept;
    os_mutex_unlock(&wal->lock);
    enum status status = STATUS_OK;
    for (size_t i = 0; i < count; i++) {
        char name[64];
        spare_name(name, stale[i].number);
        if (status == STATUS_OK) status = os_unlink(wal->options.fs, name, error);
        if (status == STATUS_OK) continue;
        os_mutex_lock(&wal->lock); /* for another attempt */
        if (wal->spare_count < SPARES_MAX) wal->spares[wal->spare_count++] = stale[i];
        os_mutex_unlock(&wal->lock);
    }
    return status;
}

uint64_t wal_stale_lsn(struct wal *wal)
{
    os_mutex_lock(&wal->lock);
    uint64_t lsn = wal->file_count ? wal->files[0].base : UINT64_MAX;
    for (size_t i = 0; i < wal->file_count; i++) {
        if (wal->files[i].stale) lsn = 0;
    }
    for (size_t i = 0; i < wal->spare_count; i++) {
        if (wal->spares[i].stale) lsn = 0;
    }
    os_mutex_unlock(&wal->lock);
    return lsn;
}
