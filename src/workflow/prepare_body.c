/* The request body of a step, prepared: payload, media type, and the replacements that come after it. */
#include "workflow/prepare.h"

#include "workflow/media.h"
#include "workflow/xml.h"

#define ERROR(p, at, rule, ...)                                                                                        \
    do {                                                                                                               \
        workflow_error_at((p)->problems, (p)->document->file, (at), __VA_ARGS__);                                      \
        workflow_problem_rule((p)->problems, (rule));                                                                  \
    } while (0)

static enum status no_memory(struct error *error)
{
    return error_set(error, STATUS_LIMIT, "a step exceeds the memory budget");
}

/* BODY-1: the step's content type, else the first one that the operation declares. */
static enum status choose_type(struct preparation *p, struct prepared_step *step, const struct json *body,
                               struct error *error)
{
    const struct json *type = json_member(body, "contentType");
    struct str content_type = type && type->type == JSON_STRING ? type->string : STR_NULL;
    if (!content_type.size) {
        struct error problem = ERROR_INIT;
        enum status status = openapi_body_type(&p->sources, step->operation, &problem, &content_type);
        if (status == STATUS_LIMIT) return no_memory(error);
        if (status != STATUS_OK) {
            error_prefix(&problem, "step \"" STR_FMT "\"", STR_ARG(step->step->id));
            workflow_error_take(p->problems, p->document->file, body, &problem);
            workflow_problem_rule(p->problems, "source-unreadable");
        }
        if (!content_type.size || str_find_byte(content_type, '*', 0) != SIZE_MAX)
            content_type = STR("application/json");
    }
    for (size_t i = 0; i < content_type.size; i++) {
        if ((unsigned char)content_type.data[i] >= ' ' && content_type.data[i] != 0x7F) continue;
        ERROR(p, type ? type : body, "body-invalid", "step \"" STR_FMT "\": the content type has a control character",
              STR_ARG(step->step->id));
        break;
    }
    step->content_type = content_type;
    return STATUS_OK;
}

/* What a target is: by targetSelectorType (1.1), else an XPath in XML and a JSON Pointer in everything else. */
static bool target_kind(struct preparation *p, struct prepared_step *step, const struct json *node,
                        struct prepared_replacement *replacement)
{
    const struct json *type = json_member(node, "targetSelectorType");
    const struct json *name = type && type->type == JSON_OBJECT ? json_member(type, "type") : type;
    bool xml = media_is_xml(step->content_type);
    replacement->kind = xml ? REPLACE_XPATH : REPLACE_POINTER;
    if (!type) return true;
    struct str text = name && name->type == JSON_STRING ? name->string : STR("?");
    if (str_is(text, "jsonpointer"))
        replacement->kind = REPLACE_POINTER;
    else if (str_is(text, "jsonpath"))
        replacement->kind = REPLACE_JSONPATH;
    else if (str_is(text, "xpath"))
        replacement->kind = REPLACE_XPATH;
    else {
        ERROR(p, type, "replacement-invalid", "step \"" STR_FMT "\": unknown targetSelectorType \"" STR_FMT "\"",
              STR_ARG(step->step->id), STR_ARG(text));
        return false;
    }
    if ((replacement->kind == REPLACE_XPATH) == xml) return true;
    ERROR(p, type, "replacement-invalid",
          "step \"" STR_FMT "\": a target of type \"" STR_FMT "\" does not fit " STR_FMT, STR_ARG(step->step->id),
          STR_ARG(text), STR_ARG(step->content_type));
    return false;
}

static bool pointer_fits(struct str pointer)
{
    if (pointer.size && pointer.data[0] != '/') return false;
    for (size_t i = 0; i < pointer.size; i++) {
        char next = i + 1 < pointer.size ? pointer.data[i + 1] : 0;
        if (pointer.data[i] == '~' && next != '0' && next != '1') return false;
    }
    return true;
}

static void check_target(struct preparation *p, struct prepared_step *step,
                         const struct prepared_replacement *replacement)
{
    struct error problem = ERROR_INIT;
    const struct jsonpath *path;
    struct str target = replacement->target->string;
    if (str_find(target, STR("{$"), 0) != SIZE_MAX) return; /* it is known only when it is evaluated */
    if (replacement->kind == REPLACE_POINTER) {
        if (!pointer_fits(target))
            ERROR(p, replacement->target, "replacement-invalid",
                  "step \"" STR_FMT "\": \"" STR_FMT "\" is no JSON Pointer", STR_ARG(step->step->id), STR_ARG(target));
        return;
    }
    enum status status = replacement->kind == REPLACE_XPATH
                             ? xml_check_xpath(target, &problem)
                             : jsonpath_compile(p->arena, target, JSONPATH_RFC9535, &problem, &path);
    if (status == STATUS_OK) return;
    error_prefix(&problem, "step \"" STR_FMT "\"", STR_ARG(step->step->id));
    problem.line = problem.column = 0;
    workflow_error_take(p->problems, p->document->file, replacement->target, &problem);
    workflow_problem_rule(p->problems, "replacement-invalid");
}

static enum status prepare_replacements(struct preparation *p, struct prepared_step *step, const struct json *list,
                                        struct error *error)
{
    size_t count = list && list->type == JSON_ARRAY ? list->array.count : 0;
    step->replacements = arena_new_array(p->arena, struct prepared_replacement, count + 1);
    if (!step->replacements) return no_memory(error);
    for (size_t i = 0; i < count; i++) {
        const struct json *node = &list->array.items[i];
        struct prepared_replacement *replacement = &step->replacements[step->replacement_count];
        replacement->target = json_member(node, "target");
        replacement->value = json_member(node, "value");
        if (!replacement->target || replacement->target->type != JSON_STRING || !replacement->value)
            continue; /* said */
        if (prepare_is_selector(replacement->value)) {
            ERROR(p, replacement->value, "unsupported", "step \"" STR_FMT "\": selector objects are not supported",
                  STR_ARG(step->step->id));
            continue;
        }
        if (!target_kind(p, step, node, replacement)) continue;
        check_target(p, step, replacement);
        step->replacement_count++;
    }
    return STATUS_OK;
}

/* body.h: is there a way to write such a value, as far as it is known before its expressions are? */
static bool can_be_written(const struct json *payload, struct str type)
{
    if (payload->type == JSON_ARRAY) return media_is_json(type) || media_is(type, "text/csv");
    if (payload->type != JSON_OBJECT) return true;
    return media_is_json(type) || media_is(type, "application/x-www-form-urlencoded") ||
           media_is(type, "multipart/form-data");
}

enum status prepare_body(struct preparation *p, struct prepared_step *step, struct error *error)
{
    const struct json *body = step->step->request_body, *reference = json_member(body, "reference");
    step->payload = json_member(body, "payload");
    if (reference) {
        ERROR(p, reference, "component-unknown", "step \"" STR_FMT "\": there are no components for request bodies",
              STR_ARG(step->step->id));
        return STATUS_OK;
    }
    if (!step->payload) return STATUS_OK;
    TRY(choose_type(p, step, body, error));
    if (prepare_is_selector(step->payload)) {
        ERROR(p, step->payload, "unsupported", "step \"" STR_FMT "\": selector objects are not supported",
              STR_ARG(step->step->id));
        return STATUS_OK;
    }
    if (!can_be_written(step->payload, step->content_type)) {
        ERROR(p, step->payload, "body-invalid",
              "step \"" STR_FMT "\": a payload of type %s cannot be written as " STR_FMT, STR_ARG(step->step->id),
              json_type_name(step->payload), STR_ARG(step->content_type));
        workflow_problem_hint(p->problems, "write it as a text");
    }
    return prepare_replacements(p, step, json_member(body, "replacements"), error);
}
