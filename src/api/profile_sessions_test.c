/* Sessions: who finds which, what goes first when there are too many, too large or too old ones, and that a list in use
 * stays until it is let go. */
#include "api/profile_sessions.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#define AGE_MS 1000

static struct profile_sessions *sessions;
static unsigned alive;

struct fake_list {
    struct profile_list base;
};
static void fake_free(struct profile_list *list)
{
    alive--;
    free(list);
}
static struct profile_list *fake_list(size_t bytes)
{
    struct fake_list *list = calloc(1, sizeof *list);
    assert_non_null(list);
    list->base = (struct profile_list){.bytes = bytes, .free = fake_free};
    alive++;
    return &list->base;
}

static int setup(void **state)
{
    (void)state;
    alive = 0;
    sessions = profile_sessions_new(&(struct session_limits){.count_max = 3, .bytes_max = 100, .age_max_ms = AGE_MS});
    return 0;
}
static int teardown(void **state)
{
    (void)state;
    profile_sessions_free(sessions);
    return alive != 0;
}

static void put(const char *text, size_t bytes, int64_t now_ms)
{
    struct profile_session *session =
        profile_sessions_put(sessions, 1, str_of(text), 7, fake_list(bytes), now_ms, now_ms);
    assert_non_null(session);
    profile_session_done(sessions, session);
}
static bool has(const char *text, int64_t now_ms)
{
    struct profile_session *session = profile_sessions_get(sessions, 1, str_of(text), 7, now_ms);
    profile_session_done(sessions, session);
    return session != NULL;
}

static void the_right_one_is_found(void **state)
{
    (void)state;
    put("a", 1, 5);
    assert_true(has("a", 5));
    assert_false(has("b", 5));
    assert_null(profile_sessions_get(sessions, 2, STR("a"), 7, 5)); /* somebody else's */
    assert_null(profile_sessions_get(sessions, 1, STR("a"), 8, 5)); /* another question */
    struct profile_session *session = profile_sessions_get(sessions, 1, STR("a"), 0, 5);
    assert_non_null(session);
    assert_int_equal(session->as_of_ms, 5);
    profile_session_done(sessions, session);
    put("a", 1, 6); /* takes the place */
    assert_int_equal(profile_sessions_count(sessions), 1);
    assert_int_equal(alive, 1);
}

static void what_was_not_used_for_longest_goes_first(void **state)
{
    (void)state;
    put("a", 1, 0);
    put("b", 1, 1);
    put("c", 1, 2);
    assert_true(has("a", 3));
    put("d", 1, 4);
    assert_false(has("b", 5));
    assert_true(has("a", 5) && has("c", 5) && has("d", 5));
    put("e", 98, 6); /* by memory: all but one more of size 1 */
    assert_int_equal(profile_sessions_count(sessions), 3);
    put("f", 3, 7);
    assert_false(has("e", 8) && has("d", 8));
    assert_true(has("f", 8));
    put("g", 101, 9); /* larger than all that may be kept */
    assert_int_equal(profile_sessions_count(sessions), 0);
    assert_int_equal(alive, 0);
}

static void old_ones_go(void **state)
{
    (void)state;
    put("a", 1, 0);
    put("b", 1, 500);
    assert_true(has("a", AGE_MS));
    profile_sessions_expire(sessions, 500 + AGE_MS + 1);
    assert_int_equal(profile_sessions_count(sessions), 1);
    assert_false(has("a", 2 * AGE_MS + 1));
}

static void a_list_in_use_stays(void **state)
{
    (void)state;
    struct profile_session *held = profile_sessions_put(sessions, 1, STR("a"), 7, fake_list(200), 0, 0);
    assert_int_equal(profile_sessions_count(sessions), 0);
    assert_int_equal(alive, 1);
    profile_session_done(sessions, held);
    assert_int_equal(alive, 0);
    put("b", 1, 0);
    held = profile_sessions_get(sessions, 1, STR("b"), 7, 1);
    profile_sessions_forget(sessions, 2);
    assert_int_equal(profile_sessions_count(sessions), 1);
    profile_sessions_forget(sessions, 1);
    assert_int_equal(profile_sessions_count(sessions), 0);
    assert_int_equal(alive, 1);
    profile_session_done(sessions, held);
    assert_int_equal(alive, 0);
}

static void texts(void **state)
{
    (void)state;
    char one[SESSION_TEXT_SIZE], two[SESSION_TEXT_SIZE];
    profile_session_text(1234567890123, one);
    profile_session_text(1234567890123, two);
    assert_memory_equal(one, "1234567890-", 11);
    assert_true(profile_session_is_text(str_from(one, sizeof one)));
    assert_memory_not_equal(one, two, sizeof one);
    assert_true(profile_session_is_text(STR("1234567890-EXAMPL")));
    assert_false(profile_session_is_text(STR("")));
    assert_false(profile_session_is_text(STR("a b")));
    assert_false(profile_session_is_text(STR("a\"")));
    assert_false(
        profile_session_is_text(STR("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"))); /* 65 */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_right_one_is_found, setup, teardown),
        cmocka_unit_test_setup_teardown(what_was_not_used_for_longest_goes_first, setup, teardown),
        cmocka_unit_test_setup_teardown(old_ones_go, setup, teardown),
        cmocka_unit_test_setup_teardown(a_list_in_use_stays, setup, teardown),
        cmocka_unit_test_setup_teardown(texts, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
