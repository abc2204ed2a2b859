#pragma once
/*
 * What the reports of the Query API share (query.md §0 to §2 of the references, docs/api/): a plan is read from
 * parameters, asked of the executor, and a table of labels × buckets is written as Mixpanel's JSON or as CSV. All of it
 * on a worker thread; what is made lives in the request's arena or belongs to who asked for it.
 *
 * Every failure names the parameter.
 */
#include "api/query_job.h"
#include "query/frequency.h"
#include "query/result.h"
#include "query/retention.h"

/* --- reading: report_params.c --- */

/* A plan of the job's project, zone and time; the rest is zero. */
struct plan report_plan(const struct query_job *job);
/* `event`: one name, which must be given. */
enum status report_read_event(struct query_job *job, struct plan *plan) MUST_USE;
/* `event`: a JSON array of names, or one name by itself; each name once. None is refused when one is `required`,
 * otherwise it is any event. */
enum status report_read_events(struct query_job *job, bool required, struct plan *plan) MUST_USE;
/* The same of another parameter. */
enum status report_read_names(struct query_job *job, const char *parameter, bool required, const struct str **ret_names,
                              size_t *ret_count) MUST_USE;
/* `unit`, and either from_date and to_date, or `interval`: the last so many units, the current one included. With dates
 * and without `unit`, `interval` is the days of a bucket. */
enum status report_read_range(struct query_job *job, struct plan *plan) MUST_USE;
/* Whether any of from_date, to_date and interval is given: then report_read_range is to be called. */
bool report_has_range(const struct query_job *job);
/* The last so many days, today included. */
void report_last_days(struct plan *plan, int64_t days);
/* `type`: general (also when it is not given), unique, average. */
enum status report_read_type(struct query_job *job, struct plan *plan) MUST_USE;
/* `limit` of labels: at most query.labels_max. */
enum status report_read_limit(struct query_job *job, int64_t initial, int64_t max, struct plan *plan) MUST_USE;
/* `format`: json or csv. */
enum status report_read_format(struct query_job *job, bool *ret_csv) MUST_USE;
/* The name of a property that a parameter gives, which must be given: properties["…"], as an expression for a plan. */
enum status report_read_property(struct query_job *job, const char *parameter, struct str *ret_expression) MUST_USE;
/* Plans call their expressions by their own names, which are not always the parameters': what failed because of
 * `plan_name` failed because of `parameter`. */
enum status report_named(struct query_job *job, enum status status, const char *plan_name,
                         const char *parameter) MUST_USE;

/* The answer may be given again (query_job.h): with dates always, otherwise until the next of the plan's units begins;
 * UNIT_MINUTE stands for whoever looks at the clock. */
void report_keep_answer(struct query_job *job, enum plan_unit unit);

/* --- asking: report.c --- */

/* With the lookup tables and the profiles of groups as they are now. */
enum status report_segment(struct query_job *job, const struct plan *plan, struct segmentation *ret_result) MUST_USE;
/* TOP_VALUES and PROPERTIES. */
enum status report_top_values(struct query_job *job, const struct plan *plan, struct top_values *ret_result) MUST_USE;
enum status report_retention(struct query_job *job, const struct plan *plan, struct retention *ret_result) MUST_USE;
enum status report_frequency(struct query_job *job, const struct plan *plan, struct frequency *ret_result) MUST_USE;

/* --- writing: report_answer.c --- */

struct report_series {
    struct str label;
    const struct series *series; /* NULL: zeros */
};
/* Series over the buckets of an answer. */
struct report_table {
    const struct segmentation *result;
    const struct report_series *series;
    uint32_t count;
    uint32_t legend_size;
    bool sparse; /* buckets of nothing are left out of JSON */
};
/* The series of the answer as they are. */
enum status report_table(struct query_job *job, const struct segmentation *result,
                         struct report_table *ret_table) MUST_USE;
/* {"data":{"series":[…],"values":{…}},"legend_size":n}, or with `csv` a column a series and a line a bucket. */
enum status report_write(struct query_job *job, const struct report_table *table, bool csv) MUST_USE;
/* The same in parts, into job->body: `[…]` of the buckets' names; `{"<bucket>":n,…}` of one series. */
void report_write_buckets(struct buf *body, const struct segmentation *result);
void report_write_series(struct buf *body, const struct segmentation *result, const struct series *series, bool sparse);
void report_write_csv(struct query_job *job, const struct report_table *table);
/* `2019-10-07T23:02:11.666000+00:00`, in quotes. */
void report_write_time(struct buf *body, int64_t utc_ms);
