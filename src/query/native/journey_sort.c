/*
 * Sorting one person's events. They come run by run, each run in order and older windows first, so they are nearly
 * sorted, and mostly few: insertion. For more, pieces are sorted so and then merged, two by two; pieces that follow
 * each other already cost one comparison.
 */
#include "query/native/journey_int.h"

#define DEFINE_SORT(name, type, context_type, less)                                                                    \
    static void name##_insert(type *items, uint32_t count, context_type context)                                       \
    {                                                                                                                  \
        (void)context;                                                                                                 \
        for (uint32_t i = 1; i < count; i++) {                                                                         \
            type item = items[i];                                                                                      \
            uint32_t at = i;                                                                                           \
            for (; at && less(item, items[at - 1], context); at--) items[at] = items[at - 1];                          \
            items[at] = item;                                                                                          \
        }                                                                                                              \
    }                                                                                                                  \
    static void name##_merge(type *items, uint32_t middle, uint32_t count, type *spare, context_type context)          \
    {                                                                                                                  \
        (void)context;                                                                                                 \
        if (!less(items[middle], items[middle - 1], context)) return;                                                  \
        memcpy(spare, items, middle * sizeof *items);                                                                  \
        uint32_t a = 0, b = middle, to = 0;                                                                            \
        while (a < middle && b < count) items[to++] = less(items[b], spare[a], context) ? items[b++] : spare[a++];     \
        if (a < middle) memcpy(items + to, spare + a, (middle - a) * sizeof *items);                                   \
    }                                                                                                                  \
    static void name(type *items, uint32_t count, type *spare, context_type context)                                   \
    {                                                                                                                  \
        for (uint32_t from = 0; from < count; from += JOURNEY_SORT_SMALL)                                              \
            name##_insert(items + from, count - from < JOURNEY_SORT_SMALL ? count - from : JOURNEY_SORT_SMALL,         \
                          context);                                                                                    \
        for (uint64_t width = JOURNEY_SORT_SMALL; width < count; width *= 2) {                                         \
            for (uint64_t from = 0; from + width < count; from += width * 2) {                                         \
                uint64_t left = count - from;                                                                          \
                name##_merge(items + from, (uint32_t)width, (uint32_t)(left < width * 2 ? left : width * 2), spare,    \
                             context);                                                                                 \
            }                                                                                                          \
        }                                                                                                              \
    }

#define KEY_LESS(a, b, context) ((a) < (b))
DEFINE_SORT(sort_keys, uint64_t, int, KEY_LESS)

struct event_order {
    const struct journey_values *values;
    size_t value_count;
};

static inline bool event_less(const struct journey_event *a, const struct journey_event *b,
                              const struct event_order *order)
{
    if (a->time_ms != b->time_ms) return a->time_ms < b->time_ms;
    if (a->mask != b->mask) return a->mask < b->mask;
    for (size_t v = 0; v < order->value_count; v++) {
        if (a->values[v] == b->values[v]) continue;
        return journey_values_cmp(order->values, a->values[v], b->values[v]) < 0;
    }
    return false;
}
#define EVENT_LESS(a, b, context) event_less(&(a), &(b), (context))
DEFINE_SORT(sort_events, struct journey_event, const struct event_order *, EVENT_LESS)

void journey_sort_keys(uint64_t *keys, uint32_t count, uint64_t *spare)
{
    sort_keys(keys, count, spare, 0);
}

void journey_sort_events(struct journey_event *events, uint32_t count, struct journey_event *spare,
                         const struct journey_values *values, size_t value_count)
{
    struct event_order order = {values, value_count};
    sort_events(events, count, spare, &order);
}
