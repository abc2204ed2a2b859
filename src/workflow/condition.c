#include "workflow/condition.h"

#include <stdio.h>

#include "base/utf8.h"
#include "workflow/pattern.h"
#include "workflow/xml.h"

#define TEXT_SIZE_MAX  ((size_t)64 << 20)
#define SHOWN_MAX      200
#define GOESSNER_DRAFT "draft-goessner-dispatch-jsonpath-00"

static struct str string_member(const struct json *object, const char *name)
{
    const struct json *value = json_get(object, str_of(name));
    return value && value->type == JSON_STRING ? value->string : STR_NULL;
}

/* ---- compiling ---- */

static bool version_known(struct str version, const char *const *known)
{
    for (; *known; known++)
        if (str_eq(version, str_of(*known))) return true;
    return false;
}

static enum status read_version(struct condition *c, struct str version, struct error *error,
                                struct condition_remark *remark)
{
    static const char *const jsonpath[] = {"rfc9535", GOESSNER_DRAFT, NULL};
    static const char *const xpath[] = {"xpath-10", "xpath-20", "xpath-30", "xpath-31", NULL};
    bool known = true;
    if (c->type == CONDITION_JSONPATH) {
        known = version_known(version, jsonpath);
        if (str_is(version, GOESSNER_DRAFT)) c->dialect = JSONPATH_GOESSNER;
    } else if (c->type == CONDITION_XPATH) {
        known = version_known(version, xpath);
        if (known && !str_is(version, "xpath-10"))
            snprintf(remark->text, sizeof remark->text, "an expression of version " STR_FMT " is read as XPath 1.0",
                     STR_ARG(version));
    }
    if (known) return STATUS_OK;
    error_set(error, STATUS_UNSUPPORTED, "unknown version \"" STR_FMT "\" of a criterion", STR_ARG(version));
    error_hint(error, c->type == CONDITION_JSONPATH ? "use rfc9535 or " GOESSNER_DRAFT : "use xpath-10");
    return STATUS_UNSUPPORTED;
}

static enum status read_type(struct condition *c, const struct json *node, struct error *error,
                             struct condition_remark *remark)
{
    static const char *const names[] = {"simple", "regex", "jsonpath", "xpath"};
    const struct json *type = json_member(node, "type");
    if (!type) return STATUS_OK;
    bool is_object = type->type == JSON_OBJECT;
    struct str name = is_object ? string_member(type, "type") : type->type == JSON_STRING ? type->string : STR_NULL;
    for (int i = 0; i < 4; i++) {
        if (!str_eq(name, str_of(names[i]))) continue;
        c->type = (enum condition_type)i;
        if (!is_object) return STATUS_OK;
        if (c->type != CONDITION_JSONPATH && c->type != CONDITION_XPATH)
            return error_set(error, STATUS_INVALID, "a criterion of type %s has no version", names[i]);
        if (!string_member(type, "version").data)
            return error_set(error, STATUS_INVALID, "the criterion type has no \"version\"");
        return read_version(c, string_member(type, "version"), error, remark);
    }
    error_set(error, STATUS_UNSUPPORTED, "unknown criterion type \"" STR_FMT "\"", STR_ARG(name));
    error_hint(error, "use simple, regex, jsonpath or xpath");
    return STATUS_UNSUPPORTED;
}

static void note_any(void *ctx, const struct expression *expression)
{
    (void)expression;
    *(bool *)ctx = true;
}

/* `$.a == 1` is no query, but often written: the part before the operator is one. */
static bool is_outer_comparison(struct arena *arena, struct str text, enum jsonpath_dialect dialect)
{
    static const char *const operators[] = {"==", "!=", "<", ">"};
    const struct jsonpath *path;
    for (size_t i = 0; i < sizeof operators / sizeof *operators; i++) {
        size_t at = str_find(text, str_of(operators[i]), 0);
        if (at == SIZE_MAX) continue;
        struct str left = str_trim(str_slice(text, 0, at));
        if (jsonpath_compile(arena, left, dialect, NULL, &path) == STATUS_OK) return true;
    }
    return false;
}

static enum status compile_jsonpath(struct arena *arena, struct condition *c, struct error *error,
                                    struct condition_remark *remark)
{
    const struct jsonpath *path;
    enum status status = jsonpath_compile(arena, c->text, c->dialect, error, &path);
    if (status != STATUS_INVALID || !is_outer_comparison(arena, c->text, c->dialect)) return status;
    c->never = true;
    snprintf(remark->text, sizeof remark->text,
             "JSONPath has no comparison outside of a filter: this condition never holds");
    snprintf(remark->hint, sizeof remark->hint, "write a filter, $[?@.name == value], or a simple condition");
    return STATUS_OK;
}

static enum status compile_text(struct arena *arena, struct condition *c, struct error *error,
                                struct condition_remark *remark)
{
    unsigned flags;
    if (c->embeds) return STATUS_OK; /* it is known only when it is evaluated */
    switch (c->type) {
    case CONDITION_REGEX: {
        struct str pattern = pattern_of_literal(c->text, &flags);
        return pattern_check(pattern, flags, error);
    }
    case CONDITION_JSONPATH: return compile_jsonpath(arena, c, error, remark);
    case CONDITION_XPATH: return xml_check_xpath(c->text, error);
    case CONDITION_SIMPLE: break;
    }
    return STATUS_OK;
}

enum status condition_compile(struct arena *arena, const struct json *node, struct error *error,
                              struct condition_remark *remark, struct condition *ret_condition)
{
    struct condition c = {.type = CONDITION_SIMPLE, .text = string_member(node, "condition")};
    const struct json *context = json_member(node, "context");
    size_t size;
    *remark = (struct condition_remark){.text = ""};
    if (!c.text.data) return error_set(error, STATUS_INVALID, "the criterion has no \"condition\"");
    TRY(read_type(&c, node, error, remark));
    if (c.type == CONDITION_SIMPLE) {
        if (context) snprintf(remark->text, sizeof remark->text, "a simple condition has no use for its \"context\"");
        TRY(criterion_compile(arena, c.text, error, &c.simple));
        *ret_condition = c;
        return STATUS_OK;
    }
    if (!context || context->type != JSON_STRING) {
        error_set(error, STATUS_INVALID, "a criterion of this type needs a \"context\"");
        error_hint(error, "write context: $response.body");
        return STATUS_INVALID;
    }
    struct error problem = ERROR_INIT;
    if (expression_parse(context->string, EXPRESSION_WHOLE, &problem, &c.context, &size) != STATUS_OK)
        return error_set(error, STATUS_INVALID, "the context of a criterion: %s", problem.primary);
    expression_each(c.text, note_any, &c.embeds);
    TRY(compile_text(arena, &c, error, remark));
    *ret_condition = c;
    return STATUS_OK;
}

/* ---- evaluating ---- */

static void show(struct buf *message, struct str text)
{
    size_t size = text.size > SHOWN_MAX ? utf8_cut(text.data, text.size, SHOWN_MAX) : text.size;
    buf_str_add(message, str_slice(text, 0, size));
    if (size < text.size) buf_lit(message, "...");
}

/* The value as the text that a pattern or an XPath is asked about. */
static struct str text_of(struct arena *arena, const struct json *value)
{
    if (value->type == JSON_STRING) return value->string.data ? value->string : STR("");
    struct buf buf = BUF_INIT(TEXT_SIZE_MAX);
    json_write(&buf, value);
    struct str text = buf_status(&buf) == STATUS_OK ? arena_str(arena, buf_str(&buf)) : STR_NULL;
    buf_fini(&buf);
    return text;
}

static enum status query(struct arena *arena, const struct condition *c, struct str text, const struct json *value,
                         struct error *error, bool *ret_holds)
{
    const struct jsonpath *path;
    struct jsonpath_nodes nodes;
    TRY(jsonpath_compile(arena, text, c->dialect, error, &path));
    TRY(jsonpath_evaluate(arena, path, value, error, &nodes));
    if (nodes.count == 0 && value->type == JSON_OBJECT && str_starts(text, STR("$[?"))) {
        struct json wrapped = JSON_ARRAY_EMPTY;
        TRY(json_push(arena, &wrapped, *value));
        TRY(jsonpath_evaluate(arena, path, &wrapped, error, &nodes));
    }
    *ret_holds = nodes.count > 0;
    return STATUS_OK;
}

static enum status ask(struct arena *arena, const struct condition *c, struct str text, const struct json *value,
                       struct error *error, bool *ret_holds)
{
    if (c->type == CONDITION_JSONPATH) return query(arena, c, text, value, error, ret_holds);
    struct str subject = text_of(arena, value);
    if (!subject.data) return error_set(error, STATUS_LIMIT, "a context exceeds the memory budget");
    if (c->type == CONDITION_XPATH) return xml_xpath_holds(subject, text, error, ret_holds);
    unsigned flags;
    struct str pattern = pattern_of_literal(text, &flags);
    return pattern_search(pattern, flags, subject, error, ret_holds);
}

static enum status evaluate_with_context(struct arena *arena, const struct condition *c,
                                         const struct expression_context *context, struct error *error,
                                         struct buf *message, bool *ret_holds)
{
    const struct json *value, *written;
    struct str text = c->text;
    if (c->never) {
        buf_lit(message, "a comparison outside of a filter");
        return STATUS_OK;
    }
    TRY(expression_evaluate(arena, context, &c->context, error, &value));
    if (!value || value->type == JSON_NULL) {
        buf_str_add(message, c->context.text);
        buf_str_add(message, value ? STR(" is null") : STR(" has no value"));
        return STATUS_OK;
    }
    if (c->embeds) {
        TRY(expression_string(arena, context, c->text, error, &written));
        if (!written) { /* the condition is nothing but an expression */
            buf_str_add(message, c->text);
            buf_lit(message, " has no value");
            return STATUS_OK;
        }
        text = text_of(arena, written);
        if (!text.data) return error_set(error, STATUS_LIMIT, "a condition exceeds the memory budget");
    }
    TRY(ask(arena, c, text, value, error, ret_holds));
    if (*ret_holds) return STATUS_OK;
    buf_str_add(message, c->context.text);
    buf_lit(message, " was ");
    struct str shown = text_of(arena, value);
    show(message, shown.data ? shown : STR("?"));
    return STATUS_OK;
}

enum status condition_evaluate(struct arena *arena, const struct condition *condition,
                               const struct expression_context *context, struct buf *message, bool *ret_holds)
{
    struct error problem = ERROR_INIT;
    bool holds = false;
    enum status status;
    *ret_holds = false;
    if (condition->type == CONDITION_SIMPLE) {
        status = criterion_evaluate(arena, condition->simple, context, &problem, &holds);
        if (status == STATUS_OK && !holds) criterion_explain(arena, condition->simple, context, message);
    } else {
        status = evaluate_with_context(arena, condition, context, &problem, message, &holds);
    }
    if (status != STATUS_OK) {
        /* A pattern or a query that takes too much is a condition that fails; only a full arena ends the run. */
        if (status == STATUS_LIMIT && !arena_alloc(arena, 4096)) return status;
        buf_str_add(message, str_of(problem.primary));
        return STATUS_OK;
    }
    *ret_holds = holds;
    return STATUS_OK;
}

void condition_each(const struct condition *condition, expression_found found, void *ctx)
{
    if (condition->type == CONDITION_SIMPLE) {
        criterion_each(condition->simple, found, ctx);
        return;
    }
    found(ctx, &condition->context);
    expression_each(condition->text, found, ctx);
}
