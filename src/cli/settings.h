#pragma once
/* The arguments that `cairn serve` and `cairn config` have in common: where the server's options come from. */
#include "cli/command.h"
#include "server/options.h"

#define SETTINGS_HELP                                                                                                  \
    "  --data DIR          the data directory; the same as --set data.dir=DIR\n"                                       \
    "  --listen ADDR:PORT  accept connections here; may be repeated; port 0 picks a free one;\n"                       \
    "                      https://ADDR:PORT: with TLS, with the two PEM files\n"                                      \
    "                      --tls-certificate FILE and --tls-key FILE\n"                                                \
    "  --config FILE       read options from FILE: lines name = value\n"                                               \
    "  --memory SIZE       use so much memory in all, like 512m or 8g; default: half of the machine's\n"               \
    "  --set NAME=VALUE    set any option; may be repeated\n"

/* Fills `options` from flags, --config file and environment. Returns EXIT_DONE; or, after having said why, EXIT_USAGE
 * or EXIT_FAILED. *ret_help is true for --help. */
int settings_parse(const char *command, int argc, char **argv, struct options *options, bool *ret_help);
