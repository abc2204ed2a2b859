/*
 * Who comes back: for each person the births, for each birth a look at every event whether it is a return, and in which
 * interval. Written from src/query/retention.h and docs/api/retention.md.
 */
#include "reference/answer.h"
#include "reference/days.h"

#include <stdlib.h>

/* What an event is for the question, found once. */
struct looked_at {
    const struct ref_event *event;
    size_t person;
    size_t born; /* the bucket that its owner may be born into by it; SIZE_MAX: it is no birth */
    bool returns;
    size_t *labels; /* with `on` */
    size_t label_count;
};
struct retaining {
    const struct plan *plan;
    struct arena *arena;
    struct ref_days days;
    struct looked_at *events;
    size_t count;
    struct ref_texts people, labels;
    struct retention result;
    uint64_t **counts; /* by label, as in struct retention_series */
    uint64_t *tally;   /* by label: events */
    size_t tally_count;
};

/* The place of the label of one more event. */
static size_t count_event(struct retaining *r, struct str label)
{
    size_t place = ref_text_place(&r->labels, r->arena, label);
    if (place == r->tally_count) {
        uint64_t *more = ref_alloc(r->arena, (place + 1) * sizeof *more);
        if (place) memcpy(more, r->tally, place * sizeof *more);
        r->tally = more;
        r->tally_count++;
    }
    r->tally[place]++;
    return place;
}

static const char *look_at(struct retaining *r, struct ref_question *births, struct ref_question *returns)
{
    const struct reference *reference = returns->reference;
    int64_t behind = r->days.to_ms + r->plan->retention.interval_count * retention_interval_ms(r->plan);
    r->events = ref_alloc(r->arena, reference->count * sizeof *r->events);
    for (const struct ref_event *event = reference->first; event; event = event->next) {
        if (event->gone) continue;
        struct looked_at seen = {.event = event, .born = SIZE_MAX};
        size_t bucket = ref_day_bucket(&r->days, r->plan, r->arena, event->time_ms);
        if (bucket < r->days.count && ref_matches(births, event)) seen.born = bucket;
        if (event->time_ms >= r->days.from_ms && event->time_ms < behind) seen.returns = ref_matches(returns, event);
        if (seen.returns && returns->on) {
            struct str *labels =
                ref_labels(r->arena, ref_value_of(returns, "on, in a row", returns->on, event), &seen.label_count);
            seen.labels = ref_alloc(r->arena, seen.label_count * sizeof *seen.labels);
            for (size_t i = 0; i < seen.label_count; i++) seen.labels[i] = count_event(r, labels[i]);
        }
        if (births->refused) return births->refused;
        if (returns->refused) return returns->refused;
        if (!event->id.data) continue;
        seen.person = ref_text_place(&r->people, r->arena, ref_person(reference, event->id));
        r->events[r->count++] = seen;
    }
    return NULL;
}

/* Adds the intervals in which somebody came back. */
static void add(const struct retaining *r, size_t bucket, const bool *back, uint64_t *counts)
{
    bool later = false;
    for (size_t k = r->plan->retention.interval_count; k-- > 0;) {
        later |= back[k];
        counts[bucket * r->plan->retention.interval_count + k] += r->plan->retention.unbounded ? later : back[k];
    }
}

/* Somebody was born into a bucket: when does he return, and with which labels? */
static void follow(struct retaining *r, size_t person, size_t bucket, int64_t birth_ms)
{
    size_t intervals = r->plan->retention.interval_count;
    bool *back = ref_alloc(r->arena, intervals), *by_label = ref_alloc(r->arena, r->labels.count * intervals);
    for (size_t i = 0; i < r->count; i++) {
        const struct looked_at *seen = &r->events[i];
        int64_t since_ms = seen->event->time_ms - birth_ms;
        if (seen->person != person || !seen->returns || since_ms < 0) continue;
        if (since_ms == 0 && seen->born != SIZE_MAX) continue; /* the birth itself */
        size_t k = (size_t)(since_ms / retention_interval_ms(r->plan));
        if (k >= intervals) continue;
        back[k] = true;
        for (size_t l = 0; l < seen->label_count; l++) by_label[seen->labels[l] * intervals + k] = true;
    }
    r->result.first[bucket]++;
    add(r, bucket, back, r->result.overall.counts);
    for (size_t l = 0; l < r->labels.count; l++) add(r, bucket, by_label + l * intervals, r->counts[l]);
}

/* A person's first birth in the bucket (SIZE_MAX: in any); false when there is none. */
static bool find_birth(const struct retaining *r, size_t person, size_t bucket, size_t *ret_bucket, int64_t *ret_ms)
{
    bool found = false;
    for (size_t i = 0; i < r->count; i++) {
        const struct looked_at *seen = &r->events[i];
        if (seen->person != person || seen->born == SIZE_MAX || (bucket != SIZE_MAX && seen->born != bucket)) continue;
        if (found && seen->event->time_ms >= *ret_ms) continue;
        *ret_bucket = seen->born;
        *ret_ms = seen->event->time_ms;
        found = true;
    }
    return found;
}

static void rank(struct retaining *r)
{
    struct ref_ranked *ranked = ref_rank(r->arena, &r->labels, r->tally);
    size_t count = r->labels.count;
    r->result.label_count = (uint32_t)count;
    r->result.series_count = count < r->plan->limit ? (uint32_t)count : r->plan->limit;
    r->result.series = ref_alloc(r->arena, r->result.series_count * sizeof *r->result.series);
    for (uint32_t i = 0; i < r->result.series_count; i++)
        r->result.series[i] = (struct retention_series){ranked[i].label, r->counts[ranked[i].place]};
}

const char *ref_retention(const struct reference *reference, const struct plan *plan, struct arena *arena,
                          struct retention *ret_result)
{
    struct retaining r = {.plan = plan, .arena = arena};
    struct ref_question births, returns;
    struct plan born = *plan;
    born.on = STR_NULL;
    if (plan->retention.type == RETENTION_BIRTH) {
        born.events = plan->retention.born_events;
        born.event_count = plan->retention.born_event_count;
        born.where = plan->retention.born_where;
    }
    if (!ref_ask(&births, reference, &born, arena)) return births.refused;
    if (!ref_ask(&returns, reference, plan, arena)) return returns.refused;
    r.days = ref_days_of(plan, arena);
    const char *refused = look_at(&r, &births, &returns);
    if (refused) return refused;

    size_t cohorts = r.days.count, intervals = plan->retention.interval_count;
    r.result =
        (struct retention){.arena = arena, .bucket_count = (uint32_t)cohorts, .interval_count = (uint32_t)intervals};
    r.result.buckets = ref_alloc(arena, cohorts * sizeof *r.result.buckets);
    r.result.first = ref_alloc(arena, cohorts * sizeof *r.result.first);
    r.result.lengths = ref_alloc(arena, cohorts * sizeof *r.result.lengths);
    r.result.overall.counts = ref_alloc(arena, cohorts * intervals * sizeof(uint64_t));
    r.counts = ref_alloc(arena, r.labels.count * sizeof *r.counts);
    for (size_t l = 0; l < r.labels.count; l++) r.counts[l] = ref_alloc(arena, cohorts * intervals * sizeof(uint64_t));
    for (size_t b = 0; b < cohorts; b++) {
        r.result.buckets[b] = r.days.buckets[b].label;
        while (r.result.lengths[b] < intervals &&
               r.days.buckets[b].from_ms + r.result.lengths[b] * retention_interval_ms(plan) <= plan->now_ms)
            r.result.lengths[b]++;
    }
    for (size_t person = 0; person < r.people.count; person++) {
        size_t bucket;
        int64_t birth_ms;
        if (plan->retention.type == RETENTION_BIRTH) {
            if (find_birth(&r, person, SIZE_MAX, &bucket, &birth_ms)) follow(&r, person, bucket, birth_ms);
            continue;
        }
        for (size_t b = 0; b < cohorts; b++) {
            if (find_birth(&r, person, b, &bucket, &birth_ms)) follow(&r, person, bucket, birth_ms);
        }
    }
    rank(&r);
    *ret_result = r.result;
    return NULL;
}
