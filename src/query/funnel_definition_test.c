/* Funnels as clients send them: what is left out, what is read back as it was, and what every mistake is called. */
#include "query/funnel_definition.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

static struct arena *arena;
static struct error error;

static int setup(void **state)
{
    (void)state;
    arena = arena_new((size_t)16 << 20);
    error = ERROR_INIT;
    return 0;
}
static int teardown(void **state)
{
    (void)state;
    arena_free(arena);
    return 0;
}

static enum status read_text(const char *text, struct funnel_definition *ret)
{
    struct json json;
    if (json_parse(arena, str_of(text), NULL, &error, &json) != STATUS_OK) fail_msg("%s: %s", text, error.primary);
    return funnel_definition_read(arena, &json, 30, &error, ret);
}

static struct str written(const struct funnel_definition *definition)
{
    struct buf buf = BUF_INIT((size_t)1 << 20);
    buf_byte(&buf, '{');
    funnel_definition_write(&buf, definition);
    buf_byte(&buf, '}');
    struct str text = arena_str(arena, buf_str(&buf));
    buf_fini(&buf);
    return text;
}

static void test_defaults(void **state)
{
    (void)state;
    struct funnel_definition definition;
    struct funnel_plan plan = {0};
    assert_int_equal(read_text("{\"steps\":[{\"event\":\"A\"},{\"event\":\"B\"}]}", &definition), STATUS_OK);
    assert_true(str_is(written(&definition),
                       "{\"steps\":[{\"event\":\"A\",\"anchored\":false},{\"event\":\"B\",\"anchored\":false}],"
                       "\"order\":\"specific\",\"window\":{\"length\":7,\"unit\":\"day\"},\"count_type\":\"unique\","
                       "\"reentry\":\"default\",\"exclusions\":[],\"hold_constant\":[],\"attribution\":\"step\","
                       "\"attribution_step\":1}"));
    funnel_definition_plan(&definition, &plan);
    assert_int_equal(plan.step_count, 2);
    assert_int_equal(plan.window_ms, INT64_C(7) * 86400000);
    assert_int_equal(plan.window_sessions, 0);
    assert_int_equal(plan.count, FUNNEL_UNIQUES);
    assert_false(plan.any_order);
}

/* What is written reads back as the same. */
static void test_everything(void **state)
{
    (void)state;
    static const char text[] =
        "{\"steps\":[{\"event\":\"A\",\"where\":\"properties[\\\"n\\\"] > 1\",\"name\":\"First\",\"anchored\":true},"
        "{\"events\":[\"B\",\"C\"],\"anchored\":false},{\"event\":\"D\",\"anchored\":false}],\"order\":\"any\","
        "\"window\":{\"length\":3,\"unit\":\"session\"},\"count_type\":\"total\",\"reentry\":\"optimized\","
        "\"exclusions\":[{\"event\":\"X\",\"where\":\"true\",\"from_step\":1,\"to_step\":2},"
        "{\"events\":[\"Y\",\"Z\"],\"from_step\":2,\"to_step\":3}],\"hold_constant\":[\"device\",\"properties[\\\"p\\\"]\"],"
        "\"attribution\":\"last\",\"attribution_step\":2}";
    struct funnel_definition definition;
    struct funnel_plan plan = {0};
    if (read_text(text, &definition) != STATUS_OK) fail_msg("%s", error.primary);
    assert_true(str_is(written(&definition), text));
    funnel_definition_plan(&definition, &plan);
    assert_int_equal(plan.window_ms, 0);
    assert_int_equal(plan.window_sessions, 3);
    assert_int_equal(plan.exclusion_count, 2);
    assert_int_equal(plan.hold_count, 2);
    assert_int_equal(plan.reentry, FUNNEL_REENTRY_OPTIMIZED);
    assert_int_equal(plan.attribution, FUNNEL_ATTRIBUTE_LAST);
    assert_int_equal(plan.on_step, 2);
    assert_true(str_is(funnel_step_goal(&definition, 0, arena), "A"));
    assert_true(str_is(funnel_step_goal(&definition, 1, arena), "B, C"));
    /* null is as if it was not there, and an empty filter is none */
    assert_int_equal(read_text("{\"steps\":[{\"event\":\"A\",\"events\":null,\"where\":\" \",\"name\":null}],"
                               "\"order\":null,\"window\":null,\"exclusions\":null}",
                               &definition),
                     STATUS_OK);
    assert_null(definition.steps[0].where.data);
}

#define STEPS "\"steps\":[{\"event\":\"A\"},{\"event\":\"B\"}]"

static void test_mistakes(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"[]", "a funnel must be an object with steps"},
        {"{}", "steps: is missing"},
        {"{\"steps\":{}}", "steps: must be a list"},
        {"{\"steps\":[]}", "steps: must be a list"},
        {"{\"steps\":[1]}", "steps[0]: must be an object"},
        {"{\"steps\":[{}]}", "steps[0].event: is missing"},
        {"{\"steps\":[{\"event\":\"A\"},{\"event\":\"\"}]}", "steps[1].event: must be the name"},
        {"{\"steps\":[{\"event\":7}]}", "steps[0].event: must be the name"},
        {"{\"steps\":[{\"event\":\"A\",\"events\":[\"B\"]}]}", "steps[0].event: stands beside events"},
        {"{\"steps\":[{\"events\":[]}]}", "steps[0].events: must be a list of 1 to 100"},
        {"{\"steps\":[{\"events\":[\"A\",null]}]}", "steps[0].events[1]: must be the name"},
        {"{\"steps\":[{\"event\":\"A\",\"wher\":\"x\"}]}", "steps[0].wher: there is no such member"},
        {"{\"steps\":[{\"event\":\"A\",\"where\":1}]}", "steps[0].where: must be an expression"},
        {"{\"steps\":[{\"event\":\"A\",\"where\":\"1 +\"}]}", "steps[0].where: "},
        {"{\"steps\":[{\"event\":\"A\",\"name\":1}]}", "steps[0].name: must be a text"},
        {"{\"steps\":[{\"event\":\"A\",\"anchored\":1}]}", "steps[0].anchored: must be true or false"},
        {"{" STEPS ",\"ordr\":1}", "ordr: there is no such member"},
        {"{" STEPS ",\"order\":\"some\"}", "order: must be specific or any"},
        {"{" STEPS ",\"order\":1}", "order: must be specific or any"},
        {"{" STEPS ",\"window\":7}", "window: must be an object"},
        {"{" STEPS ",\"window\":{\"unit\":\"day\"}}", "window.length: must be a whole number"},
        {"{" STEPS ",\"window\":{\"length\":0,\"unit\":\"day\"}}", "window.length: must be a whole number"},
        {"{" STEPS ",\"window\":{\"length\":1.5,\"unit\":\"day\"}}", "window.length: must be a whole number"},
        {"{" STEPS ",\"window\":{\"length\":1}}", "window.unit: must be second"},
        {"{" STEPS ",\"window\":{\"length\":1,\"unit\":\"year\"}}", "window.unit: must be second"},
        {"{" STEPS ",\"window\":{\"length\":367,\"unit\":\"day\"}}", "window.length: must be from 1 to 366 days"},
        {"{" STEPS ",\"window\":{\"length\":9223372036854775807,\"unit\":\"second\"}}", "window.length: must be from"},
        {"{" STEPS ",\"window\":{\"length\":13,\"unit\":\"session\"}}", "window.length: must be from 1 to 12"},
        {"{" STEPS ",\"window\":{\"length\":1,\"unit\":\"day\",\"x\":1}}", "window.x: there is no such member"},
        {"{" STEPS ",\"count_type\":\"people\"}", "count_type: must be unique, total or session"},
        {"{" STEPS ",\"reentry\":\"never\"}", "reentry: must be default"},
        {"{" STEPS ",\"exclusions\":{}}", "exclusions: must be a list"},
        {"{\"steps\":[{\"event\":\"A\"}],\"exclusions\":[{\"event\":\"X\"}]}", "exclusions: a funnel of one step"},
        {"{" STEPS ",\"exclusions\":[{}]}", "exclusions[0].event: is missing"},
        {"{" STEPS ",\"exclusions\":[{\"event\":\"X\",\"from_step\":2}]}", "exclusions[0].from_step: must be the number"},
        {"{" STEPS ",\"exclusions\":[{\"event\":\"X\",\"to_step\":1}]}", "exclusions[0].to_step: must be the number"},
        {"{" STEPS ",\"exclusions\":[{\"event\":\"X\",\"where\":\")\"}]}", "exclusions[0].where: "},
        {"{" STEPS ",\"hold_constant\":\"a\"}", "hold_constant: must be a list of at most 3"},
        {"{" STEPS ",\"hold_constant\":[\"a\",\"b\",\"c\",\"d\"]}", "hold_constant: must be a list of at most 3"},
        {"{" STEPS ",\"hold_constant\":[\"\"]}", "hold_constant[0]: must be a property"},
        {"{" STEPS ",\"hold_constant\":[\"1 +\"]}", "hold_constant[0]: "},
        {"{" STEPS ",\"attribution\":\"all\"}", "attribution: must be step, first or last"},
        {"{" STEPS ",\"attribution_step\":3}", "attribution_step: must be the number of a step, from 1 to 2"},
        {"{" STEPS ",\"attribution_step\":\"1\"}", "attribution_step: must be the number"},
    };
    struct funnel_definition definition;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        error = ERROR_INIT;
        if (read_text(cases[i].text, &definition) != STATUS_INVALID) fail_msg("%s was taken", cases[i].text);
        if (strncmp(error.primary, cases[i].says, strlen(cases[i].says)) != 0)
            fail_msg("%s: \"%s\" instead of \"%s\"", cases[i].text, error.primary, cases[i].says);
    }
}

static void test_limits(void **state)
{
    (void)state;
    struct buf text = BUF_INIT((size_t)1 << 20);
    struct funnel_definition definition;
    for (int count = 30; count <= 31; count++) {
        buf_reset(&text);
        buf_lit(&text, "{\"steps\":[");
        for (int i = 0; i < count; i++) buf_printf(&text, "%s{\"event\":\"e%d\"}", i ? "," : "", i);
        buf_add(&text, "]}", 3);
        assert_int_equal(read_text(text.data, &definition), count == 30 ? STATUS_OK : STATUS_INVALID);
    }
    assert_true(strstr(error.primary, "steps: there are 31, at most 30") != NULL);
    /* Steps and exclusions share what one pass can tell apart. */
    buf_reset(&text);
    buf_lit(&text, "{\"steps\":[");
    for (int i = 0; i < 30; i++) buf_printf(&text, "%s{\"event\":\"e%d\"}", i ? "," : "", i);
    buf_lit(&text, "],\"exclusions\":[");
    for (int i = 0; i < 31; i++) buf_printf(&text, "%s{\"event\":\"x%d\"}", i ? "," : "", i);
    buf_add(&text, "]}", 3);
    assert_int_equal(read_text(text.data, &definition), STATUS_INVALID);
    assert_true(strstr(error.primary, "steps: there are 61 with the exclusions") != NULL);
    buf_fini(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_defaults, setup, teardown),
        cmocka_unit_test_setup_teardown(test_everything, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mistakes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_limits, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
