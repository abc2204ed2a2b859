#pragma once
/* Private to replay/: what is known in memory about each project and day. */
#include "os/fs.h"
#include "os/thread.h"
#include "replay/replay.h"

#define REPLAY_PATH_MAX 192 /* record/PROJECT/DAY/~HASH-SEQ.json.gz is shorter by far */

struct replay_day {
    int64_t day; /* since 1970-01-01 */
    uint64_t bytes;
    unsigned writers; /* puts that are at work in it: it stays */
    bool made;        /* its folder is on disk */
    bool leaving;     /* a sweep removes it: nothing may be put into it */
};

struct replay_project {
    uint64_t id;
    struct replay_day *days; /* ascending */
    size_t day_count;
    uint64_t bytes; /* of all days */
    bool counted;
};

struct replays {
    struct replay_options options;
    struct os_mutex lock; /* of everything below; never held over a call to the disk */
    struct replay_project *projects;
    size_t project_count;
    uint64_t temporary; /* the last number given to a temporary file */
};

/* All under the lock. The pointers are good until the lock is given back. */
struct replay_project *replays_find(struct replays *replays, uint64_t project);
struct replay_day *replays_find_day(struct replay_project *project, int64_t day);
/* Finds it or makes it; NULL: out of memory. */
struct replay_project *replays_need(struct replays *replays, uint64_t project);
struct replay_day *replays_need_day(struct replay_project *project, int64_t day);

static inline uint64_t replay_blocks(uint64_t size)
{
    return (size + REPLAY_BLOCK_BYTES - 1) / REPLAY_BLOCK_BYTES * REPLAY_BLOCK_BYTES;
}
/* "record/7/2026-01-31" */
void replay_day_path(char path[REPLAY_PATH_MAX], uint64_t project, int64_t day);
