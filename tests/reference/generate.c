/*
 * Expressions are grown from templates: `%n` in "(%n + %n)" is replaced by an expression that is likely a
 * number, and so on, until the depth is used up. See grow() for the letters.
 */
#include "reference/generate.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>

#define COUNT(array) ((unsigned)(sizeof(array) / sizeof *(array)))

uint64_t generate_bits(struct generator *g)
{
    uint64_t z = g->state += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}
struct generator generator_of(uint64_t seed)
{
    struct generator g = {.state = ~seed};
    g.state = generate_bits(&g); /* far from the numbers of the seeds next to it */
    return g;
}
unsigned generate_below(struct generator *g, unsigned limit)
{
    return (unsigned)((generate_bits(g) >> 11) % limit);
}
bool generate_once_in(struct generator *g, unsigned n)
{
    return generate_below(g, n) == 0;
}

#define PICK(g, array) (array)[generate_below((g), COUNT(array))]

struct generated_place generate_place(struct generator *g)
{
    static const struct generated_place places[] = {
        {"America/New_York", 2024, 3, 10},   {"America/New_York", 2024, 11, 3},
        {"Europe/Berlin", 2024, 3, 31},      {"Europe/Berlin", 2024, 10, 27},
        {"Asia/Kolkata", 2024, 2, 29},       {"Pacific/Apia", 2011, 12, 30},
        {"America/St_Johns", 2024, 3, 10},   {"America/St_Johns", 2010, 11, 7},
        {"Australia/Lord_Howe", 2024, 4, 7}, {"UTC", 2023, 12, 31},
        {"America/Sao_Paulo", 2018, 11, 4},  {"Asia/Kathmandu", 2024, 1, 1},
    };
    return PICK(g, places);
}

/* --- events ------------------------------------------------------------------------------------------- */

/* clang-format off */
static const char *const strings[] = {
    "",      "a",     "b",       "A",          "abc",        "Abc",     "x/y/z",   "a,b,,c",
    "true",  "false", "1",       "1.0",        " 12 ",       "1e3",     "0x10",    "null",
    "undefined", "gro\xC3\x9F", "\xC3\x84\xC3\x96", "\xC3\xA4\xC3\xB6", "\xE6\x97\xA5\xE6\x9C\xAC",
    "\xF0\x9F\x98\x80x",
    "\xCE\xA3\xCE\xAF\xCF\x83\xCF\x85\xCF\x86\xCE\xBF\xCF\x82", "\xCE\xA3\xCE\x91\xCE\xA3", "\xC3\xA9",
    "dwight@dm.com", "<b>&",
    "line\nbreak", "quote\"s", "it's", "back\\slash", "aaab", "ab ab", "-5", "9007199254740993",
    "18446744073709551616", "-9223372036854775808.00", "+.10000000000000000000001",
};
static const char *const numbers[] = {
    "0",    "1",     "2",    "3",    "-1",  "10",   "0.5", "1.5", "-2.5", "2.5", "1e3", "1.0", "7", "-3",
    "100", "4",
    "-0.0", "9007199254740993", "9223372036854775807", "-9223372036854775808", "18446744073709551616",
    "12345678901234567890", "9223372036854775808", "9007199254740992", "1e21", "1e-7", "0.1",
    "0.30000000000000004", "123456.789", "1e308", "1710054000", "1e20",
    "9223372036854775807.5", "-9223372036854775809", "0.1000000000000000055511151231257827021181583404541015625",
    "0.10000000000000000000001", "9007199254740992.00000000001", "12345678901234567891", "1e-400",
};
static const char *const dates[] = {
    "2024-03-10", "2024-03-10T02:30:00", "2024-11-03 01:30:00", "2024-02-29", "2023-02-29", "2011-12-30",
    "2011-12-31T00:00",
    "2024-01-31T23:59:59.250Z", "2024-01-31T10:00:00+05:30", "2018-11-04", "2024-3-1", "2024-10-27T02:30",
    "1999-12-31", "x", "2024-03-10T04:00:00", "2024-11-03T03:00", "2024-03-31T02:30", "2024-03-31T04:00:00",
    "2018-11-04T00:30", "2010-11-06T23:30:00", "2011-12-30T12:00", "2024-04-07T01:45",
};
static const char *const urls[] = {
    "https://www.shop.example.co.uk/a?b#c", "http://user:pw@Example.COM:80/", "//cdn.example.org",
    "HTTPS://B\xC3\x9C.Example:1",
    "example.com/x",
    "localhost", "http://localhost:3000", "https://[::1]:8080/", "http://10.0.0.1/x", "a..b.com",
    "mailto:x@y.de",
    "https://b\xC3\xBC.example./", "http://", "shop.example.de?x=http://other.net/",
};
static const char *const keys[] = {"k", "brand", "price", "x", "\xC3\xBC"};
static const char *const properties[] = {"n", "s", "b", "l", "cart", "o", "m", "d", "u", "rare", "\xD0\xBA\xD0\xBB"};
/* clang-format on */

static void string_json(struct generator *g, struct buf *out)
{
    json_write_str(out, str_of(PICK(g, strings)));
}

static void any_json(struct generator *g, struct buf *out, unsigned depth);

static void list_json(struct generator *g, struct buf *out, unsigned depth)
{
    unsigned count = generate_below(g, 5);
    buf_byte(out, '[');
    for (unsigned i = 0; i < count; i++) {
        if (i) buf_byte(out, ',');
        any_json(g, out, depth);
    }
    buf_byte(out, ']');
}

static void object_json(struct generator *g, struct buf *out, unsigned depth)
{
    unsigned count = generate_below(g, 4);
    buf_byte(out, '{');
    for (unsigned i = 0; i < count; i++) {
        if (i) buf_byte(out, ',');
        json_write_str(out, str_of(PICK(g, keys))); /* repeats a key now and then */
        buf_byte(out, ':');
        any_json(g, out, depth);
    }
    buf_byte(out, '}');
}

static void any_json(struct generator *g, struct buf *out, unsigned depth)
{
    switch (generate_below(g, depth ? 10 : 7)) {
    case 0: buf_lit(out, "null"); return;
    case 1: buf_lit(out, "true"); return;
    case 2: buf_lit(out, "false"); return;
    case 3:
    case 4: buf_str_add(out, str_of(PICK(g, numbers))); return;
    case 5:
    case 6: string_json(g, out); return;
    case 7:
    case 8: list_json(g, out, depth - 1); return;
    default: object_json(g, out, depth - 1); return;
    }
}

static void cart_json(struct generator *g, struct buf *out)
{
    unsigned count = generate_below(g, 4);
    buf_byte(out, '[');
    for (unsigned i = 0; i < count; i++)
        buf_printf(out, "%s{\"brand\":\"%c\",\"price\":%u}", i ? "," : "", 'a' + (int)generate_below(g, 3),
                   generate_below(g, 20));
    buf_byte(out, ']');
}

static void property_json(struct generator *g, const char *name, struct buf *out)
{
    if (generate_once_in(g, 12))
        any_json(g, out, 3);
    else if (strcmp(name, "n") == 0)
        buf_str_add(out, str_of(PICK(g, numbers)));
    else if (strcmp(name, "s") == 0)
        string_json(g, out);
    else if (strcmp(name, "b") == 0)
        buf_str_add(out, generate_once_in(g, 2) ? STR("true") : STR("false"));
    else if (strcmp(name, "l") == 0)
        list_json(g, out, 2);
    else if (strcmp(name, "cart") == 0)
        cart_json(g, out);
    else if (strcmp(name, "o") == 0)
        object_json(g, out, 2);
    else if (strcmp(name, "d") == 0)
        json_write_str(out, str_of(PICK(g, dates)));
    else if (strcmp(name, "u") == 0)
        json_write_str(out, str_of(PICK(g, urls)));
    else
        any_json(g, out, 2);
}

const char *generate_device(struct generator *g)
{
    static const char *const ids[] = {"$device:D1", "$device:D2", "$device:D3",
                                      "$device:D4", "$device:42", "$device:$device:D1"};
    return PICK(g, ids);
}
const char *generate_user(struct generator *g)
{
    static const char *const ids[] = {"U1", "U2", "U3", "U4", "7", "\xC3\xBC"};
    return PICK(g, ids);
}
const char *generate_event_name(struct generator *g)
{
    static const char *const names[] = {"A", "A", "A", "Page viewed", "\xE6\x97\xA5", "$identify"};
    return PICK(g, names);
}

static const char *id_member(struct generator *g, const char *name, const char *const *ids, unsigned count)
{
    static char text[96];
    snprintf(text, sizeof text, ",\"%s\":%s", name, ids[generate_below(g, count)]);
    return text;
}

const char *generate_anonymous(struct generator *g)
{
    static const char *const ids[] = {"a-1", "b-2f", "c0ffee-0-1", "$device:d-4"};
    return PICK(g, ids);
}

/* Any of those that links may be about, in every mode. */
const char *generate_id(struct generator *g)
{
    return generate_once_in(g, 2)   ? generate_anonymous(g)
           : generate_once_in(g, 4) ? generate_device(g)
                                    : generate_user(g);
}

/* The ids of an event in a mode without $device_id and $user_id; NULL: no verb. */
static void named_ids_json(struct generator *g, const char *verb, struct buf *out)
{
    if (!verb || strcmp(verb, "$create_alias") == 0) buf_printf(out, ",\"distinct_id\":\"%s\"", generate_id(g));
    if (verb && strcmp(verb, "$create_alias") == 0) buf_printf(out, ",\"alias\":\"%s\"", generate_id(g));
    if (!verb || strcmp(verb, "$identify") != 0) return;
    bool sdk = generate_once_in(g, 2);
    buf_printf(out, ",\"%s\":\"%s\"", sdk ? "distinct_id" : "$identified_id", generate_user(g));
    const char *anonymous = generate_once_in(g, 6) ? generate_id(g) : generate_anonymous(g);
    buf_printf(out, ",\"%s\":\"%s\"", sdk ? "$anon_distinct_id" : "$anon_id", anonymous);
}

static void ids_json(struct generator *g, struct buf *out)
{
    /* clang-format off */
    static const char *const devices[] = {"\"D1\"", "\"D2\"", "\"D3\"", "\"D4\"", "42",
        "\"$device:D1\"", "\"\"", "\"null\"", "[]"};
    static const char *const users[] = {"\"U1\"", "\"U2\"", "\"U3\"", "\"U4\"", "7",
        "\"\xC3\xBC\"", "\"anonymous\"", "null", "\"$device:D2\""};
    static const char *const distinct[] = {"\"U1\"", "\"U5\"", "\"$device:D1\"", "\"$device:D4\"",
        "\"$device:\"", "\"undefined\"", "5.5", "true"};
    /* clang-format on */
    unsigned kind = generate_below(g, 8);
    if (kind == 0 || kind >= 4) buf_str_add(out, str_of(id_member(g, "$device_id", devices, COUNT(devices))));
    if (kind == 1 || kind >= 5) buf_str_add(out, str_of(id_member(g, "$user_id", users, COUNT(users))));
    if (kind == 2 || kind == 7) buf_str_add(out, str_of(id_member(g, "distinct_id", distinct, COUNT(distinct))));
}

static void time_json(struct generator *g, int64_t utc_ms, int64_t spread_ms, struct buf *out)
{
    int64_t ms = utc_ms - spread_ms + (int64_t)(generate_bits(g) % (uint64_t)(2 * spread_ms));
    if (generate_once_in(g, 3)) ms = ms / 900000 * 900000 + (int64_t)generate_below(g, 3) - 1;
    buf_lit(out, ",\"time\":");
    switch (generate_below(g, 4)) {
    case 0: buf_printf(out, "%lld", (long long)ms); break;
    case 1: buf_printf(out, "%lld", (long long)(ms / 1000)); break;
    case 2: buf_printf(out, "\"%lld\"", (long long)ms); break;
    default: buf_printf(out, "%lld.%03d", (long long)(ms / 1000), (int)(ms % 1000)); break;
    }
}

void generate_event(struct generator *g, struct generated_heads *heads, int64_t utc_ms, int64_t spread_ms,
                    struct buf *out)
{
    if (heads->count == GENERATED_HEADS && generate_once_in(g, 6)) {
        buf_str_add(out, str_of(PICK(g, heads->texts)));
    } else {
        struct buf head = BUF_INIT(4096);
        const char *verb = !g->verbs || generate_once_in(g, 2) ? NULL
                           : generate_once_in(g, 3)            ? "$create_alias"
                                                               : "$identify";
        const char *name = verb ? verb : generate_event_name(g);
        buf_printf(&head, "{\"event\":\"%s\",\"properties\":{\"token\":\"t\"", name);
        if (!generate_once_in(g, 20)) time_json(g, utc_ms, spread_ms, &head);
        if (g->verbs && (verb || !generate_once_in(g, 6)))
            named_ids_json(g, verb, &head);
        else
            ids_json(g, &head);
        if (g->insert_ids || !generate_once_in(g, 3)) buf_printf(&head, ",\"$insert_id\":\"i-%u\"", heads->serial % 50);
        if (!g->insert_ids && generate_once_in(g, 9)) buf_lit(&head, ",\"$insert_id\":\"not an id\"");
        heads->serial++;
        buf_byte(&head, 0);
        if (head.size <= sizeof heads->texts[0]) {
            memcpy(heads->texts[heads->serial % GENERATED_HEADS], head.data, head.size);
            if (heads->count < GENERATED_HEADS && heads->serial % GENERATED_HEADS == 0) heads->count = GENERATED_HEADS;
        }
        buf_str_add(out, str_of(head.data));
        buf_fini(&head);
    }
    for (unsigned i = 0; i < COUNT(properties); i++) {
        if (generate_once_in(g, strcmp(properties[i], "rare") == 0 ? 2 : 5)) continue;
        buf_byte(out, ',');
        json_write_str(out, str_of(properties[i]));
        buf_byte(out, ':');
        property_json(g, properties[i], out);
    }
    if (generate_once_in(g, 40)) buf_lit(out, ",\"$ignore\":1");
    buf_lit(out, "}}");
}

void generate_profile(struct generator *g, struct buf *out)
{
    bool first = true;
    buf_byte(out, '{');
    for (unsigned i = 0; i < COUNT(properties); i++) {
        if (generate_once_in(g, 3)) continue;
        if (!first) buf_byte(out, ',');
        first = false;
        json_write_str(out, str_of(properties[i]));
        buf_byte(out, ':');
        property_json(g, properties[i], out);
    }
    buf_byte(out, '}');
}

/* --- expressions -------------------------------------------------------------------------------------- */

/* clang-format off */
static const char *const booleans[] = {
    "(%n %= %n)",        "(%n != %n)",          "(%n < %n)",           "(%n >= %n)",          "(%s <= %s)",
    "(%s %= %s)",        "(%a %= %a)",          "(%a != %a)",          "(%a in %l)",          "(%s in %s)",
    "(%a not in %l)",    "(%b %& %b)",          "(%b %/ %b)",          "(%b %& %b %& %b)",
       "(%b %/ %b %& %b)",
    "%!(%b)",            "%!(%a)",              "defined(%a)",         "has_prefix(%s, %s)",
     "has_suffix(%s, %s)",
    "regex_match(%s, %r)", "boolean(%a)",       "boolean(%a, %a)",     "any(%{, %l, %|%b)%}",
    "all(%{, %l, %|%b)%}",
    "any(%{, %c, %|%v[\"brand\"] %= \"a\")%}",  "all(%{, %c, %|%v[\"price\"] > %w)%}",        "if(%b, %b, %b)",
    "(%! %i %= %i %& %i < %i %/ %p == %p)",     "let(%{, %b, %|%b)%}", "(%i in [%i, %i, %a])",
    "(%a %& %b)", "(%b %/ %a)",
    "(event[\"$time\"] >= datetime(%d))",       "(%p > %p)", "(%T < %n)",
    "(%N %= %N)", "(%N <= %N)", "(%N in [%N, %N])", "(%j %= %a)", "defined(%j)", "(%s in %j)", "%j",
};
static const char *const numerics[] = {
    "(%n + %n)",   "(%n - %n)",  "(%n * %n)",    "(%n / %n)",     "(%n %% %n)",  "-%n",           "len(%a)",
    "number(%a)",  "number(%s, %n)", "floor(%n)", "ceil(%n)",     "round(%n)",   "min(%n, %n)",
    "max(%n, %n, %n)",
    "sum(%l)",     "datedif(%d, %d, %U)", "datedif(%T, %d, %U)",  "datetime(%d)", "%T",           "(%l)[%w]",
    "(%o)[\"price\"]", "if(%b, %n, %n)", "(%i + %i * %i - %i %% %i)", "TODAY()", "sum(map(%{, %l, %|%n))%}",
    "let(%{, %n, %|%n)%}", "sum(map(%{, %c, %|%v[\"price\"]))%}", "number(datetime(%d))",
    "len(filter(%{, %l, %|%b))%}",
    "datedif(TODAY(), %d, %U)", "(%N + %N)", "(%N * %N)", "(%N - %N)", "(%N %% %N)", "max(%N, %N)", "%j",
    "(%j + %n)", "sum(%j)", "len(%j)",
};
static const char *const texts[] = {
    "(%s + %s)",  "string(%a)",  "string(%a, %s)", "upper(%s)",      "lower(%s)",      "left(%s, %w)",
    "right(%s, %w)", "mid(%s, %w, %w)", "split(%s, %D, %w)", "regex_extract(%s, %r)",
    "regex_extract(%s, %r, %w)",
    "regex_replace(%s, %r, %R)", "parse_url(%p, \"domain\")", "parse_url(%s, 'full_domain')", "if(%b, %s, %s)",
    "ifs(%b, %s, %b, %s)", "(%l)[%w]", "(%o)[%s]", "string(%n)", "let(%{, %s, %|%s)%}",
    "event[\"$event_name\"]",
    "properties[\"$distinct_id\"]", "left(string(%p), %w)", "properties[\"u\"]",
    "parse_url(properties[\"u\"], \"domain\")", "parse_url(properties[\"u\"], \"full_domain\")",
    "properties[\"$identity_failure_reason\"]", "%j", "string(%j)", "(%j + %s)",
};
static const char *const lists[] = {
    "[%a, %a]",  "[]", "[%n, %s, %b]", "split(%s, %D)", "map(%{, %l, %|%a)%}", "filter(%{, %l, %|%b)%}", "%c",
    "map(%{, %c, %|%v[\"brand\"])%}", "if(%b, %l, %l)", "[%p]", "let(%{, %l, %|%l)%}",
};
/* clang-format on */

static void grow(struct generator *g, struct buf *out, const char *template, unsigned depth);

/* A string literal in one of its spellings. */
static void literal(struct generator *g, struct buf *out, const char *text)
{
    char quote = generate_once_in(g, 3) ? '\'' : '"';
    buf_byte(out, quote);
    for (; *text; text++) {
        if (*text == quote || (*text == '\\' && !generate_once_in(g, 3))) buf_byte(out, '\\');
        if (*text == '\n')
            buf_lit(out, "\\n");
        else if ((unsigned char)*text < 0x80 && isalpha((unsigned char)*text) && generate_once_in(g, 40))
            buf_printf(out, "\\u%04x", (unsigned)*text);
        else
            buf_byte(out, *text);
    }
    buf_byte(out, quote);
}

static void property(struct generator *g, struct buf *out, const char *name)
{
    static const char *const roots[] = {"properties", "properties", "properties", "event", "PROPERTIES", "Event"};
    const char *root = generate_once_in(g, g->users ? g->users : 60) ? "user"
                       : generate_once_in(g, 90)                     ? "behaviors"
                                                                     : PICK(g, roots);
    buf_printf(out, "%s[", root);
    literal(g, out, name);
    buf_byte(out, ']');
}

/* A column of the table that some properties are joined with (generate_table). */
static void joined(struct generator *g, struct buf *out)
{
    static const char *const columns[] = {"name", "name", "price", "k", "brand", "nothing"};
    static const char *const owners[] = {"s", "s", "s", "n", "n", "m", "l", "o", "cart"};
    if (generate_once_in(g, 5)) {
        buf_lit(out, "group[");
        literal(g, out, PICK(g, owners));
        buf_byte(out, ']');
    } else {
        property(g, out, PICK(g, owners));
    }
    buf_byte(out, '[');
    literal(g, out, PICK(g, columns));
    buf_byte(out, ']');
}

static void any_property(struct generator *g, struct buf *out)
{
    /* clang-format off */
    static const char *const facts[] = {"$time", "time", "$distinct_id", "$event_name",
        "mp_processing_time_ms", "$device_id", "never"};
    /* clang-format on */
    if (g->insert_ids && generate_once_in(g, 12))
        property(g, out, "$insert_id");
    else
        property(g, out, generate_once_in(g, 6) ? PICK(g, facts) : PICK(g, properties));
}

static void number_atom(struct generator *g, struct buf *out)
{
    static const char *const spellings[] = {"5.", ".5", "1E2", "0x1", "1.5e-3", "007"};
    if (generate_once_in(g, 2))
        property(g, out, generate_once_in(g, 4) ? "m" : "n");
    else if (generate_once_in(g, 12))
        buf_str_add(out, str_of(PICK(g, spellings)));
    else if (generate_once_in(g, 3))
        buf_printf(out, "%u", generate_below(g, 12));
    else
        buf_str_add(out, str_of(PICK(g, numbers)));
}

/* Numbers at the edges of what an int64 and a double hold. */
static void hard_number(struct generator *g, struct buf *out)
{
    static const char *const hard[] = {
        "9007199254740992",
        "9007199254740993",
        "9223372036854775807",
        "9223372036854775808",
        "1",
        "9e18",
        "-9223372036854775807",
        "18446744073709551616",
        "0.5",
        "-1",
        "-9223372036854775808",
        "9223372036854775807.5",
        "9007199254740992.00000000001",
    };
    if (generate_once_in(g, 3))
        property(g, out, "n");
    else
        buf_str_add(out, str_of(PICK(g, hard)));
}

static void leaf(struct generator *g, struct buf *out, char kind)
{
    static const char *const words[] = {"true", "false",     "null", "undefined", "True",
                                        "NULL", "Undefined", "plan", "len",       "group"};
    if (g->bound_count && generate_once_in(g, 2)) {
        buf_str_add(out, str_of(g->bound[generate_below(g, (unsigned)g->bound_count)]));
        return;
    }
    switch (kind) {
    case 'b':
        if (generate_once_in(g, 2))
            property(g, out, "b");
        else
            buf_str_add(out, str_of(words[generate_below(g, 2)]));
        return;
    case 'n': number_atom(g, out); return;
    case 's':
        if (generate_once_in(g, 2))
            property(g, out, "s");
        else
            literal(g, out, PICK(g, strings));
        return;
    case 'l': property(g, out, generate_once_in(g, 3) ? "cart" : "l"); return;
    case 'o': property(g, out, "o"); return;
    default:
        if (generate_once_in(g, 6))
            buf_str_add(out, str_of(PICK(g, words)));
        else
            any_property(g, out);
        return;
    }
}

static void expression(struct generator *g, struct buf *out, char kind, unsigned depth)
{
    static const char kinds[] = "bnslo";
    if (kind == 'a' || generate_once_in(g, 14)) kind = kinds[generate_below(g, 5)];
    if (generate_once_in(g, 9))
        leaf(g, out, 'a');
    else if (depth == 0 || generate_once_in(g, 4))
        leaf(g, out, kind);
    else if (kind == 'b')
        grow(g, out, PICK(g, booleans), depth - 1);
    else if (kind == 'n')
        grow(g, out, PICK(g, numerics), depth - 1);
    else if (kind == 's')
        grow(g, out, PICK(g, texts), depth - 1);
    else if (kind == 'l')
        grow(g, out, PICK(g, lists), depth - 1);
    else if (generate_once_in(g, 2))
        grow(g, out, "%c[%w]", depth - 1);
    else
        leaf(g, out, 'o');
}

static void small_literal(struct generator *g, struct buf *out, char kind)
{
    /* clang-format off */
    static const char *const patterns[] = {"a", "A+", "^a", "b$", "(a)(b)?", "\\d+",
        "[[:alpha:]]+", "(?-i)A", "x*", "(",
                                           "(a|b)+", "\xC3\xA4", ".", "^$", "(\\w+)@(\\w+)"};
    static const char *const replacements[] = {"", "-", "$0$0", "[$1]", "$2", "$$", "$", "${1}", "$9"};
    static const char *const units[] = {"D", "M", "Y", "MD", "YM", "YD", "d", "ym", "W"};
    static const char *const delimiters[] = {"/", ",", "@", "a", "", "ab", "\xC3\xA9", " "};
    static const char *const wholes[] = {"0", "1", "2", "3", "5", "-1", "1.5", "100", "1.0"};
    /* clang-format on */
    switch (kind) {
    case 'r': literal(g, out, PICK(g, patterns)); return;
    case 'R': literal(g, out, PICK(g, replacements)); return;
    case 'U': literal(g, out, PICK(g, units)); return;
    case 'D': literal(g, out, PICK(g, delimiters)); return;
    case 'd':
        if (generate_once_in(g, 3))
            property(g, out, "d");
        else
            literal(g, out, PICK(g, dates));
        return;
    default: buf_str_add(out, str_of(PICK(g, wholes))); return;
    }
}

/* %b %n %s %l %o %a: an expression of that kind; %i a number without operator; %N a difficult one; %p a
 * property; %c a list of objects; %j what a table says; %T a time; %r %R %U %D %d %w: literals; %{ a new name, visible
 * from %| to
 * %}, and %v uses it; %=
 * %& %/ %! spellings. */
static void grow(struct generator *g, struct buf *out, const char *template, unsigned depth)
{
    static const char *const names[] = {"X", "Y", "item", "len", "$x", "a.b"};
    static const char *const ands[] = {"and", "and", "AND", "&&"}, *const ors[] = {"or", "or", "OR", "||"},
                             *const nots[] = {"not ", "not ", "NOT ", "!"};
    const char *name = "X";
    size_t bound = g->bound_count;
    for (const char *at = template; *at; at++) {
        if (*at != '%') {
            buf_byte(out, generate_once_in(g, 200) ? (char)toupper((unsigned char)*at) : *at);
            continue;
        }
        switch (*++at) {
        case '=': buf_str_add(out, generate_once_in(g, 4) ? STR("=") : STR("==")); break;
        case '&': buf_str_add(out, str_of(PICK(g, ands))); break;
        case '/': buf_str_add(out, str_of(PICK(g, ors))); break;
        case '!': buf_str_add(out, str_of(PICK(g, nots))); break;
        case '%': buf_byte(out, '%'); break;
        case '{':
            name = PICK(g, names);
            buf_str_add(out, str_of(name));
            break;
        case '|':
            if (g->bound_count < COUNT(g->bound)) g->bound[g->bound_count++] = name;
            break;
        case '}': g->bound_count = bound; break;
        case 'v': buf_str_add(out, str_of(name)); break;
        case 'i': number_atom(g, out); break;
        case 'N': hard_number(g, out); break;
        case 'p': any_property(g, out); break;
        case 'c': property(g, out, "cart"); break;
        case 'j': joined(g, out); break;
        case 'T': property(g, out, generate_once_in(g, 2) ? "time" : "$time"); break;
        case 'b':
        case 'n':
        case 's':
        case 'l':
        case 'o':
        case 'a': expression(g, out, *at, depth); break;
        default: small_literal(g, out, *at); break;
        }
    }
    g->bound_count = bound;
}

/* A few bytes are lost, doubled or replaced. */
static void damage(struct generator *g, struct buf *out)
{
    static const char bytes[] = "()[]\"'\\,.=<>!+-*/%&|019aeEuxX_$ \n\xC3\xA4";
    unsigned count = 1 + generate_below(g, 3);
    for (unsigned i = 0; i < count && out->size; i++) {
        size_t at = generate_below(g, (unsigned)out->size);
        char byte = bytes[generate_below(g, sizeof bytes - 1)];
        if (generate_once_in(g, 3)) {
            out->data[at] = byte;
        } else if (generate_once_in(g, 2)) {
            memmove(out->data + at, out->data + at + 1, out->size - at - 1);
            out->size--;
        } else {
            buf_byte(out, ' ');
            memmove(out->data + at + 1, out->data + at, out->size - at - 1);
            out->data[at] = byte;
        }
    }
}

void generate_table(struct generator *g, struct buf *out)
{
    static const char *const columns[] = {"name", "price", "k", "brand"};
    static const char *const others[] = {"0", "1.5", "-1", "100", "1000", "1e+21", "9007199254740993"};
    buf_byte(out, '{');
    for (unsigned i = 0; i < COUNT(strings) + COUNT(others); i++) {
        if (generate_once_in(g, 4)) continue;
        if (out->data[out->size - 1] == '}') buf_byte(out, ',');
        json_write_str(out, str_of(i < COUNT(strings) ? strings[i] : others[i - COUNT(strings)]));
        buf_lit(out, ":{");
        for (unsigned column = 0; column < COUNT(columns); column++) {
            if (out->data[out->size - 1] != '{') buf_byte(out, ',');
            json_write_str(out, str_of(columns[column]));
            buf_byte(out, ':');
            any_json(g, out, 1);
        }
        buf_byte(out, '}');
    }
    buf_byte(out, '}');
}

void generate_where(struct generator *g, struct buf *out)
{
    expression(g, out, 'b', 1 + generate_below(g, 4));
    if (generate_once_in(g, 12)) damage(g, out);
}

void generate_on(struct generator *g, struct buf *out)
{
    /* clang-format off */
    static const char *const bare[] = {"n", "s", "time", "undefined", "NULL", "len", "properties",
        "\xD0\xBA\xD0\xBB", " l ", "$distinct_id", "not"};
    /* clang-format on */
    if (generate_once_in(g, 6))
        buf_str_add(out, str_of(PICK(g, bare)));
    else if (generate_once_in(g, 3))
        any_property(g, out);
    else if (generate_once_in(g, 12))
        grow(g, out, "datetime(%d)", 1);
    else
        expression(g, out, 'a', 1 + generate_below(g, 4));
    if (generate_once_in(g, 15)) damage(g, out);
}

void generate_of(struct generator *g, struct buf *out)
{
    if (generate_once_in(g, 2))
        property(g, out, generate_once_in(g, 4) ? "m" : "n");
    else
        expression(g, out, generate_once_in(g, 4) ? 'a' : 'n', 1 + generate_below(g, 3));
    if (generate_once_in(g, 20)) damage(g, out);
}
