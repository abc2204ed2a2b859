#pragma once
/*
 * Executors that answer with the profiles of groups: the engine's come from its store, the reference's from a list of
 * what was written. Both put them behind the tables that a plan brings along.
 */
#include "base/json.h"
#include "query/backend.h"

struct store;
struct told_group {
    struct str key, id; /* of the group key, and of the group */
    struct json properties;
    struct told_group *next;
};

/* What they wrap is theirs. */
struct executor *executor_with_stored_groups(struct executor *inner, struct store *store);
/* *groups may change between questions. */
struct executor *executor_with_told_groups(struct executor *inner, struct told_group *const *groups);
