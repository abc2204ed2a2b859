#pragma once
/*
 * Properties that senders leave out and the server can tell: where an address is, and the browser, system and device of
 * a User-Agent. What an event says itself always counts more.
 *
 *   $city, $region, mp_country_code     of the event's `ip`; without one, of the request's address when the client asks
 *                                       for it (ip=1). An `ip` that is no address ("0", 0, "") wants no place.
 *   $browser, $browser_version, $os, $device
 *                                       of the request's User-Agent, when the request comes from the user's device:
 *                                       ip=1, a pixel, or a page (Origin). A server's library names itself there.
 *   $is_bot                             true, when the User-Agent is a crawler's and bots are to be marked
 *
 * Addresses are used and not kept. Values lie in the request's arena; an enrichment belongs to one request and thread.
 */
#include "base/arena.h"
#include "base/json.h"
#include "enrich/agent.h"
#include "enrich/geo.h"

enum enrichment_bots { ENRICHMENT_BOTS_KEEP, ENRICHMENT_BOTS_MARK, ENRICHMENT_BOTS_DROP };

struct enrichment_sources { /* of the server */
    struct geo *geo;        /* NULL: no file */
    struct agents *agents;  /* NULL: User-Agents are not looked at */
    enum enrichment_bots bots;
};

struct enrichment_value {
    struct str name;
    struct json value;
};
#define ENRICHMENT_PLACE_MAX 3
#define ENRICHMENT_AGENT_MAX 5
#define ENRICHMENT_MAX       (ENRICHMENT_PLACE_MAX + ENRICHMENT_AGENT_MAX)
struct enrichment {
    struct geo *geo;
    struct enrichment_value place[ENRICHMENT_PLACE_MAX], agent[ENRICHMENT_AGENT_MAX]; /* of the request */
    size_t place_count, agent_count;
    bool drop; /* a bot's, and those are not wanted: nothing of the request is to be stored */
};

/* `address` NULL data: not asked for; `user_agent` NULL data: not the device's. LIMIT when the arena is full. */
enum status enrichment_of_request(struct arena *arena, const struct enrichment_sources *sources, struct str address,
                                  struct str user_agent, struct enrichment *ret_enrichment) MUST_USE;
/* Whether events without an `ip` get anything. */
static inline bool enrichment_has_values(const struct enrichment *enrichment)
{
    return enrichment && enrichment->place_count + enrichment->agent_count > 0;
}
/* The place for an event with this `ip` (NULL or JSON null: none). The texts are in the arena. */
enum status enrichment_place(const struct enrichment *enrichment, struct arena *arena, const struct json *ip,
                             struct enrichment_value ret_values[ENRICHMENT_PLACE_MAX], size_t *ret_count) MUST_USE;
