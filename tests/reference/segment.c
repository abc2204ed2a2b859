/* For each event that counts: its labels, its bucket, its number. docs/decisions/0005-segmentation-choices.md. */
#include "reference/answer.h"
#include "reference/bins.h"
#include "reference/exact.h"
#include "reference/question.h"

#include <math.h>
#include <stdlib.h>

struct cell {
    uint64_t events;
    struct str *users; /* distinct, in the order met */
    size_t user_count;
    double *numbers;
    size_t number_count;
};
struct labelled {
    struct str label;
    uint64_t events;
    size_t place; /* of a range of numbers */
    struct cell *cells;
};
struct segmenting {
    struct ref_question question;
    const struct plan *plan;
    struct arena *arena;
    struct str *buckets;
    size_t bucket_count;
    struct labelled *labels;
    size_t label_count;
    struct ref_bins bins; /* plan->bin_count */
    struct str *tops[2];  /* plan->by: the top labels of either expression */
    size_t top_counts[2], before_limit[2];
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
    int64_t first = s->plan->from_day;
    struct str date = date_label(s->arena, at.day);
    switch (s->plan->unit) {
    case UNIT_MINUTE: return arena_printf(s->arena, "%.10s %02d:%02d:00", date.data, at.hour, at.minute);
    case UNIT_HOUR: return arena_printf(s->arena, "%.10s %02d:00:00", date.data, at.hour);
    case UNIT_DAY: return date;
    case UNIT_WEEK: return date_label(s->arena, at.day - ((at.day + 3) % 7 + 7) % 7);
    case UNIT_MONTH: ref_date(at.day, &y, &m, &d); return date_label(s->arena, ref_days(y, m, 1));
    case UNIT_DAYS: return date_label(s->arena, at.day - (at.day - first) % s->plan->interval_days);
    case UNIT_RANGE: return date_label(s->arena, first);
    }
    abort();
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
    enum plan_unit unit = s->plan->unit;
    int64_t minutes = unit == UNIT_MINUTE || s->plan->to_local_ms ? 1 : unit == UNIT_HOUR ? 15 : 60;
    int64_t from = (s->plan->from_day - 2) * 1440, to = (s->plan->to_day + 3) * 1440;
    s->buckets = ref_alloc(s->arena, (size_t)((to - from) / minutes + 1) * sizeof *s->buckets);
    for (int64_t at = from; at < to; at += minutes) {
        if (!ref_in_range(s->plan, at * 60000)) continue;
        struct str label = bucket_label(s, ref_local(at * 60000));
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

/* The array with room for one more at its end. */
static void *grown(struct arena *arena, const void *items, size_t count, size_t size)
{
    void *copy = ref_alloc(arena, (count + 1) * size);
    if (count) memcpy(copy, items, count * size);
    return copy;
}

static struct labelled *find_label(struct segmenting *s, struct str label)
{
    size_t at = 0;
    while (at < s->label_count && !str_eq(s->labels[at].label, label)) at++;
    if (at < s->label_count) return &s->labels[at];
    s->labels = grown(s->arena, s->labels, s->label_count++, sizeof *s->labels);
    s->labels[at].label = label;
    s->labels[at].cells = ref_alloc(s->arena, s->bucket_count * sizeof(struct cell));
    return &s->labels[at];
}

static void count(struct segmenting *s, struct str label, size_t bucket, struct str user)
{
    struct labelled *labelled = find_label(s, label);
    struct cell *cell = &labelled->cells[bucket];
    labelled->events++;
    cell->events++;
    if (user.data && find(cell->users, cell->user_count, user) == cell->user_count) {
        cell->users = grown(s->arena, cell->users, cell->user_count, sizeof user);
        cell->users[cell->user_count++] = user;
    }
}

/* The numbers of a value: itself, or the items of a list. */
static double *numbers_of(struct arena *arena, struct ref_value v, size_t *ret_count)
{
    bool list = v.type == REF_LIST;
    size_t count = list ? v.count : 1;
    double *numbers = ref_alloc(arena, (count + 1) * sizeof *numbers);
    *ret_count = 0;
    for (size_t i = 0; i < count; i++) {
        long double number;
        if (ref_number(list ? v.items[i] : v, &number)) numbers[(*ret_count)++] = (double)number + 0.0;
    }
    return numbers;
}

static struct str *bins_of(struct segmenting *s, struct ref_value v, size_t *ret_count)
{
    size_t number_count, count = 0;
    double *numbers = numbers_of(s->arena, v, &number_count);
    struct str *labels = ref_alloc(s->arena, (number_count + 1) * sizeof *labels);
    for (size_t i = 0; i < number_count; i++) {
        size_t bin = 0;
        while (!(numbers[i] >= s->bins.from[bin] && numbers[i] < s->bins.to[bin])) bin++;
        if (find(labels, count, s->bins.labels[bin]) == count) labels[count++] = s->bins.labels[bin];
    }
    *ret_count = count;
    return labels;
}

/* Only those that are among the texts. */
static size_t keep_known(struct str *labels, size_t count, const struct str *texts, size_t text_count)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (find(texts, text_count, labels[i]) < text_count) labels[kept++] = labels[i];
    }
    return kept;
}

/* A name for a pair of top labels. */
static struct str pair_name(struct segmenting *s, size_t outer, size_t inner)
{
    return arena_printf(s->arena, "%zu/%zu", outer, inner);
}

static struct str *pairs_of(struct segmenting *s, const struct ref_event *event, size_t *ret_count)
{
    struct ref_question *q = &s->question;
    size_t outer_count, inner_count, count = 0;
    struct str *outer = ref_labels(s->arena, ref_value_of(q, "on, in a row", q->on, event), &outer_count);
    struct str *inner = ref_labels(s->arena, ref_value_of(q, "by, in a row", q->by, event), &inner_count);
    struct str *pairs = ref_alloc(s->arena, (outer_count * inner_count + 1) * sizeof *pairs);
    for (size_t i = 0; i < outer_count; i++) {
        for (size_t j = 0; j < inner_count; j++) {
            size_t o = find(s->tops[0], s->top_counts[0], outer[i]), n = find(s->tops[1], s->top_counts[1], inner[j]);
            if (o < s->top_counts[0] && n < s->top_counts[1]) pairs[count++] = pair_name(s, o, n);
        }
    }
    *ret_count = count;
    return pairs;
}

/* The labels of an event: of `on`, or the only one. */
static struct str *labels_of(struct segmenting *s, const struct ref_event *event, struct str only, size_t *ret_count)
{
    struct ref_question *q = &s->question;
    const struct plan *plan = s->plan;
    if (q->by) return pairs_of(s, event, ret_count);
    if (q->on && plan->bin_count) return bins_of(s, ref_value_of(q, "on, in a row", q->on, event), ret_count);
    if (q->on) {
        struct str *found = ref_labels(s->arena, ref_value_of(q, "on, in a row", q->on, event), ret_count);
        if (plan->label_count) *ret_count = keep_known(found, *ret_count, plan->labels, plan->label_count);
        return found;
    }
    struct str *labels = ref_alloc(s->arena, sizeof *labels);
    labels[0] = only;
    *ret_count = 1;
    return labels;
}

static void add_number(struct segmenting *s, struct cell *cell, struct ref_value of)
{
    long double number;
    if (!ref_number(of, &number)) return;
    cell->numbers = grown(s->arena, cell->numbers, cell->number_count, sizeof(double));
    cell->numbers[cell->number_count++] = (double)number + 0.0; /* -0 becomes 0 */
}

/* `of` is looked at for the events of labels that are answered. */
static void measure(struct segmenting *s, const struct ref_event *first, struct str only, size_t answered)
{
    struct ref_question *q = &s->question;
    const struct ref_event *event = ref_matching(q, first);
    for (; event; event = ref_matching(q, event->next)) {
        size_t bucket = find(s->buckets, s->bucket_count, bucket_label(s, ref_local(event->time_ms)));
        size_t label_count;
        struct str *labels = labels_of(s, event, only, &label_count);
        for (size_t i = 0; i < label_count; i++) {
            struct labelled *labelled = find_label(s, labels[i]);
            if ((size_t)(labelled - s->labels) >= answered) continue;
            add_number(s, &labelled->cells[bucket], ref_value_of(q, "of, in a row", q->of, event));
        }
    }
}

/* --- the answer --------------------------------------------------------------------------------------- */

static int most_events_first(const void *a, const void *b)
{
    const struct labelled *x = a, *y = b;
    if (x->events != y->events) return x->events > y->events ? -1 : 1;
    return str_cmp(x->label, y->label);
}

static int by_number(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double cell_number(const struct plan *plan, const struct cell *cell)
{
    struct ref_exact sum = {0};
    size_t count = cell->number_count;
    if (plan->measure == MEASURE_AVERAGE) return cell->user_count ? (double)cell->events / (double)cell->user_count : 0;
    for (size_t i = 0; i < count; i++) ref_exact_add(&sum, cell->numbers[i]);
    if (plan->measure == MEASURE_SUM) return ref_exact_divided(&sum, 1);
    if (count == 0) return NAN;
    qsort(cell->numbers, count, sizeof(double), by_number);
    if (plan->measure == MEASURE_MEAN) return ref_exact_divided(&sum, count);
    if (plan->measure == MEASURE_MIN) return cell->numbers[0];
    if (plan->measure == MEASURE_MAX) return cell->numbers[count - 1];
    size_t place = 1;
    while (place < count && (double)place < plan->percentile * (double)count / 100) place++;
    return cell->numbers[place - 1];
}

static void fill_series(const struct segmenting *s, const struct labelled *labelled, struct series *series)
{
    const struct plan *plan = s->plan;
    series->label = labelled->label;
    if (plan->measure == MEASURE_COUNT || plan->measure == MEASURE_UNIQUE)
        series->counts = ref_alloc(s->arena, s->bucket_count * sizeof *series->counts);
    else
        series->numbers = ref_alloc(s->arena, s->bucket_count * sizeof *series->numbers);
    for (size_t b = 0; b < s->bucket_count; b++) {
        const struct cell *cell = &labelled->cells[b];
        if (series->counts)
            series->counts[b] = plan->measure == MEASURE_COUNT ? cell->events : cell->user_count;
        else
            series->numbers[b] = cell_number(plan, cell);
    }
}

/* The ranges that all numbers of `on` give. */
static void make_bins(struct segmenting *s, const struct ref_event *first)
{
    struct ref_question *q = &s->question;
    double *numbers = NULL;
    size_t count = 0;
    for (const struct ref_event *e = ref_matching(q, first); e; e = ref_matching(q, e->next)) {
        size_t more;
        double *of_event = numbers_of(s->arena, ref_value_of(q, "on, in a row", q->on, e), &more);
        for (size_t i = 0; i < more; i++) {
            numbers = grown(s->arena, numbers, count, sizeof *numbers);
            numbers[count++] = of_event[i];
        }
    }
    if (!q->refused) ref_bins(s->arena, numbers, count, s->plan->bin_count, &s->bins);
}

static int by_bin(const void *a, const void *b)
{
    const struct labelled *x = a, *y = b;
    return (x->place > y->place) - (x->place < y->place);
}

static void sort_by_bin(struct segmenting *s)
{
    for (size_t i = 0; i < s->label_count; i++)
        s->labels[i].place = find(s->bins.labels, s->bins.count, s->labels[i].label);
    if (s->label_count) qsort(s->labels, s->label_count, sizeof *s->labels, by_bin);
}

/* The top labels of one of the two expressions. */
static void make_tops(struct segmenting *s, const struct ref_event *first, int side, struct ref_node *tree)
{
    struct ref_question *q = &s->question;
    struct segmenting totals = {.plan = s->plan, .arena = s->arena, .bucket_count = 1};
    for (const struct ref_event *e = ref_matching(q, first); e; e = ref_matching(q, e->next)) {
        size_t count_of;
        struct str *labels = ref_labels(s->arena, ref_value_of(q, "a label, in a row", tree, e), &count_of);
        for (size_t i = 0; i < count_of; i++) count(&totals, labels[i], 0, STR_NULL);
    }
    if (totals.label_count) qsort(totals.labels, totals.label_count, sizeof *totals.labels, most_events_first);
    size_t kept = totals.label_count > s->plan->limit ? s->plan->limit : totals.label_count;
    s->before_limit[side] = totals.label_count;
    s->top_counts[side] = kept;
    s->tops[side] = ref_alloc(s->arena, (kept + 1) * sizeof(struct str));
    for (size_t i = 0; i < kept; i++) s->tops[side][i] = totals.labels[i].label;
}

/* A series for each pair, whether there are events or not. */
static void fill_pairs(struct segmenting *s, struct segmentation *result)
{
    size_t outer = s->top_counts[0], inner = s->top_counts[1];
    result->label_count = (uint32_t)s->before_limit[0];
    result->by_label_count = (uint32_t)s->before_limit[1];
    result->by = s->tops[1];
    result->by_count = (uint32_t)inner;
    result->series_count = (uint32_t)(outer * inner);
    result->series = ref_alloc(s->arena, (outer * inner + 1) * sizeof *result->series);
    for (size_t i = 0; i < outer * inner; i++) {
        fill_series(s, find_label(s, pair_name(s, i / inner, i % inner)), &result->series[i]);
        result->series[i].label = s->tops[0][i / inner];
    }
}

const char *ref_segment(const struct reference *reference, const struct plan *plan, struct arena *arena,
                        struct segmentation *ret_result)
{
    struct segmenting s = {.plan = plan, .arena = arena};
    struct ref_question *q = &s.question;
    if (!ref_ask(q, reference, plan, arena)) return q->refused;
    struct str only = plan->event_count == 1 ? plan->events[0] : STR("$any_event");
    make_buckets(&s);
    if (q->on && plan->bin_count) make_bins(&s, reference->first);
    if (q->by) {
        make_tops(&s, reference->first, 0, q->on);
        make_tops(&s, reference->first, 1, q->by);
    }
    if (q->refused) return q->refused;
    const struct ref_event *event = ref_matching(q, reference->first);
    for (; event; event = ref_matching(q, event->next)) {
        size_t bucket = find(s.buckets, s.bucket_count, bucket_label(&s, ref_local(event->time_ms)));
        struct str user = event->id.data ? ref_person(reference, event->id) : STR_NULL;
        size_t label_count;
        struct str *labels = labels_of(&s, event, only, &label_count);
        for (size_t i = 0; i < label_count; i++) count(&s, labels[i], bucket, user);
    }
    if (q->refused) return q->refused;
    if (!q->on) find_label(&s, only);
    if (s.label_count) qsort(s.labels, s.label_count, sizeof *s.labels, most_events_first);
    if (s.bins.count) sort_by_bin(&s);
    bool all = !q->on || q->by || plan->bin_count;
    size_t answered = !all && s.label_count > plan->limit ? plan->limit : s.label_count;
    if (q->of) measure(&s, reference->first, only, answered);
    if (q->refused) return q->refused;

    struct segmentation result = {.arena = arena, .cell_type = cell_type_of(plan->measure)};
    result.bucket_count = (uint32_t)s.bucket_count;
    result.buckets = s.buckets;
    if (q->by) {
        fill_pairs(&s, &result);
        *ret_result = result;
        return NULL;
    }
    result.label_count = (uint32_t)s.label_count;
    result.series_count = (uint32_t)answered;
    result.series = ref_alloc(arena, result.series_count * sizeof *result.series);
    for (uint32_t i = 0; i < result.series_count; i++) fill_series(&s, &s.labels[i], &result.series[i]);
    *ret_result = result;
    return NULL;
}

static const char *top_labels(const struct segmenting *s, struct top_values *ret_result)
{
    if (s->label_count) qsort(s->labels, s->label_count, sizeof *s->labels, most_events_first);
    struct top_values result = {.arena = s->arena, .label_count = (uint32_t)s->label_count};
    result.value_count = s->label_count > s->plan->limit ? s->plan->limit : (uint32_t)s->label_count;
    result.values = ref_alloc(s->arena, result.value_count * sizeof *result.values);
    for (uint32_t i = 0; i < result.value_count; i++)
        result.values[i] = (struct top_value){s->labels[i].label, s->labels[i].events};
    *ret_result = result;
    return NULL;
}

const char *ref_top_values(const struct reference *reference, const struct plan *plan, struct arena *arena,
                           struct top_values *ret_result)
{
    struct segmenting s = {.plan = plan, .arena = arena, .bucket_count = 1};
    struct ref_question *q = &s.question;
    if (!ref_ask(q, reference, plan, arena)) return q->refused;
    const struct ref_event *event = ref_matching(q, reference->first);
    for (; event; event = ref_matching(q, event->next)) {
        size_t label_count;
        struct ref_value v = ref_value_of(q, "on, in a row", q->on, event);
        if (v.type == REF_UNDEFINED || (v.type == REF_LIST && v.count == 0)) continue;
        struct str *labels = ref_labels(arena, v, &label_count);
        for (size_t i = 0; i < label_count; i++) count(&s, labels[i], 0, STR_NULL);
    }
    return q->refused ? q->refused : top_labels(&s, ret_result);
}

const char *ref_properties(const struct reference *reference, const struct plan *plan, struct arena *arena,
                           struct top_values *ret_result)
{
    struct segmenting s = {.plan = plan, .arena = arena, .bucket_count = 1};
    struct ref_question *q = &s.question;
    if (!ref_ask(q, reference, plan, arena)) return q->refused;
    const struct ref_event *event = ref_matching(q, reference->first);
    for (; event; event = ref_matching(q, event->next)) {
        for (size_t i = 0; i < event->properties.count; i++) count(&s, event->properties.keys[i], 0, STR_NULL);
    }
    return q->refused ? q->refused : top_labels(&s, ret_result);
}
