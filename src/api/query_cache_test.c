/* The cache of answers: what is found again and what is not, room and how it is shared, and what a question is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "api/query_cache.h"
#include "api/query_question.h"
#include "base/hash.h"
#include "http/server.h"

#include <stdio.h>
#include <stdlib.h>

#define MIB ((size_t)1 << 20)

static const char json[] = "application/json";

static struct cached_answer answer_of(uint64_t events, uint64_t profiles, uint64_t control)
{
    return (struct cached_answer){.stamp = {{events, profiles}, control},
                                  .profiles_matter = true,
                                  .from_ms = 100,
                                  .until_ms = 200,
                                  .content_type = json};
}

static bool found(struct query_cache *cache, uint64_t project, const char *key, uint64_t events, uint64_t profiles,
                  uint64_t control, int64_t now_ms, const char *expected)
{
    struct query_stamp stamp = {{events, profiles}, control};
    struct buf body = BUF_INIT(MIB);
    const char *type = NULL;
    bool hit = query_cache_get(cache, project, str_of(key), &stamp, now_ms, &body, &type);
    if (hit) {
        assert_true(str_eq(buf_str(&body), str_of(expected)));
        assert_ptr_equal(type, json);
    }
    buf_fini(&body);
    return hit;
}

static void an_answer_is_good_while_nothing_has_changed(void **state)
{
    (void)state;
    struct query_cache *cache = query_cache_new(MIB);
    struct cached_answer answer = answer_of(5, 6, 7);
    struct query_cache_stats stats;
    query_cache_put(cache, 1, STR("q"), &answer, STR("first"));
    assert_true(found(cache, 1, "q", 5, 6, 7, 100, "first"));
    assert_true(found(cache, 1, "q", 5, 6, 7, 199, "first"));
    assert_false(found(cache, 1, "q", 6, 6, 7, 150, NULL));  /* an event */
    assert_false(found(cache, 1, "q", 5, 7, 7, 150, NULL));  /* a profile */
    assert_false(found(cache, 1, "q", 5, 6, 8, 150, NULL));  /* the control plane */
    assert_false(found(cache, 1, "q", 5, 6, 7, 200, NULL));  /* another day */
    assert_false(found(cache, 1, "q", 5, 6, 7, 99, NULL));   /* the clock was set back */
    assert_false(found(cache, 2, "q", 5, 6, 7, 150, NULL));  /* another project */
    assert_false(found(cache, 1, "q2", 5, 6, 7, 150, NULL)); /* another question */
    answer.profiles_matter = false;
    answer.stamp.data.events = 6;
    query_cache_put(cache, 1, STR("q"), &answer, STR("second"));
    assert_true(found(cache, 1, "q", 6, 99, 7, 150, "second"));
    assert_false(found(cache, 1, "q", 5, 6, 7, 150, NULL));
    query_cache_stats(cache, &stats);
    assert_int_equal(stats.answers, 1);
    assert_int_equal(stats.hits, 3);
    assert_int_equal(stats.misses, 2);
    assert_int_equal(stats.stale, 6);
    /* "1 2q" must not be found as project 12's "q" */
    query_cache_put(cache, 1, STR("2 q"), &answer, STR("x"));
    assert_false(found(cache, 12, "q", 6, 6, 7, 150, NULL));
    query_cache_forget(cache, 1);
    query_cache_stats(cache, &stats);
    assert_int_equal(stats.answers, 0);
    assert_int_equal(stats.bytes, 0);
    query_cache_free(cache);
}

/* Room is bounded, whatever comes; what was used last stays. */
static void what_was_not_used_for_longest_goes(void **state)
{
    (void)state;
    struct query_cache *cache = query_cache_new(64 << 10);
    struct cached_answer answer = answer_of(1, 1, 1);
    struct query_cache_stats stats;
    static char text[4000];
    char key[16];
    memset(text, 'x', sizeof text - 1);
    query_cache_put(cache, 1, STR("first"), &answer, STR("good"));
    for (unsigned i = 0; i < 500; i++) {
        snprintf(key, sizeof key, "k%u", i);
        query_cache_put(cache, 1, str_of(key), &answer, str_of(text));
        query_cache_stats(cache, &stats);
        assert_true(stats.bytes <= stats.bytes_max);
        assert_true(found(cache, 1, "first", 1, 1, 1, 150, "good"));
        assert_true(found(cache, 1, key, 1, 1, 1, 150, text));
    }
    assert_false(found(cache, 1, "k0", 1, 1, 1, 150, NULL));
    assert_true(stats.evicted > 400);
    query_cache_free(cache);
}

static void a_quiet_project_keeps_its_share(void **state)
{
    (void)state;
    struct query_cache *cache = query_cache_new(64 << 10);
    struct cached_answer answer = answer_of(1, 1, 1);
    static char text[4000];
    char key[16];
    memset(text, 'y', sizeof text - 1);
    for (unsigned i = 0; i < 4; i++) {
        snprintf(key, sizeof key, "k%u", i);
        query_cache_put(cache, 2, str_of(key), &answer, str_of(text));
    }
    for (unsigned i = 0; i < 1000; i++) {
        snprintf(key, sizeof key, "k%u", i);
        query_cache_put(cache, 1, str_of(key), &answer, str_of(text));
    }
    for (unsigned i = 0; i < 4; i++) {
        snprintf(key, sizeof key, "k%u", i);
        assert_true(found(cache, 2, key, 1, 1, 1, 150, text));
    }
    query_cache_free(cache);
}

static void what_is_too_large_is_not_kept(void **state)
{
    (void)state;
    struct query_cache *cache = query_cache_new(8000), *none = query_cache_new(0);
    struct cached_answer answer = answer_of(1, 1, 1);
    static char text[1000];
    memset(text, 'z', sizeof text - 1);
    query_cache_put(cache, 1, STR("q"), &answer, STR("small"));
    query_cache_put(cache, 1, STR("q"), &answer, str_of(text));
    assert_true(found(cache, 1, "q", 1, 1, 1, 150, "small"));
    query_cache_put(none, 1, STR("q"), &answer, STR("small"));
    assert_false(found(none, 1, "q", 1, 1, 1, 150, NULL));
    query_cache_free(cache);
    query_cache_free(none);
}

/* Against a model: random puts, looks and forgetting; whatever is found is what was put last. */
static void random_use_agrees_with_a_model(void **state)
{
    (void)state;
    enum { PROJECTS = 3, KEYS = 12 };
    struct query_cache *cache = query_cache_new(16 << 10);
    struct {
        uint64_t events;
        char body[1200];
    } model[PROJECTS][KEYS] = {0};
    uint64_t hits = 0;
    for (uint64_t i = 1; i < 60000; i++) {
        uint64_t random = hash_u64(i, 11);
        unsigned project = random % PROJECTS, number = (random >> 8) % KEYS, what = (random >> 16) % 16;
        char key[16];
        snprintf(key, sizeof key, "k%u", number);
        if (what == 0) {
            query_cache_forget(cache, project + 1);
            for (unsigned k = 0; k < KEYS; k++) model[project][k].events = 0;
        } else if (what < 8) {
            struct cached_answer answer = answer_of(i, 0, 0);
            size_t size = (random >> 24) % 1100;
            memset(model[project][number].body, 'a' + (int)(random >> 40) % 26, size);
            model[project][number].body[size] = 0;
            model[project][number].events = i;
            query_cache_put(cache, project + 1, str_of(key), &answer, str_of(model[project][number].body));
        } else {
            uint64_t events = model[project][number].events;
            bool hit = found(cache, project + 1, key, events, 0, 0, 150, model[project][number].body);
            hits += hit;
            assert_true(events || !hit);
            assert_false(found(cache, project + 1, key, events + 1, 0, 0, 150, NULL));
        }
    }
    assert_true(hits > 1000);
    query_cache_free(cache);
}

/* --- questions --- */

static struct http_route route = {.path = "/api/app/projects/{project_id}/things/{id}"};

static struct str key_of(struct arena *arena, const char *query, const char *body, const char *id)
{
    struct http_request request = {.arena = arena, .query = str_of(query), .body = str_of(body), .route = &route};
    struct params params;
    struct error error;
    struct buf key = BUF_INIT(MIB);
    request.params[0] = STR("7");
    request.params[1] = str_of(id);
    request.param_count = 2;
    assert_int_equal(params_parse(&request, &error, &params), STATUS_OK);
    question_write_key(&key, STR("e"), &request, &params);
    struct str text = arena_str(arena, buf_str(&key));
    buf_fini(&key);
    return text;
}

static void the_same_question_has_the_same_key(void **state)
{
    (void)state;
    struct arena *arena = arena_new(16 * MIB);
    static const char *const same[][2] = {{"event=a&on=b", ""},
                                          {"on=b&event=a", ""},
                                          {"on=b&event=a&x=", ""},
                                          {"project_id=7&on=b&timeout_ms=5", "event=a"},
                                          {"", "{\"on\":\"b\",\"event\":\"a\",\"project_id\":9}"}};
    static const char *const others[] = {"event=a&on=c", "event=ab&on=", "event=a", "event=a&on=b&unit=day", "event=b&on=a",
                                         "event=a&on=b&event=c", "eventa=&on=b"};
    struct str first = key_of(arena, same[0][0], same[0][1], "1");
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        assert_true(str_eq(first, key_of(arena, same[i][0], same[i][1], "1")));
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_false(str_eq(first, key_of(arena, others[i], "", "1")));
    assert_false(str_eq(first, key_of(arena, same[0][0], same[0][1], "2")));
    arena_free(arena);
}

static void parameters_are_shown_without_secrets(void **state)
{
    (void)state;
    struct arena *arena = arena_new(16 * MIB);
    char query[2000] = "where=x%22y&event=Sign%20up&api_secret=hush&sig=1&long=";
    memset(query + strlen(query), 'w', 1000);
    struct http_request request = {.arena = arena, .query = str_of(query)};
    struct params params;
    struct error error;
    struct json document;
    struct buf text = BUF_INIT(MIB);
    assert_int_equal(params_parse(&request, &error, &params), STATUS_OK);
    question_write_parameters(&text, &params, 4096);
    assert_int_equal(json_parse(arena, buf_str(&text), NULL, &error, &document), STATUS_OK);
    assert_int_equal(document.object.count, 3);
    assert_true(str_is(json_member(&document, "event")->string, "Sign up"));
    assert_true(str_is(json_member(&document, "where")->string, "x\"y"));
    assert_in_range(json_member(&document, "long")->string.size, 100, 500);
    assert_null(memmem(text.data, text.size, "hush", 4));
    buf_fini(&text);
    arena_free(arena);
}

static void today_is_seen(void **state)
{
    (void)state;
    struct param items[] = {{STR("where"), STR("")}, {STR("x"), STR("a toda")}};
    struct params params = {.items = items, .count = 2};
    assert_false(question_says_today(&params));
    items[0].value = STR("properties[\"d\"] > Today()");
    assert_true(question_says_today(&params));
    items[0].value = STR("[{\"where\":\"\\u0054ODAY()\"}]"); /* in JSON, a letter may be written so */
    assert_true(question_says_today(&params));
    assert_false(text_says_today(STR("TODA")));
    assert_false(text_says_today(STR("\\")));
}
int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_is_good_while_nothing_has_changed),
        cmocka_unit_test(what_was_not_used_for_longest_goes),
        cmocka_unit_test(a_quiet_project_keeps_its_share),
        cmocka_unit_test(what_is_too_large_is_not_kept),
        cmocka_unit_test(random_use_agrees_with_a_model),
        cmocka_unit_test(the_same_question_has_the_same_key),
        cmocka_unit_test(parameters_are_shown_without_secrets),
        cmocka_unit_test(today_is_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
