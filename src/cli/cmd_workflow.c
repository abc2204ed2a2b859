#include "cli/command.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/progress.h"
#include "cli/transport.h"
#include "workflow/report.h"

extern char **environ;

static const size_t arena_bytes_max = (size_t)256 << 20;
static const size_t inputs_bytes_max = (size_t)8 << 20;
static const double timeout_seconds_max = 86400;

static const char command[] = "cairn workflow";
static const char auth_prefix[] = "CAIRN_AUTH_";

static const char help_text[] =
    "usage: cairn workflow run FILE [options]\n"
    "       cairn workflow check FILE [options]\n"
    "\n"
    "Runs the workflows of an Arazzo document (1.0) against the APIs that it names, step by step, or checks\n"
    "the document, its sources and its operations without sending any of its requests.\n"
    "\n"
    "  --workflow ID             only this workflow of the document (default: all, in order)\n"
    "  --server NAME=URL         base address for the source description NAME, its base path included\n"
    "  --auth SCHEME=CREDENTIAL  for a security scheme of the OpenAPI sources (SCHEME or SOURCE.SCHEME):\n"
    "                            user:secret for http basic, otherwise the token or the key\n"
    "  --json                    one JSON object on standard output instead of the progress\n"
    "  --help                    this text\n"
    "\n"
    "only for run:\n"
    "  --input NAME=TEXT         a value for an input; text becomes a number, list … as the document "
    "declares\n"
    "  --inputs FILE             values as a JSON object; - reads standard input; --input prevails\n"
    "  --timeout SECONDS         for each request (default 30)\n"
    "\n"
    "A command line can be read by everybody on the machine. A credential can come from the environment\n"
    "instead, in CAIRN_AUTH_SCHEME with the scheme's name as it is written; --auth SCHEME=… prevails.\n"
    "\n"
    "example:\n"
    "  export CAIRN_AUTH_basicAuth=reader:s3cret\n"
    "  cairn workflow run workflows/track-and-segment.yml \\\n"
    "    --server ingestionApi=http://127.0.0.1:8080 --server queryApi=http://127.0.0.1:8080/api/2.0 \\\n"
    "    --input projectToken=0123… --input projectId=1 --input distinctId=ann --input eventName=Hello \\\n"
    "    --input fromDate=2026-01-01 --input toDate=2026-01-31\n"
    "\n"
    "exit codes: 0 passed, 1 a step failed, 2 wrong usage, document or inputs (no request was sent)\n";

struct arguments {
    bool is_check;
    const char *file, *inputs_file;
    struct workflow_options options; /* what can be taken over as it stands */
    struct workflow_input *inputs;
    struct workflow_server *servers;
    struct workflow_auth *auths;
    bool json, help;
};

static int no_memory(void)
{
    fprintf(stderr, "%s: out of memory\n", command);
    return EXIT_FAILED;
}

/* Splits NAME=VALUE at the first equals sign: a value may hold more of them. What was given is not repeated
 * in the message, as it may be a credential. */
static int split_pair(const char *option, const char *text, struct str *ret_name, struct str *ret_value)
{
    const char *equals = strchr(text, '=');
    if (!equals || equals == text) return command_usage(command, "%s needs NAME=VALUE", option);
    *ret_name = str_from(text, (size_t)(equals - text));
    *ret_value = str_of(equals + 1);
    return EXIT_DONE;
}

static int parse_timeout(const char *text, uint32_t *ret_ms)
{
    char *end;
    errno = 0;
    double seconds = strtod(text, &end);
    if (end == text || *end || errno || !isfinite(seconds) || seconds < 0.001 || seconds > timeout_seconds_max)
        return command_usage(command, "--timeout \"%s\": give seconds, from 0.001 to %.0f", text, timeout_seconds_max);
    *ret_ms = (uint32_t)(seconds * 1000);
    return EXIT_DONE;
}

enum { WORKFLOW = 1000, INPUT, INPUTS, SERVER, AUTH, TIMEOUT, JSON };

/* One option of the command line. `run_only` becomes its name when it makes no sense for check. */
static int take(int option, struct arguments *args, const char **run_only)
{
    struct workflow_options *options = &args->options;
    struct str name = STR_NULL, value = STR_NULL;
    int code = EXIT_DONE;
    switch (option) {
    case WORKFLOW: options->workflow_id = str_of(optarg); return EXIT_DONE;
    case JSON: args->json = true; return EXIT_DONE;
    case SERVER:
        code = split_pair("--server", optarg, &name, &value);
        if (code == EXIT_DONE) args->servers[options->server_count++] = (struct workflow_server){name, value};
        return code;
    case INPUT:
        *run_only = "--input";
        code = split_pair("--input", optarg, &name, &value);
        if (code == EXIT_DONE) args->inputs[options->input_count++] = (struct workflow_input){name, value};
        return code;
    case INPUTS:
        *run_only = "--inputs";
        if (args->inputs_file) return command_usage(command, "--inputs was given twice");
        args->inputs_file = optarg;
        return EXIT_DONE;
    case AUTH:
        code = split_pair("--auth", optarg, &name, &value);
        if (code == EXIT_DONE) args->auths[options->auth_count++] = (struct workflow_auth){name, value};
        return code;
    case TIMEOUT: *run_only = "--timeout"; return parse_timeout(optarg, &options->request_timeout_ms);
    case 'h': args->help = true; return EXIT_DONE;
    default: return EXIT_USAGE;
    }
}

/* Fills in everything but the options' inputs_json. */
static int parse_arguments(struct arena *arena, int argc, char **argv, struct arguments *args)
{
    static const struct option longs[] = {
        {"workflow", required_argument, NULL, WORKFLOW},
        {"input", required_argument, NULL, INPUT},
        {"inputs", required_argument, NULL, INPUTS},
        {"server", required_argument, NULL, SERVER},
        {"auth", required_argument, NULL, AUTH},
        {"timeout", required_argument, NULL, TIMEOUT},
        {"json", no_argument, NULL, JSON},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    size_t room = (size_t)argc; /* no option can occur more often */
    args->inputs = arena_new_array(arena, struct workflow_input, room);
    args->servers = arena_new_array(arena, struct workflow_server, room);
    args->auths = arena_new_array(arena, struct workflow_auth, room);
    if (!args->inputs || !args->servers || !args->auths) return no_memory();

    const char *run_only = NULL;
    command_options_begin();
    for (int option; (option = command_option(command, argc, argv, ":h", longs)) != -1;) {
        int code = take(option, args, &run_only);
        if (code != EXIT_DONE || args->help) return code;
    }
    const char *verb = optind < argc ? argv[optind] : "";
    args->is_check = strcmp(verb, "check") == 0;
    if (!*verb) return command_usage(command, "use run FILE or check FILE");
    if (!args->is_check && strcmp(verb, "run") != 0)
        return command_usage(command, "\"%s\" is not known; use run FILE or check FILE", verb);
    if (optind + 2 > argc) return command_usage(command, "%s: which file?", verb);
    if (optind + 2 < argc)
        return command_usage(command, "%s: one file, not also \"%s\"; values are given as --input NAME=TEXT", verb,
                             argv[optind + 2]);
    if (args->is_check && run_only) return command_usage(command, "%s is only for run", run_only);
    args->file = argv[optind + 1];
    return EXIT_DONE;
}

static bool scheme_given(const struct workflow_auth *auths, size_t count, struct str scheme)
{
    for (size_t i = 0; i < count; i++)
        if (str_eq(auths[i].scheme, scheme)) return true;
    return false;
}

/* Adds the credentials of the environment behind those of the command line, which prevail. */
static int auths_from_environment(struct arena *arena, struct arguments *args)
{
    const struct str prefix = str_of(auth_prefix);
    size_t flags = args->options.auth_count, room = flags;
    for (char **entry = environ; *entry; entry++) room += str_starts(str_of(*entry), prefix);
    struct workflow_auth *all = arena_new_array(arena, struct workflow_auth, room + 1);
    if (!all) return no_memory();
    if (flags > 0) memcpy(all, args->auths, flags * sizeof *all);
    size_t count = flags;
    for (char **entry = environ; *entry && count < room; entry++) {
        struct str name = STR_NULL, rest = str_of(*entry);
        if (!str_starts(rest, prefix)) continue;
        rest = str_slice(rest, prefix.size, rest.size);
        size_t equals = str_find_byte(rest, '=', 0);
        if (equals == SIZE_MAX || equals == 0) continue;
        name = str_slice(rest, 0, equals);
        if (scheme_given(all, flags, name)) continue;
        all[count++] = (struct workflow_auth){name, str_slice(rest, equals + 1, rest.size)};
    }
    args->auths = all;
    args->options.auth_count = count;
    return EXIT_DONE;
}

static enum status read_all(FILE *file, const char *name, struct error *error, struct buf *text)
{
    for (;;) {
        char *room = buf_reserve(text, 65536);
        if (!room)
            return error_set(error, STATUS_LIMIT, "inputs \"%s\" are larger than %zu bytes", name, text->size_max);
        size_t count = fread(room, 1, 65536, file);
        buf_advance(text, count);
        if (ferror(file)) return error_set_os(error, STATUS_IO, errno, "cannot read inputs \"%s\"", name);
        if (feof(file)) return STATUS_OK;
    }
}

static enum status load_inputs(struct arena *arena, const char *name, struct error *error, struct json *ret_inputs)
{
    bool is_stdin = strcmp(name, "-") == 0;
    FILE *file = is_stdin ? stdin : fopen(name, "rbe");
    if (!file) return error_set_os(error, STATUS_INVALID, errno, "cannot read inputs \"%s\"", name);
    struct buf text = BUF_INIT(inputs_bytes_max);
    enum status status = read_all(file, name, error, &text);
    if (!is_stdin) fclose(file);
    struct json inputs = json_null();
    if (status == STATUS_OK) {
        status = json_parse(arena, buf_str(&text), NULL, error, &inputs);
        if (status != STATUS_OK) error_prefix(error, "inputs \"%s\"", name);
    }
    buf_fini(&text);
    TRY(status);
    if (inputs.type != JSON_OBJECT) {
        status = error_set(error, STATUS_INVALID, "inputs \"%s\" are of type %s", name, json_type_name(&inputs));
        error_hint(error, "give a JSON object, {\"name\": value}");
        return status;
    }
    *ret_inputs = inputs;
    return STATUS_OK;
}

static void print_problems(const struct workflow_problems *problems)
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
    if (problem->file.size > 0) TRY(json_put(arena, &json, STR("file"), json_string(problem->file)));
    if (problem->line > 0) TRY(json_put(arena, &json, STR("line"), json_int(problem->line)));
    if (problem->column > 0) TRY(json_put(arena, &json, STR("column"), json_int(problem->column)));
    if (problem->hint.size > 0) TRY(json_put(arena, &json, STR("hint"), json_string(problem->hint)));
    *ret_json = json;
    return STATUS_OK;
}

/* {"status", "workflows"?, "errors", "warnings"}: what is known without a run, of a document or of why there
 * is none. */
static enum status findings_json(struct arena *arena, const struct workflow_document *document,
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

/* Says what is wrong before anything was sent: on standard error for people, as an object for programs. */
static int refuse(struct arena *arena, const struct arguments *args, struct workflow_problems *problems,
                  const struct error *error)
{
    if (error && problems->error_count == 0) workflow_error_take(problems, STR_NULL, NULL, error);
    print_problems(problems);
    struct json json;
    if (args->json && findings_json(arena, NULL, problems, &json) == STATUS_OK) command_print_json(&json);
    return EXIT_USAGE;
}

static int finish_check(struct arena *arena, const struct arguments *args, const struct workflow_document *document,
                        const struct workflow_problems *problems)
{
    bool valid = problems->error_count == 0;
    print_problems(problems);
    if (args->json) {
        struct json json;
        if (findings_json(arena, document, problems, &json) != STATUS_OK) return no_memory();
        if (command_print_json(&json) != EXIT_DONE) return EXIT_FAILED;
    } else if (valid) {
        for (size_t i = 0; i < document->workflow_count; i++)
            printf("%s: workflow " STR_FMT " is good (%zu step%s)\n", args->file, STR_ARG(document->workflows[i].id),
                   document->workflows[i].step_count, document->workflows[i].step_count == 1 ? "" : "s");
    }
    return valid ? EXIT_DONE : EXIT_USAGE;
}

static int verdict_exit_code(enum workflow_verdict verdict)
{
    switch (verdict) {
    case WORKFLOW_PASSED: return EXIT_DONE;
    case WORKFLOW_FAILED: return EXIT_FAILED;
    case WORKFLOW_INVALID: break;
    }
    return EXIT_USAGE;
}

static int run(struct arena *arena, struct arguments *args, const struct workflow_document *document,
               struct workflow_problems *problems)
{
    struct error error = ERROR_INIT;
    struct progress progress;
    progress_init(&progress, stdout);
    if (!args->json) {
        args->options.observer = progress_event;
        args->options.observer_ctx = &progress;
    }
    struct workflow_result result;
    enum status status = workflow_run(arena, document, &args->options, problems, &error, &result);
    progress_fini(&progress);
    if (status != STATUS_OK) {
        command_failed(command, &error);
        return EXIT_FAILED;
    }
    print_problems(problems);
    if (args->json && command_print_json(&result.json) != EXIT_DONE) return EXIT_FAILED;
    return verdict_exit_code(result.verdict);
}

static int load_and_go(struct arena *arena, struct arguments *args)
{
    struct error error = ERROR_INIT;
    struct workflow_problems problems;
    workflow_problems_init(&problems, arena);

    struct json inputs;
    if (args->inputs_file) {
        if (load_inputs(arena, args->inputs_file, &error, &inputs) != STATUS_OK)
            return refuse(arena, args, &problems, &error);
        args->options.inputs_json = &inputs;
    }
    struct workflow_document *document;
    if (workflow_document_load(arena, args->file, &problems, &error, &document) != STATUS_OK)
        return refuse(arena, args, &problems, &error);
    if (!args->is_check) return run(arena, args, document, &problems);
    if (workflow_check(arena, document, &args->options, &problems, &error) != STATUS_OK)
        return refuse(arena, args, &problems, &error);
    return finish_check(arena, args, document, &problems);
}

int cmd_workflow(int argc, char **argv)
{
    struct arena *arena = arena_new(arena_bytes_max);
    struct arguments args = {.is_check = false};
    struct http_client *client = NULL;

    int code = parse_arguments(arena, argc, argv, &args);
    if (code == EXIT_DONE && !args.help) code = auths_from_environment(arena, &args);
    if (code == EXIT_DONE && args.help) {
        fputs(help_text, stdout);
        code = command_finish_output();
    } else if (code == EXIT_DONE && !(client = http_client_new())) {
        fprintf(stderr, "%s: the HTTP library cannot be initialised\n", command);
        code = EXIT_FAILED;
    } else if (code == EXIT_DONE) {
        args.options.inputs = args.inputs;
        args.options.servers = args.servers;
        args.options.auths = args.auths;
        args.options.transport = transport_over(client);
        code = load_and_go(arena, &args);
    }
    http_client_free(client);
    arena_free(arena);
    return code;
}
