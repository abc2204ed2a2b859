#pragma once
/*
 * Whole events: the current vector of a scan as rows with all their properties. The scan and the snapshot are the
 * caller's. Memory: one block of each property of a run.
 */
#include "query/native/select.h"

struct rows {
    struct snapshot *snapshot;
    struct scan *scan;
    struct arena *arena; /* of the current run */
    const struct scan_run *run;
    const uint32_t *properties; /* of the run */
    size_t property_count;
    struct vector *vectors;   /* by property */
    struct row_property *one; /* of the row that was read last */
    const int64_t *times, *received;
    const uint32_t *persons, *ids;
    const uint8_t *flags;
    struct vector insert_ids;
    char insert_text[17];
};
enum status rows_init(struct rows *rows, struct selection *selection, struct error *error) MUST_USE;
void rows_fini(struct rows *rows);
/* Goes to a run, which must outlive its reading. */
enum status rows_run(struct rows *rows, const struct scan_run *run, struct error *error) MUST_USE;
/* Goes to a vector and says how many rows it has; decodes nothing yet. */
enum status rows_vector(struct rows *rows, uint32_t vector, struct error *error, uint32_t *ret_count) MUST_USE;
/* Decodes what rows_get needs. */
enum status rows_load(struct rows *rows, struct error *error) MUST_USE;
/* Good until the next call. */
void rows_get(struct rows *rows, uint32_t row, struct event_row *ret_row);
