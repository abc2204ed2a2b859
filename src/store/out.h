#pragma once
/*
 * Where the bytes of a section being built go. Objects are appended one after the other; what refers to them later is a
 * struct section_ref, whose offset counts from the section's start.
 *
 * Without a callback the section is one image in RAM (`buf`). With one, the bytes are handed over whenever
 * flush_at_bytes have come together, so that a section of any size is written in bounded memory; section_flush() hands
 * over the rest. Failures (no memory, the callback's) are sticky: appending goes on without effect and
 * section_out_status() tells. Belongs to one thread.
 */
#include "base/buf.h"
#include "base/status.h"

struct section_ref {
    uint64_t offset, check; /* XXH3-64 of the bytes */
    uint32_t size;
};
#define SECTION_REF_BYTES 24
void section_ref_write(struct buf *buf, struct section_ref ref);
struct section_ref section_ref_read(struct reader *reader);

struct section_out {
    struct buf buf;   /* what has not been handed over; its limit bounds the image, or the largest object */
    uint64_t flushed; /* bytes handed over */
    size_t flush_at_bytes;
    enum status (*write)(void *context, struct str bytes); /* NULL: keep everything */
    void *context;
    enum status failure; /* of write */
};

/* The image in RAM. */
static inline struct section_out section_out_ram(size_t bytes_max)
{
    return (struct section_out){.buf = BUF_INIT(bytes_max)};
}
void section_out_fini(struct section_out *out);
/* Appends an object, 8-byte aligned, and returns its reference. */
struct section_ref section_append(struct section_out *out, struct str object);
/* Appends objects that were put together elsewhere, in an image that begins with them: their references there are to be
 * moved by *ret_base. */
enum status section_append_objects(struct section_out *out, struct str objects, uint64_t *ret_base) MUST_USE;
/* Hands everything to the callback (without one: does nothing). */
enum status section_flush(struct section_out *out) MUST_USE;
enum status section_out_status(const struct section_out *out) MUST_USE;
/* Bytes of the section so far. */
static inline uint64_t section_out_size(const struct section_out *out)
{
    return out->flushed + out->buf.size;
}
