/* What the Query API reads from a request: parameters from the query string and the body, dates, numbers, choices,
 * credentials in every form, and the operator's rate limit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "api/credentials.h"
#include "api/params.h"
#include "api/rate.h"
#include "base/civil.h"

static struct http_request request;
static struct http_field field;

static int setup(void **state)
{
    (void)state;
    request = (struct http_request){.arena = arena_new((size_t)8 << 20), .fields = &field, .field_count = 1};
    field = (struct http_field){STR("authorization"), STR("")};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(request.arena);
    return 0;
}

static struct params parse(const char *query, const char *body)
{
    struct params params;
    struct error error;
    request.query = str_of(query);
    request.body = str_of(body);
    assert_int_equal(params_parse(&request, &error, &params), STATUS_OK);
    return params;
}

#define assert_text(actual, expected) assert_true(str_eq((actual), str_of(expected)))

static void the_query_string_wins_over_the_body(void **state)
{
    (void)state;
    struct params params = parse("event=a%20b&on=&x=1", "event=other&on=plan&where=p%2Bq");
    assert_text(params_get(&params, "event"), "a b");
    assert_text(params_get(&params, "on"), "plan"); /* an empty value counts as not given */
    assert_text(params_get(&params, "where"), "p+q");
    assert_null(params_get(&params, "unit").data);
    params = parse("event=a", "{\"event\":\"b\",\"project_id\":7,\"list\":[1,\"x\"],\"none\":null}");
    assert_text(params_get(&params, "event"), "a");
    assert_text(params_get(&params, "project_id"), "7");
    assert_text(params_get(&params, "list"), "[1,\"x\"]");
    assert_null(params_get(&params, "none").data);
}

static void bad_bodies_are_refused(void **state)
{
    (void)state;
    struct params params;
    struct error error;
    request.body = STR("{\"event\":");
    assert_int_equal(params_parse(&request, &error, &params), STATUS_INVALID);
    request.body = STR("[1]");
    assert_int_equal(params_parse(&request, &error, &params), STATUS_INVALID);
    static char many[4096];
    for (size_t i = 0; i + 2 < sizeof many; i += 2) memcpy(many + i, "a&", 2);
    request.body = str_of(many);
    assert_int_equal(params_parse(&request, &error, &params), STATUS_LIMIT);
}

static void dates_numbers_and_choices_name_the_parameter(void **state)
{
    (void)state;
    static const char *const names[] = {"day", "week", NULL};
    struct params params =
        parse("a=2024-02-29&b=2024-2-3&c=2024-02-30&d=2024-01-31T23:00:00Z&n=12&m=13x&o=week&p=year", "");
    struct error error;
    int64_t day, number;
    int index;
    assert_int_equal(params_date(&params, "a", &error, &day), STATUS_OK);
    assert_int_equal(day, civil_to_days(2024, 2, 29));
    assert_int_equal(params_date(&params, "b", &error, &day), STATUS_OK);
    assert_int_equal(day, civil_to_days(2024, 2, 3));
    assert_int_equal(params_date(&params, "d", &error, &day), STATUS_OK);
    assert_int_equal(day, civil_to_days(2024, 1, 31));
    assert_int_equal(params_date(&params, "c", &error, &day), STATUS_INVALID);
    assert_non_null(strstr(error.primary, "c: invalid date"));
    assert_int_equal(params_date(&params, "from_date", &error, &day), STATUS_INVALID);
    assert_string_equal(error.primary, "from_date is required");
    assert_int_equal(params_int(&params, "n", 1, 12, 5, &error, &number), STATUS_OK);
    assert_int_equal(number, 12);
    assert_int_equal(params_int(&params, "none", 1, 12, 5, &error, &number), STATUS_OK);
    assert_int_equal(number, 5);
    assert_int_equal(params_int(&params, "n", 1, 11, 5, &error, &number), STATUS_INVALID);
    assert_int_equal(params_int(&params, "m", 1, 99, 5, &error, &number), STATUS_INVALID);
    assert_non_null(strstr(error.primary, "m: invalid number"));
    assert_int_equal(params_choice(&params, "o", names, 0, &error, &index), STATUS_OK);
    assert_int_equal(index, 1);
    assert_int_equal(params_choice(&params, "p", names, 0, &error, &index), STATUS_INVALID);
    assert_string_equal(error.hint, "use day or week");
}

static void expect_credentials(const char *header, const char *username, const char *secret)
{
    struct credentials credentials;
    struct error error;
    field.value = str_of(header);
    assert_int_equal(credentials_parse(&request, &error, &credentials), STATUS_OK);
    if (!username) {
        assert_null(credentials.username.data);
        return;
    }
    assert_text(credentials.username, username);
    assert_text(credentials.secret, secret);
}

static void credentials_in_every_form(void **state)
{
    (void)state;
    expect_credentials("", NULL, NULL);
    expect_credentials("Basic dXNlcjpwYTpzcw==", "user", "pa:ss"); /* user:pa:ss */
    expect_credentials("basic   c2VjcmV0Og", "secret", "");        /* secret:, without padding */
    expect_credentials("Basic c2VjcmV0", "secret", "");            /* secret, without a colon */
    expect_credentials("Basic user:pass", "user", "pass");
    expect_credentials("Basic Og==", NULL, NULL); /* : */
    struct credentials credentials;
    struct error error;
    field.value = STR("Bearer abc");
    assert_int_equal(credentials_parse(&request, &error, &credentials), STATUS_INVALID);
    field.value = STR("Basic \x01\x02");
    assert_int_equal(credentials_parse(&request, &error, &credentials), STATUS_INVALID);
}

static void the_rate_limit_counts_by_project_and_hour(void **state)
{
    (void)state;
    int64_t hour = 3600000;
    for (int i = 0; i < 1000; i++) assert_true(rate_allows(1, 0, 5 * hour));
    for (int i = 0; i < 3; i++) assert_true(rate_allows(1, 3, 5 * hour + i));
    assert_false(rate_allows(1, 3, 5 * hour + 9));
    assert_true(rate_allows(2, 3, 5 * hour + 9));
    assert_true(rate_allows(1, 3, 6 * hour));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_query_string_wins_over_the_body, setup, teardown),
        cmocka_unit_test_setup_teardown(bad_bodies_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(dates_numbers_and_choices_name_the_parameter, setup, teardown),
        cmocka_unit_test_setup_teardown(credentials_in_every_form, setup, teardown),
        cmocka_unit_test_setup_teardown(the_rate_limit_counts_by_project_and_hour, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
