#include "workflow/request.h"

#include "base/url.h"
#include "workflow/body.h"
#include "workflow/location.h"
#include "workflow/parameter.h"

#define URL_SIZE_MAX ((size_t)1 << 20)

/* The request while it grows: every text twice, as sent and as shown. */
struct draft {
    struct arena *arena;
    const struct prepared_step *step;
    const struct expression_context *context;
    struct workflow_secrets *secrets;
    struct error *error;
    struct buf query, query_shown, cookie;
    struct workflow_header *headers;
    size_t header_count;
    const struct json **values; /* of the step's parameters; NULL: absent */
    struct built_request *built;
};

static enum status no_memory(struct error *error)
{
    return error_set(error, STATUS_LIMIT, "the request exceeds the memory budget");
}

static struct str keep(struct arena *arena, const struct buf *buf)
{
    return buf_status(buf) == STATUS_OK ? arena_str(arena, buf_str(buf)) : STR_NULL;
}

/* PAR-8: what has no value is not sent; only where it must be, that is an error. */
static enum status evaluate_parameters(struct draft *d)
{
    d->values = arena_new_array(d->arena, const struct json *, d->step->parameter_count + 1);
    if (!d->values) return no_memory(d->error);
    for (size_t i = 0; i < d->step->parameter_count; i++) {
        const struct prepared_parameter *parameter = &d->step->parameters[i];
        const struct openapi_parameter *declared = &parameter->declared;
        TRY(expression_tree(d->arena, d->context, parameter->value, d->error, &d->values[i]));
        if (!d->values[i] && declared->required)
            return error_set(d->error, STATUS_INVALID, "required " STR_FMT " parameter \"" STR_FMT "\" has no value",
                             STR_ARG(declared->in), STR_ARG(declared->name));
        if (!d->values[i]) continue;
        if (parameter->secret && secrets_add_json(d->secrets, d->values[i]) != STATUS_OK) return no_memory(d->error);
        struct json *group = str_is(declared->in, "query")    ? &d->built->query
                             : str_is(declared->in, "path")   ? &d->built->path
                             : str_is(declared->in, "header") ? &d->built->header
                                                              : NULL;
        if (group && json_put(d->arena, group, declared->name, *d->values[i]) != STATUS_OK) return no_memory(d->error);
    }
    return STATUS_OK;
}

/* The path template with its parameters put in. */
static enum status write_path(struct draft *d, bool shown, struct buf *buf)
{
    struct str path = d->step->operation->path;
    for (size_t i = 0; i < path.size; i++) {
        size_t close = path.data[i] == '{' ? str_find_byte(path, '}', i) : SIZE_MAX;
        size_t found = SIZE_MAX;
        for (size_t k = 0; close != SIZE_MAX && k < d->step->parameter_count; k++) {
            const struct openapi_parameter *declared = &d->step->parameters[k].declared;
            if (str_is(declared->in, "path") && str_eq(declared->name, str_slice(path, i + 1, close))) found = k;
        }
        if (found == SIZE_MAX) {
            /* Blanks and the like in a template would break the request line. */
            unsigned char c = (unsigned char)path.data[i];
            if (c <= ' ' || c >= 0x7F || c == '?' || c == '#')
                url_encode(buf, str_slice(path, i, i + 1));
            else
                buf_byte(buf, path.data[i]);
            continue;
        }
        size_t from = buf->size;
        if (shown && d->step->parameters[found].secret)
            buf_lit(buf, SECRET_MASK);
        else
            parameter_path(buf, &d->step->parameters[found].declared, d->values[found]);
        struct str written = str_slice(buf_str(buf), from, buf->size);
        /* "." and ".." would be taken as steps in the path, and an empty segment would name another resource.
         */
        if (written.size == 0 || str_is(written, ".") || str_is(written, ".."))
            return error_set(d->error, STATUS_INVALID, "path parameter \"" STR_FMT "\" cannot be \"" STR_FMT "\"",
                             STR_ARG(d->step->parameters[found].declared.name), STR_ARG(written));
        i = close;
    }
    return STATUS_OK;
}

static enum status add_header(struct draft *d, struct str name, struct str value)
{
    if (!value.data) return no_memory(d->error);
    d->headers[d->header_count++] = (struct workflow_header){name, value};
    return STATUS_OK;
}

static enum status write_parameters(struct draft *d)
{
    for (size_t i = 0; i < d->step->parameter_count; i++) {
        const struct prepared_parameter *parameter = &d->step->parameters[i];
        const struct openapi_parameter *declared = &parameter->declared;
        const struct json *value = d->values[i], mask = json_string(STR(SECRET_MASK));
        if (!value) continue;
        if (str_is(declared->in, "query")) {
            parameter_query(&d->query, declared, value);
            if (!parameter->secret) {
                parameter_query(&d->query_shown, declared, value);
            } else {
                if (d->query_shown.size) buf_byte(&d->query_shown, '&');
                url_encode(&d->query_shown, declared->name);
                buf_printf(&d->query_shown, "=" STR_FMT, STR_ARG(mask.string));
            }
        } else if (str_is(declared->in, "cookie")) {
            parameter_cookie(&d->cookie, declared, value);
        } else if (str_is(declared->in, "header")) {
            struct buf text = BUF_INIT(URL_SIZE_MAX);
            enum status status = parameter_header(&text, declared, value, d->error);
            if (status == STATUS_OK) status = add_header(d, declared->name, keep(d->arena, &text));
            buf_fini(&text);
            TRY(status);
        }
    }
    return STATUS_OK;
}

static enum status write_credentials(struct draft *d)
{
    for (size_t i = 0; i < d->step->credential_count; i++) {
        const struct prepared_credential *credential = &d->step->credentials[i];
        if (str_is(credential->in, "header")) {
            TRY(add_header(d, credential->name, credential->value));
        } else if (str_is(credential->in, "query")) {
            if (d->query.size) buf_byte(&d->query, '&');
            if (d->query_shown.size) buf_byte(&d->query_shown, '&');
            url_encode(&d->query, credential->name);
            url_encode(&d->query_shown, credential->name);
            buf_byte(&d->query, '=');
            url_encode(&d->query, credential->value);
            buf_lit(&d->query_shown, "=" SECRET_MASK);
        } else {
            if (d->cookie.size) buf_lit(&d->cookie, "; ");
            url_encode(&d->cookie, credential->name);
            buf_byte(&d->cookie, '=');
            url_encode(&d->cookie, credential->value);
        }
    }
    return d->cookie.size ? add_header(d, STR("Cookie"), keep(d->arena, &d->cookie)) : STATUS_OK;
}

static enum status write_body(struct draft *d)
{
    struct written_body body;
    if (!d->step->payload) return STATUS_OK;
    TRY(body_write(d->arena, d->step, d->context, d->error, &body));
    if (!body.present) return STATUS_OK;
    d->built->request.has_body = true;
    d->built->request.body = body.bytes;
    d->built->body = body.value;
    for (size_t i = 0; i < d->header_count; i++) {
        if (str_eq_nocase(d->headers[i].name, STR("Content-Type"))) return STATUS_OK;
    }
    return add_header(d, STR("Content-Type"), body.content_type);
}

static enum status write_url(struct draft *d, bool shown, const struct buf *query, struct str *ret_url)
{
    struct buf buf = BUF_INIT(URL_SIZE_MAX);
    enum status status = write_path(d, shown, &buf);
    struct str url = STR_NULL;
    if (status == STATUS_OK && query->size) {
        buf_byte(&buf, '?');
        buf_add(&buf, query->data, query->size);
    }
    if (status == STATUS_OK && buf_status(&buf) == STATUS_OK && buf_status(query) == STATUS_OK)
        url = location_join(d->arena, d->step->server, buf_str(&buf));
    buf_fini(&buf);
    TRY(status);
    if (!url.data) return error_set(d->error, STATUS_LIMIT, "the URL is too long");
    *ret_url = url;
    return STATUS_OK;
}

static bool header_is_secret(const struct draft *d, struct str name)
{
    static const char *const names[] = {"Authorization", "Proxy-Authorization", "Cookie"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (str_eq_nocase(name, str_of(names[i]))) return true;
    }
    for (size_t i = 0; i < d->step->parameter_count; i++) {
        const struct prepared_parameter *parameter = &d->step->parameters[i];
        if (parameter->secret && str_is(parameter->declared.in, "header") &&
            str_eq_nocase(parameter->declared.name, name))
            return true;
    }
    for (size_t i = 0; i < d->step->credential_count; i++) {
        const struct prepared_credential *credential = &d->step->credentials[i];
        if (str_is(credential->in, "header") && str_eq_nocase(credential->name, name)) return true;
    }
    return false;
}

static enum status show(struct draft *d)
{
    struct json headers = JSON_OBJECT_EMPTY, *shown = &d->built->shown, body = json_null();
    const struct workflow_request *request = &d->built->request;
    for (size_t i = 0; i < d->header_count; i++) {
        struct str value = secrets_mask(d->secrets, d->headers[i].value);
        if (header_is_secret(d, d->headers[i].name)) value = STR(SECRET_MASK);
        if (!value.data) return STATUS_LIMIT;
        TRY(json_put(d->arena, &headers, d->headers[i].name, json_string(value)));
    }
    *shown = JSON_OBJECT_EMPTY;
    TRY(json_put(d->arena, shown, STR("method"), json_string(request->method)));
    TRY(json_put(d->arena, shown, STR("url"), json_string(d->built->url_masked)));
    TRY(json_put(d->arena, shown, STR("headers"), headers));
    if (!d->built->body) return STATUS_OK;
    TRY(secrets_mask_json(d->secrets, d->built->body, &body));
    return json_put(d->arena, shown, STR("body"), body);
}

static enum status build(struct draft *d)
{
    const struct prepared_step *step = d->step;
    struct built_request *built = d->built;
    d->headers = arena_new_array(d->arena, struct workflow_header, step->parameter_count + step->credential_count + 2);
    if (!d->headers) return no_memory(d->error);
    TRY(evaluate_parameters(d));
    TRY(write_parameters(d));
    TRY(write_credentials(d));
    TRY(write_body(d));
    TRY(write_url(d, false, &d->query, &built->request.url));
    TRY(write_url(d, true, &d->query_shown, &built->url_masked));
    built->url_masked = secrets_mask(d->secrets, built->url_masked);
    if (!built->url_masked.data) return no_memory(d->error);
    built->request.method = step->operation->method;
    built->request.headers = d->headers;
    built->request.header_count = d->header_count;
    return show(d) == STATUS_OK ? STATUS_OK : no_memory(d->error);
}

enum status request_build(struct arena *arena, const struct prepared_step *step,
                          const struct expression_context *context, struct workflow_secrets *secrets,
                          struct error *error, struct built_request *ret_request)
{
    struct built_request built = {.header = JSON_OBJECT_EMPTY, .query = JSON_OBJECT_EMPTY, .path = JSON_OBJECT_EMPTY};
    struct draft draft = {
        .arena = arena,
        .step = step,
        .context = context,
        .secrets = secrets,
        .error = error,
        .query = BUF_INIT(URL_SIZE_MAX),
        .query_shown = BUF_INIT(URL_SIZE_MAX),
        .cookie = BUF_INIT(URL_SIZE_MAX),
        .built = &built,
    };
    enum status status = build(&draft);
    buf_fini(&draft.query);
    buf_fini(&draft.query_shown);
    buf_fini(&draft.cookie);
    if (status == STATUS_OK) *ret_request = built;
    return status;
}
