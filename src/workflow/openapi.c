#include "workflow/openapi.h"

#include "base/url.h"
#include "base/yaml.h"
#include "workflow/location.h"

#include <stdio.h>

#define REFERENCES_MAX  32
#define OPERATIONS_MAX  20000
#define PARAMETERS_MAX  1000
#define SOURCE_SIZE_MAX ((size_t)16 << 20)

static const char *const methods[] = {"get", "put", "post", "delete", "options", "head", "patch", "trace"};

static enum status no_memory(struct error *error)
{
    return error_set(error, STATUS_LIMIT, "the OpenAPI descriptions exceed the memory budget");
}

enum status openapi_file_at(struct openapi_set *set, struct str location, struct error *error,
                            const struct openapi_file **ret_file)
{
    for (size_t i = 0; i < set->file_count; i++) {
        if (str_eq(set->files[i]->location, location)) {
            *ret_file = set->files[i];
            return STATUS_OK;
        }
    }
    if (set->file_count == OPENAPI_FILES_MAX)
        return error_set(error, STATUS_INVALID, "the sources refer to more than %d files", OPENAPI_FILES_MAX);
    struct openapi_file *file = arena_calloc(set->arena, 1, sizeof *file);
    struct str text;
    if (!file) return no_memory(error);
    if (set->loader && set->loader->read)
        TRY(set->loader->read(set->loader->ctx, location, SOURCE_SIZE_MAX, set->arena, error, &text));
    else
        TRY(location_read(set->arena, set->transport, location, SOURCE_SIZE_MAX, set->timeout_ms, error, &text));
    const struct yaml_read_limits limits = {.size_max = SOURCE_SIZE_MAX};
    enum status status = json_from_yaml(set->arena, text, &limits, error, &file->root);
    if (status != STATUS_OK) {
        unsigned line = error ? error->line : 0, column = error ? error->column : 0;
        error_prefix(error, STR_FMT ":%u:%u", STR_ARG(location), line, column);
        error_position(error, 0, 0);
        return status;
    }
    file->location = location;
    set->files[set->file_count++] = file;
    *ret_file = file;
    return STATUS_OK;
}

static struct str string_member(const struct json *object, const char *name)
{
    const struct json *value = json_get(object, str_of(name));
    return value && value->type == JSON_STRING ? value->string : STR_NULL;
}

enum status openapi_follow(struct openapi_set *set, struct openapi_node node, struct error *error,
                           struct openapi_node *ret_node)
{
    for (int steps = 0; node.value; steps++) {
        struct str reference = string_member(node.value, "$ref");
        if (!reference.data) break;
        if (steps == REFERENCES_MAX)
            return error_set(error, STATUS_INVALID, "$ref \"" STR_FMT "\" leads in circles", STR_ARG(reference));
        size_t hash = str_find_byte(reference, '#', 0);
        struct str document = str_slice(reference, 0, hash), fragment = STR("");
        const struct openapi_file *file = node.file;
        if (document.size) {
            struct str location;
            TRY(location_resolve(set->arena, file->location, document, error, &location));
            TRY(openapi_file_at(set, location, error, &file));
        }
        if (hash != SIZE_MAX) fragment = url_decode(set->arena, str_slice(reference, hash + 1, reference.size), false);
        if (!fragment.data) return no_memory(error);
        const struct json *target = json_pointer(&file->root, fragment);
        if (!target) {
            error_set(error, STATUS_INVALID, "$ref \"" STR_FMT "\" leads nowhere", STR_ARG(reference));
            error_detail(error, "in " STR_FMT ", line %u", STR_ARG(node.file->location), node.value->line);
            return STATUS_INVALID;
        }
        node = (struct openapi_node){target, file};
    }
    *ret_node = node;
    return STATUS_OK;
}

enum status openapi_member(struct openapi_set *set, struct openapi_node node, const char *name, struct error *error,
                           struct openapi_node *ret_node)
{
    struct openapi_node member = {json_get(node.value, str_of(name)), node.file};
    return openapi_follow(set, member, error, ret_node);
}

static enum status upper_case(struct arena *arena, struct str text, struct str *ret_text)
{
    char *copy = arena_cstr(arena, text);
    if (!copy) return STATUS_LIMIT;
    for (size_t i = 0; i < text.size; i++) {
        if (copy[i] >= 'a' && copy[i] <= 'z') copy[i] = (char)(copy[i] - 0x20);
    }
    *ret_text = (struct str){copy, text.size};
    return STATUS_OK;
}

/* `paths` of the description, path items behind references included. */
static enum status index_operations(struct openapi_set *set, struct openapi_source *source, struct error *error)
{
    const struct openapi_file *file = source->file;
    const struct json *paths = json_member(&file->root, "paths");
    size_t count = 0, methods_count = sizeof methods / sizeof *methods;
    if (!paths || paths->type != JSON_OBJECT) return STATUS_OK;
    if (paths->object.count > OPERATIONS_MAX)
        return error_set(error, STATUS_INVALID, "the description has more than %d paths", OPERATIONS_MAX);
    source->operations = arena_new_array(set->arena, struct openapi_operation, paths->object.count * methods_count + 1);
    if (!source->operations) return no_memory(error);
    for (size_t i = 0; i < paths->object.count; i++) {
        const struct json_member *path = &paths->object.members[i];
        struct openapi_node item = {&path->value, file};
        if (!str_starts(path->key, STR("/"))) continue;
        TRY(openapi_follow(set, item, error, &item));
        for (size_t m = 0; m < methods_count; m++) {
            const struct json *node = json_get(item.value, str_of(methods[m]));
            if (!node || node->type != JSON_OBJECT) continue;
            struct openapi_operation *operation = &source->operations[count++];
            *operation = (struct openapi_operation){.source = source,
                                                    .id = string_member(node, "operationId"),
                                                    .path = path->key,
                                                    .node = {node, item.file},
                                                    .path_item = item};
            if (upper_case(set->arena, str_of(methods[m]), &operation->method) != STATUS_OK) return no_memory(error);
        }
    }
    source->operation_count = count;
    return STATUS_OK;
}

/* SRC-1: what a source is, the parsed document says; a declared type that disagrees is only a slip. */
static enum status classify(struct openapi_source *source, const struct workflow_document *document,
                            const struct openapi_file *file, struct workflow_problems *problems, struct error *error,
                            bool *ret_openapi)
{
    const struct json *version = json_member(&file->root, "openapi");
    *ret_openapi = false;
    if (version && version->type == JSON_STRING &&
        (str_starts(version->string, STR("3.0.")) || str_starts(version->string, STR("3.1.")))) {
        *ret_openapi = true;
        if (str_is(source->description->type, "arazzo"))
            workflow_warning_at(problems, document->file, source->description->node,
                                "source \"" STR_FMT "\" says it is arazzo, but is an OpenAPI description",
                                STR_ARG(source->description->name));
        if (str_is(source->description->type, "arazzo")) workflow_problem_rule(problems, "source-kind");
        return STATUS_OK;
    }
    if (version && (version->type == JSON_STRING || json_is_number(version))) {
        struct buf text = BUF_INIT(256);
        json_write(&text, version);
        error_set(error, STATUS_UNSUPPORTED, "unsupported OpenAPI version %.*s", (int)text.size,
                  text.data ? text.data : "");
        error_hint(error, "this runner reads 3.0.x and 3.1.x");
        buf_fini(&text);
        return STATUS_UNSUPPORTED;
    }
    if (json_member(&file->root, "swagger")) {
        error_set(error, STATUS_UNSUPPORTED, "it is a Swagger 2.0 description, which is not supported");
        error_hint(error, "convert it to OpenAPI 3");
        return STATUS_UNSUPPORTED;
    }
    if (json_member(&file->root, "arazzo")) return STATUS_OK;
    return error_set(error, STATUS_INVALID, "it is neither an OpenAPI nor an Arazzo document");
}

static enum status load_source(struct openapi_set *set, const struct workflow_document *document,
                               struct openapi_source *source, struct workflow_problems *problems, struct error *error)
{
    struct str location;
    const struct openapi_file *file;
    bool openapi;
    TRY(location_resolve(set->arena, document->file, source->description->url, error, &location));
    TRY(openapi_file_at(set, location, error, &file));
    TRY(classify(source, document, file, problems, error, &openapi));
    source->is_arazzo = !openapi;
    if (!openapi) {
        source->arazzo = file;
        return STATUS_OK;
    }
    source->file = file;
    return index_operations(set, source, error);
}

enum status openapi_load(struct openapi_set *set, const struct workflow_document *document,
                         struct workflow_problems *problems, struct error *error)
{
    set->sources = arena_new_array(set->arena, struct openapi_source, document->source_count + 1);
    if (!set->sources) return no_memory(error);
    for (size_t i = 0; i < document->source_count; i++) {
        struct openapi_source *source = &set->sources[set->source_count++];
        source->description = &document->sources[i];
        if (str_is(source->description->type, "asyncapi")) continue; /* refused where a step names it */
        struct error problem = ERROR_INIT;
        enum status status = load_source(set, document, source, problems, &problem);
        if (status == STATUS_OK) continue;
        source->failed = true;
        error_prefix(&problem, "source \"" STR_FMT "\"", STR_ARG(source->description->name));
        problem.line = 0;
        const struct json *at = json_member(source->description->node, "url");
        workflow_error_take(problems, document->file, at ? at : source->description->node, &problem);
        workflow_problem_rule(problems, "source-unreadable");
        if (status == STATUS_LIMIT && arena_alloc(set->arena, 4096) == NULL) return no_memory(error);
    }
    return STATUS_OK;
}

struct openapi_source *openapi_find_source(const struct openapi_set *set, struct str name)
{
    for (size_t i = 0; i < set->source_count; i++) {
        if (str_eq(set->sources[i].description->name, name)) return &set->sources[i];
    }
    return NULL;
}

size_t openapi_find_id(const struct openapi_set *set, const struct openapi_source *source, struct str id,
                       const struct openapi_operation **found, size_t max)
{
    size_t count = 0;
    for (size_t s = 0; s < set->source_count; s++) {
        const struct openapi_source *candidate = &set->sources[s];
        if (source && source != candidate) continue;
        for (size_t i = 0; i < candidate->operation_count; i++) {
            if (!str_eq(candidate->operations[i].id, id)) continue;
            if (count < max) found[count] = &candidate->operations[i];
            count++;
        }
    }
    return count;
}

const struct openapi_operation *openapi_find_path(const struct openapi_source *source, struct str path,
                                                  struct str method)
{
    for (size_t i = 0; i < source->operation_count; i++) {
        const struct openapi_operation *operation = &source->operations[i];
        if (str_eq(operation->path, path) && str_eq_nocase(operation->method, method)) return operation;
    }
    return NULL;
}

/* Levenshtein distance of two short texts, without regard to case. */
static size_t distance(struct str a, struct str b)
{
    size_t row[65];
    if (a.size > 64 || b.size > 64) return SIZE_MAX;
    for (size_t k = 0; k <= b.size; k++) row[k] = k;
    for (size_t i = 0; i < a.size; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t k = 0; k < b.size; k++) {
            size_t replaced = diagonal + ((a.data[i] | 0x20) != (b.data[k] | 0x20));
            size_t shorter = row[k] < row[k + 1] ? row[k] : row[k + 1];
            diagonal = row[k + 1];
            row[k + 1] = replaced < shorter + 1 ? replaced : shorter + 1;
        }
    }
    return row[b.size];
}

struct str openapi_similar(const struct openapi_set *set, struct str id)
{
    struct buf text = BUF_INIT(400);
    size_t near_max = id.size / 3 + 1, listed = 0;
    for (size_t wanted = 0; wanted <= near_max && listed < 3; wanted++) {
        for (size_t s = 0; s < set->source_count && listed < 3; s++) {
            for (size_t i = 0; i < set->sources[s].operation_count && listed < 3; i++) {
                struct str name = set->sources[s].operations[i].id;
                if (!name.size || distance(id, name) != wanted) continue;
                buf_printf(&text, "%s" STR_FMT, listed++ ? ", " : "", STR_ARG(name));
            }
        }
    }
    struct str result = arena_str(set->arena, buf_str(&text));
    buf_fini(&text);
    return result;
}

static bool flag(const struct json *object, const char *name, bool otherwise)
{
    const struct json *value = json_get(object, str_of(name));
    return value && value->type == JSON_BOOL ? value->boolean : otherwise;
}

static void read_parameter(const struct json *node, struct openapi_parameter *parameter)
{
    struct str in = string_member(node, "in"), style = string_member(node, "style");
    const struct json *content = json_member(node, "content");
    bool form = str_is(in, "query") || str_is(in, "cookie");
    if (!style.data) style = form ? STR("form") : STR("simple");
    *parameter = (struct openapi_parameter){
        .name = string_member(node, "name"),
        .in = in,
        .style = style,
        .content_type = content && content->type == JSON_OBJECT && content->object.count
                            ? content->object.members[0].key
                            : STR_NULL,
        .required = flag(node, "required", false) || str_is(in, "path"),
        .explode = flag(node, "explode", str_is(style, "form")),
        .allow_reserved = flag(node, "allowReserved", false),
    };
}

/* What is no declaration: a parameter without name or place, and the headers that OpenAPI describes elsewhere. A step
 * may set these all the same. */
static bool is_void(const struct openapi_parameter *parameter)
{
    static const char *const headers[] = {"Accept", "Content-Type", "Authorization"};
    if (!parameter->name.data || !parameter->in.data) return true;
    for (size_t i = 0; str_is(parameter->in, "header") && i < sizeof headers / sizeof *headers; i++)
        if (str_eq_nocase(parameter->name, str_of(headers[i]))) return true;
    return false;
}

static bool same_parameter(const struct openapi_parameter *a, const struct openapi_parameter *b)
{
    if (!str_eq(a->in, b->in)) return false;
    return str_is(a->in, "header") ? str_eq_nocase(a->name, b->name) : str_eq(a->name, b->name);
}

enum status openapi_parameters(struct openapi_set *set, const struct openapi_operation *operation, struct error *error,
                               struct openapi_parameter **ret_parameters, size_t *ret_count)
{
    struct openapi_node lists[2];
    size_t count = 0, total = 0;
    TRY(openapi_member(set, operation->node, "parameters", error, &lists[0]));
    TRY(openapi_member(set, operation->path_item, "parameters", error, &lists[1]));
    for (int l = 0; l < 2; l++)
        total += lists[l].value && lists[l].value->type == JSON_ARRAY ? lists[l].value->array.count : 0;
    if (total > PARAMETERS_MAX)
        return error_set(error, STATUS_INVALID, "the operation has more than %d parameters", PARAMETERS_MAX);
    struct openapi_parameter *parameters = arena_new_array(set->arena, struct openapi_parameter, total + 1);
    if (!parameters) return no_memory(error);
    for (int l = 0; l < 2; l++) {
        for (size_t i = 0; lists[l].value && lists[l].value->type == JSON_ARRAY && i < lists[l].value->array.count;
             i++) {
            struct openapi_node item = {&lists[l].value->array.items[i], lists[l].file};
            struct openapi_parameter *parameter = &parameters[count];
            TRY(openapi_follow(set, item, error, &item));
            read_parameter(item.value, parameter);
            bool left_out = is_void(parameter);
            for (size_t k = 0; k < count && !left_out; k++) left_out = same_parameter(&parameters[k], parameter);
            if (!left_out) count++;
        }
    }
    *ret_parameters = parameters;
    *ret_count = count;
    return STATUS_OK;
}

enum status openapi_body_type(struct openapi_set *set, const struct openapi_operation *operation, struct error *error,
                              struct str *ret_type)
{
    struct openapi_node body, content;
    TRY(openapi_member(set, operation->node, "requestBody", error, &body));
    TRY(openapi_member(set, body, "content", error, &content));
    bool any = content.value && content.value->type == JSON_OBJECT && content.value->object.count > 0;
    *ret_type = any ? content.value->object.members[0].key : STR_NULL;
    return STATUS_OK;
}

/* SRC-4: {name} becomes the default of that variable. */
static enum status fill_variables(struct openapi_set *set, const struct json *server, struct str url,
                                  struct error *error, struct str *ret_url)
{
    struct buf buf = BUF_INIT(8192);
    const struct json *variables = json_member(server, "variables");
    enum status status = STATUS_OK;
    for (size_t i = 0; i < url.size && status == STATUS_OK; i++) {
        size_t close = url.data[i] == '{' ? str_find_byte(url, '}', i) : SIZE_MAX;
        if (close == SIZE_MAX) {
            buf_byte(&buf, url.data[i]);
            continue;
        }
        struct str name = str_slice(url, i + 1, close);
        const struct json *value = json_member(json_get(variables, name), "default");
        if (value && value->type != JSON_ARRAY && value->type != JSON_OBJECT && value->type != JSON_NULL) {
            if (value->type == JSON_STRING)
                buf_str_add(&buf, value->string);
            else
                json_write(&buf, value);
        } else {
            status = error_set(error, STATUS_INVALID, "server variable \"" STR_FMT "\" has no default", STR_ARG(name));
        }
        i = close;
    }
    if (status == STATUS_OK) {
        *ret_url = buf_status(&buf) == STATUS_OK ? arena_str(set->arena, buf_str(&buf)) : STR_NULL;
        if (!ret_url->data) status = error_set(error, STATUS_LIMIT, "a server URL is too long");
    }
    buf_fini(&buf);
    return status;
}

enum status openapi_server(struct openapi_set *set, const struct openapi_operation *operation, struct error *error,
                           struct str *ret_url)
{
    const struct openapi_file *file = operation->source->file;
    const struct json *places[] = {operation->node.value, operation->path_item.value, &file->root};
    const struct json *server = NULL;
    for (size_t i = 0; i < 3 && !server; i++) {
        const struct json *servers = json_member(places[i], "servers");
        if (servers) server = json_at(servers, 0);
    }
    struct str url = STR("/"), absolute;
    if (server && string_member(server, "url").data)
        TRY(fill_variables(set, server, string_member(server, "url"), error, &url));
    if (location_is_http(url) || location_is_http(file->location)) {
        TRY(location_resolve(set->arena, file->location, url, error, &absolute));
        TRY(location_check_server(absolute, error));
        *ret_url = absolute;
        return STATUS_OK;
    }
    error_set(error, STATUS_INVALID, "source \"" STR_FMT "\" names no server: its URL is \"" STR_FMT "\"",
              STR_ARG(operation->source->description->name), STR_ARG(url));
    error_hint(error, "use --server " STR_FMT "=URL", STR_ARG(operation->source->description->name));
    return STATUS_INVALID;
}

const struct json *openapi_security(const struct openapi_operation *operation)
{
    const struct json *security = json_member(operation->node.value, "security");
    if (!security) security = json_member(&operation->source->file->root, "security");
    return security && security->type == JSON_ARRAY ? security : NULL;
}

enum status openapi_security_scheme(struct openapi_set *set, const struct openapi_source *source, struct str name,
                                    struct error *error, struct openapi_node *ret_scheme)
{
    struct openapi_node root = {&source->file->root, source->file}, components, schemes;
    TRY(openapi_member(set, root, "components", error, &components));
    TRY(openapi_member(set, components, "securitySchemes", error, &schemes));
    struct openapi_node scheme = {json_get(schemes.value, name), schemes.file};
    return openapi_follow(set, scheme, error, ret_scheme);
}
