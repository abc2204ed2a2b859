#include "server/memory.h"

#define MIB ((uint64_t)1 << 20)

static uint64_t share(uint64_t bytes, uint64_t least, uint64_t most)
{
    bytes = bytes / MIB * MIB;
    return bytes < least ? least : bytes > most ? most : bytes;
}

struct memory_shares memory_share_out(uint64_t bytes, unsigned loops, unsigned query_threads)
{
    return (struct memory_shares){
        .events_bytes = share(bytes / 16, 8 * MIB, 256 * MIB),
        .cache_bytes = share(bytes / 5, 8 * MIB, UINT64_MAX),
        .compact_bytes = share(bytes / 10, 16 * MIB, 1024 * MIB),
        .lookup_bytes = share(bytes / 20, 8 * MIB, UINT64_MAX),
        .queue_bytes = share(bytes / 32, 1 * MIB, 64 * MIB),
        .bodies_bytes = share(bytes / 16 / loops, 8 * MIB, 256 * MIB),
        .query_total_bytes = share(bytes * 3 / 20, 32 * MIB, UINT64_MAX),
        .query_bytes = share(bytes * 3 / 20 / (query_threads > 4 ? query_threads : 4), 16 * MIB, UINT64_MAX),
        .query_cache_bytes = share(bytes / 64, 1 * MIB, 512 * MIB),
        .exports_bytes = share(bytes / 20, 16 * MIB, UINT64_MAX),
        .sessions_bytes = share(bytes / 64, 2 * MIB, 512 * MIB),
    };
}
