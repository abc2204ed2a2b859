#include "differential/funnels.h"

#include "base/civil.h"
#include "differential/shrink.h"

#include <inttypes.h>
#include <stdlib.h>

#define MEMORY      ((size_t)256 << 20)
#define RECEIVED_MS INT64_C(1900000000000)

#define PICK(g, array) (array)[generate_below((g), (unsigned)(sizeof(array) / sizeof *(array)))]

/* --- histories ---------------------------------------------------------------------------------------- */

static struct step *add(struct history *history, size_t *capacity)
{
    if (history->count == *capacity) {
        *capacity = *capacity ? *capacity * 2 : 64;
        history->steps = realloc(history->steps, *capacity * sizeof *history->steps);
        if (!history->steps) abort();
    }
    struct step *step = &history->steps[history->count++];
    *step = (struct step){0};
    return step;
}

static const char *event_name(struct generator *g)
{
    static const char *const names[] = {"A", "A", "B", "B", "C", "D", "E"};
    return PICK(g, names);
}

/* Mostly a little after the last event. */
static int64_t next_time(struct generator *g, int64_t last_ms, int64_t middle_ms, int64_t spread_ms)
{
    static const int64_t steps_ms[] = {0,      0,       1,        500,        1999,     2000,     2001,
                                       3999,   4000,    60000,    29 * 60000, 1800000,  1800001,  3600000,
                                       -1,     -1999,   -2000,    -2001,      86400000, 86399999, 7 * 86400000,
                                       300000, 7200000, 43200000, 1000,       1500,     10000,    -60000};
    if (!generate_once_in(g, 5)) return last_ms + PICK(g, steps_ms);
    int64_t ms = middle_ms - spread_ms + (int64_t)(generate_bits(g) % (uint64_t)(2 * spread_ms));
    if (generate_once_in(g, 3)) ms = ms / 3600000 * 3600000 + (int64_t)generate_below(g, 3) - 1; /* midnights, too */
    return ms;
}

static void write_event(struct generator *g, int64_t time_ms, unsigned serial, struct buf *out)
{
    static const char *const ids[] = {"\"$device_id\":\"D1\"",
                                      "\"$device_id\":\"D2\"",
                                      "\"$user_id\":\"U1\"",
                                      "\"$user_id\":\"U1\"",
                                      "\"$user_id\":\"U2\"",
                                      "\"$user_id\":\"U3\"",
                                      "\"$device_id\":\"D1\",\"$user_id\":\"U1\"",
                                      "\"$device_id\":\"D3\",\"$user_id\":\"U2\"",
                                      "\"distinct_id\":\"\""};
    static const char *const items[] = {
        "1",  "\"1\"", "\"x\"", "\"x\"",  "\"y\"", "\"undefined\"", "\"null\"", "[\"x\",\"y\"]", "[\"y\",\"y\",1]",
        "[]", "null",  "true",  "[null]", "2.5",   "{\"a\":1}"};
    buf_printf(out, "{\"event\":\"%s\",\"properties\":{\"token\":\"t\",\"time\":%lld,%s", event_name(g),
               (long long)time_ms, PICK(g, ids));
    if (!generate_once_in(g, 3)) buf_printf(out, ",\"$insert_id\":\"i-%u\"", serial % 40);
    if (!generate_once_in(g, 4)) buf_printf(out, ",\"item\":%s", PICK(g, items));
    if (!generate_once_in(g, 4)) buf_printf(out, ",\"few\":\"%c\"", 'p' + (int)generate_below(g, 2));
    if (!generate_once_in(g, 6)) buf_printf(out, ",\"k\":%u", generate_below(g, 6));
    if (generate_once_in(g, 5)) buf_lit(out, ",\"flag\":true");
    buf_lit(out, "}}");
}

static struct step other_step(struct generator *g, struct arena *arena, int64_t middle_ms, int64_t spread_ms)
{
    static const char *const devices[] = {"$device:D1", "$device:D2", "$device:D3"};
    static const char *const users[] = {"U1", "U2", "U3"};
    static const enum link_operation operations[] = {LINK_CREATE, LINK_ALIAS, LINK_MERGE};
    struct step step = {.device = PICK(g, devices), .user = PICK(g, users), .received_ms = RECEIVED_MS};
    switch (generate_below(g, 9)) {
    case 0:
        step.kind = STEP_DELETE_ROWS;
        step.every = 2 + generate_below(g, 5);
        break;
    case 1:
        step.kind = STEP_DELETE_BEFORE;
        step.before_ms = middle_ms - spread_ms / 2;
        break;
    case 2:
        step.kind = STEP_DELETE_PERSON;
        if (generate_once_in(g, 2)) step.user = NULL;
        break;
    case 3:
        step.kind = STEP_PROFILE;
        step.event = arena_printf(arena, "{\"few\":\"%c\"}", 'p' + (int)generate_below(g, 2));
        if (!step.event.data) abort();
        break;
    default:
        step.kind = STEP_LINK;
        step.operation = PICK(g, operations);
        if (step.operation == LINK_MERGE && generate_once_in(g, 2)) step.device = PICK(g, users);
    }
    return step;
}

void funnel_history_init(struct history *history, struct generator *g, bool large)
{
    static const enum step_kind disturbances[] = {STEP_FLUSH, STEP_REOPEN, STEP_COMPACT};
    size_t capacity = 0;
    unsigned serial = 0;
    *history = (struct history){.arena = arena_new((size_t)256 << 20), .place = generate_place(g)};
    history->flush_rows = generate_once_in(g, 2) ? 1000000 : 20 + generate_below(g, 200);
    if (generate_once_in(g, 2)) history->section_rows = 3 + generate_below(g, 60);
    history->mode = generate_once_in(g, 6) ? IDENTITY_ORIGINAL : IDENTITY_SIMPLIFIED;
    int64_t middle_ms =
        civil_to_days(history->place.year, history->place.month, history->place.day) * DAY_MS + DAY_MS / 2;
    int64_t spread_ms = generate_once_in(g, 2) ? 2 * DAY_MS : 20 * DAY_MS, last_ms = middle_ms;
    unsigned batches = 2 + generate_below(g, large ? 8 : 5);
    for (unsigned b = 0; b < batches; b++) {
        unsigned count = large ? 300 : 20 + generate_below(g, 60);
        for (unsigned i = 0; i < count; i++) {
            struct buf text = BUF_INIT((size_t)1 << 20);
            last_ms = next_time(g, last_ms, middle_ms, spread_ms);
            write_event(g, last_ms, serial++, &text);
            *add(history, &capacity) = (struct step){.kind = STEP_EVENT,
                                                     .batch = b,
                                                     .received_ms = RECEIVED_MS + b * 1000,
                                                     .event = arena_str(history->arena, buf_str(&text))};
            if (text.failed || !history->steps[history->count - 1].event.data) abort();
            buf_fini(&text);
        }
        for (unsigned others = generate_below(g, 2); others; others--)
            *add(history, &capacity) = other_step(g, history->arena, middle_ms, spread_ms);
        unsigned disturbance = generate_below(g, 6);
        if (disturbance < 3) add(history, &capacity)->kind = disturbances[disturbance];
    }
}

/* --- plans -------------------------------------------------------------------------------------------- */

static struct str wild_text(struct asked_funnel *asked, struct generator *g,
                            void (*generate)(struct generator *, struct buf *))
{
    struct buf *buf = &asked->texts[asked->text_count++];
    generate(g, buf);
    if (buf->failed) abort();
    return buf->size ? buf_str(buf) : STR_NULL;
}

static struct str filter(struct asked_funnel *asked, struct generator *g)
{
    static const char *const filters[] = {"properties[\"k\"] > 2",
                                          "properties[\"k\"] == 3",
                                          "properties[\"item\"] == \"x\"",
                                          "defined(properties[\"item\"])",
                                          "properties[\"few\"] == \"p\"",
                                          "user[\"few\"] == \"p\"",
                                          "properties[\"flag\"]",
                                          "properties[\"k\"] >= 1 and properties[\"few\"] == \"q\"",
                                          "\"x\" in properties[\"item\"]",
                                          "true",
                                          "false",
                                          "properties[\"flag\"] and properties[\"k\"] < 4",
                                          "properties[\"never\"] == 1",
                                          "properties[\"k\"] < 3 or properties[\"few\"] == \"q\""};
    if (!generate_once_in(g, 6)) return STR_NULL;
    if (generate_once_in(g, 12)) return wild_text(asked, g, generate_where);
    return str_of(PICK(g, filters));
}

static size_t names(struct asked_funnel *asked, struct generator *g, size_t place)
{
    if (generate_once_in(g, 15)) return 0;
    asked->names[place][0] = generate_once_in(g, 40) ? STR("never sent") : str_of(event_name(g));
    asked->names[place][1] = str_of(event_name(g));
    return generate_once_in(g, 5) ? 2 : 1;
}

static void exclusions(struct asked_funnel *asked, struct generator *g)
{
    struct funnel_plan *plan = &asked->plan;
    if (plan->step_count < 2 || !generate_once_in(g, 3)) return;
    plan->exclusion_count = 1 + generate_below(g, FUNNEL_TEST_EXCLUSIONS);
    for (size_t i = 0; i < plan->exclusion_count; i++) {
        size_t place = FUNNEL_TEST_STEPS + i;
        struct funnel_exclusion *exclusion = &asked->exclusions[i];
        exclusion->events = asked->names[place];
        exclusion->event_count = names(asked, g, place);
        exclusion->where = filter(asked, g);
        exclusion->from_step = 1 + generate_below(g, (unsigned)plan->step_count - 1);
        exclusion->to_step =
            exclusion->from_step + 1 + generate_below(g, (unsigned)plan->step_count - exclusion->from_step);
        if (generate_once_in(g, 3)) exclusion->to_step = 0;
    }
}

static void window(struct funnel_plan *plan, struct generator *g)
{
    static const int64_t windows_ms[] = {DAY_MS,      2 * DAY_MS,   30 * DAY_MS, 1,      2000,
                                         60000,       1800000,      3600000,     DAY_MS, 7 * DAY_MS,
                                         30 * DAY_MS, 366 * DAY_MS, 7 * DAY_MS};
    static const int64_t gaps_ms[] = {0, 0, 0, 1, 60000, 1800000, DAY_MS};
    plan->window_ms = PICK(g, windows_ms);
    if (generate_once_in(g, 5)) plan->window_sessions = 1 + generate_below(g, generate_once_in(g, 2) ? 3 : 12);
    plan->session_gap_ms = PICK(g, gaps_ms);
}

static void labels(struct asked_funnel *asked, struct generator *g)
{
    static const char *const properties[] = {
        "item", "item", "few", "k", "user[\"few\"]", "properties[\"k\"] % 2", "never", "properties[\"$event_name\"]"};
    struct funnel_plan *plan = &asked->plan;
    if (generate_once_in(g, 2)) {
        plan->on = str_of(PICK(g, properties));
        if (generate_once_in(g, 12)) plan->on = wild_text(asked, g, generate_on);
        plan->limit = generate_once_in(g, 3) ? 1 + generate_below(g, 3) : 255;
        plan->attribution = (enum funnel_attribution)generate_below(g, FUNNEL_ATTRIBUTE_LAST + 1);
        plan->on_step = generate_below(g, (unsigned)plan->step_count + 1);
    }
    if (!generate_once_in(g, 6)) return;
    plan->hold = asked->hold;
    plan->hold_count = 1 + (generate_once_in(g, 3) ? generate_below(g, FUNNEL_HOLD_MAX) : 0);
    for (size_t i = 0; i < plan->hold_count; i++)
        asked->hold[i] = generate_once_in(g, 8)   ? str_of(PICK(g, properties))
                         : generate_once_in(g, 3) ? STR("item")
                                                  : STR("few");
}

/* What is asked most: different events in their order, nothing else. */
static void make_plain(struct asked_funnel *asked, struct generator *g)
{
    static const char *const order[] = {"A", "B", "C", "D", "E"};
    struct funnel_plan *plan = &asked->plan;
    plan->exclusion_count = plan->hold_count = 0;
    plan->on = STR_NULL;
    plan->any_order = false;
    plan->window_sessions = 0;
    plan->count = generate_once_in(g, 3) ? FUNNEL_TOTALS : FUNNEL_UNIQUES;
    unsigned first = generate_below(g, 5);
    for (size_t i = 0; i < plan->step_count; i++) {
        asked->names[i][0] = str_of(order[(first + i) % 5]);
        asked->steps[i].event_count = 1;
    }
}

void asked_funnel_init(struct asked_funnel *asked, struct generator *g, const struct generated_place *place)
{
    static const enum plan_unit units[] = {UNIT_DAY, UNIT_DAY, UNIT_WEEK, UNIT_MONTH, UNIT_DAYS, UNIT_RANGE};
    int64_t day = civil_to_days(place->year, place->month, place->day);
    *asked = (struct asked_funnel){.plan = {.zone = NULL}};
    for (size_t i = 0; i < sizeof asked->texts / sizeof *asked->texts; i++) buf_init(&asked->texts[i], 1 << 16);
    struct funnel_plan *plan = &asked->plan;
    const char *zone = generate_once_in(g, 4) ? generate_place(g).zone : place->zone;
    if (timezone_load(str_of(zone), NULL, &plan->zone) != STATUS_OK) abort();
    plan->from_day = day - generate_below(g, 15);
    plan->to_day = day + generate_below(g, 15);
    plan->unit = PICK(g, units);
    plan->interval_days = 1 + generate_below(g, 9);
    plan->trend = generate_once_in(g, 2);
    plan->now_ms = day * DAY_MS + (int64_t)(generate_bits(g) % DAY_MS);
    plan->steps = asked->steps;
    plan->step_count = 1 + generate_below(g, 1 + generate_below(g, FUNNEL_TEST_STEPS));
    plan->any_order = generate_once_in(g, 4);
    plan->no_grace = generate_once_in(g, 6);
    for (size_t i = 0; i < plan->step_count; i++) {
        asked->steps[i] = (struct funnel_step){.events = asked->names[i], .anchored = generate_once_in(g, 3)};
        asked->steps[i].event_count = names(asked, g, i);
        if (i || generate_once_in(g, 2)) asked->steps[i].where = filter(asked, g);
    }
    plan->exclusions = asked->exclusions;
    exclusions(asked, g);
    plan->count = (enum funnel_count)generate_below(g, FUNNEL_SESSIONS + 1);
    plan->reentry = (enum funnel_reentry)generate_below(g, FUNNEL_REENTRY_OPTIMIZED + 1);
    if (plan->reentry == FUNNEL_REENTRY_OPTIMIZED) asked->steps[0].anchored = true;
    window(plan, g);
    labels(asked, g);
    if (generate_once_in(g, 2)) plan->where = filter(asked, g);
    if (generate_once_in(g, 3)) make_plain(asked, g);
}

void asked_funnel_fini(struct asked_funnel *asked)
{
    for (size_t i = 0; i < sizeof asked->texts / sizeof *asked->texts; i++) buf_fini(&asked->texts[i]);
}

/* --- answers ------------------------------------------------------------------------------------------ */

#define REFUSED "an expression is refused"

static void write_cells(struct buf *out, const struct funnel_result *result, const struct funnel_cell *cells)
{
    for (uint32_t b = 0; b < result->bucket_count; b++) {
        buf_printf(out, "\n    " STR_FMT ":", STR_ARG(result->buckets[b]));
        for (uint32_t k = 0; k < result->step_count; k++) {
            const struct funnel_cell *cell = funnel_cell_at(result, cells, b, k);
            buf_printf(out, " %" PRIu64 " (%" PRIu64 ", %" PRIu64 ")", cell->count, cell->from_previous_ms,
                       cell->from_start_ms);
        }
    }
}

void funnel_answer_write(struct executor *executor, const struct funnel_plan *plan, struct buf *out)
{
    static const struct plan_limits limits = {
        .memory_bytes_max = MEMORY, .buckets_max = 100000, .deadline_ns = INT64_MAX};
    struct error error = ERROR_INIT;
    struct funnel_result result;
    char text[1200];
    enum status status = executor->funnel(executor, plan, &limits, &error, &result);
    if (status == STATUS_INVALID && error.column > 0) {
        buf_lit(out, REFUSED);
        return;
    }
    if (status != STATUS_OK) {
        buf_printf(out, "%s: %s", status_name(status), error_text(&error, text, sizeof text));
        return;
    }
    buf_printf(out, "%u labels, overall", result.label_count);
    write_cells(out, &result, result.overall);
    for (uint32_t i = 0; i < result.series_count; i++) {
        buf_lit(out, "\n  ");
        json_write_str(out, result.series[i].label);
        buf_printf(out, " %" PRIu64, result.series[i].entries);
        write_cells(out, &result, result.series[i].cells);
    }
    funnel_result_free(&result);
}

bool funnel_answers_agree(struct executor *first, struct executor *second, const struct funnel_plan *plan,
                          struct buf *ret_first, struct buf *ret_second)
{
    funnel_answer_write(first, plan, ret_first);
    funnel_answer_write(second, plan, ret_second);
    if (ret_first->failed || ret_second->failed) abort();
    if (str_eq(buf_str(ret_first), buf_str(ret_second))) return true;
    return str_is(buf_str(ret_second), REFUSED) && str_find(buf_str(ret_first), STR("overall"), 0) != SIZE_MAX;
}

/* --- showing ------------------------------------------------------------------------------------------ */

static void print_selector(FILE *file, const struct str *events, size_t count, struct str where)
{
    for (size_t i = 0; i < count; i++) fprintf(file, " %.*s", (int)events[i].size, events[i].data);
    if (!count) fprintf(file, " (any)");
    if (where.data) fprintf(file, " where %.*s", (int)where.size, where.data);
}

void funnel_plan_print(FILE *file, const struct funnel_plan *plan)
{
    static const char *const units[] = {"minute", "hour", "day", "week", "month", "days", "range"};
    static const char *const counts[] = {"uniques", "totals", "sessions"};
    static const char *const reentries[] = {"default", "basic", "aggressive", "optimized"};
    static const char *const attributions[] = {"step", "first", "last"};
    struct str zone = timezone_name(plan->zone);
    fprintf(file, "%s in %.*s, days %" PRId64 "..%" PRId64 ", unit %s (%u)%s, re-entry %s%s\n", counts[plan->count],
            (int)zone.size, zone.data, plan->from_day, plan->to_day, units[plan->unit], plan->interval_days,
            plan->trend ? ", trend" : "", reentries[plan->reentry], plan->any_order ? ", any order" : "");
    if (plan->no_grace) fprintf(file, "  no grace\n");
    fprintf(file, "  window %" PRId64 " ms or %u sessions of gap %" PRId64 "\n", plan->window_ms, plan->window_sessions,
            plan->session_gap_ms);
    for (size_t i = 0; i < plan->step_count; i++) {
        fprintf(file, "  step%s:", plan->steps[i].anchored ? " (anchored)" : "");
        print_selector(file, plan->steps[i].events, plan->steps[i].event_count, plan->steps[i].where);
        fputc('\n', file);
    }
    for (size_t i = 0; i < plan->exclusion_count; i++) {
        fprintf(file, "  without, %u to %u:", plan->exclusions[i].from_step, plan->exclusions[i].to_step);
        print_selector(file, plan->exclusions[i].events, plan->exclusions[i].event_count, plan->exclusions[i].where);
        fputc('\n', file);
    }
    for (size_t i = 0; i < plan->hold_count; i++)
        fprintf(file, "  hold: %.*s\n", (int)plan->hold[i].size, plan->hold[i].data);
    if (plan->where.data) fprintf(file, "  where: %.*s\n", (int)plan->where.size, plan->where.data);
    if (plan->on.data)
        fprintf(file, "  on: %.*s, of %s %u, limit %u\n", (int)plan->on.size, plan->on.data,
                attributions[plan->attribution], plan->on_step, plan->limit);
}

/* --- making small ------------------------------------------------------------------------------------- */

static bool fails(const struct history *history, const void *context)
{
    struct world w;
    struct buf first = BUF_INIT((size_t)1 << 28), second = BUF_INIT((size_t)1 << 28);
    world_init(&w, history);
    bool agree = funnel_answers_agree(w.native, w.naive, context, &first, &second);
    buf_fini(&first);
    buf_fini(&second);
    world_fini(&w);
    return !agree;
}

static bool drop_parts(const struct history *history, struct asked_funnel *asked)
{
    bool any = false;
    struct funnel_plan *plan = &asked->plan, old;
    struct funnel_step old_steps[FUNNEL_TEST_STEPS];
    struct funnel_exclusion old_exclusions[FUNNEL_TEST_EXCLUSIONS];
#define TRY_WITHOUT(condition, change)                                                                                 \
    if (condition) {                                                                                                   \
        old = *plan;                                                                                                   \
        memcpy(old_steps, asked->steps, sizeof old_steps);                                                             \
        memcpy(old_exclusions, asked->exclusions, sizeof old_exclusions);                                              \
        change;                                                                                                        \
        if (funnel_check(plan, NULL) == STATUS_OK && fails(history, plan)) {                                           \
            any = true;                                                                                                \
        } else {                                                                                                       \
            *plan = old;                                                                                               \
            memcpy(asked->steps, old_steps, sizeof old_steps);                                                         \
            memcpy(asked->exclusions, old_exclusions, sizeof old_exclusions);                                          \
        }                                                                                                              \
    }
    TRY_WITHOUT(plan->on.data, plan->on = STR_NULL)
    TRY_WITHOUT(plan->hold_count, plan->hold_count--)
    TRY_WITHOUT(plan->where.data, plan->where = STR_NULL)
    TRY_WITHOUT(plan->exclusion_count, plan->exclusion_count--)
    TRY_WITHOUT(plan->step_count > 1, plan->step_count--)
    for (size_t i = 0; i < plan->step_count; i++) {
        TRY_WITHOUT(asked->steps[i].where.data, asked->steps[i].where = STR_NULL)
        TRY_WITHOUT(asked->steps[i].event_count > 1, asked->steps[i].event_count = 1)
    }
    TRY_WITHOUT(plan->any_order, plan->any_order = false)
    TRY_WITHOUT(plan->no_grace, plan->no_grace = false)
    TRY_WITHOUT(plan->trend, plan->trend = false)
    TRY_WITHOUT(plan->unit != UNIT_RANGE, plan->unit = UNIT_RANGE)
    TRY_WITHOUT(plan->reentry, plan->reentry = FUNNEL_REENTRY_DEFAULT)
    TRY_WITHOUT(plan->count != FUNNEL_TOTALS, plan->count = FUNNEL_TOTALS)
    TRY_WITHOUT(plan->window_sessions, plan->window_sessions = 0)
    TRY_WITHOUT(plan->zone != timezone_utc(), plan->zone = timezone_utc())
    TRY_WITHOUT(plan->from_day < plan->to_day, plan->from_day = (plan->from_day + plan->to_day + 1) / 2)
    TRY_WITHOUT(plan->from_day < plan->to_day, plan->to_day = (plan->from_day + plan->to_day) / 2)
#undef TRY_WITHOUT
    return any;
}

void funnel_shrink(struct history *history, struct asked_funnel *asked)
{
    bool more = true;
    for (unsigned round = 0; more && round < 6; round++) {
        more = drop_parts(history, asked);
        more |= shrink_history(history, fails, &asked->plan);
    }
}
