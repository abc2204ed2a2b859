#pragma once
/*
 * A funnel as it is saved: what of a funnel_plan belongs to the funnel and not to the question. Read from JSON of
 * clients and of the command line, and written in one form, with what was left out spelled out (docs/api/funnels.md):
 *
 *   {"steps":[{"event":"View","where":"…","name":"Seen","anchored":true}, {"events":["Buy","Order"]}, …],
 *    "order":"specific", "window":{"length":7,"unit":"day"}, "count_type":"unique", "reentry":"default",
 *    "exclusions":[{"event":"Return","where":"…","from_step":1,"to_step":2}],
 *    "hold_constant":["device"], "attribution":"step", "attribution_step":1}
 *
 * Only `steps` is required. Errors are INVALID and begin with the member, like `steps[1].where: …`; what is wrong with
 * an expression has its position, too.
 */
#include "base/arena.h"
#include "base/json.h"
#include "query/funnel.h"

#define FUNNEL_EVENTS_MAX 100 /* names of one step, or exclusion */

enum funnel_unit {
    FUNNEL_UNIT_SECOND,
    FUNNEL_UNIT_MINUTE,
    FUNNEL_UNIT_HOUR,
    FUNNEL_UNIT_DAY,
    FUNNEL_UNIT_WEEK,
    FUNNEL_UNIT_MONTH,
    FUNNEL_UNIT_SESSION
};
/* Lives in the arena it was read into. */
struct funnel_definition {
    const struct funnel_step *steps;
    const struct str *step_names; /* NULL data: none was given */
    size_t step_count;
    const struct funnel_exclusion *exclusions;
    size_t exclusion_count;
    bool any_order;
    int64_t window_length;
    enum funnel_unit window_unit;
    enum funnel_count count;
    enum funnel_reentry reentry;
    const struct str *hold;
    size_t hold_count;
    enum funnel_attribution attribution;
    uint32_t attribution_step;
};
enum status funnel_definition_read(struct arena *arena, const struct json *object, uint32_t steps_max,
                                   struct error *error, struct funnel_definition *ret_definition) MUST_USE;
/* The members, without the brackets around them. */
void funnel_definition_write(struct buf *buf, const struct funnel_definition *definition);
/* What stands for a step in answers: its name, its event, or its events with commas between them. In the arena; NULL
 * data when that is full. */
struct str funnel_step_goal(const struct funnel_definition *definition, size_t step, struct arena *arena);

/* Puts it into a plan, which gets its range, `where`, `on` and the rest from the question. */
void funnel_definition_plan(const struct funnel_definition *definition, struct funnel_plan *plan);
/* Another window, of the question. INVALID with `what` in front when it is none. */
enum status funnel_window(int64_t length, enum funnel_unit unit, const char *what, struct error *error,
                          struct funnel_plan *plan) MUST_USE;
/* "second", …, "session"; ends with NULL. */
extern const char *const funnel_unit_names[];
