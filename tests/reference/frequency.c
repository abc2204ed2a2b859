/*
 * How often: for each person and bucket the list of its hours or days that an event of his falls in. Written from
 * src/query/frequency.h and docs/api/retention.md.
 */
#include "reference/answer.h"
#include "reference/days.h"

#include <stdlib.h>

/* What counts together: a person, a bucket, and a label or (SIZE_MAX) all. */
struct activity {
    size_t person, bucket, label;
    int64_t *units;
    size_t unit_count;
};
struct counting {
    const struct plan *plan;
    struct arena *arena;
    struct ref_days days;
    struct ref_texts people, labels;
    uint64_t *tally; /* by label: events */
    size_t tally_count;
    struct activity *activities;
    size_t count;
};

static void *grown(struct arena *arena, const void *items, size_t count, size_t size)
{
    void *copy = ref_alloc(arena, (count + 1) * size);
    if (count) memcpy(copy, items, count * size);
    return copy;
}

static void note(struct counting *c, size_t person, size_t bucket, size_t label, int64_t unit)
{
    size_t at = 0, known = 0;
    while (at < c->count && !(c->activities[at].person == person && c->activities[at].bucket == bucket &&
                              c->activities[at].label == label))
        at++;
    if (at == c->count) {
        c->activities = grown(c->arena, c->activities, c->count++, sizeof *c->activities);
        c->activities[at] = (struct activity){person, bucket, label, NULL, 0};
    }
    struct activity *activity = &c->activities[at];
    while (known < activity->unit_count && activity->units[known] != unit) known++;
    if (known < activity->unit_count) return;
    activity->units = grown(c->arena, activity->units, activity->unit_count, sizeof *activity->units);
    activity->units[activity->unit_count++] = unit;
}

/* The place of the label of one more event. */
static size_t count_event(struct counting *c, struct str label)
{
    size_t place = ref_text_place(&c->labels, c->arena, label);
    if (place == c->tally_count) c->tally = grown(c->arena, c->tally, c->tally_count++, sizeof *c->tally);
    c->tally[place]++;
    return place;
}

/* As the calendar has it. */
static uint32_t units_of(const struct plan *plan, struct str label)
{
    int y, m, d, year = atoi(label.data), month = atoi(label.data + 5);
    uint32_t days = plan->unit == UNIT_WEEK ? 7 : 1;
    if (plan->unit == UNIT_MONTH) {
        for (days = 27, m = month; m == month; days++) ref_date(ref_days(year, month, 1) + days + 1, &y, &m, &d);
    }
    return days * (plan->active_unit == UNIT_HOUR ? 24 : 1);
}

const char *ref_frequency(const struct reference *reference, const struct plan *plan, struct arena *arena,
                          struct frequency *ret_result)
{
    struct counting c = {.plan = plan, .arena = arena};
    struct ref_question q;
    if (!ref_ask(&q, reference, plan, arena)) return q.refused;
    c.days = ref_days_of(plan, arena);
    const struct ref_event *event = ref_matching(&q, reference->first);
    for (; event; event = ref_matching(&q, event->next)) {
        struct ref_local at = ref_local(event->time_ms);
        int64_t unit = plan->active_unit == UNIT_HOUR ? at.day * 24 + at.hour : at.day;
        size_t bucket = ref_day_bucket(&c.days, plan, arena, event->time_ms), label_count = 0;
        struct str *labels = NULL;
        if (q.on) labels = ref_labels(arena, ref_value_of(&q, "on, in a row", q.on, event), &label_count);
        bool nobody = !event->id.data;
        size_t person = nobody ? 0 : ref_text_place(&c.people, arena, ref_person(reference, event->id));
        if (!nobody) note(&c, person, bucket, SIZE_MAX, unit);
        for (size_t i = 0; i < label_count; i++) {
            size_t label = count_event(&c, labels[i]);
            if (!nobody) note(&c, person, bucket, label, unit);
        }
    }
    if (q.refused) return q.refused;

    struct frequency result = {.arena = arena, .bucket_count = (uint32_t)c.days.count};
    result.buckets = ref_alloc(arena, c.days.count * sizeof *result.buckets);
    result.lengths = ref_alloc(arena, c.days.count * sizeof *result.lengths);
    for (size_t b = 0; b < c.days.count; b++) {
        result.buckets[b] = c.days.buckets[b].label;
        result.lengths[b] = units_of(plan, result.buckets[b]);
        if (result.lengths[b] > result.width) result.width = result.lengths[b];
    }
    size_t cells = c.days.count * result.width;
    uint64_t **counts = ref_alloc(arena, c.labels.count * sizeof *counts);
    for (size_t l = 0; l < c.labels.count; l++) counts[l] = ref_alloc(arena, cells * sizeof **counts);
    result.overall.counts = ref_alloc(arena, cells * sizeof(uint64_t));
    for (size_t i = 0; i < c.count; i++) {
        const struct activity *activity = &c.activities[i];
        uint64_t *to = activity->label == SIZE_MAX ? result.overall.counts : counts[activity->label];
        for (size_t u = 0; u < activity->unit_count; u++) to[activity->bucket * result.width + u]++;
    }
    struct ref_ranked *ranked = ref_rank(arena, &c.labels, c.tally);
    result.label_count = (uint32_t)c.labels.count;
    result.series_count = result.label_count < plan->limit ? result.label_count : plan->limit;
    result.series = ref_alloc(arena, result.series_count * sizeof *result.series);
    for (uint32_t i = 0; i < result.series_count; i++)
        result.series[i] = (struct frequency_series){ranked[i].label, counts[ranked[i].place]};
    *ret_result = result;
    return NULL;
}
