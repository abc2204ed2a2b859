#pragma once
/*
 * What a User-Agent tells: browser, system, device, and whether it is a machine that crawls. The names are those that
 * Mixpanel's browser SDK gives ("Mobile Safari", "Internet Explorer", "Mac OS X"), so that events of servers and of
 * browsers fall under the same labels; what it has no name for keeps the name that uap-core gives.
 *
 * Answers are remembered by the User-Agent's hash, in a table of fixed size: a site sees the same few thousand all the
 * time, and looking a new one up takes some tens of microseconds.
 *
 * Threads: all.
 */
#include "base/error.h"
#include "base/str.h"

struct agents;

/* Loads the rules, which takes some tens of milliseconds. NULL when memory refuses. `entries` answers are remembered,
 * at least 16. */
struct agents *agents_new(size_t entries) MUST_USE;
void agents_free(struct agents *agents);

struct agent {
    struct str browser, system, device; /* NULL data: not told; good as long as the agents */
    double browser_version;             /* 0: not told */
    bool bot;
};
/* Never fails: what is not known is not told. */
struct agent agents_find(struct agents *agents, struct str user_agent);
