/* The events of a feed or an export, whole. */
#include "reference/answer.h"
#include "reference/question.h"

#include <stdlib.h>

/* The order of a feed, oldest first (src/query/plan.h). */
static int by_time(const void *a, const void *b)
{
    const struct ref_event *x = *(const struct ref_event *const *)a, *y = *(const struct ref_event *const *)b;
    if (x->time_ms != y->time_ms) return x->time_ms < y->time_ms ? -1 : 1;
    int order = str_cmp(x->name, y->name);
    if (!order) order = str_cmp(x->id, y->id);
    if (order) return order;
    if (!x->insert_id.data != !y->insert_id.data) return x->insert_id.data ? -1 : 1;
    if (x->insert_id.data) return str_cmp(x->insert_id, y->insert_id);
    return x->number < y->number ? -1 : 1;
}

/* Values go out in the form that executors share. */
static struct value to_value(struct arena *arena, struct ref_value v)
{
    struct json json = ref_to_json(arena, v);
    struct buf buf = BUF_INIT((size_t)1 << 24);
    struct value value;
    if (value_encode_json(&buf, &json) != STATUS_OK || buf_status(&buf) != STATUS_OK) abort();
    struct reader reader = reader_of(ref_copy(arena, buf_str(&buf)));
    if (value_decode(&reader, &value) != STATUS_OK) abort();
    buf_fini(&buf);
    return value;
}

static const struct row_name *to_name(struct arena *arena, struct str text)
{
    struct row_name *name = ref_alloc(arena, sizeof *name);
    struct buf buf = BUF_INIT((size_t)64 << 20);
    json_write_str(&buf, text);
    buf_byte(&buf, ':');
    if (buf_status(&buf) != STATUS_OK) abort();
    *name = (struct row_name){text, ref_copy(arena, buf_str(&buf))};
    buf_fini(&buf);
    return name;
}

static struct event_row to_row(const struct reference *reference, struct arena *arena, const struct ref_event *event)
{
    size_t count = event->properties.count;
    struct row_property *properties = ref_alloc(arena, count * sizeof *properties);
    for (size_t i = 0; i < count; i++)
        properties[i] = (struct row_property){to_name(arena, event->properties.keys[i]),
                                              to_value(arena, event->properties.items[i])};
    return (struct event_row){
        .event = event->name,
        .time_ms = event->time_ms,
        .distinct_id = event->id,
        .user = event->id.data ? ref_person(reference, event->id) : STR(""),
        .insert_id = event->insert_id,
        .insert_id_sent = event->insert_id.data != NULL,
        .received_ms = event->received_ms / 1000 * 1000,
        .properties = properties,
        .property_count = count,
    };
}

const char *ref_rows(const struct reference *reference, const struct plan *plan, struct arena *arena,
                     struct event_row **ret_rows, size_t *ret_count)
{
    struct ref_question q;
    if (!ref_ask(&q, reference, plan, arena)) return q.refused;
    size_t all = 0, count = 0;
    for (const struct ref_event *event = reference->first; event; event = event->next) all++;
    const struct ref_event **events = ref_alloc(arena, all * sizeof *events);
    const struct ref_event *event = ref_matching(&q, reference->first);
    for (; event; event = ref_matching(&q, event->next)) events[count++] = event;
    if (q.refused) return q.refused;
    if (plan->kind == PLAN_FEED && count) qsort(events, count, sizeof *events, by_time);
    struct event_row *rows = ref_alloc(arena, count * sizeof *rows);
    bool reversed = plan->kind == PLAN_FEED && plan->order == ORDER_NEWEST_FIRST;
    for (size_t i = 0; i < count; i++) rows[i] = to_row(reference, arena, events[reversed ? count - 1 - i : i]);
    *ret_rows = rows;
    *ret_count = plan->limit && count > plan->limit ? plan->limit : count;
    return NULL;
}
