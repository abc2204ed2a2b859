/* One step of a run, prepared: operation or workflow, parameters, server. What is of asynchronous descriptions (Arazzo
 * 1.1) is refused here by its name. */
#include "workflow/prepare.h"

#include "base/url.h"
#include "workflow/parameter.h"

#define FOUND_MAX 8

struct step_work {
    struct preparation *p;
    struct prepared_workflow *workflow;
    struct prepared_step *step;
    struct str id;
    struct openapi_parameter *declared;
    size_t declared_count;
};

#define ERROR(w, at, rule, ...)                                                                                        \
    do {                                                                                                               \
        workflow_error_at((w)->p->problems, (w)->p->document->file, (at), __VA_ARGS__);                                \
        workflow_problem_rule((w)->p->problems, (rule));                                                               \
    } while (0)

static enum status no_memory(struct error *error)
{
    return error_set(error, STATUS_LIMIT, "a step exceeds the memory budget");
}

static const struct json *field(const struct step_work *w, const char *name)
{
    return json_get(w->step->step->node, str_of(name));
}

/* ---- what is refused ---- */

static void refuse_unsupported(const struct step_work *w)
{
    static const char *const fields[] = {"channelPath", "action", "correlationId", "dependsOn"};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        const struct json *value = field(w, fields[i]);
        if (!value || (value->type == JSON_ARRAY && value->array.count == 0)) continue;
        ERROR(w, value, "unsupported", "step \"" STR_FMT "\": \"%s\" is not supported", STR_ARG(w->id), fields[i]);
    }
}

/* ---- the operation ---- */

static void choose(struct step_work *w, const struct json *at, const struct openapi_source *source, struct str id)
{
    const struct openapi_operation *found[FOUND_MAX];
    size_t count = openapi_find_id(&w->p->sources, source, id, found, FOUND_MAX);
    if (count == 1) {
        w->step->operation = found[0];
        return;
    }
    if (count == 0) {
        for (size_t i = 0; i < w->p->sources.source_count; i++) {
            const struct openapi_source *other = &w->p->sources.sources[i];
            if (other->failed && (!source || source == other)) return; /* it may well be in there */
        }
        ERROR(w, at, "operation-unknown", "step \"" STR_FMT "\": unknown operationId \"" STR_FMT "\"", STR_ARG(w->id),
              STR_ARG(id));
        struct str similar = openapi_similar(&w->p->sources, id);
        if (similar.size) workflow_problem_hint(w->p->problems, "did you mean " STR_FMT "?", STR_ARG(similar));
        return;
    }
    struct buf list = BUF_INIT(300);
    for (size_t i = 0; i < count && i < FOUND_MAX; i++) {
        struct str name = found[i]->source->description->name;
        buf_printf(&list, "%s" STR_FMT " (" STR_FMT " " STR_FMT ")", i ? ", " : "", STR_ARG(name),
                   STR_ARG(found[i]->method), STR_ARG(found[i]->path));
    }
    ERROR(w, at, "operation-ambiguous", "step \"" STR_FMT "\": operationId \"" STR_FMT "\" is not unique: " STR_FMT,
          STR_ARG(w->id), STR_ARG(id), STR_ARG(buf_str(&list)));
    workflow_problem_hint(w->p->problems, "write $sourceDescriptions.NAME." STR_FMT, STR_ARG(id));
    buf_fini(&list);
}

static struct openapi_source *usable_source(struct step_work *w, const struct json *at, struct str name)
{
    struct openapi_source *source = openapi_find_source(&w->p->sources, name);
    if (!source) {
        ERROR(w, at, "source-unknown", "step \"" STR_FMT "\": unknown source \"" STR_FMT "\"", STR_ARG(w->id),
              STR_ARG(name));
        return NULL;
    }
    if (str_is(source->description->type, "asyncapi")) {
        ERROR(w, at, "unsupported", "step \"" STR_FMT "\": asyncapi sources are not supported", STR_ARG(w->id));
        return NULL;
    }
    if (!source->file) {
        /* Otherwise it could not be loaded, which has been said. */
        if (source->is_arazzo)
            ERROR(w, at, "source-kind", "step \"" STR_FMT "\": an Arazzo document has no operations", STR_ARG(w->id));
        return NULL;
    }
    return source;
}

/* OP-2, OP-3. */
static void resolve_id(struct step_work *w)
{
    struct str text = w->step->step->operation_id, prefix = STR("$sourceDescriptions.");
    const struct json *at = field(w, "operationId");
    if (str_starts(text, prefix)) {
        struct str rest = str_slice(text, prefix.size, text.size);
        size_t dot = str_find_byte(rest, '.', 0);
        if (dot == SIZE_MAX || dot + 1 == rest.size) {
            ERROR(w, at, "operation-unknown", "step \"" STR_FMT "\": malformed operationId \"" STR_FMT "\"",
                  STR_ARG(w->id), STR_ARG(text));
            workflow_problem_hint(w->p->problems, "write $sourceDescriptions.NAME.OPERATIONID");
            return;
        }
        const struct openapi_source *source = usable_source(w, at, str_slice(rest, 0, dot));
        if (source) choose(w, at, source, str_slice(rest, dot + 1, rest.size));
        return;
    }
    size_t sources = 0;
    for (size_t i = 0; i < w->p->sources.source_count; i++) sources += !w->p->sources.sources[i].is_arazzo;
    if (sources > 1 && !w->p->warned_unqualified) {
        w->p->warned_unqualified = true;
        workflow_warning_at(w->p->problems, w->p->document->file, at,
                            "operationId \"" STR_FMT "\" does not say which of the %zu sources it is in, searching all",
                            STR_ARG(text), sources);
        workflow_problem_rule(w->p->problems, "source-qualified");
        workflow_problem_hint(w->p->problems, "write $sourceDescriptions.NAME." STR_FMT, STR_ARG(text));
    }
    choose(w, at, NULL, text);
}

/* OP-4: {$sourceDescriptions.NAME.url}#/paths/~1a~1b/get, with or without the braces and the .url (the specification's
 * own examples leave either out), or with the URL itself. */
static struct openapi_source *path_source(struct step_work *w, const struct json *at, struct str text)
{
    struct str prefix = STR("$sourceDescriptions."), suffix = STR(".url");
    if (str_starts(text, STR("{")) && str_ends(text, STR("}"))) text = str_slice(text, 1, text.size - 1);
    if (str_starts(text, prefix) && text.size > prefix.size) {
        struct str name = str_slice(text, prefix.size, text.size);
        if (str_ends(name, suffix)) name = str_slice(name, 0, name.size - suffix.size);
        return usable_source(w, at, name);
    }
    for (size_t i = 0; i < w->p->sources.source_count; i++) {
        struct openapi_source *source = &w->p->sources.sources[i];
        if (source->file && (str_eq(source->description->url, text) || str_eq(source->file->location, text)))
            return source;
    }
    ERROR(w, at, "source-unknown",
          "step \"" STR_FMT "\": operationPath \"" STR_FMT "\" names no source of this document", STR_ARG(w->id),
          STR_ARG(w->step->step->operation_path));
    workflow_problem_hint(w->p->problems, "write {$sourceDescriptions.NAME.url}#/paths/~1PATH/METHOD");
    return NULL;
}

static enum status unescape(struct arena *arena, struct str token, struct str *ret_text)
{
    char *text = arena_alloc(arena, token.size + 1);
    size_t size = 0;
    if (!text) return STATUS_LIMIT;
    for (size_t i = 0; i < token.size; i++) {
        bool escape =
            token.data[i] == '~' && i + 1 < token.size && (token.data[i + 1] == '0' || token.data[i + 1] == '1');
        text[size++] = !escape ? token.data[i] : token.data[i + 1] == '1' ? '/' : '~';
        i += escape;
    }
    *ret_text = (struct str){text, size};
    return STATUS_OK;
}

static enum status resolve_path(struct step_work *w, struct error *error)
{
    struct str text = w->step->step->operation_path, path, method = STR_NULL, token;
    const struct json *at = field(w, "operationPath");
    size_t hash = str_find_byte(text, '#', 0);
    const struct openapi_source *source = path_source(w, at, str_slice(text, 0, hash));
    if (!source) return STATUS_OK;
    struct str fragment =
        hash == SIZE_MAX ? STR("") : url_decode(w->p->arena, str_slice(text, hash + 1, text.size), false);
    if (!fragment.data) return no_memory(error);
    struct str rest = str_starts(fragment, STR("/paths/")) ? str_slice(fragment, 7, fragment.size) : STR_NULL;
    if (!rest.data || !str_next_part(&rest, '/', &token) || !rest.data || !str_next_part(&rest, '/', &method) ||
        rest.data) {
        ERROR(w, at, "operation-path",
              "step \"" STR_FMT "\": operationPath \"" STR_FMT "\" does not lead to an operation", STR_ARG(w->id),
              STR_ARG(text));
        workflow_problem_hint(w->p->problems, "write {$sourceDescriptions.NAME.url}#/paths/~1PATH/METHOD");
        return STATUS_OK;
    }
    if (unescape(w->p->arena, token, &path) != STATUS_OK) return no_memory(error);
    w->step->operation = openapi_find_path(source, path, method);
    if (!w->step->operation)
        ERROR(w, at, "operation-unknown",
              "step \"" STR_FMT "\": source \"" STR_FMT "\" has no operation " STR_FMT " " STR_FMT, STR_ARG(w->id),
              STR_ARG(source->description->name), STR_ARG(method), STR_ARG(path));
    return STATUS_OK;
}

/* ---- parameters ---- */

static bool same_parameter(const struct openapi_parameter *a, struct str name, struct str in)
{
    if (!str_eq(a->in, in)) return false;
    return str_is(in, "header") ? str_eq_nocase(a->name, name) : str_eq(a->name, name);
}

static void check_header_name(const struct step_work *w, const struct json *at, struct str name)
{
    static const char *const reserved[] = {"Content-Length", "Transfer-Encoding", "Connection", "Host"};
    if (!parameter_header_name_fits(name))
        ERROR(w, at, "parameter-header", "step \"" STR_FMT "\": \"" STR_FMT "\" is no header name", STR_ARG(w->id),
              STR_ARG(name));
    for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++) {
        if (str_eq_nocase(name, str_of(reserved[i])))
            ERROR(w, at, "parameter-header", "step \"" STR_FMT "\": header %s cannot be set", STR_ARG(w->id),
                  reserved[i]);
    }
}

/* The first `shared` parameters are the workflow's, which a step may override. Duplicates within one list are
 * found in document.c, and here when they come through references. */
static void add_parameter(struct step_work *w, const struct json *entry, bool common, size_t shared)
{
    const struct json *value, *node = prepare_parameter_entry(w->p->document, entry, &value);
    const struct json *name = json_member(node, "name"), *in = json_member(node, "in");
    if (!node) {
        const struct json *reference = json_member(entry, "reference");
        struct str text = reference && reference->type == JSON_STRING ? reference->string : STR("?");
        ERROR(w, reference ? reference : entry, "component-unknown",
              "step \"" STR_FMT "\": reference \"" STR_FMT "\" leads to no parameter", STR_ARG(w->id), STR_ARG(text));
        workflow_problem_hint(w->p->problems, "write $components.parameters.NAME");
        return;
    }
    if (!name || !in || !value || name->type != JSON_STRING || in->type != JSON_STRING) {
        ERROR(w, entry, "parameter-incomplete",
              "step \"" STR_FMT "\": the parameter needs \"name\", \"in\" and \"value\"", STR_ARG(w->id));
        return;
    }
    if (str_is(in->string, "querystring")) {
        ERROR(w, in, "unsupported", "step \"" STR_FMT "\": parameters in \"querystring\" are not supported",
              STR_ARG(w->id));
        return;
    }
    if (!str_is(in->string, "path") && !str_is(in->string, "query") && !str_is(in->string, "header") &&
        !str_is(in->string, "cookie")) {
        ERROR(w, in, "field-value", "step \"" STR_FMT "\": unknown parameter location \"" STR_FMT "\"", STR_ARG(w->id),
              STR_ARG(in->string));
        return;
    }
    if (prepare_is_selector(value)) {
        ERROR(w, value, "unsupported", "step \"" STR_FMT "\": selector objects are not supported", STR_ARG(w->id));
        return;
    }
    if (str_is(in->string, "header")) check_header_name(w, name, name->string);
    struct prepared_parameter *parameter = NULL;
    for (size_t i = 0; i < w->step->parameter_count && !parameter; i++) {
        if (same_parameter(&w->step->parameters[i].declared, name->string, in->string))
            parameter = &w->step->parameters[i];
    }
    if (parameter && parameter >= w->step->parameters + shared) {
        ERROR(w, entry, "parameter-duplicate", "step \"" STR_FMT "\": duplicate parameter \"" STR_FMT "\"",
              STR_ARG(w->id), STR_ARG(name->string));
        return;
    }
    if (!parameter) parameter = &w->step->parameters[w->step->parameter_count++];
    parameter->value = value;
    parameter->common = common;
    parameter->declared = parameter_undeclared(name->string, in->string);
    for (size_t i = 0; i < w->declared_count; i++) {
        if (same_parameter(&w->declared[i], name->string, in->string)) parameter->declared = w->declared[i];
    }
    parameter->declared.name = name->string;
}

/* Every {name} in the path needs a path parameter, and the other way round. */
static void check_path(const struct step_work *w)
{
    struct str path = w->step->operation->path;
    for (size_t open = 0; (open = str_find_byte(path, '{', open)) != SIZE_MAX; open++) {
        size_t close = str_find_byte(path, '}', open);
        struct str name = str_slice(path, open + 1, close);
        bool set = false;
        for (size_t i = 0; i < w->step->parameter_count; i++)
            set |= same_parameter(&w->step->parameters[i].declared, name, STR("path"));
        if (!set && close != SIZE_MAX)
            ERROR(w, w->step->step->node, "parameter-path",
                  "step \"" STR_FMT "\": path parameter \"" STR_FMT "\" of " STR_FMT " is not set", STR_ARG(w->id),
                  STR_ARG(name), STR_ARG(path));
    }
    for (size_t i = 0; i < w->step->parameter_count; i++) {
        const struct openapi_parameter *declared = &w->step->parameters[i].declared;
        struct str open = arena_printf(w->p->arena, "{" STR_FMT "}", STR_ARG(declared->name));
        if (str_is(declared->in, "path") && open.data && str_find(path, open, 0) == SIZE_MAX)
            ERROR(w, w->step->parameters[i].value, "parameter-path",
                  "step \"" STR_FMT "\": " STR_FMT " has no path parameter \"" STR_FMT "\"", STR_ARG(w->id),
                  STR_ARG(path), STR_ARG(declared->name));
    }
    for (size_t i = 0; i < w->declared_count; i++) {
        const struct openapi_parameter *declared = &w->declared[i];
        bool set = !declared->required || str_is(declared->in, "path");
        for (size_t k = 0; k < w->step->parameter_count; k++)
            set |= same_parameter(&w->step->parameters[k].declared, declared->name, declared->in);
        if (!set)
            workflow_warning_at(w->p->problems, w->p->document->file, w->step->step->node,
                                "step \"" STR_FMT "\": required " STR_FMT " parameter \"" STR_FMT "\" is not set",
                                STR_ARG(w->id), STR_ARG(declared->in), STR_ARG(declared->name));
        if (!set) workflow_problem_rule(w->p->problems, "parameter-required");
    }
}

static size_t list_count(const struct json *list)
{
    return list ? list->array.count : 0;
}

static enum status merge_parameters(struct step_work *w, struct error *error)
{
    const struct json *common = w->workflow->workflow->parameters, *own = w->step->step->parameters;
    struct error problem = ERROR_INIT;
    enum status status =
        openapi_parameters(&w->p->sources, w->step->operation, &problem, &w->declared, &w->declared_count);
    if (status == STATUS_LIMIT) return no_memory(error);
    if (status != STATUS_OK) {
        error_prefix(&problem, "step \"" STR_FMT "\"", STR_ARG(w->id));
        workflow_error_take(w->p->problems, w->p->document->file, w->step->step->node, &problem);
        w->declared_count = 0;
    }
    w->step->parameters =
        arena_new_array(w->p->arena, struct prepared_parameter, list_count(common) + list_count(own) + 1);
    if (!w->step->parameters) return no_memory(error);
    for (size_t i = 0; i < list_count(common); i++) add_parameter(w, &common->array.items[i], true, 0);
    size_t shared = w->step->parameter_count;
    for (size_t i = 0; i < list_count(own); i++) add_parameter(w, &own->array.items[i], false, shared);
    check_path(w);
    return STATUS_OK;
}

/* ---- a called workflow ---- */

/* SUB-1: every parameter is an input of the called workflow; `in` has no meaning then. */
static enum status call_parameters(struct step_work *w, struct error *error)
{
    const struct json *own = w->step->step->parameters;
    struct jsonschema schema = w->step->call->schema;
    w->step->parameters = arena_new_array(w->p->arena, struct prepared_parameter, list_count(own) + 1);
    if (!w->step->parameters) return no_memory(error);
    for (size_t i = 0; i < list_count(own); i++) {
        const struct json *entry = &own->array.items[i], *value;
        const struct json *node = prepare_parameter_entry(w->p->document, entry, &value),
                          *name = json_member(node, "name");
        bool open = false;
        if (!node) {
            ERROR(w, entry, "component-unknown", "step \"" STR_FMT "\": a reference leads to no parameter",
                  STR_ARG(w->id));
            workflow_problem_hint(w->p->problems, "write $components.parameters.NAME");
            continue;
        }
        if (!name || !value || name->type != JSON_STRING) {
            ERROR(w, entry, "parameter-incomplete", "step \"" STR_FMT "\": the parameter needs \"name\" and \"value\"",
                  STR_ARG(w->id));
            continue;
        }
        if (prepare_is_selector(value)) {
            ERROR(w, value, "unsupported", "step \"" STR_FMT "\": selector objects are not supported", STR_ARG(w->id));
            continue;
        }
        for (size_t k = 0; k < w->step->parameter_count; k++) {
            if (str_eq(w->step->parameters[k].declared.name, name->string))
                ERROR(w, entry, "parameter-duplicate", "step \"" STR_FMT "\": duplicate parameter \"" STR_FMT "\"",
                      STR_ARG(w->id), STR_ARG(name->string));
        }
        if (!jsonschema_property(schema, name->string, &open) && !open) {
            workflow_warning_at(w->p->problems, w->p->document->file, entry,
                                "step \"" STR_FMT "\": workflow \"" STR_FMT "\" does not declare the input \"" STR_FMT
                                "\"",
                                STR_ARG(w->id), STR_ARG(w->step->call->workflow->id), STR_ARG(name->string));
            workflow_problem_rule(w->p->problems, "parameter-unknown");
        }
        w->step->parameters[w->step->parameter_count++] =
            (struct prepared_parameter){.declared = {.name = name->string}, .value = value};
    }
    return STATUS_OK;
}

static enum status resolve_call(struct step_work *w, struct error *error)
{
    struct prepared_workflow *found;
    struct str owner = arena_printf(w->p->arena, "step \"" STR_FMT "\"", STR_ARG(w->id));
    if (!owner.data) return no_memory(error);
    TRY(prepare_reference(w->p, field(w, "workflowId"), w->step->step->workflow_id, owner.data, error, &found));
    if (!found) return STATUS_OK;
    w->step->call = found;
    w->step->label = found->workflow->id;
    if (w->step->step->request_body) {
        workflow_warning_at(w->p->problems, w->p->document->file, w->step->step->request_body,
                            "step \"" STR_FMT "\": a step that calls a workflow has no use for its \"requestBody\"",
                            STR_ARG(w->id));
        workflow_problem_rule(w->p->problems, "body-invalid");
    }
    return call_parameters(w, error);
}

/* ---- all of it ---- */

static enum status prepare_server(struct step_work *w, struct error *error)
{
    struct str source = w->step->operation->source->description->name;
    for (size_t i = 0; i < w->p->options->server_count; i++) {
        if (str_eq(w->p->options->servers[i].name, source)) w->step->server = w->p->options->servers[i].url;
    }
    if (w->step->server.data) return STATUS_OK;
    struct error problem = ERROR_INIT;
    enum status status = openapi_server(&w->p->sources, w->step->operation, &problem, &w->step->server);
    if (status == STATUS_LIMIT) return no_memory(error);
    if (status == STATUS_OK) return STATUS_OK;
    if (w->p->checking) {
        workflow_warning_at(w->p->problems, w->p->document->file, w->step->step->node, "%s", problem.primary);
        workflow_problem_hint(w->p->problems, "%s", problem.hint);
    } else {
        error_prefix(&problem, "step \"" STR_FMT "\"", STR_ARG(w->id));
        workflow_error_take(w->p->problems, w->p->document->file, w->step->step->node, &problem);
    }
    workflow_problem_rule(w->p->problems, "server-url");
    return STATUS_OK;
}

enum status prepare_step(struct preparation *p, struct prepared_workflow *workflow, size_t index, struct error *error)
{
    struct prepared_step *step = &workflow->steps[index];
    step->step = &workflow->workflow->steps[index];
    struct step_work work = {.p = p, .workflow = workflow, .step = step, .id = step->step->id}, *w = &work;
    refuse_unsupported(w);
    TRY(prepare_criteria(p, w->id, step->step->success_criteria, error, &step->criteria));
    TRY(prepare_actions(p, workflow, step, error));
    if (step->step->workflow_id.size)
        TRY(resolve_call(w, error));
    else if (step->step->operation_id.size)
        resolve_id(w);
    else if (step->step->operation_path.size)
        TRY(resolve_path(w, error));
    if (!step->operation) return STATUS_OK;
    const struct openapi_operation *operation = step->operation;
    step->label = operation->id.size ? operation->id
                                     : arena_printf(p->arena, STR_FMT " " STR_FMT, STR_ARG(operation->method),
                                                    STR_ARG(operation->path));
    if (!step->label.data) return no_memory(error);
    TRY(merge_parameters(w, error));
    TRY(prepare_body(p, step, error));
    TRY(prepare_server(w, error));
    return prepare_credentials(p, step, error);
}
