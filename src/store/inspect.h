#pragma once
/*
 * What lies in a data directory, described: manifest, log, catalogs, and of every section its events and columns with
 * their encodings and sizes. For a person who wants to see where the bytes go. Reads only; works beside a server
 * (offline.h). Everything that is returned lives in the arena given. One thread.
 */
#include "base/arena.h"
#include "store/offline.h"
#include "store/wal.h"

struct inspect_column {
    uint32_t property; /* a core stream (chunk.h) or a property of the project */
    uint8_t encoding;
    uint16_t types;                    /* bit = enum value_type */
    uint32_t items, present, distinct; /* distinct 0: not counted */
    uint64_t bytes;                    /* blocks and dictionary */
    uint64_t dictionary_bytes;
};
struct inspect_event {
    uint32_t event_id, rows, persons;
    int64_t time_min_ms, time_max_ms;
    struct str name; /* NULL data: the catalogs do not tell */
    uint64_t bytes;  /* of the columns */
    struct inspect_column *columns;
    uint32_t column_count;
};
struct inspect_section {
    uint64_t file_id, project;
    const char *file; /* relative to the directory */
    uint32_t ordinal, window_log2, rows, deleted, links_applied;
    int64_t window_day, time_min_ms, time_max_ms;
    uint64_t bytes, column_bytes;
    bool dropped;
    struct inspect_event *events;
    uint32_t event_count;
};

/* One column over all sections of a project. */
struct inspect_total {
    uint32_t property;
    struct str name;
    uint32_t encodings; /* bit = encoding number */
    uint16_t types;
    uint64_t chunks, rows, present, bytes, dictionary_bytes; /* rows: of the runs that have the column */
};
struct inspect_project {
    uint64_t id;
    uint32_t event_names, property_names, ids, links;
    uint64_t sections, rows, deleted, persons, bytes, column_bytes;
    struct inspect_total *totals; /* most bytes first */
    size_t total_count;
};
struct inspect_log_file {
    char name[64];
    bool spare;
    bool written; /* everything in it is in section files */
    struct wal_file_info info;
    const char *problem; /* NULL: none */
};
struct inspection {
    uint64_t manifest_number, manifest_bytes, edits, flushed_lsn, next_file_id;
    uint64_t *dropped_projects;
    size_t dropped_count;
    struct inspect_log_file *log_files; /* ascending; spares last */
    size_t log_file_count;
    struct manifest_file *catalogs;
    uint64_t catalog_bytes[CATALOG_KINDS]; /* by enum catalog_kind */
    struct manifest_deletes *deletes;
    size_t catalog_count, delete_count;
    struct inspect_section *sections;
    size_t section_count;
    struct inspect_project *projects;
    size_t project_count;
    uint64_t rows, deleted, bytes; /* bytes: of section files */
};
/* What blocks of a catalog hold: "ids", "links". */
const char *inspect_catalog_kind(unsigned kind);
struct inspect_options {
    struct os_fs *fs;
    int64_t project; /* only this one; -1: all */
    struct finding_sink sink;
};
/* Errors as of offline_open; what is damaged is reported to the sink and left out. */
enum status inspect_directory(const struct inspect_options *options, struct arena *arena, struct error *error,
                              struct inspection *ret_inspection) MUST_USE;
/* One section file by itself. Its names are known when it lies in the directory `options->fs`, as `name`. */
enum status inspect_section_file(const struct inspect_options *options, const char *name, struct arena *arena,
                                 struct error *error, struct inspection *ret_inspection) MUST_USE;

/* The common header of any file. */
struct inspect_header {
    char kind[9]; /* the magic */
    unsigned version, reader_min;
    unsigned char node[16];
    uint64_t file_id, lsn, size;
};
/* CORRUPT when it is no file of ours. A newer version's is described all the same. */
enum status inspect_header(struct os_fs *fs, const char *name, struct error *error,
                           struct inspect_header *ret_header) MUST_USE;

/* Names for people: `minute`, or NULL when it is a property; `DICT`, or `encoding 77`. */
const char *inspect_core_name(uint32_t property);
const char *inspect_encoding_name(unsigned encoding, char buffer[24]);
/* `int|string`, in `buffer`. */
const char *inspect_types(uint16_t types, char buffer[96]);
