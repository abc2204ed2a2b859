#pragma once
/* What the files of the simulation share. Everything runs in simulated threads, so data that is touched between two
 * calls of the engine or of os/thread.h needs no lock. */
#include "base/arena.h"
#include "base/error.h"
#include "os/sim.h"
#include "os/thread.h"
#include "query/backend.h"
#include "reference/generate.h"
#include "simulation/simulation.h"
#include "store/delete_record.h"
#include "store/store.h"

#define SIDES       2 /* each has a project */
#define CLIENTS_MAX 4
#define DROPS_MAX   16
#define PROFILES    6 /* of a side, that updates go to */

/* Which features and faults take part: each seed draws a random subset. */
struct swarm {
    enum identity_mode mode;
    unsigned clients, lives, rounds; /* rounds: checks of everything in a life */
    unsigned batch_events_max;
    bool resends, keys, links, late, deletes, flushes, compaction, snapshots, questions, feeds, log_purges;
    bool project_drops, salvage, profiles;
    bool kill, power, crash_in_recovery, fault_in_recovery;
    bool errors, drops, no_space, directory_errors, read_faults, silent, damage;
};

enum fate {
    IN_AIR,
    IN_LOG,  /* acknowledged, or found after a crash: it is there for good */
    REFUSED, /* may be found after a crash, unless something was acknowledged later */
    GONE     /* was not found: it must never be */
};

enum sent_kind {
    SENT_EVENTS,
    SENT_LINK,
    SENT_DELETE_PERSON,
    SENT_DELETE_BEFORE,
    SENT_DELETE_ROWS,
    SENT_DROP,   /* of the side's project, which goes on with another */
    SENT_UPDATE, /* of a profile: not in the log that the reference reads */
};

#define ROWS_MAX 4

/* One log record. */
struct sent {
    struct world *world;
    unsigned side;
    uint64_t project; /* the side's at that time */
    enum sent_kind kind;
    enum fate fate;
    uint32_t settled; /* which answer in a row, from 1 */
    uint32_t marker;  /* serial of an event that is in no other record and is never replaced; of an update */
    unsigned profile; /* of an update */
    struct str json;  /* list of events */
    struct str rest;  /* its events but for the marker, for sending them again */
    int64_t received_ms;
    struct str device, user; /* of a link; user: whom to delete */
    int64_t before_ms;       /* to delete */
    struct row_key rows[ROWS_MAX];
    size_t row_count;
    struct sent *next_in_log;
};

struct side {
    uint64_t project;
    struct arena *arena;
    struct reference *reference; /* holds the log up to `fed` */
    struct executor *executor;   /* on it */
    struct sent *log_first, *log_last, *fed;
    uint32_t log_count;
    uint64_t picture; /* of names, ids and people when the log had picture_count records */
    uint32_t picture_count;
    bool pictured;
};

/* A project that was dropped: it is empty for ever, or whole where the drop was refused. */
struct dropped {
    uint64_t project, rows;
    bool certain;
};

struct world {
    struct simulation_options options;
    struct simulation_report *report;
    struct swarm swarm;
    uint64_t random;
    struct generator generator;
    struct generated_heads heads;
    struct arena *arena; /* what was sent; lives as long as the world */
    struct sim *disk;
    struct store *store;
    struct executor *executor;
    struct side sides[SIDES];

    struct sent **sent;
    uint32_t sent_count, sent_capacity, settled, last_acked; /* last_acked: the number of an answer */
    uint32_t serial, update_serial;                          /* of events, of updates */
    struct dropped dropped[DROPS_MAX];
    unsigned drop_count;
    bool after_crash; /* refused records may be found, once */
    bool damaged;     /* bytes on disk are wrong: reads may fail with CORRUPT or IO, but must not be wrong */
    bool may_damage;  /* nothing stands in the way of damaging what lies on disk now */
    bool reads_fail;  /* the disk refuses or spoils reads at present */
    bool salvaged;    /* what is in the store is not what was acknowledged: the seed ends */

    struct os_mutex lock;
    struct os_cond changed;
    uint32_t in_air;
    unsigned running, paused;
    bool pausing, stopping;
};

/* --- world.c --- */
uint64_t draw(struct world *w, uint64_t below);
bool once_in(struct world *w, uint64_t n);
/* The first failure counts. */
void fail(struct world *w, const char *format, ...) PRINTF_LIKE(2, 3);
static inline bool failed(const struct world *w)
{
    return w->report->failed;
}
/* Fails for a status that is no answer to what is wrong with the disk right now. */
void fail_unless_excused(struct world *w, const char *what, enum status status, const struct error *error);

/* --- model.c: what was sent and what became of it --- */
struct sent *model_sent(struct world *w, unsigned side, enum sent_kind kind);
/* A `done` of store_append. */
void model_settled(void *sent, enum status status);
void model_wait(struct world *w); /* until nothing is in the air */
/* Brings the reference of a side up to the log. */
void model_feed(struct world *w, struct side *side);
/* With nothing in the air, after all was checked: the side gets another project, and the old one's past is over. */
void model_drop(struct world *w, unsigned side, bool certain);
void model_side_init(struct world *w, unsigned side, uint64_t project);
void model_side_fini(struct side *side);
/* After a crash: what was found stays, what was not never comes. `found` by serial. */
void model_adopt(struct world *w, unsigned side, const uint32_t *found, struct snapshot *snapshot);

/* Some events of the side that came with an insert id and count now, as far as the reference knows; their keys in the
 * world's arena. */
size_t model_choose_rows(struct world *w, unsigned side, struct row_key rows[ROWS_MAX]);

/* --- workload.c: the clients --- */
void workload_client(void *world); /* main of a thread */
/* Sends one batch and waits; false when it was refused. */
bool workload_send(struct world *w, unsigned side);
/* Drops the side's project and waits. */
void workload_drop(struct world *w, unsigned side);

/* --- rows.c --- */
struct row_seen {
    uint32_t serial;
    uint64_t hash; /* of everything that was sent */
};
/* Calls each(ctx, row) for every row that counts. */
enum status rows_read(struct world *w, struct snapshot *snapshot, void (*each)(void *ctx, const struct row_seen *row),
                      void *ctx, struct error *error) MUST_USE;
/* The same from the reference. */
void rows_expected(struct side *side, void (*each)(void *ctx, const struct row_seen *row), void *ctx);

/* --- profiles.c --- */
struct sent *profiles_send(struct world *w, unsigned side);
/* With nothing in the air. */
void profiles_check(struct world *w, unsigned side);
void profiles_check_dropped(struct world *w, uint64_t project);

/* --- check.c: with nothing in the air --- */
void check_everything(struct world *w);
/* Opens what lies on disk, damaged as it is, without what cannot be trusted, and lives with the rest. */
void check_salvage(struct world *w);
/* What a single client can tell at any time. */
void check_snapshot(struct world *w, unsigned side);

/* --- question.c --- */
/* Asks the engine and the reference; nothing may be in the air. */
void question_compare(struct world *w, unsigned side);
/* Asks the engine alone: it must answer. */
void question_ask(struct world *w, unsigned side);

/* --- io_errors.c: instead of a seed's course --- */
void io_errors_course(struct world *w);

/* --- world.c, for courses --- */
enum status world_open(struct world *w, struct error *error) MUST_USE;
enum status world_open_salvaging(struct world *w, struct error *error) MUST_USE;
void world_close(struct world *w);
/* Kills or cuts the power, and closes. */
void world_crash(struct world *w, bool power);
/* Until a record is accepted. */
void world_expect_writing(struct world *w);

/* --- faults.c --- */
void faults_plan(struct world *w);
void faults_plan_silent(struct world *w);
/* Inverts a bit of a file at rest; false when there was none to choose. */
struct damage {
    char name[128];
    uint64_t offset;
    unsigned char mask;
};
bool faults_damage(struct world *w, struct damage *ret_damage);
