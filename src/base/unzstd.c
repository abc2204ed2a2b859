#include "base/unzstd.h"

#include <stdlib.h>
#include <zstd.h>
#include <zstd_errors.h>

enum { WINDOW_LOG_MAX = 27 };

struct unzstd {
    struct source base;
    struct source *packed;
    ZSTD_DStream *stream;
    ZSTD_inBuffer in;
    bool inside, ended; /* a frame has begun and not ended; the packed data has */
    char data[128 << 10];
};

static enum status fill(struct unzstd *unzstd, struct error *error)
{
    size_t size;
    TRY(source_read(unzstd->packed, unzstd->data, sizeof unzstd->data, error, &size));
    unzstd->in = (ZSTD_inBuffer){unzstd->data, size, 0};
    unzstd->ended = size == 0;
    return STATUS_OK;
}

static enum status unzstd_read(struct source *base, char *data, size_t size, struct error *error, size_t *ret_size)
{
    struct unzstd *unzstd = (struct unzstd *)base;
    ZSTD_outBuffer out = {data, size, 0};
    while (out.pos == 0) {
        if (unzstd->in.pos == unzstd->in.size && !unzstd->ended) TRY(fill(unzstd, error));
        if (unzstd->ended && !unzstd->inside) break;
        size_t before = unzstd->in.pos, left = ZSTD_decompressStream(unzstd->stream, &out, &unzstd->in);
        if (ZSTD_isError(left)) {
            bool window = ZSTD_getErrorCode(left) == ZSTD_error_frameParameter_windowTooLarge;
            return error_set(error, window ? STATUS_LIMIT : STATUS_INVALID, "zstd data is damaged: %s",
                             ZSTD_getErrorName(left));
        }
        unzstd->inside = left > 0;
        if (unzstd->ended && out.pos == 0 && unzstd->in.pos == before && unzstd->inside)
            return error_set(error, STATUS_INVALID, "zstd data is cut short");
    }
    *ret_size = out.pos;
    return STATUS_OK;
}

enum status unzstd_new(struct source *packed, struct error *error, struct unzstd **ret_unzstd)
{
    struct unzstd *unzstd = calloc(1, sizeof *unzstd);
    if (unzstd) unzstd->stream = ZSTD_createDStream();
    if (!unzstd || !unzstd->stream) {
        free(unzstd);
        return error_set(error, STATUS_LIMIT, "out of memory");
    }
    (void)ZSTD_DCtx_setParameter(unzstd->stream, ZSTD_d_windowLogMax, WINDOW_LOG_MAX);
    unzstd->base.read = unzstd_read;
    unzstd->packed = packed;
    *ret_unzstd = unzstd;
    return STATUS_OK;
}

void unzstd_free(struct unzstd *unzstd)
{
    if (!unzstd) return;
    ZSTD_freeDStream(unzstd->stream);
    free(unzstd);
}

struct source *unzstd_source(struct unzstd *unzstd)
{
    return &unzstd->base;
}
