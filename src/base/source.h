#pragma once
/*
 * Bytes that are pulled, a piece at a time: a file, a body, what another source unpacks to. Whoever makes one embeds
 * struct source and frees it himself. One thread at a time.
 */
#include "base/error.h"
#include "base/str.h"

struct source {
    /* Puts 1 to `size` bytes (size > 0) at `data`; 0 only at the end, and then again at every further call. After a
     * failure it is not to be called again. */
    enum status (*read)(struct source *source, char *data, size_t size, struct error *error, size_t *ret_size);
};
static inline enum status MUST_USE source_read(struct source *source, char *data, size_t size, struct error *error,
                                               size_t *ret_size)
{
    return source->read(source, data, size, error, ret_size);
}

/* Of bytes in memory, which stay where they are. */
struct memory_source {
    struct source base;
    struct str rest;
};
static inline enum status memory_source_read(struct source *base, char *data, size_t size, struct error *error,
                                             size_t *ret_size)
{
    (void)error;
    struct memory_source *source = (struct memory_source *)base;
    if (size > source->rest.size) size = source->rest.size;
    if (size) memcpy(data, source->rest.data, size);
    source->rest = str_slice(source->rest, size, source->rest.size);
    *ret_size = size;
    return STATUS_OK;
}
static inline struct memory_source memory_source_of(struct str bytes)
{
    return (struct memory_source){.base = {memory_source_read}, .rest = bytes};
}
