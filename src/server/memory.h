#pragma once
/*
 * How the memory that the operator gives the server (memory.max) is shared out when he does not set the limits one by
 * one. No I/O, any thread.
 *
 *     events      1/16    before a flush; up to twice as much while a flush is under way        at worst 2/16
 *     bodies      1/16    all event loops together                                               1/16
 *     queue       1/32    records before the log; as many may wait behind it                     at worst 2/32
 *     compaction  1/10    the plan of one; its columns may take as much again                    at worst 2/10
 *     cache       1/5     columns of sections
 *     queries     3/20    all that are under way; one has a fourth of it, or a part for each that computes
 *     exports     1/20    all together
 *     lookups     1/20    lookup tables; one that is larger all the same
 *     sessions    1/64    answers that are kept for their next pages
 *     answers     1/64    answers that are given again
 *     the rest    1/15    ids and names, which grow with the data; the program; what the allocator keeps;
 *                         which profile is whose (64 MiB at most)
 *
 * So a server stays inside memory.max while the ids of its projects fit into the rest: about 60 bytes each.
 */
#include <stdint.h>

struct memory_shares {
    uint64_t events_bytes, cache_bytes, compact_bytes, lookup_bytes;
    uint64_t queue_bytes;
    uint64_t bodies_bytes; /* of one event loop */
    uint64_t query_total_bytes, query_bytes; /* of one query */
    uint64_t query_cache_bytes, exports_bytes, sessions_bytes;
};
/* Whole MiB; each has a least value that the server needs to work at all, and some a greatest that is of use. */
struct memory_shares memory_share_out(uint64_t bytes, unsigned loops, unsigned query_threads);
