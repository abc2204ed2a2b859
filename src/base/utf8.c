#include "base/utf8.h"

#include <string.h>

/* Length of the valid sequence at data[0..size), or 0; the code point goes to *ret_point. */
static size_t decode(const unsigned char *p, size_t size, uint32_t *ret_point)
{
    unsigned char c = p[0];
    if (c < 0x80) {
        *ret_point = c;
        return 1;
    }
    if (c < 0xC2 || c > 0xF4) return 0;
    size_t length = c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
    if (size < length) return 0;
    uint32_t point = c & (0x7Fu >> length);
    for (size_t i = 1; i < length; i++) {
        if ((p[i] & 0xC0) != 0x80) return 0;
        point = point << 6 | (p[i] & 0x3F);
    }
    if (length == 3 && (point < 0x800 || (point >= 0xD800 && point <= 0xDFFF))) return 0;
    if (length == 4 && (point < 0x10000 || point > 0x10FFFF)) return 0;
    *ret_point = point;
    return length;
}

bool utf8_valid(const char *data, size_t size)
{
    const unsigned char *p = (const unsigned char *)data;
    size_t i = 0;
    while (i < size) {
        if (size - i >= 8) { /* eight ASCII bytes at a time */
            uint64_t word;
            memcpy(&word, p + i, 8);
            if (!(word & 0x8080808080808080u)) {
                i += 8;
                continue;
            }
        }
        uint32_t point;
        size_t length = decode(p + i, size - i, &point);
        if (!length) return false;
        i += length;
    }
    return true;
}

size_t utf8_cut(const char *data, size_t size, size_t size_max)
{
    if (size <= size_max && size_max != size) return size;
    size_t cut = size < size_max ? size : size_max;
    if (cut == 0) return 0;
    /* Step back to the lead byte of the last sequence and keep it only when it is complete. */
    size_t lead = cut;
    while (lead > 0 && cut - lead < 4 && ((unsigned char)data[lead - 1] & 0xC0) == 0x80) lead--;
    if (lead == 0) return cut;
    unsigned char c = (unsigned char)data[lead - 1];
    size_t length = c < 0x80 ? 1 : c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : c >= 0xC0 ? 2 : 1;
    return lead - 1 + length <= cut ? cut : lead - 1;
}

size_t utf8_length(const char *data, size_t size)
{
    size_t count = 0;
    for (size_t i = 0; i < size; i++) count += ((unsigned char)data[i] & 0xC0) != 0x80;
    return count;
}

uint32_t utf8_next(const char *data, size_t size, size_t *offset)
{
    uint32_t point;
    size_t length = decode((const unsigned char *)data + *offset, size - *offset, &point);
    if (!length) {
        (*offset)++;
        return 0xFFFD;
    }
    *offset += length;
    return point;
}

size_t utf8_encode(uint32_t point, char out[4])
{
    if (point > 0x10FFFF || (point >= 0xD800 && point <= 0xDFFF)) point = 0xFFFD;
    if (point < 0x80) {
        out[0] = (char)point;
        return 1;
    }
    if (point < 0x800) {
        out[0] = (char)(0xC0 | point >> 6);
        out[1] = (char)(0x80 | (point & 0x3F));
        return 2;
    }
    if (point < 0x10000) {
        out[0] = (char)(0xE0 | point >> 12);
        out[1] = (char)(0x80 | (point >> 6 & 0x3F));
        out[2] = (char)(0x80 | (point & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | point >> 18);
    out[1] = (char)(0x80 | (point >> 12 & 0x3F));
    out[2] = (char)(0x80 | (point >> 6 & 0x3F));
    out[3] = (char)(0x80 | (point & 0x3F));
    return 4;
}
