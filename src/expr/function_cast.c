#include "base/number.h"
#include "expr/function.h"

/* string(), number(), boolean(). Their second argument, the default, is the compiler's affair. */

struct value expr_run_string(struct expr_call *call, const struct value *args, uint32_t count)
{
    (void)count;
    struct value v = args[0];
    char text[NUMBER_TEXT_MAX];
    size_t size;
    switch (v.type) {
    case VALUE_BOOL: return value_str(v.boolean ? STR("true") : STR("false"));
    case VALUE_BIGNUM: return value_str(value_text(v));
    case VALUE_INT: size = number_format_int(v.integer, text); break;
    case VALUE_DOUBLE: size = number_format(v.number, text); break;
    case VALUE_LIST:
    case VALUE_OBJECT: {
        struct buf json = BUF_INIT(EXPR_STRING_MAX);
        value_write_json(&json, v);
        char *copy = NULL;
        if (json.failed)
            expr_out_of_budget(call, "memory");
        else
            copy = expr_alloc(call, json.size);
        if (copy) {
            memcpy(copy, json.data, json.size); /* at least its two brackets */
            v = value_str((struct str){copy, json.size});
        }
        buf_fini(&json);
        return copy ? v : value_absent();
    }
    default: return v; /* a string, null, undefined */
    }
    char *copy = expr_alloc(call, size);
    if (!copy) return value_absent();
    memcpy(copy, text, size);
    return value_str((struct str){copy, size});
}

struct value expr_run_number(struct expr_call *call, const struct value *args, uint32_t count)
{
    (void)count;
    struct value number;
    switch (args[0].type) {
    case VALUE_BOOL: return value_int(args[0].boolean);
    case VALUE_STRING: {
        enum status status = expr_number_text(call->context->arena, str_trim(value_text(args[0])), &number);
        if (status == STATUS_LIMIT) expr_out_of_budget(call, "memory");
        if (status == STATUS_OK) return number;
        /* A formula's date is a number, too; events carry dates as texts (decision 54). */
        double seconds;
        bool date = call->context->formula && expr_seconds(call->context, args[0], &seconds);
        return date ? expr_number(seconds) : value_absent();
    }
    default: return args[0];
    }
}

struct value expr_run_boolean(struct expr_call *call, const struct value *args, uint32_t count)
{
    (void)call, (void)count;
    struct value v = args[0];
    double number;
    switch (v.type) {
    case VALUE_BOOL: return v;
    case VALUE_INT:
    case VALUE_DOUBLE:
    case VALUE_BIGNUM: return value_bool(!value_double(v, &number) || number != 0);
    case VALUE_STRING: return value_bool(v.size != 0 && !str_is(value_text(v), "false"));
    case VALUE_LIST:
    case VALUE_OBJECT: return value_bool(value_count(v) != 0);
    default: return value_bool(false);
    }
}
