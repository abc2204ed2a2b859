#pragma once
/* What the reports about people by days have in common: buckets, labels, who there is. */
#include "reference/question.h"

/* The buckets of a range, in the order of time, by the names that they are shown under. */
struct ref_bucket {
    struct str label;
    int64_t from_ms; /* the first instant of the range that lies in it */
};
struct ref_days {
    struct ref_bucket *buckets;
    size_t count;
    int64_t from_ms, to_ms; /* from the first instant of the range to behind the last */
};
struct ref_days ref_days_of(const struct plan *plan, struct arena *arena);
/* The bucket of an instant; `count` when it is not in the range. */
size_t ref_day_bucket(const struct ref_days *days, const struct plan *plan, struct arena *arena, int64_t time_ms);

/* The place of a text in a list that it is added to when it is new. */
struct ref_texts {
    struct str *items;
    size_t count;
};
size_t ref_text_place(struct ref_texts *texts, struct arena *arena, struct str text);

/* Labels in the order in which they are answered. */
struct ref_ranked {
    struct str label;
    uint64_t events;
    size_t place; /* among the texts */
};
struct ref_ranked *ref_rank(struct arena *arena, const struct ref_texts *labels, const uint64_t *events);
