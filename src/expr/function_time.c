#include <math.h>

#include "base/civil.h"
#include "base/timezone.h"
#include "expr/function.h"

/* Instants are numbers of seconds; calendar questions are asked of the local day in the project's time zone. */

#define SECONDS_MIN (-62135596800.0) /* 0001-01-01 */
#define SECONDS_MAX 253402300799.0   /* 9999-12-31T23:59:59 */

/* The milliseconds (UTC) of a datetime text (decision 36). */
static bool text_ms(const struct expr_context *context, struct str text, int64_t *ret_ms)
{
    int64_t ms;
    bool has_zone = false;
    if (!civil_parse_datetime(text, &ms, &has_zone)) return false;
    *ret_ms = has_zone ? ms : timezone_to_utc_ms(context->zone, ms);
    return true;
}

static struct value seconds_of_ms(int64_t ms)
{
    return ms % 1000 ? expr_number((double)ms / 1000) : value_int(ms / 1000);
}

bool expr_seconds(const struct expr_context *context, struct value v, double *ret_seconds)
{
    int64_t ms;
    if (v.type != VALUE_STRING) return value_double(v, ret_seconds);
    if (!text_ms(context, value_text(v), &ms)) return false;
    *ret_seconds = (double)ms / 1000;
    return true;
}

struct value expr_run_datetime(struct expr_call *call, const struct value *args, uint32_t count)
{
    (void)count;
    int64_t ms;
    if (args[0].type != VALUE_STRING) return args[0];
    return text_ms(call->context, value_text(args[0]), &ms) ? seconds_of_ms(ms) : value_absent();
}

/* The local day of a time, in days since 1970. */
static bool local_day(const struct expr_context *context, struct value v, int64_t *ret_day)
{
    double seconds;
    if (!expr_seconds(context, v, &seconds) || !(seconds >= SECONDS_MIN && seconds <= SECONDS_MAX)) return false;
    *ret_day = floor_div(timezone_to_local_ms(context->zone, (int64_t)floor(seconds * 1000)), DAY_MS);
    return true;
}

/* The day `months` after the date, cut to the length of its month. */
static int64_t add_months(int year, int month, int day, int64_t months)
{
    int64_t total = (int64_t)year * 12 + (month - 1) + months;
    int to_year = (int)floor_div(total, 12), to_month = (int)(total - floor_div(total, 12) * 12) + 1;
    int days = civil_month_days(to_year, to_month);
    return civil_to_days(to_year, to_month, day < days ? day : days);
}

struct value expr_run_datedif(struct expr_call *call, const struct value *args, uint32_t count)
{
    (void)count;
    int64_t start, end;
    int year, month, day, end_year, end_month, end_day;
    struct str unit = value_text(args[2]);
    if (!local_day(call->context, args[0], &start) || !local_day(call->context, args[1], &end) || end < start) {
        return value_absent();
    }
    civil_from_days(start, &year, &month, &day);
    civil_from_days(end, &end_year, &end_month, &end_day);
    int64_t months = ((int64_t)end_year - year) * 12 + (end_month - month) - (end_day < day);
    if (str_eq_nocase(unit, STR("D"))) return value_int(end - start);
    if (str_eq_nocase(unit, STR("M"))) return value_int(months);
    if (str_eq_nocase(unit, STR("Y"))) return value_int(months / 12);
    if (str_eq_nocase(unit, STR("YM"))) return value_int(months % 12);
    if (str_eq_nocase(unit, STR("MD"))) return value_int(end - add_months(year, month, day, months));
    if (str_eq_nocase(unit, STR("YD"))) return value_int(end - add_months(year, month, day, months / 12 * 12));
    return value_absent();
}

struct value expr_run_today(struct expr_call *call, const struct value *args, uint32_t count)
{
    (void)args, (void)count;
    const struct expr_context *context = call->context;
    int64_t day = floor_div(timezone_to_local_ms(context->zone, context->now_ms), DAY_MS);
    return seconds_of_ms(timezone_to_utc_ms(context->zone, day * DAY_MS));
}
