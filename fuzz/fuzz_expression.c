/* A runtime expression, a text with expressions in it, or a condition of any type, over a fixed context: parsing and
 * evaluation must end, and what is an expression must be found again in its own text. The first byte chooses. */
#include "workflow/condition.h"

#include <stdlib.h>

static const char inputs_text[] =
    "{\"a\":{\"b\":[1,2,{\"c\":\"x\"}]},\"a.b\":5,\"s\":\"text\",\"n\":-1.5,\"nil\":null}";
static const char body_text[] =
    "{\"items\":[{\"id\":3,\"name\":\"it's\"},{\"id\":4}],\"ok\":true,\"xml\":\"<a><b n='1'/></a>\"}";

static void count(void *ctx, const struct expression *expression)
{
    size_t *found = ctx;
    struct expression again;
    size_t size;
    if (expression->text.size == 0) abort();
    /* What a condition or braces end is at least an expression at its beginning. */
    if (expression_parse(expression->text, EXPRESSION_CONDITION, NULL, &again, &size) != STATUS_OK &&
        expression_parse(expression->text, EXPRESSION_WHOLE, NULL, &again, &size) != STATUS_OK)
        abort();
    ++*found;
}

static void judge(struct arena *arena, const struct expression_context *context, const char *type, struct str text)
{
    struct json node = JSON_OBJECT_EMPTY;
    struct condition condition;
    struct condition_remark remark;
    struct error error = ERROR_INIT;
    struct buf message = BUF_INIT(65536);
    bool holds = false;
    size_t found = 0;
    if (json_put(arena, &node, STR("condition"), json_string(text)) != STATUS_OK ||
        json_put(arena, &node, STR("type"), json_string(str_of(type))) != STATUS_OK ||
        json_put(arena, &node, STR("context"), json_string(STR("$response.body"))) != STATUS_OK)
        return;
    enum status status = condition_compile(arena, &node, &error, &remark, &condition);
    if (status == STATUS_OK) {
        condition_each(&condition, count, &found);
        status = condition_evaluate(arena, &condition, context, &message, &holds);
        if (status == STATUS_OK && holds && condition.never) abort();
    } else if (error.primary[0] == 0) {
        abort();
    }
    buf_fini(&message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct workflow_header headers[] = {{STR("Content-Type"), STR("application/json")}};
    static const struct workflow_response response = {.status = 200, .headers = headers, .header_count = 1};
    static const char *const types[] = {"simple", "regex", "jsonpath", "xpath"};
    struct arena *arena = arena_new((size_t)16 << 20);
    struct json inputs, body;
    if (size == 0 || json_parse(arena, STR(inputs_text), NULL, NULL, &inputs) != STATUS_OK ||
        json_parse(arena, STR(body_text), NULL, NULL, &body) != STATUS_OK) {
        arena_free(arena);
        return 0;
    }
    const struct expression_context context = {.inputs = &inputs,
                                               .outputs = &inputs,
                                               .request_body = &body,
                                               .response = &response,
                                               .response_body = &body,
                                               .url = STR("https://h/"),
                                               .method = STR("GET")};
    struct str text = str_from(data + 1, size - 1);
    if (data[0] % 5 == 0) {
        const struct json *value;
        struct error error = ERROR_INIT;
        size_t found = 0;
        expression_each(text, count, &found);
        enum status status = expression_string(arena, &context, text, &error, &value);
        if (status != STATUS_OK && error.primary[0] == 0) abort();
    } else {
        judge(arena, &context, types[data[0] % 5 - 1], text);
    }
    arena_free(arena);
    return 0;
}
