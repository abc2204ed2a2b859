#include "base/url.h"

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

struct str url_decode(struct arena *arena, struct str text, bool plus_is_space)
{
    bool plain = true;
    for (size_t i = 0; i < text.size && plain; i++)
        plain = text.data[i] != '%' && !(plus_is_space && text.data[i] == '+');
    if (plain && text.data) return text;
    char *out = arena_alloc(arena, text.size + 1);
    if (!out) return STR_NULL;
    size_t used = 0;
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        if (c == '%' && i + 2 < text.size && hex_digit(text.data[i + 1]) >= 0 && hex_digit(text.data[i + 2]) >= 0) {
            c = (char)(hex_digit(text.data[i + 1]) << 4 | hex_digit(text.data[i + 2]));
            i += 2;
        } else if (c == '+' && plus_is_space) {
            c = ' ';
        }
        out[used++] = c;
    }
    out[used] = 0;
    return (struct str){out, used};
}

void url_encode(struct buf *buf, struct str text)
{
    static const char hex[] = "0123456789ABCDEF";
    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
            c == '_' || c == '~') {
            buf_byte(buf, (char)c);
        } else {
            char escape[3] = {'%', hex[c >> 4], hex[c & 15]};
            buf_add(buf, escape, 3);
        }
    }
}

enum status url_params_parse(struct arena *arena, struct str text, size_t count_max, struct url_params *ret_params)
{
    struct url_params params = {0};
    size_t parts = 0;
    struct str rest = text, part;
    while (rest.size && str_next_part(&rest, '&', &part)) parts += part.size > 0;
    if (parts > count_max) return STATUS_LIMIT;
    params.items = arena_new_array(arena, struct url_param, parts ? parts : 1);
    if (!params.items) return STATUS_LIMIT;
    rest = text;
    while (rest.data && str_next_part(&rest, '&', &part)) {
        if (part.size == 0) continue;
        size_t equals = str_find_byte(part, '=', 0);
        struct str name = str_slice(part, 0, equals),
                   raw = equals == SIZE_MAX ? STR("") : str_slice(part, equals + 1, part.size);
        struct url_param *item = &params.items[params.count++];
        item->name = url_decode(arena, name, true);
        item->value = url_decode(arena, raw, true);
        item->raw_value = raw;
        if (!item->name.data || !item->value.data) return STATUS_LIMIT;
    }
    *ret_params = params;
    return STATUS_OK;
}

struct str url_params_get(const struct url_params *params, struct str name)
{
    for (size_t i = 0; i < params->count; i++) {
        if (str_eq(params->items[i].name, name)) return params->items[i].value;
    }
    return STR_NULL;
}
