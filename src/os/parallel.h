#pragma once
/*
 * A loop whose turns may run beside each other, for work that is done once (opening a data directory): threads are
 * started for it and gone afterwards.
 */
#include <stddef.h>

/* Calls run(ctx, 0) .. run(ctx, count - 1), each once, on up to `threads` threads of which the caller's is one; returns
 * when all are done. Turns begin in order. What cannot be had of threads is done without. */
void os_parallel(unsigned threads, size_t count, void (*run)(void *ctx, size_t index), void *ctx);
