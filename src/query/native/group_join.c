/*
 * Which properties of profiles are read is found by compiling the plan's expressions once more: the compiler asks each
 * join for its columns. Then these are loaded, as for user[…] (profile_join.h), but by the numbers that the shadow's
 * ids have there: a group's id is looked up among them once for every distinct value of the event property.
 */
#include "query/native/group_join.h"

#include "expr/join.h"
#include "query/native/profile_join.h"

#include <stdlib.h>

#define KEY_BYTES_MAX 4096 /* longer ones are no group's: ids are shorter */

struct group_join {
    struct expr_join base;
    struct group_joins *all;
    struct str event;
    struct profile_join *profiles;
};

struct group_joins {
    struct arena *arena; /* of expressions while looking for columns; lists */
    struct snapshot *shadow;
    struct group_join *groups;
    size_t group_count;
    const struct expr_join **joins; /* those of the plan, and these */
    bool loaded;
    enum status status; /* of noting columns */
};

static uint32_t column(const struct expr_join *base, struct str name)
{
    const struct group_join *group = (const struct group_join *)base;
    if (!group->all->loaded && profile_join_want_name(group->profiles, name) != STATUS_OK)
        group->all->status = STATUS_LIMIT;
    for (uint32_t c = 0; c < group->profiles->count; c++) {
        if (str_eq(group->profiles->columns[c]->name, name)) return c;
    }
    return EXPR_NO_COLUMN;
}

static struct value value(const struct expr_join *base, uint32_t number, const struct value *key)
{
    const struct group_join *group = (const struct group_join *)base;
    const struct joined_column *from = group->profiles->columns[number];
    struct buf text = BUF_INIT(KEY_BYTES_MAX);
    struct value found = value_absent();
    if (from->value_count == 1) return found;
    value_write_label(&text, *key);
    uint32_t id = buf_status(&text) == STATUS_OK ? snapshot_id(group->all->shadow, buf_str(&text)) : 0;
    if (id) found = from->values[joined_code(from, id)];
    buf_fini(&text);
    return found;
}

static enum status out_of_memory(const struct plan_limits *limits, struct error *error)
{
    error_set(error, STATUS_LIMIT, "the profiles of groups need more than %zu bytes of memory",
              limits->memory_bytes_max);
    error_hint(error, "use fewer properties of group[…], or raise query.memory_max");
    return STATUS_LIMIT;
}

/* A join for each group key. */
static enum status list_groups(struct group_joins *joins, const struct plan *plan, const struct plan_limits *limits,
                               struct error *error)
{
    uint32_t events = snapshot_event_count(joins->shadow);
    for (uint32_t i = 0; i < events; i++)
        joins->group_count += store_profiles_group_key(snapshot_event_name(joins->shadow, i)).data != NULL;
    joins->groups = arena_new_array(joins->arena, struct group_join, joins->group_count + 1);
    struct profile_join *profiles = arena_new_array(joins->arena, struct profile_join, joins->group_count + 1);
    joins->joins = arena_new_array(joins->arena, const struct expr_join *, joins->group_count + plan->join_count + 1);
    if (!joins->groups || !profiles || !joins->joins) {
        joins->group_count = 0;
        return out_of_memory(limits, error);
    }
    for (size_t i = 0; i < plan->join_count; i++) joins->joins[i] = plan->joins[i];
    size_t group_count = 0;
    for (uint32_t i = 0; i < events; i++) {
        struct str name = snapshot_event_name(joins->shadow, i), key = store_profiles_group_key(name);
        if (!key.data) continue;
        struct group_join *group = &joins->groups[group_count];
        *group = (struct group_join){
            .base = {.property = key, .column = column, .value = value}, .all = joins, .event = name};
        group->profiles = &profiles[group_count];
        profile_join_init(group->profiles, limits->memory_bytes_max / 2);
        joins->joins[plan->join_count + group_count++] = &group->base;
    }
    return STATUS_OK;
}

static enum status load(struct group_joins *joins, struct plan *plan, const struct str *texts, size_t text_count,
                        const struct plan_limits *limits, struct error *error)
{
    size_t left = limits->memory_bytes_max / 2;
    TRY(list_groups(joins, plan, limits, error));
    plan->joins = joins->joins;
    plan->join_count += joins->group_count;
    struct expr_options options = {.zone = plan->zone,
                                   .now_ms = plan->now_ms,
                                   .bare_name_is_property = true,
                                   .joins = plan->joins,
                                   .join_count = plan->join_count};
    for (size_t i = 0; i < text_count; i++) {
        const struct expr *expr;
        if (texts[i].data) (void)!expr_compile(joins->arena, texts[i], &options, NULL, &expr);
    }
    if (joins->status != STATUS_OK) return out_of_memory(limits, error);
    for (size_t i = 0; i < joins->group_count; i++) {
        struct group_join *group = &joins->groups[i];
        group->profiles->bytes_max = left;
        TRY(profile_join_load_rows(group->profiles, joins->shadow, group->event, limits, error));
        size_t taken = group->profiles->code_bytes + arena_used(group->profiles->arena);
        left = taken < left ? left - taken : 0;
    }
    joins->loaded = true;
    return STATUS_OK;
}

enum status group_joins_of(struct store *store, struct plan *plan, const struct str *texts, size_t text_count,
                           const struct plan_limits *limits, struct error *error, struct group_joins **ret_joins)
{
    struct snapshot *shadow;
    bool groups = false, any = false;
    *ret_joins = NULL;
    for (size_t i = 0; i < text_count; i++) any |= texts[i].data != NULL;
    if (!any) return STATUS_OK;
    plan_reads_profiles(limits); /* also of whether there are any */
    TRY(store_snapshot(store, store_profiles_of(plan->project), error, &shadow));
    for (uint32_t i = 0; i < snapshot_event_count(shadow) && !groups; i++)
        groups = store_profiles_group_key(snapshot_event_name(shadow, i)).data != NULL;
    if (!groups) {
        snapshot_free(shadow);
        return STATUS_OK;
    }
    struct group_joins *joins = calloc(1, sizeof *joins);
    if (!joins) {
        snapshot_free(shadow);
        return out_of_memory(limits, error);
    }
    joins->shadow = shadow;
    joins->arena = arena_new(limits->memory_bytes_max);
    const struct plan before = *plan;
    enum status status = load(joins, plan, texts, text_count, limits, error);
    if (status != STATUS_OK) {
        *plan = before;
        group_joins_free(joins);
        return status;
    }
    *ret_joins = joins;
    return STATUS_OK;
}

enum status group_joins_new(struct store *store, struct plan *plan, const struct plan_limits *limits,
                            struct error *error, struct group_joins **ret_joins)
{
    const struct str texts[] = {plan->where, plan->on, plan->by, plan->of, plan->retention.born_where};
    return group_joins_of(store, plan, texts, sizeof texts / sizeof *texts, limits, error, ret_joins);
}

void group_joins_free(struct group_joins *joins)
{
    if (!joins) return;
    for (size_t i = 0; i < joins->group_count; i++) profile_join_fini(joins->groups[i].profiles);
    snapshot_free(joins->shadow);
    arena_free(joins->arena);
    free(joins);
}
