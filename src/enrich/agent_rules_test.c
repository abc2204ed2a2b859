/*
 * All cases that uap-core brings along for its own rules, and that the prefilter never hides a match: each expression
 * of every case is also tried without it.
 */
#include "enrich/agent_rules.h"

#include "base/yaml.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct agent_rules *rules;
static struct agent_scratch *scratch;

static int setup(void **state)
{
    (void)state;
    struct error error = ERROR_INIT;
    scratch = agent_scratch_new();
    return scratch && agent_rules_load(agent_rules_data(), &error, &rules) == STATUS_OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    agent_rules_free(rules);
    agent_scratch_free(scratch);
    return 0;
}

static struct str file_read(struct arena *arena, const char *path)
{
    FILE *file = fopen(path, "re");
    if (!file) return STR_NULL;
    size_t room = (size_t)8 << 20;
    char *data = arena_alloc(arena, room);
    assert_non_null(data);
    size_t size = fread(data, 1, room, file);
    fclose(file);
    return str_from(data, size);
}

static struct str text_of(const struct json *object, const char *key)
{
    const struct json *value = json_get(object, str_of(key));
    return value && value->type == JSON_STRING ? value->string : STR("");
}

static void check_file(const char *path, enum agent_list list, size_t cases_min)
{
    struct arena *arena = arena_new((size_t)256 << 20);
    struct error error = ERROR_INIT;
    struct json tree;
    struct str text = file_read(arena, path);
    if (!text.data) fail_msg("%s is missing", path);
    assert_int_equal(json_from_yaml(arena, text, NULL, &error, &tree), STATUS_OK);
    const struct json *cases = json_member(&tree, "test_cases");
    assert_non_null(cases);
    assert_true(cases->array.count >= cases_min);
    for (size_t i = 0; i < cases->array.count; i++) {
        const struct json *one = &cases->array.items[i];
        struct str agent = text_of(one, "user_agent_string"), family = text_of(one, "family");
        struct agent_match match;
        if (!agent_rules_match(rules, scratch, list, agent, &match))
            snprintf(match.family, sizeof match.family, "Other");
        if (family.size >= sizeof match.family) family.size = sizeof match.family - 1;
        if (!str_eq(family, str_of(match.family)))
            fail_msg("\"" STR_FMT "\" is %s instead of " STR_FMT, STR_ARG(agent), match.family, STR_ARG(family));
        if (list != AGENT_BROWSER || str_is(family, "Other")) continue;
        const char *told[] = {match.major, match.minor}, *names[] = {"major", "minor"};
        for (size_t k = 0; k < 2; k++) {
            struct str wanted = text_of(one, names[k]);
            if (wanted.size >= sizeof match.major) wanted.size = sizeof match.major - 1;
            if (!str_eq(wanted, str_of(told[k])))
                fail_msg("\"" STR_FMT "\" has %s %s instead of " STR_FMT, STR_ARG(agent), names[k], told[k],
                         STR_ARG(wanted));
        }
    }
    arena_free(arena);
}

static void test_browsers(void **state)
{
    (void)state;
    check_file("/usr/share/uap-core/tests/test_ua.yaml", AGENT_BROWSER, 1000);
}
static void test_systems(void **state)
{
    (void)state;
    check_file("/usr/share/uap-core/tests/test_os.yaml", AGENT_SYSTEM, 300);
}
static void test_devices(void **state)
{
    (void)state;
    check_file("/usr/share/uap-core/tests/test_device.yaml", AGENT_DEVICE, 10000);
}

/* Which texts are looked for, and where none may be. */
static void test_prefilter(void **state)
{
    (void)state;
    size_t count, unfiltered;
    agent_rules_count(rules, &count, &unfiltered);
    print_message("%zu rules, %zu without a text\n", count, unfiltered);
    assert_true(count > 1000);
    assert_true(unfiltered < count / 4);

    static const struct {
        const char *regex;
        const char *matches; /* a text that must be found */
    } rows[] = {
        {"ab?c", "ac"},         {"ab*cd", "acd"},
        {"ab{0,2}cd", "acd"},   {"(abc)?d", "d"},
        {"(?:abc|x)yz", "xyz"}, {"abc|xyz", "xyz"},
        {"a(b|c)d", "acd"},     {"[abc]de", "cde"},
        {"ab+cd", "abbbcd"},    {"\\\\d(\\\\d+)xy", "12xy"},
        {"x(?!abc)yy", "xyy"},  {"a(b(c)?)d", "abd"},
        {"(?i:ABC)d", "abcd"},  {"a.c\\\\.de", "axc.de"},
        {"^ab$", "ab"},         {"[]x]yz", "]yz"},
        {"a(b){0,1}cd", "acd"}, {"a(?=bc)bcd", "abcd"},
        {"ab??cd", "acd"},      {"(a(b|))cd", "acd"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char yaml[400];
        struct error error = ERROR_INIT;
        struct agent_rules *one;
        struct agent_match match;
        snprintf(yaml, sizeof yaml,
                 "user_agent_parsers:\n- regex: \"%s\"\n  family_replacement: F\nos_parsers: []\ndevice_parsers: []\n",
                 rows[i].regex);
        assert_int_equal(agent_rules_load(str_of(yaml), &error, &one), STATUS_OK);
        if (!agent_rules_match(one, scratch, AGENT_BROWSER, str_of(rows[i].matches), &match))
            fail_msg("%s does not find %s", rows[i].regex, rows[i].matches);
        agent_rules_free(one);
    }
}

static void test_bad_rules(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "",
        "[]",
        "user_agent_parsers: 1",
        "user_agent_parsers: []\nos_parsers: []\n",
        "user_agent_parsers:\n- family_replacement: F\nos_parsers: []\ndevice_parsers: []\n",
        "user_agent_parsers:\n- regex: '(a'\nos_parsers: []\ndevice_parsers: []\n",
        "user_agent_parsers:\n- 7\nos_parsers: []\ndevice_parsers: []\n",
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct error error = ERROR_INIT;
        struct agent_rules *none;
        assert_int_equal(agent_rules_load(str_of(rows[i]), &error, &none), STATUS_INVALID);
    }
}

/* Texts of all lengths, and without end. */
static void test_long(void **state)
{
    (void)state;
    char text[4096];
    struct agent_match match;
    for (size_t size = 0; size <= sizeof text; size = size * 2 + 1) {
        memset(text, 'x', sizeof text);
        for (int list = 0; list < AGENT_LISTS; list++)
            (void)agent_rules_match(rules, scratch, (enum agent_list)list, str_from(text, size), &match);
    }
    (void)agent_rules_match(rules, scratch, AGENT_BROWSER, STR_NULL, &match);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_browsers),  cmocka_unit_test(test_systems),   cmocka_unit_test(test_devices),
        cmocka_unit_test(test_prefilter), cmocka_unit_test(test_bad_rules), cmocka_unit_test(test_long),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
