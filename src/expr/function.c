#include "expr/function.h"

#include <math.h>

#include "base/number.h"

#define OPERATOR true
#define FUNCTION false
#define SQL_BOOL(types_, template)                                                                                     \
    {                                                                                                                  \
        .boolean = (template), .types = (types_)                                                                       \
    }
#define SQL_NUMBER(template)                                                                                           \
    {                                                                                                                  \
        .number = (template)                                                                                           \
    }
#define SQL_NUMBER_OR_TEXT(number_, text_)                                                                             \
    {                                                                                                                  \
        .number = (number_), .text = (text_)                                                                           \
    }
#define SQL_SAME(template)                                                                                             \
    {                                                                                                                  \
        .boolean = (template), .number = (template), .text = (template)                                                \
    }
#define NO_SQL(why)                                                                                                    \
    {                                                                                                                  \
        .reason = (why)                                                                                                \
    }

#define COMMON(name_, written, form_, min_, max_, first, second, others, result_, absent_)                             \
    .name = (name_), .operator=(written), .form = FORM_##form_, .absent = ABSENT_##absent_, .min = (min_),             \
    .max = (max_), .accept = {(first), (second), (others)}, .result = (result_)
#define STRICT_ROW(id, name, written, form, min, max, first, second, others, result, absent, prepare_, ...)            \
    {COMMON(name, written, form, min, max, first, second, others, result, absent), .run = expr_run_##id,               \
     .prepare = (prepare_), .sql = __VA_ARGS__},
#define LAZY_ROW(id, name, written, form, min, max, first, second, others, result, absent, ...)                        \
    {COMMON(name, written, form, min, max, first, second, others, result, absent), .sql = __VA_ARGS__},

const struct function expr_functions[] = {EXPR_STRICT_OPERATORS(STRICT_ROW) EXPR_LAZY_OPERATORS(LAZY_ROW){0}};

const struct function *expr_function(struct str name, bool operator)
{
    for (const struct function *row = expr_functions; row->name; row++) {
        if (row->operator== operator&& str_eq_nocase(str_of(row->name), name)) return row;
    }
    return NULL;
}

#define NEAR_BYTES_MAX 16

/* Edits between two short words: inserted, dropped or changed letters, without regard to case. */
static unsigned distance(struct str a, struct str b)
{
    unsigned row[NEAR_BYTES_MAX + 1];
    for (unsigned j = 0; j <= b.size; j++) row[j] = j;
    for (size_t i = 1; i <= a.size; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= b.size; j++) {
            unsigned change = diagonal + !str_eq_nocase(str_slice(a, i - 1, i), str_slice(b, j - 1, j));
            diagonal = row[j];
            unsigned best = row[j - 1] < row[j] ? row[j - 1] + 1 : row[j] + 1;
            row[j] = change < best ? change : best;
        }
    }
    return row[b.size];
}

const char *expr_function_near(struct str name)
{
    const char *near = NULL;
    unsigned best = name.size < 6 ? (unsigned)name.size / 2 + 1 : 4; /* nothing at this distance or beyond */
    if (name.size > NEAR_BYTES_MAX) return NULL;
    for (const struct function *row = expr_functions; row->name; row++) {
        unsigned edits = row->operator|| strlen(row->name) > NEAR_BYTES_MAX ? best : distance(name, str_of(row->name));
        if (edits < best) {
            best = edits;
            near = row->name;
        }
    }
    return near;
}

struct value expr_apply(struct expr_call *call, const struct value *args, uint32_t count)
{
    bool mismatch = false;
    int64_t work = 1;
    for (uint32_t i = 0; i < count; i++) {
        if (args[i].type == VALUE_FAULT) return args[i];
        if (!(expr_accept(call->function, i) >> args[i].type & 1)) mismatch = true;
        /* Long values cost what they weigh, so that a bound on the work is a bound on the time. */
        if (args[i].type >= VALUE_STRING) work += args[i].size >> 6;
    }
    struct expr_context *context = call->context;
    context->work_left -= work;
    if (context->work_left < 0) {
        expr_out_of_budget(call, "work");
        return value_absent();
    }
    if (context->work_left < context->look_at) {
        expr_look(context);
        if (context->status != STATUS_OK) return value_absent();
    }
    return mismatch ? value_absent() : call->function->run(call, args, count);
}

void expr_look(struct expr_context *context)
{
    context->look_at = context->work_left - EXPR_LOOK_WORK;
    if (context->look && context->status == STATUS_OK) context->status = context->look(context->look_arg, context->error);
}

void expr_out_of_budget(struct expr_call *call, const char *what)
{
    struct expr_context *context = call->context;
    if (context->status != STATUS_OK) return;
    context->status = STATUS_LIMIT;
    error_set(context->error, STATUS_LIMIT, "expression needs too much %s at \"%s\"", what, call->function->name);
    error_position(context->error, 0, call->at + 1);
}

char *expr_alloc(struct expr_call *call, size_t size)
{
    char *bytes = size > EXPR_STRING_MAX ? NULL : arena_alloc(call->context->arena, size ? size : 1);
    if (!bytes) expr_out_of_budget(call, "memory");
    return bytes;
}

struct value expr_number(double number)
{
    return number == 0 ? value_int(0) : value_number(number);
}

enum status expr_number_text(struct arena *arena, struct str text, struct value *ret_number)
{
    char small[64], *tidy = small;
    double nearest;
    int64_t integer;
    struct json number;
    if (number_parse_int(text, &integer)) {
        *ret_number = value_int(integer);
        return STATUS_OK;
    }
    if (!number_parse(text, &nearest) || !isfinite(nearest)) return STATUS_INVALID;
    if (text.size + 1 > sizeof small) tidy = arena_alloc(arena, text.size + 1);
    if (!tidy) return STATUS_LIMIT;
    if (!json_number_of(str_from(tidy, number_tidy(text, tidy)), &number)) return STATUS_INVALID;
    if (number.type == JSON_INT) {
        *ret_number = value_int(number.integer);
    } else if (number.type == JSON_DOUBLE) {
        *ret_number = expr_number(number.number);
    } else {
        *ret_number = value_str(tidy == small ? arena_str(arena, number.string) : number.string);
        ret_number->type = VALUE_BIGNUM;
        if (!ret_number->data) return STATUS_LIMIT;
    }
    return STATUS_OK;
}

bool expr_whole(struct value v, int64_t *ret_whole)
{
    double number;
    if (v.type == VALUE_INT) {
        *ret_whole = v.integer;
        return true;
    }
    if (!value_double(v, &number) || trunc(number) != number) return false;
    if (number_is_int(number, ret_whole)) return true;
    *ret_whole = number == 0 ? 0 : number > 0 ? INT64_MAX : INT64_MIN;
    return true;
}

/* Levels of containers, this one included. The encoding bounds them, so the recursion is bounded too. */
static unsigned value_levels(struct value v)
{
    if (v.type != VALUE_LIST && v.type != VALUE_OBJECT) return 0;
    unsigned levels = 0;
    struct value_iter iter = value_iter(v);
    struct value item;
    while (value_next(&iter, NULL, &item)) {
        unsigned inner = value_levels(item);
        if (inner > levels) levels = inner;
    }
    return levels + 1;
}

void expr_list_add(struct list_builder *builder, struct value item)
{
    if (value_levels(item) >= VALUE_DEPTH_MAX) builder->too_deep = true;
    if (builder->too_deep) return;
    value_encode(&builder->items, item);
    builder->count++;
}

struct value expr_list_end(struct expr_call *call, struct list_builder *builder)
{
    struct value list = value_absent();
    if (builder->items.failed) {
        expr_out_of_budget(call, "memory");
    } else if (!builder->too_deep) {
        char head[10];
        size_t head_size = 0, size;
        for (uint64_t rest = builder->count; head_size == 0 || rest; rest >>= 7) {
            head[head_size++] = (char)((rest & 0x7F) | (rest >> 7 ? 0x80 : 0));
        }
        size = head_size + builder->items.size;
        char *data = arena_alloc(call->context->arena, size);
        if (data) {
            memcpy(data, head, head_size);
            if (builder->items.size) memcpy(data + head_size, builder->items.data, builder->items.size);
            list = (struct value){.type = VALUE_LIST, .size = (uint32_t)size, .data = data};
        } else {
            expr_out_of_budget(call, "memory");
        }
    }
    buf_fini(&builder->items);
    return list;
}
