#include "base/civil.h"

/* The algorithms count years from 1 March, so that the leap day is the last of the year, and work in 400-year eras of
 * 146097 days. */
int64_t civil_to_days(int year, int month, int day)
{
    int64_t y = (int64_t)year - (month <= 2);
    int64_t era = floor_div(y, 400);
    int64_t year_of_era = y - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

void civil_from_days(int64_t days, int *ret_year, int *ret_month, int *ret_day)
{
    int64_t z = days + 719468;
    int64_t era = floor_div(z, 146097);
    int64_t day_of_era = z - era * 146097;
    int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t m = (5 * day_of_year + 2) / 153;
    *ret_day = (int)(day_of_year - (153 * m + 2) / 5 + 1);
    *ret_month = (int)(m < 10 ? m + 3 : m - 9);
    *ret_year = (int)(year_of_era + era * 400 + (*ret_month <= 2));
}

int64_t civil_to_ms(const struct civil *c)
{
    return civil_to_days(c->year, c->month, c->day) * DAY_MS + c->hour * HOUR_MS + c->minute * 60000LL +
           c->second * 1000LL + c->ms;
}

struct civil civil_from_ms(int64_t ms)
{
    struct civil c;
    int64_t days = floor_div(ms, DAY_MS), rest = ms - days * DAY_MS;
    civil_from_days(days, &c.year, &c.month, &c.day);
    c.hour = (int)(rest / HOUR_MS);
    c.minute = (int)(rest / 60000 % 60);
    c.second = (int)(rest / 1000 % 60);
    c.ms = (int)(rest % 1000);
    return c;
}

bool civil_is_leap(int year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

int civil_month_days(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return days[month - 1] + (month == 2 && civil_is_leap(year));
}

/* Reads digits_min..digits_max digits at *at. */
static bool digits(struct str s, size_t *at, int digits_min, int digits_max, int *ret)
{
    int count = 0, value = 0;
    while (count < digits_max && *at < s.size && s.data[*at] >= '0' && s.data[*at] <= '9') {
        value = value * 10 + (s.data[(*at)++] - '0');
        count++;
    }
    if (count < digits_min) return false;
    *ret = value;
    return true;
}

static bool byte(struct str s, size_t *at, char c)
{
    if (*at >= s.size || s.data[*at] != c) return false;
    (*at)++;
    return true;
}

static bool date(struct str s, size_t *at, int short_min, int64_t *ret_days)
{
    int year, month, day;
    if (!digits(s, at, 4, 4, &year) || !byte(s, at, '-') || !digits(s, at, short_min, 2, &month) || !byte(s, at, '-') ||
        !digits(s, at, short_min, 2, &day))
        return false;
    if (year < 1000 || month < 1 || month > 12 || day < 1 || day > civil_month_days(year, month)) return false;
    *ret_days = civil_to_days(year, month, day);
    return true;
}

bool civil_parse_date(struct str text, int64_t *ret_days)
{
    size_t at = 0;
    int64_t days;
    if (!date(text, &at, 1, &days) || at != text.size) return false;
    *ret_days = days;
    return true;
}

bool civil_parse_datetime(struct str text, int64_t *ret_ms, bool *ret_has_zone)
{
    size_t at = 0;
    int64_t days, ms = 0;
    bool zone = false;
    if (!date(text, &at, 2, &days)) return false;
    if (at < text.size && (text.data[at] == 'T' || text.data[at] == ' ' || text.data[at] == 't')) {
        int hour, minute, second = 0;
        at++;
        if (!digits(text, &at, 2, 2, &hour) || !byte(text, &at, ':') || !digits(text, &at, 2, 2, &minute)) return false;
        if (byte(text, &at, ':')) {
            if (!digits(text, &at, 2, 2, &second)) return false;
            if (byte(text, &at, '.')) {
                int64_t scale = 100;
                size_t start = at;
                while (at < text.size && text.data[at] >= '0' && text.data[at] <= '9') {
                    ms += (text.data[at++] - '0') * scale;
                    scale /= 10;
                }
                if (at == start) return false;
            }
        }
        if (hour > 23 || minute > 59 || second > 60) return false;
        ms += hour * HOUR_MS + minute * 60000LL + second * 1000LL;
        if (byte(text, &at, 'Z') || byte(text, &at, 'z')) {
            zone = true;
        } else if (at < text.size && (text.data[at] == '+' || text.data[at] == '-')) {
            int sign = text.data[at++] == '-' ? -1 : 1, hours, minutes = 0;
            if (!digits(text, &at, 2, 2, &hours)) return false;
            bool colon = byte(text, &at, ':');
            if ((colon || at < text.size) && !digits(text, &at, 2, 2, &minutes)) return false;
            if (hours > 23 || minutes > 59) return false;
            ms -= sign * (hours * HOUR_MS + minutes * 60000LL);
            zone = true;
        }
    }
    if (at != text.size) return false;
    *ret_ms = days * DAY_MS + ms;
    *ret_has_zone = zone;
    return true;
}

static void two(char *out, int value)
{
    out[0] = (char)('0' + value / 10 % 10);
    out[1] = (char)('0' + value % 10);
}

size_t civil_format_date(int64_t days, char out[10])
{
    int year, month, day;
    civil_from_days(days, &year, &month, &day);
    if (year < 0) year = 0;
    if (year > 9999) year = 9999;
    two(out, year / 100);
    two(out + 2, year % 100);
    out[4] = out[7] = '-';
    two(out + 5, month);
    two(out + 8, day);
    return 10;
}

size_t civil_format_datetime(int64_t ms, char out[19])
{
    struct civil c = civil_from_ms(ms);
    civil_format_date(floor_div(ms, DAY_MS), out);
    out[10] = ' ';
    two(out + 11, c.hour);
    out[13] = out[16] = ':';
    two(out + 14, c.minute);
    two(out + 17, c.second);
    return 19;
}
