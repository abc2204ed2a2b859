#include "api/queries.h"

#include "base/map.h"
#include "os/clock.h"
#include "os/thread.h"

#include <stdlib.h>

#define QUESTIONS        4096u             /* whose last time is remembered */
#define LOOK_NS          INT64_C(50000000) /* between looks at those who wait */
#define PROJECTS_MAX     100000
#define SHORT_PLACES_MAX 2                 /* for each that may compute */
#define SMALL_ANSWERS    8                 /* the part of the memory that answers may have for nothing */

struct queries {
    struct os_mutex lock;
    struct os_cond filled;
    struct queries_limits limits;
    unsigned long_max;                 /* places that long queries may have */
    struct query_entry *first, *last;  /* all, by arrival */
    struct query_entry *ready, **ready_tail;
    struct turns *turns;
    uint64_t last_id, memory_reserved, memory_answers;
    unsigned running, running_long, streaming;
    size_t waiting;
    struct u64map last_admitted; /* project -> when one of its queries was let in, as a number */
    uint64_t admissions;
    uint64_t long_questions[QUESTIONS];
    uint64_t entered, refused, expired, stopped, put_back;
    bool stopping;
    unsigned thread_count;
    struct os_thread threads[];
};

const char *query_state_name(enum query_state state)
{
    static const char *const names[] = {"waiting", "running", "streaming"};
    return names[state];
}

/* --- lists and counts; the lock is held --- */

static void link_entry(struct queries *queries, struct query_entry *entry)
{
    entry->previous = queries->last;
    entry->next = NULL;
    if (queries->last)
        queries->last->next = entry;
    else
        queries->first = entry;
    queries->last = entry;
}

static void unlink_entry(struct queries *queries, struct query_entry *entry)
{
    if (entry->previous)
        entry->previous->next = entry->next;
    else
        queries->first = entry->next;
    if (entry->next)
        entry->next->previous = entry->previous;
    else
        queries->last = entry->previous;
}

static void push_ready(struct queries *queries, struct query_entry *entry, enum status admitted)
{
    entry->admitted = admitted;
    entry->next_ready = NULL;
    *queries->ready_tail = entry;
    queries->ready_tail = &entry->next_ready;
    os_cond_signal(&queries->filled);
}

/* The time that it has been at it alone would make every query a long one on a busy machine. */
static bool is_long_by_now(const struct queries *queries, const struct query_entry *entry)
{
    return turn_cpu_ns(queries->turns, &entry->turn) > QUERY_SHORT_NS ||
           turn_computed_ns(queries->turns, &entry->turn) > 10 * QUERY_SHORT_NS;
}

static bool was_long(const struct queries *queries, uint64_t question)
{
    return question && queries->long_questions[question % QUESTIONS] == question;
}

static void remember(struct queries *queries, uint64_t question, bool is_long)
{
    uint64_t *place = &queries->long_questions[question % QUESTIONS];
    if (is_long)
        *place = question;
    else if (*place == question)
        *place = 0;
}

static void hold_memory(struct queries *queries, struct query_entry *entry)
{
    entry->holds_memory = true;
    queries->memory_reserved += entry->memory_bytes;
}

static void give_memory_back(struct queries *queries, struct query_entry *entry)
{
    if (!entry->holds_memory) return;
    entry->holds_memory = false;
    queries->memory_reserved -= entry->memory_bytes;
}

static bool memory_suffices(const struct queries *queries, const struct query_entry *entry)
{
    uint64_t total = queries->limits.memory_total, answers = queries->memory_answers, few = total / SMALL_ANSWERS;
    if (entry->holds_memory) return true;
    if (queries->memory_reserved == 0) return answers <= total / 2; /* one that wants more than there is runs alone */
    return queries->memory_reserved + entry->memory_bytes + (answers > few ? answers - few : 0) <= total;
}

static void release_place(struct queries *queries, struct query_entry *entry)
{
    queries->running--;
    queries->running_long -= entry->in_long_place;
    entry->in_long_place = false;
}

/* --- admission; the lock is held --- */

/* Who has computed for long moves to a place for long ones while there is one. */
static void sort_running(struct queries *queries)
{
    for (struct query_entry *entry = queries->first; entry; entry = entry->next) {
        if (entry->state != QUERY_RUNNING || entry->in_long_place) continue;
        if (!entry->is_long) entry->is_long = is_long_by_now(queries, entry);
        if (!entry->is_long || queries->running_long >= queries->long_max) continue;
        entry->in_long_place = true;
        queries->running_long++;
    }
}

static bool has_place(const struct queries *queries, const struct query_entry *entry)
{
    unsigned places = queries->limits.running_max;
    if (queries->running >= places) return false;
    if (queries->long_max == places) return true; /* too few to tell apart */
    if (entry->is_long) return queries->running_long < queries->long_max;
    return queries->running - queries->running_long < places - queries->long_max;
}

static unsigned running_of(const struct queries *queries, uint64_t project)
{
    unsigned count = 0;
    for (const struct query_entry *entry = queries->first; entry; entry = entry->next)
        count += entry->project == project && entry->state == QUERY_RUNNING;
    return count;
}

/* What took long once, when much else was going on, must not wait behind those that always do. */
static void doubt(struct queries *queries)
{
    int64_t now_ns = os_monotonic_ns();
    for (struct query_entry *entry = queries->first; entry; entry = entry->next) {
        if (entry->state != QUERY_WAITING || !entry->is_remembered) continue;
        if (now_ns - entry->entered_ns > QUERY_DOUBT_NS) entry->is_long = entry->is_remembered = false;
    }
}

static struct query_entry *next_admissible(const struct queries *queries)
{
    struct query_entry *best = NULL;
    unsigned best_running = 0;
    uint64_t best_last = 0;
    for (struct query_entry *entry = queries->first; entry; entry = entry->next) {
        if (entry->state != QUERY_WAITING || !has_place(queries, entry) || !memory_suffices(queries, entry)) continue;
        const uint64_t *known = u64map_get(&queries->last_admitted, entry->project);
        unsigned running = running_of(queries, entry->project);
        uint64_t last = known ? *known : 0;
        if (best && (running > best_running || (running == best_running && last >= best_last))) continue;
        best = entry;
        best_running = running;
        best_last = last;
    }
    return best;
}

/* When too many projects are known the order begins anew. */
static void note_admission(struct queries *queries, uint64_t project)
{
    if (u64map_put(&queries->last_admitted, project, ++queries->admissions) != STATUS_OK)
        u64map_clear(&queries->last_admitted);
}

/* Makes those give way who turned out to be long where only short ones may stand. */
static void clear_short_places(struct queries *queries)
{
    size_t wanted = 0;
    for (const struct query_entry *entry = queries->first; entry; entry = entry->next)
        wanted += entry->state == QUERY_WAITING && !entry->is_long && !has_place(queries, entry);
    for (struct query_entry *entry = queries->first; entry && wanted; entry = entry->next) {
        if (entry->state != QUERY_RUNNING || !entry->is_long || entry->in_long_place || !entry->may_begin_again)
            continue;
        wanted--;
        if (!atomic_exchange(&entry->turn.put_back, true)) queries->put_back++;
    }
}

static void admit(struct queries *queries)
{
    struct query_entry *entry;
    if (!queries->waiting) return;
    sort_running(queries);
    doubt(queries);
    clear_short_places(queries);
    while (queries->waiting && (entry = next_admissible(queries))) {
        entry->state = QUERY_RUNNING;
        queries->waiting--;
        queries->running++;
        entry->in_long_place = entry->is_long && queries->running_long < queries->long_max;
        queries->running_long += entry->in_long_place;
        if (!entry->holds_memory) hold_memory(queries, entry);
        note_admission(queries, entry->project);
        if (!entry->started_ns) entry->started_ns = os_monotonic_ns();
        push_ready(queries, entry, STATUS_OK);
    }
}

/* Takes one who waits out of the registry; run() will tell its owner. */
static void turn_away(struct queries *queries, struct query_entry *entry, enum status status)
{
    unlink_entry(queries, entry);
    queries->waiting--;
    give_memory_back(queries, entry);
    push_ready(queries, entry, status);
}

static void expire(struct queries *queries)
{
    int64_t now_ns = os_monotonic_ns();
    for (struct query_entry *entry = queries->first, *next; entry; entry = next) {
        next = entry->next;
        if (entry->state != QUERY_WAITING) continue;
        if (atomic_load(entry->cancelled)) {
            error_set(&entry->refusal, STATUS_CANCELLED, "the query was cancelled");
            turn_away(queries, entry, STATUS_CANCELLED);
        } else if (now_ns > entry->deadline_ns) {
            queries->expired++;
            error_set(&entry->refusal, STATUS_UNAVAILABLE, "too many queries are running: it was not this one's turn");
            error_hint(&entry->refusal, "try again later, or raise query.running_max and query.memory_total");
            turn_away(queries, entry, STATUS_UNAVAILABLE);
        }
    }
}

/* The newest of the project with the most who wait, if that are more than `project` has. */
static struct query_entry *who_makes_room(const struct queries *queries, uint64_t project)
{
    struct query_entry *victim = NULL;
    size_t own = 0, most = 0;
    for (const struct query_entry *entry = queries->first; entry; entry = entry->next)
        own += entry->state == QUERY_WAITING && entry->project == project;
    for (struct query_entry *entry = queries->last; entry; entry = entry->previous) {
        size_t count = 0;
        if (entry->state != QUERY_WAITING || entry->project == project || entry->started_ns) continue;
        if (victim && victim->project == entry->project) continue;
        for (const struct query_entry *other = queries->first; other; other = other->next)
            count += other->state == QUERY_WAITING && other->project == entry->project;
        if (count <= own + 1 || count <= most) continue;
        most = count;
        victim = entry;
    }
    return victim;
}

static enum status make_room(struct queries *queries, const struct query_entry *entry, struct error *error)
{
    if (queries->waiting < queries->limits.waiting_max) return STATUS_OK;
    expire(queries);
    if (queries->waiting < queries->limits.waiting_max) return STATUS_OK;
    struct query_entry *victim = who_makes_room(queries, entry->project);
    queries->refused++;
    if (!victim) return error_set(error, STATUS_UNAVAILABLE, "too many queries are waiting");
    error_set(&victim->refusal, STATUS_UNAVAILABLE, "too many queries are waiting");
    turn_away(queries, victim, STATUS_UNAVAILABLE);
    return STATUS_OK;
}

/* --- threads --- */

static void run_entry(struct queries *queries, struct query_entry *entry)
{
    enum status admitted = entry->admitted;
    if (admitted == STATUS_OK) turn_begin(queries->turns, &entry->turn, entry->project, entry->cancelled);
    entry->run(entry, admitted); /* the entry may be gone */
}

static void thread_main(void *arg)
{
    struct queries *queries = arg;
    os_mutex_lock(&queries->lock);
    while (queries->ready || !queries->stopping) {
        struct query_entry *entry = queries->ready;
        if (entry) {
            queries->ready = entry->next_ready;
            if (!queries->ready) queries->ready_tail = &queries->ready;
            if (queries->waiting) os_cond_signal(&queries->filled); /* somebody else looks after them */
            os_mutex_unlock(&queries->lock);
            run_entry(queries, entry);
            os_mutex_lock(&queries->lock);
        } else if (queries->waiting) {
            (void)os_cond_wait_until(&queries->filled, &queries->lock, os_monotonic_ns() + LOOK_NS);
            expire(queries);
            admit(queries);
        } else {
            os_cond_wait(&queries->filled, &queries->lock);
        }
    }
    os_mutex_unlock(&queries->lock);
}

enum status queries_new(const struct queries_limits *limits, struct error *error, struct queries **ret_queries)
{
    unsigned places = limits->running_max ? limits->running_max : 1;
    uint64_t affordable = limits->memory_each ? limits->memory_total / limits->memory_each : places;
    if (affordable < places) places = affordable ? (unsigned)affordable : 1;
    /* One more than can be at work: it looks after those who wait. */
    struct queries *queries = calloc(1, sizeof *queries + (places + 1) * sizeof queries->threads[0]);
    if (!queries) return error_set(error, STATUS_LIMIT, "out of memory for queries");
    unsigned for_short = limits->computing_max * SHORT_PLACES_MAX;
    if (for_short > places / 2) for_short = places / 2;
    queries->limits = *limits;
    queries->limits.running_max = places;
    queries->long_max = places - for_short;
    queries->ready_tail = &queries->ready;
    queries->last_admitted = U64MAP_INIT(PROJECTS_MAX);
    queries->turns = turns_new(limits->computing_max);
    os_mutex_init(&queries->lock, "queries");
    os_cond_init(&queries->filled, "queries: ready");
    while (queries->thread_count <= places &&
           os_thread_spawn(&queries->threads[queries->thread_count], "query", thread_main, queries) == STATUS_OK)
        queries->thread_count++;
    if (queries->thread_count <= places) {
        queries_free(queries);
        return error_set(error, STATUS_LIMIT, "cannot start %u threads for queries", places + 1);
    }
    *ret_queries = queries;
    return STATUS_OK;
}

void queries_free(struct queries *queries)
{
    if (!queries) return;
    os_mutex_lock(&queries->lock);
    queries->stopping = true;
    os_cond_broadcast(&queries->filled);
    os_mutex_unlock(&queries->lock);
    for (unsigned i = 0; i < queries->thread_count; i++) os_thread_join(&queries->threads[i]);
    turns_free(queries->turns);
    u64map_fini(&queries->last_admitted);
    os_cond_destroy(&queries->filled);
    os_mutex_destroy(&queries->lock);
    free(queries);
}

/* --- coming and going --- */

static enum status check_project(const struct queries *queries, const struct query_entry *entry, struct error *error)
{
    int64_t count = 0;
    if (!queries->limits.project_max) return STATUS_OK;
    for (const struct query_entry *other = queries->first; other; other = other->next)
        count += other->project == entry->project;
    if (count < queries->limits.project_max) return STATUS_OK;
    error_set(error, STATUS_LIMIT, "Query rate limit exceeded");
    error_detail(error, "%lld queries of the project are running or waiting", (long long)count);
    return STATUS_LIMIT;
}

enum status queries_enter(struct queries *queries, struct query_entry *entry, struct error *error)
{
    entry->queries = queries;
    entry->begun_ms = os_now_ms();
    entry->entered_ns = os_monotonic_ns();
    entry->state = QUERY_WAITING;
    entry->refusal = ERROR_INIT;
    if (!entry->memory_bytes) entry->memory_bytes = queries->limits.memory_each;
    os_mutex_lock(&queries->lock);
    enum status status = check_project(queries, entry, error);
    if (status == STATUS_OK) {
        entry->is_remembered = !entry->is_long && was_long(queries, entry->question);
        entry->is_long |= entry->is_remembered;
        entry->id = ++queries->last_id;
        link_entry(queries, entry);
        queries->waiting++;
        queries->entered++;
        admit(queries);
    }
    if (status == STATUS_OK && entry->state == QUERY_WAITING && queries->waiting > queries->limits.waiting_max) {
        /* Nobody else knows of it yet. */
        queries->waiting--;
        unlink_entry(queries, entry);
        status = make_room(queries, entry, error);
        if (status == STATUS_OK) {
            queries->waiting++;
            link_entry(queries, entry);
        }
    }
    /* Somebody has to look after it. */
    if (status == STATUS_OK && entry->state == QUERY_WAITING) os_cond_signal(&queries->filled);
    os_mutex_unlock(&queries->lock);
    return status;
}

void queries_leave(struct query_entry *entry)
{
    struct queries *queries = entry->queries;
    bool streams = entry->state == QUERY_STREAMING; /* it alone changes that */
    if (!streams) turn_end(&entry->turn);
    os_mutex_lock(&queries->lock);
    unlink_entry(queries, entry);
    if (streams) {
        queries->streaming--;
    } else {
        if (entry->question)
            remember(queries, entry->question, is_long_by_now(queries, entry));
        release_place(queries, entry);
        give_memory_back(queries, entry);
        admit(queries);
    }
    os_mutex_unlock(&queries->lock);
}

void queries_put_back(struct query_entry *entry)
{
    struct queries *queries = entry->queries;
    turn_end(&entry->turn);
    os_mutex_lock(&queries->lock);
    release_place(queries, entry);
    give_memory_back(queries, entry);
    entry->state = QUERY_WAITING;
    entry->is_long = true;
    entry->is_remembered = entry->may_begin_again = false;
    queries->waiting++;
    atomic_store(&entry->turn.put_back, false);
    atomic_store(&entry->progress.rows_done, 0);
    atomic_store(&entry->progress.rows_total, 0);
    expire(queries);
    admit(queries);
    os_cond_signal(&queries->filled);
    os_mutex_unlock(&queries->lock);
}

void queries_stream(struct query_entry *entry, uint64_t memory_bytes)
{
    struct queries *queries = entry->queries;
    turn_end(&entry->turn);
    os_mutex_lock(&queries->lock);
    release_place(queries, entry);
    give_memory_back(queries, entry);
    entry->state = QUERY_STREAMING;
    entry->memory_bytes = memory_bytes;
    atomic_store(&entry->turn.put_back, false);
    queries->streaming++;
    admit(queries);
    os_mutex_unlock(&queries->lock);
}

void queries_step_begin(struct query_entry *entry)
{
    turn_begin(entry->queries->turns, &entry->turn, entry->project, entry->cancelled);
}

void queries_step_end(struct query_entry *entry)
{
    turn_end(&entry->turn);
}

bool queries_answer_begin(struct queries *queries, uint64_t bytes, bool optional)
{
    os_mutex_lock(&queries->lock);
    bool fits = !optional || queries->memory_answers + bytes <= queries->limits.memory_total / 2;
    if (fits) queries->memory_answers += bytes;
    os_mutex_unlock(&queries->lock);
    return fits;
}

void queries_answer_end(struct queries *queries, uint64_t bytes)
{
    os_mutex_lock(&queries->lock);
    queries->memory_answers -= bytes;
    admit(queries);
    os_mutex_unlock(&queries->lock);
}

struct plan_limits queries_limits_of(struct query_entry *entry, uint32_t buckets_max)
{
    return (struct plan_limits){.memory_bytes_max = entry->memory_bytes,
                                .buckets_max = buckets_max,
                                .deadline_ns = entry->deadline_ns,
                                .cancelled = entry->cancelled,
                                .progress = &entry->progress,
                                .turn = &entry->turn};
}

/* --- looking --- */

static enum status describe(const struct queries *queries, struct query_entry *entry, struct arena *arena,
                            struct query_info *info)
{
    int64_t now_ns = os_monotonic_ns(), started_ns = entry->started_ns ? entry->started_ns : now_ns;
    *info = (struct query_info){
        .id = entry->id,
        .project = entry->project,
        .state = entry->state,
        .endpoint = arena_str(arena, entry->endpoint),
        .account = arena_str(arena, entry->account),
        .parameters = arena_str(arena, entry->parameters),
        .is_long = entry->is_long,
        .stopping = atomic_load(entry->cancelled),
        .begun_ms = entry->begun_ms,
        .waited_ms = (started_ns - entry->entered_ns) / 1000000,
        .running_ms = (now_ns - started_ns) / 1000000,
        .computed_ms = turn_computed_ns(queries->turns, &entry->turn) / 1000000,
        .rows_done = atomic_load(&entry->progress.rows_done),
        .rows_total = atomic_load(&entry->progress.rows_total),
        .memory_bytes = entry->holds_memory || entry->state == QUERY_STREAMING ? entry->memory_bytes : 0,
    };
    return info->endpoint.data && info->account.data && info->parameters.data ? STATUS_OK : STATUS_LIMIT;
}

enum status queries_list(struct queries *queries, uint64_t project, struct arena *arena, struct error *error,
                         struct query_info **ret_infos, size_t *ret_count)
{
    size_t count = 0;
    os_mutex_lock(&queries->lock);
    size_t all = queries->waiting + queries->running + queries->streaming;
    struct query_info *infos = arena_new_array(arena, struct query_info, all + 1);
    enum status status = infos ? STATUS_OK : STATUS_LIMIT;
    for (struct query_entry *entry = queries->first; entry && status == STATUS_OK; entry = entry->next) {
        if (project && entry->project != project) continue;
        status = describe(queries, entry, arena, &infos[count++]);
    }
    os_mutex_unlock(&queries->lock);
    if (status != STATUS_OK) return error_set(error, status, "the list of queries needs too much memory");
    *ret_infos = infos;
    *ret_count = count;
    return STATUS_OK;
}

static struct query_entry *find(struct queries *queries, uint64_t id, struct error *error)
{
    struct query_entry *entry = queries->first;
    while (entry && entry->id != id) entry = entry->next;
    if (!entry) error_set(error, STATUS_NOT_FOUND, "no query has the id %llu", (unsigned long long)id);
    return entry;
}

enum status queries_find(struct queries *queries, uint64_t id, struct arena *arena, struct error *error,
                         struct query_info *ret_info)
{
    os_mutex_lock(&queries->lock);
    struct query_entry *entry = find(queries, id, error);
    enum status status = entry ? describe(queries, entry, arena, ret_info) : STATUS_NOT_FOUND;
    os_mutex_unlock(&queries->lock);
    if (status == STATUS_LIMIT) error_set(error, status, "the list of queries needs too much memory");
    return status;
}

enum status queries_stop(struct queries *queries, uint64_t id, struct error *error)
{
    os_mutex_lock(&queries->lock);
    struct query_entry *entry = find(queries, id, error);
    if (entry) {
        atomic_store(&entry->stopped, true);
        atomic_store(entry->cancelled, true);
        queries->stopped++;
        if (entry->state == QUERY_WAITING) expire(queries);
    }
    os_mutex_unlock(&queries->lock);
    return entry ? STATUS_OK : STATUS_NOT_FOUND;
}

void queries_stats(struct queries *queries, struct queries_stats *ret_stats)
{
    os_mutex_lock(&queries->lock);
    *ret_stats = (struct queries_stats){.running = queries->running,
                                        .running_long = queries->running_long,
                                        .running_max = queries->limits.running_max,
                                        .streaming = queries->streaming,
                                        .waiting = queries->waiting,
                                        .waiting_max = queries->limits.waiting_max,
                                        .memory_reserved = queries->memory_reserved,
                                        .memory_total = queries->limits.memory_total,
                                        .memory_answers = queries->memory_answers,
                                        .entered = queries->entered,
                                        .refused = queries->refused,
                                        .expired = queries->expired,
                                        .stopped = queries->stopped,
                                        .put_back = queries->put_back};
    os_mutex_unlock(&queries->lock);
}
