/* The keyword `format`. */
#include "base/number.h"
#include "workflow/schema_int.h"

static bool digits_at(struct str s, size_t at, size_t count, unsigned *ret_value)
{
    uint64_t value;
    if (at + count > s.size || !number_parse_unsigned(str_slice(s, at, at + count), UINT32_MAX, &value)) return false;
    *ret_value = (unsigned)value;
    return true;
}

static bool is_date(struct str s)
{
    static const unsigned days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    unsigned year, month, day;
    if (s.size != 10 || s.data[4] != '-' || s.data[7] != '-' || !digits_at(s, 0, 4, &year) ||
        !digits_at(s, 5, 2, &month) || !digits_at(s, 8, 2, &day) || month < 1 || month > 12 || day < 1)
        return false;
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return day <= days[month - 1] + (leap && month == 2);
}

static bool is_time(struct str s)
{
    unsigned hour, minute, second;
    if (s.size < 9 || s.data[2] != ':' || s.data[5] != ':' || !digits_at(s, 0, 2, &hour) ||
        !digits_at(s, 3, 2, &minute) || !digits_at(s, 6, 2, &second) || hour > 23 || minute > 59 || second > 60)
        return false;
    size_t at = 8;
    if (s.data[at] == '.') {
        size_t first = ++at;
        while (at < s.size && s.data[at] >= '0' && s.data[at] <= '9') at++;
        if (at == first) return false;
    }
    struct str zone = str_slice(s, at, s.size);
    if (zone.size == 1) return (zone.data[0] | 0x20) == 'z';
    return zone.size == 6 && (zone.data[0] == '+' || zone.data[0] == '-') && zone.data[3] == ':' &&
           digits_at(zone, 1, 2, &hour) && digits_at(zone, 4, 2, &minute) && hour < 24 && minute < 60;
}

static bool is_email(struct str s)
{
    size_t at = str_find_byte(s, '@', 0);
    return at != SIZE_MAX && at > 0 && at + 1 < s.size && str_find_byte(s, '@', at + 1) == SIZE_MAX &&
           str_find_byte(s, ' ', 0) == SIZE_MAX;
}

static bool is_uri(struct str s)
{
    size_t colon = str_find_byte(s, ':', 0);
    if (colon == SIZE_MAX || colon == 0) return false;
    for (size_t i = 0; i < s.size; i++) {
        unsigned char c = (unsigned char)s.data[i];
        if (c <= ' ' || c == 0x7F || strchr("<>\"{}|\\^`", c)) return false;
        char lower = (char)(c | 0x20);
        bool letter = lower >= 'a' && lower <= 'z';
        if (i < colon && !letter && !(i > 0 && ((c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.')))
            return false;
    }
    return true;
}

static bool is_uuid(struct str s)
{
    if (s.size != 36) return false;
    for (size_t i = 0; i < s.size; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash ? s.data[i] != '-' : !s.data[i] || !strchr("0123456789abcdefABCDEF", s.data[i])) return false;
    }
    return true;
}

bool jsonschema_format_fits(struct str format, struct str text)
{
    if (str_is(format, "date")) return is_date(text);
    if (str_is(format, "time")) return is_time(text);
    if (str_is(format, "date-time"))
        return text.size > 11 && (text.data[10] | 0x20) == 't' && is_date(str_slice(text, 0, 10)) &&
               is_time(str_slice(text, 11, text.size));
    if (str_is(format, "email")) return is_email(text);
    if (str_is(format, "uri")) return is_uri(text);
    if (str_is(format, "uuid")) return is_uuid(text);
    return true;
}
