#pragma once
/*
 * A growable byte buffer that knows its maximum from birth. Writing past the maximum (or out of memory) makes it
 * `failed`: the content stays, later writes are ignored, and buf_status() says STATUS_LIMIT; so a writer checks once,
 * at the end. `struct buf` is a value with a heap block behind it: init, use, fini. Not thread-safe.
 */
#include "base/status.h"
#include "base/str.h"

#include <stdarg.h>

struct buf {
    char *data;
    size_t size, capacity, size_max;
    bool failed;
};

#define BUF_INIT(max) ((struct buf){.size_max = (max)})

void buf_init(struct buf *buf, size_t size_max);
void buf_fini(struct buf *buf);
/* Empties it and clears the failure; keeps the block. */
void buf_reset(struct buf *buf);
enum status buf_status(const struct buf *buf) MUST_USE;
static inline struct str buf_str(const struct buf *buf)
{
    return (struct str){buf->data, buf->size};
}
/* Hands the block to the caller, who frees it with free(); the buffer is empty afterwards. NULL when empty. */
char *buf_detach(struct buf *buf);

/* Room for `size` more bytes at the returned place, or NULL on failure; follow with buf_advance. */
char *buf_reserve(struct buf *buf, size_t size) MUST_USE;
static inline void buf_advance(struct buf *buf, size_t size)
{
    buf->size += size;
}

void buf_add_growing(struct buf *buf, const void *data, size_t size);
static inline void buf_add(struct buf *buf, const void *data, size_t size)
{
    if (size == 0) return;
    if (size > buf->capacity - buf->size || buf->failed) {
        buf_add_growing(buf, data, size);
        return;
    }
    memcpy(buf->data + buf->size, data, size);
    buf->size += size;
}
static inline void buf_str_add(struct buf *buf, struct str s)
{
    buf_add(buf, s.data, s.size);
}
#define buf_lit(buf, literal) buf_add((buf), (literal), sizeof(literal) - 1)
static inline void buf_byte(struct buf *buf, char byte)
{
    buf_add(buf, &byte, 1);
}
void buf_fill(struct buf *buf, char byte, size_t count);
void buf_printf(struct buf *buf, const char *format, ...) PRINTF_LIKE(2, 3);
/* Drops the first `size` bytes. */
void buf_consume(struct buf *buf, size_t size);

/* Little-endian integers and LEB128 varints (7 bits a byte, low first), as in docs/formats/. */
void buf_u16(struct buf *buf, uint16_t value);
void buf_u32(struct buf *buf, uint32_t value);
void buf_u64(struct buf *buf, uint64_t value);
void buf_varint(struct buf *buf, uint64_t value);

/* For writers of many small pieces. buf_spare gives the place for `size` more bytes when the block has it already; when
 * it gives NULL, the functions above must be used, which grow the block or fail. What the raw_ functions wrote there is
 * kept by buf_wrote. */
static inline char *buf_spare(const struct buf *buf, size_t size)
{
    return size <= buf->capacity - buf->size && !buf->failed ? buf->data + buf->size : NULL;
}
static inline void buf_wrote(struct buf *buf, const char *end)
{
    buf->size = (size_t)(end - buf->data);
}
#define VARINT_BYTES_MAX 10
static inline char *raw_varint(char *at, uint64_t value)
{
    for (; value >= 0x80; value >>= 7) *at++ = (char)(value | 0x80);
    *at++ = (char)value;
    return at;
}
/* Most are short: two copies of a fixed size, which may overlap, spare the call. */
static inline char *raw_bytes(char *at, const char *data, size_t size)
{
    if (size > 32) {
        memcpy(at, data, size);
    } else if (size >= 16) {
        memcpy(at, data, 16);
        memcpy(at + size - 16, data + size - 16, 16);
    } else if (size >= 8) {
        memcpy(at, data, 8);
        memcpy(at + size - 8, data + size - 8, 8);
    } else if (size >= 4) {
        memcpy(at, data, 4);
        memcpy(at + size - 4, data + size - 4, 4);
    } else if (size > 0) {
        at[0] = data[0];
        at[size / 2] = data[size / 2];
        at[size - 1] = data[size - 1];
    }
    return at + size;
}
/* A varint length and the bytes: VARINT_BYTES_MAX + s.size at most. */
static inline char *raw_str(char *at, struct str s)
{
    return raw_bytes(raw_varint(at, s.size), s.data, s.size);
}
static inline uint64_t zigzag(int64_t value)
{
    return ((uint64_t)value << 1) ^ (uint64_t)(value >> 63);
}
static inline int64_t unzigzag(uint64_t value)
{
    return (int64_t)(value >> 1) ^ -(int64_t)(value & 1);
}

/* A bounds-checked reader over bytes; sticky like the buffer: after a failed read everything reads as zero. */
struct reader {
    const unsigned char *at, *end;
    bool failed;
};
static inline struct reader reader_of(struct str s)
{
    /* nothing may be NULL, to which not even 0 may be added */
    const unsigned char *at = s.size ? (const unsigned char *)s.data : (const unsigned char *)"";
    return (struct reader){at, at + s.size, false};
}
static inline size_t reader_left(const struct reader *r)
{
    return r->failed ? 0 : (size_t)(r->end - r->at);
}
uint8_t read_u8(struct reader *r);
uint16_t read_u16(struct reader *r);
uint32_t read_u32(struct reader *r);
uint64_t read_u64(struct reader *r);
uint64_t read_varint(struct reader *r);
struct str read_bytes(struct reader *r, size_t size);
/* A varint length and that many bytes. */
struct str read_str(struct reader *r);
