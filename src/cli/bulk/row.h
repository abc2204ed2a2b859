#pragma once
/*
 * A row of CSV as an event: {"event":…,"properties":{…}}. A cell is true or false, a number, or a text; an empty one is
 * not there. A number is what JSON writes so (a leading zero makes a text: postcodes are no numbers). The time may be
 * seconds or milliseconds since 1970, or an ISO date and time, in UTC where no zone is given.
 */
#include "cli/bulk/input.h"

#define ROW_COLUMNS_MAX 1000u

struct row_maker;
/* From the header. INVALID when it lacks the columns for event and time, or names one twice. The texts are copied. */
enum status row_maker_new(const char *file, const struct input_options *options, const struct str *header,
                          uint32_t count, struct error *error, struct row_maker **ret_maker) MUST_USE;
void row_maker_free(struct row_maker *maker);
/* Good until the next call. *ret_wrong is set, and the text is the row's own, when it makes no event. */
struct str row_make(struct row_maker *maker, const struct str *fields, uint32_t count, const char **ret_wrong);
