#include "os/thread.h"

#include "os/clock.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

const struct os_scheduler *os_scheduler;

/* Initialising these fails only for want of memory or of kernel objects, before anything was promised to anybody. */
static void need(int code)
{
    if (code != 0) abort();
}

void os_mutex_init(struct os_mutex *mutex, const char *name)
{
    if (OS_SIMULATED)
        os_scheduler->point_init(&mutex->sim, name);
    else
        need(pthread_mutex_init(&mutex->posix, NULL));
}
void os_mutex_destroy(struct os_mutex *mutex)
{
    if (OS_SIMULATED)
        os_scheduler->point_destroy(&mutex->sim);
    else
        need(pthread_mutex_destroy(&mutex->posix));
}

void os_rwlock_init(struct os_rwlock *lock, const char *name)
{
    if (OS_SIMULATED)
        os_scheduler->point_init(&lock->sim, name);
    else
        need(pthread_rwlock_init(&lock->posix, NULL));
}
void os_rwlock_destroy(struct os_rwlock *lock)
{
    if (OS_SIMULATED)
        os_scheduler->point_destroy(&lock->sim);
    else
        need(pthread_rwlock_destroy(&lock->posix));
}

void os_cond_init(struct os_cond *cond, const char *name)
{
    if (OS_SIMULATED) {
        os_scheduler->point_init(&cond->sim, name);
        return;
    }
    pthread_condattr_t monotonic;
    need(pthread_condattr_init(&monotonic));
    need(pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC));
    need(pthread_cond_init(&cond->posix, &monotonic));
    pthread_condattr_destroy(&monotonic);
}
void os_cond_destroy(struct os_cond *cond)
{
    if (OS_SIMULATED)
        os_scheduler->point_destroy(&cond->sim);
    else
        need(pthread_cond_destroy(&cond->posix));
}

static struct timespec timespec_of(int64_t ns)
{
    if (ns < 0) ns = 0;
    return (struct timespec){.tv_sec = (time_t)(ns / 1000000000), .tv_nsec = (long)(ns % 1000000000)};
}

bool os_cond_wait_until(struct os_cond *cond, struct os_mutex *mutex, int64_t deadline_ns)
{
    if (OS_SIMULATED) return os_scheduler->wait(&cond->sim, &mutex->sim, deadline_ns);
    struct timespec deadline = timespec_of(deadline_ns);
    return pthread_cond_timedwait(&cond->posix, &mutex->posix, &deadline) != ETIMEDOUT;
}

static void *thread_main(void *arg)
{
    struct os_thread *thread = arg;
    char shown[16] = "";
    strncat(shown, thread->name, sizeof shown - 1);
    pthread_setname_np(pthread_self(), shown);
    thread->main(thread->arg);
    return NULL;
}

enum status os_thread_spawn(struct os_thread *thread, const char *name, void (*main)(void *arg), void *arg)
{
    *thread = (struct os_thread){.name = name, .main = main, .arg = arg};
    if (OS_SIMULATED) return os_scheduler->spawn(thread);
    return pthread_create(&thread->posix, NULL, thread_main, thread) == 0 ? STATUS_OK : STATUS_LIMIT;
}

void os_thread_join(struct os_thread *thread)
{
    if (OS_SIMULATED)
        os_scheduler->join(thread);
    else
        need(pthread_join(thread->posix, NULL));
}

void os_yield(void)
{
    if (OS_SIMULATED)
        os_scheduler->yield();
    else
        sched_yield();
}

clockid_t os_thread_cpu_clock(void)
{
    clockid_t clock;
    return OS_SIMULATED || pthread_getcpuclockid(pthread_self(), &clock) != 0 ? CLOCK_MONOTONIC : clock;
}

int64_t os_thread_cpu_ns(clockid_t clock)
{
    struct timespec time;
    if (OS_SIMULATED || clock_gettime(clock, &time) != 0) return os_monotonic_ns();
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

void os_sleep_ns(int64_t ns)
{
    if (OS_SIMULATED) {
        os_scheduler->sleep(ns);
        return;
    }
    struct timespec left = timespec_of(ns);
    while (nanosleep(&left, &left) < 0 && errno == EINTR) continue;
}

void os_random(void *data, size_t size)
{
    if (OS_SIMULATED) {
        os_scheduler->random(data, size);
        return;
    }
    if (getrandom(data, size, 0) != (ssize_t)size) abort();
}
