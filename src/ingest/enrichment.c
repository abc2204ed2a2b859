#include "ingest/enrichment.h"

static enum status add_text(struct arena *arena, struct enrichment_value *values, size_t *count, const char *name,
                            struct str text)
{
    if (text.size == 0) return STATUS_OK;
    struct str copy = arena_str(arena, text);
    if (!copy.data) return STATUS_LIMIT;
    values[(*count)++] = (struct enrichment_value){str_of(name), {.type = JSON_STRING, .string = copy}};
    return STATUS_OK;
}

static enum status find_place(struct geo *geo, struct arena *arena, struct str address,
                              struct enrichment_value values[ENRICHMENT_PLACE_MAX], size_t *ret_count)
{
    struct geo_place place;
    *ret_count = 0;
    if (!geo_find(geo, address, &place)) return STATUS_OK;
    TRY(add_text(arena, values, ret_count, "$city", str_of(place.city)));
    TRY(add_text(arena, values, ret_count, "$region", str_of(place.region)));
    return add_text(arena, values, ret_count, "mp_country_code", str_of(place.country));
}

static enum status find_agent(const struct enrichment_sources *sources, struct arena *arena, struct str user_agent,
                              struct enrichment *enrichment)
{
    struct agent agent = agents_find(sources->agents, user_agent);
    struct enrichment_value *values = enrichment->agent;
    size_t *count = &enrichment->agent_count;
    if (agent.bot && sources->bots != ENRICHMENT_BOTS_KEEP) {
        enrichment->drop = sources->bots == ENRICHMENT_BOTS_DROP;
        values[(*count)++] = (struct enrichment_value){STR("$is_bot"), {.type = JSON_BOOL, .boolean = true}};
    }
    TRY(add_text(arena, values, count, "$browser", agent.browser));
    if (agent.browser.size && agent.browser_version > 0)
        values[(*count)++] =
            (struct enrichment_value){STR("$browser_version"), {.type = JSON_DOUBLE, .number = agent.browser_version}};
    TRY(add_text(arena, values, count, "$os", agent.system));
    return add_text(arena, values, count, "$device", agent.device);
}

enum status enrichment_of_request(struct arena *arena, const struct enrichment_sources *sources, struct str address,
                                  struct str user_agent, struct enrichment *ret_enrichment)
{
    *ret_enrichment = (struct enrichment){.geo = sources->geo};
    TRY(find_place(sources->geo, arena, address, ret_enrichment->place, &ret_enrichment->place_count));
    if (!sources->agents || user_agent.size == 0) return STATUS_OK;
    return find_agent(sources, arena, user_agent, ret_enrichment);
}

enum status enrichment_place(const struct enrichment *enrichment, struct arena *arena, const struct json *ip,
                             struct enrichment_value ret_values[ENRICHMENT_PLACE_MAX], size_t *ret_count)
{
    if (!ip || ip->type == JSON_NULL) {
        memcpy(ret_values, enrichment->place, sizeof enrichment->place);
        *ret_count = enrichment->place_count;
        return STATUS_OK;
    }
    struct str address = ip->type == JSON_STRING ? str_trim(ip->string) : STR_NULL;
    return find_place(enrichment->geo, arena, address, ret_values, ret_count);
}
