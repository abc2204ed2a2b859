#pragma once
/*
 * Piles: rows of a memtable as columns, in the order of arrival. What a row consists of has left the log's frames, and
 * texts have become codes; nothing is sorted or encoded yet. A section in RAM begins as one (struct section.pile), and
 * becomes an image only when somebody wants to look into it; a flush writes piles into files straight away, so that a
 * bulk load puts its rows into columns once.
 *
 * A pile belongs to its section. It is made by the applier, which may kill rows while nobody else reads it; a merge
 * reads it on any thread.
 */
#include "store/interner.h"
#include "store/memtable.h"

enum pile_form {
    PILE_CODES,
    PILE_INTS,
    PILE_DOUBLES,
};

/* One property of one run: the rows that have it, and what they have. */
struct pile_column {
    uint32_t run, property, count;
    enum pile_form form;
    uint32_t *rows;     /* within the run as it arrived, ascending; NULL: the first `count` */
    uint8_t code_bytes; /* CODES: 1, 2 or 4 */
    const void *codes;
    uint64_t *words;
};
static inline uint32_t pile_code(const struct pile_column *column, uint32_t i)
{
    return column->code_bytes == 1   ? ((const uint8_t *)column->codes)[i]
           : column->code_bytes == 2 ? ((const uint16_t *)column->codes)[i]
                                     : ((const uint32_t *)column->codes)[i];
}

/* The rows of an event: places [from, from + count), and their columns, ascending by property. */
struct pile_run {
    uint32_t event, from, count;
    uint32_t first_column, column_count;
};

struct pile {
    struct arena *arena; /* everything is in it */
    uint32_t count, dead_count, keyed;
    struct pile_run *runs; /* ascending by event */
    uint32_t run_count;
    struct pile_column *columns;
    uint32_t column_count;
    struct pile_values { /* of a property; code c is entries[c - 1] */
        struct value *entries;
        uint32_t count;
        bool loose; /* they may repeat */
    } * values;
    size_t property_end; /* of values[] */
    /* by place */
    uint32_t *ids;
    int64_t *times;
    int64_t *received;     /* NULL: all at received_ms */
    struct value *inserts; /* NULL: strings of insert_size bytes each, in texts */
    char *texts;
    uint64_t *keys; /* dedup_key, where there is an insert id */
    /* Places that have one, grouped by the upper bits of the key: those of group g are by_key[starts[g] .. starts[g +
     * 1]) (pile_find makes them). */
    uint32_t *starts, *by_key;
    unsigned key_shift;
    uint8_t *flags;
    uint64_t *dead; /* bits */
    int64_t received_ms;
    uint32_t insert_size;
    unsigned char *filter; /* of the keys */
    size_t filter_bytes;
};

/* Makes a section of the live rows and empties the memtable. *ret_section is NULL when no row lived. */
enum status memtable_pile(struct memtable *mem, uint64_t project, struct error *error,
                          struct section **ret_section) MUST_USE;
void pile_free(struct pile *pile);
/* The run of an event, or NULL. */
const struct pile_run *pile_find_run(const struct pile *pile, uint32_t event);
static inline bool pile_is_dead(const struct pile *pile, uint32_t place)
{
    return pile->dead[place / 64] >> (place % 64) & 1;
}
static inline struct value pile_insert(const struct pile *pile, uint32_t place)
{
    if (pile->inserts) return pile->inserts[place];
    return value_str(str_from(pile->texts + (size_t)place * pile->insert_size, pile->insert_size));
}
static inline int64_t pile_received(const struct pile *pile, uint32_t place)
{
    return pile->received ? pile->received[place] : pile->received_ms;
}
/* The place of the living row that has these fields (key: their dedup_key); UINT32_MAX when there is none. Of the
 * applier: the first time that the filter says yes, the pile grows by an index of its keys. */
enum status pile_find(struct pile *pile, uint32_t event, uint32_t id, int64_t time_ms, struct str insert_id,
                      uint64_t key, uint32_t *ret_place) MUST_USE;
size_t pile_bytes(const struct pile *pile);
/* Of the applier, and only while the pile is not being merged. */
void pile_kill(struct pile *pile, uint32_t place);
/* Cell i of a column. */
struct value pile_value(const struct pile *pile, const struct pile_column *column, uint32_t i);
