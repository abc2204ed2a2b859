/*
 * Pages. The first page runs the query; when the answer does not end with it, the list is kept as a session, and the
 * next pages are read from it. A session that is gone (the server was started anew, there were too many) is made again
 * under the text that the client knows, so that the pages after it agree with each other again.
 *
 * What the clients' loops need: `total` counts all profiles on every page, `page_size` is how many a page has at most,
 * session_id is a text on every page that has results, and a page behind the last has none.
 */
#include "api/engage_query.h"

#include "api/engage_params.h"
#include "api/profile_sessions.h"
#include "base/json.h"
#include "base/map.h"
#include "query/backend.h"

/* --- the answer --- */

struct page_sink {
    struct profile_sink base;
    struct buf *body;
    const struct engage_page *page;
    struct strmap wanted;
    bool any;
};

static enum status write_profile(struct profile_sink *base, const struct listed_profile *row, struct error *error)
{
    struct page_sink *sink = (struct page_sink *)base;
    struct buf *body = sink->body;
    bool first = true;
    (void)error;
    if (sink->any) buf_byte(body, ',');
    sink->any = true;
    buf_lit(body, "{\"$distinct_id\":");
    json_write_str(body, row->id);
    buf_lit(body, ",\"$properties\":{");
    for (size_t i = 0; i < row->property_count; i++) {
        const struct row_property *property = &row->properties[i];
        if (!sink->page->all_properties && !strmap_get(&sink->wanted, property->name->text)) continue;
        if (!first) buf_byte(body, ',');
        first = false;
        buf_str_add(body, property->name->json);
        value_write_json(body, property->value);
    }
    buf_lit(body, "}}");
    return STATUS_OK;
}

static enum status write_page(struct query_job *job, const struct engage_page *page, struct profile_list *list,
                              struct str session_text)
{
    struct page_sink sink = {.base.row = write_profile, .body = &job->body, .page = page};
    struct plan_limits limits = query_limits(job);
    enum status status = STATUS_OK;
    sink.wanted = STRMAP_INIT(page->property_count + 1);
    for (size_t i = 0; i < page->property_count && status == STATUS_OK; i++)
        status = strmap_put(&sink.wanted, page->properties[i], 1);
    query_body_init(job);
    buf_lit(&job->body, "{\"results\":[");
    if (status == STATUS_OK)
        status = profile_list_read(list, (uint64_t)(page->page * page->page_size), (uint64_t)page->page_size, &limits,
                                   &sink.base, &job->error);
    buf_printf(&job->body, "],\"page\":%lld,\"page_size\":%lld,\"total\":%llu,\"status\":\"ok\",\"session_id\":",
               (long long)page->page, (long long)page->page_size, (unsigned long long)list->count);
    if (sink.any)
        json_write_str(&job->body, session_text);
    else
        buf_lit(&job->body, "null");
    buf_byte(&job->body, '}');
    strmap_fini(&sink.wanted);
    if (status != STATUS_OK) {
        buf_fini(&job->body);
        return status;
    }
    return query_body_check(job, "use a smaller page_size, or name output_properties");
}

/* --- lists --- */

/* A page from a session that is there. */
static enum status answer_session(struct query_job *job, const struct engage_page *page,
                                  struct profile_session *session)
{
    enum status status = write_page(job, page, session->list, page->session_id);
    profile_session_done(job->api->sessions, session);
    return status;
}

/* A page of a list that is made for it, and kept when there is more of it. */
static enum status answer_anew(struct query_job *job, const struct engage_page *page, const struct profile_plan *plan,
                               bool as_of_given, uint64_t question)
{
    struct profile_sessions *sessions = job->api->sessions;
    struct executor *executor = job->api->executor;
    struct plan_limits limits = query_limits(job);
    char made[SESSION_TEXT_SIZE];
    struct str text = page->session_id;
    struct profile_list *list;
    TRY(executor->profiles->list(executor, plan, &limits, &job->error, &list));
    if (!text.data) {
        profile_session_text(job->now_ms, made);
        text = str_from(made, sizeof made);
    }
    if (list->count <= (uint64_t)page->page_size) {
        if (!page->session_id.data) engage_keep_answer(job, plan, as_of_given);
        enum status status = write_page(job, page, list, text);
        profile_list_free(list);
        return status;
    }
    struct profile_session *session =
        profile_sessions_put(sessions, plan->project, text, question, list, plan->as_of_ms, job->now_ms);
    if (!session) return error_set(&job->error, STATUS_LIMIT, "out of memory for a session");
    enum status status = write_page(job, page, session->list, text);
    profile_session_done(sessions, session);
    return status;
}

static enum status run_engage(struct query_job *job)
{
    struct engage_page page;
    struct profile_plan plan;
    bool as_of_given;
    uint64_t question = engage_question(&job->params);
    TRY(engage_read_page(job, &page));
    TRY(engage_read_plan(job, &plan, &as_of_given));
    TRY(engage_read_order(job, &plan));
    if (page.session_id.data) {
        struct profile_session *session =
            profile_sessions_get(job->api->sessions, plan.project, page.session_id, question, job->now_ms);
        if (session) return answer_session(job, &page, session);
    }
    if (page.page > 0 && plan.behavior_count && !as_of_given) {
        /* Counted until now they would be others than those of the pages before. */
        error_set(&job->error, STATUS_INVALID, "request for page in uncached query for params");
        error_hint(&job->error, "begin with page 0 again, or send as_of_timestamp with every page");
        return STATUS_INVALID;
    }
    return answer_anew(job, &page, &plan, as_of_given, question);
}

void api_engage_query(struct http_request *request)
{
    query_start(request, run_engage);
}
