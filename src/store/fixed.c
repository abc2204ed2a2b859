#include "store/fixed.h"

#include "store/bitpack.h"

struct alphabet {
    unsigned radix, digits; /* as many as fit 64 bits */
    const char *letters;    /* NULL: bytes as they are */
};

/* The order is the order of preference: smaller first. */
enum { DECIMAL, HEX, HEX_UPPER, BASE36, BASE36_UPPER, BASE62, BASE64, BYTES, ALPHABETS };

static const char mixed[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_";
static const char lower[] = "0123456789abcdefghijklmnopqrstuvwxyz";
static const struct alphabet alphabets[ALPHABETS] = {
    [DECIMAL] = {10, 19, lower}, [HEX] = {16, 16, lower},          [HEX_UPPER] = {16, 16, mixed},
    [BASE36] = {36, 12, lower},  [BASE36_UPPER] = {36, 12, mixed}, [BASE62] = {62, 10, mixed},
    [BASE64] = {64, 10, mixed},  [BYTES] = {256, 8, NULL},
};

#define IN(alphabet)  (1u << (alphabet))
#define MIXED_LETTERS (IN(BASE62) | IN(BASE64) | IN(BYTES))
static const uint8_t member[256] = {
    [0 ... '-' - 1] = IN(BYTES),
    ['-'] = IN(BASE64) | IN(BYTES),
    ['-' + 1 ... '0' - 1] = IN(BYTES),
    ['0' ... '9'] = 0xFF,
    ['9' + 1 ... 'A' - 1] = IN(BYTES),
    ['A' ... 'F'] = IN(HEX_UPPER) | IN(BASE36_UPPER) | MIXED_LETTERS,
    ['G' ... 'Z'] = IN(BASE36_UPPER) | MIXED_LETTERS,
    ['Z' + 1 ... '_' - 1] = IN(BYTES),
    ['_'] = IN(BASE64) | IN(BYTES),
    ['_' + 1] = IN(BYTES),
    ['a' ... 'f'] = IN(HEX) | IN(BASE36) | MIXED_LETTERS,
    ['g' ... 'z'] = IN(BASE36) | MIXED_LETTERS,
    ['z' + 1 ... 255] = IN(BYTES),
};

/* The digit that a letter is, in the alphabets of one case and in those of both: by code point up to 127. Tables,
 * because which kind of letter comes next cannot be predicted. */
static const uint8_t digit_tables[2][256] = {
    {
        0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,
        0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  62, 0,  0,  0,  1,  2,  3,
        4,  5,  6,  7,  8,  9,  0,  0,  0,  0,  0,  0,  0,  10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22,
        23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 0,  0,  0,  0,  63, 0,  10, 11, 12, 13, 14, 15, 16,
        17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 0,  0,  0,  0,  0,
    },
    {
        0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,
        0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  62, 0,  0,  0,  1,  2,  3,
        4,  5,  6,  7,  8,  9,  0,  0,  0,  0,  0,  0,  0,  10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22,
        23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 0,  0,  0,  0,  63, 0,  36, 37, 38, 39, 40, 41, 42,
        43, 44, 45, 46, 47, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 0,  0,  0,  0,  0,
    },
};

static unsigned list_positions(uint64_t mask, unsigned char *positions)
{
    unsigned count = 0;
    for (; mask; mask &= mask - 1) positions[count++] = (unsigned char)__builtin_ctzll(mask);
    return count;
}

void fixed_encode(struct buf *buf, const struct value *values, uint32_t count, unsigned length, unsigned *ret_alphabet,
                  unsigned *ret_words)
{
    char template[FIXED_BYTES_MAX] = {0}, differs[FIXED_BYTES_MAX] = {0};
    unsigned char positions[FIXED_BYTES_MAX];
    uint64_t mask = 0;
    const char *first = NULL;
    for (uint32_t i = 0; i < count; i++) {
        if (i + 16 < count && values[i + 16].type == VALUE_STRING) __builtin_prefetch(values[i + 16].data);
        if (values[i].type == VALUE_ABSENT) continue;
        if (!first) memcpy(template, first = values[i].data, length);
        unsigned p = 0;
        for (; p + 8 <= length; p += 8) {
            uint64_t here, there, bits;
            memcpy(&here, values[i].data + p, 8);
            memcpy(&there, template + p, 8);
            memcpy(&bits, differs + p, 8);
            bits |= here ^ there;
            memcpy(differs + p, &bits, 8);
        }
        for (; p < length; p++) differs[p] = (char)(differs[p] | (values[i].data[p] ^ template[p]));
    }
    for (unsigned p = 0; p < length; p++) {
        if (!differs[p]) continue;
        mask |= (uint64_t)1 << p;
        template[p] = 0;
    }
    unsigned variable = list_positions(mask, positions), in = 0xFF;
    for (uint32_t i = 0; i < count; i++) {
        if (values[i].type == VALUE_ABSENT) continue;
        for (unsigned v = 0; v < variable; v++) in &= member[(unsigned char)values[i].data[positions[v]]];
    }
    unsigned alphabet = (unsigned)__builtin_ctz(in);
    unsigned digits = alphabets[alphabet].digits, radix = alphabets[alphabet].radix;
    unsigned words = (variable + digits - 1) / digits;
    const uint8_t *digit = digit_tables[alphabet > BASE36_UPPER];
    buf_u64(buf, mask);
    buf_add(buf, template, length);
    buf_fill(buf, 0, (8 - length % 8) % 8);
    size_t head = buf->size;
    buf_fill(buf, 0, (size_t)words * 8 + (words + 7) / 8 * 8);
    for (unsigned w = 0; w < words && !buf->failed; w++) {
        uint64_t numbers[UNPACK_ITEMS], min = UINT64_MAX, max = 0;
        unsigned from = w * digits, to = from + digits < variable ? from + digits : variable;
        for (uint32_t i = 0; i < count; i++) {
            uint64_t number = 0;
            if (values[i].type == VALUE_ABSENT) continue;
            const unsigned char *letters = (const unsigned char *)values[i].data;
            if (alphabet == BYTES) {
                for (unsigned v = from; v < to; v++) number = number << 8 | letters[positions[v]];
            } else {
                for (unsigned v = from; v < to; v++) number = number * radix + digit[letters[positions[v]]];
            }
            numbers[i] = number;
            if (number < min) min = number;
            if (number > max) max = number;
        }
        for (uint32_t i = 0; i < count; i++) numbers[i] = values[i].type == VALUE_ABSENT ? 0 : numbers[i] - min;
        unsigned width = bitpack_width(max - min);
        memcpy(buf->data + head + (size_t)w * 8, &min, 8);
        buf->data[head + (size_t)words * 8 + w] = (char)width;
        bitpack_write_vector(buf, numbers, count, width);
    }
    *ret_alphabet = alphabet;
    *ret_words = words;
}

/* What stands before the packed numbers. */
struct open_fixed {
    struct str template, mins, widths;
    unsigned char positions[FIXED_BYTES_MAX];
    unsigned variable;
};

static enum status open_fixed(struct reader *reader, unsigned length, unsigned alphabet, unsigned words,
                              struct open_fixed *ret)
{
    if (alphabet >= ALPHABETS || length == 0 || length > FIXED_BYTES_MAX) return STATUS_CORRUPT;
    unsigned digits = alphabets[alphabet].digits;
    uint64_t mask = read_u64(reader);
    ret->template = read_bytes(reader, ((size_t)length + 7) / 8 * 8);
    ret->mins = read_bytes(reader, (size_t)words * 8);
    ret->widths = read_bytes(reader, ((size_t)words + 7) / 8 * 8);
    if (reader->failed || (length < 64 && mask >> length)) return STATUS_CORRUPT;
    ret->variable = list_positions(mask, ret->positions);
    return words == (ret->variable + digits - 1) / digits ? STATUS_OK : STATUS_CORRUPT;
}

/* A word of digits back to letters, at positions[0 .. count). */
static inline __attribute__((always_inline)) void spell_radix(uint64_t number, uint64_t radix, const char *letters,
                                                              const unsigned char *positions, unsigned count,
                                                              char *text)
{
    for (unsigned v = count; v-- > 0; number /= radix) text[positions[v]] = letters[number % radix];
}

/* By constants, because dividing by a number that the compiler does not know takes several times as long. */
static void spell(uint64_t number, unsigned alphabet, const unsigned char *positions, unsigned count, char *text)
{
    switch (alphabet) {
    case DECIMAL: spell_radix(number, 10, lower, positions, count, text); break;
    case HEX: spell_radix(number, 16, lower, positions, count, text); break;
    case HEX_UPPER: spell_radix(number, 16, mixed, positions, count, text); break;
    case BASE36: spell_radix(number, 36, lower, positions, count, text); break;
    case BASE36_UPPER: spell_radix(number, 36, mixed, positions, count, text); break;
    case BASE62: spell_radix(number, 62, mixed, positions, count, text); break;
    case BASE64: spell_radix(number, 64, mixed, positions, count, text); break;
    default:
        for (unsigned v = count; v-- > 0; number >>= 8) text[positions[v]] = (char)number;
    }
}

enum status fixed_decode(struct reader *reader, uint32_t count, unsigned length, unsigned alphabet, unsigned words,
                         char *text)
{
    struct open_fixed fixed;
    TRY(open_fixed(reader, length, alphabet, words, &fixed));
    unsigned digits = alphabets[alphabet].digits;
    for (uint32_t i = 0; i < count; i++) memcpy(text + (size_t)i * length, fixed.template.data, length);
    for (unsigned w = 0; w < words; w++) {
        uint64_t numbers[UNPACK_ITEMS], min;
        unsigned from = w * digits, here = fixed.variable - from < digits ? fixed.variable - from : digits;
        unsigned width = (unsigned char)fixed.widths.data[w];
        if (width > 64) return STATUS_CORRUPT;
        struct str packed = read_bytes(reader, bitpack_bytes(count, width));
        if (reader->failed) return STATUS_CORRUPT;
        memcpy(&min, fixed.mins.data + (size_t)w * 8, 8);
        bitpack_read64((const unsigned char *)packed.data, count, width, numbers);
        for (uint32_t i = 0; i < count; i++)
            spell(numbers[i] + min, alphabet, fixed.positions + from, here, text + (size_t)i * length);
    }
    return STATUS_OK;
}

enum status fixed_pick(struct reader *reader, uint32_t count, const uint32_t *items, uint32_t item_count,
                       unsigned length, unsigned alphabet, unsigned words, char *text)
{
    struct open_fixed fixed;
    TRY(open_fixed(reader, length, alphabet, words, &fixed));
    unsigned digits = alphabets[alphabet].digits;
    for (uint32_t i = 0; i < item_count; i++) memcpy(text + (size_t)i * length, fixed.template.data, length);
    for (unsigned w = 0; w < words; w++) {
        uint64_t min;
        unsigned from = w * digits, here = fixed.variable - from < digits ? fixed.variable - from : digits;
        unsigned width = (unsigned char)fixed.widths.data[w];
        if (width > 64) return STATUS_CORRUPT;
        struct str packed = read_bytes(reader, bitpack_bytes(count, width));
        if (reader->failed) return STATUS_CORRUPT;
        memcpy(&min, fixed.mins.data + (size_t)w * 8, 8);
        for (uint32_t i = 0; i < item_count; i++) {
            uint64_t number = bitpack_get_vector((const unsigned char *)packed.data, count, items[i], width) + min;
            spell(number, alphabet, fixed.positions + from, here, text + (size_t)i * length);
        }
    }
    return STATUS_OK;
}
