#include "api/saved.h"

#include "api/app_job.h"
#include "api/behaviors.h"
#include "expr/expr.h"

#include <stdio.h>

#define DEFINITION_BYTES_MAX (META_SAVED_DEFINITION_MAX + 1)

static enum status out_of_memory(struct error *error)
{
    return error_set(error, STATUS_LIMIT, "request needs too much memory");
}

/* --- cohorts --- */

enum status saved_check_where(struct str where, struct error *error)
{
    struct arena *arena = arena_new((size_t)8 << 20);
    struct expr_options options = {.profiles = true};
    const struct expr *expr;
    enum status status = arena ? expr_compile(arena, where, &options, error, &expr) : out_of_memory(error);
    arena_free(arena);
    if (status == STATUS_INVALID) error_prefix(error, "where");
    return status;
}

static enum status check_selectors(const struct behavior *behaviors, size_t count, struct error *error)
{
    struct arena *arena = arena_new((size_t)8 << 20);
    struct expr_options options = {0};
    enum status status = arena ? STATUS_OK : out_of_memory(error);
    for (size_t b = 0; b < count && status == STATUS_OK; b++) {
        for (size_t s = 0; s < behaviors[b].selector_count && status == STATUS_OK; s++) {
            const struct expr *expr;
            if (!behaviors[b].selectors[s].where.data) continue;
            status = expr_compile(arena, behaviors[b].selectors[s].where, &options, error, &expr);
            if (status == STATUS_INVALID) error_prefix(error, "behaviors[%zu].event_selectors[%zu].selector", b, s);
        }
    }
    arena_free(arena);
    return status;
}

static enum status read_cohort(struct arena *arena, const struct json *definition, size_t selectors_max,
                               struct error *error, struct buf *ret_text)
{
    static const char *const members[] = {"where", "behaviors", "group_key", NULL};
    for (size_t i = 0; i < definition->object.count; i++) {
        struct str key = definition->object.members[i].key;
        size_t n = 0;
        while (members[n] && !str_eq(key, str_of(members[n]))) n++;
        if (!members[n])
            return error_set(error, STATUS_INVALID, STR_FMT ": there is no such member",
                             STR_ARG(str_slice(key, 0, 64)));
    }
    const struct json *where = json_member(definition, "where"), *behaviors = json_member(definition, "behaviors"),
                      *group_key = json_member(definition, "group_key");
    if (!where) return error_set(error, STATUS_INVALID, "where: is missing");
    if (where->type != JSON_STRING || str_trim(where->string).size == 0)
        return error_set(error, STATUS_INVALID, "where: must be an expression");
    TRY(saved_check_where(where->string, error));
    if (group_key && (group_key->type != JSON_STRING || group_key->string.size == 0))
        return error_set(error, STATUS_INVALID, "group_key: must be a group key");
    buf_lit(ret_text, "{\"where\":");
    json_write_str(ret_text, where->string);
    if (behaviors) {
        struct buf text = BUF_INIT(DEFINITION_BYTES_MAX);
        const struct behavior *list;
        size_t count;
        json_write(&text, behaviors);
        enum status status = behaviors_parse(arena, buf_str(&text), selectors_max, error, &list, &count);
        if (status == STATUS_OK) status = check_selectors(list, count, error);
        buf_lit(ret_text, ",\"behaviors\":");
        buf_str_add(ret_text, buf_str(&text));
        buf_fini(&text);
        TRY(status);
    }
    if (group_key) {
        buf_lit(ret_text, ",\"group_key\":");
        json_write_str(ret_text, group_key->string);
    }
    buf_byte(ret_text, '}');
    return STATUS_OK;
}

enum status saved_cohort(const struct meta_saved *saved, struct arena *arena, struct error *error,
                         struct profile_plan *plan)
{
    struct json definition;
    struct buf text = BUF_INIT(DEFINITION_BYTES_MAX);
    enum status status = json_parse(arena, saved->definition, NULL, NULL, &definition);
    const struct json *where = json_member(&definition, "where"), *behaviors = json_member(&definition, "behaviors"),
                      *group_key = json_member(&definition, "group_key");
    if (status == STATUS_OK && where) {
        plan->where = where->string;
        if (group_key) plan->group_key = group_key->string;
        if (behaviors) {
            json_write(&text, behaviors);
            status = behaviors_parse(arena, buf_str(&text), SIZE_MAX, NULL, &plan->behaviors, &plan->behavior_count);
            buf_fini(&text);
        }
        if (status == STATUS_OK) return STATUS_OK;
    }
    return error_set(error, STATUS_CORRUPT, "the definition of cohort %lld cannot be read", (long long)saved->id);
}

/* --- funnels --- */

enum status saved_funnel(const struct meta_saved *saved, struct arena *arena, struct error *error,
                         struct funnel_definition *ret_definition)
{
    struct json definition;
    if (json_parse(arena, saved->definition, NULL, NULL, &definition) == STATUS_OK &&
        funnel_definition_read(arena, &definition, FUNNEL_STEPS_MAX, NULL, ret_definition) == STATUS_OK)
        return STATUS_OK;
    return error_set(error, STATUS_CORRUPT, "the definition of funnel %lld cannot be read", (long long)saved->id);
}

/* --- both --- */

static enum status read_text(const struct json *document, const char *name, struct error *error, struct str *text)
{
    const struct json *member = json_get(document, str_of(name));
    if (!member) return STATUS_OK;
    if (member->type == JSON_NULL)
        *text = STR("");
    else if (member->type == JSON_STRING)
        *text = member->string;
    else
        return error_set(error, STATUS_INVALID, "%s: must be a text", name);
    return STATUS_OK;
}

/* What saved_document_write adds: clients may send back what they were given. */
static bool is_ours(struct str key)
{
    static const char *const names[] = {"id",      "funnel_id", "cohort_id",  "project_id", "revision",
                                        "created", "modified",  "created_by", "count",      "is_visible"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (str_eq(key, str_of(names[i]))) return true;
    }
    return str_is(key, "name") || str_is(key, "description");
}

/* The definition's members: those of before, replaced, removed and joined by those of the document. */
static enum status merge(struct arena *arena, const struct json *document, const struct meta_saved *before,
                         struct error *error, struct json *ret_definition)
{
    struct json old = JSON_OBJECT_EMPTY, merged = JSON_OBJECT_EMPTY;
    if (before && json_parse(arena, before->definition, NULL, NULL, &old) != STATUS_OK)
        return error_set(error, STATUS_CORRUPT, "the definition of %s %lld cannot be read",
                         meta_saved_kind_name(before->kind), (long long)before->id);
    for (size_t i = 0; i < old.object.count; i++) {
        const struct json_member *member = &old.object.members[i];
        if (json_get(document, member->key)) continue;
        if (json_put(arena, &merged, member->key, member->value) != STATUS_OK) return out_of_memory(error);
    }
    for (size_t i = 0; i < document->object.count; i++) {
        const struct json_member *member = &document->object.members[i];
        if (is_ours(member->key) || member->value.type == JSON_NULL) continue;
        if (json_get(document, member->key) != &member->value) continue; /* the last of duplicates counts */
        if (json_put(arena, &merged, member->key, member->value) != STATUS_OK) return out_of_memory(error);
    }
    *ret_definition = merged;
    return STATUS_OK;
}

enum status saved_document_read(struct arena *arena, const struct json *document, const struct meta_saved *before,
                                enum meta_saved_kind kind, const struct saved_limits *limits, struct error *error,
                                struct meta_saved *saved)
{
    struct json merged;
    struct buf text = BUF_INIT(DEFINITION_BYTES_MAX);
    if (document->type != JSON_OBJECT)
        return error_set(error, STATUS_INVALID, "a %s must be a JSON object", meta_saved_kind_name(kind));
    saved->kind = kind;
    saved->name = before ? before->name : STR("");
    saved->description = before ? before->description : STR("");
    TRY(read_text(document, "name", error, &saved->name));
    TRY(read_text(document, "description", error, &saved->description));
    if (!saved->name.size) return error_set(error, STATUS_INVALID, "name: is missing");
    TRY(merge(arena, document, before, error, &merged));
    enum status status;
    if (kind == META_SAVED_FUNNEL) {
        struct funnel_definition definition;
        status = funnel_definition_read(arena, &merged, limits->steps_max, error, &definition);
        buf_byte(&text, '{');
        if (status == STATUS_OK) funnel_definition_write(&text, &definition);
        buf_byte(&text, '}');
    } else {
        status = read_cohort(arena, &merged, limits->selectors_max, error, &text);
    }
    if (status == STATUS_OK && buf_status(&text) != STATUS_OK)
        status = error_set(error, STATUS_LIMIT, "the %s is larger than %zu bytes", meta_saved_kind_name(kind),
                           META_SAVED_DEFINITION_MAX);
    if (status == STATUS_OK) {
        saved->definition = arena_str(arena, buf_str(&text));
        if (!saved->definition.data) status = out_of_memory(error);
    }
    buf_fini(&text);
    return status;
}

void saved_document_write(struct buf *buf, const struct meta_saved *saved)
{
    buf_printf(buf, "{\"id\":%lld,\"%s_id\":%lld,\"project_id\":%lld,\"name\":", (long long)saved->id,
               meta_saved_kind_name(saved->kind), (long long)saved->id, (long long)saved->project_id);
    json_write_str(buf, saved->name);
    buf_lit(buf, ",\"description\":");
    json_write_str(buf, saved->description);
    app_write_time(buf, "created", saved->created_ms);
    app_write_time(buf, "modified", saved->modified_ms);
    buf_lit(buf, ",\"created_by\":");
    json_write_str(buf, saved->created_by);
    buf_printf(buf, ",\"revision\":%lld,", (long long)saved->revision);
    /* The definition without its first bracket. */
    buf_str_add(buf, str_slice(saved->definition, 1, SIZE_MAX));
}
