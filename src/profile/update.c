#include "profile/update.h"

#include "base/civil.h"
#include "base/hash.h"
#include "profile/operations.h"

#include <math.h>

#define LAST_SEEN "$last_seen"
/* Properties up to this many are looked through one by one. */
#define LOOK_THROUGH_MAX 16u
/* Comparisons of a UNION up to which no hash table is made. */
#define COMPARISONS_MAX 64u

/* A property that was taken away keeps its place, with value ABSENT, so that the index stays right. */
struct work {
    const struct update_limits *limits;
    struct arena *arena;
    struct profile_row *row;
    struct profile_outcome outcome;
    uint32_t *index; /* open addressing: place in row->items plus 1, 0: free; NULL: few */
    size_t index_size;
    size_t present, bytes; /* of the properties that are there; of their values, as encoded */
};

/* --- the properties by name --- */

static void index_put(struct work *work, size_t place)
{
    size_t at = hash_str(work->row->items[place].name) & (work->index_size - 1);
    while (work->index[at]) at = (at + 1) & (work->index_size - 1);
    work->index[at] = (uint32_t)place + 1;
}

static enum status index_grow(struct work *work)
{
    size_t size = 64;
    while (size < work->row->count * 4) size *= 2;
    work->index = arena_new_array(work->arena, uint32_t, size);
    if (!work->index) return STATUS_LIMIT;
    work->index_size = size;
    for (size_t i = 0; i < work->row->count; i++) index_put(work, i);
    return STATUS_OK;
}

static struct profile_property *find(const struct work *work, struct str name)
{
    struct profile_row *row = work->row;
    if (!work->index) {
        for (size_t i = 0; i < row->count; i++) {
            if (str_eq(row->items[i].name, name)) return &row->items[i];
        }
        return NULL;
    }
    for (size_t at = hash_str(name) & (work->index_size - 1); work->index[at]; at = (at + 1) & (work->index_size - 1)) {
        struct profile_property *item = &row->items[work->index[at] - 1];
        if (str_eq(item->name, name)) return item;
    }
    return NULL;
}

static enum status add_item(struct work *work, struct str name, struct profile_property **ret_item)
{
    struct profile_row *row = work->row;
    if (row->count == row->capacity) {
        size_t capacity = row->capacity ? row->capacity * 2 : 16;
        row->items =
            arena_realloc(work->arena, row->items, row->capacity * sizeof *row->items, capacity * sizeof *row->items);
        if (!row->items) return STATUS_LIMIT;
        row->capacity = capacity;
    }
    row->items[row->count++] = (struct profile_property){name, value_absent(), PROFILE_PROPERTY_NEW};
    if (work->index && row->count * 2 <= work->index_size)
        index_put(work, row->count - 1);
    else if (row->count > LOOK_THROUGH_MAX)
        TRY(index_grow(work));
    *ret_item = &row->items[row->count - 1];
    return STATUS_OK;
}

static size_t value_bytes(struct value value)
{
    return value.type == VALUE_ABSENT ? 0 : value_encoded_size(value);
}

/* Gives the property its value, ABSENT to take it away. `item` NULL: it is new. */
static enum status assign(struct work *work, struct profile_property *item, struct str name, struct value value,
                          bool limited)
{
    size_t before = item ? value_bytes(item->value) : 0, after = value_bytes(value);
    bool was_there = item && item->value.type != VALUE_ABSENT, is_there = value.type != VALUE_ABSENT;
    bool no_room = work->bytes + after > work->limits->bytes_max + before && after > before;
    bool too_many = is_there && !was_there && work->present >= work->limits->properties_max;
    if (limited && (no_room || too_many)) {
        work->outcome.left_out++;
        return STATUS_OK;
    }
    if (!item && is_there) TRY(add_item(work, name, &item));
    if (!item) return STATUS_OK;
    item->value = value;
    work->bytes += after - before;
    work->present += is_there;
    work->present -= was_there;
    work->outcome.changed = true;
    return STATUS_OK;
}

/* --- lists --- */

/* A list of the items of two encodings, one after the other. */
static enum status join_lists(struct work *work, uint64_t count, struct str first, struct str second,
                              struct value *ret_list)
{
    char *bytes = arena_alloc(work->arena, VARINT_BYTES_MAX + first.size + second.size);
    if (!bytes) return STATUS_LIMIT;
    char *to = raw_varint(bytes, count);
    if (first.size) memcpy(to, first.data, first.size);
    to += first.size;
    if (second.size) memcpy(to, second.data, second.size);
    to += second.size;
    *ret_list = (struct value){.type = VALUE_LIST, .size = (uint32_t)(to - bytes), .data = bytes};
    return STATUS_OK;
}

/* The property as the items of a list, encoded. */
static enum status items_of(struct work *work, const struct profile_property *item, uint64_t *ret_count,
                            struct str *ret_items)
{
    *ret_count = 0;
    *ret_items = STR_NULL;
    if (!item || item->value.type == VALUE_ABSENT || item->value.type == VALUE_NULL) return STATUS_OK;
    if (item->value.type == VALUE_LIST) {
        struct value_iter iter = value_iter(item->value);
        *ret_count = iter.left;
        *ret_items = str_from(iter.reader.at, reader_left(&iter.reader));
        return STATUS_OK;
    }
    size_t size = value_encoded_size(item->value);
    char *bytes = arena_alloc(work->arena, size ? size : 1);
    if (!bytes) return STATUS_LIMIT;
    struct buf out = {.data = bytes, .capacity = size, .size_max = size};
    value_encode(&out, item->value);
    *ret_count = 1;
    *ret_items = str_from(bytes, size);
    return STATUS_OK;
}

/* Gives the property a list that is longer than what it had. */
static enum status assign_longer(struct work *work, struct profile_property *item, struct str name, uint64_t count,
                                 struct str first, struct str second)
{
    struct value list;
    if (first.size + second.size > work->limits->list_bytes_max) {
        work->outcome.left_out++;
        return STATUS_OK;
    }
    TRY(join_lists(work, count, first, second, &list));
    return assign(work, item, name, list, true);
}

static enum status encode(struct work *work, struct value value, struct str *ret_bytes)
{
    struct profile_property item = {.value = value};
    uint64_t count;
    if (value.type != VALUE_LIST && value.type != VALUE_NULL) return items_of(work, &item, &count, ret_bytes);
    size_t size = value_encoded_size(value);
    char *bytes = arena_alloc(work->arena, size);
    if (!bytes) return STATUS_LIMIT;
    struct buf out = {.data = bytes, .capacity = size, .size_max = size};
    value_encode(&out, value);
    *ret_bytes = str_from(bytes, size);
    return STATUS_OK;
}

static enum status append(struct work *work, struct profile_property *item, const struct operation_view *op)
{
    uint64_t count;
    struct str items, more;
    TRY(items_of(work, item, &count, &items));
    TRY(encode(work, op->value, &more));
    return assign_longer(work, item, op->name, count + 1, items, more);
}

/* Equal values have equal hashes, by value_equal. */
static uint64_t equal_hash(struct value value)
{
    double number;
    uint64_t bits, hash;
    struct value_iter iter;
    struct str key;
    struct value inner;
    switch (value.type) {
    case VALUE_INT:
    case VALUE_DOUBLE:
    case VALUE_BIGNUM:
        if (!value_double(value, &number)) return VALUE_BIGNUM;
        number += 0.0; /* -0 */
        memcpy(&bits, &number, sizeof bits);
        return hash_u64(bits, VALUE_DOUBLE);
    case VALUE_LIST:
        hash = VALUE_LIST;
        for (iter = value_iter(value); value_next(&iter, NULL, &inner);) hash = hash_u64(hash, equal_hash(inner));
        return hash;
    case VALUE_OBJECT:
        hash = VALUE_OBJECT;
        for (iter = value_iter(value); value_next(&iter, &key, &inner);)
            hash += hash_u64(hash_str(key), equal_hash(inner));
        return hash;
    default: return value_hash(value);
    }
}

struct value_set {
    struct value *slots; /* ABSENT: free */
    size_t size;
};

/* False when an equal one is there. */
static bool set_add(struct value_set *set, struct value value)
{
    size_t at = equal_hash(value) & (set->size - 1);
    for (; set->slots[at].type != VALUE_ABSENT; at = (at + 1) & (set->size - 1)) {
        if (value_equal(set->slots[at], value)) return false;
    }
    set->slots[at] = value;
    return true;
}

static bool is_among(struct str items, uint64_t count, struct value value)
{
    struct reader reader = reader_of(items);
    struct value item;
    for (; count && value_decode(&reader, &item) == STATUS_OK; count--) {
        if (value_equal(item, value)) return true;
    }
    return false;
}

static enum status unite(struct work *work, struct profile_property *item, const struct operation_view *op)
{
    uint64_t count, more = value_count(op->value), added = 0;
    struct str items;
    TRY(items_of(work, item, &count, &items));
    struct value_set set = {0};
    struct value value;
    if (count + more > COMPARISONS_MAX || (count + more) * more > COMPARISONS_MAX) {
        for (set.size = 64; set.size < (count + more) * 2;) set.size *= 2;
        set.slots = arena_new_array(work->arena, struct value, set.size);
        if (!set.slots) return STATUS_LIMIT;
        struct reader reader = reader_of(items);
        for (uint64_t i = 0; i < count && value_decode(&reader, &value) == STATUS_OK; i++) (void)set_add(&set, value);
    }
    char *bytes = arena_alloc(work->arena, op->value.size + 1);
    if (!bytes) return STATUS_LIMIT;
    struct buf out = {.data = bytes, .capacity = op->value.size + 1, .size_max = op->value.size + 1};
    struct value_iter iter = value_iter(op->value);
    while (value_next(&iter, NULL, &value)) {
        bool is_new =
            set.slots ? set_add(&set, value) : !is_among(items, count, value) && !is_among(buf_str(&out), added, value);
        if (!is_new) continue;
        value_encode(&out, value);
        added++;
    }
    bool is_list = item && item->value.type == VALUE_LIST;
    if (!added && is_list) return STATUS_OK;
    return assign_longer(work, item, op->name, count + added, items, buf_str(&out));
}

static enum status take_out(struct work *work, struct profile_property *item, const struct operation_view *op)
{
    if (!item || item->value.type != VALUE_LIST) return STATUS_OK;
    char *bytes = arena_alloc(work->arena, item->value.size + 1);
    if (!bytes) return STATUS_LIMIT;
    struct buf out = {.data = bytes, .capacity = item->value.size + 1, .size_max = item->value.size + 1};
    struct value_iter iter = value_iter(item->value);
    uint64_t before = iter.left, kept = 0;
    struct value value, list;
    while (value_next(&iter, NULL, &value)) {
        if (value_equal(value, op->value)) continue;
        value_encode(&out, value);
        kept++;
    }
    if (kept == before) return STATUS_OK;
    TRY(join_lists(work, kept, buf_str(&out), STR_NULL, &list));
    return assign(work, item, op->name, list, false);
}

/* --- numbers and times --- */

static enum status add(struct work *work, struct profile_property *item, const struct operation_view *op)
{
    struct value old = item ? item->value : value_absent(), sum;
    double x, y;
    if (old.type == VALUE_ABSENT || old.type == VALUE_NULL) return assign(work, item, op->name, op->value, true);
    if (!value_is_number(old)) return STATUS_OK;
    if (old.type == VALUE_INT && op->value.type == VALUE_INT &&
        !__builtin_add_overflow(old.integer, op->value.integer, &sum.integer)) {
        sum = value_int(sum.integer);
    } else {
        if (!value_double(old, &x) || !value_double(op->value, &y)) return STATUS_OK;
        sum = value_number(x + y);
        if (sum.type == VALUE_ABSENT) return STATUS_OK;
    }
    return value_equal(sum, old) ? STATUS_OK : assign(work, item, op->name, sum, true);
}

static enum status set(struct work *work, struct profile_property *item, struct str name, struct value value,
                       bool limited)
{
    if (item && item->value.type == value.type && value_cmp(item->value, value) == 0) return STATUS_OK;
    if (limited && value.type == VALUE_LIST && value.size > work->limits->list_bytes_max) {
        work->outcome.left_out++;
        return STATUS_OK;
    }
    return assign(work, item, name, value, limited);
}

static enum status seen(struct work *work, int64_t ms)
{
    char *text = arena_alloc(work->arena, 19);
    int64_t old_ms;
    bool zone;
    if (!text) return STATUS_LIMIT;
    civil_format_datetime(ms, text);
    text[10] = 'T';
    struct profile_property *item = find(work, STR(LAST_SEEN));
    struct value value = value_str(str_from(text, 19));
    if (item && item->value.type == VALUE_STRING && civil_parse_datetime(value_text(item->value), &old_ms, &zone) &&
        old_ms >= floor_div(ms, 1000) * 1000)
        return STATUS_OK;
    return set(work, item, STR(LAST_SEEN), value, false);
}

/* --- a message --- */

static bool creates(enum operation operation)
{
    return operation != OPERATION_UNSET && operation != OPERATION_REMOVE && operation != OPERATION_DELETE &&
           operation != OPERATION_SEEN && operation != OPERATION_KEEP;
}

static enum status carry_out(struct work *work, const struct operation_view *op)
{
    if (creates(op->operation) && !work->row->exists) work->row->exists = work->outcome.changed = true;
    struct profile_property *item = op->name.data ? find(work, op->name) : NULL;
    switch (op->operation) {
    case OPERATION_CREATE: return STATUS_OK;
    case OPERATION_SET: return set(work, item, op->name, op->value, true);
    case OPERATION_SET_ONCE:
        return item && item->value.type != VALUE_ABSENT ? STATUS_OK : set(work, item, op->name, op->value, true);
    case OPERATION_UNSET:
        return item && item->value.type != VALUE_ABSENT ? assign(work, item, op->name, value_absent(), false)
                                                        : STATUS_OK;
    case OPERATION_ADD: return add(work, item, op);
    case OPERATION_UNION: return unite(work, item, op);
    case OPERATION_APPEND: return append(work, item, op);
    case OPERATION_REMOVE: return take_out(work, item, op);
    case OPERATION_DELETE:
        work->outcome.changed |= work->row->exists;
        work->row->exists = false;
        work->row->count = work->present = work->bytes = 0;
        work->index = NULL;
        return STATUS_OK;
    case OPERATION_SEEN: return work->row->exists ? seen(work, op->ms) : STATUS_OK;
    case OPERATION_KEEP: return work->row->exists ? set(work, item, op->name, op->value, false) : STATUS_OK;
    }
    return STATUS_CORRUPT;
}

enum status profile_update(const struct update_view *update, struct arena *arena, struct profile_row *row,
                           struct profile_outcome *ret_outcome)
{
    struct work work = {.limits = &update->limits, .arena = arena, .row = row};
    for (size_t i = 0; i < row->count; i++) work.bytes += value_bytes(row->items[i].value);
    work.present = row->count;
    if (row->count > LOOK_THROUGH_MAX) TRY(index_grow(&work));
    struct reader reader = reader_of(update->operations);
    struct operation_view op;
    enum status status;
    while ((status = operation_next(&reader, &op)) == STATUS_OK) TRY(carry_out(&work, &op));
    if (status != STATUS_NOT_FOUND) return status;
    size_t kept = 0;
    for (size_t i = 0; i < row->count; i++) {
        if (row->items[i].value.type != VALUE_ABSENT) row->items[kept++] = row->items[i];
    }
    row->count = kept;
    *ret_outcome = work.outcome;
    return STATUS_OK;
}
