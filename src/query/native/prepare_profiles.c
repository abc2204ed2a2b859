/*
 * Terms, labels and numbers that depend on one property of profiles alone. Its values are the same for all runs, so
 * they are evaluated once; the rows then need a look-up by code, like those of a column that is a dictionary, where the
 * code is that of the person: found once for all rows of a person in a vector, and spread over them.
 */
#include "query/native/survey.h"

#define VALUES_FREE 4096 /* values that are evaluated however few rows there are */

/* Not when there are more values than rows. */
static bool is_worth_it(const struct survey *survey, const struct joined_column *column)
{
    uint64_t rows = VALUES_FREE;
    for (size_t i = 0; i < survey->run_count; i++) rows += survey->runs[i].run.rows;
    return column->value_count <= rows;
}

static enum status load(struct survey *survey)
{
    uint32_t oldest = UINT32_MAX;
    for (size_t i = 0; i < survey->run_count; i++) {
        if (survey->runs[i].run.links_applied < oldest) oldest = survey->runs[i].run.links_applied;
    }
    return profile_join_load(&survey->profiles, survey->native, survey->snapshot, survey->plan->project, oldest,
                             survey->limits, survey->error);
}

enum status survey_prepare_profiles(struct survey *survey)
{
    struct worker *worker = &survey->workers[0];
    if (survey->profiles.count == 0) return STATUS_OK;
    TRY(load(survey));
    survey->profile_terms = arena_new_array(survey->arena, struct bound_term, survey->term_count + 1);
    if (!survey->profile_terms) return survey_out_of_memory(survey, survey->error);
    for (size_t i = 0; i < survey->term_count; i++) {
        const struct joined_column *column = columns_only_profile(worker->term_columns[i]);
        struct bound_term *term = &survey->profile_terms[i];
        *term = (struct bound_term){.form = TERM_EVAL, .property = PROPERTY_ID_NONE, .profile = column};
        if (!column) continue;
        term->code_count = column->value_count;
        if (is_worth_it(survey, column))
            term->keep = worker_keep_values(worker, i, column->values, column->value_count);
        if (term->keep) term->form = TERM_TABLE;
    }
    const struct joined_column *on = survey->on ? columns_only_profile(worker->on_columns) : NULL;
    if (on) {
        struct bound_labels *labels = &survey->profile_labels;
        *labels = (struct bound_labels){
            .form = SOURCE_ROWS, .property = PROPERTY_ID_NONE, .profile = on, .code_count = on->value_count};
        if (is_worth_it(survey, on))
            labels->labels =
                worker_label_values(worker, worker->on_state, &survey->labels, on->values, on->value_count);
        if (labels->labels) labels->form = SOURCE_TABLE;
    }
    const struct joined_column *of = survey->of ? columns_only_profile(worker->of_columns) : NULL;
    if (of) {
        struct bound_numbers *numbers = &survey->profile_numbers;
        *numbers = (struct bound_numbers){
            .form = SOURCE_ROWS, .property = PROPERTY_ID_NONE, .profile = of, .code_count = of->value_count};
        if (is_worth_it(survey, of)) numbers->numbers = worker_number_values(worker, of->values, of->value_count);
        if (numbers->numbers) numbers->form = SOURCE_TABLE;
    }
    return STATUS_OK;
}

enum status worker_codes(struct worker *worker, uint32_t property, const struct joined_column *profile,
                         const uint32_t **ret_codes)
{
    if (!profile) return scan_codes(worker->scan, property, &worker->error, ret_codes);
    *ret_codes = worker->profile_codes;
    return joined_codes(profile, worker->scan, &worker->error, worker->profile_codes);
}

enum status worker_codes16(struct worker *worker, uint32_t property, const struct joined_column *profile,
                           uint32_t code_count, uint16_t ret_codes[VECTOR_ROWS_MAX])
{
    const uint32_t *codes;
    if (!profile) return scan_codes16(worker->scan, property, code_count, &worker->error, ret_codes);
    TRY(worker_codes(worker, property, profile, &codes));
    for (uint32_t i = 0; i < worker->rows; i++) ret_codes[i] = (uint16_t)codes[i];
    for (uint32_t i = worker->rows; i < VECTOR_ROWS_MAX; i++) ret_codes[i] = 0;
    return STATUS_OK;
}
