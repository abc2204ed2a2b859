#pragma once
/*
 * The rules of uap-core (https://github.com/ua-parser/uap-core, Apache-2.0): three lists of regular expressions, of
 * which the first that matches tells the browser, the system and the device. The data is that of Debian's package,
 * built into the program. Private to enrich/.
 *
 * Most rules need some text to be in the User-Agent, word for word: `prefilter` in the essay of agent_rules.c. So a
 * match is mostly a search for short texts, and few expressions are ever run.
 *
 * Ownership: rules are read-only once loaded and may be shared by all threads; a scratch belongs to one thread at a
 * time.
 */
#include "base/error.h"
#include "base/str.h"

enum agent_list { AGENT_BROWSER, AGENT_SYSTEM, AGENT_DEVICE, AGENT_LISTS };
#define AGENT_TEXT_MAX 1024 /* bytes of a User-Agent that are looked at */
#define AGENT_NAME_MAX 128  /* of a name with its NUL */

struct agent_rules;
struct agent_scratch;

/* Reads the YAML text. INVALID for what is no rules, LIMIT when memory refuses. */
enum status agent_rules_load(struct str yaml, struct error *error, struct agent_rules **ret_rules) MUST_USE;
void agent_rules_free(struct agent_rules *rules);
struct agent_scratch *agent_scratch_new(void); /* NULL when memory refuses */
void agent_scratch_free(struct agent_scratch *scratch);

struct agent_match {
    char family[AGENT_NAME_MAX];
    char major[16], minor[16]; /* of the browser; empty: not told */
};
/* Whether a rule of the list matches; `text` is at most AGENT_TEXT_MAX bytes. Its match is in *ret_match. */
bool agent_rules_match(const struct agent_rules *rules, struct agent_scratch *scratch, enum agent_list list,
                       struct str text, struct agent_match *ret_match);
/* How many rules there are, and how many have to be run for every text. */
void agent_rules_count(const struct agent_rules *rules, size_t *ret_count, size_t *ret_unfiltered);

/* The text of the rules that are built in. */
struct str agent_rules_data(void);
