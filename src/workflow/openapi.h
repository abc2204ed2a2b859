#pragma once
/*
 * The OpenAPI descriptions (3.0 and 3.1) behind a workflow: loaded with the files they refer to, indexed by
 * operation, and asked for what a request needs to know: method, path, server, parameters, media type,
 * security.
 *
 * A node is a place in one of the loaded files, because a `$ref` in it means something only there. References
 * are followed on demand, a bounded number of steps, so cycles in schemas cost nothing and cycles of
 * references end with an error.
 *
 * Everything lives in the arena of the set. Not thread-safe.
 */
#include "workflow/document.h"
#include "workflow/transport.h"

#define OPENAPI_FILES_MAX 64

struct openapi_file {
    struct str location;
    struct json root;
};

struct openapi_node {
    const struct json *value; /* NULL: nothing there */
    const struct openapi_file *file;
};

struct openapi_operation {
    struct openapi_source *source;
    struct str id; /* empty when it has none */
    struct str method, path;
    struct openapi_node node, path_item;
};

struct openapi_source {
    const struct workflow_source *description;
    const struct openapi_file *file;   /* NULL: no OpenAPI description, or it could not be loaded */
    const struct openapi_file *arazzo; /* NULL: no Arazzo document, or it could not be loaded */
    bool is_arazzo, failed;
    struct openapi_operation *operations;
    size_t operation_count;
};

struct openapi_set {
    struct arena *arena;
    const struct workflow_transport *transport;
    const struct workflow_loader *loader;
    uint32_t timeout_ms;
    struct openapi_file *files[OPENAPI_FILES_MAX];
    size_t file_count;
    struct openapi_source *sources;
    size_t source_count;
};

struct openapi_parameter {
    struct str name, in, style, content_type; /* content_type: from `content`, else empty */
    bool required, explode, allow_reserved;
};

/* Loads all sources of the document. What is wrong with them goes to `problems`; other failures are LIMIT. */
enum status openapi_load(struct openapi_set *set, const struct workflow_document *document,
                         struct workflow_problems *problems, struct error *error) MUST_USE;

/* The file at a location, loaded once. */
enum status openapi_file_at(struct openapi_set *set, struct str location, struct error *error,
                            const struct openapi_file **ret_file) MUST_USE;
/* Follows `$ref` as long as there is one. INVALID when it leads nowhere or in circles. */
enum status openapi_follow(struct openapi_set *set, struct openapi_node node, struct error *error,
                           struct openapi_node *ret_node) MUST_USE;
/* A member, with its reference followed; value NULL when it is not there. */
enum status openapi_member(struct openapi_set *set, struct openapi_node node, const char *name, struct error *error,
                           struct openapi_node *ret_node) MUST_USE;

/* The operations called `id` in one source (or in all: source NULL). Returns how many; the first `max` go to
 * `found`. */
size_t openapi_find_id(const struct openapi_set *set, const struct openapi_source *source, struct str id,
                       const struct openapi_operation **found, size_t max);
/* NULL when there is none. */
const struct openapi_operation *openapi_find_path(const struct openapi_source *source, struct str path,
                                                  struct str method);
struct openapi_source *openapi_find_source(const struct openapi_set *set, struct str name);
/* Up to three known operationIds that look like `id`, joined by commas; empty when nothing is near. */
struct str openapi_similar(const struct openapi_set *set, struct str id);

/* The declared parameters: those of the operation, then those of its path item that it does not redefine; without the
 * headers Accept, Content-Type and Authorization, which OpenAPI declares elsewhere. */
enum status openapi_parameters(struct openapi_set *set, const struct openapi_operation *operation, struct error *error,
                               struct openapi_parameter **ret_parameters, size_t *ret_count) MUST_USE;
/* The first media type of the operation's request body; empty when it declares none. */
enum status openapi_body_type(struct openapi_set *set, const struct openapi_operation *operation, struct error *error,
                              struct str *ret_type) MUST_USE;
/* The server's absolute URL with its variables filled in. INVALID when there is none. */
enum status openapi_server(struct openapi_set *set, const struct openapi_operation *operation, struct error *error,
                           struct str *ret_url) MUST_USE;
/* The security requirements in force: the operation's, else the document's; NULL when there are none. */
const struct json *openapi_security(const struct openapi_operation *operation);
/* A security scheme of the operation's source; value NULL when it is not declared. */
enum status openapi_security_scheme(struct openapi_set *set, const struct openapi_source *source, struct str name,
                                    struct error *error, struct openapi_node *ret_scheme) MUST_USE;
