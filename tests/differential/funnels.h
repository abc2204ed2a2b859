#pragma once
/* Random funnels, and histories that they find something in: events of few people in bursts, so that seconds, ties,
 * sessions and midnights matter. */
#include "differential/world.h"
#include "query/funnel.h"

#define FUNNEL_TEST_STEPS      5
#define FUNNEL_TEST_EXCLUSIONS 2

void funnel_history_init(struct history *history, struct generator *g, bool large);

/* A plan and what it points to. Stays where it is. */
struct asked_funnel {
    struct funnel_plan plan;
    struct funnel_step steps[FUNNEL_TEST_STEPS];
    struct funnel_exclusion exclusions[FUNNEL_TEST_EXCLUSIONS];
    struct str names[FUNNEL_TEST_STEPS + FUNNEL_TEST_EXCLUSIONS][2], hold[FUNNEL_HOLD_MAX];
    struct buf texts[FUNNEL_TEST_STEPS + FUNNEL_TEST_EXCLUSIONS + 2];
    size_t text_count;
};
void asked_funnel_init(struct asked_funnel *asked, struct generator *g, const struct generated_place *place);
void asked_funnel_fini(struct asked_funnel *asked);

/* An answer as text. */
void funnel_answer_write(struct executor *executor, const struct funnel_plan *plan, struct buf *out);
/* The first may have an answer where the second refuses: it may not have looked at what failed. */
bool funnel_answers_agree(struct executor *first, struct executor *second, const struct funnel_plan *plan,
                          struct buf *ret_first, struct buf *ret_second);
void funnel_plan_print(FILE *file, const struct funnel_plan *plan);
/* The smallest history and plan that still fail, as far as it finds them. The plan stays the caller's, of which parts
 * are taken away. */
void funnel_shrink(struct history *history, struct asked_funnel *asked);
