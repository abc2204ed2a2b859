#pragma once
/* A random question about profiles, and the slow answers. */
#include "profiles/world.h"

#define QUESTION_IDS_MAX       4
#define QUESTION_BEHAVIORS_MAX 2
#define QUESTION_SELECTORS_MAX 2

struct question {
    struct profile_plan plan;
    size_t table;
    struct str where, sort, of; /* as the reference reads them; NULL data: none */
    const char *zone;
    struct str ids[QUESTION_IDS_MAX];
    struct behavior behaviors[QUESTION_BEHAVIORS_MAX];
    struct behavior_selector selectors[QUESTION_BEHAVIORS_MAX][QUESTION_SELECTORS_MAX];
    int64_t least[QUESTION_BEHAVIORS_MAX][QUESTION_SELECTORS_MAX]; /* the selector's where is `n >= least`; -1: none */
    struct str native_of;
};
void question_init(struct question *question, struct world *world);
void question_print(const struct question *question);

/* The profiles in their order; NULL, and *ret_count is 0, when the question is refused. */
const struct model_profile **question_list(const struct question *question, struct world *world, size_t *ret_count);
/* What `of` gives for a profile: JSON text, `undefined` or `error`. */
struct str question_value(const struct question *question, struct world *world, struct str text,
                          const struct model_profile *profile);
