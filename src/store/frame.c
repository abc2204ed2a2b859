#include "store/frame.h"

#include "os/fs.h"

#include <stdlib.h>

#define KEPT_BYTES_MAX ((size_t)16 << 20)
#define CAPACITY_STEP  ((size_t)256 << 10) /* so that memory of one frame serves another that is a little larger */

void frame_pool_init(struct frame_pool *pool)
{
    *pool = (struct frame_pool){.kept = NULL};
    os_mutex_init(&pool->lock, "frame pool");
}

void frame_pool_clear(struct frame_pool *pool)
{
    os_mutex_lock(&pool->lock);
    struct frame_bytes *frame = pool->kept;
    pool->kept = NULL;
    pool->kept_bytes = 0;
    os_mutex_unlock(&pool->lock);
    while (frame) {
        struct frame_bytes *next = frame->next;
        free(frame);
        frame = next;
    }
}

void frame_pool_fini(struct frame_pool *pool)
{
    frame_pool_clear(pool);
    os_mutex_destroy(&pool->lock);
}

/* NULL: none is large enough, or only such as would be mostly unused. */
static struct frame_bytes *take_kept(struct frame_pool *pool, size_t capacity)
{
    os_mutex_lock(&pool->lock);
    struct frame_bytes **at = &pool->kept;
    while (*at && ((*at)->capacity < capacity || (*at)->capacity / 4 > capacity)) at = &(*at)->next;
    struct frame_bytes *frame = *at;
    if (frame) {
        *at = frame->next;
        pool->kept_bytes -= frame->capacity;
    }
    os_mutex_unlock(&pool->lock);
    return frame;
}

static bool keep(struct frame_pool *pool, struct frame_bytes *frame)
{
    os_mutex_lock(&pool->lock);
    bool room = frame->capacity <= KEPT_BYTES_MAX - pool->kept_bytes;
    if (room) {
        frame->next = pool->kept;
        pool->kept = frame;
        pool->kept_bytes += frame->capacity;
    }
    os_mutex_unlock(&pool->lock);
    return room;
}

static struct frame_bytes *make(size_t size, size_t capacity)
{
    struct frame_bytes *frame = malloc(sizeof *frame + capacity);
    if (!frame) return NULL;
    *frame = (struct frame_bytes){.refs = 1, .size = size, .data = (char *)(frame + 1), .capacity = capacity};
    return frame;
}

struct frame_bytes *frame_bytes_new(size_t size)
{
    return make(size, size);
}

struct frame_bytes *frame_bytes_take(struct frame_pool *pool, size_t size, uint64_t offset)
{
    if (size < OS_DIRECT_BYTES_MIN) return make(size, size); /* their address does not matter, and they are many */
    size_t capacity = (size + OS_DIRECT_ALIGN + CAPACITY_STEP - 1) / CAPACITY_STEP * CAPACITY_STEP;
    struct frame_bytes *frame = take_kept(pool, capacity);
    if (!frame) frame = make(size, capacity);
    if (!frame) return NULL;
    char *first = (char *)(frame + 1);
    capacity = frame->capacity;
    *frame = (struct frame_bytes){.refs = 1,
                                  .size = size,
                                  .data = first + (offset - (uintptr_t)first) % OS_DIRECT_ALIGN,
                                  .pool = pool,
                                  .capacity = capacity};
    return frame;
}

void frame_bytes_ref(struct frame_bytes *frame)
{
    frame->refs++;
}

void frame_bytes_unref(struct frame_bytes *frame)
{
    if (!frame || --frame->refs > 0) return;
    if (!frame->pool || !keep(frame->pool, frame)) free(frame);
}
