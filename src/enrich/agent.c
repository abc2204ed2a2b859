#include "enrich/agent.h"

#include "base/arena.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/map.h"
#include "base/number.h"
#include "enrich/agent_rules.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { SHARDS = 16, NAMES_MAX = 4096, NAMES_BYTES_MAX = 1 << 20 };

struct entry {
    uint64_t hash; /* 0: free */
    struct agent agent;
};

/* A part of the table, with what looking up needs: threads that know their answers do not meet those that search. */
struct shard {
    pthread_mutex_t lock;
    struct entry *entries;
    struct agent_scratch *scratch;
};

struct agents {
    struct shard shards[SHARDS];
    size_t entries_each;
    struct agent_rules *rules;
    pthread_mutex_t names_lock; /* of the two below */
    struct strmap names;        /* of browsers, systems and devices, each once */
    struct arena *texts;
};

struct agents *agents_new(size_t entries)
{
    struct agents *agents = calloc(1, sizeof *agents);
    if (!agents) return NULL;
    agents->entries_each = entries / SHARDS + 1;
    agents->names = STRMAP_INIT(NAMES_MAX);
    agents->texts = arena_new(NAMES_BYTES_MAX);
    pthread_mutex_init(&agents->names_lock, NULL);
    bool ok = agents->texts != NULL;
    for (size_t i = 0; i < SHARDS; i++) {
        struct shard *shard = &agents->shards[i];
        pthread_mutex_init(&shard->lock, NULL);
        shard->entries = calloc(agents->entries_each, sizeof *shard->entries);
        shard->scratch = agent_scratch_new();
        ok = ok && shard->entries && shard->scratch;
    }
    struct error error = ERROR_INIT;
    if (ok && agent_rules_load(agent_rules_data(), &error, &agents->rules) == STATUS_OK) return agents;
    if (ok) log_failure(LOG_ERROR, "cannot_load_user_agent_rules", &error);
    agents_free(agents);
    return NULL;
}

void agents_free(struct agents *agents)
{
    if (!agents) return;
    for (size_t i = 0; i < SHARDS; i++) {
        pthread_mutex_destroy(&agents->shards[i].lock);
        free(agents->shards[i].entries);
        agent_scratch_free(agents->shards[i].scratch);
    }
    pthread_mutex_destroy(&agents->names_lock);
    strmap_fini(&agents->names);
    arena_free(agents->texts);
    agent_rules_free(agents->rules);
    free(agents);
}

/* ---- names ---- */

struct name_pair {
    const char *ours, *theirs;
};

/* What uap-core calls by other names than Mixpanel's browser SDK, by the families themselves. */
static const struct name_pair browser_names[] = {
    {"Chrome", "Chrome Mobile"},
    {"Chrome", "Chrome Mobile WebView"},
    {"Chrome", "HeadlessChrome"},
    {"Chrome iOS", "Chrome Mobile iOS"},
    {"Firefox", "Firefox Mobile"},
    {"Internet Explorer", "IE"},
    {"Internet Explorer Mobile", "IE Mobile"},
    {"Microsoft Edge", "Edge"},
    {"Microsoft Edge", "Edge Mobile"},
    {"Mobile Safari", "Mobile Safari UI/WKWebView"},
    {"Opera", "Opera Mobile"},
    {"Facebook Mobile", "Facebook"},
    {"Android Mobile", "Android"},
    {"BlackBerry", "BlackBerry WebKit"},
};

static const struct name_pair system_names[] = {
    {"Linux", "Ubuntu"},
    {"Linux", "Fedora"},
    {"Linux", "Debian"},
    {"Linux", "Red Hat"},
    {"Linux", "CentOS"},
    {"Linux", "Gentoo"},
    {"Linux", "Linux Mint"},
    {"Linux", "Arch Linux"},
    {"Linux", "SUSE"},
    {"BlackBerry", "BlackBerry OS"},
    {"BlackBerry", "BlackBerry Tablet OS"},
};

static const char *name_of(const struct name_pair *pairs, size_t count, const char *theirs)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(pairs[i].theirs, theirs) == 0) return pairs[i].ours;
    }
    return theirs;
}

/* The text for good. Made-up User-Agents can hold names without end: after NAMES_MAX of them new ones are not told. */
static struct str intern(struct agents *agents, const char *text)
{
    struct str name = str_of(text), kept = STR_NULL;
    if (name.size == 0) return STR_NULL;
    pthread_mutex_lock(&agents->names_lock);
    const uint64_t *known = strmap_get(&agents->names, name);
    if (known) {
        kept = str_from((const char *)(uintptr_t)*known, name.size);
    } else {
        struct str copy = arena_str(agents->texts, name);
        if (copy.data && strmap_put(&agents->names, copy, (uint64_t)(uintptr_t)copy.data) == STATUS_OK) kept = copy;
    }
    pthread_mutex_unlock(&agents->names_lock);
    return kept;
}

/* ---- looking up ---- */

static double version_of(const struct agent_match *match)
{
    char text[40];
    double version;
    bool whole = match->major[0] && !match->minor[0];
    snprintf(text, sizeof text, whole ? "%s" : "%s.%s", match->major, match->minor);
    return match->major[0] && number_parse(str_of(text), &version) ? version : 0;
}

/* Devices as Mixpanel's browser SDK names them: Apple's by themselves, others by their system; none for computers. */
static const char *device_of(const char *family, const char *system)
{
    static const char *const told[] = {"iPhone", "iPad", "iPod"};
    for (size_t i = 0; i < sizeof told / sizeof told[0]; i++) {
        if (strncmp(family, told[i], strlen(told[i])) == 0) return i == 2 ? "iPod Touch" : told[i];
    }
    if (strcmp(system, "Android") == 0 || strcmp(system, "Windows Phone") == 0 || strcmp(system, "BlackBerry") == 0)
        return system;
    return "";
}

static struct agent search(struct agents *agents, struct agent_scratch *scratch, struct str text)
{
    struct agent agent = {.browser = STR_NULL, .system = STR_NULL, .device = STR_NULL};
    struct agent_match match, system = {.family = ""};
    if (agent_rules_match(agents->rules, scratch, AGENT_BROWSER, text, &match)) {
        agent.browser =
            intern(agents, name_of(browser_names, sizeof browser_names / sizeof browser_names[0], match.family));
        agent.browser_version = version_of(&match);
    }
    if (agent_rules_match(agents->rules, scratch, AGENT_SYSTEM, text, &system))
        agent.system =
            intern(agents, name_of(system_names, sizeof system_names / sizeof system_names[0], system.family));
    if (!agent_rules_match(agents->rules, scratch, AGENT_DEVICE, text, &match)) match.family[0] = '\0';
    agent.bot = strcmp(match.family, "Spider") == 0;
    agent.device = intern(agents, device_of(match.family, agent.system.data ? agent.system.data : ""));
    return agent;
}

struct agent agents_find(struct agents *agents, struct str user_agent)
{
    if (user_agent.size > AGENT_TEXT_MAX) user_agent.size = AGENT_TEXT_MAX;
    uint64_t hash = hash_str(user_agent) | 1;
    struct shard *shard = &agents->shards[hash >> 60];
    struct entry *entry = &shard->entries[(hash >> 1) % agents->entries_each];
    pthread_mutex_lock(&shard->lock);
    if (entry->hash != hash) *entry = (struct entry){hash, search(agents, shard->scratch, user_agent)};
    struct agent agent = entry->agent;
    pthread_mutex_unlock(&shard->lock);
    return agent;
}
