#include "differential/world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "ingest/ingest.h"
#include "os/fs.h"
#include "profile/update.h"
#include "store/delete_record.h"
#include "store/profiles.h"

#define PROJECT 0 /* that of plans which say nothing */
#define MEMORY  ((size_t)512 << 20)

static void fail_with(const struct error *error)
{
    char text[1200];
    fail_msg("%s", error_text(error, text, sizeof text));
}

static void open_store(struct world *w)
{
    struct store_options options;
    struct store_report report;
    struct error error = ERROR_INIT;
    store_options_defaults(&options);
    options.fs = w->fs;
    options.link = identity_link;
    options.update = profile_update;
    options.unlink = identity_unlink;
    options.explain = identity_explain;
    options.wal_file_bytes = 1 << 20;
    options.flush_rows = w->flush_rows;
    if (w->section_rows) {
        options.compact.rows_max = w->section_rows;
        options.compact.fan_in = options.compact.runs_max = 2;
        options.compact.burst_ms = 0;
        options.compact.window_log2_max_few = options.compact.window_log2_max; /* else others lie around them */
    }
    if (store_open(&options, &error, &report, &w->store) != STATUS_OK) fail_with(&error);
    w->native = executor_with_stored_groups(executor_native_new(w->store), w->store);
}

static void close_store(struct world *w)
{
    executor_free(w->native);
    store_close(w->store);
}

void world_reopen(struct world *w)
{
    close_store(w);
    open_store(w);
}

void world_flush(struct world *w)
{
    struct error error = ERROR_INIT;
    if (store_flush(w->store, &error) != STATUS_OK) fail_with(&error);
}

void world_compact(struct world *w)
{
    struct error error = ERROR_INIT;
    if (store_compact_wait(w->store, &error) != STATUS_OK) fail_with(&error);
}

/* --- what happens ------------------------------------------------------------------------------------- */

static bool project_of(void *context, struct str token, struct ingest_project *ret_project)
{
    (void)token;
    *ret_project = (struct ingest_project){PROJECT, ((const struct world *)context)->mode};
    return true;
}

/* The events of one request. */
static void track(struct world *w, const struct step *steps, size_t count)
{
    struct arena *arena = arena_new(MEMORY);
    struct error error = ERROR_INIT;
    struct ingest_limits limits = INGEST_LIMITS_DEFAULT;
    limits.age_max_ms = INT64_C(1) << 50;
    limits.cluster_ids_max = w->cluster_max;
    struct json *events = arena_new_array(arena, struct json, count);
    assert_non_null(events);
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++) {
        if (json_parse(arena, steps[i].event, NULL, &error, &events[i]) != STATUS_OK) fail_with(&error);
        reference_track(w->reference, &events[i], steps->received_ms);
        bytes += steps[i].event.size;
    }
    struct ingest_request request = {
        .records = {events, count, bytes}, .received_ms = steps->received_ms, .project_of = project_of, .context = w};
    struct ingest_outcome outcome;
    if (ingest_run(arena, &limits, &request, &error, &outcome) != STATUS_OK) fail_with(&error);
    if (outcome.refused) fail_msg("refused: %.*s", (int)outcome.reason.size, outcome.reason.data);
    for (size_t i = 0; i < outcome.output_count; i++)
        assert_int_equal(store_append_wait(w->store, &outcome.outputs[i].record), STATUS_OK);
    ingest_outcome_fini(&outcome);
    arena_free(arena);
}

static void link_ids(struct world *w, const struct step *step)
{
    struct buf record = BUF_INIT(1 << 16);
    struct link_view link = {.received_ms = step->received_ms,
                             .mode = (uint8_t)w->mode,
                             .operation = (uint8_t)step->operation,
                             .cluster_max = w->cluster_max,
                             .device = str_of(step->device),
                             .user = str_of(step->user)};
    assert_int_equal(record_link_view(&record, PROJECT, &link), STATUS_OK);
    assert_int_equal(store_append_wait(w->store, &record), STATUS_OK);
    static const enum reference_operation operations[] = {
        [LINK_CREATE] = REFERENCE_CREATE, [LINK_ALIAS] = REFERENCE_ALIAS, [LINK_MERGE] = REFERENCE_MERGE};
    reference_link(w->reference, operations[step->operation], link.device, link.user);
}

static void unlink_id(struct world *w, const struct step *step)
{
    struct buf record = BUF_INIT(1 << 16);
    struct unlink_view unlink = {step->received_ms, (uint8_t)w->mode, str_of(step->user)};
    assert_int_equal(record_unlink(&record, PROJECT, &unlink), STATUS_OK);
    assert_int_equal(store_append_wait(w->store, &record), STATUS_OK);
    reference_unlink(w->reference, unlink.id);
}

static void delete_record(struct world *w, uint64_t project, struct buf *record)
{
    struct error error = ERROR_INIT;
    struct store_deletion deletion;
    if (store_delete(w->store, project, 0, record, &error, &deletion) != STATUS_OK) fail_with(&error);
    assert_int_equal(deletion.sections_owed, 0);
}

static void add_profile_row(struct batch *batch, struct str event, struct str id, const struct json *properties)
{
    batch_event(batch, event, PROFILE_TIME_MS, id, STR_NULL, STR(PROFILE_INSERT_ID));
    for (size_t i = 0; i < properties->object.count; i++) {
        const struct json_member *member = &properties->object.members[i];
        assert_int_equal(batch_property(batch, member->key, &member->value), STATUS_OK);
    }
    batch_event_end(batch);
}

/* A profile is the row of the shadow that has this key. */
static void write_profiles(struct world *w, const struct step *step)
{
    struct error error = ERROR_INIT;
    struct batch batch;
    struct buf record;
    struct json json;
    if (json_parse(w->arena, step->event, NULL, &error, &json) != STATUS_OK) fail_with(&error);
    batch_init(&batch, 1 << 24);
    batch_begin(&batch, store_profiles_of(PROJECT), step->received_ms, w->mode, 0);
    if (step->kind == STEP_PROFILE) {
        add_profile_row(&batch, STR(PROFILE_USER_EVENT), str_of(step->user), &json);
        reference_profile(w->reference, str_of(step->user), &json);
    }
    for (size_t i = 0; step->kind == STEP_GROUPS && i < json.object.count; i++) {
        const struct json_member *member = &json.object.members[i];
        if (!member->key.size) continue; /* no id */
        struct str event = arena_printf(w->arena, PROFILE_GROUP_PREFIX "%s", step->user);
        add_profile_row(&batch, event, member->key, &member->value);
        struct told_group **at = &w->groups;
        while (*at && !(str_is((*at)->key, step->user) && str_eq((*at)->id, member->key))) at = &(*at)->next;
        if (!*at) {
            *at = arena_new_array(w->arena, struct told_group, 1);
            assert_non_null(*at);
            **at = (struct told_group){.key = str_of(step->user), .id = member->key};
        }
        (*at)->properties = member->value;
    }
    bool any = batch_count(&batch) > 0;
    assert_int_equal(batch_finish(&batch, &record), STATUS_OK);
    batch_fini(&batch);
    if (any)
        assert_int_equal(store_append_wait(w->store, &record), STATUS_OK);
    else
        buf_fini(&record);
}

static void delete_profile(struct world *w, const struct step *step)
{
    struct row_keys keys;
    struct buf record;
    row_keys_init(&keys);
    row_keys_add(&keys,
                 &(struct row_key){.event = STR(PROFILE_USER_EVENT), .id = str_of(step->user), .insert_id = STR("p")});
    assert_int_equal(row_keys_finish(&keys, store_profiles_of(PROJECT), 0, &record), STATUS_OK);
    row_keys_fini(&keys);
    delete_record(w, store_profiles_of(PROJECT), &record);
    reference_profile(w->reference, str_of(step->user), NULL);
}

static void delete_person(struct world *w, const struct step *step)
{
    struct buf record = BUF_INIT(1 << 16);
    struct str ids[] = {str_of(step->device), str_of(step->user)};
    size_t count = step->user ? 2 : 1;
    assert_int_equal(record_delete_person(&record, PROJECT, 0, ids, count), STATUS_OK);
    delete_record(w, PROJECT, &record);
    reference_delete_person(w->reference, ids, count);
}

static void delete_before(struct world *w, const struct step *step)
{
    struct buf record = BUF_INIT(1 << 16);
    assert_int_equal(record_delete_before(&record, PROJECT, 0, step->before_ms), STATUS_OK);
    delete_record(w, PROJECT, &record);
    reference_delete_before(w->reference, step->before_ms);
}

static void add_key(void *context, struct str name, struct str id, int64_t time_ms, struct str insert_id)
{
    row_keys_add(context, &(struct row_key){.event = name, .id = id, .time_ms = time_ms, .insert_id = insert_id});
}

static void delete_rows(struct world *w, const struct step *step)
{
    struct row_keys keys;
    struct buf record = BUF_INIT(1 << 24);
    row_keys_init(&keys);
    reference_delete_some(w->reference, step->every, add_key, &keys);
    if (row_keys_count(&keys)) {
        assert_int_equal(row_keys_finish(&keys, PROJECT, 0, &record), STATUS_OK);
        delete_record(w, PROJECT, &record);
    }
    row_keys_fini(&keys);
}

static bool same_request(const struct step *a, const struct step *b)
{
    return b->kind == STEP_EVENT && a->batch == b->batch;
}

static void live(struct world *w, const struct history *history)
{
    for (size_t i = 0, next; i < history->count; i = next) {
        const struct step *step = &history->steps[i];
        next = i + 1;
        switch (step->kind) {
        case STEP_EVENT:
            while (next < history->count && same_request(step, &history->steps[next])) next++;
            track(w, step, next - i);
            break;
        case STEP_LINK: link_ids(w, step); break;
        case STEP_UNLINK: unlink_id(w, step); break;
        case STEP_DELETE_PERSON: delete_person(w, step); break;
        case STEP_DELETE_BEFORE: delete_before(w, step); break;
        case STEP_DELETE_ROWS: delete_rows(w, step); break;
        case STEP_PROFILE:
        case STEP_GROUPS: write_profiles(w, step); break;
        case STEP_DELETE_PROFILE: delete_profile(w, step); break;
        case STEP_FLUSH: world_flush(w); break;
        case STEP_REOPEN: world_reopen(w); break;
        case STEP_COMPACT: world_compact(w); break;
        }
    }
}

void world_init(struct world *w, const struct history *history)
{
    struct error error = ERROR_INIT;
    *w = (struct world){.mode = history->mode,
                        .cluster_max = history->cluster_max,
                        .flush_rows = history->flush_rows,
                        .section_rows = history->section_rows,
                        .arena = arena_new(MEMORY)};
    snprintf(w->directory, sizeof w->directory, "/tmp/cairn-differential-XXXXXX");
    assert_non_null(mkdtemp(w->directory));
    if (os_posix_new(w->directory, &error, &w->fs) != STATUS_OK) fail_with(&error);
    static const enum reference_mode modes[] = {[IDENTITY_SIMPLIFIED] = REFERENCE_SIMPLIFIED,
                                                [IDENTITY_ORIGINAL] = REFERENCE_ORIGINAL,
                                                [IDENTITY_LEGACY] = REFERENCE_LEGACY};
    w->reference = reference_new(w->arena, modes[w->mode], w->cluster_max);
    w->naive = executor_with_told_groups(reference_executor_new(w->reference), &w->groups);
    open_store(w);
    live(w, history);
}

void world_fini(struct world *w)
{
    char command[128];
    close_store(w);
    os_fs_free(w->fs);
    executor_free(w->naive);
    arena_free(w->arena);
    snprintf(command, sizeof command, "rm -rf %s", w->directory);
    assert_int_equal(system(command), 0);
}
