/* Who an id is, against a naive model: an array of cluster numbers, and the list of all links that were made. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/hash.h"
#include "store/cluster.h"
#include "store/version.h"

#include <stdio.h>
#include <stdlib.h>

#define IDS 300

struct model {
    uint32_t cluster[IDS + 1];
    struct made {
        uint32_t a, b;
        int64_t time_ms;
        bool counts; /* both are still together, and were since */
    } made[4 * IDS];
    uint32_t made_count;
};

static struct id_graph *new_graph(uint32_t ids)
{
    struct id_graph *graph = id_graph_new();
    for (uint32_t i = 1; i <= ids; i++) {
        char text[32];
        uint32_t id;
        snprintf(text, sizeof text, "id-%u", i);
        assert_int_equal(id_graph_intern(graph, str_of(text), &id), STATUS_OK);
        assert_int_equal(id, i);
    }
    return graph;
}

static void link_ids(struct id_graph *graph, struct model *model, uint32_t a, uint32_t b, int64_t time_ms)
{
    struct id_source source = {.kind = ID_LINK_EVENT, .a = a, .b = b, .time_ms = time_ms};
    if (model->cluster[a] == model->cluster[b]) return;
    assert_int_equal(id_graph_link(graph, a, b, id_graph_shown(graph, id_graph_person(graph, a)), &source), STATUS_OK);
    uint32_t from = model->cluster[b], to = model->cluster[a];
    for (uint32_t id = 1; id <= IDS; id++)
        if (model->cluster[id] == from) model->cluster[id] = to;
    model->made[model->made_count++] = (struct made){a, b, time_ms, true};
}

static void split(struct id_graph *graph, struct model *model, uint32_t id, int64_t time_ms)
{
    uint32_t stays = 0, shown = id_graph_shown(graph, id_graph_person(graph, id)), fresh = 0;
    for (uint32_t other = 1; other <= IDS; other++) {
        if (other != id && model->cluster[other] == model->cluster[id] && !stays) stays = other;
        if (model->cluster[other] > fresh) fresh = model->cluster[other];
    }
    if (!stays) return;
    if (shown == id) shown = stays;
    if (id_graph_split(graph, &id, 1, shown, time_ms) == STATUS_CONFLICT) return;
    model->cluster[id] = fresh + 1;
    for (uint32_t i = 0; i < model->made_count; i++)
        if (model->made[i].a == id || model->made[i].b == id) model->made[i].counts = false;
}

static void check(struct id_graph *graph, const struct model *model, uint32_t id)
{
    struct snapshot snapshot = {.ids = id_graph_view(graph)};
    struct arena *arena = arena_new((size_t)16 << 20);
    struct error error = ERROR_INIT;
    struct cluster cluster;
    assert_int_equal(snapshot_cluster(&snapshot, id, arena, &error, &cluster), STATUS_OK);
    assert_int_equal(cluster.id, id);
    assert_int_equal(cluster.shown, id_graph_shown(graph, id_graph_person(graph, id)));
    uint32_t at = 0, links = 0;
    for (uint32_t other = 1; other <= IDS; other++) {
        if (model->cluster[other] != model->cluster[id]) continue;
        assert_true(at < cluster.member_count);
        assert_int_equal(cluster.members[at], other);
        /* its first link is the first of those that count */
        uint32_t first = 0;
        while (first < model->made_count &&
               !(model->made[first].counts && (model->made[first].a == other || model->made[first].b == other)))
            first++;
        if (first == model->made_count) {
            assert_int_equal(cluster.joined[at], CLUSTER_NO_LINK);
        } else {
            const struct cluster_link *link = &cluster.links[cluster.joined[at]];
            assert_true(link->a == model->made[first].a && link->b == model->made[first].b);
            assert_int_equal(link->received_ms, model->made[first].time_ms);
            assert_int_equal(link->kind, ID_LINK_EVENT);
        }
        at++;
    }
    assert_int_equal(at, cluster.member_count);
    for (uint32_t i = 0; i < model->made_count; i++)
        links += model->made[i].counts && model->cluster[model->made[i].a] == model->cluster[id];
    assert_int_equal(links, cluster.link_count);
    /* the way leads from the id to the shown one */
    uint32_t here = id;
    for (uint32_t i = 0; i < cluster.path_count; i++) {
        const struct cluster_link *link = &cluster.links[cluster.path[i]];
        assert_true(link->a == here || link->b == here);
        here = link->a == here ? link->b : link->a;
    }
    assert_true(here == cluster.shown || cluster.path_count == 0);
    if (links == cluster.member_count - 1) assert_int_equal(here, cluster.shown); /* nothing of the tree is missing */
    arena_free(arena);
    id_view_unref(snapshot.ids);
}

static void random_lives(uint64_t seed, bool splits)
{
    struct id_graph *graph = new_graph(IDS);
    struct model *model = calloc(1, sizeof *model);
    for (uint32_t id = 1; id <= IDS; id++) model->cluster[id] = id;
    for (uint32_t step = 0; step < 600; step++) {
        uint64_t r = hash_u64(step, seed);
        uint32_t a = 1 + (uint32_t)(r / 64 % IDS), b = 1 + (uint32_t)(r / 65536 % IDS);
        int64_t time_ms = INT64_C(1700000000000) + (int64_t)step * 1000;
        if (r % 8 == 0) id_graph_add_rows(graph, a, (uint32_t)(r >> 40) % 100);
        if (splits && r % 8 == 1)
            split(graph, model, a, time_ms);
        else if (r % 8 < 6)
            link_ids(graph, model, a, b, time_ms);
        if (step % 50 == 49)
            for (uint32_t id = 1; id <= IDS; id += 7) check(graph, model, id);
    }
    free(model);
    id_graph_free(graph);
}

static void random_clusters(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 4; seed++) random_lives(seed, false);
}

static void clusters_that_lost_members(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 6; seed++) random_lives(seed, true);
}

/* One user with very many devices: all of them, in bounded memory or not at all. */
static void very_many(void **state)
{
    (void)state;
    uint32_t ids = 100001;
    struct id_graph *graph = new_graph(ids);
    for (uint32_t id = 2; id <= ids; id++) {
        struct id_source source = {.kind = ID_LINK_EVENT, .a = id, .b = 1, .time_ms = INT64_C(1700000000000)};
        assert_int_equal(id_graph_link(graph, id, 1, 1, &source), STATUS_OK);
    }
    struct snapshot snapshot = {.ids = id_graph_view(graph)};
    struct arena *arena = arena_new((size_t)32 << 20), *small = arena_new((size_t)1 << 20);
    struct error error = ERROR_INIT;
    struct cluster cluster;
    assert_int_equal(snapshot_cluster(&snapshot, ids, arena, &error, &cluster), STATUS_OK);
    assert_int_equal(cluster.member_count, ids);
    assert_int_equal(cluster.path_count, 1);
    assert_true(cluster.links[cluster.path[0]].a == ids && cluster.links[cluster.path[0]].b == 1);
    assert_int_equal(snapshot_cluster(&snapshot, ids, small, &error, &cluster), STATUS_LIMIT);
    arena_free(arena);
    arena_free(small);
    id_view_unref(snapshot.ids);
    id_graph_free(graph);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_clusters),
        cmocka_unit_test(clusters_that_lost_members),
        cmocka_unit_test(very_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
