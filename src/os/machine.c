#include "os/machine.h"

#include "base/number.h"

#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define GROUPS      "/sys/fs/cgroup"
#define LARGE_BYTES ((int)512 << 10)
#define POOLS_MAX   2
#define UNKNOWN_ALL ((uint64_t)1 << 30) /* where the system does not tell */

unsigned os_cores(void)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    return cores > 0 ? (unsigned)cores : 1;
}

/* The number in a file of one line; UINT64_MAX where there is none ("max", or no file). */
static uint64_t read_limit(const char *path)
{
    char line[64];
    uint64_t limit = UINT64_MAX;
    FILE *file = fopen(path, "re");
    if (!file) return limit;
    if (fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = '\0';
        if (!number_parse_unsigned(str_of(line), UINT64_MAX, &limit)) limit = UINT64_MAX;
    }
    fclose(file);
    return limit;
}

/* /proc/self/cgroup names the process's group as "0::/path"; each group above it has a limit as well. */
static uint64_t group_limit(void)
{
    char line[2048], path[4096];
    uint64_t limit = UINT64_MAX;
    FILE *file = fopen("/proc/self/cgroup", "re");
    if (!file) return limit;
    while (fgets(line, sizeof line, file)) {
        if (strncmp(line, "0::/", 4) != 0) continue;
        line[strcspn(line, "\n")] = '\0';
        for (char *group = line + 3;;) {
            snprintf(path, sizeof path, GROUPS "%s/memory.max", group);
            uint64_t here = read_limit(path);
            if (here < limit) limit = here;
            char *slash = strrchr(group, '/');
            if (!slash) break;
            *slash = '\0'; /* at last "", the root */
        }
    }
    fclose(file);
    return limit;
}

uint64_t os_memory_bytes(void)
{
    long pages = sysconf(_SC_PHYS_PAGES), page_bytes = sysconf(_SC_PAGESIZE);
    uint64_t bytes = pages > 0 && page_bytes > 0 ? (uint64_t)pages * (uint64_t)page_bytes : UNKNOWN_ALL;
    uint64_t limit = group_limit();
    return limit < bytes ? limit : bytes;
}

void os_return_freed_memory(void)
{
    /* A block above the first size is a mapping of its own, which goes away when it is freed. Left to itself the
     * allocator raises that size to the largest block it has seen, up to 32 MiB, and keeps a pool like that for each of
     * many threads. Some free memory stays: a query of a millisecond would else spend half of it on getting back what
     * the last one has just returned. Where it knows no such settings, it does as it likes. */
    (void)mallopt(M_MMAP_THRESHOLD, LARGE_BYTES);
    (void)mallopt(M_TRIM_THRESHOLD, 8 * LARGE_BYTES);
    (void)mallopt(M_ARENA_MAX, POOLS_MAX);
}
