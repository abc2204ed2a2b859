#pragma once
/*
 * Which people of a project are out of proportion, told from the files of a data directory that may be in use: those
 * with very many rows, which are seldom people (a constant that a client sends, a bot, the device of a kiosk), and
 * those with very many ids. What lies in memory only is not counted. One thread.
 */
#include "base/arena.h"
#include "store/offline.h"

#define PEOPLE_REPORT_MAX 200u

struct people_report_options {
    uint64_t rows_min; /* a heavy person has so many rows at least ... */
    double share_min;  /* ... and this share of the project's */
    uint32_t ids_min;  /* a large one has so many ids */
    uint32_t list_max; /* of either kind, largest first; at most PEOPLE_REPORT_MAX */
    size_t memory_bytes_max;
};
struct people_report_entry {
    struct str shown; /* the id that is shown for the person */
    uint64_t rows;
    uint32_t ids;
};
struct people_report {
    uint64_t rows, rows_of_nobody; /* in files, deleted ones that are still there included */
    uint32_t ids;                  /* all, that were not forgotten */
    uint32_t heavy_count, large_count, largest_ids;
    struct people_report_entry *heavy, *large; /* in the arena */
};
/* Of a project whose catalogs are whole. */
enum status people_report(const struct offline *offline, const struct offline_project *project,
                          const struct people_report_options *options, struct arena *arena, struct error *error,
                          struct people_report *ret_report) MUST_USE;
