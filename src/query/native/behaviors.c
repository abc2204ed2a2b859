/*
 * Counting behaviours. For each behaviour, the runs of its events that overlap its window are read on all cores, and
 * rows that any of its selectors matches are added up by person: in one array for all threads, because additions hardly
 * ever meet and an array for each thread would cost as much memory again. Then the persons that have any are looked up
 * by the text of their shown id in the shadow, under whose numbers profiles are stored. The other way round, from every
 * profile to its person, would cost a look-up for profiles whose owners did nothing, too.
 */
#include "query/native/behaviors.h"

#include "base/civil.h"
#include "query/native/select.h"

#include <stdlib.h>

#define VECTORS_PER_TASK 64
#define PERSONS_PER_TASK 65536

/* The selectors of one behaviour that name one event. */
struct counting {
    struct native *native;
    const struct plan_limits *limits;
    const struct behavior *behavior;
    size_t index;            /* of it */
    struct selection window; /* the project's snapshot, any event; owns nothing */
    struct interval *interval;
    struct plan event_plan;
    uint32_t event;
    const size_t *selectors;
    size_t selector_count;
    struct scan_run *runs;
    size_t run_count;
    struct slice {
        uint32_t run, from, to; /* vectors */
    } * slices;
    uint32_t slice_count;
    struct counter *counters; /* by slot */
    uint32_t *totals;         /* by person of the project */
};

struct counter {
    struct selection *selections; /* by selector */
    struct plan *plans;
    struct scan *scan;
    struct scan_run open;
    bool ready, opened;
    struct error error;
};

/* Selections call their expression `where`; here it has another name. */
static enum status name_selector(const struct counting *c, size_t selector, enum status status, struct error *error)
{
    struct str where = STR("where: ");
    if (status != STATUS_INVALID) return status;
    if (str_starts(str_of(error->primary), where))
        memmove(error->primary, error->primary + where.size, strlen(error->primary + where.size) + 1);
    error_prefix(error, "behaviors[%zu].event_selectors[%zu].selector", c->index, selector);
    return status;
}

static enum status counter_ready(struct counting *c, struct counter *counter)
{
    if (counter->ready) return STATUS_OK;
    counter->selections = calloc(c->selector_count, sizeof *counter->selections);
    counter->plans = calloc(c->selector_count, sizeof *counter->plans);
    if (!counter->selections || !counter->plans) return selection_out_of_memory(&c->window, &counter->error);
    for (size_t i = 0; i < c->selector_count; i++) {
        struct selection from = c->window;
        counter->plans[i] = c->event_plan;
        counter->plans[i].where = c->behavior->selectors[c->selectors[i]].where;
        from.plan = &counter->plans[i];
        struct selection *to = &counter->selections[i];
        TRY(selection_fork(&from, &counter->error, to));
        if (!from.plan->where.data) continue;
        TRY(name_selector(c, c->selectors[i],
                          selection_compile(to, "where", from.plan->where, &counter->error, &to->where,
                                            &to->where_state, &to->where_columns),
                          &counter->error));
    }
    TRY(selection_scan(&counter->selections[0], &counter->error, &counter->scan));
    counter->ready = true;
    return STATUS_OK;
}

static void counter_fini(const struct counting *c, struct counter *counter)
{
    scan_free(counter->scan);
    for (size_t i = 0; counter->selections && i < c->selector_count; i++) {
        if (counter->selections[i].arena) selection_fini(&counter->selections[i]);
    }
    free(counter->selections);
    free(counter->plans);
}

static enum status count_vector(struct counting *c, struct counter *counter, uint32_t vector)
{
    uint8_t any[VECTOR_ROWS_MAX], keep[VECTOR_ROWS_MAX];
    const uint32_t *persons;
    uint32_t rows, left, matched = 0, person_count = snapshot_id_count(c->window.snapshot);
    TRY(scan_vector(counter->scan, vector, &counter->error, &rows));
    memset(any, 0, rows);
    for (size_t i = 0; i < c->selector_count; i++) {
        memset(keep, 1, rows);
        TRY(name_selector(
            c, c->selectors[i],
            selection_keep(&counter->selections[i], counter->scan, &counter->open, rows, &counter->error, keep, &left),
            &counter->error));
        for (uint32_t row = 0; row < rows && left; row++) any[row] |= keep[row];
        matched |= left;
    }
    if (!matched) return STATUS_OK;
    TRY(scan_persons(counter->scan, &counter->error, &persons));
    for (uint32_t row = 0; row < rows; row++) {
        if (any[row] && persons[row] && persons[row] <= person_count)
            (void)__atomic_fetch_add(&c->totals[persons[row]], 1, __ATOMIC_RELAXED);
    }
    return STATUS_OK;
}

static enum status count_slice(void *ctx, unsigned slot, uint32_t index)
{
    struct counting *c = ctx;
    struct counter *counter = &c->counters[slot];
    const struct slice *slice = &c->slices[index];
    TRY(counter_ready(c, counter));
    if (!counter->opened || counter->open.section != c->runs[slice->run].section ||
        counter->open.event != c->runs[slice->run].event) {
        counter->opened = false;
        TRY(scan_open(counter->scan, &c->runs[slice->run], &counter->error));
        counter->open = c->runs[slice->run];
        counter->opened = true;
    }
    for (uint32_t vector = slice->from; vector < slice->to; vector++) {
        TRY(selection_interrupted(&counter->selections[0], &counter->error));
        TRY(count_vector(c, counter, vector));
    }
    return STATUS_OK;
}

static enum status cut_runs(struct counting *c, struct arena *arena, struct error *error)
{
    uint64_t count = 0;
    TRY(selection_runs(&c->window, error, &c->runs, &c->run_count));
    for (size_t i = 0; i < c->run_count; i++) count += (c->runs[i].vectors + VECTORS_PER_TASK - 1) / VECTORS_PER_TASK;
    c->slice_count = 0;
    c->slices = arena_new_array(arena, struct slice, (size_t)count + 1);
    if (!c->slices || count > UINT32_MAX) return selection_out_of_memory(&c->window, error);
    for (size_t i = 0; i < c->run_count; i++) {
        for (uint32_t from = 0; from < c->runs[i].vectors; from += VECTORS_PER_TASK) {
            uint32_t to = from + VECTORS_PER_TASK < c->runs[i].vectors ? from + VECTORS_PER_TASK : c->runs[i].vectors;
            c->slices[c->slice_count++] = (struct slice){(uint32_t)i, from, to};
        }
    }
    return STATUS_OK;
}

/* One event of the behaviour at hand: c->selectors are those that name it. */
static enum status count_event(struct counting *c, struct arena *arena, struct error *error)
{
    const struct str *name = &c->behavior->selectors[c->selectors[0]].event;
    unsigned slots = pool_slots(c->native->pool);
    c->event_plan.events = name;
    c->event_plan.event_count = 1;
    c->window.plan = &c->event_plan;
    c->event = snapshot_event_id(c->window.snapshot, *name);
    c->window.events = &c->event;
    c->window.event_count = c->event != EVENT_ID_NONE;
    c->window.intervals = c->interval;
    c->window.interval_count = 1;
    c->window.share_bytes_max = c->limits->memory_bytes_max / slots;
    TRY(cut_runs(c, arena, error));
    c->counters = arena_new_array(arena, struct counter, slots);
    if (!c->counters) return selection_out_of_memory(&c->window, error);
    /* what is wrong with a selector is told although nothing may have to be counted */
    enum status status = counter_ready(c, &c->counters[0]);
    if (status == STATUS_OK) status = pool_run(c->native->pool, c->slice_count, count_slice, c);
    for (unsigned i = 0; i < slots; i++) {
        if (status != STATUS_OK && c->counters[i].error.status == status) *error = c->counters[i].error;
        counter_fini(c, &c->counters[i]);
    }
    return status;
}

static enum status count_behavior(struct counting *c, struct arena *arena, struct error *error)
{
    const struct behavior *behavior = c->behavior;
    size_t *selectors = arena_new_array(arena, size_t, behavior->selector_count + 1);
    bool *done = arena_new_array(arena, bool, behavior->selector_count + 1);
    if (!selectors || !done) return selection_out_of_memory(&c->window, error);
    for (size_t first = 0; first < behavior->selector_count; first++) {
        if (done[first]) continue;
        c->selectors = selectors;
        c->selector_count = 0;
        for (size_t i = first; i < behavior->selector_count; i++) {
            if (!str_eq(behavior->selectors[i].event, behavior->selectors[first].event)) continue;
            selectors[c->selector_count++] = i;
            done[i] = true;
        }
        TRY(count_event(c, arena, error));
    }
    return STATUS_OK;
}

/* --- from persons to profiles --- */

struct translation {
    const struct snapshot *project, *shadow;
    const uint32_t *totals;
    uint32_t person_count, *numbers;
};

static enum status translate(void *ctx, unsigned slot, uint32_t index)
{
    const struct translation *t = ctx;
    uint64_t from = (uint64_t)index * PERSONS_PER_TASK + 1, to = from + PERSONS_PER_TASK;
    char room[ID_TEXT_ROOM];
    (void)slot;
    if (to > (uint64_t)t->person_count + 1) to = (uint64_t)t->person_count + 1;
    for (uint32_t person = (uint32_t)from; person < to; person++) {
        if (!t->totals[person]) continue;
        struct str text = snapshot_id_text(t->project, snapshot_person_id(t->project, person), room);
        uint32_t id = text.size ? snapshot_id(t->shadow, text) : 0;
        if (id) t->numbers[id] = t->totals[person];
    }
    return STATUS_OK;
}

enum status behavior_counts_new(struct native *native, const struct profile_plan *plan, struct snapshot *project,
                                struct snapshot *shadow, const struct plan_limits *limits, struct arena *arena,
                                struct error *error, struct behavior_counts **ret_counts)
{
    uint32_t person_count = snapshot_id_count(project);
    struct interval interval;
    struct counting c = {.native = native, .limits = limits, .interval = &interval};
    struct behavior_counts *counts = arena_new_array(arena, struct behavior_counts, 1);
    c.window = (struct selection){.snapshot = project, .forked = true, .limits = *limits, .arena = arena};
    c.totals = arena_new_array(arena, uint32_t, (size_t)person_count + 1);
    if (!counts || !c.totals) return selection_out_of_memory(&c.window, error);
    counts->id_count = snapshot_id_count(shadow);
    counts->numbers = arena_new_array(arena, uint32_t *, plan->behavior_count + 1);
    if (!counts->numbers) return selection_out_of_memory(&c.window, error);
    for (size_t i = 0; i < plan->behavior_count; i++) {
        counts->numbers[i] = arena_new_array(arena, uint32_t, (size_t)counts->id_count + 1);
        if (!counts->numbers[i]) return selection_out_of_memory(&c.window, error);
        if (plan->group_key.data) continue;
        memset(c.totals, 0, ((size_t)person_count + 1) * sizeof *c.totals);
        c.behavior = &plan->behaviors[i];
        c.index = i;
        interval = (struct interval){plan->as_of_ms - c.behavior->window_ms, plan->as_of_ms};
        c.event_plan = (struct plan){.kind = PLAN_EXPORT,
                                     .project = plan->project,
                                     .zone = plan->zone,
                                     .from_day = floor_div(interval.from_ms, DAY_MS) - 1,
                                     .to_day = floor_div(interval.to_ms, DAY_MS) + 1,
                                     .now_ms = plan->now_ms};
        TRY(count_behavior(&c, arena, error));
        struct translation t = {project, shadow, c.totals, person_count, counts->numbers[i]};
        uint32_t tasks = (person_count + PERSONS_PER_TASK - 1) / PERSONS_PER_TASK;
        TRY(pool_run(native->pool, tasks, translate, &t));
    }
    *ret_counts = counts;
    return STATUS_OK;
}
