#pragma once
/*
 * The session recordings of a data directory.
 *
 * A recording comes as pieces, numbered from 0 by whoever records; each is two files in
 *
 *     record/PROJECT/DAY/REPLAY-SEQ.json.gz    the events, packed
 *     record/PROJECT/DAY/REPLAY-SEQ.json       what was told about them; without it the piece is not complete
 *
 * where DAY is the one on which it came (UTC). REPLAY is the recording's id, or, when that has characters that a file
 * name should not have, `~` and a hash of it; the id itself is always in the second file.
 *
 * A piece is written and synced under a temporary name in record/new/ and renamed, so that a name never shows half a
 * piece. One that is sent again, because its answer was lost, replaces the first.
 *
 * What a project may fill is bounded: replays_put refuses what does not fit. replays_sweep makes room by removing the
 * oldest days, but never today's: a flood of new recordings cannot push out what came before it on the same day, only
 * be refused. Sizes count as whole blocks of REPLAY_BLOCK_BYTES, which bounds the number of files as well.
 *
 * Threads: everything may be called from any thread; sweeps, from one at a time. Calls block on the disk.
 */
#include "base/error.h"
#include "base/str.h"

struct os_fs;
struct replays;

#define REPLAY_FOLDER          "record"
#define REPLAY_BLOCK_BYTES     4096u
#define REPLAY_ID_BYTES_MAX    255u
#define REPLAY_SEQ_MAX         UINT64_C(999999999)
#define REPLAY_ABOUT_BYTES_MAX ((size_t)1 << 20)

struct replay_options {
    struct os_fs *fs; /* of the data directory */
    uint64_t project_bytes_max;
    int64_t retention_days; /* 0: for ever, or until the room is needed */
};

/* Makes the folders when there are none, and removes what a crash left in record/new/. Projects that have recordings
 * are closed (replays_put: UNAVAILABLE) until the first sweep has counted them. */
enum status replays_open(const struct replay_options *options, struct error *error,
                         struct replays **ret_replays) MUST_USE;
/* NULL is allowed. */
void replays_close(struct replays *replays);

struct replay_piece {
    uint64_t project;
    struct str replay_id; /* 1 to REPLAY_ID_BYTES_MAX bytes */
    uint64_t seq;         /* up to REPLAY_SEQ_MAX */
    int64_t received_ms;
    struct str about;  /* a JSON object, at most REPLAY_ABOUT_BYTES_MAX */
    struct str packed; /* the events (events.h) */
};
/* OK: both files are on disk. LIMIT: the project is full. UNAVAILABLE: not now. INVALID: an id or a number out of
 * bounds. */
enum status replays_put(struct replays *replays, const struct replay_piece *piece, struct error *error) MUST_USE;

/* Counts projects that are not counted yet; removes the recordings of projects that do not exist, of days before the
 * retention, and the oldest days of projects that are nearly full. What cannot be removed is logged and tried again
 * by the next sweep. `exists` NULL: all do. */
void replays_sweep(struct replays *replays, int64_t now_ms, bool (*exists)(void *ctx, uint64_t project), void *ctx);

/* What a project's recordings fill, as far as it is counted. */
uint64_t replays_bytes(struct replays *replays, uint64_t project);
