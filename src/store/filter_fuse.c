/*
 * A key has three places in an array of bytes, and the xor of the three bytes is made to be the key's fingerprint. The
 * bytes are found by peeling: a place that only one key has can be set last, whatever the key's other two places hold;
 * so that key is put aside and taken out, which leaves other places with one key, and so on. If all keys get put aside,
 * the bytes are set in the reverse order; else another seed is tried. Places in three neighbouring segments (instead of
 * anywhere) make this succeed with an eighth more bytes than keys, and keep them near each other. Keys are taken
 * roughly in the order of their first places, so that the places of the moment stay in the processor's cache: a shard
 * has more of them than fit.
 *
 * Source: Graf, Lemire, "Binary Fuse Filters: Fast and Smaller Than Xor Filters", ACM Journal of Experimental
 * Algorithmics 27 (2022); the sizes of segments are those of section 4.
 */
#include "store/filter.h"

#include "base/hash.h"
#include "os/thread.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>

#define SHARD_KEYS_MAX   ((size_t)1 << 20)
#define SHARDS_LOG2_MAX  12
#define SEGMENT_LOG2_MAX 18
#define SEEDS_MAX        100
#define HEAD_BYTES       8
#define SHARD_BYTES      16
#define THREADS_MAX      64

struct shape {
    uint32_t segments;
    unsigned segment_log2;
};

struct places {
    uint32_t at[3];
};

static struct places places_of(struct shape shape, uint64_t h)
{
    uint32_t size = (uint32_t)1 << shape.segment_log2, mask = size - 1;
    uint32_t first = (uint32_t)((__uint128_t)h * ((uint64_t)shape.segments << shape.segment_log2) >> 64);
    return (struct places){
        {first, (first + size) ^ ((uint32_t)(h >> 18) & mask), (first + 2 * size) ^ ((uint32_t)h & mask)}};
}

static unsigned char fingerprint(uint64_t h)
{
    return (unsigned char)(h ^ h >> 32);
}

static struct shape shape_for(size_t keys)
{
    double logarithm = log((double)(keys < 2 ? 2 : keys));
    double factor = fmax(1.125, 0.875 + 0.25 * log(1e6) / logarithm);
    struct shape shape = {.segment_log2 = (unsigned)floor(logarithm / log(3.33) + 2.25)};
    if (shape.segment_log2 > SEGMENT_LOG2_MAX) shape.segment_log2 = SEGMENT_LOG2_MAX;
    uint64_t bytes = (uint64_t)ceil((double)keys * factor), size = (uint64_t)1 << shape.segment_log2;
    uint64_t segments = (bytes + size - 1) / size;
    shape.segments = segments > 3 ? (uint32_t)segments - 2 : 1;
    return shape;
}

/* What peeling needs of places and keys. Apart from each other, so that more of it is in the cache. */
struct builder {
    uint64_t *place;  /* the xor of the hashes of the keys that have it */
    uint8_t *marks;   /* of a place: how many keys have it times 4, and the xor of which of their places it is */
    uint32_t *single; /* places that may have one key */
    uint64_t *peeled; /* hashes of the keys that were put aside */
    uint8_t *which;   /* the place of each that is set last */
    uint64_t *hashes; /* of all keys */
};
#define MARK_KEY 4

/* The hashes of the keys by their upper bits, in which their first places ascend. */
static void hash_keys(const uint64_t *keys, size_t count, uint32_t seed, uint64_t *hashes)
{
    size_t next[256] = {0}, sum = 0;
    for (size_t i = 0; i < count; i++) next[hash_u64(keys[i], seed) >> 56]++;
    for (size_t b = 0; b < 256; b++) {
        size_t here = next[b];
        next[b] = sum;
        sum += here;
    }
    for (size_t i = 0; i < count; i++) {
        uint64_t h = hash_u64(keys[i], seed);
        hashes[next[h >> 56]++] = h;
    }
}

static bool peel(struct builder *builder, struct shape shape, const uint64_t *keys, size_t count, uint32_t seed)
{
    size_t bytes = (size_t)(shape.segments + 2) << shape.segment_log2, singles = 0, done = 0;
    uint64_t *place = builder->place;
    uint8_t *marks = builder->marks;
    memset(place, 0, bytes * sizeof *place);
    memset(marks, 0, bytes);
    hash_keys(keys, count, seed, builder->hashes);
    for (size_t i = 0; i < count; i++) {
        uint64_t h = builder->hashes[i];
        struct places at = places_of(shape, h);
        bool full = false;
        for (unsigned w = 0; w < 3; w++) {
            place[at.at[w]] ^= h;
            marks[at.at[w]] = (uint8_t)((marks[at.at[w]] + MARK_KEY) ^ w);
            full |= marks[at.at[w]] < MARK_KEY;
        }
        if (full) return false; /* so many keys in one place that the count is lost */
    }
    /* a place becomes single once at most: no key is ever added */
    for (size_t p = 0; p < bytes; p++) {
        if (marks[p] / MARK_KEY == 1) builder->single[singles++] = (uint32_t)p;
    }
    while (singles) {
        uint32_t here = builder->single[--singles];
        if (marks[here] / MARK_KEY != 1) continue; /* its key went with another of its places */
        uint64_t h = place[here];
        builder->which[done] = marks[here] % MARK_KEY;
        builder->peeled[done++] = h;
        struct places at = places_of(shape, h);
        for (unsigned w = 0; w < 3; w++) {
            uint32_t to = at.at[w];
            place[to] ^= h;
            marks[to] = (uint8_t)((marks[to] - MARK_KEY) ^ w);
            builder->single[singles] = to;
            singles += marks[to] / MARK_KEY == 1;
        }
    }
    return done == count;
}

static int u64_cmp(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static size_t drop_repeats(uint64_t *keys, size_t count)
{
    size_t kept = 0;
    qsort(keys, count, sizeof *keys, u64_cmp);
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || keys[i] != keys[kept - 1]) keys[kept++] = keys[i];
    }
    return kept;
}

static enum status build_shard(uint64_t *keys, size_t count, struct buf *out, struct shape *ret_shape,
                               uint32_t *ret_seed)
{
    struct shape shape = shape_for(count);
    size_t bytes = (size_t)(shape.segments + 2) << shape.segment_log2;
    struct builder builder = {.place = malloc(bytes * sizeof *builder.place),
                              .marks = malloc(bytes),
                              .single = malloc((bytes + 3) * sizeof *builder.single),
                              .peeled = malloc(count * sizeof *builder.peeled),
                              .which = malloc(count),
                              .hashes = malloc(count * sizeof *builder.hashes)};
    bool memory = builder.place && builder.marks && builder.single && builder.peeled && builder.which && builder.hashes;
    char *to = memory ? buf_reserve(out, bytes) : NULL;
    enum status status = to ? STATUS_INTERNAL : STATUS_LIMIT;
    for (uint32_t seed = 1; to && seed <= SEEDS_MAX && status != STATUS_OK; seed++) {
        if (!peel(&builder, shape, keys, count, seed)) {
            if (seed == 1) { /* equal keys never peel; there are hardly ever any */
                count = drop_repeats(keys, count);
                shape = shape_for(count);
                bytes = (size_t)(shape.segments + 2) << shape.segment_log2;
            }
            continue;
        }
        memset(to, 0, bytes);
        for (size_t i = count; i-- > 0;) {
            struct places at = places_of(shape, builder.peeled[i]);
            unsigned which = builder.which[i];
            to[at.at[which]] = (char)(fingerprint(builder.peeled[i]) ^ (unsigned char)to[at.at[(which + 1) % 3]] ^
                                      (unsigned char)to[at.at[(which + 2) % 3]]);
        }
        buf_advance(out, bytes);
        *ret_shape = shape;
        *ret_seed = seed;
        status = STATUS_OK;
    }
    free(builder.place);
    free(builder.marks);
    free(builder.single);
    free(builder.peeled);
    free(builder.which);
    free(builder.hashes);
    return status;
}

/* Brings the keys of each shard together, in place: every swap puts one key where it belongs. */
static void share_out(uint64_t *keys, size_t count, unsigned log2, size_t *ends)
{
    size_t shards = (size_t)1 << log2, next[1 << SHARDS_LOG2_MAX] = {0}, sum = 0;
    if (log2 == 0) {
        ends[0] = count;
        return;
    }
    for (size_t i = 0; i < count; i++) next[keys[i] >> (64 - log2)]++;
    for (size_t s = 0; s < shards; s++) {
        size_t here = next[s];
        next[s] = sum;
        ends[s] = sum += here;
    }
    for (size_t s = 0; s < shards; s++) {
        while (next[s] < ends[s]) {
            uint64_t key = keys[next[s]];
            size_t home = (size_t)(key >> (64 - log2));
            if (home == s) {
                next[s]++;
                continue;
            }
            keys[next[s]] = keys[next[home]];
            keys[next[home]++] = key;
        }
    }
}

/* The shards, and the threads that make them: each takes the next one that nobody has taken. */
struct shards {
    uint64_t *keys;
    const size_t *ends;
    size_t count;
    _Atomic size_t next;
    size_t bytes_max;
    struct shard {
        struct buf bytes;
        struct shape shape;
        uint32_t seed;
        enum status status;
    } * made;
};

static void build_shards(void *arg)
{
    struct shards *shards = arg;
    for (size_t s; (s = atomic_fetch_add(&shards->next, 1)) < shards->count;) {
        struct shard *shard = &shards->made[s];
        size_t from = s ? shards->ends[s - 1] : 0, count = shards->ends[s] - from;
        shard->bytes = BUF_INIT(shards->bytes_max);
        if (count) shard->status = build_shard(shards->keys + from, count, &shard->bytes, &shard->shape, &shard->seed);
    }
}

static enum status append_shards(struct shards *shards, struct buf *out)
{
    size_t start = out->size, heads = start + HEAD_BYTES;
    unsigned log2 = 0;
    while ((size_t)1 << log2 < shards->count) log2++;
    buf_u32(out, log2);
    buf_u32(out, 0);
    buf_fill(out, 0, shards->count * SHARD_BYTES);
    TRY(buf_status(out));
    for (size_t s = 0; s < shards->count; s++) {
        struct shard *shard = &shards->made[s];
        uint64_t offset = out->size - start;
        TRY(shard->status);
        buf_str_add(out, buf_str(&shard->bytes));
        TRY(buf_status(out));
        if (out->size - start > UINT32_MAX) return STATUS_LIMIT;
        char *head = out->data + heads + s * SHARD_BYTES;
        uint32_t at = (uint32_t)offset;
        memcpy(head, &at, 4);
        memcpy(head + 4, &shard->shape.segments, 4);
        head[8] = (char)shard->shape.segment_log2;
        memcpy(head + 12, &shard->seed, 4);
        buf_fini(&shard->bytes);
    }
    return STATUS_OK;
}

enum status fuse_build(uint64_t *keys, size_t count, unsigned threads, struct buf *out)
{
    unsigned log2 = 0, started = 0;
    if (count == 0) return STATUS_OK;
    while (log2 < SHARDS_LOG2_MAX && count >> log2 > SHARD_KEYS_MAX) log2++;
    size_t *ends = malloc(sizeof *ends << log2);
    struct shards shards = {.keys = keys,
                            .ends = ends,
                            .count = (size_t)1 << log2,
                            .bytes_max = out->size_max,
                            .made = calloc((size_t)1 << log2, sizeof *shards.made)};
    enum status status = ends && shards.made ? STATUS_OK : STATUS_LIMIT;
    if (status == STATUS_OK) {
        struct os_thread others[THREADS_MAX];
        for (size_t i = 0; i < count; i++) keys[i] = hash_u64(keys[i], 0);
        share_out(keys, count, log2, ends);
        if (threads > THREADS_MAX) threads = THREADS_MAX;
        if (threads > shards.count) threads = (unsigned)shards.count;
        while (started + 1 < threads && os_thread_spawn(&others[started], "filter", build_shards, &shards) == STATUS_OK)
            started++;
        build_shards(&shards);
        for (unsigned i = 0; i < started; i++) os_thread_join(&others[i]);
        status = append_shards(&shards, out);
        for (size_t s = 0; s < shards.count; s++) buf_fini(&shards.made[s].bytes);
    }
    free(shards.made);
    free(ends);
    return status;
}

bool fuse_has(struct str filter, uint64_t key)
{
    if (filter.size == 0) return false;
    struct reader reader = reader_of(filter);
    uint32_t log2 = read_u32(&reader);
    if (reader.failed || log2 > SHARDS_LOG2_MAX) return true;
    uint64_t k = hash_u64(key, 0);
    size_t shard = log2 ? (size_t)(k >> (64 - log2)) : 0;
    (void)read_bytes(&reader, HEAD_BYTES - 4 + shard * SHARD_BYTES);
    uint32_t offset = read_u32(&reader);
    struct shape shape = {.segments = read_u32(&reader)};
    shape.segment_log2 = read_u8(&reader);
    (void)read_bytes(&reader, 3);
    uint32_t seed = read_u32(&reader);
    if (reader.failed) return true;
    if (shape.segments == 0) return false;
    if (shape.segment_log2 > SEGMENT_LOG2_MAX || offset > filter.size ||
        ((uint64_t)shape.segments + 2) << shape.segment_log2 > filter.size - offset)
        return true;
    uint64_t h = hash_u64(k, seed);
    struct places at = places_of(shape, h);
    const unsigned char *bytes = (const unsigned char *)filter.data + offset;
    return (unsigned char)(bytes[at.at[0]] ^ bytes[at.at[1]] ^ bytes[at.at[2]]) == fingerprint(h);
}
