/*
 * A zone is a sorted list of transitions {instant, offset}. The footer's POSIX rule ("CET-1CEST,M3.5.0,M10.5.0/3") is
 * unrolled into explicit transitions from the last listed one up to the year 2500, which costs 16 KB a zone and leaves
 * one binary search as the only lookup. Beyond that the last offset holds.
 */
#include "base/timezone.h"

#include "base/buf.h"
#include "base/civil.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define YEAR_MAX       2500
#define FILE_BYTES_MAX ((size_t)1 << 20)

struct transition {
    int64_t at_ms;
    int64_t offset_ms; /* from at_ms on */
};

struct timezone_info {
    int64_t first_offset_ms; /* before the first transition */
    struct transition *transitions;
    size_t count, capacity;
    /* cache */
    struct timezone_info *next;
    char name[128];
};

static uint32_t be32(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}
static int64_t be64(const unsigned char *p)
{
    return (int64_t)((uint64_t)be32(p) << 32 | be32(p + 4));
}

static enum status add_transition(struct timezone_info *zone, int64_t at_ms, int64_t offset_ms)
{
    if (zone->count && at_ms <= zone->transitions[zone->count - 1].at_ms) {
        return at_ms == zone->transitions[zone->count - 1].at_ms ? STATUS_OK : STATUS_INVALID;
    }
    int64_t before = zone->count ? zone->transitions[zone->count - 1].offset_ms : zone->first_offset_ms;
    if (before == offset_ms) return STATUS_OK; /* only the name or the DST flag changed */
    if (zone->count == zone->capacity) {
        size_t capacity = zone->capacity ? zone->capacity * 2 : 64;
        struct transition *grown = realloc(zone->transitions, capacity * sizeof *grown);
        if (!grown) return STATUS_LIMIT;
        zone->transitions = grown;
        zone->capacity = capacity;
    }
    zone->transitions[zone->count++] = (struct transition){at_ms, offset_ms};
    return STATUS_OK;
}

/* --- the POSIX rule in the footer --- */

struct posix_date {
    char kind; /* 'M' month.week.day, 'J' day 1..365 without leap days, 'N' day 0..365 */
    int month, week, day;
    int64_t time_ms; /* local time of the change, may be negative or beyond a day */
};
struct posix_rule {
    int64_t standard_ms, daylight_ms;
    bool has_daylight;
    struct posix_date start, end;
};

static bool skip_name(struct str *s)
{
    size_t i = 0;
    if (s->size && s->data[0] == '<') {
        i = str_find_byte(*s, '>', 0);
        if (i == SIZE_MAX) return false;
        i++;
    } else {
        while (i < s->size && ((s->data[i] | 0x20) >= 'a' && (s->data[i] | 0x20) <= 'z')) i++;
        if (i < 3) return false;
    }
    *s = str_slice(*s, i, s->size);
    return true;
}

static bool take_number(struct str *s, int max, int *ret)
{
    int value = 0;
    size_t i = 0;
    while (i < s->size && i < 4 && s->data[i] >= '0' && s->data[i] <= '9') value = value * 10 + (s->data[i++] - '0');
    if (i == 0 || value > max) return false;
    *s = str_slice(*s, i, s->size);
    *ret = value;
    return true;
}

static bool take_byte(struct str *s, char c)
{
    if (!s->size || s->data[0] != c) return false;
    *s = str_slice(*s, 1, s->size);
    return true;
}

/* [+-]hh[:mm[:ss]] */
static bool take_time(struct str *s, int64_t *ret_ms)
{
    int64_t sign = 1;
    int hours, minutes = 0, seconds = 0;
    if (take_byte(s, '-'))
        sign = -1;
    else
        (void)take_byte(s, '+');
    if (!take_number(s, 167, &hours)) return false;
    if (take_byte(s, ':')) {
        if (!take_number(s, 59, &minutes)) return false;
        if (take_byte(s, ':') && !take_number(s, 59, &seconds)) return false;
    }
    *ret_ms = sign * (hours * HOUR_MS + minutes * 60000LL + seconds * 1000LL);
    return true;
}

static bool take_date(struct str *s, struct posix_date *ret)
{
    struct posix_date date = {.time_ms = 2 * HOUR_MS};
    if (take_byte(s, 'M')) {
        date.kind = 'M';
        if (!take_number(s, 12, &date.month) || !take_byte(s, '.') || !take_number(s, 5, &date.week) ||
            !take_byte(s, '.') || !take_number(s, 6, &date.day) || date.month < 1 || date.week < 1)
            return false;
    } else if (take_byte(s, 'J')) {
        date.kind = 'J';
        if (!take_number(s, 365, &date.day) || date.day < 1) return false;
    } else {
        date.kind = 'N';
        if (!take_number(s, 365, &date.day)) return false;
    }
    if (take_byte(s, '/') && !take_time(s, &date.time_ms)) return false;
    *ret = date;
    return true;
}

static bool parse_rule(struct str s, struct posix_rule *ret)
{
    struct posix_rule rule = {0};
    int64_t west;
    if (!skip_name(&s) || !take_time(&s, &west)) return false;
    rule.standard_ms = -west; /* POSIX counts offsets westwards */
    if (s.size) {
        rule.has_daylight = true;
        if (!skip_name(&s)) return false;
        rule.daylight_ms = rule.standard_ms + HOUR_MS;
        if (s.size && s.data[0] != ',') {
            if (!take_time(&s, &west)) return false;
            rule.daylight_ms = -west;
        }
        if (!take_byte(&s, ',') || !take_date(&s, &rule.start) || !take_byte(&s, ',') || !take_date(&s, &rule.end))
            return false;
    }
    if (s.size) return false;
    *ret = rule;
    return true;
}

static int64_t rule_local_ms(const struct posix_date *date, int year)
{
    int64_t days;
    if (date->kind == 'M') {
        int64_t first = civil_to_days(year, date->month, 1);
        int weekday = (civil_weekday(first) + 1) % 7; /* POSIX: 0 is Sunday */
        int day = 1 + (date->day - weekday + 7) % 7 + (date->week - 1) * 7;
        while (day > civil_month_days(year, date->month)) day -= 7;
        days = first + day - 1;
    } else if (date->kind == 'J') {
        days = civil_to_days(year, 1, 1) + date->day - 1 + (civil_is_leap(year) && date->day >= 60);
    } else {
        days = civil_to_days(year, 1, 1) + date->day;
    }
    return days * DAY_MS + date->time_ms;
}

static enum status unroll(struct timezone_info *zone, const struct posix_rule *rule)
{
    int64_t last = zone->count ? zone->transitions[zone->count - 1].at_ms : INT64_MIN;
    int year = zone->count ? civil_from_ms(last).year : 1970;
    if (!rule->has_daylight) {
        int64_t held = zone->count ? zone->transitions[zone->count - 1].offset_ms : zone->first_offset_ms;
        if (held == rule->standard_ms) return STATUS_OK;
        if (zone->count == 0) {
            zone->first_offset_ms = rule->standard_ms;
            return STATUS_OK;
        }
        return STATUS_OK; /* the listed transitions prevail */
    }
    if (year > YEAR_MAX) return STATUS_OK;
    for (; year <= YEAR_MAX; year++) {
        struct transition pair[2] = {
            {rule_local_ms(&rule->start, year) - rule->standard_ms, rule->daylight_ms},
            {rule_local_ms(&rule->end, year) - rule->daylight_ms, rule->standard_ms},
        };
        bool southern = pair[1].at_ms < pair[0].at_ms;
        for (int i = 0; i < 2; i++) {
            const struct transition *t = &pair[southern ? 1 - i : i];
            if (t->at_ms > last) TRY(add_transition(zone, t->at_ms, t->offset_ms));
        }
    }
    return STATUS_OK;
}

/* --- TZif --- */

struct counts {
    uint32_t isutc, isstd, leap, time, type, chars;
};

static bool read_header(struct str s, struct counts *ret)
{
    if (s.size < 44 || memcmp(s.data, "TZif", 4) != 0) return false;
    const unsigned char *p = (const unsigned char *)s.data + 20;
    *ret = (struct counts){be32(p), be32(p + 4), be32(p + 8), be32(p + 12), be32(p + 16), be32(p + 20)};
    return ret->time < 100000 && ret->type >= 1 && ret->type <= 256 && ret->chars < 100000 && ret->leap < 100000 &&
           ret->isutc <= 256 && ret->isstd <= 256;
}

static size_t body_size(const struct counts *c, size_t time_size)
{
    return c->time * (time_size + 1) + c->type * 6 + c->chars + c->leap * (time_size + 4) + c->isstd + c->isutc;
}

enum status timezone_parse(struct str bytes, struct error *error, struct timezone_info **ret_zone)
{
    struct counts counts;
    if (!read_header(bytes, &counts) || bytes.data[4] < '2')
        return error_set(error, STATUS_INVALID, "not a TZif file of version 2 or later");
    size_t skip = 44 + body_size(&counts, 4);
    struct str rest = str_slice(bytes, skip, bytes.size);
    if (skip > bytes.size || !read_header(rest, &counts) || rest.size - 44 < body_size(&counts, 8))
        return error_set(error, STATUS_INVALID, "TZif file is cut short");
    const unsigned char *times = (const unsigned char *)rest.data + 44;
    const unsigned char *types = times + (size_t)counts.time * 8;
    const unsigned char *infos = types + counts.time;
    struct timezone_info *zone = calloc(1, sizeof *zone);
    if (!zone) return error_set(error, STATUS_LIMIT, "out of memory for a time zone");
    zone->first_offset_ms = (int32_t)be32(infos) * 1000LL;
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < counts.time && status == STATUS_OK; i++) {
        int64_t at = be64(times + (size_t)i * 8);
        if (types[i] >= counts.type || at > INT64_MAX / 1000 || (i && at <= be64(times + (size_t)(i - 1) * 8))) {
            status = error_set(error, STATUS_INVALID, "TZif transition %u is malformed", i);
        } else if (at < INT64_MIN / 1000) {
            zone->first_offset_ms = (int32_t)be32(infos + (size_t)types[i] * 6) * 1000LL; /* "since the big bang" */
        } else {
            status = add_transition(zone, at * 1000, (int32_t)be32(infos + (size_t)types[i] * 6) * 1000LL);
        }
    }
    if (status == STATUS_OK) {
        struct str footer = str_slice(rest, 44 + body_size(&counts, 8), rest.size);
        if (footer.size > 2 && footer.data[0] == '\n') {
            size_t end = str_find_byte(footer, '\n', 1);
            struct posix_rule rule;
            struct str text = str_slice(footer, 1, end == SIZE_MAX ? footer.size : end);
            if (text.size && !parse_rule(text, &rule))
                status = error_set(error, STATUS_INVALID, "TZif footer is malformed");
            else if (text.size)
                status = unroll(zone, &rule);
        }
    }
    if (status != STATUS_OK) {
        timezone_free(zone);
        return status;
    }
    *ret_zone = zone;
    return STATUS_OK;
}

void timezone_free(struct timezone_info *zone)
{
    if (!zone) return;
    free(zone->transitions);
    free(zone);
}

const struct timezone_info *timezone_utc(void)
{
    static const struct timezone_info utc = {.name = "UTC"};
    return &utc;
}

struct str timezone_name(const struct timezone_info *zone)
{
    return str_of(zone->name);
}

static pthread_mutex_t cache_lock = PTHREAD_MUTEX_INITIALIZER;
static struct timezone_info *cache;

static enum status load(struct str name, struct error *error, struct timezone_info **ret_zone)
{
    bool plain = name.size > 0 && name.size < sizeof((struct timezone_info *)0)->name && name.data[0] != '/' &&
                 str_find(name, STR(".."), 0) == SIZE_MAX;
    for (size_t i = 0; i < name.size && plain; i++) {
        char c = name.data[i];
        plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || strchr("/_+-", c);
    }
    char path[512];
    const char *directory = getenv("CAIRN_ZONEINFO");
    snprintf(path, sizeof path, "%s/" STR_FMT, directory ? directory : "/usr/share/zoneinfo", STR_ARG(name));
    FILE *file = plain ? fopen(path, "rbe") : NULL;
    if (!file) {
        error_set(error, STATUS_INVALID, "unknown time zone \"" STR_FMT "\"", STR_ARG(name));
        error_hint(error,
                   "use an IANA name such as Europe/Berlin or America/New_York; the package tzdata must be installed");
        return STATUS_INVALID;
    }
    struct buf content = BUF_INIT(FILE_BYTES_MAX);
    char block[4096];
    size_t got;
    while ((got = fread(block, 1, sizeof block, file)) > 0) buf_add(&content, block, got);
    bool bad = ferror(file) || content.failed;
    fclose(file);
    enum status status = bad ? error_set(error, STATUS_INVALID, "cannot read time zone file %s", path)
                             : timezone_parse(buf_str(&content), error, ret_zone);
    if (status != STATUS_OK) error_prefix(error, "time zone \"" STR_FMT "\"", STR_ARG(name));
    buf_fini(&content);
    return status;
}

enum status timezone_load(struct str name, struct error *error, const struct timezone_info **ret_zone)
{
    if (str_is(name, "UTC")) {
        *ret_zone = timezone_utc();
        return STATUS_OK;
    }
    enum status status = STATUS_OK;
    pthread_mutex_lock(&cache_lock);
    struct timezone_info *zone = cache;
    while (zone && !str_eq(str_of(zone->name), name)) zone = zone->next;
    if (!zone) {
        status = load(name, error, &zone);
        if (status == STATUS_OK) {
            memcpy(zone->name, name.data, name.size);
            zone->next = cache;
            cache = zone;
        }
    }
    pthread_mutex_unlock(&cache_lock);
    if (status == STATUS_OK) *ret_zone = zone;
    return status;
}

/* Index of the first transition after utc_ms. */
static size_t after(const struct timezone_info *zone, int64_t utc_ms)
{
    size_t low = 0, high = zone->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (zone->transitions[middle].at_ms <= utc_ms)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

int64_t timezone_offset_ms(const struct timezone_info *zone, int64_t utc_ms)
{
    size_t next = after(zone, utc_ms);
    return next ? zone->transitions[next - 1].offset_ms : zone->first_offset_ms;
}

int64_t timezone_next_change_ms(const struct timezone_info *zone, int64_t utc_ms)
{
    size_t next = after(zone, utc_ms);
    return next < zone->count ? zone->transitions[next].at_ms : INT64_MAX;
}

int64_t timezone_to_utc_ms(const struct timezone_info *zone, int64_t local_ms)
{
    /* Offsets stay within a day, so the answer lies between these; take the earliest instant that reads local_ms. */
    size_t first = after(zone, local_ms - DAY_MS);
    int64_t offset = first ? zone->transitions[first - 1].offset_ms : zone->first_offset_ms;
    for (size_t i = first;; i++) {
        int64_t utc = local_ms - offset;
        if (i >= zone->count || utc < zone->transitions[i].at_ms) return utc;
        int64_t next = zone->transitions[i].offset_ms;
        /* utc is at or past the change: the time falls in the gap when it does not exist under the new offset either.
         */
        if (local_ms - next < zone->transitions[i].at_ms) return utc;
        offset = next;
    }
}
