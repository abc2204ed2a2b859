#include "query/funnel_definition.h"

#include "expr/expr.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#define EXCLUSIONS_MAX FUNNEL_STEPS_MAX
#define SECOND_MS      INT64_C(1000)
#define DAY_IN_MS      INT64_C(86400000)

const char *const funnel_unit_names[] = {"second", "minute", "hour", "day", "week", "month", "session", NULL};
static const char *const order_names[] = {"specific", "any", NULL};
static const char *const count_names[] = {"unique", "total", "session", NULL};
static const char *const reentry_names[] = {"default", "basic", "aggressive", "optimized", NULL};
static const char *const attribution_names[] = {"step", "first", "last", NULL};

/* Where reading is: the path of the member at hand. */
struct reading {
    struct arena *arena;
    struct error *error;
    char place[96];
};

static enum status refuse(struct reading *r, const char *format, ...) PRINTF_LIKE(2, 3);
static enum status refuse(struct reading *r, const char *format, ...)
{
    char text[256];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return error_set(r->error, STATUS_INVALID, "%s: %s", r->place, text);
}
static void at(struct reading *r, const char *format, ...) PRINTF_LIKE(2, 3);
static void at(struct reading *r, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(r->place, sizeof r->place, format, args);
    va_end(args);
}
static enum status out_of_memory(struct reading *r)
{
    return error_set(r->error, STATUS_LIMIT, "the funnel needs too much memory");
}

/* --- single members --- */

static bool given(const struct json *member)
{
    return member && member->type != JSON_NULL;
}

static enum status known_members(struct reading *r, const struct json *object, const char *const *names)
{
    char place[sizeof r->place];
    memcpy(place, r->place, sizeof place);
    for (size_t i = 0; i < object->object.count; i++) {
        struct str key = object->object.members[i].key;
        size_t n = 0;
        while (names[n] && !str_eq(key, str_of(names[n]))) n++;
        if (names[n]) continue;
        struct str shown = str_slice(key, 0, 40);
        at(r, "%.40s%s" STR_FMT, place, place[0] ? "." : "", STR_ARG(shown));
        return refuse(r, "there is no such member");
    }
    return STATUS_OK;
}

static enum status read_choice(struct reading *r, const struct json *object, const char *name, const char *const *names,
                               int *ret_index)
{
    const struct json *member = json_get(object, str_of(name));
    *ret_index = 0;
    if (!given(member)) return STATUS_OK;
    at(r, "%s", name);
    for (int i = 0; names[i] && member->type == JSON_STRING; i++) {
        *ret_index = i;
        if (str_eq(member->string, str_of(names[i]))) return STATUS_OK;
    }
    char list[128] = "";
    for (int i = 0; names[i]; i++) {
        size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s%s", i == 0 ? "" : names[i + 1] ? ", " : " or ", names[i]);
    }
    return refuse(r, "must be %s", list);
}

/* Something that the query could not compile is refused now. `bare`: a word alone is a property. */
static enum status check_expression(struct reading *r, struct str text, bool bare)
{
    struct arena *arena = arena_new((size_t)8 << 20);
    const struct expr *expr;
    struct expr_options options = {.bare_name_is_property = bare};
    enum status status = arena ? expr_compile(arena, text, &options, r->error, &expr) : out_of_memory(r);
    arena_free(arena);
    if (status != STATUS_OK) error_prefix(r->error, "%s", r->place);
    return status;
}

/* The place is the object's. */
static enum status read_where(struct reading *r, const struct json *object, struct str *ret_where)
{
    const struct json *where = json_member(object, "where");
    *ret_where = STR_NULL;
    if (!given(where)) return STATUS_OK;
    size_t used = strlen(r->place);
    snprintf(r->place + used, sizeof r->place - used, ".where");
    if (where->type != JSON_STRING) return refuse(r, "must be an expression");
    if (str_trim(where->string).size == 0) {
        r->place[used] = '\0';
        return STATUS_OK;
    }
    TRY(check_expression(r, where->string, false));
    r->place[used] = '\0';
    *ret_where = where->string;
    return STATUS_OK;
}

/* `event`, a name, or `events`, a list of them. */
static enum status read_events(struct reading *r, const struct json *object, const struct str **ret_events,
                               size_t *ret_count)
{
    const struct json *one = json_member(object, "event"), *many = json_member(object, "events");
    char place[sizeof r->place];
    memcpy(place, r->place, sizeof place);
    if (given(one) == given(many)) {
        at(r, "%.60s.event", place);
        return refuse(r, given(one) ? "stands beside events: give one of them" : "is missing");
    }
    if (given(many)) {
        at(r, "%.60s.events", place);
        if (many->type != JSON_ARRAY || many->array.count == 0 || many->array.count > FUNNEL_EVENTS_MAX)
            return refuse(r, "must be a list of 1 to %d names", FUNNEL_EVENTS_MAX);
    }
    size_t count = given(many) ? many->array.count : 1;
    struct str *events = arena_new_array(r->arena, struct str, count);
    if (!events) return out_of_memory(r);
    for (size_t i = 0; i < count; i++) {
        const struct json *name = given(many) ? &many->array.items[i] : one;
        if (given(many))
            at(r, "%.60s.events[%zu]", place, i);
        else
            at(r, "%.60s.event", place);
        if (name->type != JSON_STRING || name->string.size == 0) return refuse(r, "must be the name of an event");
        events[i] = name->string;
    }
    memcpy(r->place, place, sizeof place);
    *ret_events = events;
    *ret_count = count;
    return STATUS_OK;
}

/* --- the lists --- */

static enum status read_step(struct reading *r, const struct json *json, struct funnel_step *step, struct str *ret_name)
{
    static const char *const members[] = {"event", "events", "where", "name", "anchored", NULL};
    if (json->type != JSON_OBJECT) return refuse(r, "must be an object with an event");
    TRY(known_members(r, json, members));
    TRY(read_events(r, json, &step->events, &step->event_count));
    TRY(read_where(r, json, &step->where));
    const struct json *name = json_member(json, "name"), *anchored = json_member(json, "anchored");
    *ret_name = STR_NULL;
    size_t used = strlen(r->place);
    if (given(name)) {
        snprintf(r->place + used, sizeof r->place - used, ".name");
        if (name->type != JSON_STRING || name->string.size > 255)
            return refuse(r, "must be a text of at most 255 bytes");
        if (name->string.size) *ret_name = name->string;
    }
    if (given(anchored)) {
        snprintf(r->place + used, sizeof r->place - used, ".anchored");
        if (anchored->type != JSON_BOOL) return refuse(r, "must be true or false");
        step->anchored = anchored->boolean;
    }
    return STATUS_OK;
}

static enum status read_steps(struct reading *r, const struct json *object, uint32_t steps_max,
                              struct funnel_definition *d)
{
    const struct json *list = json_member(object, "steps");
    at(r, "steps");
    if (!given(list)) return refuse(r, "is missing");
    if (list->type != JSON_ARRAY || list->array.count == 0) return refuse(r, "must be a list of steps");
    if (list->array.count > steps_max) {
        enum status status = refuse(r, "there are %zu, at most %" PRIu32 " are allowed", list->array.count, steps_max);
        error_hint(r->error, "leave some out, or raise query.funnel_steps_max");
        return status;
    }
    struct funnel_step *steps = arena_new_array(r->arena, struct funnel_step, list->array.count);
    struct str *names = arena_new_array(r->arena, struct str, list->array.count);
    if (!steps || !names) return out_of_memory(r);
    for (size_t i = 0; i < list->array.count; i++) {
        at(r, "steps[%zu]", i);
        TRY(read_step(r, &list->array.items[i], &steps[i], &names[i]));
    }
    d->steps = steps;
    d->step_names = names;
    d->step_count = list->array.count;
    return STATUS_OK;
}

static enum status read_step_number(struct reading *r, const struct json *json, const char *name, int64_t low,
                                    int64_t high, uint32_t initial, uint32_t *ret)
{
    const struct json *member = json_get(json, str_of(name));
    char place[sizeof r->place];
    *ret = initial;
    if (!given(member)) return STATUS_OK;
    memcpy(place, r->place, sizeof place);
    at(r, "%.60s%s%s", place, place[0] ? "." : "", name);
    if (member->type != JSON_INT || member->integer < low || member->integer > high)
        return refuse(r, "must be the number of a step, from %lld to %lld", (long long)low, (long long)high);
    *ret = (uint32_t)member->integer;
    memcpy(r->place, place, sizeof place);
    return STATUS_OK;
}

static enum status read_exclusions(struct reading *r, const struct json *object, struct funnel_definition *d)
{
    static const char *const members[] = {"event", "events", "where", "from_step", "to_step", NULL};
    const struct json *list = json_member(object, "exclusions");
    if (!given(list)) return STATUS_OK;
    at(r, "exclusions");
    if (list->type != JSON_ARRAY || list->array.count > EXCLUSIONS_MAX)
        return refuse(r, "must be a list of at most %d", EXCLUSIONS_MAX);
    if (list->array.count && d->step_count < 2) return refuse(r, "a funnel of one step has nothing between its steps");
    struct funnel_exclusion *exclusions = arena_new_array(r->arena, struct funnel_exclusion, list->array.count + 1);
    if (!exclusions) return out_of_memory(r);
    for (size_t i = 0; i < list->array.count; i++) {
        const struct json *json = &list->array.items[i];
        struct funnel_exclusion *e = &exclusions[i];
        at(r, "exclusions[%zu]", i);
        if (json->type != JSON_OBJECT) return refuse(r, "must be an object with an event");
        TRY(known_members(r, json, members));
        TRY(read_events(r, json, &e->events, &e->event_count));
        TRY(read_where(r, json, &e->where));
        TRY(read_step_number(r, json, "from_step", 1, (int64_t)d->step_count - 1, 1, &e->from_step));
        TRY(read_step_number(r, json, "to_step", (int64_t)e->from_step + 1, (int64_t)d->step_count,
                             (uint32_t)d->step_count, &e->to_step));
    }
    d->exclusions = exclusions;
    d->exclusion_count = list->array.count;
    return STATUS_OK;
}

static enum status read_hold(struct reading *r, const struct json *object, struct funnel_definition *d)
{
    const struct json *list = json_member(object, "hold_constant");
    if (!given(list)) return STATUS_OK;
    at(r, "hold_constant");
    if (list->type != JSON_ARRAY || list->array.count > FUNNEL_HOLD_MAX)
        return refuse(r, "must be a list of at most %d properties", FUNNEL_HOLD_MAX);
    struct str *hold = arena_new_array(r->arena, struct str, list->array.count + 1);
    if (!hold) return out_of_memory(r);
    for (size_t i = 0; i < list->array.count; i++) {
        const struct json *one = &list->array.items[i];
        at(r, "hold_constant[%zu]", i);
        if (one->type != JSON_STRING || str_trim(one->string).size == 0)
            return refuse(r, "must be a property, or an expression");
        TRY(check_expression(r, one->string, true));
        hold[i] = one->string;
    }
    d->hold = hold;
    d->hold_count = list->array.count;
    return STATUS_OK;
}

static enum status read_window(struct reading *r, const struct json *object, struct funnel_definition *d)
{
    static const char *const members[] = {"length", "unit", NULL};
    const struct json *window = json_member(object, "window");
    d->window_length = 7;
    d->window_unit = FUNNEL_UNIT_DAY;
    if (!given(window)) return STATUS_OK;
    at(r, "window");
    if (window->type != JSON_OBJECT) return refuse(r, "must be an object like {\"length\":7,\"unit\":\"day\"}");
    TRY(known_members(r, window, members));
    const struct json *length = json_member(window, "length"), *unit = json_member(window, "unit");
    at(r, "window.length");
    if (!given(length) || length->type != JSON_INT || length->integer < 1) return refuse(r, "must be a whole number");
    at(r, "window.unit");
    int index = -1;
    for (int i = 0; unit && unit->type == JSON_STRING && funnel_unit_names[i]; i++) {
        if (str_eq(unit->string, str_of(funnel_unit_names[i]))) index = i;
    }
    if (index < 0) return refuse(r, "must be second, minute, hour, day, week, month or session");
    d->window_length = length->integer;
    d->window_unit = (enum funnel_unit)index;
    return funnel_window(d->window_length, d->window_unit, "window.length", r->error, &(struct funnel_plan){0});
}

enum status funnel_definition_read(struct arena *arena, const struct json *object, uint32_t steps_max,
                                   struct error *error, struct funnel_definition *ret_definition)
{
    static const char *const members[] = {"steps",      "order",         "window",      "count_type",       "reentry",
                                          "exclusions", "hold_constant", "attribution", "attribution_step", NULL};
    struct error local;
    struct reading r = {.arena = arena, .error = error ? error : &local};
    struct funnel_definition d = {0};
    int order, count, reentry, attribution;
    if (object->type != JSON_OBJECT) return error_set(error, STATUS_INVALID, "a funnel must be an object with steps");
    TRY(known_members(&r, object, members));
    TRY(read_steps(&r, object, steps_max < FUNNEL_STEPS_MAX ? steps_max : FUNNEL_STEPS_MAX, &d));
    TRY(read_choice(&r, object, "order", order_names, &order));
    TRY(read_window(&r, object, &d));
    TRY(read_choice(&r, object, "count_type", count_names, &count));
    TRY(read_choice(&r, object, "reentry", reentry_names, &reentry));
    TRY(read_exclusions(&r, object, &d));
    TRY(read_hold(&r, object, &d));
    TRY(read_choice(&r, object, "attribution", attribution_names, &attribution));
    r.place[0] = '\0';
    TRY(read_step_number(&r, object, "attribution_step", 1, (int64_t)d.step_count, 1, &d.attribution_step));
    d.any_order = order == 1;
    d.count = (enum funnel_count)count;
    d.reentry = (enum funnel_reentry)reentry;
    d.attribution = (enum funnel_attribution)attribution;
    if (d.step_count + d.exclusion_count > FUNNEL_STEPS_MAX) {
        at(&r, "steps");
        return refuse(&r, "there are %zu with the exclusions, at most %d are possible",
                      d.step_count + d.exclusion_count, FUNNEL_STEPS_MAX);
    }
    *ret_definition = d;
    return STATUS_OK;
}

/* --- writing --- */

static void write_events(struct buf *buf, const struct str *events, size_t count)
{
    if (count == 1) {
        buf_lit(buf, "\"event\":");
        json_write_str(buf, events[0]);
        return;
    }
    buf_lit(buf, "\"events\":[");
    for (size_t i = 0; i < count; i++) {
        if (i) buf_byte(buf, ',');
        json_write_str(buf, events[i]);
    }
    buf_byte(buf, ']');
}

static void write_text(struct buf *buf, const char *name, struct str text)
{
    if (!text.data) return;
    buf_printf(buf, ",\"%s\":", name);
    json_write_str(buf, text);
}

void funnel_definition_write(struct buf *buf, const struct funnel_definition *d)
{
    buf_lit(buf, "\"steps\":[");
    for (size_t i = 0; i < d->step_count; i++) {
        buf_str_add(buf, i ? STR(",{") : STR("{"));
        write_events(buf, d->steps[i].events, d->steps[i].event_count);
        write_text(buf, "where", d->steps[i].where);
        write_text(buf, "name", d->step_names[i]);
        buf_printf(buf, ",\"anchored\":%s}", d->steps[i].anchored ? "true" : "false");
    }
    buf_printf(buf,
               "],\"order\":\"%s\",\"window\":{\"length\":%lld,\"unit\":\"%s\"},\"count_type\":\"%s\",\"reentry\":\"%s\"",
               order_names[d->any_order], (long long)d->window_length, funnel_unit_names[d->window_unit],
               count_names[d->count], reentry_names[d->reentry]);
    buf_lit(buf, ",\"exclusions\":[");
    for (size_t i = 0; i < d->exclusion_count; i++) {
        const struct funnel_exclusion *e = &d->exclusions[i];
        buf_str_add(buf, i ? STR(",{") : STR("{"));
        write_events(buf, e->events, e->event_count);
        write_text(buf, "where", e->where);
        buf_printf(buf, ",\"from_step\":%" PRIu32 ",\"to_step\":%" PRIu32 "}", e->from_step, e->to_step);
    }
    buf_lit(buf, "],\"hold_constant\":[");
    for (size_t i = 0; i < d->hold_count; i++) {
        if (i) buf_byte(buf, ',');
        json_write_str(buf, d->hold[i]);
    }
    buf_printf(buf, "],\"attribution\":\"%s\",\"attribution_step\":%" PRIu32, attribution_names[d->attribution],
               d->attribution_step);
}

struct str funnel_step_goal(const struct funnel_definition *d, size_t step, struct arena *arena)
{
    const struct funnel_step *s = &d->steps[step];
    if (s->event_count == 1) return s->events[0];
    size_t size = 0, used = 0;
    for (size_t i = 0; i < s->event_count; i++) size += s->events[i].size + 2;
    char *text = arena_alloc(arena, size + 1);
    if (!text) return STR_NULL;
    for (size_t i = 0; i < s->event_count; i++) {
        if (i) text[used++] = ',', text[used++] = ' ';
        memcpy(text + used, s->events[i].data, s->events[i].size);
        used += s->events[i].size;
    }
    return str_from(text, used);
}

/* --- plans --- */

enum status funnel_window(int64_t length, enum funnel_unit unit, const char *what, struct error *error,
                          struct funnel_plan *plan)
{
    static const int64_t unit_ms[] = {
        [FUNNEL_UNIT_SECOND] = SECOND_MS,    [FUNNEL_UNIT_MINUTE] = 60 * SECOND_MS, [FUNNEL_UNIT_HOUR] = 3600 * SECOND_MS,
        [FUNNEL_UNIT_DAY] = DAY_IN_MS,       [FUNNEL_UNIT_WEEK] = 7 * DAY_IN_MS,    [FUNNEL_UNIT_MONTH] = FUNNEL_MONTH_MS,
        [FUNNEL_UNIT_SESSION] = 0,
    };
    bool sessions = unit == FUNNEL_UNIT_SESSION;
    int64_t most = sessions ? FUNNEL_SESSIONS_MAX : FUNNEL_WINDOW_MS_MAX / unit_ms[unit];
    if (length < 1 || length > most)
        return error_set(error, STATUS_INVALID, "%s: must be from 1 to %lld %ss", what, (long long)most,
                         funnel_unit_names[unit]);
    plan->window_ms = sessions ? 0 : length * unit_ms[unit];
    plan->window_sessions = sessions ? (uint32_t)length : 0;
    return STATUS_OK;
}

void funnel_definition_plan(const struct funnel_definition *d, struct funnel_plan *plan)
{
    plan->steps = d->steps;
    plan->step_count = d->step_count;
    plan->exclusions = d->exclusions;
    plan->exclusion_count = d->exclusion_count;
    plan->any_order = d->any_order;
    plan->count = d->count;
    plan->reentry = d->reentry;
    plan->hold = d->hold;
    plan->hold_count = d->hold_count;
    plan->attribution = d->attribution;
    plan->on_step = d->attribution_step;
    enum status status = funnel_window(d->window_length, d->window_unit, "window", NULL, plan);
    (void)status; /* it was read as a window */
}
