#pragma once
/* What the native executor answers about profiles: profile_list.c, profile_numbers.c, profile_survey.c,
 * profile_revenue.c. */
#include "query/profiles.h"

extern const struct profile_functions native_profiles;

enum status native_profile_list(struct executor *executor, const struct profile_plan *plan,
                                const struct plan_limits *limits, struct error *error, struct profile_list **ret_list);
enum status native_profile_numbers(struct executor *executor, const struct profile_plan *plan, struct str of,
                                   double percentile, const struct plan_limits *limits, struct error *error,
                                   struct profile_numbers *ret_numbers);
enum status native_profile_properties(struct executor *executor, const struct profile_plan *plan,
                                      const struct plan_limits *limits, struct error *error,
                                      struct profile_properties *ret_properties);
enum status native_profile_revenue(struct executor *executor, const struct profile_plan *plan,
                                   const struct revenue_plan *revenue, const struct plan_limits *limits,
                                   struct error *error, struct profile_revenue *ret_revenue);
