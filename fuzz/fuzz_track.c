/*
 * What a client can send to /track: the first line of the input is the query string, the second the Content-Type, the
 * rest the body. Decoded, checked and packed as the server does it; then what would be stored is read back with the
 * store's reader and must keep the limits, and the counts must add up. With and without a tree in between, which must
 * give the same.
 */
#include "identity/identity.h"
#include "ingest/ingest_testing.h"

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

/* Four projects, so that a batch is often split; tokens beginning with "x" are unknown. */
static bool project_of(void *context, struct str token, struct ingest_project *ret_project)
{
    (void)context;
    if (token.data[0] == 'x') return false;
    ret_project->id = 1 + (unsigned char)token.data[0] % 4;
    ret_project->mode = ret_project->id == 4 ? IDENTITY_ORIGINAL : IDENTITY_SIMPLIFIED;
    return true;
}

static void check_value(const struct ingest_limits *limits, struct value value, unsigned depth)
{
    if (value.type == VALUE_STRING || value.type == VALUE_BIGNUM)
        check(value.size <= limits->string_bytes_max, "texts are cut");
    if (value.type != VALUE_LIST && value.type != VALUE_OBJECT) return;
    check(depth < limits->depth_max, "depth");
    check(value_count(value) < limits->elements_max, "elements");
    struct value_iter iter = value_iter(value);
    struct str key;
    struct value inner;
    while (value_next(&iter, &key, &inner)) {
        check(key.size <= limits->string_bytes_max, "keys are cut");
        check_value(limits, inner, depth + 1);
    }
}

static void check_record(struct arena *arena, const struct ingest_limits *limits, const struct ingest_output *output)
{
    struct reader reader = reader_of(buf_str(&output->record));
    struct record record;
    struct batch_reader batch;
    struct event_view event;
    uint32_t events = 0;
    check(record_next(&reader, &record) == STATUS_OK && reader_left(&reader) == 0, "one record");
    check(record.kind == RECORD_EVENTS && record.project == output->project, "of its project");
    check(batch_open(arena, record.body, &batch) == STATUS_OK, "that can be read");
    while (batch_next(&batch, &event)) {
        struct reader properties = reader_of(event.properties);
        uint32_t name;
        struct value value;
        events++;
        check(batch.names[event.name].size <= limits->string_bytes_max, "event names are cut");
        check(event.time_ms <= NOW && event.time_ms >= NOW - limits->age_max_ms, "time");
        check(event.id.size <= IDENTITY_ID_BYTES_MAX && !identity_denied(event.id), "id");
        check(!event.device.data || (identity_is_device(event.device) && !identity_is_device(event.id)), "link");
        check(!event.insert_id.data || (event.insert_id.size >= 1 && event.insert_id.size <= 36), "insert id");
        size_t count = 0;
        while (event_property_next(&properties, &name, &value)) {
            check(++count <= limits->properties_max, "number of properties");
            check(batch.names[name].size <= limits->string_bytes_max, "property names are cut");
            check(!str_is(batch.names[name], "token") && !str_is(batch.names[name], "ip"), "left out");
            check_value(limits, value, 0);
        }
    }
    check(events == output->events, "number of events");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str rest = str_from(data, size), query, type;
    if (size == 0 || !str_next_part(&rest, '\n', &query) || !str_next_part(&rest, '\n', &type)) return 0;
    struct ingest_limits limits = INGEST_LIMITS_DEFAULT;
    limits.event_bytes_max = 512; /* so that small inputs meet it */
    limits.list_bytes_max = 128;
    limits.properties_max = 40;
    limits.elements_max = 20;
    limits.events_max = 50;
    struct arena *arena = arena_new((size_t)16 << 20);
    struct decode_input input = {.query = query, .content_type = type, .body = rest};
    struct decode_form form;
    struct error error = ERROR_INIT;
    struct ingest_request request = {.received_ms = NOW, .project_of = project_of};
    struct ingest_outcome outcome = {0};
    enum status decoded = decode_form(arena, &input, &limits, &error, &form), status = decoded;
    request.token = decode_param(&form, "token");
    if (status == STATUS_OK) status = decode_records(arena, &form, &limits, &error, &request.records);
    if (status == STATUS_OK) status = ingest_run(arena, &limits, &request, &error, &outcome);
    if (status == STATUS_OK) {
        size_t events = 0;
        for (size_t i = 0; i < outcome.output_count; i++) {
            check_record(arena, &limits, &outcome.outputs[i]);
            events += outcome.outputs[i].events;
        }
        check(events == outcome.stored, "stored events");
        check(outcome.stored + outcome.ignored + outcome.unknown + outcome.refused == request.records.count, "counts");
        check((outcome.refused > 0) == (outcome.reason.data != NULL), "a reason for refusals");
    } else {
        check(status == STATUS_INVALID || status == STATUS_LIMIT, "kind of failure");
        check(error.primary[0] != 0, "a failure has a text");
    }
    if (decoded == STATUS_OK) {
        struct ingest_outcome taken = {0};
        struct error taken_error = ERROR_INIT;
        enum status way = ingest_take(arena, &limits, &form, &request, &taken_error, &taken);
        check(way == status, "one verdict");
        check(way != STATUS_OK || ingest_same(arena, &outcome, &taken), "one outcome");
        check(way == STATUS_OK || strcmp(error.primary, taken_error.primary) == 0, "one error");
        ingest_outcome_fini(&taken);
    }
    ingest_outcome_fini(&outcome);
    arena_free(arena);
    return 0;
}
