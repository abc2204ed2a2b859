#include "api/engage_params.h"

#include "api/behaviors.h"
#include "api/profile_sessions.h"
#include "api/saved.h"
#include "base/buf.h"
#include "base/hash.h"
#include "base/number.h"
#include "profile/group.h"
#include "query/backend.h"

#define AS_OF_SECONDS_MAX INT64_C(253402300799) /* the year 9999 */

static enum status out_of_memory(struct error *error)
{
    return error_set(error, STATUS_LIMIT, "request needs too much memory");
}

/* --- which profiles --- */

static enum status read_group(struct query_job *job, struct profile_plan *plan)
{
    struct executor *executor = job->api->executor;
    struct str text = str_trim(params_get(&job->params, "data_group_id")), *keys;
    size_t count;
    int64_t number;
    if (!text.size) return STATUS_OK;
    bool numeric = number_parse_int(text, &number);
    TRY(executor->profiles->group_keys(executor, plan->project, job->request->arena, &job->error, &keys, &count));
    for (size_t i = 0; i < count; i++) {
        if (!(numeric && profile_group_number(keys[i]) == number) && !str_eq(keys[i], text)) continue;
        plan->group_key = keys[i];
        return STATUS_OK;
    }
    error_set(&job->error, STATUS_INVALID, "Error in data_group_id: no group key has \"" STR_FMT "\"",
              STR_ARG(str_slice(text, 0, 100)));
    error_hint(&job->error, "GET /api/app/projects/%lld/data-groups lists them", (long long)plan->project);
    return STATUS_INVALID;
}

static enum status read_ids(struct query_job *job, struct profile_plan *plan)
{
    struct str one = params_get(&job->params, "distinct_id"), many = params_get(&job->params, "distinct_ids");
    const struct str *ids = NULL;
    size_t count = 0;
    plan->by_ids = one.data || many.data;
    if (many.data) TRY(params_texts(&job->params, "distinct_ids", job->request->arena, &job->error, &ids, &count));
    struct str *all = arena_new_array(job->request->arena, struct str, count + 2);
    if (!all) return out_of_memory(&job->error);
    if (count) memcpy(all, ids, count * sizeof *all);
    if (one.data) all[count++] = one;
    plan->ids = all;
    plan->id_count = count;
    return STATUS_OK;
}

static enum status read_behaviors(struct query_job *job, struct profile_plan *plan, bool *ret_as_of_given)
{
    struct str text = params_get(&job->params, "behaviors");
    int64_t seconds;
    TRY(params_int(&job->params, "as_of_timestamp", 0, AS_OF_SECONDS_MAX, -1, &job->error, &seconds));
    *ret_as_of_given = seconds >= 0;
    plan->as_of_ms = seconds >= 0 ? seconds * 1000 : job->now_ms;
    if (!text.data) return STATUS_OK;
    return behaviors_parse(job->request->arena, text, job->api->query.behaviors_max, &job->error, &plan->behaviors,
                           &plan->behavior_count);
}

static enum status read_flag(struct query_job *job, const char *name)
{
    static const char *const words[] = {"true", "false", "1", "0", NULL};
    struct str text = params_get(&job->params, name);
    for (int i = 0; words[i] && text.data; i++) {
        if (str_eq_nocase(text, str_of(words[i]))) return STATUS_OK;
    }
    if (!text.data) return STATUS_OK;
    error_set(&job->error, STATUS_INVALID, "Error in %s: unknown value \"" STR_FMT "\"", name,
              STR_ARG(str_slice(text, 0, 100)));
    error_hint(&job->error, "use true or false");
    return STATUS_INVALID;
}

/* --- of a cohort --- */

/* {"id":N}, or the number by itself. */
static enum status cohort_id(struct query_job *job, struct str text, int64_t *ret_id)
{
    struct json json;
    const struct json *id = &json;
    if (json_parse(job->request->arena, text, NULL, NULL, &json) == STATUS_OK) {
        if (json.type == JSON_OBJECT) id = json_member(&json, "id");
        if (id && id->type == JSON_STRING && number_parse_int(id->string, ret_id) && *ret_id > 0) return STATUS_OK;
        if (id && id->type == JSON_INT && id->integer > 0) {
            *ret_id = id->integer;
            return STATUS_OK;
        }
    }
    error_set(&job->error, STATUS_INVALID, "Error in filter_by_cohort: not a cohort");
    error_hint(&job->error, "send something like {\"id\":1}");
    return STATUS_INVALID;
}

static enum status join_behaviors(struct query_job *job, struct profile_plan *plan, const struct profile_plan *cohort)
{
    if (!cohort->behavior_count) return STATUS_OK;
    size_t count = plan->behavior_count + cohort->behavior_count;
    struct behavior *all = arena_new_array(job->request->arena, struct behavior, count);
    if (!all) return out_of_memory(&job->error);
    memcpy(all, cohort->behaviors, cohort->behavior_count * sizeof *all);
    for (size_t i = 0; i < plan->behavior_count; i++) {
        const struct behavior *own = &plan->behaviors[i];
        for (size_t c = 0; c < cohort->behavior_count; c++) {
            if (!str_eq(own->name, cohort->behaviors[c].name)) continue;
            error_set(&job->error, STATUS_INVALID, "Error in behaviors: the cohort has one named \"" STR_FMT "\", too",
                      STR_ARG(str_slice(own->name, 0, 100)));
            error_hint(&job->error, "give it another name");
            return STATUS_INVALID;
        }
        all[cohort->behavior_count + i] = *own;
    }
    plan->behaviors = all;
    plan->behavior_count = count;
    return STATUS_OK;
}

/* Both must be true. The question's own part is looked at first, so that a mistake in it has its place in it. */
static enum status join_where(struct query_job *job, struct profile_plan *plan, struct str cohort)
{
    struct str own = plan->where;
    plan->where = cohort;
    if (!own.data) return STATUS_OK;
    TRY(saved_check_where(own, &job->error));
    char *text = arena_alloc(job->request->arena, own.size + cohort.size + 9);
    if (!text) return out_of_memory(&job->error);
    char *end = raw_bytes(text, "(", 1);
    end = raw_bytes(end, cohort.data, cohort.size);
    end = raw_bytes(end, ") and (", 7);
    end = raw_bytes(end, own.data, own.size);
    end = raw_bytes(end, ")", 1);
    plan->where = str_from(text, (size_t)(end - text));
    return STATUS_OK;
}

static enum status read_cohort(struct query_job *job, struct profile_plan *plan)
{
    struct str text = str_trim(params_get(&job->params, "filter_by_cohort"));
    struct profile_plan cohort = {0};
    struct meta_saved saved;
    int64_t id;
    if (!text.size) return STATUS_OK;
    TRY(cohort_id(job, text, &id));
    enum status status = meta_saved(job->api->meta, job->project->id, META_SAVED_COHORT, id, job->request->arena,
                                    &job->error, &saved);
    if (status == STATUS_NOT_FOUND) {
        error_set(&job->error, STATUS_INVALID, "Error in filter_by_cohort: the project has no cohort %lld",
                  (long long)id);
        error_hint(&job->error, "/cohorts/list lists the cohorts");
        return STATUS_INVALID;
    }
    TRY(status);
    TRY(saved_cohort(&saved, job->request->arena, &job->error, &cohort));
    if (cohort.group_key.data ? !plan->group_key.data || !str_eq(cohort.group_key, plan->group_key)
                              : plan->group_key.data != NULL)
        return error_set(&job->error, STATUS_INVALID,
                         "Error in filter_by_cohort: cohort %lld and data_group_id are not about the same profiles",
                         (long long)id);
    TRY(join_behaviors(job, plan, &cohort));
    return join_where(job, plan, cohort.where);
}

enum status engage_read_plan(struct query_job *job, struct profile_plan *ret_plan, bool *ret_as_of_given)
{
    struct profile_plan plan = {
        .project = (uint64_t)job->project->id, .zone = job->zone, .now_ms = job->now_ms, .as_of_ms = job->now_ms};
    TRY(read_flag(job, "include_all_users"));
    TRY(read_group(job, &plan));
    TRY(read_ids(job, &plan));
    TRY(read_behaviors(job, &plan, ret_as_of_given));
    plan.where = params_get(&job->params, "where");
    if (!plan.where.data) plan.where = params_get(&job->params, "selector");
    plan.search = params_get(&job->params, "search");
    TRY(read_cohort(job, &plan));
    *ret_plan = plan;
    return STATUS_OK;
}

void engage_keep_answer(struct query_job *job, const struct profile_plan *plan, bool as_of_given)
{
    if (!plan->behavior_count || as_of_given) query_keep_answer(job, INT64_MAX);
}

/* --- how they are given --- */

enum status engage_read_page(struct query_job *job, struct engage_page *ret_page)
{
    const struct params *params = &job->params;
    struct error *error = &job->error;
    struct str properties = params_get(params, "output_properties");
    struct engage_page page = {.session_id = params_get(params, "session_id"), .all_properties = !properties.data};
    int64_t size_max = job->api->query.page_max, limit;
    TRY(params_int(params, "page", 0, INT32_MAX, 0, error, &page.page));
    TRY(params_int(params, "page_size", 1, INT64_MAX, size_max, error, &page.page_size));
    TRY(params_int(params, "limit", 1, INT64_MAX, INT64_MAX, error, &limit));
    /* More than the greatest is not refused: the answer says how many there are in a page. */
    if (page.page_size > size_max) page.page_size = size_max;
    if (page.page_size > limit) page.page_size = limit;
    if (page.page > 0 && !page.session_id.data) {
        error_set(error, STATUS_INVALID, "session_id is required with page above 0");
        error_hint(error, "send the session_id that came with page 0");
        return STATUS_INVALID;
    }
    if (page.session_id.data && !profile_session_is_text(page.session_id))
        return error_set(error, STATUS_INVALID, "Error in session_id: not a session of ours");
    if (properties.data)
        TRY(params_texts(params, "output_properties", job->request->arena, error, &page.properties,
                         &page.property_count));
    *ret_page = page;
    return STATUS_OK;
}

enum status engage_read_order(struct query_job *job, struct profile_plan *plan)
{
    static const char *const orders[] = {"descending", "ascending", NULL};
    int order;
    TRY(params_choice(&job->params, "sort_order", orders, 0, &job->error, &order));
    plan->sort = params_get(&job->params, "sort_key");
    plan->descending = order == 0;
    return STATUS_OK;
}

uint64_t engage_question(const struct params *params)
{
    static const char *const names[] = {"data_group_id", "where",           "selector",   "distinct_id", "distinct_ids",
                                        "behaviors",     "as_of_timestamp", "sort_order", "sort_key",    "search",
                                        "filter_by_cohort"};
    uint64_t question = 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct str text = params_get(params, names[i]);
        if (text.data) question = hash_bytes(text.data, text.size, hash_u64(i + 1, question)) | 1;
    }
    return question;
}
