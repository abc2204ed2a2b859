#include "cli/command.h"

#include <unistd.h>

#include "base/number.h"
#include "meta/meta.h"
#include "server/options.h"

static const char help[] =
    "cairn account makes service accounts, with which programs query and import. It works whether or not a server\n"
    "runs on the data directory, and a running server sees the change at once.\n"
    "\n"
    "  cairn account create --data DIR --project N --role owner|admin|analyst|consumer [--name NAME]\n"
    "                       [--username U] [--secret S] [--json]\n"
    "  cairn account grant  --data DIR --project N --role ROLE --username U\n"
    "  cairn account list   --data DIR [--project N] [--json]\n"
    "  cairn account delete --data DIR USERNAME\n"
    "\n"
    "  --data DIR      the data directory\n"
    "  --project N     the project that the role is for\n"
    "  --role ROLE     consumer: run queries; analyst: also change reports; admin: also import data and change\n"
    "                  settings; owner: everything\n"
    "  --name NAME     what the account is for; the username is made of it\n"
    "  --username U    choose the username\n"
    "  --secret S      choose the secret, 8 to 512 bytes; other users of this machine may see it in the process list\n"
    "  --json          print one JSON object and nothing else\n"
    "\n"
    "The secret is shown once, by create. grant gives an account a role in one more project, or another role.\n"
    "Example:\n"
    "  cairn account create --data ./data --project 1 --name nightly-export --role consumer\n";

struct arguments {
    const char *data;
    struct meta_account_spec spec;
    bool has_role, json, help;
};

enum { DATA = 1000, PROJECT, NAME, USERNAME, SECRET, ROLE, JSON };

static int take(const char *command, int flag, struct arguments *arguments)
{
    switch (flag) {
    case DATA: arguments->data = optarg; return EXIT_DONE;
    case PROJECT:
        if (number_parse_int(str_of(optarg), &arguments->spec.project_id) && arguments->spec.project_id >= 1 &&
            arguments->spec.project_id <= META_PROJECT_ID_MAX)
            return EXIT_DONE;
        return command_usage(command, "\"%s\" is no project id", optarg);
    case NAME: arguments->spec.name = str_of(optarg); return EXIT_DONE;
    case USERNAME: arguments->spec.username = str_of(optarg); return EXIT_DONE;
    case SECRET: arguments->spec.secret = str_of(optarg); return EXIT_DONE;
    case ROLE:
        arguments->has_role = meta_role_parse(str_of(optarg), &arguments->spec.role);
        if (arguments->has_role) return EXIT_DONE;
        return command_usage(command, "\"%s\" is no role: use owner, admin, analyst or consumer", optarg);
    case JSON: arguments->json = true; return EXIT_DONE;
    case 'h': arguments->help = true; return EXIT_DONE;
    default: return EXIT_USAGE;
    }
}

/* clang-format off */
#define FLAG_PROJECT {"project", required_argument, NULL, PROJECT}
#define FLAG_USERNAME {"username", required_argument, NULL, USERNAME}
#define FLAG_ROLE {"role", required_argument, NULL, ROLE}
/* clang-format on */
static const struct option flags_create[] = {
    FLAG_DATA,
    FLAG_PROJECT,
    FLAG_ROLE,
    FLAG_USERNAME,
    {"name", required_argument, NULL, NAME},
    {"secret", required_argument, NULL, SECRET},
    FLAG_JSON,
    FLAG_HELP,
    {0},
};
static const struct option flags_grant[] = {FLAG_DATA, FLAG_PROJECT, FLAG_ROLE, FLAG_USERNAME, FLAG_HELP, {0}};
static const struct option flags_list[] = {FLAG_DATA, FLAG_PROJECT, FLAG_JSON, FLAG_HELP, {0}};
static const struct option flags_delete[] = {FLAG_DATA, FLAG_USERNAME, FLAG_HELP, {0}};

static int parse(const char *command, int argc, char **argv, const struct option *flags, struct arguments *arguments)
{
    command_options_begin();
    for (int flag; (flag = command_option(command, argc, argv, ":h", flags)) != -1;) {
        int code = take(command, flag, arguments);
        if (code != EXIT_DONE || arguments->help) return code;
    }
    if (optind < argc && flags == flags_delete && arguments->spec.username.size == 0)
        arguments->spec.username = str_of(argv[optind++]);
    if (optind < argc) return command_usage(command, "unexpected argument \"%s\"", argv[optind]);
    if (arguments->data == NULL || arguments->data[0] == '\0') return command_usage(command, "--data DIR is missing");
    return EXIT_DONE;
}

struct work {
    const char *command;
    const struct arguments *arguments;
    struct meta *meta;
    struct arena *arena;
};

static int out_of_memory(const char *command)
{
    struct error error = ERROR_INIT;
    (void)error_set(&error, STATUS_LIMIT, "out of memory");
    return command_failed(command, &error);
}

/* ---- create ---- */

static enum status put_created(struct work *work, const struct meta_account *account, struct str secret,
                               struct json *ret_object)
{
    struct json object = JSON_OBJECT_EMPTY;
    TRY(json_put(work->arena, &object, STR("username"), json_string(account->username)));
    TRY(json_put(work->arena, &object, STR("secret"), json_string(secret)));
    TRY(json_put(work->arena, &object, STR("name"), json_string(account->name)));
    TRY(json_put(work->arena, &object, STR("project_id"), json_int(account->memberships[0].project_id)));
    TRY(json_put(work->arena, &object, STR("role"), json_string(str_of(meta_role_name(account->memberships[0].role)))));
    *ret_object = object;
    return STATUS_OK;
}

static int create(struct work *work)
{
    struct error error = ERROR_INIT;
    struct meta_account account;
    struct str secret;
    if (meta_account_create(work->meta, &work->arguments->spec, work->arena, &error, &account, &secret) != STATUS_OK)
        return command_failed(work->command, &error);
    if (work->arguments->json) {
        struct json object;
        if (put_created(work, &account, secret, &object) != STATUS_OK) return out_of_memory(work->command);
        return command_print_json(&object);
    }
    const struct str rows[] = {
        STR("username"),   account.username,
        STR("secret"),     secret,
        STR("name"),       account.name,
        STR("project_id"), arena_printf(work->arena, "%lld", (long long)account.memberships[0].project_id),
        STR("role"),       str_of(meta_role_name(account.memberships[0].role)),
    };
    int code = command_print_table(rows, 2, sizeof rows / sizeof *rows / 2);
    fputs("The secret is not stored and will not be shown again.\n", stderr);
    return code;
}

/* ---- grant, delete ---- */

static int grant(struct work *work)
{
    struct error error = ERROR_INIT;
    const struct meta_account_spec *spec = &work->arguments->spec;
    if (meta_membership_put(work->meta, spec->username, spec->project_id, spec->role, &error) != STATUS_OK)
        return command_failed(work->command, &error);
    fprintf(stderr, "account " STR_FMT " has the role %s in project %lld\n", STR_ARG(spec->username),
            meta_role_name(spec->role), (long long)spec->project_id);
    return EXIT_DONE;
}

static int delete (struct work *work)
{
    struct error error = ERROR_INIT;
    if (meta_account_delete(work->meta, work->arguments->spec.username, &error) != STATUS_OK)
        return command_failed(work->command, &error);
    fprintf(stderr, "account " STR_FMT " is deleted\n", STR_ARG(work->arguments->spec.username));
    return EXIT_DONE;
}

/* ---- list ---- */

/* Whether the account is asked for, and its memberships as text (1:admin 2:owner) and as JSON. */
static enum status describe(struct work *work, const struct meta_account *account, bool *ret_wanted,
                            struct str *ret_text, struct json *ret_object)
{
    int64_t only = work->arguments->spec.project_id;
    struct json object = JSON_OBJECT_EMPTY, roles = JSON_ARRAY_EMPTY;
    struct buf text = BUF_INIT((size_t)1 << 20);
    bool wanted = only == 0;
    enum status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < account->membership_count; i++) {
        const struct meta_membership *membership = &account->memberships[i];
        struct str role = str_of(meta_role_name(membership->role));
        struct json entry = JSON_OBJECT_EMPTY;
        wanted = wanted || membership->project_id == only;
        buf_printf(&text, "%s%lld:" STR_FMT, i ? " " : "", (long long)membership->project_id, STR_ARG(role));
        status = json_put(work->arena, &entry, STR("project_id"), json_int(membership->project_id));
        if (status == STATUS_OK) status = json_put(work->arena, &entry, STR("role"), json_string(role));
        if (status == STATUS_OK) status = json_push(work->arena, &roles, entry);
    }
    struct str copy = arena_str(work->arena, buf_str(&text));
    if (status == STATUS_OK) status = buf_status(&text);
    buf_fini(&text);
    TRY(status);
    if (copy.data == NULL) return STATUS_LIMIT;
    TRY(json_put(work->arena, &object, STR("username"), json_string(account->username)));
    TRY(json_put(work->arena, &object, STR("name"), json_string(account->name)));
    TRY(json_put(work->arena, &object, STR("created_ms"), json_int(account->created_ms)));
    TRY(json_put(work->arena, &object, STR("projects"), roles));
    *ret_wanted = wanted;
    *ret_text = copy;
    *ret_object = object;
    return STATUS_OK;
}

static int print_accounts(struct work *work, const struct meta_view *view)
{
    enum { COLUMNS = 4 };
    size_t count, rows = 1;
    const struct meta_account *accounts = meta_view_accounts(view, &count);
    struct json list = JSON_ARRAY_EMPTY, object = JSON_OBJECT_EMPTY;
    struct str *cells = arena_new_array(work->arena, struct str, (count + 1) * COLUMNS);
    if (cells == NULL) return out_of_memory(work->command);
    const struct str heading[COLUMNS] = {STR("USERNAME"), STR("CREATED"), STR("ROLES"), STR("NAME")};
    memcpy(cells, heading, sizeof heading);
    for (size_t i = 0; i < count; i++) {
        bool wanted;
        struct str roles;
        struct json entry;
        if (describe(work, &accounts[i], &wanted, &roles, &entry) != STATUS_OK) return out_of_memory(work->command);
        if (!wanted) continue;
        if (json_push(work->arena, &list, entry) != STATUS_OK) return out_of_memory(work->command);
        const struct str row[COLUMNS] = {accounts[i].username, command_time(work->arena, accounts[i].created_ms), roles,
                                         accounts[i].name};
        memcpy(cells + rows++ * COLUMNS, row, sizeof row);
    }
    if (!work->arguments->json) return command_print_table(cells, COLUMNS, rows);
    if (json_put(work->arena, &object, STR("accounts"), list) != STATUS_OK) return out_of_memory(work->command);
    return command_print_json(&object);
}

static int list(struct work *work)
{
    struct error error = ERROR_INIT;
    struct meta_view *view = NULL;
    if (meta_view_load(work->meta, &error, &view) != STATUS_OK) return command_failed(work->command, &error);
    int code = print_accounts(work, view);
    meta_view_unref(view);
    return code;
}

/* ---- Running ---- */

/* The cost of a new secret's hash is an option of the server; here it comes from the environment, or is the default. */
static enum status hash_cost(struct meta_options *meta_options, struct error *error)
{
    struct options *options = options_new();
    if (options == NULL) return error_set(error, STATUS_LIMIT, "out of memory");
    enum status status = options_read_environment(options, environ, error);
    meta_options->argon2_memory_bytes = options->auth_argon2_memory_bytes;
    meta_options->argon2_ops = (unsigned)options->auth_argon2_ops;
    options_free(options);
    return status;
}

static int run(const char *command, const struct arguments *arguments, int (*step)(struct work *))
{
    struct error error = ERROR_INIT;
    struct meta_options options = META_OPTIONS_DEFAULT;
    options.must_exist = true;
    if (hash_cost(&options, &error) != STATUS_OK) return command_failed(command, &error);
    struct work work = {.command = command, .arguments = arguments};
    if (meta_open(arguments->data, &options, &error, &work.meta) != STATUS_OK) return command_failed(command, &error);
    work.arena = arena_new((size_t)1 << 30);
    int code = step(&work);
    arena_free(work.arena);
    meta_close(work.meta);
    return code;
}

static int parse_and_run(const char *command, int argc, char **argv, const struct option *flags,
                         int (*step)(struct work *))
{
    struct arguments arguments = {.data = NULL};
    int code = parse(command, argc, argv, flags, &arguments);
    if (code != EXIT_DONE) return code;
    if (arguments.help) {
        fputs(help, stdout);
        return command_finish_output();
    }
    bool gives_role = step == create || step == grant, names_account = step == grant || step == delete;
    if (gives_role && arguments.spec.project_id == 0) return command_usage(command, "--project N is missing");
    if (gives_role && !arguments.has_role)
        return command_usage(command, "--role is missing: owner, admin, analyst or consumer");
    if (names_account && arguments.spec.username.size == 0) return command_usage(command, "the username is missing");
    return run(command, &arguments, step);
}

static int run_create(int argc, char **argv)
{
    return parse_and_run("cairn account create", argc, argv, flags_create, create);
}
static int run_grant(int argc, char **argv)
{
    return parse_and_run("cairn account grant", argc, argv, flags_grant, grant);
}
static int run_list(int argc, char **argv)
{
    return parse_and_run("cairn account list", argc, argv, flags_list, list);
}
static int run_delete(int argc, char **argv)
{
    return parse_and_run("cairn account delete", argc, argv, flags_delete, delete);
}

int cmd_account(int argc, char **argv)
{
    static const struct command commands[] = {
        {"create", run_create, "make an account"},
        {"grant", run_grant, "give an account a role"},
        {"list", run_list, "show all accounts"},
        {"delete", run_delete, "delete an account"},
        {0},
    };
    return command_dispatch("cairn account", help, commands, argc, argv);
}
