#include "cli/transport.h"

static bool describes_the_body(struct str name)
{
    static const char *const plain[] = {"Accept", "Accept-Encoding", "Content-Type", "User-Agent"};
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        if (str_eq_nocase(name, str_of(plain[i]))) return true;
    return false;
}

/* A POST without a body still has to say that its length is 0: servers wait for it or refuse. */
static bool wants_length(struct str method)
{
    return str_is(method, "POST") || str_is(method, "PUT") || str_is(method, "PATCH");
}

/* The runner knows four ways for an exchange to fail; everything else that the client may say is "broke on
 * the way". */
static enum status narrowed(enum status status)
{
    switch (status) {
    case STATUS_UNAVAILABLE:
    case STATUS_CANCELLED:
    case STATUS_LIMIT: return status;
    default: return STATUS_IO;
    }
}

static enum status send_request(void *ctx, const struct workflow_request *request, struct arena *arena,
                                struct error *error, struct workflow_response *ret_response)
{
    struct http_client *client = ctx;
    struct http_client_field *fields = arena_new_array(arena, struct http_client_field, request->header_count + 1);
    if (!fields) return error_set(error, STATUS_LIMIT, "out of memory for the request's headers");
    for (size_t i = 0; i < request->header_count; i++)
        fields[i] = (struct http_client_field){
            .name = request->headers[i].name,
            .value = request->headers[i].value,
            .secret = !describes_the_body(request->headers[i].name),
        };

    struct http_client_request outgoing = {
        .method = request->method,
        .url = request->url,
        .fields = fields,
        .field_count = request->header_count,
        .timeout_ms = request->timeout_ms,
        .response_bytes_max = request->body_size_max,
        .redirects_max = TRANSPORT_REDIRECTS_MAX,
    };
    if (request->has_body)
        outgoing.body = request->body.data ? request->body : STR("");
    else if (wants_length(request->method))
        outgoing.body = STR("");

    struct http_client_response answer;
    enum status status = http_client_send(client, &outgoing, arena, error, &answer);
    if (status != STATUS_OK) return narrowed(status);

    struct workflow_header *headers = arena_new_array(arena, struct workflow_header, answer.field_count + 1);
    if (!headers) return error_set(error, STATUS_LIMIT, "out of memory for the response's headers");
    for (size_t i = 0; i < answer.field_count; i++)
        headers[i] = (struct workflow_header){answer.fields[i].name, answer.fields[i].value};
    *ret_response = (struct workflow_response){
        .status = (unsigned)answer.status,
        .headers = headers,
        .header_count = answer.field_count,
        .body = answer.body,
        .url = answer.url,
        .elapsed_us = answer.duration_us,
    };
    return STATUS_OK;
}

struct workflow_transport transport_over(struct http_client *client)
{
    return (struct workflow_transport){.ctx = client, .send = send_request};
}
