#pragma once
/*
 * A history is a list of things that happen to a project: events come, ids are linked, something is deleted, the
 * store is flushed, compacted or reopened. Living through it gives a world: a store on a disk of its own and a
 * reference that was told the same. The same history gives the same world, and so does what is left of it when steps
 * are taken out, which is how a failing case is made small.
 */
#include "differential/groups.h"
#include "differential/plans.h"
#include "identity/identity.h"
#include "query/backend.h"
#include "store/store.h"

#include <stdio.h>

enum step_kind {
    STEP_EVENT,
    STEP_LINK,
    STEP_UNLINK,
    STEP_FLUSH,
    STEP_REOPEN,
    STEP_COMPACT,
    STEP_DELETE_PERSON,
    STEP_DELETE_BEFORE,
    STEP_DELETE_ROWS, /* one in `every` of the events that came with an insert id */
    STEP_PROFILE,
    STEP_DELETE_PROFILE,
    STEP_GROUPS /* profiles of groups */
};
struct step {
    enum step_kind kind;
    unsigned batch;      /* EVENT: events in a row with the same number come in one request */
    struct str event;    /* JSON; PROFILE: the properties; GROUPS: {ID:{properties}} */
    int64_t received_ms; /* of the request */
    enum link_operation operation;
    const char *device, *user; /* LINK; UNLINK: `user`; DELETE_PERSON: two ids; …PROFILE: `user` is the id; GROUPS: the group key */
    int64_t before_ms;         /* DELETE_BEFORE */
    unsigned every;            /* DELETE_ROWS */
};
struct history {
    struct arena *arena; /* texts */
    enum identity_mode mode;
    unsigned cluster_max; /* ids of one person, in the original mode */
    uint64_t flush_rows;
    uint64_t section_rows;        /* of a section that compaction writes; 0: as usual, and as seldom */
    struct generated_place place; /* where and when most of it happens */
    struct step *steps;
    size_t count;
};
/* `insert_ids` of the generator is set: whether all events have one; and `users`: how much is asked about them. */
void history_init(struct history *history, struct generator *g, bool large);
void history_fini(struct history *history);
void history_print(FILE *file, const struct history *history);

struct world {
    char directory[64];
    struct os_fs *fs;
    struct store *store;
    struct arena *arena; /* of the reference */
    struct reference *reference;
    struct told_group *groups;
    struct executor *native, *naive;
    enum identity_mode mode;
    unsigned cluster_max;
    uint64_t flush_rows, section_rows;
};
void world_init(struct world *world, const struct history *history);
void world_fini(struct world *world);
/* What must change no answer. */
void world_flush(struct world *world);
void world_reopen(struct world *world);
void world_compact(struct world *world);
