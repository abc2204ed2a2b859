#include "cli/bulk/writer.h"

#include "base/arena.h"
#include "base/gzip.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <zstd.h>

enum { PIECE_BYTES = 4 << 20, BUF_BYTES_MAX = 256 << 20, GZIP_LEVEL = 6, ZSTD_LEVEL = 3 };

/* Pieces are packed each by itself: a gzip file may have many members, a zstd file many frames. */
struct writer {
    struct buf buf;
    char *name, *part; /* NULL: standard output */
    int file;
    enum { PLAIN, GZIP, ZSTD } packing;
    uint64_t bytes;
};

static void writer_free(struct writer *writer)
{
    if (writer->part && writer->file >= 0) close(writer->file);
    buf_fini(&writer->buf);
    free(writer->name);
    free(writer->part);
    free(writer);
}

enum status writer_open(const char *name, struct error *error, struct writer **ret_writer)
{
    struct writer *writer = calloc(1, sizeof *writer);
    if (!writer) abort();
    writer->buf = BUF_INIT(BUF_BYTES_MAX);
    writer->file = STDOUT_FILENO;
    struct str text = str_of(name);
    writer->packing = str_ends(text, STR(".gz")) ? GZIP : str_ends(text, STR(".zst")) ? ZSTD : PLAIN;
    if (strcmp(name, "-") != 0) {
        writer->name = strdup(name);
        if (!writer->name || asprintf(&writer->part, "%s.part", name) < 0) abort();
        writer->file = open(writer->part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (writer->file < 0) {
            enum status status = error_set_os(error, STATUS_IO, errno, "cannot write %s", writer->part);
            writer_free(writer);
            return status;
        }
    }
    *ret_writer = writer;
    return STATUS_OK;
}

struct buf *writer_buf(struct writer *writer)
{
    return &writer->buf;
}

static enum status put(struct writer *writer, struct str bytes, struct error *error)
{
    while (bytes.size) {
        ssize_t written = write(writer->file, bytes.data, bytes.size);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0)
            return error_set_os(error, STATUS_IO, errno, "cannot write %s",
                                writer->name ? writer->name : "standard output");
        writer->bytes += (uint64_t)written;
        bytes = str_slice(bytes, (size_t)written, SIZE_MAX);
    }
    return STATUS_OK;
}

static enum status put_zstd(struct writer *writer, struct str bytes, struct error *error)
{
    size_t room = ZSTD_compressBound(bytes.size);
    char *packed = malloc(room);
    size_t size = packed ? ZSTD_compress(packed, room, bytes.data, bytes.size, ZSTD_LEVEL) : 0;
    enum status status = !packed || ZSTD_isError(size) ? error_set(error, STATUS_LIMIT, "out of memory")
                                                       : put(writer, str_from(packed, size), error);
    free(packed);
    return status;
}

static enum status put_gzip(struct writer *writer, struct str bytes, struct error *error)
{
    struct str packed;
    struct arena *arena = arena_new((size_t)2 * BUF_BYTES_MAX);
    enum status status = arena ? gzip_compress(arena, bytes, GZIP_LEVEL, &packed) : STATUS_LIMIT;
    status = status == STATUS_OK ? put(writer, packed, error) : error_set(error, STATUS_LIMIT, "out of memory");
    arena_free(arena);
    return status;
}

static enum status flush(struct writer *writer, struct error *error)
{
    struct str bytes = buf_str(&writer->buf);
    if (buf_status(&writer->buf) != STATUS_OK) return error_set(error, STATUS_LIMIT, "out of memory");
    if (bytes.size == 0) return STATUS_OK;
    enum status status = writer->packing == GZIP   ? put_gzip(writer, bytes, error)
                         : writer->packing == ZSTD ? put_zstd(writer, bytes, error)
                                                   : put(writer, bytes, error);
    buf_reset(&writer->buf);
    return status;
}

enum status writer_flush_some(struct writer *writer, struct error *error)
{
    return writer->buf.size < PIECE_BYTES && !writer->buf.failed ? STATUS_OK : flush(writer, error);
}

enum status writer_close(struct writer *writer, struct error *error, uint64_t *ret_bytes)
{
    enum status status = flush(writer, error);
    if (status == STATUS_OK && writer->part && fdatasync(writer->file) != 0)
        status = error_set_os(error, STATUS_IO, errno, "cannot write %s", writer->part);
    if (status == STATUS_OK && writer->part && rename(writer->part, writer->name) != 0)
        status = error_set_os(error, STATUS_IO, errno, "cannot write %s", writer->name);
    *ret_bytes = writer->bytes;
    if (status == STATUS_OK)
        writer_free(writer);
    else
        writer_abandon(writer);
    return status;
}

void writer_abandon(struct writer *writer)
{
    if (writer->part) unlink(writer->part);
    writer_free(writer);
}
