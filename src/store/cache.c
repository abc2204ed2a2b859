#include "store/cache.h"

#include "base/hash.h"
#include "os/thread.h"

#include <assert.h>
#include <stdlib.h>

#define BUCKETS_MIN     4096
#define BUCKETS_MAX     ((size_t)1 << 20)
#define BUCKET_BYTES    4096 /* of the cache, for each bucket: chains stay short when all entries are small */
#define EVICT_STEPS_MAX ((size_t)1 << 20) /* of the hand, in one eviction */

struct cache_entry {
    struct cache *cache;
    struct cache_entry *next;          /* in the bucket */
    struct cache_entry *newer, *older; /* ring of the clock hand */
    uint64_t file_id, offset;
    uint32_t size, pins;
    bool used, cached;
    _Alignas(16) char data[];
};

struct cache {
    struct os_mutex lock;
    struct cache_entry **buckets;
    size_t bucket_count;
    struct cache_entry *hand; /* any entry of the ring */
    size_t bytes, bytes_max;
};

/* What an entry costs: a section with many events has many objects of a few bytes. */
static size_t entry_bytes(uint32_t size)
{
    return sizeof(struct cache_entry) + size;
}

struct cache *cache_new(size_t bytes_max)
{
    struct cache *cache = calloc(1, sizeof *cache);
    size_t wanted = bytes_max / BUCKET_BYTES, count = BUCKETS_MIN;
    while (count < wanted && count < BUCKETS_MAX) count *= 2;
    if (!cache || !(cache->buckets = calloc(count, sizeof(struct cache_entry *)))) abort();
    cache->bucket_count = count;
    os_mutex_init(&cache->lock, "cache");
    cache->bytes_max = bytes_max;
    return cache;
}

static struct cache_entry **bucket(struct cache *cache, uint64_t file_id, uint64_t offset)
{
    return &cache->buckets[hash_u64(offset, file_id) % cache->bucket_count];
}

static void unlink_entry(struct cache *cache, struct cache_entry *entry)
{
    struct cache_entry **at = bucket(cache, entry->file_id, entry->offset);
    while (*at != entry) at = &(*at)->next;
    *at = entry->next;
    if (entry->newer == entry) {
        cache->hand = NULL;
    } else {
        entry->newer->older = entry->older;
        entry->older->newer = entry->newer;
        if (cache->hand == entry) cache->hand = entry->newer;
    }
    cache->bytes -= entry_bytes(entry->size);
    entry->cached = false;
}

/* Makes room by letting go of unpinned entries that were not used since the hand last passed. */
static void evict(struct cache *cache, size_t need)
{
    size_t steps = 0;
    while (cache->hand && cache->bytes + need > cache->bytes_max && steps++ < EVICT_STEPS_MAX) {
        struct cache_entry *entry = cache->hand;
        cache->hand = entry->newer;
        if (entry->pins) {
            if (steps > 4096) return;
        } else if (entry->used) {
            entry->used = false;
        } else {
            unlink_entry(cache, entry);
            free(entry);
        }
    }
}

void cache_free(struct cache *cache)
{
    if (!cache) return;
    while (cache->hand) {
        struct cache_entry *entry = cache->hand;
        assert(entry->pins == 0);
        unlink_entry(cache, entry);
        free(entry);
    }
    os_mutex_destroy(&cache->lock);
    free(cache->buckets);
    free(cache);
}

size_t cache_bytes(struct cache *cache)
{
    os_mutex_lock(&cache->lock);
    size_t bytes = cache->bytes;
    os_mutex_unlock(&cache->lock);
    return bytes;
}

static struct cache_entry *lookup(struct cache *cache, uint64_t file_id, uint64_t offset, uint32_t size)
{
    struct cache_entry *entry = *bucket(cache, file_id, offset);
    while (entry && (entry->file_id != file_id || entry->offset != offset || entry->size != size)) entry = entry->next;
    return entry;
}

enum status cache_fetch(struct cache *cache, struct os_file *file, uint64_t file_id, uint64_t base,
                        struct section_ref ref, struct error *error, struct pinned *ret_pinned)
{
    uint64_t offset = base + ref.offset;
    os_mutex_lock(&cache->lock);
    struct cache_entry *entry = lookup(cache, file_id, offset, ref.size);
    if (entry) {
        entry->pins++;
        entry->used = true;
        os_mutex_unlock(&cache->lock);
        *ret_pinned = (struct pinned){{entry->data, entry->size}, entry};
        return STATUS_OK;
    }
    os_mutex_unlock(&cache->lock);

    /* Read without the lock; two readers may do it at once, and the second result is used alone. */
    entry = malloc(sizeof *entry + ref.size);
    if (!entry) return error_set(error, STATUS_LIMIT, "out of memory for a block of %u bytes", ref.size);
    *entry = (struct cache_entry){.cache = cache, .file_id = file_id, .offset = offset, .size = ref.size, .pins = 1};
    enum status status = os_pread(file, entry->data, ref.size, offset, error);
    if (status == STATUS_OK && hash_bytes(entry->data, ref.size, 0) != ref.check) {
        status = error_set(error, STATUS_CORRUPT, "checksum mismatch in section file %016llx at byte %llu",
                           (unsigned long long)file_id, (unsigned long long)offset);
        error_hint(error, "the disk returned other bytes than were written; restore this file from a backup");
    }
    if (status != STATUS_OK) {
        free(entry);
        return status;
    }
    os_mutex_lock(&cache->lock);
    if (!lookup(cache, file_id, offset, ref.size)) {
        evict(cache, entry_bytes(ref.size));
        if (cache->bytes + entry_bytes(ref.size) <= cache->bytes_max) {
            struct cache_entry **at = bucket(cache, file_id, offset);
            entry->next = *at;
            *at = entry;
            if (cache->hand) {
                entry->newer = cache->hand;
                entry->older = cache->hand->older;
                entry->older->newer = entry;
                cache->hand->older = entry;
            } else {
                cache->hand = entry->newer = entry->older = entry;
            }
            entry->cached = true;
            cache->bytes += entry_bytes(ref.size);
        }
    }
    os_mutex_unlock(&cache->lock);
    *ret_pinned = (struct pinned){{entry->data, entry->size}, entry};
    return STATUS_OK;
}

void pinned_release(struct pinned *pinned)
{
    struct cache_entry *entry = pinned->entry;
    *pinned = (struct pinned){0};
    if (!entry) return;
    os_mutex_lock(&entry->cache->lock);
    bool gone = --entry->pins == 0 && !entry->cached;
    os_mutex_unlock(&entry->cache->lock);
    if (gone) free(entry);
}
