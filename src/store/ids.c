/*
 * Layout. Texts lie in the form of id_form.h in pieces of 1 MiB that never move, 4 bytes an id say where; catalogs have
 * the same form, so that their blocks become pieces as they are read. The hash table holds {32-bit tag, id} slots in
 * the order of tags at a load of 2/3 to 3/4, and compares strings only when tags agree. person[], shown[] are
 * copy-on-write arrays because queries read them in pictures; next[] (circular member lists) and weight[] are the
 * applier's own. weight[] has two uses: a person has rows, and a number that was taken away has somebody who absorbed
 * it.
 *
 * Invariants
 *   1. person[id] is a member of id's cluster, the same for all members; person[p] == p exactly for such p. Of a
 *      forgotten cluster it is 0 for all members, and stays.
 *   2. Following next[] from any id visits its cluster and returns.
 *   3. The number that absorbed another has at least its weight at that time, so chains of them are logarithmic.
 *   4. A person that is not touched, nor being saved, weighs what the catalog says.
 */
#include "store/ids.h"

#include "store/ids_int.h"

#include <assert.h>
#include <stdlib.h>

struct id_view {
    _Atomic uint32_t refs;
    uint32_t count, forgotten_count;
    struct cow32 person, shown, moved, absorbed, before;
    struct text_page **pages;
    char **pieces;
    struct shared_texts *texts;
    struct id_graph *graph;
};

struct id_graph *id_graph_new(void)
{
    struct id_graph *graph = calloc(1, sizeof *graph);
    struct shared_texts *texts = texts_new();
    if (!graph || !texts || cow32_push(&graph->person, 0) != STATUS_OK || cow32_push(&graph->shown, 0) != STATUS_OK)
        abort();
    os_rwlock_init(&graph->lock, "ids");
    graph->texts = texts;
    return graph;
}

void id_graph_free(struct id_graph *graph)
{
    if (!graph) return;
    texts_unref(graph->texts);
    cow32_fini(&graph->person);
    cow32_fini(&graph->shown);
    cow32_fini(&graph->moved);
    cow32_fini(&graph->absorbed);
    cow32_fini(&graph->before);
    free(graph->slots);
    free(graph->next);
    free(graph->weight);
    free(graph->touched);
    free(graph->saving);
    free(graph->links);
    free(graph->forgotten);
    os_rwlock_destroy(&graph->lock);
    free(graph);
}

uint32_t id_graph_count(const struct id_graph *graph)
{
    return graph->count;
}

/* `person` and `count` are the graph's or a view's: what is forgotten there, or came later, is not found. */
static uint32_t find(const struct id_graph *graph, const struct cow32 *person, uint32_t count,
                     const struct id_form *form)
{
    if (!graph->capacity) return 0;
    size_t i = id_home(form->tag, graph->capacity);
    while (graph->slots[i].id) {
        uint32_t id = graph->slots[i].id;
        if (graph->slots[i].tag == form->tag && id <= count && cow32_get(person, id) &&
            id_form_is_at(form, form_at(graph->texts->pages, graph->texts->pieces, id)))
            return id;
        i = i + 1 == graph->capacity ? 0 : i + 1;
    }
    return 0;
}

uint32_t id_graph_find(const struct id_graph *graph, struct str text)
{
    struct id_form form;
    id_form_make(text, &form);
    return find(graph, &graph->person, graph->count, &form);
}

static bool grow_array(void *array, size_t old, size_t size, size_t element)
{
    char **at = array;
    char *grown = realloc(*at, size * element);
    if (!grown) return false;
    memset(grown + old * element, 0, (size - old) * element);
    *at = grown;
    return true;
}

enum status id_arrays_grow(struct id_graph *graph, size_t more)
{
    size_t need = (size_t)graph->count + 1 + more, old = graph->array_capacity;
    if (need <= old) return STATUS_OK;
    size_t capacity = old ? (need + need / 4 + 63) / 64 * 64 : (need + 63) / 64 * 64;
    if (!grow_array(&graph->next, old, capacity, sizeof *graph->next) ||
        !grow_array(&graph->weight, old, capacity, sizeof *graph->weight) ||
        !grow_array(&graph->touched, old / 64, capacity / 64, sizeof *graph->touched) ||
        !grow_array(&graph->saving, old / 64, capacity / 64, sizeof *graph->saving))
        return STATUS_LIMIT;
    graph->array_capacity = capacity;
    return STATUS_OK;
}

/* The next number, for this text. The lock is held. */
static enum status append_locked(struct id_graph *graph, const struct id_form *form)
{
    uint32_t id = graph->count + 1;
    TRY(cow32_push(&graph->person, id));
    if (cow32_push(&graph->shown, id) != STATUS_OK) {
        graph->person.count--;
        return STATUS_LIMIT;
    }
    graph->next[id] = id;
    graph->weight[id] = 0;
    enum status status = id_text_store(graph, form);
    if (status != STATUS_OK) { /* as if nothing had been pushed */
        graph->person.count--;
        graph->shown.count--;
        return status;
    }
    graph->count = id;
    id_slot_put(graph->slots, graph->capacity, form->tag, id);
    return STATUS_OK;
}

static enum status append(struct id_graph *graph, const struct id_form *form, uint32_t *ret_id)
{
    if (graph->count >= ID_MAX) return STATUS_LIMIT;
    TRY(id_slots_grow(graph, 1));
    TRY(id_arrays_grow(graph, 1));
    os_rwlock_write(&graph->lock);
    enum status status = append_locked(graph, form);
    os_rwlock_write_end(&graph->lock);
    if (status == STATUS_OK) *ret_id = graph->count;
    return status;
}

enum status id_graph_intern(struct id_graph *graph, struct str text, uint32_t *ret_id)
{
    struct id_form form;
    id_form_make(text, &form);
    return id_graph_intern_form(graph, &form, ret_id);
}

enum status id_graph_intern_form(struct id_graph *graph, const struct id_form *form, uint32_t *ret_id)
{
    assert(id_form_size(form) > 1); /* "" stands for those that were forgotten */
    uint32_t id = find(graph, &graph->person, graph->count, form);
    if (!id) return append(graph, form, ret_id);
    *ret_id = id;
    return STATUS_OK;
}

void id_graph_ask(const struct id_graph *graph, uint32_t tag)
{
    if (graph->capacity) __builtin_prefetch(&graph->slots[id_home(tag, graph->capacity)]);
}

void id_graph_ask_again(const struct id_graph *graph, uint32_t tag)
{
    if (!graph->capacity) return;
    struct slot slot = graph->slots[id_home(tag, graph->capacity)];
    if (!slot.id || slot.tag != tag) return; /* a new id, or one that had to move on: rare enough */
    __builtin_prefetch(form_at(graph->texts->pages, graph->texts->pieces, slot.id));
    __builtin_prefetch(&graph->weight[slot.id]);
    __builtin_prefetch(&graph->person.table->pages[slot.id / COW_PAGE]->values[slot.id % COW_PAGE]);
}

uint32_t id_graph_person(const struct id_graph *graph, uint32_t id)
{
    return id ? cow32_get(&graph->person, id) : 0;
}
uint32_t id_graph_shown(const struct id_graph *graph, uint32_t person)
{
    return person ? cow32_get(&graph->shown, person) : 0;
}
uint32_t id_graph_members(const struct id_graph *graph, uint32_t person)
{
    if (!person) return 0;
    uint32_t members = 1;
    for (uint32_t id = graph->next[person]; id != person; id = graph->next[id]) members++;
    return members;
}
uint32_t id_graph_next_member(const struct id_graph *graph, uint32_t id)
{
    return id ? graph->next[id] : 0;
}

void id_graph_add_rows(struct id_graph *graph, uint32_t id, uint32_t rows)
{
    if (!id) return;
    uint32_t person = id_graph_person(graph, id);
    graph->weight[person] = add_saturating(graph->weight[person], rows);
    bit_set(graph->touched, person);
}

static enum status log_link(struct id_graph *graph, struct link link)
{
    uint32_t number = graph->moved.count;
    if (number - graph->first_link == graph->link_capacity) {
        uint32_t capacity = graph->link_capacity ? graph->link_capacity * 2 : 64;
        struct link *grown = realloc(graph->links, capacity * sizeof *grown);
        if (!grown) return STATUS_LIMIT;
        graph->links = grown;
        graph->link_capacity = capacity;
    }
    uint32_t before = 0;
    if (link.moved) {
        while (graph->absorbed.count <= link.survivor) TRY(cow32_push(&graph->absorbed, 0));
        before = cow32_get(&graph->absorbed, link.survivor);
        TRY(cow32_set(&graph->absorbed, link.survivor, number + 1));
    }
    TRY(cow32_push(&graph->before, before));
    TRY(cow32_push(&graph->moved, link.moved));
    graph->links[number - graph->first_link] = link;
    return STATUS_OK;
}

static enum status apply_link(struct id_graph *graph, struct link link)
{
    if (link.moved) {
        uint32_t id = link.moved;
        do {
            TRY(cow32_set(&graph->person, id, link.survivor));
            id = graph->next[id];
        } while (id != link.moved);
        uint32_t next = graph->next[link.survivor];
        graph->next[link.survivor] = graph->next[link.moved];
        graph->next[link.moved] = next;
        graph->weight[link.survivor] = add_saturating(graph->weight[link.survivor], graph->weight[link.moved]);
        graph->weight[link.moved] = link.survivor;
        bit_set(graph->touched, link.survivor);
    }
    TRY(cow32_set(&graph->shown, link.survivor, link.shown));
    return log_link(graph, link);
}

/* Whether x has more members than y (1) or fewer (-1), in as many steps as the smaller one has. */
static int compare_members(const struct id_graph *graph, uint32_t x, uint32_t y)
{
    uint32_t a = x, b = y;
    do {
        a = graph->next[a];
        b = graph->next[b];
    } while (a != x && b != y);
    return (a != x) - (b != y);
}

enum status id_graph_link(struct id_graph *graph, uint32_t a, uint32_t b, uint32_t shown)
{
    assert(a && b && shown);
    uint32_t x = id_graph_person(graph, a), y = id_graph_person(graph, b);
    if (x == y) {
        if (id_graph_shown(graph, x) == shown) return STATUS_OK;
        return apply_link(graph, (struct link){x, 0, shown});
    }
    int more = graph->weight[x] != graph->weight[y] ? (graph->weight[x] > graph->weight[y] ? 1 : -1)
                                                    : compare_members(graph, x, y);
    bool x_heavier = more ? more > 0 : x < y;
    return apply_link(graph, (struct link){x_heavier ? x : y, x_heavier ? y : x, shown});
}

enum status id_forgotten_grow(struct id_graph *graph, uint32_t count)
{
    if (graph->forgotten_capacity - graph->forgotten_count >= count) return STATUS_OK;
    size_t capacity = ((size_t)graph->forgotten_count + count) * 2;
    uint32_t *grown = capacity <= UINT32_MAX ? realloc(graph->forgotten, capacity * sizeof *grown) : NULL;
    if (!grown) return STATUS_LIMIT;
    graph->forgotten = grown;
    graph->forgotten_capacity = (uint32_t)capacity;
    return STATUS_OK;
}

enum status id_graph_forget(struct id_graph *graph, uint32_t person)
{
    assert(person && id_graph_person(graph, person) == person);
    TRY(id_forgotten_grow(graph, id_graph_members(graph, person)));
    uint32_t id = person;
    do {
        TRY(cow32_set(&graph->person, id, 0));
        graph->forgotten[graph->forgotten_count++] = id;
        id = graph->next[id];
    } while (id != person);
    graph->weight[person] = person;
    return STATUS_OK;
}

size_t id_graph_history(const struct id_graph *graph, uint32_t id, uint32_t ret_persons[ID_HISTORY_MAX])
{
    if (!id) {
        ret_persons[0] = 0; /* rows of nobody */
        return 1;
    }
    /* An id starts as its own number and then carries the numbers along the chain of absorptions. */
    size_t count = 0;
    uint32_t person = id;
    for (;;) {
        ret_persons[count++] = person;
        if (id_parent(graph, person) == person || count == ID_HISTORY_MAX) break;
        person = id_parent(graph, person);
    }
    for (size_t i = 0; i < count / 2; i++) {
        uint32_t swap = ret_persons[i];
        ret_persons[i] = ret_persons[count - 1 - i];
        ret_persons[count - 1 - i] = swap;
    }
    return count;
}

/* --- views --- */

struct id_view *id_graph_view(struct id_graph *graph)
{
    struct id_view *view = calloc(1, sizeof *view);
    if (!view) abort();
    atomic_init(&view->refs, 1);
    view->count = graph->count;
    view->forgotten_count = graph->forgotten_count;
    view->person = cow32_share(&graph->person);
    view->shown = cow32_share(&graph->shown);
    view->moved = cow32_share(&graph->moved);
    view->absorbed = cow32_share(&graph->absorbed);
    view->before = cow32_share(&graph->before);
    view->pages = graph->texts->pages;
    view->pieces = graph->texts->pieces;
    view->texts = graph->texts;
    view->graph = graph;
    atomic_fetch_add(&graph->texts->refs, 1);
    return view;
}

struct id_view *id_view_ref(struct id_view *view)
{
    atomic_fetch_add(&view->refs, 1);
    return view;
}

void id_view_unref(struct id_view *view)
{
    if (!view || atomic_fetch_sub(&view->refs, 1) != 1) return;
    cow32_fini(&view->person);
    cow32_fini(&view->shown);
    cow32_fini(&view->moved);
    cow32_fini(&view->absorbed);
    cow32_fini(&view->before);
    texts_unref(view->texts);
    free(view);
}

uint32_t id_view_count(const struct id_view *view)
{
    return view->count;
}
uint32_t id_view_person(const struct id_view *view, uint32_t id)
{
    return id ? cow32_get(&view->person, id) : 0;
}
uint32_t id_view_shown(const struct id_view *view, uint32_t person)
{
    return person ? cow32_get(&view->shown, person) : 0;
}
uint32_t id_view_link_count(const struct id_view *view)
{
    return view->moved.count;
}
uint32_t id_view_moved(const struct id_view *view, uint32_t link)
{
    return cow32_get(&view->moved, link);
}
bool id_view_absorbed(const struct id_view *view, uint32_t person, uint32_t *ret_link)
{
    uint32_t found = person < view->absorbed.count ? cow32_get(&view->absorbed, person) : 0;
    *ret_link = found - 1;
    return found != 0;
}
bool id_view_absorbed_before(const struct id_view *view, uint32_t *link)
{
    uint32_t found = cow32_get(&view->before, *link);
    *link = found - 1;
    return found != 0;
}
struct str id_view_text(const struct id_view *view, uint32_t id, char room[ID_TEXT_ROOM])
{
    return id ? id_form_text(form_at(view->pages, view->pieces, id), room) : STR("");
}

void id_view_expect_texts(const struct id_view *view, const uint32_t *ids, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (ids[i]) __builtin_prefetch(form_at(view->pages, view->pieces, ids[i]));
}

uint32_t id_view_forgotten_count(const struct id_view *view)
{
    return view->forgotten_count;
}
uint32_t id_view_find(const struct id_view *view, struct str text)
{
    struct id_form form;
    uint32_t id;
    id_form_make(text, &form);
    id_view_find_forms(view, &form, 1, &id);
    return id;
}

void id_view_find_forms(const struct id_view *view, const struct id_form *forms, size_t count, uint32_t *ret_ids)
{
    const struct id_graph *graph = view->graph;
    os_rwlock_read(&view->graph->lock);
    if (count > 1 && graph->capacity) {
        for (size_t i = 0; i < count; i++) __builtin_prefetch(&graph->slots[id_home(forms[i].tag, graph->capacity)]);
        for (size_t i = 0; i < count; i++) {
            struct slot slot = graph->slots[id_home(forms[i].tag, graph->capacity)];
            if (slot.id && slot.tag == forms[i].tag)
                __builtin_prefetch(form_at(graph->texts->pages, graph->texts->pieces, slot.id));
        }
    }
    for (size_t i = 0; i < count; i++) ret_ids[i] = find(graph, &view->person, view->count, &forms[i]);
    os_rwlock_read_end(&view->graph->lock);
}
