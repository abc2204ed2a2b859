#pragma once
/*
 * Answers. Tables (SEGMENT, TOP_VALUES, PROPERTIES) come whole, in an arena of their own; events (FEED, EXPORT) come
 * one by one through a sink, so that an answer may be larger than memory.
 */
#include "base/arena.h"
#include "column/value.h"
#include "query/plan.h"

#include <math.h>

/* --- SEGMENT: labels × buckets --- */

/* Counts for COUNT and UNIQUE, numbers for all other measures. */
enum cell_type { CELL_COUNT, CELL_NUMBER };

struct series {
    struct str label;
    /* One a bucket, in one of the two, as struct segmentation says; the other is NULL. */
    uint64_t *counts;
    double *numbers; /* NaN: there is none */
};
struct segmentation {
    struct arena *arena;
    enum cell_type cell_type;
    uint32_t bucket_count;
    struct str *buckets;   /* `2024-01-31` or `2024-01-31 13:00:00`, ascending */
    struct series *series; /* most events first; ranges of numbers ascend */
    uint32_t series_count;
    uint32_t label_count; /* before `limit` */
    /* With a second expression its labels, most events first: series i is that of by[i % by_count], and labelled by the
     * first. Else by_count is 0. */
    struct str *by;
    uint32_t by_count, by_label_count;
};
void segmentation_free(struct segmentation *result);

static inline enum cell_type cell_type_of(enum plan_measure measure)
{
    return measure == MEASURE_COUNT || measure == MEASURE_UNIQUE ? CELL_COUNT : CELL_NUMBER;
}
/* False when the cell holds nothing. Counts are exact up to 2^53. */
static inline bool series_number(const struct series *series, uint32_t bucket, double *ret_number)
{
    double number = series->counts ? (double)series->counts[bucket] : series->numbers[bucket];
    if (isnan(number)) return false;
    *ret_number = number;
    return true;
}

/* --- TOP_VALUES, PROPERTIES --- */

struct top_value {
    struct str label;
    uint64_t count; /* events */
};
struct top_values {
    struct arena *arena;
    struct top_value *values; /* most events first, ties by label */
    uint32_t value_count;
    uint32_t label_count; /* before `limit` */
};
void top_values_free(struct top_values *result);

/* --- FEED, EXPORT: events --- */

/* The same object for all rows that have the property. */
struct row_name {
    struct str text, json; /* json: `"text":`, with what JSON escapes */
};
struct row_property {
    const struct row_name *name;
    struct value value; /* never ABSENT */
};
/* One event. It and all it points to are the executor's, good until the sink returns. */
struct event_row {
    struct str event;
    int64_t time_ms;
    struct str distinct_id; /* as sent; empty for an event of nobody */
    struct str user;        /* the id that is shown for the person now; empty likewise */
    struct str insert_id;   /* as sent, or 16 hexadecimal digits when none was */
    bool insert_id_sent;
    bool imported;                         /* came in through /import */
    int64_t received_ms;                   /* whole seconds */
    const struct row_property *properties; /* each once, in no promised order */
    size_t property_count;
    /* With plan->rows_as_json an executor may give the properties as text instead, each as `,"name":value`; else NULL
     * data. */
    struct str json;
};
/* Called for each event, on the thread that reads. Anything but OK ends the read, which returns it. */
struct row_sink {
    enum status (*row)(struct row_sink *sink, const struct event_row *row, struct error *error);
};
