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

#include "base/hash.h"
#include "store/bytes.h"
#include "store/wal_int.h"

#include <assert.h>
#include <stdlib.h>

const char wal_file_magic[8] = "CAIRNWAL";

void wal_free(struct wal *wal)
{
    if (!wal) return;
    os_close(wal->file);
    free(wal->files);
    os_mutex_destroy(&wal->lock);
    free(wal);
}

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
    return (WAL_FRAME_HEADER + records_size + WAL_ALIGNMENT - 1) / WAL_ALIGNMENT * WAL_ALIGNMENT;
}
size_t wal_records_max(const struct wal *wal)
{
    size_t room = (size_t)(wal->options.file_bytes - FILE_HEADER) / WAL_ALIGNMENT * WAL_ALIGNMENT - WAL_FRAME_HEADER;
    return room < UINT32_MAX / 2 ? room : UINT32_MAX / 2;
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
    if (!spare) TRY(wal_make_spare(wal, error, &number));

    char from[64], to[64];
    unsigned char header[FILE_HEADER];
    uint64_t epoch = wal->epoch + 1;
    wal_spare_name(from, number);
    wal_file_name(to, wal->lsn, epoch);
    file_header_write(header, wal_file_magic, wal->options.node, wal->lsn, epoch);
    bytes_put_u64(header + WAL_SIZE_AT, wal->options.file_bytes);
    file_header_seal(header);
    struct os_file *file = NULL;
    enum status status = os_open(wal->options.fs, from, OS_WRITE | OS_DIRECT, error, &file);
    if (status == STATUS_OK) status = os_pwrite(file, header, sizeof header, 0, error);
    if (status == STATUS_OK) status = os_sync(file, error);
    if (status == STATUS_OK) status = os_rename(wal->options.fs, from, to, error);
    if (status == STATUS_OK) status = os_sync_dir(wal->options.fs, "wal", error);
    os_mutex_lock(&wal->lock);
    if (status == STATUS_OK && !wal_add_file(wal, wal->lsn, epoch, stale))
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
    bytes_put_u64(p + 8, wal->lsn);
    bytes_put_u64(p + 16, wal->durable_lsn);
    bytes_put_u32(p + 24, (uint32_t)records_size);
    bytes_put_u32(p + 28, record_count);
    bytes_put_u32(p + 32, WAL_FRAME_MAGIC);
    bytes_put_u16(p + 36, type);
    bytes_put_u16(p + 38, 0);
    bytes_put_u64(p + 40, (uint64_t)wall_ms);
    bytes_put_u64(p, hash_bytes(p + 8, WAL_FRAME_HEADER - 8 + records_size, wal->epoch));
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
    TRY(write_frame(wal, frame, records_size, record_count, WAL_FRAME_DATA, wall_ms, error));
    wal->durable_lsn = wal->lsn;
    *ret_lsn = lsn + WAL_FRAME_HEADER;
    *ret_end_lsn = wal->lsn;
    return STATUS_OK;
}

enum status wal_mark(struct wal *wal, int64_t wall_ms, struct error *error)
{
    _Alignas(8) char frame[WAL_ALIGNMENT];
    if (!wal->file || wal->marked_lsn == wal->durable_lsn) return STATUS_OK;
    if (wal->options.file_bytes - FILE_HEADER - (wal->lsn - wal->base) < WAL_ALIGNMENT) return STATUS_OK;
    TRY(write_frame(wal, frame, 0, 0, WAL_FRAME_MARK, wall_ms, error));
    /* durable_lsn stays behind the mark, which protects nothing itself: so an idle log writes one mark, not one after
     * another. */
    wal->marked_lsn = wal->durable_lsn;
    return STATUS_OK;
}
