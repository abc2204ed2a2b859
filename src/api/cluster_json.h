#pragma once
/*
 * Who an id is, as JSON: what GET …/identities/{distinct_id} and `cairn identity show` tell.
 *
 *   {"project_id": 1, "distinct_id": "$device:D1",
 *    "canonical_id": "U1",                              the id that is shown for the person
 *    "alias_of": null,                                  legacy mode: whose the events are that come under this id
 *    "since": "2024-01-31 12:00:00",                    when the two became one; null when they are the same id
 *    "links": [{"ids": ["$device:D1", "U1"], "by": "event", "event": "Log In", "at": "2024-01-31 12:00:00"}],
 *    "id_count": 2, "offset": 0, "limit": 1000,
 *    "ids": [{"distinct_id": "$device:D1", "since": …, "by": "event", "event": "Log In", "with": "U1"}, …]}
 *
 * `links` lead from the id that was asked for to the shown one, so the newest of them made the two one person. `ids`
 * are all ids of the person in the order of their first events, each with the first link that it took part in: from
 * `offset` on, `limit` at most. Times are those of arrival, in UTC. `by` is event (one with both ids), identify, alias,
 * merge (the verbs), request (to /identity/…), or unknown for links of a version that did not write it down.
 */
#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"

struct snapshot;

#define CLUSTER_IDS_DEFAULT 1000
#define CLUSTER_IDS_MAX     10000
struct cluster_page {
    uint64_t offset;
    uint32_t limit;
};
/* NOT_FOUND for an id that no event has. Appends nothing when it fails. */
enum status cluster_write_json(struct buf *to, const struct snapshot *snapshot, int64_t project_id, struct str id,
                               struct cluster_page page, struct arena *arena, struct error *error) MUST_USE;
