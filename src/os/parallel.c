#include "os/parallel.h"

#include "os/thread.h"

#include <stdatomic.h>

#define THREADS_MAX 64

struct loop {
    void (*run)(void *ctx, size_t index);
    void *ctx;
    size_t count;
    atomic_size_t next;
};

static void take_turns(void *arg)
{
    struct loop *loop = arg;
    for (size_t i; (i = atomic_fetch_add(&loop->next, 1)) < loop->count;) loop->run(loop->ctx, i);
}

void os_parallel(unsigned threads, size_t count, void (*run)(void *ctx, size_t index), void *ctx)
{
    struct loop loop = {.run = run, .ctx = ctx, .count = count};
    struct os_thread helpers[THREADS_MAX];
    unsigned started = 0;
    atomic_init(&loop.next, 0);
    if (threads > THREADS_MAX) threads = THREADS_MAX;
    if (threads > count) threads = (unsigned)count;
    while (started + 1 < threads && os_thread_spawn(&helpers[started], "parallel", take_turns, &loop) == STATUS_OK)
        started++;
    take_turns(&loop);
    for (unsigned i = 0; i < started; i++) os_thread_join(&helpers[i]);
}
