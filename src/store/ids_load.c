/*
 * Filling a graph from catalog files: what a start waits for when there are millions of ids.
 *
 * Texts are read block by block, each into the place where it stays; who is who is computed beside that, from the links
 * alone, in two passes. The first follows the links as they were made, splices lists of members and notes who absorbed
 * whom. The second goes backwards: the person of a number that was taken away is that of whoever took it, which is
 * known by then, because that one was taken away later, if at all. So no list of members is walked, each link costs a
 * handful of accesses, and those of a group of links are asked for together.
 */
#include "store/ids_int.h"

#include "os/parallel.h"
#include "store/catalog.h"

#include <stdlib.h>

#define GROUP          32
#define PARALLEL_BYTES ((uint64_t)8 << 20)

struct texts_block { /* the turn of one block of ids */
    const struct catalog_ref *ref;
    char *bytes;
    uint64_t place, empty; /* empty: ids without text, which must have been forgotten */
};

struct load {
    struct id_graph *graph;
    const struct catalog_ref *refs[CATALOG_FORGOTTEN + 1]; /* by kind */
    size_t counts[CATALOG_FORGOTTEN + 1];
    struct texts_block *texts;
    uint32_t *tags; /* by id - 1 */
    uint32_t id_count, link_count;
    struct os_mutex lock; /* what follows */
    size_t failed_turn;   /* the first of those that failed; SIZE_MAX: none */
    struct error error;
    const struct catalog_file *bad;
};

/* The first failure in the order of turns is the one that is reported, so that it does not depend on threads. */
static void fail(struct load *load, size_t turn, const struct error *error, const struct catalog_file *bad)
{
    os_mutex_lock(&load->lock);
    if (turn < load->failed_turn) {
        load->failed_turn = turn;
        load->error = *error;
        load->bad = bad;
    }
    os_mutex_unlock(&load->lock);
}

static enum status malformed(const struct catalog_ref *ref, const char *what, struct error *error)
{
    return error_set(error, STATUS_CORRUPT, "the %s at %llu are malformed, or do not continue what came before", what,
                     (unsigned long long)ref->block->offset);
}

static enum status out_of_memory(struct error *error)
{
    return error_set(error, STATUS_LIMIT, "out of memory for ids");
}

/* --- texts --- */

static enum status take_texts(struct load *load, struct texts_block *texts, struct error *error)
{
    const struct catalog_block *block = texts->ref->block;
    struct text_page *const *pages = load->graph->texts->pages;
    TRY(catalog_read(texts->ref->file, block, texts->bytes, error));
    const unsigned char *start = (const unsigned char *)texts->bytes;
    struct reader reader = reader_of(str_from(texts->bytes, block->size));
    for (uint64_t i = 0; i < block->count; i++) {
        size_t index = (size_t)(block->first - 1 + i);
        struct text_page *page = pages[index / TEXTS_PAGE];
        uint64_t at = texts->place + (uint64_t)(reader.at - start) - page->base;
        size_t size = id_form_read(&reader, &load->tags[index]);
        if (reader.failed || at > UINT32_MAX) return malformed(texts->ref, "ids", error);
        page->at[index % TEXTS_PAGE] = (uint32_t)at;
        texts->empty += size == 0;
    }
    return reader_left(&reader) ? malformed(texts->ref, "ids", error) : STATUS_OK;
}

/* Memory for all texts; pages begin in the piece of their first id. */
static enum status make_room(struct load *load, struct error *error, const struct catalog_file **ret_bad)
{
    struct id_graph *graph = load->graph;
    uint64_t count = 0;
    for (size_t i = 0; i < load->counts[CATALOG_IDS]; i++) {
        const struct catalog_ref *ref = &load->refs[CATALOG_IDS][i];
        *ret_bad = ref->file;
        if (ref->block->first != count + 1 || ref->block->count > ID_MAX - count) return malformed(ref, "ids", error);
        count += ref->block->count;
    }
    *ret_bad = NULL;
    load->id_count = (uint32_t)count;
    load->texts = calloc(load->counts[CATALOG_IDS] + 1, sizeof *load->texts);
    load->tags = malloc((count + 1) * sizeof *load->tags);
    if (!load->texts || !load->tags) return out_of_memory(error);
    count = 0;
    for (size_t i = 0; i < load->counts[CATALOG_IDS]; i++) {
        struct texts_block *texts = &load->texts[i];
        texts->ref = &load->refs[CATALOG_IDS][i];
        count += texts->ref->block->count;
        if (texts_piece(graph->texts, texts->ref->block->size, &texts->place, &texts->bytes) != STATUS_OK ||
            texts_pages(graph->texts, count, texts->place) != STATUS_OK)
            return out_of_memory(error);
    }
    return id_arrays_grow(graph, load->id_count) == STATUS_OK && id_slots_new(graph, load->id_count) == STATUS_OK
               ? STATUS_OK
               : out_of_memory(error);
}

/* --- links --- */

/* One block of varints, in memory. */
static enum status read_block(const struct catalog_ref *ref, char **bytes, size_t *capacity, struct reader *ret_reader,
                              struct error *error)
{
    if (ref->block->size > *capacity) {
        free(*bytes);
        *capacity = 0;
        *bytes = malloc(ref->block->size);
        if (!*bytes) return out_of_memory(error);
        *capacity = ref->block->size;
    }
    TRY(catalog_read(ref->file, ref->block, *bytes, error));
    *ret_reader = reader_of(str_from(*bytes, ref->block->size));
    return STATUS_OK;
}

static bool link_is_good(const struct id_graph *graph, const struct link *link, uint32_t count)
{
    if (!link->survivor) return !link->moved && !link->shown; /* one that counts no more */
    if (!link->shown || link->moved == link->survivor) return false;
    if (link->survivor > count || link->moved > count || link->shown > count) return false;
    return !graph->weight[link->survivor] && (!link->moved || !graph->weight[link->moved]);
}

static enum status follow_link(struct id_graph *graph, const struct link *link)
{
    uint32_t before = 0, number = graph->moved.count;
    if (link->moved) {
        uint32_t next = graph->next[link->survivor];
        graph->next[link->survivor] = graph->next[link->moved];
        graph->next[link->moved] = next;
        graph->weight[link->moved] = link->survivor;
        if (graph->absorbed.count <= link->survivor)
            TRY(cow32_extend(&graph->absorbed, link->survivor + 1 - graph->absorbed.count, 0, 0));
        before = cow32_get(&graph->absorbed, link->survivor);
        TRY(cow32_set(&graph->absorbed, link->survivor, number + 1));
    }
    if (link->survivor) TRY(cow32_set(&graph->shown, link->survivor, link->shown));
    TRY(cow32_push(&graph->before, before));
    return cow32_push(&graph->moved, link->moved);
}

static void ask_for(const struct cow32 *array, uint32_t index)
{
    if (index < array->count) __builtin_prefetch(&array->table->pages[index / COW_PAGE]->values[index % COW_PAGE], 1);
}

static enum status follow_links(struct load *load, const struct catalog_ref *ref, struct reader *reader,
                                struct error *error)
{
    struct id_graph *graph = load->graph;
    struct link links[GROUP];
    if (ref->block->first != graph->moved.count || ref->block->count > UINT32_MAX - graph->moved.count)
        return malformed(ref, "links", error);
    for (uint64_t left = ref->block->count; left;) {
        uint32_t group = left < GROUP ? (uint32_t)left : GROUP;
        for (uint32_t i = 0; i < group; i++) {
            uint64_t survivor = read_varint(reader), moved = read_varint(reader), shown = read_varint(reader);
            if (reader->failed || survivor > load->id_count || moved > load->id_count || shown > load->id_count)
                return malformed(ref, "links", error);
            links[i] = (struct link){(uint32_t)survivor, (uint32_t)moved, (uint32_t)shown};
            __builtin_prefetch(&graph->next[survivor], 1);
            __builtin_prefetch(&graph->next[moved], 1);
            __builtin_prefetch(&graph->weight[survivor]);
            __builtin_prefetch(&graph->weight[moved], 1);
            ask_for(&graph->shown, links[i].survivor);
            ask_for(&graph->absorbed, links[i].survivor);
        }
        for (uint32_t i = 0; i < group; i++) {
            if (!link_is_good(graph, &links[i], load->id_count)) return malformed(ref, "links", error);
            if (follow_link(graph, &links[i]) != STATUS_OK) return out_of_memory(error);
        }
        left -= group;
    }
    return reader_left(reader) ? malformed(ref, "links", error) : STATUS_OK;
}

static enum status find_persons(struct id_graph *graph)
{
    for (uint32_t end = graph->moved.count; end;) {
        uint32_t group = end < GROUP ? end : GROUP, moved[GROUP], survivors[GROUP];
        for (uint32_t i = 0; i < group; i++) {
            moved[i] = cow32_get(&graph->moved, end - 1 - i);
            __builtin_prefetch(&graph->weight[moved[i]]);
        }
        for (uint32_t i = 0; i < group; i++) {
            survivors[i] = graph->weight[moved[i]];
            ask_for(&graph->person, survivors[i]);
            ask_for(&graph->person, moved[i]);
        }
        for (uint32_t i = 0; i < group; i++)
            if (moved[i]) TRY(cow32_set(&graph->person, moved[i], cow32_get(&graph->person, survivors[i])));
        end -= group;
    }
    return STATUS_OK;
}

/* Of a person the newest one counts; those of numbers that were taken away later do not. */
static enum status take_weights(struct load *load, const struct catalog_ref *ref, struct reader *reader,
                                struct error *error)
{
    struct id_graph *graph = load->graph;
    uint64_t id = ref->block->first;
    for (uint64_t i = 0; i < ref->block->count; i++) {
        uint64_t more = read_varint(reader), rows = read_varint(reader);
        if (reader->failed || id > load->id_count || more > load->id_count - id || id + more == 0 || rows > UINT32_MAX)
            return malformed(ref, "weights", error);
        id += more;
        if (cow32_get(&graph->person, (uint32_t)id) == id) graph->weight[id] = (uint32_t)rows;
    }
    return reader_left(reader) ? malformed(ref, "weights", error) : STATUS_OK;
}

static enum status fill_arrays(struct load *load, struct error *error)
{
    struct id_graph *graph = load->graph;
    if (cow32_extend(&graph->person, load->id_count, 1, 1) != STATUS_OK ||
        cow32_extend(&graph->shown, load->id_count, 1, 1) != STATUS_OK)
        return out_of_memory(error);
    for (uint32_t id = 1; id <= load->id_count; id++) graph->next[id] = id;
    return STATUS_OK;
}

static enum status take_links(struct load *load, struct error *error, const struct catalog_file **ret_bad)
{
    char *bytes = NULL;
    size_t capacity = 0;
    struct reader reader;
    enum status status = fill_arrays(load, error);
    for (unsigned kind = CATALOG_LINKS; kind <= CATALOG_WEIGHTS && status == STATUS_OK; kind++) {
        for (size_t i = 0; i < load->counts[kind] && status == STATUS_OK; i++) {
            const struct catalog_ref *ref = &load->refs[kind][i];
            *ret_bad = ref->file;
            status = read_block(ref, &bytes, &capacity, &reader, error);
            if (status == STATUS_OK)
                status = kind == CATALOG_LINKS ? follow_links(load, ref, &reader, error)
                                               : take_weights(load, ref, &reader, error);
        }
        if (status == STATUS_OK && kind == CATALOG_LINKS && find_persons(load->graph) != STATUS_OK)
            status = out_of_memory(error);
    }
    free(bytes);
    if (status == STATUS_OK) *ret_bad = NULL;
    return status;
}

/* --- who was forgotten --- */

static enum status forget(struct load *load, const struct catalog_ref *ref, struct reader *reader, uint64_t *empty,
                          struct error *error)
{
    struct id_graph *graph = load->graph;
    if (ref->block->first != graph->forgotten_count || ref->block->count > load->id_count)
        return malformed(ref, "forgotten ids", error);
    if (id_forgotten_grow(graph, (uint32_t)ref->block->count) != STATUS_OK) return out_of_memory(error);
    for (uint64_t i = 0; i < ref->block->count; i++) {
        uint64_t id = read_varint(reader);
        if (reader->failed || id == 0 || id > load->id_count || !id_graph_person(graph, (uint32_t)id))
            return malformed(ref, "forgotten ids", error);
        if (id_graph_person(graph, (uint32_t)id) == id) graph->weight[id] = (uint32_t)id;
        if (cow32_set(&graph->person, (uint32_t)id, 0) != STATUS_OK) return out_of_memory(error);
        graph->forgotten[graph->forgotten_count++] = (uint32_t)id;
        char room[ID_TEXT_ROOM];
        if (id_graph_text(graph, (uint32_t)id, room).size)
            graph->forgot_texts = true;
        else
            (*empty)++;
    }
    return reader_left(reader) ? malformed(ref, "forgotten ids", error) : STATUS_OK;
}

static enum status take_forgotten(struct load *load, struct error *error, const struct catalog_file **ret_bad)
{
    struct id_graph *graph = load->graph;
    char *bytes = NULL;
    size_t capacity = 0, blocks = load->counts[CATALOG_FORGOTTEN];
    uint64_t empty = 0, wanted = 0;
    enum status status = STATUS_OK;
    for (size_t i = 0; i < blocks && status == STATUS_OK; i++) {
        const struct catalog_ref *ref = &load->refs[CATALOG_FORGOTTEN][i];
        struct reader reader;
        *ret_bad = ref->file;
        status = read_block(ref, &bytes, &capacity, &reader, error);
        if (status == STATUS_OK) status = forget(load, ref, &reader, &empty, error);
    }
    free(bytes);
    TRY(status);
    /* Clusters are forgotten whole, and nobody else is without a text. */
    for (uint32_t i = 0; i < graph->forgotten_count; i++) {
        if (id_graph_person(graph, graph->next[graph->forgotten[i]]))
            return malformed(&load->refs[CATALOG_FORGOTTEN][blocks - 1], "forgotten ids", error);
    }
    for (size_t i = 0; i < load->counts[CATALOG_IDS]; i++) {
        wanted += load->texts[i].empty;
        *ret_bad = load->texts[i].ref->file;
        if (wanted > empty) return malformed(load->texts[i].ref, "ids", error);
    }
    *ret_bad = NULL;
    return STATUS_OK;
}

/* --- all of it --- */

static void take_turn(void *ctx, size_t turn)
{
    struct load *load = ctx;
    struct error error = ERROR_INIT;
    const struct catalog_file *bad = NULL;
    enum status status;
    if (turn == 0) {
        status = take_links(load, &error, &bad);
    } else {
        bad = load->texts[turn - 1].ref->file;
        status = take_texts(load, &load->texts[turn - 1], &error);
    }
    if (status != STATUS_OK) fail(load, turn, &error, bad);
}

static enum status load_all(struct load *load, unsigned threads, struct error *error,
                            const struct catalog_file **ret_bad)
{
    uint64_t bytes = 0;
    TRY(make_room(load, error, ret_bad));
    for (size_t i = 0; i < load->counts[CATALOG_IDS]; i++) bytes += load->texts[i].ref->block->size;
    if (bytes < PARALLEL_BYTES) threads = 1;
    os_parallel(threads, load->counts[CATALOG_IDS] + 1, take_turn, load);
    if (load->failed_turn != SIZE_MAX) {
        if (error) *error = load->error;
        *ret_bad = load->bad;
        return load->error.status;
    }
    TRY(take_forgotten(load, error, ret_bad));
    load->graph->count = load->id_count;
    load->graph->first_link = load->graph->moved.count;
    id_slots_fill(load->graph, load->tags, threads);
    return STATUS_OK;
}

enum status id_graph_load(struct id_graph *graph, const struct catalog_ref *refs, size_t count, unsigned threads,
                          struct error *error, const struct catalog_file **ret_bad)
{
    struct load load = {.graph = graph, .failed_turn = SIZE_MAX};
    *ret_bad = NULL;
    for (size_t i = count; i-- > 0;) {
        unsigned kind = refs[i].block->kind;
        load.refs[kind] = &refs[i];
        load.counts[kind]++;
    }
    os_mutex_init(&load.lock, "loading ids");
    enum status status = load_all(&load, threads, error, ret_bad);
    os_mutex_destroy(&load.lock);
    free(load.texts);
    free(load.tags);
    if (status != STATUS_OK) {
        cow32_fini(&graph->moved);
        graph->count = graph->forgotten_count = 0;
    }
    return status;
}
