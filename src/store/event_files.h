#pragma once
/*
 * The files of events/: their names, how they are written, how they are read at start.
 */
#include "store/cache.h"
#include "store/manifest.h"
#include "store/project.h"

#define EVENT_FILE_TRAILER 32
extern const char section_magic[8], catalog_magic[8], delete_magic[8], end_magic[8];

void event_file_name(char out[64], uint64_t id, const char *kind);
/* A file written in one go and synced; the directory is synced once for all files of a job. */
enum status event_file_write(struct os_fs *fs, const char *name, const struct str *pieces, size_t count,
                             struct error *error) MUST_USE;
/* Removes it, if it is there; logs what goes wrong. */
void event_file_remove(struct os_fs *fs, uint64_t id, const char *kind);

/*
 * A section file being written: section_writer_begin; for each section its bytes (any number of calls of
 * section_writer_write, at offsets that are multiples of 64 within what is written) and section_writer_add; then
 * section_writer_finish, which syncs, or section_writer_abort, which removes the file. One thread.
 */
struct written_section {
    uint64_t project, offset, size, lsn;
    int64_t made_ms;
    struct section_ref directory;
};
struct section_writer {
    struct os_fs *fs;
    struct os_file *file;
    uint64_t file_id, offset;  /* offset: the end so far */
    uint64_t bytes_per_second; /* 0: as fast as it goes */
    int64_t ready_ns;          /* when the next bytes may be written */
    struct written_section *sections;
    size_t count, capacity;
    struct error *error;
};
enum status section_writer_begin(struct section_writer *writer, struct os_fs *fs, const unsigned char node[16],
                                 uint64_t file_id, uint64_t lsn, struct error *error) MUST_USE;
/* The form of a section_out's callback; `writer` is a struct section_writer. */
enum status section_writer_write(void *writer, struct str bytes) MUST_USE;
/* Zeros up to a multiple of 64. Returns the offset. */
enum status section_writer_align(struct section_writer *writer, uint64_t *ret_offset) MUST_USE;
enum status section_writer_add(struct section_writer *writer, const struct written_section *section) MUST_USE;
enum status section_writer_finish(struct section_writer *writer, struct manifest_file *ret_file) MUST_USE;
void section_writer_abort(struct section_writer *writer);
void section_writer_fini(struct section_writer *writer);
/* Opens a file that was written just now; the sections are then opened from it by their number. */
enum status section_writer_open(const struct section_writer *writer, struct section_file **ret_file) MUST_USE;
enum status section_writer_section(const struct section_writer *writer, struct section_file *file, size_t number,
                                   struct cache *cache, struct section **ret_section) MUST_USE;

/* Writes the deleted rows of sections into one file and fills in the places of `entries`, which name sections and
 * marks. */
enum status delete_file_write(struct os_fs *fs, const unsigned char node[16], uint64_t file_id, uint64_t lsn,
                              const roaring_bitmap_t *const *rows, struct manifest_deletes *entries, size_t count,
                              struct error *error) MUST_USE;
/* The bytes of the deleted rows of one section, malloced. Memory is taken only for what the file has; `name` is for
 * errors. */
enum status delete_file_read(struct os_file *file, const char *name, const struct manifest_deletes *entry,
                             struct error *error, char **ret_bytes) MUST_USE;

/* Calls of these are in flush.h's jobs and at start: everything that the manifest lists. find(ctx, id) gives the
 * project, making it if needed. */
enum status files_load(struct os_fs *fs, struct manifest *manifest, struct cache *cache,
                       struct project *(*find)(void *ctx, uint64_t id), void *ctx, struct error *error) MUST_USE;
/* Removes files of events/ that the manifest, which must be durable, does not list: left-overs of crashes and failed
 * jobs. */
void files_sweep(struct os_fs *fs, const struct manifest *manifest);
/* Removes the delete files that were in use and are not any more. `before`: file numbers, from delete_files(). */
uint64_t *delete_files(const struct manifest *manifest, size_t *ret_count); /* malloc'd; NULL: out of memory */
void delete_files_sweep(struct os_fs *fs, const struct manifest *manifest, const uint64_t *before, size_t count);
