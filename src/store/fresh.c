/*
 * Snapshots without waiting. Whatever may change a snapshot reaches the applier as a message, and a record is posted
 * before it is acknowledged. So messages are counted when they are posted and when they have been carried out: a
 * snapshot that was made after so many changes is still the newest one while no more have been posted.
 */
#include "store/store_int.h"

#include <stdlib.h>

struct fresh {
    struct snapshot *snapshot;
    uint64_t changes;
};

void store_fresh_put(struct store *store, struct snapshot *snapshot, uint64_t changes)
{
    struct snapshot *old = NULL;
    os_mutex_lock(&store->fresh_lock);
    uint64_t *known = u64map_get(&store->fresh, snapshot->project);
    struct fresh *fresh = known ? (struct fresh *)(uintptr_t)*known : calloc(1, sizeof *fresh);
    if (fresh && !known && u64map_put(&store->fresh, snapshot->project, (uint64_t)(uintptr_t)fresh) != STATUS_OK) {
        free(fresh); /* without memory, the applier answers */
        fresh = NULL;
    }
    if (fresh) {
        old = fresh->snapshot;
        *fresh = (struct fresh){snapshot_ref(snapshot), changes};
    }
    os_mutex_unlock(&store->fresh_lock);
    snapshot_free(old);
}

struct snapshot *store_fresh_get(struct store *store, uint64_t project)
{
    struct snapshot *snapshot = NULL;
    os_mutex_lock(&store->mail_lock);
    uint64_t changes = store->changes_posted;
    os_mutex_unlock(&store->mail_lock);
    os_mutex_lock(&store->fresh_lock);
    uint64_t *known = u64map_get(&store->fresh, project);
    const struct fresh *fresh = known ? (struct fresh *)(uintptr_t)*known : NULL;
    if (fresh && fresh->changes == changes) snapshot = snapshot_ref(fresh->snapshot);
    os_mutex_unlock(&store->fresh_lock);
    return snapshot;
}

void store_fresh_clear(struct store *store)
{
    os_mutex_lock(&store->fresh_lock);
    struct u64map all = store->fresh;
    store->fresh = U64MAP_INIT(all.count_max);
    os_mutex_unlock(&store->fresh_lock);
    uint64_t project, value;
    for (size_t at = 0; u64map_next(&all, &at, &project, &value);) {
        struct fresh *fresh = (struct fresh *)(uintptr_t)value;
        snapshot_free(fresh->snapshot);
        free(fresh);
    }
    u64map_fini(&all);
}
