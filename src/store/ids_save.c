#include "store/ids_int.h"

#include "store/catalog.h"

struct id_mark id_graph_mark(const struct id_graph *graph)
{
    return (struct id_mark){graph->count, graph->moved.count, graph->forgotten_count};
}

bool id_graph_forgot_texts(const struct id_graph *graph)
{
    return graph->forgot_texts;
}

/* Entries of one kind, cut into blocks. */
struct range {
    struct catalog_out *out;
    uint64_t project, first, count;
    enum catalog_kind kind;
    size_t begin;
};

static void range_begin(struct range *range, uint64_t first)
{
    range->first = first;
    range->count = 0;
    range->begin = range->out->bytes.size;
    catalog_begin(range->out, range->project, range->kind, first);
}

static void range_end(const struct range *range)
{
    catalog_end(range->out, range->count);
}

/* Before an entry of at most `bytes` is written. True when it is the first of a block. */
static bool range_entry(struct range *range, uint64_t number, size_t bytes)
{
    bool full = range->count && range->out->bytes.size - range->begin + bytes > CATALOG_BLOCK_BYTES;
    if (full) {
        range_end(range);
        range_begin(range, number);
    }
    range->count++;
    return full;
}

static void save_texts(const struct id_graph *graph, uint32_t from, struct range range)
{
    struct id_form forgotten;
    id_form_make(STR(""), &forgotten);
    range.kind = CATALOG_IDS;
    range_begin(&range, (uint64_t)from + 1);
    for (uint32_t id = from + 1; id <= graph->count; id++) {
        const char *form = forgotten.head;
        if (id_graph_person(graph, id)) form = form_at(graph->texts->pages, graph->texts->pieces, id);
        size_t size = id_form_size_at(form);
        range_entry(&range, id, size);
        buf_add(&range.out->bytes, form, size);
    }
    range_end(&range);
}

/* Of links that were saved before, what is left is who was taken away, by whom, and what that one is shown as now. The
 * others changed only that. */
static struct link link_at(const struct id_graph *graph, uint32_t number)
{
    if (number >= graph->first_link) return graph->links[number - graph->first_link];
    struct link link = {.moved = cow32_get(&graph->moved, number)};
    if (!link.moved) return link;
    link.survivor = graph->weight[link.moved];
    if (link.survivor & SPLIT_BIT) {
        uint32_t left = id_source_at(&graph->left, &graph->right, &graph->made, number).a;
        link.survivor =
            left ? id_number_after(graph, link.moved, left) : graph->splits[link.survivor & ~SPLIT_BIT].rest;
    }
    link.shown = cow32_get(&graph->shown, link.survivor);
    return link;
}

static void save_links(const struct id_graph *graph, uint32_t from, struct range range)
{
    range.kind = CATALOG_LINKS;
    range_begin(&range, from);
    for (uint32_t i = from; i < graph->moved.count; i++) {
        struct link link = link_at(graph, i);
        range_entry(&range, i, (size_t)3 * VARINT_BYTES_MAX);
        buf_varint(&range.out->bytes, link.survivor);
        buf_varint(&range.out->bytes, link.moved);
        buf_varint(&range.out->bytes, link.shown);
    }
    range_end(&range);
}

static void save_sources(const struct id_graph *graph, uint32_t from, struct range range)
{
    range.kind = CATALOG_SOURCES;
    range_begin(&range, from);
    for (uint32_t i = from; i < graph->moved.count; i++) {
        struct id_source source = id_source_at(&graph->left, &graph->right, &graph->made, i);
        range_entry(&range, i, (size_t)5 * VARINT_BYTES_MAX);
        buf_varint(&range.out->bytes, source.kind);
        buf_varint(&range.out->bytes, source.a);
        buf_varint(&range.out->bytes, source.b);
        buf_varint(&range.out->bytes, (uint64_t)source.time_ms / 1000);
        buf_varint(&range.out->bytes, cow32_get(&graph->named, i));
    }
    range_end(&range);
}

static void save_weight(const struct id_graph *graph, uint32_t person, struct range *range, uint32_t *last)
{
    if (!range->count && !*last) range_begin(range, person);
    if (range_entry(range, person, (size_t)2 * VARINT_BYTES_MAX) || !*last) *last = person;
    buf_varint(&range->out->bytes, person - *last);
    buf_varint(&range->out->bytes, graph->weight[person]);
    *last = person;
}

static void save_weights(struct id_graph *graph, bool all, struct range range)
{
    uint32_t last = 0;
    size_t words = graph->array_capacity / 64;
    range.kind = CATALOG_WEIGHTS;
    /* Who was touched may have been taken away since: then whoever has it now weighs something else. */
    for (size_t w = 0; w < words; w++) {
        for (uint64_t bits = graph->touched[w]; bits; bits &= bits - 1) {
            uint32_t id = (uint32_t)(w * 64) + (uint32_t)__builtin_ctzll(bits), person = id_graph_person(graph, id);
            if (person == id) continue;
            graph->touched[w] &= ~((uint64_t)1 << (id % 64));
            if (person) bit_set(graph->touched, person);
        }
    }
    if (all) {
        for (uint32_t id = 1; id <= graph->count; id++)
            if (graph->weight[id] && id_graph_person(graph, id) == id) save_weight(graph, id, &range, &last);
    } else {
        for (size_t w = 0; w < words; w++) {
            for (uint64_t bits = graph->touched[w]; bits; bits &= bits - 1)
                save_weight(graph, (uint32_t)(w * 64) + (uint32_t)__builtin_ctzll(bits), &range, &last);
        }
    }
    if (last) range_end(&range);
    for (size_t w = 0; w < words; w++) {
        graph->saving[w] = graph->touched[w];
        graph->touched[w] = 0;
    }
}

void id_graph_save(struct id_graph *graph, struct id_mark from, uint64_t project, struct catalog_out *out)
{
    struct range range = {.out = out, .project = project};
    save_texts(graph, from.ids, range);
    save_links(graph, from.links, range);
    save_weights(graph, from.ids == 0 && from.links == 0, range);
    range.kind = CATALOG_FORGOTTEN;
    range_begin(&range, from.forgotten);
    for (uint32_t i = from.forgotten; i < graph->forgotten_count; i++) {
        range_entry(&range, i, VARINT_BYTES_MAX);
        buf_varint(&out->bytes, graph->forgotten[i]);
    }
    range_end(&range);
    save_sources(graph, from.links, range);
}

void id_graph_saved(struct id_graph *graph, struct id_mark mark)
{
    for (size_t w = 0; w < graph->array_capacity / 64; w++) graph->saving[w] = 0;
    if (mark.links <= graph->first_link) return;
    uint32_t left = graph->moved.count - mark.links;
    if (left) memmove(graph->links, graph->links + (mark.links - graph->first_link), left * sizeof *graph->links);
    graph->first_link = mark.links;
}

void id_graph_not_saved(struct id_graph *graph)
{
    for (size_t w = 0; w < graph->array_capacity / 64; w++) {
        graph->touched[w] |= graph->saving[w];
        graph->saving[w] = 0;
    }
}
