#pragma once
/*
 * The inside of the id graph (see the essay in ids.c), shared by ids.c, ids_text.c (texts and their table), ids_save.c
 * and ids_load.c (the durable form).
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
    uint32_t *next;
    uint32_t
        *weight; /* of a person: rows; of a number that was taken away: by which one; of a forgotten person: itself */
    uint64_t *touched; /* a bit by id: the weight of its person is not what the catalog says */
    uint64_t *saving;  /* the same, of those that a catalog which is being written holds */
    size_t array_capacity;
    struct link *links; /* those that no catalog holds: from first_link on */
    uint32_t first_link, link_capacity;
    uint32_t *forgotten; /* ids, in the order in which they were */
    uint32_t forgotten_count, forgotten_capacity;
    bool forgot_texts;
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

/* The number that absorbed this one; itself when none did. */
static inline uint32_t id_parent(const struct id_graph *graph, uint32_t id)
{
    return cow32_get(&graph->person, id) == id ? id : graph->weight[id];
}

/* --- ids.c --- */
/* Room for `more` ids in the arrays. */
enum status id_arrays_grow(struct id_graph *graph, size_t more) MUST_USE;
enum status id_forgotten_grow(struct id_graph *graph, uint32_t count) MUST_USE;

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
/* Puts in ids 1 to count, but for the forgotten ones. tags: by id - 1. */
void id_slots_fill(struct id_graph *graph, const uint32_t *tags, unsigned threads);
void id_slot_put(struct slot *slots, size_t capacity, uint32_t tag, uint32_t id);
