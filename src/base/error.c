#include "base/error.h"

#include "base/utf8.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *status_name(enum status status)
{
    switch (status) {
    case STATUS_OK: return "ok";
    case STATUS_INVALID: return "invalid";
    case STATUS_NOT_FOUND: return "not_found";
    case STATUS_CONFLICT: return "conflict";
    case STATUS_DENIED: return "denied";
    case STATUS_LIMIT: return "limit";
    case STATUS_UNAVAILABLE: return "unavailable";
    case STATUS_CORRUPT: return "corrupt";
    case STATUS_IO: return "io";
    case STATUS_CANCELLED: return "cancelled";
    case STATUS_UNSUPPORTED: return "unsupported";
    case STATUS_INTERNAL: return "internal";
    }
    return "unknown";
}

static __attribute__((format(printf, 3, 0))) void set_text(char *text, size_t size, const char *format, va_list args)
{
    int length = vsnprintf(text, size, format, args);
    if (length < 0) {
        text[0] = 0;
    } else if ((size_t)length >= size) {
        text[utf8_cut(text, size - 1, size - 1)] = 0;
    }
}

enum status error_set(struct error *error, enum status status, const char *format, ...)
{
    if (!error) return status;
    va_list args;
    va_start(args, format);
    error->status = status;
    error->line = error->column = 0;
    error->detail[0] = error->hint[0] = 0;
    set_text(error->primary, sizeof error->primary, format, args);
    va_end(args);
    return status;
}

enum status error_set_os(struct error *error, enum status status, int os_errno, const char *format, ...)
{
    if (!error) return status;
    char reason[128];
    const char *text = strerror_r(os_errno, reason, sizeof reason);
    va_list args;
    va_start(args, format);
    error->status = status;
    error->line = error->column = 0;
    error->hint[0] = 0;
    set_text(error->primary, sizeof error->primary, format, args);
    va_end(args);
    snprintf(error->detail, sizeof error->detail, "%s", text);
    return status;
}

void error_detail(struct error *error, const char *format, ...)
{
    if (!error) return;
    va_list args;
    va_start(args, format);
    set_text(error->detail, sizeof error->detail, format, args);
    va_end(args);
}

void error_hint(struct error *error, const char *format, ...)
{
    if (!error) return;
    va_list args;
    va_start(args, format);
    set_text(error->hint, sizeof error->hint, format, args);
    va_end(args);
}

void error_position(struct error *error, unsigned line, unsigned column)
{
    if (!error) return;
    error->line = line;
    error->column = column;
}

void error_prefix(struct error *error, const char *format, ...)
{
    if (!error) return;
    char prefix[sizeof error->primary], joined[sizeof error->primary * 2 + 2];
    va_list args;
    va_start(args, format);
    set_text(prefix, sizeof prefix, format, args);
    va_end(args);
    snprintf(joined, sizeof joined, "%s: %s", prefix, error->primary);
    size_t length = utf8_cut(joined, strlen(joined), sizeof error->primary - 1);
    memcpy(error->primary, joined, length);
    error->primary[length] = 0;
}

const char *error_text(const struct error *error, char *text, size_t size)
{
    snprintf(text, size, "%s%s%s%s%s%s", error->primary, error->detail[0] ? " (" : "", error->detail,
             error->detail[0] ? ")" : "", error->hint[0] ? "; " : "", error->hint);
    return text;
}
