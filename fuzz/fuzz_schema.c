/* A JSON Schema and an instance, divided by a line break: checking and validating must end, and a boolean schema must
 * mean what it says. A schema whose check finds nothing wrong must be one for the metaschema too. */
#include "workflow/schema.h"

#include <stdlib.h>

static void note(void *ctx, struct str where, struct str what)
{
    (void)where;
    if (what.size == 0) abort();
    ++*(size_t *)ctx;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str input = str_from(data, size);
    size_t end = str_find_byte(input, '\n', 0), violations = 0;
    struct arena *arena = arena_new((size_t)32 << 20);
    struct json root, instance;
    struct error error = ERROR_INIT;
    if (json_parse(arena, str_slice(input, 0, end), NULL, NULL, &root) == STATUS_OK &&
        json_parse(arena, str_slice(input, end == SIZE_MAX ? size : end + 1, size), NULL, NULL, &instance) ==
            STATUS_OK) {
        struct jsonschema schema = {.root = &root, .schema = &root, .formats = size % 2 == 0};
        struct workflow_problems problems;
        workflow_problems_init(&problems, arena);
        if (jsonschema_index(arena, &schema, STR("fuzz:"), NULL) == STATUS_OK) {
            jsonschema_check(schema, STR("schema"), &problems);
            enum status status = jsonschema_validate(arena, schema, &instance, STR("v"), note, &violations, &error);
            if (status != STATUS_OK && status != STATUS_LIMIT) abort();
            if (root.type == JSON_BOOL && (violations == 0) != root.boolean) abort();
            bool open;
            jsonschema_property(schema, STR("a"), &open);
            jsonschema_keyword(schema, STR("type"));
        }
    }
    arena_free(arena);
    return 0;
}
