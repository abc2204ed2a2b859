#include "cli/command.h"
#include "cli/settings.h"

#include "server/config.h"

static const char help[] =
    "cairn config shows and checks the server's options without starting it.\n"
    "\n"
    "  cairn config dump  [--config FILE] [--set NAME=VALUE]...   print all options as a configuration file\n"
    "  cairn config check [--config FILE] [--set NAME=VALUE]...   say whether cairn serve would take them\n"
    "\n" SETTINGS_HELP "\n"
    "Example: what a server with this file would run with, and where each value comes from\n"
    "  cairn config dump --config /etc/cairn.conf\n";

static int parse(const char *command, int argc, char **argv, int (*then)(const struct options *))
{
    struct options *options = options_new();
    if (options == NULL) {
        fprintf(stderr, "%s: out of memory\n", command);
        return EXIT_FAILED;
    }
    bool wants_help = false;
    int code = settings_parse(command, argc, argv, options, &wants_help);
    if (code == EXIT_DONE && wants_help) {
        fputs(help, stdout);
        code = command_finish_output();
    } else if (code == EXIT_DONE) {
        code = then(options);
    }
    options_free(options);
    return code;
}

static int dump(const struct options *options)
{
    struct buf buf = BUF_INIT((size_t)1 << 20);
    config_dump(options, &buf);
    fwrite(buf.data, 1, buf.size, stdout);
    buf_fini(&buf);
    return command_finish_output();
}

static int say_good(const struct options *options)
{
    (void)options; /* they were checked while they were read */
    puts("the options are good");
    return command_finish_output();
}

static int config_dump_run(int argc, char **argv)
{
    return parse("cairn config dump", argc, argv, dump);
}
static int config_check_run(int argc, char **argv)
{
    return parse("cairn config check", argc, argv, say_good);
}

int cmd_config(int argc, char **argv)
{
    static const struct command commands[] = {
        {"dump", config_dump_run, "print all options"},
        {"check", config_check_run, "check the options"},
        {0},
    };
    return command_dispatch("cairn config", help, commands, argc, argv);
}
