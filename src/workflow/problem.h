#pragma once
/*
 * The list of everything that is wrong with, or worth saying about, a workflow document: errors forbid a run
 * (nothing is sent), warnings do not. Collecting a list, where other parts of the program stop at the first
 * error, spares the author of a document one round trip per mistake.
 *
 * The list and its texts live in the arena given to workflow_problems_init. It holds at most
 * WORKFLOW_PROBLEMS_MAX entries and then says so once. A plain value, not thread-safe.
 */
#include "base/error.h"
#include "base/json.h"

#define WORKFLOW_PROBLEMS_MAX 100

struct workflow_problem {
    bool is_error;         /* otherwise a warning */
    struct str file;       /* empty when the problem is not in a file (a command-line input) */
    unsigned line, column; /* 1-based; 0 when unknown */
    struct str text;       /* in the form of struct error's primary text */
    struct str hint;       /* what to do about it, or empty */
    const char *rule;      /* which rule of rules.h it breaks; never NULL */
};

struct workflow_problems {
    struct arena *arena;
    struct workflow_problem *items;
    size_t count, error_count;
    bool truncated; /* there were more */
};

void workflow_problems_init(struct workflow_problems *problems, struct arena *arena);
/* `at` is the value in the document that the problem is about, or NULL. `file` may be empty. */
void workflow_error_at(struct workflow_problems *problems, struct str file, const struct json *at, const char *format,
                       ...) PRINTF_LIKE(4, 5);
void workflow_warning_at(struct workflow_problems *problems, struct str file, const struct json *at, const char *format,
                         ...) PRINTF_LIKE(4, 5);
/* The hint of the newest problem. */
void workflow_problem_hint(struct workflow_problems *problems, const char *format, ...) PRINTF_LIKE(2, 3);
/* The rule that the newest problem breaks: a name of rules.h. */
void workflow_problem_rule(struct workflow_problems *problems, const char *rule);
/* Takes over an error as it stands, with its own position where it has one, otherwise that of `at`. */
void workflow_error_take(struct workflow_problems *problems, struct str file, const struct json *at,
                         const struct error *error);
/* The hint, or else what its rule advises. Never empty. */
struct str workflow_problem_advice(const struct workflow_problem *problem);
/* "FILE:LINE:COLUMN: error: TEXT; HINT [RULE]", without the parts that are unknown. No line break. */
void workflow_problem_write(struct buf *buf, const struct workflow_problem *problem);
