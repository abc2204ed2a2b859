/* The scheduler of simulated threads: it finds interleavings, deadlocks and misuse, and repeats itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "os/clock.h"
#include "os/sim.h"
#include "os/sim_threads.h"
#include "os/thread.h"
#include "os/workers.h"

#include <stdio.h>
#include <stdlib.h>

static struct sim_threads_options options_of(uint64_t seed)
{
    struct sim_threads_options options;
    sim_threads_options_draw(&options, seed);
    options.steps_max = 1000000;
    return options;
}

/* --- a bounded queue between two producers and two consumers --- */

struct queue {
    struct os_mutex lock;
    struct os_cond changed;
    struct os_thread threads[4];
    unsigned items[3];
    unsigned count, produced, consumed;
    unsigned sum;
    uint32_t order; /* of what was consumed */
};

static void produce(void *arg)
{
    struct queue *queue = arg;
    for (unsigned i = 0; i < 20; i++) {
        os_mutex_lock(&queue->lock);
        while (queue->count == 3) os_cond_wait(&queue->changed, &queue->lock);
        queue->items[queue->count++] = ++queue->produced;
        os_cond_broadcast(&queue->changed);
        os_mutex_unlock(&queue->lock);
    }
}

static void consume(void *arg)
{
    struct queue *queue = arg;
    for (unsigned i = 0; i < 20; i++) {
        os_mutex_lock(&queue->lock);
        while (queue->count == 0) {
            if (!os_cond_wait_until(&queue->changed, &queue->lock, os_monotonic_ns() + 1000000)) os_sleep_ns(5);
        }
        unsigned item = queue->items[--queue->count];
        queue->sum += item;
        queue->order = queue->order * 31 + item;
        queue->consumed++;
        os_cond_broadcast(&queue->changed);
        os_mutex_unlock(&queue->lock);
    }
}

static void queue_main(void *arg)
{
    struct queue *queue = arg;
    os_mutex_init(&queue->lock, "queue");
    os_cond_init(&queue->changed, "queue changed");
    for (unsigned i = 0; i < 4; i++) {
        if (os_thread_spawn(&queue->threads[i], i % 2 ? "producer" : "consumer", i % 2 ? produce : consume, queue) !=
            STATUS_OK)
            abort();
    }
    for (unsigned i = 0; i < 4; i++) os_thread_join(&queue->threads[i]);
    os_cond_destroy(&queue->changed);
    os_mutex_destroy(&queue->lock);
}

/* Every seed gives everything exactly once; seeds differ in the order, and the same seed does not. */
static void a_queue_works_in_every_order(void **state)
{
    (void)state;
    uint32_t orders[100];
    unsigned differ = 0;
    for (uint64_t seed = 0; seed < 100; seed++) {
        struct sim_threads_options options = options_of(seed);
        struct sim_threads_result first, second;
        struct queue one = {0}, two = {0};
        struct error error = ERROR_INIT;
        assert_int_equal(sim_threads_run(&options, queue_main, &one, &error, &first), STATUS_OK);
        assert_int_equal(sim_threads_run(&options, queue_main, &two, &error, &second), STATUS_OK);
        assert_int_equal(one.sum, 820);
        assert_int_equal(one.order, two.order);
        assert_int_equal(first.trace, second.trace);
        assert_int_equal(first.steps, second.steps);
        assert_int_equal(first.virtual_ns, second.virtual_ns);
        orders[seed] = one.order;
        for (uint64_t i = 0; i < seed; i++) differ += orders[i] != orders[seed];
    }
    assert_true(differ > 4000); /* of 4950 pairs */
}

/* The same code on the machine's threads. */
static void the_same_queue_works_on_real_threads(void **state)
{
    (void)state;
    struct queue queue = {0};
    queue_main(&queue);
    assert_int_equal(queue.sum, 820);
}

/* --- what is wrong is found --- */

struct pair {
    struct os_mutex a, b;
    struct os_cond never;
    struct os_thread thread;
    unsigned shared;
};

static void lock_b_then_a(void *arg)
{
    struct pair *pair = arg;
    os_mutex_lock(&pair->b);
    os_mutex_lock(&pair->a);
    os_mutex_unlock(&pair->a);
    os_mutex_unlock(&pair->b);
}

static void pair_init(struct pair *pair)
{
    os_mutex_init(&pair->a, "mutex a");
    os_mutex_init(&pair->b, "mutex b");
    os_cond_init(&pair->never, "never");
}

static void crossed_main(void *arg)
{
    struct pair *pair = arg;
    pair_init(pair);
    if (os_thread_spawn(&pair->thread, "other", lock_b_then_a, pair) != STATUS_OK) abort();
    os_mutex_lock(&pair->a);
    os_mutex_lock(&pair->b);
    os_mutex_unlock(&pair->b);
    os_mutex_unlock(&pair->a);
    os_thread_join(&pair->thread);
}

/* Two locks taken crosswise: some seeds meet in the middle, and the report says who wants what. */
static void a_deadlock_is_reported(void **state)
{
    (void)state;
    unsigned found = 0, passed = 0;
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct sim_threads_options options = options_of(seed);
        struct pair pair = {0};
        struct error error = ERROR_INIT;
        if (sim_threads_run(&options, crossed_main, &pair, &error, NULL) == STATUS_OK) {
            passed++;
            continue;
        }
        found++;
        assert_string_equal(error.primary, "deadlock: no thread can ever run again");
        assert_string_equal(error.detail,
                            "main wants the lock mutex b held by other; other wants the lock mutex a held by main");
    }
    assert_true(found > 5 && passed > 5);
}

static void wait_for_ever(void *arg)
{
    struct pair *pair = arg;
    os_mutex_lock(&pair->a);
    for (;;) os_cond_wait(&pair->never, &pair->a);
}

static void stuck_main(void *arg)
{
    struct pair *pair = arg;
    pair_init(pair);
    if (os_thread_spawn(&pair->thread, "waiter", wait_for_ever, pair) != STATUS_OK) abort();
    for (;;) os_sleep_ns(1000000000);
}

/* Somebody waits without a deadline while others go on polling. */
static void waiting_for_ever_is_reported(void **state)
{
    (void)state;
    struct sim_threads_options options = options_of(1);
    options.spurious_odds = 0;
    struct pair pair = {0};
    struct error error = ERROR_INIT;
    assert_int_equal(sim_threads_run(&options, stuck_main, &pair, &error, NULL), STATUS_CONFLICT);
    assert_string_equal(error.primary, "waiter waits for ever");
    assert_non_null(strstr(error.detail, "waiter waits for never"));
}

static void twice_main(void *arg)
{
    struct pair *pair = arg;
    pair_init(pair);
    os_mutex_lock(&pair->a);
    os_mutex_lock(&pair->a);
}
static void not_held_main(void *arg)
{
    struct pair *pair = arg;
    pair_init(pair);
    os_mutex_unlock(&pair->a);
}
static void held_main(void *arg)
{
    struct pair *pair = arg;
    pair_init(pair);
    os_mutex_lock(&pair->a);
    os_mutex_destroy(&pair->a);
}
static void endless_main(void *arg)
{
    (void)arg;
    for (;;) os_yield();
}

static void misuse_is_reported(void **state)
{
    (void)state;
    static const struct {
        void (*main)(void *);
        const char *text;
    } cases[] = {
        {twice_main, "main: locks a lock that it holds"},
        {not_held_main, "main: unlocks a lock that it does not hold"},
        {held_main, "main: destroys a lock that is held"},
        {endless_main, "main: too many steps"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct sim_threads_options options = options_of(i);
        struct pair pair = {0};
        struct error error = ERROR_INIT;
        assert_int_equal(sim_threads_run(&options, cases[i].main, &pair, &error, NULL), STATUS_CONFLICT);
        assert_string_equal(error.primary, cases[i].text);
    }
}

/* --- time, a lost update, readers and writers, the pool, the disk --- */

static void time_main(void *arg)
{
    (void)arg;
    int64_t before = os_monotonic_ns(), wall = os_now_ms();
    os_sleep_ns(3600000000000);
    if (os_monotonic_ns() - before < 3600000000000 || os_now_ms() - wall < 3600000) abort();
}

/* An hour passes at once. */
static void sleeping_takes_no_time(void **state)
{
    (void)state;
    struct sim_threads_options options = options_of(3);
    options.clock_jump_ms = 0;
    struct sim_threads_result result;
    assert_int_equal(sim_threads_run(&options, time_main, NULL, NULL, &result), STATUS_OK);
    assert_true(result.virtual_ns >= 3600000000000 && result.virtual_ns < 3700000000000);
}

static void add_unsafely(void *arg)
{
    unsigned *shared = arg;
    for (unsigned i = 0; i < 5; i++) {
        unsigned seen = *shared;
        os_yield();
        *shared = seen + 1;
    }
}

static void lost_update_main(void *arg)
{
    struct os_thread threads[2];
    for (unsigned i = 0; i < 2; i++) {
        if (os_thread_spawn(&threads[i], "adder", add_unsafely, arg) != STATUS_OK) abort();
    }
    for (unsigned i = 0; i < 2; i++) os_thread_join(&threads[i]);
}

static void some_seeds_lose_an_unsafe_update(void **state)
{
    (void)state;
    unsigned lost = 0;
    for (uint64_t seed = 0; seed < 100; seed++) {
        struct sim_threads_options options = options_of(seed);
        unsigned shared = 0;
        assert_int_equal(sim_threads_run(&options, lost_update_main, &shared, NULL, NULL), STATUS_OK);
        lost += shared < 10;
    }
    assert_in_range(lost, 10, 90);
}

struct library {
    struct os_rwlock lock;
    struct os_thread threads[4];
    unsigned readers, writers, both, readers_max;
};

static void read_or_write(struct library *library, bool writes)
{
    for (unsigned i = 0; i < 10; i++) {
        if (writes)
            os_rwlock_write(&library->lock);
        else
            os_rwlock_read(&library->lock);
        *(writes ? &library->writers : &library->readers) += 1;
        library->both += library->writers > 1 || (library->writers && library->readers);
        if (library->readers > library->readers_max) library->readers_max = library->readers;
        os_yield();
        *(writes ? &library->writers : &library->readers) -= 1;
        if (writes)
            os_rwlock_write_end(&library->lock);
        else
            os_rwlock_read_end(&library->lock);
    }
}
static void library_reader(void *arg)
{
    read_or_write(arg, false);
}
static void library_writer(void *arg)
{
    read_or_write(arg, true);
}
static void library_main(void *arg)
{
    struct library *library = arg;
    os_rwlock_init(&library->lock, "library");
    for (unsigned i = 0; i < 4; i++) {
        if (os_thread_spawn(&library->threads[i], "reader", i < 2 ? library_reader : library_writer, library) !=
            STATUS_OK)
            abort();
    }
    for (unsigned i = 0; i < 4; i++) os_thread_join(&library->threads[i]);
    os_rwlock_destroy(&library->lock);
}

static void readers_share_and_writers_do_not(void **state)
{
    (void)state;
    unsigned readers_max = 0;
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct sim_threads_options options = options_of(seed);
        struct library library = {0};
        assert_int_equal(sim_threads_run(&options, library_main, &library, NULL, NULL), STATUS_OK);
        assert_int_equal(library.both, 0);
        if (library.readers_max > readers_max) readers_max = library.readers_max;
    }
    assert_int_equal(readers_max, 2);
}

static void count_job(void *arg)
{
    ++*(unsigned *)arg;
}
static void pool_main(void *arg)
{
    struct workers *workers;
    if (workers_new(3, 100, &workers) != STATUS_OK) abort();
    for (unsigned i = 0; i < 50; i++) {
        if (workers_submit(workers, count_job, arg) != STATUS_OK) abort();
    }
    workers_free(workers);
}

static void the_pool_runs_simulated(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct sim_threads_options options = options_of(seed);
        unsigned done = 0;
        assert_int_equal(sim_threads_run(&options, pool_main, &done, NULL, NULL), STATUS_OK);
        assert_int_equal(done, 50);
    }
}

static void disk_main(void *arg)
{
    struct sim *disk = sim_new(*(uint64_t *)arg);
    struct os_file *file;
    if (os_open(sim_fs(disk), "f", OS_WRITE | OS_CREATE, NULL, &file) != STATUS_OK ||
        os_pwrite(file, arg, sizeof(uint64_t), 0, NULL) != STATUS_OK || os_sync(file, NULL) != STATUS_OK)
        abort();
    os_close(file);
    os_fs_free(sim_fs(disk));
}

/* What is written is part of the trace. */
static void the_trace_covers_the_disk(void **state)
{
    (void)state;
    struct sim_threads_options options = options_of(1);
    struct sim_threads_result one, two;
    uint64_t seed = 1;
    assert_int_equal(sim_threads_run(&options, disk_main, &seed, NULL, &one), STATUS_OK);
    seed = 2;
    assert_int_equal(sim_threads_run(&options, disk_main, &seed, NULL, &two), STATUS_OK);
    assert_true(one.trace != two.trace && one.steps == two.steps);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_queue_works_in_every_order),
        cmocka_unit_test(the_same_queue_works_on_real_threads),
        cmocka_unit_test(a_deadlock_is_reported),
        cmocka_unit_test(waiting_for_ever_is_reported),
        cmocka_unit_test(misuse_is_reported),
        cmocka_unit_test(sleeping_takes_no_time),
        cmocka_unit_test(some_seeds_lose_an_unsafe_update),
        cmocka_unit_test(readers_share_and_writers_do_not),
        cmocka_unit_test(the_pool_runs_simulated),
        cmocka_unit_test(the_trace_covers_the_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
