#pragma once
/*
 * A bounded pool of threads for work that would hold up an event loop. Jobs are taken in order. Any thread may submit.
 */
#include "base/status.h"

#include <stddef.h>

struct workers;
/* UNAVAILABLE when no thread can be started. */
enum status workers_new(unsigned threads, size_t waiting_max, struct workers **ret_workers) MUST_USE;
/* Has run(arg) called once. UNAVAILABLE when waiting_max jobs wait already: it is not called then. */
enum status workers_submit(struct workers *workers, void (*run)(void *arg), void *arg) MUST_USE;
/* Finishes what waits, then stops the threads. */
void workers_free(struct workers *workers);
