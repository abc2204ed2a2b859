#include "store/ids_int.h"

#include "os/parallel.h"

#include <stdlib.h>

#define PIECE_FIRST  ((size_t)16 << 10) /* most projects are small */
#define FILL_AHEAD   16
#define PARALLEL_IDS 100000u

/* --- texts --- */

struct shared_texts *texts_new(void)
{
    struct shared_texts *texts = calloc(1, sizeof *texts);
    if (texts) atomic_init(&texts->refs, 1);
    return texts;
}

void texts_unref(struct shared_texts *texts)
{
    if (atomic_fetch_sub(&texts->refs, 1) != 1) return;
    for (size_t i = 0; i < texts->page_count; i++) free(texts->pages[i]);
    free(texts->pages);
    free(texts->pieces);
    for (size_t i = 0; i < texts->kept_count; i++) free(texts->kept[i]);
    free(texts->kept);
    free(texts);
}

static bool keep(struct shared_texts *texts, void *memory)
{
    if (texts->kept_count == texts->kept_capacity) {
        size_t capacity = texts->kept_capacity ? texts->kept_capacity * 2 : 16;
        void **grown = realloc(texts->kept, capacity * sizeof *grown);
        if (!grown) return false;
        texts->kept = grown;
        texts->kept_capacity = capacity;
    }
    texts->kept[texts->kept_count++] = memory;
    return true;
}

/* A table with room for `need` pointers in place of `table`, which is kept: views read it. */
static void *table_grow(struct shared_texts *texts, void *table, size_t count, size_t need, size_t *capacity)
{
    if (need <= *capacity) return table;
    size_t size = *capacity ? *capacity * 2 : 16;
    if (size < need) size = need;
    void **grown = calloc(size, sizeof *grown);
    if (!grown || (table && !keep(texts, table))) {
        free(grown);
        return NULL;
    }
    if (count) memcpy(grown, table, count * sizeof *grown);
    *capacity = size;
    return grown;
}

enum status texts_piece(struct shared_texts *texts, size_t size, uint64_t *ret_place, char **ret_bytes)
{
    size_t numbers = (size + PIECE_BYTES - 1) >> PIECE_LOG2, first = texts->piece_count;
    char **pieces = table_grow(texts, texts->pieces, first, first + numbers, &texts->piece_capacity);
    if (!pieces) return STATUS_LIMIT;
    texts->pieces = pieces;
    char *bytes = malloc(size ? size : 1);
    if (!bytes || !keep(texts, bytes)) {
        free(bytes);
        return STATUS_LIMIT;
    }
    for (size_t i = 0; i < numbers; i++) pieces[first + i] = bytes + (i << PIECE_LOG2);
    texts->piece_count += numbers;
    *ret_place = (uint64_t)first << PIECE_LOG2;
    *ret_bytes = bytes;
    return STATUS_OK;
}

enum status texts_pages(struct shared_texts *texts, size_t count, uint64_t base)
{
    size_t need = (count + TEXTS_PAGE - 1) / TEXTS_PAGE;
    struct text_page **pages = table_grow(texts, texts->pages, texts->page_count, need, &texts->page_capacity);
    if (need && !pages) return STATUS_LIMIT;
    texts->pages = pages;
    while (texts->page_count < need) {
        struct text_page *page = malloc(sizeof *page);
        if (!page) return STATUS_LIMIT;
        page->base = base;
        pages[texts->page_count++] = page;
    }
    return STATUS_OK;
}

enum status id_text_store(struct id_graph *graph, const struct id_form *form)
{
    struct shared_texts *texts = graph->texts;
    size_t size = id_form_size(form);
    if (graph->place_end - graph->place < size) {
        size_t room = size > PIECE_BYTES / 4 ? size : texts->piece_count ? PIECE_BYTES : PIECE_FIRST;
        char *bytes;
        TRY(texts_piece(texts, room, &graph->place, &bytes));
        graph->place_end = graph->place + room;
    }
    TRY(texts_pages(texts, (size_t)graph->count + 1, graph->place));
    struct text_page *page = texts->pages[graph->count / TEXTS_PAGE];
    if (graph->place - page->base > UINT32_MAX) return STATUS_LIMIT;
    page->at[graph->count % TEXTS_PAGE] = (uint32_t)(graph->place - page->base);
    char *to = texts->pieces[graph->place >> PIECE_LOG2] + (graph->place & (PIECE_BYTES - 1));
    memcpy(to, form->head, form->head_size);
    if (form->rest.size) memcpy(to + form->head_size, form->rest.data, form->rest.size);
    graph->place += size;
    return STATUS_OK;
}

struct str id_graph_text(const struct id_graph *graph, uint32_t id, char room[ID_TEXT_ROOM])
{
    return id ? id_form_text(form_at(graph->texts->pages, graph->texts->pieces, id), room) : STR("");
}

/* --- their table --- */

void id_slot_put(struct slot *slots, size_t capacity, uint32_t tag, uint32_t id)
{
    size_t i = id_home(tag, capacity);
    while (slots[i].id) i = i + 1 == capacity ? 0 : i + 1;
    slots[i] = (struct slot){tag, id};
}

enum status id_slots_grow(struct id_graph *graph, size_t more)
{
    size_t need = (size_t)graph->count + more;
    if (need * 4 <= graph->capacity * 3) return STATUS_OK;
    size_t capacity = need + need / 2 + 62;
    struct slot *slots = calloc(capacity, sizeof *slots);
    if (!slots) return STATUS_LIMIT;
    for (size_t i = 0; i < graph->capacity; i++) {
        if (graph->slots[i].id) id_slot_put(slots, capacity, graph->slots[i].tag, graph->slots[i].id);
    }
    os_rwlock_write(&graph->lock);
    free(graph->slots);
    graph->slots = slots;
    graph->capacity = capacity;
    os_rwlock_write_end(&graph->lock);
    return STATUS_OK;
}

enum status id_slots_new(struct id_graph *graph, size_t count)
{
    graph->capacity = 0;
    free(graph->slots); /* of a load that failed */
    size_t capacity = count + count / 2 + 62;
    graph->slots = calloc(capacity, sizeof *graph->slots);
    if (!graph->slots) return STATUS_LIMIT;
    graph->capacity = capacity;
    return STATUS_OK;
}

/* Filling. Each thread has a stretch of the table and takes the ids whose home is in it. Those that find no room before
 * its end are put in afterwards: a search goes on across the border only where the stretch is full up to it. */
struct fill {
    struct id_graph *graph;
    const uint32_t *tags;
    size_t stretches;
    struct overflow {
        uint32_t *ids;
        size_t count, capacity;
    } * overflows;
};

static void overflow_add(struct overflow *overflow, uint32_t id)
{
    if (overflow->count == overflow->capacity) {
        size_t capacity = overflow->capacity ? overflow->capacity * 2 : 64;
        uint32_t *grown = realloc(overflow->ids, capacity * sizeof *grown);
        if (!grown) abort();
        overflow->ids = grown;
        overflow->capacity = capacity;
    }
    overflow->ids[overflow->count++] = id;
}

static void fill_stretch(void *ctx, size_t index)
{
    const struct fill *fill = ctx;
    const struct id_graph *graph = fill->graph;
    struct slot *slots = graph->slots;
    size_t capacity = graph->capacity, begin = capacity / fill->stretches * index;
    size_t end = index + 1 == fill->stretches ? capacity : begin + capacity / fill->stretches;
    const uint32_t *tags = fill->tags;
    uint32_t waiting[FILL_AHEAD], count = 0;
    for (uint32_t id = 1; id <= graph->count + 1; id++) {
        /* The places of a group are asked for together before the first is used. */
        if (id <= graph->count) {
            size_t home = id_home(tags[id - 1], capacity);
            if (home < begin || home >= end) continue;
            __builtin_prefetch(&slots[home], 1);
            waiting[count++] = id;
        }
        if (count < FILL_AHEAD && id <= graph->count) continue;
        for (uint32_t w = 0; w < count; w++) {
            if (!cow32_get(&graph->person, waiting[w]) || id_graph_is_bare(graph, waiting[w])) continue;
            size_t i = id_home(tags[waiting[w] - 1], capacity);
            while (i < end && slots[i].id) i++;
            if (i < end)
                slots[i] = (struct slot){tags[waiting[w] - 1], waiting[w]};
            else
                overflow_add(&fill->overflows[index], waiting[w]);
        }
        count = 0;
    }
}

void id_slots_fill(struct id_graph *graph, const uint32_t *tags, unsigned threads)
{
    struct overflow overflows[16] = {{.ids = NULL}};
    struct fill fill = {.graph = graph, .tags = tags, .overflows = overflows};
    fill.stretches = graph->count < PARALLEL_IDS || threads < 2 ? 1 : threads < 16 ? threads : 16;
    os_parallel(threads, fill.stretches, fill_stretch, &fill);
    for (size_t s = 0; s < fill.stretches; s++) {
        for (size_t i = 0; i < overflows[s].count; i++)
            id_slot_put(graph->slots, graph->capacity, tags[overflows[s].ids[i] - 1], overflows[s].ids[i]);
        free(overflows[s].ids);
    }
}
