#pragma once
/* What pile.c (rows) and pile_column.c (columns) share while a pile is made. */
#include "store/pile.h"

#define GUESSES_MAX 64

struct column { /* being filled; see struct pile_column */
    uint32_t run, property, count, capacity;
    uint32_t next; /* one more than the row of the last cell */
    enum pile_form form;
    uint32_t *rows, *codes;
    uint64_t *words;
};

struct open_run {
    uint32_t event, from, count;
    uint32_t arrived; /* so far */
    /* columns, about in the order in which rows have their properties */
    uint32_t guesses[GUESSES_MAX], guess_count;
};

struct gathering {
    struct memtable *mem;
    struct pile *pile;
    struct arena *arena, *scratch; /* the pile's; the memtable's */
    int64_t time_min_ms, time_max_ms;
    struct open_run *runs;
    uint32_t *run_of_event;
    struct column *columns; /* malloc'd */
    uint32_t column_count, column_capacity;
    char *texts;                /* of insert ids that are not all of one size: the next one's place */
    struct u64map column_of;    /* run and property -> column */
    struct interner *interners; /* by property */
};

/* The properties of row `index` of the memtable, which is the `arrived`th of run r. */
enum status pile_take_properties(struct gathering *s, uint32_t index, uint32_t r, uint32_t arrived) MUST_USE;
/* Puts runs and columns, and what codes mean, into the pile's own memory. */
enum status pile_keep_columns(struct gathering *s) MUST_USE;
enum status pile_keep_values(struct gathering *s) MUST_USE;
