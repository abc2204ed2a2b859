/*
 * Several threads at one section. The rows of an event depend on nothing but the inputs, and what is built of them
 * depends on nothing but the rows: so each thread takes an event, builds its run by itself (a piece), and whoever finds
 * the next piece in line finished puts it behind the others. The bytes are those that one thread would have written.
 *
 * The largest event of the next few is taken first, so that no thread is left with a large one at the end. What pieces
 * wait for their turn is bounded by the bytes that are to be expected of them; the next one in line is never refused.
 *
 * Events that do not fit into the section whole are left to one thread: where they are cut is known only when their
 * rows are in order, and what the next section has room for depends on it. So are those of which a piece would be too
 * large.
 */
#include "os/thread.h"
#include "store/merge_int.h"

#include <stdlib.h>

#define THREADS_MAX 64
#define AHEAD       64 /* pieces that are looked at */
#define SHARE       8

enum state { WAITING, TAKEN, DONE };

struct piece {
    uint32_t event;
    enum state state;
    uint64_t rows, bytes; /* that will be written: exactly; about */
    struct section_builder *builder;
};

struct crew {
    struct merge *m; /* of the thread that joins */
    uint64_t rows;   /* of all inputs */
    struct piece *pieces;
    size_t count;
    uint64_t held_max;
    struct os_mutex mutex;
    struct os_cond changed;
    /* under the mutex: */
    size_t head, next; /* to be joined; the first one that nobody has taken, or one before it */
    uint64_t held;     /* bytes of pieces taken and not joined */
    bool joining;
    enum status status; /* the first failure */
};

/* --- one piece --- */

static enum status build_piece(struct merge *own, struct piece *piece)
{
    const struct merge_job *job = own->job;
    struct merge_window *window = &own->windows[0];
    struct section_plan plan = {.window_day = window->day,
                                .window_log2 = window->log2,
                                .links_applied = job->links_applied,
                                .for_file = true,
                                .piece = true,
                                .bytes_max = job->memory_bytes_max};
    if (!piece->rows) return STATUS_OK;
    window->builder = section_builder_new(&plan);
    if (!window->builder) return merge_no_memory(own->error);
    own->room = own->rows_max;
    enum status status = merge_event(own, piece->event, piece->rows);
    piece->builder = window->builder;
    window->builder = NULL;
    if (status != STATUS_OK) return status;
    if (section_builder_rows(piece->builder) != piece->rows)
        return error_set(own->error, STATUS_CORRUPT, "a list of persons is malformed");
    return STATUS_OK;
}

static enum status join_piece(struct crew *crew, struct piece *piece)
{
    struct merge *m = crew->m;
    if (!piece->rows) return STATUS_OK;
    if (!m->windows[0].builder) TRY(merge_begin_section(m, 0, crew->rows));
    enum status status = section_builder_join(m->windows[0].builder, piece->builder);
    section_builder_free(piece->builder);
    piece->builder = NULL;
    if (status == STATUS_LIMIT && m->error->status == STATUS_OK) merge_no_memory(m->error);
    return status;
}

/* --- the threads; all of this under the mutex --- */

static struct piece *pick(struct crew *crew)
{
    struct piece *best = NULL;
    while (crew->next < crew->count && crew->pieces[crew->next].state != WAITING) crew->next++;
    for (size_t i = crew->next; i < crew->count && i < crew->next + AHEAD; i++) {
        struct piece *piece = &crew->pieces[i];
        if (piece->state != WAITING || (i != crew->head && crew->held + piece->bytes > crew->held_max)) continue;
        if (!best || piece->bytes > best->bytes) best = piece;
    }
    return best;
}

static void failed(struct crew *crew, enum status status, const struct merge *own)
{
    if (crew->status != STATUS_OK) return;
    crew->status = status;
    if (own == crew->m) return;
    *crew->m->error = *own->error;
    crew->m->bad_input = own->bad_input;
}

static void join(struct crew *crew)
{
    struct piece *piece = &crew->pieces[crew->head];
    crew->joining = true;
    os_mutex_unlock(&crew->mutex);
    enum status status = join_piece(crew, piece);
    os_mutex_lock(&crew->mutex);
    crew->joining = false;
    crew->head++;
    crew->held -= piece->bytes;
    if (status != STATUS_OK) failed(crew, status, crew->m);
    os_cond_broadcast(&crew->changed);
}

static void build(struct crew *crew, struct piece *piece, struct merge *own)
{
    piece->state = TAKEN;
    crew->held += piece->bytes;
    os_mutex_unlock(&crew->mutex);
    enum status status = build_piece(own, piece);
    os_mutex_lock(&crew->mutex);
    piece->state = DONE;
    if (status != STATUS_OK) failed(crew, status, own);
    os_cond_broadcast(&crew->changed);
}

/* Whoever finishes a piece joins what can be joined then; so a thread that finds nothing to build may leave. */
static void work(struct crew *crew, struct merge *own)
{
    while (crew->status == STATUS_OK) {
        if (!crew->joining && crew->head < crew->count && crew->pieces[crew->head].state == DONE) {
            join(crew);
            continue;
        }
        struct piece *piece = pick(crew);
        if (piece)
            build(crew, piece, own);
        else if (crew->next < crew->count)
            os_cond_wait(&crew->changed, &crew->mutex);
        else
            return;
    }
}

static void worker(void *arg)
{
    struct crew *crew = arg;
    const struct merge *m = crew->m;
    struct error error = ERROR_INIT;
    struct merge_window window = {.day = m->windows[0].day, .log2 = m->windows[0].log2};
    struct merge own = {
        .job = m->job, .error = &error, .windows = &window, .window_count = 1, .rows_max = SECTION_ROWS_MAX};
    enum status status = merge_open(&own);
    os_mutex_lock(&crew->mutex);
    if (status == STATUS_OK)
        work(crew, &own);
    else
        failed(crew, status, &own);
    os_cond_broadcast(&crew->changed);
    os_mutex_unlock(&crew->mutex);
    section_builder_free(window.builder);
    merge_close(&own);
}

/* --- events that fit into the section --- */

static enum status merge_pieces(struct merge *m, struct piece *pieces, size_t count, uint64_t held_max, uint64_t rows)
{
    struct crew crew = {.m = m, .rows = rows, .pieces = pieces, .count = count, .held_max = held_max};
    struct os_thread threads[THREADS_MAX];
    unsigned wanted = m->job->threads < THREADS_MAX ? m->job->threads : THREADS_MAX, started = 0;
    if (wanted > count) wanted = (unsigned)count;
    os_mutex_init(&crew.mutex, "merge");
    os_cond_init(&crew.changed, "merge");
    /* With fewer threads than wanted it takes longer, no more. */
    while (started + 1 < wanted && os_thread_spawn(&threads[started], "merge", worker, &crew) == STATUS_OK) started++;
    worker(&crew);
    for (unsigned i = 0; i < started; i++) os_thread_join(&threads[i]);
    for (size_t i = 0; i < count; i++) section_builder_free(pieces[i].builder);
    os_cond_destroy(&crew.changed);
    os_mutex_destroy(&crew.mutex);
    return crew.status;
}

/* What of each event is left, and about how large that will be. */
static void measure(const struct merge *m, struct piece *piece)
{
    for (size_t i = 0; i < m->job->input_count; i++) {
        const struct version_section *input = &m->job->inputs[i];
        const struct section_event *event = section_find_event(input->section, piece->event);
        if (!event) continue;
        piece->rows += event->rows;
        piece->bytes += input->section->bytes * event->rows / input->section->rows;
        if (input->deletes)
            piece->rows -= roaring_bitmap_range_cardinality(input->deletes->rows, event->first_row,
                                                            (uint64_t)event->first_row + event->rows);
    }
}

enum status merge_events_together(struct merge *m, const uint32_t *events, size_t count, uint64_t rows)
{
    const struct merge_job *job = m->job;
    uint64_t held_max = job->waiting_bytes_max ? job->waiting_bytes_max : job->memory_bytes_max / SHARE;
    struct piece *pieces = calloc(count ? count : 1, sizeof *pieces);
    if (!pieces) return merge_no_memory(m->error);
    for (size_t i = 0; i < count; i++) {
        pieces[i].event = events[i];
        measure(m, &pieces[i]);
    }
    enum status status = STATUS_OK;
    for (size_t i = 0, end; i < count && status == STATUS_OK; i = end) {
        uint64_t room = m->room;
        for (end = i; end < count && pieces[end].rows <= room && pieces[end].bytes <= held_max; end++)
            room -= pieces[end].rows;
        if (end > i + 1) {
            status = merge_pieces(m, pieces + i, end - i, held_max, rows);
            m->room = (uint32_t)room;
        } else {
            end = i + 1;
            status = merge_event(m, events[i], rows);
        }
    }
    free(pieces);
    return status;
}
