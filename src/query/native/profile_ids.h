#pragma once
/*
 * Which id of a project each profile belongs to. Profiles are rows of the project's shadow (store.h), whose ids are
 * numbered by themselves, so their texts have to be looked up: 50 to 150 ns each, for all profiles of a project. That
 * is kept between queries and extended by the ids that came since. Who an id belongs to changes with every link, and is
 * asked of the snapshot at hand.
 *
 * The store must be the same one for the life of the cache: ids of a project are only ever added, and a text that was
 * forgotten gets a new number. Any thread.
 */
#include "query/native/parallel.h"
#include "query/plan.h"
#include "store/store.h"

#include <stdatomic.h>

/* 4 bytes a profile. Those of the projects that were asked least recently go; a project whose profiles alone would take
 * more is looked up for every query. */
#define PROFILE_IDS_BYTES_MAX ((size_t)64 << 20)

struct profile_ids_cache;
struct profile_ids_cache *profile_ids_cache_new(size_t bytes_max);
void profile_ids_cache_free(struct profile_ids_cache *cache);

/* ids[p] is the id in the events of id p of the shadow, 0: none; an id above those of the snapshot is one that is
 * looked up again. */
struct profile_ids {
    _Atomic uint32_t refs;
    uint32_t capacity;
    _Atomic uint32_t ids[]; /* from 1 */
};
/* CANCELLED when the limits say so, LIMIT when it would take more than `bytes_max` bytes. */
enum status profile_ids_get(struct profile_ids_cache *cache, struct pool *pool, const struct snapshot *events,
                            const struct snapshot *profiles, uint64_t project, const struct plan_limits *limits,
                            size_t bytes_max, struct error *error, struct profile_ids **ret_ids) MUST_USE;
void profile_ids_unref(struct profile_ids *ids);

/* The id in the events of a profile's id; 0 when no event has it. */
static inline uint32_t profile_ids_at(const struct profile_ids *ids, const struct snapshot *events,
                                      const struct snapshot *profiles, uint32_t profile)
{
    uint32_t id = atomic_load_explicit(&ids->ids[profile], memory_order_relaxed);
    if (id > snapshot_id_count(events)) snapshot_match_ids(events, profiles, profile, 1, &id);
    return id;
}
