/* The id graph against a naive model: an array of cluster numbers that is rewritten whole with every link. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/hash.h"
#include "store/catalog.h"
#include "store/ids.h"

#include <stdio.h>
#include <stdlib.h>

#define IDS 6000

struct model {
    uint32_t count;
    uint32_t cluster[IDS + 1], shown[IDS + 1]; /* shown: by cluster */
};

/* Three kinds of ids, of which one is kept as it is. */
static void text_of(char out[48], uint32_t id)
{
    if (id % 3 == 0)
        snprintf(out, 48, "$device:%08x-0a1b-0000-ffff-%012u", id, id);
    else if (id % 3 == 1)
        snprintf(out, 48, "user-%u", id);
    else
        snprintf(out, 48, "%08X-ABCD-0000-0000-%012u", id, id);
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
    char text[48];
    uint32_t id = ++model->count, got;
    text_of(text, id);
    model->cluster[id] = model->shown[id] = id;
    assert_int_equal(id_graph_find(graph, str_of(text)), 0);
    assert_int_equal(id_graph_intern(graph, str_of(text), &got), STATUS_OK);
    assert_int_equal(got, id);
    assert_int_equal(id_graph_intern(graph, str_of(text), &got), STATUS_OK);
    assert_int_equal(got, id);
    char room[ID_TEXT_ROOM];
    assert_true(str_eq(id_graph_text(graph, id, room), str_of(text)));
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
                assert_int_equal(id_graph_link(graph, a, b, shown, NULL), STATUS_OK);
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
    assert_int_equal(id_graph_link(graph, device, user, user, NULL), STATUS_OK);
    assert_int_equal(id_graph_person(graph, user), device);
    assert_int_equal(id_graph_shown(graph, device), user);
    id_graph_free(graph);
}

/* --- saving and loading --- */

#define SAVES 20
struct saves { /* each as if it were a file */
    struct catalog_out outs[SAVES];
    struct catalog_file files[SAVES];
    size_t count;
};

static void save(struct id_graph *graph, struct saves *saves, struct id_mark *mark)
{
    struct catalog_out *out = &saves->outs[saves->count];
    catalog_out_init(out, 1 << 24);
    id_graph_save(graph, *mark, 1, out);
    *mark = id_graph_mark(graph);
    id_graph_saved(graph, *mark);
    assert_int_equal(catalog_out_status(out), STATUS_OK);
    catalog_of_out(out, &saves->files[saves->count++]);
}

static enum status load(struct id_graph *graph, const struct saves *saves, unsigned threads)
{
    struct error error = ERROR_INIT;
    const struct catalog_file *bad;
    size_t count;
    struct catalog_ref *refs = catalog_sorted(saves->files, saves->count, &count);
    enum status status = id_graph_load(graph, refs, count, threads, &error, &bad);
    assert_int_equal(status, error.status);
    free(refs);
    return status;
}

static void saves_fini(struct saves *saves)
{
    for (size_t i = 0; i < saves->count; i++) catalog_out_fini(&saves->outs[i]);
}

static void assert_same(struct id_graph *copy, struct id_graph *graph)
{
    struct id_view *one = id_graph_view(graph), *two = id_graph_view(copy);
    assert_int_equal(id_graph_count(copy), id_graph_count(graph));
    assert_int_equal(id_view_link_count(one), id_view_link_count(two));
    for (uint32_t i = 0; i < id_view_link_count(one); i++)
        assert_int_equal(id_view_moved(one, i), id_view_moved(two, i));
    for (uint32_t id = 1; id <= id_graph_count(graph); id++) {
        uint32_t history[ID_HISTORY_MAX], again[ID_HISTORY_MAX];
        size_t count = id_graph_history(graph, id, history);
        assert_int_equal(id_graph_person(copy, id), id_graph_person(graph, id)); /* the very numbers */
        assert_int_equal(id_graph_history(copy, id, again), count);
        assert_memory_equal(history, again, count * sizeof *history);
        assert_int_equal(id_graph_next_member(copy, id), id_graph_next_member(graph, id));
        uint32_t link, other;
        bool any = id_view_absorbed(one, id, &link);
        assert_int_equal(id_view_absorbed(two, id, &other), any);
        for (; any; any = id_view_absorbed_before(one, &link)) {
            assert_int_equal(link, other);
            bool more = id_view_absorbed_before(two, &other);
            uint32_t next = link;
            assert_int_equal(id_view_absorbed_before(one, &next), more);
        }
        assert_int_equal(id_graph_is_mixed(copy, id), id_graph_is_mixed(graph, id));
        assert_int_equal(id_graph_is_bare(copy, id), id_graph_is_bare(graph, id));
        if (!id_graph_person(graph, id)) continue;
        assert_int_equal(id_graph_is_attached(copy, id), id_graph_is_attached(graph, id));
        assert_int_equal(id_graph_alias_of(copy, id), id_graph_alias_of(graph, id));
        assert_int_equal(id_graph_stands_for(copy, id), id_graph_stands_for(graph, id));
        assert_int_equal(id_graph_members(copy, id_graph_person(copy, id)),
                         id_graph_members(graph, id_graph_person(graph, id)));
        assert_int_equal(id_graph_shown(copy, id_graph_person(copy, id)),
                         id_graph_shown(graph, id_graph_person(graph, id)));
        if (id_graph_is_bare(graph, id)) continue;
        char room[2][ID_TEXT_ROOM];
        struct str text = id_graph_text(graph, id, room[0]);
        assert_true(str_eq(id_graph_text(copy, id, room[1]), text));
        assert_int_equal(id_graph_find(copy, text), id);
    }
    for (uint32_t link = 0; link < id_view_link_count(one); link++) {
        struct id_source x = id_view_source(one, link), y = id_view_source(two, link);
        assert_true(x.kind == y.kind && x.a == y.a && x.b == y.b && x.time_ms == y.time_ms && x.event == y.event);
    }
    id_view_unref(one);
    id_view_unref(two);
}

/* What is linked next turns out alike: so the weights are the same. */
static void assert_goes_on_alike(struct id_graph *copy, struct id_graph *graph)
{
    uint32_t ids = id_graph_count(graph);
    for (uint32_t i = 0; i < 200; i++) {
        uint32_t a = 1 + (uint32_t)(hash_u64(i, 3) % ids), b = 1 + (uint32_t)(hash_u64(i, 4) % ids);
        if (!id_graph_person(graph, a) || !id_graph_person(graph, b) || id_graph_is_bare(graph, a) ||
            id_graph_is_bare(graph, b))
            continue;
        assert_int_equal(id_graph_link(graph, a, b, a, NULL), STATUS_OK);
        assert_int_equal(id_graph_link(copy, a, b, a, NULL), STATUS_OK);
        assert_int_equal(id_graph_person(copy, b), id_graph_person(graph, b));
    }
    assert_same(copy, graph);
}

/* Takes one or all but one out of a cluster, if there are others. */
static void split(struct id_graph *graph, uint32_t from, bool all, uint32_t step)
{
    uint32_t leaving[IDS], count = 0, stays = 0;
    if (id_graph_is_alone(graph, from)) return;
    for (uint32_t id = 1; id <= id_graph_count(graph); id++) {
        bool member = id_graph_person(graph, id) == id_graph_person(graph, from) && !id_graph_is_bare(graph, id);
        if (!member) continue;
        if (all ? id != from : id == from)
            leaving[count++] = id;
        else
            stays = id;
    }
    assert_int_equal(id_graph_split(graph, leaving, count, stays, INT64_C(1700000000000) + step), STATUS_OK);
    for (uint32_t i = 0; i < count; i++) assert_true(id_graph_is_alone(graph, leaving[i]));
}

/* One step of a life: new ids, rows, links, now and then somebody who is forgotten, who is taken out of a cluster, or
 * who has an alias. */
static void live(struct id_graph *graph, uint64_t seed, uint32_t step)
{
    uint64_t r = hash_u64(step, seed);
    uint32_t ids = id_graph_count(graph), id;
    char text[48];
    if (ids < 3 || r % 8 < 3) {
        text_of(text, ids + 1);
        assert_int_equal(id_graph_intern(graph, str_of(text), &id), STATUS_OK);
        return;
    }
    uint32_t a = 1 + (uint32_t)(r / 8 % ids), b = 1 + (uint32_t)(r / 65536 % ids);
    if (!id_graph_person(graph, a) || !id_graph_person(graph, b) || id_graph_is_bare(graph, a) ||
        id_graph_is_bare(graph, b))
        return;
    struct id_source source = {(enum id_link_kind)(r >> 20 & 3), a, b, INT64_C(1600000000000) + step * 1000,
                               (r >> 20 & 3) == ID_LINK_EVENT ? (uint32_t)(r >> 30) & 0xFFFFFF : 0};
    if (r % 8 < 6)
        id_graph_add_rows(graph, a, (uint32_t)(r >> 40) % 50);
    else if (r % 1000 == 7)
        assert_int_equal(id_graph_forget(graph, id_graph_person(graph, a)), STATUS_OK);
    else if (seed % 2 && r % 64 == 14)
        split(graph, a, r & 256, step);
    else if (r % 64 == 6)
        assert_int_equal(id_graph_name(graph, a, a == b ? 0 : b, INT64_C(1650000000000)), STATUS_OK);
    else
        assert_int_equal(id_graph_link(graph, a, b, r & 1024 ? a : b, r & 2048 ? &source : NULL), STATUS_OK);
}

/* However often it is saved, what is loaded is the same graph: from all saves, from one that was made anew, and when
 * some saves did not count. */
static void saves_restore_the_graph(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 8; seed++) {
        struct id_graph *graph = id_graph_new(), *copy = id_graph_new(), *anew = id_graph_new();
        struct saves saves = {.count = 0}, whole = {.count = 0};
        struct id_mark mark = id_graph_mark(graph), none = {0};
        for (uint32_t step = 0; step < 4000; step++) {
            live(graph, seed, step);
            if (step % 300 == 299) save(graph, &saves, &mark);
            if (step % 400 == 350) {
                struct catalog_out lost;
                catalog_out_init(&lost, 1 << 24);
                id_graph_save(graph, mark, 1, &lost);
                live(graph, seed + 100, step);
                id_graph_not_saved(graph);
                catalog_out_fini(&lost);
            }
        }
        save(graph, &saves, &mark);
        save(graph, &whole, &none);
        assert_int_equal(load(copy, &saves, 1), STATUS_OK);
        assert_int_equal(load(anew, &whole, 2), STATUS_OK);
        assert_same(copy, graph);
        assert_same(anew, graph);
        assert_goes_on_alike(copy, graph);
        struct saves second = {.count = 0}; /* and once more from what was loaded */
        struct id_graph *third = id_graph_new();
        mark = (struct id_mark){0};
        save(copy, &second, &mark);
        assert_int_equal(load(third, &second, 1), STATUS_OK);
        assert_same(third, copy);
        id_graph_free(third);
        saves_fini(&second);
        saves_fini(&saves);
        saves_fini(&whole);
        id_graph_free(graph);
        id_graph_free(copy);
        id_graph_free(anew);
    }
}

/* Blocks behind a good checksum whose content is not what a graph writes: refused or harmless. */
static void damaged_blocks(void **state)
{
    (void)state;
    struct id_graph *graph = id_graph_new();
    struct saves saves = {.count = 0};
    struct id_mark mark = id_graph_mark(graph);
    for (uint32_t step = 0; step < 600; step++) {
        live(graph, 5, step);
        if (step % 200 == 199) save(graph, &saves, &mark);
    }
    for (size_t f = 0; f < saves.count; f++) {
        struct catalog_out *out = &saves.outs[f];
        for (size_t b = 0; b < out->count; b++) {
            struct catalog_block *block = &out->blocks[b], good = *block;
            char *bytes = out->bytes.data + block->offset;
            for (size_t at = 0; at < block->size; at++) {
                for (unsigned bit = 0; bit < 8; bit++) {
                    bytes[at] = (char)(bytes[at] ^ 1 << bit);
                    block->check = hash_bytes(bytes, block->size, 0);
                    struct id_graph *other = id_graph_new();
                    enum status status = load(other, &saves, 1);
                    assert_true(status == STATUS_OK || status == STATUS_CORRUPT);
                    for (uint32_t id = 1; id <= id_graph_count(other); id++) {
                        uint32_t history[ID_HISTORY_MAX];
                        (void)id_graph_history(other, id, history);
                        char room[ID_TEXT_ROOM];
                        (void)id_graph_find(other, id_graph_text(other, id, room));
                        assert_true(id_graph_members(other, id) <= id_graph_count(other));
                    }
                    id_graph_free(other);
                    bytes[at] = (char)(bytes[at] ^ 1 << bit);
                    if (at > 40) bit += 3;
                }
                *block = good;
            }
            struct id_graph *other = id_graph_new();
            block->check++;
            assert_int_equal(load(other, &saves, 1), STATUS_CORRUPT);
            *block = good;
            block->first += 1; /* of ids, links and the forgotten a number, of weights an id */
            enum status status = load(other, &saves, 1);
            assert_true(status == STATUS_CORRUPT || block->kind == CATALOG_WEIGHTS);
            *block = good;
            id_graph_free(other);
        }
    }
    saves_fini(&saves);
    id_graph_free(graph);
}

/* So many ids that several threads read them, into pieces of several sizes. */
static void many_ids(void **state)
{
    (void)state;
    struct id_graph *graph = id_graph_new();
    struct saves saves = {.count = 0};
    struct id_mark mark = id_graph_mark(graph);
    char *text = malloc(3u << 20);
    for (uint32_t i = 1; i <= 400000; i++) {
        uint32_t id, size = i % 100000 == 77 ? 3u << 20 : i % 1000 == 5 ? 300 : 30;
        memset(text, 'x', size);
        snprintf(text, 30, "$device:%020u", i);
        if (i % 4 == 2) size = (uint32_t)snprintf(text, 48, "$device:%08x-0000-0000-0000-%012u", i, i);
        assert_int_equal(id_graph_intern(graph, str_from(text, size), &id), STATUS_OK);
        assert_int_equal(id, i);
        if (i % 3 == 0)
            assert_int_equal(id_graph_link(graph, id, 1 + (uint32_t)(hash_u64(i, 1) % i), id, NULL), STATUS_OK);
        if (i % 150000 == 0) save(graph, &saves, &mark);
    }
    save(graph, &saves, &mark);
    for (unsigned threads = 1; threads <= 3; threads += 2) {
        struct id_graph *copy = id_graph_new();
        assert_int_equal(load(copy, &saves, threads), STATUS_OK);
        assert_same(copy, graph);
        uint32_t id;
        assert_int_equal(id_graph_intern(copy, STR("another"), &id), STATUS_OK);
        assert_int_equal(id, 400001);
        assert_int_equal(id_graph_find(copy, STR("another")), id);
        id_graph_free(copy);
    }
    free(text);
    saves_fini(&saves);
    id_graph_free(graph);
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

/* --- splits --- */

#define FEW  60
#define ROWS 4000

struct stored { /* a row: whose it is, and the number and links with which it was sorted */
    uint32_t id, number, links;
};

/* Notes each number under which rows of the person may be stored, and the last link until which. */
static void find_numbers(const struct id_view *view, uint32_t person, uint32_t *links_max)
{
    uint32_t link;
    for (bool any = id_view_absorbed(view, person, &link); any; any = id_view_absorbed_before(view, &link)) {
        uint32_t number = id_view_moved(view, link), known = links_max[number];
        if (!known || known < link + 1) links_max[number] = link + 1;
        if (!known) find_numbers(view, number, links_max);
    }
}

static uint32_t few_id(const struct id_graph *graph, uint32_t index)
{
    char text[48];
    text_of(text, index);
    return id_graph_find(graph, str_of(text));
}

/* Few ids, so that they are linked and split again and again: who belongs together is what the model says, and rows are
 * found whenever they were sorted: under the numbers that their id has had, and under those of their person; where a
 * number is not mixed, it tells whose they are. */
static void splits_part_people(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 6; seed++) {
        struct id_graph *graph = id_graph_new();
        static struct stored rows[ROWS];
        uint32_t cluster[FEW + 1], ids[FEW + 1], row_count = 0, refused = 0;
        for (uint32_t i = 1; i <= FEW; i++) {
            char text[48];
            text_of(text, i);
            assert_int_equal(id_graph_intern(graph, str_of(text), &ids[i]), STATUS_OK);
            cluster[i] = i;
        }
        for (uint32_t step = 0; step < ROWS; step++) {
            uint64_t r = hash_u64(step, seed + 1000);
            uint32_t a = 1 + (uint32_t)(r / 8 % FEW), b = 1 + (uint32_t)(r / 65536 % FEW);
            rows[row_count++] = (struct stored){ids[a], id_graph_person(graph, ids[a]), id_graph_mark(graph).links};
            id_graph_add_rows(graph, ids[a], 1);
            if (r % 8 < 3) {
                assert_int_equal(id_graph_link(graph, ids[a], ids[b], ids[b], NULL), STATUS_OK);
                uint32_t from = cluster[a];
                for (uint32_t i = 1; i <= FEW; i++) cluster[i] = cluster[i] == from ? cluster[b] : cluster[i];
            } else if (r % 8 == 3 && !id_graph_is_alone(graph, ids[a])) {
                uint32_t stays = 0, fresh = 1;
                for (uint32_t i = 1; i <= FEW; i++) stays = i != a && cluster[i] == cluster[a] ? i : stays;
                enum status status = id_graph_split(graph, &ids[a], 1, ids[stays], 0);
                refused += status == STATUS_CONFLICT;
                if (status == STATUS_CONFLICT) continue;
                for (bool used = true; used; fresh += used) {
                    used = false;
                    for (uint32_t i = 1; i <= FEW; i++) used |= i != a && cluster[i] == fresh;
                }
                cluster[a] = fresh;
            }
            if (step % 400 != 399) continue;
            struct id_view *view = id_graph_view(graph);
            uint32_t *links_max = malloc((id_graph_count(graph) + 1) * sizeof *links_max);
            for (uint32_t i = 1; i <= FEW; i++) {
                for (uint32_t k = 1; k < i; k++) {
                    bool same = id_graph_person(graph, ids[i]) == id_graph_person(graph, ids[k]);
                    if (same != (cluster[i] == cluster[k])) fail_msg("seed %u: %u and %u", (unsigned)seed, i, k);
                }
                assert_int_equal(few_id(graph, i), ids[i]);
                assert_int_equal(id_graph_shown(graph, id_graph_person(graph, ids[i])),
                                 id_view_shown(view, id_view_person(view, ids[i])));
            }
            for (uint32_t i = 0; i < row_count; i += 7) {
                const struct stored *row = &rows[i];
                uint32_t had[ID_HISTORY_MAX], person = id_graph_person(graph, row->id);
                size_t count = id_graph_history(graph, row->id, had), at = 0;
                while (at < count && had[at] != row->number) at++;
                assert_true(at < count && had[0] == person && had[count - 1] == row->id);
                if (!id_graph_is_mixed(graph, row->number))
                    assert_int_equal(id_graph_person(graph, row->number), person);
                memset(links_max, 0, (id_graph_count(graph) + 1) * sizeof *links_max);
                links_max[person] = UINT32_MAX;
                find_numbers(view, person, links_max);
                assert_true(row->links < links_max[row->number]);
            }
            free(links_max);
            id_view_unref(view);
        }
        assert_true(refused < ROWS / 8); /* there is an end to it */
        id_graph_free(graph);
    }
}

/* The same id again and again: refused before its numbers would be too many, and without effect. */
static void splits_have_an_end(void **state)
{
    (void)state;
    struct id_graph *graph = id_graph_new();
    uint32_t a, b, history[ID_HISTORY_MAX], rounds = 0;
    assert_int_equal(id_graph_intern(graph, STR("a"), &a), STATUS_OK);
    assert_int_equal(id_graph_intern(graph, STR("b"), &b), STATUS_OK);
    enum status status = STATUS_OK;
    for (; status == STATUS_OK && rounds < 1000; rounds++) {
        assert_int_equal(id_graph_link(graph, a, b, b, NULL), STATUS_OK);
        status = id_graph_split(graph, &a, 1, b, 0);
    }
    assert_int_equal(status, STATUS_CONFLICT);
    assert_true(rounds > 50);
    assert_int_equal(id_graph_person(graph, a), id_graph_person(graph, b));
    assert_int_equal(id_graph_members(graph, id_graph_person(graph, a)), 2);
    assert_true(id_graph_history(graph, a, history) < ID_HISTORY_MAX);
    id_graph_free(graph);
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
            assert_int_equal(id_graph_link(graph, a, b, b, NULL), STATUS_OK);
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
            char text[48];
            text_of(text, id);
            uint32_t person = id_view_person(views[v], id);
            assert_int_equal(then[v].cluster[person], then[v].cluster[id]);
            assert_int_equal(id_view_shown(views[v], person), then[v].shown[then[v].cluster[id]]);
            char room[ID_TEXT_ROOM];
            assert_true(str_eq(id_view_text(views[v], id, room), str_of(text)));
            assert_int_equal(id_view_find(views[v], str_of(text)), id);
        }
        char later[48];
        text_of(later, then[v].count + 1);
        assert_int_equal(id_view_find(views[v], str_of(later)), 0);
        assert_int_equal(id_view_person(views[v], 0), 0);
        assert_int_equal(id_view_text(views[v], 0, later).size, 0);
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
        cmocka_unit_test(saves_restore_the_graph),
        cmocka_unit_test(damaged_blocks),
        cmocka_unit_test(many_ids),
        cmocka_unit_test(views_do_not_change),
        cmocka_unit_test(splits_part_people),
        cmocka_unit_test(splits_have_an_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
