#include "workflow/media.h"

static struct str essence(struct str content_type)
{
    return str_trim(str_slice(content_type, 0, str_find_byte(content_type, ';', 0)));
}

static bool has_suffix(struct str type, struct str suffix)
{
    return type.size > suffix.size && str_eq_nocase(str_slice(type, type.size - suffix.size, type.size), suffix);
}

bool media_is(struct str content_type, const char *type)
{
    return str_eq_nocase(essence(content_type), str_of(type));
}

bool media_is_json(struct str content_type)
{
    return media_is(content_type, "application/json") || media_is(content_type, "text/json") ||
           has_suffix(essence(content_type), STR("+json"));
}

bool media_is_xml(struct str content_type)
{
    return media_is(content_type, "application/xml") || media_is(content_type, "text/xml") ||
           has_suffix(essence(content_type), STR("+xml"));
}

struct str media_parameter(struct str content_type, const char *name)
{
    struct str rest = content_type, part;
    bool first = true;
    while (str_next_part(&rest, ';', &part)) {
        size_t equals = str_find_byte(part, '=', 0);
        if (first || equals == SIZE_MAX) {
            first = false;
            continue;
        }
        struct str value = str_trim(str_slice(part, equals + 1, part.size));
        if (!str_eq_nocase(str_trim(str_slice(part, 0, equals)), str_of(name))) continue;
        if (value.size >= 2 && value.data[0] == '"' && value.data[value.size - 1] == '"')
            value = str_slice(value, 1, value.size - 1);
        return value;
    }
    return STR_NULL;
}
