#pragma once
/*
 * What the tests see of the reference evaluator: events go in as the JSON that a client sends, answers come
 * out. See README.md.
 *
 * Everything lives in the arena that the reference was made with. Running out of memory ends the program:
 * this is a test. One thread: the zone of a question is set in the environment (TZ) while it is answered.
 */
#include "base/arena.h"
#include "base/json.h"

enum reference_mode { REFERENCE_SIMPLIFIED, REFERENCE_BY_DISTINCT_ID };
enum reference_unit {
    REFERENCE_MINUTE,
    REFERENCE_HOUR,
    REFERENCE_DAY,
    REFERENCE_WEEK,
    REFERENCE_MONTH,
    REFERENCE_DAYS
};
enum reference_measure { REFERENCE_COUNT, REFERENCE_UNIQUE, REFERENCE_AVERAGE };

struct reference;

struct reference *reference_new(struct arena *arena, enum reference_mode mode);
/* One event: {"event":NAME,"properties":{…}}. */
void reference_track(struct reference *reference, const struct json *event, int64_t received_ms);
/* A link that was asked for by itself: a device (`$device:D1`) and a user. `either_way` when the order does
 * not matter. */
void reference_link(struct reference *reference, struct str device, struct str user, bool either_way);

struct reference_query {
    struct str event, where, on; /* NULL data: any event, no expression */
    const char *zone;
    int64_t from_day, to_day; /* days since 1970-01-01, inclusive */
    enum reference_unit unit;
    unsigned interval_days;
    enum reference_measure measure;
    uint32_t limit;
    int64_t now_ms;
};

struct reference_series {
    struct str label;
    double *values;
};
struct reference_answer {
    const char *refused; /* why there is no answer, or NULL */
    size_t bucket_count, series_count, label_count;
    struct str *buckets;
    struct reference_series *series;
};
/* The answer lives in `arena`, which need not be that of the reference. */
struct reference_answer reference_segment(struct reference *reference, struct arena *arena,
                                          const struct reference_query *query);

/* One expression over one row (properties as an object), as JSON; the word `undefined`, or `error` when it is
 * refused. `bare` allows a word alone, as in on=plan. */
struct str reference_evaluate(struct arena *arena, struct str text, const struct json *row, const char *zone,
                              int64_t now_ms, bool bare);
