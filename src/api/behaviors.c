#include "api/behaviors.h"

#include "base/civil.h"
#include "base/json.h"
#include "base/number.h"

#define WINDOW_DAYS_MAX 36600 /* a hundred years */

static enum status refuse(struct error *error, struct str place, const char *what)
{
    return error_set(error, STATUS_INVALID, "Error in " STR_FMT ": %s", STR_ARG(place), what);
}

static bool parse_window(struct str text, int64_t *ret_ms)
{
    int64_t number, unit_ms;
    if (text.size < 2) return false;
    switch (text.data[text.size - 1]) {
    case 'h': unit_ms = HOUR_MS; break;
    case 'd': unit_ms = DAY_MS; break;
    case 'w': unit_ms = 7 * DAY_MS; break;
    case 'm': unit_ms = 30 * DAY_MS; break;
    default: return false;
    }
    if (!number_parse_int(str_slice(text, 0, text.size - 1), &number)) return false;
    if (number < 1 || number > WINDOW_DAYS_MAX * DAY_MS / unit_ms) return false;
    *ret_ms = number * unit_ms;
    return true;
}

static struct str text_of(const struct json *object, const char *name)
{
    const struct json *member = json_get(object, str_of(name));
    return member && member->type == JSON_STRING ? member->string : STR_NULL;
}

static enum status parse_selector(struct arena *arena, const struct json *json, struct str place, struct error *error,
                                  struct behavior_selector *ret)
{
    if (json->type != JSON_OBJECT) return refuse(error, place, "must be an object with an event");
    const struct json *selector = json_get(json, STR("selector"));
    *ret = (struct behavior_selector){.event = text_of(json, "event")};
    if (!ret->event.size)
        return refuse(error, arena_printf(arena, STR_FMT ".event", STR_ARG(place)), "must be the name of an event");
    if (!selector || selector->type == JSON_NULL) return STATUS_OK;
    if (selector->type != JSON_STRING)
        return refuse(error, arena_printf(arena, STR_FMT ".selector", STR_ARG(place)), "must be an expression");
    if (str_trim(selector->string).size) ret->where = selector->string;
    return STATUS_OK;
}

static enum status parse_selectors(struct arena *arena, const struct json *list, struct str place, size_t *left,
                                   struct error *error, struct behavior *behavior)
{
    if (!list || list->type != JSON_ARRAY || !list->array.count)
        return refuse(error, place, "must be an array of objects with an event");
    if (list->array.count > *left) {
        error_set(error, STATUS_LIMIT, "Error in " STR_FMT ": too many selectors", STR_ARG(place));
        error_hint(error, "ask for fewer at a time, or raise query.behaviors_max");
        return STATUS_LIMIT;
    }
    *left -= list->array.count;
    struct behavior_selector *selectors = arena_new_array(arena, struct behavior_selector, list->array.count);
    if (!selectors) return error_set(error, STATUS_LIMIT, "request needs too much memory");
    for (size_t i = 0; i < list->array.count; i++) {
        struct str each = arena_printf(arena, STR_FMT "[%zu]", STR_ARG(place), i);
        TRY(parse_selector(arena, &list->array.items[i], each, error, &selectors[i]));
    }
    behavior->selectors = selectors;
    behavior->selector_count = list->array.count;
    return STATUS_OK;
}

static enum status parse_behavior(struct arena *arena, const struct json *json, size_t index, size_t *left,
                                  struct error *error, struct behavior *ret)
{
    struct str place = arena_printf(arena, "behaviors[%zu]", index);
    if (json->type != JSON_OBJECT)
        return refuse(error, place, "must be an object with name, window and event_selectors");
    *ret = (struct behavior){.name = text_of(json, "name")};
    if (!ret->name.size) return refuse(error, arena_printf(arena, STR_FMT ".name", STR_ARG(place)), "must be a name");
    if (!parse_window(text_of(json, "window"), &ret->window_ms))
        return refuse(error, arena_printf(arena, STR_FMT ".window", STR_ARG(place)),
                      "must be a number of h, d, w or m, like \"90d\", of a hundred years at most");
    return parse_selectors(arena, json_get(json, STR("event_selectors")),
                           arena_printf(arena, STR_FMT ".event_selectors", STR_ARG(place)), left, error, ret);
}

enum status behaviors_parse(struct arena *arena, struct str text, size_t selectors_max, struct error *error,
                            const struct behavior **ret_behaviors, size_t *ret_count)
{
    struct json document;
    size_t left = selectors_max;
    enum status status = json_parse(arena, text, NULL, error, &document);
    if (status != STATUS_OK) {
        error_prefix(error, "Error in behaviors");
        return status;
    }
    if (document.type != JSON_ARRAY) return refuse(error, STR("behaviors"), "must be a JSON array");
    struct behavior *behaviors = arena_new_array(arena, struct behavior, document.array.count + 1);
    if (!behaviors) return error_set(error, STATUS_LIMIT, "request needs too much memory");
    for (size_t i = 0; i < document.array.count; i++) {
        TRY(parse_behavior(arena, &document.array.items[i], i, &left, error, &behaviors[i]));
        for (size_t before = 0; before < i; before++) {
            if (str_eq(behaviors[before].name, behaviors[i].name))
                return refuse(error, arena_printf(arena, "behaviors[%zu].name", i), "is the name of another one");
        }
    }
    *ret_behaviors = behaviors;
    *ret_count = document.array.count;
    return STATUS_OK;
}

/* --- actions --- */

/* The last comma that is not inside of brackets or a string; SIZE_MAX: none. */
static size_t last_comma(struct str text)
{
    size_t found = SIZE_MAX, depth = 0;
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        if (c == '"' || c == '\'') {
            for (i++; i < text.size && text.data[i] != c; i++) i += text.data[i] == '\\';
        } else if (c == '(' || c == '[') {
            depth++;
        } else if (c == ')' || c == ']') {
            depth -= depth > 0;
        } else if (c == ',' && depth == 0) {
            found = i;
        }
    }
    return found;
}

static enum status bad_action(struct error *error)
{
    error_set(error, STATUS_INVALID, "Error in action: not understood");
    error_hint(error, "use count(), extremes(E), numeric_summary(E) or percentile(E, N) with N above 0 and up to 100");
    return STATUS_INVALID;
}

enum status stats_action_parse(struct str text, struct error *error, struct stats_action *ret_action)
{
    static const char *const names[] = {"count", "extremes", "numeric_summary", "percentile"};
    struct stats_action action = {.percentile = 50};
    text = str_trim(text);
    size_t open = str_find_byte(text, '(', 0), kind = 0;
    if (open == SIZE_MAX || text.data[text.size - 1] != ')') return bad_action(error);
    while (kind < 4 && !str_eq_nocase(str_trim(str_slice(text, 0, open)), str_of(names[kind]))) kind++;
    if (kind == 4) return bad_action(error);
    struct str inside = str_trim(str_slice(text, open + 1, text.size - 1));
    action.kind = (enum stats_kind)kind;
    if (action.kind == STATS_COUNT) {
        if (inside.size) return bad_action(error);
    } else if (action.kind == STATS_PERCENTILE) {
        size_t comma = last_comma(inside);
        if (comma == SIZE_MAX ||
            !number_parse(str_trim(str_slice(inside, comma + 1, inside.size)), &action.percentile) ||
            !(action.percentile > 0 && action.percentile <= 100))
            return bad_action(error);
        inside = str_trim(str_slice(inside, 0, comma));
    }
    if (action.kind != STATS_COUNT) {
        if (!inside.size) return bad_action(error);
        action.of = inside;
    }
    *ret_action = action;
    return STATUS_OK;
}
