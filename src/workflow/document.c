/*
 * The structural check is driven by tables, one per kind of object in the specification: field name, allowed
 * JSON types, required or not, and the field's own kind where it is an object or a list of objects. One
 * walker applies them; what a table cannot say (unique ids, exactly one of three fields) follows in functions
 * of its own. The walker's recursion is as deep as the tables are nested, not as the document is.
 */
#include "workflow/document.h"

#include "base/yaml.h"
#include "workflow/location.h"

#include <stdio.h>

#define LIST_MAX 1000 /* sources, workflows, steps, parameters, criteria: of each, in one list */

enum {
    T_STRING = 1u << JSON_STRING,
    T_OBJECT = 1u << JSON_OBJECT,
    T_ARRAY = 1u << JSON_ARRAY,
    T_NUMBER = 1u << JSON_INT | 1u << JSON_DOUBLE | 1u << JSON_BIGNUM,
    T_BOOL = 1u << JSON_BOOL,
    T_ANY = ~0u,
};

struct kind;
struct field {
    const char *name; /* NULL ends the list */
    unsigned types;
    bool required;
    const struct kind *kind;      /* of the object */
    const struct kind *item_kind; /* of each item of the array, or of each value of the map */
};
struct kind {
    const char *name;
    const struct field *fields;
};

#define REUSABLE                                                                                                       \
    {                                                                                                                  \
        "reference", T_STRING, false, NULL, NULL                                                                       \
    }

static const struct kind kind_info = {"info", (const struct field[]){{"title", T_STRING, true, NULL, NULL},
                                                                     {"summary", T_STRING, false, NULL, NULL},
                                                                     {"description", T_STRING, false, NULL, NULL},
                                                                     {"version", T_STRING | T_NUMBER, true, NULL, NULL},
                                                                     {0}}};
static const struct kind kind_source = {"source description",
                                        (const struct field[]){{"name", T_STRING, true, NULL, NULL},
                                                               {"url", T_STRING, true, NULL, NULL},
                                                               {"type", T_STRING, false, NULL, NULL},
                                                               {0}}};
static const struct kind kind_parameter = {"parameter", (const struct field[]){{"name", T_STRING, false, NULL, NULL},
                                                                               {"in", T_STRING, false, NULL, NULL},
                                                                               {"value", T_ANY, false, NULL, NULL},
                                                                               REUSABLE,
                                                                               {0}}};
static const struct kind kind_criterion = {"criterion",
                                           (const struct field[]){{"context", T_STRING, false, NULL, NULL},
                                                                  {"condition", T_STRING, true, NULL, NULL},
                                                                  {"type", T_STRING | T_OBJECT, false, NULL, NULL},
                                                                  {0}}};
static const struct kind kind_action = {"action",
                                        (const struct field[]){{"name", T_STRING, false, NULL, NULL},
                                                               {"type", T_STRING, false, NULL, NULL},
                                                               {"workflowId", T_STRING, false, NULL, NULL},
                                                               {"stepId", T_STRING, false, NULL, NULL},
                                                               {"retryAfter", T_NUMBER, false, NULL, NULL},
                                                               {"retryLimit", T_NUMBER, false, NULL, NULL},
                                                               {"criteria", T_ARRAY, false, NULL, &kind_criterion},
                                                               {"parameters", T_ARRAY, false, NULL, NULL},
                                                               {"value", T_ANY, false, NULL, NULL},
                                                               REUSABLE,
                                                               {0}}};
static const struct kind kind_replacement = {
    "payload replacement", (const struct field[]){{"target", T_STRING, true, NULL, NULL},
                                                  {"value", T_ANY, true, NULL, NULL},
                                                  {"targetSelectorType", T_STRING | T_OBJECT, false, NULL, NULL},
                                                  {0}}};
static const struct kind kind_body = {"request body",
                                      (const struct field[]){{"contentType", T_STRING, false, NULL, NULL},
                                                             {"payload", T_ANY, false, NULL, NULL},
                                                             {"replacements", T_ARRAY, false, NULL, &kind_replacement},
                                                             REUSABLE,
                                                             {0}}};
static const struct kind kind_step = {"step",
                                      (const struct field[]){{"stepId", T_STRING, true, NULL, NULL},
                                                             {"description", T_STRING, false, NULL, NULL},
                                                             {"operationId", T_STRING, false, NULL, NULL},
                                                             {"operationPath", T_STRING, false, NULL, NULL},
                                                             {"workflowId", T_STRING, false, NULL, NULL},
                                                             {"parameters", T_ARRAY, false, NULL, &kind_parameter},
                                                             {"requestBody", T_OBJECT, false, &kind_body, NULL},
                                                             {"successCriteria", T_ARRAY, false, NULL, &kind_criterion},
                                                             {"onSuccess", T_ARRAY, false, NULL, &kind_action},
                                                             {"onFailure", T_ARRAY, false, NULL, &kind_action},
                                                             {"outputs", T_OBJECT, false, NULL, NULL},
                                                             /* of 1.1 */
                                                             {"channelPath", T_STRING, false, NULL, NULL},
                                                             {"action", T_STRING, false, NULL, NULL},
                                                             {"correlationId", T_ANY, false, NULL, NULL},
                                                             {"timeout", T_NUMBER, false, NULL, NULL},
                                                             {"dependsOn", T_ARRAY, false, NULL, NULL},
                                                             {0}}};
static const struct kind kind_workflow = {"workflow",
                                          (const struct field[]){{"workflowId", T_STRING, true, NULL, NULL},
                                                                 {"summary", T_STRING, false, NULL, NULL},
                                                                 {"description", T_STRING, false, NULL, NULL},
                                                                 {"inputs", T_OBJECT | T_BOOL, false, NULL, NULL},
                                                                 {"dependsOn", T_ARRAY, false, NULL, NULL},
                                                                 {"steps", T_ARRAY, true, NULL, &kind_step},
                                                                 {"successActions", T_ARRAY, false, NULL, &kind_action},
                                                                 {"failureActions", T_ARRAY, false, NULL, &kind_action},
                                                                 {"outputs", T_OBJECT, false, NULL, NULL},
                                                                 {"parameters", T_ARRAY, false, NULL, &kind_parameter},
                                                                 {0}}};
static const struct kind kind_components = {
    "components", (const struct field[]){{"inputs", T_OBJECT, false, NULL, NULL},
                                         {"parameters", T_OBJECT, false, NULL, &kind_parameter},
                                         {"successActions", T_OBJECT, false, NULL, &kind_action},
                                         {"failureActions", T_OBJECT, false, NULL, &kind_action},
                                         {0}}};
static const struct kind kind_root = {"Arazzo document",
                                      (const struct field[]){{"arazzo", T_STRING, true, NULL, NULL},
                                                             {"info", T_OBJECT, true, &kind_info, NULL},
                                                             {"sourceDescriptions", T_ARRAY, true, NULL, &kind_source},
                                                             {"workflows", T_ARRAY, true, NULL, &kind_workflow},
                                                             {"components", T_OBJECT, false, &kind_components, NULL},
                                                             {"$self", T_STRING, false, NULL, NULL},
                                                             {0}}};

struct checker {
    struct workflow_document *document;
    struct workflow_problems *problems;
};

#define ERROR(c, rule, at, ...)                                                                                        \
    do {                                                                                                               \
        workflow_error_at((c)->problems, (c)->document->file, (at), __VA_ARGS__);                                      \
        workflow_problem_rule((c)->problems, (rule));                                                                  \
    } while (0)
#define WARNING(c, rule, at, ...)                                                                                      \
    do {                                                                                                               \
        workflow_warning_at((c)->problems, (c)->document->file, (at), __VA_ARGS__);                                    \
        workflow_problem_rule((c)->problems, (rule));                                                                  \
    } while (0)

static void type_names(unsigned types, char *text, size_t size)
{
    static const struct {
        unsigned bit;
        const char *name;
    } names[] = {{T_STRING, "string"}, {T_NUMBER, "number"}, {T_BOOL, "boolean"}, {T_ARRAY, "list"}, {T_OBJECT, "map"}};
    size_t used = 0;
    text[0] = 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (!(types & names[i].bit) || used >= size) continue;
        used += (size_t)snprintf(text + used, size - used, "%s%s", used ? " or " : "", names[i].name);
    }
}

static const struct field *find_field(const struct kind *kind, struct str name)
{
    for (const struct field *f = kind->fields; f->name; f++) {
        if (str_eq(name, str_of(f->name))) return f;
    }
    return NULL;
}

static void walk(struct checker *c, const struct kind *kind, const struct json *object);

static void walk_items(struct checker *c, const struct field *field, const struct json *value)
{
    bool map = value->type == JSON_OBJECT;
    size_t count = map ? value->object.count : value->array.count;
    if (count > LIST_MAX) {
        ERROR(c, "list-size", value, "\"%s\" has more than %d entries", field->name, LIST_MAX);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        if (map && str_starts(value->object.members[i].key, STR("x-"))) continue;
        const struct json *item = map ? &value->object.members[i].value : &value->array.items[i];
        if (item->type == JSON_OBJECT) {
            walk(c, field->item_kind, item);
        } else {
            ERROR(c, "field-type", item, "each entry of \"%s\" must be a map, not %s", field->name,
                  json_type_name(item));
        }
    }
}

static void walk(struct checker *c, const struct kind *kind, const struct json *object)
{
    for (const struct field *f = kind->fields; f->name; f++) {
        if (f->required && !json_get(object, str_of(f->name)))
            ERROR(c, "field-missing", object, "the %s has no \"%s\"", kind->name, f->name);
    }
    for (size_t i = 0; i < object->object.count; i++) {
        const struct json_member *member = &object->object.members[i];
        if (str_starts(member->key, STR("x-"))) continue;
        const struct field *f = find_field(kind, member->key);
        if (!f) {
            WARNING(c, "field-unknown", &member->value, "unknown field \"" STR_FMT "\" in the %s, ignoring it",
                    STR_ARG(member->key), kind->name);
            continue;
        }
        if (!(f->types & 1u << member->value.type)) {
            char types[64];
            type_names(f->types, types, sizeof types);
            ERROR(c, "field-type", &member->value, "\"%s\" of the %s must be a %s, not %s", f->name, kind->name, types,
                  json_type_name(&member->value));
            if (f->types == T_STRING && json_is_number(&member->value))
                workflow_problem_hint(c->problems, "put it in quotes");
            continue;
        }
        if (f->kind) walk(c, f->kind, &member->value);
        if (f->item_kind) walk_items(c, f, &member->value);
    }
}

static bool all_of(struct str text, const char *extra)
{
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i], lower = (char)(c | 0x20);
        bool plain = (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9');
        if (!plain && (c == 0 || !strchr(extra, c))) return false;
    }
    return text.size > 0;
}

static void check_version(struct checker *c)
{
    const struct json *version = json_member(&c->document->root, "arazzo");
    if (!version || version->type != JSON_STRING) return;
    struct str text = version->string;
    size_t digits = 4;
    while (digits < text.size && text.data[digits] >= '0' && text.data[digits] <= '9') digits++;
    bool shaped = digits > 4 && (digits == text.size || (text.data[digits] == '-' && digits + 1 < text.size));
    c->document->version = text;
    if (shaped && str_starts(text, STR("1.0."))) return;
    if (shaped && str_starts(text, STR("1.1."))) {
        WARNING(c, "document-version", version,
                "Arazzo " STR_FMT " is newer than this runner, reading it by the rules of 1.0", STR_ARG(text));
        return;
    }
    ERROR(c, "document-version", version, "unsupported Arazzo version \"" STR_FMT "\"", STR_ARG(text));
    workflow_problem_hint(c->problems, "this runner reads 1.0.x");
}

static struct str string_member(const struct json *object, const char *name)
{
    const struct json *value = json_get(object, str_of(name));
    return value && value->type == JSON_STRING ? value->string : STR_NULL;
}

static const struct json *typed_member(const struct json *object, const char *name, unsigned types)
{
    const struct json *value = json_get(object, str_of(name));
    return value && (types & 1u << value->type) ? value : NULL;
}

/* Ids "should" keep to a pattern, the specification says; names of outputs and components must. */
static void check_id(struct checker *c, const struct json *object, const char *field, const char *what)
{
    const struct json *id = typed_member(object, field, T_STRING);
    if (!id) return;
    if (id->string.size == 0)
        ERROR(c, "id-pattern", id, "the %s is empty", what);
    else if (!all_of(id->string, "_-"))
        WARNING(c, "id-pattern", id, "the %s \"" STR_FMT "\" should consist of letters, digits, _ and -", what,
                STR_ARG(id->string));
}

static void check_names(struct checker *c, const struct json *map, const char *what)
{
    for (size_t i = 0; map && i < map->object.count; i++) {
        const struct json_member *member = &map->object.members[i];
        if (!all_of(member->key, "._-"))
            ERROR(c, "name-pattern", &member->value,
                  "the %s name \"" STR_FMT "\" may only have letters, digits, ., - and _", what, STR_ARG(member->key));
    }
}

static void check_unique(struct checker *c, const struct json *list, const char *field, const char *what)
{
    for (size_t i = 1; list && i < list->array.count; i++) {
        const struct json *id = typed_member(&list->array.items[i], field, T_STRING);
        for (size_t k = 0; id && k < i; k++) {
            const struct json *other = typed_member(&list->array.items[k], field, T_STRING);
            if (!other || !str_eq(other->string, id->string)) continue;
            ERROR(c, "id-duplicate", id, "duplicate %s \"" STR_FMT "\"", what, STR_ARG(id->string));
            workflow_problem_hint(c->problems, "the first one is in line %u", other->line);
            break;
        }
    }
}

/* PAR-1, PAR-4, PAR-9: each entry is a parameter with name and value, or a reference; no (name, in) twice.
 * `in` itself is looked at when the step's operation is known. */
static void check_parameters(struct checker *c, const struct json *list, bool need_in)
{
    for (size_t i = 0; list && i < list->array.count; i++) {
        const struct json *item = &list->array.items[i];
        if (item->type != JSON_OBJECT || json_member(item, "reference")) continue;
        struct str name = string_member(item, "name"), in = string_member(item, "in");
        if (!json_member(item, "name"))
            ERROR(c, "parameter-incomplete", item, "the parameter has no \"name\"");
        else if (name.data && !name.size)
            ERROR(c, "parameter-incomplete", json_member(item, "name"), "the parameter's name is empty");
        if (!json_member(item, "value")) ERROR(c, "parameter-incomplete", item, "the parameter has no \"value\"");
        if (!json_member(item, "in")) {
            if (need_in) ERROR(c, "parameter-incomplete", item, "the parameter has no \"in\"");
        } else if (in.data && !str_is(in, "path") && !str_is(in, "query") && !str_is(in, "header") &&
                   !str_is(in, "cookie") && !str_is(in, "querystring")) {
            ERROR(c, "field-value", json_member(item, "in"), "unknown parameter location \"" STR_FMT "\"", STR_ARG(in));
            workflow_problem_hint(c->problems, "use path, query, header or cookie");
        }
        for (size_t k = 0; name.data && k < i; k++) {
            const struct json *other = &list->array.items[k];
            struct str other_name = string_member(other, "name");
            if (json_member(other, "reference") || !str_eq(in, string_member(other, "in"))) continue;
            if (!(str_is(in, "header") ? str_eq_nocase(name, other_name) : str_eq(name, other_name))) continue;
            ERROR(c, "parameter-duplicate", item, "duplicate parameter \"" STR_FMT "\" in " STR_FMT, STR_ARG(name),
                  STR_ARG(in));
            break;
        }
    }
}

static void check_step(struct checker *c, struct workflow_step *step)
{
    static const char *const targets[] = {"operationId", "operationPath", "workflowId", "channelPath"};
    unsigned given = 0;
    for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
        const struct json *target = json_get(step->node, str_of(targets[i]));
        given += target != NULL;
        if (target && target->type == JSON_STRING && !target->string.size)
            ERROR(c, "step-target", target, "the step's \"%s\" is empty", targets[i]);
    }
    if (given != 1) {
        ERROR(c, "step-target", step->node,
              given ? "the step names more than one of operationId, operationPath and workflowId"
                    : "the step names no operation");
        if (!given) workflow_problem_hint(c->problems, "give it an operationId or an operationPath");
    }
    check_id(c, step->node, "stepId", "stepId");
    check_parameters(c, step->parameters, step->workflow_id.size == 0);
    check_names(c, step->outputs, "output");
    if (step->success_criteria && step->success_criteria->array.count == 0)
        ERROR(c, "list-size", step->success_criteria, "\"successCriteria\" is an empty list");
    if (step->request_body && !json_member(step->request_body, "payload") &&
        !json_member(step->request_body, "reference"))
        WARNING(c, "field-missing", step->request_body, "the request body has no \"payload\", sending none");
}

static enum status build_steps(struct checker *c, struct arena *arena, struct workflow *workflow)
{
    const struct json *list = typed_member(workflow->node, "steps", T_ARRAY);
    if (!list) return STATUS_OK;
    if (list->array.count == 0) ERROR(c, "list-size", list, "the workflow has no steps");
    if (list->array.count > LIST_MAX) return STATUS_OK;
    workflow->steps = arena_new_array(arena, struct workflow_step, list->array.count + 1);
    if (!workflow->steps) return STATUS_LIMIT;
    check_unique(c, list, "stepId", "stepId");
    for (size_t i = 0; i < list->array.count; i++) {
        const struct json *node = &list->array.items[i];
        if (node->type != JSON_OBJECT) continue;
        struct workflow_step *step = &workflow->steps[workflow->step_count++];
        *step = (struct workflow_step){
            .id = string_member(node, "stepId"),
            .operation_id = string_member(node, "operationId"),
            .operation_path = string_member(node, "operationPath"),
            .workflow_id = string_member(node, "workflowId"),
            .node = node,
            .parameters = typed_member(node, "parameters", T_ARRAY),
            .request_body = typed_member(node, "requestBody", T_OBJECT),
            .success_criteria = typed_member(node, "successCriteria", T_ARRAY),
            .outputs = typed_member(node, "outputs", T_OBJECT),
        };
        check_step(c, step);
    }
    return STATUS_OK;
}

static enum status build_workflows(struct checker *c, struct arena *arena)
{
    struct workflow_document *document = c->document;
    const struct json *list = typed_member(&document->root, "workflows", T_ARRAY);
    if (!list) return STATUS_OK;
    if (list->array.count == 0) ERROR(c, "list-size", list, "the document has no workflows");
    if (list->array.count > LIST_MAX) return STATUS_OK;
    document->workflows = arena_new_array(arena, struct workflow, list->array.count + 1);
    if (!document->workflows) return STATUS_LIMIT;
    check_unique(c, list, "workflowId", "workflowId");
    for (size_t i = 0; i < list->array.count; i++) {
        const struct json *node = &list->array.items[i];
        if (node->type != JSON_OBJECT) continue;
        struct workflow *workflow = &document->workflows[document->workflow_count++];
        *workflow = (struct workflow){
            .id = string_member(node, "workflowId"),
            .summary = string_member(node, "summary"),
            .node = node,
            .inputs = typed_member(node, "inputs", T_OBJECT | T_BOOL),
            .parameters = typed_member(node, "parameters", T_ARRAY),
            .outputs = typed_member(node, "outputs", T_OBJECT),
        };
        check_id(c, node, "workflowId", "workflowId");
        check_parameters(c, workflow->parameters, false);
        check_names(c, workflow->outputs, "output");
        TRY(build_steps(c, arena, workflow));
    }
    return STATUS_OK;
}

static enum status build_sources(struct checker *c, struct arena *arena)
{
    struct workflow_document *document = c->document;
    const struct json *list = typed_member(&document->root, "sourceDescriptions", T_ARRAY);
    if (!list) return STATUS_OK;
    if (list->array.count == 0) ERROR(c, "list-size", list, "the document has no source descriptions");
    if (list->array.count > LIST_MAX) return STATUS_OK;
    document->sources = arena_new_array(arena, struct workflow_source, list->array.count + 1);
    if (!document->sources) return STATUS_LIMIT;
    check_unique(c, list, "name", "source name");
    for (size_t i = 0; i < list->array.count; i++) {
        const struct json *node = &list->array.items[i];
        if (node->type != JSON_OBJECT) continue;
        struct str type = string_member(node, "type");
        document->sources[document->source_count++] = (struct workflow_source){
            .name = string_member(node, "name"), .url = string_member(node, "url"), .type = type, .node = node};
        check_id(c, node, "name", "source name");
        if (type.data && !str_is(type, "openapi") && !str_is(type, "arazzo") && !str_is(type, "asyncapi")) {
            ERROR(c, "field-value", json_member(node, "type"), "unknown source type \"" STR_FMT "\"", STR_ARG(type));
            workflow_problem_hint(c->problems, "use openapi or arazzo");
        }
    }
    return STATUS_OK;
}

static enum status build(struct checker *c, struct arena *arena)
{
    struct workflow_document *document = c->document;
    if (document->root.type != JSON_OBJECT) {
        ERROR(c, "document-invalid", &document->root, "the document must be a map, not %s",
              json_type_name(&document->root));
        return STATUS_OK;
    }
    if (!json_member(&document->root, "arazzo") &&
        (json_member(&document->root, "openapi") || json_member(&document->root, "swagger"))) {
        ERROR(c, "document-invalid", &document->root, "this is an OpenAPI description, not an Arazzo document");
        return STATUS_OK;
    }
    check_version(c);
    walk(c, &kind_root, &document->root);
    document->title = string_member(json_member(&document->root, "info"), "title");
    document->components = typed_member(&document->root, "components", T_OBJECT);
    check_names(c, typed_member(document->components, "inputs", T_OBJECT), "component");
    check_names(c, typed_member(document->components, "parameters", T_OBJECT), "component");
    check_names(c, typed_member(document->components, "successActions", T_OBJECT), "component");
    check_names(c, typed_member(document->components, "failureActions", T_OBJECT), "component");
    TRY(build_sources(c, arena));
    return build_workflows(c, arena);
}

/* The first error stands for all of them where a caller shows only one. */
static enum status first_error(const struct workflow_problems *problems, size_t since, struct error *error)
{
    for (size_t i = since; i < problems->count; i++) {
        const struct workflow_problem *problem = &problems->items[i];
        if (!problem->is_error) continue;
        error_set(error, STATUS_INVALID, STR_FMT, STR_ARG(problem->text));
        error_hint(error, STR_FMT, STR_ARG(problem->hint));
        error_position(error, problem->line, problem->column);
        return STATUS_INVALID;
    }
    return error_set(error, STATUS_INVALID, "the document has errors");
}

enum status workflow_document_build(struct arena *arena, const struct json *root, struct str file,
                                    struct workflow_problems *problems, struct error *error,
                                    struct workflow_document **ret_document)
{
    struct workflow_document *document = arena_calloc(arena, 1, sizeof *document);
    if (!document) return error_set(error, STATUS_LIMIT, "the document exceeds the memory budget");
    document->root = *root;
    document->file = arena_str(arena, file);
    if (!document->file.data) return error_set(error, STATUS_LIMIT, "the document exceeds the memory budget");
    size_t since = problems->count, errors = problems->error_count;
    struct checker checker = {document, problems};
    enum status status = build(&checker, arena);
    if (status != STATUS_OK) return error_set(error, status, "the document exceeds the memory budget");
    if (problems->error_count > errors) return first_error(problems, since, error);
    *ret_document = document;
    return STATUS_OK;
}

enum status workflow_document_parse(struct arena *arena, struct str text, struct str file,
                                    struct workflow_problems *problems, struct error *error,
                                    struct workflow_document **ret_document)
{
    const struct yaml_read_limits limits = {.size_max = WORKFLOW_DOCUMENT_SIZE_MAX};
    struct error problem = ERROR_INIT;
    struct str name = arena_str(arena, file);
    struct json root;
    if (!name.data) return error_set(error, STATUS_LIMIT, "the document exceeds the memory budget");
    enum status status = json_from_yaml(arena, text, &limits, &problem, &root);
    if (status == STATUS_OK) return workflow_document_build(arena, &root, name, problems, error, ret_document);
    workflow_error_take(problems, name, NULL, &problem);
    workflow_problem_rule(problems, "document-unreadable");
    if (error) *error = problem;
    return status;
}

enum status workflow_document_load(struct arena *arena, const char *path, struct workflow_problems *problems,
                                   struct error *error, struct workflow_document **ret_document)
{
    struct str text, file = str_of(path);
    struct error problem = ERROR_INIT;
    enum status status = location_read_file(arena, file, WORKFLOW_DOCUMENT_SIZE_MAX, &problem, &text);
    if (status != STATUS_OK) {
        workflow_error_take(problems, STR_NULL, NULL, &problem);
        workflow_problem_rule(problems, "document-unreadable");
        if (error) *error = problem;
        return status;
    }
    return workflow_document_parse(arena, text, file, problems, error, ret_document);
}

const struct workflow *workflow_document_find(const struct workflow_document *document, struct str workflow_id)
{
    for (size_t i = 0; i < document->workflow_count; i++) {
        if (str_eq(document->workflows[i].id, workflow_id)) return &document->workflows[i];
    }
    return NULL;
}

const struct workflow_source *workflow_document_source(const struct workflow_document *document, struct str name)
{
    for (size_t i = 0; i < document->source_count; i++) {
        if (str_eq(document->sources[i].name, name)) return &document->sources[i];
    }
    return NULL;
}

size_t workflow_step_index(const struct workflow *workflow, struct str step_id)
{
    for (size_t i = 0; i < workflow->step_count; i++) {
        if (str_eq(workflow->steps[i].id, step_id)) return i;
    }
    return SIZE_MAX;
}
