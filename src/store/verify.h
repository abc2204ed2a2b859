#pragma once
/*
 * Whether a data directory is what the store wrote: every checksum, and every invariant that the formats promise
 * (docs/formats). Reads only, takes no lock, and goes on after damage, so that one run tells everything. May run beside
 * a server: then it judges the files of one moment, and of the log only what a crash at that moment would keep. One
 * thread; findings come in no order that means anything.
 *
 *   always   manifests and their chains, headers, footers, directories, chunk tables, blocks, dictionaries, filters,
 *            statistics, person sets, delete files, catalogs, log frames and records; that files named are there and
 *            nothing overlaps; that rows are in order, inside their windows and counted rightly; the graph of ids
 *   deep     every value of every property against what the chunk's descriptor says, every insert id against the
 *            filter, and that no two rows that count have the same duplicate key
 */
#include "store/offline.h"

struct verify_progress {
    uint64_t bytes, bytes_total; /* of section files */
    const char *doing;
};
struct verify_options {
    struct os_fs *fs;
    bool deep;
    bool live;               /* a server works on the directory */
    size_t memory_bytes_max; /* for finding duplicates, beside the block cache; 0: 256 MiB */
    struct finding_sink sink;
    void (*progress)(void *ctx, const struct verify_progress *progress); /* NULL: none; gets the sink's ctx */
};
struct verify_report {
    uint64_t findings, notes;
    uint64_t files, bytes, sections, rows, rows_deleted, values, frames, records, ids;
};
/* OK: the work was done; whether all is well is in the report. NOT_FOUND, UNSUPPORTED, CORRUPT (no manifest can be
 * read), IO, LIMIT: it could not be. */
enum status verify_directory(const struct verify_options *options, struct error *error,
                             struct verify_report *ret_report) MUST_USE;
