#include "query/native/select.h"

#include "base/civil.h"

#define EXPR_BUDGET_MIN ((size_t)8 << 20)
#define MINUTE_MS       INT64_C(60000)

enum status selection_out_of_memory(const struct selection *s, struct error *error)
{
    error_set(error, STATUS_LIMIT, "the query needs more than %zu bytes of memory", s->limits.memory_bytes_max);
    error_hint(error, "use a shorter range, a lower limit, or raise query.memory_max");
    return STATUS_LIMIT;
}

enum status selection_interrupted(const struct selection *s, struct error *error)
{
    return native_interrupted(&s->limits, error);
}

/* --- making one --- */

/* Names that no event has are left out. */
static enum status find_events(struct selection *s, struct error *error)
{
    if (s->plan->event_count == 0) return STATUS_OK;
    s->events = arena_new_array(s->arena, uint32_t, s->plan->event_count);
    if (!s->events) return selection_out_of_memory(s, error);
    for (size_t i = 0; i < s->plan->event_count; i++) {
        uint32_t event = snapshot_event_id(s->snapshot, s->plan->events[i]);
        size_t known = 0;
        while (known < s->event_count && s->events[known] != event) known++;
        if (event != EVENT_ID_NONE && known == s->event_count) s->events[s->event_count++] = event;
    }
    return STATUS_OK;
}

/* Within a piece of constant offset the days of the range are one interval; those of neighbouring pieces join. */
enum status selection_intervals(struct selection *s, int64_t from_day, int64_t to_day, struct error *error,
                                struct interval **ret_intervals, size_t *ret_count)
{
    const struct timezone_info *zone = s->plan->zone;
    /* Offsets stay below a day, so a day on either side holds the range. */
    int64_t at = (from_day - 1) * DAY_MS, end = (to_day + 2) * DAY_MS;
    int64_t from_local = from_day * DAY_MS, to_local = (to_day + 1) * DAY_MS;
    struct interval *intervals = NULL;
    size_t count = 0, capacity = 0;
    if (s->plan->to_local_ms && s->plan->from_local_ms > from_local) from_local = s->plan->from_local_ms;
    if (s->plan->to_local_ms && s->plan->to_local_ms < to_local) to_local = s->plan->to_local_ms;
    while (at < end) {
        int64_t next = timezone_next_change_ms(zone, at), offset = timezone_offset_ms(zone, at);
        if (next > end) next = end;
        int64_t from = from_local - offset, to = to_local - offset;
        if (from < at) from = at;
        if (to > next) to = next;
        at = next;
        if (from >= to) continue;
        if (count && intervals[count - 1].to_ms == from) {
            intervals[count - 1].to_ms = to;
            continue;
        }
        if (count == capacity) {
            size_t size = capacity * sizeof *intervals;
            intervals = arena_realloc(s->arena, intervals, size, size ? size * 2 : sizeof *intervals);
            if (!intervals) return selection_out_of_memory(s, error);
            capacity = capacity ? capacity * 2 : 1;
        }
        intervals[count++] = (struct interval){from, to};
    }
    *ret_intervals = intervals;
    *ret_count = count;
    return STATUS_OK;
}

enum status selection_compile(struct selection *s, const char *parameter, struct str text, struct error *error,
                              const struct expr **ret_expr, struct expr_state **ret_state, struct columns **ret_columns)
{
    struct expr_options options = {.zone = s->plan->zone,
                                   .now_ms = s->plan->now_ms,
                                   .bare_name_is_property = strcmp(parameter, "where") != 0,
                                   .unknown_names_refused = s->plan->unknown_names_refused,
                                   .joins = s->plan->joins,
                                   .join_count = s->plan->join_count};
    const struct expr *expr;
    struct columns *columns;
    TRY(native_expression(parameter, expr_compile(s->arena, text, &options, error, &expr), error));
    if (!s->forked && profile_join_want(s->profiles, expr) != STATUS_OK) return selection_out_of_memory(s, error);
    TRY(columns_new(s->arena, expr, s->snapshot, s->profiles, error, &columns));
    size_t budget = s->share_bytes_max / 4;
    *ret_state = expr_state_new(expr, budget > EXPR_BUDGET_MIN ? budget : EXPR_BUDGET_MIN);
    native_watch(*ret_state, &s->limits);
    *ret_columns = columns;
    *ret_expr = expr;
    return STATUS_OK;
}

enum status selection_init(struct selection *s, struct native *native, const struct plan *plan,
                           const struct plan_limits *limits, struct error *error)
{
    TRY(plan_check(plan, error));
    *s = (struct selection){.plan = plan,
                            .limits = *limits,
                            .share_bytes_max = limits->memory_bytes_max,
                            .arena = arena_new(limits->memory_bytes_max)};
    s->profiles = arena_new_array(s->arena, struct profile_join, 1);
    if (s->profiles) profile_join_init(s->profiles, limits->memory_bytes_max / 2);
    enum status status = s->profiles ? store_snapshot(native->store, plan->project, error, &s->snapshot)
                                     : selection_out_of_memory(s, error);
    if (status == STATUS_OK) status = find_events(s, error);
    if (status == STATUS_OK)
        status = selection_intervals(s, plan->from_day, plan->to_day, error, &s->intervals, &s->interval_count);
    if (status == STATUS_OK && plan->where.data)
        status = selection_compile(s, "where", plan->where, error, &s->where, &s->where_state, &s->where_columns);
    if (status != STATUS_OK) selection_fini(s);
    return status;
}

enum status selection_fork(const struct selection *from, struct error *error, struct selection *s)
{
    *s = *from;
    s->forked = true;
    s->arena = arena_new(from->limits.memory_bytes_max);
    s->where = NULL;
    s->where_state = NULL;
    s->where_columns = NULL;
    if (!from->where) return STATUS_OK;
    enum status status =
        selection_compile(s, "where", s->plan->where, error, &s->where, &s->where_state, &s->where_columns);
    if (status != STATUS_OK) selection_fini(s);
    return status;
}

void selection_fini(struct selection *s)
{
    expr_state_free(s->where_state);
    if (!s->forked) {
        snapshot_free(s->snapshot);
        if (s->profiles) profile_join_fini(s->profiles);
    }
    arena_free(s->arena);
    *s = (struct selection){0};
}

/* --- rows --- */

static struct scan_options scan_options(const struct selection *s)
{
    static const uint32_t none;
    struct scan_options options = {.memory_bytes_max = s->share_bytes_max};
    if (s->plan->event_count) options.events = s->event_count ? s->events : &none;
    options.event_count = s->event_count;
    if (s->interval_count) {
        options.from_ms = s->intervals[0].from_ms;
        options.to_ms = s->intervals[s->interval_count - 1].to_ms;
    }
    return options;
}

enum status selection_runs(struct selection *s, struct error *error, struct scan_run **ret_runs, size_t *ret_count)
{
    struct scan_options options = scan_options(s);
    return scan_list(s->snapshot, &options, s->arena, error, ret_runs, ret_count);
}

enum status selection_load_profiles(struct selection *s, struct native *native, const struct scan_run *runs,
                                    size_t run_count, struct error *error)
{
    uint32_t oldest = UINT32_MAX;
    for (size_t i = 0; i < run_count; i++) oldest = runs[i].links_applied < oldest ? runs[i].links_applied : oldest;
    return profile_join_load(s->profiles, native, s->snapshot, s->plan->project, oldest, &s->limits, error);
}

enum status selection_scan(const struct selection *s, struct error *error, struct scan **ret_scan)
{
    struct scan_options options = scan_options(s);
    return scan_new(s->snapshot, &options, error, ret_scan);
}

bool selection_in_range(const struct selection *s, int64_t time_ms)
{
    for (size_t i = 0; i < s->interval_count; i++) {
        if (time_ms >= s->intervals[i].from_ms && time_ms < s->intervals[i].to_ms) return true;
    }
    return false;
}

bool selection_covers(const struct selection *s, const struct scan_run *run)
{
    for (size_t i = 0; i < s->interval_count; i++) {
        if (run->time_min_ms >= s->intervals[i].from_ms && run->time_max_ms < s->intervals[i].to_ms) return true;
    }
    return false;
}

/* Clears keep[row] outside of the range. Mostly its ends are whole minutes, which are read without the milliseconds. */
static enum status keep_in_range(const struct selection *s, struct scan *scan, const struct scan_run *run,
                                 uint32_t rows, struct error *error, uint8_t *keep)
{
    const int64_t *times;
    const uint32_t *minutes;
    const struct interval *range = s->intervals;
    if (s->interval_count == 1) {
        int64_t from = range->from_ms > run->window_ms ? range->from_ms - run->window_ms : 0;
        int64_t to = range->to_ms > run->window_ms ? range->to_ms - run->window_ms : 0;
        if (from % MINUTE_MS == 0 && to % MINUTE_MS == 0 && from <= to && to / MINUTE_MS <= UINT32_MAX) {
            uint32_t first = (uint32_t)(from / MINUTE_MS), count = (uint32_t)((to - from) / MINUTE_MS);
            TRY(scan_minutes(scan, error, &minutes));
            for (uint32_t i = 0; i < rows; i++) keep[i] &= minutes[i] - first < count;
            return STATUS_OK;
        }
    }
    TRY(scan_times(scan, error, &times));
    for (uint32_t i = 0; i < rows; i++) keep[i] &= selection_in_range(s, times[i]);
    return STATUS_OK;
}

enum status selection_keep(struct selection *s, struct scan *scan, const struct scan_run *run, uint32_t rows,
                           struct error *error, uint8_t *keep, uint32_t *ret_left)
{
    const uint8_t *live;
    const struct vector *vectors;
    uint32_t left = 0;
    if (run->deleted) {
        TRY(scan_live(scan, error, &live));
        for (uint32_t i = 0; i < rows; i++) keep[i] &= live[i];
    }
    if (!selection_covers(s, run)) TRY(keep_in_range(s, scan, run, rows, error, keep));
    for (uint32_t i = 0; i < rows; i++) left += keep[i];
    if (s->where && left) {
        TRY(selection_interrupted(s, error)); /* an expression may take its time */
        TRY(columns_read(s->where_columns, scan, run->event_id, rows, error, &vectors));
        TRY(native_expression("where", expr_filter(s->where_state, vectors, rows, error, keep), error));
        left = 0;
        for (uint32_t i = 0; i < rows; i++) left += keep[i];
    }
    *ret_left = left;
    return STATUS_OK;
}
