#pragma once
/*
 * Sections: immutable sorted rows of one project in one time window (docs/formats/section.md). The same bytes serve in
 * RAM (a freshly sealed memtable) and in a file. A section is reference-counted and may be read from any thread; the
 * builder belongs to one.
 */
#include "store/cache.h"

#define SECTION_ROWS_MAX (1u << 26)
#define SECTION_LOG2_MAX 15 /* windows of up to 2^15 days */

struct section_event {
    uint32_t event_id, rows, first_row, persons;
    int64_t time_min_ms, time_max_ms;
    struct section_ref table, statistics; /* statistics.h */
};

/* An open section file, shared by its sections; unlinked by the store when no version needs it, closed with the last
 * reference. */
struct section_file {
    _Atomic uint32_t refs;
    struct os_file *file;
    uint64_t file_id;
    /* The applier's: what of the file counts, and the oldest deletion of a row in a section that does not. */
    uint32_t sections_live;
    uint64_t bytes, bytes_live;
    uint64_t marked_lsn; /* UINT64_MAX: none */
    int64_t marked_ms;
};
struct section_file *section_file_ref(struct section_file *file);
void section_file_unref(struct section_file *file);

struct section {
    _Atomic uint32_t refs;
    uint64_t project;
    int64_t window_day; /* first day of the window */
    uint32_t window_log2, rows, event_count, links_applied;
    int64_t time_min_ms, time_max_ms;
    struct section_event *events;       /* ascending by event id */
    struct section_ref filter, persons; /* read when asked; persons: file sections only */
    uint32_t filter_kind;
    uint64_t bytes;  /* of the whole section */
    uint64_t lsn;    /* file sections: holds rows up to here; what is newer stands in sections with a greater one */
    int64_t made_ms; /* file sections: when it was written */
    /* where the objects are: an image in RAM, or a range of a file */
    char *image;
    struct pile *pile; /* of a section in RAM that is neither sorted nor encoded yet: it has no objects (pile.h) */
    struct section_file *file;
    uint64_t file_base;
    uint32_t ordinal; /* in the file */
    struct cache *cache;
};

static inline bool section_in_ram(const struct section *section)
{
    return !section->file;
}

/* Takes over the image. */
enum status section_open_image(struct buf *image, struct section_ref directory, uint64_t project, struct error *error,
                               struct section **ret_section) MUST_USE;
/* Reads the directory. The caller sets lsn and made_ms. */
enum status section_open_file(struct section_file *file, struct cache *cache, uint64_t base, uint64_t size,
                              struct section_ref directory, uint64_t project, uint32_t ordinal, struct error *error,
                              struct section **ret_section) MUST_USE;
struct section *section_ref_take(struct section *section);
void section_unref(struct section *section);
/* The bytes of an object, pinned. */
enum status section_fetch(const struct section *section, struct section_ref ref, struct error *error,
                          struct pinned *ret) MUST_USE;
/* False only when no row has the duplicate key (dedup_key) or person. Reads the filter or set through the cache; an
 * error there is an answer of true. */
bool section_filter_has(const struct section *section, uint64_t key);
bool section_has_person(const struct section *section, uint32_t person);
/* The run of an event, or NULL. */
const struct section_event *section_find_event(const struct section *section, uint32_t event_id);

/* --- building --- */

struct section_builder;
/* Rows of one run, sorted by (person, time, arrival). */
struct section_rows {
    uint32_t count;
    const uint32_t *persons, *ids;
    const int64_t *times_ms, *received_ms;
    const struct value *insert_ids; /* STRING or INT */
    const uint8_t *flags;
    const uint64_t *keys; /* dedup_key of those with a STRING; NULL: not known */
};
struct section_plan {
    int64_t window_day;
    uint32_t window_log2, links_applied;
    uint32_t keys; /* rows that may have an insert id; a filter is sized by them */
    bool for_file; /* with a set of persons */
    bool piece;    /* see section_builder_join */
    unsigned threads; /* that may take part in what has the whole section to do with; 0 is 1 */
    size_t bytes_max;
    /* Where the bytes go, see store/out.h; NULL: an image in RAM. */
    enum status (*write)(void *context, struct str bytes);
    void *context;
};
struct section_builder *section_builder_new(const struct section_plan *plan);
void section_builder_free(struct section_builder *builder);
/* Runs come in ascending order of event id, columns in ascending order of property; values may point anywhere until the
 * call returns. A column in which every value is ABSENT is skipped. The dense form takes a value for each row of the
 * run, the other one the `present` rows (ascending) that have one. */
enum status section_builder_run(struct section_builder *builder, uint32_t event_id,
                                const struct section_rows *rows) MUST_USE;
enum status section_builder_column(struct section_builder *builder, uint32_t property,
                                   const struct value *values) MUST_USE;
enum status section_builder_sparse(struct section_builder *builder, uint32_t property, const uint32_t *rows,
                                   const struct value *values, uint32_t present) MUST_USE;
/* Typed columns: `presence` has a bit per row, NULL: all have a value. Codes are 0 for absent or the number, from 1, of
 * one of the entries, which strictly ascend by value_cmp. */
enum status section_builder_ints(struct section_builder *builder, uint32_t property, const int64_t *values,
                                 const uint64_t *presence) MUST_USE;
enum status section_builder_doubles(struct section_builder *builder, uint32_t property, const double *values,
                                    const uint64_t *presence) MUST_USE;
enum status section_builder_codes(struct section_builder *builder, uint32_t property, const struct value *entries,
                                  uint32_t entry_count, const uint32_t *codes) MUST_USE;
enum status section_builder_run_end(struct section_builder *builder) MUST_USE;
uint32_t section_builder_rows(const struct section_builder *builder); /* in finished runs */
/* Runs of one section may be built by several threads at once: each in a builder of its own with plan.piece (and
 * for_file, without `write`), which gets one run and keeps it in memory. Joining puts a finished piece behind the runs
 * that the section has, with the very bytes that building the run there would have made. The piece is of no use then.
 */
enum status section_builder_join(struct section_builder *builder, struct section_builder *piece) MUST_USE;
/* The place of the directory and the size of the whole. *ret_image is the image when there is no callback; with one
 * everything has been handed to it. */
enum status section_builder_finish(struct section_builder *builder, struct buf *ret_image,
                                   struct section_ref *ret_directory, uint64_t *ret_size) MUST_USE;

/* The duplicate key of an event that came with an insert id. */
uint64_t dedup_key(uint32_t event_id, uint32_t id, int64_t time_ms, struct str insert_id);
