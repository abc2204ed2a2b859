#pragma once
/*
 * The criterion objects of Arazzo, of every type: what is true of a step before it counts as passed, or before an
 * action is taken.
 *
 *   simple     the language of criterion.h; `context` has no meaning there
 *   regex      a search in the context as text (pattern.h); `/pattern/flags` is understood too
 *   jsonpath   RFC 9535, or draft-goessner-dispatch-jsonpath-00 by version: holds when a node is selected. When the
 *              context is an object and the query a filter, `$[?...]`, that selects none of its members, the object
 *              itself is asked as well: the specification's own examples are written that way.
 *   xpath      XPath 1.0 over a text that is XML: the effective boolean value. Later versions are read as 1.0.
 *
 * Expressions in braces in the last three are replaced before the condition is read. A context without a value makes
 * the condition false. What cannot be evaluated makes it false as well, with the reason in the message.
 */
#include "jsonpath/jsonpath.h"
#include "workflow/criterion.h"

enum condition_type { CONDITION_SIMPLE, CONDITION_REGEX, CONDITION_JSONPATH, CONDITION_XPATH };

struct condition {
    enum condition_type type;
    struct str text;           /* as it is written */
    struct criterion *simple;  /* CONDITION_SIMPLE */
    struct expression context; /* the other types */
    bool embeds;               /* expressions stand in it */
    enum jsonpath_dialect dialect;
    bool never; /* a comparison outside of a filter, which JSONPath does not have: never holds */
};

/* What was noticed while a condition was compiled, and is no error. */
struct condition_remark {
    char text[200], hint[200];
};

/* `node` is the criterion object. INVALID for one that is malformed: error->column counts bytes of the condition.
 * UNSUPPORTED for an unknown type or version. */
enum status condition_compile(struct arena *arena, const struct json *node, struct error *error,
                              struct condition_remark *remark, struct condition *ret_condition) MUST_USE;
/* `message` says why it does not hold, in words for people (not masked). LIMIT only when the arena is full. */
enum status condition_evaluate(struct arena *arena, const struct condition *condition,
                               const struct expression_context *context, struct buf *message, bool *ret_holds) MUST_USE;
/* Calls found() for every runtime expression in it. */
void condition_each(const struct condition *condition, expression_found found, void *ctx);
