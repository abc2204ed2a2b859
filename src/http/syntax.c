#include "http/syntax.h"

#include "base/url.h"

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

enum http_scan_result http_scan(struct http_scan *scan, const char *data, size_t size, size_t *ret_used)
{
    size_t at = 0;
    while (at < size) {
        if (scan->line_size == 0 && scan->lines > 0 && (data[at] == ' ' || data[at] == '\t' || data[at] == ':')) {
            *ret_used = at;
            return data[at] == ':' ? HTTP_SCAN_NAMELESS : HTTP_SCAN_FOLDED;
        }
        const char *lf = memchr(data + at, '\n', size - at);
        size_t part = lf ? (size_t)(lf - data) - at : size - at;
        if (part > 0) scan->last = data[at + part - 1];
        scan->line_size += part;
        scan->size += part;
        at += part;
        if (!lf) break;

        at++;
        scan->size++;
        if (scan->line_size == 0 || scan->last != '\r') {
            *ret_used = at;
            return HTTP_SCAN_BARE_LF;
        }
        bool blank = scan->line_size == 1;
        scan->lines++;
        scan->line_size = 0;
        scan->last = '\n';
        if (blank) {
            *ret_used = at;
            return HTTP_SCAN_END;
        }
    }
    *ret_used = size;
    return HTTP_SCAN_MORE;
}

bool http_request_line_plausible(struct str line)
{
    if (line.size == 0 || line.data[0] < 'A' || line.data[0] > 'Z') return false;
    size_t space = line.size;
    while (space > 0 && line.data[space - 1] != ' ') space--;
    return space > 0 && str_starts(str_slice(line, space, line.size), STR("HTTP/"));
}

bool http_target_split(struct str target, struct str *ret_path, struct str *ret_query)
{
    struct str rest = target;
    if (!str_starts(target, STR("/")) && !str_is(target, "*")) {
        /* The absolute form is what clients send to proxies; RFC 9112 3.2.2 wants it understood everywhere.
         */
        size_t scheme = 0;
        if (str_eq_nocase(str_slice(target, 0, 7), STR("http://")))
            scheme = 7;
        else if (str_eq_nocase(str_slice(target, 0, 8), STR("https://")))
            scheme = 8;
        else
            return false;
        size_t end = scheme;
        while (end < target.size && target.data[end] != '/' && target.data[end] != '?') end++;
        if (end == scheme) return false;
        rest = str_slice(target, end, target.size);
    }
    size_t mark = str_find_byte(rest, '?', 0);
    if (mark == SIZE_MAX) mark = rest.size;
    *ret_path = mark == 0 ? STR("/") : str_slice(rest, 0, mark);
    *ret_query = str_slice(rest, mark + 1, rest.size);
    return true;
}

bool http_percent_decode(struct arena *arena, struct str text, struct str *ret_plain)
{
    size_t at = str_find_byte(text, '%', 0);
    if (at == SIZE_MAX) {
        *ret_plain = text;
        return true;
    }
    for (; at != SIZE_MAX; at = str_find_byte(text, '%', at + 3)) {
        if (text.size - at < 3) return false;
        int high = hex_value(text.data[at + 1]), low = hex_value(text.data[at + 2]);
        if (high < 0 || low < 0 || (high == 0 && low == 0)) return false;
    }
    *ret_plain = url_decode(arena, text, false);
    return true;
}

bool http_host_valid(struct str host)
{
    for (size_t i = 0; i < host.size; i++) {
        char c = host.data[i];
        bool alnum = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!alnum && (c == '\0' || !strchr("-._~:[]%!$&'()*+,;=", c))) return false;
    }
    return true;
}

enum http_coding http_coding_of(struct str content_encoding)
{
    struct str coding = str_trim(content_encoding);
    if (coding.size == 0 || str_eq_nocase(coding, STR("identity"))) return HTTP_CODING_IDENTITY;
    if (str_eq_nocase(coding, STR("gzip")) || str_eq_nocase(coding, STR("x-gzip"))) return HTTP_CODING_GZIP;
    if (str_eq_nocase(coding, STR("deflate"))) return HTTP_CODING_DEFLATE;
    return HTTP_CODING_UNKNOWN;
}

/* `q=0`, `q=0.0`, `q=0.000` and nonsense mean no. */
static bool quality_positive(struct str parameters)
{
    struct str parameter;
    while (str_next_part(&parameters, ';', &parameter)) {
        parameter = str_trim(parameter);
        if (!str_eq_nocase(str_slice(parameter, 0, 2), STR("q="))) continue;
        struct str digits = str_slice(parameter, 2, parameter.size);
        for (size_t i = 0; i < digits.size; i++) {
            if (digits.data[i] >= '1' && digits.data[i] <= '9') return true;
        }
        return false;
    }
    return true;
}

bool http_accepts_gzip(struct str accept_encoding)
{
    bool any = false;
    struct str rest = accept_encoding, item;
    while (rest.data && str_next_part(&rest, ',', &item)) {
        size_t mark = str_find_byte(item, ';', 0);
        struct str name = str_trim(str_slice(item, 0, mark == SIZE_MAX ? item.size : mark));
        bool positive = mark == SIZE_MAX || quality_positive(str_slice(item, mark + 1, item.size));
        if (str_eq_nocase(name, STR("gzip")) || str_eq_nocase(name, STR("x-gzip"))) return positive;
        if (str_is(name, "*")) any = positive;
    }
    return any;
}

bool http_type_compresses(struct str content_type)
{
    size_t mark = str_find_byte(content_type, ';', 0);
    struct str type = str_trim(str_slice(content_type, 0, mark == SIZE_MAX ? content_type.size : mark));
    return str_starts(type, STR("text/")) || str_ends(type, STR("json")) || str_ends(type, STR("javascript")) ||
           str_ends(type, STR("xml"));
}
