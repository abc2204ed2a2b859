#pragma once
/*
 * `cairn export --url`: the events of a server, over its /export, a day at a time. Into a folder each day is a file of
 * its own, which appears when it is complete; the days that are there already are left out, so that the same command
 * goes on where an earlier one stopped.
 */
#include "base/error.h"
#include "base/str.h"

struct export_url {
    const char *url, *credentials; /* NAME:SECRET, or a project's secret */
    int64_t project;               /* 0: not said */
    int64_t from_day, to_day;      /* inclusive, as the server counts days */
    const struct str *events;
    size_t event_count;
    const char *where; /* NULL: none */
    const char *out;   /* "-", a file, or a folder: it ends with a slash, or is there already */
    uint64_t patience_ms;
    bool quiet;
};
struct export_url_result {
    uint64_t events, bytes, days, days_there;
};
/* INVALID for what the server refuses, DENIED for credentials, UNAVAILABLE when it cannot be reached for longer than
 * the patience, IO for files. */
enum status export_url(const struct export_url *options, struct error *error,
                       struct export_url_result *ret_result) MUST_USE;
