#pragma once
/*
 * The profiles of groups in expressions: properties["company"]["plan"], or group["company"]["plan"], is the property
 * `plan` of the profile that the group with the event's `company` has. Each group key that has profiles is a table that
 * the property of its name is joined with (expr/join.h): the keys are the ids of groups, the columns the properties of
 * their profiles.
 *
 * Whoever makes a plan calls group_joins_new when the plan is complete, its own joins included, and group_joins_free
 * after the run. Of the profiles what the plan's expressions read is in memory meanwhile.
 */
#include "query/plan.h"

struct group_joins;
struct store;
/* Appends the joins to those of the plan, which come first: a property that has one already keeps it. *ret_joins is
 * NULL, and the plan as it was, when the project has no profiles of groups. An expression that cannot be compiled is
 * left for the run to refuse. LIMIT, CANCELLED, and errors from the data. */
enum status group_joins_new(struct store *store, struct plan *plan, const struct plan_limits *limits,
                            struct error *error, struct group_joins **ret_joins) MUST_USE;
/* The same for plans of other kinds, whose expressions are these texts (NULL data: none): of `plan` project, zone,
 * now_ms and the joins are looked at. */
enum status group_joins_of(struct store *store, struct plan *plan, const struct str *texts, size_t text_count,
                           const struct plan_limits *limits, struct error *error,
                           struct group_joins **ret_joins) MUST_USE;
void group_joins_free(struct group_joins *joins);
