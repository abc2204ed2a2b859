/*
 * The evaluator: that the ways of running a program agree on many rows, what is kept between calls, what is not
 * evaluated, and that every budget ends in LIMIT. Values of single cases are in the golden files.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/hash.h"
#include "expr/expr.h"
#include "expr/join.h"

#define ROWS         VECTOR_ROWS_MAX
#define BUDGET_BYTES ((size_t)16 << 20)

static struct arena *arena;

static const struct expr *compile(const char *text)
{
    const struct expr *expr = NULL;
    struct error error = ERROR_INIT;
    enum status status = expr_compile(arena, str_of(text), NULL, &error, &expr);
    if (status != STATUS_OK) fail_msg("%s: %s", text, error.primary);
    return expr;
}

static struct value text_value(const char *text)
{
    return value_str(str_of(text));
}

/* A list in the arena. */
static struct value list_value(const struct value *items, size_t count)
{
    struct json list = JSON_ARRAY_EMPTY, item;
    struct buf bytes = BUF_INIT(1 << 20);
    struct value value;
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(value_to_json(arena, items[i], &item), STATUS_OK);
        assert_int_equal(json_push(arena, &list, item), STATUS_OK);
    }
    assert_int_equal(value_encode_json(&bytes, &list), STATUS_OK);
    struct reader reader = reader_of(arena_str(arena, buf_str(&bytes)));
    assert_int_equal(value_decode(&reader, &value), STATUS_OK);
    buf_fini(&bytes);
    return value;
}

static bool same(struct value a, struct value b)
{
    return a.type == b.type && value_equal(a, b);
}

/* A column of values drawn from a small dictionary: codes and the flat form of the same rows. */
struct column {
    struct value dictionary[16], flat[ROWS];
    uint32_t codes[ROWS];
};

static void fill(struct column *column, uint64_t seed)
{
    struct value items[] = {value_int(1), text_value("a"), value_null()};
    struct value choice[16] = {value_absent(),           value_null(),         value_bool(true),
                               value_bool(false),        value_int(0),         value_int(7),
                               value_number(1.5),        value_int(-3),        text_value("a"),
                               text_value("Bar"),        text_value(""),       text_value("12"),
                               text_value("2024-02-01"), list_value(items, 3), list_value(items, 0),
                               text_value("b,c,d")};
    memcpy(column->dictionary, choice, sizeof choice);
    for (uint32_t row = 0; row < ROWS; row++) {
        column->codes[row] = (uint32_t)(hash_u64(row, seed) % 16);
        column->flat[row] = choice[column->codes[row]];
    }
}

static struct vector dictionary_vector(const struct column *column, uint64_t dict_id)
{
    return (struct vector){.kind = VECTOR_DICT,
                           .count = ROWS,
                           .dict_count = 16,
                           .dict_id = dict_id,
                           .values = column->dictionary,
                           .codes = column->codes};
}

static struct vector flat_vector(const struct column *column)
{
    return (struct vector){.kind = VECTOR_FLAT, .count = ROWS, .values = column->flat};
}

static const char *const texts[] = {
    "properties['a']",
    "properties['a'] == properties['b']",
    "properties['a'] < properties['b'] or properties['a'] in properties['b'] or not properties['c']",
    "if(properties['a'] == true, upper(properties['b']), lower(properties['c']))",
    "ifs(properties['a'] == 7, properties['b'] + 1, properties['b'] == 7, string(properties['c'], 'none'))",
    "defined(properties['a']) and defined(properties['b']) and properties['a'] != properties['b']",
    "string(properties['a']) + string(properties['b'], '-') + string(properties['a'])",
    "number(properties['a'], number(properties['b'], -1)) * 2",
    "any(X, properties['a'], X in properties['b'] or X == properties['c'])",
    "map(X, properties['a'], [X, properties['b']])",
    "let(x, string(properties['a']), y, upper(properties['b']), has_prefix(x, 'b') or x == y)",
    "regex_replace(string(properties['a']), '[a-z]', '<$0>')",
    "split(properties['a'], ',')[1]",
    "boolean(properties['a']) and (boolean(properties['b']) or boolean(properties['c']))",
    "[properties['a'], 1, properties['b']]",
    "datedif(properties['a'], '2024-03-01', 'D')",
    "len(filter(X, properties['a'], X == 'a' or X == properties['b'])) + 1",
    "if(defined(properties['a']), let(z, properties['a'], [z, z]), properties['b'])",
};

/* Flat, dictionary, and every mixture of both give the same for the same rows, twice with the same state. */
static void ways_agree(void **unused)
{
    (void)unused;
    struct column *columns = arena_new_array(arena, struct column, 3);
    struct value *expected = arena_new_array(arena, struct value, ROWS);
    for (size_t i = 0; i < 3; i++) fill(&columns[i], i + 1);
    for (size_t t = 0; t < sizeof texts / sizeof texts[0]; t++) {
        const struct expr *expr = compile(texts[t]);
        struct expr_state *flat = expr_state_new(expr, BUDGET_BYTES), *other = expr_state_new(expr, BUDGET_BYTES);
        struct error error = ERROR_INIT;
        struct vector vectors[3], result;
        for (size_t i = 0; i < 3; i++) vectors[i] = flat_vector(&columns[i]);
        assert_int_equal(expr_eval(flat, vectors, ROWS, &error, &result), STATUS_OK);
        for (uint32_t row = 0; row < ROWS; row++) expected[row] = vector_at(&result, row);
        for (unsigned mixture = 1; mixture < 16; mixture++) {
            for (size_t i = 0; i < 3; i++) {
                vectors[i] = mixture >> i & 1 ? dictionary_vector(&columns[i], i + 1) : flat_vector(&columns[i]);
            }
            assert_int_equal(expr_eval(other, vectors, ROWS, &error, &result), STATUS_OK);
            for (uint32_t row = 0; row < ROWS; row++) {
                if (!same(vector_at(&result, row), expected[row])) fail_msg("%s, row %u", texts[t], row);
            }
            uint8_t keep[ROWS];
            for (uint32_t row = 0; row < ROWS; row++) keep[row] = row % 3 != 0;
            assert_int_equal(expr_filter(other, vectors, ROWS, &error, keep), STATUS_OK);
            for (uint32_t row = 0; row < ROWS; row++) {
                bool is_true = expected[row].type == VALUE_BOOL && expected[row].boolean;
                assert_int_equal(keep[row], row % 3 != 0 && is_true);
            }
        }
        expr_state_free(flat);
        expr_state_free(other);
    }
}

/* Work on a dictionary is kept while dict_id stays: changed values under the same id are not looked at again. (A
 * store never does that; here it shows what is evaluated.) A new id is a new dictionary. */
static void dictionary_results_are_kept(void **unused)
{
    (void)unused;
    struct value values[] = {value_absent(), text_value("a"), text_value("b")};
    uint32_t codes[] = {1, 2, 0, 1};
    const struct expr *expr = compile("upper(properties['a']) + '!'");
    struct expr_state *state = expr_state_new(expr, BUDGET_BYTES);
    struct vector vector = {VECTOR_DICT, 4, 3, 77, values, codes}, result;
    struct error error = ERROR_INIT;
    assert_int_equal(expr_eval(state, &vector, 4, &error, &result), STATUS_OK);
    assert_int_equal(result.kind, VECTOR_DICT);
    assert_ptr_equal(result.codes, codes);
    assert_true(result.dict_id >> 63);
    uint64_t id = result.dict_id;
    assert_true(same(result.values[0], value_absent()));
    assert_true(str_is(value_text(result.values[2]), "B!"));
    values[1] = text_value("z");
    assert_int_equal(expr_eval(state, &vector, 4, &error, &result), STATUS_OK);
    assert_true(result.dict_id == id);
    assert_true(str_is(value_text(vector_at(&result, 0)), "A!"));
    vector.dict_id = 78;
    assert_int_equal(expr_eval(state, &vector, 4, &error, &result), STATUS_OK);
    assert_true(result.dict_id != id);
    assert_true(str_is(value_text(vector_at(&result, 0)), "Z!"));
    expr_state_free(state);
}

/* A result for which code 0 is not undefined is handed out flat, and so is a dictionary much larger than what is
 * asked of it. */
static void dictionaries_that_stay_inside(void **unused)
{
    (void)unused;
    enum { LARGE = 5000 };
    struct value *values = arena_new_array(arena, struct value, LARGE);
    uint32_t codes[] = {4, 0, 4999};
    struct vector vector = {VECTOR_DICT, 3, LARGE, 5, values, codes}, result;
    struct error error = ERROR_INIT;
    for (size_t i = 1; i < LARGE; i++) values[i] = value_int((int64_t)i);
    static const char *const flat[] = {"defined(properties['a'])", "properties['a'] * 2"};
    for (size_t i = 0; i < 2; i++) {
        struct expr_state *state = expr_state_new(compile(flat[i]), BUDGET_BYTES);
        assert_int_equal(expr_eval(state, &vector, 3, &error, &result), STATUS_OK);
        assert_int_equal(result.kind, VECTOR_FLAT);
        assert_true(same(vector_at(&result, 2), i ? value_int(9998) : value_bool(true)));
        assert_true(same(vector_at(&result, 1), i ? value_absent() : value_bool(false)));
        expr_state_free(state);
    }
    /* A property by itself goes through untouched. */
    struct expr_state *state = expr_state_new(compile("properties['a']"), BUDGET_BYTES);
    assert_int_equal(expr_eval(state, &vector, 3, &error, &result), STATUS_OK);
    assert_true(result.kind == VECTOR_DICT && result.dict_id == 5 && result.values == values);
    expr_state_free(state);
}

/* A dictionary whose results do not fit the budget is evaluated row by row instead. */
static void dictionary_beyond_the_budget(void **unused)
{
    (void)unused;
    enum { LARGE = 100000 };
    struct value *values = arena_new_array(arena, struct value, LARGE);
    uint32_t codes[] = {LARGE - 1, 1};
    struct vector vector = {VECTOR_DICT, 2, LARGE, 5, values, codes}, result;
    struct error error = ERROR_INIT;
    for (size_t i = 1; i < LARGE; i++) values[i] = value_int((int64_t)i);
    static const char *const each[] = {"properties['a'] + 1",
                                       "sum(map(X, [1, 2], X + properties['a'])) - properties['a'] - 2"};
    for (size_t i = 0; i < 2; i++) {
        struct expr_state *state = expr_state_new(compile(each[i]), 1 << 20);
        assert_int_equal(expr_eval(state, &vector, 2, &error, &result), STATUS_OK);
        assert_true(same(vector_at(&result, 0), value_int(LARGE)));
        assert_true(same(vector_at(&result, 1), value_int(2)));
        expr_state_free(state);
    }
}

/* Only rows that are kept can fail, only dictionary entries that are used, and a failing call leaves keep alone. */
static void errors_only_of_needed_rows(void **unused)
{
    (void)unused;
    struct value values[] = {value_absent(), value_bool(true), value_int(5)};
    uint32_t codes[] = {1, 2, 1, 0};
    struct value flat[] = {values[1], values[2], values[1], values[0]};
    struct vector vectors[] = {{VECTOR_DICT, 4, 3, 9, values, codes}, {VECTOR_FLAT, 4, 0, 0, flat, NULL}};
    for (size_t i = 0; i < 2; i++) {
        struct expr_state *state = expr_state_new(compile("properties['a'] and true"), BUDGET_BYTES);
        uint8_t keep[] = {1, 0, 1, 1}, all[] = {1, 1, 1, 1};
        struct error error = ERROR_INIT;
        struct vector result;
        assert_int_equal(expr_filter(state, &vectors[i], 4, &error, keep), STATUS_OK);
        assert_true(keep[0] && !keep[1] && keep[2] && !keep[3]);
        assert_int_equal(expr_filter(state, &vectors[i], 4, &error, all), STATUS_INVALID);
        assert_string_equal(error.primary, "\"and\" needs true or false, but its operand is a number");
        assert_int_equal(error.column, 1);
        assert_true(all[0] && all[1] && all[2] && all[3]);
        assert_int_equal(expr_eval(state, &vectors[i], 4, &error, &result), STATUS_INVALID);
        assert_int_equal(expr_eval(state, &vectors[i], 1, &error, &result), STATUS_OK);
        expr_state_free(state);
    }
}

/* No rows, and rows that are all dropped already, are nothing to evaluate. */
static void no_rows(void **unused)
{
    (void)unused;
    struct value five = value_int(5);
    struct vector vector = {.kind = VECTOR_CONST, .count = 1, .values = &five}, result;
    struct expr_state *state =
        expr_state_new(compile("properties['a'] and true or properties['a'] == 1"), BUDGET_BYTES);
    struct error error = ERROR_INIT;
    uint8_t keep[] = {0, 0};
    assert_int_equal(expr_eval(state, &vector, 0, &error, &result), STATUS_OK);
    assert_int_equal(result.count, 0);
    assert_int_equal(expr_filter(state, &vector, 2, &error, keep), STATUS_OK);
    assert_int_equal(expr_filter(state, &vector, 0, &error, NULL), STATUS_OK);
    expr_state_free(state);
}

/* Nested loops end at the work limit, growing strings and lists at the memory limit, with a position; the state works
 * on afterwards. */
static void budgets(void **unused)
{
    (void)unused;
    struct value items[400];
    for (size_t i = 0; i < 400; i++) items[i] = value_int((int64_t)i);
    struct value list = list_value(items, 400);
    struct vector vector = {.kind = VECTOR_FLAT, .count = 1, .values = &list}, result;
    static const struct {
        const char *text, *what;
    } cases[] = {
        {"any(X, properties['l'], any(Y, properties['l'], any(Z, properties['l'], X + Y + Z == 0.5)))", "work"},
        {"let(s, string(properties['l']), a, s+s+s+s+s+s+s+s, b, a+a+a+a+a+a+a+a, c, b+b+b+b+b+b+b+b, d, c+c+c+c, "
         "len(d))",
         "memory"},
        {"let(a, map(X, properties['l'], properties['l']), b, map(X, properties['l'], a), len(b))", "memory"},
        {"len(map(X, properties['l'], map(Y, properties['l'], upper(string(properties['l'])))))", "memory"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct expr_state *state = expr_state_new(compile(cases[i].text), 8 << 20);
        struct error error = ERROR_INIT;
        struct value empty = list_value(items, 0);
        if (expr_eval(state, &vector, 1, &error, &result) != STATUS_LIMIT) fail_msg("%s", cases[i].text);
        if (!strstr(error.primary, cases[i].what) || error.column == 0)
            fail_msg("%s: %s", cases[i].text, error.primary);
        vector.values = &empty;
        assert_int_equal(expr_eval(state, &vector, 1, &error, &result), STATUS_OK);
        vector.values = &list;
        expr_state_free(state);
    }
}

struct worker {
    const struct expr *expr;
    struct column *column;
    unsigned wrong;
};

struct watcher {
    unsigned looks, patience;
};

static enum status look(const void *arg, struct error *error)
{
    struct watcher *watcher = *(struct watcher *const *)arg;
    if (watcher->looks++ < watcher->patience) return STATUS_OK;
    return error_set(error, STATUS_CANCELLED, "enough");
}

/* What takes long asks whether to go on, many times in one vector, and ends when it is not to. */
static void evaluations_are_watched(void **unused)
{
    (void)unused;
    static const char *const slow[] = {"regex_match(properties[\"a\"], \"^.*a.*a.*a.*x$\")",
                                       "regex_replace(properties[\"a\"], \"a.*a.*x\", \"b\") == \"c\""};
    static struct value long_texts[ROWS];
    uint8_t keep[ROWS];
    struct error error = ERROR_INIT;
    struct vector column = {.kind = VECTOR_FLAT, .count = ROWS, .values = long_texts};
    struct watcher watcher = {0}, *watching = &watcher;
    for (uint32_t row = 0; row < ROWS; row++)
        long_texts[row] = value_str(arena_printf(arena, "%s%u", "aaaaaaaaaaaaaaaaaaaaaaaa", row));
    for (size_t i = 0; i < sizeof slow / sizeof slow[0]; i++) {
        struct expr_state *state = expr_state_new(compile(slow[i]), BUDGET_BYTES);
        expr_state_watch(state, look, &watching);
        memset(keep, 1, sizeof keep);
        watcher = (struct watcher){.patience = UINT32_MAX};
        assert_int_equal(expr_filter(state, &column, ROWS, &error, keep), STATUS_OK);
        assert_true(watcher.looks >= 64);
        for (uint32_t row = 0; row < ROWS; row++) assert_int_equal(keep[row], 0);
        expr_state_free(state);

        state = expr_state_new(compile(slow[i]), BUDGET_BYTES);
        expr_state_watch(state, look, &watching);
        memset(keep, 1, sizeof keep);
        watcher = (struct watcher){.patience = 5};
        assert_int_equal(expr_filter(state, &column, ROWS, &error, keep), STATUS_CANCELLED);
        assert_string_equal(error.primary, "enough");
        assert_int_equal(watcher.looks, 6);
        for (uint32_t row = 0; row < ROWS; row++) assert_int_equal(keep[row], 1);
        expr_state_free(state);
    }
    struct expr_state *state = expr_state_new(compile("len(properties[\"a\"]) > 3"), BUDGET_BYTES);
    expr_state_watch(state, look, &watching);
    watcher = (struct watcher){0};
    assert_int_equal(expr_filter(state, &column, ROWS, &error, keep), STATUS_OK); /* done before it would ask */
    assert_int_equal(watcher.looks, 0);
    expr_state_free(state);
}

static void *evaluate_often(void *argument)
{
    struct worker *worker = argument;
    struct expr_state *state = expr_state_new(worker->expr, BUDGET_BYTES);
    struct vector vector = flat_vector(worker->column), result;
    struct error error = ERROR_INIT;
    for (int round = 0; round < 20; round++) {
        worker->wrong += expr_eval(state, &vector, ROWS, &error, &result) != STATUS_OK;
        for (uint32_t row = 0; row < ROWS; row++) {
            struct value in = worker->column->flat[row], out = vector_at(&result, row);
            bool bar = in.type == VALUE_STRING && str_is(value_text(in), "Bar");
            worker->wrong += bar != (out.type == VALUE_STRING && str_is(value_text(out), "<ar>"));
        }
    }
    expr_state_free(state);
    return NULL;
}

/* One expression, with a compiled pattern, serves several threads at once. */
static void threads_share_an_expression(void **unused)
{
    (void)unused;
    struct column *column = arena_new_array(arena, struct column, 1);
    struct worker workers[3];
    pthread_t threads[3];
    const struct expr *expr = compile("regex_replace(regex_extract(properties['a'], 'b(.+)', 1), '^.*$', '<$0>')");
    fill(column, 5);
    for (size_t i = 0; i < 3; i++) {
        workers[i] = (struct worker){.expr = expr, .column = column};
        assert_int_equal(pthread_create(&threads[i], NULL, evaluate_often, &workers[i]), 0);
    }
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(workers[i].wrong, 0);
    }
}

static int setup(void **unused)
{
    (void)unused;
    arena = arena_new((size_t)64 << 20);
    return 0;
}

static int teardown(void **unused)
{
    (void)unused;
    arena_free(arena);
    return 0;
}

/* Rows that nobody asks for raise no errors, whatever the kind of column; those that are asked for do. */
static void rows_not_kept_raise_no_errors(void **state)
{
    (void)state;
    struct error error = ERROR_INIT;
    const struct expr *expr;
    assert_int_equal(expr_compile(arena, STR("properties[\"a\"] and true"), NULL, &error, &expr), STATUS_OK);
    static const struct value dictionary[] = {
        {.type = VALUE_ABSENT}, {.type = VALUE_BOOL, .boolean = true}, {.type = VALUE_INT, .integer = 5}};
    static const uint32_t codes[] = {1, 2, 0};
    struct value flat[] = {dictionary[1], dictionary[2], dictionary[0]};
    const struct vector columns[] = {
        {.kind = VECTOR_FLAT, .count = 3, .values = flat},
        {.kind = VECTOR_DICT, .count = 3, .dict_count = 3, .dict_id = 77, .values = dictionary, .codes = codes},
        {.kind = VECTOR_CONST, .count = 3, .values = &dictionary[2]},
    };
    static const uint8_t first_and_last[] = {1, 0, 1}, second[] = {0, 1, 0}, none[] = {0, 0, 0};
    struct expr_state *evaluator = expr_state_new(expr, (size_t)4 << 20);
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < 3; i++) {
            struct vector result;
            assert_int_equal(expr_eval_kept(evaluator, &columns[i], 3, second, &error, &result), STATUS_INVALID);
            assert_int_equal(expr_eval_kept(evaluator, &columns[i], 3, none, &error, &result), STATUS_OK);
            if (columns[i].kind == VECTOR_CONST) continue;
            assert_int_equal(expr_eval(evaluator, &columns[i], 3, &error, &result), STATUS_INVALID);
            assert_int_equal(expr_eval_kept(evaluator, &columns[i], 3, first_and_last, &error, &result), STATUS_OK);
            assert_true(same(vector_at(&result, 0), value_bool(true)));
            assert_true(same(vector_at(&result, 2), value_bool(false)));
        }
    }
    expr_state_free(evaluator);
}

static unsigned looked_up;
static uint32_t one_column(const struct expr_join *join, struct str name)
{
    (void)join;
    return str_is(name, "name") ? 3 : EXPR_NO_COLUMN;
}
static struct value count_value(const struct expr_join *join, uint32_t column, const struct value *key)
{
    (void)join;
    assert_int_equal(column, 3);
    looked_up++;
    return value_is_number(*key) ? text_value("number") : value_absent();
}

/* A table is asked once for each value of a dictionary, however many rows and calls there are; for rows without a
 * dictionary, once for each row that is needed. */
static void joins_by_dictionary(void **unused)
{
    (void)unused;
    const struct expr_join join = {STR("a"), one_column, count_value};
    const struct expr_join *const joins[] = {&join};
    const struct expr_options options = {.joins = joins, .join_count = 1};
    struct column *column = arena_new_array(arena, struct column, 1);
    const struct expr_term *terms;
    struct error error = ERROR_INIT;
    struct vector vector, result;
    uint8_t keep[ROWS];
    size_t count;
    fill(column, 1);
    assert_int_equal(expr_compile_terms(arena, STR("properties['a']['name'] == 'number' and properties['a'] > 1"),
                                        &options, &error, &terms, &count),
                     STATUS_OK);
    assert_int_equal(count, 2);
    struct expr_state *state = expr_state_new(terms[0].expr, BUDGET_BYTES);
    vector = dictionary_vector(column, 1);
    for (int round = 0; round < 3; round++) {
        memset(keep, 1, sizeof keep);
        assert_int_equal(expr_filter(state, &vector, ROWS, &error, keep), STATUS_OK);
        for (uint32_t row = 0; row < ROWS; row++) assert_int_equal(keep[row], value_is_number(column->flat[row]));
    }
    /* 2 booleans, 4 numbers, 6 texts, and the 2 scalar items of a list that are set. */
    assert_int_equal(looked_up, 2 + 4 + 6 + 2);
    looked_up = 0;
    vector = flat_vector(column);
    memset(keep, 0, sizeof keep);
    keep[5] = keep[6] = 1;
    column->flat[5] = value_int(1);
    column->flat[6] = value_null();
    assert_int_equal(expr_eval_kept(state, &vector, ROWS, keep, &error, &result), STATUS_OK);
    assert_int_equal(looked_up, 1);
    expr_state_free(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(rows_not_kept_raise_no_errors, setup, teardown),
        cmocka_unit_test_setup_teardown(ways_agree, setup, teardown),
        cmocka_unit_test_setup_teardown(dictionary_results_are_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(dictionaries_that_stay_inside, setup, teardown),
        cmocka_unit_test_setup_teardown(dictionary_beyond_the_budget, setup, teardown),
        cmocka_unit_test_setup_teardown(errors_only_of_needed_rows, setup, teardown),
        cmocka_unit_test_setup_teardown(joins_by_dictionary, setup, teardown),
        cmocka_unit_test_setup_teardown(no_rows, setup, teardown),
        cmocka_unit_test_setup_teardown(budgets, setup, teardown),
        cmocka_unit_test_setup_teardown(evaluations_are_watched, setup, teardown),
        cmocka_unit_test_setup_teardown(threads_share_an_expression, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
