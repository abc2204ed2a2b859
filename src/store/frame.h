#pragma once
/*
 * The bytes of a log frame, shared by the memtables of the projects it touches. Only the applier holds references (the
 * log thread hands its single one over), so the count needs no atomics.
 *
 * Frames that come and go by the megabyte would have the kernel clear every page of them anew, so a pool keeps some of
 * the memory; its lock is all that the log thread and the applier share.
 */
#include "os/thread.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct frame_pool;
struct frame_bytes {
    uint32_t refs;
    bool trusted; /* its records were made by this process: they need not be checked again */
    size_t size;
    char *data;
    /* the pool's: */
    struct frame_pool *pool; /* where the memory goes; NULL: nowhere */
    struct frame_bytes *next;
    size_t capacity; /* behind this struct */
};

struct frame_pool {
    struct os_mutex lock;
    struct frame_bytes *kept;
    size_t kept_bytes;
};
void frame_pool_init(struct frame_pool *pool);
/* Frees what is kept. Frames that are in use stay valid and still belong to the pool. */
void frame_pool_clear(struct frame_pool *pool);
/* When all frames have come back. */
void frame_pool_fini(struct frame_pool *pool);

struct frame_bytes *frame_bytes_new(size_t size); /* NULL: out of memory */
/* With memory of the pool if that has some, and with the address that OS_DIRECT wants of data that goes to this offset
 * of a file. */
struct frame_bytes *frame_bytes_take(struct frame_pool *pool, size_t size, uint64_t offset);
void frame_bytes_ref(struct frame_bytes *frame);
void frame_bytes_unref(struct frame_bytes *frame);
