#include "base/arena.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__)
#define ARENA_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_ASAN 1
#endif
#endif
#ifdef ARENA_ASAN
#include <sanitizer/asan_interface.h>
#define POISON(p, n)   ASAN_POISON_MEMORY_REGION((p), (n))
#define UNPOISON(p, n) ASAN_UNPOISON_MEMORY_REGION((p), (n))
#else
#define POISON(p, n)   ((void)(p), (void)(n))
#define UNPOISON(p, n) ((void)(p), (void)(n))
#endif

#define CHUNK_BYTES_MIN ((size_t)4096)
#define CHUNK_BYTES_MAX ((size_t)1 << 20)
#define ALIGN           ((size_t)16)

struct chunk {
    struct chunk *next;
    size_t size, used; /* of data[] */
    _Alignas(16) unsigned char data[];
};

struct cleanup {
    struct cleanup *next;
    void (*run)(void *);
    void *object;
};

struct arena {
    struct chunk *chunks; /* newest first */
    struct cleanup *cleanups;
    size_t budget, held, used;
};

static struct chunk *chunk_add(struct arena *arena, size_t size)
{
    if (size > arena->budget || arena->held > arena->budget - size) return NULL;
    struct chunk *chunk = malloc(sizeof *chunk + size);
    if (!chunk) return NULL;
    chunk->size = size;
    chunk->used = 0;
    POISON(chunk->data, size);
    chunk->next = arena->chunks;
    arena->chunks = chunk;
    arena->held += size;
    return chunk;
}

struct arena *arena_new(size_t budget_bytes)
{
    struct arena *arena = calloc(1, sizeof *arena);
    if (!arena) abort();
    arena->budget = budget_bytes;
    return arena;
}

static void chunk_free(struct chunk *chunk)
{
    UNPOISON(chunk->data, chunk->size);
    free(chunk);
}

void arena_reset(struct arena *arena)
{
    while (arena->cleanups) {
        struct cleanup *cleanup = arena->cleanups;
        arena->cleanups = cleanup->next;
        cleanup->run(cleanup->object);
    }
    /* Keep the oldest chunk: it is the small one, so that an idle connection holds little. */
    while (arena->chunks && arena->chunks->next) {
        struct chunk *chunk = arena->chunks;
        arena->chunks = chunk->next;
        arena->held -= chunk->size;
        chunk_free(chunk);
    }
    if (arena->chunks) {
        arena->chunks->used = 0;
        POISON(arena->chunks->data, arena->chunks->size);
    }
    arena->used = 0;
}

void arena_free(struct arena *arena)
{
    if (!arena) return;
    arena_reset(arena);
    if (arena->chunks) chunk_free(arena->chunks);
    free(arena);
}

struct arena_mark arena_mark_set(const struct arena *arena)
{
    return (struct arena_mark){arena->chunks, arena->chunks ? arena->chunks->used : 0, arena->used};
}

void arena_rewind(struct arena *arena, struct arena_mark mark)
{
    while (arena->chunks != mark.chunk) {
        struct chunk *chunk = arena->chunks;
        arena->chunks = chunk->next;
        arena->held -= chunk->size;
        chunk_free(chunk);
    }
    if (mark.chunk) {
        mark.chunk->used = mark.chunk_used;
        POISON(mark.chunk->data + mark.chunk_used, mark.chunk->size - mark.chunk_used);
    }
    arena->used = mark.used;
}

size_t arena_used(const struct arena *arena)
{
    return arena->used;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    if (size > arena->budget) return NULL;
    size_t need = (size + ALIGN - 1) & ~(ALIGN - 1);
    if (need == 0) need = ALIGN;
    struct chunk *chunk = arena->chunks;
    if (!chunk || chunk->size - chunk->used < need) {
        size_t grown = chunk ? chunk->size * 2 : CHUNK_BYTES_MIN;
        if (grown > CHUNK_BYTES_MAX) grown = CHUNK_BYTES_MAX;
        if (grown < need) grown = need;
        chunk = chunk_add(arena, grown);
        if (!chunk && grown > need) chunk = chunk_add(arena, need);
        if (!chunk) return NULL;
    }
    void *result = chunk->data + chunk->used;
    chunk->used += need;
    arena->used += need;
    UNPOISON(result, size ? size : 1);
    return result;
}

void *arena_calloc(struct arena *arena, size_t count, size_t size)
{
    size_t total;
    if (__builtin_mul_overflow(count, size, &total)) return NULL;
    void *result = arena_alloc(arena, total);
    if (result) memset(result, 0, total);
    return result;
}

void *arena_realloc(struct arena *arena, void *old, size_t old_size, size_t new_size)
{
    if (!old) return arena_alloc(arena, new_size);
    if (new_size <= old_size) return old;
    struct chunk *chunk = arena->chunks;
    size_t old_need = (old_size + ALIGN - 1) & ~(ALIGN - 1);
    if (old_need == 0) old_need = ALIGN;
    if (new_size <= arena->budget && (unsigned char *)old + old_need == chunk->data + chunk->used) {
        size_t new_need = (new_size + ALIGN - 1) & ~(ALIGN - 1);
        size_t extra = new_need - old_need;
        if (chunk->size - chunk->used >= extra) {
            chunk->used += extra;
            arena->used += extra;
            UNPOISON(old, new_size);
            return old;
        }
    }
    void *grown = arena_alloc(arena, new_size);
    if (grown) memcpy(grown, old, old_size);
    return grown;
}

struct str arena_str(struct arena *arena, struct str s)
{
    char *copy = s.size < SIZE_MAX ? arena_alloc(arena, s.size + 1) : NULL;
    if (!copy) return STR_NULL;
    if (s.size) memcpy(copy, s.data, s.size);
    copy[s.size] = 0;
    return (struct str){copy, s.size};
}

char *arena_cstr(struct arena *arena, struct str s)
{
    char *copy = s.size < SIZE_MAX ? arena_alloc(arena, s.size + 1) : NULL;
    if (!copy) return NULL;
    if (s.size) memcpy(copy, s.data, s.size);
    copy[s.size] = 0;
    return copy;
}

struct str arena_printf(struct arena *arena, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *text = length < 0 ? NULL : arena_alloc(arena, (size_t)length + 1);
    if (text) vsnprintf(text, (size_t)length + 1, format, again);
    va_end(again);
    return text ? (struct str){text, (size_t)length} : STR_NULL;
}

bool arena_on_reset(struct arena *arena, void (*run)(void *), void *object)
{
    struct cleanup *cleanup = arena_alloc(arena, sizeof *cleanup);
    if (!cleanup) return false;
    *cleanup = (struct cleanup){arena->cleanups, run, object};
    arena->cleanups = cleanup;
    return true;
}
