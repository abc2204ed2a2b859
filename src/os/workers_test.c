/* The worker pool: every accepted job runs once, the bound refuses, and freeing finishes what waits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "os/workers.h"

#include <pthread.h>
#include <stdatomic.h>

static void count(void *arg)
{
    atomic_fetch_add((atomic_int *)arg, 1);
}

static void accepted_jobs_run_once(void **state)
{
    (void)state;
    struct workers *workers;
    atomic_int ran = 0;
    int accepted = 0;
    assert_int_equal(workers_new(3, 64, &workers), STATUS_OK);
    for (int i = 0; i < 5000; i++) accepted += workers_submit(workers, count, &ran) == STATUS_OK;
    workers_free(workers);
    assert_true(accepted >= 64);
    assert_int_equal(atomic_load(&ran), accepted);
}

struct gate {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int waiting;
    int open;
};

static void wait_at(void *arg)
{
    struct gate *gate = arg;
    pthread_mutex_lock(&gate->lock);
    gate->waiting = 1;
    pthread_cond_broadcast(&gate->changed);
    while (!gate->open) pthread_cond_wait(&gate->changed, &gate->lock);
    pthread_mutex_unlock(&gate->lock);
}

/* One thread is held up: exactly waiting_max further jobs are taken. */
static void the_queue_is_bounded(void **state)
{
    (void)state;
    struct workers *workers;
    struct gate gate = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0};
    atomic_int ran = 0;
    assert_int_equal(workers_new(1, 5, &workers), STATUS_OK);
    assert_int_equal(workers_submit(workers, wait_at, &gate), STATUS_OK);
    pthread_mutex_lock(&gate.lock);
    while (!gate.waiting) pthread_cond_wait(&gate.changed, &gate.lock);
    pthread_mutex_unlock(&gate.lock);
    for (int i = 0; i < 5; i++) assert_int_equal(workers_submit(workers, count, &ran), STATUS_OK);
    assert_int_equal(workers_submit(workers, count, &ran), STATUS_UNAVAILABLE);
    pthread_mutex_lock(&gate.lock);
    gate.open = 1;
    pthread_cond_broadcast(&gate.changed);
    pthread_mutex_unlock(&gate.lock);
    workers_free(workers);
    assert_int_equal(atomic_load(&ran), 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepted_jobs_run_once),
        cmocka_unit_test(the_queue_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
