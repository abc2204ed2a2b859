#include "api/report.h"

#include "base/civil.h"
#include "base/json.h"
#include "base/utf8.h"
#include "expr/expr.h"

#define INTERVAL_MAX 100000
#define CUSTOM_EVENT "$custom_event:"

static enum status out_of_memory(struct query_job *job)
{
    return error_set(&job->error, STATUS_LIMIT, "request needs too much memory");
}

struct plan report_plan(const struct query_job *job)
{
    return (struct plan){
        .kind = PLAN_SEGMENT, .project = (uint64_t)job->project->id, .zone = job->zone, .now_ms = job->now_ms};
}

/* --- which events --- */

/* A custom event is a saved set of events and filters; to take its number for the name of an event would answer
 * something else than was asked. */
static enum status check_name(struct query_job *job, const char *parameter, struct str name)
{
    if (!str_starts(name, STR(CUSTOM_EVENT))) return STATUS_OK;
    error_set(&job->error, STATUS_INVALID, "Error in %s: there is no custom event \"" STR_FMT "\"", parameter,
              STR_ARG(str_slice(str_slice(name, strlen(CUSTOM_EVENT), name.size), 0, 100)));
    error_hint(&job->error, "name the events that it stands for");
    return STATUS_INVALID;
}

static enum status keep_names(struct query_job *job, const char *parameter, const struct str *names, size_t count,
                              const struct str **ret_names, size_t *ret_count)
{
    struct str *kept = arena_new_array(job->request->arena, struct str, count + 1);
    size_t kept_count = 0;
    if (!kept) return out_of_memory(job);
    for (size_t i = 0; i < count; i++) {
        size_t known = 0;
        TRY(check_name(job, parameter, names[i]));
        while (known < kept_count && !str_eq(kept[known], names[i])) known++;
        if (known == kept_count) kept[kept_count++] = names[i];
    }
    *ret_names = kept;
    *ret_count = kept_count;
    return STATUS_OK;
}

enum status report_read_event(struct query_job *job, struct plan *plan)
{
    struct str name = params_get(&job->params, "event");
    if (!name.data) return error_set(&job->error, STATUS_INVALID, "event is required");
    return keep_names(job, "event", &name, 1, &plan->events, &plan->event_count);
}

#define EVENTS_MAX 1000

enum status report_read_names(struct query_job *job, const char *parameter, bool required, const struct str **ret_names,
                              size_t *ret_count)
{
    struct str text = str_trim(params_get(&job->params, parameter));
    const struct str *names = &text;
    struct json one;
    size_t count = text.size > 0;
    if (str_starts(text, STR("["))) {
        TRY(params_texts(&job->params, parameter, job->request->arena, &job->error, &names, &count));
    } else if (str_starts(text, STR("\"")) && json_parse(job->request->arena, text, NULL, NULL, &one) == STATUS_OK) {
        text = one.string; /* what begins with a quote and is JSON is a string */
    }
    if (count == 0 && required) {
        error_set(&job->error, STATUS_INVALID, "%s is required", parameter);
        error_hint(&job->error, "send something like [\"Sign up\",\"Login\"]");
        return STATUS_INVALID;
    }
    if (count > EVENTS_MAX)
        return error_set(&job->error, STATUS_INVALID, "Error in %s: there are more than %d names", parameter,
                         EVENTS_MAX);
    return keep_names(job, parameter, names, count, ret_names, ret_count);
}

enum status report_read_events(struct query_job *job, bool required, struct plan *plan)
{
    return report_read_names(job, "event", required, &plan->events, &plan->event_count);
}

/* --- when --- */

static const char *const unit_names[] = {"minute", "hour", "day", "week", "month", NULL};

static void last_units(struct plan *plan, int64_t count)
{
    int64_t now = timezone_to_local_ms(plan->zone, plan->now_ms), today = floor_div(now, DAY_MS);
    int year, month, day;
    plan->to_day = today;
    switch (plan->unit) {
    case UNIT_MINUTE:
    case UNIT_HOUR: {
        int64_t cell = plan->unit == UNIT_MINUTE ? 60000 : HOUR_MS;
        plan->to_local_ms = (floor_div(now, cell) + 1) * cell;
        plan->from_local_ms = plan->to_local_ms - count * cell;
        plan->from_day = floor_div(plan->from_local_ms, DAY_MS);
        break;
    }
    case UNIT_WEEK: plan->from_day = today - civil_weekday(today) - 7 * (count - 1); break;
    case UNIT_MONTH: {
        civil_from_days(today, &year, &month, &day);
        int64_t months = (int64_t)year * 12 + month - count;
        plan->from_day = civil_to_days((int)floor_div(months, 12), (int)(months - floor_div(months, 12) * 12) + 1, 1);
        break;
    }
    default: plan->from_day = today - count + 1;
    }
}

void report_last_days(struct plan *plan, int64_t days)
{
    plan->to_day = floor_div(timezone_to_local_ms(plan->zone, plan->now_ms), DAY_MS);
    plan->from_day = plan->to_day - days + 1;
}

void report_keep_answer(struct query_job *job, enum plan_unit unit)
{
    bool dates = params_get(&job->params, "from_date").data || params_get(&job->params, "to_date").data;
    int64_t unit_ms = unit == UNIT_MINUTE ? 60000 : unit == UNIT_HOUR ? HOUR_MS : DAY_MS;
    query_keep_answer(job, dates ? INT64_MAX : query_next_local(job, unit_ms));
}

bool report_has_range(const struct query_job *job)
{
    const struct params *params = &job->params;
    return params_get(params, "from_date").data || params_get(params, "to_date").data ||
           params_get(params, "interval").data;
}

enum status report_read_range(struct query_job *job, struct plan *plan)
{
    const struct params *params = &job->params;
    struct error *error = &job->error;
    int unit;
    int64_t interval;
    TRY(params_choice(params, "unit", unit_names, UNIT_DAY, error, &unit));
    TRY(params_int(params, "interval", 1, INTERVAL_MAX, 0, error, &interval));
    plan->unit = (enum plan_unit)unit;
    bool dates = params_get(params, "from_date").data || params_get(params, "to_date").data;
    if (!dates && interval) {
        last_units(plan, interval);
        return STATUS_OK;
    }
    TRY(params_date(params, "from_date", error, &plan->from_day));
    TRY(params_date(params, "to_date", error, &plan->to_day));
    if (plan->from_day > plan->to_day)
        return error_set(error, STATUS_INVALID, "Error in from_date: it is later than to_date");
    if (interval && !params_get(params, "unit").data) {
        plan->unit = UNIT_DAYS;
        plan->interval_days = (unsigned)interval;
    }
    return STATUS_OK;
}

/* --- how --- */

enum status report_read_type(struct query_job *job, struct plan *plan)
{
    static const char *const types[] = {"general", "unique", "average", NULL};
    int type;
    TRY(params_choice(&job->params, "type", types, MEASURE_COUNT, &job->error, &type));
    plan->measure = (enum plan_measure)type;
    return STATUS_OK;
}

enum status report_read_limit(struct query_job *job, int64_t initial, int64_t max, struct plan *plan)
{
    int64_t limit;
    if (max > job->api->query.labels_max) max = job->api->query.labels_max;
    TRY(params_int(&job->params, "limit", 1, max, initial < max ? initial : max, &job->error, &limit));
    plan->limit = (uint32_t)limit;
    return STATUS_OK;
}

enum status report_read_format(struct query_job *job, bool *ret_csv)
{
    static const char *const formats[] = {"json", "csv", NULL};
    int format;
    TRY(params_choice(&job->params, "format", formats, 0, &job->error, &format));
    *ret_csv = format == 1;
    return STATUS_OK;
}

enum status report_read_property(struct query_job *job, const char *parameter, struct str *ret_expression)
{
    struct str name = params_get(&job->params, parameter);
    struct buf text = BUF_INIT(EXPR_TEXT_MAX);
    if (!name.data) return error_set(&job->error, STATUS_INVALID, "%s is required", parameter);
    if (!utf8_valid(name.data, name.size))
        return error_set(&job->error, STATUS_INVALID, "Error in %s: not valid UTF-8", parameter);
    buf_lit(&text, "properties[\"");
    for (size_t i = 0; i < name.size; i++) {
        if (name.data[i] == '"' || name.data[i] == '\\') buf_byte(&text, '\\');
        buf_byte(&text, name.data[i]);
    }
    buf_lit(&text, "\"]");
    bool fits = buf_status(&text) == STATUS_OK;
    struct str expression = fits ? arena_str(job->request->arena, buf_str(&text)) : STR_NULL;
    buf_fini(&text);
    if (!fits) return error_set(&job->error, STATUS_INVALID, "Error in %s: no property has a name so long", parameter);
    if (!expression.data) return out_of_memory(job);
    *ret_expression = expression;
    return STATUS_OK;
}

enum status report_named(struct query_job *job, enum status status, const char *plan_name, const char *parameter)
{
    struct error *error = &job->error;
    size_t size = strlen(plan_name);
    if (status == STATUS_OK || strncmp(error->primary, plan_name, size) != 0 || error->primary[size] != ':')
        return status;
    memmove(error->primary, error->primary + size + 2, sizeof error->primary - size - 2);
    error_prefix(error, "%s", parameter);
    return status;
}
