/*
 * The person-ordered frame on the event store.
 *
 * Runs (the rows of one event in one section) are sorted by person, then time. What is asked for is sorted by person,
 * then time, over all runs. So persons are cut into ranges of about as many rows as stay in a cache; a task takes one
 * range and goes over the runs three times:
 *
 *   1. Count, from the lists of persons alone, how many rows each person of the range has; first in the runs of
 *      required selectors, then in the others, where those count nothing who have none of the first.
 *   2. Fill: places are given out by the counts. The rows of a person in a run are adjacent, and so is where they go.
 *      Only vectors that hold somebody who counts are decoded: minutes and milliseconds, and the columns of filters.
 *   3. Visit: sort the events of each person (nearly sorted already) and hand them to the visitor.
 *
 * Of those who only began something, many questions want to know no more than how many they are: they are left out
 * after the first step.
 *
 * No hashing, no merging of cursors; a range's memory is known before it is filled. When it would be too much, the
 * range is filled and visited in parts; when one person alone is too much, the answer is LIMIT.
 *
 * Filters are decided per run as segmentations do it (prepare.c): a term over a dictionary becomes a table, a constant
 * decides a whole run; a selector whose terms are all decided costs no row anything. Values, too: of a dictionary they
 * are numbered once, by code.
 *
 * Here plans become what the others work with; journey_vector.c matches the rows of a vector, journey_walk.c counts,
 * fills, sorts and visits. Rows of persons who were merged since their run was sorted come from a list beside
 * (journey_moved.c).
 */
#include "query/native/journey.h"

#include <stdlib.h>

#include "query/native/journey_int.h"

#define RANGE_ROWS        ((uint64_t)1 << 17)
#define RANGE_ROWS_RUN    2048 /* of a run, on average: opening it costs as much as some rows */
#define RANGE_PERSONS_MAX ((uint64_t)1 << 20)
#define SHARE_MIN         ((size_t)8 << 20)
#define EXPR_BUDGET_MIN   ((size_t)2 << 20)

enum status journeys_out_of_memory(const struct journeys *journeys, struct error *error)
{
    error_set(error, STATUS_LIMIT, "the query needs more than %zu bytes of memory", journeys->limits.memory_bytes_max);
    error_hint(error, "use a shorter range, an \"on\" of fewer values, or raise query.memory_max");
    return STATUS_LIMIT;
}

/* --- setting up: expressions --- */

static enum status named(struct journeys *journeys, const char *parameter, enum status status)
{
    return native_expression(parameter, status, journeys->survey.error);
}

/* The terms of all filters stand one behind the other; two of the same text are there once. */
static enum status compile_filters(struct journeys *journeys)
{
    const struct journey_plan *plan = journeys->plan;
    struct survey *survey = &journeys->survey;
    struct expr_options options = {
        .zone = plan->zone, .now_ms = plan->now_ms, .joins = plan->joins, .join_count = plan->join_count};
    size_t filters = plan->selector_count + 1;
    struct expr_term *terms = arena_new_array(survey->arena, struct expr_term, filters * EXPR_TERMS_MAX);
    const char **names = arena_new_array(survey->arena, const char *, filters *EXPR_TERMS_MAX);
    if (!terms || !names) return journeys_out_of_memory(journeys, survey->error);
    survey->terms = terms;
    survey->term_names = names;
    for (size_t i = 0; i < filters; i++) {
        bool whole = i == plan->selector_count;
        struct str text = whole ? plan->where : plan->selectors[i].where;
        const char *name = whole ? "where" : plan->selectors[i].parameter;
        struct journey_filter *filter = &journeys->filters[whole ? JOURNEY_SELECTORS_MAX : i];
        const struct expr_term *compiled;
        filter->first_term = survey->term_count;
        if (!text.data) continue;
        TRY(named(journeys, name,
                  expr_compile_terms(survey->arena, text, &options, survey->error, &compiled, &filter->term_count)));
        for (size_t t = 0; t < filter->term_count; t++) {
            terms[survey->term_count] = compiled[t];
            names[survey->term_count++] = name;
            if (profile_join_want(&survey->profiles, compiled[t].expr) != STATUS_OK)
                return journeys_out_of_memory(journeys, survey->error);
        }
    }
    return STATUS_OK;
}

static enum status compile_values(struct journeys *journeys)
{
    const struct journey_plan *plan = journeys->plan;
    struct survey *survey = &journeys->survey;
    struct expr_options options = {.zone = plan->zone,
                                   .now_ms = plan->now_ms,
                                   .bare_name_is_property = true,
                                   .joins = plan->joins,
                                   .join_count = plan->join_count};
    for (size_t v = 0; v < plan->value_count; v++) {
        TRY(named(
            journeys, plan->values[v].parameter,
            expr_compile(survey->arena, plan->values[v].text, &options, survey->error, &journeys->value_exprs[v])));
        if (profile_join_want(&survey->profiles, journeys->value_exprs[v]) != STATUS_OK)
            return journeys_out_of_memory(journeys, survey->error);
    }
    return STATUS_OK;
}

static enum status make_walkers(struct journeys *journeys)
{
    struct survey *survey = &journeys->survey;
    size_t share = survey->worker_bytes_max / 8 / (journeys->plan->value_count + 1);
    if (share < EXPR_BUDGET_MIN) share = EXPR_BUDGET_MIN;
    survey->workers = arena_alloc(survey->arena, pool_slots(survey->pool) * sizeof *survey->workers);
    journeys->walkers = arena_new_array(survey->arena, struct walker, pool_slots(survey->pool));
    if (!survey->workers || !journeys->walkers) return journeys_out_of_memory(journeys, survey->error);
    TRY(survey_make_workers(survey, pool_slots(survey->pool)));
    for (unsigned w = 0; w < survey->worker_count; w++) {
        struct walker *walker = &journeys->walkers[w];
        walker->worker = &survey->workers[w];
        buf_init(&walker->text, (size_t)1 << 24);
        for (size_t v = 0; v < journeys->plan->value_count; v++) {
            walker->value_states[v] = expr_state_new(journeys->value_exprs[v], share);
            native_watch(walker->value_states[v], survey->limits);
            TRY(columns_new(walker->worker->arena, journeys->value_exprs[v], survey->snapshot, &survey->profiles,
                            survey->error, &walker->value_columns[v]));
        }
    }
    return STATUS_OK;
}

/* --- setting up: runs --- */

/* The events of a selector, each once; names that no event has are left out. */
static enum status find_events(struct journeys *journeys, size_t selector)
{
    const struct journey_selector *from = &journeys->plan->selectors[selector];
    struct journey_filter *filter = &journeys->filters[selector];
    if (from->event_count == 0) return STATUS_OK;
    uint32_t *events = arena_new_array(journeys->survey.arena, uint32_t, from->event_count + 1);
    if (!events) return journeys_out_of_memory(journeys, journeys->survey.error);
    for (size_t i = 0; i < from->event_count; i++) {
        uint32_t event = snapshot_event_id(journeys->survey.snapshot, from->events[i]);
        size_t known = 0;
        while (known < filter->event_count && events[known] != event) known++;
        if (event != EVENT_ID_NONE && known == filter->event_count) events[filter->event_count++] = event;
    }
    filter->events = events;
    return STATUS_OK;
}

static bool has_event(const struct journey_filter *filter, uint32_t event)
{
    if (!filter->events) return true;
    for (size_t i = 0; i < filter->event_count; i++) {
        if (filter->events[i] == event) return true;
    }
    return false;
}

static enum status list_runs(struct journeys *journeys)
{
    const struct journey_plan *plan = journeys->plan;
    struct survey *survey = &journeys->survey;
    struct scan_options options = {.from_ms = plan->from_ms, .to_ms = plan->to_ms};
    struct scan_run *runs;
    size_t room = 1;
    bool any = false;
    for (size_t i = 0; i < plan->selector_count; i++) {
        TRY(find_events(journeys, i));
        any |= !journeys->filters[i].events;
        room += journeys->filters[i].event_count;
    }
    uint32_t *events = arena_new_array(survey->arena, uint32_t, room);
    if (!events) return journeys_out_of_memory(journeys, survey->error);
    for (size_t i = 0; i < plan->selector_count; i++) {
        const struct journey_filter *filter = &journeys->filters[i];
        for (size_t e = 0; e < filter->event_count; e++) {
            size_t known = 0;
            while (known < options.event_count && events[known] != filter->events[e]) known++;
            if (known == options.event_count) events[options.event_count++] = filter->events[e];
        }
    }
    if (!any) options.events = events;
    if (scan_list(survey->snapshot, &options, survey->arena, survey->error, &runs, &survey->run_count) != STATUS_OK)
        return journeys_out_of_memory(journeys, survey->error);
    survey->runs = arena_new_array(survey->arena, struct bound, survey->run_count + 1);
    journeys->runs = arena_new_array(survey->arena, struct journey_run, survey->run_count + 1);
    journeys->order = arena_new_array(survey->arena, uint32_t, survey->run_count + 1);
    if (!survey->runs || !journeys->runs || !journeys->order) return journeys_out_of_memory(journeys, survey->error);
    for (size_t i = 0; i < survey->run_count; i++) {
        survey->runs[i].run = runs[i];
        for (size_t s = 0; s < plan->selector_count; s++) {
            if (has_event(&journeys->filters[s], runs[i].event_id)) journeys->runs[i].possible |= (uint64_t)1 << s;
        }
    }
    return STATUS_OK;
}

/* --- what is decided once a run --- */

/* *ret_never: nothing is kept; *ret_rows: rows have to be looked at. */
static enum status bind_filter(struct worker *worker, struct bound *bound, const struct journey_filter *filter,
                               bool *ret_never, bool *ret_rows)
{
    *ret_never = *ret_rows = false;
    for (size_t t = filter->first_term; t < filter->first_term + filter->term_count && !*ret_never; t++) {
        TRY(worker_bind_term(worker, &bound->run, t, &bound->terms[t], ret_never));
        *ret_rows |= bound->terms[t].form != TERM_ALWAYS;
    }
    return STATUS_OK;
}

enum status walker_number(struct journeys *journeys, struct walker *walker, struct value value,
                          journey_value *ret_number)
{
    enum status status = journey_values_number(&journeys->values, &walker->text, value, ret_number);
    return status == STATUS_LIMIT ? journeys_out_of_memory(journeys, &walker->worker->error) : status;
}

/* The numbers of what the expression makes of each entry; NULL when that cannot be told beforehand. */
static const journey_value *number_entries(struct journeys *journeys, struct walker *walker, size_t v,
                                           const struct value *entries, uint32_t count)
{
    struct error ignored = ERROR_INIT;
    struct vector result;
    journey_value *numbers = arena_alloc(walker->worker->arena, count * sizeof *numbers);
    if (!numbers) return NULL;
    for (uint32_t from = 0; from < count; from += VECTOR_ROWS_MAX) {
        uint32_t part = count - from < VECTOR_ROWS_MAX ? count - from : VECTOR_ROWS_MAX;
        struct vector vector = {.kind = VECTOR_FLAT, .count = part, .values = entries + from};
        if (expr_eval(walker->value_states[v], &vector, part, &ignored, &result) != STATUS_OK) return NULL;
        for (uint32_t i = 0; i < part; i++) {
            if (journey_values_number(&journeys->values, &walker->text, vector_at(&result, i), &numbers[from + i]) !=
                STATUS_OK)
                return NULL;
        }
    }
    return numbers;
}

static enum status bind_value(struct journeys *journeys, struct walker *walker, const struct bound *bound, size_t v,
                              struct journey_source *source)
{
    struct worker_input input;
    struct error ignored = ERROR_INIT;
    struct vector result;
    source->form = SOURCE_ROWS;
    if (columns_only_profile(walker->value_columns[v])) return STATUS_OK;
    TRY(worker_find_input(walker->worker, &bound->run, walker->value_columns[v], &input));
    if (input.kind == INPUT_CONSTANT) {
        if (expr_eval(walker->value_states[v], input.constants, 1, &ignored, &result) != STATUS_OK) return STATUS_OK;
        TRY(walker_number(journeys, walker, vector_at(&result, 0), &source->one));
        source->form = SOURCE_ONE;
    } else if (input.kind == INPUT_CODES) {
        source->by_code = number_entries(journeys, walker, v, input.column.values, input.column.value_count);
        source->property = input.property;
        if (source->by_code) source->form = SOURCE_TABLE;
    }
    return STATUS_OK;
}

static enum status bind_task(void *ctx, unsigned slot, uint32_t index)
{
    struct journeys *journeys = ctx;
    const struct journey_plan *plan = journeys->plan;
    struct survey *survey = &journeys->survey;
    struct walker *walker = &journeys->walkers[slot];
    struct worker *worker = walker->worker;
    struct bound *bound = &survey->runs[index];
    struct journey_run *run = &journeys->runs[index];
    bool never, rows;
    bound->never = bound->run.deleted == bound->run.rows;
    bound->in_range = bound->run.time_min_ms >= plan->from_ms && bound->run.time_max_ms < plan->to_ms;
    if (bound->never) return STATUS_OK;
    if (survey->term_count || plan->value_count) {
        TRY(survey_interrupted(survey, &worker->error));
        bound->terms = arena_new_array(worker->arena, struct bound_term, survey->term_count + 1);
        if (!bound->terms) return journeys_out_of_memory(journeys, &worker->error);
        TRY(worker_open_run(worker, bound));
    }
    if (run->possible & plan->where_selectors) {
        TRY(bind_filter(worker, bound, &journeys->filters[JOURNEY_SELECTORS_MAX], &never, &run->where));
        if (never) run->possible &= ~plan->where_selectors;
        run->where &= !never;
    }
    for (uint64_t left = run->possible; left; left &= left - 1) {
        size_t s = (size_t)__builtin_ctzll(left);
        uint64_t bit = (uint64_t)1 << s;
        TRY(bind_filter(worker, bound, &journeys->filters[s], &never, &rows));
        if (never) run->possible &= ~bit;
        if (!never && rows) run->tried |= bit;
    }
    run->where &= (run->possible & plan->where_selectors) != 0;
    run->always = run->possible & ~run->tried;
    if (run->where) run->always &= ~plan->where_selectors;
    bound->never = run->possible == 0;
    bool values = false;
    for (size_t v = 0; v < plan->value_count && !bound->never; v++) {
        if (plan->values[v].selectors && !(plan->values[v].selectors & run->possible)) continue;
        TRY(bind_value(journeys, walker, bound, v, &run->sources[v]));
        values = true;
    }
    run->plain = !run->tried && !run->where && !values && bound->in_range && bound->run.deleted == 0;
    run->counted = run->plain && run->always & plan->required && bound->run.time_min_ms >= plan->counted_from_ms &&
                   bound->run.time_max_ms < plan->counted_to_ms;
    return STATUS_OK;
}

/* Sections of older windows first, so that a person's events come nearly in order. */
struct placed_run {
    uint64_t first; /* 0: of required selectors */
    uint64_t selector;
    const struct scan_run *run;
    uint32_t index;
};

static int by_place(const void *a, const void *b)
{
    const struct placed_run *x = a, *y = b;
    if (x->first != y->first) return x->first < y->first ? -1 : 1;
    if (x->selector != y->selector) return x->selector < y->selector ? -1 : 1;
    if (x->run->window_ms != y->run->window_ms) return x->run->window_ms < y->run->window_ms ? -1 : 1;
    return (x->index > y->index) - (x->index < y->index);
}

static bool can_be_by_selector(const struct journeys *journeys)
{
    if (!journeys->plan->by_selector || !journeys->short_form) return false;
    for (size_t i = 0; i < journeys->survey.run_count; i++) {
        uint64_t possible = journeys->runs[i].possible;
        if (!journeys->survey.runs[i].never && possible & (possible - 1)) return false;
    }
    return true;
}

static enum status order_runs(struct journeys *journeys)
{
    struct survey *survey = &journeys->survey;
    uint64_t required = journeys->plan->required;
    struct placed_run *placed = arena_new_array(survey->arena, struct placed_run, survey->run_count + 1);
    size_t count = 0;
    if (!placed) return journeys_out_of_memory(journeys, survey->error);
    journeys->by_selector = can_be_by_selector(journeys);
    for (size_t i = 0; i < survey->run_count; i++) {
        const struct journey_run *run = &journeys->runs[i];
        if (survey->runs[i].never) continue;
        bool first = !required || run->possible & required;
        placed[count++] = (struct placed_run){.first = !first,
                                              .selector = journeys->by_selector ? run->possible : 0,
                                              .run = &survey->runs[i].run,
                                              .index = (uint32_t)i};
        journeys->may_lack |= first && required && !(run->plain && run->always & required);
        journeys->required_runs += first;
        survey->row_count += survey->runs[i].run.rows;
    }
    qsort(placed, count, sizeof *placed, by_place);
    for (size_t i = 0; i < count; i++) journeys->order[i] = placed[i].index;
    journeys->leaves_out = journeys->by_selector && journeys->plan->followed;
    if (journeys->required_runs) journeys->run_count = (uint32_t)count; /* else nobody can be there */
    return STATUS_OK;
}

static void cut_ranges(struct journeys *journeys)
{
    uint64_t persons = journeys->person_count, rows = journeys->survey.row_count,
             slots = pool_slots(journeys->survey.pool);
    uint64_t each =
        RANGE_ROWS > journeys->run_count * (uint64_t)RANGE_ROWS_RUN ? RANGE_ROWS : journeys->run_count * RANGE_ROWS_RUN;
    uint64_t ranges = rows / each + 1, even = slots * 4;
    if (slots > 1 && ranges < even) ranges = rows / 16384 + 1 < even ? rows / 16384 + 1 : even;
    if (ranges < persons / RANGE_PERSONS_MAX + 1) ranges = persons / RANGE_PERSONS_MAX + 1;
    journeys->range_persons = (uint32_t)(persons / ranges + 1);
    journeys->range_count = (uint32_t)((persons + journeys->range_persons - 1) / journeys->range_persons);
}

static enum status set_up(struct journeys *journeys)
{
    struct survey *survey = &journeys->survey;
    TRY(compile_filters(journeys));
    TRY(compile_values(journeys));
    TRY(list_runs(journeys));
    TRY(make_walkers(journeys));
    TRY(survey_prepare_profiles(survey));
    TRY(pool_run(survey->pool, (uint32_t)survey->run_count, bind_task, journeys));
    TRY(order_runs(journeys));
    journeys->person_count = snapshot_id_count(survey->snapshot) + 1;
    cut_ranges(journeys);
    return journeys_find_moved(journeys);
}

/* What a task reported; the others report the same kind of thing, if anything. */
void journeys_take_error(struct journeys *journeys, enum status status, struct error *error)
{
    for (unsigned w = 0; w < journeys->survey.worker_count; w++) {
        struct error *reported = &journeys->survey.workers[w].error;
        if (reported->status == status) {
            *error = *reported;
            return;
        }
    }
}

enum status journeys_open(struct native *native, const struct journey_plan *plan, const struct plan_limits *limits,
                          struct error *error, struct journeys **ret_journeys)
{
    if (plan->selector_count == 0 || plan->selector_count > JOURNEY_SELECTORS_MAX ||
        plan->value_count > JOURNEY_VALUES_MAX || plan->from_ms > plan->to_ms ||
        (uint64_t)plan->to_ms - (uint64_t)plan->from_ms > (uint64_t)1 << JOURNEY_TIME_BITS)
        return error_set(error, STATUS_INVALID, "too many selectors, or too long a range");
    struct journeys *journeys = calloc(1, sizeof *journeys);
    if (!journeys) abort();
    size_t share = limits->memory_bytes_max / pool_slots(native->pool);
    if (share < SHARE_MIN) share = SHARE_MIN;
    journeys->plan = plan;
    journeys->limits = *limits;
    journeys->base = (struct plan){.project = plan->project, .zone = plan->zone, .now_ms = plan->now_ms};
    journeys->span = (uint64_t)plan->to_ms - (uint64_t)plan->from_ms;
    journeys->short_form = plan->value_count == 0 && plan->selector_count <= JOURNEY_SELECTORS_SHORT;
    journeys->mask_bits = journeys->short_form ? (unsigned)plan->selector_count : 0;
    journeys->entry_bytes = journeys->short_form ? sizeof(uint64_t) : sizeof(struct journey_event);
    journeys->entries_max = share / 4 / journeys->entry_bytes;
    if (journeys->entries_max > UINT32_MAX - 1) journeys->entries_max = UINT32_MAX - 1;
    journeys->survey = (struct survey){.plan = &journeys->base,
                                       .limits = &journeys->limits,
                                       .error = error,
                                       .native = native,
                                       .pool = native->pool,
                                       .arena = arena_new(limits->memory_bytes_max),
                                       .worker_bytes_max = share};
    profile_join_init(&journeys->survey.profiles, limits->memory_bytes_max / 2);
    enum status status = journey_values_init(&journeys->values, limits->memory_bytes_max / 2);
    if (status != STATUS_OK) status = journeys_out_of_memory(journeys, error);
    if (status == STATUS_OK) status = store_snapshot(native->store, plan->project, error, &journeys->survey.snapshot);
    if (status == STATUS_OK) status = set_up(journeys);
    if (status != STATUS_OK) {
        journeys_take_error(journeys, status, error);
        journeys_free(journeys);
        return status;
    }
    *ret_journeys = journeys;
    return STATUS_OK;
}

void journeys_free(struct journeys *journeys)
{
    if (!journeys) return;
    struct survey *survey = &journeys->survey;
    for (unsigned w = 0; journeys->walkers && w < survey->worker_count; w++) {
        struct walker *walker = &journeys->walkers[w];
        for (size_t v = 0; v < JOURNEY_VALUES_MAX; v++) {
            expr_state_free(walker->value_states[v]);
            free(walker->memos[v].by_code);
        }
        buf_fini(&walker->text);
        free(walker->counts);
        free(walker->cursors);
        free(walker->marks);
        free(walker->keys);
        free(walker->events);
        free(walker->spare);
        free(walker->moved);
    }
    for (unsigned w = 0; w < survey->worker_count; w++) survey_free_worker(survey, &survey->workers[w]);
    free(journeys->moved_bits);
    free(journeys->moved);
    journey_values_fini(&journeys->values);
    profile_join_fini(&survey->profiles);
    snapshot_free(survey->snapshot);
    arena_free(survey->arena);
    free(journeys);
}

bool journeys_are_by_selector(const struct journeys *journeys)
{
    return journeys->by_selector;
}

unsigned journeys_slots(const struct journeys *journeys)
{
    return pool_slots(journeys->survey.pool);
}

size_t journeys_slot_bytes(const struct journeys *journeys)
{
    return journeys->survey.worker_bytes_max / 4;
}
