#include "ingest/ingest.h"

#include "ingest/event.h"

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

void ingest_outcome_fini(struct ingest_outcome *outcome)
{
    for (size_t i = 0; i < outcome->output_count; i++) buf_fini(&outcome->outputs[i].record);
    outcome->output_count = 0;
}
