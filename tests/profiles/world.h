#pragma once
/*
 * A store in which profiles and events come and go at random, and beside it a model: a list of profiles and a list of
 * who owns which device. The same seed gives the same world.
 */
#include "base/json.h"
#include "query/backend.h"
#include "query/profiles.h"
#include "reference/generate.h"
#include "store/store.h"

#define WORLD_PROJECT 5
#define WORLD_USERS   12
#define WORLD_DEVICES 12
#define WORLD_GROUPS  6
#define WORLD_TABLES  3 /* users, and groups of two keys */
#define WORLD_EVENTS  4000
#define WORLD_NOW_MS  INT64_C(1710000000000)
#define WORLD_HOUR_MS INT64_C(3600000)

struct model_profile {
    struct str id; /* as stored */
    bool live;
    int64_t received_ms;    /* whole seconds */
    struct json properties; /* an object */
};
struct model_event {
    unsigned name;    /* event E0, E1, E2 */
    int user, device; /* -1: none */
    int64_t time_ms;
    int64_t number; /* property n */
};
struct world {
    char directory[64];
    struct os_fs *fs;
    struct store *store;
    struct executor *native;
    struct arena *arena;
    struct generator generator;
    /* In the order in which ids first came. */
    struct model_profile profiles[WORLD_TABLES][WORLD_USERS + WORLD_DEVICES + WORLD_GROUPS];
    size_t profile_counts[WORLD_TABLES];
    struct str order[WORLD_TABLES * (WORLD_USERS + WORLD_DEVICES + WORLD_GROUPS)]; /* of all texts in the shadow */
    size_t order_count;
    int owners[WORLD_DEVICES]; /* user; -1: nobody */
    struct model_event *events;
    size_t event_count;
};
void world_init(struct world *world, uint64_t seed);
void world_fini(struct world *world);

/* NULL data for users. */
struct str world_group_key(size_t table);
struct str world_user(struct world *world, int user);
struct str world_device(struct world *world, int device);
/* The user or device whose id it is; the user who owns a device. -1: none. */
int world_user_of(const struct world *world, struct str id);
/* The id under which the owner of an id is shown. */
struct str world_shown(struct world *world, struct str id);
/* What happens next: a profile, an event, a deletion, a flush … */
void world_step(struct world *world);
/* The same, while snapshots are held: the store is not reopened. */
void world_change(struct world *world);
