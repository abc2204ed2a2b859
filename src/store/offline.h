#pragma once
/*
 * A data directory as it lies on disk, opened by a tool (inspect, verify) and not by a server. Nothing is written, no
 * lock is taken, and damage does not end it: what can be opened is opened, the rest is reported.
 *
 * Beside a running server the picture is that of one moment: the manifest is read, then every file that it names is
 * opened; when one has been replaced meanwhile, it starts anew with the newer manifest. Once open, a file keeps its
 * content, whatever the server removes. One thread.
 */
#include "store/catalog.h"
#include "store/manifest.h"
#include "store/version.h"

enum finding_kind {
    FINDING_DAMAGE, /* something is not as it must be */
    FINDING_NOTE,   /* unusual, but harmless: left-overs of a crash, files of somebody else */
};
struct finding {
    enum finding_kind kind;
    const char *file; /* relative to the data directory */
    uint64_t offset;  /* in the file, FINDING_NO_OFFSET when it is about the whole */
    const char *what;
};
#define FINDING_NO_OFFSET UINT64_MAX
struct finding_sink {
    void (*report)(void *ctx, const struct finding *finding);
    void *ctx;
};
void finding_report(const struct finding_sink *sink, enum finding_kind kind, const char *file, uint64_t offset,
                    const char *format, ...) PRINTF_LIKE(5, 6);
/* The same for a struct error: its text with detail. */
void finding_report_error(const struct finding_sink *sink, enum finding_kind kind, const char *file, uint64_t offset,
                          const struct error *error);

struct offline_section {
    uint64_t project, offset, size; /* in the file */
    struct section_ref directory;
    struct section *section; /* NULL: cannot be opened, which was reported */
    struct deletes *deletes; /* NULL: none, or they cannot be read */
    bool dropped;            /* it does not count: its project was deleted, or its rows stand elsewhere now */
};
struct offline_file {
    uint64_t file_id, size, created_lsn;
    char name[64];
    struct section_file *handle;
    struct offline_section *sections;
    uint32_t section_count;
};
struct offline_project {
    uint64_t id;
    struct names *events, *properties;
    struct id_graph *ids;
    struct id_view *view;
    uint32_t event_count, property_count, id_count, link_count;
};
struct offline {
    struct os_fs *fs; /* for reading only */
    struct finding_sink sink;
    struct cache *cache;
    struct manifest manifest;
    struct offline_file *files; /* as in the manifest; handle NULL: cannot be opened */
    size_t file_count;
    struct offline_project *projects; /* ascending by id */
    size_t project_count;
    uint64_t catalog_bytes[CATALOG_KINDS]; /* by enum catalog_kind */
    bool catalogs_damaged; /* names and ids are not complete: nothing can be said about numbers in rows */
};

struct offline_options {
    struct os_fs *fs;
    size_t cache_bytes; /* for blocks */
    struct finding_sink sink;
};
/* NOT_FOUND when there is no manifest, UNSUPPORTED when a newer version made it, CORRUPT when no manifest can be read,
 * LIMIT. Everything else is reported to the sink. */
enum status offline_open(const struct offline_options *options, struct error *error,
                         struct offline **ret_offline) MUST_USE;
void offline_free(struct offline *offline);
struct offline_project *offline_project(const struct offline *offline, uint64_t id); /* NULL: unknown */

/* A section file by itself, without a manifest: its own footer is believed. *ret_files gets one file, to be freed with
 * offline_file_fini. `node` NULL: any data directory's. */
enum status offline_open_file(struct os_fs *fs, const char *name, struct cache *cache, const unsigned char *node,
                              const struct finding_sink *sink, struct error *error,
                              struct offline_file *ret_file) MUST_USE;
void offline_file_fini(struct offline_file *file);

/* Bytes of a whole file, malloc'd, not more than `bytes_max`. */
enum status offline_read(struct os_fs *fs, const char *name, uint64_t bytes_max, struct error *error, char **ret_bytes,
                         uint64_t *ret_size) MUST_USE;

#define SECTION_MAGIC         "CAIRNSEC"
#define CATALOG_MAGIC         "CAIRNCAT"
#define DELETE_MAGIC          "CAIRNDEL"
#define SECTION_TRAILER_BYTES 32
