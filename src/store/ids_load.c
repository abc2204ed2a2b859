/*
 * Filling a graph from catalog files: what a start waits for when there are millions of ids.
 *
 * Texts are read block by block, each into the place where it stays; who is who is computed beside that, from the links
 * alone, in two passes. The first follows the links as they were made, splices lists of members and notes who absorbed
 * whom. The second goes backwards: the person of a number that was taken away is that of whoever took it, which is
 * known by then, because that one was taken away later, if at all. So no list of members is walked, each link costs a
 * handful of accesses, and those of a group of links are asked for together.
 *
 * Where a cluster was split, later links do not tell whose its ids are: then the links are made again one after the
 * other, as they were at first, members and all. Few projects have splits.
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
    const struct catalog_ref *refs[CATALOG_KINDS]; /* by kind */
    size_t counts[CATALOG_KINDS];
    struct texts_block *texts;
    uint32_t *tags; /* by id - 1 */
    uint32_t id_count, link_count;
    bool has_splits;
    /* the split whose links are being read: `number` 0, none */
    uint32_t number, rest, *leaving, leaving_count, leaving_capacity;
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
    load->id_count = (uint32_t)count;
    count = 0;
    for (size_t i = 0; i < load->counts[CATALOG_LINKS]; i++) {
        const struct catalog_ref *ref = &load->refs[CATALOG_LINKS][i];
        *ret_bad = ref->file;
        count += ref->block->count;
        if (count > UINT32_MAX) return malformed(ref, "links", error);
    }
    load->link_count = (uint32_t)count;
    count = load->id_count;
    *ret_bad = NULL;
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

/* What the log of links says of it. */
static enum status note_link(struct id_graph *graph, const struct link *link)
{
    uint32_t before = 0, number = graph->moved.count;
    if (link->moved) {
        if (graph->absorbed.count <= link->survivor)
            TRY(cow32_extend(&graph->absorbed, link->survivor + 1 - graph->absorbed.count, 0, 0));
        before = cow32_get(&graph->absorbed, link->survivor);
        TRY(cow32_set(&graph->absorbed, link->survivor, number + 1));
    }
    if (link->survivor) TRY(cow32_set(&graph->shown, link->survivor, link->shown));
    TRY(cow32_push(&graph->before, before));
    return cow32_push(&graph->moved, link->moved);
}

static enum status follow_link(struct id_graph *graph, const struct link *link)
{
    if (link->moved) {
        uint32_t next = graph->next[link->survivor];
        graph->next[link->survivor] = graph->next[link->moved];
        graph->next[link->moved] = next;
        graph->weight[link->moved] = link->survivor;
    }
    return note_link(graph, link);
}

static enum status finish_split(struct load *load)
{
    uint32_t number = load->number;
    load->number = 0;
    return number ? id_split_members(load->graph, number, load->rest, load->leaving, load->leaving_count) : STATUS_OK;
}

static bool is_person(const struct id_graph *graph, uint32_t number)
{
    return id_graph_person(graph, number) == number;
}

/* A link of a split, of those who stayed or of one who left: their number is given out with it. */
static enum status follow_split(struct load *load, const struct link *link, uint32_t left)
{
    struct id_graph *graph = load->graph;
    if (graph->next[link->survivor] != link->survivor) return STATUS_INVALID;
    if (!left) {
        TRY(finish_split(load));
        const struct split *last = graph->split_count ? &graph->splits[graph->split_count - 1] : NULL;
        if (last && link->survivor <= last->rest + last->count) return STATUS_INVALID;
        if (!is_person(graph, link->moved) || graph->weight[link->moved]) return STATUS_INVALID;
        load->number = link->moved;
        load->rest = link->survivor;
        load->leaving_count = 0;
        return STATUS_OK;
    }
    uint32_t count = load->leaving_count;
    if (load->number != link->moved || link->survivor != load->rest + 1 + count) return STATUS_INVALID;
    if (count && load->leaving[count - 1] >= left) return STATUS_INVALID;
    if (count == load->leaving_capacity) {
        uint32_t capacity = count ? count * 2 : 16;
        uint32_t *grown = realloc(load->leaving, capacity * sizeof *grown);
        if (!grown) return STATUS_LIMIT;
        load->leaving = grown;
        load->leaving_capacity = capacity;
    }
    load->leaving[load->leaving_count++] = left;
    return STATUS_OK;
}

/* The same as follow_link, but says at once who is who. INVALID: the links cannot have been made so. */
static enum status repeat_link(struct load *load, const struct link *link)
{
    struct id_graph *graph = load->graph;
    uint32_t number = graph->moved.count;
    struct id_source source = id_source_at(&graph->left, &graph->right, &graph->made, number);
    if (link->survivor && !is_person(graph, link->survivor)) return STATUS_INVALID;
    if (source.kind == ID_LINK_SPLIT && link->moved) {
        TRY(follow_split(load, link, source.a));
        return note_link(graph, link);
    }
    TRY(finish_split(load));
    if (link->survivor && !is_person(graph, link->survivor)) return STATUS_INVALID;
    if (link->moved) {
        if (!is_person(graph, link->moved)) return STATUS_INVALID;
        TRY(id_relabel(graph, *link));
        graph->weight[link->moved] = link->survivor;
    }
    return note_link(graph, link);
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
            enum status status = load->has_splits ? repeat_link(load, &links[i]) : follow_link(graph, &links[i]);
            if (status == STATUS_INVALID) return malformed(ref, "links", error);
            if (status != STATUS_OK) return out_of_memory(error);
        }
        left -= group;
    }
    return reader_left(reader) ? malformed(ref, "links", error) : STATUS_OK;
}

static enum status finish_links(struct load *load)
{
    struct id_graph *graph = load->graph;
    if (load->has_splits) return finish_split(load);
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

/* --- where links come from --- */

static enum status take_source(struct load *load, struct reader *reader)
{
    uint64_t kind = read_varint(reader), a = read_varint(reader), b = read_varint(reader), time_s = read_varint(reader);
    uint64_t event = read_varint(reader);
    if (reader->failed || kind > ID_LINK_NAME || a > load->id_count || b > load->id_count || time_s > UINT32_MAX ||
        event > UINT32_MAX || (event && kind != ID_LINK_EVENT))
        return STATUS_INVALID;
    struct id_source source = {(enum id_link_kind)kind, (uint32_t)a, (uint32_t)b, (int64_t)time_s * 1000,
                               (uint32_t)event};
    load->has_splits |= kind == ID_LINK_SPLIT;
    return id_source_push(load->graph, &source);
}

static enum status pad_sources(struct id_graph *graph, uint32_t count)
{
    uint32_t more = count - graph->left.count;
    TRY(cow32_extend(&graph->left, more, 0, 0));
    TRY(cow32_extend(&graph->right, more, 0, 0));
    TRY(cow32_extend(&graph->named, more, 0, 0));
    return cow32_extend(&graph->made, more, 0, 0);
}

/* Before the links. Those that older versions made have none, and are the first. */
static enum status take_sources(struct load *load, const struct catalog_ref *ref, struct reader *reader,
                                struct error *error)
{
    struct id_graph *graph = load->graph;
    const struct catalog_block *block = ref->block;
    bool follows = block->first == graph->left.count || ref == load->refs[CATALOG_SOURCES];
    if (!follows || block->first + block->count > load->link_count || block->first > load->link_count)
        return malformed(ref, "sources of links", error);
    if (pad_sources(graph, (uint32_t)block->first) != STATUS_OK) return out_of_memory(error);
    for (uint64_t i = 0; i < block->count; i++) {
        enum status status = take_source(load, reader);
        if (status == STATUS_INVALID) return malformed(ref, "sources of links", error);
        if (status != STATUS_OK) return out_of_memory(error);
    }
    return reader_left(reader) ? malformed(ref, "sources of links", error) : STATUS_OK;
}

/* --- links and weights --- */

static enum status take_block(struct load *load, const struct catalog_ref *ref, struct reader *reader,
                              struct error *error)
{
    switch (ref->block->kind) {
    case CATALOG_SOURCES: return take_sources(load, ref, reader, error);
    case CATALOG_LINKS: return follow_links(load, ref, reader, error);
    default: return take_weights(load, ref, reader, error);
    }
}

static enum status take_links(struct load *load, struct error *error, const struct catalog_file **ret_bad)
{
    char *bytes = NULL;
    size_t capacity = 0;
    struct reader reader;
    static const enum catalog_kind kinds[] = {CATALOG_SOURCES, CATALOG_LINKS, CATALOG_WEIGHTS};
    enum status status = fill_arrays(load, error);
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0] && status == STATUS_OK; k++) {
        enum catalog_kind kind = kinds[k];
        for (size_t i = 0; i < load->counts[kind] && status == STATUS_OK; i++) {
            const struct catalog_ref *ref = &load->refs[kind][i];
            *ret_bad = ref->file;
            status = read_block(ref, &bytes, &capacity, &reader, error);
            if (status == STATUS_OK) status = take_block(load, ref, &reader, error);
        }
        if (status == STATUS_OK && kind == CATALOG_SOURCES && pad_sources(load->graph, load->link_count) != STATUS_OK)
            status = out_of_memory(error);
        if (status != STATUS_OK || kind != CATALOG_LINKS) continue;
        status = finish_links(load);
        if (status == STATUS_INVALID)
            status = malformed(&load->refs[kind][load->counts[kind] - 1], "links", error);
        else if (status != STATUS_OK)
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
    /* Clusters are forgotten whole, and nobody else is without a text, but for bare numbers. */
    for (uint32_t i = 0; i < graph->forgotten_count; i++) {
        if (id_graph_person(graph, graph->next[graph->forgotten[i]]))
            return malformed(&load->refs[CATALOG_FORGOTTEN][blocks - 1], "forgotten ids", error);
    }
    for (uint32_t i = 0; i < graph->split_count; i++) {
        for (uint32_t k = 0; k <= graph->splits[i].count; k++)
            empty += id_graph_person(graph, graph->splits[i].rest + k) != 0;
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
    free(load.leaving);
    if (status != STATUS_OK) {
        cow32_fini(&graph->moved);
        cow32_fini(&graph->left);
        cow32_fini(&graph->right);
        cow32_fini(&graph->made);
        cow32_fini(&graph->named);
        cow32_fini(&graph->alias);
        cow32_fini(&graph->mixed);
        graph->count = graph->forgotten_count = graph->split_count = graph->leaver_count = 0;
    }
    return status;
}
