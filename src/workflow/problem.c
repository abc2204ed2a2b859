#include "workflow/problem.h"

#include "workflow/rules.h"

#include <stdarg.h>
#include <stdio.h>

void workflow_problems_init(struct workflow_problems *problems, struct arena *arena)
{
    *problems = (struct workflow_problems){.arena = arena};
}

/* When the list or the arena is full the problem is counted but not kept: error_count never lies. */
static void add(struct workflow_problems *problems, struct workflow_problem problem)
{
    if (problem.is_error) problems->error_count++;
    if (!problems->items)
        problems->items = arena_new_array(problems->arena, struct workflow_problem, WORKFLOW_PROBLEMS_MAX);
    if (!problems->items || problems->count == WORKFLOW_PROBLEMS_MAX) {
        problems->truncated = true;
        return;
    }
    problem.text = arena_str(problems->arena, problem.text);
    problem.hint = arena_str(problems->arena, problem.hint);
    problem.rule = workflow_rules[0].name;
    problems->items[problems->count++] = problem;
}

static void add_format(struct workflow_problems *problems, bool is_error, struct str file, const struct json *at,
                       const char *format, va_list args) __attribute__((format(printf, 5, 0)));
static void add_format(struct workflow_problems *problems, bool is_error, struct str file, const struct json *at,
                       const char *format, va_list args)
{
    char text[sizeof((struct error *)NULL)->primary];
    vsnprintf(text, sizeof text, format, args);
    add(problems, (struct workflow_problem){
                      .is_error = is_error,
                      .file = file,
                      .line = at ? at->line : 0,
                      .column = at ? at->column : 0,
                      .text = str_of(text),
                  });
}

void workflow_error_at(struct workflow_problems *problems, struct str file, const struct json *at, const char *format,
                       ...)
{
    va_list args;
    va_start(args, format);
    add_format(problems, true, file, at, format, args);
    va_end(args);
}

void workflow_warning_at(struct workflow_problems *problems, struct str file, const struct json *at, const char *format,
                         ...)
{
    va_list args;
    va_start(args, format);
    add_format(problems, false, file, at, format, args);
    va_end(args);
}

void workflow_problem_hint(struct workflow_problems *problems, const char *format, ...)
{
    if (!problems->count || problems->truncated) return;
    char text[sizeof((struct error *)NULL)->hint];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    problems->items[problems->count - 1].hint = arena_str(problems->arena, str_of(text));
}

void workflow_problem_rule(struct workflow_problems *problems, const char *rule)
{
    const char *known = workflow_rules[workflow_rule_index(rule)].name;
    if (problems->count && !problems->truncated) problems->items[problems->count - 1].rule = known;
}

void workflow_error_take(struct workflow_problems *problems, struct str file, const struct json *at,
                         const struct error *error)
{
    char text[sizeof error->primary + sizeof error->detail + 4];
    snprintf(text, sizeof text, "%s%s%s%s", error->primary, error->detail[0] ? " (" : "", error->detail,
             error->detail[0] ? ")" : "");
    bool positioned = error->line != 0;
    add(problems, (struct workflow_problem){
                      .is_error = true,
                      .file = file,
                      .line = positioned ? error->line
                              : at       ? at->line
                                         : 0,
                      .column = positioned ? error->column
                                : at       ? at->column
                                           : 0,
                      .text = str_of(text),
                      .hint = str_of(error->hint),
                  });
}

struct str workflow_problem_advice(const struct workflow_problem *problem)
{
    if (problem->hint.size) return problem->hint;
    return str_of(workflow_rules[workflow_rule_index(problem->rule)].advice);
}

void workflow_problem_write(struct buf *buf, const struct workflow_problem *problem)
{
    if (problem->file.size) {
        buf_str_add(buf, problem->file);
        if (problem->line) buf_printf(buf, ":%u:%u", problem->line, problem->column);
        buf_lit(buf, ": ");
    }
    if (problem->is_error)
        buf_lit(buf, "error: ");
    else
        buf_lit(buf, "warning: ");
    buf_str_add(buf, problem->text);
    if (problem->hint.size) {
        buf_lit(buf, "; ");
        buf_str_add(buf, problem->hint);
    }
    buf_printf(buf, " [%s]", problem->rule);
}
