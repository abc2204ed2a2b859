#pragma once
/* Random events, expressions and questions for comparisons. The same seed gives the same of each. */
#include "reference/reference.h"

struct generator {
    bool verbs; /* events name ids as the modes do that know verbs */
    uint64_t state;
    bool insert_ids; /* every event has one, so that expressions may show it */
    unsigned users;  /* one in so many properties of expressions is one of the user; 0: few */
    const char *bound[8];
    size_t bound_count;
};

struct generator generator_of(uint64_t seed);
uint64_t generate_bits(struct generator *g);
/* 0 .. limit-1 */
unsigned generate_below(struct generator *g, unsigned limit);
/* True once in `n` times. */
bool generate_once_in(struct generator *g, unsigned n);

/* A zone and a day on which something happens to its clocks. */
struct generated_place {
    const char *zone;
    int year, month, day;
};
struct generated_place generate_place(struct generator *g);

/* Appends one event as JSON. `utc_ms` is in the middle of the interesting time. Every few events repeat an
 * earlier one's name, time, ids and insert id: `memory` remembers them. */
#define GENERATED_HEADS 16
struct generated_heads {
    char texts[GENERATED_HEADS][256];
    unsigned count, serial;
};
void generate_event(struct generator *g, struct generated_heads *heads, int64_t utc_ms, int64_t spread_ms,
                    struct buf *out);
/* Appends the properties of a profile as a JSON object; they have the names of those of events. */
void generate_profile(struct generator *g, struct buf *out);
/* A device or user id, as it is stored. */
const char *generate_device(struct generator *g);
const char *generate_user(struct generator *g);
/* For the modes that know verbs. */
const char *generate_anonymous(struct generator *g);
const char *generate_id(struct generator *g);
/* NULL: any event. */
const char *generate_event_name(struct generator *g);

/* Appends a table whose keys are values that events have: an object of rows, which are objects. */
void generate_table(struct generator *g, struct buf *out);

/* Appends an expression: mostly sensible, mostly of the wanted kind, sometimes damaged. */
void generate_where(struct generator *g, struct buf *out);
void generate_on(struct generator *g, struct buf *out);
void generate_of(struct generator *g, struct buf *out); /* mostly numbers */
