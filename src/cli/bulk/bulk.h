#pragma once
/*
 * `cairn import`: files of records go through threads into a sink, a data directory or a server.
 *
 *     reader(s) ──▶ chunks of whole records ──▶ workers: insert ids ──▶ sink ──▶ acknowledged
 *
 * Readers take one file each after the other and cut it into chunks, bounded by records and by bytes; there is a fixed
 * set of chunks, so memory does not grow with the files. Workers give records that carry no `$insert_id` one that
 * depends on the file's name, the record's place in it and its text, so that a record which is sent twice, because an
 * answer was lost or an import was interrupted, is one event. Of each file is known how far everything was
 * acknowledged: that is what the state file says and where the next run goes on.
 *
 * Threads: one pipeline is run by one thread; sinks are called by workers, and may finish chunks from any thread.
 */
#include "cli/bulk/input.h"
#include "os/thread.h"

#include "base/buf.h"

#include <signal.h>
#include <stdio.h>

#define BULK_BATCH_MAX   100000u
#define BULK_THREADS_MAX 64u

struct bulk;

/* What a record is, told by its first member: an event {"event":…}; a profile {"$distinct_id":…,"$properties":{…}}, as
 * Mixpanel's engage query gives them and cairn export writes them, or {"$group_key":…,"$group_id":…,"$properties":{…}};
 * or a link of two ids, {"link":{"device":…,"user":…}}. A chunk has records of one kind. */
enum bulk_kind { BULK_EVENTS, BULK_USERS, BULK_GROUPS, BULK_LINKS };

struct bulk_chunk {
    enum bulk_kind kind;
    struct buf text; /* records of one line each, with their line ends */
    uint32_t *ends;  /* in text, behind the line end of each record */
    uint64_t *lines; /* where each stands in the file */
    uint32_t count;
    struct bulk_file *file;
    struct bulk_mark *mark; /* its place among the file's chunks */
    struct bulk_chunk *next;
};
static inline struct str bulk_record(const struct bulk_chunk *chunk, uint32_t index)
{
    size_t from = index ? chunk->ends[index - 1] : 0;
    return str_from(chunk->text.data + from, chunk->ends[index] - 1 - from);
}

/* Where events go. */
struct bulk_sink {
    /* One worker's: whatever it needs. */
    enum status (*worker_new)(struct bulk_sink *sink, struct error *error, void **ret_worker);
    void (*worker_free)(struct bulk_sink *sink, void *worker);
    /* Takes the records of a chunk; events have an insert id. Says of each that is refused why (bulk_refuse), and calls
     * bulk_finish for the mark, now or later, when everything else is durable. A failure ends the import; the mark is
     * not finished then. */
    enum status (*take)(struct bulk_sink *sink, void *worker, struct bulk *bulk, const struct bulk_chunk *chunk,
                        struct error *error);
};

/* The record is not an event that is stored. `reason` is copied. */
void bulk_refuse(struct bulk *bulk, const struct bulk_chunk *chunk, uint32_t index, struct str field,
                 struct str reason);
/* All of a chunk is durable, or refused; `stored` of its records are events now. Any thread. */
void bulk_finish(struct bulk *bulk, struct bulk_mark *mark, uint32_t stored);
/* Instead of bulk_finish, after bulk_fail: the mark will not be finished. */
void bulk_abandon(struct bulk *bulk);
/* The import failed, from another thread than a worker. */
void bulk_fail(struct bulk *bulk, const struct error *error);
/* True when workers should stop waiting for a server. */
bool bulk_stopped(struct bulk *bulk);

struct bulk_file {
    const char *name;
    uint64_t size_bytes, mtime_ns; /* 0 for standard input */
    uint64_t position;             /* acknowledged up to here; where to begin, at first */
    bool done;                     /* to its end */
    /* the pipeline's */
    struct bulk_mark *first, **last;
    bool read;          /* no more chunks come */
    struct error error; /* what the rest of the file could not be read for */
};

struct bulk_options {
    struct bulk_file *files;
    size_t file_count;
    struct input_options input;
    unsigned threads;       /* that parse or send */
    uint32_t batch;         /* records of a chunk */
    const char *state_path; /* NULL: nothing is kept */
    const char *target;     /* what the state file says the import is to */
    const char *refused_path;
    bool quiet; /* no progress */
    volatile sig_atomic_t *interrupted;
};

struct bulk_result {
    uint64_t records, stored, refused, bytes; /* bytes of the files as they are */
    uint64_t files_failed;
    double seconds;
    bool interrupted;
};

/* OK also when records were refused or files could not be read to their end: the result says so. */
enum status bulk_run(const struct bulk_options *options, struct bulk_sink *sink, struct error *error,
                     struct bulk_result *ret_result) MUST_USE;

/* --- state.c --- */
/* Sets the files' positions from what the state file says of them; nothing when there is none. CONFLICT when it belongs
 * to another import. */
enum status bulk_state_read(const char *path, const char *target, struct bulk_file *files, size_t count,
                            struct error *error) MUST_USE;
enum status bulk_state_write(const char *path, const char *target, const struct bulk_file *files, size_t count,
                             struct error *error) MUST_USE;

/* --- insert_id.c --- */
#define BULK_INSERT_ID_BYTES 32u
/* Appends the record, as a line, to `out`; with an insert id if it has none. */
void bulk_insert_id(const char *file, uint64_t line, struct str record, struct buf *out);

/* --- messages.c --- */
struct json;
/* A profile's record as a message of /engage or /groups that sets all its properties as they are. *ret_wrong says why
 * it is none. LIMIT when the arena is full. */
enum status bulk_message(struct arena *arena, struct str record, enum bulk_kind kind, struct str token,
                         struct json *ret_message, const char **ret_wrong) MUST_USE;
/* The ids of a link. */
enum status bulk_link(struct arena *arena, struct str record, struct str *ret_device, struct str *ret_user,
                      const char **ret_wrong) MUST_USE;

/* --- sinks --- */
/* Straight into a data directory that no server runs on. */
enum status bulk_sink_store_new(const char *directory, int64_t project, uint64_t memory_bytes, unsigned threads,
                                struct error *error, struct bulk_sink **ret_sink) MUST_USE;
/* Writes what is in memory to files; `merge`: and merges all files. */
enum status bulk_sink_store_end(struct bulk_sink *sink, bool merge, struct error *error) MUST_USE;
void bulk_sink_store_free(struct bulk_sink *sink);

struct bulk_http {
    const char *url;         /* of the server, without /import */
    const char *credentials; /* "name:secret", a project secret, or a token */
    const char *token;       /* of the project, for profiles; NULL: they are refused */
    int64_t project;         /* 0: the credentials say it */
    uint64_t patience_ms;    /* how long one batch is tried while the server cannot take it */
};
enum status bulk_sink_http_new(const struct bulk_http *http, struct error *error, struct bulk_sink **ret_sink) MUST_USE;
void bulk_sink_http_free(struct bulk_sink *sink);
