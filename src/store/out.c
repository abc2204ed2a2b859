#include "store/out.h"

#include "base/hash.h"

void section_ref_write(struct buf *buf, struct section_ref ref)
{
    buf_u64(buf, ref.offset);
    buf_u32(buf, ref.size);
    buf_u32(buf, 0);
    buf_u64(buf, ref.check);
}

struct section_ref section_ref_read(struct reader *reader)
{
    struct section_ref ref = {.offset = read_u64(reader), .size = read_u32(reader)};
    (void)read_u32(reader);
    ref.check = read_u64(reader);
    return ref;
}

void section_out_fini(struct section_out *out)
{
    buf_fini(&out->buf);
}

enum status section_out_status(const struct section_out *out)
{
    return out->failure != STATUS_OK ? out->failure : buf_status(&out->buf);
}

enum status section_flush(struct section_out *out)
{
    TRY(section_out_status(out));
    if (!out->write || out->buf.size == 0) return STATUS_OK;
    out->failure = out->write(out->context, buf_str(&out->buf));
    if (out->failure == STATUS_OK) out->flushed += out->buf.size;
    buf_reset(&out->buf);
    return out->failure;
}

struct section_ref section_append(struct section_out *out, struct str object)
{
    if (section_out_status(out) != STATUS_OK) return (struct section_ref){0};
    if (object.size > UINT32_MAX) {
        out->failure = STATUS_LIMIT; /* a reference has 32 bits for the size */
        return (struct section_ref){0};
    }
    /* Room is made before, so that the limit of `buf` is for one object on top of what has come together. */
    if (out->write && out->buf.size >= out->flush_at_bytes && section_flush(out) != STATUS_OK)
        return (struct section_ref){0};
    uint64_t position = section_out_size(out);
    buf_fill(&out->buf, 0, (size_t)(-position % 8));
    struct section_ref ref = {section_out_size(out), hash_bytes(object.data, object.size, 0), (uint32_t)object.size};
    buf_str_add(&out->buf, object);
    return ref;
}

enum status section_append_objects(struct section_out *out, struct str objects, uint64_t *ret_base)
{
    TRY(section_out_status(out));
    buf_fill(&out->buf, 0, (size_t)(-section_out_size(out) % 8));
    *ret_base = section_out_size(out);
    if (!out->write) {
        buf_str_add(&out->buf, objects);
        return buf_status(&out->buf);
    }
    /* As they are: they may be too many to come together once more. */
    TRY(section_flush(out));
    if (objects.size) out->failure = out->write(out->context, objects);
    if (out->failure == STATUS_OK) out->flushed += objects.size;
    return out->failure;
}
