#include "base/buf.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

void buf_init(struct buf *buf, size_t size_max)
{
    *buf = BUF_INIT(size_max);
}

void buf_fini(struct buf *buf)
{
    free(buf->data);
    *buf = BUF_INIT(buf->size_max);
}

void buf_reset(struct buf *buf)
{
    buf->size = 0;
    buf->failed = false;
}

enum status buf_status(const struct buf *buf)
{
    return buf->failed ? STATUS_LIMIT : STATUS_OK;
}

char *buf_detach(struct buf *buf)
{
    char *data = buf->data;
    *buf = BUF_INIT(buf->size_max);
    return data;
}

char *buf_reserve(struct buf *buf, size_t size)
{
    if (buf->failed) return NULL;
    if (buf->size > buf->size_max || size > buf->size_max - buf->size) {
        buf->failed = true;
        return NULL;
    }
    size_t need = buf->size + size;
    if (need > buf->capacity) {
        size_t grown = buf->capacity ? buf->capacity * 2 : 256;
        if (grown < need) grown = need;
        if (grown > buf->size_max) grown = buf->size_max;
        char *data = realloc(buf->data, grown);
        if (!data) {
            buf->failed = true;
            return NULL;
        }
        buf->data = data;
        buf->capacity = grown;
    }
    return buf->data + buf->size;
}

void buf_add_growing(struct buf *buf, const void *data, size_t size)
{
    char *at = buf_reserve(buf, size);
    if (!at) return;
    memcpy(at, data, size);
    buf->size += size;
}

void buf_fill(struct buf *buf, char byte, size_t count)
{
    if (count == 0) return;
    char *at = buf_reserve(buf, count);
    if (!at) return;
    memset(at, byte, count);
    buf->size += count;
}

void buf_printf(struct buf *buf, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    /* vsnprintf wants room for the NUL; it is not counted, but the maximum must allow for it. */
    if (length >= 0) {
        char small[256];
        if ((size_t)length < sizeof small) {
            vsnprintf(small, sizeof small, format, again);
            buf_add(buf, small, (size_t)length);
        } else {
            char *text = malloc((size_t)length + 1);
            if (text) {
                vsnprintf(text, (size_t)length + 1, format, again);
                buf_add(buf, text, (size_t)length);
                free(text);
            } else {
                buf->failed = true;
            }
        }
    }
    va_end(again);
}

void buf_consume(struct buf *buf, size_t size)
{
    assert(size <= buf->size);
    if (size == 0) return;
    memmove(buf->data, buf->data + size, buf->size - size);
    buf->size -= size;
}

void buf_u16(struct buf *buf, uint16_t value)
{
    unsigned char b[2] = {(unsigned char)value, (unsigned char)(value >> 8)};
    buf_add(buf, b, 2);
}

void buf_u32(struct buf *buf, uint32_t value)
{
    unsigned char b[4];
    for (int i = 0; i < 4; i++) b[i] = (unsigned char)(value >> 8 * i);
    buf_add(buf, b, 4);
}

void buf_u64(struct buf *buf, uint64_t value)
{
    unsigned char b[8];
    for (int i = 0; i < 8; i++) b[i] = (unsigned char)(value >> 8 * i);
    buf_add(buf, b, 8);
}

void buf_varint(struct buf *buf, uint64_t value)
{
    unsigned char b[10];
    size_t n = 0;
    while (value >= 0x80) {
        b[n++] = (unsigned char)(value | 0x80);
        value >>= 7;
    }
    b[n++] = (unsigned char)value;
    buf_add(buf, b, n);
}

static const unsigned char *take(struct reader *r, size_t size)
{
    if (r->failed || (size_t)(r->end - r->at) < size) {
        r->failed = true;
        return NULL;
    }
    const unsigned char *at = r->at;
    r->at += size;
    return at;
}

uint8_t read_u8(struct reader *r)
{
    const unsigned char *p = take(r, 1);
    return p ? p[0] : 0;
}

static uint64_t read_le(struct reader *r, unsigned bytes)
{
    const unsigned char *p = take(r, bytes);
    if (!p) return 0;
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes; i++) value |= (uint64_t)p[i] << 8 * i;
    return value;
}

uint16_t read_u16(struct reader *r)
{
    return (uint16_t)read_le(r, 2);
}
uint32_t read_u32(struct reader *r)
{
    return (uint32_t)read_le(r, 4);
}
uint64_t read_u64(struct reader *r)
{
    return read_le(r, 8);
}

uint64_t read_varint(struct reader *r)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        const unsigned char *p = take(r, 1);
        if (!p) return 0;
        if (shift == 63 && p[0] > 1) break;
        value |= (uint64_t)(p[0] & 0x7F) << shift;
        if (!(p[0] & 0x80)) return value;
    }
    r->failed = true;
    return 0;
}

struct str read_bytes(struct reader *r, size_t size)
{
    const unsigned char *p = take(r, size);
    return p ? (struct str){(const char *)p, size} : STR_NULL;
}

struct str read_str(struct reader *r)
{
    uint64_t size = read_varint(r);
    if (size > reader_left(r)) {
        r->failed = true;
        return STR_NULL;
    }
    return read_bytes(r, (size_t)size);
}
