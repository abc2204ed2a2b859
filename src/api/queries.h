#pragma once
/*
 * The queries that are under way: which there are, how far they are, which may begin, and how one is stopped.
 *
 *   queries_enter ──▶ WAITING ──▶ RUNNING ──────▶ queries_leave
 *                        │ │         │                 ▲
 *          too long, or  │ │         ▼ queries_stream  │
 *          stopped: run()│ │      STREAMING ───────────┘   its answer goes out in pieces, as fast as the client takes
 *          with a reason ▼ │                               them: it has no place here, and its memory is its owner's
 *                          └── refused at once: the queue is full, or the project has enough queries
 *
 *   RUNNING ── queries_put_back ──▶ WAITING     at most once, see below
 *
 * Admission. `running_max` queries run at once (each on a thread; only as many as there are cores compute at a moment,
 * query/turns.h). Each has `memory_each` reserved out of `memory_total`, so that all together stay inside it. Of the
 * places some are for short queries alone: a query that has computed for QUERY_SHORT_NS, or is known to do so from the
 * last time, stands in the other ones. One that turns out to be long while those are all taken is put back when a short
 * one wants its place (turn.put_back): it ends, and begins again when there is a place for it; what it has computed, no
 * more than it takes to find out, is lost. So many long queries never keep a dashboard waiting. Of those who wait, the
 * next is of the project that has the fewest running, then of the one that was let in longest ago, then the first who
 * came. When the queue is full, the newest of
 * the project with the most in it makes room for another project's.
 *
 * Threads: everything here, any. An entry is its owner's memory, from queries_enter until queries_leave, or until run()
 * was called with a refusal; it must not move.
 */
#include "base/arena.h"
#include "base/error.h"
#include "query/plan.h"
#include "query/turns.h"

#define QUERY_SHORT_NS   INT64_C(100000000)  /* of the processor's time; or ten times as long being at it */
#define QUERY_DOUBT_NS   INT64_C(1000000000) /* waiting so long for a place for long ones, it may show what it is again */

struct queries;
struct queries_limits {
    unsigned computing_max; /* at one moment */
    unsigned running_max;   /* fewer when memory_total is not enough for so many */
    size_t waiting_max;
    uint64_t memory_each, memory_total;
    int64_t project_max; /* queries of one project, running and waiting; 0: any number */
};
/* Starts threads. LIMIT when there are none to be had. */
enum status queries_new(const struct queries_limits *limits, struct error *error, struct queries **ret_queries) MUST_USE;
/* No query may be there. NULL is nothing. */
void queries_free(struct queries *queries);

enum query_state { QUERY_WAITING, QUERY_RUNNING, QUERY_STREAMING };
const char *query_state_name(enum query_state state); /* "waiting", … */

/* One query. The first part is filled in by its owner, the rest is zero; texts live as long as the entry. */
struct query_entry {
    uint64_t project;
    struct str endpoint, account;
    struct str parameters;   /* a JSON object, for people */
    uint64_t question;       /* the same for the same question: how long it took the last time; 0: not known */
    bool is_long;            /* it will take long */
    bool may_begin_again;    /* queries_put_back is no harm */
    uint64_t memory_bytes;   /* 0: memory_each */
    int64_t deadline_ns;     /* os_monotonic_ns; for waiting, too */
    _Atomic bool *cancelled; /* set by queries_stop, or when nobody waits for the answer any more */
    /* Called on a thread that queries run on, with a turn begun; then queries_leave or queries_stream is to be called.
     * With another status than OK the query is not there any more, and `refusal` says why: UNAVAILABLE when it was not
     * its turn in time, CANCELLED when it was stopped. */
    void (*run)(struct query_entry *entry, enum status admitted);

    /* the registry's */
    struct queries *queries;
    struct query_entry *next, *previous, *next_ready;
    uint64_t id;
    enum query_state state;
    bool in_long_place, holds_memory;
    bool is_remembered; /* it is long by what it took the last time */
    int64_t begun_ms, entered_ns, started_ns; /* started_ns 0: not yet */
    _Atomic bool stopped;                     /* by queries_stop */
    enum status admitted;
    struct error refusal;
    struct plan_progress progress;
    struct turn turn;
};

/* Registers a query and lets it run as soon as it may: run() will be called. Otherwise it is not there: LIMIT when its
 * project has too many, UNAVAILABLE when too many wait. */
enum status queries_enter(struct queries *queries, struct query_entry *entry, struct error *error) MUST_USE;
/* By the thread that runs it, or between steps. */
void queries_leave(struct query_entry *entry);
/* Instead of queries_leave, by a query that ended because of turn.put_back: run() will be called again. */
void queries_put_back(struct query_entry *entry);
/* By the thread that runs it. From now on any thread may carry it on, in steps, each between these two; it takes turns
 * with all others while it computes, and is to look at `cancelled` in each. */
void queries_stream(struct query_entry *entry, uint64_t memory_bytes);
void queries_step_begin(struct query_entry *entry);
void queries_step_end(struct query_entry *entry);
/* An answer of so many bytes waits until its client has taken it: it counts with what queries have reserved, so that
 * clients who ask for much and read slowly keep further queries waiting instead of filling the memory. Begin is false,
 * without effect, when it need not be (`optional`) and those that wait have half of the memory already. */
bool queries_answer_begin(struct queries *queries, uint64_t bytes, bool optional);
void queries_answer_end(struct queries *queries, uint64_t bytes);
/* What a plan of this query may cost. */
struct plan_limits queries_limits_of(struct query_entry *entry, uint32_t buckets_max);

/* A query as it was at a moment; texts in the arena. */
struct query_info {
    uint64_t id, project;
    enum query_state state;
    struct str endpoint, account, parameters;
    bool is_long, stopping;
    int64_t begun_ms, waited_ms, running_ms, computed_ms;
    uint64_t rows_done, rows_total, memory_bytes;
};
/* Those of a project, 0: all; the oldest first. */
enum status queries_list(struct queries *queries, uint64_t project, struct arena *arena, struct error *error,
                         struct query_info **ret_infos, size_t *ret_count) MUST_USE;
/* NOT_FOUND when there is none of this id (any more). */
enum status queries_find(struct queries *queries, uint64_t id, struct arena *arena, struct error *error,
                         struct query_info *ret_info) MUST_USE;
enum status queries_stop(struct queries *queries, uint64_t id, struct error *error) MUST_USE;

struct queries_stats {
    unsigned running, running_long, running_max, streaming;
    size_t waiting, waiting_max;
    uint64_t memory_reserved, memory_total, memory_answers;
    uint64_t entered, refused, expired, stopped, put_back; /* since the start */
};
void queries_stats(struct queries *queries, struct queries_stats *ret_stats);
