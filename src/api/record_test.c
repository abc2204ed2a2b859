/* /record: pieces of recordings on a simulated disk; what is kept, under which name, and which answer each failure has.
 */
#include "api/record.h"

#include "api/account_testing.h"
#include "base/gzip.h"
#include "os/sim.h"
#include "replay/replay.h"

#define OK_BODY "{\"code\":200,\"status\":\"OK\"}"
#define EVENTS  "[{\"type\":4,\"timestamp\":1}]"

static struct sim *sim;
static bool recorders_busy;

enum status api_run_recording(struct api *api, void (*run)(void *arg), void *arg)
{
    if (recorders_busy) return STATUS_UNAVAILABLE;
    return api_run_blocking(api, run, arg);
}

static int setup(void **state)
{
    struct error error;
    account_setup(state);
    recorders_busy = false;
    sim = sim_new(1);
    struct replay_options options = {.fs = sim_fs(sim), .project_bytes_max = 8 * REPLAY_BLOCK_BYTES};
    fake_api.recording.enabled = true;
    fake_api.recording.unpacked_bytes_max = 1000;
    assert_int_equal(replays_open(&options, &error, &fake_api.recording.replays), STATUS_OK);
    return 0;
}

static int teardown(void **state)
{
    account_teardown(state);
    replays_close(fake_api.recording.replays);
    os_fs_free(sim_fs(sim));
    return 0;
}

static void exchange(const char *query, struct str body)
{
    fake_request(HTTP_METHOD_POST, query, "application/octet-stream", body);
    fake_field("Authorization", "Basic dDo=");
    fake_field("Origin", "https://shop.example");
    api_record(&fake.request);
    while (work) {
        void (*run)(void *arg) = work;
        work = NULL;
        run(work_arg);
        fake_loop();
    }
}

/* ---- files ---- */

struct found {
    const char *ending;
    char name[128];
    unsigned count;
};

static void note(void *ctx, const char *file)
{
    struct found *found = ctx;
    found->count++;
    if (str_ends(str_of(file), str_of(found->ending))) snprintf(found->name, sizeof found->name, "%s", file);
}

/* The content of the only file with that ending, in the only day of project 1. */
static struct str content(const char *ending)
{
    static char text[4096];
    char day[160], path[300];
    struct found days = {.ending = ""}, files = {.ending = ending};
    struct error error;
    struct os_file *file;
    uint64_t size;
    assert_int_equal(os_list(sim_fs(sim), "record/1", note, &days, &error), STATUS_OK);
    assert_int_equal(days.count, 1);
    snprintf(day, sizeof day, "record/1/%s", days.name);
    assert_int_equal(os_list(sim_fs(sim), day, note, &files, &error), STATUS_OK);
    assert_int_equal(files.count, 2);
    snprintf(path, sizeof path, "%s/%s", day, files.name);
    assert_int_equal(os_open(sim_fs(sim), path, OS_READ, &error, &file), STATUS_OK);
    assert_int_equal(os_size(file, &size, &error), STATUS_OK);
    assert_true(size < sizeof text);
    assert_int_equal(os_pread(file, text, size, 0, &error), STATUS_OK);
    os_close(file);
    return str_from(text, size);
}

/* ---- tests ---- */

static void test_kept(void **state)
{
    (void)state;
    struct error error;
    exchange("format=body&%24current_url=https%3A%2F%2Fshop%2F%3Fa%3D%22b%22&token=t&distinct_id=u&seq=3&replay_id=a-b",
             STR(EVENTS));
    fake_answered(200, "application/json", OK_BODY);
    assert_true(fake_has_header("Access-Control-Allow-Origin: https://shop.example\n"));
    struct json about;
    struct arena *arena = arena_new((size_t)1 << 20);
    assert_int_equal(json_parse(arena, content(".json"), NULL, &error, &about), STATUS_OK);
    assert_true(str_is(json_member(&about, "replay_id")->string, "a-b"));
    assert_int_equal(json_member(&about, "seq")->integer, 3);
    assert_true(json_member(&about, "received_ms")->integer > 0);
    const struct json *properties = json_member(&about, "properties");
    assert_int_equal(properties->object.count, 2); /* and no token, and no address */
    assert_true(str_is(json_member(properties, "$current_url")->string, "https://shop/?a=\"b\""));
    assert_true(str_is(json_member(properties, "distinct_id")->string, "u"));
    struct str plain;
    assert_int_equal(gzip_decompress(arena, content(".json.gz"), 1000, &error, &plain), STATUS_OK);
    assert_true(str_is(plain, EVENTS));
    arena_free(arena);
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *query, *body;
        int status;
        const char *answer;
    } rows[] = {
        {"seq=0", EVENTS, 400, "replay_id, missing or empty"},
        {"seq=0&replay_id=", EVENTS, 400, "replay_id, missing or empty"},
        {"replay_id=a", EVENTS, 400, "seq must be a whole number from 0 to 999999999"},
        {"replay_id=a&seq=-1", EVENTS, 400, "seq must be a whole number from 0 to 999999999"},
        {"replay_id=a&seq=1000000000", EVENTS, 400, "seq must be a whole number from 0 to 999999999"},
        {"replay_id=a&seq=0", "", 400, "the recording is no JSON array"},
        {"replay_id=a&seq=0", "{}", 400, "the recording is no JSON array"},
        {"replay_id=a&seq=0", "\x1F\x8B\x08 no gzip", 400, NULL},
        {"replay_id=a&seq=0&project_id=2", EVENTS, 401,
         "Credentials in request did not match project_id URL parameter"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        exchange(rows[i].query, str_of(rows[i].body));
        assert_int_equal(fake.status, rows[i].status);
        if (rows[i].answer) fake_answered(rows[i].status, "application/json", rows[i].answer);
        fake_request_fini();
    }
    struct found none = {.ending = ""};
    struct error error;
    assert_int_not_equal(os_list(sim_fs(sim), "record/1", note, &none, &error), STATUS_OK);
}

static void test_a_bomb(void **state)
{
    (void)state;
    char text[2000];
    struct str packed;
    struct arena *arena = arena_new((size_t)1 << 20);
    memset(text, ' ', sizeof text);
    assert_int_equal(gzip_compress(arena, str_from(text, sizeof text), 6, &packed), STATUS_OK);
    exchange("replay_id=a&seq=0", packed);
    fake_answered(413, "application/json", "the recording unpacks to more than 1000 bytes");
    arena_free(arena);
}

static void test_full_and_later(void **state)
{
    (void)state;
    char query[64];
    for (int i = 0; i < 5; i++) {
        snprintf(query, sizeof query, "replay_id=a&seq=%d", i);
        exchange(query, STR(EVENTS));
        if (i < 4) {
            fake_answered(200, NULL, OK_BODY);
        } else {
            fake_answered(429, "application/json", "the project's recordings fill the room that they have");
            assert_true(fake_has_header("Retry-After: 60\n"));
        }
        fake_request_fini();
    }
    recorders_busy = true;
    exchange("replay_id=b&seq=0", STR(EVENTS));
    fake_answered(503, "application/json", "too many recordings are waiting");
    assert_true(fake_has_header("Retry-After: 5\n"));
    fake_request_fini();
    recorders_busy = false;
    sim_fail(sim, SIM_SYNC, SIM_ERROR, 1, 1, NULL);
    exchange("replay_id=a&seq=0", STR(EVENTS));
    assert_int_equal(fake.status, 429); /* a full project does not get as far as the disk */
    fake_request_fini();
    fake_api.recording.enabled = false;
    exchange("replay_id=b&seq=0", STR(EVENTS));
    fake_answered(403, "application/json", "recording is switched off on this server");
}

static void test_a_failing_disk(void **state)
{
    (void)state;
    sim_fail(sim, SIM_SYNC, SIM_ERROR, 1, 1, NULL);
    exchange("replay_id=a&seq=0", STR(EVENTS));
    assert_int_equal(fake.status, 503);
    fake_request_fini();
    exchange("replay_id=a&seq=0", STR(EVENTS));
    fake_answered(200, NULL, OK_BODY);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {TEST(test_kept), TEST(test_refused), TEST(test_a_bomb),
                                       TEST(test_full_and_later), TEST(test_a_failing_disk)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
