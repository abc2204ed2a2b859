#include "cli/command.h"

#include "api/cluster_json.h"
#include "api/unlink.h"
#include "base/base64.h"
#include "base/number.h"
#include "base/url.h"
#include "cli/bench.h"
#include "http/client.h"
#include "meta/meta.h"
#include "os/peek.h"
#include "os/thread.h"
#include "store/store.h"

#include <stdlib.h>

static const char help[] =
    "cairn identity tells who an id is, and undoes links between ids that should not have been made.\n"
    "\n"
    "  cairn identity show   --data DIR|--url URL --project N [--offset N] [--limit N] ID\n"
    "  cairn identity unlink --data DIR|--url URL --project N ID\n"
    "  cairn identity audit  --data DIR|--url URL --project N [--limit N]\n"
    "\n"
    "  --data DIR            the data directory. show wants that no server runs on it; the others do not mind: what\n"
    "                        unlink asks for is carried out by the server that runs there, or else at once\n"
    "  --url URL             instead: a server\n"
    "  --credentials C       for --url: NAME:SECRET of a service account; the environment's CAIRN_CREDENTIALS "
    "otherwise\n"
    "  --project N           the project id\n"
    "  --offset N, --limit N show: which of the person's ids, 1000 at most by default; audit: how many requests\n"
    "  --json                print one JSON object and nothing else\n"
    "\n"
    "A device's ID is what events are stored under: $device: and what the client sent. unlink makes the id a person "
    "of\n"
    "its own, with all that it ever did; who asked for it and when is kept, and shown by audit.\n"
    "\n"
    "Example:\n"
    "  cairn identity show --data ./data --project 1 '$device:9b1deb4d-3b7d-4bad-9bdd-2b0d7b3dcb6d'\n";

#define WAIT_STEPS         600 /* of a tenth of a second */
#define ARENA_BYTES        ((size_t)1 << 30)
#define SHOW_BYTES_MAX     ((size_t)64 << 20)
#define AUDIT_LIMIT        100
#define AUDIT_MAX          1000
#define STORE_MEMORY_BYTES ((uint64_t)768 << 20)

enum { DATA = 1000, JSON, URL, CREDENTIALS, PROJECT, OFFSET, LIMIT };
enum action { SHOW, UNLINK, AUDIT };
static const char *const names[] = {"cairn identity show", "cairn identity unlink", "cairn identity audit"};

struct arguments {
    const char *data, *url, *credentials, *id;
    int64_t project;
    uint64_t offset, limit;
    bool json, help;
};

struct work {
    enum action action;
    const struct arguments *arguments;
    struct arena *arena;
    struct error error;
    struct buf results; /* JSON: an object, or a list for AUDIT */
};

/* ---- a data directory ---- */

static bool server_runs(const char *directory)
{
    return os_lock_holder(directory) != 0;
}

static enum status open_meta(const struct work *work, struct error *error, struct meta **ret_meta,
                             struct meta_view **ret_view)
{
    struct meta_options options = META_OPTIONS_DEFAULT;
    options.must_exist = true;
    TRY(meta_open(work->arguments->data, &options, error, ret_meta));
    TRY(meta_view_load(*ret_meta, error, ret_view));
    if (meta_view_project(*ret_view, work->arguments->project)) return STATUS_OK;
    (void)error_set(error, STATUS_NOT_FOUND, "no project has the id %lld", (long long)work->arguments->project);
    error_hint(error, "cairn project list shows them all");
    return STATUS_NOT_FOUND;
}

static enum status show(struct work *work, struct error *error)
{
    struct bench_engine engine = {.lock = NULL};
    struct snapshot *snapshot;
    const struct arguments *a = work->arguments;
    if (server_runs(a->data)) {
        (void)error_set(error, STATUS_CONFLICT, "a server runs on \"%s\", which knows more than its files", a->data);
        error_hint(error, "ask it: cairn identity show --url URL --credentials NAME:SECRET --project %lld ID",
                   (long long)a->project);
        return STATUS_CONFLICT;
    }
    enum status status = bench_engine_open(a->data, false, 1, STORE_MEMORY_BYTES, error, &engine);
    if (status == STATUS_OK) status = store_snapshot(engine.store, (uint64_t)a->project, error, &snapshot);
    if (status == STATUS_OK) {
        status = cluster_write_json(&work->results, snapshot, a->project, str_of(a->id),
                                    (struct cluster_page){a->offset, (uint32_t)a->limit}, work->arena, error);
        snapshot_free(snapshot);
    }
    bench_engine_close(&engine);
    return status;
}

/* A server sees the request within a second or two. */
static enum status wait_for_server(struct work *work, struct meta *meta, int64_t id, struct error *error,
                                   struct meta_unlink *unlink)
{
    for (int step = 0;; step++) {
        TRY(meta_unlink(meta, id, work->arena, error, unlink));
        if (unlink->status != META_UNLINK_PENDING || unlink->error.size || step == WAIT_STEPS) return STATUS_OK;
        os_sleep_ns(100000000);
    }
}

static enum status carry_out(struct work *work, struct meta *meta, const struct meta_view *view, int64_t id,
                             struct error *error, struct meta_unlink *unlink)
{
    struct bench_engine engine = {.lock = NULL};
    enum status status = bench_engine_open(work->arguments->data, false, 1, STORE_MEMORY_BYTES, error, &engine);
    if (status == STATUS_OK) status = unlink_run(engine.store, meta, view, id, work->arena, error, unlink);
    bench_engine_close(&engine);
    return status;
}

static enum status unlink_id(struct work *work, struct meta *meta, const struct meta_view *view, struct error *error)
{
    struct meta_unlink unlink = {.project_id = work->arguments->project,
                                 .distinct_id = str_of(work->arguments->id),
                                 .requested_by = STR("command line")};
    int64_t id;
    TRY(meta_unlink_create(meta, &unlink, error, &id));
    bool running = server_runs(work->arguments->data);
    TRY(running ? wait_for_server(work, meta, id, error, &unlink) : carry_out(work, meta, view, id, error, &unlink));
    if (unlink.status == META_UNLINK_FAILED) return error_set(error, STATUS_INVALID, STR_FMT, STR_ARG(unlink.error));
    if (unlink.status == META_UNLINK_PENDING)
        fputs("The server is not done yet: cairn identity audit tells when it is.\n", stderr);
    unlink_write_json(&work->results, &unlink);
    return STATUS_OK;
}

static enum status audit(struct work *work, struct meta *meta, struct error *error)
{
    struct meta_unlink *unlinks;
    size_t count;
    TRY(meta_unlinks(meta, work->arguments->project, -1, work->arguments->limit, work->arena, error, &unlinks, &count));
    buf_byte(&work->results, '[');
    for (size_t i = 0; i < count; i++) {
        if (i) buf_byte(&work->results, ',');
        unlink_write_json(&work->results, &unlinks[i]);
    }
    buf_byte(&work->results, ']');
    return STATUS_OK;
}

static enum status ask_directory(struct work *work)
{
    struct meta *meta = NULL;
    struct meta_view *view = NULL;
    struct error *error = &work->error;
    enum status status = open_meta(work, error, &meta, &view);
    if (status == STATUS_OK && work->action == SHOW) status = show(work, error);
    if (status == STATUS_OK && work->action == UNLINK) status = unlink_id(work, meta, view, error);
    if (status == STATUS_OK && work->action == AUDIT) status = audit(work, meta, error);
    meta_view_unref(view);
    meta_close(meta);
    return status;
}

/* ---- a server ---- */

static void write_url(struct work *work, struct buf *url)
{
    const struct arguments *a = work->arguments;
    struct str base = str_of(a->url);
    while (str_ends(base, STR("/"))) base.size--;
    buf_str_add(url, base);
    buf_printf(url, "/api/app/projects/%lld/%s", (long long)a->project,
               work->action == AUDIT ? "identity-unlinks?" : "identities?");
    if (work->action != AUDIT) {
        buf_lit(url, "distinct_id=");
        url_encode(url, str_of(a->id));
    }
    if (work->action != UNLINK) buf_printf(url, "&limit=%llu", (unsigned long long)a->limit);
    if (work->action == SHOW) buf_printf(url, "&offset=%llu", (unsigned long long)a->offset);
}

static enum status failure_of(const struct http_client_response *response, const struct json *answer,
                              struct error *error)
{
    const struct json *text = answer ? json_member(answer, "error") : NULL;
    enum status status = response->status == 404   ? STATUS_NOT_FOUND
                         : response->status == 409 ? STATUS_CONFLICT
                         : response->status == 400 ? STATUS_INVALID
                         : response->status < 500  ? STATUS_DENIED
                                                   : STATUS_UNAVAILABLE;
    if (text && text->type == JSON_STRING)
        (void)error_set(error, status, STR_FMT, STR_ARG(str_slice(text->string, 0, 900)));
    else
        (void)error_set(error, status, "the server answers with %d", response->status);
    if (status == STATUS_DENIED) error_hint(error, "--credentials NAME:SECRET of a service account that may do this");
    return status;
}

static enum status ask_server(struct work *work)
{
    const struct arguments *a = work->arguments;
    struct buf url = BUF_INIT(8192), pair = BUF_INIT(4096), authorization = BUF_INIT(8192);
    struct http_client *client = http_client_new();
    struct http_client_response response;
    struct json answer;
    write_url(work, &url);
    buf_printf(&pair, strchr(a->credentials, ':') ? "%s" : "%s:", a->credentials);
    buf_lit(&authorization, "Basic ");
    base64_encode(&authorization, buf_str(&pair));
    const struct http_client_field field = {STR("Authorization"), buf_str(&authorization), true};
    const struct http_client_request request = {.method = work->action == UNLINK ? STR("DELETE") : STR("GET"),
                                                .url = buf_str(&url),
                                                .fields = &field,
                                                .field_count = 1};
    enum status status = STATUS_OK;
    if (!client || buf_status(&url) != STATUS_OK || buf_status(&pair) != STATUS_OK ||
        buf_status(&authorization) != STATUS_OK)
        status = error_set(&work->error, STATUS_INVALID, "the address, the id or the credentials are too long");
    if (status == STATUS_OK) status = http_client_send(client, &request, work->arena, &work->error, &response);
    if (status == STATUS_OK) {
        bool parsed = json_parse(work->arena, response.body, NULL, NULL, &answer) == STATUS_OK;
        const struct json *results = parsed ? json_member(&answer, "results") : NULL;
        if (response.status == 200 && results)
            json_write(&work->results, results);
        else
            status = failure_of(&response, parsed ? &answer : NULL, &work->error);
    }
    http_client_free(client);
    buf_fini(&url);
    buf_fini(&pair);
    buf_fini(&authorization);
    return status;
}

/* ---- output ---- */

static struct str text_of(struct arena *arena, const struct json *object, const char *name)
{
    const struct json *value = json_get(object, str_of(name));
    if (!value || value->type == JSON_NULL) return STR("-");
    if (value->type == JSON_INT) return arena_printf(arena, "%lld", (long long)value->integer);
    return value->type == JSON_STRING ? value->string : STR("?");
}

/* `event "Log In"`, `identity_create` */
static struct str source_of(struct arena *arena, const struct json *link)
{
    const struct json *event = json_member(link, "event");
    if (!event || event->type != JSON_STRING) return text_of(arena, link, "by");
    return arena_printf(arena, "event \"" STR_FMT "\"", STR_ARG(event->string));
}

static int print_show(struct arena *arena, const struct json *who)
{
    enum { COLUMNS = 4 };
    const struct json *links = json_member(who, "links"), *ids = json_member(who, "ids");
    struct str id = text_of(arena, who, "distinct_id"), shown = text_of(arena, who, "canonical_id");
    struct str count = text_of(arena, who, "id_count");
    if (!links || links->type != JSON_ARRAY || !ids || ids->type != JSON_ARRAY) return EXIT_FAILED;
    const struct json *target = json_member(who, "alias_of");
    if (target && target->type == JSON_STRING)
        printf("\"" STR_FMT "\" stands for \"" STR_FMT "\": what comes under it since " STR_FMT " UTC is that one's.\n",
               STR_ARG(id), STR_ARG(target->string), STR_ARG(text_of(arena, who, "since")));
    else if (str_eq(id, shown))
        printf("\"" STR_FMT "\" is what its person is shown as, who has " STR_FMT " id%s.\n", STR_ARG(id),
               STR_ARG(count), str_is(count, "1") ? "" : "s");
    else
        printf("\"" STR_FMT "\" is \"" STR_FMT "\" since " STR_FMT " UTC, who has " STR_FMT " ids.\n", STR_ARG(id),
               STR_ARG(shown), STR_ARG(text_of(arena, who, "since")), STR_ARG(count));
    for (size_t i = 0; i < links->array.count; i++) {
        const struct json *link = &links->array.items[i], *pair = json_member(link, "ids");
        if (!pair || pair->type != JSON_ARRAY || pair->array.count != 2) continue;
        printf("  linked \"" STR_FMT "\" and \"" STR_FMT "\" by " STR_FMT ", " STR_FMT " UTC\n",
               STR_ARG(pair->array.items[0].string), STR_ARG(pair->array.items[1].string),
               STR_ARG(source_of(arena, link)), STR_ARG(text_of(arena, link, "at")));
    }
    if (ids->array.count == 0) return command_finish_output();
    struct str *cells = arena_new_array(arena, struct str, (ids->array.count + 1) * COLUMNS);
    if (!cells) return EXIT_FAILED;
    const struct str heading[COLUMNS] = {STR("SINCE (UTC)"), STR("BY"), STR("WITH"), STR("ID")};
    memcpy(cells, heading, sizeof heading);
    for (size_t i = 0; i < ids->array.count; i++) {
        const struct json *one = &ids->array.items[i];
        const struct str row[COLUMNS] = {text_of(arena, one, "since"), source_of(arena, one),
                                         text_of(arena, one, "with"), text_of(arena, one, "distinct_id")};
        memcpy(cells + (i + 1) * COLUMNS, row, sizeof row);
    }
    puts("");
    return command_print_table(cells, COLUMNS, ids->array.count + 1);
}

static int print_unlink(struct arena *arena, const struct json *unlink)
{
    if (str_is(text_of(arena, unlink, "status"), "done") && str_is(text_of(arena, unlink, "id_count"), "1"))
        printf("\"" STR_FMT "\" stands for itself from now on; it was an alias of \"" STR_FMT "\".\n",
               STR_ARG(text_of(arena, unlink, "distinct_id")), STR_ARG(text_of(arena, unlink, "taken_from")));
    else if (str_is(text_of(arena, unlink, "status"), "done"))
        printf("\"" STR_FMT "\" is a person of its own now; it was one of the " STR_FMT " ids of \"" STR_FMT "\".\n",
               STR_ARG(text_of(arena, unlink, "distinct_id")), STR_ARG(text_of(arena, unlink, "id_count")),
               STR_ARG(text_of(arena, unlink, "taken_from")));
    else
        printf("request " STR_FMT " waits: " STR_FMT "\n", STR_ARG(text_of(arena, unlink, "id")),
               STR_ARG(text_of(arena, unlink, "error")));
    return command_finish_output();
}

static int print_audit(struct arena *arena, const struct json *list)
{
    enum { COLUMNS = 7 };
    static const char *const members[COLUMNS] = {"id",   "requested",  "requested_by", "status",
                                                 "done", "taken_from", "distinct_id"};
    struct str *cells = arena_new_array(arena, struct str, (list->array.count + 1) * COLUMNS);
    if (!cells) return EXIT_FAILED;
    const struct str heading[COLUMNS] = {STR("REQUEST"), STR("REQUESTED"),  STR("BY"), STR("STATUS"),
                                         STR("DONE"),    STR("TAKEN FROM"), STR("ID")};
    memcpy(cells, heading, sizeof heading);
    for (size_t i = 0; i < list->array.count; i++)
        for (size_t c = 0; c < COLUMNS; c++)
            cells[(i + 1) * COLUMNS + c] = text_of(arena, &list->array.items[i], members[c]);
    return command_print_table(cells, COLUMNS, list->array.count + 1);
}

static int print(struct work *work)
{
    struct json results;
    if (buf_status(&work->results) != STATUS_OK ||
        json_parse(work->arena, buf_str(&work->results), NULL, &work->error, &results) != STATUS_OK)
        return command_failed(names[work->action], &work->error);
    if (work->arguments->json && work->action != AUDIT) return command_print_json(&results);
    if (work->arguments->json) {
        struct json object = JSON_OBJECT_EMPTY;
        if (json_put(work->arena, &object, STR("unlinks"), results) != STATUS_OK) return EXIT_FAILED;
        return command_print_json(&object);
    }
    if (work->action == SHOW) return print_show(work->arena, &results);
    return work->action == UNLINK ? print_unlink(work->arena, &results) : print_audit(work->arena, &results);
}

/* ---- arguments ---- */

static int take(const char *command, int flag, struct arguments *arguments)
{
    switch (flag) {
    case DATA: arguments->data = optarg; return EXIT_DONE;
    case URL: arguments->url = optarg; return EXIT_DONE;
    case CREDENTIALS: arguments->credentials = optarg; return EXIT_DONE;
    case PROJECT:
        if (number_parse_int(str_of(optarg), &arguments->project) && arguments->project >= 1 &&
            arguments->project <= META_PROJECT_ID_MAX)
            return EXIT_DONE;
        return command_usage(command, "\"%s\" is no project id", optarg);
    case OFFSET:
        if (number_parse_unsigned(str_of(optarg), UINT32_MAX, &arguments->offset)) return EXIT_DONE;
        return command_usage(command, "--offset %s is no number", optarg);
    case LIMIT:
        if (number_parse_unsigned(str_of(optarg), CLUSTER_IDS_MAX, &arguments->limit) && arguments->limit)
            return EXIT_DONE;
        return command_usage(command, "--limit %s is no number from 1 to %d", optarg, CLUSTER_IDS_MAX);
    case JSON: arguments->json = true; return EXIT_DONE;
    case 'h': arguments->help = true; return EXIT_DONE;
    default: return EXIT_USAGE;
    }
}

static int parse(enum action action, int argc, char **argv, struct arguments *arguments)
{
    static const struct option flags[] = {FLAG_DATA,
                                          {"url", required_argument, NULL, URL},
                                          {"credentials", required_argument, NULL, CREDENTIALS},
                                          {"project", required_argument, NULL, PROJECT},
                                          {"offset", required_argument, NULL, OFFSET},
                                          {"limit", required_argument, NULL, LIMIT},
                                          FLAG_JSON,
                                          FLAG_HELP,
                                          {0}};
    const char *command = names[action];
    *arguments = (struct arguments){.limit = action == AUDIT ? AUDIT_LIMIT : CLUSTER_IDS_DEFAULT};
    command_options_begin();
    for (int flag; (flag = command_option(command, argc, argv, ":h", flags)) != -1;) {
        int code = take(command, flag, arguments);
        if (code != EXIT_DONE || arguments->help) return code;
    }
    if (!arguments->data == !arguments->url) return command_usage(command, "one of --data DIR and --url URL is wanted");
    if (!arguments->project) return command_usage(command, "--project N is missing");
    if (!arguments->credentials) arguments->credentials = getenv("CAIRN_CREDENTIALS");
    if (arguments->url && !arguments->credentials)
        return command_usage(command, "--credentials NAME:SECRET is missing, and CAIRN_CREDENTIALS is not set");
    if (argc - optind != (action != AUDIT))
        return command_usage(command, action == AUDIT ? "unexpected argument \"%s\"" : "one id is wanted",
                             argv[optind]);
    arguments->id = action == AUDIT ? NULL : argv[optind];
    if (arguments->id && !arguments->id[0]) return command_usage(command, "the id is empty: that is nobody");
    if (action == AUDIT && arguments->limit > AUDIT_MAX)
        return command_usage(command, "--limit is at most %d", AUDIT_MAX);
    return EXIT_DONE;
}

static int run(enum action action, int argc, char **argv)
{
    struct arguments arguments;
    int code = parse(action, argc, argv, &arguments);
    if (code != EXIT_DONE) return code;
    if (arguments.help) {
        fputs(help, stdout);
        return command_finish_output();
    }
    struct work work = {.action = action,
                        .arguments = &arguments,
                        .arena = arena_new(ARENA_BYTES),
                        .error = ERROR_INIT,
                        .results = BUF_INIT(SHOW_BYTES_MAX)};
    enum status status = arguments.url ? ask_server(&work) : ask_directory(&work);
    code = status == STATUS_OK ? print(&work) : command_failed(names[action], &work.error);
    buf_fini(&work.results);
    arena_free(work.arena);
    return code;
}

static int run_show(int argc, char **argv)
{
    return run(SHOW, argc, argv);
}
static int run_unlink(int argc, char **argv)
{
    return run(UNLINK, argc, argv);
}
static int run_audit(int argc, char **argv)
{
    return run(AUDIT, argc, argv);
}

int cmd_identity(int argc, char **argv)
{
    static const struct command commands[] = {
        {"show", run_show, "who an id is, since when, and what else belongs to it"},
        {"unlink", run_unlink, "take an id out of its person"},
        {"audit", run_audit, "who took which ids out"},
        {0},
    };
    return command_dispatch("cairn identity", help, commands, argc, argv);
}
