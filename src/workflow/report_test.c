/* The text for terminals: exact lines, colours only where asked for, nothing that could drive the terminal.
 * And the masking of secrets, which everything shown goes through. */
#include "workflow/report.h"
#include "workflow/secrets.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static const char *text_of(const struct workflow_event *event, bool color)
{
    static char text[4096];
    struct buf buf = BUF_INIT(sizeof text - 1);
    workflow_report_event(&buf, event, color);
    memcpy(text, buf.data ? buf.data : "", buf.size);
    text[buf.size] = 0;
    buf_fini(&buf);
    return text;
}

static void test_lines(void **state)
{
    (void)state;
    struct arena *arena = arena_new((size_t)1 << 20);
    struct json criteria, outputs;
    assert_int_equal(json_parse(arena,
                                STR("[{\"condition\":\"$statusCode == "
                                    "200\",\"passed\":false,\"message\":\"$statusCode was 404\"},"
                                    "{\"condition\":\"true\",\"passed\":true}]"),
                                NULL, NULL, &criteria),
                     STATUS_OK);
    assert_int_equal(json_parse(arena, STR("{\"a\":[1,\"x\"],\"b\":null}"), NULL, NULL, &outputs), STATUS_OK);
    struct workflow_event event = {.kind = WORKFLOW_EVENT_STEP_FINISHED,
                                   .step_id = STR("track"),
                                   .method = STR("POST"),
                                   .url = STR("http://h/track"),
                                   .status = 200,
                                   .elapsed_us = 12900,
                                   .passed = true};
    assert_string_equal(text_of(&event, false), "  ✓ track  POST http://h/track  200  12 ms\n");
    assert_string_equal(text_of(&event, true),
                        "  \033[32m✓\033[0m track  POST \033[2mhttp://h/track\033[0m  200  12 ms\n");
    event.passed = false;
    event.status = 404;
    event.elapsed_us = 999;
    event.criteria = &criteria;
    assert_string_equal(text_of(&event, false), "  ✗ track  POST http://h/track  404  <1 ms\n"
                                                "      ✗ $statusCode == 200  ($statusCode was 404)\n"
                                                "      ✓ true\n");
    event.criteria = NULL;
    event.status = 0;
    event.text = STR("no connection");
    assert_string_equal(text_of(&event, false), "  ✗ track  POST http://h/track\n      no connection\n");
    event = (struct workflow_event){
        .kind = WORKFLOW_EVENT_WORKFLOW_FINISHED, .workflow_id = STR("w"), .passed = true, .outputs = &outputs};
    assert_string_equal(text_of(&event, false), "✓ w passed\n  a: [1,\"x\"]\n  b: null\n");
    event.kind = WORKFLOW_EVENT_STEP_STARTED;
    assert_string_equal(text_of(&event, true), "");
    arena_free(arena);
}

static void test_control_characters(void **state)
{
    (void)state;
    struct workflow_event event = {.kind = WORKFLOW_EVENT_WARNING, .text = STR("a\033[2Jb\nc\x7F\xC2\x9B\xFF\xC3\xA9")};
    assert_string_equal(text_of(&event, false), "  warning: a\\x1b[2Jb\\nc\\x7f\\xc2\\xff\xC3\xA9\n");
}

static void test_masking(void **state)
{
    (void)state;
    struct arena *arena = arena_new((size_t)1 << 20);
    struct workflow_secrets secrets = {.arena = arena};
    struct json value, masked;
    assert_int_equal(secrets_add(&secrets, STR("tok")), STATUS_OK);
    assert_int_equal(secrets_add(&secrets, STR("secret")), STATUS_OK);
    assert_int_equal(secrets_add(&secrets, STR("secret&more")), STATUS_OK);
    assert_int_equal(secrets_add(&secrets, STR("")), STATUS_OK);
    assert_true(str_is(secrets_mask(&secrets, STR("tok")), "***"));
    assert_true(str_is(secrets_mask(&secrets, STR("token")), "token"));
    assert_true(str_is(secrets_mask(&secrets, STR("a secret, secret&more and secret%26more")), "a ***, *** and ***"));
    assert_true(str_is(secrets_mask(&secrets, STR("")), ""));
    assert_int_equal(json_parse(arena, STR("{\"tok\":[\"tok\",{\"x\":\"the secret\"}],\"n\":1}"), NULL, NULL, &value),
                     STATUS_OK);
    assert_int_equal(secrets_mask_json(&secrets, &value, &masked), STATUS_OK);
    struct buf buf = BUF_INIT(4096);
    json_write(&buf, &masked);
    buf_byte(&buf, 0);
    assert_string_equal(buf.data, "{\"tok\":[\"***\",{\"x\":\"the ***\"}],\"n\":1}");
    buf_fini(&buf);
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_control_characters),
        cmocka_unit_test(test_masking),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
