#pragma once
/*
 * The operator table: one row for every operator and function of the language, for every back end that there is. It is
 * a list of macro calls, so that who expands it must have something for each row: the native functions (function.c),
 * the reference evaluator of the tests, the conditions in ClickHouse's SQL. An operator that one of them lacks does not
 * link, or fails function_test.
 *
 *   EXPR_STRICT_OPERATORS(ROW)  ROW(id, name, written, form, min, max, first, second, others, result, absent, prepare,
 *                               sql)
 *   EXPR_LAZY_OPERATORS(ROW)    the same without `prepare`: those that do not evaluate all their arguments, or not once
 *
 *   id        of the native function, expr_run_ID, and the reference's, ref_op_ID
 *   name      as it is written, and as errors call it
 *   written   OPERATOR, which is not found by its name, or FUNCTION
 *   form      the rest of an enum form (function.h)
 *   min, max  arguments
 *   first, second, others  the type rule: what each argument may be; a strict operator is undefined for other types
 *   result    what it can be for accepted arguments
 *   absent    the absent rule: UNDEFINED, an undefined argument makes the result undefined; SEEN, it is a value like
 *             others to the operator, which says what becomes of it
 *   prepare   looks at constant arguments once, or NULL
 *   sql       its form in ClickHouse's SQL: SQL_BOOL, SQL_NUMBER, SQL_TEXT or SQL_SAME (template), or NO_SQL (why
 *             there is none)
 *
 * SQL templates give the value as Nullable(Bool) (or UInt8, which is the same to ClickHouse), Nullable(Float64) or
 * Nullable(String), NULL for undefined. Arguments
 * stand in braces with the representation in which they are to be printed:
 *
 *   {0:b} {0:n} {0:s}  the argument as a boolean, number or string; NULL when the value is of another type
 *   {0:t}              its type, a number of enum value_type
 *   {0:c}              canonical text of any value, never NULL: JSON with sorted members and without blanks, numbers in
 *                      their shortest form with -0 as 0; `undefined`
 *   {0:l}              of a list, the array of its items' canonical texts; empty for other types
 *   {0:r}              the representation that is asked of the whole
 *
 * A template is given only where ClickHouse's answer is ours (tests/sql tries every template on combinations of values
 * of all types), for numbers that a double holds exactly: a printer has to refuse plans over larger integers or
 * read those otherwise. `types` of SQL_BOOL names what the arguments may be at
 * most where that matters. Nothing prints templates yet; they are here so that a new operator is thought of for all.
 */

/* clang-format off */
#define EXPR_STRICT_OPERATORS(ROW)                                                                                     \
    /* logic */                                                                                                        \
    ROW(not, "not", OPERATOR, STRICT, 1, 1, T_ANY, 0, 0, T_MAYBE, SEEN, NULL,                                          \
        SQL_BOOL(T_ANY, "multiIf({0:t} = 2, NOT {0:b}, {0:t} = 0, true, NULL)"))                                       \
    ROW(equal, "==", OPERATOR, STRICT, 2, 2, T_ANY, T_ANY, 0, T_BOOL, SEEN, NULL,                                      \
        SQL_BOOL(T_ANY, "({0:c} = {1:c})"))                                                                            \
    ROW(not_equal, "!=", OPERATOR, STRICT, 2, 2, T_ANY, T_ANY, 0, T_BOOL, SEEN, NULL,                                  \
        SQL_BOOL(T_ANY, "({0:c} != {1:c})"))                                                                           \
    ROW(less, "<", OPERATOR, STRICT, 2, 2, T_ORDERED, T_ORDERED, 0, T_MAYBE, UNDEFINED, NULL,                          \
        SQL_BOOL(T_ANY, "if({0:s} IS NOT NULL AND {1:s} IS NOT NULL, {0:s} < {1:s}, {0:n} < {1:n})"))                  \
    ROW(less_equal, "<=", OPERATOR, STRICT, 2, 2, T_ORDERED, T_ORDERED, 0, T_MAYBE, UNDEFINED, NULL,                   \
        SQL_BOOL(T_ANY, "if({0:s} IS NOT NULL AND {1:s} IS NOT NULL, {0:s} <= {1:s}, {0:n} <= {1:n})"))                \
    ROW(greater, ">", OPERATOR, STRICT, 2, 2, T_ORDERED, T_ORDERED, 0, T_MAYBE, UNDEFINED, NULL,                       \
        SQL_BOOL(T_ANY, "if({0:s} IS NOT NULL AND {1:s} IS NOT NULL, {0:s} > {1:s}, {0:n} > {1:n})"))                  \
    ROW(greater_equal, ">=", OPERATOR, STRICT, 2, 2, T_ORDERED, T_ORDERED, 0, T_MAYBE, UNDEFINED, NULL,                \
        SQL_BOOL(T_ANY, "if({0:s} IS NOT NULL AND {1:s} IS NOT NULL, {0:s} >= {1:s}, {0:n} >= {1:n})"))                \
    ROW(in, "in", OPERATOR, STRICT, 2, 2, T_ANY, T_TEXT | T_LIST, 0, T_MAYBE, SEEN, expr_prepare_in,                   \
        SQL_BOOL(T_ANY, "multiIf({1:t} = 6, has({1:l}, {0:c}), position({1:s}, {0:s}) > 0)"))                          \
    ROW(defined, "defined", FUNCTION, STRICT, 1, 1, T_ANY, 0, 0, T_BOOL, SEEN, NULL,                                   \
        SQL_BOOL(T_ANY, "({0:t} > 1)"))                                                                                \
    /* casts; the second argument is the default */                                                                    \
    ROW(string, "string", FUNCTION, CAST, 1, 2, T_ANY, T_ANY, 0, T_TEXT | T_UNSET, SEEN, NULL,                         \
        NO_SQL("toString writes some numbers differently: 1e21, 1e-7"))                                                \
    ROW(number, "number", FUNCTION, CAST, 1, 2, T_NUMBER | T_BOOL | T_TEXT, T_ANY, 0, T_NUMBER | T_ABSENT, UNDEFINED,  \
        NULL,                                                                                                          \
        NO_SQL("to ClickHouse inf and nan are numbers, and texts with blanks around are none"))                        \
    ROW(boolean, "boolean", FUNCTION, CAST, 1, 2, T_ANY, T_ANY, 0, T_BOOL, SEEN, NULL,                                 \
        SQL_BOOL(T_ANY, "multiIf({0:t} = 2, {0:b}, {0:n} IS NOT NULL, {0:n} != 0, {0:s} IS NOT NULL, "                 \
                        "{0:s} NOT IN ('', 'false'), {0:t} IN (6, 7), length({0:c}) > 2, {0:t} = 8)"))         \
    /* arithmetic */                                                                                                   \
    ROW(add, "+", OPERATOR, STRICT, 2, 2, T_NUMBER | T_TEXT, T_NUMBER | T_TEXT, 0, T_NUMBER | T_TEXT | T_ABSENT,       \
        UNDEFINED, NULL, SQL_NUMBER_OR_TEXT("if(isFinite({0:n} + {1:n}), {0:n} + {1:n} + 0, NULL)",                    \
                                            "concat({0:s}, {1:s})"))                                                   \
    ROW(subtract, "-", OPERATOR, STRICT, 2, 2, T_NUMBER, T_NUMBER, 0, T_NUMBER | T_ABSENT, UNDEFINED, NULL,            \
        SQL_NUMBER("if(isFinite({0:n} - {1:n}), {0:n} - {1:n} + 0, NULL)"))                                            \
    ROW(multiply, "*", OPERATOR, STRICT, 2, 2, T_NUMBER, T_NUMBER, 0, T_NUMBER | T_ABSENT, UNDEFINED, NULL,            \
        SQL_NUMBER("if(isFinite({0:n} * {1:n}), {0:n} * {1:n} + 0, NULL)"))                                            \
    ROW(divide, "/", OPERATOR, STRICT, 2, 2, T_NUMBER, T_NUMBER, 0, T_NUMBER | T_ABSENT, UNDEFINED, NULL,              \
        SQL_NUMBER("if(isFinite({0:n} / {1:n}), {0:n} / {1:n} + 0, NULL)"))                                            \
    ROW(remainder, "%", OPERATOR, STRICT, 2, 2, T_NUMBER, T_NUMBER, 0, T_NUMBER | T_ABSENT, UNDEFINED, NULL,           \
        NO_SQL("modulo of fractions is not that of the C library in every version"))                                   \
    ROW(negate, "unary -", OPERATOR, STRICT, 1, 1, T_NUMBER, 0, 0, T_NUMBER | T_ABSENT, UNDEFINED, NULL,               \
        SQL_NUMBER("(0 - {0:n})"))                                                                                     \
    ROW(floor, "floor", FUNCTION, STRICT, 1, 1, T_NUMBER, 0, 0, T_NUMBER | T_ABSENT, UNDEFINED, NULL,                  \
        SQL_NUMBER("(floor({0:n}) + 0)"))                                                                              \
    ROW(ceil, "ceil", FUNCTION, STRICT, 1, 1, T_NUMBER, 0, 0, T_NUMBER | T_ABSENT, UNDEFINED, NULL,                    \
        SQL_NUMBER("(ceil({0:n}) + 0)"))                                                                               \
    ROW(round, "round", FUNCTION, STRICT, 1, 1, T_NUMBER, 0, 0, T_NUMBER | T_ABSENT, UNDEFINED, NULL,                  \
        NO_SQL("round takes halves of floats to the even neighbour, ours away from zero"))                             \
    ROW(min, "min", FUNCTION, STRICT, 2, EXPR_ITEMS_MAX, T_NUMBER, T_NUMBER, T_NUMBER, T_NUMBER | T_ABSENT, UNDEFINED, \
        NULL, NO_SQL("any number of arguments: templates have no lists, and least passes over NULL at times"))         \
    ROW(max, "max", FUNCTION, STRICT, 2, EXPR_ITEMS_MAX, T_NUMBER, T_NUMBER, T_NUMBER, T_NUMBER | T_ABSENT, UNDEFINED, \
        NULL, NO_SQL("any number of arguments: templates have no lists, and greatest passes over NULL at times"))      \
    /* texts */                                                                                                        \
    ROW(len, "len", FUNCTION, STRICT, 1, 1, T_TEXT | T_LIST | T_OBJECT, 0, 0, T_INT, UNDEFINED, NULL,                  \
        NO_SQL("members of an object have no count in any representation"))                                            \
    ROW(left, "left", FUNCTION, STRICT, 2, 2, T_TEXT, T_NUMBER, 0, T_TEXT | T_ABSENT, UNDEFINED, NULL,                 \
        NO_SQL("negative and fractional lengths differ"))                                                              \
    ROW(right, "right", FUNCTION, STRICT, 2, 2, T_TEXT, T_NUMBER, 0, T_TEXT | T_ABSENT, UNDEFINED, NULL,               \
        NO_SQL("negative and fractional lengths differ"))                                                              \
    ROW(mid, "mid", FUNCTION, STRICT, 3, 3, T_TEXT, T_NUMBER, T_NUMBER, T_TEXT | T_ABSENT, UNDEFINED, NULL,            \
        NO_SQL("places before the first character differ"))                                                            \
    ROW(upper, "upper", FUNCTION, STRICT, 1, 1, T_TEXT, 0, 0, T_TEXT, UNDEFINED, NULL,                                 \
        NO_SQL("maps of letters differ, for one by version"))                                                          \
    ROW(lower, "lower", FUNCTION, STRICT, 1, 1, T_TEXT, 0, 0, T_TEXT, UNDEFINED, NULL,                                 \
        NO_SQL("maps of letters differ, for one by version"))                                                          \
    ROW(has_prefix, "has_prefix", FUNCTION, STRICT, 2, 2, T_TEXT, T_TEXT, 0, T_BOOL, UNDEFINED, NULL,                  \
        NO_SQL("ignores case, and maps of letters differ"))                                                            \
    ROW(has_suffix, "has_suffix", FUNCTION, STRICT, 2, 2, T_TEXT, T_TEXT, 0, T_BOOL, UNDEFINED, NULL,                  \
        NO_SQL("ignores case, and maps of letters differ"))                                                            \
    ROW(split, "split", FUNCTION, STRICT, 2, 3, T_TEXT, T_TEXT, T_NUMBER, T_TEXT | T_LIST | T_ABSENT, UNDEFINED, NULL, \
        NO_SQL("a text without the delimiter is every part of itself"))                                                \
    ROW(parse_url, "parse_url", FUNCTION, STRICT, 2, 2, T_TEXT, T_TEXT, 0, T_TEXT | T_ABSENT, UNDEFINED, NULL,         \
        NO_SQL("domain() takes other texts for addresses"))                                                            \
    ROW(regex_match, "regex_match", FUNCTION, STRICT, 2, 2, T_TEXT, T_TEXT, 0, T_MAYBE, UNDEFINED, expr_prepare_regex, \
        NO_SQL("RE2 is not PCRE2"))                                                                                    \
    ROW(regex_extract, "regex_extract", FUNCTION, STRICT, 2, 3, T_TEXT, T_TEXT, T_NUMBER, T_TEXT | T_ABSENT,           \
        UNDEFINED, expr_prepare_regex, NO_SQL("RE2 is not PCRE2"))                                                     \
    ROW(regex_replace, "regex_replace", FUNCTION, STRICT, 3, 3, T_TEXT, T_TEXT, T_TEXT, T_TEXT | T_ABSENT, UNDEFINED,  \
        expr_prepare_regex, NO_SQL("RE2 is not PCRE2"))                                                                \
    /* time */                                                                                                         \
    ROW(datetime, "datetime", FUNCTION, STRICT, 1, 1, T_NUMBER | T_TEXT, 0, 0, T_NUMBER | T_ABSENT, UNDEFINED, NULL,   \
        NO_SQL("no function of ClickHouse reads just these forms of a time"))                                          \
    ROW(datedif, "datedif", FUNCTION, STRICT, 3, 3, T_NUMBER | T_TEXT, T_NUMBER | T_TEXT, T_TEXT, T_NUMBER | T_ABSENT, \
        UNDEFINED, NULL, NO_SQL("needs datetime"))                                                                     \
    ROW(today, "TODAY", FUNCTION, STRICT, 0, 0, 0, 0, 0, T_NUMBER | T_ABSENT, UNDEFINED, NULL,                         \
        NO_SQL("a constant of the plan: it is printed as its value"))                                                  \
    /* lists */                                                                                                        \
    ROW(list, "[]", OPERATOR, STRICT, 0, EXPR_ITEMS_MAX, T_ANY, T_ANY, T_ANY, T_LIST | T_ABSENT, SEEN, NULL,           \
        NO_SQL("any number of arguments: templates have no lists"))                                                    \
    ROW(index, "x[i]", OPERATOR, STRICT, 2, 2, T_LIST | T_OBJECT, T_NUMBER | T_TEXT, 0, T_ANY, UNDEFINED, NULL,        \
        NO_SQL("an item has no representation but its canonical text"))                                                \
    /* the parser writes it for a subscript of a property that is joined with a table */                               \
    ROW(lookup, "x[column]", OPERATOR, STRICT, 2, 2, T_BOOL | T_NUMBER | T_TEXT | T_LIST | T_OBJECT, T_TEXT, 0, T_ANY, \
        UNDEFINED, expr_prepare_lookup, NO_SQL("needs the table, which is not ClickHouse's"))                          \
    ROW(sum, "sum", FUNCTION, STRICT, 1, 1, T_LIST, 0, 0, T_NUMBER | T_ABSENT, UNDEFINED, NULL,                        \
        NO_SQL("adds from the left, integers exactly; arraySum does not say how it adds"))

#define EXPR_LAZY_OPERATORS(ROW)                                                                                       \
    ROW(and, "and", OPERATOR, AND, 2, EXPR_ITEMS_MAX, T_ANY, T_ANY, T_ANY, T_BOOL, SEEN,                               \
        SQL_BOOL(T_BOOL | T_UNSET, "(ifNull({0:b}, false) AND ifNull({1:b}, false))"))                                 \
    ROW(or, "or", OPERATOR, OR, 2, EXPR_ITEMS_MAX, T_ANY, T_ANY, T_ANY, T_BOOL, SEEN,                                  \
        SQL_BOOL(T_BOOL | T_UNSET, "(ifNull({0:b}, false) OR ifNull({1:b}, false))"))                                  \
    ROW(if, "if", FUNCTION, IF, 3, 3, T_ANY, T_ANY, T_ANY, T_ANY, SEEN,                                                \
        SQL_SAME("if(ifNull({0:b}, false), {1:r}, {2:r})"))                                                            \
    ROW(ifs, "ifs", FUNCTION, IFS, 2, 200, T_ANY, T_ANY, T_ANY, T_ANY, SEEN,                                           \
        NO_SQL("any number of arguments: it is printed as ifs inside each other"))                                     \
    ROW(let, "let", FUNCTION, LET, 3, EXPR_ITEMS_MAX, T_ANY, T_ANY, T_ANY, T_ANY, SEEN,                                \
        NO_SQL("names are replaced by what they stand for before anything is printed"))                                \
    ROW(map, "map", FUNCTION, MAP, 3, 3, T_LIST, T_ANY, T_ANY, T_LIST | T_ABSENT, UNDEFINED,                           \
        NO_SQL("an item has no representation but its canonical text"))                                                \
    ROW(filter, "filter", FUNCTION, FILTER, 3, 3, T_LIST, T_ANY, T_ANY, T_LIST, UNDEFINED,                             \
        NO_SQL("an item has no representation but its canonical text"))                                                \
    ROW(any, "any", FUNCTION, ANY, 3, 3, T_LIST, T_ANY, T_ANY, T_BOOL, UNDEFINED,                                      \
        NO_SQL("an item has no representation but its canonical text"))                                                \
    ROW(all, "all", FUNCTION, ALL, 3, 3, T_LIST, T_ANY, T_ANY, T_BOOL, UNDEFINED,                                      \
        NO_SQL("an item has no representation but its canonical text"))
/* clang-format on */
