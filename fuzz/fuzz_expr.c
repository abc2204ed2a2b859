/*
 * An expression and a row to evaluate it on: one byte of options, the expression up to the first line break, then the
 * row as a JSON object. Whatever the text is, compiling must end in an expression or in an error with a position
 * inside the text; and the ways of running an expression must agree: rows one by one as constants, all at once as
 * flat vectors and as dictionary vectors, twice each, and the filter. Budgets are allowed to differ.
 */
#include "base/json.h"
#include "base/timezone.h"
#include "column/vector.h"
#include "expr/expr.h"
#include "expr/join.h"

#include <stdlib.h>

#define ROWS            3
#define INPUT_BYTES_MAX ((size_t)64 << 10)
#define STATE_BYTES     ((size_t)4 << 20)
#define COLUMNS_MAX     64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What a row gave, as bytes that outlive the state. */
struct outcome {
    enum status status;
    struct buf bytes;
};

static void check(bool holds)
{
    if (!holds) abort();
}

/* Row 0 has the members of the JSON object, row 1 nothing, row 2 for each column the value of the next member. */
static struct value cell(const struct value *members, size_t count, size_t index, size_t row)
{
    if (row == 1 || index >= count) return value_absent();
    return members[row == 0 ? index : (index + 1) % count];
}

static void set_outcome(struct outcome *outcome, enum status status, struct value value)
{
    outcome->status = status;
    outcome->bytes = BUF_INIT((size_t)8 << 20);
    if (status == STATUS_OK) value_encode(&outcome->bytes, value);
}

static void compare(const struct outcome *rows, enum status status, const struct vector *result)
{
    bool all = true;
    for (uint32_t row = 0; row < ROWS; row++) {
        if (rows[row].status == STATUS_LIMIT) return;
        all &= rows[row].status == STATUS_OK;
    }
    if (status == STATUS_LIMIT) return;
    check(all == (status == STATUS_OK));
    for (uint32_t row = 0; all && row < ROWS; row++) {
        struct buf bytes = BUF_INIT((size_t)8 << 20);
        value_encode(&bytes, vector_at(result, row));
        check(str_eq(buf_str(&bytes), buf_str(&rows[row].bytes)));
        buf_fini(&bytes);
    }
}

static void filter(struct expr_state *state, const struct vector *vectors, const struct outcome *rows)
{
    static const uint8_t truth[] = {VALUE_BOOL, 1};
    uint8_t keep[ROWS] = {1, 0, 1};
    struct error error = ERROR_INIT;
    enum status status = expr_filter(state, vectors, ROWS, &error, keep);
    check(keep[1] == 0);
    if (status != STATUS_OK || rows[0].status != STATUS_OK || rows[2].status != STATUS_OK) return;
    for (uint32_t row = 0; row < ROWS; row += 2) {
        check(keep[row] == str_eq(buf_str(&rows[row].bytes), str_from(truth, sizeof truth)));
    }
}

static void evaluate(struct arena *arena, const struct expr *expr, const struct value *members, size_t member_count)
{
    static const uint32_t codes[ROWS] = {1, 0, 2};
    size_t count;
    expr_columns(expr, &count);
    if (count > COLUMNS_MAX) return;
    struct vector vectors[COLUMNS_MAX];
    struct value *values = arena_new_array(arena, struct value, ROWS * (COLUMNS_MAX + 1));
    struct outcome rows[ROWS];
    struct vector result;
    struct error error = ERROR_INIT;
    check(values);
    struct expr_state *state = expr_state_new(expr, STATE_BYTES);
    for (uint32_t row = 0; row < ROWS; row++) {
        for (size_t i = 0; i < count; i++) {
            values[i] = cell(members, member_count, i, row);
            vectors[i] = (struct vector){.kind = VECTOR_CONST, .count = 1, .values = &values[i]};
        }
        enum status status = expr_eval(state, vectors, 1, &error, &result);
        check(status == STATUS_OK || status == STATUS_INVALID || status == STATUS_LIMIT);
        set_outcome(&rows[row], status, status == STATUS_OK ? vector_at(&result, 0) : value_absent());
    }
    for (int round = 0; round < 4; round++) {
        bool dictionary = round >= 2;
        for (size_t i = 0; i < count; i++) {
            struct value *column = values + i * ROWS;
            for (uint32_t row = 0; row < ROWS; row++) {
                column[dictionary ? codes[row] : row] = cell(members, member_count, i, row);
            }
            vectors[i] = (struct vector){.kind = dictionary ? VECTOR_DICT : VECTOR_FLAT,
                                         .count = ROWS,
                                         .dict_count = ROWS,
                                         .dict_id = i + 1,
                                         .values = column,
                                         .codes = codes};
        }
        enum status status = expr_eval(state, vectors, ROWS, &error, &result);
        compare(rows, status, &result);
        filter(state, vectors, rows);
    }
    for (uint32_t row = 0; row < ROWS; row++) buf_fini(&rows[row].bytes);
    expr_state_free(state);
}

/* The values of the object's members, encoded and decoded as the store does. */
static size_t read_members(struct arena *arena, struct str text, struct value *members)
{
    struct json row;
    size_t count = 0;
    if (json_parse(arena, text, &(struct json_limits){.depth_max = VALUE_DEPTH_MAX}, NULL, &row) != STATUS_OK) return 0;
    if (row.type != JSON_OBJECT) return 0;
    for (size_t i = 0; i < row.object.count && count < COLUMNS_MAX; i++) {
        struct buf bytes = BUF_INIT(INPUT_BYTES_MAX * 2);
        if (value_encode_json(&bytes, &row.object.members[i].value) == STATUS_OK && !bytes.failed) {
            struct str copy = arena_str(arena, buf_str(&bytes));
            struct reader reader = reader_of(copy);
            if (value_decode(&reader, &members[count]) == STATUS_OK) count++;
        }
        buf_fini(&bytes);
    }
    return count;
}

/* A table with one column, under every key its own text. */
static uint32_t join_column(const struct expr_join *join, struct str name)
{
    (void)join;
    return str_is(name, "c") ? 0 : EXPR_NO_COLUMN;
}
static struct value join_value(const struct expr_join *join, uint32_t column, const struct value *key)
{
    (void)join, (void)column;
    check(key->type != VALUE_ABSENT && key->type != VALUE_NULL && key->type < VALUE_TYPES);
    return key->type == VALUE_STRING ? *key : value_int(7);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > INPUT_BYTES_MAX) return 0;
    struct str rest = str_from(data + 1, size - 1), text;
    if (!str_next_part(&rest, '\n', &text)) return 0;
    static const struct expr_input input = {.name = STR("A"), .column = {.root = EXPR_PROPERTY, .name = STR("a")}};
    static const struct expr_join join = {.property = STR("j"), .column = join_column, .value = join_value};
    static const struct expr_join *const joins[] = {&join};
    struct expr_options options = {.now_ms = 1709249400000,
                                   .formula = data[0] & 1,
                                   .bare_name_is_property = data[0] & 2,
                                   .profiles = data[0] & 4,
                                   .unknown_names_refused = data[0] & 8,
                                   .inputs = &input,
                                   .input_count = 1,
                                   .joins = joins,
                                   .join_count = 1};
    struct arena *arena = arena_new((size_t)16 << 20);
    struct value members[COLUMNS_MAX];
    size_t member_count = read_members(arena, rest, members);
    struct error error = ERROR_INIT;
    const struct expr *expr = NULL;
    enum status status = expr_compile(arena, text, &options, &error, &expr);
    if (status == STATUS_OK) {
        evaluate(arena, expr, members, member_count);
    } else {
        check(status == STATUS_INVALID || status == STATUS_LIMIT);
        check(status == STATUS_LIMIT || (error.column >= 1 && error.column <= text.size + 1));
        check(error.primary[0] != 0);
    }
    arena_free(arena);
    return 0;
}
