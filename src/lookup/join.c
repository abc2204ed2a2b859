#include "lookup/lookup.h"

#include <stdlib.h>

#include "base/arena.h"
#include "os/thread.h"

#define TRIES 3 /* to read a version before it is replaced again */

struct join {
    struct expr_join base; /* first */
    struct lookup_joins *owner;
    const struct meta_lookup_table *of; /* in the view */
    struct lookup_table *table;         /* NULL: not read */
    bool asked;
};

struct lookup_joins {
    struct lookup *lookup;
    struct meta *meta;
    struct meta_view *view;
    int64_t project_id;
    struct arena *arena;
    struct os_mutex lock; /* of what is filled when a table is asked for */
    struct join *joins;
    const struct expr_join **list;
    size_t count;
    struct error error; /* the first */
};

/* The version of the view, or the one that has replaced it since. */
static enum status open_table(struct join *join, struct lookup_table **ret_table)
{
    struct lookup_joins *owner = join->owner;
    struct meta_lookup_table now = *join->of;
    struct error error = ERROR_INIT;
    enum status status = STATUS_NOT_FOUND;
    for (int i = 0; i < TRIES && status == STATUS_NOT_FOUND; i++) {
        if (i) status = meta_lookup_table(owner->meta, owner->project_id, join->of->id, owner->arena, &error, &now);
        if (i && status == STATUS_NOT_FOUND) return STATUS_OK; /* deleted: nothing stands there any more */
        if (i && status != STATUS_OK) break;
        status = lookup_open(owner->lookup, &now, &error, ret_table);
    }
    if (status != STATUS_OK && owner->error.status == STATUS_OK) {
        owner->error = error;
        owner->error.status = status == STATUS_NOT_FOUND ? STATUS_CORRUPT : status;
        error_prefix(&owner->error, "lookup table \"" STR_FMT "\"", STR_ARG(join->of->name));
    }
    return status;
}

static uint32_t join_column(const struct expr_join *base, struct str name)
{
    /* Joins belong to lookup_joins_new, where they are not const. */
    struct join *join = (struct join *)(uintptr_t)base;
    uint32_t column = EXPR_NO_COLUMN;
    os_mutex_lock(&join->owner->lock);
    if (!join->asked && join->of->file.size) {
        enum status status = open_table(join, &join->table);
        (void)status; /* kept for lookup_joins_status */
    }
    join->asked = true;
    if (join->table) column = lookup_table_column(join->table, name);
    os_mutex_unlock(&join->owner->lock);
    return column;
}

static struct value join_value(const struct expr_join *base, uint32_t column, const struct value *key)
{
    const struct join *join = (const struct join *)base;
    if (key->type == VALUE_STRING) return lookup_table_value(join->table, value_text(*key), column);
    if (key->type == VALUE_BOOL)
        return lookup_table_value(join->table, key->boolean ? STR("true") : STR("false"), column);
    struct buf text = BUF_INIT((size_t)1 << 20);
    value_write_label(&text, *key);
    struct value value = lookup_table_value(join->table, buf_str(&text), column);
    buf_fini(&text);
    return value;
}

enum status lookup_joins_new(struct lookup *lookup, struct meta_view *view, int64_t project_id, struct error *error,
                             struct lookup_joins **ret_joins)
{
    size_t tables, properties = 0;
    const struct meta_lookup_table *all = meta_view_lookups(view, project_id, &tables);
    for (size_t i = 0; i < tables; i++) properties += all[i].property_count;
    struct lookup_joins *joins = calloc(1, sizeof *joins);
    struct join *items = calloc(properties + 1, sizeof *items);
    const struct expr_join **list = calloc(properties + 1, sizeof *list);
    if (!joins || !items || !list) {
        free(joins);
        free(items);
        free(list);
        return error_set(error, STATUS_LIMIT, "out of memory for lookup tables");
    }
    *joins = (struct lookup_joins){.lookup = lookup,
                                   .meta = lookup_meta(lookup),
                                   .view = meta_view_ref(view),
                                   .project_id = project_id,
                                   .arena = arena_new((size_t)64 << 20),
                                   .joins = items,
                                   .list = list};
    os_mutex_init(&joins->lock, "lookup joins");
    for (size_t i = 0; i < tables; i++) {
        for (size_t p = 0; p < all[i].property_count; p++) {
            struct join *join = &items[joins->count];
            *join =
                (struct join){.base = {all[i].properties[p], join_column, join_value}, .owner = joins, .of = &all[i]};
            list[joins->count++] = &join->base;
        }
    }
    *ret_joins = joins;
    return STATUS_OK;
}

const struct expr_join *const *lookup_joins_list(const struct lookup_joins *joins, size_t *ret_count)
{
    *ret_count = joins->count;
    return joins->list;
}

enum status lookup_joins_status(struct lookup_joins *joins, struct error *error)
{
    os_mutex_lock(&joins->lock);
    if (joins->error.status != STATUS_OK && error) *error = joins->error;
    enum status status = joins->error.status;
    os_mutex_unlock(&joins->lock);
    return status;
}

void lookup_joins_free(struct lookup_joins *joins)
{
    if (!joins) return;
    for (size_t i = 0; i < joins->count; i++) lookup_close(joins->lookup, joins->joins[i].table);
    os_mutex_destroy(&joins->lock);
    meta_view_unref(joins->view);
    arena_free(joins->arena);
    free(joins->joins);
    free(joins->list);
    free(joins);
}
