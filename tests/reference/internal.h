#pragma once
/* What the files of the reference evaluator share. */
#include "reference/reference.h"

/* --- memory ------------------------------------------------------------------------------------------- */

void *ref_alloc(struct arena *arena, size_t size); /* zeroed; never NULL */
struct str ref_copy(struct arena *arena, struct str s);
struct str ref_join(struct arena *arena, struct str a, struct str b);

/* --- values ------------------------------------------------------------------------------------------- */

enum ref_type { REF_UNDEFINED, REF_NULL, REF_BOOLEAN, REF_NUMBER, REF_STRING, REF_LIST, REF_OBJECT };

struct ref_value {
    enum ref_type type;
    bool boolean;
    long double number;      /* holds every int64 and every double exactly; infinite for a text that overflows */
    struct str text;         /* of a string; of a number that neither int64 nor a double holds, NULL data otherwise */
    struct ref_value *items; /* of lists and objects */
    struct str *keys;        /* of objects, each once */
    size_t count;
};

static const struct ref_value ref_undefined = {.type = REF_UNDEFINED};
static inline struct ref_value ref_bool(bool b)
{
    return (struct ref_value){.type = REF_BOOLEAN, .boolean = b};
}
static inline struct ref_value ref_int(int64_t i)
{
    return (struct ref_value){.type = REF_NUMBER, .number = (long double)i};
}
static inline struct ref_value ref_string(struct str s)
{
    return (struct ref_value){.type = REF_STRING, .text = s};
}
struct ref_value ref_double(double d); /* undefined when not finite; -0 becomes 0 */
struct ref_value ref_list(struct arena *arena, size_t count);
struct ref_value ref_from_json(struct arena *arena, const struct json *json);
struct json ref_to_json(struct arena *arena, struct ref_value v);
struct str ref_json_text(struct arena *arena, struct ref_value v);
struct str ref_label(struct arena *arena, struct ref_value v);
bool ref_equal(struct arena *arena, struct ref_value a, struct ref_value b);
/* Two numbers, digit by digit: -1, 0, 1. */
int ref_order(struct arena *arena, struct ref_value a, struct ref_value b);
/* The number that a text is, with all its digits; undefined when it is none, or more than a double can be. */
struct ref_value ref_number_from_text(struct arena *arena, struct str text);
/* A number that can be reckoned with: not one that overflows. */
bool ref_number(struct ref_value v, long double *ret_number);
bool ref_is_int64(long double number);
/* A whole number of any size. */
bool ref_whole(struct ref_value v, long double *ret_number);
struct ref_value ref_member(struct ref_value object, struct str key);
unsigned ref_depth(struct ref_value v);

/* --- trees -------------------------------------------------------------------------------------------- */

enum ref_kind {
    REF_LITERAL,
    REF_LIST_LITERAL,
    REF_PROPERTY,
    REF_USER,
    REF_OTHER_ROOT, /* behaviors[…] */
    REF_NAME,
    REF_CALL,
    REF_OPERATOR, /* name is one of + - * / % == != < <= > >= in */
    REF_NEGATIVE,
    REF_NOT,
    REF_AND,
    REF_OR,
    REF_INDEX,
};

struct ref_node {
    enum ref_kind kind;
    struct ref_value value; /* of a literal */
    struct str
        name; /* of a property (of the event or of its user), a bound name, an operator; of a function in lower case */
    struct str bound[128];   /* the names that any, all, map, filter and let bind, in order */
    struct ref_node **parts; /* operands, arguments (without bound names), items */
    size_t count;
};

/* NULL when the text is not in the language. */
struct ref_node *ref_parse(struct arena *arena, struct str text, bool bare);

/* The names that are visible at a place, innermost first. */
struct ref_scope {
    struct str name;
    bool item;                       /* bound by any, all, map, filter; otherwise by let */
    struct ref_value value;          /* of an item */
    const struct ref_node *let_node; /* evaluated where the name is used, with the names of `parent` */
    const struct ref_scope *parent;
};
const struct ref_scope *ref_lookup(const struct ref_scope *scope, struct str name);

struct ref_row {
    struct arena *arena;
    struct ref_value (*property)(void *context, struct str name);
    struct ref_value (*user)(void *context, struct str name); /* NULL: there is nobody */
    void *context;
    int64_t now_ms;
    const struct expr_join *const *joins;
    size_t join_count;
    const struct expr_join *join; /* of the subscript that is being evaluated */
    bool failed;                  /* `and` or `or` met what is no truth value */
};

/* What is wrong with the tree, whatever the rows are; NULL when nothing is. */
const char *ref_check(struct arena *arena, const struct ref_node *tree, int64_t now_ms);
struct ref_value ref_eval(struct ref_row *row, const struct ref_node *node, const struct ref_scope *scope);
/* A regular expression that PCRE2 refuses. */
bool ref_pattern_malformed(struct str pattern);
struct ref_value ref_add(struct ref_value a, struct ref_value b);
struct ref_value ref_cast_string(struct arena *arena, struct ref_value v);

/* --- time --------------------------------------------------------------------------------------------- */

void ref_set_zone(const char *zone);
struct ref_local {
    int64_t day; /* days since 1970-01-01 */
    int hour, minute;
};
struct ref_local ref_local(int64_t utc_ms);
int64_t ref_days(int year, int month, int day);
void ref_date(int64_t days, int *ret_year, int *ret_month, int *ret_day);
