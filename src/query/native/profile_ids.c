/*
 * The list of a project is extended from two sides. Ids that are new in the shadow are looked up among those of the
 * events; ids that are new in the events are looked up in the shadow, because a profile may come before the first event
 * of its user. So each new id costs one look-up. When more ids came in the events than there are profiles in all (as in
 * the first query about many users and few profiles), all profiles are looked up anew instead.
 *
 * Several queries read a list while another one extends it: those look at older snapshots, where what is added does not
 * count. An entry is replaced only when its text was forgotten and came again, by the higher number; the one that it
 * had is nobody's in new snapshots, while the new one is unknown in old ones, in which profile_ids_at looks the text
 * up. A query that still knows ids which were forgotten before the list was extended gets a list of its own.
 *
 * Invariant: a profile up to profile_count and an id up to event_count that have one text are matched. A query whose
 * snapshot of the one is older and of the other newer finds what it lacks, and leaves these numbers as they are.
 */
#include "query/native/profile_ids.h"

#include "os/thread.h"
#include "query/native/native.h"

#include <stdlib.h>

#define IDS_PER_TASK 4096u

struct kept {
    struct kept *next, *previous; /* ring, most recently asked first */
    uint64_t project;
    struct os_mutex lock; /* held while the list is extended */
    unsigned users;       /* of the cache's lock */
    struct profile_ids *ids;
    uint32_t event_count, profile_count;           /* up to which ids are known */
    uint32_t events_forgotten, profiles_forgotten; /* at most, in the snapshots that it was extended with */
};

struct profile_ids_cache {
    struct os_mutex lock;
    struct kept ring; /* its head */
    size_t bytes, bytes_max;
};

static size_t bytes_of(const struct profile_ids *ids)
{
    return ids ? sizeof *ids + (size_t)ids->capacity * sizeof(uint32_t) : 0;
}

struct profile_ids_cache *profile_ids_cache_new(size_t bytes_max)
{
    struct profile_ids_cache *cache = calloc(1, sizeof *cache);
    if (!cache) abort();
    os_mutex_init(&cache->lock, "profile ids");
    cache->ring.next = cache->ring.previous = &cache->ring;
    cache->bytes_max = bytes_max;
    return cache;
}

static void take_out(struct kept *kept)
{
    kept->previous->next = kept->next;
    kept->next->previous = kept->previous;
}

static void put_first(struct profile_ids_cache *cache, struct kept *kept)
{
    kept->previous = &cache->ring;
    kept->next = cache->ring.next;
    kept->next->previous = cache->ring.next = kept;
}

static void kept_free(struct kept *kept)
{
    profile_ids_unref(kept->ids);
    os_mutex_destroy(&kept->lock);
    free(kept);
}

void profile_ids_cache_free(struct profile_ids_cache *cache)
{
    if (!cache) return;
    while (cache->ring.next != &cache->ring) {
        struct kept *kept = cache->ring.next;
        take_out(kept);
        kept_free(kept);
    }
    os_mutex_destroy(&cache->lock);
    free(cache);
}

void profile_ids_unref(struct profile_ids *ids)
{
    if (ids && atomic_fetch_sub(&ids->refs, 1) == 1) free(ids);
}

/* NULL: out of memory. */
static struct kept *find(struct profile_ids_cache *cache, uint64_t project)
{
    os_mutex_lock(&cache->lock);
    struct kept *kept = cache->ring.next;
    while (kept != &cache->ring && kept->project != project) kept = kept->next;
    if (kept != &cache->ring) {
        take_out(kept);
    } else if ((kept = calloc(1, sizeof *kept))) {
        kept->project = project;
        os_mutex_init(&kept->lock, "profile ids of a project");
    }
    if (kept) {
        put_first(cache, kept);
        kept->users++;
    }
    os_mutex_unlock(&cache->lock);
    return kept;
}

/* Lets go of a list that is so much longer now, and of what does not fit any more: least recently asked first, unless
 * somebody is at it. */
static void put_back(struct profile_ids_cache *cache, struct kept *kept, size_t bytes_more)
{
    os_mutex_lock(&cache->lock);
    kept->users--;
    cache->bytes += bytes_more;
    struct kept *last = cache->ring.previous;
    while (cache->bytes > cache->bytes_max && last != &cache->ring) {
        struct kept *before = last->previous;
        if (!last->users) {
            cache->bytes -= bytes_of(last->ids);
            take_out(last);
            kept_free(last);
        }
        last = before;
    }
    os_mutex_unlock(&cache->lock);
}

/* --- extending a list --- */

struct matching {
    const struct snapshot *events, *profiles;
    const struct plan_limits *limits;
    struct profile_ids *ids;
    bool by_events;       /* ids of the events are looked up among the profiles */
    uint32_t first, last; /* those that are new */
};

static enum status match_task(void *ctx, unsigned slot, uint32_t index)
{
    const struct matching *matching = ctx;
    uint32_t found[IDS_PER_TASK], first = matching->first + index * IDS_PER_TASK;
    uint32_t count = matching->last - first + 1 < IDS_PER_TASK ? matching->last - first + 1 : IDS_PER_TASK;
    (void)slot;
    TRY(native_interrupted(matching->limits, NULL));
    const struct snapshot *in = matching->by_events ? matching->profiles : matching->events;
    const struct snapshot *of = matching->by_events ? matching->events : matching->profiles;
    snapshot_match_ids(in, of, first, count, found);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t profile = matching->by_events ? found[i] : first + i, id = matching->by_events ? first + i : found[i];
        if (profile && id > atomic_load_explicit(&matching->ids->ids[profile], memory_order_relaxed))
            atomic_store_explicit(&matching->ids->ids[profile], id, memory_order_relaxed);
    }
    return STATUS_OK;
}

static enum status match(struct matching *matching, struct pool *pool, bool by_events, uint32_t first, uint32_t last,
                         struct error *error)
{
    if (first > last) return STATUS_OK;
    matching->by_events = by_events;
    matching->first = first;
    matching->last = last;
    enum status status = pool_run(pool, (last - first) / IDS_PER_TASK + 1, match_task, matching);
    return status == STATUS_CANCELLED ? native_interrupted(matching->limits, error) : status;
}

static enum status new_list(size_t capacity, size_t bytes_max, struct error *error, struct profile_ids **ret)
{
    size_t bytes = sizeof **ret + capacity * sizeof(uint32_t);
    struct profile_ids *ids = bytes <= bytes_max ? calloc(1, bytes) : NULL;
    if (!ids) {
        error_set(error, STATUS_LIMIT, "the profiles need more than %zu bytes of memory", bytes_max);
        error_hint(error, "raise query.memory_max");
        return STATUS_LIMIT;
    }
    atomic_init(&ids->refs, 1);
    ids->capacity = (uint32_t)capacity;
    *ret = ids;
    return STATUS_OK;
}

/* Room for more: a list that somebody reads is replaced. */
static enum status grow(struct kept *kept, uint32_t count, size_t bytes_max, struct error *error)
{
    struct profile_ids *grown;
    if (kept->ids && kept->ids->capacity > count) return STATUS_OK;
    TRY(new_list((size_t)count + count / 4 + 64, bytes_max, error, &grown));
    if (kept->ids) memcpy(grown->ids, kept->ids->ids, kept->ids->capacity * sizeof(uint32_t));
    profile_ids_unref(kept->ids);
    kept->ids = grown;
    return STATUS_OK;
}

static enum status extend(struct kept *kept, struct pool *pool, struct matching *matching, size_t bytes_max,
                          struct error *error)
{
    uint32_t events = snapshot_id_count(matching->events), profiles = snapshot_id_count(matching->profiles);
    TRY(grow(kept, profiles, bytes_max, error));
    matching->ids = kept->ids;
    bool anew = events > kept->event_count && events - kept->event_count > profiles;
    TRY(match(matching, pool, false, anew ? 1 : kept->profile_count + 1, profiles, error));
    if (!anew) TRY(match(matching, pool, true, kept->event_count + 1, events, error));
    kept->events_forgotten = snapshot_forgotten_count(matching->events);
    kept->profiles_forgotten = snapshot_forgotten_count(matching->profiles);
    if (profiles < kept->profile_count || events < kept->event_count) return STATUS_OK;
    kept->profile_count = profiles;
    kept->event_count = events;
    return STATUS_OK;
}

/* For a query that knows ids which the list has forgotten. */
static enum status match_alone(struct pool *pool, struct matching *matching, size_t bytes_max, struct error *error,
                               struct profile_ids **ret_ids)
{
    uint32_t profiles = snapshot_id_count(matching->profiles);
    TRY(new_list((size_t)profiles + 1, bytes_max, error, &matching->ids));
    enum status status = match(matching, pool, false, 1, profiles, error);
    if (status != STATUS_OK)
        profile_ids_unref(matching->ids);
    else
        *ret_ids = matching->ids;
    return status;
}

enum status profile_ids_get(struct profile_ids_cache *cache, struct pool *pool, const struct snapshot *events,
                            const struct snapshot *profiles, uint64_t project, const struct plan_limits *limits,
                            size_t bytes_max, struct error *error, struct profile_ids **ret_ids)
{
    struct plan_limits alone = *limits; /* the lock below is wanted by others: no turn is passed on with it */
    alone.turn = NULL;
    struct matching matching = {.events = events, .profiles = profiles, .limits = &alone};
    struct kept *kept = find(cache, project);
    if (!kept) return error_set(error, STATUS_LIMIT, "out of memory for the list of profiles");
    os_mutex_lock(&kept->lock);
    size_t before = bytes_of(kept->ids);
    bool old = snapshot_forgotten_count(events) < kept->events_forgotten ||
               snapshot_forgotten_count(profiles) < kept->profiles_forgotten;
    enum status status = old ? STATUS_OK : extend(kept, pool, &matching, bytes_max, error);
    if (status == STATUS_OK && !old) {
        atomic_fetch_add(&kept->ids->refs, 1);
        *ret_ids = kept->ids;
    }
    size_t more = bytes_of(kept->ids) - before;
    os_mutex_unlock(&kept->lock);
    put_back(cache, kept, more);
    return old ? match_alone(pool, &matching, bytes_max, error, ret_ids) : status;
}
