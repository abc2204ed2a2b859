#include "ingest/ingest.h"

#include "ingest/express.h"

#define EVENT_BYTES ((size_t)256) /* that one takes in a log record, about */

/* Groups of a record that is in none. */
enum { GROUP_NONE = UINT32_MAX };

struct group {
    struct ingest_project project;
    uint32_t records;
};

struct run {
    struct arena *arena;
    const struct ingest_limits *limits;
    const struct ingest_request *request;
    struct ingest_outcome outcome;
    uint32_t *group_of; /* by record */
    struct group *groups;
    size_t group_count, group_capacity;
};

/* Keeps the reason when it belongs to the first refused record so far. */
static enum status refused(struct run *run, size_t index, const struct error *error)
{
    struct ingest_outcome *outcome = &run->outcome;
    outcome->refused++;
    if (outcome->reason.data && outcome->reason_index < index) return STATUS_OK;
    struct str reason = arena_str(run->arena, str_of(error->primary));
    if (!reason.data) return STATUS_LIMIT;
    outcome->reason = reason;
    outcome->reason_index = index;
    return STATUS_OK;
}

static enum status group_find(struct run *run, const struct ingest_project *project, uint32_t *ret_group)
{
    for (size_t i = 0; i < run->group_count; i++) {
        if (run->groups[i].project.id != project->id) continue;
        *ret_group = (uint32_t)i;
        return STATUS_OK;
    }
    if (run->group_count == run->group_capacity) {
        size_t capacity = run->group_capacity ? run->group_capacity * 2 : 4;
        struct group *groups =
            arena_realloc(run->arena, run->groups, run->group_capacity * sizeof *groups, capacity * sizeof *groups);
        if (!groups) return STATUS_LIMIT;
        run->groups = groups;
        run->group_capacity = capacity;
    }
    run->groups[run->group_count] = (struct group){.project = *project};
    *ret_group = (uint32_t)run->group_count++;
    return STATUS_OK;
}

/* Finds each record's project. Most requests have one token all through, which is then looked up once. */
static enum status assign(struct run *run)
{
    const struct ingest_request *request = run->request;
    struct str last = STR_NULL;
    uint32_t last_group = GROUP_NONE;
    struct error error = ERROR_INIT; /* one for all: it is large, and nearly always unused */
    for (size_t i = 0; i < request->records.count; i++) {
        struct str token;
        run->group_of[i] = GROUP_NONE;
        if (event_token(&request->records.items[i], request->token, &error, &token) != STATUS_OK) {
            TRY(refused(run, i, &error));
            continue;
        }
        if (!last.data || !str_eq(last, token)) {
            struct ingest_project project;
            last = token;
            last_group = GROUP_NONE;
            if (request->project_of(request->context, token, &project)) TRY(group_find(run, &project, &last_group));
        }
        if (last_group == GROUP_NONE) {
            run->outcome.unknown++;
            run->outcome.unauthorized |= run->limits->reject_unknown_tokens;
            continue;
        }
        run->group_of[i] = last_group;
        run->groups[last_group].records++;
    }
    return STATUS_OK;
}

static enum status encode_group(struct run *run, struct event_encoder *encoder, struct batch *batch, uint32_t index)
{
    struct group *group = &run->groups[index];
    struct error error = ERROR_INIT; /* as above */
    batch_begin(batch, group->project.id, run->request->received_ms, group->project.mode, 0);
    batch_cluster_max(batch, run->limits->cluster_ids_max);
    for (size_t i = 0; group->records && i < run->request->records.count; i++) {
        if (run->group_of[i] != index) continue;
        group->records--;
        switch (event_encode(encoder, &run->request->records.items[i], group->project.mode, batch, &error)) {
        case STATUS_OK: run->outcome.stored++; break;
        case STATUS_NOT_FOUND: run->outcome.ignored++; break;
        case STATUS_INVALID: TRY(refused(run, i, &error)); break;
        default: return STATUS_LIMIT;
        }
    }
    if (batch_count(batch) == 0) return STATUS_OK;
    struct ingest_output output = {.project = group->project.id, .events = batch_count(batch)};
    TRY(batch_finish(batch, &output.record));
    run->outcome.outputs[run->outcome.output_count++] = output;
    return STATUS_OK;
}

static enum status encode(struct run *run)
{
    struct event_encoder encoder;
    event_encoder_init(&encoder, run->arena, run->limits, run->request->received_ms, run->request->records.text_size);
    encoder.enrichment = run->request->enrichment;
    run->outcome.outputs = arena_new_array(run->arena, struct ingest_output, run->group_count);
    if (!run->outcome.outputs) return STATUS_LIMIT;
    struct batch batch;
    batch_init(&batch, run->limits->record_bytes_max);
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < run->group_count && status == STATUS_OK; i++)
        status = encode_group(run, &encoder, &batch, i);
    batch_fini(&batch);
    return status;
}

enum status ingest_run(struct arena *arena, const struct ingest_limits *limits, const struct ingest_request *request,
                       struct error *error, struct ingest_outcome *ret_outcome)
{
    if (request->records.count > limits->events_max)
        return error_set(error, STATUS_LIMIT, "request exceeds max limit of %zu events", limits->events_max);
    struct run run = {.arena = arena, .limits = limits, .request = request, .outcome = {.reason = STR_NULL}};
    run.group_of = arena_new_array(arena, uint32_t, request->records.count);
    enum status status = run.group_of ? assign(&run) : STATUS_LIMIT;
    if (status == STATUS_OK && run.group_count > 0) status = encode(&run);
    if (status != STATUS_OK) {
        ingest_outcome_fini(&run.outcome);
        return error_set(error, STATUS_LIMIT, "request needs too much memory");
    }
    *ret_outcome = run.outcome;
    return STATUS_OK;
}

/* ---- Straight from text ---- */

_Static_assert(INGEST_PADDING >= EXPRESS_PADDING, "what the callers of ingest_lines were told");

/* Events of one project, from text. */
struct taking {
    struct run *run;
    struct event_encoder encoder;
    struct express *express;
    struct batch batch;
    struct ingest_project project;
    struct str token; /* of the project; NULL data: none yet */
    size_t text_size;
    bool alone; /* a single event, which may also be the wrapper of something else */
};

/* Makes the batch ready for events with this token. UNSUPPORTED when they are of another project than those before, or
 * of none. */
static enum status taking_token(struct taking *taking, struct str token)
{
    const struct ingest_request *request = taking->run->request;
    struct ingest_project project;
    if (taking->token.data && str_eq(taking->token, token)) return STATUS_OK;
    if (!request->project_of(request->context, token, &project)) return STATUS_UNSUPPORTED;
    if (taking->token.data && project.id != taking->project.id) return STATUS_UNSUPPORTED;
    token = arena_str(taking->run->arena, token);
    if (!token.data) return STATUS_UNSUPPORTED;
    if (!taking->token.data) {
        batch_begin(&taking->batch, project.id, request->received_ms, project.mode, 0);
        batch_cluster_max(&taking->batch, taking->run->limits->cluster_ids_max);
        size_t most = taking->run->limits->events_max * EVENT_BYTES;
        batch_expect(&taking->batch, taking->text_size / 2 < most ? taking->text_size / 2 : most);
        express_begin(taking->express, &taking->batch, project.mode, token);
        taking->project = project;
    }
    taking->token = taking->express->token = token;
    return STATUS_OK;
}

/* An event in any form, by way of a tree. */
static enum status take_uncommon(struct taking *taking, const char *at, size_t index, const char **ret_end)
{
    struct run *run = taking->run;
    struct json_limits limits = {.depth_max = JSON_DEPTH_DEFAULT - 1}; /* the list is around it */
    struct error error = ERROR_INIT;
    struct json event;
    struct str token;
    const char *end = taking->alone ? NULL : express_object_end(at);
    if (!end || json_parse(run->arena, str_from(at, (size_t)(end - at)), &limits, NULL, &event) != STATUS_OK)
        return STATUS_UNSUPPORTED;
    *ret_end = end;
    if (event_token(&event, run->request->token, &error, &token) != STATUS_OK) return refused(run, index, &error);
    TRY(taking_token(taking, token));
    switch (event_encode(&taking->encoder, &event, taking->project.mode, &taking->batch, &error)) {
    case STATUS_OK: run->outcome.stored++; return STATUS_OK;
    case STATUS_NOT_FOUND: run->outcome.ignored++; return STATUS_OK;
    case STATUS_INVALID: return refused(run, index, &error);
    default: return STATUS_UNSUPPORTED;
    }
}

static enum status take_event(struct taking *taking, const char *at, size_t index, const char **ret_end)
{
    struct str token;
    enum express_result result = express_event(taking->express, at, ret_end, &token);
    if (result == EXPRESS_TOKEN) {
        TRY(taking_token(taking, token));
        result = express_event(taking->express, at, ret_end, &token);
    }
    if (result != EXPRESS_STORED) return take_uncommon(taking, at, index, ret_end);
    taking->run->outcome.stored++;
    return STATUS_OK;
}

static const char *blanks(const char *at)
{
    while (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t') at++;
    return at;
}

/* All events of a list, or a single one. */
static enum status take_list(struct taking *taking, struct str text)
{
    const char *at = text.data;
    bool list = *at == '[';
    taking->alone = !list;
    if (list) at = blanks(at + 1);
    for (size_t i = 0;; i++) {
        if (*at != '{' || i == taking->run->limits->events_max) return STATUS_UNSUPPORTED;
        TRY(take_event(taking, at, i, &at));
        at = blanks(at);
        if (!list || *at != ',') break;
        at = blanks(at + 1);
    }
    if (list && *at++ != ']') return STATUS_UNSUPPORTED;
    return blanks(at) == text.data + text.size ? STATUS_OK : STATUS_UNSUPPORTED;
}

/* Up to events_max lines. */
static enum status take_lines(struct taking *taking, struct str text, size_t *ret_read)
{
    const char *at = text.data, *end = at + text.size;
    for (size_t i = 0; i < taking->run->limits->events_max && at < end; i++) {
        if (*at != '{') return STATUS_UNSUPPORTED;
        TRY(take_event(taking, at, i, &at));
        while (*at == ' ' || *at == '\r' || *at == '\t') at++;
        if (at < end && *at++ != '\n') return STATUS_UNSUPPORTED;
    }
    *ret_read = (size_t)(at - text.data);
    return STATUS_OK;
}

/* OK, or UNSUPPORTED: the text is to be taken in another way. `text` has EXPRESS_PADDING zero bytes behind it;
 * `ret_read` is NULL unless it is lines. */
static enum status take_text(struct arena *arena, const struct ingest_limits *limits,
                             const struct ingest_request *request, struct str text, struct ingest_outcome *ret_outcome,
                             size_t *ret_read)
{
    struct run run = {.arena = arena, .limits = limits, .request = request, .outcome = {.reason = STR_NULL}};
    struct taking taking = {.run = &run, .token = STR_NULL, .text_size = text.size};
    event_encoder_init(&taking.encoder, arena, limits, request->received_ms, text.size);
    taking.encoder.enrichment = request->enrichment;
    taking.express = express_new(&taking.encoder, request->token);
    run.outcome.outputs = arena_new_array(arena, struct ingest_output, 1);
    if (!taking.express || !run.outcome.outputs) return STATUS_UNSUPPORTED;
    batch_init(&taking.batch, limits->record_bytes_max);
    size_t read = text.size;
    enum status status = ret_read ? take_lines(&taking, text, &read) : take_list(&taking, text);
    if (status == STATUS_OK && !json_is_utf8(str_slice(text, 0, read))) status = STATUS_UNSUPPORTED;
    if (status == STATUS_OK && batch_count(&taking.batch) > 0) {
        struct ingest_output output = {.project = taking.project.id, .events = batch_count(&taking.batch)};
        status = batch_finish(&taking.batch, &output.record);
        if (status == STATUS_OK) run.outcome.outputs[run.outcome.output_count++] = output;
    }
    batch_fini(&taking.batch);
    if (status != STATUS_OK) return STATUS_UNSUPPORTED;
    if (ret_read) *ret_read = read;
    *ret_outcome = run.outcome;
    return STATUS_OK;
}

enum status ingest_take(struct arena *arena, const struct ingest_limits *limits, const struct decode_form *form,
                        const struct ingest_request *request, struct error *error, struct ingest_outcome *ret_outcome)
{
    struct str text;
    TRY(decode_text(arena, form, limits, error, &text));
    struct arena_mark mark = arena_mark_set(arena);
    char *padded = arena_alloc(arena, text.size + EXPRESS_PADDING);
    if (padded) {
        memcpy(padded, text.data, text.size);
        memset(padded + text.size, 0, EXPRESS_PADDING);
        struct str copy = str_from(padded, text.size);
        if (take_text(arena, limits, request, copy, ret_outcome, NULL) == STATUS_OK) return STATUS_OK;
    }
    arena_rewind(arena, mark);
    struct ingest_request parsed = *request;
    TRY(decode_records_of(arena, text, limits, error, &parsed.records));
    return ingest_run(arena, limits, &parsed, error, ret_outcome);
}

/* Up to events_max lines as a list: a line end cannot be part of JSON but as white space, so it can become a comma. */
static struct str list_of_lines(struct arena *arena, struct str lines, size_t count_max, size_t *ret_read)
{
    size_t read = 0;
    for (size_t i = 0; i < count_max && read < lines.size; i++) {
        const char *end = memchr(lines.data + read, '\n', lines.size - read);
        read = end ? (size_t)(end - lines.data) + 1 : lines.size;
    }
    char *list = arena_alloc(arena, read + 2);
    if (!list) return STR_NULL;
    size_t size = 0;
    list[size++] = '[';
    for (size_t i = 0; i < read; i++) list[size++] = lines.data[i] == '\n' ? ',' : lines.data[i];
    if (size > 1 && list[size - 1] == ',') size--;
    list[size++] = ']';
    *ret_read = read;
    return str_from(list, size);
}

enum status ingest_lines(struct arena *arena, const struct ingest_limits *limits, struct str lines,
                         const struct ingest_request *request, struct error *error, struct ingest_outcome *ret_outcome,
                         size_t *ret_read)
{
    struct arena_mark mark = arena_mark_set(arena);
    if (take_text(arena, limits, request, lines, ret_outcome, ret_read) == STATUS_OK) return STATUS_OK;
    arena_rewind(arena, mark);
    struct json list;
    size_t read;
    struct str text = list_of_lines(arena, lines, limits->events_max, &read);
    if (!text.data) return error_set(error, STATUS_LIMIT, "request needs too much memory");
    TRY(json_parse(arena, text, NULL, error, &list));
    struct ingest_request parsed = *request;
    parsed.records = (struct decode_records){list.array.items, list.array.count, text.size};
    TRY(ingest_run(arena, limits, &parsed, error, ret_outcome));
    *ret_read = read;
    return STATUS_OK;
}

void ingest_outcome_fini(struct ingest_outcome *outcome)
{
    for (size_t i = 0; i < outcome->output_count; i++) buf_fini(&outcome->outputs[i].record);
    outcome->output_count = 0;
}
