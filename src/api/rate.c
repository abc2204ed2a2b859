#include "api/rate.h"

#include "base/map.h"

#include <pthread.h>

#define HOUR_IN_MS   3600000
#define PROJECTS_MAX 100000

bool rate_allows(uint64_t project, int64_t per_hour, int64_t now_ms)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static struct u64map counts = U64MAP_INIT(PROJECTS_MAX);
    static int64_t hour;
    if (per_hour <= 0) return true;
    pthread_mutex_lock(&lock);
    if (now_ms / HOUR_IN_MS != hour) {
        hour = now_ms / HOUR_IN_MS;
        u64map_clear(&counts);
    }
    uint64_t *count = u64map_at(&counts, project, 0, NULL);
    bool allowed = count && *count < (uint64_t)per_hour;
    if (allowed) (*count)++;
    pthread_mutex_unlock(&lock);
    return allowed;
}
