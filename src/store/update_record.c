#include "store/update_record.h"

#include "store/batch.h"

static size_t varint_size(uint64_t value)
{
    size_t size = 1;
    for (; value >= 0x80; value >>= 7) size++;
    return size;
}

static void put_str(struct buf *buf, struct str s)
{
    buf_varint(buf, s.size);
    buf_str_add(buf, s);
}

enum status record_update(struct buf *record, uint64_t shadow, const struct update_view *update)
{
    const struct update_limits *limits = &update->limits;
    size_t size = 2 + varint_size(shadow) + varint_size(update->received_ms) + varint_size(limits->properties_max) +
                  varint_size(limits->list_bytes_max) + varint_size(limits->bytes_max) +
                  varint_size(update->event.size) + update->event.size + varint_size(update->id.size) +
                  update->id.size + update->operations.size;
    buf_varint(record, size);
    size_t start = record->size;
    buf_byte(record, RECORD_UPDATE);
    buf_varint(record, shadow);
    buf_varint(record, update->received_ms);
    buf_byte(record, (char)update->flags);
    buf_varint(record, limits->properties_max);
    buf_varint(record, limits->list_bytes_max);
    buf_varint(record, limits->bytes_max);
    put_str(record, update->event);
    put_str(record, update->id);
    buf_str_add(record, update->operations);
    if (buf_status(record) != STATUS_OK || record->size - start != size) return STATUS_LIMIT;
    return STATUS_OK;
}

enum status update_open(struct str body, struct update_view *ret_update)
{
    struct reader r = reader_of(body);
    struct update_view update = {.received_ms = read_varint(&r), .flags = read_u8(&r)};
    update.limits.properties_max = read_varint(&r);
    update.limits.list_bytes_max = read_varint(&r);
    update.limits.bytes_max = read_varint(&r);
    update.event = read_str(&r);
    update.id = read_str(&r);
    update.operations = read_bytes(&r, reader_left(&r));
    if (r.failed || (update.flags & ~(UPDATE_LITERAL | UPDATE_ADOPT)) || !update.event.size || !update.id.size ||
        update.received_ms >= (uint64_t)BATCH_TIME_LIMIT)
        return STATUS_CORRUPT;
    *ret_update = update;
    return STATUS_OK;
}

bool record_is_update(struct str records)
{
    struct reader r = reader_of(records);
    (void)read_varint(&r);
    return read_u8(&r) == RECORD_UPDATE && !r.failed;
}
