/* Tokens: what begins and ends one, and where. The decoded values are covered by the golden cases. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "expr/lex.h"

static struct arena *arena;

static enum status lex_all(const char *text, struct token *tokens, size_t count, struct error *error)
{
    struct lexer lexer = {.arena = arena, .text = str_of(text)};
    for (size_t i = 0; i < count; i++) TRY(expr_lex(&lexer, error, &tokens[i]));
    return STATUS_OK;
}

/* Every symbol is its own token even without blanks, the longest one first, and its place is kept. */
static void symbols_without_blanks(void **unused)
{
    (void)unused;
    static const enum token_kind kinds[] = {TOKEN_LE, TOKEN_EQ,    TOKEN_NE,     TOKEN_NE,     TOKEN_EQ,
                                            TOKEN_LT, TOKEN_MINUS, TOKEN_NUMBER, TOKEN_RPAREN, TOKEN_AND,
                                            TOKEN_OR, TOKEN_END,   TOKEN_END};
    static const uint32_t places[] = {0, 2, 4, 6, 8, 9, 10, 11, 12, 13, 15, 17, 17};
    struct token tokens[13];
    struct error error = ERROR_INIT;
    assert_int_equal(lex_all("<===!=!==<-1)&&||", tokens, 13, &error), STATUS_OK);
    for (size_t i = 0; i < 13; i++) {
        assert_int_equal(tokens[i].kind, kinds[i]);
        assert_int_equal(tokens[i].at, places[i]);
    }
}

/* Keywords are whole words in any case; longer words that begin like one are names. */
static void words(void **unused)
{
    (void)unused;
    static const enum token_kind kinds[] = {TOKEN_AND, TOKEN_WORD, TOKEN_ROOT, TOKEN_WORD, TOKEN_WORD, TOKEN_WORD};
    struct token tokens[6];
    struct error error = ERROR_INIT;
    assert_int_equal(lex_all("AnD android uSeR user1 $os utm.x-1", tokens, 6, &error), STATUS_OK);
    for (size_t i = 0; i < 6; i++) assert_int_equal(tokens[i].kind, kinds[i]);
    assert_int_equal(tokens[5].size, 5);
}

/* An error says where its token begins, or the escape in it. */
static void error_places(void **unused)
{
    (void)unused;
    static const struct {
        const char *text;
        unsigned column;
    } cases[] = {{"  ~", 3}, {" 'abc", 2}, {"'a\\ud800'", 3}, {" 1x", 2}, {" 1e999", 2}, {"'\\u00g0'", 2}, {"\x01", 1}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct token token;
        struct error error = ERROR_INIT;
        assert_int_equal(lex_all(cases[i].text, &token, 1, &error), STATUS_INVALID);
        assert_int_equal(error.column, cases[i].column);
    }
}

/* A NUL byte is an unexpected byte, not the end of the text. */
static void nul_byte(void **unused)
{
    (void)unused;
    struct lexer lexer = {.arena = arena,
                          .text = {"\0"
                                   "1",
                                   2}};
    struct token token;
    struct error error = ERROR_INIT;
    assert_int_equal(expr_lex(&lexer, &error, &token), STATUS_INVALID);
    assert_string_equal(error.primary, "unexpected byte 0x00");
}

static int setup(void **unused)
{
    (void)unused;
    arena = arena_new(1 << 20);
    return 0;
}

static int teardown(void **unused)
{
    (void)unused;
    arena_free(arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(symbols_without_blanks), cmocka_unit_test(words),
                                       cmocka_unit_test(error_places), cmocka_unit_test(nul_byte)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
