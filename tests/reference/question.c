/* Which events count for a plan (src/query/plan.h), and what its expressions give for them. */
#include "reference/question.h"

#include <stdlib.h>

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

static struct ref_value user_property(void *context, struct str name)
{
    const struct event_row *row = context;
    return ref_profile_property(row->reference, row->event->id, name);
}

static struct ref_node *tree_of(struct ref_question *q, const char *parameter, struct str text, bool bare)
{
    if (!text.data || q->refused) return NULL;
    struct ref_node *tree = ref_parse(q->arena, text, bare);
    if (!tree || ref_check(q->arena, tree, q->plan->now_ms)) q->refused = parameter;
    return tree;
}

bool ref_ask(struct ref_question *q, const struct reference *reference, const struct plan *plan, struct arena *arena)
{
    *q = (struct ref_question){.reference = reference, .plan = plan, .arena = arena};
    char zone[128];
    struct str name = timezone_name(plan->zone);
    if (name.size >= sizeof zone) abort();
    memcpy(zone, name.data, name.size);
    zone[name.size] = 0;
    ref_set_zone(zone);
    bool numbers = plan->kind == PLAN_SEGMENT && plan->measure >= MEASURE_SUM;
    q->where = tree_of(q, "where", plan->where, false);
    bool labelled = plan->kind == PLAN_SEGMENT || plan->kind == PLAN_TOP_VALUES || plan->kind == PLAN_RETENTION ||
                    plan->kind == PLAN_FREQUENCY;
    if (labelled) q->on = tree_of(q, "on", plan->on, true);
    if (plan->kind == PLAN_SEGMENT) q->by = tree_of(q, "by", plan->by, true);
    if (numbers) q->of = tree_of(q, "of", plan->of, true);
    return !q->refused;
}

struct ref_value ref_value_of(struct ref_question *q, const char *parameter, struct ref_node *tree,
                              const struct ref_event *event)
{
    struct event_row context = {q->reference, event};
    struct ref_row row = {.arena = q->arena,
                          .property = event_property,
                          .user = user_property,
                          .context = &context,
                          .now_ms = q->plan->now_ms,
                          .joins = q->plan->joins,
                          .join_count = q->plan->join_count};
    struct ref_value v = ref_eval(&row, tree, NULL);
    if (!row.failed) return v;
    q->refused = parameter;
    return ref_undefined;
}

/* --- events ------------------------------------------------------------------------------------------- */

bool ref_in_range(const struct plan *plan, int64_t time_ms)
{
    struct ref_local at = ref_local(time_ms);
    int64_t minute = at.day * 1440 + at.hour * 60 + at.minute;
    if (plan->to_local_ms && (minute < plan->from_local_ms / 60000 || minute >= plan->to_local_ms / 60000))
        return false;
    return at.day >= plan->from_day && at.day <= plan->to_day;
}

static bool is_named(const struct plan *plan, struct str name)
{
    for (size_t i = 0; i < plan->event_count; i++) {
        if (str_eq(plan->events[i], name)) return true;
    }
    return plan->event_count == 0;
}

static bool is_asked_for(const struct ref_question *q, struct str id)
{
    if (q->plan->kind != PLAN_FEED) return true;
    for (size_t i = 0; i < q->plan->distinct_id_count && id.data; i++) {
        struct str asked = q->plan->distinct_ids[i], person = ref_person(q->reference, id);
        if (str_eq(person, ref_person(q->reference, asked))) return true;
        /* what came under an alias of the legacy mode */
        if (str_eq(person, ref_person(q->reference, ref_stored_under(q->reference, asked)))) return true;
    }
    return false;
}

bool ref_matches(struct ref_question *q, const struct ref_event *event)
{
    if (!is_named(q->plan, event->name)) return false;
    if (!q->where) return true;
    struct ref_value keep = ref_value_of(q, "where, in a row", q->where, event);
    return keep.type == REF_BOOLEAN && keep.boolean;
}

const struct ref_event *ref_matching(struct ref_question *q, const struct ref_event *event)
{
    for (; event; event = event->next) {
        if (event->gone || !ref_in_range(q->plan, event->time_ms) || !is_asked_for(q, event->id)) continue;
        bool matches = ref_matches(q, event);
        if (q->refused) return NULL;
        if (matches) return event;
    }
    return NULL;
}

/* An empty list counts as undefined. */
struct str *ref_labels(struct arena *arena, struct ref_value v, size_t *ret_count)
{
    struct ref_value one[] = {v};
    bool list = v.type == REF_LIST && v.count;
    const struct ref_value *items = list ? v.items : one;
    size_t item_count = list ? v.count : 1, count = 0;
    if (v.type == REF_LIST && !list) one[0] = ref_undefined;
    struct str *labels = ref_alloc(arena, item_count * sizeof *labels);
    for (size_t i = 0; i < item_count; i++) {
        struct str label = ref_label(arena, items[i]);
        size_t known = 0;
        while (known < count && !str_eq(labels[known], label)) known++;
        if (known == count) labels[count++] = label;
    }
    *ret_count = count;
    return labels;
}
