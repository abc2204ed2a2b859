/*
 * Which profile is whose, kept between queries. The list of a project is compared with looking every text up, after
 * random histories in which ids come on either side, are forgotten and come again, and are asked about with snapshots
 * of different ages. Then how much is kept, and what is given up.
 */
#include "query/native/profile_ids.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/hash.h"
#include "query/store_testing.h"
#include "store/delete_record.h"
#include "store/profiles.h"

#define WAL_FILE_BYTES (1 << 20)
#define BYTES_MAX      ((size_t)64 << 20)

static struct pool *pool;
static const struct plan_limits limits = {.memory_bytes_max = BYTES_MAX, .deadline_ns = INT64_MAX};

static int setup(void **state)
{
    (void)state;
    testing_store_begin(WAL_FILE_BYTES);
    pool = pool_new(3);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    pool_free(pool);
    return testing_store_end();
}

static void send(uint64_t project, unsigned from, unsigned count, unsigned step)
{
    struct batch batch;
    struct buf record;
    char id[16];
    batch_init(&batch, (size_t)64 << 20);
    batch_begin(&batch, project, 1, IDENTITY_SIMPLIFIED, 0);
    for (unsigned i = 0; i < count; i++) {
        snprintf(id, sizeof id, "U%u", from + i * step);
        batch_event(&batch, STR("A"), 0, str_of(id), STR_NULL, STR_NULL);
        batch_event_end(&batch);
    }
    assert_int_equal(batch_finish(&batch, &record), STATUS_OK);
    batch_fini(&batch);
    assert_int_equal(store_append_wait(store, &record), STATUS_OK);
}

static void forget(uint64_t project, unsigned number)
{
    struct buf record = BUF_INIT(1 << 16);
    struct store_deletion deletion;
    char id[16];
    snprintf(id, sizeof id, "U%u", number);
    struct str text = str_of(id);
    assert_int_equal(record_delete_person(&record, project, 0, &text, 1), STATUS_OK);
    assert_int_equal(store_delete(store, project, 0, &record, &error, &deletion), STATUS_OK);
}

static struct snapshot *snapshot_of(uint64_t project)
{
    struct snapshot *snapshot;
    assert_int_equal(store_snapshot(store, project, &error, &snapshot), STATUS_OK);
    return snapshot;
}

static struct profile_ids *get(struct profile_ids_cache *cache, const struct snapshot *events,
                               const struct snapshot *profiles, uint64_t project)
{
    struct profile_ids *ids;
    assert_int_equal(profile_ids_get(cache, pool, events, profiles, project, &limits, BYTES_MAX, &error, &ids),
                     STATUS_OK);
    return ids;
}

/* Ids whose person was forgotten count for nothing, whichever is found. */
static void compare(struct profile_ids_cache *cache, const struct snapshot *events, const struct snapshot *profiles,
                    uint64_t project)
{
    struct profile_ids *ids = get(cache, events, profiles, project);
    for (uint32_t p = 1; p <= snapshot_id_count(profiles); p++) {
        char room[ID_TEXT_ROOM];
        if (!snapshot_person(profiles, p)) continue;
        uint32_t wanted = snapshot_id(events, snapshot_id_text(profiles, p, room));
        uint32_t got = profile_ids_at(ids, events, profiles, p);
        if (got && !snapshot_person(events, got)) got = 0;
        assert_int_equal(got, wanted);
    }
    profile_ids_unref(ids);
}

/* 0 .. below-1 */
static unsigned next(uint64_t *random, unsigned below)
{
    return (unsigned)(hash_u64(++*random, 7) % below);
}

#define AGES 4
static void lists_are_what_looking_up_gives(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 12; seed++) {
        uint64_t random = (uint64_t)seed << 32;
        struct profile_ids_cache *cache = profile_ids_cache_new(BYTES_MAX);
        struct snapshot *events[AGES] = {NULL}, *profiles[AGES] = {NULL};
        uint64_t project = seed, shadow = store_profiles_of(project);
        for (unsigned step = 0; step < 60; step++) {
            bool large = next(&random, 20) == 0;
            uint64_t whose = next(&random, 2) == 0 ? project : shadow;
            if (next(&random, 3) == 0)
                forget(whose, next(&random, 100));
            else
                send(whose, next(&random, 100), large ? 9000 : 1 + next(&random, 20), 1 + next(&random, 3));
            unsigned age = step % AGES;
            snapshot_free(events[age]);
            events[age] = snapshot_of(project);
            unsigned other = next(&random, AGES);
            snapshot_free(profiles[other]);
            profiles[other] = snapshot_of(shadow);
            if (next(&random, 2) == 0) compare(cache, events[age], profiles[other], project);
            unsigned old = next(&random, AGES), older = next(&random, AGES);
            if (events[old] && profiles[older]) compare(cache, events[old], profiles[older], project);
        }
        for (unsigned i = 0; i < AGES; i++) {
            snapshot_free(events[i]);
            snapshot_free(profiles[i]);
        }
        profile_ids_cache_free(cache);
    }
}

/* What is asked least recently goes; what does not fit by itself is not kept; lists that are held stay. */
static void little_is_kept_when_little_may_be(void **state)
{
    (void)state;
    struct profile_ids_cache *small = profile_ids_cache_new(20000), *none = profile_ids_cache_new(0);
    struct snapshot *events[3], *profiles[3];
    for (unsigned i = 0; i < 3; i++) {
        send(i + 1, 0, 2000, 1);
        send(store_profiles_of(i + 1), 0, 2000, 1);
        events[i] = snapshot_of(i + 1);
        profiles[i] = snapshot_of(store_profiles_of(i + 1));
    }
    struct profile_ids *held = get(small, events[0], profiles[0], 1), *again = get(small, events[0], profiles[0], 1);
    assert_ptr_equal(held, again);
    profile_ids_unref(again);
    profile_ids_unref(get(small, events[1], profiles[1], 2)); /* two do not fit */
    again = get(small, events[0], profiles[0], 1);
    assert_ptr_not_equal(held, again);
    assert_int_equal(profile_ids_at(held, events[0], profiles[0], 2000), 2000);
    profile_ids_unref(held);
    profile_ids_unref(again);
    for (unsigned round = 0; round < 3; round++)
        for (unsigned i = 0; i < 3; i++) {
            compare(small, events[i], profiles[i], i + 1);
            compare(none, events[i], profiles[i], i + 1);
        }
    for (unsigned i = 0; i < 3; i++) {
        snapshot_free(events[i]);
        snapshot_free(profiles[i]);
    }
    profile_ids_cache_free(small);
    profile_ids_cache_free(none);
}

static void limits_are_kept(void **state)
{
    (void)state;
    static const _Atomic bool cancelled = true;
    struct plan_limits stopped = limits;
    struct profile_ids_cache *cache = profile_ids_cache_new(BYTES_MAX);
    struct profile_ids *ids;
    send(1, 0, 2000, 1);
    send(store_profiles_of(1), 0, 2000, 1);
    struct snapshot *events = snapshot_of(1), *profiles = snapshot_of(store_profiles_of(1));
    stopped.cancelled = &cancelled;
    assert_int_equal(profile_ids_get(cache, pool, events, profiles, 1, &stopped, BYTES_MAX, &error, &ids),
                     STATUS_CANCELLED);
    assert_int_equal(profile_ids_get(cache, pool, events, profiles, 1, &limits, 4000, &error, &ids), STATUS_OK);
    profile_ids_unref(ids); /* room was made before it was cancelled */
    compare(cache, events, profiles, 1);
    profile_ids_cache_free(cache);
    cache = profile_ids_cache_new(BYTES_MAX);
    assert_int_equal(profile_ids_get(cache, pool, events, profiles, 1, &limits, 4000, &error, &ids), STATUS_LIMIT);
    compare(cache, events, profiles, 1);
    profile_ids_cache_free(cache);
    snapshot_free(events);
    snapshot_free(profiles);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(lists_are_what_looking_up_gives, setup, teardown),
        cmocka_unit_test_setup_teardown(little_is_kept_when_little_may_be, setup, teardown),
        cmocka_unit_test_setup_teardown(limits_are_kept, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
