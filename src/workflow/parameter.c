#include "workflow/parameter.h"

#include "base/url.h"
#include "workflow/expression.h"

#define TEXT_MAX ((size_t)16 << 20)

enum encoding { ENCODE_ALL, ENCODE_RESERVED, ENCODE_NONE };

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

/* allowReserved: RFC 3986 reserved characters stay, except those that would end the value, and %XX triplets
 * stay. */
static void add_reserved(struct buf *buf, struct str text)
{
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        bool triplet = c == '%' && i + 2 < text.size && is_hex(text.data[i + 1]) && is_hex(text.data[i + 2]);
        if (triplet || (c && strchr(":/?[]@!$'()*,;", c)))
            buf_byte(buf, c);
        else
            url_encode(buf, str_slice(text, i, i + 1));
    }
}

static void add_text(struct buf *buf, struct str text, enum encoding encoding)
{
    if (encoding == ENCODE_ALL)
        url_encode(buf, text);
    else if (encoding == ENCODE_RESERVED)
        add_reserved(buf, text);
    else
        buf_str_add(buf, text);
}

static void add_value(struct buf *buf, const struct json *value, enum encoding encoding)
{
    struct buf text = BUF_INIT(TEXT_MAX);
    expression_text(&text, value);
    if (buf_status(&text) != STATUS_OK) buf->failed = true;
    add_text(buf, buf_str(&text), encoding);
    buf_fini(&text);
}

static bool is_list(const struct json *value)
{
    return value->type == JSON_ARRAY;
}
static bool is_map(const struct json *value)
{
    return value->type == JSON_OBJECT;
}
static size_t count_of(const struct json *value)
{
    return is_list(value) ? value->array.count : value->object.count;
}

/* The items of an array, or keys and values of an object, with `separator` between them and `pair` between a
 * key and its value. */
static void add_joined(struct buf *buf, const struct json *value, const char *separator, const char *pair,
                       enum encoding encoding)
{
    for (size_t i = 0; i < count_of(value); i++) {
        if (i) buf_str_add(buf, str_of(separator));
        if (is_map(value)) {
            add_text(buf, value->object.members[i].key, encoding);
            buf_str_add(buf, str_of(pair));
            add_value(buf, &value->object.members[i].value, encoding);
        } else {
            add_value(buf, &value->array.items[i], encoding);
        }
    }
}

/* `name=a<separator>name=b`, or `R=1<separator>G=2`. */
static void add_exploded(struct buf *buf, struct str name, const struct json *value, const char *separator,
                         enum encoding encoding)
{
    for (size_t i = 0; i < count_of(value); i++) {
        if (i) buf_str_add(buf, str_of(separator));
        add_text(buf, is_map(value) ? value->object.members[i].key : name, ENCODE_ALL);
        buf_byte(buf, '=');
        add_value(buf, is_map(value) ? &value->object.members[i].value : &value->array.items[i], encoding);
    }
}

static void add_named(struct buf *buf, const struct openapi_parameter *declared, const struct json *value,
                      const char *separator, enum encoding encoding)
{
    bool compound = is_list(value) || is_map(value);
    if (declared->content_type.size) {
        struct buf text = BUF_INIT(TEXT_MAX);
        json_write(&text, value);
        add_text(buf, declared->name, ENCODE_ALL);
        buf_byte(buf, '=');
        add_text(buf, buf_str(&text), encoding);
        buf_fini(&text);
    } else if (!compound) {
        add_text(buf, declared->name, ENCODE_ALL);
        buf_byte(buf, '=');
        add_value(buf, value, encoding);
    } else if (is_map(value) && str_is(declared->style, "deepObject")) {
        for (size_t i = 0; i < value->object.count; i++) {
            if (i) buf_str_add(buf, str_of(separator));
            add_text(buf, declared->name, ENCODE_ALL);
            buf_lit(buf, "%5B");
            add_text(buf, value->object.members[i].key, ENCODE_ALL);
            buf_lit(buf, "%5D=");
            add_value(buf, &value->object.members[i].value, encoding);
        }
    } else if (declared->explode && !str_is(declared->style, "deepObject")) {
        add_exploded(buf, declared->name, value, separator, encoding);
    } else {
        const char *joint = str_is(declared->style, "spaceDelimited")  ? "%20"
                            : str_is(declared->style, "pipeDelimited") ? "%7C"
                                                                       : ",";
        add_text(buf, declared->name, ENCODE_ALL);
        buf_byte(buf, '=');
        add_joined(buf, value, joint, joint, encoding);
    }
}

struct openapi_parameter parameter_undeclared(struct str name, struct str in)
{
    bool form = str_is(in, "query") || str_is(in, "cookie");
    return (struct openapi_parameter){.name = name,
                                      .in = in,
                                      .style = form ? STR("form") : STR("simple"),
                                      .explode = form,
                                      .required = str_is(in, "path")};
}

static bool writes_nothing(const struct openapi_parameter *declared, const struct json *value)
{
    return !declared->content_type.size && (is_list(value) || is_map(value)) && count_of(value) == 0;
}

void parameter_query(struct buf *buf, const struct openapi_parameter *declared, const struct json *value)
{
    if (writes_nothing(declared, value)) return;
    if (buf->size) buf_byte(buf, '&');
    add_named(buf, declared, value, "&", declared->allow_reserved ? ENCODE_RESERVED : ENCODE_ALL);
}

void parameter_cookie(struct buf *buf, const struct openapi_parameter *declared, const struct json *value)
{
    if (writes_nothing(declared, value)) return;
    if (buf->size) buf_lit(buf, "; ");
    add_named(buf, declared, value, "; ", ENCODE_ALL);
}

/* `simple`, which headers and paths share. */
static void add_simple(struct buf *buf, const struct openapi_parameter *declared, const struct json *value,
                       enum encoding encoding)
{
    if (declared->content_type.size) {
        struct buf text = BUF_INIT(TEXT_MAX);
        json_write(&text, value);
        add_text(buf, buf_str(&text), encoding);
        buf_fini(&text);
    } else if (is_list(value) || is_map(value)) {
        add_joined(buf, value, ",", declared->explode ? "=" : ",", encoding);
    } else {
        add_value(buf, value, encoding);
    }
}

void parameter_path(struct buf *buf, const struct openapi_parameter *declared, const struct json *value)
{
    bool compound = is_list(value) || is_map(value);
    if (declared->content_type.size || (!str_is(declared->style, "label") && !str_is(declared->style, "matrix"))) {
        add_simple(buf, declared, value, ENCODE_ALL);
    } else if (str_is(declared->style, "label")) {
        buf_byte(buf, '.');
        if (!compound)
            add_value(buf, value, ENCODE_ALL);
        else
            add_joined(buf, value, declared->explode ? "." : ",", declared->explode ? "=" : ",", ENCODE_ALL);
    } else {
        buf_byte(buf, ';');
        if (compound && declared->explode) {
            add_exploded(buf, declared->name, value, ";", ENCODE_ALL);
            return;
        }
        add_text(buf, declared->name, ENCODE_ALL);
        buf_byte(buf, '=');
        if (compound)
            add_joined(buf, value, ",", ",", ENCODE_ALL);
        else
            add_value(buf, value, ENCODE_ALL);
    }
}

bool parameter_header_name_fits(struct str name)
{
    for (size_t i = 0; i < name.size; i++) {
        char c = name.data[i], lower = (char)(c | 0x20);
        bool plain = (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9');
        if (!plain && (c == 0 || !strchr("!#$%&'*+-.^_`|~", c))) return false;
    }
    return name.size > 0;
}

enum status parameter_header(struct buf *buf, const struct openapi_parameter *declared, const struct json *value,
                             struct error *error)
{
    size_t from = buf->size;
    add_simple(buf, declared, value, ENCODE_NONE);
    for (size_t i = from; i < buf->size; i++) {
        unsigned char c = (unsigned char)buf->data[i];
        if ((c < 0x20 && c != '\t') || c == 0x7F)
            return error_set(error, STATUS_INVALID, "the value of header \"" STR_FMT "\" has a control character",
                             STR_ARG(declared->name));
    }
    return STATUS_OK;
}

void parameter_form(struct buf *buf, const struct json *map)
{
    for (size_t i = 0; i < map->object.count; i++) {
        const struct json_member *member = &map->object.members[i];
        struct openapi_parameter declared = parameter_undeclared(member->key, STR("query"));
        bool nested = is_map(&member->value);
        for (size_t k = 0; is_list(&member->value) && k < member->value.array.count; k++)
            nested |= is_list(&member->value.array.items[k]) || is_map(&member->value.array.items[k]);
        if (nested) declared.content_type = STR("application/json");
        parameter_query(buf, &declared, &member->value);
    }
}
