#pragma once
/*
 * Where an IP address is, from a file in MaxMind's format (GeoLite2-City, GeoIP2-City, or another one with their
 * fields) that the operator gives. Without a file nobody is anywhere.
 *
 * Threads: all. geo_reload may run beside lookups: they see the old file or the new one.
 * Errors: INVALID for a file that is no such database, IO when it cannot be read.
 * The file is mapped: replace it by rename (as geoipupdate does), never in place.
 */
#include "base/error.h"
#include "base/str.h"

struct geo;

enum status geo_open(const char *path, struct error *error, struct geo **ret_geo) MUST_USE;
/* NULL is allowed. */
void geo_close(struct geo *geo);
/* Opens the path again. After a failure the old file stays in use. */
enum status geo_reload(struct geo *geo, struct error *error) MUST_USE;

/* NUL-terminated; empty where the file does not say. English names. */
struct geo_place {
    char city[96], region[96];
    char country[4];   /* ISO 3166-1 alpha-2 */
    char timezone[64]; /* "Europe/Berlin" */
};
/* False when the text is no address, or the file does not have it. NULL for `geo`: false. */
bool geo_find(struct geo *geo, struct str address, struct geo_place *ret_place);
