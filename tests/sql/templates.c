/*
 * Prints what check.mjs tries in ClickHouse, a JSON document a line: first sample values in every representation that
 * templates of the operator table (src/expr/operators.h) may ask for, then for each template its SQL, in columns of a
 * table of those values, and the native function's answers for all combinations of them, the last argument changing
 * fastest. An answer is a text, null for undefined (or another type than the template is for), or "-" where the
 * template does not have to agree.
 */
#include "base/json.h"
#include "expr/expr.h"
#include "expr/function.h"

#include <stdio.h>
#include <stdlib.h>

/* Numbers that a double holds exactly, and one of which nothing but the text is known. The last ones are left out where
 * there are three arguments. */
static const char *const samples[] = {"undefined",
                                      "null",
                                      "true",
                                      "false",
                                      "0",
                                      "1",
                                      "-2.5",
                                      "\"\"",
                                      "\"a\"",
                                      "\"false\"",
                                      "[]",
                                      "[1,\"a\",null]",
                                      "{\"b\":2,\"a\":1}",
                                      "-1",
                                      "-0.0",
                                      "2",
                                      "3",
                                      "0.5",
                                      "0.1",
                                      "2.5",
                                      "9007199254740992",
                                      "9007199254740991",
                                      "1e300",
                                      "-1e300",
                                      "1e21",
                                      "1e-7",
                                      "5e-324",
                                      "1e400",
                                      "\"A\"",
                                      "\"ab\"",
                                      "\"b\"",
                                      "\"1\"",
                                      "\"true\"",
                                      ("\"gr\xC3\xB6\xC3\x9F"
                                       "e\""),
                                      "\"quote\\\"s\"",
                                      "[1]",
                                      "[\"a\"]",
                                      "[[]]",
                                      "[0.5,true]",
                                      "[-0.0]",
                                      "{}",
                                      "{\"a\":1,\"b\":2}",
                                      "{\"a\":[1]}"};
enum { SAMPLES = sizeof samples / sizeof *samples, FEW = 13 };

static struct arena *arena;
static struct value values[SAMPLES];

static struct value sample(const char *text)
{
    struct json json;
    struct buf bytes = BUF_INIT(1 << 16);
    struct value value;
    if (strcmp(text, "undefined") == 0) return value_absent();
    if (json_parse(arena, str_of(text), NULL, NULL, &json) != STATUS_OK) abort();
    if (value_encode_json(&bytes, &json) != STATUS_OK) abort();
    struct str kept = arena_str(arena, buf_str(&bytes));
    struct reader reader = reader_of(kept);
    if (!kept.data || value_decode(&reader, &value) != STATUS_OK) abort();
    buf_fini(&bytes);
    return value;
}

/* --- representations --- */

static int by_key(const void *a, const void *b)
{
    return str_cmp(((const struct json_member *)a)->key, ((const struct json_member *)b)->key);
}

/* JSON with sorted members, and -0 as 0. */
static void make_canonical(struct json *json)
{
    if (json->type == JSON_DOUBLE && json->number == 0) *json = json_int(0);
    if (json->type == JSON_ARRAY) {
        for (size_t i = 0; i < json->array.count; i++) make_canonical(&json->array.items[i]);
    }
    if (json->type != JSON_OBJECT) return;
    if (json->object.count) qsort(json->object.members, json->object.count, sizeof *json->object.members, by_key);
    for (size_t i = 0; i < json->object.count; i++) make_canonical(&json->object.members[i].value);
}

static void write_hex(struct buf *out, struct str bytes)
{
    buf_byte(out, '"');
    for (size_t i = 0; i < bytes.size; i++) buf_printf(out, "%02X", (unsigned char)bytes.data[i]);
    buf_byte(out, '"');
}

static void write_canonical(struct buf *out, struct value value)
{
    struct json json;
    struct buf text = BUF_INIT(1 << 16);
    if (value_to_json(arena, value, &json) != STATUS_OK) abort();
    make_canonical(&json);
    if (value.type == VALUE_ABSENT)
        buf_lit(&text, "undefined");
    else
        json_write(&text, &json);
    write_hex(out, buf_str(&text));
    buf_fini(&text);
}

static void write_boolean(struct buf *out, struct value value)
{
    buf_printf(out, "%s", value.type != VALUE_BOOL ? "null" : value.boolean ? "\"1\"" : "\"0\"");
}

/* The double's bytes, as hex() of it. */
static void write_number(struct buf *out, struct value value)
{
    double number;
    if (!value_double(value, &number)) {
        buf_lit(out, "null");
        return;
    }
    if (number == 0) number = 0; /* not -0 */
    write_hex(out, str_from(&number, sizeof number));
}

static void write_text(struct buf *out, struct value value)
{
    if (value.type == VALUE_STRING)
        write_hex(out, value_text(value));
    else
        buf_lit(out, "null");
}

static void write_value(struct buf *out, struct value value)
{
    struct value_iter iter = value_iter(value.type == VALUE_LIST ? value : value_absent());
    struct value item;
    const char *comma = "";
    buf_lit(out, "{\"b\":");
    write_boolean(out, value);
    buf_lit(out, ",\"n\":");
    write_number(out, value);
    buf_lit(out, ",\"s\":");
    write_text(out, value);
    buf_printf(out, ",\"t\":%u,\"c\":", (unsigned)value.type);
    write_canonical(out, value);
    buf_lit(out, ",\"l\":[");
    while (value_next(&iter, NULL, &item)) {
        buf_printf(out, "%s", comma);
        write_canonical(out, item);
        comma = ",";
    }
    buf_lit(out, "]}");
}

/* --- templates --- */

/* {0:b} becomes x0.b; {1:r} becomes x1.b where a boolean is asked for. */
static void write_sql(struct buf *out, const char *template, char asked)
{
    struct buf sql = BUF_INIT(1 << 16);
    for (const char *at = template; *at;) {
        if (at[0] == '{' && at[1] && at[2] == ':') {
            buf_printf(&sql, "x%c.%c", at[1], at[3] == 'r' ? asked : at[3]);
            at += 5;
        } else {
            buf_byte(&sql, *at++);
        }
    }
    json_write_str(out, buf_str(&sql));
    buf_fini(&sql);
}

static const struct expr *compile(const struct function *function, unsigned count)
{
    static const char *const names[] = {"properties[\"a\"]", "properties[\"b\"]", "properties[\"c\"]"};
    const struct expr *expr;
    struct error error = ERROR_INIT;
    struct buf text = BUF_INIT(1 << 16);
    if (function->operator&& count == 2) {
        buf_printf(&text, "%s %s %s", names[0], function->name, names[1]);
    } else if (function->operator) {
        bool minus = strcmp(function->name, "unary -") == 0;
        buf_printf(&text, "%s %s", minus ? "-" : function->name, names[0]);
    } else {
        buf_printf(&text, "%s(", function->name);
        for (unsigned i = 0; i < count; i++) buf_printf(&text, "%s%s", i ? ", " : "", names[i]);
        buf_byte(&text, ')');
    }
    if (expr_compile(arena, buf_str(&text), NULL, &error, &expr) != STATUS_OK) {
        fprintf(stderr, "%.*s: %s\n", (int)text.size, text.data, error.primary);
        exit(1);
    }
    buf_fini(&text);
    return expr;
}

static void write_answer(struct buf *out, const struct function *function, struct expr_state *state, char asked,
                         const size_t *chosen, unsigned count)
{
    struct vector columns[3], result;
    struct error error = ERROR_INIT;
    for (unsigned i = 0; i < count; i++) {
        const struct value *value = &values[chosen[i]];
        columns[i] = (struct vector){.kind = VECTOR_CONST, .count = 1, .values = value};
        if (function->sql.types && !(function->sql.types >> value->type & 1)) {
            buf_lit(out, "\"-\"");
            return;
        }
    }
    if (expr_eval(state, columns, 1, &error, &result) != STATUS_OK) {
        buf_lit(out, "\"-\""); /* it fails, and SQL cannot */
        return;
    }
    if (asked == 'b') write_boolean(out, vector_at(&result, 0));
    if (asked == 'n') write_number(out, vector_at(&result, 0));
    if (asked == 's') write_text(out, vector_at(&result, 0));
}

static void print(struct buf *out)
{
    buf_byte(out, '\n');
    if (buf_status(out) != STATUS_OK) abort();
    if (fwrite(out->data, 1, out->size, stdout) != out->size) exit(1);
    buf_fini(out);
}

static void print_template(const struct function *function, const char *template, char asked)
{
    struct buf out = BUF_INIT((size_t)64 << 20);
    unsigned count = function->form == FORM_CAST ? 1 : function->min;
    size_t chosen[3] = {0}, of = count == 3 ? FEW : SAMPLES, all = 1;
    const struct expr *expr = compile(function, count);
    struct expr_state *state = expr_state_new(expr, (size_t)4 << 20);
    buf_lit(&out, "{\"name\":");
    json_write_str(&out, str_of(function->name));
    buf_printf(&out, ",\"asked\":\"%c\",\"arguments\":%u,\"values\":%zu,\"sql\":", asked, count, of);
    write_sql(&out, template, asked);
    buf_lit(&out, ",\"expected\":[");
    for (unsigned i = 0; i < count; i++) all *= of;
    for (size_t n = 0; n < all; n++) {
        size_t rest = n;
        for (unsigned i = count; i-- > 0; rest /= of) chosen[i] = rest % of;
        if (n) buf_byte(&out, ',');
        write_answer(&out, function, state, asked, chosen, count);
    }
    buf_lit(&out, "]}");
    print(&out);
    expr_state_free(state);
}

int main(void)
{
    struct buf out = BUF_INIT((size_t)1 << 20);
    arena = arena_new((size_t)256 << 20);
    buf_byte(&out, '[');
    for (size_t i = 0; i < SAMPLES; i++) {
        values[i] = sample(samples[i]);
        if (i) buf_byte(&out, ',');
        write_value(&out, values[i]);
    }
    buf_lit(&out, "]");
    print(&out);
    for (const struct function *f = expr_functions; f->name; f++) {
        if (f->sql.boolean) print_template(f, f->sql.boolean, 'b');
        if (f->sql.number) print_template(f, f->sql.number, 'n');
        if (f->sql.text) print_template(f, f->sql.text, 's');
    }
    arena_free(arena);
    return 0;
}
