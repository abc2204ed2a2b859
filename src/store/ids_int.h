#pragma once
/*
 * The inside of the id graph (see the essay in ids.c), shared by ids.c, ids_split.c (taking ids out of clusters),
 * ids_source.c (where links come from), ids_text.c (texts and their table), ids_save.c and ids_load.c (the durable
 * form).
 */
#include "base/cow.h"
#include "base/hash.h"
#include "os/thread.h"
#include "store/ids.h"

#include <stdatomic.h>

#define ID_MAX      ((uint32_t)1 << 31)
#define PIECE_LOG2  20
#define PIECE_BYTES ((size_t)1 << PIECE_LOG2)
#define TEXTS_PAGE  1024

/* Where the texts of consecutive ids are: places count bytes through all pieces, a piece being PIECE_BYTES of them. */
struct text_page {
    uint64_t base;
    uint32_t at[TEXTS_PAGE]; /* place - base */
};

struct slot {
    uint32_t tag, id; /* id 0: free */
};

struct link {
    uint32_t survivor, moved, shown;
};

/* The number that was taken away, those who stayed, who are at `rest`, and those who left: leavers[first .. first +
 * count), ascending, each at rest + 1 and so on. */
struct split {
    uint32_t number, rest, first, count;
};
#define NAME_BIT  ((uint32_t)1 << 31) /* of alias[]: of the legacy mode */
#define SPLIT_BIT ((uint32_t)1 << 31) /* of weight[] of a number that a split took away; below it, which split */

/* Texts only ever grow and never move, so views share them with the graph: the tables of pages and of pieces are
 * replaced, not changed, when they grow; old ones are kept until the graph goes. */
struct shared_texts {
    _Atomic uint32_t refs;
    struct text_page **pages;
    size_t page_count, page_capacity;
    char **pieces; /* by number: several numbers lead into one piece that is longer than PIECE_BYTES */
    size_t piece_count, piece_capacity;
    void **kept; /* the memory of pieces, and outgrown tables */
    size_t kept_count, kept_capacity;
};

struct id_graph {
    uint32_t count;
    struct slot *slots; /* forgotten ids keep theirs: older views find them, everybody else passes over */
    size_t capacity;
    struct shared_texts *texts;
    uint64_t place, place_end;  /* the room for more texts in the last piece */
    struct cow32 person, shown; /* index id; entry 0 is unused */
    struct cow32 moved;         /* index link: the number that it took away, 0: none */
    /* The links that took numbers away in favour of a person, newest first: absorbed[person] is the number of the
     * newest one, plus 1, and before[link] that of the one before it; 0 ends the list, and so does the array. */
    struct cow32 absorbed, before;
    struct cow32 left, right, made; /* index link: its source, packed (ids_source.c) ... */
    struct cow32 named;             /* ... but for the name of the event */
    struct cow32 alias; /* index id, as far as there are any: whose alias it is, with NAME_BIT when not linked; or 0 */
    struct cow32 mixed; /* bits by number, 32 a word, as far as there are any */
    uint32_t *next;
    /* of a person: rows; of a number that was taken away: by which one, or SPLIT_BIT and the split; of a forgotten
     * person: itself */
    uint32_t *weight;
    uint64_t *attached; /* a bit by id: $identify attached it to another */
    struct split *splits;
    uint32_t split_count, split_capacity;
    uint32_t *leavers;
    uint32_t leaver_count, leaver_capacity;
    uint64_t *touched; /* a bit by id: the weight of its person is not what the catalog says */
    uint64_t *saving;  /* the same, of those that a catalog which is being written holds */
    size_t array_capacity;
    struct link *links; /* those that no catalog holds: from first_link on */
    uint32_t first_link, link_capacity;
    uint32_t *forgotten; /* ids, in the order in which they were */
    uint32_t forgotten_count, forgotten_capacity;
    bool forgot_texts, torn;
    struct os_rwlock lock; /* slots: the applier writes, id_view_find reads */
};

static inline uint32_t add_saturating(uint32_t a, uint32_t b)
{
    return a > UINT32_MAX - b ? UINT32_MAX : a + b;
}

static inline void bit_set(uint64_t *bits, uint32_t index)
{
    bits[index / 64] |= (uint64_t)1 << (index % 64);
}

static inline bool bit_is_set(const uint64_t *bits, uint32_t index)
{
    return bits[index / 64] >> (index % 64) & 1;
}

static inline bool mixed_has(const struct cow32 *mixed, uint32_t number)
{
    return number / 32 < mixed->count && (cow32_get(mixed, number / 32) >> (number % 32) & 1);
}

/* --- ids.c --- */
/* Room for `more` ids in the arrays. */
enum status id_arrays_grow(struct id_graph *graph, size_t more) MUST_USE;
enum status id_forgotten_grow(struct id_graph *graph, uint32_t count) MUST_USE;
/* The next number, for this text; "" is a bare one, which nobody finds. */
enum status id_append(struct id_graph *graph, const struct id_form *form, uint32_t *ret_id) MUST_USE;
/* The graph is torn unless `status`, which is returned, is OK. */
enum status id_torn_unless(struct id_graph *graph, enum status status) MUST_USE;
enum status id_log_link(struct id_graph *graph, struct link link, const struct id_source *source) MUST_USE;
/* Makes the moved one's ids the survivor's; weights are the caller's. */
enum status id_relabel(struct id_graph *graph, struct link link) MUST_USE;

/* --- ids_source.c --- */
/* Notes where the link comes from whose number is that of entries so far, and what follows for its ids. */
enum status id_source_push(struct id_graph *graph, const struct id_source *source) MUST_USE;
struct id_source id_source_at(const struct cow32 *left, const struct cow32 *right, const struct cow32 *made,
                              uint32_t link);
enum status id_source_note(struct id_graph *graph, const struct id_source *source) MUST_USE;
/* Sets an entry of an array that is as long as its last entry that is not 0. */
enum status id_sparse_set(struct cow32 *array, uint32_t index, uint32_t value) MUST_USE;

/* --- ids_split.c --- */
/* What a split does, but for the log of links: persons, circles, mixed numbers. The numbers from `rest` on are there,
 * bare, and everybody's own. INVALID, without effect, when a leaving one is not of the cluster of `number`, or nobody
 * stays. */
enum status id_split_members(struct id_graph *graph, uint32_t number, uint32_t rest, const uint32_t *leaving,
                             uint32_t count) MUST_USE;
/* The number that came after one which was taken away, for this id. */
uint32_t id_number_after(const struct id_graph *graph, uint32_t number, uint32_t id);

/* --- ids_text.c --- */
struct shared_texts *texts_new(void);
void texts_unref(struct shared_texts *texts);
/* `size` bytes that stay where they are; their place is the beginning of a piece. */
enum status texts_piece(struct shared_texts *texts, size_t size, uint64_t *ret_place, char **ret_bytes) MUST_USE;
/* Pages for `count` ids in all; `base` is that of those which are added. */
enum status texts_pages(struct shared_texts *texts, size_t count, uint64_t base) MUST_USE;
/* Stores the text of id count + 1. */
enum status id_text_store(struct id_graph *graph, const struct id_form *form) MUST_USE;

static inline const char *form_at(struct text_page *const *pages, char *const *pieces, uint32_t id)
{
    const struct text_page *page = pages[(id - 1) / TEXTS_PAGE];
    uint64_t place = page->base + page->at[(id - 1) % TEXTS_PAGE];
    return pieces[place >> PIECE_LOG2] + (place & (PIECE_BYTES - 1));
}

/* Slots are in the order of tags, but for collisions: so that a larger table is filled from one end to the other. */
static inline size_t id_home(uint32_t tag, size_t capacity)
{
    return (size_t)((uint64_t)tag * capacity >> 32);
}
/* Room for `more` ids in the table. */
enum status id_slots_grow(struct id_graph *graph, size_t more) MUST_USE;
/* An empty table with room for `count` ids, to be filled with id_slots_fill. */
enum status id_slots_new(struct id_graph *graph, size_t count) MUST_USE;
/* Puts in ids 1 to count, but for the forgotten and the bare ones. tags: by id - 1. */
void id_slots_fill(struct id_graph *graph, const uint32_t *tags, unsigned threads);
void id_slot_put(struct slot *slots, size_t capacity, uint32_t tag, uint32_t id);
