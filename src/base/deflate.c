#include "base/deflate.h"

#include <assert.h>
#include <limits.h>
#include <stdlib.h>
#include <zlib.h>

#define GZIP_WRAPPER (MAX_WBITS + 16)
#define STEP_BYTES   ((size_t)64 << 10)
#define MEMORY_LEVEL 8 /* zlib's default */

struct deflate {
    z_stream stream;
    bool finished;
};

struct deflate *deflate_new(int level)
{
    struct deflate *deflate = calloc(1, sizeof *deflate);
    if (!deflate) return NULL;
    if (deflateInit2(&deflate->stream, level, Z_DEFLATED, GZIP_WRAPPER, MEMORY_LEVEL, Z_DEFAULT_STRATEGY) == Z_OK)
        return deflate;
    free(deflate);
    return NULL;
}

void deflate_free(struct deflate *deflate)
{
    if (!deflate) return;
    deflateEnd(&deflate->stream);
    free(deflate);
}

void deflate_add(struct deflate *self, struct str plain, bool finish, struct buf *to)
{
    z_stream *stream = &self->stream;
    assert(!self->finished);
    for (size_t at = 0;;) {
        size_t part = plain.size - at < UINT_MAX ? plain.size - at : UINT_MAX;
        int flush = finish && at + part == plain.size ? Z_FINISH : Z_NO_FLUSH;
        /* zlib takes the bytes as writable and does not write. */
        stream->next_in = (unsigned char *)(uintptr_t)(plain.data ? plain.data + at : NULL);
        stream->avail_in = (unsigned)part;
        do {
            char *place = buf_reserve(to, STEP_BYTES);
            if (!place) return; /* the buffer says so */
            stream->next_out = (unsigned char *)place;
            stream->avail_out = STEP_BYTES;
            int code = deflate(stream, flush);
            assert(code != Z_STREAM_ERROR);
            (void)code; /* Z_BUF_ERROR: nothing to do */
            buf_advance(to, STEP_BYTES - stream->avail_out);
        } while (stream->avail_out == 0);
        at += part;
        if (at == plain.size) break;
    }
    self->finished = finish;
}
