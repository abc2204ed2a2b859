/* For each event that counts: its labels, its bucket. docs/decisions/0005-segmentation-choices.md. */
#include "reference/events.h"

#include <stdio.h>
#include <stdlib.h>

struct cell {
    uint64_t events;
    struct str *users; /* distinct, in the order met */
    size_t user_count;
};
struct labelled {
    struct str label;
    uint64_t events;
    struct cell *cells;
};
struct segmenting {
    const struct reference *reference;
    const struct reference_query *query;
    struct arena *arena;
    struct str *buckets;
    size_t bucket_count;
    struct labelled *labels;
    size_t label_count;
};

/* --- buckets ------------------------------------------------------------------------------------------ */

static struct str date_label(struct arena *arena, int64_t day)
{
    int y, m, d;
    ref_date(day, &y, &m, &d);
    return arena_printf(arena, "%04d-%02d-%02d", y, m, d);
}

/* The label of the bucket that a local time falls in. */
static struct str bucket_label(const struct segmenting *s, struct ref_local at)
{
    int y, m, d;
    int64_t first = s->query->from_day;
    struct str date = date_label(s->arena, at.day);
    switch (s->query->unit) {
    case REFERENCE_MINUTE: return arena_printf(s->arena, "%.10s %02d:%02d:00", date.data, at.hour, at.minute);
    case REFERENCE_HOUR: return arena_printf(s->arena, "%.10s %02d:00:00", date.data, at.hour);
    case REFERENCE_DAY: return date;
    case REFERENCE_WEEK: return date_label(s->arena, at.day - ((at.day + 3) % 7 + 7) % 7);
    case REFERENCE_MONTH: ref_date(at.day, &y, &m, &d); return date_label(s->arena, ref_days(y, m, 1));
    case REFERENCE_DAYS: return date_label(s->arena, at.day - (at.day - first) % s->query->interval_days);
    }
    abort();
}

static bool in_range(const struct segmenting *s, struct ref_local at)
{
    return at.day >= s->query->from_day && at.day <= s->query->to_day;
}

static size_t find(const struct str *texts, size_t count, struct str text)
{
    size_t i = 0;
    while (i < count && !str_eq(texts[i], text)) i++;
    return i;
}

static int by_text(const void *a, const void *b)
{
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

/* Time is walked through in steps that no bucket is shorter than, and every label met is noted. */
static void make_buckets(struct segmenting *s)
{
    enum reference_unit unit = s->query->unit;
    int64_t minutes = unit == REFERENCE_MINUTE ? 1 : unit == REFERENCE_HOUR ? 15 : 60;
    int64_t from = (s->query->from_day - 2) * 1440, to = (s->query->to_day + 3) * 1440;
    s->buckets = ref_alloc(s->arena, (size_t)((to - from) / minutes + 1) * sizeof *s->buckets);
    for (int64_t at = from; at < to; at += minutes) {
        struct ref_local local = ref_local(at * 60000);
        if (!in_range(s, local)) continue;
        struct str label = bucket_label(s, local);
        bool again = s->bucket_count > 0 && str_eq(s->buckets[s->bucket_count - 1], label);
        if (!again) s->buckets[s->bucket_count++] = label;
    }
    qsort(s->buckets, s->bucket_count, sizeof *s->buckets, by_text);
    size_t kept = 0;
    for (size_t i = 0; i < s->bucket_count; i++) {
        if (i == 0 || !str_eq(s->buckets[i], s->buckets[kept - 1])) s->buckets[kept++] = s->buckets[i];
    }
    s->bucket_count = kept;
}

/* --- counting ----------------------------------------------------------------------------------------- */

static void count(struct segmenting *s, struct str label, size_t bucket, struct str user)
{
    size_t at = 0;
    while (at < s->label_count && !str_eq(s->labels[at].label, label)) at++;
    if (at == s->label_count) {
        struct labelled *labels = ref_alloc(s->arena, (at + 1) * sizeof *labels);
        if (at) memcpy(labels, s->labels, at * sizeof *labels);
        labels[at] =
            (struct labelled){.label = label, .cells = ref_alloc(s->arena, s->bucket_count * sizeof(struct cell))};
        s->labels = labels;
        s->label_count++;
    }
    struct cell *cell = &s->labels[at].cells[bucket];
    s->labels[at].events++;
    cell->events++;
    if (!user.data || find(cell->users, cell->user_count, user) < cell->user_count) return;
    struct str *users = ref_alloc(s->arena, (cell->user_count + 1) * sizeof *users);
    if (cell->user_count) memcpy(users, cell->users, cell->user_count * sizeof *users);
    users[cell->user_count++] = user;
    cell->users = users;
}

/* A list counts once under each label of its items, an empty one as undefined. */
static void count_value(struct segmenting *s, struct ref_value v, size_t bucket, struct str user)
{
    if (v.type != REF_LIST) {
        count(s, ref_label(s->arena, v), bucket, user);
        return;
    }
    struct str *labels = ref_alloc(s->arena, (v.count + 1) * sizeof *labels);
    size_t label_count = 0;
    for (size_t i = 0; i < v.count; i++) {
        struct str label = ref_label(s->arena, v.items[i]);
        if (find(labels, label_count, label) == label_count) labels[label_count++] = label;
    }
    if (v.count == 0) labels[label_count++] = STR("undefined");
    for (size_t i = 0; i < label_count; i++) count(s, labels[i], bucket, user);
}

/* --- expressions -------------------------------------------------------------------------------------- */

struct event_row {
    const struct reference *reference;
    const struct ref_event *event;
};

static struct ref_value event_property(void *context, struct str name)
{
    const struct event_row *row = context;
    const struct ref_event *event = row->event;
    if (str_is(name, "time") || str_is(name, "$time")) return ref_double((double)event->time_ms / 1000);
    if (str_is(name, "distinct_id") || str_is(name, "$distinct_id")) {
        struct str person = event->id.data ? ref_person(row->reference, event->id) : STR("");
        return ref_string(person);
    }
    if (str_is(name, "$event_name")) return ref_string(event->name);
    if (str_is(name, "$insert_id")) return event->insert_id.data ? ref_string(event->insert_id) : ref_undefined;
    if (str_is(name, "mp_processing_time_ms")) return ref_int(event->received_ms);
    return ref_member(event->properties, name);
}

static bool compile(struct segmenting *s, struct str text, bool bare, struct ref_node **ret_tree)
{
    *ret_tree = NULL;
    if (!text.data) return true;
    *ret_tree = ref_parse(s->arena, text, bare);
    return *ret_tree && !ref_check(s->arena, *ret_tree, s->query->now_ms);
}

/* --- the answer --------------------------------------------------------------------------------------- */

static int most_events_first(const void *a, const void *b)
{
    const struct labelled *x = a, *y = b;
    if (x->events != y->events) return x->events > y->events ? -1 : 1;
    return str_cmp(x->label, y->label);
}

static double cell_number(enum reference_measure measure, const struct cell *cell)
{
    if (measure == REFERENCE_COUNT) return (double)cell->events;
    if (measure == REFERENCE_UNIQUE) return (double)cell->user_count;
    return cell->user_count ? (double)cell->events / (double)cell->user_count : 0;
}

struct reference_answer reference_segment(struct reference *reference, struct arena *arena,
                                          const struct reference_query *query)
{
    struct segmenting s = {.reference = reference, .query = query, .arena = arena};
    struct ref_node *where, *on;
    ref_set_zone(query->zone);
    if (!compile(&s, query->where, false, &where)) return (struct reference_answer){.refused = "where"};
    if (!compile(&s, query->on, true, &on)) return (struct reference_answer){.refused = "on"};
    make_buckets(&s);
    for (const struct ref_event *event = reference->first; event; event = event->next) {
        struct ref_local at = ref_local(event->time_ms);
        struct event_row context = {reference, event};
        struct ref_row row = {.arena = arena, .property = event_property, .context = &context, .now_ms = query->now_ms};
        if (event->replaced || !in_range(&s, at)) continue;
        if (query->event.data && !str_eq(event->name, query->event)) continue;
        if (where) {
            struct ref_value keep = ref_eval(&row, where, NULL);
            if (row.failed) return (struct reference_answer){.refused = "where, in a row"};
            if (keep.type != REF_BOOLEAN || !keep.boolean) continue;
        }
        size_t bucket = find(s.buckets, s.bucket_count, bucket_label(&s, at));
        struct str user = event->id.data ? ref_person(reference, event->id) : STR_NULL;
        if (!on) {
            count(&s, query->event.data ? query->event : STR("$any_event"), bucket, user);
            continue;
        }
        struct ref_value v = ref_eval(&row, on, NULL);
        if (row.failed) return (struct reference_answer){.refused = "on, in a row"};
        count_value(&s, v, bucket, user);
    }
    if (!on && s.label_count == 0) {
        s.labels = ref_alloc(arena, sizeof *s.labels);
        s.labels[0] = (struct labelled){.label = query->event.data ? query->event : STR("$any_event"),
                                        .cells = ref_alloc(arena, s.bucket_count * sizeof(struct cell))};
        s.label_count = 1;
    }
    if (s.label_count) qsort(s.labels, s.label_count, sizeof *s.labels, most_events_first);

    struct reference_answer answer = {
        .bucket_count = s.bucket_count, .buckets = s.buckets, .label_count = s.label_count};
    answer.series_count = on && s.label_count > query->limit ? query->limit : s.label_count;
    answer.series = ref_alloc(arena, answer.series_count * sizeof *answer.series);
    for (size_t i = 0; i < answer.series_count; i++) {
        answer.series[i].label = s.labels[i].label;
        answer.series[i].values = ref_alloc(arena, s.bucket_count * sizeof(double));
        for (size_t b = 0; b < s.bucket_count; b++)
            answer.series[i].values[b] = cell_number(query->measure, &s.labels[i].cells[b]);
    }
    return answer;
}
