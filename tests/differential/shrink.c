#include "differential/shrink.h"

#include "differential/answer.h"

#include <stdlib.h>

#define TRIES_MAX 1500

static unsigned tries;

static bool fails(const struct history *history, const struct plan *plan)
{
    struct world w;
    struct buf first = BUF_INIT((size_t)1 << 28), second = BUF_INIT((size_t)1 << 28);
    if (tries++ >= TRIES_MAX) return false;
    world_init(&w, history);
    bool agree = answers_agree(w.native, w.naive, plan, UINT64_MAX, &first, &second);
    buf_fini(&first);
    buf_fini(&second);
    world_fini(&w);
    return !agree;
}

bool shrink_history(struct history *history, bool (*still_fails)(const struct history *history, const void *context),
                    const void *context)
{
    bool any = false;
    for (size_t size = (history->count + 1) / 2; size; size /= 2) {
        for (size_t from = 0; from < history->count;) {
            size_t gone = history->count - from < size ? history->count - from : size;
            struct history less = *history;
            less.count = history->count - gone;
            less.steps = malloc((less.count + 1) * sizeof *less.steps);
            if (!less.steps) abort();
            memcpy(less.steps, history->steps, from * sizeof *less.steps);
            memcpy(less.steps + from, history->steps + from + gone, (less.count - from) * sizeof *less.steps);
            if (still_fails(&less, context)) {
                free(history->steps);
                *history = less;
                any = true;
            } else {
                free(less.steps);
                from += gone;
            }
        }
    }
    return any;
}

static bool plan_fails(const struct history *history, const void *plan)
{
    return fails(history, plan);
}

static bool attempt(const struct history *history, struct plan *plan, struct plan less)
{
    if (!fails(history, &less)) return false;
    *plan = less;
    return true;
}

/* Each part that can be done without, or that has a plainer form. */
static bool drop_parts(const struct history *history, struct plan *plan)
{
    bool any = false;
    struct plan less;
#define TRY_WITHOUT(condition, change)                                                                                 \
    if (condition) {                                                                                                   \
        less = *plan;                                                                                                  \
        change;                                                                                                        \
        any |= attempt(history, plan, less);                                                                           \
    }
    TRY_WITHOUT(plan->where.data, less.where = STR_NULL);
    TRY_WITHOUT(plan->by.data, less.by = STR_NULL);
    TRY_WITHOUT(plan->label_count, less.label_count = 0);
    TRY_WITHOUT(plan->label_count > 1, less.label_count = 1);
    TRY_WITHOUT(plan->bin_count, less.bin_count = 0);
    TRY_WITHOUT(plan->kind != PLAN_TOP_VALUES && plan->on.data, less.on = less.by = STR_NULL; less.bin_count = 0;
                less.label_count = 0);
    TRY_WITHOUT(plan->measure != MEASURE_COUNT, less.measure = MEASURE_COUNT);
    TRY_WITHOUT(plan->event_count, less.event_count = 0);
    TRY_WITHOUT(plan->event_count > 1, less.event_count = 1);
    TRY_WITHOUT(plan->kind == PLAN_FEED && plan->distinct_id_count > 1, less.distinct_id_count = 1);
    bool people = plan->kind == PLAN_RETENTION || plan->kind == PLAN_FREQUENCY;
    TRY_WITHOUT(people && plan->unit != UNIT_DAY, less.unit = UNIT_DAY);
    TRY_WITHOUT(plan->retention.born_where.data, less.retention.born_where = STR_NULL);
    TRY_WITHOUT(plan->retention.born_event_count, less.retention.born_event_count = 0);
    TRY_WITHOUT(plan->retention.born_event_count > 1, less.retention.born_event_count = 1);
    TRY_WITHOUT(plan->retention.unbounded, less.retention.unbounded = false);
    TRY_WITHOUT(plan->retention.interval_count > 1, less.retention.interval_count = 1);
    TRY_WITHOUT(plan->retention.interval_count > 1, less.retention.interval_count /= 2);
    TRY_WITHOUT(!people && plan->unit != UNIT_RANGE, less.unit = UNIT_RANGE; less.from_local_ms = less.to_local_ms = 0);
    TRY_WITHOUT(plan->to_local_ms, less.from_local_ms = less.to_local_ms = 0);
    TRY_WITHOUT(plan->kind == PLAN_FEED && plan->order != ORDER_OLDEST_FIRST, less.order = ORDER_OLDEST_FIRST);
    TRY_WITHOUT(plan->zone != timezone_utc(), less.zone = timezone_utc());
    TRY_WITHOUT(plan->from_day < plan->to_day, less.from_day = (plan->from_day + plan->to_day + 1) / 2);
    TRY_WITHOUT(plan->from_day < plan->to_day, less.to_day = (plan->from_day + plan->to_day) / 2);
#undef TRY_WITHOUT
    return any;
}

/* An expression without some of its bytes, where that is still one that fails. */
static bool shorten(const struct history *history, struct plan *plan, struct arena *arena, struct str *text)
{
    bool any = false;
    for (size_t size = text->size / 2; size; size /= 2) {
        for (size_t from = 0; from + size <= text->size;) {
            struct str old = *text;
            *text = arena_printf(arena, "%.*s%.*s", (int)from, old.data, (int)(old.size - from - size),
                                 old.data + from + size);
            if (text->data && text->size && fails(history, plan)) {
                any = true;
            } else {
                *text = old;
                from += size;
            }
        }
    }
    return any;
}

void shrink(struct history *history, struct plan *plan)
{
    tries = 0;
    bool more = true;
    while (more && tries < TRIES_MAX) {
        more = drop_parts(history, plan);
        more |= shrink_history(history, plan_fails, plan);
        if (plan->where.data) more |= shorten(history, plan, history->arena, &plan->where);
        if (plan->retention.born_where.data)
            more |= shorten(history, plan, history->arena, &plan->retention.born_where);
        if (plan->on.data) more |= shorten(history, plan, history->arena, &plan->on);
        if (plan->by.data) more |= shorten(history, plan, history->arena, &plan->by);
        if (plan->of.data) more |= shorten(history, plan, history->arena, &plan->of);
    }
}
