/* Local time by the C library, and the functions on it. */
#include "reference/operators.h"

#include <math.h>
#include <stdlib.h>
#include <time.h>

#define DAY_SECONDS 86400

static int64_t floor_by(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

void ref_set_zone(const char *zone)
{
    if (setenv("TZ", zone, 1) != 0) abort();
    tzset();
}

/* Seconds of the local clock since the local 1970-01-01. */
static int64_t local_seconds(int64_t utc_seconds)
{
    struct tm tm;
    time_t t = (time_t)utc_seconds;
    if (!localtime_r(&t, &tm)) abort();
    return utc_seconds + tm.tm_gmtoff;
}

struct ref_local ref_local(int64_t utc_ms)
{
    int64_t local = local_seconds(floor_by(utc_ms, 1000));
    int64_t day = floor_by(local, DAY_SECONDS), second = local - day * DAY_SECONDS;
    return (struct ref_local){.day = day, .hour = (int)(second / 3600), .minute = (int)(second / 60 % 60)};
}

int64_t ref_days(int year, int month, int day)
{
    struct tm tm = {.tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day};
    return floor_by((int64_t)timegm(&tm), DAY_SECONDS);
}

void ref_date(int64_t days, int *ret_year, int *ret_month, int *ret_day)
{
    struct tm tm;
    time_t t = (time_t)(days * DAY_SECONDS);
    if (!gmtime_r(&t, &tm)) abort();
    *ret_year = tm.tm_year + 1900;
    *ret_month = tm.tm_mon + 1;
    *ret_day = tm.tm_mday;
}

static int month_days(int year, int month)
{
    return (int)(ref_days(month == 12 ? year + 1 : year, month == 12 ? 1 : month + 1, 1) - ref_days(year, month, 1));
}

/* The first instant at which clocks show `local`; when they skip it, what the offset before the gap makes of
 * it. */
static int64_t to_utc(int64_t local)
{
    int64_t before = local_seconds(local - 2 * DAY_SECONDS) - (local - 2 * DAY_SECONDS);
    int64_t after = local_seconds(local + 2 * DAY_SECONDS) - (local + 2 * DAY_SECONDS);
    int64_t best = INT64_MAX;
    int64_t offsets[] = {before, after};
    for (size_t i = 0; i < 2; i++) {
        int64_t utc = local - offsets[i];
        if (local_seconds(utc) == local && utc < best) best = utc;
    }
    return best == INT64_MAX ? local - before : best;
}

/* --- reading ------------------------------------------------------------------------------------------ */

static bool digits(struct str *rest, size_t count, int *ret_number)
{
    int number = 0;
    if (rest->size < count) return false;
    for (size_t i = 0; i < count; i++) {
        if (rest->data[i] < '0' || rest->data[i] > '9') return false;
        number = number * 10 + rest->data[i] - '0';
    }
    *rest = str_slice(*rest, count, rest->size);
    *ret_number = number;
    return true;
}

static bool sign(struct str *rest, char byte)
{
    if (rest->size == 0 || rest->data[0] != byte) return false;
    *rest = str_slice(*rest, 1, rest->size);
    return true;
}

/* Z or an offset in seconds. */
static bool zone(struct str *rest, int64_t *ret_offset)
{
    int hour, minute;
    *ret_offset = 0;
    if (sign(rest, 'Z')) return true;
    bool negative = rest->size && rest->data[0] == '-';
    if (!sign(rest, '+') && !sign(rest, '-')) return false;
    if (!digits(rest, 2, &hour)) return false;
    sign(rest, ':');
    if (!digits(rest, 2, &minute) || hour > 23 || minute > 59) return false;
    *ret_offset = (hour * 3600 + minute * 60) * (negative ? -1 : 1);
    return true;
}

static bool read_datetime(struct str text, double *ret_seconds)
{
    int year, month, day, hour = 0, minute = 0, second = 0, ms = 0;
    int64_t offset = 0;
    bool has_zone = false;
    if (!digits(&text, 4, &year) || !sign(&text, '-') || !digits(&text, 2, &month) || !sign(&text, '-') ||
        !digits(&text, 2, &day))
        return false;
    if (year < 1 || month < 1 || month > 12 || day < 1 || day > month_days(year, month)) return false;
    if (sign(&text, 'T') || sign(&text, ' ')) {
        if (!digits(&text, 2, &hour) || !sign(&text, ':') || !digits(&text, 2, &minute)) return false;
        if (sign(&text, ':')) {
            if (!digits(&text, 2, &second)) return false;
            if (sign(&text, '.')) {
                int unit = 100, digit;
                if (!digits(&text, 1, &digit)) return false;
                do ms += digit * unit, unit /= 10;
                while (digits(&text, 1, &digit));
            }
        }
        if (hour > 23 || minute > 59 || second > 59) return false;
        if (text.size) {
            if (!zone(&text, &offset)) return false;
            has_zone = true;
        }
    }
    if (text.size) return false;
    int64_t local = ref_days(year, month, day) * DAY_SECONDS + hour * 3600 + minute * 60 + second;
    int64_t utc = has_zone ? local - offset : to_utc(local);
    *ret_seconds = ms ? (double)(utc * 1000 + ms) / 1000 : (double)utc;
    return true;
}

static struct ref_value datetime(struct ref_value v)
{
    double seconds;
    if (v.type == REF_NUMBER) return v;
    return v.type == REF_STRING && read_datetime(v.text, &seconds) ? ref_double(seconds) : ref_undefined;
}

/* --- differences -------------------------------------------------------------------------------------- */

static bool local_day(struct ref_value v, int64_t *ret_day)
{
    long double seconds;
    int year, month, day;
    v = datetime(v);
    if (!ref_number(v, &seconds) || fabsl(seconds) > 4e11L) return false;
    *ret_day = ref_local((int64_t)floorl(seconds) * 1000).day;
    ref_date(*ret_day, &year, &month, &day);
    return year >= 1 && year <= 9999;
}

/* The day `months` after a date, cut to the month's end. */
static int64_t add_months(int year, int month, int day, int64_t months)
{
    int64_t total = (int64_t)year * 12 + month - 1 + months;
    int to_year = (int)(total / 12), to_month = (int)(total % 12) + 1;
    int last = month_days(to_year, to_month);
    return ref_days(to_year, to_month, day < last ? day : last);
}

static struct ref_value datedif(struct ref_value start, struct ref_value end, struct ref_value unit)
{
    int64_t from, to;
    int y1, m1, d1, y2, m2, d2;
    if (unit.type != REF_STRING || !local_day(start, &from) || !local_day(end, &to) || to < from) return ref_undefined;
    ref_date(from, &y1, &m1, &d1);
    ref_date(to, &y2, &m2, &d2);
    int64_t months = (int64_t)(y2 - y1) * 12 + m2 - m1 - (d2 < d1);
    if (str_eq_nocase(unit.text, STR("D"))) return ref_int(to - from);
    if (str_eq_nocase(unit.text, STR("M"))) return ref_int(months);
    if (str_eq_nocase(unit.text, STR("Y"))) return ref_int(months / 12);
    if (str_eq_nocase(unit.text, STR("YM"))) return ref_int(months % 12);
    if (str_eq_nocase(unit.text, STR("MD"))) return ref_int(to - add_months(y1, m1, d1, months));
    if (str_eq_nocase(unit.text, STR("YD"))) return ref_int(to - add_months(y1, m1, d1, months / 12 * 12));
    return ref_undefined;
}

REF_STRICT(datetime)
{
    return datetime(args[0]);
}
REF_STRICT(datedif)
{
    return datedif(args[0], args[1], args[2]);
}
REF_STRICT(today)
{
    return ref_int(to_utc(ref_local(row->now_ms).day * DAY_SECONDS));
}
