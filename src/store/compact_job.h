#pragma once
/*
 * Rewriting section files. The applier makes a job of frozen inputs (compaction.c); the compaction thread carries it
 * out in two steps, between which everything else goes on:
 *
 *   compact_job_write   merges the inputs into one new file and syncs it: long. Nothing refers to the file yet.
 *   compact_job_commit  one edit of the manifest that removes the inputs and adds the outputs: short. No flush may run
 *                       meanwhile, so that the manifest has one owner and no delete file is written for inputs that are
 *                       gone. Rows that were deleted in inputs since they were frozen are found in the outputs by all
 *                       their fields and deleted there with the same edit, because the log may not have these deletions
 *                       any more.
 *
 * Then the applier exchanges the sections, and forwards in the same way what was deleted during the commit; those
 * deletions are newer than the manifest's flushed LSN, so that replay would repeat them. A failure at any point before
 * the edit is durable leaves everything as it was.
 */
#include "store/compact.h"
#include "store/event_files.h"

struct compact_part {
    uint64_t project;
    enum compact_reason reason;
    struct version_section *inputs; /* as they were frozen */
    size_t input_count;
    struct id_view *ids; /* as of the last flush: persons in files are never of links that a crash could forget */
    uint32_t links;
    int64_t day; /* window of the outputs */
    uint32_t log2;
    uint64_t lsn;
    uint64_t marks_lsn;       /* no deletion that is not in the inputs' is older */
    struct section **outputs; /* result of writing */
    size_t output_count;
    /* for the commit: what is deleted in the inputs by then */
    struct deletes **now;
    uint64_t *now_lsn;
    int64_t *now_ms;
    roaring_bitmap_t **marked; /* result: rows of the outputs that are deleted from the start; NULL: none */
};

struct compact_survey { /* how many persons of a section have moved */
    struct section *section;
    struct id_view *ids;
    uint32_t links, moved, persons; /* result */
};

struct compact_job {
    struct compact_part *parts;
    size_t part_count;
    struct compact_survey *surveys; /* instead of parts */
    size_t survey_count;
    uint64_t applied_lsn; /* when it was frozen */
    int64_t now_ms;
    uint64_t rows;
    uint32_t rows_max;
    unsigned threads; /* that may take part in writing */
    size_t memory_bytes_max;
    uint64_t bytes_per_second;
    _Atomic bool cancel;
    bool commits; /* the second step */
    bool has_file;
    struct manifest_file file;
    struct section *bad; /* result: the input that cannot be read */
    uint64_t file_id, bytes_written;
    enum status status;
    struct error error;
};
void compact_job_free(struct compact_job *job);
/* Sets job->status. */
void compact_job_write(struct compact_job *job, struct os_fs *fs, struct manifest *manifest, struct cache *cache);
void compact_job_commit(struct compact_job *job, struct os_fs *fs, struct manifest *manifest);
/* After a write that will not be committed. */
void compact_job_discard(struct compact_job *job, struct os_fs *fs, struct manifest *manifest);
void compact_job_survey(struct compact_job *job);

/* Finds rows of `from` in `to`, which was merged from it with `ids`, by all their fields, and adds them to ret_rows[],
 * a bitmap for each of `to`, made when NULL. */
enum status forward_rows(const struct section *from, const roaring_bitmap_t *rows, const struct id_view *ids,
                         struct section *const *to, size_t count, struct error *error,
                         roaring_bitmap_t **ret_rows) MUST_USE;
