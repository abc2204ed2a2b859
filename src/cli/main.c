/*
 * The program `cairn`: one table of subcommands.
 */
#include "cli/command.h"

#include <signal.h>

static const struct command commands[] = {
    {"serve", cmd_serve, "run the server on a data directory"},
    {"project", cmd_project, "create, list, show, change and delete projects"},
    {"account", cmd_account, "create, list and delete service accounts and their roles"},
    {"import", cmd_import, "bring in events and profiles, from files"},
    {"export", cmd_export, "write events and profiles out, as files"},
    {"lookup", cmd_lookup, "create, fill, join, list and delete lookup tables"},
    {"funnel", cmd_funnel, "create, list, show and delete saved funnels"},
    {"delete", cmd_delete, "delete events: of people, that match, or old ones"},
    {"queries", cmd_queries, "show and stop what a server is computing"},
    {"identity", cmd_identity, "tell who an id is, undo links between ids"},
    {"workflow", cmd_workflow, "run and check Arazzo workflow documents"},
    {"inspect", cmd_inspect, "show what is on disk, and where the bytes go"},
    {"verify", cmd_verify, "check that stored events are what was written"},
    {"doctor", cmd_doctor, "look for what makes questions slow or answers odd"},
    {"config", cmd_config, "show and check the server's options"},
    {"bench", cmd_bench, "measure the event engine, without a server"},
    {0},
};

static const char help_begin[] = "Cairn is a self-hosted product-analytics server that speaks Mixpanel's HTTP API.\n"
                                 "\n"
                                 "  cairn COMMAND [ARGUMENTS]\n"
                                 "\n";

static const char help_end[] = "\n"
                               "cairn help COMMAND tells more about one of them, cairn --version the version.\n"
                               "\n"
                               "To begin:\n"
                               "  cairn project create --data ./data --name Demo\n"
                               "  cairn serve --data ./data --listen 127.0.0.1:8080\n"
                               "\n"
                               "Exit codes: 0 done, 1 the work failed, 2 usage or invalid input.\n";

static int print_help(FILE *out)
{
    fputs(help_begin, out);
    for (const struct command *command = commands; command->name; command++)
        fprintf(out, "  %-10s %s\n", command->name, command->help);
    fputs(help_end, out);
    return out == stdout ? command_finish_output() : EXIT_USAGE;
}

int main(int argc, char **argv)
{
    /* A closed pipe is an error of the write that meets it. */
    signal(SIGPIPE, SIG_IGN);
    if (argc < 2) return print_help(stderr);
    struct str name = str_of(argv[1]);
    if (str_is(name, "--version") || str_is(name, "version")) {
        puts("cairn " CAIRN_VERSION);
        return command_finish_output();
    }
    if (str_is(name, "--help") || str_is(name, "-h") || (str_is(name, "help") && argc == 2)) return print_help(stdout);
    if (str_is(name, "help")) {
        static char help[] = "--help";
        char *arguments[] = {argv[0], argv[2], help, NULL};
        return command_dispatch("cairn", "", commands, 3, arguments);
    }
    return command_dispatch("cairn", "", commands, argc, argv);
}
