#pragma once
/*
 * The logical plan: what is asked, no word of how. The API builds it (every default and limit of Mixpanel is decided
 * there); an executor (backend.h) answers it. A plan is a value; its strings belong to whoever built it and must
 * outlive the run.
 */
#include "base/error.h"
#include "base/timezone.h"

enum plan_kind { PLAN_SEGMENT };
enum plan_unit { UNIT_MINUTE, UNIT_HOUR, UNIT_DAY, UNIT_WEEK, UNIT_MONTH, UNIT_DAYS /* buckets of interval_days */ };
enum plan_measure { MEASURE_COUNT, MEASURE_UNIQUE, MEASURE_AVERAGE };

struct plan {
    enum plan_kind kind;
    uint64_t project;
    const struct timezone_info *zone;
    int64_t from_day, to_day;           /* local days since 1970-01-01, inclusive */
    int64_t from_local_ms, to_local_ms; /* for "the last N hours": narrows the days to [from, to); both 0: whole days */
    enum plan_unit unit;
    unsigned interval_days; /* UNIT_DAYS */
    enum plan_measure measure;
    struct str event;     /* name; NULL data: any event */
    struct str where, on; /* expressions; NULL data: none */
    uint32_t limit;       /* labels to return, with `on` */
    int64_t now_ms;       /* TODAY() */
};

struct plan_limits {
    size_t memory_bytes_max;
    uint32_t buckets_max;
    int64_t deadline_ns;           /* os_monotonic_ns; INT64_MAX: none */
    const _Atomic bool *cancelled; /* NULL: cannot be */
};
