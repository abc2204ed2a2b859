#pragma once
/*
 * IANA time zones, read from the system's TZif files (RFC 8536, versions 2 to 4) including the POSIX rule in their
 * footer, so that dates beyond the last listed transition are right too. Nothing here depends on TZ or on the C
 * library's time functions.
 *
 * A loaded zone is immutable, cached for the life of the process and may be used from any thread.
 */
#include "base/error.h"
#include "base/str.h"

struct timezone_info;

/* The directory is $CAIRN_ZONEINFO or /usr/share/zoneinfo. INVALID for a name that is no zone ("UTC" always works). */
enum status timezone_load(struct str name, struct error *error, const struct timezone_info **ret_zone) MUST_USE;
/* For tests and fuzzing: parses TZif bytes; free with timezone_free. */
enum status timezone_parse(struct str bytes, struct error *error, struct timezone_info **ret_zone) MUST_USE;
void timezone_free(struct timezone_info *zone);
const struct timezone_info *timezone_utc(void);
/* The name it was loaded by; empty for a zone from timezone_parse. */
struct str timezone_name(const struct timezone_info *zone);

/* Offset from UTC (local = utc + offset) in ms at a UTC instant. */
int64_t timezone_offset_ms(const struct timezone_info *zone, int64_t utc_ms);
static inline int64_t timezone_to_local_ms(const struct timezone_info *zone, int64_t utc_ms)
{
    return utc_ms + timezone_offset_ms(zone, utc_ms);
}
/* The UTC instant of a wall-clock time. A time that occurs twice (clocks go back) gives the first occurrence; one that
 * does not occur (clocks go forward) gives the instant as if the offset before the gap still held. */
int64_t timezone_to_utc_ms(const struct timezone_info *zone, int64_t local_ms);
/* The first instant after utc_ms at which the offset changes; INT64_MAX when there is none (within 400 years). */
int64_t timezone_next_change_ms(const struct timezone_info *zone, int64_t utc_ms);
