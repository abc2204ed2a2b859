#pragma once
/*
 * An arena hands out memory that is freed all at once: one per request, per query, per ingest batch, per workflow run.
 * It is passed explicitly, has a byte budget from birth and runs registered clean-ups when it is reset.
 *
 * Exceeding the budget (or the machine's memory) is an answer, not a crash: the functions return NULL (or a str with
 * NULL data) and the caller turns that into STATUS_LIMIT. Memory that is not handed out is poisoned under
 * AddressSanitizer. Not thread-safe: one owner at a time.
 */
#include "base/status.h"
#include "base/str.h"

#include <stdarg.h>

struct arena;
struct chunk;

/* `budget_bytes` bounds all chunks together. Aborts only when not even the first small chunk can be had. */
struct arena *arena_new(size_t budget_bytes);
void arena_free(struct arena *arena);
/* Runs the clean-ups, newest first, and forgets everything that was handed out; keeps one chunk for reuse. */
void arena_reset(struct arena *arena);
/* Bytes handed out since birth or the last reset, alignment included. */
size_t arena_used(const struct arena *arena);

/* Aligned to 16 bytes; not initialised. */
void *arena_alloc(struct arena *arena, size_t size) MUST_USE;
void *arena_calloc(struct arena *arena, size_t count, size_t size) MUST_USE;
/* Grows the newest allocation in place when it can, otherwise copies. `old` may be NULL. */
void *arena_realloc(struct arena *arena, void *old, size_t old_size, size_t new_size) MUST_USE;
/* The copy is NUL-terminated (the NUL is not counted in size). */
struct str arena_str(struct arena *arena, struct str s) MUST_USE;
char *arena_cstr(struct arena *arena, struct str s) MUST_USE;
struct str arena_printf(struct arena *arena, const char *format, ...) PRINTF_LIKE(2, 3) MUST_USE;
/* Takes back everything that was handed out since the mark was set; no clean-up may have been registered meanwhile. */
struct arena_mark {
    struct chunk *chunk;
    size_t chunk_used, used;
};
struct arena_mark arena_mark_set(const struct arena *arena);
void arena_rewind(struct arena *arena, struct arena_mark mark);
/* Calls run(object) on reset or free. False when the record itself did not fit: run() has not been called. */
bool arena_on_reset(struct arena *arena, void (*run)(void *), void *object) MUST_USE;

#define arena_new_array(arena, type, count) ((type *)arena_calloc((arena), (count), sizeof(type)))
