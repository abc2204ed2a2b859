#pragma once
/*
 * Made-up product events for measuring: the same seed gives the same bytes on every machine.
 *
 * What is like real traffic: a few very active users and many quiet ones, half of whom leave again; newcomers all the
 * time; sessions whose events follow from each other (view, add to cart, check out, purchase); days and weeks with
 * their tides; 25 event names from 26 % down to 0.02 % of the events, cities, pages and prices with long tails.
 *
 * Who: users are numbered from 0. 15 % stay anonymous for ever, `linked` % are anonymous on a device until an event
 * `Log In` with both ids links it to them, if they come that often; some of these come back on a second device. The
 * others are known from their first event on. An anonymous event carries the device id as its distinct_id, so who it
 * belongs to is not in it.
 *
 * Events come in the order of time. Every day is made by itself, from the seed and the numbers of user and day, so
 * memory holds one day of events (about 32 bytes each) and 16 bytes a user, and a part of the days gives exactly the
 * bytes that stand for them in the whole.
 */
#include "base/buf.h"
#include "base/error.h"

#define BENCH_EVENTS_MAX UINT64_C(4000000000)
#define BENCH_DAYS_MAX   400
#define BENCH_LINKED_MAX 85
#define BENCH_FIRST_DAY  INT64_C(19723) /* 2024-01-01, a Monday: day 0 */

enum bench_profile {
    BENCH_SHOP, /* 12 properties, whole seconds */
    BENCH_WEB,  /* 25 properties like those that a web page's SDK sends, milliseconds */
};

struct bench_data {
    uint64_t events; /* exactly so many; 1 to BENCH_EVENTS_MAX */
    uint32_t users;  /* 0: a user for 20 events */
    uint32_t days;
    uint64_t seed;
    enum bench_profile profile;
    bool user_numbers; /* a member `user` beside `event` and `properties`: whose it turns out to be. Cairn ignores it */
    unsigned linked;   /* percent of the users, at most BENCH_LINKED_MAX */
    uint32_t from, to; /* only these days, [from, to); 0, 0: all */
};
#define BENCH_DATA_DEFAULT ((struct bench_data){.events = 1000000, .days = 90, .seed = 1, .linked = 30})

/* Where the bytes go: whole lines, some hundred KiB at a time. */
struct bench_sink {
    enum status (*write)(struct bench_sink *sink, struct str lines, struct error *error);
};

/* INVALID for what is wrong with `data`, LIMIT without memory, or what a sink returned. `events` gets one JSON object a
 * line, as Mixpanel's import takes it; `links`, which may be NULL, gets `device_id TAB user_id TAB user number` for
 * each event that links the two. */
enum status bench_generate(const struct bench_data *data, struct bench_sink *events, struct bench_sink *links,
                           struct error *error) MUST_USE;
