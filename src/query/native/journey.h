#pragma once
/*
 * Journeys: of each person, the events that match at least one of some selectors, in the order of time. What funnels,
 * retention and frequency have in common; the essay is in journey.c.
 *
 *   journeys_open    takes a snapshot, compiles, decides what can be decided once a run
 *   journeys_walk    visits the persons, on all cores; may be called again, for a second look at the same snapshot
 *   journeys_free
 *
 * Which events. Those of the project in [from_ms, to_ms) that match a selector: have one of its names (or any, when it
 * has none) and are exactly true by its `where`, and by the plan's when the selector is one of where_selectors. Deleted
 * and replaced events are nowhere. Persons are those of the snapshot: whole clusters of ids. Events of nobody are in no
 * journey, and no expression is tried on them.
 *
 * Order. By time; events of the same millisecond by their masks as numbers (so by the lowest selector, mostly), then by
 * their values, expression by expression, in the order of journey_value_cmp. Two events that agree in all of that are
 * the same to whoever looks at the journey, so nothing depends on how rows lie in sections, on arrival, or on threads.
 *
 * Who is left out. A person without any event that matches one of the selectors in `required` is not visited (0: all
 * are that have any event), and executors need not try expressions on such a person's events.
 *
 * Forms. With up to JOURNEY_SELECTORS_SHORT selectors and no value expressions an event is one number (`keys`), which
 * is the fast form; else a struct journey_event. The functions journey_time and journey_mask serve both. Exactly one of
 * the two arrays is there, the same one for all persons. They belong to the walk, which does not look at them again: a
 * visitor may write to them.
 *
 * Selector by selector. Who asks for `by_selector` gets, where no event name belongs to two selectors and the form is
 * short, the events of the first selector in order, then those of the next: mostly they come so, and need no sorting.
 * journeys_are_by_selector tells whether it is so; then journey_time and journey_mask do not serve, a key is
 * selector << JOURNEY_TIME_BITS | (time_ms - base_ms).
 *
 * Memory is what plan_limits allows. One person's events are all in memory at once: when they do not fit, LIMIT.
 * Errors: INVALID for an expression (prefixed by its parameter's name), LIMIT, CANCELLED; CORRUPT and IO from the data.
 */
#include "query/native/native.h"

#define JOURNEY_SELECTORS_MAX   64
#define JOURNEY_SELECTORS_SHORT 16
#define JOURNEY_VALUES_MAX      4
#define JOURNEY_TIME_BITS       43

struct journey_selector {
    const struct str *events; /* a name given twice is given once */
    size_t event_count;       /* 0: any event */
    struct str where;         /* an expression; NULL data: none */
    const char *parameter;    /* what errors call it, e.g. `steps[1].where`; it outlives the journeys */
};

/* An expression whose value is wanted of each event: a word alone is a property. */
struct journey_expression {
    struct str text;
    const char *parameter;
    uint64_t selectors; /* it is tried on events that match one of these; others have UNDEFINED. 0: all */
};

struct journey_plan {
    uint64_t project;
    const struct timezone_info *zone;
    int64_t now_ms;         /* TODAY() */
    int64_t from_ms, to_ms; /* [from, to), at most 2^JOURNEY_TIME_BITS ms (279 years) */
    const struct journey_selector *selectors;
    size_t selector_count;
    uint64_t required;        /* bits of selectors */
    struct str where;         /* has to be true as well, for some of the selectors; NULL data: none */
    uint64_t where_selectors; /* bits of those */
    bool by_selector;
    uint64_t followed; /* bits of selectors: see journeys_left_out; 0: everybody is visited */
    int64_t counted_from_ms, counted_to_ms;
    const struct journey_expression *values;
    size_t value_count;
    const struct expr_join *const *joins; /* as in struct plan */
    size_t join_count;
};

/* A number for each distinct value that was met; the same value has the same number all through the walks. */
typedef uint32_t journey_value;
#define JOURNEY_UNDEFINED 0u
#define JOURNEY_NULL      1u

struct journey_event {
    int64_t time_ms;
    uint64_t mask;
    journey_value values[JOURNEY_VALUES_MAX];
};

struct journey {
    uint32_t person; /* never 0 */
    uint32_t count;  /* at least 1 */
    uint64_t *keys;  /* (time_ms - base_ms) << mask_bits | mask, ascending (see above, too); or NULL */
    struct journey_event *events;
    int64_t base_ms;
    unsigned mask_bits;
};
static inline int64_t journey_time(const struct journey *journey, uint32_t i)
{
    return journey->keys ? journey->base_ms + (int64_t)(journey->keys[i] >> journey->mask_bits)
                         : journey->events[i].time_ms;
}
static inline uint64_t journey_mask(const struct journey *journey, uint32_t i)
{
    return journey->keys ? journey->keys[i] & (((uint64_t)1 << journey->mask_bits) - 1) : journey->events[i].mask;
}

struct journeys;
/* `limits`, the plan and all it points to must outlive the journeys. `error` is not NULL. */
enum status journeys_open(struct native *native, const struct journey_plan *plan, const struct plan_limits *limits,
                          struct error *error, struct journeys **ret_journeys) MUST_USE;
void journeys_free(struct journeys *journeys);
/* How many visitors there are at most at a time: `slot` below is less. */
unsigned journeys_slots(const struct journeys *journeys);
bool journeys_are_by_selector(const struct journeys *journeys);
/* Of the limits, what a visitor of each slot may take for itself. */
size_t journeys_slot_bytes(const struct journeys *journeys);

/* Called for each person once, in no promised order, by several threads at a time: never by two with the same slot.
 * Anything but OK ends the walk, which returns it. */
typedef enum status (*journey_visit_fn)(void *ctx, unsigned slot, const struct journey *journey, struct error *error);
enum status journeys_walk(struct journeys *journeys, journey_visit_fn visit, void *ctx, struct error *error) MUST_USE;

/* Who has an event of a required selector in [counted_from_ms, counted_to_ms), and none that matches one of `followed`,
 * may be left out by a walk; this says how many the last walk has left out. Only where journeys are by selector. */
uint64_t journeys_left_out(const struct journeys *journeys);

/* Of values that a visitor has been given; may be called by several threads, also during a walk.
 *
 * Neither undefined nor null nor an empty list. */
bool journey_value_is_defined(const struct journeys *journeys, journey_value value);
/* The distinct labels (docs/decisions/0005-segmentation-choices.md) under which it is counted: one, but of a list those
 * of its items. Labels have numbers from 0; journey_label_text is the text of one, which lives as long as the journeys.
 */
void journey_value_labels(const struct journeys *journeys, journey_value value, const uint32_t **ret_labels,
                          uint32_t *ret_count);
/* How many labels there are so far: all numbers that a visitor has been given are below. */
uint32_t journey_label_count(const struct journeys *journeys);
struct str journey_label_text(const struct journeys *journeys, uint32_t label);
/* Undefined, null, then all that is no list by label, then lists by their JSON text; in byte order. Values with the
 * same label (1 and "1") are the same value, lists with the same JSON text, too. */
int journey_value_cmp(const struct journeys *journeys, journey_value a, journey_value b);
