#include "workflow/body.h"

#include "base/csv.h"
#include "workflow/media.h"
#include "workflow/parameter.h"
#include "workflow/xml.h"

#define TEXT_SIZE_MAX ((size_t)64 << 20)

static enum status no_memory(struct error *error)
{
    return error_set(error, STATUS_LIMIT, "the request body exceeds the memory budget");
}

static bool is_compound(const struct json *value)
{
    return value->type == JSON_OBJECT || value->type == JSON_ARRAY;
}

/* ---- replacements ---- */

/* Our own copy of the payload, which may be written to. */
static struct json *writable(const struct json *value)
{
    return (struct json *)(uintptr_t)value;
}

static enum status replace_at(struct arena *arena, struct json *root, const struct prepared_replacement *replacement,
                              struct str target, const struct json *value, struct error *error)
{
    struct jsonpath_nodes nodes = {.count = 0};
    const struct jsonpath *path;
    if (replacement->kind == REPLACE_JSONPATH) {
        TRY(jsonpath_compile(arena, target, JSONPATH_RFC9535, error, &path));
        TRY(jsonpath_evaluate(arena, path, root, error, &nodes));
        for (size_t i = 0; i < nodes.count; i++) *writable(nodes.items[i]->value) = *value;
    } else {
        const struct json *found = json_pointer(root, target);
        if (found) {
            *writable(found) = *value;
            return STATUS_OK;
        }
    }
    if (nodes.count) return STATUS_OK;
    return error_set(error, STATUS_INVALID, "the replacement target \"" STR_FMT "\" is not in the payload",
                     STR_ARG(target));
}

static enum status text_of(struct arena *arena, const struct json *value, struct error *error, struct str *ret_text)
{
    struct buf buf = BUF_INIT(TEXT_SIZE_MAX);
    expression_text(&buf, value);
    *ret_text = buf_status(&buf) == STATUS_OK ? arena_str(arena, buf_str(&buf)) : STR_NULL;
    buf_fini(&buf);
    return ret_text->data ? STATUS_OK : no_memory(error);
}

static enum status replace_in_xml(struct arena *arena, struct json *payload, struct str target,
                                  const struct json *value, struct error *error)
{
    struct str text, replaced;
    TRY(text_of(arena, value, error, &text));
    enum status status = xml_replace(arena, payload->string, target, text, error, &replaced);
    if (status == STATUS_NOT_FOUND)
        return error_set(error, STATUS_INVALID, "the replacement target \"" STR_FMT "\" is not in the payload",
                         STR_ARG(target));
    TRY(status);
    payload->string = replaced;
    return STATUS_OK;
}

/* A JSON text becomes a value first. *ret_value is always a copy. */
static enum status replace(struct arena *arena, const struct prepared_step *step,
                           const struct expression_context *context, const struct json *payload, struct error *error,
                           const struct json **ret_value)
{
    struct json *copy = arena_alloc(arena, sizeof *copy);
    if (!copy || json_clone(arena, payload, copy) != STATUS_OK) return no_memory(error);
    if (copy->type == JSON_STRING && media_is_json(step->content_type)) {
        struct error problem = ERROR_INIT;
        if (json_parse(arena, payload->string, NULL, &problem, copy) != STATUS_OK)
            return error_set(error, STATUS_INVALID, "the payload is no JSON, which its replacements need: %s",
                             problem.primary);
    }
    for (size_t i = 0; i < step->replacement_count; i++) {
        const struct prepared_replacement *replacement = &step->replacements[i];
        const struct json *value, *target, null = json_null();
        TRY(expression_string(arena, context, replacement->target->string, error, &target));
        TRY(expression_tree(arena, context, replacement->value, error, &value));
        struct str where;
        TRY(text_of(arena, target ? target : &null, error, &where));
        if (!value) value = &null;
        if (replacement->kind != REPLACE_XPATH)
            TRY(replace_at(arena, copy, replacement, where, value, error));
        else if (copy->type == JSON_STRING)
            TRY(replace_in_xml(arena, copy, where, value, error));
    }
    *ret_value = copy;
    return STATUS_OK;
}

/* ---- CSV ---- */

static void add_cell(struct buf *buf, const struct json *value)
{
    struct buf text = BUF_INIT(TEXT_SIZE_MAX);
    if (value && value->type != JSON_NULL) expression_text(&text, value);
    csv_write(buf, buf_str(&text));
    if (buf_status(&text) != STATUS_OK) buf->failed = true;
    buf_fini(&text);
}

static bool write_csv(struct buf *buf, const struct json *rows)
{
    const struct json *first = json_at(rows, 0);
    if (rows->type != JSON_ARRAY || (first && !is_compound(first))) return false;
    for (size_t i = 0; first && first->type == JSON_OBJECT && i < first->object.count; i++) {
        const struct json name = json_string(first->object.members[i].key);
        if (i) buf_byte(buf, ',');
        add_cell(buf, &name);
    }
    if (first && first->type == JSON_OBJECT) buf_lit(buf, "\r\n");
    for (size_t r = 0; r < rows->array.count; r++) {
        const struct json *row = &rows->array.items[r];
        if (row->type != first->type) return false;
        size_t count = first->type == JSON_OBJECT ? first->object.count : row->array.count;
        for (size_t i = 0; i < count; i++) {
            if (i) buf_byte(buf, ',');
            add_cell(buf,
                     first->type == JSON_OBJECT ? json_get(row, first->object.members[i].key) : &row->array.items[i]);
        }
        buf_lit(buf, "\r\n");
    }
    return true;
}

/* ---- multipart/form-data (RFC 7578) ---- */

static void add_part(struct buf *buf, struct str boundary, struct str name, const struct json *value)
{
    buf_lit(buf, "--");
    buf_str_add(buf, boundary);
    buf_lit(buf, "\r\nContent-Disposition: form-data; name=\"");
    for (size_t i = 0; i < name.size; i++) {
        char c = name.data[i];
        if (c == '"')
            buf_lit(buf, "%22");
        else if (c == '\r')
            buf_lit(buf, "%0D");
        else if (c == '\n')
            buf_lit(buf, "%0A");
        else
            buf_byte(buf, c);
    }
    buf_byte(buf, '"');
    if (is_compound(value)) buf_lit(buf, "\r\nContent-Type: application/json");
    buf_lit(buf, "\r\n\r\n");
    expression_text(buf, value);
    buf_lit(buf, "\r\n");
}

static void add_parts(struct buf *buf, struct str boundary, const struct json *map)
{
    for (size_t i = 0; i < map->object.count; i++) {
        const struct json_member *member = &map->object.members[i];
        bool list = member->value.type == JSON_ARRAY;
        for (size_t k = 0; list && k < member->value.array.count; k++)
            list &= !is_compound(&member->value.array.items[k]);
        if (!list) add_part(buf, boundary, member->key, &member->value);
        for (size_t k = 0; list && k < member->value.array.count; k++)
            add_part(buf, boundary, member->key, &member->value.array.items[k]);
    }
    buf_lit(buf, "--");
    buf_str_add(buf, boundary);
    buf_lit(buf, "--\r\n");
}

/* The boundary is the one that the content type gives, or one that does not occur in what it divides. */
static enum status write_multipart(struct arena *arena, const struct prepared_step *step, struct buf *buf,
                                   const struct json *map, struct error *error, struct str *ret_type)
{
    struct str boundary = media_parameter(step->content_type, "boundary");
    *ret_type = step->content_type;
    if (boundary.size) {
        add_parts(buf, boundary, map);
        return STATUS_OK;
    }
    struct buf plain = BUF_INIT(TEXT_SIZE_MAX);
    json_write(&plain, map);
    for (unsigned n = 0;; n++) {
        boundary = arena_printf(arena, "part-%08x", 0x6b8b4567u + n);
        if (!boundary.data) break;
        if (str_find(buf_str(&plain), boundary, 0) == SIZE_MAX) break;
    }
    buf_fini(&plain);
    if (!boundary.data) return no_memory(error);
    *ret_type = arena_printf(arena, STR_FMT "; boundary=" STR_FMT, STR_ARG(step->content_type), STR_ARG(boundary));
    add_parts(buf, boundary, map);
    return ret_type->data ? STATUS_OK : no_memory(error);
}

/* ---- all of it ---- */

/* BODY-4: is it a text, with or without embedded expressions, and not one whole expression? */
static bool is_template(const struct json *payload)
{
    struct expression e;
    size_t size;
    return payload->type == JSON_STRING &&
           !(str_starts(payload->string, STR("$")) &&
             expression_parse(payload->string, EXPRESSION_WHOLE, NULL, &e, &size) == STATUS_OK);
}

static enum status write_value(struct arena *arena, const struct prepared_step *step, const struct json *value,
                               bool text, struct buf *buf, struct error *error, struct str *ret_type)
{
    struct str type = step->content_type;
    if (text && value->type == JSON_STRING)
        buf_str_add(buf, value->string);
    else if (media_is_json(type))
        json_write(buf, value);
    else if (media_is(type, "application/x-www-form-urlencoded") && value->type == JSON_OBJECT)
        parameter_form(buf, value);
    else if (media_is(type, "multipart/form-data") && value->type == JSON_OBJECT)
        return write_multipart(arena, step, buf, value, error, ret_type);
    else if (media_is(type, "text/csv") && write_csv(buf, value))
        return STATUS_OK;
    else if (!is_compound(value))
        expression_text(buf, value);
    else
        return error_set(error, STATUS_INVALID, "a payload of type %s cannot be written as " STR_FMT,
                         json_type_name(value), STR_ARG(type));
    return STATUS_OK;
}

enum status body_write(struct arena *arena, const struct prepared_step *step, const struct expression_context *context,
                       struct error *error, struct written_body *ret_body)
{
    const struct json *payload = step->payload, *value;
    struct written_body body = {.content_type = step->content_type};
    bool text = is_template(payload);
    TRY(expression_tree(arena, context, payload, error, &value));
    if (!value) {
        *ret_body = body;
        return STATUS_OK;
    }
    if (step->replacement_count) TRY(replace(arena, step, context, value, error, &value));
    struct buf buf = BUF_INIT(TEXT_SIZE_MAX);
    enum status status = write_value(arena, step, value, text, &buf, error, &body.content_type);
    if (status == STATUS_OK) {
        body.present = true;
        body.bytes = buf_status(&buf) == STATUS_OK ? arena_str(arena, buf_str(&buf)) : STR_NULL;
        body.value = value;
        if (!body.bytes.data) status = no_memory(error);
    }
    buf_fini(&buf);
    TRY(status);
    *ret_body = body;
    return STATUS_OK;
}
