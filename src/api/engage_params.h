#pragma once
/* What the engage queries read from their parameters. Every failure names the parameter. */
#include "api/query_job.h"
#include "query/profiles.h"

/* Which profiles: data_group_id, where (or selector), distinct_id, distinct_ids, search, behaviors, as_of_timestamp,
 * filter_by_cohort. *ret_as_of_given: the client said until when behaviours are counted. */
enum status engage_read_plan(struct query_job *job, struct profile_plan *ret_plan, bool *ret_as_of_given) MUST_USE;

/* The answer may be given again, unless it is about what people have done until now. */
void engage_keep_answer(struct query_job *job, const struct profile_plan *plan, bool as_of_given);

/* How they are given. */
struct engage_page {
    int64_t page, page_size;
    struct str session_id; /* NULL data: none */
    bool all_properties;
    const struct str *properties;
    size_t property_count;
};
/* page, page_size, limit, session_id, output_properties. */
enum status engage_read_page(struct query_job *job, struct engage_page *ret_page) MUST_USE;
/* sort_key, sort_order. */
enum status engage_read_order(struct query_job *job, struct profile_plan *plan) MUST_USE;

/* A number that tells the question from others: all parameters that decide which profiles are in the answer and in
 * which order. 0 when none of them is given. */
uint64_t engage_question(const struct params *params);
