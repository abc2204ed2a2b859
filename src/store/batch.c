#include "store/batch.h"

#include <assert.h>
#include <stdlib.h>

#define EVENT_HAS_ID     1
#define EVENT_HAS_DEVICE 2
#define EVENT_HAS_INSERT 4

#define FLAGS_HAVE_MAX 0x80 /* of an EVENTS record: the limit of a cluster follows */
#define MODE_HAS_MAX   0x80 /* of a LINK record: likewise */

static void put_str(struct buf *buf, struct str s)
{
    buf_varint(buf, s.size);
    buf_str_add(buf, s);
}

/* Events of one kind name their properties in one order, mostly: each name remembers which came after it the last
 * time, so that most names are found by one comparison. */
struct batch_name {
    struct str text; /* in the arena */
    uint32_t next;   /* the name that was asked for after this one, UINT32_MAX: none yet */
    bool is_property;
};

/* str_eq without a call: names are short and mostly equal. */
static inline bool same_name(struct str a, struct str b)
{
    uint64_t x, y, z, w;
    uint32_t p, q, r, t;
    if (a.size != b.size) return false;
    if (a.size > 16) return memcmp(a.data, b.data, a.size) == 0;
    if (a.size >= 8) {
        memcpy(&x, a.data, 8);
        memcpy(&y, b.data, 8);
        memcpy(&z, a.data + a.size - 8, 8);
        memcpy(&w, b.data + a.size - 8, 8);
        return ((x ^ y) | (z ^ w)) == 0;
    }
    if (a.size >= 4) {
        memcpy(&p, a.data, 4);
        memcpy(&q, b.data, 4);
        memcpy(&r, a.data + a.size - 4, 4);
        memcpy(&t, b.data + a.size - 4, 4);
        return ((p ^ q) | (r ^ t)) == 0;
    }
    for (size_t i = 0; i < a.size; i++) {
        if (a.data[i] != b.data[i]) return false;
    }
    return true;
}

void batch_init(struct batch *batch, size_t size_max)
{
    *batch = (struct batch){
        .head = BUF_INIT(128), .events = BUF_INIT(size_max), .name_index = STRMAP_INIT(1u << 20), .size_max = size_max};
    batch->arena = arena_new(size_max + (1u << 16));
}

void batch_fini(struct batch *batch)
{
    buf_fini(&batch->head);
    buf_fini(&batch->events);
    strmap_fini(&batch->name_index);
    arena_free(batch->arena);
    free(batch->names);
    free(batch->event_names);
}

void batch_begin(struct batch *batch, uint64_t project, int64_t received_ms, enum identity_mode mode, unsigned flags)
{
    buf_reset(&batch->head);
    buf_reset(&batch->events);
    strmap_fini(&batch->name_index);
    arena_reset(batch->arena);
    batch->project = project;
    batch->received_ms = (uint64_t)received_ms;
    batch->mode = (uint8_t)mode;
    batch->flags = (uint8_t)flags;
    batch->cluster_max = 0;
    batch->name_count = batch->event_count = 0;
    batch->last_name = UINT32_MAX;
    batch->failed = received_ms < 0 || !batch_is_time(received_ms);
}

static uint32_t add_name(struct batch *batch, struct str name)
{
    if (batch->name_count == batch->name_capacity) {
        uint32_t capacity = batch->name_capacity ? batch->name_capacity * 2 : 64;
        struct batch_name *grown = realloc(batch->names, capacity * sizeof *grown);
        if (!grown) return UINT32_MAX;
        batch->names = grown;
        batch->name_capacity = capacity;
    }
    struct str text = arena_str(batch->arena, name);
    if (!text.data || strmap_put(&batch->name_index, text, batch->name_count) != STATUS_OK) return UINT32_MAX;
    batch->names[batch->name_count] = (struct batch_name){.text = text, .next = UINT32_MAX};
    return batch->name_count++;
}

static __attribute__((noinline)) uint32_t name_look_up(struct batch *batch, struct str name)
{
    uint64_t *known = strmap_get(&batch->name_index, name);
    uint32_t index = known ? (uint32_t)*known : add_name(batch, name);
    if (index == UINT32_MAX) {
        batch->failed = true;
        return index;
    }
    if (batch->last_name < batch->name_count) batch->names[batch->last_name].next = index;
    return batch->last_name = index;
}

uint32_t batch_name(struct batch *batch, struct str name)
{
    /* Without a call in it, this needs no registers saved. */
    if (batch->last_name < batch->name_count) {
        uint32_t next = batch->names[batch->last_name].next;
        if (next != UINT32_MAX && same_name(batch->names[next].text, name)) return batch->last_name = next;
    }
    return name_look_up(batch, name);
}

static void put_head(struct batch *batch, uint32_t number, int64_t time_ms, struct str id, struct str device,
                     struct str insert_id)
{
    struct buf *events = &batch->events;
    batch->event_start = events->size;
    if (!batch_is_time(time_ms)) {
        batch->failed = true;
        time_ms = 0;
    }
    uint64_t after_ms = zigzag(time_ms - (int64_t)batch->received_ms);
    char flags = (char)((id.data ? EVENT_HAS_ID : 0) | (device.data ? EVENT_HAS_DEVICE : 0) |
                        (insert_id.data ? EVENT_HAS_INSERT : 0));
    /* A piece that is absent has size 0. */
    char *at = buf_spare(events, 5 * VARINT_BYTES_MAX + 1 + id.size + device.size + insert_id.size);
    if (at) {
        at = raw_varint(raw_varint(at, number), after_ms);
        *at++ = flags;
        if (id.data) at = raw_str(at, id);
        if (device.data) at = raw_str(at, device);
        if (insert_id.data) at = raw_str(at, insert_id);
        buf_wrote(events, at);
    } else {
        buf_varint(events, number);
        buf_varint(events, after_ms);
        buf_byte(events, flags);
        if (id.data) put_str(events, id);
        if (device.data) put_str(events, device);
        if (insert_id.data) put_str(events, insert_id);
    }
}

void batch_event(struct batch *batch, struct str name, int64_t time_ms, struct str id, struct str device,
                 struct str insert_id)
{
    uint32_t number = batch_name(batch, name);
    put_head(batch, number, time_ms, id, device, insert_id);
    batch->property_start = batch->events.size;
    batch->event_name_count = 0;
}

void batch_event_encoded(struct batch *batch, uint32_t name, int64_t time_ms, struct str id, struct str device,
                         struct str insert_id, struct str properties)
{
    put_head(batch, name, time_ms, id, device, insert_id);
    put_str(&batch->events, properties);
    batch->event_count++;
    if (name >= batch->name_count) batch->failed = true;
}

void batch_name_stored(struct batch *batch, uint32_t name)
{
    if (name < batch->name_count)
        batch->names[name].is_property = true;
    else
        batch->failed = true;
}

/* Notes that the open event has a property of this name, for batch_event_end. */
static bool event_name_add(struct batch *batch, uint32_t name)
{
    if (batch->event_name_count == batch->event_name_capacity) {
        uint32_t capacity = batch->event_name_capacity ? batch->event_name_capacity * 2 : 64;
        uint32_t *grown = realloc(batch->event_names, capacity * sizeof *grown);
        if (!grown) return false;
        batch->event_names = grown;
        batch->event_name_capacity = capacity;
    }
    batch->event_names[batch->event_name_count++] = name;
    return true;
}

/* Lists and objects, and whatever the block may have no room for. */
static __attribute__((noinline)) enum status property_grow(struct batch *batch, uint32_t name, const struct json *value)
{
    struct buf *events = &batch->events;
    size_t before = events->size;
    if (name >= batch->name_count) { /* memory refused the name */
        batch->failed = true;
        return STATUS_OK;
    }
    buf_varint(events, name);
    enum status status = value_encode_json(events, value);
    if (status != STATUS_OK) {
        events->size = before;
        return status;
    }
    if (!batch->names[name].is_property && !event_name_add(batch, name)) batch->failed = true;
    return STATUS_OK;
}

enum status batch_property_of(struct batch *batch, uint32_t name, const struct json *value)
{
    if (value->type == JSON_ARRAY || value->type == JSON_OBJECT) return property_grow(batch, name, value);
    char *at = buf_spare(&batch->events, VARINT_BYTES_MAX + value_scalar_bytes_max(value));
    if (!at || name >= batch->name_count || !batch->names[name].is_property) return property_grow(batch, name, value);
    buf_wrote(&batch->events, value_encode_scalar(raw_varint(at, name), value));
    return STATUS_OK;
}

enum status batch_property(struct batch *batch, struct str name, const struct json *value)
{
    return batch_property_of(batch, batch_name(batch, name), value);
}

void batch_event_end(struct batch *batch)
{
    /* The size stands before the properties but is known only now: move them up by its one to five bytes. */
    struct buf *events = &batch->events;
    char head[5];
    size_t head_size = 0, size = events->size - batch->property_start;
    batch->event_count++; /* also when it fails below: a batch without events is not finished, and nobody would know */
    if (size > UINT32_MAX) batch->failed = true;
    for (uint32_t left = (uint32_t)size;; left >>= 7) {
        head[head_size++] = (char)((left & 0x7F) | (left >= 0x80 ? 0x80 : 0));
        if (left < 0x80) break;
    }
    if (!buf_reserve(events, head_size)) return;
    char *at = events->data + batch->property_start;
    memmove(at + head_size, at, size);
    memcpy(at, head, head_size);
    buf_advance(events, head_size);
    for (uint32_t i = 0; i < batch->event_name_count; i++) batch->names[batch->event_names[i]].is_property = true;
}

void batch_event_cancel(struct batch *batch)
{
    batch->events.size = batch->event_start;
}

enum status record_assemble(struct buf *record, const struct str *pieces, size_t count)
{
    size_t total = 0;
    for (size_t i = 0; i < count; i++) total += pieces[i].size;
    buf_varint(record, total);
    for (size_t i = 0; i < count; i++) buf_str_add(record, pieces[i]);
    return buf_status(record);
}

/* The record is the events' own memory: they move up by what stands in front of them. */
enum status batch_finish(struct batch *batch, struct buf *ret_record)
{
    if (batch->failed || batch->events.failed) return STATUS_LIMIT;
    struct buf *head = &batch->head, *events = &batch->events;
    struct buf front = BUF_INIT(batch->size_max + (1u << 16));
    buf_reset(head);
    head->size_max = front.size_max;
    buf_byte(head, RECORD_EVENTS);
    buf_varint(head, batch->project);
    buf_varint(head, batch->received_ms);
    buf_byte(head, (char)batch->mode);
    bool has_max = batch->mode == IDENTITY_ORIGINAL && batch->cluster_max;
    buf_byte(head, (char)(batch->flags | (has_max ? FLAGS_HAVE_MAX : 0)));
    if (has_max) buf_varint(head, batch->cluster_max);
    buf_varint(head, batch->name_count);
    for (uint32_t i = 0; i < batch->name_count; i++) {
        struct str text = batch->names[i].text;
        buf_varint(head, (uint64_t)text.size << 1 | batch->names[i].is_property);
        buf_str_add(head, text);
    }
    buf_varint(head, batch->event_count);
    buf_varint(&front, head->size + events->size);
    buf_str_add(&front, buf_str(head));
    bool fits = !head->failed && !front.failed && buf_reserve(events, front.size);
    if (fits) {
        memmove(events->data + front.size, events->data, events->size);
        memcpy(events->data, front.data, front.size);
        buf_advance(events, front.size);
        *ret_record = *events;
        *events = BUF_INIT(batch->size_max);
    }
    buf_fini(&front);
    return fits ? STATUS_OK : STATUS_LIMIT;
}

void batch_expect(struct batch *batch, size_t size)
{
    /* When memory refuses, it will when the events come. */
    if (size == 0 || (size <= batch->size_max && buf_reserve(&batch->events, size))) return;
    buf_reset(&batch->events);
}

/* The record whose body this is; takes the body. */
static enum status assemble(struct buf *record, struct buf *body)
{
    enum status status = buf_status(body);
    struct str piece = buf_str(body);
    if (status == STATUS_OK) status = record_assemble(record, &piece, 1);
    buf_fini(body);
    return status;
}

enum status record_link_view(struct buf *record, uint64_t project, const struct link_view *link)
{
    struct buf body = BUF_INIT(1u << 16);
    bool has_max = link->mode == IDENTITY_ORIGINAL && link->cluster_max;
    buf_byte(&body, RECORD_LINK);
    buf_varint(&body, project);
    buf_varint(&body, (uint64_t)link->received_ms);
    buf_byte(&body, (char)(link->mode | (has_max ? MODE_HAS_MAX : 0)));
    buf_byte(&body, (char)link->operation);
    if (has_max) buf_varint(&body, link->cluster_max);
    put_str(&body, link->device);
    put_str(&body, link->user);
    return assemble(record, &body);
}

enum status record_unlink(struct buf *record, uint64_t project, const struct unlink_view *unlink)
{
    struct buf body = BUF_INIT(1u << 16);
    buf_byte(&body, RECORD_UNLINK);
    buf_varint(&body, project);
    buf_varint(&body, (uint64_t)unlink->received_ms);
    buf_byte(&body, (char)unlink->mode);
    put_str(&body, unlink->id);
    return assemble(record, &body);
}

enum status record_project_drop(struct buf *record, uint64_t project)
{
    struct buf body = BUF_INIT(64);
    buf_byte(&body, RECORD_PROJECT_DROP);
    buf_varint(&body, project);
    return assemble(record, &body);
}

enum status record_next(struct reader *reader, struct record *ret_record)
{
    struct str bytes = read_str(reader);
    if (reader->failed) return STATUS_CORRUPT;
    struct reader inner = reader_of(bytes);
    struct record record = {.kind = read_u8(&inner), .project = read_varint(&inner)};
    record.body = read_bytes(&inner, reader_left(&inner));
    if (inner.failed || record.kind < RECORD_EVENTS || record.kind > RECORD_UNLINK) return STATUS_CORRUPT;
    *ret_record = record;
    return STATUS_OK;
}

static bool next_event(struct reader *r, uint32_t name_count, int64_t received_ms, struct event_view *ret)
{
    struct event_view event = {0};
    uint64_t name = read_varint(r);
    int64_t after_ms = unzigzag(read_varint(r));
    unsigned flags = read_u8(r);
    if (flags & EVENT_HAS_ID) event.id = read_str(r);
    if (flags & EVENT_HAS_DEVICE) event.device = read_str(r);
    if (flags & EVENT_HAS_INSERT) event.insert_id = read_str(r);
    event.properties = read_str(r);
    if (r->failed || name >= name_count || flags > 7) return false;
    if ((flags & EVENT_HAS_DEVICE) && !(flags & EVENT_HAS_ID)) return false;
    if (!batch_is_time(after_ms / 2) || !batch_is_time(received_ms + after_ms)) return false;
    event.time_ms = received_ms + after_ms;
    event.name = (uint32_t)name;
    *ret = event;
    return true;
}

static bool are_properties(struct str properties, const uint8_t *is_property, uint32_t name_count)
{
    struct reader r = reader_of(properties);
    while (reader_left(&r)) {
        uint64_t name = read_varint(&r);
        struct value value;
        if (name >= name_count || !is_property[name] || value_decode(&r, &value) != STATUS_OK) return false;
        if (value.type == VALUE_ABSENT) return false;
    }
    return !r.failed;
}

static enum status open_batch(struct arena *arena, struct str body, bool trusted, struct batch_reader *ret_reader)
{
    struct reader r = reader_of(body);
    struct batch_reader batch = {.received_ms = (int64_t)read_varint(&r), .mode = read_u8(&r), .flags = read_u8(&r)};
    uint64_t cluster_max = batch.flags & FLAGS_HAVE_MAX ? read_varint(&r) : 0;
    batch.flags &= (uint8_t)~FLAGS_HAVE_MAX;
    uint64_t names = read_varint(&r);
    if (cluster_max > UINT32_MAX) return STATUS_CORRUPT;
    batch.cluster_max = (uint32_t)cluster_max;
    if (r.failed || names > reader_left(&r) || batch.received_ms < 0 || !batch_is_time(batch.received_ms) ||
        batch.mode > IDENTITY_LEGACY)
        return STATUS_CORRUPT;
    batch.names = arena_new_array(arena, struct str, names + 1);
    uint8_t *is_property = arena_alloc(arena, names + 1);
    if (!batch.names || !is_property) return STATUS_LIMIT;
    for (uint64_t i = 0; i < names; i++) {
        uint64_t size = read_varint(&r);
        is_property[i] = size & 1;
        batch.names[i] = read_bytes(&r, size >> 1);
    }
    uint64_t events = read_varint(&r);
    if (r.failed || events > reader_left(&r)) return STATUS_CORRUPT;
    batch.is_property = is_property;
    batch.name_count = (uint32_t)names;
    batch.events_left = (uint32_t)events;
    batch.reader = r;
    *ret_reader = batch;
    if (trusted) return STATUS_OK;
    for (uint64_t i = 0; i < events; i++) {
        struct event_view event;
        if (!next_event(&r, batch.name_count, batch.received_ms, &event) ||
            !are_properties(event.properties, is_property, batch.name_count))
            return STATUS_CORRUPT;
    }
    return reader_left(&r) ? STATUS_CORRUPT : STATUS_OK;
}

enum status batch_open(struct arena *arena, struct str body, struct batch_reader *ret_reader)
{
    return open_batch(arena, body, false, ret_reader);
}

enum status batch_open_trusted(struct arena *arena, struct str body, struct batch_reader *ret_reader)
{
    return open_batch(arena, body, true, ret_reader);
}

bool batch_next(struct batch_reader *batch, struct event_view *ret_event)
{
    if (!batch->events_left) return false;
    batch->events_left--;
    return next_event(&batch->reader, batch->name_count, batch->received_ms, ret_event);
}

bool event_property_next(struct reader *properties, uint32_t *ret_name, struct value *ret_value)
{
    if (!reader_left(properties)) return false;
    *ret_name = (uint32_t)read_varint(properties);
    return value_decode(properties, ret_value) == STATUS_OK;
}

enum status link_open(struct str body, struct link_view *ret_link)
{
    struct reader r = reader_of(body);
    struct link_view link = {.received_ms = (int64_t)read_varint(&r), .mode = read_u8(&r), .operation = read_u8(&r)};
    uint64_t cluster_max = link.mode & MODE_HAS_MAX ? read_varint(&r) : 0;
    link.mode &= (uint8_t)~MODE_HAS_MAX;
    link.cluster_max = (uint32_t)cluster_max;
    link.device = read_str(&r);
    link.user = read_str(&r);
    if (r.failed || reader_left(&r) || link.mode > IDENTITY_LEGACY || link.operation < LINK_CREATE ||
        link.operation > LINK_MERGE || cluster_max > UINT32_MAX || !link.device.size || !link.user.size ||
        !batch_is_time(link.received_ms))
        return STATUS_CORRUPT;
    *ret_link = link;
    return STATUS_OK;
}

enum status unlink_open(struct str body, struct unlink_view *ret_unlink)
{
    struct reader r = reader_of(body);
    struct unlink_view unlink = {.received_ms = (int64_t)read_varint(&r), .mode = read_u8(&r)};
    unlink.id = read_str(&r);
    if (r.failed || reader_left(&r) || unlink.mode > IDENTITY_LEGACY || !unlink.id.size ||
        !batch_is_time(unlink.received_ms))
        return STATUS_CORRUPT;
    *ret_unlink = unlink;
    return STATUS_OK;
}
