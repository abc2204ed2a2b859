/*
 * Where references lead. A schema names itself by `$id`, which is resolved against the address of what surrounds it,
 * and places in itself by `$anchor` and `$dynamicAnchor`. The index is made by walking over the schema once, along the
 * keywords whose values are schemas: an `$id` in an enum is only a value. Other documents are asked for when a
 * reference leads to them, and walked then.
 */
#include "workflow/schema_int.h"

#include "base/url.h"

#define RESOURCES_MAX 2000
#define ANCHORS_MAX   10000
#define SCHEMAS_MAX   200000
#define METASCHEMA    "https://json-schema.org/draft/2020-12/schema"

const struct json schema_metaschema = {.type = JSON_OBJECT};

/* ---- addresses (RFC 3986, 5.2) ---- */

struct uri_parts {
    struct str scheme, authority, path, query; /* with their punctuation; NULL data: not there */
};

static struct uri_parts split(struct str uri)
{
    struct uri_parts parts = {.scheme = STR_NULL};
    size_t i = 0;
    uri = str_slice(uri, 0, str_find_byte(uri, '#', 0));
    while (i < uri.size && !strchr(":/?", uri.data[i])) i++;
    if (i > 0 && i < uri.size && uri.data[i] == ':') {
        parts.scheme = str_slice(uri, 0, i + 1);
        uri = str_slice(uri, i + 1, uri.size);
    }
    if (str_starts(uri, STR("//"))) {
        size_t end = 2;
        while (end < uri.size && uri.data[end] != '/' && uri.data[end] != '?') end++;
        parts.authority = str_slice(uri, 0, end);
        uri = str_slice(uri, end, uri.size);
    }
    size_t question = str_find_byte(uri, '?', 0);
    parts.path = str_slice(uri, 0, question);
    if (question != SIZE_MAX) parts.query = str_slice(uri, question, uri.size);
    return parts;
}

/* Takes "." and ".." out of an absolute path, in place. */
static size_t without_dots(char *path, size_t size)
{
    size_t out = 0;
    for (size_t i = 0; i < size;) {
        size_t end = i + 1;
        while (end < size && path[end] != '/') end++;
        size_t length = end - i;
        bool last = end == size;
        if (length == 2 && path[i + 1] == '.') {
            if (last) path[out++] = '/';
        } else if (length == 3 && path[i + 1] == '.' && path[i + 2] == '.') {
            while (out > 0 && path[--out] != '/') continue;
            if (last) path[out++] = '/';
        } else {
            memmove(path + out, path + i, length);
            out += length;
        }
        i = end;
    }
    return out;
}

static struct str resolve_uri(struct arena *arena, struct str base, struct str reference)
{
    struct uri_parts b = split(base), r = split(reference);
    char *out = arena_alloc(arena, base.size + reference.size + 2);
    size_t size = 0, path_at;
    if (!out) return STR_NULL;
#define PUT(s)                                                                                                         \
    do {                                                                                                               \
        struct str put_ = (s);                                                                                         \
        if (put_.size) memcpy(out + size, put_.data, put_.size);                                                       \
        size += put_.size;                                                                                             \
    } while (0)
    PUT(r.scheme.data ? r.scheme : b.scheme);
    bool whole = r.scheme.data || r.authority.data;
    PUT(whole ? r.authority : b.authority);
    path_at = size;
    if (whole || (r.path.size && r.path.data[0] == '/')) {
        PUT(r.path);
    } else if (!r.path.size) {
        PUT(b.path);
    } else {
        size_t folder = b.path.size;
        while (folder > 0 && b.path.data[folder - 1] != '/') folder--;
        if (b.authority.data && !b.path.size) out[size++] = '/';
        PUT(str_slice(b.path, 0, folder));
        PUT(r.path);
    }
    if (size > path_at && out[path_at] == '/') size = path_at + without_dots(out + path_at, size - path_at);
    PUT(r.query.data || whole || r.path.size ? r.query : b.query);
#undef PUT
    return (struct str){out, size};
}

/* ---- the index ---- */

static enum status add_resource(struct schema_index *index, struct str uri, const struct json *root,
                                size_t *ret_resource)
{
    if (index->resource_count == RESOURCES_MAX) return STATUS_LIMIT;
    struct schema_resource *list = arena_realloc(index->arena, index->resources, index->resource_count * sizeof *list,
                                                 (index->resource_count + 1) * sizeof *list);
    if (!list) return STATUS_LIMIT;
    list[index->resource_count] = (struct schema_resource){.uri = uri, .root = root};
    index->resources = list;
    *ret_resource = index->resource_count++;
    return STATUS_OK;
}

static enum status add_anchor(struct schema_index *index, size_t resource, struct str name, const struct json *schema,
                              bool is_dynamic)
{
    if (index->anchor_count == ANCHORS_MAX) return STATUS_LIMIT;
    struct schema_anchor *list = arena_realloc(index->arena, index->anchors, index->anchor_count * sizeof *list,
                                               (index->anchor_count + 1) * sizeof *list);
    if (!list) return STATUS_LIMIT;
    list[index->anchor_count++] = (struct schema_anchor){resource, name, schema, is_dynamic};
    index->anchors = list;
    return STATUS_OK;
}

static struct str string_keyword(const struct json *schema, const char *name)
{
    const struct json *value = json_get(schema, str_of(name));
    return value && value->type == JSON_STRING ? value->string : STR_NULL;
}

static const struct json *find_document(struct schema_index *index, struct str uri)
{
    return index->documents ? index->documents->find(index->documents->ctx, uri) : NULL;
}

/* A dialect without the vocabulary of validation: its metaschema, where we can see it, says so. */
static bool leaves_validation_out(struct schema_index *index, const struct json *schema)
{
    struct str dialect = string_keyword(schema, "$schema");
    if (!dialect.data || str_is(dialect, METASCHEMA)) return false;
    const struct json *vocabulary = json_member(find_document(index, dialect), "$vocabulary");
    return vocabulary && !json_member(vocabulary, "https://json-schema.org/draft/2020-12/vocab/validation");
}

static enum status walk(struct schema_index *index, const struct json *schema, size_t resource);

static enum status walk_value(struct schema_index *index, enum schema_shape shape, const struct json *value,
                              size_t resource)
{
    if (shape == S_SCHEMA) return walk(index, value, resource);
    if (shape == S_SCHEMAS && value->type == JSON_ARRAY)
        for (size_t i = 0; i < value->array.count; i++) TRY(walk(index, &value->array.items[i], resource));
    if ((shape == S_SCHEMA_MAP || shape == S_PATTERN_MAP) && value->type == JSON_OBJECT)
        for (size_t i = 0; i < value->object.count; i++) TRY(walk(index, &value->object.members[i].value, resource));
    return STATUS_OK;
}

static enum status walk(struct schema_index *index, const struct json *schema, size_t resource)
{
    if (schema->type != JSON_OBJECT || u64map_get(&index->resource_of, (uintptr_t)schema)) return STATUS_OK;
    if (index->depth == JSONSCHEMA_DEPTH_MAX) return STATUS_OK;
    struct str id = string_keyword(schema, "$id");
    if (id.data) {
        struct str uri = resolve_uri(index->arena, index->resources[resource].uri, id);
        if (!uri.data) return STATUS_LIMIT;
        TRY(add_resource(index, uri, schema, &resource));
        index->resources[resource].only_applies = leaves_validation_out(index, schema);
    } else if (schema == index->resources[resource].root) {
        index->resources[resource].only_applies = leaves_validation_out(index, schema);
    }
    TRY(u64map_put(&index->resource_of, (uintptr_t)schema, resource));
    struct str anchor = string_keyword(schema, "$anchor"), dynamic = string_keyword(schema, "$dynamicAnchor");
    if (anchor.data) TRY(add_anchor(index, resource, anchor, schema, false));
    if (dynamic.data) TRY(add_anchor(index, resource, dynamic, schema, true));
    index->depth++;
    for (size_t i = 0; i < schema->object.count; i++) {
        const struct schema_keyword *keyword = schema_keyword_find(schema->object.members[i].key);
        if (keyword) TRY(walk_value(index, keyword->shape, &schema->object.members[i].value, resource));
    }
    index->depth--;
    return STATUS_OK;
}

static void free_index(void *object)
{
    struct schema_index *index = object;
    u64map_fini(&index->resource_of);
}

enum status jsonschema_index(struct arena *arena, struct jsonschema *schema, struct str uri,
                             const struct jsonschema_documents *documents)
{
    struct schema_index *index = arena_calloc(arena, 1, sizeof *index);
    size_t resource;
    if (!index) return STATUS_LIMIT;
    *index = (struct schema_index){.arena = arena, .documents = documents, .resource_of = U64MAP_INIT(SCHEMAS_MAX)};
    if (!arena_on_reset(arena, free_index, index)) return STATUS_LIMIT;
    TRY(add_resource(index, uri.data ? uri : STR(""), schema->root ? schema->root : schema->schema, &resource));
    if (schema->schema) TRY(walk(index, schema->schema, resource));
    schema->index = index;
    return STATUS_OK;
}

enum status schema_index_of(struct arena *arena, struct jsonschema schema, struct schema_index **ret_index)
{
    if (!schema.index) TRY(jsonschema_index(arena, &schema, STR(""), NULL));
    *ret_index = schema.index;
    return STATUS_OK;
}

size_t schema_resource_of(const struct schema_index *index, const struct json *schema)
{
    const uint64_t *resource = u64map_get(&index->resource_of, (uintptr_t)schema);
    return resource ? (size_t)*resource : 0;
}

const struct schema_anchor *schema_find_anchor(const struct schema_index *index, size_t resource, struct str name)
{
    for (size_t i = 0; i < index->anchor_count; i++)
        if (index->anchors[i].resource == resource && str_eq(index->anchors[i].name, name)) return &index->anchors[i];
    return NULL;
}

static size_t find_resource(struct schema_index *index, struct str uri)
{
    for (size_t i = 0; i < index->resource_count; i++)
        if (str_eq(index->resources[i].uri, uri)) return i;
    const struct json *root = find_document(index, uri);
    size_t resource;
    if (!root || add_resource(index, uri, root, &resource) != STATUS_OK) return SIZE_MAX;
    return walk(index, root, resource) == STATUS_OK ? resource : SIZE_MAX;
}

const struct json *schema_resolve(struct schema_index *index, struct jsonschema base, size_t resource,
                                  struct str reference)
{
    size_t hash = str_find_byte(reference, '#', 0);
    struct str document = str_slice(reference, 0, hash);
    struct str fragment =
        hash == SIZE_MAX ? STR("") : url_decode(index->arena, str_slice(reference, hash + 1, reference.size), false);
    if (!fragment.data) return NULL;
    if (document.size) {
        struct str uri = resolve_uri(index->arena, index->resources[resource].uri, document);
        if (!uri.data) return NULL;
        if (str_is(uri, METASCHEMA)) return &schema_metaschema;
        resource = find_resource(index, uri);
        if (resource == SIZE_MAX) return NULL;
    }
    const struct json *root = index->resources[resource].root, *found = root;
    if (fragment.size && fragment.data[0] != '/') {
        const struct schema_anchor *anchor = schema_find_anchor(index, resource, fragment);
        return anchor ? anchor->schema : NULL;
    }
    if (fragment.size) found = json_pointer(root, fragment);
    if (!found && resource == 0) found = json_pointer(base.schema, fragment);
    /* A whole document need not be a schema; what a pointer finds in it is. */
    if (found && (fragment.size || resource > 0 || found == base.schema) && walk(index, found, resource) != STATUS_OK)
        return NULL;
    return found;
}

const struct json *jsonschema_resolve(struct jsonschema base, const struct json *schema, struct str reference)
{
    if (base.index) return schema_resolve(base.index, base, schema_resource_of(base.index, schema), reference);
    if (reference.size == 0 || reference.data[0] != '#') return NULL;
    struct str pointer = str_slice(reference, 1, reference.size);
    const struct json *found = json_pointer(base.root, pointer);
    return found ? found : json_pointer(base.schema, pointer);
}
