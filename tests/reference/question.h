#pragma once
/* A plan on its way to an answer: its expressions as trees, the events it is about. */
#include "query/plan.h"
#include "reference/events.h"

struct ref_question {
    const struct reference *reference;
    const struct plan *plan;
    struct arena *arena;
    struct ref_node *where, *on, *by, *of;
    const char *refused; /* why there is no answer, or NULL */
};

/* False when an expression is refused. */
bool ref_ask(struct ref_question *question, const struct reference *reference, const struct plan *plan,
             struct arena *arena);
/* The first event at or after `event` that counts; NULL when there is none, or when the question is refused. */
const struct ref_event *ref_matching(struct ref_question *question, const struct ref_event *event);
bool ref_in_range(const struct plan *plan, int64_t time_ms);
/* Whether an event, of any time, has one of the plan's names and `where` is true for it. */
bool ref_matches(struct ref_question *question, const struct ref_event *event);
/* Undefined, and the question refused, when the expression fails for this event. */
struct ref_value ref_value_of(struct ref_question *question, const char *parameter, struct ref_node *tree,
                              const struct ref_event *event);
/* The distinct labels under which a value is counted: of a list those of its items. */
struct str *ref_labels(struct arena *arena, struct ref_value v, size_t *ret_count);
