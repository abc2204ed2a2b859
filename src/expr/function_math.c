#include <math.h>

#include "base/number.h"
#include "expr/function.h"

/*
 * Arithmetic (decision 10): integers stay integers while they can, everything else is doubles, and whatever
 * is not finite is undefined. A bignum takes part as its nearest double, or as the integer that this is.
 */

/* A stored -0.0 is a double only so that it prints as it came: it is the integer 0 here. */
static bool is_int(struct value v, int64_t *ret_integer)
{
    double nearest;
    *ret_integer = v.type == VALUE_INT ? v.integer : 0;
    if (v.type == VALUE_BIGNUM)
        return value_double(v, &nearest) && (nearest == 0 || number_is_int(nearest, ret_integer));
    return v.type == VALUE_INT || (v.type == VALUE_DOUBLE && v.number == 0);
}

static bool both_int(const struct value *args, int64_t *ret_a, int64_t *ret_b)
{
    return is_int(args[0], ret_a) && is_int(args[1], ret_b);
}

static bool both_double(const struct value *args, double *ret_a, double *ret_b)
{
    return value_double(args[0], ret_a) && value_double(args[1], ret_b);
}

struct value expr_add(struct value a, struct value b)
{
    const struct value args[] = {a, b};
    int64_t i, j, sum;
    double x, y;
    if (both_int(args, &i, &j) && !__builtin_add_overflow(i, j, &sum)) return value_int(sum);
    return both_double(args, &x, &y) ? expr_number(x + y) : value_absent();
}

struct value expr_run_add(struct expr_call *call, const struct value *args, uint32_t count)
{
    (void)count;
    struct value a = args[0], b = args[1];
    if ((a.type == VALUE_STRING) != (b.type == VALUE_STRING)) return value_absent();
    if (a.type != VALUE_STRING) return expr_add(a, b);
    char *text = expr_alloc(call, (size_t)a.size + b.size);
    if (!text) return value_absent();
    if (a.size) memcpy(text, a.data, a.size);
    if (b.size) memcpy(text + a.size, b.data, b.size);
    return value_str((struct str){text, (size_t)a.size + b.size});
}

struct value expr_run_subtract(struct expr_call *call, const struct value *args, uint32_t count)
{
    (void)call, (void)count;
    int64_t i, j, difference;
    double x, y;
    if (both_int(args, &i, &j) && !__builtin_sub_overflow(i, j, &difference)) return value_int(difference);
    return both_double(args, &x, &y) ? expr_number(x - y) : value_absent();
}

struct value expr_run_multiply(struct expr_call *call, const struct value *args, uint32_t count)
{
    (void)call, (void)count;
    int64_t i, j, product;
    double x, y;
    if (both_int(args, &i, &j) && !__builtin_mul_overflow(i, j, &product)) return value_int(product);
    return both_double(args, &x, &y) ? expr_number(x * y) : value_absent();
}

struct value expr_run_divide(struct expr_call *call, const struct value *args, uint32_t count)
{
    (void)call, (void)count;
    double x, y;
    return both_double(args, &x, &y) && y != 0 ? expr_number(x / y) : value_absent();
}

struct value expr_run_remainder(struct expr_call *call, const struct value *args, uint32_t count)
{
    (void)call, (void)count;
    int64_t i, j;
    double x, y;
    if (both_int(args, &i, &j)) {
        if (j == 0) return value_absent();
        return value_int(j == -1 ? 0 : i % j);
    }
    return both_double(args, &x, &y) && y != 0 ? expr_number(fmod(x, y)) : value_absent();
}

struct value expr_run_negate(struct expr_call *call, const struct value *args, uint32_t count)
{
    const struct value operands[] = {value_int(0), args[0]};
    return expr_run_subtract(call, operands, count + 1);
}

/* The three differ in one libm function; integers, and bignums too large to have a fraction, come back whole.
 */
static struct value round_by(struct value v, double (*rounding)(double))
{
    double number;
    if (v.type == VALUE_INT) return v;
    return value_double(v, &number) ? expr_number(rounding(number)) : value_absent();
}

struct value expr_run_floor(struct expr_call *call, const struct value *args, uint32_t count)
{
    (void)call, (void)count;
    return round_by(args[0], floor);
}

struct value expr_run_ceil(struct expr_call *call, const struct value *args, uint32_t count)
{
    (void)call, (void)count;
    return round_by(args[0], ceil);
}

struct value expr_run_round(struct expr_call *call, const struct value *args, uint32_t count)
{
    (void)call, (void)count;
    return round_by(args[0], round);
}

/* The first of the smallest (sign -1) or largest (sign 1). */
static struct value extreme(const struct value *args, uint32_t count, int sign)
{
    struct value best = value_absent();
    for (uint32_t i = 0; i < count; i++) {
        double number;
        if (!value_double(args[i], &number)) return value_absent();
        struct value v = args[i].type == VALUE_INT ? args[i] : expr_number(number);
        if (i == 0 || value_cmp_number(v, best) * sign > 0) best = v;
    }
    return best;
}

struct value expr_run_min(struct expr_call *call, const struct value *args, uint32_t count)
{
    (void)call;
    return extreme(args, count, -1);
}

struct value expr_run_max(struct expr_call *call, const struct value *args, uint32_t count)
{
    (void)call;
    return extreme(args, count, 1);
}
