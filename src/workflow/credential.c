/*
 * Which credentials go with a step (OpenAPI security requirements).
 *
 * The requirements in force are a list of alternatives, each a set of schemes that are needed together; `{}`
 * means that none is needed. A scheme is satisfied by the step itself, when it sets the header, query
 * parameter or cookie that the scheme uses, or by a credential that the user gave. The first alternative that
 * is satisfied whole is used, and only what the step does not set is added. When there is none, the step is
 * sent without and a warning says so: servers may accept less than their description asks for.
 */
#include "workflow/prepare.h"

#include "base/base64.h"
#include "workflow/parameter.h"

#define SCHEMES_MAX 16 /* in one alternative */

struct scheme {
    struct str name, in, parameter; /* where it goes: header Authorization, query token, ... */
    enum { SCHEME_BASIC, SCHEME_BEARER, SCHEME_KEY, SCHEME_UNKNOWN } kind;
};

static struct str string_member(const struct json *object, const char *name)
{
    const struct json *value = json_get(object, str_of(name));
    return value && value->type == JSON_STRING ? value->string : STR_NULL;
}

static enum status read_scheme(struct preparation *p, const struct openapi_operation *operation, struct str name,
                               struct error *error, struct scheme *ret_scheme)
{
    struct openapi_node node;
    TRY(openapi_security_scheme(&p->sources, operation->source, name, error, &node));
    struct scheme scheme = {
        .name = name, .in = STR("header"), .parameter = STR("Authorization"), .kind = SCHEME_UNKNOWN};
    struct str type = string_member(node.value, "type"), http = string_member(node.value, "scheme");
    if (str_is(type, "http") && str_eq_nocase(http, STR("basic"))) scheme.kind = SCHEME_BASIC;
    if (str_is(type, "http") && str_eq_nocase(http, STR("bearer"))) scheme.kind = SCHEME_BEARER;
    if (str_is(type, "oauth2") || str_is(type, "openIdConnect")) scheme.kind = SCHEME_BEARER;
    if (str_is(type, "apiKey")) {
        scheme.kind = SCHEME_KEY;
        scheme.in = string_member(node.value, "in");
        scheme.parameter = string_member(node.value, "name");
        bool header = str_is(scheme.in, "header"),
             known = header || str_is(scheme.in, "query") || str_is(scheme.in, "cookie");
        if (!scheme.parameter.size || !known || (header && !parameter_header_name_fits(scheme.parameter)))
            scheme.kind = SCHEME_UNKNOWN;
    }
    *ret_scheme = scheme;
    return STATUS_OK;
}

static struct prepared_parameter *step_sets(const struct prepared_step *step, const struct scheme *scheme)
{
    for (size_t i = 0; i < step->parameter_count; i++) {
        const struct openapi_parameter *declared = &step->parameters[i].declared;
        bool header = str_is(scheme->in, "header");
        if (!str_eq(declared->in, scheme->in)) continue;
        if (header ? str_eq_nocase(declared->name, scheme->parameter) : str_eq(declared->name, scheme->parameter))
            return &step->parameters[i];
    }
    return NULL;
}

/* "https://api.test:8443/v1" is of host "api.test". */
static bool is_at_host(struct str url, struct str host)
{
    size_t start = str_find(url, STR("://"), 0);
    if (start == SIZE_MAX) return false;
    struct str rest = str_slice(url, start + 3, url.size);
    size_t end = 0;
    bool bracket = rest.size && rest.data[0] == '[';
    while (end < rest.size && !strchr("/?#", rest.data[end]) && (bracket || rest.data[end] != ':')) {
        if (bracket && rest.data[end] == ']') bracket = false;
        end++;
    }
    return str_eq_nocase(str_slice(rest, 0, end), host);
}

/* What was given as SOURCE.SCHEME goes before what was given as SCHEME, and that before what only names a host. */
static const struct workflow_auth *find_auth(const struct preparation *p, const struct prepared_step *step,
                                             const struct scheme *scheme)
{
    struct str source = step->operation->source->description->name, name = scheme->name;
    const struct workflow_auth *plain = NULL, *by_host = NULL;
    for (size_t i = 0; i < p->options->auth_count; i++) {
        const struct workflow_auth *auth = &p->options->auths[i];
        if (auth->host.size && !is_at_host(step->server, auth->host)) continue;
        if (!auth->scheme.size && auth->host.size && scheme->kind == SCHEME_BASIC) by_host = auth;
        if (str_eq(auth->scheme, name)) plain = auth;
        if (auth->scheme.size == source.size + 1 + name.size && str_starts(auth->scheme, source) &&
            auth->scheme.data[source.size] == '.' && str_ends(auth->scheme, name))
            return auth;
    }
    return plain ? plain : by_host;
}

/* Not arena_printf: a token may be longer than what STR_FMT prints. */
static struct str with_prefix(struct arena *arena, struct str prefix, struct str text)
{
    char *joined = arena_alloc(arena, prefix.size + text.size + 1);
    if (!joined) return STR_NULL;
    memcpy(joined, prefix.data, prefix.size);
    if (text.size) memcpy(joined + prefix.size, text.data, text.size);
    return (struct str){joined, prefix.size + text.size};
}

static enum status add_credential(struct preparation *p, struct prepared_step *step, const struct scheme *scheme,
                                  const struct workflow_auth *auth, struct error *error)
{
    struct str value = auth->credential;
    if (scheme->kind == SCHEME_BASIC && str_find_byte(value, ':', 0) == SIZE_MAX) {
        workflow_error_at(p->problems, STR_NULL, NULL, "the credential for \"" STR_FMT "\" must be user:secret",
                          STR_ARG(auth->scheme));
        workflow_problem_rule(p->problems, "credential-invalid");
        return STATUS_OK;
    }
    for (size_t i = 0; i < value.size; i++) {
        if ((unsigned char)value.data[i] >= 0x20 && value.data[i] != 0x7F) continue;
        workflow_error_at(p->problems, STR_NULL, NULL, "the credential for \"" STR_FMT "\" has a control character",
                          STR_ARG(auth->scheme));
        workflow_problem_rule(p->problems, "credential-invalid");
        return STATUS_OK;
    }
    if (scheme->kind == SCHEME_BASIC) {
        struct buf encoded = BUF_INIT((size_t)1 << 20);
        base64_encode(&encoded, value);
        value = buf_status(&encoded) == STATUS_OK ? with_prefix(p->arena, STR("Basic "), buf_str(&encoded)) : STR_NULL;
        buf_fini(&encoded);
    } else if (scheme->kind == SCHEME_BEARER) {
        value = with_prefix(p->arena, STR("Bearer "), value);
    }
    if (!value.data) return error_set(error, STATUS_LIMIT, "a credential exceeds the memory budget");
    step->credentials[step->credential_count++] =
        (struct prepared_credential){.in = scheme->in, .name = scheme->parameter, .value = value};
    return STATUS_OK;
}

/* How one alternative stands; `schemes` gets what it needs. */
static enum status weigh(struct preparation *p, struct prepared_step *step, const struct json *alternative,
                         struct scheme *schemes, size_t *ret_count, bool *ret_complete, struct error *error)
{
    size_t count = alternative->object.count < SCHEMES_MAX ? alternative->object.count : SCHEMES_MAX;
    *ret_complete = count > 0 && alternative->object.count <= SCHEMES_MAX;
    for (size_t i = 0; i < count; i++) {
        TRY(read_scheme(p, step->operation, alternative->object.members[i].key, error, &schemes[i]));
        struct prepared_parameter *own = step_sets(step, &schemes[i]);
        if (own && schemes[i].kind != SCHEME_UNKNOWN)
            own->secret = true;
        else if (schemes[i].kind == SCHEME_UNKNOWN || !find_auth(p, step, &schemes[i]))
            *ret_complete = false;
    }
    *ret_count = count;
    return STATUS_OK;
}

enum status prepare_credentials(struct preparation *p, struct prepared_step *step, struct error *error)
{
    const struct json *security = openapi_security(step->operation);
    struct scheme schemes[SCHEMES_MAX], chosen[SCHEMES_MAX];
    size_t chosen_count = 0, count;
    struct str wanted = STR_NULL;
    bool none_needed = !security || security->array.count == 0;
    for (size_t i = 0; security && i < security->array.count; i++) {
        const struct json *alternative = &security->array.items[i];
        bool complete;
        if (alternative->type != JSON_OBJECT) continue;
        if (alternative->object.count == 0)
            none_needed = true;
        else if (!wanted.data)
            wanted = alternative->object.members[0].key;
        TRY(weigh(p, step, alternative, schemes, &count, &complete, error));
        if (!complete || chosen_count) continue;
        memcpy(chosen, schemes, count * sizeof *schemes);
        chosen_count = count;
    }
    step->credentials = arena_new_array(p->arena, struct prepared_credential, SCHEMES_MAX);
    if (!step->credentials) return error_set(error, STATUS_LIMIT, "a step exceeds the memory budget");
    for (size_t i = 0; i < chosen_count; i++) {
        if (step_sets(step, &chosen[i])) continue;
        TRY(add_credential(p, step, &chosen[i], find_auth(p, step, &chosen[i]), error));
    }
    if (!chosen_count && !none_needed && wanted.data && !p->checking) {
        workflow_warning_at(p->problems, p->document->file, step->step->node,
                            "step \"" STR_FMT "\": no credential for \"" STR_FMT "\", sending without",
                            STR_ARG(step->step->id), STR_ARG(wanted));
        workflow_problem_rule(p->problems, "credential-missing");
        workflow_problem_hint(p->problems, "use --auth " STR_FMT "=CREDENTIAL", STR_ARG(wanted));
    }
    return STATUS_OK;
}
