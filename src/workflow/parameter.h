#pragma once
/*
 * How parameter values are written into requests: the style and explode table of OpenAPI 3, with
 * percent-encoding (a space is %20, UTF-8 by bytes). Values are JSON: arrays and objects are laid out by the
 * style, anything nested deeper is written as compact JSON text.
 *
 *   style           array [a,b]                object {R:1,G:2}               explode: array, object
 *   form            p=a,b                      p=R,1,G,2                      p=a&p=b          R=1&G=2
 *   spaceDelimited  p=a%20b                    p=R%201%20G%202                as form
 *   pipeDelimited   p=a%7Cb                    p=R%7C1%7CG%7C2                as form
 *   deepObject      p=a,b                      p[R]=1&p[G]=2                  the same
 *   simple          a,b                        R,1,G,2                        a,b              R=1,G=2
 *   label           .a,b                       .R,1,G,2                       .a.b             .R=1.G=2
 *   matrix          ;p=a,b                     ;p=R,1,G,2                     ;p=a;p=b         ;R=1;G=2
 *
 * An empty array or object in a query or cookie writes nothing.
 */
#include "base/buf.h"
#include "base/error.h"
#include "base/json.h"
#include "workflow/openapi.h"

/* The declaration that a parameter has when the operation does not declare it. */
struct openapi_parameter parameter_undeclared(struct str name, struct str in);

/* Appends `name=value` pairs joined by `&`; with `&` in front when buf already holds bytes. */
void parameter_query(struct buf *buf, const struct openapi_parameter *declared, const struct json *value);
/* Appends what stands in place of {name} in the path. */
void parameter_path(struct buf *buf, const struct openapi_parameter *declared, const struct json *value);
/* Is this a name that a header can have (a token of RFC 9110)? */
bool parameter_header_name_fits(struct str name);
/* Appends the value of the header. INVALID when it has characters that a header cannot carry. */
enum status parameter_header(struct buf *buf, const struct openapi_parameter *declared, const struct json *value,
                             struct error *error) MUST_USE;
/* Appends `name=value`; pairs are joined by "; ". */
void parameter_cookie(struct buf *buf, const struct openapi_parameter *declared, const struct json *value);
/* A map as application/x-www-form-urlencoded: lists of scalars repeat the name, anything nested is JSON text.
 */
void parameter_form(struct buf *buf, const struct json *map);
