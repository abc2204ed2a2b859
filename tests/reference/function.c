/* Functions all of whose arguments are needed: casts, numbers, lists. */
#include "reference/operators.h"

#include "base/number.h"

#include <math.h>
#include <stdlib.h>

struct ref_value ref_cast_string(struct arena *arena, struct ref_value v)
{
    char text[NUMBER_TEXT_MAX];
    switch (v.type) {
    case REF_NUMBER:
        if (v.text.data) return ref_string(v.text);
        if (ref_is_int64(v.number) && !(v.number == 0 && signbit(v.number)))
            return ref_string(ref_copy(arena, str_from(text, number_format_int((int64_t)v.number, text))));
        return ref_string(ref_copy(arena, str_from(text, number_format((double)v.number, text))));
    case REF_BOOLEAN: return ref_string(v.boolean ? STR("true") : STR("false"));
    case REF_LIST:
    case REF_OBJECT: return ref_string(ref_json_text(arena, v));
    default: return v;
    }
}

static struct ref_value cast_number(struct arena *arena, struct ref_value v)
{
    if (v.type == REF_NUMBER) return v;
    if (v.type == REF_BOOLEAN) return ref_int(v.boolean);
    return v.type == REF_STRING ? ref_number_from_text(arena, str_trim(v.text)) : ref_undefined;
}

static struct ref_value cast_boolean(struct ref_value v)
{
    switch (v.type) {
    case REF_BOOLEAN: return v;
    case REF_STRING: return ref_bool(v.text.size != 0 && !str_is(v.text, "false"));
    case REF_NUMBER: return ref_bool(v.number != 0);
    case REF_LIST:
    case REF_OBJECT: return ref_bool(v.count != 0);
    default: return ref_bool(false);
    }
}

/* As the result of a function: a number that neither int64 nor a double holds is the nearest double, -0 is 0.
 */
static struct ref_value nearest(struct ref_value v)
{
    return ref_is_int64(v.number) ? ref_int((int64_t)v.number) : ref_double((double)v.number);
}

static struct ref_value extreme(const struct ref_value *args, size_t count, bool largest)
{
    struct ref_value best = args[0];
    for (size_t i = 0; i < count; i++) {
        long double number;
        if (!ref_number(args[i], &number)) return ref_undefined;
        if (largest ? number > best.number : number < best.number) best = args[i];
    }
    return nearest(best);
}

static struct ref_value to_whole(struct ref_value v, double (*rounded)(double))
{
    long double number;
    if (!ref_number(v, &number)) return ref_undefined;
    return number == floorl(number) ? nearest(v) : ref_double(rounded((double)number));
}

static struct ref_value sum(struct ref_value list)
{
    struct ref_value total = ref_int(0);
    long double number;
    if (list.type != REF_LIST) return ref_undefined;
    for (size_t i = 0; i < list.count; i++) {
        if (ref_number(list.items[i], &number)) total = ref_add(total, list.items[i]);
    }
    return total;
}

REF_STRICT(defined)
{
    return ref_bool(args[0].type != REF_UNDEFINED && args[0].type != REF_NULL);
}
REF_STRICT(string)
{
    return ref_cast_string(row->arena, args[0]);
}
REF_STRICT(number)
{
    return cast_number(row->arena, args[0]);
}
REF_STRICT(boolean)
{
    return cast_boolean(args[0]);
}
REF_STRICT(min)
{
    return extreme(args, count, false);
}
REF_STRICT(max)
{
    return extreme(args, count, true);
}
REF_STRICT(floor)
{
    return to_whole(args[0], floor);
}
REF_STRICT(ceil)
{
    return to_whole(args[0], ceil);
}
REF_STRICT(round)
{
    return to_whole(args[0], round);
}
REF_STRICT(sum)
{
    return sum(args[0]);
}
