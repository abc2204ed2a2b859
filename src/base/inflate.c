#include "base/inflate.h"

#include <limits.h>
#include <stdlib.h>
#include <zlib.h>

#define INPUT_BYTES ((size_t)64 << 10)
#define ANY_WRAPPER (MAX_WBITS + 32) /* zlib looks whether it is gzip's or its own */

struct inflate {
    struct source base;
    struct source *packed;
    uint64_t left; /* bytes that may still come out */
    uint64_t size_max;
    z_stream stream;
    bool input_ended, between, ended; /* between: the last member is complete */
    unsigned char input[INPUT_BYTES];
};

static enum status fill(struct inflate *inflate, struct error *error)
{
    size_t got;
    if (inflate->stream.avail_in || inflate->input_ended) return STATUS_OK;
    TRY(source_read(inflate->packed, (char *)inflate->input, sizeof inflate->input, error, &got));
    inflate->stream.next_in = inflate->input;
    inflate->stream.avail_in = (unsigned)got;
    inflate->input_ended = got == 0;
    return STATUS_OK;
}

/* Only gzip's members follow each other. */
static enum status next_member(struct inflate *inflate, struct error *error)
{
    if (inflate->stream.next_in[0] != 0x1F || inflateReset2(&inflate->stream, ANY_WRAPPER) != Z_OK)
        return error_set(error, STATUS_INVALID, "unexpected bytes behind the packed data");
    inflate->between = false;
    return STATUS_OK;
}

static enum status inflate_read(struct source *base, char *data, size_t size, struct error *error, size_t *ret_size)
{
    struct inflate *self = (struct inflate *)base;
    z_stream *stream = &self->stream;
    /* One byte beyond the limit is asked for, to see whether there is one. */
    if (self->left < SIZE_MAX - 1 && size > self->left + 1) size = (size_t)self->left + 1;
    if (size > UINT_MAX) size = UINT_MAX;
    stream->next_out = (unsigned char *)data;
    stream->avail_out = (unsigned)size;
    while (stream->avail_out == size && !self->ended) {
        TRY(fill(self, error));
        if (stream->avail_in == 0) {
            if (!self->between) return error_set(error, STATUS_INVALID, "packed data ends too early");
            self->ended = true;
            break;
        }
        if (self->between) TRY(next_member(self, error));
        int code = inflate(stream, Z_NO_FLUSH);
        if (code == Z_MEM_ERROR) return error_set(error, STATUS_LIMIT, "out of memory for decompression");
        if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR)
            return error_set(error, STATUS_INVALID, "malformed packed data");
        self->between = code == Z_STREAM_END;
    }
    size_t got = size - stream->avail_out;
    if (got > self->left)
        return error_set(error, STATUS_LIMIT, "unpacked data exceeds %llu bytes", (unsigned long long)self->size_max);
    self->left -= got;
    *ret_size = got;
    return STATUS_OK;
}

enum status inflate_new(struct source *packed, uint64_t size_max, struct error *error, struct inflate **ret_inflate)
{
    struct inflate *inflate = calloc(1, sizeof *inflate);
    if (inflate) {
        inflate->base.read = inflate_read;
        inflate->packed = packed;
        inflate->left = inflate->size_max = size_max;
        if (inflateInit2(&inflate->stream, ANY_WRAPPER) == Z_OK) {
            *ret_inflate = inflate;
            return STATUS_OK;
        }
        free(inflate);
    }
    return error_set(error, STATUS_LIMIT, "out of memory for decompression");
}

void inflate_free(struct inflate *inflate)
{
    if (!inflate) return;
    inflateEnd(&inflate->stream);
    free(inflate);
}

struct source *inflate_source(struct inflate *inflate)
{
    return &inflate->base;
}
