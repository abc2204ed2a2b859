#include "store/compact_job.h"
#include "store/delete_order.h"
#include "store/run.h"

#include <stdlib.h>

#define BATCH_ROWS  16384u
#define BATCH_BYTES ((size_t)64 << 20)

/* The keys of some rows, as a delete of just these. */
struct forwarding {
    struct delete_order *order;
    struct buf texts;
    size_t *text_ends; /* of each key, into texts; SIZE_MAX: none */
};

static enum status no_memory(struct error *error)
{
    return error_set(error, STATUS_LIMIT, "out of memory while forwarding deleted rows");
}

static enum status begin(struct forwarding *b, struct error *error)
{
    *b = (struct forwarding){.order = delete_order_new(RECORD_DELETE_ROWS), .texts = BUF_INIT(BATCH_BYTES)};
    b->text_ends = malloc(BATCH_ROWS * sizeof *b->text_ends);
    if (!b->order || !b->text_ends) return no_memory(error);
    b->order->links = UINT32_MAX; /* the numbers are those under which the outputs have the rows */
    b->order->keys = malloc(BATCH_ROWS * sizeof *b->order->keys);
    b->order->persons = malloc(BATCH_ROWS * sizeof *b->order->persons);
    return b->order->keys && b->order->persons ? STATUS_OK : no_memory(error);
}

static void end(struct forwarding *b)
{
    delete_order_unref(b->order);
    buf_fini(&b->texts);
    free(b->text_ends);
    *b = (struct forwarding){0};
}

static enum status carry_out(struct forwarding *b, struct section *const *to, size_t count, struct error *error,
                             roaring_bitmap_t **ret_rows)
{
    struct delete_order *order = b->order;
    if (order->key_count == 0) return STATUS_OK;
    if (buf_status(&b->texts) != STATUS_OK) return no_memory(error);
    size_t start = 0;
    for (size_t i = 0; i < order->key_count; i++) {
        if (b->text_ends[i] == SIZE_MAX) continue;
        /* an empty text is no missing one */
        order->keys[i].insert_id = (struct str){b->texts.size ? b->texts.data + start : "", b->text_ends[i] - start};
        start = b->text_ends[i];
    }
    order->person_count = order->key_count;
    if (delete_order_finish(order) != STATUS_OK) return no_memory(error);
    for (size_t i = 0; i < count; i++) {
        uint64_t found;
        TRY(delete_mark(order, to[i], NULL, &ret_rows[i], error, &found));
    }
    return STATUS_OK;
}

struct reader_state {
    int64_t times[VECTOR_ROWS_MAX], ids[VECTOR_ROWS_MAX];
    struct vector inserts;
    uint32_t vector;
};

static enum status read_key(struct run *run, uint32_t row, struct reader_state *state, struct forwarding *b,
                            const struct id_view *ids, struct error *error)
{
    uint32_t vector = row / VECTOR_ROWS_MAX, at = row % VECTOR_ROWS_MAX;
    if (state->vector != vector) {
        struct run_column *column = run_column(run, CORE_INSERT);
        state->vector = UINT32_MAX;
        if (!column) return error_set(error, STATUS_CORRUPT, "a run has no insert ids");
        TRY(run_read_times(run, vector, error, state->times));
        TRY(run_read_ints(run, CORE_ID, vector, error, state->ids));
        TRY(run_read(run, column, vector, error, &state->inserts));
        state->vector = vector;
    }
    if ((uint64_t)state->ids[at] > id_view_count(ids))
        return error_set(error, STATUS_CORRUPT, "id %lld does not exist", (long long)state->ids[at]);
    struct value insert = vector_at(&state->inserts, at);
    size_t number = b->order->key_count++;
    b->order->persons[number] = id_view_person(ids, (uint32_t)state->ids[at]);
    b->order->keys[number] =
        (struct delete_key){.event = run->event->event_id, .id = (uint32_t)state->ids[at], .time_ms = state->times[at]};
    b->text_ends[number] = SIZE_MAX;
    if (insert.type == VALUE_STRING) {
        buf_str_add(&b->texts, value_text(insert));
        b->text_ends[number] = b->texts.size;
    } else {
        b->order->keys[number].number = (uint64_t)insert.integer;
    }
    return STATUS_OK;
}

static enum status forward_event(const struct section *from, const struct section_event *event,
                                 roaring_uint32_iterator_t *at, struct forwarding *b, struct reader_state *state,
                                 const struct id_view *ids, struct section *const *to, size_t count,
                                 struct error *error, roaring_bitmap_t **ret_rows)
{
    struct arena *arena = arena_new((size_t)256 << 20);
    struct run run;
    enum status status = run_open(&run, from, event, arena, error);
    if (status != STATUS_OK) {
        arena_free(arena);
        return status;
    }
    state->vector = UINT32_MAX;
    while (status == STATUS_OK && at->has_value && at->current_value - event->first_row < event->rows) {
        status = read_key(&run, at->current_value - event->first_row, state, b, ids, error);
        (void)roaring_advance_uint32_iterator(at);
        if (status != STATUS_OK || (b->order->key_count < BATCH_ROWS && b->texts.size < BATCH_BYTES / 2)) continue;
        status = carry_out(b, to, count, error, ret_rows);
        end(b);
        if (status == STATUS_OK) status = begin(b, error);
    }
    run_close(&run);
    arena_free(arena);
    return status;
}

enum status forward_rows(const struct section *from, const roaring_bitmap_t *rows, const struct id_view *ids,
                         struct section *const *to, size_t count, struct error *error, roaring_bitmap_t **ret_rows)
{
    struct forwarding b;
    struct reader_state *state = malloc(sizeof *state);
    roaring_uint32_iterator_t at;
    roaring_init_iterator(rows, &at);
    enum status status = begin(&b, error);
    if (status == STATUS_OK && !state) status = no_memory(error);
    for (uint32_t e = 0; e < from->event_count && status == STATUS_OK && at.has_value; e++) {
        const struct section_event *event = &from->events[e];
        if (at.current_value - event->first_row >= event->rows) continue;
        status = forward_event(from, event, &at, &b, state, ids, to, count, error, ret_rows);
    }
    if (status == STATUS_OK) status = carry_out(&b, to, count, error, ret_rows);
    end(&b);
    free(state);
    return status;
}
