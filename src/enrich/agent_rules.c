/*
 * Matching a User-Agent against a thousand regular expressions, one after the other, would cost a third of a
 * millisecond.
 *
 * The prefilter. From each expression a text is taken that every match contains: the longest run of plain characters
 * that stands outside of alternatives and of what may be left out. `(Chrome)/(\d+)` needs "Chrome";
 * `Foo(?:bar|baz)?Quxx` needs "Foo" and "Quxx", of which the longer is searched for; `(a|b)\d` needs nothing that is
 * known here, and is always run. The reader below only understands what it must: what it does not understand ends a
 * run, which can only make the text shorter, and an alternative at the outermost level gives up. That a text is needed
 * is tested with all of uap-core's own cases, with and without the filter.
 *
 * An expression that ignores case is searched for in a copy of the User-Agent in lower case.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "enrich/agent_rules.h"

#include "base/yaml.h"

#include <ctype.h>
#include <pcre2.h>
#include <stdlib.h>

enum { LITERAL_MAX = 48, GROUPS = 10, STEPS_MAX = 20000, YAML_BYTES_MAX = 64 << 20 };

struct rule {
    pcre2_code *code;
    char *family, *major, *minor; /* replacements; NULL: the groups 1, 2 and 3 */
    char literal[LITERAL_MAX];    /* that a match contains */
    uint8_t literal_size;         /* 0: none is known */
    bool ignores_case;            /* then the literal is in lower case */
};

struct agent_rules {
    struct rule *rules[AGENT_LISTS];
    size_t counts[AGENT_LISTS];
};

struct agent_scratch {
    unsigned groups; /* of the last match: further ones are not there */
    pcre2_match_data *data;
    pcre2_match_context *context;
    pcre2_jit_stack *stack;
};

/* ---- the prefilter ---- */

struct reading {
    const char *at, *end;
    char run[LITERAL_MAX], best[LITERAL_MAX];
    size_t run_size, best_size;
};

static void run_end(struct reading *reading)
{
    if (reading->run_size > reading->best_size) {
        memcpy(reading->best, reading->run, reading->run_size);
        reading->best_size = reading->run_size;
    }
    reading->run_size = 0;
}

/* Behind the bracket that closes the class or group which begins at `at`. */
static const char *class_end(const char *at, const char *end)
{
    at++;
    if (at < end && *at == '^') at++;
    if (at < end && *at == ']') at++;
    for (; at < end && *at != ']'; at++) at += *at == '\\';
    return at < end ? at + 1 : end;
}

static const char *group_end(const char *at, const char *end, bool *ret_alternatives)
{
    int depth = 0;
    *ret_alternatives = false;
    while (at < end) {
        if (*at == '\\') {
            at += 2;
        } else if (*at == '[') {
            at = class_end(at, end);
        } else {
            if (*at == '|') *ret_alternatives = true;
            if (*at == '(') depth++;
            if (*at == ')' && --depth == 0) return at + 1;
            at++;
        }
    }
    return end;
}

/* What follows an item: it may be left out, or come more often, or neither. */
enum often { OFTEN_ONCE, OFTEN_MORE, OFTEN_PERHAPS };
static enum often quantifier(struct reading *reading)
{
    if (reading->at >= reading->end) return OFTEN_ONCE;
    char c = *reading->at;
    if (c != '?' && c != '*' && c != '+' && c != '{') return OFTEN_ONCE;
    bool none =
        c != '+' && !(c == '{' && reading->at + 1 < reading->end && reading->at[1] >= '1' && reading->at[1] <= '9');
    if (c == '{')
        while (reading->at < reading->end && *reading->at != '}') reading->at++;
    if (reading->at < reading->end) reading->at++;
    if (reading->at < reading->end && (*reading->at == '?' || *reading->at == '+'))
        reading->at++; /* lazy, possessive */
    return none ? OFTEN_PERHAPS : OFTEN_MORE;
}

static void literal_add(struct reading *reading, char c)
{
    enum often often = quantifier(reading);
    if (often == OFTEN_PERHAPS || reading->run_size == LITERAL_MAX) run_end(reading);
    if (often != OFTEN_PERHAPS) reading->run[reading->run_size++] = c;
    if (often == OFTEN_MORE) run_end(reading);
}

static void other(struct reading *reading)
{
    run_end(reading);
    (void)quantifier(reading);
}

/* Reads up to the end, or to the bracket that closes the group at hand, which has no alternatives. */
static void read_sequence(struct reading *reading, unsigned depth)
{
    while (reading->at < reading->end && *reading->at != ')') {
        char c = *reading->at;
        if (c == '\\') {
            char escaped = reading->at + 1 < reading->end ? reading->at[1] : 'd';
            reading->at += 2;
            if (isalnum((unsigned char)escaped))
                other(reading);
            else
                literal_add(reading, escaped);
        } else if (c == '[') {
            reading->at = class_end(reading->at, reading->end);
            other(reading);
        } else if (c == '(') {
            bool alternatives;
            const char *behind = group_end(reading->at, reading->end, &alternatives);
            struct reading after = *reading;
            after.at = behind;
            bool special = reading->at + 1 < reading->end && reading->at[1] == '?';
            bool plain = special && reading->at + 2 < reading->end && reading->at[2] == ':';
            if (alternatives || (special && !plain) || depth > 20 || quantifier(&after) != OFTEN_ONCE) {
                run_end(reading);
                reading->at = behind;
                (void)quantifier(reading);
                continue;
            }
            reading->at += plain ? 3 : 1;
            read_sequence(reading, depth + 1);
            reading->at = behind;
        } else if (c == '.' || c == '^' || c == '$') {
            reading->at++;
            other(reading);
        } else {
            reading->at++;
            literal_add(reading, c);
        }
    }
}

static void prefilter(struct str regex, struct rule *rule)
{
    struct reading reading = {.at = regex.data, .end = regex.data + regex.size};
    /* options inside, or a choice at the outermost level */
    if (str_find(regex, STR("(?i"), 0) != SIZE_MAX) return;
    for (const char *at = regex.data; at < reading.end;) {
        bool ignored;
        if (*at == '|') return;
        if (*at == '\\')
            at += 2;
        else if (*at == '[')
            at = class_end(at, reading.end);
        else if (*at == '(')
            at = group_end(at, reading.end, &ignored);
        else
            at++;
    }
    read_sequence(&reading, 0);
    run_end(&reading);
    if (reading.best_size < 2) return;
    for (size_t i = 0; i < reading.best_size; i++)
        rule->literal[i] = rule->ignores_case ? (char)tolower((unsigned char)reading.best[i]) : reading.best[i];
    rule->literal_size = (uint8_t)reading.best_size;
}

/* ---- loading ---- */

static char *copy_of(const struct json *value)
{
    if (!value || value->type != JSON_STRING) return NULL;
    char *text = strndup(value->string.data ? value->string.data : "", value->string.size);
    if (!text) abort();
    return text;
}

static enum status rule_load(const struct json *item, enum agent_list list, struct error *error, struct rule *rule)
{
    static const char *const names[AGENT_LISTS] = {"family_replacement", "os_replacement", "device_replacement"};
    const struct json *regex = item->type == JSON_OBJECT ? json_member(item, "regex") : NULL;
    int code_error;
    size_t offset;
    if (!regex || regex->type != JSON_STRING) return error_set(error, STATUS_INVALID, "a rule has no regex");
    rule->ignores_case = json_member(item, "regex_flag") != NULL;
    rule->code = pcre2_compile((PCRE2_SPTR)regex->string.data, regex->string.size,
                               rule->ignores_case ? PCRE2_CASELESS : 0, &code_error, &offset, NULL);
    if (!rule->code)
        return error_set(error, STATUS_INVALID, "regex \"" STR_FMT "\" is malformed at %zu", STR_ARG(regex->string),
                         offset);
    pcre2_jit_compile(rule->code, PCRE2_JIT_COMPLETE); /* where it is not allowed the interpreter does it */
    rule->family = copy_of(json_get(item, str_of(names[list])));
    if (list == AGENT_BROWSER) {
        rule->major = copy_of(json_member(item, "v1_replacement"));
        rule->minor = copy_of(json_member(item, "v2_replacement"));
    }
    prefilter(regex->string, rule);
    return STATUS_OK;
}

static enum status rules_load(struct agent_rules *rules, const struct json *tree, struct error *error)
{
    static const char *const names[AGENT_LISTS] = {"user_agent_parsers", "os_parsers", "device_parsers"};
    for (int list = 0; list < AGENT_LISTS; list++) {
        const struct json *items = tree->type == JSON_OBJECT ? json_get(tree, str_of(names[list])) : NULL;
        if (!items || items->type != JSON_ARRAY)
            return error_set(error, STATUS_INVALID, "there is no list %s", names[list]);
        rules->rules[list] = calloc(items->array.count + 1, sizeof *rules->rules[list]);
        if (!rules->rules[list]) return error_set(error, STATUS_LIMIT, "out of memory");
        for (size_t i = 0; i < items->array.count; i++) {
            rules->counts[list] = i + 1;
            TRY(rule_load(&items->array.items[i], (enum agent_list)list, error, &rules->rules[list][i]));
        }
    }
    return STATUS_OK;
}

enum status agent_rules_load(struct str yaml, struct error *error, struct agent_rules **ret_rules)
{
    struct arena *arena = arena_new(YAML_BYTES_MAX);
    struct agent_rules *rules = calloc(1, sizeof *rules);
    struct json tree;
    enum status status = arena && rules ? json_from_yaml(arena, yaml, NULL, error, &tree)
                                        : error_set(error, STATUS_LIMIT, "out of memory");
    if (status == STATUS_OK) status = rules_load(rules, &tree, error);
    arena_free(arena);
    if (status != STATUS_OK) {
        agent_rules_free(rules);
        return status;
    }
    *ret_rules = rules;
    return STATUS_OK;
}

void agent_rules_free(struct agent_rules *rules)
{
    if (!rules) return;
    for (int list = 0; list < AGENT_LISTS; list++) {
        for (size_t i = 0; i < rules->counts[list]; i++) {
            struct rule *rule = &rules->rules[list][i];
            pcre2_code_free(rule->code);
            free(rule->family);
            free(rule->major);
            free(rule->minor);
        }
        free(rules->rules[list]);
    }
    free(rules);
}

void agent_rules_count(const struct agent_rules *rules, size_t *ret_count, size_t *ret_unfiltered)
{
    *ret_count = *ret_unfiltered = 0;
    for (int list = 0; list < AGENT_LISTS; list++) {
        *ret_count += rules->counts[list];
        for (size_t i = 0; i < rules->counts[list]; i++) *ret_unfiltered += rules->rules[list][i].literal_size == 0;
    }
}

struct agent_scratch *agent_scratch_new(void)
{
    struct agent_scratch *scratch = calloc(1, sizeof *scratch);
    if (!scratch) return NULL;
    scratch->data = pcre2_match_data_create(GROUPS, NULL);
    scratch->context = pcre2_match_context_create(NULL);
    scratch->stack = pcre2_jit_stack_create((size_t)32 << 10, (size_t)512 << 10, NULL);
    if (!scratch->data || !scratch->context) {
        agent_scratch_free(scratch);
        return NULL;
    }
    pcre2_set_match_limit(scratch->context, STEPS_MAX);
    pcre2_jit_stack_assign(scratch->context, NULL, scratch->stack);
    return scratch;
}

void agent_scratch_free(struct agent_scratch *scratch)
{
    if (!scratch) return;
    pcre2_match_data_free(scratch->data);
    pcre2_match_context_free(scratch->context);
    pcre2_jit_stack_free(scratch->stack);
    free(scratch);
}

/* ---- matching ---- */

static struct str group_text(const struct agent_scratch *scratch, struct str text, unsigned group)
{
    const PCRE2_SIZE *ends = pcre2_get_ovector_pointer(scratch->data);
    if (group >= scratch->groups || ends[2 * group] == PCRE2_UNSET) return STR_NULL;
    return str_slice(text, ends[2 * group], ends[2 * group + 1]);
}

/* A replacement with its $1 to $9 filled in, or the group itself; without blanks around. */
static void fill(const struct agent_scratch *scratch, struct str text, const char *replacement, unsigned group,
                 char *room, size_t size)
{
    size_t length = 0;
    const char pattern[3] = {'$', (char)('0' + group), '\0'};
    for (const char *at = replacement ? replacement : pattern; *at && length < size - 1; at++) {
        struct str piece = str_from(at, 1);
        if (*at == '$' && at[1] >= '1' && at[1] <= '9') piece = group_text(scratch, text, (unsigned)(*++at - '0'));
        if (piece.size > size - 1 - length) piece.size = size - 1 - length;
        if (piece.size) memcpy(room + length, piece.data, piece.size);
        length += piece.size;
    }
    struct str trimmed = str_trim(str_from(room, length));
    memmove(room, trimmed.data, trimmed.size);
    room[trimmed.size] = '\0';
}

bool agent_rules_match(const struct agent_rules *rules, struct agent_scratch *scratch, enum agent_list list,
                       struct str text, struct agent_match *ret_match)
{
    char lower[AGENT_TEXT_MAX];
    if (!text.data) text = STR("");
    if (text.size > AGENT_TEXT_MAX) text.size = AGENT_TEXT_MAX;
    for (size_t i = 0; i < text.size; i++) lower[i] = (char)tolower((unsigned char)text.data[i]);
    for (size_t i = 0; i < rules->counts[list]; i++) {
        const struct rule *rule = &rules->rules[list][i];
        if (rule->literal_size &&
            !memmem(rule->ignores_case ? lower : text.data, text.size, rule->literal, rule->literal_size))
            continue;
        int found = pcre2_match(rule->code, (PCRE2_SPTR)text.data, text.size, 0, 0, scratch->data,
                                scratch->context);
        if (found < 0) continue; /* none, or beyond a limit */
        scratch->groups = found > 0 ? (unsigned)found : GROUPS;
        fill(scratch, text, rule->family, 1, ret_match->family, sizeof ret_match->family);
        ret_match->major[0] = ret_match->minor[0] = '\0';
        if (list == AGENT_BROWSER) {
            fill(scratch, text, rule->major, 2, ret_match->major, sizeof ret_match->major);
            fill(scratch, text, rule->minor, 3, ret_match->minor, sizeof ret_match->minor);
        }
        return true;
    }
    return false;
}
