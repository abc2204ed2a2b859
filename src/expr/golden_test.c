/*
 * Runs tests/golden/expr/NAME.txt (see the README there). Every case is evaluated over flat, constant and dictionary
 * columns, by expr_eval and by expr_filter, and all of them must agree with the expected result: the ways an
 * expression can be run differ, what it means does not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>

#include "expr/expr.h"
#include "expr/join_testing.h"

#define ROWS       3
#define INPUTS     26
#define NOW_MS     1709249400000 /* 2024-02-29T23:30:00Z */
#define FILE_BYTES ((size_t)4 << 20)

struct golden {
    const char *file;
    unsigned line;
    struct str text;     /* the expression */
    struct json row;     /* an object */
    struct str expected; /* JSON, `undefined` or `error …` */
};

static struct expr_options options;
static struct expr_input inputs[INPUTS];
static struct test_join join;
static struct arena *join_arena;

static unsigned failures;

/* Goes on with the next case: one run shows them all. */
static void complain(const struct golden *golden, const char *how, const char *got)
{
    static unsigned line;
    failures++;
    if (line == golden->line) return; /* the other ways of running it fail too */
    line = golden->line;
    print_error("%s:%u: %.*s (%s): expected %.*s, got %s\n", golden->file, golden->line, (int)golden->text.size,
                golden->text.data, how, (int)golden->expected.size, golden->expected.data, got);
}

/* `error COLUMN text`. */
static void check_error(const struct golden *golden, const char *how, enum status status, const struct error *error)
{
    char got[1200], text[1024];
    error_text(error, text, sizeof text);
    snprintf(got, sizeof got, "error %u %s", error->column, text);
    struct str rest = golden->expected, part;
    if (!str_next_part(&rest, ' ', &part) || !str_is(part, "error") || !str_next_part(&rest, ' ', &part)) {
        complain(golden, how, got);
    } else if (status != STATUS_INVALID && status != STATUS_LIMIT) {
        complain(golden, how, status_name(status));
    } else if ((unsigned)strtoul(part.data, NULL, 10) != error->column || str_find(str_of(text), rest, 0) == SIZE_MAX) {
        complain(golden, how, got);
    }
}

static void check_value(struct arena *arena, const struct golden *golden, const char *how, struct value value)
{
    struct buf got = BUF_INIT(1 << 20), wanted = BUF_INIT(1 << 20);
    struct json json;
    if (value.type == VALUE_ABSENT)
        buf_lit(&got, "undefined");
    else
        value_write_json(&got, value);
    if (str_is(golden->expected, "undefined")) {
        buf_lit(&wanted, "undefined");
    } else if (json_parse(arena, golden->expected, NULL, NULL, &json) == STATUS_OK) {
        json_write(&wanted, &json);
    } else {
        buf_lit(&wanted, "what is not JSON");
    }
    buf_byte(&got, 0);
    buf_byte(&wanted, 0);
    if (strcmp(got.data, wanted.data) != 0) complain(golden, how, got.data);
    buf_fini(&got);
    buf_fini(&wanted);
}

static struct value column_value(struct arena *arena, const struct golden *golden, const struct expr_column *column)
{
    static const char *const roots[] = {NULL, "@user", "@behaviors"};
    const struct json *root = roots[column->root] ? json_get(&golden->row, str_of(roots[column->root])) : &golden->row;
    const struct json *json = root ? json_get(root, column->name) : NULL;
    struct value value = value_absent();
    struct buf bytes = BUF_INIT(1 << 20);
    if (json) {
        assert_int_equal(value_encode_json(&bytes, json), STATUS_OK);
        struct str copy = arena_str(arena, buf_str(&bytes));
        struct reader reader = reader_of(copy);
        assert_int_equal(value_decode(&reader, &value), STATUS_OK);
    }
    buf_fini(&bytes);
    return value;
}

static void evaluate(struct arena *arena, const struct golden *golden, const struct expr *expr, enum vector_kind kind)
{
    static const char *const kinds[] = {"flat", "constant", "dictionary"};
    static const uint32_t codes[ROWS] = {1, 1, 1};
    static uint64_t dictionaries;
    size_t count;
    const struct expr_column *columns = expr_columns(expr, &count);
    struct vector *vectors = arena_new_array(arena, struct vector, count + 1);
    for (size_t i = 0; i < count; i++) {
        struct value *values = arena_new_array(arena, struct value, ROWS),
                     value = column_value(arena, golden, &columns[i]);
        bool dictionary = kind == VECTOR_DICT;
        for (size_t row = dictionary ? 1 : 0; row < (dictionary ? 2 : ROWS); row++) values[row] = value;
        vectors[i] = (struct vector){.kind = kind, .count = ROWS, .values = values, .codes = codes};
        if (dictionary) vectors[i].dict_count = 2, vectors[i].dict_id = ++dictionaries;
    }
    struct expr_state *state = expr_state_new(expr, (size_t)4 << 20);
    struct error error = ERROR_INIT;
    struct vector result;
    uint8_t keep[ROWS] = {1, 0, 1};
    for (int round = 0; round < 2; round++) {
        enum status status = expr_eval(state, vectors, ROWS, &error, &result);
        if (status != STATUS_OK) {
            check_error(golden, kinds[kind], status, &error);
            assert_int_equal(expr_filter(state, vectors, ROWS, &error, keep), status);
            assert_true(keep[0] && keep[2]);
            continue;
        }
        for (uint32_t row = 0; row < ROWS; row++) check_value(arena, golden, kinds[kind], vector_at(&result, row));
        bool is_true = str_is(golden->expected, "true");
        assert_int_equal(expr_filter(state, vectors, ROWS, &error, keep), STATUS_OK);
        if (keep[0] != is_true || keep[1] || keep[2] != is_true)
            complain(golden, "filter", keep[0] ? "kept" : "dropped");
    }
    struct value constant;
    if (expr_constant(expr, &constant)) check_value(arena, golden, "expr_constant", constant);
    expr_state_free(state);
}

static void run_case(const struct golden *golden)
{
    struct arena *arena = arena_new((size_t)16 << 20);
    struct error error = ERROR_INIT;
    const struct expr *expr;
    enum status status = expr_compile(arena, golden->text, &options, &error, &expr);
    if (status != STATUS_OK) {
        check_error(golden, "compile", status, &error);
    } else {
        evaluate(arena, golden, expr, VECTOR_FLAT);
        evaluate(arena, golden, expr, VECTOR_CONST);
        evaluate(arena, golden, expr, VECTOR_DICT);
    }
    arena_free(arena);
}

/* `%join PROPERTY TABLE` */
static void set_join(struct str rest)
{
    static const struct expr_join *const joins[] = {&join.base};
    struct str property;
    struct json table;
    assert_true(str_next_part(&rest, ' ', &property));
    assert_int_equal(json_parse(join_arena, rest, NULL, NULL, &table), STATUS_OK);
    test_join_init(&join, join_arena, property, &table);
    options.joins = joins;
    options.join_count = 1;
}

static void set_option(struct str line)
{
    if (str_is(line, "%plain"))
        options = (struct expr_options){.now_ms = NOW_MS};
    else if (str_is(line, "%bare"))
        options.bare_name_is_property = true;
    else if (str_is(line, "%known"))
        options.unknown_names_refused = true;
    else if (str_is(line, "%profiles"))
        options.profiles = true;
    else if (str_starts(line, STR("%join ")))
        set_join(str_slice(line, 6, line.size));
    else if (str_starts(line, STR("%zone ")))
        assert_int_equal(timezone_load(str_slice(line, 6, line.size), NULL, &options.zone), STATUS_OK);
    else if (str_is(line, "%formula")) {
        options.formula = true;
        options.inputs = inputs;
        options.input_count = INPUTS;
    } else {
        fail_msg("unknown option %.*s", (int)line.size, line.data);
    }
}

static void run_line(struct golden *golden, struct arena *arena, struct str line)
{
    struct str rest = line, parts[3];
    size_t count = 0, at;
    while (count < 2 && (at = str_find(rest, STR(" :: "), 0)) != SIZE_MAX) {
        parts[count++] = str_slice(rest, 0, at);
        rest = str_slice(rest, at + 4, rest.size);
    }
    parts[count++] = rest;
    assert_true(count >= 2);
    golden->text = parts[0];
    golden->expected = parts[count - 1];
    golden->row = JSON_OBJECT_EMPTY;
    if (count == 3) assert_int_equal(json_parse(arena, parts[1], NULL, NULL, &golden->row), STATUS_OK);
    run_case(golden);
}

static unsigned run_file(const char *path)
{
    FILE *file = fopen(path, "r");
    char *text = malloc(FILE_BYTES);
    assert_non_null(file);
    assert_non_null(text);
    struct str rest = {text, fread(text, 1, FILE_BYTES, file)}, line;
    fclose(file);
    struct golden golden = {.file = strrchr(path, '/') + 1};
    unsigned cases = 0;
    set_option(STR("%plain"));
    while (str_next_part(&rest, '\n', &line)) {
        golden.line++;
        if (line.size == 0 || line.data[0] == '#') continue;
        if (line.data[0] == '%') {
            set_option(line);
            continue;
        }
        struct arena *arena = arena_new((size_t)1 << 20);
        run_line(&golden, arena, line);
        arena_free(arena);
        cases++;
    }
    free(text);
    return cases;
}

/* All files agree; a broken path would find none. */
static void golden_cases(void **unused)
{
    (void)unused;
    glob_t found;
    unsigned cases = 0;
    join_arena = arena_new((size_t)1 << 20);
    for (int i = 0; i < INPUTS; i++) {
        static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
        struct str name = {letters + i, 1};
        inputs[i] = (struct expr_input){.name = name, .column = {.root = EXPR_PROPERTY, .name = name}};
    }
    assert_int_equal(glob(CAIRN_SOURCE_DIR "/tests/golden/expr/*.txt", 0, NULL, &found), 0);
    for (size_t i = 0; i < found.gl_pathc; i++) cases += run_file(found.gl_pathv[i]);
    globfree(&found);
    arena_free(join_arena);
    assert_true(cases > 700);
    assert_int_equal(failures, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(golden_cases)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
