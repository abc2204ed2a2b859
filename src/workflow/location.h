#pragma once
/*
 * Where documents are: either the path of a local file (as the user wrote it) or an http or https URL.
 * References between documents are resolved by RFC 3986 against the location of the document that holds them,
 * never against the current directory.
 *
 * Results live in the arena. INVALID for a reference that leads to another scheme, LIMIT for a full arena.
 */
#include "base/arena.h"
#include "base/error.h"
#include "workflow/transport.h"

/* True for http:// and https://, in any letter case. */
bool location_is_http(struct str location);
/* True when the text begins with a scheme: "https:", "file:", "urn:". */
bool location_has_scheme(struct str text);
/* Resolves `reference` against `base`, without its fragment. References that end as files are
 * percent-decoded: `a%20b.yml` names the file "a b.yml". */
enum status location_resolve(struct arena *arena, struct str base, struct str reference, struct error *error,
                             struct str *ret_location) MUST_USE;
/* Puts a URL path behind a server URL without doubling or losing the slash between them. */
struct str location_join(struct arena *arena, struct str server, struct str path) MUST_USE;
/* Can requests be sent to paths below this URL? http or https, with a host, without user and password, query,
 * fragment, blanks or control characters. INVALID otherwise. */
enum status location_check_server(struct str url, struct error *error) MUST_USE;
/* The whole text of a local file. NOT_FOUND, IO, or LIMIT when it is larger than size_max. Only regular
 * files: a pipe or a device would block. */
enum status location_read_file(struct arena *arena, struct str path, size_t size_max, struct error *error,
                               struct str *ret_text) MUST_USE;
/* Reads a file, or GETs a URL through the transport. Anything but status 200 is an error. */
enum status location_read(struct arena *arena, const struct workflow_transport *transport, struct str location,
                          size_t size_max, uint32_t timeout_ms, struct error *error, struct str *ret_text) MUST_USE;
