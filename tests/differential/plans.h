#pragma once
/* Random plans of every kind. */
#include "query/plan.h"
#include "reference/generate.h"

#define PLAN_NAMES_MAX 3

/* A plan and what it points to. Stays where it is. */
struct asked {
    struct plan plan;
    struct buf where, on, of;
    struct str events[PLAN_NAMES_MAX], ids[PLAN_NAMES_MAX];
};
/* About events near `place`. */
void asked_init(struct asked *asked, struct generator *g, const struct generated_place *place);
void asked_fini(struct asked *asked);
