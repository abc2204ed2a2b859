#include "workflow/sarif.h"

#include "workflow/rules.h"

static enum status put_str(struct arena *arena, struct json *object, const char *name, struct str text)
{
    return json_put(arena, object, str_of(name), json_string(text));
}

/* {"text": TEXT} under a name. */
static enum status put_message(struct arena *arena, struct json *object, const char *name, struct str text)
{
    struct json message = JSON_OBJECT_EMPTY;
    TRY(put_str(arena, &message, "text", text));
    return json_put(arena, object, str_of(name), message);
}

static enum status rules(struct arena *arena, struct json *ret_list)
{
    *ret_list = JSON_ARRAY_EMPTY;
    for (const struct workflow_rule *rule = workflow_rules; rule->name; rule++) {
        struct json entry = JSON_OBJECT_EMPTY;
        TRY(put_str(arena, &entry, "id", str_of(rule->name)));
        TRY(put_message(arena, &entry, "shortDescription", str_of(rule->summary)));
        TRY(put_message(arena, &entry, "help", str_of(rule->advice)));
        TRY(json_push(arena, ret_list, entry));
    }
    return STATUS_OK;
}

static enum status location(struct arena *arena, const struct workflow_problem *problem, struct json *ret_location)
{
    struct json physical = JSON_OBJECT_EMPTY, artifact = JSON_OBJECT_EMPTY, region = JSON_OBJECT_EMPTY;
    TRY(put_str(arena, &artifact, "uri", problem->file));
    TRY(json_put(arena, &physical, STR("artifactLocation"), artifact));
    if (problem->line) {
        TRY(json_put(arena, &region, STR("startLine"), json_int(problem->line)));
        if (problem->column) TRY(json_put(arena, &region, STR("startColumn"), json_int(problem->column)));
        TRY(json_put(arena, &physical, STR("region"), region));
    }
    *ret_location = JSON_OBJECT_EMPTY;
    return json_put(arena, ret_location, STR("physicalLocation"), physical);
}

static enum status result(struct arena *arena, const struct workflow_problem *problem, struct json *ret_result)
{
    struct json entry = JSON_OBJECT_EMPTY, locations = JSON_ARRAY_EMPTY, place;
    struct str text = problem->text;
    if (problem->hint.size)
        text = arena_printf(arena, STR_FMT "; " STR_FMT, STR_ARG(problem->text), STR_ARG(problem->hint));
    if (!text.data) return STATUS_LIMIT;
    TRY(put_str(arena, &entry, "ruleId", str_of(problem->rule)));
    TRY(json_put(arena, &entry, STR("ruleIndex"), json_int((int64_t)workflow_rule_index(problem->rule))));
    TRY(put_str(arena, &entry, "level", problem->is_error ? STR("error") : STR("warning")));
    TRY(put_message(arena, &entry, "message", text));
    if (problem->file.size) {
        TRY(location(arena, problem, &place));
        TRY(json_push(arena, &locations, place));
        TRY(json_put(arena, &entry, STR("locations"), locations));
    }
    *ret_result = entry;
    return STATUS_OK;
}

enum status workflow_sarif(struct arena *arena, const struct workflow_problems *problems, const char *version,
                           struct json *ret_json)
{
    struct json log = JSON_OBJECT_EMPTY, runs = JSON_ARRAY_EMPTY, run = JSON_OBJECT_EMPTY, tool = JSON_OBJECT_EMPTY;
    struct json driver = JSON_OBJECT_EMPTY, results = JSON_ARRAY_EMPTY, list, entry;
    TRY(rules(arena, &list));
    TRY(put_str(arena, &driver, "name", STR("cairn workflow check")));
    TRY(put_str(arena, &driver, "version", str_of(version)));
    TRY(json_put(arena, &driver, STR("rules"), list));
    TRY(json_put(arena, &tool, STR("driver"), driver));
    for (size_t i = 0; i < problems->count; i++) {
        TRY(result(arena, &problems->items[i], &entry));
        TRY(json_push(arena, &results, entry));
    }
    TRY(json_put(arena, &run, STR("tool"), tool));
    TRY(json_put(arena, &run, STR("results"), results));
    TRY(json_push(arena, &runs, run));
    TRY(put_str(arena, &log, "$schema", STR("https://json.schemastore.org/sarif-2.1.0.json")));
    TRY(put_str(arena, &log, "version", STR("2.1.0")));
    TRY(json_put(arena, &log, STR("runs"), runs));
    *ret_json = log;
    return STATUS_OK;
}
