/*
 * Evaluation goes segment by segment: from a list of nodes to the list of the nodes that the segment selects below
 * them, in the order of the document (objects in the order of their members). `..` visits a node before its children.
 *
 * A filter is asked once for each child of a node. What it needs of the arena (the nodes of its own queries) is given
 * back after each answer, so that memory grows with the result and not with what was looked at.
 */
#include "jsonpath/jsonpath_int.h"

struct list {
    const struct jsonpath_node **items;
    size_t count, capacity;
};

static enum status no_memory(struct evaluation *e)
{
    return error_set(e->error, STATUS_LIMIT, "the result of a JSONPath query exceeds the memory budget");
}

static enum status spend(struct evaluation *e)
{
    if (e->effort++ < JSONPATH_EFFORT_MAX) return STATUS_OK;
    return error_set(e->error, STATUS_LIMIT, "a JSONPath query looks at more than %u nodes", JSONPATH_EFFORT_MAX);
}

static enum status add(struct evaluation *e, struct list *list, struct jsonpath_node node)
{
    TRY(spend(e));
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? list->capacity * 2 : 8;
        const struct jsonpath_node **items =
            arena_realloc(e->arena, list->items, list->capacity * sizeof *items, capacity * sizeof *items);
        if (!items) return no_memory(e);
        list->items = items;
        list->capacity = capacity;
    }
    struct jsonpath_node *copy = arena_alloc(e->arena, sizeof *copy);
    if (!copy) return no_memory(e);
    *copy = node;
    list->items[list->count++] = copy;
    return STATUS_OK;
}

static size_t child_count(const struct json *value)
{
    return value->type == JSON_ARRAY ? value->array.count : value->type == JSON_OBJECT ? value->object.count : 0;
}

static struct jsonpath_node child(const struct jsonpath_node *parent, size_t index)
{
    const struct json *value = parent->value;
    if (value->type == JSON_ARRAY)
        return (struct jsonpath_node){.value = &value->array.items[index], .parent = parent, .index = index};
    const struct json_member *member = &value->object.members[index];
    struct str name = member->key.data ? member->key : STR("");
    return (struct jsonpath_node){.value = &member->value, .parent = parent, .name = name, .index = index};
}

static enum status holds(struct evaluation *e, const struct filter *filter, const struct json *current,
                         bool *ret_holds);

static enum status select_name(struct evaluation *e, const struct selector *selector, const struct jsonpath_node *node,
                               struct list *out)
{
    struct jsonpath_node found = {.value = json_get(node->value, selector->name),
                                  .parent = node,
                                  .name = selector->name.data ? selector->name : STR("")};
    if (found.value) return add(e, out, found);
    bool sized = node->value->type == JSON_ARRAY || node->value->type == JSON_STRING;
    if (e->path->dialect != JSONPATH_GOESSNER || !sized || !str_is(selector->name, "length")) return STATUS_OK;
    struct json *length = arena_alloc(e->arena, sizeof *length);
    if (!length) return no_memory(e);
    bool array = node->value->type == JSON_ARRAY;
    *length = json_int((int64_t)(array ? node->value->array.count : node->value->string.size));
    found.value = length;
    return add(e, out, found);
}

static enum status select_index(struct evaluation *e, const struct selector *selector, const struct jsonpath_node *node,
                                struct list *out)
{
    if (node->value->type != JSON_ARRAY) return STATUS_OK;
    int64_t count = (int64_t)node->value->array.count, index = selector->index;
    if (index < 0) index += count;
    return index < 0 || index >= count ? STATUS_OK : add(e, out, child(node, (size_t)index));
}

static int64_t clamp(int64_t value, int64_t least, int64_t most)
{
    return value < least ? least : value > most ? most : value;
}

/* RFC 9535, 2.3.4.2.2. */
static enum status select_slice(struct evaluation *e, const struct selector *s, const struct jsonpath_node *node,
                                struct list *out)
{
    if (node->value->type != JSON_ARRAY || s->step == 0) return STATUS_OK;
    int64_t count = (int64_t)node->value->array.count;
    int64_t start = s->has_start ? s->index : s->step > 0 ? 0 : count - 1;
    int64_t end = s->has_end ? s->end : s->step > 0 ? count : -count - 1;
    if (start < 0) start += count;
    if (end < 0) end += count;
    if (s->step > 0) {
        start = clamp(start, 0, count);
        end = clamp(end, 0, count);
        for (int64_t i = start; i < end; i += s->step) TRY(add(e, out, child(node, (size_t)i)));
    } else {
        start = clamp(start, -1, count - 1);
        end = clamp(end, -1, count - 1);
        for (int64_t i = start; i > end; i += s->step) TRY(add(e, out, child(node, (size_t)i)));
    }
    return STATUS_OK;
}

static enum status select_filtered(struct evaluation *e, const struct selector *selector,
                                   const struct jsonpath_node *node, struct list *out)
{
    for (size_t i = 0; i < child_count(node->value); i++) {
        struct jsonpath_node candidate = child(node, i);
        bool keep = false;
        struct arena_mark mark = arena_mark_set(e->arena);
        TRY(spend(e));
        TRY(holds(e, selector->filter, candidate.value, &keep));
        arena_rewind(e->arena, mark);
        if (keep) TRY(add(e, out, candidate));
    }
    return STATUS_OK;
}

static enum status select_children(struct evaluation *e, const struct segment *segment,
                                   const struct jsonpath_node *node, struct list *out)
{
    for (const struct selector *s = segment->selectors; s; s = s->next) {
        TRY(spend(e));
        switch (s->kind) {
        case SELECT_NAME: TRY(select_name(e, s, node, out)); break;
        case SELECT_INDEX: TRY(select_index(e, s, node, out)); break;
        case SELECT_SLICE: TRY(select_slice(e, s, node, out)); break;
        case SELECT_FILTER: TRY(select_filtered(e, s, node, out)); break;
        case SELECT_WILDCARD:
            for (size_t i = 0; i < child_count(node->value); i++) TRY(add(e, out, child(node, i)));
            break;
        }
    }
    return STATUS_OK;
}

static enum status descend(struct evaluation *e, const struct segment *segment, const struct jsonpath_node *node,
                           unsigned depth, struct list *out)
{
    if (depth > JSONPATH_DEPTH_MAX)
        return error_set(e->error, STATUS_LIMIT, "a value is nested more than %u deep", JSONPATH_DEPTH_MAX);
    TRY(select_children(e, segment, node, out));
    for (size_t i = 0; i < child_count(node->value); i++) {
        struct jsonpath_node below = child(node, i), *copy;
        TRY(spend(e));
        if (!child_count(below.value) && below.value->type != JSON_STRING) continue; /* a text may have a length */
        copy = arena_alloc(e->arena, sizeof *copy);
        if (!copy) return no_memory(e);
        *copy = below;
        TRY(descend(e, segment, copy, depth + 1, out));
    }
    return STATUS_OK;
}

static enum status run_query(struct evaluation *e, const struct query *query, const struct json *start,
                             struct jsonpath_nodes *ret_nodes)
{
    struct list nodes = {.count = 0};
    TRY(add(e, &nodes, (struct jsonpath_node){.value = start}));
    for (const struct segment *segment = query->segments; segment; segment = segment->next) {
        struct list next = {.count = 0};
        for (size_t i = 0; i < nodes.count; i++) {
            if (segment->descendant)
                TRY(descend(e, segment, nodes.items[i], 0, &next));
            else
                TRY(select_children(e, segment, nodes.items[i], &next));
        }
        nodes = next;
    }
    *ret_nodes = (struct jsonpath_nodes){nodes.items, nodes.count};
    return STATUS_OK;
}

static enum status argument(struct evaluation *e, const struct filter *filter, enum function_type type,
                            const struct json *current, struct result *ret_result);

static enum status call(struct evaluation *e, const struct filter *filter, const struct json *current,
                        struct result *ret_result)
{
    struct result arguments[ARGUMENTS_MAX] = {{.present = false}};
    for (unsigned i = 0; i < filter->function->argument_count; i++)
        TRY(argument(e, filter->arguments[i], filter->function->arguments[i], current, &arguments[i]));
    return filter->function->call(e, filter, arguments, ret_result);
}

/* A literal, a singular query or a function with a value: as a value, or as Nothing. */
static enum status value_of(struct evaluation *e, const struct filter *filter, const struct json *current,
                            struct result *ret_result)
{
    *ret_result = (struct result){.present = false};
    if (filter->kind == FILTER_FUNCTION) return call(e, filter, current, ret_result);
    if (filter->kind == FILTER_LITERAL) {
        *ret_result = (struct result){.present = true, .value = filter->literal};
        return STATUS_OK;
    }
    struct jsonpath_nodes nodes;
    TRY(run_query(e, &filter->query, filter->query.relative ? current : e->root, &nodes));
    if (nodes.count) *ret_result = (struct result){.present = true, .value = *nodes.items[0]->value};
    return STATUS_OK;
}

static enum status argument(struct evaluation *e, const struct filter *filter, enum function_type type,
                            const struct json *current, struct result *ret_result)
{
    *ret_result = (struct result){.present = false};
    if (type == TYPE_VALUE) return value_of(e, filter, current, ret_result);
    if (type == TYPE_LOGICAL) return holds(e, filter, current, &ret_result->logical);
    return run_query(e, &filter->query, filter->query.relative ? current : e->root, &ret_result->nodes);
}

/* RFC 9535, 2.3.5.2.2: Nothing equals only Nothing; only numbers and texts have an order. */
static bool equal(const struct result *a, const struct result *b)
{
    if (!a->present || !b->present) return a->present == b->present;
    return json_equal(&a->value, &b->value);
}

static bool less(const struct result *a, const struct result *b)
{
    if (!a->present || !b->present) return false;
    if (json_is_number(&a->value) && json_is_number(&b->value)) return json_cmp_number(&a->value, &b->value) < 0;
    return a->value.type == JSON_STRING && b->value.type == JSON_STRING &&
           str_cmp(a->value.string, b->value.string) < 0;
}

static enum status compare(struct evaluation *e, const struct filter *filter, const struct json *current,
                           bool *ret_holds)
{
    struct result a, b;
    TRY(value_of(e, filter->left, current, &a));
    TRY(value_of(e, filter->right, current, &b));
    switch (filter->comparison) {
    case EQUAL: *ret_holds = equal(&a, &b); break;
    case NOT_EQUAL: *ret_holds = !equal(&a, &b); break;
    case LESS: *ret_holds = less(&a, &b); break;
    case LESS_EQUAL: *ret_holds = less(&a, &b) || equal(&a, &b); break;
    case GREATER: *ret_holds = less(&b, &a); break;
    case GREATER_EQUAL: *ret_holds = less(&b, &a) || equal(&a, &b); break;
    }
    return STATUS_OK;
}

/* As deep as the filter is nested, which the parser bounds. */
static enum status holds(struct evaluation *e, const struct filter *filter, const struct json *current, bool *ret_holds)
{
    struct jsonpath_nodes nodes;
    struct result result;
    switch (filter->kind) {
    case FILTER_PAREN: return holds(e, filter->left, current, ret_holds);
    case FILTER_NOT:
        TRY(holds(e, filter->left, current, ret_holds));
        *ret_holds = !*ret_holds;
        return STATUS_OK;
    case FILTER_AND:
    case FILTER_OR:
        TRY(holds(e, filter->left, current, ret_holds));
        return *ret_holds == (filter->kind == FILTER_OR) ? STATUS_OK : holds(e, filter->right, current, ret_holds);
    case FILTER_COMPARE: return compare(e, filter, current, ret_holds);
    case FILTER_FUNCTION:
        TRY(call(e, filter, current, &result));
        *ret_holds = result.logical;
        return STATUS_OK;
    case FILTER_QUERY:
        TRY(run_query(e, &filter->query, filter->query.relative ? current : e->root, &nodes));
        *ret_holds = nodes.count > 0;
        return STATUS_OK;
    case FILTER_LITERAL: break; /* the parser lets none stand alone */
    }
    *ret_holds = false;
    return STATUS_OK;
}

enum status jsonpath_evaluate(struct arena *arena, const struct jsonpath *path, const struct json *root,
                              struct error *error, struct jsonpath_nodes *ret_nodes)
{
    struct evaluation e = {.arena = arena, .path = path, .root = root, .error = error};
    return run_query(&e, &path->query, root, ret_nodes);
}

static void write_name(struct buf *buf, struct str name)
{
    static const char letters[] = "\bb\tt\nn\ff\rr''\\\\";
    buf_byte(buf, '\'');
    for (size_t i = 0; i < name.size; i++) {
        const char *letter = letters;
        while (*letter && *letter != name.data[i]) letter += 2;
        if (*letter && name.data[i]) {
            buf_byte(buf, '\\');
            buf_byte(buf, letter[1]);
        } else if ((unsigned char)name.data[i] < 0x20) {
            buf_printf(buf, "\\u%04x", (unsigned)name.data[i]);
        } else {
            buf_byte(buf, name.data[i]);
        }
    }
    buf_byte(buf, '\'');
}

void jsonpath_write_path(struct buf *buf, const struct jsonpath_node *node)
{
    const struct jsonpath_node *way[JSONPATH_DEPTH_MAX + 2];
    size_t count = 0;
    for (; node && node->parent && count < JSONPATH_DEPTH_MAX + 2; node = node->parent) way[count++] = node;
    buf_byte(buf, '$');
    while (count--) {
        buf_byte(buf, '[');
        if (way[count]->name.data)
            write_name(buf, way[count]->name);
        else
            buf_printf(buf, "%zu", way[count]->index);
        buf_byte(buf, ']');
    }
}
