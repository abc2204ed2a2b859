/*
 * Funnels on the event store.
 *
 * Steps and exclusions are selectors of journeys (journey.h), which bring each person's events in order; only persons
 * with an entry are visited. funnel_attempt.c makes attempts of them, funnel_count.c counts those that count, each slot
 * into cells of its own, which are added up in the end: sums of whole numbers, so threads do not show.
 *
 * Labels. Cells are made for each label that is met. When that is more than memory allows, there are too many labels to
 * keep all buckets and steps of each: then a walk counts how many entries each label has and nothing else, and another
 * one fills the cells of those that are answered. Both read the same snapshot, and the answer is the same either way.
 */
#include "query/native/funnel_int.h"

#include "base/civil.h"

#include <stdatomic.h>
#include <stdlib.h>

#define QUARTER_MS      (INT64_C(15) * 60000)
#define TABLE_ITEMS_MAX ((int64_t)1 << 18)

enum status funnel_out_of_memory(const struct funneling *f, struct error *error)
{
    error_set(error, STATUS_LIMIT, "the funnel needs more than %zu bytes of memory", f->limits->memory_bytes_max);
    error_hint(error, "use a shorter range, a larger unit, an \"on\" of fewer values, or raise query.memory_max");
    return STATUS_LIMIT;
}

/* --- time --- */

uint32_t time_table_search(const struct time_table *table, int64_t time_ms)
{
    size_t low = 0, high = table->edge_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (table->edges[middle].from_ms <= time_ms)
            low = middle + 1;
        else
            high = middle;
    }
    return low ? table->edges[low - 1].bucket : BUCKET_NONE;
}

/* The unit is an hour or a quarter when all edges are such: then bucket by unit is a table. With it, offset · inverse
 * is exact: offset · unit stays below 2^64, as it has to for that. */
static enum status make_table(struct time_table *table, struct arena *arena, struct error *error)
{
    int64_t unit = HOUR_MS;
    for (size_t i = 0; i < table->edge_count; i++) {
        if (table->edges[i].from_ms % HOUR_MS) unit = QUARTER_MS;
        if (table->edges[i].from_ms % QUARTER_MS) return STATUS_OK;
    }
    int64_t count = (table->to_ms - table->from_ms) / unit + 1;
    if (count > TABLE_ITEMS_MAX) return STATUS_OK;
    table->inverse = UINT64_MAX / (uint64_t)unit + 1;
    table->table = arena_alloc(arena, (size_t)count * sizeof *table->table);
    if (!table->table) return error_set(error, STATUS_LIMIT, "memory budget exceeded");
    size_t edge = 0;
    for (int64_t i = 0; i < count; i++) {
        int64_t time_ms = table->from_ms + i * unit;
        while (edge + 1 < table->edge_count && table->edges[edge + 1].from_ms <= time_ms) edge++;
        table->table[i] = table->edges[edge].bucket;
    }
    return STATUS_OK;
}

enum status time_table_init(struct time_table *table, const struct buckets *buckets, struct arena *arena,
                            struct error *error)
{
    size_t first = 0, last = 0;
    *table = (struct time_table){.ascends = true};
    TRY(buckets_edges(buckets, arena, error, &table->edges, &table->edge_count));
    while (first < table->edge_count && table->edges[first].bucket == BUCKET_NONE) first++;
    if (first == table->edge_count) return STATUS_OK; /* no such day: a place that skipped it */
    for (size_t i = first; i < table->edge_count; i++) {
        if (table->edges[i].bucket != BUCKET_NONE) last = i;
    }
    uint32_t before = 0;
    for (size_t i = first; i <= last; i++) {
        uint32_t bucket = table->edges[i].bucket;
        table->ascends &= bucket != BUCKET_NONE && bucket >= before;
        before = bucket;
    }
    int64_t span_from_ms, span_to_ms;
    buckets_span(buckets, &span_from_ms, &span_to_ms);
    table->from_ms = table->edges[first].from_ms;
    table->to_ms = last + 1 < table->edge_count ? table->edges[last + 1].from_ms : span_to_ms;
    if (table->ascends) {
        table->ends_ms = arena_new_array(arena, int64_t, (size_t)before + 1);
        if (!table->ends_ms) return error_set(error, STATUS_LIMIT, "memory budget exceeded");
        for (size_t i = first; i <= last; i++)
            table->ends_ms[table->edges[i].bucket] = i < last ? table->edges[i + 1].from_ms : table->to_ms;
    }
    return make_table(table, arena, error);
}

static enum status make_times(struct funneling *f)
{
    const struct funnel_plan *plan = f->plan;
    struct plan range = {.zone = plan->zone,
                         .from_day = plan->from_day,
                         .to_day = plan->to_day,
                         .unit = plan->unit,
                         .interval_days = plan->interval_days};
    TRY(buckets_new(f->arena, &range, f->limits->buckets_max, f->error, &f->buckets));
    f->bucket_count = buckets_count(f->buckets);
    TRY(time_table_init(&f->entries, f->buckets, f->arena, f->error));
    if (!f->window_sessions) return STATUS_OK;
    /* the days of sessions: one for each day that can be met, however many */
    struct buckets *days;
    int64_t ahead = f->window_sessions == 1 ? 2 : FUNNEL_WINDOW_MS_MAX / DAY_MS + 2;
    range.from_day -= 2;
    range.to_day += ahead;
    range.unit = UNIT_DAY;
    TRY(buckets_new(f->arena, &range, UINT32_MAX - 1, f->error, &days));
    return time_table_init(&f->days, days, f->arena, f->error);
}

/* --- the plan as journeys --- */

static enum status name_selector(struct funneling *f, const char *list, size_t i, const char **ret_name)
{
    *ret_name = arena_printf(f->arena, "%s[%zu].where", list, i).data;
    return *ret_name ? STATUS_OK : funnel_out_of_memory(f, f->error);
}

static enum status make_selectors(struct funneling *f)
{
    const struct funnel_plan *plan = f->plan;
    size_t count = plan->step_count + plan->exclusion_count;
    struct journey_selector *selectors = arena_new_array(f->arena, struct journey_selector, count + 1);
    f->gap_exclusions = arena_new_array(f->arena, uint64_t, plan->step_count + 1);
    if (!selectors || !f->gap_exclusions) return funnel_out_of_memory(f, f->error);
    for (size_t i = 0; i < plan->step_count; i++) {
        const struct funnel_step *step = &plan->steps[i];
        selectors[i] =
            (struct journey_selector){.events = step->events, .event_count = step->event_count, .where = step->where};
        TRY(name_selector(f, "steps", i, &selectors[i].parameter));
        f->step_mask |= (uint64_t)1 << i;
    }
    for (size_t i = 0; i < plan->exclusion_count; i++) {
        const struct funnel_exclusion *exclusion = &plan->exclusions[i];
        struct journey_selector *selector = &selectors[plan->step_count + i];
        size_t to = exclusion->to_step ? exclusion->to_step : plan->step_count;
        *selector = (struct journey_selector){
            .events = exclusion->events, .event_count = exclusion->event_count, .where = exclusion->where};
        TRY(name_selector(f, "exclusions", i, &selector->parameter));
        for (size_t k = exclusion->from_step; k < to; k++)
            f->gap_exclusions[k] |= (uint64_t)1 << (plan->step_count + i);
    }
    if (f->window_sessions) count++; /* all that a person does makes sessions: any event, no filter */
    f->journey_plan.selectors = selectors;
    f->journey_plan.selector_count = count;
    return STATUS_OK;
}

/* An anchored step is a group by itself, and so is every step when the order is fixed. */
static enum status make_groups(struct funneling *f)
{
    const struct funnel_plan *plan = f->plan;
    f->groups = arena_new_array(f->arena, struct step_group, plan->step_count);
    if (!f->groups) return funnel_out_of_memory(f, f->error);
    size_t count = 0;
    for (size_t i = 0; i < plan->step_count; i++) {
        bool joins = i && plan->any_order && !plan->steps[i].anchored && !plan->steps[i - 1].anchored;
        if (!joins) f->groups[count++].first = (uint32_t)i;
        f->groups[count - 1].mask |= (uint64_t)1 << i;
    }
    f->entry_mask = f->groups[0].mask;
    return STATUS_OK;
}

static enum status make_values(struct funneling *f)
{
    const struct funnel_plan *plan = f->plan;
    struct journey_expression *values = arena_new_array(f->arena, struct journey_expression, JOURNEY_VALUES_MAX);
    if (!values) return funnel_out_of_memory(f, f->error);
    size_t count = 0;
    if (plan->on.data)
        values[count++] = (struct journey_expression){.text = plan->on, .parameter = "on", .selectors = f->step_mask};
    f->hold_first = count;
    for (size_t i = 0; i < plan->hold_count; i++) {
        struct str name = arena_printf(f->arena, "hold[%zu]", i);
        if (!name.data) return funnel_out_of_memory(f, f->error);
        values[count++] =
            (struct journey_expression){.text = plan->hold[i], .parameter = name.data, .selectors = f->step_mask};
    }
    f->journey_plan.values = values;
    f->journey_plan.value_count = count;
    return STATUS_OK;
}

static enum status make_plan(struct funneling *f)
{
    const struct funnel_plan *plan = f->plan;
    f->step_count = (uint32_t)plan->step_count;
    f->optimized = plan->reentry == FUNNEL_REENTRY_OPTIMIZED;
    f->one_counts = plan->count != FUNNEL_TOTALS;
    f->window_sessions = plan->count == FUNNEL_SESSIONS ? 1 : plan->window_sessions;
    f->window_ms = f->window_sessions ? 0 : plan->window_ms;
    f->grace_ms = plan->no_grace ? 0 : FUNNEL_GRACE_MS;
    f->session_gap_ms = plan->session_gap_ms ? plan->session_gap_ms : FUNNEL_SESSION_GAP_MS;
    TRY(make_times(f));
    TRY(make_selectors(f));
    TRY(make_groups(f));
    TRY(make_values(f));
    int64_t before_ms = f->grace_ms * (int64_t)(plan->step_count - 1);
    int64_t ahead_ms = !f->window_sessions ? f->window_ms + 1 : f->window_sessions == 1 ? 0 : FUNNEL_WINDOW_MS_MAX;
    f->journey_plan.project = plan->project;
    f->journey_plan.zone = plan->zone;
    f->journey_plan.now_ms = plan->now_ms;
    f->journey_plan.joins = plan->joins;
    f->journey_plan.join_count = plan->join_count;
    f->journey_plan.from_ms = f->entries.from_ms - before_ms;
    f->journey_plan.to_ms = f->entries.to_ms + ahead_ms;
    f->journey_plan.required = f->entry_mask;
    f->journey_plan.by_selector = funnel_is_plain(f);
    if (f->one_counts && f->bucket_count == 1) { /* who has no step 2 counts as one who began, whenever that was */
        f->journey_plan.followed = (uint64_t)1 << 1;
        f->journey_plan.counted_from_ms = f->entries.from_ms;
        f->journey_plan.counted_to_ms = f->entries.to_ms;
    }
    f->journey_plan.where = plan->where;
    f->journey_plan.where_selectors = f->step_mask;
    return STATUS_OK;
}

/* --- slots --- */

static enum status make_slots(struct funneling *f)
{
    unsigned slots = journeys_slots(f->journeys);
    f->slots = arena_new_array(f->arena, struct funnel_slot, slots);
    if (!f->slots) return funnel_out_of_memory(f, f->error);
    for (unsigned i = 0; i < slots; i++) {
        struct funnel_slot *slot = &f->slots[i];
        size_t cells = (size_t)f->bucket_count * f->step_count;
        slot->arena = arena_new(journeys_slot_bytes(f->journeys));
        if (cells * sizeof *slot->overall > journeys_slot_bytes(f->journeys)) return funnel_out_of_memory(f, f->error);
        slot->overall = arena_new_array(f->arena, struct funnel_cell, cells + 1);
        if (!slot->overall) return funnel_out_of_memory(f, f->error);
    }
    return STATUS_OK;
}

static void free_slots(struct funneling *f)
{
    for (unsigned i = 0; f->slots && i < journeys_slots(f->journeys); i++) {
        struct funnel_slot *slot = &f->slots[i];
        arena_free(slot->arena);
        free(slot->label_cells);
        free(slot->label_entries);
        free(slot->label_seen);
        free(slot->label_place);
        free(slot->stamps);
        free(slot->sessions);
        free(slot->resumes);
        free(slot->candidates);
        free(slot->candidate_times);
    }
}

/* For another walk: nothing is counted yet. */
static void reset_slots(struct funneling *f)
{
    for (unsigned i = 0; i < journeys_slots(f->journeys); i++) {
        struct funnel_slot *slot = &f->slots[i];
        memset(slot->overall, 0, (size_t)f->bucket_count * f->step_count * sizeof *slot->overall);
        if (slot->label_capacity) {
            memset(slot->label_cells, 0, slot->label_capacity * sizeof *slot->label_cells);
            memset(slot->label_entries, 0, slot->label_capacity * sizeof *slot->label_entries);
        }
        slot->candidate_count = 0;
        arena_reset(slot->arena);
    }
}

/* --- the answer --- */

/* Adds what one slot has, with counts of attempts that reached a step and no further. */
static void add_cells(struct funnel_cell *to, const struct funnel_cell *from, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        to[i].count += from[i].count;
        to[i].from_previous_ms += from[i].from_previous_ms;
        to[i].from_start_ms += from[i].from_start_ms;
    }
}

/* Who reached a step reached those before it. */
static void add_up_steps(const struct funneling *f, struct funnel_cell *cells)
{
    for (uint32_t b = 0; b < f->bucket_count; b++) {
        struct funnel_cell *steps = cells + (size_t)b * f->step_count;
        for (uint32_t k = f->step_count - 1; k > 0; k--) steps[k - 1].count += steps[k].count;
    }
}

struct ranked_label {
    uint64_t entries;
    struct str text;
    uint32_t label;
};

static int by_entries(const void *a, const void *b)
{
    const struct ranked_label *x = a, *y = b;
    if (x->entries != y->entries) return x->entries > y->entries ? -1 : 1;
    return str_cmp(x->text, y->text);
}

/* The labels that have entries, most first. */
static enum status rank_labels(struct funneling *f, struct ranked_label **ret_ranked, uint32_t *ret_count)
{
    uint32_t labels = 0, count = 0;
    for (unsigned i = 0; i < journeys_slots(f->journeys); i++) {
        if (f->slots[i].label_capacity > labels) labels = f->slots[i].label_capacity;
    }
    if (labels > journey_label_count(f->journeys)) labels = journey_label_count(f->journeys);
    struct ranked_label *ranked = arena_alloc(f->arena, ((size_t)labels + 1) * sizeof *ranked);
    if (!ranked) return funnel_out_of_memory(f, f->error);
    for (uint32_t label = 0; label < labels; label++) {
        uint64_t entries = 0;
        for (unsigned i = 0; i < journeys_slots(f->journeys); i++) {
            if (label < f->slots[i].label_capacity) entries += f->slots[i].label_entries[label];
        }
        if (!entries) continue;
        ranked[count++] = (struct ranked_label){entries, journey_label_text(f->journeys, label), label};
    }
    qsort(ranked, count, sizeof *ranked, by_entries);
    *ret_ranked = ranked;
    *ret_count = count;
    return STATUS_OK;
}

static enum status add_series(struct funneling *f, const struct ranked_label *ranked, struct funnel_result *result)
{
    struct funnel_series *series = &result->series[result->series_count++];
    size_t count = (size_t)f->bucket_count * f->step_count;
    series->label = arena_str(result->arena, ranked->text);
    series->entries = ranked->entries;
    series->cells = arena_new_array(result->arena, struct funnel_cell, count + 1);
    if (!series->label.data || !series->cells) return funnel_out_of_memory(f, f->error);
    for (unsigned i = 0; i < journeys_slots(f->journeys); i++) {
        const struct funnel_slot *slot = &f->slots[i];
        if (ranked->label < slot->label_capacity && slot->label_cells[ranked->label])
            add_cells(series->cells, slot->label_cells[ranked->label], count);
    }
    add_up_steps(f, series->cells);
    return STATUS_OK;
}

static enum status walk(struct funneling *f)
{
    journey_visit_fn visit = journeys_are_by_selector(f->journeys) ? funnel_visit_plain : funnel_visit;
    TRY(journeys_walk(f->journeys, visit, f, f->error));
    f->slots[0].overall[0].count += journeys_left_out(f->journeys);
    return STATUS_OK;
}

/* Two walks instead of one: see above. */
static enum status walk_chosen(struct funneling *f)
{
    struct ranked_label *ranked;
    uint32_t count;
    reset_slots(f);
    f->totals_only = true;
    TRY(walk(f));
    TRY(rank_labels(f, &ranked, &count));
    f->totals_only = false;
    f->chosen_labels = journey_label_count(f->journeys);
    f->chosen = arena_alloc(f->arena, ((size_t)f->chosen_labels + 1) * sizeof *f->chosen);
    if (!f->chosen) return funnel_out_of_memory(f, f->error);
    for (uint32_t i = 0; i < f->chosen_labels; i++) f->chosen[i] = UINT32_MAX;
    for (uint32_t i = 0; i < count && i < f->plan->limit; i++) f->chosen[ranked[i].label] = i;
    reset_slots(f);
    return walk(f);
}

static enum status own_buckets(struct funneling *f, struct funnel_result *result)
{
    result->buckets = arena_new_array(result->arena, struct str, (size_t)f->bucket_count + 1);
    if (!result->buckets) return funnel_out_of_memory(f, f->error);
    for (uint32_t b = 0; b < f->bucket_count; b++) {
        result->buckets[b] = arena_str(result->arena, buckets_label(f->buckets, b));
        if (!result->buckets[b].data) return funnel_out_of_memory(f, f->error);
    }
    return STATUS_OK;
}

static enum status answer(struct funneling *f, struct funnel_result *result)
{
    size_t cells = (size_t)f->bucket_count * f->step_count;
    enum status status = walk(f);
    if (status == STATUS_LIMIT && f->too_many_labels) status = walk_chosen(f);
    TRY(status);
    TRY(own_buckets(f, result));
    result->step_count = f->step_count;
    result->bucket_count = f->bucket_count;
    result->overall = arena_new_array(result->arena, struct funnel_cell, cells + 1);
    if (!result->overall) return funnel_out_of_memory(f, f->error);
    for (unsigned i = 0; i < journeys_slots(f->journeys); i++) add_cells(result->overall, f->slots[i].overall, cells);
    add_up_steps(f, result->overall);
    if (!f->plan->on.data) return STATUS_OK;
    struct ranked_label *ranked;
    TRY(rank_labels(f, &ranked, &result->label_count));
    uint32_t kept = result->label_count < f->plan->limit ? result->label_count : f->plan->limit;
    result->series = arena_new_array(result->arena, struct funnel_series, (size_t)kept + 1);
    if (!result->series) return funnel_out_of_memory(f, f->error);
    for (uint32_t i = 0; i < kept; i++) TRY(add_series(f, &ranked[i], result));
    return STATUS_OK;
}

enum status native_funnel(struct executor *executor, const struct funnel_plan *plan, const struct plan_limits *limits,
                          struct error *error, struct funnel_result *ret_result)
{
    struct error local = ERROR_INIT;
    struct funneling f = {.plan = plan, .limits = limits, .error = error ? error : &local};
    struct funnel_result result = {.arena = NULL};
    TRY(funnel_check(plan, error));
    f.arena = arena_new(limits->memory_bytes_max);
    result.arena = arena_new(limits->memory_bytes_max);
    enum status status = make_plan(&f);
    if (status == STATUS_OK)
        status = journeys_open((struct native *)executor, &f.journey_plan, limits, f.error, &f.journeys);
    if (status == STATUS_OK) {
        status = make_slots(&f);
        if (status == STATUS_OK) status = answer(&f, &result);
        free_slots(&f);
    }
    journeys_free(f.journeys);
    arena_free(f.arena);
    if (status != STATUS_OK) {
        arena_free(result.arena);
        return status;
    }
    *ret_result = result;
    return STATUS_OK;
}
