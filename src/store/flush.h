#pragma once
/*
 * Writing what is in memory to files: section files, catalog files, delete files, then one manifest edit that makes
 * them count; and reading them back at start. The applier makes a job (flush_job_new, flush_job_project), the
 * maintenance thread runs it, the applier takes the result in.
 */
#include "store/cache.h"
#include "store/manifest.h"
#include "store/project.h"
#include "store/wal.h"

struct flush_project {
    uint64_t project;
    struct version_section *inputs;
    size_t input_count;
    struct id_view *ids;
    uint32_t links_applied;
    struct section **outputs; /* result */
    size_t output_count;
    /* rows deleted in file sections */
    struct version_section *deleted;
    size_t deleted_count;
    /* what the catalog piece covers, to be noted as saved on success */
    uint32_t saved_events, saved_properties;
    struct id_mark saved_ids;
};
struct flush_job {
    uint64_t flushed_lsn;
    struct flush_project *projects;
    size_t project_count;
    struct buf catalog; /* pieces */
    bool renew_catalog; /* they are whole: the files written so far go, and with them the ids that were forgotten */
    uint64_t *dropped;
    size_t dropped_count;
    enum status status; /* result */
    struct error error;
};

struct flush_job *flush_job_new(uint64_t flushed_lsn);
void flush_job_free(struct flush_job *job);
/* Freezes the project's RAM sections and adds it to the job. The memtable must be sealed. */
enum status flush_job_project(struct flush_job *job, struct project *project) MUST_USE;
/* On the maintenance thread. Sets job->status. */
void flush_job_run(struct flush_job *job, struct os_fs *fs, struct manifest *manifest, struct cache *cache,
                   size_t memory_bytes_max);
/* Back on the applier: gives the project its file sections, or its old state back when the job failed. */
enum status flush_job_finish(struct flush_project *part, const struct flush_job *job, struct project *project,
                             struct error *error) MUST_USE;

/* At start: everything that the manifest lists. find(ctx, id) gives the project, making it if needed. */
enum status files_load(struct os_fs *fs, struct manifest *manifest, struct cache *cache,
                       struct project *(*find)(void *ctx, uint64_t id), void *ctx, struct error *error) MUST_USE;
/* Removes files of events/ that the manifest, which must be durable, does not list: left-overs of crashes and failed
 * flushes. */
void files_sweep(struct os_fs *fs, const struct manifest *manifest);
