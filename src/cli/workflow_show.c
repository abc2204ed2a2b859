/* `cairn workflow list` and `cairn workflow graph`: what is in a document, as a table and as a drawing. */
#include "cli/workflow_cli.h"

#include "workflow/graph.h"
#include "workflow/schema.h"

#define GRAPH_BYTES_MAX ((size_t)64 << 20)

static int load(struct arena *arena, const struct workflow_arguments *args, struct workflow_document **ret_document)
{
    struct error error = ERROR_INIT;
    struct workflow_problems problems;
    workflow_problems_init(&problems, arena);
    if (workflow_document_load(arena, args->file, &problems, &error, ret_document) == STATUS_OK) return EXIT_DONE;
    workflow_print_problems(&problems);
    return EXIT_USAGE;
}

struct input_names {
    struct arena *arena;
    const struct json *required;
    struct buf text;
    struct json list;
    enum status status;
};

static bool is_required(const struct json *required, struct str name)
{
    for (size_t i = 0; required && required->type == JSON_ARRAY && i < required->array.count; i++)
        if (required->array.items[i].type == JSON_STRING && str_eq(required->array.items[i].string, name)) return true;
    return false;
}

static void add_name(void *ctx, struct str name, const struct json *property)
{
    (void)property;
    struct input_names *names = ctx;
    struct json entry = JSON_OBJECT_EMPTY;
    bool required = is_required(names->required, name);
    if (names->text.size) buf_byte(&names->text, ' ');
    buf_str_add(&names->text, name);
    if (required) buf_byte(&names->text, '*');
    if (names->status == STATUS_OK) names->status = json_put(names->arena, &entry, STR("name"), json_string(name));
    if (names->status == STATUS_OK)
        names->status = json_put(names->arena, &entry, STR("required"), json_bool(required));
    if (names->status == STATUS_OK) names->status = json_push(names->arena, &names->list, entry);
}

/* The row of a workflow, and the object that says the same. */
static enum status describe(struct arena *arena, const struct workflow_document *document,
                            const struct workflow *workflow, struct str cells[4], struct json *ret_json)
{
    struct jsonschema schema = {.root = &document->root, .schema = workflow->inputs};
    struct input_names names = {.arena = arena, .text = BUF_INIT(65536), .list = JSON_ARRAY_EMPTY};
    struct json json = JSON_OBJECT_EMPTY;
    names.required = jsonschema_keyword(schema, STR("required"));
    jsonschema_each_property(schema, add_name, &names);
    cells[0] = workflow->id;
    cells[1] = arena_printf(arena, "%zu", workflow->step_count);
    cells[2] = arena_str(arena, buf_str(&names.text));
    cells[3] = workflow->summary.data ? workflow->summary : STR("");
    buf_fini(&names.text);
    TRY(names.status);
    if (!cells[1].data || !cells[2].data) return STATUS_LIMIT;
    TRY(json_put(arena, &json, STR("workflowId"), json_string(workflow->id)));
    TRY(json_put(arena, &json, STR("summary"), json_string(cells[3])));
    TRY(json_put(arena, &json, STR("steps"), json_int((int64_t)workflow->step_count)));
    TRY(json_put(arena, &json, STR("inputs"), names.list));
    *ret_json = json;
    return STATUS_OK;
}

int workflow_verb_list(struct arena *arena, struct workflow_arguments *args)
{
    struct workflow_document *document;
    int code = load(arena, args, &document);
    if (code != EXIT_DONE) return code;
    struct str *cells = arena_new_array(arena, struct str, (document->workflow_count + 1) * 4);
    struct json list = JSON_ARRAY_EMPTY, json = JSON_OBJECT_EMPTY;
    if (!cells) return workflow_no_memory();
    cells[0] = STR("workflow");
    cells[1] = STR("steps");
    cells[2] = STR("inputs (* required)");
    cells[3] = STR("summary");
    for (size_t i = 0; i < document->workflow_count; i++) {
        struct json entry;
        if (describe(arena, document, &document->workflows[i], cells + (i + 1) * 4, &entry) != STATUS_OK ||
            json_push(arena, &list, entry) != STATUS_OK)
            return workflow_no_memory();
    }
    if (args->format != FORMAT_JSON) return command_print_table(cells, 4, document->workflow_count + 1);
    if (json_put(arena, &json, STR("workflows"), list) != STATUS_OK) return workflow_no_memory();
    return command_print_json(&json);
}

int workflow_verb_graph(struct arena *arena, struct workflow_arguments *args)
{
    struct workflow_document *document;
    struct str wanted = args->options.workflow_id;
    size_t count = 0;
    int code = load(arena, args, &document);
    if (code != EXIT_DONE) return code;
    struct workflow_graph *graphs = arena_new_array(arena, struct workflow_graph, document->workflow_count + 1);
    if (!graphs) return workflow_no_memory();
    for (size_t i = 0; i < document->workflow_count; i++) {
        if (wanted.size && !str_eq(document->workflows[i].id, wanted)) continue;
        if (workflow_graph_build(arena, document, &document->workflows[i], &graphs[count++]) != STATUS_OK)
            return workflow_no_memory();
    }
    if (!count) return command_usage(workflow_command, "there is no workflow \"" STR_FMT "\"", STR_ARG(wanted));
    struct buf text = BUF_INIT(GRAPH_BYTES_MAX);
    if (args->format == FORMAT_SVG)
        workflow_graph_svg(&text, graphs, count);
    else
        workflow_graph_mermaid(&text, graphs, count);
    bool good = buf_status(&text) == STATUS_OK;
    if (good) fwrite(text.data, 1, text.size, stdout);
    buf_fini(&text);
    return good ? command_finish_output() : workflow_no_memory();
}
