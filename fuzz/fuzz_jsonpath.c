/* A JSONPath query and a value, divided by a line break, in both dialects. Every selected node must have a path that
 * selects it, and it alone. */
#include "jsonpath/jsonpath.h"

#include <stdlib.h>

#define PATHS_CHECKED 64

static void check_path(struct arena *arena, const struct jsonpath_node *node, const struct json *value)
{
    struct buf text = BUF_INIT((size_t)1 << 20);
    const struct jsonpath *path;
    struct jsonpath_nodes nodes;
    jsonpath_write_path(&text, node);
    enum status status = jsonpath_compile(arena, buf_str(&text), JSONPATH_RFC9535, NULL, &path);
    if (status == STATUS_OK) status = jsonpath_evaluate(arena, path, value, NULL, &nodes);
    if (status != STATUS_LIMIT && (status != STATUS_OK || nodes.count != 1)) abort();
    buf_fini(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str input = str_from(data, size);
    size_t end = str_find_byte(input, '\n', 0);
    struct arena *arena = arena_new((size_t)16 << 20);
    struct json value;
    if (json_parse(arena, str_slice(input, end == SIZE_MAX ? size : end + 1, size), NULL, NULL, &value) != STATUS_OK)
        value = json_null();
    for (int dialect = JSONPATH_RFC9535; dialect <= JSONPATH_GOESSNER; dialect++) {
        const struct jsonpath *path;
        struct jsonpath_nodes nodes;
        struct error error = ERROR_INIT;
        enum status status =
            jsonpath_compile(arena, str_slice(input, 0, end), (enum jsonpath_dialect)dialect, &error, &path);
        if (status == STATUS_INVALID && (error.primary[0] == 0)) abort();
        if (status != STATUS_OK || jsonpath_evaluate(arena, path, &value, &error, &nodes) != STATUS_OK) continue;
        if (jsonpath_is_singular(path) && nodes.count > 1) abort();
        if (dialect == JSONPATH_GOESSNER) continue; /* the length of a text has no path */
        for (size_t i = 0; i < nodes.count && i < PATHS_CHECKED; i++) check_path(arena, nodes.items[i], &value);
    }
    arena_free(arena);
    return 0;
}
