#pragma once
/*
 * The write-ahead log (docs/formats/wal.md): one endless sequence of frames in a ring of preallocated files.
 *
 * One thread writes (wal_write, wal_mark, wal_reopen). wal_prepare_spare, wal_recycle and wal_stats may be called from
 * another thread meanwhile. Everything a successful wal_write wrote is on disk.
 */
#include "os/fs.h"
#include "store/file_header.h"

struct wal;

#define WAL_FRAME_HEADER 48

struct wal_options {
    struct os_fs *fs;
    uint64_t file_bytes;
    unsigned char node[16];
    bool salvage;
};

struct wal_report {
    uint64_t frames, bytes_torn, bytes_lost;
    uint64_t end_lsn; /* where the log goes on */
};
/* Reads the log from flushed_lsn on and calls each(ctx, lsn of the first record, end lsn, records) per data frame, in
 * order. CORRUPT when acknowledged bytes are damaged (unless salvage). The log can then be started at
 * ret_report->end_lsn. */
enum status wal_open(const struct wal_options *options, uint64_t flushed_lsn,
                     enum status (*each)(void *ctx, uint64_t lsn, uint64_t end_lsn, struct str records), void *ctx,
                     struct error *error, struct wal_report *ret_report, struct wal **ret_wal) MUST_USE;
void wal_free(struct wal *wal);
/* Begins a new file at the end of the log. After wal_open, and after a failure. */
enum status wal_reopen(struct wal *wal, struct error *error) MUST_USE;
/* True when the next write needs wal_reopen first. */
bool wal_failed(const struct wal *wal);

/* The largest `records_size` that fits a frame. */
size_t wal_records_max(const struct wal *wal);
/* Room to be allocated for a frame with that many bytes of records, which go to offset WAL_FRAME_HEADER. */
size_t wal_frame_size(size_t records_size);
/* Where in its file the next frame will be, if it has that many bytes of records: large ones are written fastest from
 * an address that agrees with it modulo OS_DIRECT_ALIGN. */
uint64_t wal_next_offset(const struct wal *wal, size_t records_size);
/* Fills in the header of `frame`, writes and syncs it. On failure nothing of it will be replayed once wal_reopen
 * succeeded. */
enum status wal_write(struct wal *wal, char *frame, size_t records_size, uint32_t record_count, int64_t wall_ms,
                      struct error *error, uint64_t *ret_lsn, uint64_t *ret_end_lsn) MUST_USE;
/* When the log falls idle: records that the last frame is durable. OK without doing anything when that is on disk
 * already. */
enum status wal_mark(struct wal *wal, int64_t wall_ms, struct error *error) MUST_USE;
uint64_t wal_end_lsn(const struct wal *wal);

/* Makes a file ready for the next switch, unless one is. */
enum status wal_prepare_spare(struct wal *wal, struct error *error) MUST_USE;
/* From now on, and until called with false, wal_recycle removes files instead of keeping them for reuse, with the old
 * frames that are in them; the spares that hold such are removed at once. */
enum status wal_forget(struct wal *wal, bool forget, struct error *error) MUST_USE;
/* No byte of the log before this LSN is left in its files; 0 while one in use, or a spare, holds frames of its former
 * life. */
uint64_t wal_stale_lsn(struct wal *wal);
/* Everything below flushed_lsn is in section files: keeps up to two of its files for reuse and removes the rest. */
enum status wal_recycle(struct wal *wal, uint64_t flushed_lsn, struct error *error) MUST_USE;

/* For tools: the frames of one log file, `name` relative to the file system's root, in order up to the first bad one,
 * behind which there is nothing or what a recycled file held before. `base` and `epoch` are the header's. CORRUPT when
 * the header is no log file's. */
struct wal_frame {
    uint64_t lsn, end_lsn, durable_lsn;
    int64_t wall_ms;
    uint32_t record_count;
    bool mark;
    struct str records;
};
struct wal_file_info {
    uint64_t base, epoch, size, frames, records, end_lsn;
    bool torn; /* a frame was begun at end_lsn, which does not verify */
};
enum status wal_scan_file(struct os_fs *fs, const char *name, void (*each)(void *ctx, const struct wal_frame *frame),
                          void *ctx, struct error *error, struct wal_file_info *ret_info) MUST_USE;
