#include "api/funnels.h"

#include "api/query_job.h"
#include "api/query_question.h"
#include "api/saved.h"
#include "base/civil.h"
#include "base/csv.h"
#include "base/json.h"
#include "lookup/lookup.h"
#include "meta/meta.h"
#include "query/backend.h"
#include "query/native/group_join.h"

#define LIMIT_DEFAULT   255
#define LIMIT_MAX       10000
#define INTERVAL_MAX    36600
#define LENGTH_DAYS_MAX 90 /* of the parameter; a saved window may be longer */
#define OVERALL         STR("$overall")

struct question {
    struct funnel_definition definition;
    struct str *goals; /* of the steps */
    bool csv;
};

/* --- the list --- */

static enum status run_list(struct query_job *job)
{
    struct meta_saved *saved;
    size_t count;
    query_keep_answer(job, INT64_MAX);
    TRY(meta_saved_list(job->api->meta, job->project->id, META_SAVED_FUNNEL, job->request->arena, &job->error, &saved,
                        &count));
    query_body_init(job);
    buf_byte(&job->body, '[');
    for (size_t i = 0; i < count; i++) {
        buf_printf(&job->body, "%s{\"funnel_id\":%lld,\"name\":", i ? "," : "", (long long)saved[i].id);
        json_write_str(&job->body, saved[i].name);
        buf_byte(&job->body, '}');
    }
    buf_byte(&job->body, ']');
    return query_body_check(job, "");
}

void api_funnels_list(struct http_request *request)
{
    query_start(request, run_list);
}

/* --- the question --- */

static enum status read_funnel(struct query_job *job, struct question *question)
{
    struct arena *arena = job->request->arena;
    struct meta_saved saved;
    int64_t id;
    TRY(params_int(&job->params, "funnel_id", 1, META_PROJECT_ID_MAX, 0, &job->error, &id));
    if (!id) {
        error_set(&job->error, STATUS_INVALID, "funnel_id is required");
        error_hint(&job->error, "/funnels/list lists the funnels");
        return STATUS_INVALID;
    }
    enum status status =
        meta_saved(job->api->meta, job->project->id, META_SAVED_FUNNEL, id, arena, &job->error, &saved);
    if (status == STATUS_NOT_FOUND) {
        error_set(&job->error, STATUS_INVALID, "Error in funnel_id: the project has no funnel %lld", (long long)id);
        error_hint(&job->error, "/funnels/list lists the funnels");
        return STATUS_INVALID;
    }
    TRY(status);
    TRY(saved_funnel(&saved, arena, &job->error, &question->definition));
    query_keep_answer(job, text_says_today(saved.definition) ? query_next_local(job, DAY_MS) : INT64_MAX);
    question->goals = arena_new_array(arena, struct str, question->definition.step_count);
    for (size_t i = 0; i < question->definition.step_count && question->goals; i++) {
        question->goals[i] = funnel_step_goal(&question->definition, i, arena);
        if (!question->goals[i].data) question->goals = NULL;
    }
    return question->goals ? STATUS_OK : error_set(&job->error, STATUS_LIMIT, "request needs too much memory");
}

/* Buckets of so many days begin at from_date, and so do weeks. `interval` wins over `unit`. */
static enum status read_range(struct query_job *job, struct funnel_plan *plan)
{
    static const char *const units[] = {"day", "week", "month", NULL};
    struct error *error = &job->error;
    int64_t interval;
    int unit;
    TRY(params_date(&job->params, "from_date", error, &plan->from_day));
    TRY(params_date(&job->params, "to_date", error, &plan->to_day));
    if (plan->from_day > plan->to_day)
        return error_set(error, STATUS_INVALID, "Error in from_date: it is later than to_date");
    TRY(params_int(&job->params, "interval", 1, INTERVAL_MAX, 0, error, &interval));
    TRY(params_choice(&job->params, "unit", units, 0, error, &unit));
    if (unit == 2 && !interval) {
        plan->unit = UNIT_MONTH;
        return STATUS_OK;
    }
    plan->unit = UNIT_DAYS;
    plan->interval_days = interval ? (unsigned)interval : unit == 1 ? 7 : 1;
    return STATUS_OK;
}

static enum status read_length(struct query_job *job, struct funnel_plan *plan)
{
    static const char *const units[] = {"day", "hour", "minute", "second", NULL};
    static const enum funnel_unit of[] = {FUNNEL_UNIT_DAY, FUNNEL_UNIT_HOUR, FUNNEL_UNIT_MINUTE, FUNNEL_UNIT_SECOND};
    static const int64_t a_day[] = {1, 24, 1440, 86400};
    int64_t length;
    int unit;
    TRY(params_choice(&job->params, "length_unit", units, 0, &job->error, &unit));
    TRY(params_int(&job->params, "length", 1, LENGTH_DAYS_MAX * a_day[unit], 0, &job->error, &length));
    if (!length) return STATUS_OK;
    return funnel_window(length, of[unit], "Error in length", &job->error, plan);
}

static enum status read_question(struct query_job *job, struct question *question, struct funnel_plan *plan)
{
    static const char *const formats[] = {"json", "csv", NULL};
    struct error *error = &job->error;
    int64_t limit, labels_max = job->api->query.labels_max;
    int64_t limit_max = labels_max < LIMIT_MAX ? labels_max : LIMIT_MAX;
    int format;
    TRY(read_funnel(job, question));
    funnel_definition_plan(&question->definition, plan);
    TRY(read_range(job, plan));
    TRY(read_length(job, plan));
    TRY(params_choice(&job->params, "format", formats, 0, error, &format));
    TRY(params_int(&job->params, "limit", 1, limit_max, LIMIT_DEFAULT < limit_max ? LIMIT_DEFAULT : limit_max, error,
                   &limit));
    plan->limit = (uint32_t)limit;
    plan->where = params_get(&job->params, "where");
    plan->on = params_get(&job->params, "on");
    plan->trend = true;
    plan->steps_max = FUNNEL_STEPS_MAX;
    question->csv = format == 1;
    return STATUS_OK;
}

/* --- the answer --- */

struct rates {
    double step, overall;
};
/* Of nobody nobody goes on. */
static struct rates rates_of(const struct funnel_cell *cells, uint32_t step)
{
    if (step == 0) return (struct rates){1, 1};
    double before = (double)cells[step - 1].count, first = (double)cells[0].count, here = (double)cells[step].count;
    return (struct rates){before > 0 ? here / before : 0, first > 0 ? here / first : 0};
}

static void write_seconds(struct buf *body, bool any, double seconds)
{
    if (any)
        json_write_double(body, seconds);
    else
        buf_lit(body, "null");
}

static void write_steps(struct buf *body, const struct question *question, const struct funnel_cell *cells,
                        uint32_t step_count)
{
    const struct funnel_definition *definition = &question->definition;
    buf_byte(body, '[');
    for (uint32_t i = 0; i < step_count; i++) {
        struct rates rates = rates_of(cells, i);
        double from_previous, from_start;
        bool any = funnel_cell_seconds(&cells[i], i, &from_previous, &from_start);
        buf_printf(body, "%s{\"count\":%llu,\"avg_time\":", i ? "," : "", (unsigned long long)cells[i].count);
        write_seconds(body, any, from_previous);
        buf_lit(body, ",\"avg_time_from_start\":");
        write_seconds(body, any, from_start);
        buf_lit(body, ",\"step_conv_ratio\":");
        json_write_double(body, rates.step);
        buf_lit(body, ",\"goal\":");
        json_write_str(body, question->goals[i]);
        if (definition->step_names[i].data) {
            buf_lit(body, ",\"step_label\":");
            json_write_str(body, definition->step_names[i]);
        }
        if (definition->steps[i].where.data) {
            buf_lit(body, ",\"selector\":");
            json_write_str(body, definition->steps[i].where);
        }
        buf_lit(body, ",\"overall_conv_ratio\":");
        json_write_double(body, rates.overall);
        buf_lit(body, ",\"event\":");
        json_write_str(body, question->goals[i]);
        buf_byte(body, '}');
    }
    buf_byte(body, ']');
}

/* `worst` is the step, from 0, to which the smallest part goes on. */
static void write_analysis(struct buf *body, const struct funnel_cell *cells, uint32_t step_count)
{
    uint32_t worst = step_count > 1 ? 1 : 0;
    for (uint32_t i = 2; i < step_count; i++) {
        if (rates_of(cells, i).step < rates_of(cells, worst).step) worst = i;
    }
    buf_printf(body, ",\"analysis\":{\"completion\":%llu,\"starting_amount\":%llu,\"steps\":%u,\"worst\":%u}",
               (unsigned long long)cells[step_count - 1].count, (unsigned long long)cells[0].count, step_count, worst);
}

static void write_json(struct buf *body, const struct question *question, const struct funnel_result *result,
                       bool by_label)
{
    buf_lit(body, "{\"meta\":{\"dates\":[");
    for (uint32_t b = 0; b < result->bucket_count; b++) {
        if (b) buf_byte(body, ',');
        json_write_str(body, result->buckets[b]);
    }
    buf_lit(body, "]},\"data\":{");
    for (uint32_t b = 0; b < result->bucket_count; b++) {
        const struct funnel_cell *overall = funnel_cell_at(result, result->overall, b, 0);
        if (b) buf_byte(body, ',');
        json_write_str(body, result->buckets[b]);
        buf_str_add(body, by_label ? STR(":{\"$overall\":") : STR(":{\"steps\":"));
        write_steps(body, question, overall, result->step_count);
        if (!by_label) write_analysis(body, overall, result->step_count);
        for (uint32_t s = 0; s < result->series_count; s++) {
            if (str_eq(result->series[s].label, OVERALL)) continue; /* a name can be there but once */
            buf_byte(body, ',');
            json_write_str(body, result->series[s].label);
            buf_byte(body, ':');
            write_steps(body, question, funnel_cell_at(result, result->series[s].cells, b, 0), result->step_count);
        }
        buf_byte(body, '}');
    }
    buf_lit(body, "}}");
}

static void write_csv_steps(struct buf *body, const struct question *question, struct str date, const struct str *label,
                            const struct funnel_cell *cells, uint32_t step_count)
{
    for (uint32_t i = 0; i < step_count; i++) {
        struct rates rates = rates_of(cells, i);
        double from_previous, from_start;
        buf_str_add(body, date);
        if (label) {
            buf_byte(body, ',');
            csv_write(body, *label);
        }
        buf_printf(body, ",%u,", i + 1);
        csv_write(body, question->goals[i]);
        buf_printf(body, ",%llu,", (unsigned long long)cells[i].count);
        bool any = funnel_cell_seconds(&cells[i], i, &from_previous, &from_start);
        if (any) json_write_double(body, from_previous);
        buf_byte(body, ',');
        if (any) json_write_double(body, from_start);
        buf_byte(body, ',');
        json_write_double(body, rates.step);
        buf_byte(body, ',');
        json_write_double(body, rates.overall);
        buf_lit(body, "\r\n");
    }
}

/* A line a bucket, label and step. */
static void write_csv(struct buf *body, const struct question *question, const struct funnel_result *result,
                      bool by_label)
{
    const struct str overall = OVERALL;
    buf_str_add(body, by_label ? STR("date,segment") : STR("date"));
    buf_lit(body, ",step,event,count,avg_time,avg_time_from_start,step_conv_ratio,overall_conv_ratio\r\n");
    for (uint32_t b = 0; b < result->bucket_count; b++) {
        write_csv_steps(body, question, result->buckets[b], by_label ? &overall : NULL,
                        funnel_cell_at(result, result->overall, b, 0), result->step_count);
        for (uint32_t s = 0; s < result->series_count; s++)
            write_csv_steps(body, question, result->buckets[b], &result->series[s].label,
                            funnel_cell_at(result, result->series[s].cells, b, 0), result->step_count);
    }
}

/* All expressions of a plan. */
static enum status list_texts(struct query_job *job, const struct funnel_plan *plan, struct str **ret_texts,
                              size_t *ret_count)
{
    size_t count = 0, capacity = plan->step_count + plan->exclusion_count + plan->hold_count + 2;
    struct str *texts = arena_new_array(job->request->arena, struct str, capacity);
    if (!texts) return error_set(&job->error, STATUS_LIMIT, "request needs too much memory");
    texts[count++] = plan->where;
    texts[count++] = plan->on;
    for (size_t i = 0; i < plan->step_count; i++) texts[count++] = plan->steps[i].where;
    for (size_t i = 0; i < plan->exclusion_count; i++) texts[count++] = plan->exclusions[i].where;
    for (size_t i = 0; i < plan->hold_count; i++) texts[count++] = plan->hold[i];
    *ret_texts = texts;
    *ret_count = count;
    return STATUS_OK;
}

/* With the lookup tables and the profiles of groups as they are now. */
static enum status ask(struct query_job *job, struct funnel_plan *plan, struct funnel_result *ret_result)
{
    struct executor *executor = job->api->executor;
    struct plan_limits limits = query_limits(job);
    struct plan like = {.project = plan->project, .zone = plan->zone, .now_ms = plan->now_ms};
    struct lookup_joins *joins;
    struct group_joins *groups = NULL;
    struct str *texts;
    size_t text_count;
    TRY(list_texts(job, plan, &texts, &text_count));
    TRY(lookup_joins_new(job->api->lookup, job->view, job->project->id, &job->error, &joins));
    like.joins = lookup_joins_list(joins, &like.join_count);
    enum status status = group_joins_of(job->api->store, &like, texts, text_count, &limits, &job->error, &groups);
    plan->joins = like.joins;
    plan->join_count = like.join_count;
    if (status == STATUS_OK) status = executor->funnel(executor, plan, &limits, &job->error, ret_result);
    if (status == STATUS_OK && (status = lookup_joins_status(joins, &job->error)) != STATUS_OK)
        funnel_result_free(ret_result);
    group_joins_free(groups);
    lookup_joins_free(joins);
    return status;
}

static enum status run(struct query_job *job)
{
    struct question question = {0};
    struct funnel_result result;
    struct funnel_plan plan = {.project = (uint64_t)job->project->id, .zone = job->zone, .now_ms = job->now_ms};
    TRY(read_question(job, &question, &plan));
    TRY(ask(job, &plan, &result));
    query_body_init(job);
    if (question.csv) {
        job->content_type = "text/csv; charset=utf-8";
        write_csv(&job->body, &question, &result, plan.on.data != NULL);
    } else {
        write_json(&job->body, &question, &result, plan.on.data != NULL);
    }
    funnel_result_free(&result);
    return query_body_check(job, "use a larger interval or a lower limit");
}

void api_funnels(struct http_request *request)
{
    query_start(request, run);
}
