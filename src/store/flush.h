#pragma once
/*
 * Writing what is in memory to files: section files, catalog files, delete files, then one manifest edit that makes
 * them count; and reading them back at start. The applier makes a job (flush_job_new, flush_job_project), the
 * maintenance thread runs it, the applier takes the result in.
 */
#include "store/catalog.h"
#include "store/compact.h"
#include "store/event_files.h"

struct flush_project {
    uint64_t project;
    struct version_section *inputs;
    size_t input_count;
    struct id_view *ids;
    uint32_t links_applied;
    struct compact_layout *layout; /* the windows of its days; NULL: each its own */
    struct section **outputs;      /* result */
    size_t output_count;
    /* rows deleted in file sections */
    struct version_section *deleted;
    struct manifest_deletes *marks; /* of each, with LSN and time of the oldest */
    size_t deleted_count;
    /* what the catalog piece covers, to be noted as saved on success */
    uint32_t saved_events, saved_properties;
    struct id_mark saved_ids;
    bool left_out; /* nothing: it was dropped */
};
struct flush_job {
    uint64_t flushed_lsn;
    struct flush_project *projects;
    size_t project_count;
    struct catalog_out catalog; /* what is new in it */
    bool renew_catalog; /* it is whole: the files written so far go, and with them the ids that were forgotten */
    uint64_t *dropped;
    size_t dropped_count;
    struct manifest_dead *dead; /* sections of dropped projects */
    size_t dead_count;
    struct buf debts; /* what sections owe (delete.h) */
    int64_t now_ms;
    uint64_t bytes_written;
    enum status status; /* result */
    struct error error;
};

struct flush_job *flush_job_new(uint64_t flushed_lsn, int64_t now_ms);
void flush_job_free(struct flush_job *job);
/* Freezes the project's RAM sections and adds it to the job. The memtable must be in one of them. */
enum status flush_job_project(struct flush_job *job, struct project *project,
                              const struct compact_options *options) MUST_USE;
/* On the maintenance thread. Sets job->status. */
void flush_job_run(struct flush_job *job, struct os_fs *fs, struct manifest *manifest, struct cache *cache,
                   size_t memory_bytes_max);
/* Back on the applier: gives the project its file sections, or its old state back when the job failed. */
enum status flush_job_finish(struct flush_project *part, const struct flush_job *job, struct project *project,
                             struct error *error) MUST_USE;
