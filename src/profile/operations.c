#include "profile/operations.h"

#define SEEN_MS_MAX (INT64_C(1) << 53)

static void put_name(struct buf *out, enum operation operation, struct str name)
{
    buf_byte(out, (char)operation);
    buf_varint(out, name.size);
    buf_str_add(out, name);
}

enum status operation_value(struct buf *out, enum operation operation, struct str name, const struct json *value)
{
    size_t before = out->size;
    put_name(out, operation, name);
    enum status status = value_encode_json(out, value);
    if (status != STATUS_OK) out->size = before;
    return status;
}

void operation_name(struct buf *out, struct str name)
{
    put_name(out, OPERATION_UNSET, name);
}

void operation_plain(struct buf *out, enum operation operation)
{
    buf_byte(out, (char)operation);
}

void operation_seen(struct buf *out, int64_t ms)
{
    buf_byte(out, OPERATION_SEEN);
    buf_varint(out, zigzag(ms));
}

enum status operation_next(struct reader *reader, struct operation_view *ret_operation)
{
    if (!reader_left(reader)) return STATUS_NOT_FOUND;
    struct operation_view view = {.operation = read_u8(reader), .value = value_absent()};
    switch (view.operation) {
    case OPERATION_CREATE:
    case OPERATION_DELETE: break;
    case OPERATION_SEEN: view.ms = unzigzag(read_varint(reader)); break;
    case OPERATION_UNSET: view.name = read_str(reader); break;
    case OPERATION_SET:
    case OPERATION_SET_ONCE:
    case OPERATION_ADD:
    case OPERATION_UNION:
    case OPERATION_APPEND:
    case OPERATION_REMOVE:
    case OPERATION_KEEP:
        view.name = read_str(reader);
        if (value_decode(reader, &view.value) != STATUS_OK || view.value.type == VALUE_ABSENT) return STATUS_CORRUPT;
        break;
    default: return STATUS_CORRUPT;
    }
    if (reader->failed || view.ms > SEEN_MS_MAX || view.ms < -SEEN_MS_MAX) return STATUS_CORRUPT;
    if (view.operation == OPERATION_ADD && !value_is_number(view.value)) return STATUS_CORRUPT;
    if (view.operation == OPERATION_UNION && view.value.type != VALUE_LIST) return STATUS_CORRUPT;
    *ret_operation = view;
    return STATUS_OK;
}
