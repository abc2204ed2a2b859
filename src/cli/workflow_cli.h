#pragma once
/* What the files of `cairn workflow` share: the arguments (cmd_workflow.c), and one file for each verb. Not for others.
 */
#include "cli/command.h"
#include "workflow/runner.h"

#define WORKFLOW_ARENA_BYTES_DEFAULT ((size_t)256 << 20) /* documents, answers and results of one run */
#define WORKFLOW_JOBS_MAX            64

enum workflow_format { FORMAT_TEXT, FORMAT_JSON, FORMAT_SARIF, FORMAT_SVG, FORMAT_MERMAID };

struct workflow_arguments {
    const char *verb, *file, *inputs_file, *credentials_file, *ca_file, *trace_file, *junit_file;
    struct workflow_options options; /* what can be taken over as it stands */
    struct workflow_input *inputs;
    struct workflow_server *servers;
    struct workflow_auth *auths;
    enum workflow_format format;
    bool has_format, json, help;
    size_t memory_bytes_max; /* of the run, or of each job of a parallel one */
    unsigned parallel;       /* workflows at the same time; 0: one after the other */
};

extern const char workflow_command[]; /* "cairn workflow" */

int workflow_no_memory(void);
struct http_client;
/* That trusts whom the arguments say. NULL, and that has been said, when there can be none. */
struct http_client *workflow_client(const struct workflow_arguments *args) MUST_USE;
void workflow_print_problems(const struct workflow_problems *problems);
/* {"status", "workflows"?, "errors", "warnings"}: what is known without a run, of a document or of why there is none.
 */
enum status workflow_findings(struct arena *arena, const struct workflow_document *document,
                              const struct workflow_problems *problems, struct json *ret_json) MUST_USE;

/* The verbs; each returns the exit code. */
int workflow_verb_run(struct arena *arena, struct workflow_arguments *args);
int workflow_verb_check(struct arena *arena, struct workflow_arguments *args);
int workflow_verb_list(struct arena *arena, struct workflow_arguments *args);
int workflow_verb_graph(struct arena *arena, struct workflow_arguments *args);

/* workflow_credentials.c: adds the credentials of the environment and of the file behind those of the command line,
 * which prevail. */
int workflow_credentials(struct arena *arena, struct workflow_arguments *args);
