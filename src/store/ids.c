/*
 * Layout. Strings lie back to back in 1 MiB pieces that never move; `texts` holds the address and size of each. The
 * hash table holds {32-bit tag, id} slots at a load of at most 3/4 and compares strings only when tags agree. person[],
 * shown[] are copy-on-write arrays because queries read them in pictures; next[] (circular member lists), parent[] (who
 * absorbed a number) and the weights are the applier's own.
 *
 * Invariants
 *   1. person[id] is a member of id's cluster, the same for all members; parent[p] == p exactly for such p. Of a
 *      forgotten cluster it is 0 for all members, and stays.
 *   2. Following next[] from any id visits its cluster and returns.
 *   3. A relabelled number's parent has at least its weight at that time, so chains of parents are logarithmic.
 */
#include "store/ids.h"

#include "base/cow.h"
#include "base/hash.h"
#include "os/thread.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>

#define ID_MAX      ((uint32_t)1 << 31)
#define PIECE_BYTES ((size_t)1 << 20)
#define TEXTS_PAGE  4096

struct text_page {
    struct str texts[TEXTS_PAGE];
};

struct slot {
    uint32_t tag, id; /* id 0: free */
};

struct link {
    uint32_t survivor, moved, shown;
};

/* Texts only ever grow and never move, so views share them with the graph: `texts` is a table of pages that is
 * replaced, not changed, when it grows; old tables are kept until the graph goes. */
struct shared_texts {
    _Atomic uint32_t refs;
    struct text_page **pages; /* current table */
    size_t page_count, page_capacity;
    void **garbage; /* string pieces and outgrown tables */
    size_t garbage_count, garbage_capacity;
};

struct id_graph {
    uint32_t count;
    struct slot *slots; /* forgotten ids keep theirs: older views find them, everybody else passes over */
    size_t capacity;
    struct shared_texts *texts;
    char *piece;
    size_t piece_left;
    struct cow32 person, shown; /* index id; entry 0 is unused */
    struct cow32 moved;         /* index link: the number that it took away, 0: none */
    /* The links that took numbers away in favour of a person, newest first: absorbed[person] is the number of the
     * newest one, plus 1, and before[link] that of the one before it; 0 ends the list, and so does the array. */
    struct cow32 absorbed, before;
    uint32_t *next, *parent, *rows, *members, *rows_new;
    size_t array_capacity;
    struct link *links;
    uint32_t link_count, link_capacity;
    uint32_t *touched; /* ids whose rows_new is not 0 */
    uint32_t touched_count, touched_capacity;
    uint32_t *forgotten; /* ids, in the order in which they were */
    uint32_t forgotten_count, forgotten_capacity;
    bool forgot_texts;
    struct os_rwlock lock; /* slots: the applier writes, id_view_find reads */
};

struct id_view {
    _Atomic uint32_t refs;
    uint32_t count;
    struct cow32 person, shown, moved, absorbed, before;
    struct text_page **pages;
    struct shared_texts *texts;
    struct id_graph *graph;
};

static bool keep(struct shared_texts *texts, void *memory)
{
    if (texts->garbage_count == texts->garbage_capacity) {
        size_t capacity = texts->garbage_capacity ? texts->garbage_capacity * 2 : 16;
        void **grown = realloc(texts->garbage, capacity * sizeof *grown);
        if (!grown) return false;
        texts->garbage = grown;
        texts->garbage_capacity = capacity;
    }
    texts->garbage[texts->garbage_count++] = memory;
    return true;
}

static void texts_unref(struct shared_texts *texts)
{
    if (atomic_fetch_sub(&texts->refs, 1) != 1) return;
    for (size_t i = 0; i < texts->page_count; i++) free(texts->pages[i]);
    free(texts->pages);
    for (size_t i = 0; i < texts->garbage_count; i++) free(texts->garbage[i]);
    free(texts->garbage);
    free(texts);
}

struct id_graph *id_graph_new(void)
{
    struct id_graph *graph = calloc(1, sizeof *graph);
    struct shared_texts *texts = calloc(1, sizeof *texts);
    if (!graph || !texts || cow32_push(&graph->person, 0) != STATUS_OK || cow32_push(&graph->shown, 0) != STATUS_OK)
        abort();
    os_rwlock_init(&graph->lock, "ids");
    atomic_init(&texts->refs, 1);
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
    free(graph->parent);
    free(graph->rows);
    free(graph->members);
    free(graph->rows_new);
    free(graph->links);
    free(graph->touched);
    free(graph->forgotten);
    os_rwlock_destroy(&graph->lock);
    free(graph);
}

uint32_t id_graph_count(const struct id_graph *graph)
{
    return graph->count;
}

static struct str text_at(struct text_page *const *pages, uint32_t id)
{
    return id ? pages[(id - 1) / TEXTS_PAGE]->texts[(id - 1) % TEXTS_PAGE] : STR("");
}

struct str id_graph_text(const struct id_graph *graph, uint32_t id)
{
    return text_at(graph->texts->pages, id);
}

/* `person` and `count` are the graph's or a view's: what is forgotten there, or came later, is not found. */
static uint32_t find(const struct id_graph *graph, const struct cow32 *person, uint32_t count, struct str text,
                     uint64_t hash)
{
    if (!graph->capacity) return 0;
    size_t mask = graph->capacity - 1, i = (size_t)(hash & mask);
    uint32_t tag = (uint32_t)(hash >> 32);
    while (graph->slots[i].id) {
        uint32_t id = graph->slots[i].id;
        if (graph->slots[i].tag == tag && id <= count && cow32_get(person, id) &&
            str_eq(text_at(graph->texts->pages, id), text))
            return id;
        i = (i + 1) & mask;
    }
    return 0;
}

uint32_t id_graph_find(const struct id_graph *graph, struct str text)
{
    return find(graph, &graph->person, graph->count, text, hash_str(text));
}

static void put_slot(struct slot *slots, size_t capacity, uint64_t hash, uint32_t id)
{
    size_t i = (size_t)(hash & (capacity - 1));
    while (slots[i].id) i = (i + 1) & (capacity - 1);
    slots[i] = (struct slot){(uint32_t)(hash >> 32), id};
}

/* Room for `more` ids. */
static enum status grow_slots(struct id_graph *graph, size_t more)
{
    size_t capacity = graph->capacity ? graph->capacity * 2 : 64;
    while ((graph->count + more) * 4 > capacity * 3) capacity *= 2;
    struct slot *slots = calloc(capacity, sizeof *slots);
    if (!slots) return STATUS_LIMIT;
    for (uint32_t id = 1; id <= graph->count; id++) {
        struct str text = id_graph_text(graph, id);
        if (!text.size) continue; /* forgotten before the start */
        put_slot(slots, capacity, hash_str(text), id);
    }
    os_rwlock_write(&graph->lock);
    free(graph->slots);
    graph->slots = slots;
    graph->capacity = capacity;
    os_rwlock_write_end(&graph->lock);
    return STATUS_OK;
}

static enum status grow_arrays(struct id_graph *graph, size_t more)
{
    size_t need = (size_t)graph->count + 1 + more;
    if (need <= graph->array_capacity) return STATUS_OK;
    size_t capacity = graph->array_capacity ? graph->array_capacity * 2 : 64;
    while (capacity < need) capacity *= 2;
    uint32_t **arrays[] = {&graph->next, &graph->parent, &graph->rows, &graph->members, &graph->rows_new};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) {
        uint32_t *grown = realloc(*arrays[i], capacity * sizeof *grown);
        if (!grown) return STATUS_LIMIT;
        memset(grown + graph->array_capacity, 0, (capacity - graph->array_capacity) * sizeof *grown);
        *arrays[i] = grown;
    }
    graph->array_capacity = capacity;
    return STATUS_OK;
}

static enum status store_text(struct id_graph *graph, struct str text)
{
    struct shared_texts *texts = graph->texts;
    if (graph->count / TEXTS_PAGE == texts->page_count) {
        if (texts->page_count == texts->page_capacity) {
            size_t capacity = texts->page_capacity ? texts->page_capacity * 2 : 16;
            struct text_page **table = calloc(capacity, sizeof *table);
            if (!table || (texts->pages && !keep(texts, texts->pages))) {
                free(table);
                return STATUS_LIMIT;
            }
            if (texts->pages) memcpy(table, texts->pages, texts->page_count * sizeof *table);
            texts->pages = table;
            texts->page_capacity = capacity;
        }
        struct text_page *page = calloc(1, sizeof *page);
        if (!page) return STATUS_LIMIT;
        texts->pages[texts->page_count++] = page;
    }
    if (graph->piece_left < text.size) {
        size_t size = text.size > PIECE_BYTES / 4 ? text.size : graph->piece ? PIECE_BYTES : PIECE_BYTES / 64;
        char *piece = malloc(size);
        if (!piece || !keep(texts, piece)) {
            free(piece);
            return STATUS_LIMIT;
        }
        graph->piece = piece;
        graph->piece_left = size;
    }
    if (text.size) memcpy(graph->piece, text.data, text.size);
    texts->pages[graph->count / TEXTS_PAGE]->texts[graph->count % TEXTS_PAGE] = (struct str){graph->piece, text.size};
    graph->piece += text.size;
    graph->piece_left -= text.size;
    return STATUS_OK;
}

/* The next number, for this text ("" for an id that was forgotten). The lock is held. */
static enum status append_locked(struct id_graph *graph, struct str text, uint64_t hash, uint32_t *ret_id)
{
    uint32_t id = graph->count + 1;
    TRY(cow32_push(&graph->person, id));
    if (cow32_push(&graph->shown, id) != STATUS_OK) {
        graph->person.count--;
        return STATUS_LIMIT;
    }
    graph->next[id] = graph->parent[id] = id;
    graph->rows[id] = graph->rows_new[id] = 0;
    graph->members[id] = 1;
    enum status status = store_text(graph, text);
    if (status != STATUS_OK) { /* as if nothing had been pushed */
        graph->person.count--;
        graph->shown.count--;
        return status;
    }
    if (text.size) put_slot(graph->slots, graph->capacity, hash, id);
    graph->count = id;
    *ret_id = id;
    return STATUS_OK;
}

static enum status append(struct id_graph *graph, struct str text, uint32_t *ret_id)
{
    if (graph->count >= ID_MAX) return STATUS_LIMIT;
    if (((size_t)graph->count + 1) * 4 > graph->capacity * 3) TRY(grow_slots(graph, 1));
    TRY(grow_arrays(graph, 1));
    uint64_t hash = hash_str(text);
    os_rwlock_write(&graph->lock);
    enum status status = append_locked(graph, text, hash, ret_id);
    os_rwlock_write_end(&graph->lock);
    return status;
}

enum status id_graph_intern(struct id_graph *graph, struct str text, uint32_t *ret_id)
{
    assert(text.size); /* "" stands for those that were forgotten */
    uint32_t id = id_graph_find(graph, text);
    if (!id) return append(graph, text, ret_id);
    *ret_id = id;
    return STATUS_OK;
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
    return person ? graph->members[person] : 0;
}
uint32_t id_graph_next_member(const struct id_graph *graph, uint32_t id)
{
    return id ? graph->next[id] : 0;
}

static uint32_t add_saturating(uint32_t a, uint32_t b)
{
    return a > UINT32_MAX - b ? UINT32_MAX : a + b;
}

void id_graph_add_rows(struct id_graph *graph, uint32_t id, uint32_t rows)
{
    if (!id) return;
    uint32_t person = id_graph_person(graph, id);
    graph->rows[person] = add_saturating(graph->rows[person], rows);
    if (!graph->rows_new[id]) {
        if (graph->touched_count == graph->touched_capacity) {
            uint32_t capacity = graph->touched_capacity ? graph->touched_capacity * 2 : 1024;
            uint32_t *grown = realloc(graph->touched, capacity * sizeof *grown);
            if (!grown) return; /* weights only steer which side of a merge moves */
            graph->touched = grown;
            graph->touched_capacity = capacity;
        }
        graph->touched[graph->touched_count++] = id;
    }
    graph->rows_new[id] = add_saturating(graph->rows_new[id], rows);
}

static enum status log_link(struct id_graph *graph, struct link link)
{
    if (graph->link_count == graph->link_capacity) {
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
        TRY(cow32_set(&graph->absorbed, link.survivor, graph->link_count + 1));
    }
    TRY(cow32_push(&graph->before, before));
    TRY(cow32_push(&graph->moved, link.moved));
    graph->links[graph->link_count++] = link;
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
        graph->parent[link.moved] = link.survivor;
        graph->rows[link.survivor] = add_saturating(graph->rows[link.survivor], graph->rows[link.moved]);
        graph->members[link.survivor] += graph->members[link.moved];
    }
    TRY(cow32_set(&graph->shown, link.survivor, link.shown));
    return log_link(graph, link);
}

enum status id_graph_link(struct id_graph *graph, uint32_t a, uint32_t b, uint32_t shown)
{
    assert(a && b && shown);
    uint32_t x = id_graph_person(graph, a), y = id_graph_person(graph, b);
    if (x == y) {
        if (id_graph_shown(graph, x) == shown) return STATUS_OK;
        return apply_link(graph, (struct link){x, 0, shown});
    }
    bool x_heavier = graph->rows[x] != graph->rows[y]         ? graph->rows[x] > graph->rows[y]
                     : graph->members[x] != graph->members[y] ? graph->members[x] > graph->members[y]
                                                              : x < y;
    return apply_link(graph, (struct link){x_heavier ? x : y, x_heavier ? y : x, shown});
}

static enum status grow_forgotten(struct id_graph *graph, uint32_t count)
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
    TRY(grow_forgotten(graph, graph->members[person]));
    uint32_t id = person;
    do {
        TRY(cow32_set(&graph->person, id, 0));
        graph->forgotten[graph->forgotten_count++] = id;
        id = graph->next[id];
    } while (id != person);
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
        if (graph->parent[person] == person || count == ID_HISTORY_MAX) break;
        person = graph->parent[person];
    }
    for (size_t i = 0; i < count / 2; i++) {
        uint32_t swap = ret_persons[i];
        ret_persons[i] = ret_persons[count - 1 - i];
        ret_persons[count - 1 - i] = swap;
    }
    return count;
}

/* --- durable form --- */

struct id_mark id_graph_mark(const struct id_graph *graph)
{
    return (struct id_mark){graph->count, graph->link_count, graph->forgotten_count};
}

/* What persons weigh now: those that were taken away, and forgotten, weigh nothing any more. */
static void export_all_rows(const struct id_graph *graph, struct buf *buf)
{
    uint32_t count = 0;
    for (uint32_t id = 1; id <= graph->count; id++) count += graph->rows[id] && id_graph_person(graph, id) == id;
    buf_varint(buf, count);
    for (uint32_t id = 1; id <= graph->count; id++) {
        if (!graph->rows[id] || id_graph_person(graph, id) != id) continue;
        buf_varint(buf, id);
        buf_varint(buf, graph->rows[id]);
    }
}

void id_graph_export(struct id_graph *graph, struct id_mark from, struct buf *buf)
{
    buf_varint(buf, (uint64_t)from.ids + 1);
    buf_varint(buf, graph->count - from.ids);
    for (uint32_t id = from.ids + 1; id <= graph->count; id++) {
        struct str text = id_graph_person(graph, id) ? id_graph_text(graph, id) : STR("");
        buf_varint(buf, text.size);
        buf_str_add(buf, text);
    }
    buf_varint(buf, from.links);
    buf_varint(buf, graph->link_count - from.links);
    for (uint32_t i = from.links; i < graph->link_count; i++) {
        buf_varint(buf, graph->links[i].survivor);
        buf_varint(buf, graph->links[i].moved);
        buf_varint(buf, graph->links[i].shown);
    }
    if (from.ids == 0 && from.links == 0) {
        export_all_rows(graph, buf);
    } else {
        buf_varint(buf, graph->touched_count);
        for (uint32_t i = 0; i < graph->touched_count; i++) {
            buf_varint(buf, graph->touched[i]);
            buf_varint(buf, graph->rows_new[graph->touched[i]]);
        }
    }
    for (uint32_t i = 0; i < graph->touched_count; i++) graph->rows_new[graph->touched[i]] = 0;
    graph->touched_count = 0;
    buf_varint(buf, graph->forgotten_count - from.forgotten);
    for (uint32_t i = from.forgotten; i < graph->forgotten_count; i++) buf_varint(buf, graph->forgotten[i]);
}

bool id_graph_forgot_texts(const struct id_graph *graph)
{
    return graph->forgot_texts;
}

static enum status import_forgotten(struct id_graph *graph, struct reader *reader, uint64_t first_id)
{
    uint64_t count = read_varint(reader);
    if (reader->failed || count > reader_left(reader)) return STATUS_CORRUPT;
    for (uint64_t i = 0; i < count; i++) {
        uint64_t id = read_varint(reader);
        if (reader->failed || id == 0 || id > graph->count || !id_graph_person(graph, (uint32_t)id))
            return STATUS_CORRUPT;
        TRY(grow_forgotten(graph, 1));
        TRY(cow32_set(&graph->person, (uint32_t)id, 0));
        graph->forgotten[graph->forgotten_count++] = (uint32_t)id;
        graph->forgot_texts |= id_graph_text(graph, (uint32_t)id).size > 0;
    }
    /* Clusters are forgotten whole, and nobody else is without a text. */
    for (uint64_t i = graph->forgotten_count - count; i < graph->forgotten_count; i++) {
        if (id_graph_person(graph, graph->next[graph->forgotten[i]])) return STATUS_CORRUPT;
    }
    for (uint64_t id = first_id; id <= graph->count; id++) {
        if (!id_graph_text(graph, (uint32_t)id).size && id_graph_person(graph, (uint32_t)id)) return STATUS_CORRUPT;
    }
    return STATUS_OK;
}

/* A start reads millions of ids and weights, each of which touches memory at a random place: the places of a group are
 * asked for together before the first is used. */
#define IMPORT_GROUP 32

static enum status import_texts(struct id_graph *graph, struct reader *reader, uint64_t count)
{
    struct str texts[IMPORT_GROUP];
    uint64_t hashes[IMPORT_GROUP];
    if (count > ID_MAX - graph->count) return STATUS_LIMIT;
    if ((graph->count + count) * 4 > (uint64_t)graph->capacity * 3) TRY(grow_slots(graph, count));
    TRY(grow_arrays(graph, count));
    while (count) {
        uint32_t group = count < IMPORT_GROUP ? (uint32_t)count : IMPORT_GROUP, id;
        enum status status = STATUS_OK;
        for (uint32_t i = 0; i < group; i++) {
            texts[i] = read_str(reader);
            if (reader->failed) return STATUS_CORRUPT;
            hashes[i] = hash_str(texts[i]);
            __builtin_prefetch(&graph->slots[hashes[i] & (graph->capacity - 1)], 1);
        }
        os_rwlock_write(&graph->lock);
        for (uint32_t i = 0; i < group && status == STATUS_OK; i++)
            status = append_locked(graph, texts[i], hashes[i], &id); /* an older one may be forgotten further down */
        os_rwlock_write_end(&graph->lock);
        TRY(status);
        count -= group;
    }
    return STATUS_OK;
}

static enum status import_weights(struct id_graph *graph, struct reader *reader, uint64_t count)
{
    uint32_t ids[IMPORT_GROUP], rows[IMPORT_GROUP];
    while (count) {
        uint32_t group = count < IMPORT_GROUP ? (uint32_t)count : IMPORT_GROUP;
        for (uint32_t i = 0; i < group; i++) {
            uint64_t id = read_varint(reader), more = read_varint(reader);
            if (reader->failed || id == 0 || id > graph->count || more > UINT32_MAX) return STATUS_CORRUPT;
            ids[i] = (uint32_t)id;
            rows[i] = (uint32_t)more;
            __builtin_prefetch(&graph->person.table->pages[id / COW_PAGE]->values[id % COW_PAGE]);
        }
        for (uint32_t i = 0; i < group; i++) {
            ids[i] = id_graph_person(graph, ids[i]);
            __builtin_prefetch(&graph->rows[ids[i]], 1);
        }
        for (uint32_t i = 0; i < group; i++) graph->rows[ids[i]] = add_saturating(graph->rows[ids[i]], rows[i]);
        count -= group;
    }
    return STATUS_OK;
}

enum status id_graph_import(struct id_graph *graph, struct reader *reader)
{
    uint64_t first = read_varint(reader), count = read_varint(reader), first_id = first;
    if (reader->failed || first != (uint64_t)graph->count + 1 || count > reader_left(reader)) return STATUS_CORRUPT;
    TRY(import_texts(graph, reader, count));
    first = read_varint(reader);
    count = read_varint(reader);
    if (reader->failed || first != graph->link_count || count > reader_left(reader)) return STATUS_CORRUPT;
    for (uint64_t i = 0; i < count; i++) {
        uint64_t survivor = read_varint(reader), moved = read_varint(reader), shown = read_varint(reader);
        if (reader->failed || survivor == 0 || survivor > graph->count || moved > graph->count || moved == survivor ||
            shown == 0 || shown > graph->count || id_graph_person(graph, (uint32_t)survivor) != survivor ||
            (moved && id_graph_person(graph, (uint32_t)moved) != moved))
            return STATUS_CORRUPT;
        TRY(apply_link(graph, (struct link){(uint32_t)survivor, (uint32_t)moved, (uint32_t)shown}));
    }
    count = read_varint(reader);
    if (reader->failed || count > reader_left(reader)) return STATUS_CORRUPT;
    TRY(import_weights(graph, reader, count));
    return import_forgotten(graph, reader, first_id);
}

/* --- views --- */

struct id_view *id_graph_view(struct id_graph *graph)
{
    struct id_view *view = calloc(1, sizeof *view);
    if (!view) abort();
    atomic_init(&view->refs, 1);
    view->count = graph->count;
    view->person = cow32_share(&graph->person);
    view->shown = cow32_share(&graph->shown);
    view->moved = cow32_share(&graph->moved);
    view->absorbed = cow32_share(&graph->absorbed);
    view->before = cow32_share(&graph->before);
    view->pages = graph->texts->pages;
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
struct str id_view_text(const struct id_view *view, uint32_t id)
{
    return text_at(view->pages, id);
}

uint32_t id_view_find(const struct id_view *view, struct str text)
{
    os_rwlock_read(&view->graph->lock);
    uint32_t id = find(view->graph, &view->person, view->count, text, hash_str(text));
    os_rwlock_read_end(&view->graph->lock);
    return id;
}
