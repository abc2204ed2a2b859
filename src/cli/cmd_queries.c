#include "cli/command.h"

#include "base/base64.h"
#include "base/buf.h"
#include "base/number.h"
#include "cli/figures.h"
#include "cli/table.h"
#include "http/client.h"

#include <stdlib.h>

static const char help[] =
    "cairn queries shows what a running server is computing, and stops what takes too long.\n"
    "\n"
    "  cairn queries list --url URL [--credentials NAME:SECRET] [--project N] [--json]\n"
    "  cairn queries stop --url URL [--credentials NAME:SECRET] [--json] QUERY...\n"
    "\n"
    "  --url URL          where the server is, like http://127.0.0.1:8080\n"
    "  --credentials C    NAME:SECRET of a service account, or a project's secret; the environment's\n"
    "                     CAIRN_CREDENTIALS otherwise\n"
    "  --project N        only queries of this project\n"
    "  --json             print one JSON object and nothing else\n"
    "\n"
    "Everybody sees and stops his own queries; admins and owners of a project, and its secret, all of that project.\n"
    "Who asked a query that is stopped gets the status 503.\n"
    "\n"
    "Example:\n"
    "  cairn queries list --url http://127.0.0.1:8080 --credentials ops:secret\n";

#define ARENA_BYTES  ((size_t)256 << 20)
#define URL_SIZE_MAX ((size_t)4096)

enum { URL = 1000, CREDENTIALS, PROJECT, JSON };

struct arguments {
    const char *url, *credentials;
    int64_t project;
    bool json, help;
};

static const struct option flags[] = {{"url", required_argument, NULL, URL},
                                      {"credentials", required_argument, NULL, CREDENTIALS},
                                      {"project", required_argument, NULL, PROJECT},
                                      FLAG_JSON,
                                      FLAG_HELP,
                                      {0}};

static int take(const char *command, int flag, struct arguments *arguments)
{
    switch (flag) {
    case URL: arguments->url = optarg; return EXIT_DONE;
    case CREDENTIALS: arguments->credentials = optarg; return EXIT_DONE;
    case PROJECT:
        if (number_parse_int(str_of(optarg), &arguments->project) && arguments->project > 0) return EXIT_DONE;
        return command_usage(command, "\"%s\" is no project id", optarg);
    case JSON: arguments->json = true; return EXIT_DONE;
    case 'h': arguments->help = true; return EXIT_DONE;
    default: return EXIT_USAGE;
    }
}

static int parse(const char *command, int argc, char **argv, struct arguments *arguments)
{
    command_options_begin();
    for (int flag; (flag = command_option(command, argc, argv, ":h", flags)) != -1;) {
        int code = take(command, flag, arguments);
        if (code != EXIT_DONE || arguments->help) return code;
    }
    if (!arguments->credentials) arguments->credentials = getenv("CAIRN_CREDENTIALS");
    if (!arguments->url || !arguments->url[0]) return command_usage(command, "--url URL is missing");
    if (!arguments->credentials || !arguments->credentials[0])
        return command_usage(command, "--credentials is missing: who asks");
    return EXIT_DONE;
}

/* --- talking to the server --- */

static struct str authorization(struct arena *arena, const char *credentials)
{
    struct buf pair = BUF_INIT(URL_SIZE_MAX), field = BUF_INIT(2 * URL_SIZE_MAX);
    buf_printf(&pair, strchr(credentials, ':') ? "%s" : "%s:", credentials);
    buf_lit(&field, "Basic ");
    base64_encode(&field, buf_str(&pair));
    bool ok = buf_status(&pair) == STATUS_OK && buf_status(&field) == STATUS_OK;
    struct str text = ok ? arena_str(arena, buf_str(&field)) : STR_NULL;
    buf_fini(&pair);
    buf_fini(&field);
    return text;
}

/* The body of a 200. What the server says otherwise becomes the error. */
static enum status ask(struct http_client *client, const struct arguments *arguments, struct arena *arena,
                       struct str method, struct str path, struct error *error, struct json *ret_answer)
{
    struct str url = str_of(arguments->url), who = authorization(arena, arguments->credentials);
    while (url.size && url.data[url.size - 1] == '/') url.size--;
    url = arena_printf(arena, STR_FMT STR_FMT, STR_ARG(url), STR_ARG(path));
    if (!who.data || !url.data || url.size > URL_SIZE_MAX)
        return error_set(error, STATUS_INVALID, "the address or the credentials are too long");
    struct http_client_field field = {STR("Authorization"), who, true};
    struct http_client_request request = {.method = method, .url = url, .fields = &field, .field_count = 1};
    struct http_client_response response;
    TRY(http_client_send(client, &request, arena, error, &response));
    struct json answer = json_null();
    bool parsed = json_parse(arena, response.body, NULL, NULL, &answer) == STATUS_OK;
    if (response.status == 200 && parsed) {
        *ret_answer = answer;
        return STATUS_OK;
    }
    const struct json *text = parsed ? json_member(&answer, "error") : NULL;
    enum status status = response.status >= 400 && response.status < 500 ? STATUS_INVALID : STATUS_UNAVAILABLE;
    if (text && text->type == JSON_STRING)
        return error_set(error, status, STR_FMT, STR_ARG(str_slice(text->string, 0, 300)));
    error_set(error, status, "%s answers with the status %d", arguments->url, response.status);
    error_hint(error, "is it a Cairn server?");
    return status;
}

/* --- printing --- */

static struct str text_of(const struct json *object, const char *name)
{
    const struct json *member = json_get(object, str_of(name));
    return member && member->type == JSON_STRING ? member->string : STR("-");
}

static int64_t number_of(const struct json *object, const char *name)
{
    const struct json *member = json_get(object, str_of(name));
    return member && member->type == JSON_INT ? member->integer : 0;
}

static struct str seconds(struct arena *arena, int64_t ms)
{
    return arena_printf(arena, "%lld.%lld s", (long long)(ms / 1000), (long long)(ms % 1000 / 100));
}

static struct str progress(struct arena *arena, const struct json *query)
{
    int64_t done = number_of(query, "rows_done"), total = number_of(query, "rows_total");
    if (total <= 0) return STR("-");
    return arena_printf(arena, "%lld %%", (long long)((double)(done < total ? done : total) * 100 / (double)total));
}

static int print_list(struct arena *arena, const struct json *answer)
{
    const struct json *results = json_member(answer, "results");
    struct table table;
    table_init(&table, arena, ">QUERY >PROJECT STATE >COMPUTED >PROGRESS >ROWS >MEMORY ACCOUNT ENDPOINT");
    for (size_t i = 0; results && results->type == JSON_ARRAY && i < results->array.count; i++) {
        const struct json *query = &results->array.items[i];
        table_cell(&table, arena_printf(arena, "%lld", (long long)number_of(query, "id")));
        table_cell(&table, arena_printf(arena, "%lld", (long long)number_of(query, "project_id")));
        table_cell(&table, text_of(query, "state"));
        table_cell(&table, seconds(arena, number_of(query, "computed_ms")));
        table_cell(&table, progress(arena, query));
        table_cell(&table, figure_count(arena, (uint64_t)number_of(query, "rows_total")));
        table_cell(&table, figure_bytes(arena, (uint64_t)number_of(query, "memory_bytes")));
        table_cell(&table, text_of(query, "account"));
        table_cell(&table, text_of(query, "endpoint"));
    }
    table_print(&table, "");
    return command_finish_output();
}

/* --- the commands --- */

static int finish(const char *command, struct http_client *client, struct arena *arena, int code,
                  const struct error *error)
{
    if (error->status != STATUS_OK) code = command_failed(command, error);
    http_client_free(client);
    arena_free(arena);
    return code;
}

static int run_list(int argc, char **argv)
{
    static const char command[] = "cairn queries list";
    struct arguments arguments = {0};
    struct error error = ERROR_INIT;
    struct json answer;
    int code = parse(command, argc, argv, &arguments);
    if (arguments.help) fputs(help, stdout);
    if (code != EXIT_DONE || arguments.help) return code == EXIT_DONE ? command_finish_output() : code;
    if (optind < argc) return command_usage(command, "unexpected argument \"%s\"", argv[optind]);
    struct arena *arena = arena_new(ARENA_BYTES);
    struct http_client *client = http_client_new();
    struct str path = STR("/api/app/queries");
    if (arguments.project)
        path = arena_printf(arena, "/api/app/projects/%lld/queries", (long long)arguments.project);
    if (!client)
        error_set(&error, STATUS_LIMIT, "out of memory");
    else if (ask(client, &arguments, arena, STR("GET"), path, &error, &answer) == STATUS_OK)
        code = arguments.json ? command_print_json(&answer) : print_list(arena, &answer);
    return finish(command, client, arena, code, &error);
}

/* All are tried; the first failure is told. */
static int run_stop(int argc, char **argv)
{
    static const char command[] = "cairn queries stop";
    struct arguments arguments = {0};
    struct error error = ERROR_INIT, first = ERROR_INIT;
    struct json answer, stopped = JSON_ARRAY_EMPTY, object = JSON_OBJECT_EMPTY;
    int64_t id;
    int code = parse(command, argc, argv, &arguments);
    if (arguments.help) fputs(help, stdout);
    if (code != EXIT_DONE || arguments.help) return code == EXIT_DONE ? command_finish_output() : code;
    if (optind == argc) return command_usage(command, "which query? cairn queries list shows their numbers");
    for (int i = optind; i < argc; i++)
        if (!number_parse_int(str_of(argv[i]), &id) || id < 1)
            return command_usage(command, "\"%s\" is no query", argv[i]);
    struct arena *arena = arena_new(ARENA_BYTES);
    struct http_client *client = http_client_new();
    if (!client) error_set(&first, STATUS_LIMIT, "out of memory");
    for (int i = optind; i < argc && client; i++) {
        struct str path = arena_printf(arena, "/api/app/queries/%s", argv[i]);
        const struct json *result = NULL;
        if (ask(client, &arguments, arena, STR("DELETE"), path, &error, &answer) != STATUS_OK) {
            if (first.status == STATUS_OK) first = error;
            continue;
        }
        if ((result = json_member(&answer, "results")) && json_push(arena, &stopped, *result) != STATUS_OK)
            error_set(&first, STATUS_LIMIT, "out of memory");
        if (!arguments.json) printf("query %s is stopped\n", argv[i]);
    }
    if (arguments.json && json_put(arena, &object, STR("stopped"), stopped) == STATUS_OK)
        code = command_print_json(&object);
    if (code == EXIT_DONE) code = command_finish_output();
    return finish(command, client, arena, code, &first);
}

int cmd_queries(int argc, char **argv)
{
    static const struct command commands[] = {
        {"list", run_list, "show what is being computed"},
        {"stop", run_stop, "stop queries"},
        {0},
    };
    return command_dispatch("cairn queries", help, commands, argc, argv);
}
