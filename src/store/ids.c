/*
 * Layout. Texts lie in the form of id_form.h in pieces of 1 MiB that never move, 4 bytes an id say where; catalogs have
 * the same form, so that their blocks become pieces as they are read. The hash table holds {32-bit tag, id} slots in
 * the order of tags at a load of 2/3 to 3/4, and compares strings only when tags agree. person[], shown[] are
 * copy-on-write arrays because queries read them in pictures; next[] (circular member lists) and weight[] are the
 * applier's own. weight[] has two uses: a person has rows, and a number that was taken away has somebody who absorbed
 * it.
 *
 * Splits. Rows lie under the numbers of their persons, so a cluster that falls apart leaves rows of several persons
 * under the numbers it has had. Giving one part the old number would make that number mean different things in
 * different sections. So every part gets a new one: a bare number, which takes an entry of its own in all arrays but
 * has no text and no slot. The old number is taken away by the links of the split, one for each part, as a merge would
 * have done; whoever knows that its rows moved looks for their new persons, and finds these numbers mixed: then the id
 * of each row tells. All numbers of the cluster are, those that it absorbed long ago as well.
 *
 * Invariants
 *   1. person[id] is a member of id's cluster, the same for all members; person[p] == p exactly for such p. Of a
 *      forgotten cluster it is 0 for all members, and stays.
 *   2. Following next[] from any id visits its cluster and returns. There is an id in it that is not bare.
 *   3. The number that absorbed another has at least its weight at that time, so chains of them are logarithmic, but
 * for splits, which add one number each and are counted (ID_HISTORY_SPLIT_MAX).
 *   4. A person that is not touched, nor being saved, weighs what the catalog says.
 *   5. A number is a person's from when it is given out, or (an id that is new) from its first use, until one link, or
 *      the links of one split, take it away; it is never a person's again.
 *   6. A number that is not mixed has led to one person: that of all rows stored under it is person[]. A mixed one is
 *      nobody's.
 *   7. alias[], attached and mixed are what the sources of the links, in their order, say.
 */
#include "store/ids.h"

#include "store/ids_int.h"

#include <assert.h>
#include <stdlib.h>

struct id_view {
    _Atomic uint32_t refs;
    uint32_t count, forgotten_count;
    struct cow32 person, shown, moved, absorbed, before, left, right, made, named, alias, mixed;
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
    cow32_fini(&graph->left);
    cow32_fini(&graph->right);
    cow32_fini(&graph->made);
    cow32_fini(&graph->named);
    cow32_fini(&graph->alias);
    cow32_fini(&graph->mixed);
    free(graph->attached);
    free(graph->splits);
    free(graph->leavers);
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
        !grow_array(&graph->attached, old / 64, capacity / 64, sizeof *graph->attached) ||
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
    if (id_form_size(form) > 1) id_slot_put(graph->slots, graph->capacity, form->tag, id);
    return STATUS_OK;
}

enum status id_append(struct id_graph *graph, const struct id_form *form, uint32_t *ret_id)
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
    assert(id_form_size(form) > 1); /* "" stands for those that were forgotten, and for bare numbers */
    uint32_t id = find(graph, &graph->person, graph->count, form);
    if (!id) return id_append(graph, form, ret_id);
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
uint32_t id_graph_next_member(const struct id_graph *graph, uint32_t id)
{
    return id ? graph->next[id] : 0;
}

uint32_t id_graph_rows(const struct id_graph *graph, uint32_t person)
{
    return person && id_graph_person(graph, person) == person ? graph->weight[person] : 0;
}

void id_graph_add_rows(struct id_graph *graph, uint32_t id, uint32_t rows)
{
    if (!id) return;
    uint32_t person = id_graph_person(graph, id);
    graph->weight[person] = add_saturating(graph->weight[person], rows);
    bit_set(graph->touched, person);
}

enum status id_log_link(struct id_graph *graph, struct link link, const struct id_source *source)
{
    static const struct id_source unknown = {0};
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
    TRY(id_source_push(graph, source ? source : &unknown));
    TRY(cow32_push(&graph->moved, link.moved));
    graph->links[number - graph->first_link] = link;
    return STATUS_OK;
}

enum status id_relabel(struct id_graph *graph, struct link link)
{
    uint32_t id = link.moved;
    do {
        TRY(cow32_set(&graph->person, id, link.survivor));
        id = graph->next[id];
    } while (id != link.moved);
    uint32_t next = graph->next[link.survivor];
    graph->next[link.survivor] = graph->next[link.moved];
    graph->next[link.moved] = next;
    return STATUS_OK;
}

bool id_graph_is_torn(const struct id_graph *graph)
{
    return graph->torn;
}

enum status id_torn_unless(struct id_graph *graph, enum status status)
{
    graph->torn |= status != STATUS_OK;
    return status;
}

static enum status apply_link(struct id_graph *graph, struct link link, const struct id_source *source)
{
    if (link.moved) {
        TRY(id_relabel(graph, link));
        graph->weight[link.survivor] = add_saturating(graph->weight[link.survivor], graph->weight[link.moved]);
        graph->weight[link.moved] = link.survivor;
        bit_set(graph->touched, link.survivor);
    }
    TRY(cow32_set(&graph->shown, link.survivor, link.shown));
    return id_log_link(graph, link, source);
}

/* Whether the source says something of its ids that is not known. */
static bool is_news(const struct id_graph *graph, const struct id_source *source)
{
    if (!source) return false;
    return (source->kind == ID_LINK_IDENTIFY && !id_graph_is_attached(graph, source->a)) ||
           (source->kind == ID_LINK_ALIAS && id_graph_alias_of(graph, source->a) != source->b);
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

enum status id_graph_link(struct id_graph *graph, uint32_t a, uint32_t b, uint32_t shown,
                          const struct id_source *source)
{
    assert(a && b && shown);
    uint32_t x = id_graph_person(graph, a), y = id_graph_person(graph, b);
    if (x == y) {
        if (id_graph_shown(graph, x) == shown && !is_news(graph, source)) return STATUS_OK;
        return id_torn_unless(graph, apply_link(graph, (struct link){x, 0, shown}, source));
    }
    int more = graph->weight[x] != graph->weight[y] ? (graph->weight[x] > graph->weight[y] ? 1 : -1)
                                                    : compare_members(graph, x, y);
    bool x_heavier = more ? more > 0 : x < y;
    struct link link = {x_heavier ? x : y, x_heavier ? y : x, shown};
    return id_torn_unless(graph, apply_link(graph, link, source));
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
    uint32_t id = person, numbers = 0;
    do {
        numbers++;
        id = graph->next[id];
    } while (id != person);
    TRY(id_forgotten_grow(graph, numbers));
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
    /* An id starts as its own number, and goes on where that one went. */
    size_t count = 0;
    for (uint32_t number = id, next = 0; count < ID_HISTORY_MAX; number = next) {
        ret_persons[count++] = number;
        next = id_number_after(graph, number, id);
        if (next == number) break;
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
    view->left = cow32_share(&graph->left);
    view->right = cow32_share(&graph->right);
    view->made = cow32_share(&graph->made);
    view->named = cow32_share(&graph->named);
    view->alias = cow32_share(&graph->alias);
    view->mixed = cow32_share(&graph->mixed);
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
    cow32_fini(&view->left);
    cow32_fini(&view->right);
    cow32_fini(&view->made);
    cow32_fini(&view->named);
    cow32_fini(&view->alias);
    cow32_fini(&view->mixed);
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
bool id_view_is_mixed(const struct id_view *view, uint32_t number)
{
    return mixed_has(&view->mixed, number);
}
bool id_view_any_mixed(const struct id_view *view)
{
    return view->mixed.count != 0;
}
uint32_t id_view_stands_for(const struct id_view *view, uint32_t id)
{
    uint32_t alias = id < view->alias.count ? cow32_get(&view->alias, id) : 0;
    return alias & NAME_BIT ? alias & ~NAME_BIT : 0;
}
struct id_source id_view_source(const struct id_view *view, uint32_t link)
{
    struct id_source source = id_source_at(&view->left, &view->right, &view->made, link);
    source.event = cow32_get(&view->named, link);
    return source;
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
