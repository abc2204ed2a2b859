#pragma once
/*
 * The mutable state of one project: its names, ids, memtable and live sections. Everything here belongs to the applier,
 * which applies log records in order; readers get snapshots (version.h).
 */
#include "store/memtable.h"
#include "store/row_reader.h"
#include "store/store.h"
#include "store/version.h"

/* A section that counts, and the rows deleted in it. */
struct live {
    struct section *section;
    struct deletes *deletes;    /* as published */
    struct deletes *saved;      /* of a shadow (profiles.h): as of the last flush; NULL: none */
    roaring_bitmap_t *pending;  /* marks since then; NULL: none */
    bool unsaved;               /* marks that no delete file holds */
    uint64_t marked_lsn;        /* of the oldest mark; 0: not known, and older than any that is */
    int64_t marked_ms;          /* the clock then; 0: no marks */
    bool compacting;            /* being merged into another */
    bool bad;                   /* cannot be read: is not compacted */
    uint32_t moved_per_million; /* persons that were merged into others, as of surveyed_links */
    uint32_t surveyed_links;
};

/* Makes the pending marks part of what the next snapshot sees. */
void live_publish_deletes(struct live *live);
void live_fini(struct live *live);

struct key_mark {     /* a row that was deleted while its section was being rewritten */
    uint64_t file_id; /* the file it is in now; 0: the flush is under way */
    uint32_t event, id;
    int64_t time_ms;
    struct str insert_id; /* malloc'd */
};

struct update_debts;
struct delete_order;
struct delete_debt { /* a delete that could not read the section */
    struct delete_order *order;
    struct section *section;
};
#define PROJECT_REWRITES_MAX 64u

struct late_marks { /* rows deleted in a section that was replaced, which could not be found in what replaced it so far
                     */
    struct section *from;
    roaring_bitmap_t *rows;
    struct id_view *ids; /* with which it was replaced */
    uint64_t file_id;    /* of what replaced it */
    uint64_t lsn;
    int64_t ms;
};

struct project {
    uint64_t id;
    struct names *events, *properties;
    struct id_graph *ids;
    struct memtable mem;
    struct live *live; /* older first; RAM sections behind file sections */
    size_t live_count, live_capacity;
    struct snapshot *published;
    bool changed;         /* since `published` */
    bool dropped;         /* its events were forgotten for good */
    bool catalogued;      /* dropped, and catalog files may hold its names and ids */
    bool names_exhausted; /* and that was logged */
    /* a flush that is under way */
    bool flushing;
    size_t flush_first, flush_count; /* live[flush_first .. +count) are its inputs */
    struct key_mark *marks;
    size_t mark_count, mark_capacity;
    /* deletes (delete.h) */
    uint64_t holds[PROJECT_REWRITES_MAX]; /* stamps of the rewrites that are under way */
    uint32_t hold_count;
    struct delete_order **orders; /* those since the oldest of them; the last one has stamp order_next - 1 */
    size_t order_count, order_capacity;
    uint64_t order_next, flush_stamp;
    struct delete_debt *owed;
    size_t owed_count, owed_capacity;
    uint64_t forgot_lsn; /* of the oldest person that was forgotten but whose ids are in catalog files; 0: none */
    int64_t forgot_ms;   /* the clock then */
    struct update_debts *update_debts; /* project_update.h; NULL: none */
    /* compaction (project_compact.c) */
    struct id_view *flushed_ids; /* as of the last flush; NULL: none since the start of an empty project */
    uint32_t flushed_links;
    struct late_marks *late;
    size_t late_count, late_capacity;
    /* what the catalog files hold */
    uint32_t saved_events, saved_properties;
    struct id_mark saved_ids;
    uint64_t flushed_lsn; /* of the last flush that took it in */
};

#define DELETE_RESULTS_MAX 1024u
struct delete_result { /* what became of a request to delete */
    uint64_t project, request, lsn, rows;
    uint32_t owed; /* sections that could not be read */
};
struct delete_results { /* newest last; the oldest are dropped */
    struct delete_result items[DELETE_RESULTS_MAX];
    uint64_t count;
};

struct project_context { /* the store's side */
    const struct store_options *options;
    uint64_t duplicates, events, probe_failures;
    size_t memory_bytes;               /* of all projects, a moment ago */
    uint64_t updates, update_left_out; /* of profiles; properties that the limits left out */
    struct row_readers readers;
    uint64_t deleted, deleted_flushed; /* rows that deletes marked; how many of them when the last flush began */
    struct delete_results results;
};

struct project *project_new(uint64_t id);
void project_free(struct project *project);

/* Applies the body of an EVENTS, LINK or UNLINK record. `seq` is the LSN of the record; `frame` holds the bytes of
 * `body`. LIMIT when memory refuses: the caller cannot go on. Clusters of the original mode that became one are in
 * `merges`, in the order in which they did: their profiles are to become one, too. */
struct profile_merge { /* texts in the arena */
    struct str from, to;
    int64_t received_ms;
};
struct profile_merges {
    struct profile_merge *items; /* in the arena */
    size_t count, capacity;
};
enum status project_apply_events(struct project *project, struct project_context *context, struct frame_bytes *frame,
                                 struct str body, uint64_t seq, struct arena *arena, struct profile_merges *merges,
                                 struct error *error) MUST_USE;
enum status project_apply_link(struct project *project, struct project_context *context, struct str body,
                               struct arena *arena, struct profile_merges *merges, struct error *error) MUST_USE;
enum status project_apply_unlink(struct project *project, struct project_context *context, struct str body,
                                 struct error *error) MUST_USE;
/* Turns the memtable into a RAM section that is a pile, or an image when piles would take too much memory. Of a shadow
 * always an image: profiles are looked for, and read, one at a time and at any time, and a pile has no order for that.
 */
enum status project_pile(struct project *project, struct project_context *context, struct error *error) MUST_USE;
/* Makes an image of a RAM section that is a pile, unless none of its rows lives. */
enum status project_sort_pile(struct project *project, size_t index, struct error *error) MUST_USE;
/* Turns the memtable and all piles into images, and merges images when many small ones have gathered. */
enum status project_seal(struct project *project, struct project_context *context, struct error *error) MUST_USE;
/* The current state as a snapshot; seals first. */
enum status project_publish(struct project *project, struct project_context *context, struct error *error,
                            struct snapshot **ret_snapshot) MUST_USE;
/* Marks a row of live[index] as deleted, also in what it is being rewritten to. */
enum status project_mark_row(struct project *project, size_t index, uint32_t row, uint64_t lsn, uint32_t event,
                             uint32_t id, int64_t time_ms, struct str insert_id) MUST_USE;
/* Deletes the stored row with the four fields of `new`, whose hash is `key`, if there is one. At most one can live. */
enum status project_replace_stored(struct project *project, struct project_context *context, const struct mem_row *new,
                                   uint64_t key, bool *ret_replaced) MUST_USE;
/* Repeats in rewritten files what was marked meanwhile. What a disk error prevents is tried again with the next
 * snapshot or flush: until then the replaced row shows, to those who can read its block. */
void project_repeat_marks(struct project *project);
/* Those of a flush that came to nothing. */
void project_forget_new_marks(struct project *project);
bool project_row_is_dead(const struct project *project, size_t index, uint32_t row);
/* The rows of a section that a compaction may leave out and save as deleted, with a reference; NULL: none. Of a shadow
 * only what the last flush saved, see project_update.h; of others all that are marked now. */
struct deletes *project_durable_deletes(const struct project *project, struct live *live);
/* The number of a property; UINT32_MAX when the catalog is full: then the property is left out. */
enum status project_intern_property(struct project *project, const struct project_context *context, struct str name,
                                    uint32_t *ret) MUST_USE;
/* Says so, once. */
void project_names_exhausted(struct project *project, const char *kind);
/* Adds a section behind the others; takes over the reference. */
enum status project_add_section(struct project *project, struct section *section, struct deletes *deletes) MUST_USE;
/* Forgets all events and everything learnt from them. */
void project_clear(struct project *project);

size_t project_memory(const struct project *project);
uint64_t project_memory_rows(const struct project *project);

/* Flushing: begin gives the inputs and freezes them; end replaces them by file sections. */
enum status project_flush_begin(struct project *project, struct version_section **ret_inputs,
                                size_t *ret_count) MUST_USE;
/* LIMIT when memory refuses. */
enum status project_flush_end(struct project *project, struct section *const *sections, size_t count,
                              struct error *error) MUST_USE;
void project_flush_abort(struct project *project);

/* --- compaction (project_compact.c) --- */

struct compact_options;
struct compact_layout;
struct compact_run;
struct project_runs {
    struct compact_run *runs;
    size_t *first; /* the run's first section in live[]; [count] is behind the last */
    size_t count;
};
/* The file sections as the picker sees them. */
enum status project_runs(const struct project *project, struct project_runs *ret_runs) MUST_USE;
void project_runs_fini(struct project_runs *runs);
enum status project_layout(const struct project *project, int64_t now_ms, const struct compact_options *options,
                           struct compact_layout **ret_layout) MUST_USE;
/* Sorts the file sections by age; after the start. */
void project_sort_sections(struct project *project);
/* Notes the ids as they are in the catalog files now. */
void project_note_flushed(struct project *project, struct id_view *ids, uint32_t links);
/* The project's section, or NULL when it is not live any more. */
struct live *project_find_live(struct project *project, const struct section *section);

struct project_rewrite {
    const struct version_section *inputs; /* with what was deleted when the outputs' marks were made */
    size_t input_count;
    struct id_view *ids;
    struct section *const *outputs;
    roaring_bitmap_t *const *marked; /* rows of each, already durable; NULL: none */
    size_t output_count;
    uint64_t lsn; /* no deletion that is not in the inputs' is older */
    int64_t ms;
};
/* Puts the outputs in the place of the inputs. */
enum status project_replace(struct project *project, const struct project_rewrite *rewrite,
                            struct error *error) MUST_USE;
/* Tries again what could not be forwarded. */
void project_forward_late(struct project *project);
void project_compact_clear(struct project *project);
