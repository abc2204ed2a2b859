#pragma once
/*
 * What engage queries are told beside expressions. Both parsers take bytes of clients; texts that they return lie in
 * the arena or in the text.
 */
#include "query/profiles.h"

/*
 * The parameter `behaviors`, a JSON array:
 *
 *   [{"name":"bought","window":"90d","event_selectors":[{"event":"Purchase","selector":"properties[\"n\"] > 1"}, …]},
 * …]
 *
 * window is a whole number and a unit: h, d, w (7 days) or m (30 days). `selector` may be missing or empty. INVALID
 * with the place of what is wrong, like `behaviors[0].window`; LIMIT for more than selectors_max selectors in all.
 */
enum status behaviors_parse(struct arena *arena, struct str text, size_t selectors_max, struct error *error,
                            const struct behavior **ret_behaviors, size_t *ret_count) MUST_USE;

/* The parameter `action` of engage/stats: count(), extremes(E), numeric_summary(E) or percentile(E, N), E an
 * expression. */
enum stats_kind { STATS_COUNT, STATS_EXTREMES, STATS_SUMMARY, STATS_PERCENTILE };
struct stats_action {
    enum stats_kind kind;
    struct str of; /* NULL data for COUNT */
    double percentile;
};
enum status stats_action_parse(struct str text, struct error *error, struct stats_action *ret_action) MUST_USE;
