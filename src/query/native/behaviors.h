#pragma once
/*
 * Behaviours of people, counted for their profiles: how many events of each person match, by the number that the
 * shadow project gave the id under which the person's profile is. The essay is in behaviors.c.
 */
#include "query/native/native.h"
#include "query/profiles.h"

struct behavior_counts {
    uint32_t id_count;  /* of the shadow */
    uint32_t **numbers; /* by behaviour, then by id of the shadow */
};
/* Reads the project's events. The snapshots are of the project and of its shadow. Lives in the arena, whose owner's
 * limits it keeps. */
enum status behavior_counts_new(struct native *native, const struct profile_plan *plan, struct snapshot *project,
                                struct snapshot *shadow, const struct plan_limits *limits, struct arena *arena,
                                struct error *error, struct behavior_counts **ret_counts) MUST_USE;
static inline uint32_t behavior_counts_get(const struct behavior_counts *counts, uint32_t behavior, uint32_t id)
{
    return id <= counts->id_count ? counts->numbers[behavior][id] : 0;
}
