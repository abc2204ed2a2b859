#pragma once
/*
 * Catalog files (docs/formats/catalog.md): names, ids and links of all projects, in blocks that are checked one by one.
 * A block holds a range of one kind, such as the ids from 17001 on; the index at the end of the file says where it
 * lies and what its checksum is, and the manifest holds the checksum of the index.
 *
 * A flush gathers what is new in a catalog_out, catalog_join writes that, together with older files if there are too
 * many of them, as one file, and catalog_load reads all files at start.
 */
#include "base/buf.h"
#include "store/manifest.h"

enum catalog_kind {
    CATALOG_EVENTS = 1,
    CATALOG_PROPERTIES,
    CATALOG_IDS,
    CATALOG_LINKS,
    CATALOG_WEIGHTS,
    CATALOG_FORGOTTEN,
    CATALOG_SOURCES
};

#define CATALOG_KINDS (CATALOG_SOURCES + 1)

/* Blocks end before they are larger than this, unless one entry is. */
#define CATALOG_BLOCK_BYTES ((size_t)1 << 20)

struct catalog_block {
    uint64_t project, first, count; /* first: the number of the first entry; of WEIGHTS and FORGOTTEN 0 */
    uint64_t offset, size, check;
    uint32_t kind;
};

/* --- gathering, in memory --- */

struct catalog_out {
    struct buf bytes; /* of the blocks, back to back */
    struct catalog_block *blocks;
    size_t count, capacity;
    bool failed;
};
void catalog_out_init(struct catalog_out *out, size_t bytes_max);
void catalog_out_fini(struct catalog_out *out);
/* A block begins behind what is in out->bytes; what is written there until catalog_end, which is told the number of
 * entries, is its content. Without entries there is no block. */
void catalog_begin(struct catalog_out *out, uint64_t project, enum catalog_kind kind, uint64_t first);
void catalog_end(struct catalog_out *out, uint64_t count);
/* LIMIT when anything did not fit. */
enum status catalog_out_status(const struct catalog_out *out) MUST_USE;

/* --- files --- */

#define CATALOG_INDEX_ENTRY (8 + 4 + 5 * 8)

struct catalog_file {
    char name[64];        /* for errors */
    struct os_file *file; /* the caller's, to be closed after catalog_fini; NULL: the blocks are in memory */
    const char *bytes;    /* then: what the offsets count from */
    struct catalog_block *blocks;
    size_t count;
};
/* What was gathered, as if it were a file; lives as long as `out`. */
void catalog_of_out(const struct catalog_out *out, struct catalog_file *ret_catalog);
/* Reads and checks header and index. Every block lies within the file, and the sum of the counts is no more than the
 * file's bytes. CORRUPT, UNSUPPORTED. The errors name the file as `name`. */
enum status catalog_open(struct os_file *file, const char *name, const struct manifest_file *expected,
                         const unsigned char node[16], struct error *error, struct catalog_file *ret_catalog) MUST_USE;
void catalog_fini(struct catalog_file *catalog);
/* The block's bytes, checked, to `to`. */
enum status catalog_read(const struct catalog_file *catalog, const struct catalog_block *block, char *to,
                         struct error *error) MUST_USE;

/* A block and its file. Sorted: by project and kind, and of these older files first. */
struct catalog_ref {
    const struct catalog_file *file;
    const struct catalog_block *block;
};
/* All blocks of the files, oldest file first. malloc'd; NULL: out of memory. */
struct catalog_ref *catalog_sorted(const struct catalog_file *files, size_t count, size_t *ret_count);

/* Writes one file that says what `sources`, oldest first, say. It is removed again on failure. */
enum status catalog_join(struct os_fs *fs, const unsigned char node[16], uint64_t file_id, uint64_t lsn,
                         const struct catalog_file *sources, size_t count, struct error *error,
                         struct manifest_file *ret_file) MUST_USE;

/* --- loading --- */

struct names;
struct id_graph;
struct catalog_target {
    struct names *events, *properties;
    struct id_graph *ids; /* empty so far */
};
struct catalog_load {
    const struct catalog_file *files; /* oldest first */
    size_t file_count;
    unsigned threads;
    /* Where a project's content goes. False: out of memory. */
    bool (*find)(void *ctx, uint64_t project, struct catalog_target *ret_target);
    void *ctx;
};
/* On failure *ret_bad is the file that it is about, if any (else NULL), and what was loaded is of no use. */
enum status catalog_load(const struct catalog_load *load, struct error *error,
                         const struct catalog_file **ret_bad) MUST_USE;
