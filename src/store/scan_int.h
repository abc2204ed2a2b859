#pragma once
/* What scan.c and scan_column.c share. */
#include "store/run.h"
#include "store/store.h"
#include "store/version.h"

struct scan {
    struct snapshot *snapshot;
    struct scan_options options;
    uint32_t *events; /* own copy */
    struct arena *arena;
    size_t section; /* index of the current one */
    uint32_t event; /* position after the current run: in the section's events, or in `events` */
    bool open, have_persons, have_ids, have_times, have_live, have_segments;
    struct run run;
    uint32_t vector, rows;
    uint32_t *persons, *ids;
    int64_t *times, *received, *scratch;
    uint8_t *flags, *live;
    uint32_t *properties;
    /* scan_column.c */
    uint32_t *minutes, *milliseconds, *codes, *stored_persons;
    uint8_t starts[VECTOR_ROWS_MAX];
    uint32_t segment_persons[VECTOR_ROWS_MAX + SCAN_PAD], segment_count;
    const uint32_t *segment_ends; /* the run's */
    double *numbers;
    /* scan_pick.c */
    uint32_t picked_count, picked[SCAN_PICKS_MAX];
    uint32_t picked_ordinals[SCAN_PICKS_MAX], picked_persons[SCAN_PICKS_MAX]; /* as stored */
};

static inline const struct version_section *scan_section(const struct scan *scan)
{
    return &scan->snapshot->sections[scan->section];
}
