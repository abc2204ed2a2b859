/*
 * Funnels as src/query/funnel.h states them, rule by rule: for each person all attempts are made, one event after the
 * other is tried for each step, and then it is decided which attempts count. Units are days and longer.
 */
#include "reference/funnel.h"
#include "reference/question.h"

#include <stdlib.h>

/* An event as the funnel sees it. */
struct seen {
    const struct ref_event *event;
    int64_t time_ms;
    uint64_t mask;       /* steps, then exclusions, then, where there are sessions, that it is one at all */
    struct ref_value on; /* of events that match a step */
    struct str held[FUNNEL_HOLD_MAX]; /* keys */
    bool holds;                       /* all of them are there */
    struct str key;                   /* what decides between events of the same time and mask */
    size_t session;
    bool used;
};

struct
try {
    size_t bucket, session, reached;
    size_t events[FUNNEL_STEPS_MAX];
};

struct funnel {
    const struct reference *reference;
    const struct funnel_plan *plan;
    struct arena *arena;
    struct ref_question question; /* of its plan only zone and joins matter */
    struct plan base;
    struct ref_node *where, *on, *steps[FUNNEL_STEPS_MAX], *exclusions[FUNNEL_STEPS_MAX], *hold[FUNNEL_HOLD_MAX];
    struct str *buckets;
    size_t bucket_count;
    /* the person at hand */
    struct seen *seen;
    size_t seen_count;
    /* what counts */
    struct funnel_cell *overall;
    struct funnel_series *series;
    size_t series_count;
};

static void *must(struct funnel *f, size_t count, size_t size)
{
    return ref_alloc(f->arena, (count + 1) * size);
}

/* --- expressions -------------------------------------------------------------------------------------- */

static struct ref_node *tree(struct funnel *f, struct str text, bool bare)
{
    if (!text.data) return NULL;
    struct ref_node *parsed = ref_parse(f->arena, text, bare);
    if (!parsed || ref_check(f->arena, parsed, f->plan->now_ms)) f->question.refused = "an expression";
    return parsed;
}

static void make_trees(struct funnel *f)
{
    const struct funnel_plan *plan = f->plan;
    f->where = tree(f, plan->where, false);
    f->on = tree(f, plan->on, true);
    for (size_t i = 0; i < plan->step_count; i++) f->steps[i] = tree(f, plan->steps[i].where, false);
    for (size_t i = 0; i < plan->exclusion_count; i++) f->exclusions[i] = tree(f, plan->exclusions[i].where, false);
    for (size_t i = 0; i < plan->hold_count; i++) f->hold[i] = tree(f, plan->hold[i], true);
}

static bool is_true(struct funnel *f, struct ref_node *condition, const struct ref_event *event)
{
    if (!condition) return true;
    struct ref_value v = ref_value_of(&f->question, "a filter, in a row", condition, event);
    return v.type == REF_BOOLEAN && v.boolean;
}

static bool is_one_of(const struct str *names, size_t count, struct str name)
{
    for (size_t i = 0; i < count; i++) {
        if (str_eq(names[i], name)) return true;
    }
    return count == 0;
}

/* Undefined, null, then other values by label, then lists by their text. */
static struct str value_key(struct funnel *f, struct ref_value v)
{
    if (v.type == REF_UNDEFINED) return STR("0");
    if (v.type == REF_NULL) return STR("1");
    if (v.type == REF_LIST) return ref_join(f->arena, STR("3"), ref_json_text(f->arena, v));
    return ref_join(f->arena, STR("2"), ref_label(f->arena, v));
}

static bool is_defined(struct ref_value v)
{
    return v.type != REF_UNDEFINED && v.type != REF_NULL && !(v.type == REF_LIST && v.count == 0);
}

/* --- buckets ------------------------------------------------------------------------------------------ */

static struct str date(struct funnel *f, int64_t day)
{
    int y, m, d;
    ref_date(day, &y, &m, &d);
    return arena_printf(f->arena, "%04d-%02d-%02d", y, m, d);
}

static struct str bucket_label(struct funnel *f, int64_t day)
{
    int y, m, d;
    switch (f->plan->unit) {
    case UNIT_WEEK: return date(f, day - ((day + 3) % 7 + 7) % 7);
    case UNIT_MONTH: ref_date(day, &y, &m, &d); return date(f, ref_days(y, m, 1));
    case UNIT_DAYS: return date(f, day - (day - f->plan->from_day) % f->plan->interval_days);
    case UNIT_RANGE: return date(f, f->plan->from_day);
    case UNIT_DAY: return date(f, day);
    default: abort();
    }
}

/* bucket_count when the instant is not in the range. */
static size_t bucket_of(struct funnel *f, int64_t time_ms)
{
    int64_t day = ref_local(time_ms).day;
    if (day < f->plan->from_day || day > f->plan->to_day) return f->bucket_count;
    struct str label = bucket_label(f, day);
    size_t b = 0;
    while (b < f->bucket_count && !str_eq(f->buckets[b], label)) b++;
    return b;
}

static int by_text(const void *a, const void *b)
{
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

/* The labels of all hours of the range, each once. */
static void make_buckets(struct funnel *f)
{
    int64_t from = (f->plan->from_day - 2) * 24, to = (f->plan->to_day + 3) * 24;
    struct str *labels = must(f, (size_t)(to - from), sizeof *labels);
    size_t count = 0;
    for (int64_t hour = from; hour < to; hour++) {
        int64_t day = ref_local(hour * 3600000).day;
        if (day >= f->plan->from_day && day <= f->plan->to_day) labels[count++] = bucket_label(f, day);
    }
    qsort(labels, count, sizeof *labels, by_text);
    f->buckets = labels;
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || !str_eq(labels[i], labels[f->bucket_count - 1])) labels[f->bucket_count++] = labels[i];
    }
}

/* --- a person's events -------------------------------------------------------------------------------- */

static bool makes_sessions(const struct funnel_plan *plan)
{
    return plan->count == FUNNEL_SESSIONS || plan->window_sessions;
}

/* Nothing that happened then can matter. */
static bool is_far(const struct funnel_plan *plan, int64_t time_ms)
{
    int64_t day = ref_local(time_ms).day, ahead = plan->window_sessions > 1 ? 366 : plan->window_ms / 86400000;
    return day < plan->from_day - 2 || day > plan->to_day + ahead + 3;
}

static struct seen look_at(struct funnel *f, const struct ref_event *event)
{
    const struct funnel_plan *plan = f->plan;
    struct seen s = {.event = event, .time_ms = event->time_ms, .on = ref_undefined, .key = STR("")};
    bool step = false;
    for (size_t i = 0; i < plan->step_count; i++) {
        if (!is_one_of(plan->steps[i].events, plan->steps[i].event_count, event->name)) continue;
        if (!is_true(f, f->where, event) || !is_true(f, f->steps[i], event)) continue;
        s.mask |= UINT64_C(1) << i;
        step = true;
    }
    for (size_t i = 0; i < plan->exclusion_count; i++) {
        if (is_one_of(plan->exclusions[i].events, plan->exclusions[i].event_count, event->name) &&
            is_true(f, f->exclusions[i], event))
            s.mask |= UINT64_C(1) << (plan->step_count + i);
    }
    if (makes_sessions(plan)) s.mask |= UINT64_C(1) << (plan->step_count + plan->exclusion_count);
    if (f->on && step) s.on = ref_value_of(&f->question, "on, in a row", f->on, event);
    if (f->on) s.key = value_key(f, s.on);
    s.holds = true;
    for (size_t i = 0; i < plan->hold_count; i++) {
        struct ref_value v = ref_undefined;
        if (step) v = ref_value_of(&f->question, "hold, in a row", f->hold[i], event);
        s.held[i] = value_key(f, v);
        s.holds &= is_defined(v);
        s.key = ref_join(f->arena, ref_join(f->arena, s.key, str_from("\0", 1)), s.held[i]);
    }
    return s;
}

static int in_order(const void *a, const void *b)
{
    const struct seen *x = a, *y = b;
    if (x->time_ms != y->time_ms) return x->time_ms < y->time_ms ? -1 : 1;
    if (x->mask != y->mask) return x->mask < y->mask ? -1 : 1;
    return str_cmp(x->key, y->key);
}

static void number_sessions(struct funnel *f)
{
    int64_t gap_ms = f->plan->session_gap_ms ? f->plan->session_gap_ms : FUNNEL_SESSION_GAP_MS;
    for (size_t i = 1; i < f->seen_count; i++) {
        struct seen *s = &f->seen[i], *before = &f->seen[i - 1];
        bool same =
            s->time_ms - before->time_ms <= gap_ms && ref_local(s->time_ms).day == ref_local(before->time_ms).day;
        s->session = before->session + !same;
    }
}

static void see_person(struct funnel *f, struct str person)
{
    f->seen_count = 0;
    for (const struct ref_event *event = f->reference->first; event; event = event->next) {
        if (event->gone || !event->id.data || !str_eq(ref_person(f->reference, event->id), person)) continue;
        if (is_far(f->plan, event->time_ms)) continue;
        f->seen[f->seen_count++] = look_at(f, event);
    }
    qsort(f->seen, f->seen_count, sizeof *f->seen, in_order);
    number_sessions(f);
}

/* --- an attempt --------------------------------------------------------------------------------------- */

static bool is_in_window(const struct funnel *f, const struct seen *entry, const struct seen *s)
{
    const struct funnel_plan *plan = f->plan;
    if (!makes_sessions(plan)) return s->time_ms <= entry->time_ms + plan->window_ms;
    size_t sessions = plan->count == FUNNEL_SESSIONS ? 1 : plan->window_sessions;
    return s->session >= entry->session && s->session < entry->session + sessions;
}

static bool holds_same(const struct funnel *f, const struct seen *a, const struct seen *b)
{
    for (size_t i = 0; i < f->plan->hold_count; i++) {
        if (!str_eq(a->held[i], b->held[i])) return false;
    }
    return true;
}

/* The steps that the next event may serve when those of `done` are: the first of the order, or those that stand in for
 * each other. */
static uint64_t steps_that_may_come(const struct funnel_plan *plan, uint64_t done)
{
    uint64_t steps = 0;
    size_t first = 0;
    while (first < plan->step_count && done >> first & 1) first++;
    if (first == plan->step_count) return 0;
    if (!plan->any_order || plan->steps[first].anchored) return UINT64_C(1) << first;
    for (size_t i = first; i < plan->step_count && !plan->steps[i].anchored; i++) {
        if (!(done >> i & 1)) steps |= UINT64_C(1) << i;
    }
    return steps;
}

static bool may_enter(struct funnel *f, const struct seen *s, size_t bucket)
{
    size_t here = bucket_of(f, s->time_ms);
    if (here == f->bucket_count || (f->plan->trend && here != bucket)) return false;
    return !s->used && s->holds && s->mask & steps_that_may_come(f->plan, 0);
}

static uint64_t lowest(uint64_t steps)
{
    return steps & -steps;
}

enum ending { CONVERTED, EXCLUDED, WINDOW_OVER };

/* *ret_last: the last event that it used, or the one that excluded it. */
static enum ending attempt(struct funnel *f, size_t entry, size_t bucket, struct try *t, size_t *ret_last)
{
    const struct funnel_plan *plan = f->plan;
    int64_t grace_ms = plan->no_grace ? 0 : FUNNEL_GRACE_MS;
    struct seen *first = &f->seen[entry];
    uint64_t done = lowest(first->mask & steps_that_may_come(plan, 0));
    first->used = true;
    *t = (struct try){
        .bucket = bucket_of(f, first->time_ms), .session = first->session, .reached = 1, .events = {entry}};
    *ret_last = entry;
    while (t->reached < plan->step_count) {
        const struct seen *last = &f->seen[t->events[t->reached - 1]];
        uint64_t wanted = steps_that_may_come(plan, done), excluded = 0;
        size_t next = f->seen_count, exclusion = f->seen_count;
        for (size_t i = 0; i < plan->exclusion_count; i++) {
            size_t to = plan->exclusions[i].to_step ? plan->exclusions[i].to_step : plan->step_count;
            if (plan->exclusions[i].from_step <= t->reached && t->reached < to)
                excluded |= UINT64_C(1) << (plan->step_count + i);
        }
        for (size_t i = 0; i < f->seen_count && next == f->seen_count; i++) {
            const struct seen *s = &f->seen[i];
            if (s->mask & wanted && !s->used && s->time_ms >= last->time_ms - grace_ms && is_in_window(f, first, s) &&
                holds_same(f, first, s))
                next = i;
        }
        for (size_t i = 0; i < f->seen_count && exclusion == f->seen_count; i++) {
            const struct seen *s = &f->seen[i];
            if (s->mask & excluded && !s->used && s->time_ms > last->time_ms + grace_ms && is_in_window(f, first, s))
                exclusion = i;
        }
        if (plan->reentry == FUNNEL_REENTRY_OPTIMIZED && t->reached == 1) {
            for (size_t i = entry + 1; i < next; i++) {
                if (may_enter(f, &f->seen[i], bucket) && holds_same(f, first, &f->seen[i])) return WINDOW_OVER;
            }
        }
        if (exclusion < f->seen_count &&
            (next == f->seen_count || f->seen[next].time_ms > f->seen[exclusion].time_ms + grace_ms)) {
            *ret_last = exclusion;
            return EXCLUDED;
        }
        if (next == f->seen_count) return WINDOW_OVER;
        f->seen[next].used = true;
        done |= lowest(f->seen[next].mask & wanted);
        t->events[t->reached++] = next;
        if (next > *ret_last) *ret_last = next;
    }
    return CONVERTED;
}

/* --- which attempts there are ------------------------------------------------------------------------- */

/* What was begun, with these held values, and when it is over. */
struct begun {
    const struct seen *entry;
    enum ending ending;
    size_t last;
};

static bool is_under_way(const struct funnel *f, const struct begun *begun, size_t event)
{
    const struct seen *s = &f->seen[event];
    bool window = begun->ending == WINDOW_OVER || f->plan->reentry == FUNNEL_REENTRY_BASIC;
    if (begun->ending != WINDOW_OVER && event <= begun->last) return true;
    return window && is_in_window(f, begun->entry, s);
}

/* All attempts of a funnel, in the order of their entries. */
static struct try *attempts(struct funnel *f, size_t bucket, size_t *ret_count)
{
    struct try *tries = must(f, f->seen_count, sizeof *tries);
    struct begun *begun = must(f, f->seen_count, sizeof *begun);
    size_t count = 0, begun_count = 0;
    for (size_t i = 0; i < f->seen_count; i++) f->seen[i].used = false;
    for (size_t i = 0; i < f->seen_count; i++) {
        bool busy = false;
        if (!may_enter(f, &f->seen[i], bucket)) continue;
        for (size_t b = 0; b < begun_count; b++) {
            if (holds_same(f, begun[b].entry, &f->seen[i]) && is_under_way(f, &begun[b], i)) busy = true;
        }
        if (busy && f->plan->reentry != FUNNEL_REENTRY_OPTIMIZED) continue;
        struct begun *b = &begun[begun_count++];
        b->entry = &f->seen[i];
        struct try *t = &tries[count++];
        b->ending = attempt(f, i, bucket, t, &b->last);
        bool frees = f->plan->reentry == FUNNEL_REENTRY_OPTIMIZED && b->ending != CONVERTED;
        for (size_t k = 0; frees && k < t->reached; k++) f->seen[t->events[k]].used = false;
    }
    *ret_count = count;
    return tries;
}

/* --- which of them count ------------------------------------------------------------------------------ */

static void count_try(struct funnel *f, const struct try *t, struct funnel_cell *cells)
{
    struct funnel_cell *steps = cells + t->bucket * f->plan->step_count;
    int64_t start_ms = f->seen[t->events[0]].time_ms, before_ms = start_ms;
    for (size_t k = 0; k < t->reached; k++) {
        int64_t time_ms = f->seen[t->events[k]].time_ms;
        steps[k].count++;
        if (time_ms > before_ms) steps[k].from_previous_ms += (uint64_t)(time_ms - before_ms);
        if (time_ms > start_ms) steps[k].from_start_ms += (uint64_t)(time_ms - start_ms);
        before_ms = time_ms;
    }
}

static struct ref_value attributed(const struct funnel *f, const struct try *t)
{
    size_t step = f->plan->on_step ? f->plan->on_step : 1;
    if (f->plan->attribution == FUNNEL_ATTRIBUTE_STEP)
        return step <= t->reached ? f->seen[t->events[step - 1]].on : ref_undefined;
    struct ref_value found = ref_undefined;
    for (size_t k = 0; k < t->reached; k++) {
        struct ref_value v = f->seen[t->events[k]].on;
        if (!is_defined(v) || (is_defined(found) && f->plan->attribution == FUNNEL_ATTRIBUTE_FIRST)) continue;
        found = v;
    }
    return found;
}

static bool has_label(struct funnel *f, const struct try *t, const struct str *label)
{
    size_t count;
    if (!label) return true;
    struct str *labels = ref_labels(f->arena, attributed(f, t), &count);
    for (size_t i = 0; i < count; i++) {
        if (str_eq(labels[i], *label)) return true;
    }
    return false;
}

/* Counts those with the label (NULL: all). Says how many they are. */
static uint64_t count_tries(struct funnel *f, const struct try *tries, size_t count, const struct str *label,
                            struct funnel_cell *cells)
{
    uint64_t counted = 0;
    bool optimized = f->plan->reentry == FUNNEL_REENTRY_OPTIMIZED;
    for (size_t i = 0; i < count; i++) {
        bool counts = has_label(f, &tries[i], label);
        /* is there one of the same group that counts instead? */
        for (size_t j = 0; j < count && counts && f->plan->count != FUNNEL_TOTALS; j++) {
            if (j == i || (f->plan->count == FUNNEL_SESSIONS && tries[j].session != tries[i].session) ||
                !has_label(f, &tries[j], label))
                continue;
            bool better = optimized ? tries[j].reached > tries[i].reached : false;
            bool same = optimized ? tries[j].reached == tries[i].reached : true;
            if (better || (same && j < i)) counts = false;
        }
        if (!counts) continue;
        count_try(f, &tries[i], cells);
        counted++;
    }
    return counted;
}

static struct funnel_series *series_of(struct funnel *f, struct str label)
{
    size_t at = 0;
    while (at < f->series_count && !str_eq(f->series[at].label, label)) at++;
    if (at < f->series_count) return &f->series[at];
    struct funnel_series *grown = must(f, f->series_count + 1, sizeof *grown);
    if (f->series_count) memcpy(grown, f->series, f->series_count * sizeof *grown);
    f->series = grown;
    f->series[at] = (struct funnel_series){
        .label = label, .cells = must(f, f->bucket_count * f->plan->step_count, sizeof(struct funnel_cell))};
    f->series_count++;
    return &f->series[at];
}

/* One funnel of the person at hand. */
static void run_funnel(struct funnel *f, size_t bucket)
{
    size_t count, label_count, known = 0;
    struct try *tries = attempts(f, bucket, &count);
    count_tries(f, tries, count, NULL, f->overall);
    if (!f->on) return;
    struct str *labels = must(f, 1, sizeof *labels);
    for (size_t i = 0; i < count; i++) {
        struct str *some = ref_labels(f->arena, attributed(f, &tries[i]), &label_count);
        for (size_t l = 0; l < label_count; l++) {
            size_t at = 0;
            while (at < known && !str_eq(labels[at], some[l])) at++;
            if (at < known) continue;
            struct str *grown = must(f, known + 1, sizeof *grown);
            if (known) memcpy(grown, labels, known * sizeof *grown);
            labels = grown;
            labels[known++] = some[l];
        }
    }
    for (size_t l = 0; l < known; l++) {
        struct funnel_series *series = series_of(f, labels[l]);
        series->entries += count_tries(f, tries, count, &labels[l], series->cells);
    }
}

/* --- the answer --------------------------------------------------------------------------------------- */

static int most_entries_first(const void *a, const void *b)
{
    const struct funnel_series *x = a, *y = b;
    if (x->entries != y->entries) return x->entries > y->entries ? -1 : 1;
    return str_cmp(x->label, y->label);
}

static void run_people(struct funnel *f)
{
    struct str *people = must(f, f->reference->count, sizeof *people);
    size_t count = 0;
    for (const struct ref_event *event = f->reference->first; event; event = event->next) {
        if (event->gone || !event->id.data) continue;
        struct str person = ref_person(f->reference, event->id);
        size_t at = 0;
        while (at < count && !str_eq(people[at], person)) at++;
        if (at == count) people[count++] = person;
    }
    for (size_t p = 0; p < count && !f->question.refused; p++) {
        see_person(f, people[p]);
        if (!f->plan->trend) run_funnel(f, 0);
        for (size_t b = 0; f->plan->trend && b < f->bucket_count; b++) run_funnel(f, b);
    }
}

const char *ref_funnel(const struct reference *reference, const struct funnel_plan *plan, struct arena *arena,
                       struct funnel_result *ret_result)
{
    struct funnel f = {.reference = reference, .plan = plan, .arena = arena};
    f.base = (struct plan){.kind = PLAN_EXPORT,
                           .zone = plan->zone,
                           .now_ms = plan->now_ms,
                           .joins = plan->joins,
                           .join_count = plan->join_count};
    if (!ref_ask(&f.question, reference, &f.base, arena)) return f.question.refused;
    make_trees(&f);
    if (f.question.refused) return f.question.refused;
    make_buckets(&f);
    f.seen = must(&f, reference->count, sizeof *f.seen);
    f.overall = must(&f, f.bucket_count * plan->step_count, sizeof *f.overall);
    run_people(&f);
    if (f.question.refused) return f.question.refused;
    if (f.series_count) qsort(f.series, f.series_count, sizeof *f.series, most_entries_first);
    *ret_result = (struct funnel_result){
        .arena = arena,
        .step_count = (uint32_t)plan->step_count,
        .bucket_count = (uint32_t)f.bucket_count,
        .buckets = f.buckets,
        .overall = f.overall,
        .series = f.series,
        .series_count = f.series_count > plan->limit ? plan->limit : (uint32_t)f.series_count,
        .label_count = (uint32_t)f.series_count,
    };
    return NULL;
}
