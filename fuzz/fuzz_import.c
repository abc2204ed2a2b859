/*
 * What a client can send to /import: the first byte of the input says how strict the request is and to what project it
 * goes, the rest of that line is the Content-Type, what follows the body. Decoded, checked and packed as the server
 * does it, with and without a tree in between, which must give the same. What would be stored is read back with the
 * store's reader and must keep the rules, every record must be stored, ignored or told of, and the answers must be
 * JSON.
 */
#include "api/import_answer.h"
#include "identity/identity.h"
#include "ingest/import_testing.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NOW INT64_C(1700000000000)

static void check(bool holds, const char *what)
{
    if (holds) return;
    fprintf(stderr, "does not hold: %s\n", what);
    abort();
}

static void check_record(struct arena *arena, const struct ingest_limits *limits, const struct import_request *request,
                         const struct import_outcome *outcome)
{
    struct reader reader = reader_of(buf_str(&outcome->record));
    struct record record;
    struct batch_reader batch;
    struct event_view event;
    size_t events = 0;
    check(record_next(&reader, &record) == STATUS_OK && reader_left(&reader) == 0, "one record");
    check(record.kind == RECORD_EVENTS && record.project == request->project.id, "of its project");
    check(batch_open(arena, record.body, &batch) == STATUS_OK, "that can be read");
    check(batch.flags == BATCH_IMPORT, "of imported events");
    while (batch_next(&batch, &event)) {
        events++;
        struct str name = batch.names[event.name];
        check(name.size > 0 && name.size <= limits->string_bytes_max && json_is_utf8(name), "event name");
        check(event.time_ms >= INT64_C(31536000000) && event.time_ms <= NOW + 3600000, "time");
        check(event.id.size <= IDENTITY_ID_BYTES_MAX && !identity_denied(event.id), "id");
        check(!event.insert_id.data || (event.insert_id.size >= 1 && event.insert_id.size <= 36), "insert id");
        check(event.insert_id.data || !request->strict, "strict wants one");
        check(!request->strict || request->project.mode != IDENTITY_SIMPLIFIED || !identity_is_verb(name), "no verb");
    }
    check(events == outcome->stored, "number of events");
}

static void check_answer(struct arena *arena, enum import_form form, const struct import_outcome *outcome)
{
    struct buf body = BUF_INIT(import_answer_size_max(outcome));
    struct response_mode mode = {.verbose = true};
    struct json answer;
    const char *type;
    int code = import_answer(form, &mode, outcome, &body, &type);
    check(!body.failed, "an answer has room");
    check(json_parse(arena, buf_str(&body), NULL, NULL, &answer) == STATUS_OK, "an answer is JSON");
    bool failed = outcome->failure_count || outcome->verbs;
    check(code == (failed && form == IMPORT_STRICT ? 400 : 200), "status");
    buf_fini(&body);
}

static void check_outcome(struct arena *arena, const struct ingest_limits *limits, const struct import_request *request,
                          const struct import_outcome *outcome)
{
    size_t all = outcome->stored + outcome->ignored + outcome->failure_count + outcome->verbs;
    check(all > 0 && all <= limits->events_max, "number of records");
    check((outcome->record.size > 0) == (outcome->stored > 0), "a record when there are events");
    check(!outcome->verbs || all == outcome->verbs, "verbs refuse all");
    if (outcome->stored) check_record(arena, limits, request, outcome);
    for (size_t i = 0; i < outcome->failure_count; i++) {
        const struct import_failure *failure = &outcome->failures[i];
        check(failure->message.size > 0 && json_is_utf8(failure->message), "a message");
        check(json_is_utf8(failure->field) && json_is_utf8(failure->insert_id), "texts are UTF-8");
        check(i == 0 || failure->index > failure[-1].index, "in order");
    }
    for (enum import_form form = IMPORT_STRICT; form <= IMPORT_FORM; form++) check_answer(arena, form, outcome);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str rest = str_from(data, size), type;
    if (size < 2) return 0;
    struct import_request request = {
        .project = {.id = 1, .mode = (enum identity_mode)(data[0] % 3)}, .received_ms = NOW, .strict = data[0] & 4};
    rest = str_slice(rest, 1, rest.size);
    if (!str_next_part(&rest, '\n', &type)) return 0;
    struct ingest_limits limits = INGEST_LIMITS_DEFAULT;
    limits.request_bytes_max = (size_t)1 << 20;
    limits.event_bytes_max = 512; /* so that small inputs meet it */
    limits.list_bytes_max = 128;
    limits.properties_max = 40;
    limits.elements_max = 20;
    limits.events_max = 50;
    struct arena *arena = arena_new((size_t)64 << 20);
    struct decode_input input = {.query = STR(""), .content_type = type, .body = rest, .lines = decode_is_lines(type)};
    struct decode_form form;
    struct error error = ERROR_INIT, tree_error = ERROR_INIT;
    struct import_outcome outcome = {0}, tree = {0};
    struct str text = STR_NULL;
    enum status status = decode_form(arena, &input, &limits, &error, &form);
    request.lines = input.lines && !form.in_field;
    if (status == STATUS_OK && request.lines) text = form.payload;
    if (status == STATUS_OK && !request.lines) status = decode_text(arena, &form, &limits, &error, &text);
    if (status == STATUS_OK) {
        status = import_take(arena, &limits, text, &request, &error, &outcome);
        request.tree_only = true;
        check(import_take(arena, &limits, text, &request, &tree_error, &tree) == status, "one verdict");
        check(strcmp(error.primary, tree_error.primary) == 0, "one error");
        if (status == STATUS_OK) check(import_same(arena, &outcome, &tree), "one outcome");
    }
    if (status == STATUS_OK) {
        check_outcome(arena, &limits, &request, &outcome);
    } else {
        check(status == STATUS_INVALID || status == STATUS_LIMIT, "kind of failure");
        check(error.primary[0] != 0, "a failure has a text");
    }
    import_outcome_fini(&outcome);
    import_outcome_fini(&tree);
    arena_free(arena);
    return 0;
}
