#pragma once
/* What merge.c (windows, sections), merge_order.c (the order of rows) and merge_column.c (columns) share. */
#include "store/merge.h"
#include "store/run.h"

#define PLACE_NONE UINT32_MAX

/* One input while an event is merged. The event's rows go to places in a merged order; places of one window are
 * consecutive and begin at a multiple of 64. */
struct merge_input {
    const struct version_section *section;
    struct run run;
    bool open;
    uint32_t *place;                    /* by row of the run; PLACE_NONE: left out */
    uint32_t *vector_low, *vector_high; /* places of a vector's rows; low > high when there is none */
};

/* Rows that make a run of one output section: places [from, to). */
struct merge_unit {
    size_t window;
    uint32_t from, to;
    bool last; /* the section is full behind it */
};

struct merge_window {
    int64_t day;
    uint32_t log2;
    uint32_t rows; /* of the event, while it is put in order */
    struct section_builder *builder;
    uint64_t offset;
};
struct merge_day {
    int64_t day;
    size_t window;
};

struct merge {
    const struct merge_job *job;
    struct error *error;
    struct arena *arena;        /* reset per event */
    struct arena *column_arena; /* reset per column */
    struct merge_input *inputs;
    size_t bad_input;
    struct merge_piles *piles;    /* merge_pile.c: when the inputs are piles */
    struct merge_window *windows; /* ascending */
    size_t window_count;
    struct merge_day *days; /* ascending; more than one window only */
    size_t day_count;
    uint32_t rows_max, room; /* of the section being filled: one window only */
    struct merge_unit *units;
    size_t unit_count, unit_capacity;
    uint32_t places; /* of the event */
    uint64_t stream; /* bytes written before the current section */
    struct merge_output *outputs;
    size_t output_count, output_capacity;
};

/* One event into the sections; `rows`: of all inputs. */
enum status merge_event(struct merge *m, uint32_t event_id, uint64_t rows) MUST_USE;
/* Begins the section of a window; closes what an event has opened. */
enum status merge_begin_section(struct merge *m, size_t window, uint64_t rows) MUST_USE;
void merge_close_runs(struct merge *m);
/* Makes, and frees, what a merge has for itself: arenas and inputs. `m->job`, `m->error` are set before. */
enum status merge_open(struct merge *m) MUST_USE;
void merge_close(struct merge *m);
/* merge_pieces.c: all events, with job->threads threads. One window that is written as it grows. */
enum status merge_events_together(struct merge *m, const uint32_t *events, size_t count, uint64_t rows) MUST_USE;
enum status merge_no_memory(struct error *error);
/* The window of a time. */
size_t merge_window_of(const struct merge *m, int64_t time_ms);
enum status merge_add_unit(struct merge *m, size_t window, uint32_t from, uint32_t to, bool last) MUST_USE;
/* Lays the windows' rows one behind the other: bases[] by window, units. */
enum status merge_lay_out(struct merge *m, uint32_t *bases) MUST_USE;
/* Opens the event's runs and puts their rows in order: inputs' places, units. */
enum status merge_order(struct merge *m, uint32_t event_id) MUST_USE;
/* Reads, orders and writes the columns of the units [first, first + count), which end up in the builders of their
 * windows. */
enum status merge_columns(struct merge *m, uint32_t event_id, const struct merge_unit *units, size_t count) MUST_USE;
