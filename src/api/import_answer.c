#include "api/import_answer.h"

#include "base/json.h"
#include "identity/identity.h"

#define FAILED         "some data points in the request failed validation"
#define ANSWER_BYTES   ((size_t)4096)
#define FAILURE_BYTES  ((size_t)6144) /* with every byte of its texts escaped */
#define TYPE_JSON      "application/json"
#define TYPE_TEXT      "text/plain"
#define STRICT_FAILURE 400
#define STRICT_TEXT    "Bad Request"

enum import_form import_form_of(const struct decode_form *form)
{
    struct str strict = decode_param(form, "strict");
    if (response_flag(strict)) return IMPORT_STRICT;
    if (form->in_field) return IMPORT_FORM;
    if (strict.size == 0) return IMPORT_STRICT;
    return response_flag(decode_param(form, "verbose")) ? IMPORT_VERBOSE : IMPORT_BRIEF;
}

/* `code` and `error`, which all answers have in common; the object stays open. */
static void write_head(struct buf *body, int code, struct str error)
{
    buf_printf(body, "{\"code\":%d", code);
    if (!error.data) return;
    buf_lit(body, ",\"error\":");
    json_write_str(body, error);
}

static void write_failures(struct buf *body, const struct import_outcome *outcome)
{
    buf_lit(body, ",\"failed_records\":[");
    for (size_t i = 0; i < outcome->verbs; i++) {
        if (i) buf_byte(body, ',');
        json_write_lit(body, IDENTITY_VERB_NOT_ALLOWED);
    }
    for (size_t i = 0; i < outcome->failure_count; i++) {
        const struct import_failure *failure = &outcome->failures[i];
        buf_printf(body, "%s{\"index\":%zu,\"insert_id\":", i ? "," : "", failure->index);
        json_write_str(body, failure->insert_id);
        buf_lit(body, ",\"field\":");
        json_write_str(body, failure->field);
        buf_lit(body, ",\"message\":");
        json_write_str(body, failure->message);
        /* The documentation knows it by this name, recorded answers by the other one. */
        buf_lit(body, ",\"$insert_id\":");
        json_write_str(body, failure->insert_id);
        buf_byte(body, '}');
    }
    buf_byte(body, ']');
}

static int answer_field(const struct response_mode *mode, struct str reason, struct buf *body, const char **ret_type)
{
    *ret_type = response_render(mode, reason, body);
    return 200;
}

static int answer_bad(enum import_form form, const struct import_outcome *outcome, size_t imported, struct str error,
                      struct buf *body)
{
    if (form == IMPORT_BRIEF) {
        buf_byte(body, '0');
        return 200;
    }
    int code = form == IMPORT_STRICT ? STRICT_FAILURE : 200;
    write_head(body, code, error);
    if (form == IMPORT_STRICT) write_failures(body, outcome);
    buf_printf(body, ",\"num_records_imported\":%zu,\"status\":", imported);
    if (form == IMPORT_STRICT)
        json_write_lit(body, STRICT_TEXT);
    else
        buf_byte(body, '0');
    buf_byte(body, '}');
    return code;
}

int import_answer(enum import_form form, const struct response_mode *mode, const struct import_outcome *outcome,
                  struct buf *body, const char **ret_type)
{
    bool failed = outcome->failure_count > 0 || outcome->verbs > 0;
    size_t imported = outcome->stored + outcome->ignored; /* what asks to be ignored was taken all the same */
    if (form == IMPORT_FORM) {
        struct str reason = outcome->verbs ? STR(IDENTITY_VERB_NOT_ALLOWED) : STR_NULL;
        if (outcome->failure_count) reason = outcome->failures[0].message;
        return answer_field(mode, reason, body, ret_type);
    }
    *ret_type = failed && form == IMPORT_BRIEF ? TYPE_TEXT : TYPE_JSON;
    if (failed) return answer_bad(form, outcome, imported, STR(FAILED), body);
    write_head(body, 200, STR_NULL);
    buf_printf(body, ",\"num_records_imported\":%zu,\"status\":%s}", imported, form == IMPORT_VERBOSE ? "1" : "\"OK\"");
    return 200;
}

int import_answer_unreadable(enum import_form form, const struct response_mode *mode, struct str reason,
                             struct buf *body, const char **ret_type)
{
    static const struct import_outcome nothing = {0};
    if (form == IMPORT_FORM) return answer_field(mode, reason, body, ret_type);
    *ret_type = form == IMPORT_BRIEF ? TYPE_TEXT : TYPE_JSON;
    return answer_bad(form, &nothing, 0, reason, body);
}

size_t import_answer_size_max(const struct import_outcome *outcome)
{
    return ANSWER_BYTES + outcome->failure_count * FAILURE_BYTES +
           outcome->verbs * (sizeof IDENTITY_VERB_NOT_ALLOWED + 3);
}
