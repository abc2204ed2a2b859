#pragma once
/* Random plans of every kind. */
#include "expr/join_testing.h"
#include "query/plan.h"
#include "reference/generate.h"

#define PLAN_NAMES_MAX  3
#define PLAN_LABELS_MAX 6
#define PLAN_JOINS      5

/* A plan and what it points to. Stays where it is. */
struct asked {
    struct plan plan;
    struct buf where, on, by, of, born_where;
    struct str events[PLAN_NAMES_MAX], ids[PLAN_NAMES_MAX], labels[PLAN_LABELS_MAX], born_events[PLAN_NAMES_MAX];
    struct arena *tables;
    struct test_join joins[PLAN_JOINS];
    const struct expr_join *join_list[PLAN_JOINS];
};
/* About events near `place`. */
void asked_init(struct asked *asked, struct generator *g, const struct generated_place *place);
void asked_fini(struct asked *asked);
