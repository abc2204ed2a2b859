/*
 * From libyaml's events to a tree, without recursion. Finished values wait on one stack of entries; a frame
 * for every open array or map remembers where its entries begin. When it closes, they move into the arena as
 * one block and the container becomes an entry itself.
 *
 * An entry knows its weight (values in it, with every alias counted again) and height (levels of nesting
 * below it). An alias copies the entry of its anchor, 3 words and no memory, but adds the weight to the
 * document and is refused where its height would pass the depth limit: so a reader who walks the tree
 * recursively is bounded although the tree is, in memory, a graph. It has no cycles because an anchor becomes
 * known only when its value is complete.
 */
#include "base/yaml.h"

#include "base/map.h"
#include "base/number.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <yaml.h>

#define SIZE_MAX_DEFAULT   ((size_t)16 << 20)
#define VALUES_MAX_DEFAULT ((size_t)1000000)
#define ANCHORS_MAX        ((size_t)10000)
#define TAG_PREFIX         "tag:yaml.org,2002:"

struct entry {
    struct json_member member;
    size_t weight;
    unsigned height;
    uint32_t key_line;
    uint16_t key_column;
};

struct frame {
    size_t first; /* of the entries that belong to it */
    struct str anchor, key;
    bool object, has_key;
    uint32_t line, key_line;
    uint16_t column, key_column;
};

struct reader_state {
    struct arena *arena;
    struct error *error;
    struct frame *frames;
    unsigned depth, depth_max;
    struct entry *entries;
    size_t entry_count, entry_capacity;
    struct entry *anchors;
    size_t anchor_count, anchor_capacity;
    struct strmap anchor_names;
    size_t values, values_max;
    bool done;
    bool malformed; /* the failure is libyaml's */
    struct json root;
};

static uint16_t column_of(const yaml_mark_t *mark)
{
    return mark->column >= UINT16_MAX ? UINT16_MAX : (uint16_t)(mark->column + 1);
}
static uint32_t line_of(const yaml_mark_t *mark)
{
    return mark->line >= UINT32_MAX ? UINT32_MAX : (uint32_t)(mark->line + 1);
}

static enum status fail(struct reader_state *r, enum status status, const yaml_mark_t *mark, const char *format, ...)
    PRINTF_LIKE(4, 5);
static enum status fail(struct reader_state *r, enum status status, const yaml_mark_t *mark, const char *format, ...)
{
    char text[sizeof r->error->primary];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    error_set(r->error, status, "%s", text);
    error_position(r->error, line_of(mark), column_of(mark));
    return status;
}

static enum status no_memory(struct reader_state *r)
{
    return error_set(r->error, STATUS_LIMIT, "the document exceeds the memory budget");
}

static bool reserve(struct entry **entries, size_t count, size_t *capacity)
{
    if (count < *capacity) return true;
    size_t larger = *capacity ? *capacity * 2 : 64;
    struct entry *grown = realloc(*entries, larger * sizeof **entries);
    if (!grown) return false;
    *entries = grown;
    *capacity = larger;
    return true;
}

static bool all_digits(struct str s, const char *digits)
{
    for (size_t i = 0; i < s.size; i++) {
        if (s.data[i] == 0 || !strchr(digits, s.data[i])) return false;
    }
    return s.size > 0;
}

/* 0o17 and 0x1f. */
static bool parse_based(struct str text, bool *ret_overflow, int64_t *ret_value)
{
    if (text.size < 3 || text.data[0] != '0' || (text.data[1] != 'o' && text.data[1] != 'x')) return false;
    bool hex = text.data[1] == 'x';
    struct str digits = str_slice(text, 2, text.size);
    if (!all_digits(digits, hex ? "0123456789abcdefABCDEF" : "01234567")) return false;
    int64_t value = 0;
    for (size_t i = 0; i < digits.size && !*ret_overflow; i++) {
        char c = digits.data[i];
        int digit = c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
        if (__builtin_mul_overflow(value, hex ? 16 : 8, &value) || __builtin_add_overflow(value, digit, &value))
            *ret_overflow = true;
    }
    *ret_value = value;
    return true;
}

/* Does the text match [-+]? ( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )? If so its JSON
 * spelling goes to `out` (at most 3 bytes longer): no plus, no leading zeros, digits on both sides of the
 * point. */
static bool json_spelling(struct str text, char *out, size_t *ret_size)
{
    size_t i = 0, n = 0;
    if (i < text.size && (text.data[i] == '-' || text.data[i] == '+')) {
        if (text.data[i] == '-') out[n++] = '-';
        i++;
    }
    size_t whole = i;
    while (i < text.size && text.data[i] >= '0' && text.data[i] <= '9') i++;
    size_t whole_end = i, fraction = i, fraction_end = i;
    if (i < text.size && text.data[i] == '.') {
        fraction = ++i;
        while (i < text.size && text.data[i] >= '0' && text.data[i] <= '9') i++;
        fraction_end = i;
    }
    if (whole == whole_end && fraction == fraction_end) return false;
    while (whole + 1 < whole_end && text.data[whole] == '0') whole++;
    if (whole == whole_end) {
        out[n++] = '0';
    } else {
        memcpy(out + n, text.data + whole, whole_end - whole);
        n += whole_end - whole;
    }
    if (fraction < fraction_end) {
        out[n++] = '.';
        memcpy(out + n, text.data + fraction, fraction_end - fraction);
        n += fraction_end - fraction;
    }
    if (i < text.size) {
        if ((text.data[i] | 0x20) != 'e') return false;
        size_t exponent = i++;
        if (i < text.size && (text.data[i] == '-' || text.data[i] == '+')) i++;
        if (!all_digits(str_slice(text, i, text.size), "0123456789")) return false;
        memcpy(out + n, text.data + exponent, text.size - exponent);
        n += text.size - exponent;
    }
    *ret_size = n;
    return true;
}

static bool is_any(struct str text, const char *a, const char *b, const char *c)
{
    return str_eq(text, str_of(a)) || str_eq(text, str_of(b)) || str_eq(text, str_of(c));
}

/* The core schema's reading of a plain scalar. */
static enum status resolve_plain(struct reader_state *r, struct str text, const yaml_mark_t *mark,
                                 struct json *ret_value)
{
    if (text.size == 0 || str_is(text, "~") || is_any(text, "null", "Null", "NULL")) {
        *ret_value = json_null();
        return STATUS_OK;
    }
    if (is_any(text, "true", "True", "TRUE") || is_any(text, "false", "False", "FALSE")) {
        *ret_value = json_bool((text.data[0] | 0x20) == 't');
        return STATUS_OK;
    }
    char first = text.data[0];
    if ((first >= '0' && first <= '9') || first == '-' || first == '+' || first == '.') {
        bool overflow = false;
        int64_t integer;
        if (parse_based(text, &overflow, &integer)) {
            if (overflow)
                return fail(r, STATUS_INVALID, mark, "the integer " STR_FMT " does not fit 64 bits", STR_ARG(text));
            *ret_value = json_int(integer);
            return STATUS_OK;
        }
        struct str unsigned_text = first == '-' || first == '+' ? str_slice(text, 1, text.size) : text;
        if (is_any(unsigned_text, ".inf", ".Inf", ".INF")) {
            *ret_value = (struct json){.type = JSON_DOUBLE, .number = first == '-' ? -HUGE_VAL : HUGE_VAL};
            return STATUS_OK;
        }
        if (is_any(text, ".nan", ".NaN", ".NAN")) {
            *ret_value = (struct json){.type = JSON_DOUBLE, .number = (double)NAN};
            return STATUS_OK;
        }
        char *spelling = arena_alloc(r->arena, text.size + 3);
        size_t size;
        if (!spelling) return no_memory(r);
        if (json_spelling(text, spelling, &size))
            return json_parse(r->arena, (struct str){spelling, size}, NULL, r->error, ret_value);
    }
    struct str copy = arena_str(r->arena, text);
    if (!copy.data) return no_memory(r);
    *ret_value = json_string(copy);
    return STATUS_OK;
}

static enum status read_scalar(struct reader_state *r, const yaml_event_t *event, struct json *ret_value)
{
    struct str text = str_from(event->data.scalar.value, event->data.scalar.length);
    const char *tag = (const char *)event->data.scalar.tag;
    bool plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    if (tag && tag[0] && strcmp(tag, "!") != 0) {
        struct json value;
        if (strcmp(tag, TAG_PREFIX "str") == 0) {
            plain = false;
        } else {
            TRY(resolve_plain(r, text, &event->start_mark, &value));
            bool agrees =
                (strcmp(tag, TAG_PREFIX "int") == 0 && (value.type == JSON_INT || value.type == JSON_BIGNUM)) ||
                (strcmp(tag, TAG_PREFIX "float") == 0 && json_is_number(&value)) ||
                (strcmp(tag, TAG_PREFIX "bool") == 0 && value.type == JSON_BOOL) ||
                (strcmp(tag, TAG_PREFIX "null") == 0 && value.type == JSON_NULL);
            if (!agrees)
                return fail(r, STATUS_INVALID, &event->start_mark,
                            "tag \"" STR_FMT "\" is unknown or does not fit its value", STR_ARG(str_of(tag)));
            *ret_value = value;
            return STATUS_OK;
        }
    } else if (tag && tag[0]) {
        plain = false; /* "!" asks for a string */
    }
    if (plain) return resolve_plain(r, text, &event->start_mark, ret_value);
    struct str copy = arena_str(r->arena, text);
    if (!copy.data) return no_memory(r);
    *ret_value = json_string(copy);
    ret_value->flags = JSON_FLAG_QUOTED;
    return STATUS_OK;
}

static enum status remember(struct reader_state *r, struct str anchor, const struct entry *entry,
                            const yaml_mark_t *mark)
{
    if (anchor.size == 0) return STATUS_OK;
    if (r->anchor_count == ANCHORS_MAX) return fail(r, STATUS_LIMIT, mark, "too many anchors");
    if (!reserve(&r->anchors, r->anchor_count, &r->anchor_capacity)) return no_memory(r);
    r->anchors[r->anchor_count] = *entry;
    if (strmap_put(&r->anchor_names, anchor, r->anchor_count) != STATUS_OK) return no_memory(r);
    r->anchor_count++;
    return STATUS_OK;
}

/* A finished value takes its place in the container at hand, or becomes the document. */
static enum status place(struct reader_state *r, struct entry entry)
{
    if (r->depth == 0) {
        r->root = entry.member.value;
        r->done = true;
        return STATUS_OK;
    }
    struct frame *frame = &r->frames[r->depth - 1];
    if (frame->object) {
        entry.member.key = frame->key;
        entry.key_line = frame->key_line;
        entry.key_column = frame->key_column;
        frame->has_key = false;
    }
    if (!reserve(&r->entries, r->entry_count, &r->entry_capacity)) return no_memory(r);
    r->entries[r->entry_count++] = entry;
    return STATUS_OK;
}

static enum status count_values(struct reader_state *r, size_t weight, const yaml_mark_t *mark)
{
    if (weight > r->values_max - r->values) return fail(r, STATUS_LIMIT, mark, "the document has too many values");
    r->values += weight;
    return STATUS_OK;
}

static bool awaits_key(const struct reader_state *r)
{
    return r->depth > 0 && r->frames[r->depth - 1].object && !r->frames[r->depth - 1].has_key;
}

static enum status on_scalar(struct reader_state *r, const yaml_event_t *event)
{
    const yaml_mark_t *mark = &event->start_mark;
    struct str anchor = arena_str(r->arena, str_of((const char *)event->data.scalar.anchor));
    if (!anchor.data) return no_memory(r);
    struct entry entry = {.weight = 1};
    if (awaits_key(r)) {
        struct frame *frame = &r->frames[r->depth - 1];
        struct str key = str_from(event->data.scalar.value, event->data.scalar.length);
        frame->key = arena_str(r->arena, key);
        if (!frame->key.data) return no_memory(r);
        frame->has_key = true;
        frame->key_line = line_of(mark);
        frame->key_column = column_of(mark);
        entry.member.value = json_string(frame->key);
        return remember(r, anchor, &entry, mark);
    }
    TRY(count_values(r, 1, mark));
    TRY(read_scalar(r, event, &entry.member.value));
    entry.member.value.line = line_of(mark);
    entry.member.value.column = column_of(mark);
    TRY(remember(r, anchor, &entry, mark));
    return place(r, entry);
}

static enum status on_alias(struct reader_state *r, const yaml_event_t *event)
{
    const yaml_mark_t *mark = &event->start_mark;
    struct str name = str_of((const char *)event->data.alias.anchor);
    if (awaits_key(r)) return fail(r, STATUS_INVALID, mark, "an alias cannot be a key");
    const uint64_t *index = strmap_get(&r->anchor_names, name);
    if (!index) return fail(r, STATUS_INVALID, mark, "alias *" STR_FMT " refers to no finished anchor", STR_ARG(name));
    struct entry entry = r->anchors[*index];
    TRY(count_values(r, entry.weight, mark));
    if (r->depth + entry.height > r->depth_max) return fail(r, STATUS_LIMIT, mark, "the document is nested too deeply");
    return place(r, entry);
}

static enum status on_open(struct reader_state *r, const yaml_event_t *event, bool object)
{
    const yaml_mark_t *mark = &event->start_mark;
    const char *tag = (const char *)(object ? event->data.mapping_start.tag : event->data.sequence_start.tag);
    const char *anchor = (const char *)(object ? event->data.mapping_start.anchor : event->data.sequence_start.anchor);
    if (awaits_key(r)) return fail(r, STATUS_INVALID, mark, "a key must be a plain or quoted scalar");
    if (tag && tag[0] && strcmp(tag, "!") != 0 && strcmp(tag, object ? TAG_PREFIX "map" : TAG_PREFIX "seq") != 0)
        return fail(r, STATUS_INVALID, mark, "tag \"" STR_FMT "\" is unknown or does not fit its value",
                    STR_ARG(str_of(tag)));
    if (r->depth == r->depth_max) return fail(r, STATUS_LIMIT, mark, "the document is nested too deeply");
    TRY(count_values(r, 1, mark));
    struct frame frame = {.first = r->entry_count, .object = object, .line = line_of(mark), .column = column_of(mark)};
    frame.anchor = arena_str(r->arena, str_of(anchor));
    if (!frame.anchor.data) return no_memory(r);
    r->frames[r->depth++] = frame;
    return STATUS_OK;
}

static int compare_keys(const void *left, const void *right)
{
    const struct entry *a = *(const struct entry *const *)left, *b = *(const struct entry *const *)right;
    int order = str_cmp(a->member.key, b->member.key);
    if (order) return order;
    return a < b ? -1 : a > b;
}

/* Sorting finds duplicates among n keys in n log n, whatever keys the author chose. */
static enum status check_duplicates(struct reader_state *r, const struct entry *entries, size_t count)
{
    if (count < 2) return STATUS_OK;
    const struct entry **sorted = malloc(count * sizeof(const struct entry *));
    if (!sorted) return no_memory(r);
    for (size_t i = 0; i < count; i++) sorted[i] = &entries[i];
    qsort(sorted, count, sizeof(const struct entry *), compare_keys);
    const struct entry *duplicate = NULL;
    for (size_t i = 1; i < count; i++) {
        if (str_eq(sorted[i - 1]->member.key, sorted[i]->member.key) && (!duplicate || sorted[i] < duplicate))
            duplicate = sorted[i];
    }
    free(sorted);
    if (!duplicate) return STATUS_OK;
    error_set(r->error, STATUS_INVALID, "duplicate key \"" STR_FMT "\"", STR_ARG(duplicate->member.key));
    error_position(r->error, duplicate->key_line, duplicate->key_column);
    return STATUS_INVALID;
}

static enum status on_close(struct reader_state *r, const yaml_event_t *event)
{
    const struct frame frame = r->frames[--r->depth];
    size_t count = r->entry_count - frame.first, capacity = 1;
    const struct entry *entries = count ? r->entries + frame.first : NULL;
    if (frame.object) TRY(check_duplicates(r, entries, count));
    while (capacity < count) capacity *= 2; /* as json_push and json_put expect */
    struct entry closed = {.weight = 1, .height = 1};
    struct json *value = &closed.member.value;
    *value = (struct json){.type = frame.object ? JSON_OBJECT : JSON_ARRAY, .line = frame.line, .column = frame.column};
    for (size_t i = 0; i < count; i++) {
        closed.weight += entries[i].weight;
        if (entries[i].height + 1 > closed.height) closed.height = entries[i].height + 1;
    }
    if (count && frame.object) {
        value->object.members = arena_new_array(r->arena, struct json_member, capacity);
        if (!value->object.members) return no_memory(r);
        for (size_t i = 0; i < count; i++) value->object.members[i] = entries[i].member;
        value->object.count = count;
    } else if (count) {
        value->array.items = arena_new_array(r->arena, struct json, capacity);
        if (!value->array.items) return no_memory(r);
        for (size_t i = 0; i < count; i++) value->array.items[i] = entries[i].member.value;
        value->array.count = count;
    }
    r->entry_count = frame.first;
    TRY(remember(r, frame.anchor, &closed, &event->start_mark));
    return place(r, closed);
}

static enum status on_event(struct reader_state *r, const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (r->done) return fail(r, STATUS_INVALID, &event->start_mark, "there is more than one document in the file");
        return STATUS_OK;
    case YAML_SCALAR_EVENT: return on_scalar(r, event);
    case YAML_ALIAS_EVENT: return on_alias(r, event);
    case YAML_SEQUENCE_START_EVENT: return on_open(r, event, false);
    case YAML_MAPPING_START_EVENT: return on_open(r, event, true);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT: return on_close(r, event);
    default: return STATUS_OK;
    }
}

static enum status parser_failed(struct reader_state *r, const yaml_parser_t *parser)
{
    if (parser->error == YAML_MEMORY_ERROR) return no_memory(r);
    r->malformed = true;
    error_set(r->error, STATUS_INVALID, "malformed YAML: %s", parser->problem ? parser->problem : "unreadable");
    if (parser->error == YAML_READER_ERROR) {
        error_detail(r->error, "at byte %zu", parser->problem_offset);
        error_position(r->error, line_of(&parser->mark), column_of(&parser->mark));
    } else {
        if (parser->context) error_detail(r->error, "%s", parser->context);
        error_position(r->error, line_of(&parser->problem_mark), column_of(&parser->problem_mark));
    }
    return STATUS_INVALID;
}

static enum status read_events(struct reader_state *r, struct str text)
{
    yaml_parser_t parser;
    if (!yaml_parser_initialize(&parser)) return no_memory(r);
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, (const unsigned char *)(text.data ? text.data : ""), text.size);
    enum status status = STATUS_OK;
    for (bool more = true; more && status == STATUS_OK;) {
        yaml_event_t event;
        if (!yaml_parser_parse(&parser, &event)) {
            status = parser_failed(r, &parser);
            break;
        }
        more = event.type != YAML_STREAM_END_EVENT;
        status = on_event(r, &event);
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
    if (status == STATUS_OK && !r->done) status = error_set(r->error, STATUS_INVALID, "the document is empty");
    return status;
}

static bool looks_like_json(struct str text)
{
    struct str trimmed = str_trim(text);
    return trimmed.size > 0 && (trimmed.data[0] == '{' || trimmed.data[0] == '[');
}

enum status json_from_yaml(struct arena *arena, struct str text, const struct yaml_read_limits *limits,
                           struct error *error, struct json *ret_value)
{
    size_t size_max = limits && limits->size_max ? limits->size_max : SIZE_MAX_DEFAULT;
    struct reader_state r = {.arena = arena, .error = error, .anchor_names = STRMAP_INIT(ANCHORS_MAX)};
    r.depth_max = limits && limits->depth_max ? limits->depth_max : JSON_DEPTH_DEFAULT;
    r.values_max = limits && limits->values_max ? limits->values_max : VALUES_MAX_DEFAULT;
    if (str_starts(text, STR("\xEF\xBB\xBF"))) text = str_slice(text, 3, text.size);
    if (text.size > size_max)
        return error_set(error, STATUS_LIMIT, "the document has %zu bytes, more than the %zu allowed", text.size,
                         size_max);
    r.frames = calloc(r.depth_max, sizeof *r.frames);
    enum status status = r.frames ? read_events(&r, text) : no_memory(&r);
    free(r.frames);
    free(r.entries);
    free(r.anchors);
    strmap_fini(&r.anchor_names);
    if (r.malformed && looks_like_json(text)) {
        const struct json_limits json_limits = {.depth_max = r.depth_max, .values_max = r.values_max};
        if (json_parse(arena, text, &json_limits, NULL, &r.root) == STATUS_OK) status = STATUS_OK;
    }
    if (status == STATUS_OK) *ret_value = r.root;
    return status;
}
