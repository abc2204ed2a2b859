#pragma once
/*
 * Questions about profiles: what plan.h is for events. A plan is a value that the API builds; an executor answers it
 * from a snapshot taken when the run begins. Where profiles are stored is told in store/profiles.h.
 *
 * Which profiles. Those of the project's users, or with `group_key` those of the groups of that key, for which `where`
 * is exactly true and in which `search` is found. A profile of a user that was written under an id which is now another
 * id of somebody (docs/api/identity.md) is nowhere. Deleted ones are nowhere.
 *
 * With `ids`, only the profiles of these: of the people whose any id is given, whichever they are shown under; of
 * groups with exactly these ids. An id that has no profile, or is given twice, changes nothing.
 *
 * Expressions are those of docs/api/expressions.md for profiles: properties["p"] and user["p"] are the same,
 * `$distinct_id` is the id under which the profile is shown (and so is `distinct_id` where no profile has such a
 * property), behaviors["name"] is a number.
 *
 * Behaviours. behaviors["name"] counts the person's events in [as_of_ms - window_ms, as_of_ms) which are matched by any
 * of the behaviour's selectors: have its name (and satisfy its `where`). An event counts once, however many selectors
 * match it. A user without events, and every group, has 0; a name that is not in the plan is undefined.
 *
 * Order. By the value of `sort`: booleans, then numbers by value, texts by bytes, lists and objects by their encoding;
 * descending is the reverse of that. Profiles for which it is undefined or null come last in both. Ties, and everything
 * without `sort`, by the number that the store gave the id: in the order in which they were first written. So an answer
 * is the same as long as the profiles are.
 *
 * Errors of expressions end the run, as with events.
 */
#include "base/arena.h"
#include "column/value.h"
#include "query/plan.h"
#include "query/result.h"

struct behavior_selector {
    struct str event;
    struct str where; /* NULL data: any */
};
struct behavior {
    struct str name;
    int64_t window_ms;
    const struct behavior_selector *selectors;
    size_t selector_count;
};

struct profile_plan {
    uint64_t project;     /* whose; not the shadow's number */
    struct str group_key; /* NULL data: users */
    const struct timezone_info *zone;
    int64_t now_ms;    /* TODAY() */
    struct str where;  /* NULL data: none */
    struct str search; /* without regard to case, in names, email and the id; NULL data: none */
    bool by_ids;       /* `ids` says which; none of them: nobody */
    const struct str *ids;
    size_t id_count;
    const struct behavior *behaviors;
    size_t behavior_count;
    int64_t as_of_ms;
    struct str sort; /* expression; NULL data: none */
    bool descending;
};

/* One profile. It and all it points to are the executor's, good until the sink returns. */
struct listed_profile {
    struct str id;       /* under which it is shown; of a group its id */
    int64_t received_ms; /* when it was last written */
    const struct row_property *properties;
    size_t property_count;
};
struct profile_sink {
    enum status (*row)(struct profile_sink *sink, const struct listed_profile *row, struct error *error);
};

/*
 * The profiles of a plan, frozen: which ones, in their order, from the snapshot of the run. Any number of threads may
 * read at a time. The plan needs not outlive it; the executor must.
 */
struct profile_list {
    uint64_t count;
    size_t bytes; /* of memory, without what it shares with the store */
    /* Profiles [from, from + count) of the list, as far as there are so many. */
    enum status (*read)(struct profile_list *list, uint64_t from, uint64_t count, const struct plan_limits *limits,
                        struct profile_sink *sink, struct error *error);
    void (*free)(struct profile_list *list);
};
static inline enum status profile_list_read(struct profile_list *list, uint64_t from, uint64_t count,
                                            const struct plan_limits *limits, struct profile_sink *sink,
                                            struct error *error)
{
    return list->read(list, from, count, limits, sink, error);
}
static inline void profile_list_free(struct profile_list *list)
{
    if (list) list->free(list);
}

/* The numbers that an expression gives for the profiles of a plan; what is a number is told in plan.h. */
struct profile_numbers {
    uint64_t profiles; /* of the plan, with or without a number */
    uint64_t count;    /* with one; the rest is 0 when there is none */
    double min, max, mean, variance /* of the whole, not of a sample */, sum_of_squares;
    double percentile; /* plan_percentile_rank */
};

/* The properties of the profiles of a plan. Nulls are no values here. */
enum property_type {
    PROPERTY_STRING,
    PROPERTY_NUMBER,
    PROPERTY_BOOLEAN,
    PROPERTY_DATETIME, /* texts that are ISO dates or times */
    PROPERTY_LIST,
    PROPERTY_OBJECT,
    PROPERTY_TYPES
};
struct surveyed_property {
    struct str name;
    uint64_t count; /* profiles that have it */
    uint64_t counts[PROPERTY_TYPES];
};
struct profile_properties {
    struct arena *arena;
    struct surveyed_property *items; /* in most profiles first, ties by name */
    size_t count;
};

/* What people paid, from the lists `$transactions` of objects {"$amount": number, "$time": ISO text or seconds}. Days
 * are those of the plan's zone; texts without a zone are UTC. Transactions without an amount or a time are passed over.
 */
struct revenue_plan {
    int64_t from_day, to_day; /* inclusive */
    enum plan_unit unit;      /* DAY, WEEK or MONTH */
};
struct revenue_bucket {
    struct str label; /* its first day, YYYY-MM-DD */
    double amount;
    uint64_t payers; /* people with a transaction in it, each once */
};
struct profile_revenue {
    struct arena *arena;
    uint64_t profiles; /* of the plan, paying or not */
    struct revenue_bucket overall, *buckets;
    uint32_t bucket_count;
};

struct executor;
struct profile_functions {
    enum status (*list)(struct executor *executor, const struct profile_plan *plan, const struct plan_limits *limits,
                        struct error *error, struct profile_list **ret_list);
    /* `of`: expression; NULL data: only `profiles` is asked for. percentile: above 0, up to 100. */
    enum status (*numbers)(struct executor *executor, const struct profile_plan *plan, struct str of, double percentile,
                           const struct plan_limits *limits, struct error *error, struct profile_numbers *ret_numbers);
    enum status (*properties)(struct executor *executor, const struct profile_plan *plan,
                              const struct plan_limits *limits, struct error *error,
                              struct profile_properties *ret_properties);
    enum status (*revenue)(struct executor *executor, const struct profile_plan *plan,
                           const struct revenue_plan *revenue, const struct plan_limits *limits, struct error *error,
                           struct profile_revenue *ret_revenue);
    /* The group keys that have had profiles, in the order in which they came; texts are in the arena. */
    enum status (*group_keys)(struct executor *executor, uint64_t project, struct arena *arena, struct error *error,
                              struct str **ret_keys, size_t *ret_count);
};
