#include "differential/plans.h"

#include "base/civil.h"

#include <stdlib.h>

static struct str expression(struct buf *buf)
{
    if (buf->failed) abort();
    return buf->size ? buf_str(buf) : STR("");
}

/* How many; 0: any event. */
static size_t names(struct generator *g, struct str events[PLAN_NAMES_MAX])
{
    size_t count = generate_once_in(g, 5) ? 0 : generate_once_in(g, 3) ? 1 + generate_below(g, PLAN_NAMES_MAX) : 1;
    for (size_t i = 0; i < count; i++) {
        const char *name = generate_event_name(g);
        events[i] = generate_once_in(g, 20) ? STR("never sent") : str_of(name);
    }
    return count;
}

static void ids(struct asked *asked, struct generator *g)
{
    struct plan *plan = &asked->plan;
    plan->distinct_ids = asked->ids;
    plan->distinct_id_count = 1 + (generate_once_in(g, 3) ? generate_below(g, PLAN_NAMES_MAX) : 0);
    for (size_t i = 0; i < plan->distinct_id_count; i++) {
        const char *id = generate_once_in(g, 2) ? generate_device(g) : generate_user(g);
        asked->ids[i] = generate_once_in(g, 20) ? STR("nobody") : str_of(id);
    }
}

static void range(struct plan *plan, struct generator *g, int64_t day)
{
    static const unsigned spans[] = {[UNIT_MINUTE] = 1,  [UNIT_HOUR] = 5,  [UNIT_DAY] = 40,  [UNIT_WEEK] = 60,
                                     [UNIT_MONTH] = 100, [UNIT_DAYS] = 50, [UNIT_RANGE] = 60};
    plan->from_day = day - generate_below(g, spans[plan->unit]);
    plan->to_day = day + generate_below(g, spans[plan->unit]);
    bool narrows = plan->kind == PLAN_TOP_VALUES || plan->kind == PLAN_PROPERTIES ||
                   (plan->kind == PLAN_SEGMENT && (plan->unit <= UNIT_HOUR || plan->unit == UNIT_RANGE));
    if (!narrows || !generate_once_in(g, 4)) return;
    if (plan->unit > UNIT_HOUR) plan->from_day = day - 2, plan->to_day = day + 2; /* not too many minutes */
    int64_t cell_ms = plan->unit == UNIT_HOUR ? HOUR_MS : 60000;
    int64_t cells = (plan->to_day + 1 - plan->from_day) * DAY_MS / cell_ms;
    plan->from_local_ms = plan->from_day * DAY_MS + generate_below(g, (unsigned)cells) * cell_ms;
    plan->to_local_ms = plan->from_local_ms + (1 + generate_below(g, (unsigned)cells)) * cell_ms;
}

static void segment(struct asked *asked, struct generator *g)
{
    static const double percentiles[] = {50, 50, 25, 75, 90, 99, 99.9, 100, 1, 0.5, 33.3};
    struct plan *plan = &asked->plan;
    plan->unit = (enum plan_unit)generate_below(g, UNIT_RANGE + 1);
    if (plan->unit == UNIT_MINUTE && !generate_once_in(g, 4)) plan->unit = UNIT_DAY;
    plan->interval_days = 1 + generate_below(g, 9);
    plan->measure = (enum plan_measure)generate_below(g, MEASURE_PERCENTILE + 1);
    plan->percentile = percentiles[generate_below(g, sizeof percentiles / sizeof *percentiles)];
    if (plan->measure < MEASURE_SUM) return;
    generate_of(g, &asked->of);
    plan->of = expression(&asked->of);
}

static void retention(struct asked *asked, struct generator *g)
{
    static const enum plan_unit units[] = {UNIT_DAY, UNIT_DAY, UNIT_WEEK, UNIT_MONTH, UNIT_DAYS};
    struct plan *plan = &asked->plan;
    struct plan_retention *retention = &plan->retention;
    plan->unit = units[generate_below(g, sizeof units / sizeof *units)];
    plan->interval_days = 1 + generate_below(g, 9);
    if (generate_once_in(g, 2)) plan->event_count = 0; /* else few come back */
    retention->type = generate_once_in(g, 3) ? RETENTION_COMPOUNDED : RETENTION_BIRTH;
    retention->unbounded = generate_once_in(g, 3);
    retention->interval_count = 1 + generate_below(g, generate_once_in(g, 4) ? 200 : 12);
    if (retention->type == RETENTION_COMPOUNDED) return;
    retention->born_events = asked->born_events;
    retention->born_event_count = names(g, asked->born_events);
    if (generate_once_in(g, 2)) return;
    generate_where(g, &asked->born_where);
    retention->born_where = expression(&asked->born_where);
}

static void frequency(struct plan *plan, struct generator *g)
{
    plan->unit = (enum plan_unit)(UNIT_DAY + generate_below(g, 3));
    plan->active_unit = generate_once_in(g, 2) ? UNIT_HOUR : UNIT_DAY;
}

/* Labels that are given, of two expressions, or ranges of numbers. */
static void choose_labels(struct asked *asked, struct generator *g)
{
    static const char *const texts[] = {"undefined", "null", "true", "false", "a", "1", "0", "", "-1", "abc", "A", "2"};
    static const uint32_t bins[] = {2, 3, 7, 12, 12, 40, 1000};
    struct plan *plan = &asked->plan;
    switch (generate_below(g, 6)) {
    case 0:
        generate_on(g, &asked->by);
        plan->by = expression(&asked->by);
        break;
    case 1: {
        unsigned first = generate_below(g, sizeof texts / sizeof *texts);
        plan->labels = asked->labels;
        plan->label_count = 1 + generate_below(g, PLAN_LABELS_MAX);
        for (unsigned i = 0; i < plan->label_count; i++)
            asked->labels[i] = str_of(texts[(first + i) % (sizeof texts / sizeof *texts)]);
        break;
    }
    case 2:
        plan->bin_count = bins[generate_below(g, sizeof bins / sizeof *bins)];
        buf_reset(&asked->on);
        generate_of(g, &asked->on); /* mostly numbers */
        plan->on = expression(&asked->on);
        break;
    default: break;
    }
}

/* Some properties are joined with tables. */
static void joins(struct asked *asked, struct generator *g)
{
    static const char *const owners[PLAN_JOINS] = {"s", "n", "m", "l", "o"};
    asked->tables = arena_new((size_t)16 << 20);
    bool few = generate_once_in(g, 2); /* then there are mostly those of groups */
    for (size_t i = 0; i < PLAN_JOINS; i++) {
        if (few ? !generate_once_in(g, 5) : generate_once_in(g, 5)) continue;
        struct buf text = BUF_INIT(1 << 20);
        struct json table;
        generate_table(g, &text);
        if (json_parse(asked->tables, expression(&text), NULL, NULL, &table) != STATUS_OK) abort();
        test_join_init(&asked->joins[i], asked->tables, str_of(owners[i]), &table);
        asked->join_list[asked->plan.join_count++] = &asked->joins[i].base;
        buf_fini(&text);
    }
    asked->plan.joins = asked->join_list;
}

void asked_init(struct asked *asked, struct generator *g, const struct generated_place *place)
{
    static const enum plan_kind kinds[] = {PLAN_SEGMENT,    PLAN_SEGMENT,   PLAN_SEGMENT,  PLAN_SEGMENT,
                                           PLAN_TOP_VALUES, PLAN_FEED,      PLAN_EXPORT,   PLAN_PROPERTIES,
                                           PLAN_RETENTION,  PLAN_RETENTION, PLAN_FREQUENCY};
    int64_t day = civil_to_days(place->year, place->month, place->day);
    *asked = (struct asked){.where = BUF_INIT(1 << 16),
                            .on = BUF_INIT(1 << 16),
                            .by = BUF_INIT(1 << 16),
                            .of = BUF_INIT(1 << 16),
                            .born_where = BUF_INIT(1 << 16)};
    struct plan *plan = &asked->plan;
    plan->kind = kinds[generate_below(g, sizeof kinds / sizeof *kinds)];
    plan->unit = UNIT_DAY;
    plan->now_ms = day * DAY_MS + (int64_t)(generate_bits(g) % DAY_MS);
    plan->limit = generate_once_in(g, 3) ? 60 : 1 + generate_below(g, 6);
    plan->order = generate_once_in(g, 3) ? ORDER_OLDEST_FIRST : ORDER_NEWEST_FIRST;
    const char *zone = generate_once_in(g, 4) ? generate_place(g).zone : place->zone;
    if (timezone_load(str_of(zone), NULL, &plan->zone) != STATUS_OK) abort();
    plan->events = asked->events;
    plan->event_count = names(g, asked->events);
    joins(asked, g);
    if (plan->kind == PLAN_SEGMENT) segment(asked, g);
    if (plan->kind == PLAN_FEED) ids(asked, g);
    if (plan->kind == PLAN_RETENTION) retention(asked, g);
    if (plan->kind == PLAN_FREQUENCY) frequency(plan, g);
    bool rows = plan->kind == PLAN_FEED || plan->kind == PLAN_EXPORT;
    if (rows && generate_once_in(g, 2)) plan->limit = 0;
    range(plan, g, day);
    if (!generate_once_in(g, rows ? 2 : 4)) {
        generate_where(g, &asked->where);
        plan->where = expression(&asked->where);
    }
    bool people = plan->kind == PLAN_RETENTION || plan->kind == PLAN_FREQUENCY;
    if (plan->kind == PLAN_TOP_VALUES || (plan->kind == PLAN_SEGMENT && !generate_once_in(g, 3)) ||
        (people && generate_once_in(g, 3))) {
        generate_on(g, &asked->on);
        plan->on = expression(&asked->on);
        if (plan->kind == PLAN_SEGMENT) choose_labels(asked, g);
    }
}

void asked_fini(struct asked *asked)
{
    buf_fini(&asked->where);
    buf_fini(&asked->on);
    buf_fini(&asked->by);
    buf_fini(&asked->of);
    buf_fini(&asked->born_where);
    arena_free(asked->tables);
}
