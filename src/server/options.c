#include "server/options.h"

#include "base/arena.h"
#include "base/number.h"
#include "base/utf8.h"
#include "os/machine.h"
#include "server/memory.h"

#include <stdio.h>
#include <stdlib.h>

#define TEXT_SIZE_MAX  4096u /* of one value */
#define LIST_COUNT_MAX 64u
#define ARENA_SIZE_MAX ((size_t)16 << 20)

const struct option_spec option_specs[OPTION_COUNT] = {
#define OPTION(type, field, name, value_default, range, help)                                                          \
    {OPTION_##type, offsetof(struct options, field), name, value_default, range, help},
#include "server/options_table.h"
#undef OPTION
};

/* What the values of one option may be, read from the table's range. */
struct unit {
    const char *suffix;
    int64_t factor;
};
static const struct unit byte_units[] = {{"g", 1 << 30}, {"m", 1 << 20}, {"k", 1 << 10}, {"", 1}};
static const struct unit time_units[] = {{"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};

static const struct unit *units_of(enum option_type type, size_t *ret_count)
{
    static const struct unit none[] = {{"", 1}};
    *ret_count = type == OPTION_BYTES ? 4 : type == OPTION_DURATION ? 5 : 1;
    return type == OPTION_BYTES ? byte_units : type == OPTION_DURATION ? time_units : none;
}

/* Digits and a suffix of the type's units, in lower or upper case. A duration needs its suffix, unless it is 0. */
static bool parse_number(enum option_type type, struct str text, int64_t *ret_number)
{
    size_t digits = 0, count;
    while (digits < text.size && text.data[digits] >= '0' && text.data[digits] <= '9') digits++;
    uint64_t number;
    if (!number_parse_unsigned(str_slice(text, 0, digits), INT64_MAX, &number)) return false;
    struct str suffix = str_slice(text, digits, text.size);
    const struct unit *units = units_of(type, &count);
    for (size_t i = 0; i < count; i++) {
        int64_t result;
        if (!str_eq_nocase(suffix, str_of(units[i].suffix))) continue;
        if (__builtin_mul_overflow((int64_t)number, units[i].factor, &result)) return false;
        *ret_number = result;
        return true;
    }
    if (type == OPTION_DURATION && suffix.size == 0 && number == 0) {
        *ret_number = 0;
        return true;
    }
    return false;
}

static void format_number(enum option_type type, int64_t number, struct buf *buf)
{
    size_t count;
    const struct unit *units = units_of(type, &count);
    size_t i = 0;
    while (i + 1 < count && (number == 0 || number % units[i].factor != 0)) i++;
    bool bare = number == 0;
    buf_printf(buf, "%lld%s", (long long)(number / units[i].factor), bare ? "" : units[i].suffix);
}

/* The limits of the table are its own, so a range that does not parse is a bug and caught by the tests. */
static bool in_range(const struct option_spec *spec, int64_t number)
{
    struct str range = str_of(spec->range);
    size_t dots = str_find(range, STR(".."), 0);
    int64_t low, high;
    if (dots == SIZE_MAX || !parse_number(spec->type, str_slice(range, 0, dots), &low) ||
        !parse_number(spec->type, str_slice(range, dots + 2, range.size), &high))
        abort();
    return number >= low && number <= high;
}

static bool parse_choice(const struct option_spec *spec, struct str text, int *ret_index)
{
    struct str rest = str_of(spec->range), choice;
    for (int i = 0; str_next_part(&rest, '|', &choice); i++) {
        if (!str_eq(choice, text)) continue;
        *ret_index = i;
        return true;
    }
    return false;
}

static bool parse_flag(struct str text, bool *ret_flag)
{
    bool yes = str_is(text, "yes") || str_is(text, "true") || str_is(text, "on") || str_is(text, "1");
    bool no = str_is(text, "no") || str_is(text, "false") || str_is(text, "off") || str_is(text, "0");
    if (yes || no) *ret_flag = yes;
    return yes || no;
}

static bool is_address_list(const struct option_spec *spec)
{
    return spec->type == OPTION_LIST && strcmp(spec->range, "ADDR:PORT") == 0;
}

/* [https://]HOST:PORT with a numeric port; a host with colons stands in brackets. Whether the host exists is not asked
 * here. */
static bool is_address(struct str text)
{
    if (str_starts(text, STR("https://")))
        text = str_slice(text, 8, text.size);
    else if (str_starts(text, STR("http://")))
        text = str_slice(text, 7, text.size);
    size_t colon = text.size;
    while (colon > 0 && text.data[colon - 1] != ':') colon--;
    if (colon < 2) return false;
    struct str host = str_slice(text, 0, colon - 1), port = str_slice(text, colon, text.size);
    uint64_t number;
    if (port.size == 0 || port.size > 5 || !number_parse_unsigned(port, 65535, &number)) return false;
    if (host.data[0] == '[') return host.size > 2 && host.data[host.size - 1] == ']';
    return str_find_byte(host, ':', 0) == SIZE_MAX && str_find_byte(host, ' ', 0) == SIZE_MAX;
}

/* ---- Describing ---- */

const char *option_source_name(enum option_source source)
{
    static const char *const names[] = {"default", "file", "environment", "flag"};
    return names[source];
}

void option_describe(const struct option_spec *spec, struct buf *buf)
{
    struct str range = str_of(spec->range), low, part;
    size_t dots = str_find(range, STR(".."), 0);
    low = str_slice(range, 0, dots);
    switch (spec->type) {
    case OPTION_TEXT: buf_lit(buf, "text"); return;
    case OPTION_LIST:
        buf_printf(buf, "list of %s, separated by commas or repeated", is_address_list(spec) ? spec->range : "texts");
        return;
    case OPTION_FLAG: buf_lit(buf, "yes or no"); return;
    case OPTION_CHOICE:
        for (bool first = true; str_next_part(&range, '|', &part); first = false)
            buf_printf(buf, "%s" STR_FMT, first ? "" : range.data ? ", " : " or ", STR_ARG(part));
        return;
    case OPTION_INTEGER: buf_lit(buf, "number"); break;
    case OPTION_BYTES: buf_lit(buf, "size"); break;
    case OPTION_DURATION: buf_lit(buf, "time"); break;
    }
    buf_printf(buf, " from " STR_FMT " to %s", STR_ARG(low), spec->range + dots + 2);
}

void option_format(const struct options *options, enum option_id id, struct buf *buf)
{
    const struct option_spec *spec = &option_specs[id];
    const char *member = (const char *)options + spec->offset;
    switch (spec->type) {
    case OPTION_TEXT: {
        const char *text;
        memcpy(&text, member, sizeof text);
        buf_str_add(buf, str_of(text));
        break;
    }
    case OPTION_LIST: {
        struct option_list list;
        memcpy(&list, member, sizeof list);
        for (size_t i = 0; i < list.count; i++) buf_printf(buf, "%s%s", i ? "," : "", list.items[i]);
        break;
    }
    case OPTION_FLAG: {
        bool flag;
        memcpy(&flag, member, sizeof flag);
        buf_printf(buf, "%s", flag ? "yes" : "no");
        break;
    }
    case OPTION_CHOICE: {
        int index;
        memcpy(&index, member, sizeof index);
        struct str rest = str_of(spec->range), choice = STR_NULL;
        for (int i = 0; i <= index && str_next_part(&rest, '|', &choice); i++) continue;
        buf_str_add(buf, choice);
        break;
    }
    case OPTION_INTEGER:
    case OPTION_BYTES:
    case OPTION_DURATION: {
        int64_t number;
        memcpy(&number, member, sizeof number);
        format_number(spec->type, number, buf);
        break;
    }
    }
}

static struct str group_of(const struct option_spec *spec)
{
    struct str name = str_of(spec->name);
    return str_slice(name, 0, str_find_byte(name, '.', 0));
}

void options_help(struct buf *buf)
{
    struct str group = STR_NULL;
    for (int id = 0; id < OPTION_COUNT; id++) {
        const struct option_spec *spec = &option_specs[id];
        if (!str_eq(group_of(spec), group)) buf_byte(buf, '\n');
        group = group_of(spec);
        if (spec->value_default[0])
            buf_printf(buf, "  %s=%s\n", spec->name, spec->value_default);
        else
            buf_printf(buf, "  %s\n", spec->name);
        buf_printf(buf, "      %s (", spec->help);
        option_describe(spec, buf);
        buf_lit(buf, ")\n");
    }
}

/* ---- Finding ---- */

const struct option_spec *option_find(struct str name)
{
    for (int id = 0; id < OPTION_COUNT; id++)
        if (str_eq(name, str_of(option_specs[id].name))) return &option_specs[id];
    return NULL;
}

#define DISTANCE_SIZE_MAX 64u

/* Levenshtein's edit distance; texts that are too long to be a typing error are infinitely far. */
static unsigned distance(struct str a, struct str b)
{
    unsigned row[DISTANCE_SIZE_MAX + 1];
    if (a.size > DISTANCE_SIZE_MAX || b.size > DISTANCE_SIZE_MAX) return UINT32_MAX;
    for (unsigned j = 0; j <= b.size; j++) row[j] = j;
    for (unsigned i = 1; i <= a.size; i++) {
        unsigned diagonal = row[0];
        row[0] = i;
        for (unsigned j = 1; j <= b.size; j++) {
            unsigned change = diagonal + (a.data[i - 1] != b.data[j - 1]);
            diagonal = row[j];
            unsigned step = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            row[j] = change < step ? change : step;
        }
    }
    return row[b.size];
}

static enum status unknown_name(struct str name, struct error *error)
{
    const struct option_spec *nearest = NULL;
    unsigned best = UINT32_MAX;
    for (int id = 0; id < OPTION_COUNT; id++) {
        struct str full = str_of(option_specs[id].name);
        unsigned d = distance(name, full);
        /* Who leaves the group out is also close. */
        unsigned short_d = distance(name, str_slice(full, group_of(&option_specs[id]).size + 1, full.size));
        if (short_d < UINT32_MAX && short_d + 1 < d) d = short_d + 1;
        if (d < best) {
            best = d;
            nearest = &option_specs[id];
        }
    }
    (void)error_set(error, STATUS_INVALID, "unknown option \"" STR_FMT "\"", STR_ARG(str_slice(name, 0, 128)));
    if (nearest != NULL && best <= 2 + name.size / 3)
        error_hint(error, "did you mean %s?", nearest->name);
    else
        error_hint(error, "cairn config dump lists all options");
    return STATUS_INVALID;
}

/* ---- Setting ---- */

struct options *options_new(void)
{
    struct options *options = calloc(1, sizeof *options);
    if (options == NULL) return NULL;
    options->arena = arena_new(ARENA_SIZE_MAX);
    for (int id = 0; id < OPTION_COUNT; id++) {
        const struct option_spec *spec = &option_specs[id];
        struct str value = str_of(spec->value_default);
        enum status status = options_set(options, OPTION_SOURCE_DEFAULT, str_of(spec->name), value, NULL);
        if (status != STATUS_OK) abort(); /* the table contradicts itself */
    }
    return options;
}

void options_free(struct options *options)
{
    if (options == NULL) return;
    arena_free(options->arena);
    free(options);
}

static enum status bad_value(const struct option_spec *spec, struct str value, struct error *error)
{
    char room[256];
    struct buf buf = BUF_INIT(sizeof room);
    option_describe(spec, &buf);
    (void)error_set(error, STATUS_INVALID, "bad value \"" STR_FMT "\" for %s", STR_ARG(str_slice(value, 0, 128)),
                    spec->name);
    const char *example = spec->type == OPTION_DURATION ? ", like 500ms, 30s, 10m, 2h, 5d"
                          : spec->type == OPTION_BYTES  ? ", like 512, 64k, 10m, 1g"
                                                        : "";
    error_hint(error, "give a " STR_FMT "%s", STR_ARG(buf_str(&buf)), example);
    if (spec->type == OPTION_FLAG || spec->type == OPTION_CHOICE)
        error_hint(error, "use " STR_FMT, STR_ARG(buf_str(&buf)));
    buf_fini(&buf);
    return STATUS_INVALID;
}

static enum status no_room(const struct option_spec *spec, struct error *error)
{
    return error_set(error, STATUS_LIMIT, "out of memory setting %s", spec->name);
}

static enum status set_text(struct options *options, const struct option_spec *spec, struct str value,
                            struct error *error)
{
    const char *text = arena_cstr(options->arena, value);
    if (text == NULL) return no_room(spec, error);
    memcpy((char *)options + spec->offset, &text, sizeof text);
    return STATUS_OK;
}

static enum status set_list(struct options *options, const struct option_spec *spec, bool append, struct str value,
                            struct error *error)
{
    struct option_list list;
    memcpy(&list, (char *)options + spec->offset, sizeof list);
    const char **items = arena_new_array(options->arena, const char *, LIST_COUNT_MAX);
    if (items == NULL) return no_room(spec, error);
    size_t count = append ? list.count : 0;
    if (count > 0) memcpy(items, list.items, count * sizeof *items);
    struct str rest = value, part;
    /* Only a list that may be empty is so by default. */
    bool none = str_trim(value).size == 0 && spec->value_default[0] == '\0';
    while (!none && str_next_part(&rest, ',', &part)) {
        part = str_trim(part);
        if (part.size == 0 || (is_address_list(spec) && !is_address(part))) return bad_value(spec, value, error);
        if (count >= LIST_COUNT_MAX)
            return error_set(error, STATUS_INVALID, "%s has more than %u entries", spec->name, LIST_COUNT_MAX);
        items[count] = arena_cstr(options->arena, part);
        if (items[count++] == NULL) return no_room(spec, error);
    }
    list = (struct option_list){items, count};
    memcpy((char *)options + spec->offset, &list, sizeof list);
    return STATUS_OK;
}

static enum status set_scalar(struct options *options, const struct option_spec *spec, struct str value,
                              struct error *error)
{
    char *member = (char *)options + spec->offset;
    int64_t number;
    bool flag;
    int index;
    switch (spec->type) {
    case OPTION_FLAG:
        if (!parse_flag(value, &flag)) return bad_value(spec, value, error);
        memcpy(member, &flag, sizeof flag);
        return STATUS_OK;
    case OPTION_CHOICE:
        if (!parse_choice(spec, value, &index)) return bad_value(spec, value, error);
        memcpy(member, &index, sizeof index);
        return STATUS_OK;
    default:
        if (!parse_number(spec->type, value, &number) || !in_range(spec, number)) return bad_value(spec, value, error);
        memcpy(member, &number, sizeof number);
        return STATUS_OK;
    }
}

enum status options_set(struct options *options, enum option_source source, struct str name, struct str value,
                        struct error *error)
{
    const struct option_spec *spec = option_find(name);
    if (spec == NULL) return unknown_name(name, error);
    size_t id = (size_t)(spec - option_specs);
    if (value.size > TEXT_SIZE_MAX || !utf8_valid(value.data, value.size) || str_find_byte(value, '\0', 0) != SIZE_MAX)
        return bad_value(spec, value, error);
    /* A value that a higher source hides is checked all the same: a file is right or wrong by itself. */
    bool hidden = options->source[id] > source;
    struct options *target = options;
    struct options scratch;
    if (hidden) {
        scratch = *options;
        target = &scratch;
    }
    enum status status;
    if (spec->type == OPTION_TEXT)
        status = set_text(target, spec, value, error);
    else if (spec->type == OPTION_LIST)
        status = set_list(target, spec, options->source[id] == source && source != OPTION_SOURCE_DEFAULT, value, error);
    else
        status = set_scalar(target, spec, value, error);
    if (status == STATUS_OK && !hidden) options->source[id] = (unsigned char)source;
    return status;
}

enum status options_set_flag(struct options *options, struct str assignment, struct error *error)
{
    size_t equals = str_find_byte(assignment, '=', 0);
    if (equals == SIZE_MAX) {
        (void)error_set(error, STATUS_INVALID, "\"" STR_FMT "\" is no setting", STR_ARG(assignment));
        error_hint(error, "write --set NAME=VALUE, for example --set http.listen=127.0.0.1:8080");
        return STATUS_INVALID;
    }
    return options_set(options, OPTION_SOURCE_FLAG, str_trim(str_slice(assignment, 0, equals)),
                       str_trim(str_slice(assignment, equals + 1, assignment.size)), error);
}

/* "CAIRN_HTTP_LISTEN" for http.listen */
static bool environment_is(struct str variable, const char *name)
{
    struct str prefix = STR("CAIRN_");
    if (!str_starts(variable, prefix) || variable.size != prefix.size + strlen(name)) return false;
    for (size_t i = 0; name[i] != '\0'; i++) {
        char upper = name[i] == '.' ? '_' : name[i] >= 'a' && name[i] <= 'z' ? (char)(name[i] - 'a' + 'A') : name[i];
        if (variable.data[prefix.size + i] != upper) return false;
    }
    return true;
}

enum status options_read_environment(struct options *options, char *const *environment, struct error *error)
{
    for (size_t i = 0; environment[i] != NULL; i++) {
        struct str entry = str_of(environment[i]);
        size_t equals = str_find_byte(entry, '=', 0);
        struct str variable = str_slice(entry, 0, equals);
        for (int id = 0; equals != SIZE_MAX && id < OPTION_COUNT; id++) {
            if (!environment_is(variable, option_specs[id].name)) continue;
            enum status status = options_set(options, OPTION_SOURCE_ENVIRONMENT, str_of(option_specs[id].name),
                                             str_trim(str_slice(entry, equals + 1, entry.size)), error);
            if (status != STATUS_OK) error_prefix(error, "environment variable " STR_FMT, STR_ARG(variable));
            TRY(status);
        }
    }
    return STATUS_OK;
}

#define MEMORY_MIN          ((uint64_t)128 << 20)
#define EXPORT_MEMORY_LEAST ((uint64_t)16 << 20)
#define EXPORT_MEMORY_MOST  ((uint64_t)128 << 20)

/* A limit that is set decides about the one that is not. */
static enum status share_out_queries(struct options *options, const struct memory_shares *shares, unsigned threads,
                                     struct error *error)
{
    uint64_t *one = &options->query_memory_max_bytes, *all = &options->query_memory_total_bytes;
    if (*one && *all && *one > *all) {
        error_set(error, STATUS_INVALID, "query.memory_max is more than query.memory_total");
        error_hint(error, "one query cannot have more than all together");
        return STATUS_INVALID;
    }
    if (!*all) *all = *one > shares->query_total_bytes ? *one : shares->query_total_bytes;
    if (!*one) *one = shares->query_bytes < *all ? shares->query_bytes : *all;
    if (!options->query_running_max) options->query_running_max = 4 * (int64_t)threads;
    if (!options->query_cache_bytes) options->query_cache_bytes = shares->query_cache_bytes;
    return STATUS_OK;
}

static enum status share_memory(struct options *options, struct error *error)
{
    uint64_t bytes = options->memory_max_bytes ? options->memory_max_bytes : os_memory_bytes() / 2;
    if (options->memory_max_bytes && bytes < MEMORY_MIN) {
        (void)error_set(error, STATUS_INVALID, "memory.max is less than 128m");
        error_hint(error, "give 128m or more, or 0 for half of the machine's memory");
        return STATUS_INVALID;
    }
    unsigned loops = options->http_threads ? (unsigned)options->http_threads : os_cores();
    unsigned threads = options->query_threads ? (unsigned)options->query_threads : os_cores();
    struct memory_shares shares = memory_share_out(bytes, loops, threads);
    uint64_t body_bytes = options->http_body_bytes_max;
    if (body_bytes < options->ingest_import_bytes_max) body_bytes = options->ingest_import_bytes_max;
    if (shares.bodies_bytes < body_bytes) shares.bodies_bytes = body_bytes;
    if (shares.queue_bytes < body_bytes) shares.queue_bytes = body_bytes;
    if (!options->http_bodies_bytes_max) options->http_bodies_bytes_max = shares.bodies_bytes;
    TRY(share_out_queries(options, &shares, threads, error));
    if (!options->export_memory_bytes) options->export_memory_bytes = shares.exports_bytes;
    if (!options->export_memory_max_bytes) {
        uint64_t quarter = options->export_memory_bytes / 4;
        if (quarter > EXPORT_MEMORY_MOST) quarter = EXPORT_MEMORY_MOST;
        if (quarter < EXPORT_MEMORY_LEAST) quarter = EXPORT_MEMORY_LEAST;
        options->export_memory_max_bytes = quarter;
    }
    if (options->export_memory_bytes < options->export_memory_max_bytes) {
        (void)error_set(error, STATUS_INVALID, "export.memory_max is larger than export.memory");
        error_hint(error, "one export must fit into the memory of all: raise export.memory or lower export.memory_max");
        return STATUS_INVALID;
    }
    if (!options->query_sessions_memory_bytes) options->query_sessions_memory_bytes = shares.sessions_bytes;
    if (!options->store_memory_max_bytes) options->store_memory_max_bytes = shares.events_bytes;
    if (!options->store_queue_bytes_max) options->store_queue_bytes_max = shares.queue_bytes;
    if (!options->store_cache_bytes) options->store_cache_bytes = shares.cache_bytes;
    if (!options->lookup_memory_max_bytes) options->lookup_memory_max_bytes = shares.lookup_bytes;
    if (!options->store_compact_memory_bytes) options->store_compact_memory_bytes = shares.compact_bytes;
    return STATUS_OK;
}

static enum status check_tls(const struct options *options, struct error *error)
{
    bool certificate = options->http_tls_certificate[0], key = options->http_tls_key[0];
    if (certificate != key) {
        (void)error_set(error, STATUS_INVALID, "http.tls_%s is set without http.tls_%s",
                        certificate ? "certificate" : "key", certificate ? "key" : "certificate");
        error_hint(error, "a certificate and its private key go together");
        return STATUS_INVALID;
    }
    for (size_t i = 0; i < options->http_listen.count && !certificate; i++) {
        if (!str_starts(str_of(options->http_listen.items[i]), STR("https://"))) continue;
        (void)error_set(error, STATUS_INVALID, "http.listen has %s, and there is no certificate",
                        options->http_listen.items[i]);
        error_hint(error, "give --tls-certificate FILE and --tls-key FILE");
        return STATUS_INVALID;
    }
    return STATUS_OK;
}

/* What is held and decoded of one request must have room in what holds and decodes them. */
static enum status check_body(const struct options *options, const char *name, uint64_t body, const char *event_name,
                              uint64_t event, struct error *error)
{
    if (event > body) {
        (void)error_set(error, STATUS_INVALID, "%s is larger than %s", event_name, name);
        error_hint(error, "an event arrives in a body: raise %s or lower %s", name, event_name);
        return STATUS_INVALID;
    }
    if (body > options->store_queue_bytes_max) {
        (void)error_set(error, STATUS_INVALID, "%s is larger than store.queue_bytes_max", name);
        error_hint(error, "a body's records wait in that queue: raise store.queue_bytes_max or lower %s", name);
        return STATUS_INVALID;
    }
    if (body > options->http_bodies_bytes_max || body > options->http_request_memory_max_bytes) {
        (void)error_set(error, STATUS_INVALID, "%s is larger than http.bodies_bytes_max or http.request_memory_max",
                        name);
        error_hint(error, "a body is held and decoded within those: raise them or lower %s", name);
        return STATUS_INVALID;
    }
    return STATUS_OK;
}

static enum status check_recordings(const struct options *options, struct error *error)
{
    struct str percent = str_of(options->record_sessions_percent);
    uint64_t number, body = options->record_body_bytes_max;
    if (percent.size && !number_parse_unsigned(percent, 100, &number)) {
        (void)error_set(error, STATUS_INVALID, "record.sessions_percent is \"%s\", which is no percentage",
                        options->record_sessions_percent);
        error_hint(error, "write a whole number from 0 to 100, or nothing");
        return STATUS_INVALID;
    }
    if (body > options->http_bodies_bytes_max || body > options->http_request_memory_max_bytes) {
        (void)error_set(error, STATUS_INVALID,
                        "record.body_bytes_max is larger than http.bodies_bytes_max or http.request_memory_max");
        error_hint(error, "a body is held and packed within those: raise them or lower record.body_bytes_max");
        return STATUS_INVALID;
    }
    return STATUS_OK;
}

enum status options_finish(struct options *options, struct error *error)
{
    TRY(share_memory(options, error));
    TRY(check_tls(options, error));
    if (options->lookup_file_bytes_max > options->http_body_files_bytes_max) {
        (void)error_set(error, STATUS_INVALID, "lookup.file_bytes_max is larger than http.body_files_bytes_max");
        error_hint(error, "a table arrives in a body: raise http.body_files_bytes_max or lower lookup.file_bytes_max");
        return STATUS_INVALID;
    }
    TRY(check_body(options, "http.body_bytes_max", options->http_body_bytes_max, "ingest.event_bytes_max",
                   options->ingest_event_bytes_max, error));
    TRY(check_body(options, "ingest.import_bytes_max", options->ingest_import_bytes_max,
                   "ingest.import_event_bytes_max", options->ingest_import_event_bytes_max, error));
    return check_recordings(options, error);
}
