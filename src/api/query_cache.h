#pragma once
/*
 * Answers of queries that are given again while nothing that they depend on has changed. A dashboard that is loaded
 * again costs a look into a table here, and never shows less than what was acknowledged before it asked.
 *
 * An answer is found by its question (`key`: endpoint and parameters, as query_job.c writes them) and its project; it is
 * good while its stamp is: the store's numbers for the project (store_changes), and the control plane's for everything
 * else (time zones, lookup tables, saved definitions). An answer that says TODAY(), or "the last 7 days", is good for a
 * span of time only.
 *
 * Bounded by bytes. What was not used for longest goes first, of the projects that have more than their share: a busy
 * project does not push out the answers of a quiet one. Any thread.
 */
#include "base/buf.h"
#include "store/store.h"

struct query_cache;

/* 0 bytes: nothing is kept. */
struct query_cache *query_cache_new(size_t bytes_max);
/* NULL is nothing. */
void query_cache_free(struct query_cache *cache);

struct query_stamp {
    struct store_changes data;
    uint64_t control;
};
struct cached_answer {
    struct query_stamp stamp; /* read before the query was begun */
    bool profiles_matter;     /* false: events alone were read */
    int64_t from_ms, until_ms; /* when it may be given: [from, until) */
    const char *content_type; /* lives for ever */
};

/* True: `body` (empty before) becomes a copy. `asked`: the stamp and the time of the one who asks; its profiles_matter
 * and until_ms do not count. */
bool query_cache_get(struct query_cache *cache, uint64_t project, struct str key, const struct query_stamp *stamp,
                     int64_t now_ms, struct buf *body, const char **ret_content_type);
/* Copies both texts, unless they are larger than an eighth of all. Instead of an older answer to the same question. */
void query_cache_put(struct query_cache *cache, uint64_t project, struct str key, const struct cached_answer *answer,
                     struct str body);
/* Something was deleted for good, or a project is gone. */
void query_cache_forget(struct query_cache *cache, uint64_t project);

struct query_cache_stats {
    uint64_t hits, misses; /* misses: answers that were computed and may be given again */
    uint64_t stale, evicted; /* stale: looks that found an answer of before a change */
    size_t answers, bytes, bytes_max;
};
void query_cache_stats(struct query_cache *cache, struct query_cache_stats *ret_stats);
