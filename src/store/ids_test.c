/* The id graph against a naive model: an array of cluster numbers that is rewritten whole with every link. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/hash.h"
#include "store/ids.h"

#include <stdio.h>
#include <stdlib.h>

#define IDS 6000

struct model {
    uint32_t count;
    uint32_t cluster[IDS + 1], shown[IDS + 1]; /* shown: by cluster */
};

static void text_of(char out[40], uint32_t id)
{
    snprintf(out, 40, id % 3 ? "$device:%u" : "user-%u", id);
}

static void compare(const struct id_graph *graph, const struct model *model)
{
    static uint32_t person[IDS + 1], members[IDS + 1];
    memset(person, 0, sizeof person);
    memset(members, 0, sizeof members);
    assert_int_equal(id_graph_count(graph), model->count);
    for (uint32_t id = 1; id <= model->count; id++) {
        uint32_t cluster = model->cluster[id], p = id_graph_person(graph, id);
        if (!person[cluster]) person[cluster] = p;
        assert_int_equal(person[cluster], p);         /* one number for the whole cluster */
        assert_int_equal(model->cluster[p], cluster); /* that of a member */
        assert_int_equal(id_graph_shown(graph, p), model->shown[cluster]);
        members[cluster]++;
    }
    for (uint32_t id = 1; id <= model->count; id += 37) {
        uint32_t steps = 0, at = id;
        do {
            assert_int_equal(model->cluster[at], model->cluster[id]);
            at = id_graph_next_member(graph, at);
            steps++;
        } while (at != id && steps <= IDS);
        assert_int_equal(steps, members[model->cluster[id]]);
        assert_int_equal(id_graph_members(graph, id_graph_person(graph, id)), steps);
    }
    assert_int_equal(id_graph_person(graph, 0), 0);
}

static void model_link(struct model *model, uint32_t a, uint32_t b, uint32_t shown)
{
    uint32_t from = model->cluster[b], to = model->cluster[a];
    for (uint32_t id = 1; id <= model->count; id++) {
        if (model->cluster[id] == from) model->cluster[id] = to;
    }
    model->shown[to] = shown;
}

static uint32_t add(struct id_graph *graph, struct model *model)
{
    char text[40];
    uint32_t id = ++model->count, got;
    text_of(text, id);
    model->cluster[id] = model->shown[id] = id;
    assert_int_equal(id_graph_find(graph, str_of(text)), 0);
    assert_int_equal(id_graph_intern(graph, str_of(text), &got), STATUS_OK);
    assert_int_equal(got, id);
    assert_int_equal(id_graph_intern(graph, str_of(text), &got), STATUS_OK);
    assert_int_equal(got, id);
    assert_true(str_eq(id_graph_text(graph, id), str_of(text)));
    return id;
}

/* Links, rows and new ids at random; the numbers under which rows may be stored are those that the person has had. */
static void random_graphs(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 6; seed++) {
        struct id_graph *graph = id_graph_new();
        struct model *model = calloc(1, sizeof *model);
        /* the persons every id has had, as a set of pairs in a bitmap of the last few */
        static uint32_t had[IDS + 1][ID_HISTORY_MAX];
        static uint8_t had_count[IDS + 1];
        memset(had_count, 0, sizeof had_count);
        for (uint32_t step = 0; step < 3000; step++) {
            uint64_t r = hash_u64(step, seed);
            if (model->count < 3 || r % 3 == 0) {
                uint32_t id = add(graph, model);
                had[id][had_count[id]++] = id;
            } else if (r % 3 == 1) {
                id_graph_add_rows(graph, 1 + (uint32_t)(r / 8 % model->count), (uint32_t)(r / 65536 % 100));
            } else {
                uint32_t a = 1 + (uint32_t)(r / 8 % model->count), b = 1 + (uint32_t)(r / 65536 % model->count);
                uint32_t shown = r & 4 ? a : b;
                assert_int_equal(id_graph_link(graph, a, b, shown), STATUS_OK);
                model_link(model, a, b, shown);
                uint32_t person = id_graph_person(graph, a), at = a;
                do {
                    if (had[at][had_count[at] - 1] != person) {
                        assert_true(had_count[at] < ID_HISTORY_MAX);
                        had[at][had_count[at]++] = person;
                    }
                    at = id_graph_next_member(graph, at);
                } while (at != a);
            }
            if (step % 500 == 499) compare(graph, model);
        }
        for (uint32_t id = 1; id <= model->count; id++) {
            uint32_t history[ID_HISTORY_MAX];
            size_t count = id_graph_history(graph, id, history);
            assert_int_equal(history[0], id_graph_person(graph, id));
            for (uint32_t h = 0; h < had_count[id]; h++) {
                bool found = false;
                for (size_t i = 0; i < count; i++) found |= history[i] == had[id][h];
                assert_true(found);
            }
            assert_true(count <= 20); /* logarithmic */
        }
        uint32_t nobody[ID_HISTORY_MAX];
        assert_int_equal(id_graph_history(graph, 0, nobody), 1);
        assert_int_equal(nobody[0], 0);
        free(model);
        id_graph_free(graph);
    }
}

/* The number that has rows stays, because rows are stored under it. */
static void the_heavier_number_survives(void **state)
{
    (void)state;
    struct id_graph *graph = id_graph_new();
    uint32_t device, user;
    assert_int_equal(id_graph_intern(graph, STR("user"), &user), STATUS_OK);
    assert_int_equal(id_graph_intern(graph, STR("$device:1"), &device), STATUS_OK);
    id_graph_add_rows(graph, device, 3);
    assert_int_equal(id_graph_link(graph, device, user, user), STATUS_OK);
    assert_int_equal(id_graph_person(graph, user), device);
    assert_int_equal(id_graph_shown(graph, device), user);
    id_graph_free(graph);
}

static void pieces_restore_the_graph(void **state)
{
    (void)state;
    struct id_graph *graph = id_graph_new(), *copy = id_graph_new();
    struct model *model = calloc(1, sizeof *model);
    struct buf pieces = BUF_INIT(1 << 22);
    struct id_mark mark = id_graph_mark(graph);
    for (uint32_t step = 0; step < 2000; step++) {
        uint64_t r = hash_u64(step, 99);
        if (model->count < 3 || r % 2 == 0) {
            add(graph, model);
        } else {
            uint32_t a = 1 + (uint32_t)(r / 8 % model->count), b = 1 + (uint32_t)(r / 65536 % model->count);
            id_graph_add_rows(graph, a, 1);
            assert_int_equal(id_graph_link(graph, a, b, a), STATUS_OK);
            model_link(model, a, b, a);
        }
        if (step % 150 == 0) {
            id_graph_export(graph, mark, &pieces);
            mark = id_graph_mark(graph);
        }
    }
    id_graph_export(graph, mark, &pieces);
    struct reader reader = reader_of(buf_str(&pieces));
    while (reader_left(&reader)) assert_int_equal(id_graph_import(copy, &reader), STATUS_OK);
    compare(copy, model);
    for (uint32_t id = 1; id <= model->count; id++) {
        uint32_t one[ID_HISTORY_MAX], two[ID_HISTORY_MAX];
        size_t count = id_graph_history(graph, id, one);
        assert_int_equal(id_graph_person(copy, id), id_graph_person(graph, id)); /* the very numbers */
        assert_int_equal(id_graph_history(copy, id, two), count);
        assert_memory_equal(one, two, count * sizeof *one);
    }
    /* what is linked next turns out alike */
    for (uint32_t i = 0; i < 50; i++) {
        uint32_t a = 1 + (uint32_t)(hash_u64(i, 3) % model->count), b = 1 + (uint32_t)(hash_u64(i, 4) % model->count);
        assert_int_equal(id_graph_link(graph, a, b, a), STATUS_OK);
        assert_int_equal(id_graph_link(copy, a, b, a), STATUS_OK);
        assert_int_equal(id_graph_person(copy, b), id_graph_person(graph, b));
    }
    /* damaged pieces are refused or harmless */
    for (size_t at = 0; at < 3000 && at < pieces.size; at += 3) {
        struct id_graph *other = id_graph_new();
        pieces.data[at] = (char)(pieces.data[at] ^ 0x41);
        reader = reader_of(buf_str(&pieces));
        enum status status = STATUS_OK;
        for (int piece = 0; piece < 3 && reader_left(&reader) && status == STATUS_OK; piece++)
            status = id_graph_import(other, &reader);
        pieces.data[at] = (char)(pieces.data[at] ^ 0x41);
        id_graph_free(other);
    }
    buf_fini(&pieces);
    free(model);
    id_graph_free(graph);
    id_graph_free(copy);
}

/* Each link that moved somebody is in the list of the number that absorbed it, and all of a list is one person. */
static void check_absorbed(const struct id_view *view, uint32_t id_count)
{
    uint32_t links = id_view_link_count(view), met = 0, wanted = 0;
    uint8_t *seen = calloc(links + 1, 1);
    assert_non_null(seen);
    for (uint32_t i = 0; i < links; i++) wanted += id_view_moved(view, i) != 0;
    for (uint32_t person = 1; person <= id_count; person++) {
        uint32_t link, last = UINT32_MAX;
        for (bool any = id_view_absorbed(view, person, &link); any; any = id_view_absorbed_before(view, &link)) {
            assert_true(link < links && link < last && !seen[link]); /* newest first, each once */
            seen[link] = 1;
            last = link;
            met++;
            assert_true(id_view_moved(view, link) != 0 && id_view_moved(view, link) != person);
            assert_int_equal(id_view_person(view, id_view_moved(view, link)), id_view_person(view, person));
        }
    }
    assert_int_equal(met, wanted);
    free(seen);
}

/* Pictures stay as they were while the graph goes on. */
static void views_do_not_change(void **state)
{
    (void)state;
    struct id_graph *graph = id_graph_new();
    struct model *model = calloc(1, sizeof *model), *then = calloc(3, sizeof *then);
    struct id_view *views[3];
    for (uint32_t step = 0; step < 5000; step++) {
        uint64_t r = hash_u64(step, 7);
        if (model->count < 3 || r % 4) {
            add(graph, model);
        } else {
            uint32_t a = 1 + (uint32_t)(r / 8 % model->count), b = 1 + (uint32_t)(r / 65536 % model->count);
            assert_int_equal(id_graph_link(graph, a, b, b), STATUS_OK);
            model_link(model, a, b, b);
        }
        if (step % 1500 == 1000) {
            views[step / 1500] = id_graph_view(graph);
            then[step / 1500] = *model;
        }
    }
    for (size_t v = 0; v < 3; v++) {
        assert_int_equal(id_view_count(views[v]), then[v].count);
        check_absorbed(views[v], then[v].count);
        for (uint32_t id = 1; id <= then[v].count; id++) {
            char text[40];
            text_of(text, id);
            uint32_t person = id_view_person(views[v], id);
            assert_int_equal(then[v].cluster[person], then[v].cluster[id]);
            assert_int_equal(id_view_shown(views[v], person), then[v].shown[then[v].cluster[id]]);
            assert_true(str_eq(id_view_text(views[v], id), str_of(text)));
            assert_int_equal(id_view_find(views[v], str_of(text)), id);
        }
        char later[40];
        text_of(later, then[v].count + 1);
        assert_int_equal(id_view_find(views[v], str_of(later)), 0);
        assert_int_equal(id_view_person(views[v], 0), 0);
        assert_int_equal(id_view_text(views[v], 0).size, 0);
    }
    for (size_t v = 0; v < 3; v++) id_view_unref(views[v]);
    free(model);
    free(then);
    id_graph_free(graph);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_graphs),
        cmocka_unit_test(the_heavier_number_survives),
        cmocka_unit_test(pieces_restore_the_graph),
        cmocka_unit_test(views_do_not_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
