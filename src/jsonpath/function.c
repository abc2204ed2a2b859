/* The functions of RFC 9535, 2.4. */
#include "jsonpath/jsonpath_int.h"

#include "base/utf8.h"

static enum status call_length(struct evaluation *e, const struct filter *filter, const struct result *arguments,
                               struct result *ret_result)
{
    const struct json *value = &arguments[0].value;
    (void)e, (void)filter;
    *ret_result = (struct result){.present = false};
    if (!arguments[0].present) return STATUS_OK;
    size_t length;
    switch (value->type) {
    case JSON_STRING: length = utf8_length(value->string.data, value->string.size); break;
    case JSON_ARRAY: length = value->array.count; break;
    case JSON_OBJECT: length = value->object.count; break;
    default: return STATUS_OK;
    }
    *ret_result = (struct result){.present = true, .value = json_int((int64_t)length)};
    return STATUS_OK;
}

static enum status call_count(struct evaluation *e, const struct filter *filter, const struct result *arguments,
                              struct result *ret_result)
{
    (void)e, (void)filter;
    *ret_result = (struct result){.present = true, .value = json_int((int64_t)arguments[0].nodes.count)};
    return STATUS_OK;
}

static enum status call_value(struct evaluation *e, const struct filter *filter, const struct result *arguments,
                              struct result *ret_result)
{
    (void)e, (void)filter;
    *ret_result = (struct result){.present = arguments[0].nodes.count == 1};
    if (ret_result->present) ret_result->value = *arguments[0].nodes.items[0]->value;
    return STATUS_OK;
}

static enum status find(struct evaluation *e, const struct filter *filter, const struct result *arguments,
                        enum regexp_kind kind, struct result *ret_result)
{
    *ret_result = (struct result){.logical = false};
    for (int i = 0; i < 2; i++)
        if (!arguments[i].present || arguments[i].value.type != JSON_STRING) return STATUS_OK;
    struct str text = arguments[0].value.string, pattern = arguments[1].value.string;
    struct regexp *regexp = filter->regexp;
    enum status status = regexp ? STATUS_OK : regexp_new(pattern, kind, &regexp);
    if (status == STATUS_OK) status = regexp_matches(regexp, text, &ret_result->logical);
    if (regexp != filter->regexp) regexp_free(regexp);
    return status == STATUS_OK ? status : error_set(e->error, status, "no memory for a regular expression");
}

static enum status call_match(struct evaluation *e, const struct filter *filter, const struct result *arguments,
                              struct result *ret_result)
{
    return find(e, filter, arguments, REGEXP_MATCH, ret_result);
}

static enum status call_search(struct evaluation *e, const struct filter *filter, const struct result *arguments,
                               struct result *ret_result)
{
    return find(e, filter, arguments, REGEXP_SEARCH, ret_result);
}

const struct function *function_find(struct str name)
{
    static const struct function functions[] = {
        {"length", TYPE_VALUE, 1, {TYPE_VALUE}, call_length},
        {"count", TYPE_VALUE, 1, {TYPE_NODES}, call_count},
        {"value", TYPE_VALUE, 1, {TYPE_NODES}, call_value},
        {"match", TYPE_LOGICAL, 2, {TYPE_VALUE, TYPE_VALUE}, call_match},
        {"search", TYPE_LOGICAL, 2, {TYPE_VALUE, TYPE_VALUE}, call_search},
    };
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        if (str_eq(name, str_of(functions[i].name))) return &functions[i];
    return NULL;
}
