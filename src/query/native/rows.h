#pragma once
/*
 * Whole events: rows of the current vector of a scan with all their properties. What a row points to lies in an arena
 * of the caller's or belongs to the snapshot, so rows may be given away after the scan has gone on. One thread.
 */
#include "query/native/select.h"

struct rows {
    const struct selection *selection;
    struct scan *scan;
    struct arena *arena; /* of the current run */
    const struct scan_run *run;
    struct str event;
    struct arena *names_arena;
    struct row_name **all_names;   /* by property; NULL: not met yet */
    const struct row_name **names; /* of the run's properties */
    size_t property_count;
    struct value *values; /* group_rows of each property */
    struct texts *texts;  /* of each property, for rows as JSON; see rows.c */
    uint32_t *here;       /* likewise: which of them the rows at hand have */
    struct buf line;
    uint32_t group_rows; /* that are decoded at a time */
};
/* The selection must outlive it; it decides how much memory decoding may take. */
enum status rows_init(struct rows *rows, const struct selection *selection, struct error *error) MUST_USE;
void rows_fini(struct rows *rows);
/* Goes to a run, which must outlive its reading. */
enum status rows_run(struct rows *rows, const struct scan_run *run, struct error *error) MUST_USE;
/* Goes to a vector and says how many rows it has; decodes nothing yet. */
enum status rows_vector(struct rows *rows, uint32_t vector, struct error *error, uint32_t *ret_count) MUST_USE;
/* Rows of the vector by their numbers, ascending. */
enum status rows_pick(struct rows *rows, const uint32_t *picked, uint32_t count, struct arena *arena,
                      struct error *error, struct event_row *ret_rows) MUST_USE;
