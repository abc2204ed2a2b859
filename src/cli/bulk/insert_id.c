#include "base/hash.h"
#include "cli/bulk/bulk.h"

#include <stdio.h>

static const char *past_text(const char *at, const char *end)
{
    for (at++; at < end && *at != '"'; at++) at += *at == '\\';
    return at < end ? at + 1 : end;
}

static const char *past_blanks(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\t' || *at == '\r')) at++;
    return at;
}

/* Behind the "{" of the member `properties` of the outermost object; NULL when there is none. Only brackets and texts
 * are looked at: a record that is no JSON is refused later anyway. */
static const char *properties_begin(struct str record)
{
    const char *at = record.data, *end = record.data + record.size;
    static const struct str key = {"\"properties\"", 12};
    int depth = 0;
    while (at < end) {
        if (*at == '"') {
            const char *text = at;
            at = past_text(at, end);
            if (depth != 1 || !str_eq(str_from(text, (size_t)(at - text)), key)) continue;
            at = past_blanks(at, end);
            if (at == end || *at != ':') continue;
            at = past_blanks(at + 1, end);
            if (at < end && *at == '{') return at + 1;
        } else {
            depth += (*at == '{' || *at == '[') - (*at == '}' || *at == ']');
            at++;
        }
    }
    return NULL;
}

void bulk_insert_id(const char *file, uint64_t line, struct str record, struct buf *out)
{
    static const char key[] = "\"$insert_id\"";
    const char *place = NULL;
    /* A record with the words somewhere else is left as it is: it is only not known again. */
    if (!memmem(record.data, record.size, key, sizeof key - 1)) place = properties_begin(record);
    if (!place) {
        buf_str_add(out, record);
        buf_byte(out, '\n');
        return;
    }
    const char *slash = strrchr(file, '/');
    uint64_t seed = hash_u64(line, hash_str(str_of(slash ? slash + 1 : file)));
    size_t head = (size_t)(place - record.data);
    const char *next = past_blanks(place, record.data + record.size);
    bool empty = next < record.data + record.size && *next == '}';
    buf_add(out, record.data, head);
    buf_printf(out, "\"$insert_id\":\"%016llx%016llx\"%s",
               (unsigned long long)hash_bytes(record.data, record.size, seed),
               (unsigned long long)hash_bytes(record.data, record.size, ~seed), empty ? "" : ",");
    buf_add(out, place, record.size - head);
    buf_byte(out, '\n');
}
