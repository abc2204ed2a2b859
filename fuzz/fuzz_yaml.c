/* YAML and JSON documents: reading must end within its limits. What was read is written as JSON and must come back as
 * the same value from both readers, unless it holds a number that JSON has no text for. */
#include "base/yaml.h"

#include <stdlib.h>

static bool has_odd_number(const struct json *value)
{
    bool odd = value->type == JSON_DOUBLE && !(value->number - value->number == 0);
    for (size_t i = 0; value->type == JSON_ARRAY && i < value->array.count; i++)
        odd |= has_odd_number(&value->array.items[i]);
    for (size_t i = 0; value->type == JSON_OBJECT && i < value->object.count; i++)
        odd |= has_odd_number(&value->object.members[i].value);
    return odd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct yaml_read_limits limits = {.size_max = (size_t)1 << 20};
    struct arena *arena = arena_new((size_t)32 << 20);
    struct error error = ERROR_INIT;
    struct json value, again;
    struct buf text = BUF_INIT((size_t)16 << 20);
    enum status status = json_from_yaml(arena, str_from(data, size), &limits, &error, &value);
    if (status != STATUS_OK && error.primary[0] == 0) abort();
    if (status == STATUS_OK && !has_odd_number(&value)) {
        json_write(&text, &value);
        if (buf_status(&text) == STATUS_OK) {
            status = json_parse(arena, buf_str(&text), NULL, NULL, &again);
            if (status != STATUS_LIMIT && (status != STATUS_OK || !json_equal(&value, &again))) abort();
        }
    }
    buf_fini(&text);
    arena_free(arena);
    return 0;
}
