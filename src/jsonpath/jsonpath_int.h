#pragma once
/* The tree of a compiled query, shared by the files of this room. Not for others. */
#include "jsonpath/jsonpath.h"

enum selector_kind { SELECT_NAME, SELECT_WILDCARD, SELECT_INDEX, SELECT_SLICE, SELECT_FILTER };

struct selector {
    struct selector *next;
    enum selector_kind kind;
    struct str name;
    int64_t index; /* or the slice's start */
    int64_t end, step;
    bool has_start, has_end;
    const struct filter *filter;
};

struct segment {
    struct segment *next;
    bool descendant;
    struct selector *selectors; /* at least one */
};

struct query {
    bool relative; /* begins with @ */
    bool singular;
    struct segment *segments;
};

enum filter_kind {
    FILTER_LITERAL,
    FILTER_QUERY,
    FILTER_FUNCTION,
    FILTER_PAREN, /* left */
    FILTER_NOT,   /* left */
    FILTER_AND,
    FILTER_OR,
    FILTER_COMPARE,
};

enum comparison { EQUAL, NOT_EQUAL, LESS, LESS_EQUAL, GREATER, GREATER_EQUAL };

/* The types of RFC 9535, 2.4.1. */
enum function_type { TYPE_VALUE, TYPE_LOGICAL, TYPE_NODES };

#define ARGUMENTS_MAX 2

struct filter {
    enum filter_kind kind;
    enum comparison comparison;
    struct filter *left, *right;
    struct json literal;
    struct query query;
    const struct function *function;
    struct filter *arguments[ARGUMENTS_MAX];
    struct regexp *regexp; /* of match and search, when the pattern is a literal */
};

struct jsonpath {
    enum jsonpath_dialect dialect;
    struct query query;
};

/* What an argument or a result is: by its type one of the three. */
struct result {
    bool present; /* a value; false is "Nothing" */
    struct json value;
    bool logical;
    struct jsonpath_nodes nodes;
};

struct evaluation {
    struct arena *arena;
    const struct jsonpath *path;
    const struct json *root;
    struct error *error;
    unsigned effort;
};

struct function {
    const char *name;
    enum function_type result;
    unsigned argument_count;
    enum function_type arguments[ARGUMENTS_MAX];
    enum status (*call)(struct evaluation *e, const struct filter *filter, const struct result *arguments,
                        struct result *ret_result);
};

/* NULL when there is no such function. */
const struct function *function_find(struct str name);

/*
 * The regular expressions of RFC 9485, checked and translated for PCRE2, matched with limits. `^` and `$` are taken as
 * anchors. A pattern outside of the standard gives a regexp that matches nothing, as RFC 9535 wants it.
 */
enum regexp_kind {
    REGEXP_MATCH,  /* the whole text */
    REGEXP_SEARCH, /* anywhere in it */
    REGEXP_PERL,   /* anywhere; the pattern is PCRE2's own */
    REGEXP_PERL_NOCASE,
};
/* Freed by regexp_free. LIMIT when memory is out. */
enum status regexp_new(struct str pattern, enum regexp_kind kind, struct regexp **ret_regexp) MUST_USE;
void regexp_free(void *regexp);
/* False also when the match takes too much effort: LIMIT is for memory. */
enum status regexp_matches(const struct regexp *regexp, struct str text, bool *ret_matches) MUST_USE;
