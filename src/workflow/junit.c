#include "workflow/junit.h"

#include "base/utf8.h"

static struct str string_member(const struct json *object, const char *name)
{
    const struct json *value = json_get(object, str_of(name));
    return value && value->type == JSON_STRING ? value->string : STR("");
}

/* Text and attributes alike. What XML 1.0 has no way to write becomes a question mark. */
static void add_text(struct buf *buf, struct str text)
{
    for (size_t i = 0; i < text.size;) {
        size_t from = i;
        uint32_t point = utf8_next(text.data, text.size, &i);
        bool broken = point == 0xFFFD && i - from == 1;
        if (point == '&')
            buf_lit(buf, "&amp;");
        else if (point == '<')
            buf_lit(buf, "&lt;");
        else if (point == '>')
            buf_lit(buf, "&gt;");
        else if (point == '"')
            buf_lit(buf, "&quot;");
        else if (point == '\n' || point == '\t' || point == '\r')
            buf_printf(buf, "&#%u;", (unsigned)point);
        else if (point < 0x20 || point == 0xFFFE || point == 0xFFFF || broken)
            buf_byte(buf, '?');
        else
            buf_add(buf, text.data + from, i - from);
    }
}

static double time_s(const struct json *step)
{
    const struct json *ms = json_member(step, "time_ms"), *called = json_member(step, "workflow");
    double sum = ms ? json_double(ms) / 1000 : 0;
    const struct json *steps = json_member(called, "steps");
    /* Called workflows are as deep as the run allowed. */
    for (size_t i = 0; steps && i < steps->array.count; i++) sum += time_s(&steps->array.items[i]);
    return sum;
}

/* An execution that is repeated, or that an action leads away from, is no failure yet: what comes then decides. */
static bool goes_on(const struct json *step)
{
    struct str type = string_member(json_member(step, "action"), "type");
    return str_is(type, "retry") || str_is(type, "goto");
}

static void add_case(struct buf *buf, struct str workflow, const struct json *step)
{
    const struct json *passed = json_member(step, "passed"), *criteria = json_member(step, "criteria");
    const struct json *attempt = json_member(step, "attempt");
    buf_lit(buf, "    <testcase classname=\"");
    add_text(buf, workflow);
    buf_lit(buf, "\" name=\"");
    add_text(buf, string_member(step, "stepId"));
    if (attempt) buf_printf(buf, " (attempt %lld)", (long long)attempt->integer);
    buf_printf(buf, "\" time=\"%.3f\"", time_s(step));
    if (passed && passed->boolean) {
        buf_lit(buf, "/>\n");
        return;
    }
    bool again = goes_on(step);
    buf_lit(buf, ">\n      ");
    buf_str_add(buf, again ? STR("<skipped message=\"") : STR("<failure message=\""));
    add_text(buf, string_member(step, "error"));
    buf_lit(buf, "\">");
    for (size_t i = 0; criteria && i < criteria->array.count; i++) {
        const struct json *criterion = &criteria->array.items[i], *holds = json_member(criterion, "passed");
        if (holds && holds->boolean) continue;
        add_text(buf, string_member(criterion, "condition"));
        buf_lit(buf, ": ");
        add_text(buf, string_member(criterion, "message"));
        buf_byte(buf, '\n');
    }
    buf_str_add(buf, again ? STR("</skipped>") : STR("</failure>"));
    buf_lit(buf, "\n    </testcase>\n");
}

static bool fails(const struct json *step)
{
    const struct json *passed = json_member(step, "passed");
    return !(passed && passed->boolean) && !goes_on(step);
}

static void add_suite(struct buf *buf, const struct json *workflow)
{
    const struct json *dependencies = json_member(workflow, "dependencies");
    for (size_t i = 0; dependencies && i < dependencies->array.count; i++)
        add_suite(buf, &dependencies->array.items[i]); /* as deep as the run allowed */
    const struct json *steps = json_member(workflow, "steps"), *continued = json_member(workflow, "continued");
    struct str id = string_member(workflow, "workflowId"), error = string_member(workflow, "error");
    size_t count = steps ? steps->array.count : 0, failures = 0;
    double sum = 0;
    for (size_t i = 0; i < count; i++) {
        failures += fails(&steps->array.items[i]);
        sum += time_s(&steps->array.items[i]);
    }
    bool alone = error.size && !failures && !continued; /* it failed without a step that did */
    buf_lit(buf, "  <testsuite name=\"");
    add_text(buf, id.size ? id : STR("workflow"));
    buf_printf(buf, "\" tests=\"%zu\" failures=\"%zu\" errors=\"%d\" time=\"%.3f\">\n", count + alone, failures, alone,
               sum);
    for (size_t i = 0; i < count; i++) add_case(buf, id, &steps->array.items[i]);
    if (alone) {
        buf_lit(buf, "    <testcase classname=\"");
        add_text(buf, id);
        buf_lit(buf, "\" name=\"(workflow)\"><error message=\"");
        add_text(buf, error);
        buf_lit(buf, "\"/></testcase>\n");
    }
    buf_lit(buf, "  </testsuite>\n");
    for (size_t i = 0; continued && i < continued->array.count; i++) add_suite(buf, &continued->array.items[i]);
}

static void add_invalid(struct buf *buf, const struct json *result)
{
    const struct json *errors = json_member(result, "errors");
    size_t count = errors ? errors->array.count : 0;
    buf_printf(buf, "  <testsuite name=\"document\" tests=\"%zu\" failures=\"0\" errors=\"%zu\" time=\"0\">\n", count,
               count);
    for (size_t i = 0; i < count; i++) {
        buf_lit(buf, "    <testcase classname=\"document\" name=\"");
        add_text(buf, string_member(&errors->array.items[i], "rule"));
        buf_lit(buf, "\"><error message=\"");
        add_text(buf, string_member(&errors->array.items[i], "text"));
        buf_lit(buf, "\"/></testcase>\n");
    }
    buf_lit(buf, "  </testsuite>\n");
}

void workflow_junit(struct buf *buf, const struct json *result)
{
    const struct json *workflows = json_member(result, "workflows");
    buf_lit(buf, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"cairn workflow\">\n");
    if (str_is(string_member(result, "status"), "invalid"))
        add_invalid(buf, result);
    else if (!workflows)
        add_suite(buf, result);
    for (size_t i = 0; workflows && i < workflows->array.count; i++) add_suite(buf, &workflows->array.items[i]);
    buf_lit(buf, "</testsuites>\n");
}
