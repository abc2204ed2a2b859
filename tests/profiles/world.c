#include "profiles/world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "identity/identity.h"
#include "os/fs.h"
#include "store/delete_record.h"
#include "store/profiles.h"

#define MEMORY ((size_t)1 << 30)

static struct error error;

static void must(enum status status)
{
    char text[1200];
    if (status != STATUS_OK) fail_msg("%s", error_text(&error, text, sizeof text));
}

static void open_store(struct world *w)
{
    struct store_options options;
    struct store_report report;
    store_options_defaults(&options);
    options.fs = w->fs;
    options.link = identity_link;
    options.unlink = identity_unlink;
    options.explain = identity_explain;
    options.flush_rows = 40;
    options.compact.fan_in = 2;
    must(store_open(&options, &error, &report, &w->store));
    w->native = executor_native_new_threads(w->store, 3);
}

static void close_store(struct world *w)
{
    executor_free(w->native);
    store_close(w->store);
}

void world_init(struct world *w, uint64_t seed)
{
    *w = (struct world){.arena = arena_new(MEMORY), .generator = generator_of(seed)};
    for (int i = 0; i < WORLD_DEVICES; i++) w->owners[i] = -1;
    w->events = calloc(WORLD_EVENTS, sizeof *w->events);
    assert_non_null(w->events);
    snprintf(w->directory, sizeof w->directory, "/tmp/cairn-profiles-XXXXXX");
    assert_non_null(mkdtemp(w->directory));
    must(os_posix_new(w->directory, &error, &w->fs));
    open_store(w);
}

void world_fini(struct world *w)
{
    char command[128];
    close_store(w);
    os_fs_free(w->fs);
    arena_free(w->arena);
    free(w->events);
    snprintf(command, sizeof command, "rm -rf %s", w->directory);
    assert_int_equal(system(command), 0);
}

/* --- who --- */

struct str world_group_key(size_t table)
{
    return table == 0 ? STR_NULL : table == 1 ? STR("company") : STR("team");
}
struct str world_user(struct world *w, int user)
{
    return arena_printf(w->arena, "U%d", user);
}
struct str world_device(struct world *w, int device)
{
    return arena_printf(w->arena, "$device:D%d", device);
}

static int number_behind(struct str id, const char *prefix, int limit)
{
    struct str start = str_of(prefix);
    if (!str_starts(id, start)) return -1;
    int number = atoi(id.data + start.size);
    return number < limit ? number : -1;
}

int world_user_of(const struct world *w, struct str id)
{
    int device = number_behind(id, "$device:D", WORLD_DEVICES);
    if (device >= 0) return w->owners[device];
    return number_behind(id, "U", WORLD_USERS);
}

struct str world_shown(struct world *w, struct str id)
{
    int user = world_user_of(w, id);
    return user >= 0 ? world_user(w, user) : id;
}

/* --- profiles --- */

static struct model_profile *model_of(struct world *w, size_t table, struct str id)
{
    bool known = false;
    for (size_t i = 0; i < w->profile_counts[table]; i++) {
        if (str_eq(w->profiles[table][i].id, id)) return &w->profiles[table][i];
    }
    for (size_t i = 0; i < w->order_count; i++) known |= str_eq(w->order[i], id);
    if (!known) w->order[w->order_count++] = id;
    struct model_profile *profile = &w->profiles[table][w->profile_counts[table]++];
    *profile = (struct model_profile){.id = id};
    return profile;
}

static struct str event_name(struct world *w, size_t table)
{
    if (table == 0) return STR(PROFILE_USER_EVENT);
    struct str key = world_group_key(table);
    return arena_printf(w->arena, PROFILE_GROUP_PREFIX STR_FMT, STR_ARG(key));
}

/* Properties as those of a random event, and payments now and then. */
static struct json random_properties(struct world *w)
{
    struct generated_heads heads = {.count = 0};
    struct generator *g = &w->generator;
    struct buf text = BUF_INIT(1 << 20);
    struct json document, kept = JSON_OBJECT_EMPTY;
    generate_event(g, &heads, WORLD_NOW_MS, WORLD_HOUR_MS, &text);
    must(json_parse(w->arena, arena_str(w->arena, buf_str(&text)), NULL, &error, &document));
    buf_fini(&text);
    const struct json *properties = json_get(&document, STR("properties"));
    for (size_t i = 0; i < properties->object.count; i++) {
        struct str name = properties->object.members[i].key;
        bool other = name.size > 5 || str_is(name, "time") || str_is(name, "token") || str_is(name, "ip");
        if (!other) must(json_put(w->arena, &kept, name, properties->object.members[i].value));
    }
    if (generate_once_in(g, 3)) must(json_put(w->arena, &kept, STR("$email"), json_string(STR("Ann@Example.com"))));
    if (generate_once_in(g, 3)) must(json_put(w->arena, &kept, STR("$name"), json_string(STR("BOB"))));
    if (generate_once_in(g, 2)) {
        struct json list = {.type = JSON_ARRAY};
        for (unsigned i = generate_below(g, 4); i > 0; i--) {
            struct json payment = JSON_OBJECT_EMPTY;
            struct str day =
                arena_printf(w->arena, "2024-03-%02uT0%u:30:00", 1 + generate_below(g, 20), generate_below(g, 10));
            must(json_put(w->arena, &payment, STR("$amount"), json_number(generate_below(g, 400) * 0.25 - 10)));
            if (!generate_once_in(g, 6)) must(json_put(w->arena, &payment, STR("$time"), json_string(day)));
            must(json_push(w->arena, &list, payment));
        }
        must(json_put(w->arena, &kept, STR("$transactions"), list));
    }
    return kept;
}

static struct str random_id(struct world *w, size_t table)
{
    struct generator *g = &w->generator;
    /* groups have the names of users, too: they are no users for that */
    if (table && generate_once_in(g, 2)) return arena_printf(w->arena, "G%u", generate_below(g, WORLD_GROUPS));
    if (generate_once_in(g, 2)) return world_user(w, (int)generate_below(g, WORLD_USERS));
    return world_device(w, (int)generate_below(g, WORLD_DEVICES));
}

static void set_profiles(struct world *w)
{
    struct generator *g = &w->generator;
    struct batch batch;
    struct buf record;
    int64_t received_ms = WORLD_NOW_MS + generate_below(g, 1000000);
    batch_init(&batch, (size_t)1 << 22);
    batch_begin(&batch, store_profiles_of(WORLD_PROJECT), received_ms, IDENTITY_SIMPLIFIED, 0);
    for (unsigned i = generate_below(g, 4) + 1; i > 0; i--) {
        size_t table = generate_below(g, WORLD_TABLES);
        struct str id = random_id(w, table);
        struct model_profile *profile = model_of(w, table, id);
        profile->live = true;
        profile->received_ms = received_ms / 1000 * 1000;
        profile->properties = random_properties(w);
        batch_event(&batch, event_name(w, table), PROFILE_TIME_MS, id, STR_NULL, STR(PROFILE_INSERT_ID));
        for (size_t p = 0; p < profile->properties.object.count; p++) {
            const struct json_member *member = &profile->properties.object.members[p];
            must(batch_property(&batch, member->key, &member->value));
        }
        batch_event_end(&batch);
    }
    must(batch_finish(&batch, &record));
    batch_fini(&batch);
    must(store_append_wait(w->store, &record));
}

static void delete_profile(struct world *w)
{
    size_t table = generate_below(&w->generator, WORLD_TABLES);
    if (!w->profile_counts[table]) return;
    struct model_profile *profile =
        &w->profiles[table][generate_below(&w->generator, (unsigned)w->profile_counts[table])];
    struct row_keys keys;
    struct buf record = BUF_INIT(1 << 20);
    struct store_deletion deletion;
    row_keys_init(&keys);
    row_keys_add(&keys, &(struct row_key){.event = event_name(w, table),
                                          .id = profile->id,
                                          .time_ms = PROFILE_TIME_MS,
                                          .insert_id = STR(PROFILE_INSERT_ID)});
    must(row_keys_finish(&keys, store_profiles_of(WORLD_PROJECT), 0, &record));
    row_keys_fini(&keys);
    must(store_delete(w->store, store_profiles_of(WORLD_PROJECT), 0, &record, &error, &deletion));
    profile->live = false;
}

/* --- events --- */

static void send_event(struct world *w)
{
    struct generator *g = &w->generator;
    if (w->event_count == WORLD_EVENTS) return;
    struct model_event *event = &w->events[w->event_count++];
    *event = (struct model_event){.name = generate_below(g, 3),
                                  .user = -1,
                                  .device = -1,
                                  .time_ms = WORLD_NOW_MS - generate_below(g, 200) * WORLD_HOUR_MS / 2,
                                  .number = generate_below(g, 10)};
    unsigned who = generate_below(g, 8);
    if (who != 0 && who != 1) event->user = (int)generate_below(g, WORLD_USERS);
    if (who >= 7 || who == 1) event->device = (int)generate_below(g, WORLD_DEVICES);
    struct str user = event->user >= 0 ? world_user(w, event->user) : STR_NULL;
    struct str device = event->device >= 0 ? world_device(w, event->device) : STR_NULL;
    if (event->device >= 0 && event->user >= 0 && w->owners[event->device] < 0) w->owners[event->device] = event->user;
    struct batch batch;
    struct buf record;
    struct json number = json_int(event->number);
    batch_init(&batch, (size_t)1 << 20);
    batch_begin(&batch, WORLD_PROJECT, WORLD_NOW_MS, IDENTITY_SIMPLIFIED, 0);
    batch_event(&batch, arena_printf(w->arena, "E%u", event->name), event->time_ms, user.data ? user : device,
                user.data ? device : STR_NULL, STR_NULL);
    must(batch_property(&batch, STR("n"), &number));
    batch_event_end(&batch);
    must(batch_finish(&batch, &record));
    batch_fini(&batch);
    must(store_append_wait(w->store, &record));
}

void world_change(struct world *w)
{
    switch (generate_below(&w->generator, 40)) {
    case 0: must(store_flush(w->store, &error)); break;
    case 1: must(store_compact_wait(w->store, &error)); break;
    case 2:
    case 3: delete_profile(w); break;
    default:
        if (generate_once_in(&w->generator, 2))
            set_profiles(w);
        else
            send_event(w);
    }
}

void world_step(struct world *w)
{
    if (!generate_once_in(&w->generator, 40)) {
        world_change(w);
        return;
    }
    close_store(w);
    open_store(w);
}
