/* What clients do: they send batches (new events, exact copies, the same insert ids with other properties, late and
 * very old times), links between ids, look at snapshots, ask questions, flush. */
#include "simulation/world.h"

#include "ingest/ingest.h"
#include "os/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define LINKED_DEVICES 6
#define YEAR_MS        INT64_C(31557600000)

static bool project_of(void *context, struct str token, struct ingest_project *ret_project)
{
    (void)token;
    const struct sent *sent = context;
    *ret_project = (struct ingest_project){sent->project, sent->world->swarm.mode};
    return true;
}

static struct str keep(struct world *w, const struct buf *text)
{
    char *copy = arena_alloc(w->arena, text->size + 1);
    if (!copy || buf_status(text) != STATUS_OK) abort();
    if (text->size) memcpy(copy, text->data, text->size);
    copy[text->size] = 0;
    return (struct str){copy, text->size};
}

/* An event that is like no other and never replaced: it shows whether its record is there. */
static void write_marker(struct world *w, uint32_t serial, int64_t now_ms, struct buf *text)
{
    buf_printf(text, "{\"event\":\"mark\",\"properties\":{\"token\":\"t\",\"time\":%" PRId64 ",\"serial\":%" PRIu32,
               now_ms - (int64_t)draw(w, 86400000), serial);
    if (w->swarm.keys) buf_printf(text, ",\"$insert_id\":\"mark-%" PRIu32 "\"", serial); /* of its own */
    switch (w->swarm.deletes ? 2 : draw(w, 3)) {                                         /* nobody deletes a marker */
    case 0:
        buf_printf(text, ",\"%s%d\"", w->swarm.mode ? "distinct_id\":\"$device:L" : "$device_id\":\"L",
                   (int)draw(w, LINKED_DEVICES));
        break;
    case 1: buf_printf(text, ",\"distinct_id\":\"U%d\"", (int)draw(w, 5)); break;
    default: buf_printf(text, ",\"distinct_id\":\"M%" PRIu32 "\"", serial);
    }
    buf_lit(text, "}}");
}

static void write_events(struct world *w, int64_t now_ms, struct buf *text)
{
    unsigned count = (unsigned)draw(w, w->swarm.batch_events_max + 1);
    int64_t around_ms = now_ms;
    if (w->swarm.late && once_in(w, 4)) around_ms -= (int64_t)draw(w, 60) * 86400000;
    if (w->swarm.late && once_in(w, 10)) around_ms -= 5 * YEAR_MS;
    for (unsigned i = 0; i < count; i++) {
        if (!w->swarm.resends) w->heads.count = 0;
        generate_event(&w->generator, &w->heads, around_ms, once_in(w, 3) ? 86400000 : 1800000, text);
        if (buf_status(text) != STATUS_OK) abort();
        text->size -= 2; /* the two brackets that close it */
        buf_printf(text, ",\"serial\":%" PRIu32 "}}%s", w->serial++, i + 1 < count ? "," : "");
    }
}

static void append(struct world *w, struct sent *sent)
{
    struct arena *arena = arena_new((size_t)64 << 20);
    struct error error = ERROR_INIT;
    struct ingest_limits limits = INGEST_LIMITS_DEFAULT;
    limits.age_max_ms = INT64_C(1) << 50;
    struct json events;
    if (json_parse(arena, sent->json, NULL, &error, &events) != STATUS_OK) abort();
    struct ingest_request request = {.records = {events.array.items, events.array.count, sent->json.size},
                                     .received_ms = sent->received_ms,
                                     .project_of = project_of,
                                     .context = sent};
    struct ingest_outcome outcome;
    if (ingest_run(arena, &limits, &request, &error, &outcome) != STATUS_OK) abort();
    if (outcome.refused || outcome.output_count != 1) abort();
    w->report->counts.events += outcome.outputs[0].events;
    store_append(w->store, &outcome.outputs[0].record, model_settled, sent);
    ingest_outcome_fini(&outcome);
    arena_free(arena);
}

static struct sent *send_batch(struct world *w, unsigned side)
{
    struct buf text = BUF_INIT((size_t)4 << 20), rest = BUF_INIT((size_t)4 << 20);
    int64_t now_ms = os_now_ms();
    uint32_t marker = w->serial++;
    const struct sent *again =
        w->swarm.resends && w->sent_count && once_in(w, 5) ? w->sent[draw(w, w->sent_count)] : NULL;
    if (again && (again->kind != SENT_EVENTS || again->side != side)) again = NULL;
    if (again)
        buf_str_add(&rest, again->rest);
    else
        write_events(w, now_ms, &rest);
    buf_byte(&text, '[');
    write_marker(w, marker, now_ms, &text);
    if (rest.size) buf_byte(&text, ',');
    buf_str_add(&text, buf_str(&rest));
    buf_byte(&text, ']');
    struct sent *sent = model_sent(w, side, SENT_EVENTS);
    sent->marker = marker;
    sent->received_ms = now_ms / 1000 * 1000; /* milliseconds of it are not kept */
    sent->json = keep(w, &text);
    sent->rest = keep(w, &rest);
    buf_fini(&text);
    buf_fini(&rest);
    append(w, sent);
    return sent;
}

static void wait_for(struct world *w, const struct sent *sent)
{
    os_mutex_lock(&w->lock);
    while (sent->fate == IN_AIR) os_cond_wait(&w->changed, &w->lock);
    os_mutex_unlock(&w->lock);
}

bool workload_send(struct world *w, unsigned side)
{
    struct sent *sent = send_batch(w, side);
    wait_for(w, sent);
    return sent->fate == IN_LOG;
}

/* These devices are linked by such records only, each always to the same user. */
static void send_link(struct world *w, unsigned side)
{
    struct buf record = BUF_INIT(4096), device = BUF_INIT(64), user = BUF_INIT(64);
    unsigned number = (unsigned)draw(w, LINKED_DEVICES);
    buf_printf(&device, "$device:L%u", number);
    buf_printf(&user, "U%u", number % 4);
    struct sent *sent = model_sent(w, side, SENT_LINK);
    sent->received_ms = os_now_ms();
    sent->device = keep(w, &device);
    sent->user = keep(w, &user);
    if (record_link(&record, w->sides[side].project, sent->received_ms, IDENTITY_SIMPLIFIED, LINK_CREATE, sent->device,
                    sent->user) != STATUS_OK)
        abort();
    buf_fini(&device);
    buf_fini(&user);
    store_append(w->store, &record, model_settled, sent);
}

static struct str keep_str(struct world *w, struct str s)
{
    struct buf buf = BUF_INIT(4096);
    buf_str_add(&buf, s);
    struct str kept = keep(w, &buf);
    buf_fini(&buf);
    return kept;
}

/* Deletes a person, everything old, or some events. */
static void send_delete(struct world *w, unsigned side)
{
    struct row_key rows[ROWS_MAX];
    struct buf record = BUF_INIT(1 << 20);
    uint64_t project = w->sides[side].project, request = w->sent_count;
    int64_t now_ms = os_now_ms();
    if (once_in(w, 3)) {
        struct sent *sent = model_sent(w, side, SENT_DELETE_PERSON);
        sent->user = str_of(once_in(w, 2) ? generate_user(&w->generator) : generate_device(&w->generator));
        if (record_delete_person(&record, project, request, &sent->user, 1) != STATUS_OK) abort();
        store_append(w->store, &record, model_settled, sent);
    } else if (once_in(w, 2)) {
        struct sent *sent = model_sent(w, side, SENT_DELETE_BEFORE);
        sent->before_ms = now_ms - (int64_t)(once_in(w, 2) ? 2 + draw(w, 60) : 365) * 86400000;
        if (record_delete_before(&record, project, request, sent->before_ms) != STATUS_OK) abort();
        store_append(w->store, &record, model_settled, sent);
    } else {
        size_t count = model_choose_rows(w, side, rows);
        if (!count) return;
        struct sent *sent = model_sent(w, side, SENT_DELETE_ROWS);
        struct row_keys keys;
        row_keys_init(&keys);
        for (size_t i = 0; i < count; i++) {
            row_keys_add(&keys, &rows[i]);
            sent->rows[i] = (struct row_key){.event = keep_str(w, rows[i].event),
                                             .id = keep_str(w, rows[i].id),
                                             .time_ms = rows[i].time_ms,
                                             .insert_id = keep_str(w, rows[i].insert_id)};
        }
        sent->row_count = count;
        if (row_keys_finish(&keys, project, request, &record) != STATUS_OK) abort();
        row_keys_fini(&keys);
        store_append(w->store, &record, model_settled, sent);
    }
}

void workload_drop(struct world *w, unsigned side)
{
    struct buf record = BUF_INIT(4096);
    struct sent *sent = model_sent(w, side, SENT_DROP);
    if (record_project_drop(&record, w->sides[side].project) != STATUS_OK) abort();
    store_append(w->store, &record, model_settled, sent);
    wait_for(w, sent);
    model_drop(w, side, sent->fate == IN_LOG);
    w->report->counts.drops++;
}

static void flush(struct world *w)
{
    struct error error = ERROR_INIT;
    bool purge = w->swarm.log_purges && once_in(w, 2), compact = w->swarm.compaction && once_in(w, 3);
    enum status status = purge     ? store_purge_log(w->store, &error)
                         : compact ? store_compact_wait(w->store, &error)
                                   : store_flush(w->store, &error);
    w->report->counts.log_purges += purge;
    w->report->counts.flushes++;
    bool trouble = w->swarm.errors || w->swarm.drops || w->swarm.no_space || w->swarm.directory_errors;
    if (status != STATUS_OK && !trouble) fail_unless_excused(w, "a flush failed", status, &error);
}

/* Between two steps a client lets the checks have the world for themselves. */
static bool pause_here(struct world *w)
{
    os_mutex_lock(&w->lock);
    if (w->pausing) {
        w->paused++;
        os_cond_broadcast(&w->changed);
        while (w->pausing) os_cond_wait(&w->changed, &w->lock);
        w->paused--;
    }
    bool go_on = !w->stopping;
    os_mutex_unlock(&w->lock);
    return go_on && !failed(w) && !sim_halted(w->disk);
}

void workload_client(void *arg)
{
    struct world *w = arg;
    while (pause_here(w)) {
        if (once_in(w, 2)) os_sleep_ns((int64_t)draw(w, 1000000));
        unsigned side = once_in(w, 4) ? 1 : 0;
        switch (draw(w, 16)) {
        case 0:
            if (w->swarm.links) send_link(w, side);
            break;
        case 1:
            if (w->swarm.flushes || w->swarm.log_purges) flush(w);
            break;
        case 2:
            if (w->swarm.snapshots) check_snapshot(w, side);
            break;
        case 3:
            if (w->swarm.questions) question_ask(w, side);
            break;
        case 4: os_sleep_ns((int64_t)draw(w, 30000000)); break;
        case 5:
            if (once_in(w, 6)) os_sleep_ns((int64_t)draw(w, 3000000000));
            break;
        case 6:
            if (w->swarm.deletes && once_in(w, 2)) send_delete(w, side);
            break;
        case 7: (void)workload_send(w, side); break;
        case 8:
        case 9:
            if (w->swarm.profiles && w->in_air < 8) (void)profiles_send(w, side);
            break;
        default:
            if (w->in_air < 8)
                (void)send_batch(w, side);
            else
                os_sleep_ns((int64_t)draw(w, 1000000));
        }
    }
    os_mutex_lock(&w->lock);
    w->running--;
    os_cond_broadcast(&w->changed);
    os_mutex_unlock(&w->lock);
}
