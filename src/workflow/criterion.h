#pragma once
/*
 * Conditions of the type `simple`: `$statusCode == 200 && ($response.body#/ok == true || !$inputs.strict)`.
 *
 *   or         = and { "||" and }
 *   and        = unary { "&&" unary }
 *   unary      = "!" unary | comparison
 *   comparison = operand [ ("==" | "!=" | "<" | "<=" | ">" | ">=") operand ]       not chained
 *   operand    = "(" or ")" | literal | expression | "{" expression "}", each with .member and [index] behind it
 *   literal    = true | false | null | number | 'text with '' for a quote'
 *
 * Values: strings compare without regard to ASCII case, also by order. A string that is a number counts as
 * one beside a number. Null equals only null; a value that is absent counts as null; null is never less or
 * greater. Values of other different types are unequal. Alone, a value holds unless it is false, null,
 * absent, 0 or ''.
 *
 * A compiled criterion lives in the arena and may be evaluated any number of times. Errors: INVALID with
 * error->column counting bytes of the condition from 1.
 */
#include "workflow/expression.h"

struct criterion;

enum status criterion_compile(struct arena *arena, struct str condition, struct error *error,
                              struct criterion **ret_criterion) MUST_USE;
enum status criterion_evaluate(struct arena *arena, const struct criterion *criterion,
                               const struct expression_context *context, struct error *error, bool *ret_holds) MUST_USE;
/* Calls found() for every runtime expression in it. */
void criterion_each(const struct criterion *criterion, expression_found found, void *ctx);
/* "$statusCode was 404" for every expression in it, joined by commas: why a criterion failed. */
void criterion_explain(struct arena *arena, const struct criterion *criterion, const struct expression_context *context,
                       struct buf *buf);
