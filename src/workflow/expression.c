#include "workflow/expression.h"

#include "base/number.h"
#include "base/utf8.h"
#include "workflow/parameter.h"

#define TEXT_SIZE_MAX ((size_t)64 << 20) /* of one interpolated string */
#define SHOWN_MAX     120                /* bytes of the text in a message */
#define NAME_SIZE_MAX 1024               /* a dotted name is looked up once for every dot */

struct cursor {
    struct str text;
    size_t at;
    enum expression_place place;
};

static bool is_id(char c)
{
    char lower = (char)(c | 0x20);
    return (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

static bool is_name(char c)
{
    return is_id(c) || c == '.' || (unsigned char)c >= 0x80;
}

static bool take(struct cursor *c, struct str word)
{
    if (!str_starts(str_slice(c->text, c->at, c->text.size), word)) return false;
    c->at += word.size;
    return true;
}

static struct str take_id(struct cursor *c)
{
    size_t from = c->at;
    while (c->at < c->text.size && is_id(c->text.data[c->at])) c->at++;
    return str_slice(c->text, from, c->at);
}

/* A name with its accessors: letters, digits, . - _, other than ASCII, and [123]. */
static struct str take_name(struct cursor *c)
{
    size_t from = c->at;
    while (c->at < c->text.size) {
        if (is_name(c->text.data[c->at])) {
            c->at++;
            continue;
        }
        if (c->text.data[c->at] != '[' || c->at == from) break;
        size_t digit = c->at + 1;
        while (digit < c->text.size && c->text.data[digit] >= '0' && c->text.data[digit] <= '9') digit++;
        if (digit == c->at + 1 || digit >= c->text.size || c->text.data[digit] != ']') break;
        c->at = digit + 1;
    }
    return str_slice(c->text, from, c->at);
}

/* Accessors only: `.items[0].id`. */
static struct str take_accessors(struct cursor *c)
{
    if (c->at >= c->text.size || (c->text.data[c->at] != '.' && c->text.data[c->at] != '[')) return STR("");
    if (c->text.data[c->at] == '.') return take_name(c);
    /* take_name wants a first character that is no bracket; step back onto the one before, which belongs to
     * the root. */
    size_t from = c->at--;
    take_name(c);
    if (c->at < from) c->at = from;
    return str_slice(c->text, from, c->at);
}

/* Header, query and path names and pointers take everything up to the end of the place. In a condition that
 * is white space, an operator, or a parenthesis that closes. */
static bool ends_here(const struct cursor *c)
{
    char ch = c->text.data[c->at], next = c->at + 1 < c->text.size ? c->text.data[c->at + 1] : 0;
    if (c->place == EXPRESSION_WHOLE) return false;
    if (c->place == EXPRESSION_EMBEDDED) return ch == '{' || ch == '}';
    if ((unsigned char)ch <= ' ' || ch == ')' || ch == '<' || ch == '>') return true;
    return ((ch == '=' || ch == '!') && next == '=') || (ch == '&' && next == '&') || (ch == '|' && next == '|');
}

static struct str take_rest(struct cursor *c)
{
    size_t from = c->at;
    while (c->at < c->text.size && !ends_here(c)) c->at++;
    return str_slice(c->text, from, c->at);
}

static bool pointer_valid(struct str pointer)
{
    if (pointer.size == 0) return true;
    if (pointer.data[0] != '/') return false;
    for (size_t i = 0; i < pointer.size; i++) {
        if (pointer.data[i] == '~' &&
            (i + 1 == pointer.size || (pointer.data[i + 1] != '0' && pointer.data[i + 1] != '1')))
            return false;
    }
    return true;
}

static enum status fail(const struct cursor *c, struct error *error, const char *what)
{
    size_t size = c->text.size > SHOWN_MAX ? utf8_cut(c->text.data, c->text.size, SHOWN_MAX) : c->text.size;
    error_set(error, STATUS_INVALID, "\"%.*s%s\" is no runtime expression: %s", (int)size, c->text.data,
              size < c->text.size ? "..." : "", what);
    error_position(error, 0, (unsigned)c->at + 1);
    return STATUS_INVALID;
}

static enum status take_pointer(struct cursor *c, struct error *error, struct expression *e)
{
    e->pointer = STR("");
    if (!take(c, STR("#"))) return STATUS_OK;
    size_t at = c->at;
    e->pointer = take_rest(c);
    if (pointer_valid(e->pointer)) return STATUS_OK;
    c->at = at;
    return fail(c, error, "a JSON Pointer begins with / and has ~ only in ~0 and ~1");
}

/* $request.<source> and $response.<source>. */
static enum status parse_message(struct cursor *c, bool request, struct error *error, struct expression *e)
{
    if (take(c, STR("header."))) {
        e->root = request ? EXPRESSION_REQUEST_HEADER : EXPRESSION_RESPONSE_HEADER;
        e->name = take_rest(c);
    } else if (request && take(c, STR("query."))) {
        e->root = EXPRESSION_REQUEST_QUERY;
        e->name = take_rest(c);
    } else if (request && take(c, STR("path."))) {
        e->root = EXPRESSION_REQUEST_PATH;
        e->name = take_rest(c);
    } else if (take(c, STR("body"))) {
        e->root = request ? EXPRESSION_REQUEST_BODY : EXPRESSION_RESPONSE_BODY;
        e->name = take_accessors(c);
        return take_pointer(c, error, e);
    } else {
        return fail(c, error,
                    request ? "expected header.NAME, query.NAME, path.NAME or body" : "expected header.NAME or body");
    }
    if (!e->name.size) return fail(c, error, "a name is missing");
    bool header = e->root == EXPRESSION_REQUEST_HEADER || e->root == EXPRESSION_RESPONSE_HEADER;
    if (header && !parameter_header_name_fits(e->name)) return fail(c, error, "no header has such a name");
    return STATUS_OK;
}

static enum status parse_named(struct cursor *c, struct error *error, struct expression *e)
{
    e->name = take_name(c);
    if (e->name.size == 0 || e->name.data[0] == '.') return fail(c, error, "a name is missing");
    if (e->name.size > NAME_SIZE_MAX) return fail(c, error, "the name is too long");
    return take_pointer(c, error, e);
}

/* The id of a step or workflow should be of is_id() only, but need not be: with white space in it, say, it ends at
 * ".outputs." or ".inputs.". Not in a condition, where it might as well be two operands. */
static struct str take_loose_id(struct cursor *c)
{
    struct str id = take_id(c), rest = str_slice(c->text, c->at, c->text.size);
    if (c->place == EXPRESSION_CONDITION || !rest.size || rest.data[0] == '.') return id;
    size_t from = c->at - id.size, strict = c->at;
    while (c->at < c->text.size && c->text.data[c->at] != '.' && c->text.data[c->at] != '#' && !ends_here(c)) c->at++;
    rest = str_slice(c->text, c->at, c->text.size);
    if (!str_starts(rest, STR(".outputs.")) && !str_starts(rest, STR(".inputs."))) c->at = strict;
    return str_slice(c->text, from, c->at);
}

static enum status parse_with_id(struct cursor *c, enum expression_root root, struct error *error, struct expression *e)
{
    bool loose = root == EXPRESSION_STEPS || root == EXPRESSION_WORKFLOW_OUTPUTS;
    e->root = root;
    e->id = loose ? take_loose_id(c) : take_id(c);
    if (e->id.size == 0) return fail(c, error, "an id is missing");
    if (loose) {
        if (root == EXPRESSION_WORKFLOW_OUTPUTS && take(c, STR(".inputs.")))
            e->root = EXPRESSION_WORKFLOW_INPUTS;
        else if (!take(c, STR(".outputs.")))
            return fail(c, error, "expected .outputs.NAME after the id");
        return parse_named(c, error, e);
    }
    if (!take(c, STR("."))) return fail(c, error, "a name is missing");
    if (root == EXPRESSION_COMPONENTS && !str_is(e->id, "parameters") && !str_is(e->id, "successActions") &&
        !str_is(e->id, "failureActions"))
        return fail(c, error, "components are parameters, successActions or failureActions");
    e->name = take_name(c);
    return e->name.size ? STATUS_OK : fail(c, error, "a name is missing");
}

static enum status parse_root(struct cursor *c, struct error *error, struct expression *e)
{
    if (take(c, STR("$request."))) return parse_message(c, true, error, e);
    if (take(c, STR("$response."))) return parse_message(c, false, error, e);
    if (take(c, STR("$inputs."))) {
        e->root = EXPRESSION_INPUTS;
        return parse_named(c, error, e);
    }
    if (take(c, STR("$outputs."))) {
        e->root = EXPRESSION_OUTPUTS;
        return parse_named(c, error, e);
    }
    if (take(c, STR("$steps."))) return parse_with_id(c, EXPRESSION_STEPS, error, e);
    if (take(c, STR("$workflows."))) return parse_with_id(c, EXPRESSION_WORKFLOW_OUTPUTS, error, e);
    if (take(c, STR("$sourceDescriptions."))) return parse_with_id(c, EXPRESSION_SOURCE, error, e);
    if (take(c, STR("$components."))) return parse_with_id(c, EXPRESSION_COMPONENTS, error, e);
    if (take(c, STR("$url")))
        e->root = EXPRESSION_URL;
    else if (take(c, STR("$method")))
        e->root = EXPRESSION_METHOD;
    else if (take(c, STR("$statusCode")))
        e->root = EXPRESSION_STATUS_CODE;
    else
        return fail(c, error, "it begins with no known root");
    return STATUS_OK;
}

enum status expression_parse(struct str text, enum expression_place place, struct error *error,
                             struct expression *ret_expression, size_t *ret_size)
{
    struct cursor c = {.text = text, .place = place};
    struct expression e = {.pointer = STR("")};
    TRY(parse_root(&c, error, &e));
    if (place != EXPRESSION_CONDITION && c.at < text.size) return fail(&c, error, "unexpected text after it");
    /* `$statusCodes` in a condition is no $statusCode. */
    if (c.at < text.size && is_name(text.data[c.at])) return fail(&c, error, "unexpected text after it");
    e.text = str_slice(text, 0, c.at);
    *ret_expression = e;
    *ret_size = c.at;
    return STATUS_OK;
}

const struct json *expression_access(const struct json *value, struct str path)
{
    while (value && path.size) {
        if (path.data[0] == '[') {
            uint64_t index;
            size_t close = str_find_byte(path, ']', 1);
            if (close == SIZE_MAX || !number_parse_unsigned(str_slice(path, 1, close), SIZE_MAX - 1, &index))
                return NULL;
            value = json_at(value, index);
            path = str_slice(path, close + 1, path.size);
            continue;
        }
        if (path.data[0] != '.') return NULL;
        size_t end = 1;
        while (end < path.size && path.data[end] != '.' && path.data[end] != '[') end++;
        value = json_get(value, str_slice(path, 1, end));
        path = str_slice(path, end, path.size);
    }
    return value;
}

const struct json *expression_lookup(const struct json *object, struct str name, struct str *ret_rest)
{
    for (size_t end = name.size; end > 0; end--) {
        if (end < name.size && name.data[end] != '.' && name.data[end] != '[') continue;
        const struct json *value = json_get(object, str_slice(name, 0, end));
        if (value) {
            *ret_rest = str_slice(name, end, name.size);
            return value;
        }
    }
    return NULL;
}

static const struct json *lookup_path(const struct json *object, struct str name)
{
    struct str rest;
    const struct json *value = expression_lookup(object, name, &rest);
    return value ? expression_access(value, rest) : NULL;
}

static enum status new_value(struct arena *arena, struct json value, struct error *error, const struct json **ret_value)
{
    struct json *copy = arena_alloc(arena, sizeof *copy);
    if (!copy) return error_set(error, STATUS_LIMIT, "a value exceeds the memory budget");
    *copy = value;
    *ret_value = copy;
    return STATUS_OK;
}

static const struct json *find_header(const struct json *headers, struct str name)
{
    for (size_t i = 0; headers && i < headers->object.count; i++) {
        if (str_eq_nocase(headers->object.members[i].key, name)) return &headers->object.members[i].value;
    }
    return NULL;
}

/* EX-9: a body that claims to be JSON but is not is text, until somebody looks inside. */
static enum status response_body(const struct expression_context *context, const struct expression *e,
                                 struct error *error, const struct json **ret_value)
{
    if (context->response_body_malformed && (e->pointer.size || e->name.size))
        return error_set(error, STATUS_INVALID, "the response body is not the JSON that its content type promises");
    const struct json *value = expression_access(context->response_body, e->name);
    *ret_value = value ? json_pointer(value, e->pointer) : NULL;
    return STATUS_OK;
}

static enum status source_field(struct arena *arena, const struct expression_context *context,
                                const struct expression *e, struct error *error, const struct json **ret_value)
{
    const struct workflow_source *source =
        context->document ? workflow_document_source(context->document, e->id) : NULL;
    *ret_value = NULL;
    if (!source) return STATUS_OK;
    if (str_is(e->name, "url")) return new_value(arena, json_string(source->url), error, ret_value);
    if (str_is(e->name, "name")) return new_value(arena, json_string(source->name), error, ret_value);
    if (str_is(e->name, "type") && source->type.size)
        return new_value(arena, json_string(source->type), error, ret_value);
    return STATUS_OK;
}

static const struct json *workflow_field(const struct expression_context *context, const struct expression *e)
{
    const struct json *workflow = json_get(context->workflows, e->id);
    const struct json *fields =
        json_get(workflow, e->root == EXPRESSION_WORKFLOW_INPUTS ? STR("inputs") : STR("outputs"));
    return lookup_path(fields, e->name);
}

static bool comes_from_an_answer(enum expression_root root)
{
    return root == EXPRESSION_STATUS_CODE || root == EXPRESSION_RESPONSE_HEADER || root == EXPRESSION_RESPONSE_BODY ||
           root == EXPRESSION_OUTPUTS || root == EXPRESSION_STEPS || root == EXPRESSION_WORKFLOW_OUTPUTS;
}

static enum status placeholder(struct arena *arena, const struct expression *e, struct error *error,
                               const struct json **ret_value)
{
    struct str text = arena_printf(arena, "{" STR_FMT "}", STR_ARG(e->text));
    if (!text.data) return error_set(error, STATUS_LIMIT, "a value exceeds the memory budget");
    return new_value(arena, json_string(text), error, ret_value);
}

enum status expression_evaluate(struct arena *arena, const struct expression_context *context,
                                const struct expression *expression, struct error *error, const struct json **ret_value)
{
    const struct expression *e = expression;
    const struct json *value = NULL;
    switch (e->root) {
    case EXPRESSION_URL:
        if (context->url.data) TRY(new_value(arena, json_string(context->url), error, &value));
        break;
    case EXPRESSION_METHOD:
        if (context->method.data) TRY(new_value(arena, json_string(context->method), error, &value));
        break;
    case EXPRESSION_STATUS_CODE:
        if (context->response) TRY(new_value(arena, json_int(context->response->status), error, &value));
        break;
    case EXPRESSION_REQUEST_HEADER: value = find_header(context->request_header, e->name); break;
    case EXPRESSION_REQUEST_QUERY: value = json_get(context->request_query, e->name); break;
    case EXPRESSION_REQUEST_PATH: value = json_get(context->request_path, e->name); break;
    case EXPRESSION_REQUEST_BODY: value = expression_access(context->request_body, e->name); break;
    case EXPRESSION_RESPONSE_HEADER:
        for (size_t i = 0; context->response && i < context->response->header_count && !value; i++) {
            const struct workflow_header *header = &context->response->headers[i];
            if (str_eq_nocase(header->name, e->name)) TRY(new_value(arena, json_string(header->value), error, &value));
        }
        break;
    case EXPRESSION_RESPONSE_BODY:
        if (context->placeholders && !context->response) return placeholder(arena, e, error, ret_value);
        return response_body(context, e, error, ret_value);
    case EXPRESSION_INPUTS: value = lookup_path(context->inputs, e->name); break;
    case EXPRESSION_OUTPUTS: value = lookup_path(context->outputs, e->name); break;
    case EXPRESSION_STEPS: value = lookup_path(json_get(context->steps, e->id), e->name); break;
    case EXPRESSION_SOURCE: TRY(source_field(arena, context, e, error, &value)); break;
    case EXPRESSION_WORKFLOW_INPUTS:
    case EXPRESSION_WORKFLOW_OUTPUTS: value = workflow_field(context, e); break;
    case EXPRESSION_COMPONENTS: break; /* refused when the run is prepared */
    }
    if (!value && context->placeholders && comes_from_an_answer(e->root))
        return placeholder(arena, e, error, ret_value);
    *ret_value = value ? json_pointer(value, e->pointer) : NULL;
    return STATUS_OK;
}

/* Finds the next `{$...}` that is an expression at or after `from`. */
static bool next_embedded(struct str text, size_t from, size_t *ret_open, size_t *ret_close,
                          struct expression *ret_expression)
{
    for (size_t open = from; (open = str_find(text, STR("{$"), open)) != SIZE_MAX; open++) {
        size_t close = open + 1, size;
        while (close < text.size && text.data[close] != '}' && text.data[close] != '{') close++;
        if (close >= text.size || text.data[close] != '}') continue;
        if (expression_parse(str_slice(text, open + 1, close), EXPRESSION_EMBEDDED, NULL, ret_expression, &size) !=
            STATUS_OK)
            continue;
        *ret_open = open;
        *ret_close = close;
        return true;
    }
    return false;
}

bool expression_each(struct str text, expression_found found, void *ctx)
{
    struct expression e;
    size_t size, open, close;
    if (text.size && text.data[0] == '$' && expression_parse(text, EXPRESSION_WHOLE, NULL, &e, &size) == STATUS_OK) {
        found(ctx, &e);
        return true;
    }
    bool any = false;
    for (size_t from = 0; next_embedded(text, from, &open, &close, &e); from = close + 1) {
        found(ctx, &e);
        any = true;
    }
    return any;
}

void expression_text(struct buf *buf, const struct json *value)
{
    if (value->type == JSON_STRING)
        buf_str_add(buf, value->string);
    else
        json_write(buf, value);
}

static enum status interpolate(struct arena *arena, const struct expression_context *context, struct str text,
                               struct buf *buf, bool *ret_any, struct error *error)
{
    struct expression e;
    size_t from = 0, open, close;
    for (; next_embedded(text, from, &open, &close, &e); from = close + 1) {
        const struct json *value;
        TRY(expression_evaluate(arena, context, &e, error, &value));
        buf_str_add(buf, str_slice(text, from, open));
        if (value) expression_text(buf, value);
        *ret_any = true;
    }
    if (*ret_any) buf_str_add(buf, str_slice(text, from, text.size));
    return STATUS_OK;
}

enum status expression_string(struct arena *arena, const struct expression_context *context, struct str text,
                              struct error *error, const struct json **ret_value)
{
    struct expression e;
    size_t size;
    if (text.size && text.data[0] == '$' && expression_parse(text, EXPRESSION_WHOLE, NULL, &e, &size) == STATUS_OK)
        return expression_evaluate(arena, context, &e, error, ret_value);
    struct buf buf = BUF_INIT(TEXT_SIZE_MAX);
    bool any = false;
    enum status status = interpolate(arena, context, text, &buf, &any, error);
    struct str result = text;
    if (status == STATUS_OK && any) {
        result = buf_status(&buf) == STATUS_OK ? arena_str(arena, buf_str(&buf)) : STR_NULL;
        if (!result.data) status = error_set(error, STATUS_LIMIT, "a text exceeds the memory budget");
    }
    buf_fini(&buf);
    return status == STATUS_OK ? new_value(arena, json_string(result), error, ret_value) : status;
}

/* Recursion is bounded by the depth limit of the document. */
enum status expression_tree(struct arena *arena, const struct expression_context *context, const struct json *tree,
                            struct error *error, const struct json **ret_value)
{
    if (tree->type == JSON_STRING) return expression_string(arena, context, tree->string, error, ret_value);
    if (tree->type != JSON_OBJECT && tree->type != JSON_ARRAY) {
        *ret_value = tree;
        return STATUS_OK;
    }
    bool object = tree->type == JSON_OBJECT;
    struct json result = object ? JSON_OBJECT_EMPTY : JSON_ARRAY_EMPTY;
    for (size_t i = 0; i < (object ? tree->object.count : tree->array.count); i++) {
        const struct json *leaf = object ? &tree->object.members[i].value : &tree->array.items[i], *value;
        TRY(expression_tree(arena, context, leaf, error, &value));
        enum status status = STATUS_OK;
        if (object && value)
            status = json_put(arena, &result, tree->object.members[i].key, *value);
        else if (!object)
            status = json_push(arena, &result, value ? *value : json_null());
        if (status != STATUS_OK) return error_set(error, status, "a value exceeds the memory budget");
    }
    return new_value(arena, result, error, ret_value);
}
