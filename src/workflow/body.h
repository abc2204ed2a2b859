#pragma once
/*
 * Request bodies: from the payload of a step to the bytes that its content type wants.
 *
 *   JSON                 any value; a text that is not one whole expression is sent as it stands
 *   form-urlencoded      a map (parameter.h), or a text
 *   multipart/form-data  a map of parts: scalars as text, lists as one part an entry, anything nested as JSON
 *   CSV                  a list of lists, or of maps with the first one's names as heading, or a text
 *   XML, text, others    a text
 *
 * Replacements come after the payload has its values, in their order, on a copy; each target must be there.
 */
#include "workflow/prepare.h"

struct written_body {
    bool present; /* false: the payload is an input that was not given */
    struct str bytes;
    struct str content_type;  /* of multipart with its boundary */
    const struct json *value; /* what $request.body means: the value, or the text */
};

enum status body_write(struct arena *arena, const struct prepared_step *step, const struct expression_context *context,
                       struct error *error, struct written_body *ret_body) MUST_USE;
