/*
 * Export: run after run, in the order of the windows, each vector's rows that match. Nothing is kept but the place: the
 * run, the vector, the row, with the vector decoded. So memory is a block of each property, and a reader may stop
 * anywhere and go on later.
 */
#include "query/native/rows.h"

#include <stdlib.h>

struct export
{
    struct event_rows base;
    struct selection selection;
    struct rows rows;
    struct scan_run *runs;
    size_t run_count, run;
    uint32_t vector;       /* the next one of the current run */
    uint32_t row, row_end; /* of the decoded vector */
    uint64_t left;         /* until the plan's limit */
    uint8_t keep[VECTOR_ROWS_MAX];
};

static int by_window(const void *a, const void *b)
{
    const struct scan_run *x = a, *y = b;
    if (x->window_ms != y->window_ms) return x->window_ms < y->window_ms ? -1 : 1;
    if (x->section != y->section) return x->section < y->section ? -1 : 1;
    return (x->event > y->event) - (x->event < y->event);
}

/* Goes to the next row that matches; false in *ret_found at the end. */
static enum status advance(struct export *e, struct error *error, bool *ret_found)
{
    for (;;) {
        while (e->row < e->row_end && !e->keep[e->row]) e->row++;
        if (e->row < e->row_end) {
            *ret_found = true;
            return STATUS_OK;
        }
        if (e->run == e->run_count) {
            *ret_found = false;
            return STATUS_OK;
        }
        struct scan_run *run = &e->runs[e->run];
        if (e->vector == run->vectors) {
            e->run++;
            e->vector = 0;
            continue;
        }
        uint32_t rows, left;
        TRY(selection_interrupted(&e->selection, error));
        if (e->vector == 0) TRY(rows_run(&e->rows, run, error));
        TRY(rows_vector(&e->rows, e->vector, error, &rows));
        e->vector++;
        memset(e->keep, 1, rows);
        TRY(selection_keep(&e->selection, e->rows.scan, run, rows, error, e->keep, &left));
        if (!left) continue;
        TRY(rows_load(&e->rows, error));
        e->row = 0;
        e->row_end = rows;
    }
}

static enum status export_read(struct event_rows *base, uint64_t rows_max, struct row_sink *sink, struct error *error,
                               bool *ret_done)
{
    struct export *e = (struct export *)base;
    struct error local;
    struct event_row row;
    bool found = e->left > 0;
    if (!error) error = &local;
    if (found) TRY(advance(e, error, &found));
    for (; found && rows_max; rows_max--) {
        rows_get(&e->rows, e->row++, &row);
        e->left--;
        TRY(sink->row(sink, &row, error));
        found = e->left > 0;
        if (found) TRY(advance(e, error, &found));
    }
    *ret_done = !found;
    return STATUS_OK;
}

static void export_free(struct event_rows *base)
{
    struct export *e = (struct export *)base;
    rows_fini(&e->rows);
    selection_fini(&e->selection);
    free(e);
}

enum status native_export(struct native *native, const struct plan *plan, const struct plan_limits *limits,
                          struct error *error, struct event_rows **ret_rows)
{
    struct export *e = calloc(1, sizeof *e);
    if (!e) return error_set(error, STATUS_LIMIT, "out of memory for an export");
    e->base = (struct event_rows){.read = export_read, .free = export_free};
    e->left = plan->limit ? plan->limit : UINT64_MAX;
    enum status status = selection_init(&e->selection, native, plan, limits, error);
    if (status == STATUS_OK) status = rows_init(&e->rows, &e->selection, error);
    if (status == STATUS_OK) status = selection_runs(&e->selection, error, &e->runs, &e->run_count);
    if (status != STATUS_OK) {
        export_free(&e->base);
        return status;
    }
    if (e->run_count) qsort(e->runs, e->run_count, sizeof *e->runs, by_window);
    *ret_rows = &e->base;
    return STATUS_OK;
}
