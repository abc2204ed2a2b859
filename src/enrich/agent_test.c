/* The names under which Mixpanel's browser SDK files browsers, systems and devices; bots; what is remembered. */
#include "enrich/agent.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void expect(struct str name, const char *wanted, const char *agent)
{
    if (!str_eq(name.data ? name : STR(""), str_of(wanted)))
        fail_msg(STR_FMT " instead of \"%s\" of %s", STR_ARG(name), wanted, agent);
}

static void test_names(void **state)
{
    (void)state;
    static const struct {
        const char *agent, *browser;
        double version;
        const char *system, *device;
    } rows[] = {
        {"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 "
         "Safari/537.36",
         "Chrome", 120, "Windows", ""},
        {"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.1 "
         "Safari/605.1.15",
         "Safari", 17.1, "Mac OS X", ""},
        {"Mozilla/5.0 (iPhone; CPU iPhone OS 16_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/16.5 "
         "Mobile/15E148 Safari/604.1",
         "Mobile Safari", 16.5, "iOS", "iPhone"},
        {"Mozilla/5.0 (iPad; CPU OS 12_2 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/73.0.3683.68 "
         "Mobile/15E148 Safari/605.1",
         "Chrome iOS", 73, "iOS", "iPad"},
        {"Mozilla/5.0 (Linux; Android 13; Pixel 7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/116.0.0.0 Mobile "
         "Safari/537.36",
         "Chrome", 116, "Android", "Android"},
        {"Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:109.0) Gecko/20100101 Firefox/118.0", "Firefox", 118, "Linux", ""},
        {"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/117.0.0.0 "
         "Safari/537.36 "
         "Edg/117.0.2045.47",
         "Microsoft Edge", 117, "Windows", ""},
        {"Mozilla/5.0 (Windows NT 6.1; WOW64; Trident/7.0; rv:11.0) like Gecko", "Internet Explorer", 11, "Windows",
         ""},
        {"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/117.0.0.0 "
         "Safari/537.36",
         "Chrome", 117, "Chrome OS", ""},
        {"", "", 0, "", ""},
        {"x", "", 0, "", ""},
    };
    struct agents *agents = agents_new(1000);
    assert_non_null(agents);
    for (int again = 0; again < 2; again++) {
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
            struct agent agent = agents_find(agents, str_of(rows[i].agent));
            expect(agent.browser, rows[i].browser, rows[i].agent);
            expect(agent.system, rows[i].system, rows[i].agent);
            expect(agent.device, rows[i].device, rows[i].agent);
            if (agent.browser_version < rows[i].version || agent.browser_version > rows[i].version)
                fail_msg("version %g of %s", agent.browser_version, rows[i].agent);
            assert_false(agent.bot);
        }
    }
    agents_free(agents);
    agents_free(NULL);
}

static void test_bots(void **state)
{
    (void)state;
    static const char *const bots[] = {
        "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
        "Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)",
        "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
    };
    struct agents *agents = agents_new(16);
    for (size_t i = 0; i < sizeof bots / sizeof bots[0]; i++) {
        if (!agents_find(agents, str_of(bots[i])).bot) fail_msg("%s", bots[i]);
    }
    agents_free(agents);
}

/* More User-Agents than are remembered, more names than are kept, and texts longer than are looked at. */
static void test_bounds(void **state)
{
    (void)state;
    struct agents *agents = agents_new(16);
    char text[3000];
    for (int i = 0; i < 20000; i++) {
        int size = snprintf(text, sizeof text, "Opera%d/9.80 (Madeup%d; U) Name%dBrowser/%d.1", i, i, i, i);
        (void)agents_find(agents, str_from(text, (size_t)size));
    }
    memset(text, 'M', sizeof text);
    (void)agents_find(agents, str_from(text, sizeof text));
    (void)agents_find(agents, STR_NULL);
    struct agent known =
        agents_find(agents, STR("Mozilla/5.0 (X11; Linux x86_64; rv:109.0) Gecko/20100101 Firefox/118.0"));
    expect(known.system, "Linux", "Firefox");
    agents_free(agents);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_bots),
        cmocka_unit_test(test_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
