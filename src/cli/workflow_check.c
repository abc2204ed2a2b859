/* `cairn workflow check`: what is wrong with a document, for people, programs, editors and code hosts. */
#include "cli/workflow_cli.h"

#include "cli/progress.h"
#include "cli/transport.h"
#include "workflow/report.h"
#include "workflow/sarif.h"

struct http_client *workflow_client(const struct workflow_arguments *args)
{
    struct http_client *client = http_client_new();
    if (client)
        http_client_trust(client, args->ca_file);
    else
        fprintf(stderr, "%s: the HTTP library cannot be initialised\n", workflow_command);
    return client;
}

void workflow_print_problems(const struct workflow_problems *problems)
{
    struct buf text = BUF_INIT(1 << 20);
    workflow_report_problems(&text, problems, progress_color(stderr));
    fwrite(text.data ? text.data : "", 1, text.size, stderr);
    buf_fini(&text);
}

static enum status problem_json(struct arena *arena, const struct workflow_problem *problem, struct json *ret_json)
{
    struct json json = JSON_OBJECT_EMPTY;
    TRY(json_put(arena, &json, STR("text"), json_string(problem->text)));
    TRY(json_put(arena, &json, STR("rule"), json_string(str_of(problem->rule))));
    if (problem->file.size > 0) TRY(json_put(arena, &json, STR("file"), json_string(problem->file)));
    if (problem->line > 0) TRY(json_put(arena, &json, STR("line"), json_int(problem->line)));
    if (problem->column > 0) TRY(json_put(arena, &json, STR("column"), json_int(problem->column)));
    TRY(json_put(arena, &json, STR("hint"), json_string(workflow_problem_advice(problem))));
    *ret_json = json;
    return STATUS_OK;
}

enum status workflow_findings(struct arena *arena, const struct workflow_document *document,
                              const struct workflow_problems *problems, struct json *ret_json)
{
    struct json errors = JSON_ARRAY_EMPTY, warnings = JSON_ARRAY_EMPTY, workflows = JSON_ARRAY_EMPTY;
    for (size_t i = 0; i < problems->count; i++) {
        struct json item;
        TRY(problem_json(arena, &problems->items[i], &item));
        TRY(json_push(arena, problems->items[i].is_error ? &errors : &warnings, item));
    }
    for (size_t i = 0; document && i < document->workflow_count; i++) {
        const struct workflow *workflow = &document->workflows[i];
        struct json item = JSON_OBJECT_EMPTY;
        TRY(json_put(arena, &item, STR("workflowId"), json_string(workflow->id)));
        TRY(json_put(arena, &item, STR("steps"), json_int((int64_t)workflow->step_count)));
        TRY(json_push(arena, &workflows, item));
    }
    struct json json = JSON_OBJECT_EMPTY;
    bool valid = document && problems->error_count == 0;
    TRY(json_put(arena, &json, STR("status"), json_string(valid ? STR("valid") : STR("invalid"))));
    if (document) TRY(json_put(arena, &json, STR("workflows"), workflows));
    TRY(json_put(arena, &json, STR("errors"), errors));
    TRY(json_put(arena, &json, STR("warnings"), warnings));
    *ret_json = json;
    return STATUS_OK;
}

/* What to do, once for each rule, where the problems themselves do not say it. */
static void print_advice(const struct workflow_problems *problems)
{
    for (size_t i = 0; i < problems->count; i++) {
        const struct workflow_problem *problem = &problems->items[i];
        bool said = problem->hint.size > 0;
        for (size_t k = 0; k < i && !said; k++)
            said = !problems->items[k].hint.size && problems->items[k].rule == problem->rule;
        if (!said) fprintf(stderr, "%s: " STR_FMT "\n", problem->rule, STR_ARG(workflow_problem_advice(problem)));
    }
}

static int print(struct arena *arena, const struct workflow_arguments *args, const struct workflow_document *document,
                 const struct workflow_problems *problems)
{
    struct json json;
    bool valid = document && problems->error_count == 0;
    if (args->format == FORMAT_SARIF) {
        if (workflow_sarif(arena, problems, CAIRN_VERSION, &json) != STATUS_OK) return workflow_no_memory();
        return command_print_json(&json);
    }
    workflow_print_problems(problems);
    if (args->format == FORMAT_JSON) {
        if (workflow_findings(arena, document, problems, &json) != STATUS_OK) return workflow_no_memory();
        return command_print_json(&json);
    }
    print_advice(problems);
    for (size_t i = 0; valid && i < document->workflow_count; i++)
        printf("%s: workflow " STR_FMT " is good (%zu step%s)\n", args->file, STR_ARG(document->workflows[i].id),
               document->workflows[i].step_count, document->workflows[i].step_count == 1 ? "" : "s");
    return command_finish_output();
}

int workflow_verb_check(struct arena *arena, struct workflow_arguments *args)
{
    struct error error = ERROR_INIT;
    struct workflow_problems problems;
    struct workflow_document *document = NULL;
    struct http_client *client = workflow_client(args);
    if (!client) return EXIT_FAILED;
    workflow_problems_init(&problems, arena);
    args->options.transport = transport_over(client);
    enum status status = workflow_document_load(arena, args->file, &problems, &error, &document);
    if (status == STATUS_OK) status = workflow_check(arena, document, &args->options, &problems, &error);
    http_client_free(client);
    if (status != STATUS_OK && problems.error_count == 0) workflow_error_take(&problems, STR_NULL, NULL, &error);
    int code = print(arena, args, status == STATUS_OK ? document : NULL, &problems);
    if (code != EXIT_DONE) return code;
    return problems.error_count ? EXIT_USAGE : EXIT_DONE;
}
