/*
 * Taking ids out of clusters: see the essay in ids.c. Everything here takes time by the size of the cluster, which is
 * what marking its numbers costs; it is somebody's decision each time, not a client's.
 */
#include "store/ids_int.h"

#include <assert.h>
#include <stdlib.h>

/* Bare numbers are those that splits gave out, in ascending order; their texts need not be looked at. */
bool id_graph_is_bare(const struct id_graph *graph, uint32_t id)
{
    uint32_t from = 0, to = graph->split_count;
    while (from < to) {
        uint32_t middle = from + (to - from) / 2;
        if (graph->splits[middle].rest <= id)
            from = middle + 1;
        else
            to = middle;
    }
    if (!from || !id_graph_person(graph, id)) return false;
    return id - graph->splits[from - 1].rest <= graph->splits[from - 1].count;
}

bool id_graph_is_mixed(const struct id_graph *graph, uint32_t number)
{
    return mixed_has(&graph->mixed, number);
}

uint32_t id_graph_members_up_to(const struct id_graph *graph, uint32_t person, uint32_t most)
{
    if (!person) return 0;
    uint32_t members = 0, id = person;
    do {
        members += !id_graph_is_bare(graph, id);
        id = graph->next[id];
    } while (id != person && members < most);
    return members;
}

uint32_t id_graph_members(const struct id_graph *graph, uint32_t person)
{
    return id_graph_members_up_to(graph, person, UINT32_MAX);
}

bool id_graph_is_alone(const struct id_graph *graph, uint32_t id)
{
    if (graph->next[id] == id) return true;
    return id_graph_members_up_to(graph, id_graph_person(graph, id), 2) < 2;
}

static int number_cmp(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* Which of the leaving ones it is; `count`: none. */
static uint32_t place_of(const uint32_t *leaving, uint32_t count, uint32_t id)
{
    const uint32_t *found = count ? bsearch(&id, leaving, count, sizeof *leaving, number_cmp) : NULL;
    return found ? (uint32_t)(found - leaving) : count;
}

uint32_t id_number_after(const struct id_graph *graph, uint32_t number, uint32_t id)
{
    if (cow32_get(&graph->person, number) == number) return number;
    uint32_t next = graph->weight[number];
    if (!(next & SPLIT_BIT)) return next;
    const struct split *split = &graph->splits[next & ~SPLIT_BIT];
    uint32_t place = place_of(graph->leavers + split->first, split->count, id);
    return place < split->count ? split->rest + 1 + place : split->rest;
}

static bool grow(void *array, uint32_t *capacity, uint32_t need, size_t element)
{
    void **at = array;
    if (need <= *capacity) return true;
    size_t size = (size_t)need + need / 2 + 16;
    void *grown = size <= UINT32_MAX ? realloc(*at, size * element) : NULL;
    if (!grown) return false;
    *at = grown;
    *capacity = (uint32_t)size;
    return true;
}

/* Counts those who leave and those who stay. */
static bool is_a_split(const struct id_graph *graph, uint32_t number, const uint32_t *leaving, uint32_t count)
{
    uint32_t id = number, left = 0, stay = 0;
    do {
        if (place_of(leaving, count, id) < count)
            left++;
        else
            stay += !id_graph_is_bare(graph, id);
        id = graph->next[id];
    } while (id != number);
    return count && left == count && stay;
}

static void join_circle(struct id_graph *graph, uint32_t at, uint32_t id)
{
    graph->next[id] = graph->next[at];
    graph->next[at] = id;
}

enum status id_split_members(struct id_graph *graph, uint32_t number, uint32_t rest, const uint32_t *leaving,
                             uint32_t count)
{
    if (!is_a_split(graph, number, leaving, count)) return STATUS_INVALID;
    if (count > UINT32_MAX - graph->leaver_count ||
        !grow(&graph->splits, &graph->split_capacity, graph->split_count + 1, sizeof *graph->splits) ||
        !grow(&graph->leavers, &graph->leaver_capacity, graph->leaver_count + count, sizeof *graph->leavers))
        return STATUS_LIMIT;
    memcpy(graph->leavers + graph->leaver_count, leaving, count * sizeof *leaving);
    graph->splits[graph->split_count] = (struct split){number, rest, graph->leaver_count, count};
    uint32_t id = number;
    do {
        uint32_t next = graph->next[id], place = place_of(leaving, count, id);
        uint32_t person = place < count ? rest + 1 + place : rest, word = id / 32;
        uint32_t bits = word < graph->mixed.count ? cow32_get(&graph->mixed, word) : 0;
        TRY(id_sparse_set(&graph->mixed, word, bits | (uint32_t)1 << (id % 32)));
        TRY(cow32_set(&graph->person, id, person));
        join_circle(graph, person, id);
        id = next;
    } while (id != number);
    graph->weight[number] = SPLIT_BIT | graph->split_count++;
    graph->leaver_count += count;
    return STATUS_OK;
}

/* Whether every id of the cluster may get one number more. */
static bool have_room(const struct id_graph *graph, uint32_t number)
{
    uint32_t id = number, history[ID_HISTORY_MAX];
    do {
        if (id_graph_history(graph, id, history) >= ID_HISTORY_SPLIT_MAX) return false;
        id = graph->next[id];
    } while (id != number);
    return true;
}

static enum status log_split(struct id_graph *graph, uint32_t number, uint32_t rest, const uint32_t *leaving,
                             uint32_t count, uint32_t shown, int64_t time_ms)
{
    struct id_source source = {.kind = ID_LINK_SPLIT, .time_ms = time_ms};
    TRY(id_log_link(graph, (struct link){rest, number, shown}, &source));
    for (uint32_t i = 0; i < count; i++) {
        source.a = leaving[i];
        TRY(cow32_set(&graph->shown, rest + 1 + i, leaving[i]));
        TRY(id_log_link(graph, (struct link){rest + 1 + i, number, leaving[i]}, &source));
    }
    return cow32_set(&graph->shown, rest, shown);
}

static enum status split(struct id_graph *graph, const uint32_t *leaving, uint32_t count, uint32_t shown,
                         int64_t time_ms)
{
    uint32_t number = id_graph_person(graph, leaving[0]), rest = graph->count + 1;
    struct id_form bare;
    id_form_make(STR(""), &bare);
    for (uint32_t i = 0; i <= count; i++) {
        uint32_t given;
        TRY(id_append(graph, &bare, &given));
    }
    uint32_t weight = graph->weight[number];
    enum status status = id_split_members(graph, number, rest, leaving, count);
    assert(status != STATUS_INVALID);
    TRY(status);
    graph->weight[rest] = weight;
    bit_set(graph->touched, rest);
    return log_split(graph, number, rest, leaving, count, shown, time_ms);
}

enum status id_graph_split(struct id_graph *graph, const uint32_t *leaving, uint32_t count, uint32_t shown,
                           int64_t time_ms)
{
    assert(count && shown);
    uint32_t number = id_graph_person(graph, leaving[0]);
    if (graph->count >= ID_MAX - count - 1 || !have_room(graph, number)) return STATUS_CONFLICT;
    assert(id_graph_person(graph, shown) == number && place_of(leaving, count, shown) == count);
    return id_torn_unless(graph, split(graph, leaving, count, shown, time_ms));
}
