/*
 * Where links come from. Sixteen bytes a link, for as long as the project lives: the two ids, of 31 bits each, seconds
 * since 2020 in 31 bits (until 2088), and the kind in the three bits that are left; and the name of the event.
 *
 * Two things that were noted of an id follow from the sources in their order, and need no place in catalogs: that
 * $identify attached it, and whose alias it is. A split forgets both of those who leave.
 */
#include "store/ids_int.h"

#define NUMBER_BITS 31
#define NUMBER_MASK (((uint32_t)1 << NUMBER_BITS) - 1)
#define YEAR_2020_S 1577836800LL

enum status id_sparse_set(struct cow32 *array, uint32_t index, uint32_t value)
{
    if (index >= array->count) {
        if (!value) return STATUS_OK;
        TRY(cow32_extend(array, index + 1 - array->count, 0, 0));
    }
    return cow32_set(array, index, value);
}

enum status id_source_note(struct id_graph *graph, const struct id_source *source)
{
    switch (source->kind) {
    case ID_LINK_IDENTIFY:
        if (source->a) bit_set(graph->attached, source->a);
        return STATUS_OK;
    case ID_LINK_ALIAS: return source->a ? id_sparse_set(&graph->alias, source->a, source->b) : STATUS_OK;
    case ID_LINK_NAME: return source->a ? id_sparse_set(&graph->alias, source->a, source->b | NAME_BIT) : STATUS_OK;
    case ID_LINK_SPLIT:
        if (!source->a) return STATUS_OK;
        graph->attached[source->a / 64] &= ~((uint64_t)1 << (source->a % 64));
        return id_sparse_set(&graph->alias, source->a, 0);
    default: return STATUS_OK;
    }
}

enum status id_source_push(struct id_graph *graph, const struct id_source *source)
{
    int64_t seconds = source->time_ms / 1000 - YEAR_2020_S;
    uint32_t time = seconds <= 0 ? 0 : seconds > NUMBER_MASK ? NUMBER_MASK : (uint32_t)seconds;
    uint32_t kind = source->kind;
    TRY(cow32_push(&graph->left, source->a | (kind & 1) << NUMBER_BITS));
    TRY(cow32_push(&graph->right, source->b | (kind >> 1 & 1) << NUMBER_BITS));
    TRY(cow32_push(&graph->made, time | (kind >> 2) << NUMBER_BITS));
    TRY(cow32_push(&graph->named, source->kind == ID_LINK_EVENT ? source->event : 0));
    return id_source_note(graph, source);
}

struct id_source id_source_at(const struct cow32 *left, const struct cow32 *right, const struct cow32 *made,
                              uint32_t link)
{
    uint32_t a = cow32_get(left, link), b = cow32_get(right, link), time = cow32_get(made, link);
    struct id_source source = {.kind = a >> NUMBER_BITS | (b >> NUMBER_BITS) << 1 | (time >> NUMBER_BITS) << 2,
                               .a = a & NUMBER_MASK,
                               .b = b & NUMBER_MASK};
    if (time & NUMBER_MASK) source.time_ms = (YEAR_2020_S + (time & NUMBER_MASK)) * 1000;
    return source;
}

bool id_graph_is_attached(const struct id_graph *graph, uint32_t id)
{
    return id && bit_is_set(graph->attached, id);
}

static uint32_t alias_at(const struct id_graph *graph, uint32_t id)
{
    return id < graph->alias.count ? cow32_get(&graph->alias, id) : 0;
}

uint32_t id_graph_alias_of(const struct id_graph *graph, uint32_t alias)
{
    uint32_t found = alias_at(graph, alias);
    return found & NAME_BIT ? 0 : found;
}

uint32_t id_graph_stands_for(const struct id_graph *graph, uint32_t id)
{
    uint32_t found = alias_at(graph, id);
    return found & NAME_BIT ? found & ~NAME_BIT : 0;
}

enum status id_graph_name(struct id_graph *graph, uint32_t id, uint32_t target, int64_t time_ms)
{
    if (id_graph_stands_for(graph, id) == target) return STATUS_OK;
    struct id_source source = {target ? ID_LINK_NAME : ID_LINK_SPLIT, id, target, time_ms, 0};
    return id_torn_unless(graph, id_log_link(graph, (struct link){0}, &source));
}
