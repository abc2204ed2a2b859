#pragma once
/*
 * Calendar arithmetic in the proleptic Gregorian calendar, without time zones and without the C library's globals.
 * Days count from 1970-01-01; times are milliseconds since 1970-01-01T00:00:00, UTC or local as the caller says.
 */
#include "base/str.h"

#define DAY_MS  86400000LL
#define HOUR_MS 3600000LL

struct civil {
    int year, month, day, hour, minute, second, ms; /* month 1..12, day 1..31 */
};

static inline int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b != 0 && (a % b < 0) != (b < 0));
}

int64_t civil_to_days(int year, int month, int day);
void civil_from_days(int64_t days, int *ret_year, int *ret_month, int *ret_day);
int64_t civil_to_ms(const struct civil *civil);
struct civil civil_from_ms(int64_t ms);
bool civil_is_leap(int year);
int civil_month_days(int year, int month);
/* 0 Monday .. 6 Sunday */
static inline int civil_weekday(int64_t days)
{
    return (int)(((days + 3) % 7 + 7) % 7);
}

/* `YYYY-M[M]-D[D]`, years 1000..9999, a day that exists; the whole text must match. */
bool civil_parse_date(struct str text, int64_t *ret_days);
/* `YYYY-MM-DD[(T| )HH:MM[:SS[.fraction]]][Z|(+|-)HH[:]MM]`. *ret_has_zone says whether *ret_ms is UTC (true) or local.
 */
bool civil_parse_datetime(struct str text, int64_t *ret_ms, bool *ret_has_zone);
/* Writes `YYYY-MM-DD` (10 bytes) and returns 10; years outside 0..9999 are clamped. */
size_t civil_format_date(int64_t days, char out[10]);
/* `YYYY-MM-DD HH:MM:SS`, 19 bytes */
size_t civil_format_datetime(int64_t ms, char out[19]);
