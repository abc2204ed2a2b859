#include "store/id_form.h"

#define UUID_TEXT    36
#define DEVICE       "$device:"
#define DEVICE_BYTES (sizeof DEVICE - 1)

enum { KIND_DEVICE = 1, KIND_UPPER = 2 };

static const char *const digits[] = {"0123456789abcdef", "0123456789ABCDEF"};
/* In groups of 8, 4, 4, 4 and 12 digits: where the two digits of each byte are. */
static const uint8_t places[16] = {0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34};

static uint32_t tag_of(const char *bytes, size_t size, uint64_t kind)
{
    return (uint32_t)(hash_bytes(bytes, size, kind) >> 32);
}

/* By character: the value of a hexadecimal digit, and what it is. Looked up, since which digits are letters is
 * anybody's guess. */
enum { DIGIT = 0x80, LOWER = 0x20, UPPER = 0x40 };
#define LETTER(lower, upper, value) [lower] = DIGIT | LOWER | (value), [upper] = DIGIT | UPPER | (value)
static const uint8_t values[256] = {
    ['0'] = DIGIT,        ['1'] = DIGIT | 1,    ['2'] = DIGIT | 2,    ['3'] = DIGIT | 3,
    ['4'] = DIGIT | 4,    ['5'] = DIGIT | 5,    ['6'] = DIGIT | 6,    ['7'] = DIGIT | 7,
    ['8'] = DIGIT | 8,    ['9'] = DIGIT | 9,    LETTER('a', 'A', 10), LETTER('b', 'B', 11),
    LETTER('c', 'C', 12), LETTER('d', 'D', 13), LETTER('e', 'E', 14), LETTER('f', 'F', 15),
};

static bool pack_uuid(const char *text, char out[16], unsigned *ret_cases)
{
    unsigned any = 0, all = DIGIT;
    if (text[8] != '-' || text[13] != '-' || text[18] != '-' || text[23] != '-') return false;
    for (unsigned i = 0; i < 16; i++) {
        unsigned high = values[(unsigned char)text[places[i]]], low = values[(unsigned char)text[places[i] + 1]];
        any |= high | low;
        all &= high & low;
        out[i] = (char)(high << 4 | (low & 15));
    }
    *ret_cases = any & (LOWER | UPPER);
    return all && *ret_cases != (LOWER | UPPER);
}

void id_form_make(struct str text, struct id_form *ret_form)
{
    bool device = text.size == DEVICE_BYTES + UUID_TEXT && memcmp(text.data, DEVICE, DEVICE_BYTES) == 0;
    unsigned cases;
    if ((device || text.size == UUID_TEXT) &&
        pack_uuid(text.data + (device ? DEVICE_BYTES : 0), ret_form->head + 1, &cases)) {
        unsigned kind = (device ? KIND_DEVICE : 0) | (cases == UPPER ? KIND_UPPER : 0);
        ret_form->head[0] = (char)kind;
        ret_form->head_size = 17;
        ret_form->rest = STR("");
        ret_form->tag = tag_of(ret_form->head + 1, 16, kind);
        return;
    }
    ret_form->head_size = (size_t)(raw_varint(ret_form->head, text.size + ID_FORM_KINDS) - ret_form->head);
    ret_form->rest = text;
    ret_form->tag = tag_of(text.data, text.size, ID_FORM_KINDS);
}

size_t id_form_read(struct reader *reader, uint32_t *ret_tag)
{
    uint64_t kind;
    if (reader_left(reader) && *reader->at < 0x80)
        kind = *reader->at++; /* nearly always */
    else
        kind = read_varint(reader);
    bool packed = kind < ID_FORM_KINDS;
    uint64_t size = packed ? 16 : kind - ID_FORM_KINDS;
    if (size > reader_left(reader)) reader->failed = true;
    if (reader->failed) return 0;
    *ret_tag = tag_of((const char *)reader->at, size, packed ? kind : ID_FORM_KINDS);
    reader->at += size;
    return packed ? UUID_TEXT + (kind & KIND_DEVICE ? DEVICE_BYTES : 0) : size;
}

/* Reads the head, which is known to be whole. */
static size_t head_at(const char **at)
{
    const unsigned char *from = (const unsigned char *)*at;
    size_t head = *from & 0x7f;
    for (unsigned shift = 7; *from++ & 0x80; shift += 7) head |= (size_t)(*from & 0x7f) << shift;
    *at = (const char *)from;
    return head;
}

struct str id_form_text(const char *form, char room[ID_TEXT_ROOM])
{
    size_t kind = head_at(&form);
    if (kind >= ID_FORM_KINDS) return (struct str){form, kind - ID_FORM_KINDS};
    const char *digit_of = digits[kind & KIND_UPPER ? 1 : 0];
    char *uuid = room;
    if (kind & KIND_DEVICE) {
        memcpy(room, DEVICE, DEVICE_BYTES);
        uuid += DEVICE_BYTES;
    }
    for (unsigned i = 0; i < 16; i++) {
        uuid[places[i]] = digit_of[(unsigned char)form[i] >> 4];
        uuid[places[i] + 1] = digit_of[form[i] & 15];
    }
    uuid[8] = uuid[13] = uuid[18] = uuid[23] = '-';
    return (struct str){room, (size_t)(uuid - room) + UUID_TEXT};
}

size_t id_form_size_at(const char *form)
{
    const char *body = form;
    size_t kind = head_at(&body);
    return (size_t)(body - form) + (kind < ID_FORM_KINDS ? 16 : kind - ID_FORM_KINDS);
}
