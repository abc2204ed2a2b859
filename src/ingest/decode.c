#include "ingest/decode.h"

#include "base/base64.h"
#include "base/gzip.h"

static struct str without_mark(struct str text)
{
    text = str_trim(text);
    if (str_starts(text, STR("\xEF\xBB\xBF"))) text = str_trim(str_slice(text, 3, text.size));
    return text;
}

static bool looks_like_json(struct str text)
{
    return text.size && (text.data[0] == '{' || text.data[0] == '[');
}

static bool is_type(struct str content_type, const char *name)
{
    struct str rest = content_type, type;
    return str_next_part(&rest, ';', &type) && str_eq_nocase(str_trim(type), str_of(name));
}

bool decode_is_lines(struct str content_type)
{
    static const char *const names[] = {"application/x-ndjson", "application/ndjson", "application/jsonl",
                                        "application/x-jsonlines", "application/jsonlines"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (is_type(content_type, names[i])) return true;
    }
    return false;
}

static enum status malformed(struct error *error, const struct error *cause)
{
    error_set(error, STATUS_INVALID, "data, malformed");
    if (cause && cause->primary[0]) error_detail(error, "%s", cause->primary);
    return STATUS_INVALID;
}

/* Unpacks gzip; other bytes stay as they are. */
static enum status unpack(struct arena *arena, struct str packed, const struct ingest_limits *limits,
                          struct error *error, struct str *ret_plain)
{
    if (!gzip_magic(packed)) {
        *ret_plain = packed;
        return STATUS_OK;
    }
    struct error cause = ERROR_INIT;
    switch (gzip_decompress(arena, packed, limits->request_bytes_max, &cause, ret_plain)) {
    case STATUS_OK: return STATUS_OK;
    case STATUS_LIMIT:
        return error_set(error, STATUS_LIMIT, "request exceeds max limit of %zu bytes", limits->request_bytes_max);
    default: return malformed(error, &cause);
    }
}

enum status decode_form(struct arena *arena, const struct decode_input *input, const struct ingest_limits *limits,
                        struct error *error, struct decode_form *form)
{
    *form = (struct decode_form){.payload = STR_NULL};
    enum status status = url_params_parse(arena, input->query, DECODE_PARAMS_MAX, &form->query);
    if (status != STATUS_OK) return error_set(error, STATUS_INVALID, "too many query parameters");

    struct str body;
    TRY(unpack(arena, input->body, limits, error, &body));
    body = without_mark(body);
    if (looks_like_json(body) || (input->lines && body.size)) {
        form->payload = body;
        return STATUS_OK;
    }
    if (body.size) {
        if (url_params_parse(arena, body, DECODE_PARAMS_MAX, &form->form) != STATUS_OK) {
            form->form = (struct url_params){0};
            return malformed(error, NULL);
        }
        form->payload = url_params_get(&form->form, STR("data"));
        form->in_field = form->payload.data != NULL;
        /* A JSON body that is no container is malformed rather than missing. */
        if (!form->payload.data && is_type(input->content_type, "application/json")) form->payload = body;
    }
    if (!form->payload.data) {
        form->payload = url_params_get(&form->query, STR("data"));
        form->in_field = form->payload.data != NULL;
    }
    return STATUS_OK;
}

struct str decode_param(const struct decode_form *form, const char *name)
{
    struct str value = url_params_get(&form->query, str_of(name));
    return value.data ? value : url_params_get(&form->form, str_of(name));
}

/* The text of JSON, or of base64 of JSON, or of base64 of gzip of JSON. */
static enum status payload_text(struct arena *arena, struct str payload, const struct ingest_limits *limits,
                                struct error *error, struct str *ret_text)
{
    struct error cause = ERROR_INIT;
    struct str text = without_mark(payload);
    if (text.size == 0) return error_set(error, STATUS_INVALID, "data, missing or empty");
    if (!looks_like_json(text)) {
        struct str bytes;
        enum status status = base64_decode(arena, text, &bytes);
        if (status == STATUS_LIMIT) return error_set(error, STATUS_LIMIT, "request needs too much memory");
        if (status != STATUS_OK) {
            error_set(&cause, STATUS_INVALID, "neither JSON nor base64");
            return malformed(error, &cause);
        }
        TRY(unpack(arena, bytes, limits, error, &bytes));
        text = without_mark(bytes);
        if (text.size == 0) return error_set(error, STATUS_INVALID, "data, missing or empty");
    }
    *ret_text = text;
    return STATUS_OK;
}

static enum status text_parse(struct arena *arena, struct str text, struct error *error, struct json *ret_value)
{
    struct error cause = ERROR_INIT;
    enum status status = json_parse(arena, text, NULL, &cause, ret_value);
    if (status == STATUS_LIMIT) return error_set(error, STATUS_LIMIT, "request needs too much memory");
    if (status != STATUS_OK) return malformed(error, &cause);
    if (ret_value->type != JSON_OBJECT && ret_value->type != JSON_ARRAY) {
        error_set(&cause, STATUS_INVALID, "neither an object nor a list");
        return malformed(error, &cause);
    }
    return STATUS_OK;
}

enum status decode_text(struct arena *arena, const struct decode_form *form, const struct ingest_limits *limits,
                        struct error *error, struct str *ret_text)
{
    return payload_text(arena, form->payload, limits, error, ret_text);
}

static enum status document_of(struct arena *arena, struct str text, const struct ingest_limits *limits,
                               struct error *error, struct json *ret_document, size_t *ret_text_size)
{
    struct json document;
    TRY(text_parse(arena, text, error, &document));
    const struct json *inner = json_member(&document, "data");
    if (inner && !json_member(&document, "event")) {
        if (inner->type == JSON_STRING) {
            TRY(payload_text(arena, inner->string, limits, error, &text));
            TRY(text_parse(arena, text, error, &document));
        } else if (inner->type == JSON_OBJECT || inner->type == JSON_ARRAY)
            document = *inner;
        else if (inner->type == JSON_NULL)
            return error_set(error, STATUS_INVALID, "data, missing or empty");
        else
            return malformed(error, NULL);
    }
    *ret_document = document;
    *ret_text_size = text.size;
    return STATUS_OK;
}

enum status decode_document(struct arena *arena, const struct decode_form *form, const struct ingest_limits *limits,
                            struct error *error, struct json *ret_document, size_t *ret_text_size)
{
    struct str text;
    TRY(decode_text(arena, form, limits, error, &text));
    return document_of(arena, text, limits, error, ret_document, ret_text_size);
}

enum status decode_records(struct arena *arena, const struct decode_form *form, const struct ingest_limits *limits,
                           struct error *error, struct decode_records *ret_records)
{
    struct str text;
    TRY(decode_text(arena, form, limits, error, &text));
    return decode_records_of(arena, text, limits, error, ret_records);
}

enum status decode_records_of(struct arena *arena, struct str text, const struct ingest_limits *limits,
                              struct error *error, struct decode_records *ret_records)
{
    struct json document;
    struct decode_records records = {0};
    TRY(document_of(arena, text, limits, error, &document, &records.text_size));
    if (document.type == JSON_ARRAY) {
        if (document.array.count == 0) return error_set(error, STATUS_INVALID, "data, missing or empty");
        records.items = document.array.items;
        records.count = document.array.count;
    } else {
        records.items = arena_new_array(arena, struct json, 1);
        if (!records.items) return error_set(error, STATUS_LIMIT, "request needs too much memory");
        records.items[0] = document;
        records.count = 1;
    }
    *ret_records = records;
    return STATUS_OK;
}
