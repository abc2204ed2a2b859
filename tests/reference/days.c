#include "reference/days.h"

#include <stdlib.h>

#define STEP_MS INT64_C(900000) /* no bucket begins in the middle of a quarter of an hour */

static struct str date_label(struct arena *arena, int64_t day)
{
    int y, m, d;
    ref_date(day, &y, &m, &d);
    return arena_printf(arena, "%04d-%02d-%02d", y, m, d);
}

static struct str label_of(const struct plan *plan, struct arena *arena, int64_t day)
{
    int y, m, d;
    switch (plan->unit) {
    case UNIT_DAY: return date_label(arena, day);
    case UNIT_WEEK: return date_label(arena, day - ((day + 3) % 7 + 7) % 7);
    case UNIT_MONTH: ref_date(day, &y, &m, &d); return date_label(arena, ref_days(y, m, 1));
    case UNIT_DAYS: return date_label(arena, day - (day - plan->from_day) % plan->interval_days);
    default: abort();
    }
}

static size_t find(const struct ref_days *days, struct str label)
{
    size_t i = 0;
    while (i < days->count && !str_eq(days->buckets[i].label, label)) i++;
    return i;
}

static int by_label(const void *a, const void *b)
{
    return str_cmp(((const struct ref_bucket *)a)->label, ((const struct ref_bucket *)b)->label);
}

struct ref_days ref_days_of(const struct plan *plan, struct arena *arena)
{
    struct ref_days days = {0};
    int64_t from = (plan->from_day - 2) * 86400000, to = (plan->to_day + 3) * 86400000;
    days.buckets = ref_alloc(arena, (size_t)(plan->to_day - plan->from_day + 1) * sizeof *days.buckets);
    for (int64_t at = from; at < to; at += STEP_MS) {
        if (!ref_in_range(plan, at)) continue;
        struct str label = label_of(plan, arena, ref_local(at).day);
        if (find(&days, label) == days.count) days.buckets[days.count++] = (struct ref_bucket){label, at};
        if (!days.to_ms) days.from_ms = at;
        days.to_ms = at + STEP_MS;
    }
    if (days.count) qsort(days.buckets, days.count, sizeof *days.buckets, by_label);
    return days;
}

size_t ref_day_bucket(const struct ref_days *days, const struct plan *plan, struct arena *arena, int64_t time_ms)
{
    if (!ref_in_range(plan, time_ms)) return days->count;
    return find(days, label_of(plan, arena, ref_local(time_ms).day));
}

size_t ref_text_place(struct ref_texts *texts, struct arena *arena, struct str text)
{
    size_t at = 0;
    while (at < texts->count && !str_eq(texts->items[at], text)) at++;
    if (at < texts->count) return at;
    struct str *more = ref_alloc(arena, (texts->count + 1) * sizeof *more);
    if (texts->count) memcpy(more, texts->items, texts->count * sizeof *more);
    more[texts->count++] = text;
    texts->items = more;
    return at;
}

static int most_events_first(const void *a, const void *b)
{
    const struct ref_ranked *x = a, *y = b;
    if (x->events != y->events) return x->events > y->events ? -1 : 1;
    return str_cmp(x->label, y->label);
}

struct ref_ranked *ref_rank(struct arena *arena, const struct ref_texts *labels, const uint64_t *events)
{
    struct ref_ranked *ranked = ref_alloc(arena, labels->count * sizeof *ranked);
    for (size_t i = 0; i < labels->count; i++) ranked[i] = (struct ref_ranked){labels->items[i], events[i], i};
    if (labels->count) qsort(ranked, labels->count, sizeof *ranked, most_events_first);
    return ranked;
}
