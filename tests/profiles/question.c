#include "profiles/question.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- asking --- */

static struct str replaced(struct world *w, struct str text, const char *from, const char *to)
{
    struct buf out = BUF_INIT(1 << 20);
    for (size_t i = 0, size = strlen(from); i < text.size;) {
        bool here = str_eq_nocase(str_slice(text, i, i + size), str_of(from));
        if (here)
            buf_str_add(&out, str_of(to));
        else
            buf_byte(&out, text.data[i]);
        i += here ? size : 1;
    }
    struct str copy = arena_str(w->arena, buf_str(&out));
    buf_fini(&out);
    return copy;
}

/* The engine is asked in both spellings of a property, and not for event[…], which means something else. */
static struct str native_text(struct world *w, struct str text)
{
    text = replaced(w, text, "event[", "user[");
    return replaced(w, text, "properties[\"$b", "behaviors[\"b");
}

static struct str expression(struct world *w, void (*generate)(struct generator *g, struct buf *out))
{
    struct buf text = BUF_INIT(1 << 20);
    generate(&w->generator, &text);
    struct str copy = replaced(w, buf_str(&text), "user[", "event["); /* the reference has profiles by one name */
    buf_fini(&text);
    return copy;
}

static struct str simple_where(struct world *w)
{
    static const char *const texts[] = {
        "properties[\"n\"] > 1",
        "properties[\"n\"] >= 0 and properties[\"n\"] < 100",
        "defined(properties[\"s\"]) and properties[\"b\"] == true",
        "properties[\"$distinct_id\"] > \"U\"",
        "has_prefix(distinct_id, \"$device\")",
        "\"ann\" in lower(properties[\"$email\"]) or properties[\"rare\"] == 1",
        "properties[\"s\"] in [\"a\", \"b\", \"abc\", \"x/y/z\", \"1\"]",
        "not defined(properties[\"never\"])",
        "properties[\"b0\"] == 1",
        "true",
    };
    const char *text = texts[generate_below(&w->generator, sizeof texts / sizeof *texts)];
    return str_starts(str_of(text), STR("has_prefix")) ? STR("has_prefix(properties[\"distinct_id\"], \"$DEVICE\")")
                                                       : str_of(text);
}

static void ask_behaviors(struct question *q, struct world *w)
{
    static const char *const names[] = {"b0", "b1"};
    struct generator *g = &w->generator;
    q->plan.as_of_ms = WORLD_NOW_MS - generate_below(g, 40) * WORLD_HOUR_MS;
    q->plan.behaviors = q->behaviors;
    q->plan.behavior_count = 1 + generate_below(g, QUESTION_BEHAVIORS_MAX);
    for (size_t i = 0; i < q->plan.behavior_count; i++) {
        q->behaviors[i] = (struct behavior){.name = str_of(names[i]),
                                            .window_ms = (1 + generate_below(g, 60)) * WORLD_HOUR_MS,
                                            .selectors = q->selectors[i],
                                            .selector_count = 1 + generate_below(g, QUESTION_SELECTORS_MAX)};
        for (size_t s = 0; s < q->behaviors[i].selector_count; s++) {
            q->least[i][s] = generate_once_in(g, 2) ? (int64_t)generate_below(g, 11) : -1;
            q->selectors[i][s].event = arena_printf(w->arena, "E%u", generate_below(g, 4));
            if (q->least[i][s] >= 0)
                q->selectors[i][s].where =
                    arena_printf(w->arena, "properties[\"n\"] >= %lld", (long long)q->least[i][s]);
        }
    }
    struct str more = q->where.data ? arena_printf(w->arena, " and (" STR_FMT ")", STR_ARG(q->where)) : STR("");
    q->where = arena_printf(w->arena, "properties[\"$b%u\"] %s %u" STR_FMT, generate_below(g, 2),
                            generate_once_in(g, 2) ? ">" : "==", generate_below(g, 4), STR_ARG(more));
}

/* A list that an expression makes may hold undefined, which the reference writes like null, while the order of lists
 * tells them apart. A list literal's bracket follows no word and no other bracket. */
static bool makes_lists(struct str text)
{
    for (size_t at = 0; (at = str_find_byte(text, '[', at)) != SIZE_MAX; at++) {
        if (at == 0 || !strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ])", text.data[at - 1]))
            return true;
    }
    return str_find(text, STR("map("), 0) != SIZE_MAX;
}

static struct str sort_expression(struct world *w)
{
    struct str text;
    do text = expression(w, generate_on);
    while (makes_lists(text));
    return text;
}

void question_init(struct question *q, struct world *w)
{
    struct generator *g = &w->generator;
    struct error error;
    *q = (struct question){.table = generate_below(g, 4) ? 0 : generate_below(g, WORLD_TABLES)};
    q->zone = generate_place(g).zone;
    if (timezone_load(str_of(q->zone), &error, &q->plan.zone) != STATUS_OK) abort();
    q->plan.project = WORLD_PROJECT;
    q->plan.group_key = world_group_key(q->table);
    q->plan.now_ms = WORLD_NOW_MS;
    q->of = expression(w, generate_of);
    q->native_of = native_text(w, q->of);
    if (!generate_once_in(g, 3)) q->where = generate_once_in(g, 2) ? simple_where(w) : expression(w, generate_where);
    if (generate_once_in(g, 3)) ask_behaviors(q, w);
    if (q->where.data) q->plan.where = native_text(w, q->where);
    if (generate_once_in(g, 8)) {
        static const char *const searches[] = {"ann@", "OB", "device:d1", "u", "nothing like it", "\"", "G"};
        q->plan.search = str_of(searches[generate_below(g, 7)]);
    }
    if (generate_once_in(g, 2)) {
        static const char *const keys[] = {"n", "s", "d", "l", "rare", "$email"};
        q->sort = generate_once_in(g, 3) ? sort_expression(w)
                                         : arena_printf(w->arena, "properties[\"%s\"]", keys[generate_below(g, 6)]);
        q->plan.sort = native_text(w, q->sort);
        q->plan.descending = generate_once_in(g, 2);
    }
    if (generate_once_in(g, 4)) {
        q->plan.by_ids = true;
        q->plan.ids = q->ids;
        q->plan.id_count = generate_below(g, QUESTION_IDS_MAX + 1);
        for (size_t i = 0; i < q->plan.id_count; i++) {
            unsigned kind = generate_below(g, 7);
            q->ids[i] = kind < 3   ? world_user(w, (int)generate_below(g, WORLD_USERS))
                        : kind < 5 ? world_device(w, (int)generate_below(g, WORLD_DEVICES))
                        : kind < 6 ? arena_printf(w->arena, "G%u", generate_below(g, WORLD_GROUPS))
                                   : STR("nobody");
        }
    }
}

static void print_text(const char *name, struct str text)
{
    if (text.data) fprintf(stderr, "  %s: " STR_FMT "\n", name, STR_ARG(text));
}

void question_print(const struct question *q)
{
    fprintf(stderr, "table %zu in %s%s\n", q->table, q->zone, q->plan.descending ? ", descending" : "");
    print_text("where", q->plan.where);
    print_text("search", q->plan.search);
    print_text("sort", q->plan.sort);
    print_text("of", q->native_of);
    for (size_t i = 0; i < q->plan.id_count; i++) print_text("id", q->plan.ids[i]);
    for (size_t i = 0; i < q->plan.behavior_count; i++) {
        const struct behavior *b = &q->plan.behaviors[i];
        fprintf(stderr, "  behavior " STR_FMT ", %lld h until %lld\n", STR_ARG(b->name),
                (long long)(b->window_ms / WORLD_HOUR_MS), (long long)q->plan.as_of_ms);
        for (size_t s = 0; s < b->selector_count; s++) {
            print_text("  event", b->selectors[s].event);
            print_text("  selector", b->selectors[s].where);
        }
    }
}

/* --- answering --- */

static int64_t count_behavior(const struct question *q, struct world *w, size_t b, const struct model_profile *profile)
{
    int64_t count = 0;
    for (size_t e = 0; e < w->event_count && q->table == 0; e++) {
        const struct model_event *event = &w->events[e];
        if (event->time_ms >= q->plan.as_of_ms || event->time_ms < q->plan.as_of_ms - q->behaviors[b].window_ms)
            continue;
        if (event->user < 0 && event->device < 0) continue;
        struct str id = event->user >= 0 ? world_user(w, event->user) : world_device(w, event->device);
        if (!str_eq(world_shown(w, id), profile->id)) continue;
        bool matches = false;
        for (size_t s = 0; s < q->behaviors[b].selector_count; s++) {
            struct str name = arena_printf(w->arena, "E%u", event->name);
            matches |= str_eq(name, q->selectors[b][s].event) && event->number >= q->least[b][s];
        }
        count += matches;
    }
    return count;
}

/* The profile as expressions see it. */
static struct json row_of(const struct question *q, struct world *w, const struct model_profile *profile)
{
    struct json row = JSON_OBJECT_EMPTY;
    for (size_t i = 0; i < profile->properties.object.count; i++) {
        const struct json_member *member = &profile->properties.object.members[i];
        if (json_put(w->arena, &row, member->key, member->value) != STATUS_OK) abort();
    }
    if (json_put(w->arena, &row, STR("$distinct_id"), json_string(profile->id)) != STATUS_OK ||
        json_put(w->arena, &row, STR("distinct_id"), json_string(profile->id)) != STATUS_OK)
        abort();
    for (size_t b = 0; b < q->plan.behavior_count; b++) {
        struct str name = arena_printf(w->arena, "$b%zu", b);
        if (json_put(w->arena, &row, name, json_int(count_behavior(q, w, b, profile))) != STATUS_OK) abort();
    }
    return row;
}

struct str question_value(const struct question *q, struct world *w, struct str text,
                          const struct model_profile *profile)
{
    struct json row = row_of(q, w, profile);
    return reference_evaluate(w->arena, text, &row, q->zone, WORLD_NOW_MS, true, NULL);
}

static bool is_found(const struct question *q, struct world *w, const struct model_profile *profile)
{
    static const char *const names[] = {"$name", "$first_name", "$last_name", "$email", "$username", "$distinct_id"};
    struct json row = row_of(q, w, profile);
    struct str search = q->plan.search;
    if (!search.data) return true;
    for (size_t n = 0; n < sizeof names / sizeof *names; n++) {
        const struct json *value = json_get(&row, str_of(names[n]));
        if (!value || value->type != JSON_STRING) continue;
        for (size_t at = 0; at + search.size <= value->string.size; at++) {
            if (str_eq_nocase(str_slice(value->string, at, at + search.size), search)) return true;
        }
    }
    return false;
}

static bool is_asked_for(const struct question *q, struct world *w, const struct model_profile *profile)
{
    for (size_t i = 0; i < q->plan.id_count; i++) {
        struct str id = q->table ? q->ids[i] : world_shown(w, q->ids[i]);
        if (str_eq(id, profile->id)) return true;
    }
    return !q->plan.by_ids;
}

struct sorted {
    const struct model_profile *profile;
    struct json value;
    int class; /* 5: last */
    struct value container;
    size_t place;
    bool descending;
};

static int by_value(const void *a, const void *b)
{
    const struct sorted *x = a, *y = b;
    int order = 0;
    if (x->class != y->class) {
        order = x->class < y->class ? -1 : 1;
        return x->descending && x->class != 5 && y->class != 5 ? -order : order;
    }
    if (x->class == 0) order = x->value.boolean - y->value.boolean;
    if (x->class == 1) order = json_cmp_number(&x->value, &y->value);
    if (x->class == 2) order = str_cmp(x->value.string, y->value.string);
    if (x->class == 3) order = value_cmp(x->container, y->container);
    if (order) return x->descending ? -order : order;
    return x->place < y->place ? -1 : 1;
}

static void read_value(struct sorted *s, struct world *w, struct str text)
{
    static const int classes[] = {[JSON_NULL] = 5,   [JSON_BOOL] = 0,   [JSON_INT] = 1,   [JSON_DOUBLE] = 1,
                                  [JSON_BIGNUM] = 1, [JSON_STRING] = 2, [JSON_ARRAY] = 3, [JSON_OBJECT] = 3};
    s->class = 5;
    if (str_is(text, "undefined")) return;
    if (json_parse(w->arena, text, NULL, NULL, &s->value) != STATUS_OK) abort();
    s->class = classes[s->value.type];
    if (s->class != 3) return;
    struct buf bytes = BUF_INIT(1 << 20);
    if (value_encode_json(&bytes, &s->value) != STATUS_OK) abort();
    struct reader reader = reader_of(arena_str(w->arena, buf_str(&bytes)));
    if (value_decode(&reader, &s->container) != STATUS_OK) abort();
    buf_fini(&bytes);
}

static size_t place_of(const struct world *w, struct str id)
{
    size_t place = 0;
    while (!str_eq(w->order[place], id)) place++;
    return place;
}

const struct model_profile **question_list(const struct question *q, struct world *w, size_t *ret_count)
{
    static struct sorted list[WORLD_USERS + WORLD_DEVICES + WORLD_GROUPS];
    size_t count = 0;
    *ret_count = 0;
    if ((q->where.data && !reference_accepts(w->arena, q->where, WORLD_NOW_MS, false)) ||
        (q->sort.data && !reference_accepts(w->arena, q->sort, WORLD_NOW_MS, true)))
        return NULL;
    for (size_t i = 0; i < w->profile_counts[q->table]; i++) {
        const struct model_profile *profile = &w->profiles[q->table][i];
        bool hidden = q->table == 0 && !str_eq(world_shown(w, profile->id), profile->id);
        if (!profile->live || hidden || !is_asked_for(q, w, profile)) continue;
        struct str keep = STR("true");
        struct json row = row_of(q, w, profile);
        if (q->where.data) keep = reference_evaluate(w->arena, q->where, &row, q->zone, WORLD_NOW_MS, false, NULL);
        if (str_is(keep, "error")) return NULL;
        if (!str_is(keep, "true") || !is_found(q, w, profile)) continue;
        struct sorted *s = &list[count++];
        *s = (struct sorted){
            .profile = profile, .class = 5, .place = place_of(w, profile->id), .descending = q->plan.descending};
        if (!q->sort.data) continue;
        struct str value = question_value(q, w, q->sort, profile);
        if (str_is(value, "error")) return NULL;
        read_value(s, w, value);
    }
    if (count) qsort(list, count, sizeof *list, by_value);
    const struct model_profile **profiles = arena_new_array(w->arena, const struct model_profile *, count + 1);
    if (!profiles) abort();
    for (size_t i = 0; i < count; i++) profiles[i] = list[i].profile;
    *ret_count = count;
    return profiles;
}
