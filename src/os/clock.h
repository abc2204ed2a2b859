#pragma once
/* Wall-clock and monotonic time, and random bytes. Above this floor nobody calls clock_gettime or getrandom. */
#include "os/scheduler.h"

#include <time.h>

/* Milliseconds since 1970-01-01T00:00:00Z; may jump. */
static inline int64_t os_now_ms(void)
{
    if (OS_SIMULATED) return os_scheduler->now_ms();
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}
/* Nanoseconds that never go back. */
static inline int64_t os_monotonic_ns(void)
{
    if (OS_SIMULATED) return os_scheduler->monotonic_ns();
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}
/* The calling thread's own clock, which any thread may read while this one lives: nanoseconds that it has computed. */
clockid_t os_thread_cpu_clock(void);
int64_t os_thread_cpu_ns(clockid_t clock);
/* Unpredictable bytes, at most 256 of them. */
void os_random(void *data, size_t size);
