#pragma once
/* The answer of a segmentation: labels × buckets, in an arena of its own. */
#include "base/arena.h"
#include "query/plan.h"

struct series {
    struct str label;
    double *values; /* per bucket; counts are whole numbers */
};
struct segmentation {
    struct arena *arena;
    uint32_t bucket_count;
    struct str *buckets;   /* `2024-01-31` or `2024-01-31 13:00:00`, ascending */
    struct series *series; /* most events first */
    uint32_t series_count;
    uint32_t label_count; /* before `limit` */
};
void segmentation_free(struct segmentation *result);
