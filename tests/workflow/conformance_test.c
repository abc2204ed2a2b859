/*
 * What cases/NAME.yml say (see cases/README.md): each case is a document, the answers of a server, and what must come
 * of it. Every case runs in memory; those that only need a server on loopback run against one as well, through the
 * client of the command line, and must ask it for the same.
 *
 * Every case names the points of the checklist that it shows. The table of them is docs/workflow-conformance.md, which
 * must be what is made here: set CAIRN_WRITE=1 to write it.
 */
#include "mock.h"

#include "base/gzip.h"
#include "base/yaml.h"
#include "cli/transport.h"
#include "workflow/report.h"
#include "workflow/rules.h"
#include "workflow/runner.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>

#define FOLDER      CAIRN_SOURCE_DIR "/tests/workflow/"
#define FILE_BYTES  ((size_t)4 << 20)
#define SENT_MAX    40
#define ANSWERS_MAX 40
#define OPTIONS_MAX 8
#define POINTS_MAX  200
#define RULES_MAX   100
#define CASES_SHOWN 6

struct sent {
    struct str method, url, body;
    struct json headers;
};

/* One case while it runs. */
struct bench {
    struct arena *arena;
    const struct json *test, *defaults; /* defaults: the API that all cases share */
    const char *file;
    bool over_network;
    struct sent sent[SENT_MAX];
    size_t sent_count, answered;
    uint64_t now_ms;
    struct json waits;
};

struct point {
    struct str id, text;
    struct str cases[CASES_SHOWN];
    size_t case_count;
    bool failed;
};

static struct point points[POINTS_MAX];
static size_t point_count, case_count, failures;
static unsigned rules_seen[RULES_MAX]; /* problems of each rule in all cases */
static struct arena *names;            /* of points and cases */

static struct json read_yaml(struct arena *arena, const char *path)
{
    char *text = arena_alloc(arena, FILE_BYTES);
    FILE *file = fopen(path, "rb");
    struct error error = ERROR_INIT;
    struct json value;
    if (!file) fail_msg("cannot open %s", path);
    size_t size = fread(text, 1, FILE_BYTES, file);
    fclose(file);
    if (json_from_yaml(arena, (struct str){text, size}, NULL, &error, &value) != STATUS_OK)
        fail_msg("%s:%u:%u: %s", path, error.line, error.column, error.primary);
    return value;
}

static struct str text_of(struct arena *arena, const struct json *value)
{
    struct buf buf = BUF_INIT(FILE_BYTES);
    if (value->type == JSON_STRING)
        buf_str_add(&buf, value->string);
    else
        json_write(&buf, value);
    struct str text = arena_str(arena, buf_str(&buf));
    buf_fini(&buf);
    return text;
}

static struct str string_of(const struct json *object, const char *name, struct str otherwise)
{
    const struct json *value = json_get(object, str_of(name));
    return value && value->type == JSON_STRING ? value->string : otherwise;
}

static void complain(const struct bench *b, const char *format, ...) PRINTF_LIKE(2, 3);
static void complain(const struct bench *b, const char *format, ...)
{
    char text[4000];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    failures++;
    print_error("%s:%u: %s%s: %s\n", b->file, b->test->line, string_of(b->test, "name", STR("?")).data,
                b->over_network ? " (over the network)" : "", text);
}

/* ---- the world of a case ---- */

/* Files: w.yml is the document; others as the case gives them; api.yml is shared unless the case has its own. */
static enum status read_source(void *ctx, struct str location, size_t size_max, struct arena *arena,
                               struct error *error, struct str *ret_text)
{
    const struct bench *b = ctx;
    const struct json *file = json_get(json_member(b->test, "files"), location);
    (void)size_max;
    if (!file) file = json_get(b->defaults, location);
    if (!file) return error_set(error, STATUS_NOT_FOUND, "cannot open \"" STR_FMT "\"", STR_ARG(location));
    *ret_text = text_of(arena, file);
    return STATUS_OK;
}

static const struct json *answer_of(const struct bench *b, size_t index)
{
    const struct json *answers = json_member(b->test, "answers");
    if (!answers || !answers->array.count) return NULL;
    return json_at(answers, index < answers->array.count ? index : answers->array.count - 1);
}

static enum status fails_as(struct str how, struct error *error)
{
    if (str_is(how, "timeout")) return error_set(error, STATUS_CANCELLED, "no answer in time");
    if (str_is(how, "refused")) return error_set(error, STATUS_UNAVAILABLE, "cannot connect");
    if (str_is(how, "large")) return error_set(error, STATUS_LIMIT, "the answer is too large");
    return error_set(error, STATUS_IO, "the connection broke off");
}

static struct str body_of(struct arena *arena, const struct json *answer, struct str *ret_type)
{
    const struct json *body = json_member(answer, "body");
    bool text = body && body->type == JSON_STRING;
    *ret_type = string_of(answer, "type", text ? STR("text/plain") : STR("application/json"));
    return body ? text_of(arena, body) : STR("");
}

static enum status send_in_memory(void *ctx, const struct workflow_request *request, struct arena *arena,
                                  struct error *error, struct workflow_response *ret_response)
{
    struct bench *b = ctx;
    const struct json *answer = answer_of(b, b->answered++), *headers = json_member(answer, "headers");
    assert_true(b->sent_count < SENT_MAX);
    struct sent *sent = &b->sent[b->sent_count++];
    *sent = (struct sent){request->method, arena_str(b->arena, request->url), arena_str(b->arena, request->body),
                          JSON_OBJECT_EMPTY};
    for (size_t i = 0; i < request->header_count; i++)
        assert_int_equal(
            json_put(b->arena, &sent->headers, request->headers[i].name, json_string(request->headers[i].value)),
            STATUS_OK);
    if (string_of(answer, "fails", STR_NULL).data) return fails_as(string_of(answer, "fails", STR_NULL), error);
    const struct json *status = json_member(answer, "status"), *takes = json_member(answer, "takes_ms");
    size_t count = headers ? headers->object.count : 0;
    struct workflow_header *list = arena_new_array(arena, struct workflow_header, count + 1);
    struct str type, body = body_of(arena, answer, &type);
    list[0] = (struct workflow_header){STR("Content-Type"), type};
    for (size_t i = 0; i < count; i++)
        list[i + 1] =
            (struct workflow_header){headers->object.members[i].key, text_of(arena, &headers->object.members[i].value)};
    b->now_ms += takes ? (uint64_t)takes->integer : 1;
    *ret_response = (struct workflow_response){.status = status ? (unsigned)status->integer : 200,
                                               .headers = list,
                                               .header_count = count + 1,
                                               .body = body,
                                               .elapsed_us = 1000};
    return STATUS_OK;
}

static uint64_t now_ms(void *ctx)
{
    return ((struct bench *)ctx)->now_ms;
}

static void wait_ms(void *ctx, uint64_t duration_ms)
{
    struct bench *b = ctx;
    b->now_ms += duration_ms;
    assert_int_equal(json_push(b->arena, &b->waits, json_int((int64_t)duration_ms)), STATUS_OK);
}

static int64_t wall_s(void *ctx)
{
    return 1700000000 + (int64_t)((struct bench *)ctx)->now_ms / 1000; /* Tue, 14 Nov 2023 22:13:20 GMT */
}

static void count_event(void *ctx, const struct workflow_event *event)
{
    struct buf *report = ctx;
    workflow_report_event(report, event, false);
}

/* ---- the network ---- */

static enum mock_trick trick_of(struct str how)
{
    return str_is(how, "timeout")  ? MOCK_SILENT
           : str_is(how, "broken") ? MOCK_RESET
           : str_is(how, "large")  ? MOCK_ENDLESS
                                   : MOCK_ANSWER;
}

static void listen_for(struct bench *b, struct mock *mock, struct mock_answer *answers)
{
    const struct json *list = json_member(b->test, "answers");
    size_t count = list ? list->array.count : 0;
    assert_true(count <= ANSWERS_MAX);
    for (size_t i = 0; i < count; i++) {
        const struct json *answer = json_at(list, i), *headers = json_member(answer, "headers");
        const struct json *status = json_member(answer, "status");
        struct buf text = BUF_INIT(FILE_BYTES);
        struct str type, body = body_of(b->arena, answer, &type);
        buf_printf(&text, "Content-Type: " STR_FMT "\r\n", STR_ARG(type));
        for (size_t h = 0; headers && h < headers->object.count; h++)
            buf_printf(&text, STR_FMT ": " STR_FMT "\r\n", STR_ARG(headers->object.members[h].key),
                       STR_ARG(text_of(b->arena, &headers->object.members[h].value)));
        if (json_member(answer, "packed")) {
            buf_lit(&text, "Content-Encoding: gzip\r\n");
            assert_int_equal(gzip_compress(b->arena, body, 6, &body), STATUS_OK);
        }
        answers[i] =
            (struct mock_answer){trick_of(string_of(answer, "fails", STR_NULL)),
                                 status ? (unsigned)status->integer : 200, arena_str(b->arena, buf_str(&text)), body};
        buf_fini(&text);
    }
    mock_set(mock, answers, count);
}

static void take_request(struct bench *b, struct str text)
{
    struct sent *sent = &b->sent[b->sent_count++];
    size_t end = str_find(text, STR("\r\n\r\n"), 0);
    struct str head = str_slice(text, 0, end), line, name;
    assert_true(str_next_part(&head, '\n', &line));
    str_next_part(&line, ' ', &sent->method);
    str_next_part(&line, ' ', &sent->url);
    sent->body = str_slice(text, end + 4, text.size);
    sent->headers = JSON_OBJECT_EMPTY;
    while (str_next_part(&head, '\n', &line)) {
        line = str_trim(line);
        str_next_part(&line, ':', &name);
        assert_int_equal(json_put(b->arena, &sent->headers, name, json_string(str_trim(line))), STATUS_OK);
    }
}

/* Only what a plain server on loopback can do: no failures, no waiting, no servers of other names. */
static bool fits_network(const struct bench *b)
{
    const struct json *answers = json_member(b->test, "answers"), *options = json_member(b->test, "options");
    if (json_member(b->test, "network_only")) return true;
    if (!json_member(b->test, "requests") || json_member(b->test, "waits") || json_member(b->test, "memory_only"))
        return false;
    if (json_member(options, "server") || json_member(options, "dry_run") || json_member(b->test, "text")) return false;
    for (size_t i = 0; answers && i < answers->array.count; i++)
        if (json_member(&answers->array.items[i], "fails") || json_member(&answers->array.items[i], "takes_ms"))
            return false;
    return true;
}

/* ---- what must come of it ---- */

static const struct json *header_of(const struct json *headers, struct str name)
{
    for (size_t i = 0; i < headers->object.count; i++)
        if (str_eq_nocase(headers->object.members[i].key, name)) return &headers->object.members[i].value;
    return NULL;
}

/* "GET https://api.test/v1/ping" is wanted as "GET /ping". */
static struct str path_of(const struct bench *b, struct str url)
{
    struct str prefix = b->over_network ? STR("") : STR("https://api.test/v1");
    return str_starts(url, prefix) ? str_slice(url, prefix.size, url.size) : url;
}

static void check_body(const struct bench *b, size_t index, const struct json *wanted)
{
    struct str body = b->sent[index].body;
    struct json value;
    if (wanted->type == JSON_STRING) {
        if (!str_eq(body, wanted->string))
            complain(b, "request %zu has the body\n%.*s", index + 1, (int)body.size, body.data);
    } else if (json_parse(b->arena, body, NULL, NULL, &value) != STATUS_OK || !json_equal(&value, wanted)) {
        complain(b, "request %zu has the body\n%.*s", index + 1, (int)body.size, body.data);
    }
}

static void check_request(const struct bench *b, size_t index, const struct json *wanted)
{
    const struct sent *sent = &b->sent[index];
    struct str line = wanted->type == JSON_STRING ? wanted->string : string_of(wanted, "line", STR("?"));
    struct str got = arena_printf(b->arena, STR_FMT " " STR_FMT, STR_ARG(sent->method), STR_ARG(path_of(b, sent->url)));
    const struct json *headers = json_member(wanted, "headers"), *body = json_member(wanted, "body");
    if (!str_eq(got, line)) complain(b, "request %zu is %s", index + 1, got.data);
    for (size_t i = 0; headers && i < headers->object.count; i++) {
        const struct json_member *member = &headers->object.members[i];
        const struct json *value = header_of(&sent->headers, member->key);
        struct str shown = value ? value->string : STR("(absent)");
        bool same = member->value.type == JSON_NULL ? !value
                                                    : value && str_eq(value->string, text_of(b->arena, &member->value));
        if (!same)
            complain(b, "request %zu has header %.*s: %.*s", index + 1, (int)member->key.size, member->key.data,
                     (int)shown.size, shown.data);
    }
    if (body && body->type == JSON_NULL && sent->body.size) complain(b, "request %zu has a body", index + 1);
    if (body && body->type != JSON_NULL) check_body(b, index, body);
}

static void check_requests(const struct bench *b)
{
    const struct json *wanted = json_member(b->test, "requests");
    if (!wanted) return;
    if (wanted->array.count != b->sent_count)
        complain(b, "%zu requests instead of %zu", b->sent_count, wanted->array.count);
    for (size_t i = 0; i < wanted->array.count && i < b->sent_count; i++) check_request(b, i, &wanted->array.items[i]);
}

static void check_value(const struct bench *b, const char *what, const struct json *got, const struct json *wanted)
{
    if (!wanted || (got && json_equal(got, wanted))) return;
    struct str text = got ? text_of(b->arena, got) : STR("(nothing)");
    complain(b, "%s: %.*s", what, (int)text.size, text.data);
}

static void check_result(const struct bench *b, const struct workflow_result *result)
{
    const struct json *wanted = json_member(b->test, "result");
    check_value(b, "outputs", json_member(&result->json, "outputs"), json_member(b->test, "outputs"));
    for (size_t i = 0; wanted && i < wanted->object.count; i++) {
        const struct json_member *member = &wanted->object.members[i];
        char what[200];
        snprintf(what, sizeof what, "result at %.*s", (int)member->key.size, member->key.data);
        const struct json *got = json_pointer(&result->json, member->key);
        if (member->value.type == JSON_NULL && !got) continue;
        check_value(b, what, got, &member->value);
    }
}

/* Each entry of `says` must be in the problems, the report or the result; none of `hides`. */
static void check_texts(const struct bench *b, const struct workflow_problems *problems, const struct buf *report,
                        const struct json *result)
{
    const struct json *says = json_member(b->test, "says"), *hides = json_member(b->test, "hides");
    struct buf all = BUF_INIT(FILE_BYTES);
    for (size_t i = 0; i < problems->count; i++) {
        workflow_problem_write(&all, &problems->items[i]);
        rules_seen[workflow_rule_index(problems->items[i].rule)]++;
        buf_byte(&all, '\n');
    }
    buf_add(&all, report->data, report->size);
    json_write(&all, result);
    for (size_t i = 0; says && i < says->array.count; i++) {
        struct str text = says->array.items[i].string;
        if (str_find(buf_str(&all), text, 0) == SIZE_MAX)
            complain(b, "\"%s\" is not said in\n%.*s", text.data, (int)(all.size > 3000 ? 3000 : all.size), all.data);
    }
    for (size_t i = 0; hides && i < hides->array.count; i++)
        if (str_find(buf_str(&all), hides->array.items[i].string, 0) != SIZE_MAX)
            complain(b, "\"%s\" is shown", hides->array.items[i].string.data);
    buf_fini(&all);
}

/* ---- running a case ---- */

/* The document: `text` as it stands, `document` whole, or `workflows` and `components` under the usual head. */
static struct str document_of(const struct bench *b)
{
    const struct json *text = json_member(b->test, "text"), *document = json_member(b->test, "document");
    const struct json *sources = json_member(b->test, "sources"), *components = json_member(b->test, "components");
    if (text) return text->string;
    if (document) return text_of(b->arena, document);
    const struct json *head = json_member(b->defaults, "head");
    struct json copy = JSON_OBJECT_EMPTY;
    for (size_t i = 0; i < head->object.count; i++) {
        const struct json_member *member = &head->object.members[i];
        bool replaced = sources && str_is(member->key, "sourceDescriptions");
        assert_int_equal(json_put(b->arena, &copy, member->key, replaced ? *sources : member->value), STATUS_OK);
    }
    if (components) assert_int_equal(json_put(b->arena, &copy, STR("components"), *components), STATUS_OK);
    assert_int_equal(json_put(b->arena, &copy, STR("workflows"), *json_member(b->test, "workflows")), STATUS_OK);
    return text_of(b->arena, &copy);
}

struct given {
    struct workflow_options options;
    struct workflow_input inputs[OPTIONS_MAX];
    struct workflow_server servers[OPTIONS_MAX];
    struct workflow_auth auths[OPTIONS_MAX];
};

static unsigned number_of(const struct json *object, const char *name)
{
    const struct json *value = json_get(object, str_of(name));
    return value ? (unsigned)value->integer : 0;
}

static void read_options(const struct bench *b, struct given *g)
{
    const struct json *options = json_member(b->test, "options"), *servers = json_member(options, "server");
    const struct json *auths = json_member(options, "auth"), *inputs = json_member(options, "input");
    const struct json *dry_run = json_member(options, "dry_run");
    struct workflow_options *o = &g->options;
    o->inputs = g->inputs;
    o->servers = g->servers;
    o->auths = g->auths;
    o->inputs_json = json_member(b->test, "inputs");
    o->workflow_id = string_of(options, "workflow", STR_NULL);
    o->steps_max = number_of(options, "max_steps");
    o->depth_max = number_of(options, "max_depth");
    o->request_timeout_ms = number_of(options, "timeout_ms");
    o->total_timeout_ms = number_of(options, "total_timeout_ms");
    o->body_size_max = number_of(options, "max_body");
    o->dry_run = dry_run && dry_run->boolean;
    for (size_t i = 0; inputs && i < inputs->object.count; i++)
        g->inputs[o->input_count++] =
            (struct workflow_input){inputs->object.members[i].key, inputs->object.members[i].value.string};
    for (size_t i = 0; servers && i < servers->object.count; i++)
        g->servers[o->server_count++] =
            (struct workflow_server){servers->object.members[i].key, servers->object.members[i].value.string};
    for (size_t i = 0; auths && i < auths->object.count; i++) {
        struct str key = auths->object.members[i].key, host = STR_NULL;
        size_t at = str_find_byte(key, '@', 0); /* SCHEME@HOST */
        if (at != SIZE_MAX) host = str_slice(key, at + 1, key.size);
        g->auths[o->auth_count++] =
            (struct workflow_auth){str_slice(key, 0, at), auths->object.members[i].value.string, host};
    }
}

static void run_case(struct bench *b, struct mock *mock, struct http_client *client)
{
    struct given given = {.options = {.workflow_id = STR_NULL}};
    struct workflow_problems problems;
    struct workflow_document *document;
    struct workflow_result result = {.verdict = WORKFLOW_INVALID, .json = JSON_OBJECT_EMPTY};
    struct error error = ERROR_INIT;
    struct buf report = BUF_INIT(FILE_BYTES);
    struct mock_answer answers[ANSWERS_MAX];
    workflow_problems_init(&problems, b->arena);
    read_options(b, &given);
    given.options.loader = (struct workflow_loader){.ctx = b, .read = read_source};
    given.options.observer = count_event;
    given.options.observer_ctx = &report;
    given.options.transport = (struct workflow_transport){
        .ctx = b, .send = send_in_memory, .now_ms = now_ms, .wait_ms = wait_ms, .wall_s = wall_s};
    if (b->over_network) {
        listen_for(b, mock, answers);
        given.options.transport = transport_over(client);
        given.servers[0] = (struct workflow_server){
            STR("api"), arena_printf(b->arena, "http://127.0.0.1:%u", (unsigned)mock_port(mock))};
        given.options.server_count = 1;
    }
    enum status status = workflow_document_parse(b->arena, document_of(b), STR("w.yml"), &problems, &error, &document);
    if (status == STATUS_OK)
        status = workflow_run(b->arena, document, &given.options, &problems, &error, &result);
    else if (problems.error_count)
        status = STATUS_OK; /* that has been said */
    if (status != STATUS_OK) complain(b, "the run ended with %s: %s", status_name(status), error.primary);
    for (size_t i = 0; b->over_network && i < mock_request_count(mock) && i < SENT_MAX; i++)
        take_request(b, mock_request(mock, i));
    struct str verdict = string_of(b->test, "verdict", STR("passed"));
    if (!str_eq(verdict, str_of(workflow_verdict_name(result.verdict)))) {
        struct buf text = BUF_INIT(FILE_BYTES);
        workflow_report_problems(&text, &problems, false);
        buf_add(&text, report.data, report.size);
        complain(b, "%s\n%.*s", workflow_verdict_name(result.verdict), (int)(text.size > 3000 ? 3000 : text.size),
                 text.data ? text.data : "");
        buf_fini(&text);
    }
    check_requests(b);
    check_result(b, &result);
    check_texts(b, &problems, &report, &result.json);
    check_value(b, "waits", &b->waits, json_member(b->test, "waits"));
    buf_fini(&report);
}

/* ---- the checklist ---- */

static void load_points(void)
{
    struct json list = read_yaml(names, FOLDER "checklist.yml");
    for (size_t i = 0; i < list.object.count; i++) {
        assert_true(point_count < POINTS_MAX);
        points[point_count++] =
            (struct point){.id = list.object.members[i].key, .text = list.object.members[i].value.string};
    }
}

static void note_points(const struct bench *b)
{
    const struct json *shows = json_member(b->test, "shows");
    if (!shows || shows->type != JSON_ARRAY || !shows->array.count) complain(b, "it does not say what it shows");
    for (size_t i = 0; shows && i < shows->array.count; i++) {
        size_t k = 0;
        while (k < point_count && !str_eq(points[k].id, shows->array.items[i].string)) k++;
        if (k == point_count) {
            complain(b, "there is no point %s", shows->array.items[i].string.data);
            continue;
        }
        if (points[k].case_count < CASES_SHOWN)
            points[k].cases[points[k].case_count] = arena_str(names, string_of(b->test, "name", STR("?")));
        points[k].case_count++;
    }
}

static void note_failure(const struct json *test)
{
    const struct json *shows = json_member(test, "shows");
    for (size_t i = 0; i < shows->array.count; i++)
        for (size_t k = 0; k < point_count; k++)
            if (str_eq(points[k].id, shows->array.items[i].string)) points[k].failed = true;
}

/* ---- the suites of others, which src/jsonpath and src/workflow run ---- */

struct suite_count {
    size_t cases, special; /* special: queries that are malformed; instances that do not fit */
};

/* A line of tests/golden/jsonpath that is an array is a case, malformed when it has the query only; a line of
 * tests/golden/jsonschema that begins with + or - is an instance. */
static struct suite_count count_cases(const char *pattern, const char *left_out)
{
    struct suite_count count = {0};
    struct arena *arena = arena_new(FILE_BYTES * 4);
    glob_t files;
    assert_int_equal(glob(pattern, 0, NULL, &files), 0);
    for (size_t i = 0; i < files.gl_pathc; i++) {
        const char *name = strrchr(files.gl_pathv[i], '/') + 1;
        if (strstr(left_out, name)) continue;
        arena_reset(arena);
        char *text = arena_alloc(arena, FILE_BYTES);
        FILE *file = fopen(files.gl_pathv[i], "rb");
        assert_non_null(file);
        struct str rest = {text, fread(text, 1, FILE_BYTES, file)}, line;
        fclose(file);
        while (str_next_part(&rest, '\n', &line)) {
            struct json value;
            if (!line.size || !memchr("[+-", line.data[0], 3)) continue;
            count.cases++;
            if (line.data[0] == '-') count.special++;
            if (line.data[0] == '[' && json_parse(arena, line, NULL, NULL, &value) == STATUS_OK)
                count.special += value.array.count == 1;
        }
    }
    globfree(&files);
    arena_free(arena);
    return count;
}

static void write_suites(struct buf *out)
{
    static const char golden[] = CAIRN_SOURCE_DIR "/tests/golden/";
    char pattern[500];
    snprintf(pattern, sizeof pattern, "%sjsonpath/*.txt", golden);
    struct suite_count path = count_cases(pattern, "more.txt goessner.txt");
    snprintf(pattern, sizeof pattern, "%sjsonschema/*.txt", golden);
    struct suite_count schema = count_cases(pattern, "remotes.txt");
    snprintf(pattern, sizeof pattern, "%sarazzo/*.txt", golden);
    struct suite_count facts = count_cases(pattern, "");
    buf_printf(
        out,
        "## Suites of others\n\n"
        "| suite | cases | result | left out |\n|---|---|---|---|\n"
        "| JSONPath Compliance Test Suite (RFC 9535), `tests/golden/jsonpath` | %zu, of which %zu are queries to "
        "refuse | all pass | nothing |\n"
        "| JSON Schema Test Suite, draft2020-12, required, `tests/golden/jsonschema` | %zu, of which %zu do not "
        "fit | all pass | the optional directories: `anchor`, `bignum`, `cross-draft`, "
        "`dependencies-compatibility`, `dynamicRef`, `ecmascript-regex`, `float-overflow`, `format`, "
        "`format-assertion`, `id`, `no-schema`, `non-bmp-regex`, `refOfUnknownKeyword`, `unknownKeyword` |\n"
        "| expressions, texts and conditions of other runners' tests, `tests/golden/arazzo` | %zu | all pass | "
        "extensions of one runner, named in the README there |\n\n"
        "They are run by `src/jsonpath/golden_test.c`, `src/workflow/schema_golden_test.c` and "
        "`src/workflow/golden_test.c`, which show every\ncase that comes out otherwise. References to "
        "remote schemas are in the suite and pass; a document of inputs\nfinds only what its own file and the "
        "files that it names hold.\n",
        path.cases, path.special, schema.cases, schema.special, facts.cases);
}

static void write_table(struct buf *out)
{
    buf_lit(out, "# Conformance of the workflow runner\n\n"
                 "Made by `tests/workflow/conformance_test.c` from `tests/workflow/checklist.yml` and the cases of\n"
                 "`tests/workflow/cases/`: every point of Arazzo 1.0.1 that a runner has to get right, with what the\n"
                 "specification leaves open decided as the text says, and the cases that show it. A point passes when "
                 "all of its\n"
                 "cases do. The test fails when this file is not what it would write.\n\n"
                 "| point | what | cases | result |\n|---|---|---|---|\n");
    for (size_t i = 0; i < point_count; i++) {
        const struct point *point = &points[i];
        buf_printf(out, "| %.*s | %.*s | %zu", (int)point->id.size, point->id.data, (int)point->text.size,
                   point->text.data, point->case_count);
        for (size_t k = 0; k < point->case_count && k < CASES_SHOWN; k++)
            buf_printf(out, "%s%.*s", k ? "; " : ": ", (int)point->cases[k].size, point->cases[k].data);
        buf_printf(out, "%s | %s |\n", point->case_count > CASES_SHOWN ? "; …" : "",
                   !point->case_count ? "not shown"
                   : point->failed    ? "FAIL"
                                      : "pass");
    }
    buf_printf(out, "\n%zu cases, %zu points.\n\n", case_count, point_count);
    write_suites(out);
}

/* ---- the tests ---- */

static void run_file(const char *path, const struct json *defaults, struct mock *mock, struct http_client *client)
{
    struct arena *file_arena = arena_new((size_t)64 << 20), *arena = arena_new((size_t)64 << 20);
    struct json list = read_yaml(file_arena, path);
    const char *slash = strrchr(path, '/');
    for (size_t i = 0; i < list.array.count; i++) {
        struct bench b = {.arena = arena,
                          .test = &list.array.items[i],
                          .defaults = defaults,
                          .file = slash + 1,
                          .waits = JSON_ARRAY_EMPTY};
        case_count++;
        note_points(&b);
        size_t before = failures;
        if (!json_member(b.test, "network_only")) run_case(&b, mock, client);
        if (fits_network(&b)) {
            arena_reset(arena);
            struct bench again = {.arena = arena,
                                  .test = b.test,
                                  .defaults = defaults,
                                  .file = b.file,
                                  .over_network = true,
                                  .waits = JSON_ARRAY_EMPTY};
            run_case(&again, mock, client);
        }
        if (failures > before) note_failure(b.test);
        arena_reset(arena);
    }
    arena_free(arena);
    arena_free(file_arena);
}

static void every_case_comes_out_as_it_says(void **state)
{
    struct arena *arena = arena_new((size_t)64 << 20);
    struct json defaults = read_yaml(arena, FOLDER "defaults.yml");
    struct mock *mock = mock_new();
    struct http_client *client = http_client_new();
    glob_t files;
    (void)state;
    load_points();
    assert_int_equal(glob(FOLDER "cases/*.yml", 0, NULL, &files), 0);
    for (size_t i = 0; i < files.gl_pathc; i++) run_file(files.gl_pathv[i], &defaults, mock, client);
    globfree(&files);
    http_client_free(client);
    mock_free(mock);
    arena_free(arena);
    assert_int_equal(failures, 0);
    print_message("%zu cases\n", case_count);
}

static void every_rule_is_broken_somewhere(void **state)
{
    size_t unbroken = 0;
    (void)state;
    for (size_t i = 0; workflow_rules[i].name; i++) {
        assert_true(i < RULES_MAX);
        if (!rules_seen[i]) print_error("no case breaks the rule %s\n", workflow_rules[i].name);
        unbroken += !rules_seen[i];
    }
    assert_int_equal(unbroken, 0);
}

static void the_table_is_up_to_date(void **state)
{
    struct buf table = BUF_INIT(FILE_BYTES), old = BUF_INIT(FILE_BYTES);
    const char *path = CAIRN_SOURCE_DIR "/docs/workflow-conformance.md";
    (void)state;
    write_table(&table);
    if (getenv("CAIRN_WRITE")) {
        FILE *out = fopen(path, "wb");
        assert_non_null(out);
        fwrite(table.data, 1, table.size, out);
        fclose(out);
    }
    FILE *file = fopen(path, "rb");
    char *room = buf_reserve(&old, FILE_BYTES - 1);
    if (file) buf_advance(&old, fread(room, 1, FILE_BYTES - 1, file));
    if (file) fclose(file);
    bool same = str_eq(buf_str(&table), buf_str(&old));
    buf_fini(&table);
    buf_fini(&old);
    for (size_t i = 0; i < point_count; i++)
        if (!points[i].case_count) fail_msg("no case shows %.*s", (int)points[i].id.size, points[i].id.data);
    if (!same) fail_msg("docs/workflow-conformance.md is not what the cases say; run this test with CAIRN_WRITE=1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_case_comes_out_as_it_says),
        cmocka_unit_test(every_rule_is_broken_somewhere),
        cmocka_unit_test(the_table_is_up_to_date),
    };
    names = arena_new((size_t)8 << 20);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_free(names);
    return failed;
}
