#pragma once
/*
 * What the subcommands share. Each cmd_x.c parses its own arguments with getopt_long, prints its result to standard
 * output and returns the exit code: 0 done, 1 the work failed, 2 usage or invalid input. Errors go to standard error:
 * what failed, on what, and what to do.
 */
#include "base/arena.h"
#include "base/error.h"
#include "base/json.h"
#include "base/str.h"

#include <getopt.h>
#include <stdio.h>

enum exit_code { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

struct command {
    const char *name;
    int (*run)(int argc, char **argv); /* argv[0] is the command's own name */
    const char *help;                  /* one line */
};

int cmd_serve(int argc, char **argv);
int cmd_project(int argc, char **argv);
int cmd_account(int argc, char **argv);
int cmd_bench(int argc, char **argv);
int cmd_config(int argc, char **argv);
int cmd_delete(int argc, char **argv);
int cmd_doctor(int argc, char **argv);
int cmd_export(int argc, char **argv);
int cmd_funnel(int argc, char **argv);
int cmd_identity(int argc, char **argv);
int cmd_import(int argc, char **argv);
int cmd_inspect(int argc, char **argv);
int cmd_lookup(int argc, char **argv);
int cmd_queries(int argc, char **argv);
int cmd_verify(int argc, char **argv);
int cmd_workflow(int argc, char **argv);

/* Runs the member of `commands` (ended by a NULL name) that argv[1] names; `help` is printed for --help, -h and help.
 * `parent` ("cairn project") begins the messages. */
int command_dispatch(const char *parent, const char *help, const struct command *commands, int argc, char **argv);

/* Prints `cairn project: TEXT` and where help is to be found. Returns EXIT_USAGE. */
int command_usage(const char *command, const char *format, ...) PRINTF_LIKE(2, 3);
/* Prints the error and returns the exit code of its status. */
int command_failed(const char *command, const struct error *error);

/* getopt_long without its own messages. Returns -1 at the end of the options, and '?' after having said what is wrong.
 * `short_options` begin with ':'. */
int command_option(const char *command, int argc, char **argv, const char *short_options,
                   const struct option *long_options);
/* Rows of a getopt_long table that several commands have; DATA and JSON are the command's own numbers for them. */
/* clang-format off */
#define FLAG_DATA {"data", required_argument, NULL, DATA}
#define FLAG_JSON {"json", no_argument, NULL, JSON}
#define FLAG_HELP {"help", no_argument, NULL, 'h'}
/* clang-format on */
/* Makes the next command_option begin with argv[1]. */
void command_options_begin(void);

/* Prints one JSON document and a line end. EXIT_FAILED when standard output cannot be written. */
int command_print_json(const struct json *value);
/* Prints rows of `columns` cells each, padded so that they stand below each other; the first row is the heading. */
int command_print_table(const struct str *cells, size_t columns, size_t rows);
/* Says on standard error when standard output could not be written. */
int command_finish_output(void);

/* Whether a person can be asked: standard input and standard error are terminals. */
bool command_interactive(void);

/* `2026-01-31 12:00:00`, UTC */
struct str command_time(struct arena *arena, int64_t ms);
/* 30s, 10m, 2h, 500ms */
bool command_duration(const char *text, uint64_t *ret_ms);
