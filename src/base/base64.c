#include "base/base64.h"

static int digit(unsigned char c)
{
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    if (c == '+' || c == '-' || c == ' ') return 62;
    if (c == '/' || c == '_') return 63;
    return -1;
}

enum status base64_decode(struct arena *arena, struct str text, struct str *ret_bytes)
{
    while (text.size && strchr(" \r\n\t", text.data[text.size - 1]) && text.data[text.size - 1]) text.size--;
    char *out = arena_alloc(arena, text.size / 4 * 3 + 4);
    if (!out) return STATUS_LIMIT;
    size_t used = 0, digits = 0, padding = 0;
    uint32_t group = 0;
    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c == '\r' || c == '\n') continue;
        if (c == '=') {
            if (++padding > 2) return STATUS_INVALID;
            continue;
        }
        int value = digit(c);
        if (value < 0 || padding) return STATUS_INVALID;
        group = group << 6 | (uint32_t)value;
        if (++digits % 4 == 0) {
            out[used++] = (char)(group >> 16);
            out[used++] = (char)(group >> 8);
            out[used++] = (char)group;
            group = 0;
        }
    }
    switch (digits % 4) {
    case 0:
        if (padding) return STATUS_INVALID;
        break;
    case 1: return STATUS_INVALID;
    case 2:
        if (padding == 1) return STATUS_INVALID;
        out[used++] = (char)(group >> 4);
        break;
    default:
        if (padding == 2) return STATUS_INVALID;
        out[used++] = (char)(group >> 10);
        out[used++] = (char)(group >> 2);
    }
    *ret_bytes = (struct str){out, used};
    return STATUS_OK;
}

void base64_encode(struct buf *buf, struct str bytes)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *p = (const unsigned char *)bytes.data;
    for (size_t i = 0; i < bytes.size; i += 3) {
        size_t left = bytes.size - i;
        uint32_t group = (uint32_t)p[i] << 16 | (left > 1 ? (uint32_t)p[i + 1] << 8 : 0) | (left > 2 ? p[i + 2] : 0);
        char out[4] = {alphabet[group >> 18], alphabet[group >> 12 & 63], left > 1 ? alphabet[group >> 6 & 63] : '=',
                       left > 2 ? alphabet[group & 63] : '='};
        buf_add(buf, out, 4);
    }
}
