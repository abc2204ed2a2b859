#include "api/query_question.h"

#include "base/json.h"
#include "base/utf8.h"

#include <stdlib.h>

#define NAMES_MAX       200 /* no fewer than params_parse takes */
#define VALUE_BYTES_MAX 400 /* of one parameter, for people */

static bool is_one_of(struct str name, const char *const *names)
{
    for (size_t i = 0; names[i]; i++)
        if (str_eq(name, str_of(names[i]))) return true;
    return false;
}

static int by_name(const void *a, const void *b)
{
    const struct param *const *x = a, *const *y = b;
    int order = str_cmp((*x)->name, (*y)->name);
    return order ? order : (*x > *y) - (*x < *y);
}

/* Those that are not empty, by name; those of one name in the order in which they came, as the first one counts. */
static size_t sorted(const struct params *params, const char *const *but, const struct param *list[NAMES_MAX])
{
    size_t count = 0;
    for (size_t i = 0; i < params->count && count < NAMES_MAX; i++)
        if (params->items[i].value.size && !is_one_of(params->items[i].name, but)) list[count++] = &params->items[i];
    if (count) qsort(list, count, sizeof *list, by_name);
    return count;
}

/* With its length, so that no text can pass for two. */
static void write_text(struct buf *key, struct str text)
{
    buf_printf(key, "%zu:", text.size);
    buf_str_add(key, text);
}

void question_write_key(struct buf *key, struct str endpoint, const struct http_request *request,
                        const struct params *params)
{
    static const char *const but[] = {"project_id", "timeout_ms", NULL};
    const struct param *list[NAMES_MAX];
    struct str project = http_request_param(request, "project_id");
    write_text(key, endpoint);
    for (size_t i = 0; i < request->param_count; i++)
        if (request->params[i].data != project.data) write_text(key, request->params[i]);
    buf_byte(key, '?');
    for (size_t i = 0, count = sorted(params, but, list); i < count; i++) {
        write_text(key, list[i]->name);
        write_text(key, list[i]->value);
    }
}

void question_write_parameters(struct buf *json, const struct params *params, size_t size_max)
{
    static const char *const but[] = {"project_id", "api_key", "api_secret", "secret", "password",
                                      "token",      "sig",     "expire",     NULL};
    const struct param *list[NAMES_MAX];
    bool any = false;
    buf_byte(json, '{');
    for (size_t i = 0, count = sorted(params, but, list); i < count && json->size < size_max; i++) {
        struct str name = list[i]->name, value = list[i]->value;
        if (name.size > VALUE_BYTES_MAX) continue;
        bool plain = utf8_valid(value.data, value.size);
        size_t size = value.size <= VALUE_BYTES_MAX ? value.size
                      : plain                       ? utf8_cut(value.data, value.size, VALUE_BYTES_MAX)
                                                    : VALUE_BYTES_MAX;
        if (any) buf_byte(json, ',');
        any = true;
        json_write_str(json, name);
        buf_byte(json, ':');
        json_write_str(json, str_slice(value, 0, size));
        if (size < value.size && !json->failed) { /* says that there was more */
            json->size--;
            buf_lit(json, "\xe2\x80\xa6\"");
        }
    }
    buf_byte(json, '}');
}

bool text_says_today(struct str text)
{
    struct str word = STR("today");
    for (size_t at = 0; at < text.size; at++) {
        bool escape = text.data[at] == '\\' && at + 1 < text.size && text.data[at + 1] == 'u'; /* any letter, in JSON */
        if (escape) return true;
        if ((text.data[at] | 0x20) != 't' || at + word.size > text.size) continue;
        if (str_eq_nocase(str_slice(text, at, at + word.size), word)) return true;
    }
    return false;
}

bool question_says_today(const struct params *params)
{
    for (size_t i = 0; i < params->count; i++)
        if (text_says_today(params->items[i].value)) return true;
    return false;
}
