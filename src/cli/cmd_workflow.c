/* `cairn workflow`: the arguments of its verbs. */
#include "cli/workflow_cli.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

const char workflow_command[] = "cairn workflow";

#define ARGUMENT_BYTES_MAX ((size_t)16 << 20) /* of what options and credential files say */
#define MEMORY_BYTES_MIN   ((size_t)1 << 20)

static const double timeout_seconds_max = 86400;

static const char help_text[] =
    "usage: cairn workflow run FILE [options]\n"
    "       cairn workflow check FILE [options]\n"
    "       cairn workflow list FILE [--format text|json]\n"
    "       cairn workflow graph FILE [--workflow ID] [--format mermaid|svg]\n"
    "\n"
    "Runs the workflows of an Arazzo document (1.0) against the APIs that it names, step by step; checks the\n"
    "document, its sources and its operations without sending any of its requests; lists its workflows; draws\n"
    "their steps and what flows between them.\n"
    "\n"
    "  --workflow ID             only this workflow of the document (default: all, in order)\n"
    "  --server NAME=URL         base address for the source description NAME, its base path included\n"
    "  --auth SCHEME=CREDENTIAL  for a security scheme of the OpenAPI sources (SCHEME or SOURCE.SCHEME):\n"
    "                            user:secret for http basic, otherwise the token or the key\n"
    "  --credentials FILE        credentials by scheme and host, in a file that only you can read\n"
    "  --ca-file FILE            PEM certificates to trust in place of the system's, for https\n"
    "  --json                    one JSON object on standard output instead of the progress\n"
    "  --help                    this text\n"
    "\n"
    "only for run:\n"
    "  --input NAME=TEXT         a value for an input; text becomes a number, list … as the document declares\n"
    "  --inputs FILE             values as a JSON object; - reads standard input; --input prevails\n"
    "  --timeout SECONDS         for each request (default 30)\n"
    "  --total-timeout SECONDS   for the whole run, waiting included (default 300)\n"
    "  --max-steps NUMBER        executions of steps in the whole run, repetitions included (default 2000)\n"
    "  --max-depth NUMBER        workflows called within workflows (default 16)\n"
    "  --max-body BYTES          of one response (default 10485760)\n"
    "  --max-memory BYTES        for documents, answers and results (default 268435456); for each workflow\n"
    "                            with --parallel\n"
    "  --parallel NUMBER         workflows at the same time, those that depend on each other one after the other\n"
    "  --dry-run                 shows the requests and sends none\n"
    "  --trace FILE              writes every exchange to FILE as an HTTP archive (HAR), secrets masked\n"
    "  --junit FILE              writes the result to FILE as JUnit XML\n"
    "\n"
    "only for check, list and graph:\n"
    "  --format FORMAT           check: text, json or sarif; list: text or json; graph: mermaid or svg\n"
    "\n"
    "A command line can be read by everybody on the machine. A credential can come from the environment\n"
    "instead, in CAIRN_AUTH_SCHEME with the scheme's name as it is written, or from a file of entries like\n"
    "  machine api.example.com scheme basicAuth login ann password s3cret\n"
    "  scheme projectToken credential 0123…\n"
    "--auth prevails over both. Credentials go only to operations that ask for them.\n"
    "\n"
    "example:\n"
    "  export CAIRN_AUTH_basicAuth=reader:s3cret\n"
    "  cairn workflow run workflows/track-and-segment.yml \\\n"
    "    --server ingestionApi=http://127.0.0.1:8080 --server queryApi=http://127.0.0.1:8080/api/2.0 \\\n"
    "    --input projectToken=0123… --input projectId=1 --input distinctId=ann --input eventName=Hello \\\n"
    "    --input fromDate=2026-01-01 --input toDate=2026-01-31\n"
    "\n"
    "exit codes: 0 passed, 1 a step failed, 2 wrong usage, document or inputs (no request was sent)\n";

int workflow_no_memory(void)
{
    fprintf(stderr, "%s: out of memory\n", workflow_command);
    return EXIT_FAILED;
}

/* Splits NAME=VALUE at the first equals sign: a value may hold more of them. What was given is not repeated in the
 * message, as it may be a credential. */
static int split_pair(const char *option, const char *text, struct str *ret_name, struct str *ret_value)
{
    const char *equals = strchr(text, '=');
    if (!equals || equals == text) return command_usage(workflow_command, "%s needs NAME=VALUE", option);
    *ret_name = str_from(text, (size_t)(equals - text));
    *ret_value = str_of(equals + 1);
    return EXIT_DONE;
}

static int parse_timeout(const char *option, const char *text, uint32_t *ret_ms)
{
    char *end;
    errno = 0;
    double seconds = strtod(text, &end);
    if (end == text || *end || errno || !isfinite(seconds) || seconds < 0.001 || seconds > timeout_seconds_max)
        return command_usage(workflow_command, "%s \"%s\": give seconds, from 0.001 to %.0f", option, text,
                             timeout_seconds_max);
    *ret_ms = (uint32_t)(seconds * 1000);
    return EXIT_DONE;
}

static int parse_count(const char *option, const char *text, unsigned long min, unsigned long max,
                       unsigned long *ret_count)
{
    char *end;
    errno = 0;
    unsigned long count = strtoul(text, &end, 10);
    if (end == text || *end || errno || *text == '-' || count < min || count > max)
        return command_usage(workflow_command, "%s \"%s\": give a whole number from %lu to %lu", option, text, min,
                             max);
    *ret_count = count;
    return EXIT_DONE;
}

enum {
    WORKFLOW = 1000,
    INPUT,
    INPUTS,
    SERVER,
    AUTH,
    CREDENTIALS,
    CA_FILE,
    TIMEOUT,
    TOTAL_TIMEOUT,
    MAX_STEPS,
    MAX_DEPTH,
    MAX_BODY,
    MAX_MEMORY,
    PARALLEL,
    DRY_RUN,
    TRACE,
    JUNIT,
    FORMAT,
    JSON,
};

static int take_format(struct workflow_arguments *args)
{
    static const char *const names[] = {"text", "json", "sarif", "svg", "mermaid"};
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(optarg, names[i]) != 0) continue;
        args->format = (enum workflow_format)i;
        args->has_format = true;
        return EXIT_DONE;
    }
    return command_usage(workflow_command, "--format \"%s\" is not known", optarg);
}

static int take_number(int option, struct workflow_arguments *args)
{
    struct workflow_options *options = &args->options;
    unsigned long count = 0;
    int code = EXIT_USAGE;
    switch (option) {
    case TIMEOUT: return parse_timeout("--timeout", optarg, &options->request_timeout_ms);
    case TOTAL_TIMEOUT: return parse_timeout("--total-timeout", optarg, &options->total_timeout_ms);
    case MAX_STEPS:
        code = parse_count("--max-steps", optarg, 1, 1000000, &count);
        options->steps_max = (unsigned)count;
        break;
    case MAX_DEPTH:
        code = parse_count("--max-depth", optarg, 1, 64, &count);
        options->depth_max = (unsigned)count;
        break;
    case MAX_BODY:
        code = parse_count("--max-body", optarg, 1, (unsigned long)128 << 20, &count);
        options->body_size_max = count;
        break;
    case MAX_MEMORY:
        code = parse_count("--max-memory", optarg, MEMORY_BYTES_MIN, (unsigned long)64 << 30, &count);
        args->memory_bytes_max = count;
        break;
    default:
        code = parse_count("--parallel", optarg, 1, WORKFLOW_JOBS_MAX, &count);
        args->parallel = (unsigned)count;
        break;
    }
    return code;
}

/* One option of the command line. */
static int take(int option, struct workflow_arguments *args)
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
        code = split_pair("--input", optarg, &name, &value);
        if (code == EXIT_DONE) args->inputs[options->input_count++] = (struct workflow_input){name, value};
        return code;
    case INPUTS:
        if (args->inputs_file) return command_usage(workflow_command, "--inputs was given twice");
        args->inputs_file = optarg;
        return EXIT_DONE;
    case AUTH:
        code = split_pair("--auth", optarg, &name, &value);
        if (code == EXIT_DONE)
            args->auths[options->auth_count++] = (struct workflow_auth){.scheme = name, .credential = value};
        return code;
    case CREDENTIALS: args->credentials_file = optarg; return EXIT_DONE;
    case CA_FILE: args->ca_file = optarg; return EXIT_DONE;
    case DRY_RUN: options->dry_run = true; return EXIT_DONE;
    case TRACE: args->trace_file = optarg; return EXIT_DONE;
    case JUNIT: args->junit_file = optarg; return EXIT_DONE;
    case FORMAT: return take_format(args);
    case 'h': args->help = true; return EXIT_DONE;
    case TIMEOUT:
    case TOTAL_TIMEOUT:
    case MAX_STEPS:
    case MAX_DEPTH:
    case MAX_BODY:
    case MAX_MEMORY:
    case PARALLEL: return take_number(option, args);
    default: return EXIT_USAGE;
    }
}

static const struct option longs[] = {
    {"workflow", required_argument, NULL, WORKFLOW},
    {"input", required_argument, NULL, INPUT},
    {"inputs", required_argument, NULL, INPUTS},
    {"server", required_argument, NULL, SERVER},
    {"auth", required_argument, NULL, AUTH},
    {"credentials", required_argument, NULL, CREDENTIALS},
    {"ca-file", required_argument, NULL, CA_FILE},
    {"timeout", required_argument, NULL, TIMEOUT},
    {"total-timeout", required_argument, NULL, TOTAL_TIMEOUT},
    {"max-steps", required_argument, NULL, MAX_STEPS},
    {"max-depth", required_argument, NULL, MAX_DEPTH},
    {"max-body", required_argument, NULL, MAX_BODY},
    {"max-memory", required_argument, NULL, MAX_MEMORY},
    {"parallel", required_argument, NULL, PARALLEL},
    {"dry-run", no_argument, NULL, DRY_RUN},
    {"trace", required_argument, NULL, TRACE},
    {"junit", required_argument, NULL, JUNIT},
    {"format", required_argument, NULL, FORMAT},
    {"json", no_argument, NULL, JSON},
    {"help", no_argument, NULL, 'h'},
    {0},
};

/* The options of `run` that make no sense for another verb; the name of the one that was given, or NULL. */
static bool is_run_only(int option)
{
    switch (option) {
    case INPUT:
    case INPUTS:
    case TIMEOUT:
    case TOTAL_TIMEOUT:
    case MAX_STEPS:
    case MAX_DEPTH:
    case MAX_BODY:
    case MAX_MEMORY:
    case PARALLEL:
    case DRY_RUN:
    case TRACE:
    case JUNIT: return true;
    default: return false;
    }
}

static const char *option_name(int option)
{
    for (const struct option *o = longs; o->name; o++)
        if (o->val == option) return o->name;
    return "?";
}

static const struct verb {
    const char *name;
    int (*run)(struct arena *arena, struct workflow_arguments *args);
    unsigned formats; /* bits of enum workflow_format */
} verbs[] = {
    {"run", workflow_verb_run, 0},
    {"check", workflow_verb_check, 1u << FORMAT_TEXT | 1u << FORMAT_JSON | 1u << FORMAT_SARIF},
    {"list", workflow_verb_list, 1u << FORMAT_TEXT | 1u << FORMAT_JSON},
    {"graph", workflow_verb_graph, 1u << FORMAT_SVG | 1u << FORMAT_MERMAID},
};

static const struct verb *find_verb(const char *name)
{
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
        if (strcmp(verbs[i].name, name) == 0) return &verbs[i];
    return NULL;
}

/* Fills in everything but the options' inputs_json. */
static int parse_arguments(struct arena *arena, int argc, char **argv, struct workflow_arguments *args,
                           const struct verb **ret_verb)
{
    size_t room = (size_t)argc; /* no option can occur more often */
    int run_only = 0;
    args->inputs = arena_new_array(arena, struct workflow_input, room);
    args->servers = arena_new_array(arena, struct workflow_server, room);
    args->auths = arena_new_array(arena, struct workflow_auth, room);
    if (!args->inputs || !args->servers || !args->auths) return workflow_no_memory();
    command_options_begin();
    for (int option; (option = command_option(workflow_command, argc, argv, ":h", longs)) != -1;) {
        if (is_run_only(option)) run_only = option;
        int code = take(option, args);
        if (code != EXIT_DONE || args->help) return code;
    }
    const char *name = optind < argc ? argv[optind] : "";
    const struct verb *verb = find_verb(name);
    if (!*name) return command_usage(workflow_command, "use run, check, list or graph, and a FILE");
    if (!verb) return command_usage(workflow_command, "\"%s\" is not known; use run, check, list or graph", name);
    if (optind + 2 > argc) return command_usage(workflow_command, "%s: which file?", name);
    if (optind + 2 < argc)
        return command_usage(workflow_command, "%s: one file, not also \"%s\"; values are given as --input NAME=TEXT",
                             name, argv[optind + 2]);
    if (verb->run != workflow_verb_run && run_only)
        return command_usage(workflow_command, "--%s is only for run", option_name(run_only));
    if (args->has_format && !(verb->formats & 1u << args->format))
        return command_usage(workflow_command, "%s has no such --format", name);
    if (args->json && !args->has_format) args->format = FORMAT_JSON;
    args->file = argv[optind + 1];
    *ret_verb = verb;
    return EXIT_DONE;
}

/* Before the first request, which would fail with the same for every one of them. */
static int check_ca_file(const struct workflow_arguments *args)
{
    if (!args->ca_file || access(args->ca_file, R_OK) == 0) return EXIT_DONE;
    fprintf(stderr, "%s: cannot read \"%s\": %s\n", workflow_command, args->ca_file, strerror(errno));
    return EXIT_USAGE;
}

int cmd_workflow(int argc, char **argv)
{
    struct arena *arena = arena_new(ARGUMENT_BYTES_MAX);
    struct workflow_arguments args = {.format = FORMAT_TEXT, .memory_bytes_max = WORKFLOW_ARENA_BYTES_DEFAULT};
    const struct verb *verb = NULL;
    int code = parse_arguments(arena, argc, argv, &args, &verb);
    if (code == EXIT_DONE && args.help) {
        fputs(help_text, stdout);
        code = command_finish_output();
    } else if (code == EXIT_DONE) {
        code = check_ca_file(&args);
        if (code == EXIT_DONE) code = workflow_credentials(arena, &args);
        args.options.inputs = args.inputs;
        args.options.servers = args.servers;
        args.options.auths = args.auths;
        if (code == EXIT_DONE) {
            struct arena *work = arena_new(args.memory_bytes_max);
            code = verb->run(work, &args);
            arena_free(work);
        }
    }
    arena_free(arena);
    return code;
}
