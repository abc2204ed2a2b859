#include "api/query_cache.h"

#include "base/map.h"
#include "os/thread.h"

#include <stdlib.h>

#define ANSWERS_MAX  1000000
#define PROJECTS_MAX 100000
#define PARTS        8 /* an answer has one of them at most */

/* One allocation with its texts behind it. */
struct kept {
    struct kept *newer, *older; /* ring by last use */
    uint64_t project;
    struct cached_answer answer;
    struct str key, body; /* the key has the project in front */
    size_t bytes;
};

struct query_cache {
    struct os_mutex lock;
    struct strmap by_key;
    struct kept ring; /* its head: ring.older is the newest */
    struct u64map bytes_by_project;
    size_t bytes, bytes_max;
    struct query_cache_stats stats;
};

struct query_cache *query_cache_new(size_t bytes_max)
{
    struct query_cache *cache = calloc(1, sizeof *cache);
    if (!cache) abort();
    os_mutex_init(&cache->lock, "query cache");
    cache->by_key = STRMAP_INIT(ANSWERS_MAX);
    cache->bytes_by_project = U64MAP_INIT(PROJECTS_MAX);
    cache->ring.newer = cache->ring.older = &cache->ring;
    cache->bytes_max = bytes_max;
    return cache;
}

/* --- the lock is held --- */

static void unlink_kept(struct kept *kept)
{
    kept->newer->older = kept->older;
    kept->older->newer = kept->newer;
}

static void link_newest(struct query_cache *cache, struct kept *kept)
{
    kept->newer = &cache->ring;
    kept->older = cache->ring.older;
    kept->older->newer = cache->ring.older = kept;
}

static void drop(struct query_cache *cache, struct kept *kept)
{
    uint64_t *bytes = u64map_get(&cache->bytes_by_project, kept->project);
    *bytes -= kept->bytes;
    if (*bytes == 0) u64map_remove(&cache->bytes_by_project, kept->project);
    cache->bytes -= kept->bytes;
    strmap_remove(&cache->by_key, kept->key);
    unlink_kept(kept);
    free(kept);
}

/* The oldest of a project that has more than its share: there is one whenever there is too much. */
static struct kept *superfluous(struct query_cache *cache)
{
    size_t share = cache->bytes_max / cache->bytes_by_project.count;
    struct kept *kept = cache->ring.newer;
    while (*u64map_get(&cache->bytes_by_project, kept->project) <= share) kept = kept->newer;
    return kept;
}

static struct kept *find(struct query_cache *cache, struct str key)
{
    const uint64_t *known = strmap_get(&cache->by_key, key);
    return known ? (struct kept *)(uintptr_t)*known : NULL;
}

static bool is_good(const struct cached_answer *answer, const struct query_stamp *stamp, int64_t now_ms)
{
    return answer->stamp.data.events == stamp->data.events && answer->stamp.control == stamp->control &&
           (!answer->profiles_matter || answer->stamp.data.profiles == stamp->data.profiles) &&
           now_ms >= answer->from_ms && now_ms < answer->until_ms;
}

static bool insert(struct query_cache *cache, struct kept *kept)
{
    uint64_t *bytes = u64map_at(&cache->bytes_by_project, kept->project, 0, NULL);
    if (!bytes) return false;
    if (strmap_put(&cache->by_key, kept->key, (uint64_t)(uintptr_t)kept) != STATUS_OK) {
        if (*bytes == 0) u64map_remove(&cache->bytes_by_project, kept->project);
        return false;
    }
    *bytes += kept->bytes;
    cache->bytes += kept->bytes;
    link_newest(cache, kept);
    return true;
}

/* --- */

void query_cache_free(struct query_cache *cache)
{
    if (!cache) return;
    while (cache->ring.older != &cache->ring) drop(cache, cache->ring.older);
    strmap_fini(&cache->by_key);
    u64map_fini(&cache->bytes_by_project);
    os_mutex_destroy(&cache->lock);
    free(cache);
}

/* The project is part of the key, so that no question finds another project's answer. */
static void write_key(struct buf *whole, uint64_t project, struct str key)
{
    buf_printf(whole, "%llu ", (unsigned long long)project);
    buf_str_add(whole, key);
}

bool query_cache_get(struct query_cache *cache, uint64_t project, struct str key, const struct query_stamp *stamp,
                     int64_t now_ms, struct buf *body, const char **ret_content_type)
{
    struct buf whole = BUF_INIT(key.size + 32);
    bool found = false;
    write_key(&whole, project, key);
    os_mutex_lock(&cache->lock);
    struct kept *kept = whole.failed ? NULL : find(cache, buf_str(&whole));
    if (kept && is_good(&kept->answer, stamp, now_ms)) {
        buf_str_add(body, kept->body);
        found = !body->failed;
        *ret_content_type = kept->answer.content_type;
        unlink_kept(kept);
        link_newest(cache, kept);
    }
    cache->stats.hits += found;
    cache->stats.stale += kept && !found;
    os_mutex_unlock(&cache->lock);
    buf_fini(&whole);
    if (!found) buf_reset(body);
    return found;
}

static struct kept *copy(uint64_t project, struct str key, const struct cached_answer *answer, struct str body)
{
    struct kept *kept = malloc(sizeof *kept + key.size + body.size);
    if (!kept) return NULL;
    char *text = (char *)(kept + 1);
    *kept = (struct kept){.project = project,
                          .answer = *answer,
                          .key = str_from(text, key.size),
                          .body = str_from(text + key.size, body.size),
                          .bytes = sizeof *kept + key.size + body.size};
    memcpy(text, key.data, key.size);
    if (body.size) memcpy(text + key.size, body.data, body.size);
    return kept;
}

void query_cache_put(struct query_cache *cache, uint64_t project, struct str key, const struct cached_answer *answer,
                     struct str body)
{
    struct buf whole = BUF_INIT(key.size + 32);
    struct kept *kept = NULL;
    if (sizeof *kept + key.size + 32 + body.size <= cache->bytes_max / PARTS) {
        write_key(&whole, project, key);
        kept = whole.failed ? NULL : copy(project, buf_str(&whole), answer, body);
        buf_fini(&whole);
    }
    os_mutex_lock(&cache->lock);
    cache->stats.misses++;
    struct kept *old = kept ? find(cache, kept->key) : NULL;
    if (old) drop(cache, old);
    if (kept && !insert(cache, kept)) free(kept);
    while (cache->bytes > cache->bytes_max) {
        drop(cache, superfluous(cache));
        cache->stats.evicted++;
    }
    os_mutex_unlock(&cache->lock);
}

void query_cache_forget(struct query_cache *cache, uint64_t project)
{
    if (!cache) return;
    os_mutex_lock(&cache->lock);
    for (struct kept *kept = cache->ring.older; kept != &cache->ring;) {
        struct kept *older = kept->older;
        if (kept->project == project) drop(cache, kept);
        kept = older;
    }
    os_mutex_unlock(&cache->lock);
}

void query_cache_stats(struct query_cache *cache, struct query_cache_stats *ret_stats)
{
    os_mutex_lock(&cache->lock);
    *ret_stats = cache->stats;
    ret_stats->answers = cache->by_key.count;
    ret_stats->bytes = cache->bytes;
    ret_stats->bytes_max = cache->bytes_max;
    os_mutex_unlock(&cache->lock);
}
